//! What two sites hold under one key, and whether they differ for good.
//!
//! Comparing twice finds keys that are written often; comparing versions does not: a difference is
//! settled when one site still lacks the version that was at the other one some time ago.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::envelope::{Envelope, Version};
use super::error::Malformed;
use super::stamp::Stamp;

/// What a site holds under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing.
    Missing,
    /// An envelope.
    Envelope(Envelope),
    /// A string that is no envelope.
    Malformed(Vec<u8>),
    /// Another type of value.
    WrongType,
    /// More than this program reads.
    TooLarge,
}

impl Stored {
    /// What a key holds that has `text`.
    pub fn from_text(text: Vec<u8>) -> Self {
        match Envelope::parse(text.clone()) {
            Ok(envelope) => Self::Envelope(envelope),
            Err(Malformed::TooLarge) => Self::TooLarge,
            Err(_) => Self::Malformed(text),
        }
    }

    /// Whether it is nothing, or says that there is nothing.
    fn is_absent(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Envelope(envelope) => envelope.is_tombstone(),
            _ => false,
        }
    }

    fn expires_at(&self) -> Option<Stamp> {
        match self {
            Self::Envelope(envelope) => envelope.expires_at(),
            _ => None,
        }
    }
}

/// How the target differs from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Difference {
    /// The source has a newer version.
    Newer,
    /// The target has nothing. Without tombstones that may be a deletion.
    Missing,
    /// Two writes of one site in one instant; only their bytes order them.
    Tie,
    /// One of the two holds a string that is no envelope.
    Malformed,
    /// One of the two holds another type of value, or both do: nothing was compared.
    WrongType,
    /// The source's version is ahead of its clock by more than is accepted.
    Future,
    /// One of the two holds more than is read: nothing is known about the key.
    TooLarge,
    /// One of the two is about to expire, or just has: no difference.
    Expiring,
}

impl Difference {
    /// Every difference, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Newer,
        Self::Missing,
        Self::Tie,
        Self::Malformed,
        Self::WrongType,
        Self::Future,
        Self::TooLarge,
        Self::Expiring,
    ];

    /// Its name in reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::Missing => "missing",
            Self::Tie => "tie",
            Self::Malformed => "malformed",
            Self::WrongType => "wrong_type",
            Self::Future => "future",
            Self::TooLarge => "too_large",
            Self::Expiring => "expiring",
        }
    }

    /// Whether applying the source's version at the target resolves it.
    pub const fn is_repairable(self) -> bool {
        matches!(self, Self::Newer | Self::Missing | Self::Tie)
    }
}

/// Which of the two sites has what the other one lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The first site has it.
    FirstToSecond,
    /// The second site has it.
    SecondToFirst,
}

impl Direction {
    /// Both, in the order of reports.
    pub const ALL: [Self; 2] = [Self::FirstToSecond, Self::SecondToFirst];
}

/// A difference and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From the site that has more to the one that has less.
    pub direction: Direction,
    /// How the two differ.
    pub difference: Difference,
}

/// By what a comparison judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The sites' clock, the earlier one of the two.
    pub now: Stamp,
    /// How near to its expiry a key is no longer compared, in seconds.
    pub expiry_margin: f64,
    /// How far ahead of the clock a version may be, in seconds.
    pub max_ahead: f64,
}

/// Compares what two sites hold under one key; `None` where they agree. A tombstone and nothing are
/// the same. Two values that are not read, of another type or too long, are not known to agree.
pub fn compare(first: &Stored, second: &Stored, by: Judgement) -> Option<Finding> {
    let is_unread = matches!(first, Stored::TooLarge | Stored::WrongType);
    if first == second && !is_unread {
        return None;
    }
    let newer = match (first, second) {
        (Stored::Envelope(first), Stored::Envelope(second)) if second > first => {
            Direction::SecondToFirst
        }
        (Stored::Envelope(_), _) => Direction::FirstToSecond,
        (_, Stored::Envelope(_)) | (Stored::Missing, _) => Direction::SecondToFirst,
        _ => Direction::FirstToSecond,
    };
    let found = |difference| {
        Some(Finding {
            direction: newer,
            difference,
        })
    };
    let is_expiring = |stored: &Stored| {
        let expiry = stored.expires_at();
        expiry.is_some_and(|at| at.seconds_after(by.now) <= by.expiry_margin)
    };
    match (first, second) {
        (Stored::TooLarge, _) | (_, Stored::TooLarge) => found(Difference::TooLarge),
        (Stored::WrongType, _) | (_, Stored::WrongType) => found(Difference::WrongType),
        (Stored::Malformed(_), _) | (_, Stored::Malformed(_)) => found(Difference::Malformed),
        _ if first.is_absent() && second.is_absent() && has_missing(first, second) => None,
        _ if is_expiring(first) || is_expiring(second) => found(Difference::Expiring),
        (Stored::Envelope(first), Stored::Envelope(second)) => {
            found(difference_of(first.max(second), first, second, by))
        }
        (Stored::Envelope(only), _) | (_, Stored::Envelope(only)) => {
            if is_future(only, by) {
                return found(Difference::Future);
            }
            found(Difference::Missing)
        }
        (Stored::Missing, Stored::Missing) => None,
    }
}

fn has_missing(first: &Stored, second: &Stored) -> bool {
    [first, second].contains(&&Stored::Missing)
}

fn is_future(envelope: &Envelope, by: Judgement) -> bool {
    envelope.version().stamp.seconds_after(by.now) > by.max_ahead
}

