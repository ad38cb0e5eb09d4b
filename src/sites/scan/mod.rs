//! The rolling scan of one direction: all keys of the source are compared with the target, page by
//! page and round and round, at a pace that somebody else keeps.
//!
//! [`DirectionScan::step`] says what to read next; the caller reads it, the source before the
//! target, and hands it back. A step that failed is simply asked for again. What differs is
//! looked at a second time after a while: it is *settled* if the target still lacks the version
//! that the source had at the first look. What is settled is looked at again every ten seconds, so
//! that its repair shows before the next pass.

mod followed;
mod judge;
mod look;
mod pass;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::active_active::{Sighting, Stored};
use crate::model::{RunId, Span, Timestamp};
use crate::sites::class::CheckedClass;
use crate::sites::probe::{GIVEN_UP_AFTER, KeyUnderWay};
use crate::sites::status::{Counted, DirectionStatus, LastPass};
use followed::{Differing, FollowedKeys, MAX_FOLLOWED, MAX_NAME, Seen};
use judge::{CounterVerdict, counter_verdict, register_verdict, unread_verdict};
use look::LookReason;
pub use look::{CounterLook, LookStep, RegisterLook, ScanStep, Scanned, Step};
use pass::{LookOutcome, Pass, ScannedPage};
pub use plan::{KeyKind, ScanPlan};

/// Keys that are read at once, and that SCAN is asked to go through at once: no server is busy for
/// a millisecond with them.
pub const BATCH: usize = 100;

/// The pause between two passes.
const BETWEEN_PASSES: Span = Span::from_secs(1);

/// The rolling scan of one direction.
#[derive(Clone, Debug)]
pub struct DirectionScan {
    plan: ScanPlan,
    pass: Pass,
    /// Keys of the latest page that were not looked at yet.
    page: VecDeque<Vec<u8>>,
    /// What they are part of.
    page_place: (KeyKind, usize),
    /// The counters of the last pass and of this one, as many as are followed at most.
    counters: BTreeSet<Vec<u8>>,
    /// Those of this pass.
    counters_of_pass: BTreeSet<Vec<u8>>,
    /// Those that are still to be looked at out of turn.
    urgent: VecDeque<Vec<u8>>,
    /// The runs of the source and of the target that answered last.
    runs: Option<[RunId; 2]>,
    /// Whether the latest look was one of those that were due: they get every other turn.
    has_looked_again: bool,
    followed: FollowedKeys,
    checked: BTreeMap<CheckedClass, u64>,
    /// How far the source's versions were ahead of its clock, in this pass and in the last one.
    ahead: [Option<Span>; 2],
    last_pass: Option<LastPass>,
    /// Whether the last pass has followed every register and every counter that differed.
    is_counted: [bool; 2],
    /// Whether a pass over these runs of the servers has ended.
    has_passed_runs: bool,
    /// A key that was found under way in the latest look, for somebody to wait for.
    under_way: Option<UnderWay>,
}

/// A key that the source had and the target had not at its first look.
#[derive(Clone, Debug)]
struct UnderWay {
    key: Vec<u8>,
    sighting: Sighting,
    age: Span,
}

impl DirectionScan {
    /// A scan of which nothing is known yet.
    pub fn new(plan: ScanPlan) -> Self {
        Self {
            pass: Pass::new(plan.legs()),
            plan,
            page: VecDeque::new(),
            page_place: (KeyKind::Register, 0),
            counters: BTreeSet::new(),
            counters_of_pass: BTreeSet::new(),
            urgent: VecDeque::new(),
            runs: None,
            has_looked_again: false,
            followed: FollowedKeys::default(),
            checked: BTreeMap::new(),
            ahead: [None; 2],
            last_pass: None,
            is_counted: [false; 2],
            has_passed_runs: false,
            under_way: None,
        }
    }

    /// What to read next. The same until it is handed back.
    pub fn step(&mut self, now: Timestamp) -> Step {
        if !self.urgent.is_empty() {
            return look(KeyKind::Counter, &self.urgent, LookReason::Urgent);
        }
        if !self.has_looked_again
            && let Some(step) = self.due_step(now)
        {
            return step;
        }
        if !self.page.is_empty() {
            return look(self.page_place.0, &self.page, LookReason::Page);
        }
        if let Some(step) = self.scan_step() {
            return Step::Scan(step);
        }
        // Before the looks that are due: so many may be that some always are.
        let has_ended = self.pass.is_complete() || self.followed.waiting() == 0;
        if has_ended {
            self.end_pass(now);
        }
        if let Some(step) = self.due_step(now) {
            return step;
        }
        // Sites without a key of these patterns are not asked without a pause.
        let next = now + BETWEEN_PASSES;
        match self.followed.next_due() {
            Some(due) if !has_ended => Step::Wait(due),
            _ => Step::Wait(next),
        }
    }

