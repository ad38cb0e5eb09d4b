//! What a comparison found.

use std::collections::BTreeMap;

use crate::active_active::{Difference, Direction};
use crate::multi_site::repair::RepairReport;

/// Keys that are named in a report, for each direction.
const EXAMPLES: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparisonReport {
    /// Registers that were compared. A key that SCAN returns twice counts twice.
    pub keys: u64,
    /// Counters that were compared.
    pub counters: u64,
    /// Whether every key was compared, not a sample.
    pub is_complete: bool,
    /// What the first site has and the second one lacks.
    pub first_to_second: DirectionReport,
    /// What the second site has and the first one lacks.
    pub second_to_first: DirectionReport,
    /// What was repaired.
    pub repairs: RepairReport,
}

/// What one site has and the other one lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectionReport {
    /// Keys that differ for good.
    pub settled: BTreeMap<Difference, u64>,
    /// Keys that differed at the first look and no longer, or not in the same version.
    pub in_flight: u64,
    /// Counters of which the target has less in some field, for good.
    pub counters: u64,
    /// Counters of which the target has less in a field of its own: it has lost increments.
    pub regressed: u64,
    /// Counters with fields at the source that are no counts; they are left alone.
    pub malformed_counters: u64,
    /// Some of the keys and counters.
    pub examples: Vec<Example>,
}

/// A key that differs for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// How it differs.
    pub difference: &'static str,
}

impl DirectionReport {
    /// Keys and counters that differ for good.
    pub fn divergent(&self) -> u64 {
        self.settled.values().sum::<u64>() + self.counters + self.malformed_counters
    }

    pub(super) fn note(&mut self, key: &[u8], difference: &'static str) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example {
                key: String::from_utf8_lossy(key).into_owned(),
                difference,
            });
        }
    }
}

impl ComparisonReport {
    /// What is reported of a direction.
    pub const fn direction(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::FirstToSecond => &self.first_to_second,
            Direction::SecondToFirst => &self.second_to_first,
        }
    }

    pub(super) const fn direction_mut(&mut self, direction: Direction) -> &mut DirectionReport {
        match direction {
            Direction::FirstToSecond => &mut self.first_to_second,
            Direction::SecondToFirst => &mut self.second_to_first,
        }
    }

    /// Keys and counters that differ for good, in both directions.
    pub fn divergent(&self) -> u64 {
        self.first_to_second.divergent() + self.second_to_first.divergent()
    }
}
