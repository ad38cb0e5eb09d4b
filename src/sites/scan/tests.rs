//! The rolling scan against two sites in memory, in virtual time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::followed::MAX_FOLLOWED;
use super::*;
use crate::active_active::{Counter, Page, Stamp};
use crate::model::{Datacenter, stable_hash};

/// Buckets of the sites' tables: a key stands in the same one for as long as it exists, which is
/// what SCAN guarantees.
const BUCKETS: u64 = 256;

/// Buckets of a page, where a test does not say otherwise.
const PAGE: u64 = 64;

/// How long a step takes.
const STEP: Span = Span::from_millis(500);

const SETTLE: Span = Span::from_secs(10);

#[derive(Clone, Debug, Default)]
struct SiteInMemory {
    registers: BTreeMap<String, Stored>,
    counters: BTreeMap<String, Counter>,
}

struct World {
    source: SiteInMemory,
    target: SiteInMemory,
    runs: [&'static str; 2],
    page_buckets: u64,
    scan: DirectionScan,
    now: Timestamp,
}

fn bucket(key: &str) -> u64 {
    stable_hash([key]) % BUCKETS
}

fn envelope(stamp: f64, value: u32) -> Stored {
    let text = format!(r#"{{"value":{value},"timestamp":{stamp:?},"dc":"a"}}"#);
    Stored::from_text(text.into_bytes())
}

fn counter(fields: &[(&str, u64)]) -> Counter {
    let fields = fields
        .iter()
        .map(|(field, number)| (field.as_bytes().to_vec(), number.to_string().into_bytes()));
    Counter::from_fields(fields).unwrap()
}

impl World {
    fn new() -> Self {
        Self::of_patterns(&["r:*"], &["c:*"])
    }

    fn of_patterns(keys: &[&str], counters: &[&str]) -> Self {
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect();
        let plan = ScanPlan {
            keys: texts(keys),
            counters: texts(counters),
            settle: SETTLE,
            target: Datacenter::new("b"),
            max_ahead: Span::from_secs(60),
        };
        Self {
            source: SiteInMemory::default(),
            target: SiteInMemory::default(),
            runs: ["one", "two"],
            page_buckets: PAGE,
            scan: DirectionScan::new(plan),
            now: Timestamp::from_nanos(1_000_000_000_000),
        }
    }

    /// What the clocks of both sites show.
    fn clock(&self) -> Stamp {
        Stamp::new(1_700_000_000.0 + self.now.as_nanos() as f64 / 1e9).unwrap()
    }

    /// A version that was written so many seconds ago.
    fn written(&self, seconds_ago: f64, value: u32) -> Stored {
        envelope(self.clock().seconds() - seconds_ago, value)
    }

    fn set(&mut self, key: &str, source: Option<Stored>, target: Option<Stored>) {
        let sites = [
            (&mut self.source.registers, source),
            (&mut self.target.registers, target),
        ];
        for (registers, stored) in sites {
            match stored {
                Some(stored) => registers.insert(key.to_owned(), stored),
                None => registers.remove(key),
            };
        }
    }

    fn set_both(&mut self, key: &str, stored: &Stored) {
        self.set(key, Some(stored.clone()), Some(stored.clone()));
    }

    fn count(&mut self, key: &str, source: &[(&str, u64)], target: &[(&str, u64)]) {
        let key = key.to_owned();
        self.source.counters.insert(key.clone(), counter(source));
        self.target.counters.insert(key, counter(target));
    }

    /// Lets time pass; the scan goes on meanwhile.
    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while self.now < end {
            match self.scan.step(self.now) {
                Step::Wait(until) => self.now = until.min(end).max(self.now),
                step => {
                    self.perform(&step);
                    self.now += STEP;
                }
            }
        }
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Wait(_) => {}
            Step::Scan(step) => {
                let scanned = Scanned {
                    page: self.page(step),
                    database: self.database(),
                    source_run: RunId::parse(self.runs[0]).unwrap(),
                    target_run: RunId::parse(self.runs[1]).unwrap(),
                };
                self.scan.scanned(step, scanned, self.now);
            }
            Step::Look(step) => self.look(step),
        }
    }

    fn database(&self) -> u64 {
        (self.source.registers.len() + self.source.counters.len()) as u64
    }

