//! The list of limits, docs/limits.md: its numbers are the source's, its tests are there, and no
//! limit is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Constants that are called like limits and are none on what comes from outside: a range of a
/// type, a pause, the words of a log line, the beginning of an error reply, a bound on the work for
/// a suggestion, and two that follow from the rules of a protocol (`notify/retry`) and of reloading
/// (`notify/queue/group`).
const NO_LIMITS: [&str; 7] = [
    "MAX_SECONDS",
    "MAX_SLEEP",
    "MAX_NAMED",
    "MAX_CLIENTS",
    "MAX_TYPED",
    "MAX_UNCONFIRMED",
    "MAX_INCIDENTS",
];

/// A row: what is limited to which number by which constant, and what shows it.
struct Row {
    number: String,
    file: String,
    name: String,
    test: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows() -> Vec<Row> {
    let text = read(&root().join("docs/limits.md"));
    let lines = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| limit |"));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [_, number, _, source, test] = cells[..] else {
        panic!("five cells: {line}")
    };
    let code: Vec<&str> = source.split('`').collect();
    let [_, file, _, name, _] = code[..] else {
        panic!("a file and a constant: {line}")
    };
    let [number, file, name] = [number, file, name].map(str::to_owned);
    Row {
        number,
        file,
        name,
        test: test.trim_matches('`').to_owned(),
    }
}

/// A number as the list writes it: `64 KiB`, `10 s, or 5 timeouts`, `4096 B`, `1024`.
fn documented(text: &str) -> Option<u64> {
    let mut words = text.split([' ', ',']);
    let number: u64 = words.next()?.parse().ok()?;
    let unit = match words.next() {
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("s") => 1000,
        _ => 1, // milliseconds, too
    };
    Some(number * unit)
}

/// A number as the source writes it: a product, in bytes or pieces; times in milliseconds.
fn in_source(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches([';', ',']);
    let inside = |start: &str| text.split_once(start)?.1.strip_suffix(')');
    if let Some(seconds) = inside("::from_secs(") {
        return Some(in_source(seconds)? * 1000);
    }
    if let Some(milliseconds) = inside("::from_millis(") {
        return in_source(milliseconds);
    }
    let product = inside("::new(").unwrap_or(text);
    let factor = |word: &str| {
        word.trim()
            .replace('_', "")
            .trim_end_matches(".0")
            .parse::<u64>()
            .ok()
    };
    product.split('*').map(factor).product()
}

/// What the constant or the field of this name is set to in a file.
fn value_of(name: &str, text: &str) -> Option<u64> {
    let constant = format!("const {name}: ");
    let field = format!(" {name}: ");
    let value = |line: &str| match line.split_once(&constant) {
        Some((_, rest)) => in_source(rest.split_once('=')?.1),
        None => line
            .starts_with("   ")
            .then(|| in_source(line.split_once(&field)?.1))
            .flatten(),
    };
    text.lines().find_map(value)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_number_matches_the_source_and_every_test_exists() {
    let (mut files, mut tests) = (Vec::new(), BTreeSet::new());
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    for text in files.iter().map(|path| read(path)) {
        let names = text
            .split("fn ")
            .skip(1)
            .filter_map(|rest| rest.split_once('('))
            .map(|(name, _)| name.to_owned());
        tests.extend(names);
    }
    for Row {
        number,
        file,
        name,
        test,
    } in rows()
    {
        let expected = value_of(&name, &read(&root().join("src").join(&file)));
        assert!(expected.is_some(), "{file} has no limit {name}");
        assert_eq!(documented(&number), expected, "{file}: {name}");
        assert!(
            tests.contains(&test),
            "{file}: {name}: there is no test {test}"
        );
    }
}

/// The names behind `const MAX_` in a file.
fn limits_in(text: &str) -> Vec<String> {
    let names = text
        .split("const MAX_")
        .skip(1)
        .filter_map(|rest| rest.split_once(':'));
    names.map(|(name, _)| format!("MAX_{name}")).collect()
}

#[test]
fn no_limit_is_missing() {
    let listed: BTreeSet<(String, String)> =
        rows().into_iter().map(|row| (row.file, row.name)).collect();
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut missing = Vec::new();
    for path in files
        .iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "lab"))
    {
        let file = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let names = limits_in(&read(path))
            .into_iter()
            .filter(|name| !NO_LIMITS.contains(&name.as_str()));
        missing.extend(
            names
                .map(|name| (file.clone(), name))
                .filter(|limit| !listed.contains(limit)),
        );
    }
    let limits = read(&root().join("src/web/limits.rs"));
    let fields = limits
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
    let fields = fields.map(|(name, _)| ("web/limits.rs".to_owned(), name.to_owned()));
    missing.extend(fields.filter(|limit| !listed.contains(limit)));
    assert!(
        missing.is_empty(),
        "docs/limits.md does not have {missing:?}"
    );
}

#[test]
fn numbers_in_source_and_document_notation_are_read() {
    let cases = [
        ("64 KiB", "64 * 1024;", 65_536),
        ("1 MiB", "Bytes::new(1024 * 1024);", 1_048_576),
        ("10 s, or 5 timeouts", "Span::from_secs(10);", 10_000),
        ("4000000", "4_000_000;", 4_000_000),
        ("6", "6.0;", 6),
    ];
    for (text, source, number) in cases {
        assert_eq!(
            (documented(text), in_source(source)),
            (Some(number), Some(number)),
            "{text}"
        );
    }
    assert_eq!((documented("many"), in_source("OTHER;")), (None, None));
}
