//! The keys that differed when they were last looked at: suspects that wait for their second look,
//! and those that differ for good, which are looked at again and again.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::KeyKind;
use crate::active_active::{Counter, Sighting, Stamp, Stored};
use crate::model::{Span, Timestamp};
use crate::sites::class::CheckedClass;
use crate::sites::status::DifferingKey;

/// The maximum number of keys that are followed, for each direction. Beyond it a difference is
/// counted as unknown.
pub(super) const MAX_FOLLOWED: usize = 10_000;

/// The maximum length of a key, and of the datacenter in its version, that is followed, in bytes.
pub(super) const MAX_NAME: usize = 1024;

/// The maximum number of fields of a counter that are remembered until the second look.
const MAX_FIELDS_KEPT: usize = 16;

/// How often keys that differ for good are looked at again, at least.
const AGAIN_EVERY: Span = Span::from_secs(10);

/// Keys that are named in reports.
const EXAMPLES: usize = 20;

/// What the source had at the first look.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// A register.
    Register {
        /// Its version.
        sighting: Sighting,
        /// When that was written; `None` for what is no envelope.
        stamp: Option<Stamp>,
    },
    /// Fields of a counter of which the target had less.
    Counter(Vec<(Vec<u8>, u64)>),
}

impl Seen {
    /// What the source has; `None` if it is too long to be remembered.
    pub(super) fn register(stored: &Stored) -> Option<Self> {
        let version = match stored {
            Stored::Envelope(envelope) => Some(envelope.version()),
            _ => None,
        };
        if version.is_some_and(|version| version.dc.len() > MAX_NAME) {
            return None;
        }
        Some(Self::Register {
            sighting: Sighting::from_stored(stored),
            stamp: version.map(|version| version.stamp),
        })
    }

    /// What the target lacks of the source's counter; `None` if its names are too long.
    pub(super) fn counter(source: &Counter, target: &Counter) -> Option<Self> {
        let mut fields = Vec::new();
        for field in source.missing_at(target) {
            if field.len() <= MAX_NAME && fields.len() < MAX_FIELDS_KEPT {
                fields.push((field.to_vec(), source.field(field)));
            }
        }
        (!fields.is_empty()).then_some(Self::Counter(fields))
    }

    /// Whether a register that holds `stored` at the target still lacks it.
    pub(super) fn is_lacking_at(&self, stored: &Stored) -> bool {
        matches!(self, Self::Register { sighting, .. } if sighting.is_lacking_at(stored))
    }

    /// How old it is on the source's clock. A stamp ahead of the clock has no age.
    fn age(&self, source_now: Stamp) -> Option<Span> {
        let Self::Register { stamp, .. } = self else {
            return None;
        };
        let age = source_now.seconds_after((*stamp)?);
        Some(Span::from_secs_f64(age).or_zero())
    }

    /// Whether the target's counter still lacks some of it.
    pub(super) fn is_lacking_in(&self, counter: &Counter) -> bool {
        let Self::Counter(fields) = self else {
            return false;
        };
        fields
            .iter()
            .any(|(field, number)| counter.field(field) < *number)
    }
}

/// A key that is followed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Followed {
    pub(super) kind: KeyKind,
    /// What the source had at the first look.
    pub(super) seen: Seen,
    /// How it differed at the latest look.
    pub(super) class: CheckedClass,
    /// Whether it differs for good.
    pub(super) is_settled: bool,
    /// How old the source's version was at the latest look, if the target lacked it.
    pub(super) age: Option<Span>,
    /// The part of the plan in whose pass it was found; `None` outside of a pass.
    pub(super) leg: Option<usize>,
    due: Timestamp,
}

/// Every key that is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct FollowedKeys {
    keys: BTreeMap<Vec<u8>, Followed>,
    due: BTreeSet<(Timestamp, Vec<u8>)>,
    /// Those that differ for good, of each kind and class: what would have to be counted again for
    /// every report otherwise.
    settled: BTreeMap<(KeyKind, CheckedClass), u64>,
}

