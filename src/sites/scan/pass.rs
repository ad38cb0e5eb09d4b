//! One pass over all keys of a source: how far it is, what it has found, and what that says of the
//! keys that it has not looked at yet.

use super::plan::KeyKind;
use crate::active_active::upper_share_at;
use crate::model::Timestamp;
use crate::sites::status::PassProgress;

/// How sure the bound of all patterns together is.
const CONFIDENCE: f64 = 0.95;

/// A pass. Its patterns are scanned in turn, a page of each, so that what was looked at is a fair
/// sample of every pattern: SCAN returns keys in the order of a hash.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) began: Option<Timestamp>,
    legs: Vec<Leg>,
    turn: usize,
}

/// The pass over the keys of one pattern.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) kind: KeyKind,
    pub(super) pattern: String,
    pub(super) cursor: u64,
    is_scanned: bool,
    /// Keys of the source that SCAN has gone through, at least; those that do not match included.
    passed: u64,
    /// Keys of the source, those that do not match included.
    database: u64,
    /// Keys that match.
    matched: u64,
    /// Keys that were looked at.
    looked: u64,
    /// Of them, those that wait for their second look.
    waiting: u64,
    /// Of them, those that differ for good.
    settled: u64,
    /// Of them, those that differed, and were not followed.
    unfollowed: u64,
}

impl Pass {
    pub(super) fn new(legs: Vec<(KeyKind, String)>) -> Self {
        let legs = legs.into_iter().map(|(kind, pattern)| Leg {
            kind,
            pattern,
            cursor: 0,
            is_scanned: false,
            passed: 0,
            database: 0,
            matched: 0,
            looked: 0,
            waiting: 0,
            settled: 0,
            unfollowed: 0,
        });
        Self {
            began: None,
            legs: legs.collect(),
            turn: 0,
        }
    }

    /// The next pattern of which there are more keys; `None` once all were scanned.
    pub(super) fn next_leg(&self) -> Option<(usize, &Leg)> {
        let places = (self.turn..self.legs.len()).chain(0..self.turn);
        let mut legs = places.filter_map(|place| Some((place, self.legs.get(place)?)));
        legs.find(|(_, leg)| !leg.is_scanned)
    }

    /// A page of this pattern's keys has come.
    pub(super) fn page(&mut self, place: usize, page: &ScannedPage, now: Timestamp) {
        self.began.get_or_insert(now);
        if let Some(leg) = self.legs.get_mut(place) {
            leg.matched += page.matched;
            leg.passed += page.asked.max(page.matched);
            leg.database = page.database;
            leg.cursor = page.cursor;
            leg.is_scanned = page.cursor == 0;
        }
        self.turn = place + 1;
    }

    pub(super) fn leg_mut(&mut self, place: usize) -> Option<&mut Leg> {
        self.legs.get_mut(place)
    }

    /// Whether every key was looked at, and those that differed a second time.
    pub(super) fn is_complete(&self) -> bool {
        let mut legs = self.legs.iter();
        legs.all(|leg| leg.is_scanned && leg.waiting == 0)
    }

    /// Keys that were looked at.
    pub(super) fn looked(&self) -> u64 {
        self.legs.iter().map(|leg| leg.looked).sum()
    }

    /// Whether every key of this kind that differed was followed.
    pub(super) fn has_followed_all(&self, kind: KeyKind) -> bool {
        let mut legs = self.legs.iter().filter(|leg| leg.kind == kind);
        legs.all(|leg| leg.unfollowed == 0)
    }

    pub(super) fn progress(&self) -> PassProgress {
        let expected: Option<f64> = self.legs.iter().map(Leg::expected).sum();
        PassProgress {
            began: self.began,
            looked: self.looked(),
            expected: expected.and_then(whole),
        }
    }

    /// At most so many keys of a kind differ for good; `None` while that cannot be said of some
    /// pattern.
    pub(super) fn upper(&self, kind: KeyKind) -> Option<u64> {
        let legs = self.legs.iter().filter(|leg| leg.kind == kind);
        let open = legs.clone().filter(|leg| !leg.is_certain()).count();
        // Each bound may be wrong; together they are wrong no more often than the sum of it
        // (Bonferroni).
        let confidence = 1.0 - (1.0 - CONFIDENCE) / open.max(1) as f64;
        let mut sum = 0.0;
        for leg in legs {
            sum += leg.upper(confidence)?;
        }
        whole(sum)
    }
}

/// A page of keys, as far as a pass counts them.
pub(super) struct ScannedPage {
    /// Where the next page begins; 0 after the last.
    pub(super) cursor: u64,
    /// Keys that SCAN was asked to go through.
    pub(super) asked: u64,
    /// Keys that match.
    pub(super) matched: u64,
    /// Keys of the source.
    pub(super) database: u64,
}

impl Leg {
    /// One more key was looked at.
    pub(super) const fn look(&mut self, outcome: LookOutcome) {
        self.looked += 1;
        match outcome {
            LookOutcome::Agrees => {}
            LookOutcome::Waits => self.waiting += 1,
            LookOutcome::Settled => self.settled += 1,
            LookOutcome::Unfollowed => self.unfollowed += 1,
        }
    }

    /// One that waited was looked at again.
    pub(super) const fn look_again(&mut self, is_settled: bool) {
        self.waiting = self.waiting.saturating_sub(1);
        if is_settled {
            self.settled += 1;
        }
    }

    fn is_certain(&self) -> bool {
        self.is_scanned && self.waiting == 0 && self.unfollowed == 0
    }

    /// How many keys match, as far as that can be estimated: the share of those that SCAN went
    /// through, of all. SCAN goes through at least as many as it is asked to, so this is rather too
    /// much than too little.
    fn expected(&self) -> Option<f64> {
        let matched = self.matched as f64;
        if self.is_scanned {
            return Some(matched);
        }
        if self.passed == 0 {
            return None;
        }
        let share = matched / self.passed as f64;
        Some(matched.max(share * self.database as f64))
    }

    /// At most so many keys differ for good.
    fn upper(&self, confidence: f64) -> Option<f64> {
        if self.is_certain() {
            return Some(self.settled as f64);
        }
        let judged = self.looked - self.waiting;
        let found = self.settled + self.unfollowed;
        let share = upper_share_at(found, judged, confidence)?;
        Some(share * self.expected()?)
    }
}

/// What the first look of a pass at a key showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookOutcome {
    /// The sites agree, or the target has more.
    Agrees,
    /// They differ: the second look will tell.
    Waits,
    /// They differ for good.
    Settled,
    /// They differ, and too many others are followed.
    Unfollowed,
}

/// The next whole number of keys.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
fn whole(keys: f64) -> Option<u64> {
    keys.is_finite().then(|| keys.ceil() as u64)
}