fn difference_of(
    newer: &Envelope,
    first: &Envelope,
    second: &Envelope,
    by: Judgement,
) -> Difference {
    if first.ties_with(second) {
        Difference::Tie
    } else if is_future(newer, by) && !(is_future(first, by) && is_future(second, by)) {
        // A key that is ahead at both sites moves on.
        Difference::Future
    } else {
        Difference::Newer
    }
}

/// A version that one site had and the other one lacked, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Absent for what is no envelope.
    version: Option<Version>,
    hash: u64,
}

impl Sighting {
    /// Notes what the site had.
    pub fn from_stored(stored: &Stored) -> Self {
        match stored {
            Stored::Envelope(envelope) => Self {
                version: Some(envelope.version().clone()),
                hash: hash_of(envelope.text()),
            },
            Stored::Malformed(text) => Self {
                version: None,
                hash: hash_of(text),
            },
            Stored::Missing | Stored::WrongType | Stored::TooLarge => Self {
                version: None,
                hash: 0,
            },
        }
    }

    /// Whether a site that holds `stored` still lacks what was noted: it has less, or something
    /// that no version can be compared with.
    pub fn is_lacking_at(&self, stored: &Stored) -> bool {
        match (stored, &self.version) {
            (Stored::Envelope(envelope), Some(version)) => {
                let has_less = envelope.version() < version;
                let ties = envelope.version() == version && hash_of(envelope.text()) != self.hash;
                has_less || ties
            }
            // An envelope where a string was that is none: the key has moved on.
            (Stored::Envelope(_), None) => false,
            (Stored::Malformed(text), None) => hash_of(text) != self.hash,
            _ => true,
        }
    }
}

fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stamp: f64, value: u32, more: &str) -> Stored {
        let text = format!(r#"{{"value":{value},"timestamp":{stamp},"dc":"a"{more}}}"#);
        Stored::from_text(text.into_bytes())
    }

    fn by() -> Judgement {
        Judgement {
            now: Stamp::new(1000.0).unwrap(),
            expiry_margin: 1.0,
            max_ahead: 60.0,
        }
    }

    fn check(first: &Stored, second: &Stored, expected: Option<Difference>) {
        let found = compare(first, second, by());
        assert_eq!(found.map(|f| f.difference), expected);
        if let Some(found) = found {
            assert_eq!(found.direction, Direction::FirstToSecond);
            // The other way around it is the same difference in the other direction, unless
            // nothing says which of the two is right.
            let turned = compare(second, first, by()).unwrap();
            assert_eq!(turned.difference, found.difference);
        }
    }

    #[test]
    fn every_difference_has_its_class() {
        let old = at(1.0, 1, "");
        let new = at(2.0, 1, "");
        check(&old, &old, None);
        check(&Stored::Missing, &Stored::Missing, None);
        check(&new, &old, Some(Difference::Newer));
        check(&new, &Stored::Missing, Some(Difference::Missing));
        check(&at(1.0, 2, ""), &old, Some(Difference::Tie));
        check(
            &new,
            &Stored::Malformed(b"x".to_vec()),
            Some(Difference::Malformed),
        );
        check(&new, &Stored::WrongType, Some(Difference::WrongType));
        check(
            &Stored::WrongType,
            &Stored::WrongType,
            Some(Difference::WrongType),
        );
        check(&new, &Stored::TooLarge, Some(Difference::TooLarge));
        check(
            &Stored::TooLarge,
            &Stored::TooLarge,
            Some(Difference::TooLarge),
        );
        check(&at(1061.0, 1, ""), &old, Some(Difference::Future));
        check(
            &at(1061.0, 1, ""),
            &Stored::Missing,
            Some(Difference::Future),
        );
        check(
            &at(1071.0, 1, ""),
            &at(1070.0, 1, ""),
            Some(Difference::Newer),
        );
        check(&at(1060.0, 1, ""), &old, Some(Difference::Newer));
    }

    #[test]
    fn a_tombstone_and_nothing_are_the_same() {
        let tombstone = at(2.0, 1, r#","deleted":true"#);
        check(&tombstone, &Stored::Missing, None);
        check(&Stored::Missing, &tombstone, None);
        check(&tombstone, &at(1.0, 1, ""), Some(Difference::Newer));
    }

    #[test]
    fn what_expires_now_is_no_difference() {
        let expiring = at(2.0, 1, r#","expires_at":1000.5"#);
        check(&expiring, &Stored::Missing, Some(Difference::Expiring));
        check(
            &at(2.0, 1, r#","expires_at":900"#),
            &at(1.0, 1, ""),
            Some(Difference::Expiring),
        );
        let later = at(2.0, 1, r#","expires_at":1002"#);
        check(&later, &Stored::Missing, Some(Difference::Missing));
    }

    #[test]
    fn only_what_was_seen_has_to_arrive() {
        let seen = Sighting::from_stored(&at(5.0, 1, ""));
        assert!(seen.is_lacking_at(&Stored::Missing));
        assert!(seen.is_lacking_at(&at(4.0, 1, "")));
        assert!(seen.is_lacking_at(&at(5.0, 2, "")));
        assert!(seen.is_lacking_at(&Stored::WrongType));
        assert!(!seen.is_lacking_at(&at(5.0, 1, "")));
        assert!(!seen.is_lacking_at(&at(6.0, 9, "")), "the key has moved on");
        let text = Sighting::from_stored(&Stored::Malformed(b"x".to_vec()));
        assert!(text.is_lacking_at(&Stored::Malformed(b"y".to_vec())));
        assert!(!text.is_lacking_at(&Stored::Malformed(b"x".to_vec())));
    }
}
