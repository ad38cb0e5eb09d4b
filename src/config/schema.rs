//! What the table of keys is made of: a key's name, kind, range, default and documentation.
//!
//! The table itself is in `table`. From it come the keys that are accepted and suggested, the
//! ranges and defaults that values are read with, the keys that variables may override, the tables
//! in docs/configuration.md and the fuzz dictionary.

use std::ops::RangeInclusive;

use super::value::Check;
use crate::model::Span;

/// The keys of one mapping, in the order of the documentation.
pub(super) struct Keys {
    /// Keys that this mapping has in common with others of its kind; they come first.
    pub(super) base: Option<&'static Keys>,
    pub(super) own: &'static [Key],
}

static NO_KEYS: Keys = Keys::new(&[]);

/// One key of a mapping.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) docs: Docs,
}

/// What a key's value is.
pub(super) enum Kind {
    /// A length of time.
    Duration {
        range: RangeInclusive<Span>,
        default: Option<Span>,
    },
    /// A whole number.
    Number {
        range: RangeInclusive<u32>,
        default: Option<u32>,
    },
    /// `true` or `false`.
    Flag { default: Option<bool> },
    /// A name of 1 to 128 characters.
    Name,
    /// A name, or the empty text.
    OptionalName,
    /// An HTTP URL that is no secret.
    Url,
    /// A host name or an IP address, without a port.
    HostName,
    /// Any other single value, which its section reads.
    Scalar,
    /// The path of a file of certificates or keys.
    PemFile,
    /// A secret, or the URL of a receiver. Its twin `NAME_file` is a [`Kind::SecretFile`].
    Secret(Check),
    /// The path of a file that holds the secret of the key without `_file`.
    SecretFile,
    /// A mapping with its own keys.
    Section(&'static Keys),
    /// A mapping whose keys are documented at another place.
    SameSection(&'static Keys),
    /// A single value, or a mapping with its own keys.
    ScalarOrSection(&'static Keys),
    /// A list of mappings.
    List(&'static Keys),
    /// A list of texts, or a mapping whose keys the user chooses.
    Collection,
}

/// A row of the documentation's tables, as far as the kind does not say it. A test writes the
/// documentation and compares it.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "only the test of the documentation reads it")
)]
pub(super) struct Docs {
    pub(super) kind: Option<&'static str>,
    pub(super) default: Option<&'static str>,
    pub(super) range: Option<&'static str>,
    pub(super) meaning: &'static str,
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            docs: Docs {
                kind: None,
                default: None,
                range: None,
                meaning: "",
            },
        }
    }

    pub(super) const fn duration(name: &'static str, range: RangeInclusive<Span>) -> Self {
        Self::new(
            name,
            Kind::Duration {
                range,
                default: None,
            },
        )
    }

    pub(super) const fn number(name: &'static str, range: RangeInclusive<u32>) -> Self {
        Self::new(
            name,
            Kind::Number {
                range,
                default: None,
            },
        )
    }

    pub(super) const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag { default: None })
    }

    pub(super) const fn name(name: &'static str) -> Self {
        Self::new(name, Kind::Name)
    }

    pub(super) const fn optional_name(name: &'static str) -> Self {
        Self::new(name, Kind::OptionalName)
    }

    pub(super) const fn url(name: &'static str) -> Self {
        Self::new(name, Kind::Url)
    }

    pub(super) const fn host_name(name: &'static str) -> Self {
        Self::new(name, Kind::HostName)
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self::scalar(name, "text")
    }

    /// A single value of the documented `kind`.
    pub(super) const fn scalar(name: &'static str, kind: &'static str) -> Self {
        Self::new(name, Kind::Scalar).kind(kind)
    }

    pub(super) const fn pem_file(name: &'static str) -> Self {
        Self::new(name, Kind::PemFile)
    }

    pub(super) const fn secret(name: &'static str, check: Check) -> Self {
        Self::new(name, Kind::Secret(check))
    }

    pub(super) const fn secret_file(name: &'static str) -> Self {
        Self::new(name, Kind::SecretFile)
    }

    pub(super) const fn section(name: &'static str, keys: &'static Keys) -> Self {
        Self::new(name, Kind::Section(keys))
    }

    pub(super) const fn same_section(name: &'static str, keys: &'static Keys) -> Self {
        Self::new(name, Kind::SameSection(keys))
    }

    pub(super) const fn scalar_or_section(name: &'static str, keys: &'static Keys) -> Self {
        Self::new(name, Kind::ScalarOrSection(keys))
    }

    pub(super) const fn list(name: &'static str, keys: &'static Keys) -> Self {
        Self::new(name, Kind::List(keys))
    }

    /// A list or a mapping of the documented `kind`.
    pub(super) const fn collection(name: &'static str, kind: &'static str) -> Self {
        Self::new(name, Kind::Collection).kind(kind)
    }

    pub(super) const fn default_span(mut self, span: Span) -> Self {
        if let Kind::Duration { default, .. } = &mut self.kind {
            *default = Some(span);
        }
        self
    }

    pub(super) const fn default_number(mut self, number: u32) -> Self {
        if let Kind::Number { default, .. } = &mut self.kind {
            *default = Some(number);
        }
        self
    }

    pub(super) const fn default_flag(mut self, flag: bool) -> Self {
        if let Kind::Flag { default } = &mut self.kind {
            *default = Some(flag);
        }
        self
    }

    /// The documentation's word for the kind.
    pub(super) const fn kind(mut self, text: &'static str) -> Self {
        self.docs.kind = Some(text);
        self
    }

    /// The documentation's words for a default that depends on something else, or is no value.
    pub(super) const fn default(mut self, text: &'static str) -> Self {
        self.docs.default = Some(text);
        self
    }

    pub(super) const fn required(self) -> Self {
        self.default("*required*")
    }

    /// The documentation's words for what is allowed.
    pub(super) const fn range(mut self, text: &'static str) -> Self {
        self.docs.range = Some(text);
        self
    }

    pub(super) const fn meaning(mut self, text: &'static str) -> Self {
        self.docs.meaning = text;
        self
    }

    /// The default of a duration.
    pub(super) const fn default_duration(&self) -> Option<Span> {
        match self.kind {
            Kind::Duration { default, .. } => default,
            _ => None,
        }
    }

    /// Whether the value is a single one.
    pub(super) const fn is_scalar(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Section(_) | Kind::SameSection(_) | Kind::List(_) | Kind::Collection
        )
    }
}

