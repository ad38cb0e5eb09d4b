//! PN-counters: a hash with a field of increments `p:<dc>` and one of decrements `n:<dc>` for each
//! datacenter. Its value is the sum of the first less the sum of the second; two states merge into
//! the larger number of each field.
//!
//! Numbers are compared as decimal text: a script's numbers end at 2^53.

use std::collections::BTreeMap;

use super::error::Malformed;

/// The largest number that Redis's HINCRBY reaches.
pub const LARGEST_COUNT: u64 = i64::MAX.unsigned_abs();

/// Most fields of a counter that are read: two for each run of each datacenter's servers.
pub const MAX_FIELDS: usize = 1024;

/// Whether a field counts up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountSign {
    /// Up: `p:`.
    Plus,
    /// Down: `n:`.
    Minus,
}

impl CountSign {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Plus => "p:",
            Self::Minus => "n:",
        }
    }

    /// The sign of a field; none for a field of something else.
    fn from_field(field: &[u8]) -> Option<Self> {
        match field.get(..2)? {
            b"p:" => Some(Self::Plus),
            b"n:" => Some(Self::Minus),
            _ => None,
        }
    }
}

/// The state of a counter at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// What can be merged.
    fields: BTreeMap<Vec<u8>, u64>,
    /// Fields `p:` and `n:` whose content is no count; they are reported and left alone.
    malformed: Vec<Vec<u8>>,
}

impl Counter {
    /// The counter of these fields. Fields of other names do not belong to it.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`] with more than [`MAX_FIELDS`].
    pub fn from_fields(
        fields: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, Malformed> {
        let mut counter = Self::default();
        for (count, (field, text)) in fields.into_iter().enumerate() {
            if count == MAX_FIELDS {
                return Err(Malformed::TooLarge);
            }
            if CountSign::from_field(&field).is_none() {
                continue;
            }
            match parse_count(&text) {
                Ok(number) => {
                    counter.fields.insert(field, number);
                }
                Err(_) => counter.malformed.push(field),
            }
        }
        Ok(counter)
    }

    /// What the counter stands at.
    pub fn value(&self) -> i128 {
        let signed = self.fields.iter().map(|(field, number)| {
            let number = i128::from(*number);
            match CountSign::from_field(field) {
                Some(CountSign::Minus) => -number,
                _ => number,
            }
        });
        signed.sum()
    }

    /// The fields that can be merged.
    pub const fn fields(&self) -> &BTreeMap<Vec<u8>, u64> {
        &self.fields
    }

    /// The fields that cannot.
    pub fn malformed(&self) -> &[Vec<u8>] {
        &self.malformed
    }

    /// The number of a field; 0 where there is none, as HINCRBY takes it.
    pub fn field(&self, field: &[u8]) -> u64 {
        self.fields.get(field).copied().unwrap_or_default()
    }

    /// The larger number of each field.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        for (field, number) in &other.fields {
            let own = self.fields.entry(field.clone()).or_default();
            *own = (*own).max(*number);
        }
        self
    }

    /// The fields of which `other` has less: what `other` lacks of this counter.
    pub fn missing_at<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        fields
            .filter(|(field, number)| **number > other.field(field))
            .map(|(field, _)| field.as_slice())
    }

    /// The first of `dc`'s own fields of which `peer` has more: proof that `dc`'s site has lost
    /// increments, by a failover or a restore, since nobody else counts in them.
    pub fn regressed_field<'a>(&self, dc: &str, peer: &'a Self) -> Option<&'a [u8]> {
        peer.missing_at_owned(self, dc)
    }

    fn missing_at_owned<'a>(&'a self, other: &Self, dc: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, number)| is_own(field, dc) && **number > other.field(field))
            .map(|(field, _)| field.as_slice())
    }
}

/// Whether `field` is one in which `dc` counts: `p:<dc>`, or `p:<dc>#<incarnation>`, or with `n`.
fn is_own(field: &[u8], dc: &str) -> bool {
    if CountSign::from_field(field).is_none() {
        return false;
    }
    let rest = field
        .get(2..)
        .and_then(|name| name.strip_prefix(dc.as_bytes()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"#"))
}

/// Digits of the run ID that name an incarnation.
const INCARNATION_DIGITS: usize = 8;

/// The field in which `dc` counts. After a loss of increments it is one of this run of the server
/// alone: the field that went back would be raised to what it was by the next merge, and would
/// swallow what was counted meanwhile (Riak calls it actor epochs).
pub fn own_field(sign: CountSign, dc: &str, incarnation: Option<&str>) -> String {
    let prefix = sign.prefix();
    match incarnation {
        None => format!("{prefix}{dc}"),
        Some(run) => {
            let digits: String = run.chars().take(INCARNATION_DIGITS).collect();
            format!("{prefix}{dc}#{digits}")
        }
    }
}

