//! Keys and values as a reply spells them: which lines count, and what a repeated key means.

use std::collections::BTreeMap;

/// The longest line whose value is believed, in bytes. The longest one that a server sends in the
/// sections that are read is a `slaveN` line with a host name, below 400 bytes.
const MAX_LINE: usize = 4096;

/// What stands behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// The key is not there.
    Absent,
    /// Its one value, or the value that all its repetitions agree on.
    Text(&'a str),
    /// It is there, but its value is cut off, too long, or contradicted by a repetition.
    Unusable,
}

/// One `key:value` line; the value is `None` when it cannot be used.
pub(super) struct Line<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a str>,
}

/// The values by key.
///
/// A key that repeats with another value counts as unusable, not as its first or its last value:
/// nothing tells which one is true. `KeyDB` repeats `slave_repl_offset` for every master, and
/// servers print the address that a replica announces as it came, so that a hostile one may add
/// lines and sub-fields of its own.
pub(super) struct Table<'a> {
    values: BTreeMap<&'a str, Raw<'a>>,
    repeated: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// Collects `lines`.
    pub(super) fn collect(lines: impl Iterator<Item = Line<'a>>) -> Self {
        let mut table = Self {
            values: BTreeMap::new(),
            repeated: Vec::new(),
        };
        lines.for_each(|line| table.insert(&line));
        table
    }

    fn insert(&mut self, line: &Line<'a>) {
        let new = line.value.map_or(Raw::Unusable, Raw::Text);
        let Some(old) = self.values.get_mut(line.key) else {
            self.values.insert(line.key, new);
            return;
        };
        if *old != new {
            *old = Raw::Unusable;
        }
        self.repeated.push(line.key);
    }

    /// What stands behind `key`.
    pub(super) fn get(&self, key: &str) -> Raw<'a> {
        self.values.get(key).copied().unwrap_or(Raw::Absent)
    }

    /// The usable text behind `key`.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            Raw::Text(text) => Some(text),
            Raw::Absent | Raw::Unusable => None,
        }
    }

    /// Every key with what stands behind it.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Raw<'a>)> {
        self.values.iter().map(|(key, raw)| (*key, *raw))
    }

    /// Whether the reply has `key`, usable or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether `key` stands there more than once.
    pub(super) fn repeats(&self, key: &str) -> bool {
        self.repeated.contains(&key)
    }

    /// Whether there is no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// The `key:value` lines of a reply, wherever they stand. Lines end with CR, LF or both; `#
/// Section` headers, empty lines and lines without a colon are skipped.
///
/// Servers end every line, so a last line without its end was cut: `slave_repl_offset:6214` may be
/// the beginning of `slave_repl_offset:62149334`. Its value cannot be used.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    // One search for each of the two is several times as fast as one for both, and a hostile reply
    // is long.
    text.split_inclusive('\n')
        .flat_map(|line| line.split_inclusive('\r'))
        .filter_map(line)
}

fn line(raw: &str) -> Option<Line<'_>> {
    let content = raw.trim_end_matches(['\r', '\n']);
    let (key, value) = content.split_once(':')?;
    if key.is_empty() || key.starts_with('#') {
        return None;
    }
    let whole = content.len() < raw.len() && content.len() <= MAX_LINE;
    Some(Line {
        key,
        value: whole.then_some(value),
    })
}

/// The `key=value` parts of a line's value, separated by commas; parts without `=` are skipped.
pub(super) fn parts(value: &str) -> impl Iterator<Item = Line<'_>> {
    value
        .split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| Line {
            key,
            value: Some(value),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(text: &'a str, key: &str) -> Raw<'a> {
        Table::collect(lines(text)).get(key)
    }

    #[test]
    fn lines_are_found_whatever_their_ends_and_surroundings() {
        for text in [
            "a:1\r\n",
            "a:1\n",
            "a:1\r",
            "# A\r\na:1\r\n\r\n",
            "+OK\na:1\nno colon\n",
            ":9\na:1\n:\n",
        ] {
            assert_eq!(get(text, "a"), Raw::Text("1"), "{text:?}");
        }
        assert_eq!(get("a:b:c=d,e\n", "a"), Raw::Text("b:c=d,e"));
        assert_eq!(get("a:\n", "a"), Raw::Text(""));
        assert_eq!(get("#a:1\nb:2\n", "#a"), Raw::Absent);
    }

    #[test]
    fn a_cut_an_overlong_and_a_contradicted_value_are_unusable() {
        assert_eq!(get("a:1", "a"), Raw::Unusable);
        assert_eq!(
            get(&format!("a:{}\n", "1".repeat(MAX_LINE)), "a"),
            Raw::Unusable
        );
        assert_eq!(get("a:1\na:2\n", "a"), Raw::Unusable);
        assert_eq!(get("a:1\na:2\na:1\n", "a"), Raw::Unusable);
        assert_eq!(get("a:1\na:1\n", "a"), Raw::Text("1"));
    }

    #[test]
    fn repetition_is_known_whether_the_values_agree_or_not() {
        let table = Table::collect(lines("a:1\na:1\nb:1\nb:2\nc:1\n"));
        assert_eq!(
            ["a", "b", "c", "d"].map(|key| table.repeats(key)),
            [true, true, false, false]
        );
    }
}