    fn page(&self, step: &ScanStep) -> Page {
        let end = step.cursor + self.page_buckets;
        let prefix = step.pattern.trim_end_matches('*');
        let keys = self.source.registers.keys();
        let keys = keys.chain(self.source.counters.keys());
        let keys = keys.filter(|key| {
            key.starts_with(prefix) && (step.cursor..end).contains(&bucket(key.as_str()))
        });
        Page {
            cursor: if end >= BUCKETS { 0 } else { end },
            keys: keys.map(|key| key.clone().into_bytes()).collect(),
        }
    }

    fn look(&mut self, step: &LookStep) {
        let names = step.keys.iter();
        let names: Vec<String> = names
            .map(|key| String::from_utf8(key.clone()).unwrap())
            .collect();
        match step.kind {
            KeyKind::Register => {
                let at = |site: &SiteInMemory| {
                    let stored = names.iter().map(|name| site.registers.get(name).cloned());
                    stored
                        .map(|stored| stored.unwrap_or(Stored::Missing))
                        .collect()
                };
                let look = RegisterLook {
                    source: at(&self.source),
                    target: at(&self.target),
                    source_now: self.clock(),
                    target_now: self.clock(),
                    took: Span::from_millis(1),
                };
                self.scan.looked_at_registers(step, &look, self.now);
            }
            KeyKind::Counter => {
                let at = |site: &SiteInMemory| {
                    let counters = names.iter().map(|name| site.counters.get(name).cloned());
                    counters
                        .map(|counter| Ok(counter.unwrap_or_default()))
                        .collect()
                };
                let look = CounterLook {
                    source: at(&self.source),
                    target: at(&self.target),
                };
                self.scan.looked_at_counters(step, &look, self.now);
            }
        }
    }

    /// Until a pass that begins now has ended.
    fn full_pass(&mut self) {
        let ended = |world: &Self| world.scan.status().last_pass.map_or(0, |last| last.passes);
        let wanted = ended(self) + 2;
        for _ in 0..10_000 {
            if ended(self) >= wanted {
                return;
            }
            self.pass(STEP);
        }
        panic!("no pass has ended: {:?}", self.scan.status());
    }
}

#[test]
fn sites_that_agree_are_counted_as_such() {
    let mut world = World::new();
    for n in 0..300 {
        let stored = world.written(100.0, n);
        world.set_both(&format!("r:{n}"), &stored);
    }
    let status = world.scan.status();
    assert_eq!(status.keys, Counted::default(), "nothing is known yet");
    assert_eq!(status.unpropagated, None);
    world.full_pass();
    let status = world.scan.status();
    let none = Counted {
        seen: 0,
        counted: Some(0),
        upper: Some(0),
    };
    assert_eq!((status.keys, status.counters), (none, none));
    assert_eq!(status.unpropagated, Some(Span::ZERO));
    assert_eq!(status.ahead, Some(Span::ZERO));
    assert_eq!(status.last_pass.unwrap().keys, 300);
}

#[test]
fn what_arrives_in_time_was_in_flight_and_what_does_not_differs_for_good() {
    let mut world = World::new();
    let stored = world.written(1.0, 1);
    world.set("r:slow", Some(stored.clone()), None);
    world.set("r:lost", Some(stored.clone()), None);
    world.pass(Span::from_secs(9));
    assert_eq!(world.scan.status().in_flight, 2);
    assert_eq!(world.scan.status().keys.seen, 0);
    world.set_both("r:slow", &stored);
    world.pass(Span::from_secs(15));
    let status = world.scan.status();
    assert_eq!((status.keys.seen, status.in_flight), (1, 0));
    assert_eq!(status.checked[&CheckedClass::InFlight], 1);
    assert_eq!(status.settled, BTreeMap::from([(CheckedClass::Missing, 1)]));
    assert_eq!(status.examples[0].key, "r:lost");
    let age = status.unpropagated.unwrap();
    assert!(
        age > Span::from_secs(10) && age < Span::from_secs(26),
        "{age}"
    );
    // A repair shows before the next pass would.
    world.set_both("r:lost", &stored);
    world.pass(Span::from_secs(11));
    let status = world.scan.status();
    assert_eq!((status.keys.seen, status.keys.counted), (0, Some(0)));
}