    /// The looks at followed keys that are due.
    fn due_step(&self, now: Timestamp) -> Option<Step> {
        let (kind, keys) = self.followed.due(BATCH, now)?;
        Some(Step::Look(LookStep {
            kind,
            keys,
            why: LookReason::Again,
        }))
    }

    fn scan_step(&self) -> Option<ScanStep> {
        let (place, leg) = self.pass.next_leg()?;
        Some(ScanStep {
            pattern: leg.pattern.clone(),
            cursor: leg.cursor,
            leg: place,
        })
    }

    /// Looks at all known counters now, out of turn: after a failover or a restart a site may have
    /// lost increments. SCAN would have to go through all other keys as well.
    fn check_counters(&mut self) {
        self.urgent = self.counters.iter().cloned().collect();
    }

    /// Remembers the counters of a page.
    fn note_counters(&mut self, keys: &[Vec<u8>]) {
        for key in keys.iter().filter(|key| key.len() <= MAX_NAME) {
            for known in [&mut self.counters, &mut self.counters_of_pass] {
                if known.len() < MAX_FOLLOWED {
                    known.insert(key.clone());
                }
            }
        }
    }

    /// A server is another run: it may have come back with other data, so nothing that was counted
    /// holds, and the pass begins again. (The cursors of another source mean nothing, either.)
    fn restart_pass(&mut self) {
        self.is_counted = [false; 2];
        self.has_passed_runs = false;
        self.pass = Pass::new(self.plan.legs());
        self.page.clear();
        self.counters_of_pass.clear();
        self.ahead[0] = None;
        self.followed.forget_legs();
    }

    /// Notes which runs of the servers answered. Returns whether they are the same as before.
    fn note_runs(&mut self, scanned: &Scanned) -> bool {
        let runs = [scanned.source_run.clone(), scanned.target_run.clone()];
        let known = self.runs.replace(runs.clone());
        let are_same = known.is_none_or(|known| known == runs);
        if !are_same {
            self.check_counters();
            self.restart_pass();
        }
        are_same
    }

    /// A page has come.
    pub fn scanned(&mut self, step: &ScanStep, scanned: Scanned, now: Timestamp) {
        self.has_looked_again = false;
        if !self.note_runs(&scanned) {
            // The page is of the pass that has just been given up.
            return;
        }
        let Scanned { page, database, .. } = scanned;
        let kind = self.pass.leg_mut(step.leg).map(|leg| leg.kind);
        let kind = kind.unwrap_or(KeyKind::Register);
        if kind == KeyKind::Counter {
            self.note_counters(&page.keys);
        }
        let counts = ScannedPage {
            cursor: page.cursor,
            asked: BATCH as u64,
            matched: page.keys.len() as u64,
            database,
        };
        self.pass.page(step.leg, &counts, now);
        self.page_place = (kind, step.leg);
        self.page = page.keys.into();
    }

    /// Both sites were asked for registers.
    pub fn looked_at_registers(&mut self, step: &LookStep, look: &RegisterLook, now: Timestamp) {
        let by = judge::judgement(look, self.plan.max_ahead);
        let pairs = look.source.iter().zip(&look.target);
        for (key, (source, target)) in step.keys.iter().zip(pairs) {
            self.note_ahead(source, look);
            let verdict = register_verdict(source, target, by);
            let place = self.place_of(key, step);
            let Some(difference) = verdict.difference else {
                self.agrees(key, place, verdict.class);
                continue;
            };
            let still_lacks = |known: &Seen| known.is_lacking_at(target);
            let Some(seen) = Seen::register(source) else {
                self.not_followed(key, place, CheckedClass::TooLarge);
                continue;
            };
            if place == LookPlace::First(self.page_place.1) && difference.is_unpropagated() {
                self.note_under_way(key, source, look);
            }
            let differing = Differing {
                kind: KeyKind::Register,
                seen,
                class: difference,
                is_settled: false,
                source_now: Some(look.source_now),
                leg: place.leg(),
            };
            self.differs(key, place, differing, &still_lacks, now);
        }
        self.end_look(step);
    }

