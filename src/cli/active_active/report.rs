//! What the commands say about sites: one form for JSON, from which the table is made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::active_active::{Direction, lower_share, upper_share};
use crate::multi_site::{ComparisonReport, DrainReport};

/// The result of a command.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every key was compared and the sites agree; for `sync`, also whether nothing waits.
    pub(super) converged: bool,
    /// Whether the sites were changed.
    pub(super) executed: bool,
    pub(super) entries: Vec<EntryReport>,
}

/// What is said about an entry of the configuration.
#[derive(Debug, Serialize)]
pub(super) struct EntryReport {
    pub(super) name: String,
    /// Absent without a `sync_queue`.
    pub(super) queues: Vec<QueueReport>,
    pub(super) pairs: Vec<PairReport>,
}

/// A site's queue.
#[derive(Debug, Serialize)]
pub(super) struct QueueReport {
    pub(super) source_dc: String,
    pub(super) target_dc: String,
    /// Items at the end of the command.
    pub(super) length: u64,
    /// Items that were set aside, ever.
    pub(super) rejected: u64,
    /// Since when writes were not queued, in seconds since the epoch; none if the queue never was
    /// full.
    pub(super) overflow_since: Option<u64>,
    /// Of a dry run: in how many seconds a drain would have emptied it; none if never.
    pub(super) drain_seconds: Option<f64>,
    /// Of a dry run: whether a drain would ever empty it.
    pub(super) drain_ends: Option<bool>,
    /// What was done; none in a dry run.
    pub(super) drained: Option<Drained>,
}

/// What a drain did.
#[derive(Debug, Serialize)]
pub(super) struct Drained {
    pub(super) taken: u64,
    pub(super) applied: u64,
    pub(super) same: u64,
    pub(super) older: u64,
    pub(super) ties: u64,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// How long it took.
    pub(super) seconds: f64,
    /// Why it stopped early; none if the queue was emptied.
    pub(super) stopped: Option<String>,
}

/// Two sites.
#[derive(Debug, Serialize)]
pub(super) struct PairReport {
    pub(super) first_dc: String,
    pub(super) second_dc: String,
    /// Registers that were compared.
    pub(super) keys: u64,
    /// Counters that were compared.
    pub(super) counters: u64,
    /// Whether every key was compared.
    pub(super) complete: bool,
    /// Keys and counters that differ for good.
    pub(super) divergent: u64,
    /// Of a sample: with 95 % confidence at least and at most this share of the first site's keys
    /// differs; none where every key was compared.
    pub(super) lower_share: Option<f64>,
    pub(super) upper_share: Option<f64>,
    pub(super) directions: Vec<DirectionLines>,
    /// Keys that were repaired, and counters that were merged; none in a dry run.
    pub(super) repaired: Option<Repaired>,
}

/// What was repaired.
#[derive(Debug, Serialize)]
pub(super) struct Repaired {
    pub(super) keys: u64,
    pub(super) counters: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
}

/// What one site has and the other one lacks.
#[derive(Debug, Serialize)]
pub(super) struct DirectionLines {
    pub(super) source_dc: String,
    pub(super) target_dc: String,
    pub(super) settled: BTreeMap<&'static str, u64>,
    pub(super) in_flight: u64,
    pub(super) counters: u64,
    pub(super) regressed_counters: u64,
    pub(super) malformed_counters: u64,
    pub(super) examples: Vec<ExampleLine>,
}

/// A key that differs.
#[derive(Debug, Serialize)]
pub(super) struct ExampleLine {
    pub(super) key: String,
    pub(super) difference: &'static str,
}

impl Drained {
    pub(super) fn new(report: DrainReport, stopped: Option<String>, took: Duration) -> Self {
        Self {
            taken: report.taken,
            applied: report.applied,
            same: report.same,
            older: report.older,
            ties: report.ties,
            rejected: report.rejected,
            seconds: took.as_secs_f64(),
            stopped,
        }
    }
}

impl PairReport {
    pub(super) fn new(dcs: [&str; 2], found: &ComparisonReport) -> Self {
        let [first, second] = dcs;
        let divergent = found.divergent();
        let share = |bound: fn(u64, u64) -> Option<f64>| {
            let differing = divergent.min(found.keys);
            (!found.is_complete)
                .then(|| bound(differing, found.keys))
                .flatten()
        };
        Self {
            first_dc: first.to_owned(),
            second_dc: second.to_owned(),
            keys: found.keys,
            counters: found.counters,
            complete: found.is_complete,
            divergent,
            lower_share: share(lower_share),
            upper_share: share(upper_share),
            directions: vec![
                DirectionLines::new(first, second, found, Direction::FirstToSecond),
                DirectionLines::new(second, first, found, Direction::SecondToFirst),
            ],
            repaired: None,
        }
    }

    /// Adds what an earlier pass repaired.
    pub(super) fn with_repairs(mut self, repairing: &ComparisonReport) -> Self {
        self.repaired = Some(Repaired {
            keys: repairing.repairs.repaired.values().sum(),
            counters: repairing.repairs.counters,
            refused: repairing.repairs.refused.clone(),
        });
        self
    }
}

impl DirectionLines {
    fn new(source: &str, target: &str, found: &ComparisonReport, direction: Direction) -> Self {
        let found = found.direction(direction);
        let settled = found
            .settled
            .iter()
            .map(|(class, count)| (class.label(), *count));
        let examples = found.examples.iter().map(|example| ExampleLine {
            key: example.key.clone(),
            difference: example.difference,
        });
        Self {
            source_dc: source.to_owned(),
            target_dc: target.to_owned(),
            settled: settled.collect(),
            in_flight: found.in_flight,
            counters: found.counters,
            regressed_counters: found.regressed,
            malformed_counters: found.malformed_counters,
            examples: examples.collect(),
        }
    }
}
