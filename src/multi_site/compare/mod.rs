//! Comparing two sites, key by key, in both directions, with bounded memory; and repairing what
//! differs for good.
//!
//! Every difference is looked at a second time after a while. It is settled if the site that
//! had less still lacks the version that the other one had at the first look; else it was in
//! flight. Comparing for equality twice would count every key that is written often.

mod counters;
mod pace;
mod pattern;
mod read;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use super::pair::SitePair;
use super::repair::{Repairs, Settled, repair};
use crate::active_active::{
    ApplyLimits, Difference, Direction, Finding, Judgement, Request, Sighting, Site, SiteError,
    Stamp, Stored, compare,
};
use counters::CounterPair;
pub use pace::Pace;
use pace::{PAGE_OF_NAMES, Pacer};
use pattern::Patterns;
use read::absent_keys;
pub use read::{SiteView, counters_at, read_all};
pub use report::{ComparisonReport, DirectionReport, Example};

/// Keys that SCAN is asked for at once, and that are read at once: a server is busy for some 2 ms
/// with 1,000 small values, and they cost one round trip.
const PAGE: usize = 1000;

/// The most keys of one exchange: SCAN gives a few more than it is asked for, and they shall not
/// take a round trip of their own.
const READ_AT_ONCE: usize = PAGE + PAGE / 4;

/// Differences that wait for their second look. When there are as many, the second look is taken,
/// and the comparison goes on afterwards.
const SUSPECTS_AT_ONCE: usize = 10_000;

/// How near to its expiry a key is no longer compared.
const EXPIRY_MARGIN: Duration = Duration::from_secs(1);

/// What to compare, and whether to repair what differs for good.
///
/// ```
/// # mod servers { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/two_servers.rs")); }
/// use std::time::Duration;
///
/// use redis_cross_dc_exporter::active_active::ApplyLimits;
/// use redis_cross_dc_exporter::multi_site::{Comparison, Pace, RedisSite, Repairs};
///
/// # fn main() { servers::run(|dc1, dc2| async move {
/// let mut dc1 = redis::Client::open(dc1)?.get_multiplexed_async_connection().await?;
/// let mut dc2 = redis::Client::open(dc2)?.get_multiplexed_async_connection().await?;
/// // What a race of other clients has left.
/// let new = r#"{"value": "new", "timestamp": 1732262770.5, "dc": "dc1"}"#;
/// let old = r#"{"value": "old", "timestamp": 1732262769.5, "dc": "dc2"}"#;
/// redis::cmd("SET").arg("user:1").arg(new).exec_async(&mut dc1).await?;
/// redis::cmd("SET").arg("user:1").arg(old).exec_async(&mut dc2).await?;
///
/// let within = Duration::from_secs(10);
/// let comparison = Comparison {
///     first: &RedisSite::new(dc1, within),
///     first_dc: "dc1",
///     second: &RedisSite::new(dc2.clone(), within),
///     second_dc: "dc2",
///     keys: &["user:*".to_owned()],
///     counters: &[],
///     // In production longer than a write usually takes to the other site.
///     pace: Pace { keys_per_second: Some(5_000), settle: Duration::from_millis(100) },
///     limits: ApplyLimits::default(),
///     sample: None,
///     repairs: Some(Repairs { copy_missing: false }),
/// };
/// let report = comparison.run(|_| {}).await?;
/// assert_eq!(report.divergent(), 1);
/// let repaired: String = redis::cmd("GET").arg("user:1").query_async(&mut dc2).await?;
/// assert_eq!(repaired, new);
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct Comparison<'a, S> {
    /// One site.
    pub first: &'a S,
    /// Its datacenter's name, which its counters' fields have.
    pub first_dc: &'a str,
    /// The other one.
    pub second: &'a S,
    /// Its datacenter's name.
    pub second_dc: &'a str,
    /// Patterns of the keys of registers, as SCAN takes them.
    pub keys: &'a [String],
    /// Patterns of the keys of counters.
    pub counters: &'a [String],
    /// How fast.
    pub pace: Pace,
    /// What the sites accept.
    pub limits: ApplyLimits,
    /// Ends after so many keys; none for all.
    pub sample: Option<u64>,
    /// What to repair; none to change nothing.
    pub repairs: Option<Repairs>,
}

impl<S> Clone for Comparison<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Comparison<'_, S> {}

