//! Keys and raw values of a reply: which lines count, and what a repeated key means.

use std::collections::BTreeMap;

use memchr::{memchr, memchr2};

use super::known;

/// The longest line whose value is used, in bytes. The longest one that a server sends in the
/// sections that are read is a `slaveN` line with a host name, below 400 bytes.
const MAX_LINE: usize = 4096;

/// The value of a key before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawValue<'a> {
    /// There is no such key.
    Absent,
    /// Its value, or the value that all its repetitions have.
    Text(&'a str),
    /// The key exists, but its value is truncated, too long, or contradicted by a repetition.
    Unusable,
}

/// One `key:value` line; the value is `None` when it cannot be used.
pub(super) struct InfoLine<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a str>,
}

/// The values by key.
///
/// A key that is repeated with another value is unusable: nothing shows whether the first or the
/// last value is true. `KeyDB` repeats `slave_repl_offset` for every master, and servers print the
/// address that a replica announces unchanged, so that a hostile one can inject lines and
/// sub-fields.
pub(super) struct InfoTable<'a> {
    /// The values of the keys that fields depend on, by their places.
    known: [RawValue<'a>; known::COUNT],
    /// Those of all other keys.
    others: BTreeMap<&'a str, RawValue<'a>>,
    repeated: Vec<&'a str>,
    /// Whether there is no key at all.
    is_empty: bool,
}

impl Default for InfoTable<'_> {
    fn default() -> Self {
        Self {
            known: [RawValue::Absent; known::COUNT],
            others: BTreeMap::new(),
            repeated: Vec::new(),
            is_empty: true,
        }
    }
}

impl<'a> InfoTable<'a> {
    /// Collects `lines`.
    pub(super) fn collect(lines: impl Iterator<Item = InfoLine<'a>>) -> Self {
        let mut table = Self::default();
        for line in lines {
            table.insert(&line);
        }
        table
    }

    /// Adds one line.
    pub(super) fn insert(&mut self, line: &InfoLine<'a>) {
        let new = match line.value {
            Some(text) => RawValue::Text(text),
            None => RawValue::Unusable,
        };
        self.is_empty = false;
        let known = known::place(line.key).and_then(|place| self.known.get_mut(place));
        let value = match known {
            Some(value) => value,
            None => self.others.entry(line.key).or_insert(RawValue::Absent),
        };
        if *value == RawValue::Absent {
            *value = new;
            return;
        }
        if *value != new {
            *value = RawValue::Unusable;
        }
        self.repeated.push(line.key);
    }

    /// The raw value of `key`.
    pub(super) fn get(&self, key: &str) -> RawValue<'a> {
        let value = match known::place(key) {
            Some(place) => self.known.get(place),
            None => self.others.get(key),
        };
        value.copied().unwrap_or(RawValue::Absent)
    }

    /// The usable text of `key`.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            RawValue::Text(text) => Some(text),
            RawValue::Absent | RawValue::Unusable => None,
        }
    }

    /// Every key that is not among those with a place, with its raw value.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'a str, RawValue<'a>)> {
        self.others.iter().map(|(key, raw)| (*key, *raw))
    }

    /// Whether the reply has `key`, usable or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key) != RawValue::Absent
    }

    /// Whether the reply has `key` more than once.
    pub(super) fn repeats(&self, key: &str) -> bool {
        self.repeated.contains(&key)
    }

    /// Whether there is no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }
}

/// The `key:value` lines of a reply, of all sections. Lines end with CR, LF or both; `# Section`
/// headers, empty lines and lines without a colon are skipped.
///
/// Servers end every line, so a last line without an end was truncated: `slave_repl_offset:6214`
/// may be the beginning of `slave_repl_offset:62149334`. Its value cannot be used.
pub(super) fn lines(text: &str) -> impl Iterator<Item = InfoLine<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (content, is_complete) = take_line(&mut rest);
            if let Some(line) = line(content, is_complete) {
                return Some(line);
            }
        }
        None
    })
}

/// Takes the next line from `rest`, without its end. Returns whether it had one.
fn take_line<'a>(rest: &mut &'a str) -> (&'a str, bool) {
    let end = memchr2(b'\r', b'\n', rest.as_bytes());
    let cut = end.and_then(|end| rest.split_at_checked(end));
    let Some((content, tail)) = cut else {
        return (std::mem::take(rest), false);
    };
    // Both ends at once: otherwise there would be an empty line after each.
    let after = tail.strip_prefix("\r\n").or_else(|| tail.get(1..));
    *rest = after.unwrap_or_default();
    (content, true)
}

fn line(content: &str, is_complete: bool) -> Option<InfoLine<'_>> {
    let colon = memchr(b':', content.as_bytes())?;
    let (key, value) = content.split_at_checked(colon)?;
    let value = value.get(1..)?;
    if key.is_empty() || key.starts_with('#') {
        return None;
    }
    let is_usable = is_complete && content.len() <= MAX_LINE;
    let value = if is_usable { Some(value) } else { None };
    Some(InfoLine { key, value })
}

/// The `key=value` parts of a line's value, separated by commas; parts without `=` are skipped.
pub(super) fn parts(value: &str) -> impl Iterator<Item = InfoLine<'_>> {
    value
        .split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| InfoLine {
            key,
            value: Some(value),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(text: &'a str, key: &str) -> RawValue<'a> {
        InfoTable::collect(lines(text)).get(key)
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
            assert_eq!(get(text, "a"), RawValue::Text("1"), "{text:?}");
        }
        assert_eq!(get("a:b:c=d,e\n", "a"), RawValue::Text("b:c=d,e"));
        assert_eq!(get("a:\n", "a"), RawValue::Text(""));
        assert_eq!(get("#a:1\nb:2\n", "#a"), RawValue::Absent);
    }

    #[test]
    fn a_cut_an_overlong_and_a_contradicted_value_are_unusable() {
        assert_eq!(get("a:1", "a"), RawValue::Unusable);
        assert_eq!(
            get(&format!("a:{}\n", "1".repeat(MAX_LINE)), "a"),
            RawValue::Unusable
        );
        assert_eq!(get("a:1\na:2\n", "a"), RawValue::Unusable);
        assert_eq!(get("a:1\na:2\na:1\n", "a"), RawValue::Unusable);
        assert_eq!(get("a:1\na:1\n", "a"), RawValue::Text("1"));
    }

    #[test]
    fn repetition_is_known_whether_the_values_agree_or_not() {
        let table = InfoTable::collect(lines("a:1\na:1\nb:1\nb:2\nc:1\n"));
        assert_eq!(
            ["a", "b", "c", "d"].map(|key| table.repeats(key)),
            [true, true, false, false]
        );
    }
}