    /// Both sites were asked for counters.
    pub fn looked_at_counters(&mut self, step: &LookStep, look: &CounterLook, now: Timestamp) {
        let pairs = look.source.iter().zip(&look.target);
        for (key, (source, target)) in step.keys.iter().zip(pairs) {
            let place = self.place_of(key, step);
            let (source, target) = match (source, target) {
                (Ok(source), Ok(target)) => (source, target),
                (Err(class), _) | (_, Err(class)) => {
                    let differing = unread_verdict(*class, place.leg());
                    self.differs(key, place, differing, &|_| true, now);
                    continue;
                }
            };
            let verdict = counter_verdict(source, target, self.plan.target.as_str());
            let CounterVerdict::Differs {
                class,
                is_certain,
                seen,
            } = verdict
            else {
                self.agrees(key, place, CheckedClass::Equal);
                continue;
            };
            let Some(seen) = seen else {
                self.not_followed(key, place, CheckedClass::TooLarge);
                continue;
            };
            let still_lacks = |known: &Seen| is_certain || known.is_lacking_in(target);
            let differing = Differing {
                kind: KeyKind::Counter,
                seen,
                class,
                is_settled: is_certain,
                source_now: None,
                leg: place.leg(),
            };
            self.differs(key, place, differing, &still_lacks, now);
        }
        self.end_look(step);
    }

    /// Notes a key of which the target lacks a version that is young enough to be on its way. A
    /// stamp ahead of the source's clock has no age.
    fn note_under_way(&mut self, key: &[u8], source: &Stored, look: &RegisterLook) {
        let Stored::Envelope(envelope) = source else {
            return;
        };
        let age = look.source_now.seconds_after(envelope.version().stamp);
        let age = Span::from_secs_f64(age);
        if age >= Span::ZERO && age < GIVEN_UP_AFTER {
            self.under_way = Some(UnderWay {
                key: key.to_vec(),
                sighting: Sighting::from_stored(source),
                age,
            });
        }
    }

    /// A key that was found under way since this was last asked, if the source was read at `read`
    /// then.
    pub fn take_under_way(&mut self, read: Timestamp) -> Option<KeyUnderWay> {
        let UnderWay { key, sighting, age } = self.under_way.take()?;
        Some(KeyUnderWay {
            key,
            sighting,
            age,
            seen: read,
        })
    }

    /// Notes how far the source's version is ahead of the source's clock: certainly, although some
    /// time passed between the clock and the version.
    fn note_ahead(&mut self, source: &Stored, look: &RegisterLook) {
        if let Stored::Envelope(envelope) = source {
            let ahead = envelope.version().stamp.seconds_after(look.source_now);
            let ahead = Span::from_secs_f64(ahead) - look.took;
            if ahead > Span::ZERO {
                self.ahead[0] = self.ahead[0].max(Some(ahead));
            }
        }
    }

    /// What a look at this key counts as.
    fn place_of(&self, key: &[u8], step: &LookStep) -> LookPlace {
        let waiting = self.followed.get(key).filter(|known| !known.is_settled);
        match (waiting, step.why) {
            (Some(known), LookReason::Again) => LookPlace::Second(known.leg),
            (Some(known), _) => LookPlace::Early(known.leg),
            (None, LookReason::Page) => LookPlace::First(self.page_place.1),
            (None, _) => LookPlace::OutOfPass,
        }
    }

    /// The target has what the source has.
    fn agrees(&mut self, key: &[u8], place: LookPlace, class: CheckedClass) {
        let was_suspected = matches!(place, LookPlace::Second(_));
        if matches!(place, LookPlace::Early(_)) {
            // Its second look is still to come, and will say the same.
            return;
        }
        self.followed.remove(key);
        self.count_look(place, LookOutcome::Agrees);
        let class = if was_suspected {
            CheckedClass::InFlight
        } else {
            class
        };
        self.count(class);
    }

    /// The target lacks something. `still_lacks`: whether it lacks what was seen at an earlier
    /// look.
    fn differs(
        &mut self,
        key: &[u8],
        place: LookPlace,
        mut differing: Differing,
        still_lacks: &dyn Fn(&Seen) -> bool,
        now: Timestamp,
    ) {
        let known = self.followed.get(key);
        let was_settled = known.is_some_and(|known| known.is_settled);
        if let Some(known) = known {
            let lacks = still_lacks(&known.seen);
            match place {
                LookPlace::Early(_) if !differing.is_settled => return,
                LookPlace::Second(_) if !lacks && !differing.is_settled => {
                    self.agrees(key, place, CheckedClass::InFlight);
                    return;
                }
                LookPlace::Second(_) => differing.is_settled = true,
                _ => differing.is_settled |= was_settled && lacks,
            }
            if lacks {
                // The version that the target has lacked for longest.
                differing.seen = known.seen.clone();
            }
        }
        if !self.followed.has_room_for(key) {
            self.not_followed(key, place, CheckedClass::Unknown);
            return;
        }
        let class = differing.class;
        let is_settled = differing.is_settled;
        self.followed
            .insert(key.to_vec(), differing, self.plan.settle, now);
        let outcome = if is_settled {
            LookOutcome::Settled
        } else {
            LookOutcome::Waits
        };
        self.count_look(place, outcome);
        if is_settled {
            self.count(class);
        }
    }

