//! Repairing what two sites differ in for good.

use std::collections::BTreeMap;

use super::pair::SitePair;
use crate::active_active::{
    ApplyLimits, ApplyOutcome, Difference, Direction, Envelope, Finding, MAX_ENVELOPE, Reply,
    Request, Site, SiteError,
};

/// Keys that are repaired at once; fewer where their values are long.
const KEYS_AT_ONCE: usize = 500;

/// What a comparison repairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Also copies keys that one site lacks. Without tombstones such a key may have been deleted
    /// there, and comes back.
    pub copy_missing: bool,
}

impl Repairs {
    const fn includes(self, difference: Difference) -> bool {
        match difference {
            Difference::Missing => self.copy_missing,
            difference => difference.is_repairable(),
        }
    }
}

/// What was repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Keys that were written, by direction.
    pub repaired: BTreeMap<Direction, u64>,
    /// Counters that were merged.
    pub counters: u64,
    /// Keys that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// A key that the sites differ in for good.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) key: Vec<u8>,
    pub(super) finding: Finding,
}

/// Writes the newer version of each key to the site that lacks it; the script there decides once
/// more, so that a key that has moved on meanwhile is not set back.
pub(super) async fn repair<S: Site>(
    sites: SitePair<'_, S>,
    settled: &[Settled],
    repairs: Repairs,
    limits: ApplyLimits,
    report: &mut RepairReport,
) -> Result<(), SiteError> {
    for direction in Direction::ALL {
        let chosen = settled.iter().filter(|settled| {
            settled.finding.direction == direction && repairs.includes(settled.finding.difference)
        });
        let keys: Vec<&[u8]> = chosen.map(|settled| settled.key.as_slice()).collect();
        repair_keys(sites, direction, &keys, limits, report).await?;
    }
    Ok(())
}

/// Writes what the source of `direction` has under each key to its target.
async fn repair_keys<S: Site>(
    sites: SitePair<'_, S>,
    direction: Direction,
    keys: &[&[u8]],
    limits: ApplyLimits,
    report: &mut RepairReport,
) -> Result<(), SiteError> {
    let mut left = keys;
    let mut at_once = KEYS_AT_ONCE;
    while !left.is_empty() {
        let (some, rest) = left.split_at_checked(at_once).unwrap_or((left, &[]));
        let versions = match read_versions(sites.source(direction), some).await {
            Err(SiteError::TooLarge) if at_once > 1 => {
                at_once /= 2;
                continue;
            }
            versions => versions?,
        };
        let requests = versions
            .iter()
            .map(|(key, envelope)| Request::apply(key, envelope, limits));
        let replies = sites.target(direction).send(requests.collect()).await?;
        for reply in replies {
            note(reply.and_then(Reply::apply), direction, report)?;
        }
        left = rest;
    }
    Ok(())
}

async fn read_versions<'k, S: Site>(
    source: &S,
    keys: &[&'k [u8]],
) -> Result<Vec<(&'k [u8], Envelope)>, SiteError> {
    let requests = keys.iter().map(|key| Request::read(key, MAX_ENVELOPE + 1));
    let replies = source.send(requests.collect()).await?;
    let mut versions = Vec::new();
    for (key, reply) in keys.iter().zip(replies) {
        let text = match reply {
            Err(SiteError::WrongType) => continue,
            reply => reply?.bytes()?.unwrap_or_default(),
        };
        // What is no envelope any more has moved on.
        if let Ok(envelope) = Envelope::parse(text) {
            versions.push((*key, envelope));
        }
    }
    Ok(versions)
}

fn note(
    outcome: Result<ApplyOutcome, SiteError>,
    direction: Direction,
    report: &mut RepairReport,
) -> Result<(), SiteError> {
    let refusal = match outcome {
        Ok(ApplyOutcome::Applied { .. }) => {
            *report.repaired.entry(direction).or_default() += 1;
            return Ok(());
        }
        Ok(ApplyOutcome::Same | ApplyOutcome::Older { .. }) => return Ok(()),
        Ok(ApplyOutcome::Future) => "future",
        Ok(ApplyOutcome::StoredMalformed) => "malformed",
        Ok(ApplyOutcome::ExpiredTombstone) => "expired_tombstone",
        Err(SiteError::WrongType) => "wrong_type",
        Err(error) => return Err(error),
    };
    *report.refused.entry(refusal).or_default() += 1;
    Ok(())
}
