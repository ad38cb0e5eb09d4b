//! Prometheus' text format 0.0.4, read strictly: what promtool would refuse is refused here.

use std::collections::HashSet;

/// Checks every line of `text`: names, escapes, values that are numbers and not negative, no series
/// twice.
pub fn check(text: &str) {
    let mut seen = HashSet::new();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line has an end"
    );
    for line in text.split_terminator('\n') {
        if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
            continue;
        }
        let (series, value) = sample(line).unwrap_or_else(|| panic!("no sample: {line:?}"));
        let is_legal = value.is_finite() || value == f64::INFINITY && is_threshold(series);
        assert!(is_legal && value >= 0.0, "no such value: {line:?}");
        assert!(seen.insert(series), "twice: {line:?}");
    }
}

/// A level that a pair does not have, and that others have, is one that no value reaches.
fn is_threshold(series: &str) -> bool {
    series.starts_with("redis_cross_dc_alert_threshold{")
}

/// The series and the value of one line.
fn sample(line: &str) -> Option<(&str, f64)> {
    let name = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let mut rest = &line[name..];
    if let Some(labels) = rest.strip_prefix('{') {
        rest = after_labels(labels)?;
    }
    let series = &line[..line.len() - rest.len()];
    let value = rest.strip_prefix(' ')?;
    (name > 0 && !value.contains(' ')).then_some((series, value.parse().ok()?))
}

/// What stands behind the labels and their brace.
fn after_labels(mut rest: &str) -> Option<&str> {
    loop {
        let name = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|end| *end > 0)?;
        rest = rest[name..].strip_prefix("=\"")?;
        rest = &rest[end_of_value(rest)? + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.strip_prefix('}'),
        }
    }
}

/// Where the closing quote is; only `\\`, `\"` and `\n` are escapes.
fn end_of_value(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at),
            '\\' => matches!(chars.next()?.1, '\\' | '"' | 'n').then_some(())?,
            _ => {}
        }
    }
    None
}