impl<'a, S: Site> Comparison<'a, S> {
    /// Compares, and repairs if asked to. `progress` is called after each page.
    ///
    /// # Errors
    /// Why a site did not answer. What was repaired until then is repaired.
    pub async fn run(
        &self,
        mut progress: impl FnMut(&ComparisonReport),
    ) -> Result<ComparisonReport, SiteError> {
        let mut run = Run::new(*self);
        let patterns = Patterns::new(self.keys, self.counters);
        for direction in Direction::ALL {
            run.compare_source(direction, &patterns, &mut progress)
                .await?;
        }
        run.look_again().await?;
        run.look_at_counters_again().await?;
        run.report.is_complete = !run.has_sampled;
        progress(&run.report);
        Ok(run.report)
    }

    const fn sites(&self) -> SitePair<'a, S> {
        SitePair {
            first: self.first,
            second: self.second,
        }
    }

    const fn dc_of_target(&self, direction: Direction) -> &'a str {
        match direction {
            Direction::FirstToSecond => self.second_dc,
            Direction::SecondToFirst => self.first_dc,
        }
    }
}

/// A comparison under way.
struct Run<'a, S> {
    plan: Comparison<'a, S>,
    report: ComparisonReport,
    suspects: BTreeMap<Vec<u8>, Suspect>,
    counter_suspects: BTreeMap<Vec<u8>, CounterPair>,
    /// When the latest suspect was added.
    suspected: Duration,
    pacer: Pacer,
    has_sampled: bool,
}

/// A page of names.
struct SourcePage {
    /// Where the next one begins; 0 for none.
    cursor: u64,
    names: Vec<Vec<u8>>,
    /// How long the server took for it.
    took: Duration,
}

/// A key that differed at the first look.
struct Suspect {
    finding: Finding,
    sighting: Sighting,
}

/// What both sites hold under some keys, and by what that is judged.
struct Look {
    first: Vec<Stored>,
    second: Vec<Stored>,
    by: Judgement,
}

impl<'a, S: Site> Run<'a, S> {
    fn new(plan: Comparison<'a, S>) -> Self {
        let now = plan.first.elapsed();
        Self {
            plan,
            report: ComparisonReport::default(),
            suspects: BTreeMap::new(),
            counter_suspects: BTreeMap::new(),
            suspected: now,
            pacer: Pacer::new(plan.pace, now),
            has_sampled: false,
        }
    }

