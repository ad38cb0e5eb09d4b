//! What is made from the table of keys: the tables in docs/configuration.md and the fuzz
//! dictionary. `make docs-update` writes both.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::config::schema::{Key, Keys, Kind};
use crate::config::table::{ALERTS, ANY_RULE, ROOT};
use crate::config::value::span_text;

const HEAD: &str = "| key | kind | default | range | meaning |\n|---|---|---|---|---|\n";

/// Words of the dictionary beside the keys: marks of the languages, labels, and near misses.
const OTHER_WORDS: [&str; 29] = [
    "\"_file: \"",
    "\"alertname: \"",
    "\"connection: \"",
    "\"host: \"",
    "\"intervall: \"",
    "\"intervals: \"",
    "\"source_dc: \"",
    "\"target_dc: \"",
    "\"zzz: \"",
    "\"30s\"",
    "\"null\"",
    "\"*a\"",
    "\"&a \"",
    "\"${\"",
    "\"$$\"",
    "\"!!int \"",
    "\"<<: \"",
    "\"[[\"",
    "\"{a: \"",
    "\"]]\"",
    "\" = \"",
    "\"\\\"\"",
    "\"- \"",
    "\"64MiB\"",
    "\"127.0.0.1:6379\"",
    "\"[::1]:1\"",
    "\"10.0.0.0/8\"",
    "\"https://x/\"",
    "\"true\"",
];

/// The path of a file of the project, and its text.
fn file(path: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// Compares the file with what is made from the table, or writes it.
fn compare(path: &str, made: impl Fn(&str) -> String) {
    let (path, text) = file(path);
    let made = made(&text);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).unwrap();
        return;
    }
    assert_eq!(text, made, "run: make docs-update");
}

/// Replaces the table of keys below each heading `### SECTION`.
fn with_tables(text: &str) -> String {
    let mut text = text.to_owned();
    for key in ROOT.rows() {
        let heading = format!("\n### {}\n", key.name);
        let (before, after) = text.split_once(&heading).expect(key.name);
        let (intro, rest) = after.split_once(HEAD).expect(key.name);
        let old_rows = rest.split("\n\n").next().unwrap_or_default();
        let rest = &rest[old_rows.len()..];
        let rows = table("", key);
        text = format!("{before}{heading}{intro}{HEAD}{}{rest}", rows.trim_end());
    }
    text
}

/// The rows of `key` and of everything below it.
fn table(above: &str, key: &'static Key) -> String {
    let path = match above {
        "" => key.name.to_owned(),
        above => format!("{above}.{}", key.name),
    };
    let mut rows = row(&path, key);
    match key.kind {
        Kind::Section(keys) if std::ptr::eq(keys, &raw const ALERTS) => {
            rows += &table(&path, &ANY_RULE);
            rows += &windows(keys);
        }
        Kind::Section(keys) | Kind::ScalarOrSection(keys) => rows += &tables(&path, keys),
        Kind::List(keys) => rows += &tables(&format!("{path}[]"), keys),
        _ => {}
    }
    rows
}

fn tables(path: &str, keys: &'static Keys) -> String {
    keys.rows().map(|key| table(path, key)).collect()
}

/// What some rules have beside the keys of all.
fn windows(alerts: &'static Keys) -> String {
    let mut rows = String::new();
    for rule in alerts.rows() {
        let Kind::SameSection(keys) = rule.kind else {
            panic!("{} is no rule", rule.name)
        };
        if keys.base.is_some() {
            for key in keys.own {
                rows += &row(&format!("alerts.{}.{}", rule.name, key.name), key);
            }
        }
    }
    rows
}

fn row(path: &str, key: &Key) -> String {
    let mut line = format!("| `{path}` |");
    let cells = [
        key.docs.kind.unwrap_or(kind(key)).to_owned(),
        key.docs.default.map_or_else(|| default(key), str::to_owned),
        key.docs.range.map_or_else(|| range(key), str::to_owned),
        key.docs.meaning.trim().to_owned(),
    ];
    for cell in cells {
        if cell.is_empty() {
            line += " |";
        } else {
            write!(line, " {cell} |").unwrap();
        }
    }
    line + "\n"
}

fn kind(key: &Key) -> &'static str {
    match key.kind {
        Kind::Duration { .. } => "duration",
        Kind::Number { .. } => "number",
        Kind::Flag { .. } => "true/false",
        Kind::Name | Kind::OptionalName => "name",
        Kind::Url | Kind::HostName => "text",
        Kind::PemFile | Kind::SecretFile => "path",
        Kind::Secret(_) => "secret",
        Kind::Section(_) | Kind::SameSection(_) | Kind::ScalarOrSection(_) => "mapping",
        Kind::List(_) => "list",
        Kind::Scalar | Kind::Collection => "",
    }
}

fn default(key: &Key) -> String {
    match key.kind {
        Kind::Duration {
            default: Some(span),
            ..
        } => format!("`{}`", span_text(span)),
        Kind::Number {
            default: Some(number),
            ..
        } => format!("`{number}`"),
        Kind::Flag {
            default: Some(flag),
        } => format!("`{flag}`"),
        _ => String::new(),
    }
}

fn range(key: &Key) -> String {
    match &key.kind {
        Kind::Duration { range, .. } => {
            format!(
                "`{}` to `{}`",
                span_text(*range.start()),
                span_text(*range.end())
            )
        }
        Kind::Number { range, .. } => format!("{} to {}", range.start(), range.end()),
        _ => String::new(),
    }
}

/// Every name of a key.
fn collect_names(keys: &'static Keys, names: &mut BTreeSet<&'static str>) {
    for key in keys.rows() {
        names.insert(key.name);
        collect_names(keys.below(key.name), names);
    }
}

#[test]
fn the_documentation_has_the_tables_of_keys() {
    compare("docs/configuration.md", with_tables);
}

#[test]
fn the_fuzz_dictionary_has_every_key() {
    let mut names = BTreeSet::new();
    collect_names(&ROOT, &mut names);
    let mut made =
        "# Keys of a configuration and the marks of its languages; made by make docs-update.\n"
            .to_owned();
    for name in names {
        writeln!(made, "\"{name}: \"").unwrap();
    }
    for word in OTHER_WORDS {
        writeln!(made, "{word}").unwrap();
    }
    compare("fuzz/dictionaries/config.dict", |_| made.clone());
}

#[test]
fn the_documentation_names_every_rule() {
    let (_, text) = file("docs/configuration.md");
    for rule in ALERTS.names() {
        assert!(text.contains(&format!("\n| {rule} |")), "{rule}");
    }
}

#[test]
fn only_single_values_outside_lists_can_be_overridden() {
    let keys = ROOT.overridable();
    for key in [
        "alerts.lag_seconds.clear.warning",
        "poll.timeout.local",
        "redis.tls.ca_file",
    ] {
        assert!(keys.contains(&key.to_owned()), "{key}");
    }
    let is_in_list = |key: &String| key.starts_with("pairs") || key.contains("receivers");
    assert!(!keys.iter().any(is_in_list), "{keys:?}");
}