#[test]
fn a_young_version_that_is_not_there_yet_can_be_waited_for() {
    let mut world = World::new();
    let read = world.now;
    let there = world.written(100.0, 1);
    world.set_both("r:there", &there);
    // One that is stuck is not on its way, and one from the future has no age.
    world.set("r:stuck", Some(world.written(700.0, 1)), None);
    world.set("r:future", Some(world.written(-60.0, 1)), None);
    world.pass(Span::from_secs(15));
    assert_eq!(world.scan.take_under_way(read), None);
    let young = world.written(2.0, 1);
    world.set("r:young", Some(young.clone()), None);
    let mut found = None;
    for _ in 0..15 {
        world.pass(Span::from_secs(1));
        found = world.scan.take_under_way(read);
        if found.is_some() {
            break;
        }
    }
    let found = found.unwrap();
    assert_eq!(
        (found.key.as_slice(), found.seen),
        (b"r:young".as_slice(), read)
    );
    assert!(found.age >= Span::from_secs(2) && found.age < Span::from_secs(17));
    assert!(found.sighting.is_lacking_at(&there) && !found.sighting.is_lacking_at(&young));
    // It is found once, while it may still arrive.
    world.pass(SETTLE - Span::from_secs(2));
    assert_eq!(world.scan.take_under_way(read), None);
}

/// Every key is written all the time and arrives a second later: comparing for equality would find
/// many. Five keys do not arrive.
#[test]
fn keys_that_are_written_all_the_time_do_not_differ_and_those_that_are_stuck_do() {
    let mut world = World::new();
    let stuck = world.written(5.0, 0);
    for n in 0..5 {
        world.set(
            &format!("r:stuck{n}"),
            Some(world.written(0.0, 1)),
            Some(stuck.clone()),
        );
    }
    let mut before: Vec<Stored> = (0..200).map(|n| world.written(2.0, n)).collect();
    for _ in 0..200 {
        for (n, stored) in before.iter_mut().enumerate() {
            let new = world.written(0.0, u32::try_from(n).unwrap());
            let key = format!("r:hot{n}");
            world.set(&key, Some(new.clone()), Some(stored.clone()));
            *stored = new;
        }
        world.pass(Span::from_secs(1));
        // A hot stuck key has another version each time.
        let newest = world.written(0.0, 7);
        world.set("r:stuck0", Some(newest), Some(stuck.clone()));
    }
    let status = world.scan.status();
    assert_eq!(status.keys.counted, Some(5), "{status:#?}");
    assert!(
        status.checked[&CheckedClass::InFlight] > 100,
        "the control: they looked different"
    );
    assert!(
        status.unpropagated.unwrap() > Span::from_secs(150),
        "since the first version"
    );
}

#[test]
fn before_a_pass_has_ended_there_is_a_bound() {
    let mut world = World::of_patterns(&["r:*"], &[]);
    for n in 0..4000 {
        let stored = world.written(100.0, n);
        world.set_both(&format!("r:{n}"), &stored);
    }
    world.pass(Span::from_secs(4));
    let status = world.scan.status();
    let looked = status.pass.looked;
    assert!((200..2000).contains(&looked), "{looked}");
    assert_eq!(status.keys.counted, None);
    let expected = status.pass.expected.unwrap();
    assert!((3900..=4000).contains(&expected), "{expected}");
    // Three of the number looked at, of all (the rule of three).
    let bound = 3.0 / looked as f64 * 4000.0;
    let upper = status.keys.upper.unwrap() as f64;
    assert!((upper / bound - 1.0).abs() < 0.1, "{upper} {bound}");
    world.full_pass();
    assert_eq!(world.scan.status().keys.upper, Some(0));
}

#[test]
fn counters_differ_for_good_and_regress_at_once() {
    let mut world = World::new();
    world.count("c:behind", &[("p:a", 7)], &[("p:a", 5)]);
    world.count("c:regressed", &[("p:b", 9)], &[("p:b", 5)]);
    // The other direction's.
    world.count(
        "c:ahead",
        &[("p:a", 1), ("p:b", 1)],
        &[("p:a", 1), ("p:b", 2)],
    );
    world.pass(Span::from_secs(12));
    let status = world.scan.status();
    assert_eq!(status.regressed, 1);
    assert_eq!(status.settled[&CheckedClass::RegressedCounter], 1);
    world.full_pass();
    assert_eq!(world.scan.status().counters.counted, Some(2));
    world.count("c:behind", &[("p:a", 7)], &[("p:a", 7)]);
    world.count("c:regressed", &[("p:b", 9)], &[("p:b", 9)]);
    world.pass(Span::from_secs(11));
    let status = world.scan.status();
    assert_eq!((status.regressed, status.counters.counted), (0, Some(0)));
}

