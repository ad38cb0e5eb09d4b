//! Files that cannot be read at all, and that no text makes the reader panic.

use proptest::prelude::*;

use super::*;

#[test]
fn syntax_errors_name_the_place_and_repeat_no_secret() {
    let read = |text: &str, format| {
        parse(text, format, Path::new(""), &Environment::default())
            .unwrap_err()
            .to_string()
    };
    let cases = [
        (Format::Yaml, "redis: {password: hunter2", "line 2 column 1"),
        (
            Format::Yaml,
            "redis:\n  password: hunter2\n password: x",
            "line 3",
        ),
        (
            Format::Yaml,
            "a: {b: 1, b: hunter2}",
            "the key \"b\" is given twice in one mapping, at byte",
        ),
        (
            Format::Yaml,
            "a: {[hunter2]: 1, [hunter2]: 1}",
            "a key is given twice in one mapping, at byte",
        ),
        (
            Format::Yaml,
            "a: !!int hunter2",
            "a YAML tag, such as !!int, has no meaning here: remove it at line 1",
        ),
        (Format::Yaml, "a:\n\tb: 1", "indent with spaces"),
        (Format::Yaml, "a: *b", "unknown anchor"),
        (
            Format::Yaml,
            "a: &a [*a]",
            "an alias is inside the value that it repeats",
        ),
        (Format::Yaml, "hunter2", "it must be a mapping of sections"),
        (Format::Yaml, "a: 1\n---\nb: 1", "2 YAML documents"),
        (
            Format::Toml,
            "[redis]\npassword = \"hunter2",
            "at line 2, column",
        ),
        (
            Format::Toml,
            "[redis]\npassword = hunter2",
            "at line 2, column",
        ),
        (
            Format::Toml,
            "password = \"hunter2\"\npassword = \"hunter2\"",
            "duplicate key at line 2, column 1",
        ),
        (
            Format::Json,
            "{\"password\": \"hunter2\"",
            "line 1 column 22",
        ),
        (
            Format::Json,
            "{\"a\": 1, \"a\": \"hunter2\"}",
            "the key \"a\" is given twice in one object at line 1",
        ),
        (
            Format::Json,
            "\"hunter2\"",
            "it must be a mapping of sections",
        ),
        (Format::Json, "{\"a\": 1e999}", "number out of range"),
    ];
    for (format, text, part) in cases {
        let error = read(text, format);
        assert!(
            error.contains(part) && !error.contains("hunter2"),
            "{text}\n{error}"
        );
        assert!(
            error.starts_with(&format!(
                "configuration: is not a valid {} configuration: ",
                format.name()
            )),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn hostile_files_are_refused_quickly() {
    let read = |text: &str, format| {
        parse(text, format, Path::new(""), &Environment::default())
            .unwrap_err()
            .to_string()
    };
    let deep = "[".repeat(100_000);
    assert!(read(&format!("a: {deep}"), Format::Yaml).contains("recursion limit"));
    assert!(read(&"[".repeat(40), Format::Yaml).contains("nested more than 32 deep"));
    assert!(read(&"- ".repeat(100_000), Format::Yaml).contains("nested more than 32 deep"));
    assert!(read(&format!("{{\"a\": {deep}"), Format::Json).contains("recursion limit"));
    assert!(read(&format!("a = {deep}"), Format::Toml).contains("max recursion depth"));
    let level = |n: u32| {
        format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 10].join(", ")
        )
    };
    let aliases = format!("a0: &a0 [x]\n{}", (1..20).map(level).collect::<String>());
    assert!(read(&aliases, Format::Yaml).contains("more than 4 million values"));
    assert!(read(&" ".repeat(17 * 1024 * 1024), Format::Yaml).contains("longer than 16 MiB"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = |path: &str| {
        load(Path::new(path), &Environment::default())
            .unwrap_err()
            .to_string()
    };
    assert!(error("/nowhere/x.yml").starts_with("/nowhere/x.yml: cannot be read: No such file"));
    let ending = "/nowhere/x.ini: the file's name must end in .yml, .yaml, .toml or .json, which tells its language";
    assert_eq!(error("/nowhere/x.ini"), ending);
}

/// Lines that are nearly configuration: they get further into the reader than random text does.
fn nearly_yaml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "pairs",
        "name",
        "master",
        "replicas",
        "address",
        "alerts",
        "lag_seconds",
        "warning",
        "clear",
        "redis",
        "password",
        "notify",
        "receivers",
        "slack",
        "webhook",
        "headers",
        "match",
        "datacenters",
        "poll",
        "interval",
        "labels",
        "x",
    ]);
    let value = prop::sample::select(vec![
        "",
        "[]",
        "{}",
        "- ",
        "5",
        "-1",
        "1.5",
        "5s",
        "null",
        "true",
        "${A}",
        "$",
        "'a:1'",
        "*",
        "[{address: 'a:1'}]",
        "&a",
        "*a",
        "!!x",
        "|",
        "{name: p}",
        "\"\\0\"",
    ]);
    let line = (0_usize..4, key, value)
        .prop_map(|(depth, key, value)| format!("{}{key}: {value}", "  ".repeat(depth)));
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

fn total(text: &str) {
    for format in [Format::Yaml, Format::Toml, Format::Json] {
        if let Err(errors) = parse(text, format, Path::new("/x"), &environment(&[("A", "1")])) {
            assert!(!errors.problems().is_empty() && !errors.to_string().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn any_text_reads_or_is_refused(text in any::<String>()) {
        total(&text);
    }

    #[test]
    fn any_line_of_punctuation_reads_or_is_refused(text in "[-a1:{}\\[\\]\"'&*!|>%@#,?$= \n\t.]{0,60}") {
        total(&text);
    }

    #[test]
    fn any_near_configuration_reads_or_is_refused(text in nearly_yaml()) {
        total(&text);
    }

    #[test]
    fn a_cut_or_changed_configuration_reads_or_is_refused(at in 0..FULL.len(), byte in any::<char>()) {
        if let (Some(head), Some(tail)) = (FULL.get(..at), FULL.get(at..)) {
            total(head);
            total(&format!("{head}{byte}{tail}"));
        }
    }
}