/// A key as it was at the latest look.
pub(super) struct Differing {
    pub(super) kind: KeyKind,
    pub(super) seen: Seen,
    pub(super) class: CheckedClass,
    pub(super) is_settled: bool,
    /// What the source's clock showed; `None` for counters, whose versions have no stamps.
    pub(super) source_now: Option<Stamp>,
    pub(super) leg: Option<usize>,
}

impl FollowedKeys {
    /// What is known of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Followed> {
        self.keys.get(key)
    }

    /// Whether one more can be followed.
    pub(super) fn has_room_for(&self, key: &[u8]) -> bool {
        key.len() <= MAX_NAME && (self.keys.len() < MAX_FOLLOWED || self.keys.contains_key(key))
    }

    /// Follows a key that is looked at again after `wait`; after ten seconds at most, if it differs
    /// for good.
    pub(super) fn insert(
        &mut self,
        key: Vec<u8>,
        differing: Differing,
        wait: Span,
        now: Timestamp,
    ) {
        self.remove(&key);
        let wait = if differing.is_settled {
            wait.min(AGAIN_EVERY)
        } else {
            wait
        };
        let due = now + wait;
        let Differing {
            kind,
            seen,
            class,
            is_settled,
            source_now,
            leg,
        } = differing;
        let source_now = source_now.filter(|_| class.is_unpropagated());
        let age = source_now.and_then(|now| seen.age(now));
        if is_settled {
            *self.settled.entry((kind, class)).or_default() += 1;
        }
        self.due.insert((due, key.clone()));
        let followed = Followed {
            kind,
            seen,
            class,
            is_settled,
            age,
            leg,
            due,
        };
        self.keys.insert(key, followed);
    }

    /// Follows a key no longer.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Followed> {
        let followed = self.keys.remove(key)?;
        self.due.remove(&(followed.due, key.to_vec()));
        let place = (followed.kind, followed.class);
        if followed.is_settled
            && let Some(count) = self.settled.get_mut(&place)
        {
            *count = count.saturating_sub(1);
        }
        Some(followed)
    }

    /// The pass that they were found in has ended.
    pub(super) fn forget_legs(&mut self) {
        for followed in self.keys.values_mut() {
            followed.leg = None;
        }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Up to `count` keys of one kind whose look is due.
    pub(super) fn due(&self, count: usize, now: Timestamp) -> Option<(KeyKind, Vec<Vec<u8>>)> {
        let mut found: Option<KeyKind> = None;
        let mut keys = Vec::new();
        for (due, key) in &self.due {
            if *due > now || keys.len() == count {
                break;
            }
            let Some(followed) = self.keys.get(key) else {
                continue;
            };
            let kind = *found.get_or_insert(followed.kind);
            if kind == followed.kind {
                keys.push(key.clone());
            }
        }
        Some((found?, keys))
    }

    /// How many keys of a kind differ for good.
    pub(super) fn settled_of(&self, kind: KeyKind) -> u64 {
        let mut sum = 0;
        for ((of, _), count) in &self.settled {
            if *of == kind {
                sum += count;
            }
        }
        sum
    }

    /// How many keys differ for good, by how they differ.
    pub(super) fn by_class(&self) -> BTreeMap<CheckedClass, u64> {
        let mut all = BTreeMap::new();
        for ((_, class), count) in &self.settled {
            if *count > 0 {
                *all.entry(*class).or_default() += count;
            }
        }
        all
    }

    /// How many keys wait for their second look.
    pub(super) fn waiting(&self) -> u64 {
        let settled: u64 = self.settled.values().sum();
        (self.keys.len() as u64).saturating_sub(settled)
    }

    /// The greatest age of a version that the target lacked at the latest look.
    pub(super) fn greatest_age(&self) -> Option<Span> {
        self.keys.values().filter_map(|followed| followed.age).max()
    }

    /// Some of the keys that differ for good.
    pub(super) fn examples(&self) -> Vec<DifferingKey> {
        let settled = self.keys.iter().filter(|(_, followed)| followed.is_settled);
        let examples = settled.take(EXAMPLES).map(|(key, followed)| DifferingKey {
            key: String::from_utf8_lossy(key).into_owned(),
            class: followed.class,
        });
        examples.collect()
    }
}