#[test]
fn counters_are_looked_at_right_after_a_failover() {
    let mut world = World::new();
    world.page_buckets = 1;
    for n in 0..8_000 {
        let stored = world.written(100.0, n);
        world.set_both(&format!("r:{n}"), &stored);
    }
    for n in 0..50 {
        let fields = [("p:b", 100)];
        world.count(&format!("c:{n}"), &fields, &fields);
    }
    world.full_pass();
    // The target comes back without its last increments.
    world.count("c:33", &[("p:b", 100)], &[("p:b", 60)]);
    world.runs[1] = "another";
    world.pass(Span::from_secs(3));
    let status = world.scan.status();
    assert_eq!(status.regressed, 1);
    // It may have come back with other data: what was counted before says nothing of that.
    assert_eq!((status.keys.counted, status.counters.counted), (None, None));
    assert_eq!(status.unpropagated, None);
    assert!(status.pass.looked < 8_000, "long before the next pass ends");
}

#[test]
fn another_server_makes_the_pass_begin_again() {
    let mut world = World::new();
    for n in 0..4000 {
        let stored = world.written(100.0, n);
        world.set_both(&format!("r:{n}"), &stored);
    }
    world.pass(Span::from_secs(10));
    let looked = world.scan.status().pass.looked;
    world.runs[0] = "another";
    world.pass(Span::from_secs(8));
    let status = world.scan.status();
    assert!(status.pass.looked < looked, "{looked} {status:?}");
    world.full_pass();
    assert_eq!(world.scan.status().last_pass.unwrap().keys, 4000);
}

#[test]
fn too_many_differences_are_counted_and_not_remembered() {
    let mut world = World::new();
    let stored = world.written(100.0, 1);
    for n in 0..MAX_FOLLOWED + 500 {
        world.set(&format!("r:{n}"), Some(stored.clone()), None);
    }
    world.full_pass();
    let status = world.scan.status();
    assert_eq!(status.keys.seen, MAX_FOLLOWED as u64);
    assert_eq!(status.keys.counted, None, "not every key was followed");
    assert!(
        status
            .keys
            .upper
            .is_none_or(|upper| upper >= MAX_FOLLOWED as u64)
    );
    assert!(status.checked[&CheckedClass::Unknown] >= 500);
    assert_eq!(status.examples.len(), 20);
}

#[test]
fn stamps_ahead_of_the_clock_are_seen() {
    let mut world = World::new();
    let ahead = world.written(-30.0, 1);
    world.set_both("r:fast", &ahead);
    world.pass(Span::from_secs(6));
    let seen = world.scan.status().ahead.unwrap();
    assert!(
        seen > Span::from_secs(23) && seen < Span::from_secs(30),
        "{seen}"
    );
    let far = world.written(-9e8, 1);
    world.set("r:poisoned", Some(far), None);
    world.full_pass();
    let status = world.scan.status();
    assert_eq!(status.settled[&CheckedClass::Future], 1);
}

#[test]
fn a_key_that_is_too_long_is_not_remembered() {
    let mut world = World::new();
    let stored = world.written(100.0, 1);
    world.set(&format!("r:{}", "x".repeat(2000)), Some(stored), None);
    world.full_pass();
    let status = world.scan.status();
    assert_eq!((status.keys.seen, status.keys.counted), (0, None));
    assert!(status.checked[&CheckedClass::Unknown] >= 1);
}

#[test]
fn many_fields_of_a_counter_are_not_remembered() {
    let fields: Vec<String> = (0..100).map(|n| format!("p:a#{n:08}")).collect();
    let all: Vec<(&str, u64)> = fields.iter().map(|field| (field.as_str(), 1)).collect();
    let source = counter(&all);
    let Some(Seen::Counter(kept)) = Seen::counter(&source, &Counter::default()) else {
        panic!("they can be remembered");
    };
    assert_eq!(kept.len(), 16);
    let mut world = World::new();
    world.count("c:many", &all, &[]);
    world.full_pass();
    assert_eq!(world.scan.status().counters.counted, Some(1));
}

#[test]
fn empty_sites_are_not_asked_without_a_pause() {
    let mut world = World::new();
    world.pass(Span::from_secs(60));
    let passes = world.scan.status().last_pass.unwrap().passes;
    assert!(passes < 30, "{passes}");
}