    /// Compares what a direction's source has, once through its keys.
    async fn compare_source(
        &mut self,
        direction: Direction,
        patterns: &Patterns,
        progress: &mut impl FnMut(&ComparisonReport),
    ) -> Result<(), SiteError> {
        let mut cursor = 0;
        loop {
            let wants_registers = patterns.has_registers() && !self.is_sampled(self.report.keys);
            let wants_counters = patterns.has_counters() && !self.is_sampled(self.report.counters);
            if !wants_registers && !wants_counters {
                return Ok(());
            }
            let page = self.page(direction, cursor, patterns).await?;
            let mut registers = Vec::new();
            if wants_registers {
                registers = patterns.registers(&page.names);
            }
            let mut counters = Vec::new();
            if wants_counters {
                counters = patterns.counters(&page.names);
            }
            let matching = registers.len() + counters.len();
            self.pacer.note_page(direction, matching, page.took);
            let registers = self.only_new(direction, registers).await?;
            for some in registers.chunks(READ_AT_ONCE) {
                self.compare_page(some).await?;
            }
            let counters = self.only_new(direction, counters).await?;
            self.compare_counters(counters).await?;
            progress(&self.report);
            self.hold_back().await;
            cursor = page.cursor;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// A page of the names of a direction's source.
    async fn page(
        &mut self,
        direction: Direction,
        cursor: u64,
        patterns: &Patterns,
    ) -> Result<SourcePage, SiteError> {
        let source = self.plan.sites().source(direction);
        let count = match direction {
            Direction::FirstToSecond => PAGE,
            Direction::SecondToFirst => PAGE_OF_NAMES,
        };
        let began = source.elapsed();
        let scan = Request::scan(cursor, patterns.filter.as_bytes(), count);
        let page = source.request(scan).await?.page()?;
        Ok(SourcePage {
            cursor: page.cursor,
            names: page.keys,
            took: source.elapsed().saturating_sub(began),
        })
    }

    /// Those of `keys` that have not been compared: on the way back they are the ones that the
    /// first site does not have.
    async fn only_new(
        &self,
        direction: Direction,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, SiteError> {
        match direction {
            Direction::FirstToSecond => Ok(keys),
            Direction::SecondToFirst => absent_keys(self.plan.first, &keys).await,
        }
    }

    fn is_sampled(&mut self, compared: u64) -> bool {
        let is_enough = self.plan.sample.is_some_and(|sample| compared >= sample);
        self.has_sampled |= is_enough;
        is_enough
    }

    async fn compare_page(&mut self, keys: &[Vec<u8>]) -> Result<(), SiteError> {
        if keys.is_empty() {
            return Ok(());
        }
        let look = self.look(keys).await?;
        let pairs = look.first.iter().zip(&look.second);
        for (key, (first, second)) in keys.iter().zip(pairs) {
            let found = compare(first, second, look.by);
            let Some(finding) = found.filter(|f| f.difference != Difference::Expiring) else {
                continue;
            };
            let source = match finding.direction {
                Direction::FirstToSecond => first,
                Direction::SecondToFirst => second,
            };
            let suspect = Suspect {
                finding,
                sighting: Sighting::from_stored(source),
            };
            self.suspects.insert(key.clone(), suspect);
            self.suspected = self.plan.first.elapsed();
        }
        self.report.keys += keys.len() as u64;
        if self.suspects.len() >= SUSPECTS_AT_ONCE {
            self.look_again().await?;
        }
        Ok(())
    }

    async fn look(&self, keys: &[Vec<u8>]) -> Result<Look, SiteError> {
        let first = read_all(self.plan.first, keys).await?;
        let second = read_all(self.plan.second, keys).await?;
        Ok(Look {
            by: self.judgement(first.now.min(second.now)),
            first: first.stored,
            second: second.stored,
        })
    }

    const fn judgement(&self, now: Stamp) -> Judgement {
        Judgement {
            now,
            expiry_margin: EXPIRY_MARGIN.as_secs_f64(),
            max_ahead: self.plan.limits.max_ahead.as_secs_f64(),
        }
    }

    /// Takes the second look at all suspects.
    async fn look_again(&mut self) -> Result<(), SiteError> {
        let suspects = std::mem::take(&mut self.suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        self.wait_for_second_look().await;
        let keys: Vec<Vec<u8>> = suspects.keys().cloned().collect();
        for some in keys.chunks(PAGE) {
            let look = self.look(some).await?;
            let mut settled = Vec::new();
            let pairs = look.first.iter().zip(&look.second);
            for (key, (first, second)) in some.iter().zip(pairs) {
                if let Some(suspect) = suspects.get(key) {
                    settled.extend(self.judge(key, suspect, [first, second], look.by));
                }
            }
            if let Some(repairs) = self.plan.repairs {
                let limits = self.plan.limits;
                let report = &mut self.report.repairs;
                repair(self.plan.sites(), &settled, repairs, limits, report).await?;
            }
        }
        Ok(())
    }

    /// Counts a suspect as settled, which is returned, or as in flight.
    fn judge(
        &mut self,
        key: &[u8],
        suspect: &Suspect,
        [first, second]: [&Stored; 2],
        by: Judgement,
    ) -> Option<Settled> {
        let direction = suspect.finding.direction;
        let target = match direction {
            Direction::FirstToSecond => second,
            Direction::SecondToFirst => first,
        };
        let report = self.report.direction_mut(direction);
        let found = compare(first, second, by).filter(|found| {
            found.direction == direction && found.difference != Difference::Expiring
        });
        let Some(found) = found.filter(|_| suspect.sighting.is_lacking_at(target)) else {
            report.in_flight += 1;
            return None;
        };
        *report.settled.entry(found.difference).or_default() += 1;
        report.note(key, found.difference.label());
        Some(Settled {
            key: key.to_vec(),
            finding: found,
        })
    }

    async fn wait_for_second_look(&self) {
        let due = self.suspected + self.plan.pace.settle;
        if let Some(early) = due.checked_sub(self.plan.first.elapsed()) {
            self.plan.first.pause(early).await;
        }
    }

    async fn hold_back(&self) {
        if let Some(early) = self.pacer.early(self.plan.first.elapsed()) {
            self.plan.first.pause(early).await;
        }
    }
}