/// A count as Redis writes it: decimal, without a sign or leading zeros.
fn parse_count(text: &[u8]) -> Result<u64, Malformed> {
    let is_canonical = text == b"0" || matches!(text.first(), Some(b'1'..=b'9'));
    let digits = std::str::from_utf8(text).map_err(|_| Malformed::NoCount)?;
    let number: u64 = digits.parse().map_err(|_| Malformed::NoCount)?;
    if is_canonical && number <= LARGEST_COUNT {
        Ok(number)
    } else {
        Err(Malformed::NoCount)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counter(fields: &[(&str, &str)]) -> Counter {
        let fields = fields
            .iter()
            .map(|(field, text)| (field.as_bytes().to_vec(), text.as_bytes().to_vec()));
        Counter::from_fields(fields).unwrap()
    }

    #[test]
    fn a_counter_is_the_sum_of_its_fields() {
        let read = counter(&[
            ("p:dc1", "150"),
            ("n:dc1", "7"),
            ("p:a:b", "3"),
            ("other", "x"),
        ]);
        assert_eq!(read.value(), 146);
        let full = LARGEST_COUNT.to_string();
        let read = counter(&[("p:dc1", &full), ("p:dc2", &full), ("n:dc1", "1")]);
        assert_eq!(read.value(), 2 * i128::from(LARGEST_COUNT) - 1);
    }

    #[test]
    fn what_redis_never_writes_is_no_count() {
        for wrong in [
            "-5",
            "",
            "05",
            "+5",
            "1.0",
            "x",
            " 1",
            "9223372036854775808",
        ] {
            let read = counter(&[("p:dc1", wrong), ("p:dc2", "1")]);
            assert_eq!(read.malformed(), [b"p:dc1"], "{wrong}");
            assert_eq!(read.value(), 1);
        }
        assert!(
            counter(&[("p:dc1", "9223372036854775807")])
                .malformed()
                .is_empty()
        );
    }

    #[test]
    fn too_many_fields_are_refused() {
        let fields = (0..=MAX_FIELDS).map(|n| (format!("p:{n}").into_bytes(), b"1".to_vec()));
        assert_eq!(Counter::from_fields(fields), Err(Malformed::TooLarge));
    }

    #[test]
    fn an_own_field_that_a_peer_has_more_of_has_regressed() {
        let home = counter(&[("p:dc1", "100"), ("p:dc2", "5")]);
        let peer = counter(&[("p:dc1", "150"), ("p:dc2", "9")]);
        assert_eq!(
            home.regressed_field("dc1", &peer),
            Some(b"p:dc1".as_slice())
        );
        assert_eq!(peer.regressed_field("dc1", &home), None);
        // dc10 is another datacenter; an incarnation of dc1 is not.
        let other = counter(&[("p:dc10", "1")]);
        assert_eq!(home.regressed_field("dc1", &other), None);
        let incarnation = counter(&[("n:dc1#0a1b2c3d", "1")]);
        let found = home.regressed_field("dc1", &incarnation);
        assert_eq!(found, Some(b"n:dc1#0a1b2c3d".as_slice()));
    }

    #[test]
    fn fields_are_named_as_the_tutorial_sums_them() {
        assert_eq!(own_field(CountSign::Plus, "dc1", None), "p:dc1");
        let run = "0a1b2c3d4e5f";
        assert_eq!(
            own_field(CountSign::Minus, "dc1", Some(run)),
            "n:dc1#0a1b2c3d"
        );
    }

    fn any_counter() -> impl Strategy<Value = Counter> {
        let field = prop::sample::select(vec!["p:a", "p:b", "n:a", "n:b#1"]);
        let number = prop_oneof![0..5_u64, (LARGEST_COUNT - 3)..=LARGEST_COUNT];
        prop::collection::btree_map(field, number, 0..4).prop_map(|fields| {
            let texts = fields.into_iter().map(|(field, number)| {
                (field.as_bytes().to_vec(), number.to_string().into_bytes())
            });
            Counter::from_fields(texts).unwrap()
        })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(
            a in any_counter(), b in any_counter(), c in any_counter(),
        ) {
            let ab = a.clone().merged(&b);
            prop_assert_eq!(&ab, &b.clone().merged(&a));
            prop_assert_eq!(ab.clone().merged(&c), a.clone().merged(&b.clone().merged(&c)));
            prop_assert_eq!(ab.clone().merged(&b), ab.clone());
            prop_assert_eq!(a.missing_at(&ab).count(), 0);
        }
    }
}