impl Keys {
    /// Keys that have nothing in common with others.
    pub(super) const fn new(keys: &'static [Key]) -> Self {
        Self {
            base: None,
            own: keys,
        }
    }

    /// Every row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static Key> {
        let base = self.base.map_or(&[] as &[Key], |base| base.own);
        base.iter().chain(self.own)
    }

    /// The row of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'static Key> {
        self.rows().find(|key| key.name == name)
    }

    /// The keys of the mapping, or of each item of the list, at `name`; none at a single value.
    pub(super) fn below(&self, name: &str) -> &'static Keys {
        match self.get(name).map(|key| &key.kind) {
            Some(
                Kind::Section(keys)
                | Kind::SameSection(keys)
                | Kind::ScalarOrSection(keys)
                | Kind::List(keys),
            ) => keys,
            _ => &NO_KEYS,
        }
    }

    /// The names of the keys that may be used.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows().map(|key| key.name)
    }

    /// What is wrong with `key` here, if anything.
    pub(super) fn refusal(&self, key: &str) -> Option<String> {
        if self.get(key).is_some() {
            return None;
        }
        let hint = match suggestion(key, self.names()) {
            Some(near) => format!(" (did you mean {near}?)"),
            None => String::new(),
        };
        let listed = self.listed();
        Some(format!("is not a known key{hint}; allowed here: {listed}"))
    }

    /// Whether `key`, which is refused and has nothing for a value, is still surely a key, and not
    /// a secret that a misplaced comma or colon turned into one.
    pub(super) fn nearly_has(&self, key: &str) -> bool {
        suggestion(key, self.names()).is_some()
    }

    /// What is wrong with a key that may be a secret, and so is not shown.
    pub(super) fn refusal_of_hidden(&self) -> String {
        let listed = self.listed();
        format!(
            "has an unknown key that is no word or has no value (is there a space behind every \
             colon?); allowed here: {listed}"
        )
    }

    fn listed(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// The paths of every key that an environment variable may override: single values outside
    /// lists, below a section. `version` says which program may read the file at all, so it is not
    /// among them.
    pub(super) fn overridable(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for key in self.rows() {
            if let Kind::Section(keys) = key.kind {
                keys.collect_scalars(key.name, &mut paths);
            }
        }
        paths
    }

    fn collect_scalars(&self, section: &str, paths: &mut Vec<String>) {
        for key in self.rows() {
            let path = format!("{section}.{}", key.name);
            if let Kind::Section(keys) | Kind::SameSection(keys) | Kind::ScalarOrSection(keys) =
                key.kind
            {
                keys.collect_scalars(&path, paths);
            }
            if key.is_scalar() {
                paths.push(path);
            }
        }
    }
}

/// The candidate that `word` was probably meant to be.
pub fn suggestion<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time in the product of the lengths.
    const MAX_TYPED: usize = 128;
    if word.len() > MAX_TYPED {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    let distance = |candidate| strsim::damerau_levenshtein(&word, candidate);
    let distances = candidates.map(|candidate| (distance(candidate), candidate));
    let (smallest, nearest) = distances.min()?;
    if smallest <= nearest.chars().count() / 3 {
        Some(nearest)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let cases = [
            ("intervall", Some("interval")),
            ("Interval", Some("interval")),
            ("max-interval", None),
            ("zzz", None),
        ];
        for (word, near) in cases {
            let candidates = ["interval", "name"].into_iter();
            assert_eq!(suggestion(word, candidates), near, "{word}");
        }
        assert_eq!(suggestion(&"x".repeat(1_000_000), ["x"].into_iter()), None);
    }
}
