//! Lines of the program's log, taken apart as the readers of logfmt do.

use std::collections::BTreeMap;

/// The fields of a line of logfmt; `None` when it is none, when a name is given twice, or when one
/// that every line has is missing. A value in quotes is a text of JSON.
pub(crate) fn parse(line: &str) -> Option<BTreeMap<String, String>> {
    let (mut fields, mut rest) = (BTreeMap::new(), line);
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let (value, after) = if value.starts_with('"') {
            in_quotes(value)?
        } else {
            bare(value)?
        };
        rest = if after.is_empty() {
            after
        } else {
            after.strip_prefix(' ')?
        };
        if !is_name || fields.insert(name.to_owned(), value).is_some() {
            return None;
        }
    }
    ["ts", "level", "msg"]
        .iter()
        .all(|name| fields.contains_key(*name))
        .then_some(fields)
}

fn in_quotes(value: &str) -> Option<(String, &str)> {
    let mut texts = serde_json::Deserializer::from_str(value).into_iter::<String>();
    let text = texts.next()?.ok()?;
    Some((text, &value[texts.byte_offset()..]))
}

fn bare(value: &str) -> Option<(String, &str)> {
    let (text, rest) = value.split_at(value.find(' ').unwrap_or(value.len()));
    (!text.is_empty() && !text.contains(['"', '=', '\\'])).then(|| (text.to_owned(), rest))
}

#[test]
fn a_malformed_log_line_is_noticed() {
    let good = r#"ts=2025-01-01T00:00:00.000Z level=warn msg="a \"b\" = \u001b" pair="" up=true"#;
    let fields = parse(good).expect("a good line");
    assert_eq!(
        (fields["msg"].as_str(), fields["pair"].as_str()),
        ("a \"b\" = \u{1b}", "")
    );
    for bad in [
        "level=warn msg=x",
        "ts=1 level=warn msg=x msg=y",
        "ts=1 level=warn msg=a\"b",
        r#"ts=1 level=warn msg="a\u{1b}""#,
        "ts=1 level=warn msg=\"a",
        "thread 'main' panicked at src/main.rs:1:1:",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}
