//! Sentinels in a report: whether they answer, what they report, and where they run.

use serde::{Deserialize, Serialize};

use crate::info::QuorumCheck;
use crate::monitor::FleetSnapshot;
use crate::topology::{SentinelGroup, SentinelState, SourceHealth};

/// The Sentinels that watch the pairs of one name, and what they report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentinelsReport {
    /// What the pairs are called; the name of the configuration's entry while no master is known.
    pub pair: String,
    /// The server that they name as the master, `host:port`; `null` while no master is known.
    pub master: Option<String>,
    /// Every Sentinel, by address.
    pub sentinels: Vec<SentinelReport>,
    /// The risks of where they run, a sentence each.
    pub risks: Vec<String>,
    /// Whether it is known where they run: if not, an empty list of risks means nothing. Absent
    /// from reports of older exporters.
    #[serde(default)]
    pub placement_known: bool,
}

/// One Sentinel, and what it reports of one master. What it does not report is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentinelReport {
    /// Its datacenter.
    pub dc: String,
    /// Its address, `host:port`.
    pub server: String,
    /// Whether it answered the last query; `null` before the first.
    pub up: Option<bool>,
    /// Why it did not answer, as a sentence.
    pub reason: Option<String>,
    /// Whether enough Sentinels are reachable for a failover.
    pub quorum_ok: Option<bool>,
    /// Whether it names the same master as the others.
    pub agrees: Option<bool>,
    /// Whether it is in TILT, in which it decides nothing.
    pub tilt: Option<bool>,
}

impl SentinelsReport {
    pub(super) fn new(fleet: &FleetSnapshot) -> Vec<Self> {
        let mut reports = Vec::new();
        for source in &*fleet.sources {
            if let SourceHealth::Sentinels(group) = source {
                reports.push(Self::from_group(group));
            }
        }
        reports
    }

    fn from_group(group: &SentinelGroup) -> Self {
        Self {
            pair: group.pair.to_string(),
            master: group.master.as_ref().map(ToString::to_string),
            sentinels: group.sentinels.iter().map(SentinelReport::new).collect(),
            risks: group.risks.iter().map(ToString::to_string).collect(),
            placement_known: group.placement_known,
        }
    }
}

impl SentinelReport {
    fn new(sentinel: &SentinelState) -> Self {
        let reason = match &sentinel.answer {
            Some(Err(failure)) => Some(failure.sentence("the Sentinel")),
            Some(Ok(())) | None => None,
        };
        Self {
            dc: sentinel.dc.to_string(),
            server: sentinel.addr.to_string(),
            up: sentinel.answer.as_ref().map(Result::is_ok),
            reason,
            quorum_ok: sentinel.quorum.map(|quorum| quorum == QuorumCheck::Reached),
            agrees: sentinel.agrees,
            tilt: sentinel.tilted,
        }
    }

    /// What is wrong with it, in a few words; `None` where nothing is known to be wrong.
    pub fn trouble(&self) -> Option<String> {
        let mut problems = Vec::new();
        if self.up == Some(false) {
            problems.push(self.reason.as_deref().unwrap_or("it does not answer"));
        }
        if self.quorum_ok == Some(false) {
            problems.push("it sees no quorum: nothing will be failed over");
        }
        if self.agrees == Some(false) {
            problems.push("it names another master than the others");
        }
        if self.tilt == Some(true) {
            problems.push("it is in TILT: it decides nothing for the moment");
        }
        if problems.is_empty() {
            return None;
        }
        Some(problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datacenter, PollError, ServerAddr};

    fn state() -> SentinelState {
        SentinelState {
            addr: ServerAddr::new("s", 1),
            dc: Datacenter::new("a"),
            answer: Some(Ok(())),
            quorum: Some(QuorumCheck::Reached),
            agrees: Some(true),
            tilted: Some(false),
        }
    }

    fn check(state: &SentinelState, expected: Option<&str>) {
        assert_eq!(SentinelReport::new(state).trouble().as_deref(), expected);
    }

    #[test]
    fn every_trouble_is_named() {
        check(&state(), None);
        check(
            &SentinelState {
                answer: None,
                quorum: None,
                agrees: None,
                tilted: None,
                ..state()
            },
            None,
        );
        check(
            &SentinelState {
                quorum: Some(QuorumCheck::NotReached),
                agrees: Some(false),
                ..state()
            },
            Some(
                "it sees no quorum: nothing will be failed over; it names another master than the others",
            ),
        );
        check(
            &SentinelState {
                tilted: Some(true),
                ..state()
            },
            Some("it is in TILT: it decides nothing for the moment"),
        );
        let silent = SentinelState {
            answer: Some(Err(PollError::Refused.into())),
            quorum: None,
            agrees: None,
            ..state()
        };
        let trouble = SentinelReport::new(&silent).trouble().unwrap();
        assert!(trouble.starts_with("the Sentinel "), "{trouble}");
    }
}