/// What happens to one key.
#[derive(Clone, Copy, Debug)]
enum Deed {
    WriteAtSource,
    WriteAtTarget,
    Copy,
    CopyBack,
    Count(bool),
    CopyCount(bool),
    Pass(u8),
    Restart(bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        Just(Deed::WriteAtSource),
        Just(Deed::WriteAtTarget),
        Just(Deed::Copy),
        Just(Deed::CopyBack),
        any::<bool>().prop_map(Deed::Count),
        any::<bool>().prop_map(Deed::CopyCount),
        (0_u8..15).prop_map(Deed::Pass),
        any::<bool>().prop_map(Deed::Restart),
    ]
}

impl World {
    fn copy(&mut self, key: &str, back: bool) {
        let (from, to) = if back {
            (&self.target, &mut self.source)
        } else {
            (&self.source, &mut self.target)
        };
        if let Some(stored) = from.registers.get(key).cloned() {
            to.registers.insert(key.to_owned(), stored);
        }
    }

    fn do_deed(&mut self, key: u8, deed: Deed) {
        let register = format!("r:{key}");
        let name = format!("c:{key}");
        match deed {
            Deed::WriteAtSource => {
                let stored = self.written(0.0, 1);
                self.source.registers.insert(register, stored);
            }
            Deed::WriteAtTarget => {
                let stored = self.written(0.0, 2);
                self.target.registers.insert(register, stored);
            }
            Deed::Copy => self.copy(&register, false),
            Deed::CopyBack => self.copy(&register, true),
            Deed::Count(at_source) => {
                let (site, field) = if at_source {
                    (&mut self.source, "p:a")
                } else {
                    (&mut self.target, "p:b")
                };
                let known = site.counters.entry(name).or_default();
                let more = known.field(field.as_bytes()) + 1;
                *known = known.clone().merged(&counter(&[(field, more)]));
            }
            Deed::CopyCount(back) => {
                let (from, to) = if back {
                    (&self.target, &mut self.source)
                } else {
                    (&self.source, &mut self.target)
                };
                if let Some(other) = from.counters.get(&name).cloned() {
                    let known = to.counters.entry(name).or_default();
                    *known = known.clone().merged(&other);
                }
            }
            Deed::Pass(seconds) => self.pass(Span::from_secs(i64::from(seconds))),
            Deed::Restart(source) => {
                let place = usize::from(!source);
                self.runs[place] = if self.runs[place] == "one" {
                    "two"
                } else {
                    "one"
                };
            }
        }
    }

    /// Keys of the source of which the target lacks something.
    fn truth(&self) -> [u64; 2] {
        let lacks = |key: &String, stored: &Stored| {
            let target = self.target.registers.get(key).unwrap_or(&Stored::Missing);
            match (stored, target) {
                (Stored::Envelope(source), Stored::Envelope(target)) => source > target,
                (_, Stored::Missing) => true,
                _ => false,
            }
        };
        let registers = self.source.registers.iter();
        let registers = registers.filter(|(key, stored)| lacks(key, stored)).count();
        let none = Counter::default();
        let counters = self.source.counters.iter().filter(|(key, counter)| {
            let target = self.target.counters.get(*key).unwrap_or(&none);
            counter.missing_at(target).next().is_some()
        });
        [registers as u64, counters.count() as u64]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens at two sites: once nothing does any more, a pass counts exactly what
    /// differs, nothing waits, and every look was counted.
    #[test]
    fn a_pass_over_quiet_sites_counts_what_differs(
        deeds in prop::collection::vec((0_u8..12, any_deed()), 0..120),
    ) {
        let mut world = World::new();
        for (key, deed) in deeds {
            world.do_deed(key, deed);
            let status = world.scan.status();
            prop_assert!(status.keys.upper.is_none_or(|upper| upper >= status.keys.seen));
        }
        world.full_pass();
        world.pass(Span::from_secs(11));
        let status = world.scan.status();
        let found = [status.keys.counted, status.counters.counted];
        prop_assert_eq!(found, world.truth().map(Some));
        prop_assert_eq!(status.in_flight, 0);
        prop_assert_eq!(status.regressed, 0, "nobody has lost increments");
        let settled: u64 = status.settled.values().sum();
        prop_assert_eq!(settled, status.keys.seen + status.counters.seen);
    }
}
