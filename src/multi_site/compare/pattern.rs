//! Patterns of keys, as SCAN takes them.

/// One place of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Any bytes, also none.
    Any,
    /// One byte, whichever.
    One,
    /// This byte.
    Byte(u8),
    /// One byte that is in these ranges, or in none of them.
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

/// A pattern of keys: `*`, `?`, `[a-c]`, `[^a]` and `\` mean what they mean to the server
/// (`stringmatchlen` in its util.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            let part = match first {
                b'*' => Part::Any,
                b'?' => Part::One,
                b'[' => {
                    let (class, after) = class(rest);
                    rest = after;
                    class
                }
                b'\\' => match rest {
                    [escaped, after @ ..] => {
                        rest = after;
                        Part::Byte(*escaped)
                    }
                    [] => Part::Byte(b'\\'),
                },
                byte => Part::Byte(*byte),
            };
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
        }
        Self { parts }
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let mut parts = self.parts.as_slice();
        let mut rest = name;
        // Where the latest `*` stands, and the name behind what it has taken so far: if the rest
        // does not fit, it takes one byte more.
        let mut again: Option<(&[Part], &[u8])> = None;
        loop {
            match (parts, rest) {
                ([], []) => return true,
                ([Part::Any, after @ ..], _) => {
                    again = Some((after, rest));
                    parts = after;
                    continue;
                }
                ([part, after @ ..], [byte, others @ ..]) if part.fits(*byte) => {
                    parts = after;
                    rest = others;
                    continue;
                }
                _ => {}
            }
            let Some((after, [_, taken @ ..])) = again else {
                return false;
            };
            again = Some((after, taken));
            parts = after;
            rest = taken;
        }
    }
}

impl Part {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Byte(own) => *own == byte,
            Self::Class { negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&byte));
                is_in != *negated
            }
        }
    }
}

/// The class behind a `[`, and what follows its `]`; one without `]` ends with the pattern.
fn class(text: &[u8]) -> (Part, &[u8]) {
    let mut rest = text;
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [] => break,
            [b'\\', escaped, after @ ..] => {
                ranges.push((*escaped, *escaped));
                after
            }
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [one, b'-', other, after @ ..] => {
                ranges.push((*one.min(other), *one.max(other)));
                after
            }
            [one, after @ ..] => {
                ranges.push((*one, *one));
                after
            }
        };
    }
    (Part::Class { negated, ranges }, rest)
}

/// The patterns of registers and of counters.
#[derive(Debug)]
pub(super) struct Patterns {
    /// What SCAN filters by: the only pattern. Of several it filters by none: to go through all
    /// names once costs a server less than to do it for each pattern.
    pub(super) filter: String,
    registers: Vec<Pattern>,
    counters: Vec<Pattern>,
    is_filtered: bool,
}

impl Patterns {
    pub(super) fn new(registers: &[String], counters: &[String]) -> Self {
        let filter = match (registers, counters) {
            ([only], []) | ([], [only]) => Some(only.clone()),
            _ => None,
        };
        let read = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Self {
            is_filtered: filter.is_some(),
            filter: filter.unwrap_or_else(|| "*".to_owned()),
            registers: read(registers),
            counters: read(counters),
        }
    }

    pub(super) fn has_registers(&self) -> bool {
        !self.registers.is_empty()
    }

    pub(super) fn has_counters(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Those of `names` that are registers.
    pub(super) fn registers(&self, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.select(&self.registers, names)
    }

    /// Those of `names` that are counters.
    pub(super) fn counters(&self, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.select(&self.counters, names)
    }

    fn select(&self, patterns: &[Pattern], names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let is_one = |name: &&Vec<u8>| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| self.is_filtered || pattern.matches(name))
        };
        names.iter().filter(is_one).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_the_server() {
        // As redis-cli shows them: `redis-cli --raw KEYS pattern`.
        let cases = [
            ("user:*", "user:1", true),
            ("user:*", "user:", true),
            ("user:*", "users:1", false),
            ("*:1", "user:1", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab\nab", true),
            ("*a*bc", "abab", false),
            ("u?er", "user", true),
            ("u?er", "uer", false),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]x", "x", false),
            ("[^]x", "?x", true),
            ("[a\\]b]", "]", true),
            // From `a` to `]`, which is no end then.
            ("[a-]", "-", false),
            ("[a-]", "^", true),
            ("[ab", "b", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("**", "x", true),
            ("", "x", false),
        ];
        for (pattern, name, expected) in cases {
            let matches = Pattern::new(pattern).matches(name.as_bytes());
            assert_eq!(matches, expected, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn one_pattern_is_left_to_the_server_and_several_are_sorted_here() {
        let names = [b"user:1".to_vec(), b"hits:1".to_vec(), b"other".to_vec()];
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let one = Patterns::new(&[], &texts(&["hits:*"]));
        assert_eq!(one.filter, "hits:*");
        assert!(one.has_counters() && !one.has_registers());
        assert_eq!(one.counters(&names).len(), 3);
        assert_eq!(one.registers(&names).len(), 0);
        let two = Patterns::new(&texts(&["user:*"]), &texts(&["hits:*"]));
        assert_eq!(two.filter, "*");
        assert_eq!(two.registers(&names), names[..1]);
        assert_eq!(two.counters(&names), names[1..2]);
    }
}