    /// The target lacks something that is not remembered until a second look.
    fn not_followed(&mut self, key: &[u8], place: LookPlace, class: CheckedClass) {
        self.followed.remove(key);
        self.count_look(place, LookOutcome::Unfollowed);
        self.count(class);
    }

    fn count_look(&mut self, place: LookPlace, outcome: LookOutcome) {
        let Some(leg) = place.leg().and_then(|leg| self.pass.leg_mut(leg)) else {
            return;
        };
        match place {
            LookPlace::First(_) => leg.look(outcome),
            _ => leg.look_again(outcome != LookOutcome::Agrees),
        }
    }

    fn count(&mut self, class: CheckedClass) {
        *self.checked.entry(class).or_default() += 1;
    }

    /// The keys of a step were looked at.
    fn end_look(&mut self, step: &LookStep) {
        let looked = match step.why {
            LookReason::Page => &mut self.page,
            LookReason::Urgent => &mut self.urgent,
            LookReason::Again => {
                self.has_looked_again = true;
                return;
            }
        };
        let count = step.keys.len().min(looked.len());
        drop(looked.drain(..count));
        self.has_looked_again = false;
    }

    fn end_pass(&mut self, now: Timestamp) {
        let began = self.pass.began.unwrap_or(now);
        let passes = self.last_pass.map_or(0, |last| last.passes);
        self.last_pass = Some(LastPass {
            ended: now,
            took: now - began,
            keys: self.pass.looked(),
            passes: passes + 1,
        });
        let kinds = [KeyKind::Register, KeyKind::Counter];
        self.is_counted = kinds.map(|kind| self.pass.has_followed_all(kind));
        self.has_passed_runs = true;
        self.ahead = [None, self.ahead[0]];
        self.followed.forget_legs();
        self.counters = std::mem::take(&mut self.counters_of_pass);
        self.pass = Pass::new(self.plan.legs());
    }

    /// What is known now.
    pub fn status(&self) -> DirectionStatus {
        let [registers_counted, counters_counted] = self.is_counted;
        let settled = self.followed.by_class();
        let regressed = settled.get(&CheckedClass::RegressedCounter).copied();
        let none = self.has_passed_runs.then_some(Span::ZERO);
        DirectionStatus {
            keys: self.counted(KeyKind::Register, registers_counted),
            counters: self.counted(KeyKind::Counter, counters_counted),
            in_flight: self.followed.waiting(),
            regressed: regressed.unwrap_or_default(),
            settled,
            unpropagated: self.followed.greatest_age().or(none),
            ahead: self.ahead[0].max(self.ahead[1]).or(none),
            checked: self.checked.clone(),
            pass: self.pass.progress(),
            last_pass: self.last_pass,
            examples: self.followed.examples(),
            is_slow: false,
        }
    }

    fn counted(&self, kind: KeyKind, is_counted: bool) -> Counted {
        let seen = self.followed.settled_of(kind);
        if is_counted {
            return Counted {
                seen,
                counted: Some(seen),
                upper: Some(seen),
            };
        }
        let upper = self.pass.upper(kind);
        Counted {
            seen,
            counted: None,
            upper: upper.map(|upper| upper.max(seen)),
        }
    }
}

/// A look at the first of these keys.
fn look(kind: KeyKind, keys: &VecDeque<Vec<u8>>, why: LookReason) -> Step {
    Step::Look(LookStep {
        kind,
        keys: keys.iter().take(BATCH).cloned().collect(),
        why,
    })
}

/// What a look at a key counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookPlace {
    /// The first look of the pass, at a key of this pattern.
    First(usize),
    /// The second look, after a first one of this pass or of none.
    Second(Option<usize>),
    /// A look at a key whose second look is not due yet, since SCAN has returned it twice, or it is
    /// a counter out of turn. Only what needs no second look counts.
    Early(Option<usize>),
    /// A look that no pass counts: at a key that differs for good, or at a counter out of turn.
    OutOfPass,
}

impl LookPlace {
    const fn leg(self) -> Option<usize> {
        match self {
            Self::First(leg) => Some(leg),
            Self::Second(leg) | Self::Early(leg) => leg,
            Self::OutOfPass => None,
        }
    }
}
