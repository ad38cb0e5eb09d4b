//! Sentinels in a report.

use serde::{Deserialize, Serialize};

use crate::info::QuorumCheck;
use crate::monitor::FleetSnapshot;
use crate::topology::{SentinelGroup, SentinelState, SourceHealth};

/// The Sentinels of one pair's name, and what they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentinelsReport {
    /// What the pairs are called; the name of the configuration's entry while no master is known.
    pub pair: String,
    /// Whom they take for the master, `host:port`; `null` while no master is known.
    pub master: Option<String>,
    /// Every Sentinel, by address.
    pub sentinels: Vec<SentinelReport>,
    /// What is risky about where they stand, a sentence each.
    pub risks: Vec<String>,
    /// Whether it is known where they stand: without that, no risks say nothing. Absent from
    /// reports of older exporters.
    #[serde(default)]
    pub placement_known: bool,
}

/// One Sentinel, and what it says of one master. What it does not say is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentinelReport {
    /// Its datacenter.
    pub dc: String,
    /// Its address, `host:port`.
    pub server: String,
    /// Whether it answered the last time; `null` before the first time.
    pub up: Option<bool>,
    /// Why it did not, as a sentence.
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
        let sources = fleet.sources.iter();
        sources
            .map(|SourceHealth::Sentinels(group)| Self::from_group(group))
            .collect()
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
        Self {
            dc: sentinel.dc.to_string(),
            server: sentinel.addr.to_string(),
            up: sentinel.answer.as_ref().map(Result::is_ok),
            reason: sentinel
                .answer
                .as_ref()
                .and_then(|answer| answer.as_ref().err())
                .map(|failure| failure.sentence("the Sentinel")),
            quorum_ok: sentinel.quorum.map(|quorum| quorum == QuorumCheck::Reached),
            agrees: sentinel.agrees,
            tilt: sentinel.tilted,
        }
    }

    /// What is wrong with it, in a few words; `None` where nothing is known to be.
    pub fn trouble(&self) -> Option<String> {
        let words = [
            (self.up == Some(false)).then(|| {
                self.reason
                    .clone()
                    .unwrap_or_else(|| "it does not answer".to_owned())
            }),
            (self.quorum_ok == Some(false))
                .then(|| "it sees no quorum: nothing will be failed over".to_owned()),
            (self.agrees == Some(false))
                .then(|| "it names another master than the others".to_owned()),
            (self.tilt == Some(true))
                .then(|| "it is in TILT: it decides nothing for the moment".to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join("; "))
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
