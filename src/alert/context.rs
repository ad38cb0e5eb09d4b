//! What an alert knows besides its value: the facts that its messages are made of.
//!
//! As they are here they also stand on the disk: what is added needs a default.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Inhibitor, Labels, Word, saved};
use crate::model::{Bytes, ClockShift, PollError, Span, Timestamp};
use crate::replication::{HistoryLoss, SyncProgress};

/// What the person who is notified needs to know besides labels and values.
///
/// The times are those of the fault and not of the alert: a fault is older than the alert that a
/// rule makes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertContext {
    /// The pair's configured labels; sent, but no part of the identity.
    pub extra_labels: Arc<Labels>,
    /// The pair's master, as `host:port`.
    pub master: Option<String>,
    /// The state (a pair's link state), in the contract's spelling.
    #[serde(with = "saved::state_label")]
    pub state: Option<Word>,
    /// One sentence: why the state is what it is.
    pub reason: Option<String>,
    /// When the last answer came that could be compared.
    pub last_sample: Option<Timestamp>,
    /// The alerts that explain this one, as long as they fire: nobody is told of both.
    #[serde(rename = "causes")]
    pub inhibitors: Arc<[Inhibitor]>,
    /// Since when the fault lasts: the link is down, no request is answered, the oldest missing
    /// write was written. `None` while nothing is wrong, or where it is unknown.
    #[serde(default)]
    pub fault_since: Option<Timestamp>,
    /// When the fault ended. With `fault_since` it is one fault; alone it only says that all is
    /// well.
    #[serde(default)]
    pub fault_until: Option<Timestamp>,
    /// The replica has every write up to this instant.
    #[serde(default)]
    pub last_data: Option<Timestamp>,
    /// What would be lost if the master's datacenter failed.
    #[serde(default)]
    pub at_risk: Option<AtRisk>,
    /// The worst that the fault came to.
    #[serde(default)]
    pub worst: Worst,
    /// How much longer the master's backlog covers the outage.
    #[serde(default)]
    pub backlog: Option<BacklogHeadroom>,
    /// How the replica got over the outage.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// What the link was while it was not fine: the last state of the fault.
    #[serde(default, with = "saved::state_label")]
    pub fault_state: Option<Word>,
    /// Since when the master has its present replication history, or the server its process, as far
    /// as was seen: what was the same before the fault and after it has lost nothing.
    #[serde(default)]
    pub same_since: Option<Timestamp>,
    /// Whether name and datacenters do not say which replica is meant: another one of the pair runs
    /// in the same datacenter.
    #[serde(default)]
    pub names_replica: bool,
    /// Whose master or replica the server is, masters first; at most [`MAX_SERVICES`].
    #[serde(default)]
    pub services: Vec<ServedPair>,
    /// How many more there are.
    #[serde(default)]
    pub more_services: usize,
    /// Why the server's last poll failed.
    #[serde(default, with = "saved::poll_error")]
    pub error: Option<PollError>,
    /// What only alerts of one rule know.
    #[serde(default)]
    pub details: Option<Details>,
}

/// Services of one server that are kept.
pub const MAX_SERVICES: usize = 8;

/// A value with what is certain about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds<T> {
    /// It is certainly at least this.
    pub lower: Option<T>,
    /// The best estimate.
    pub estimate: Option<T>,
    /// It is certainly at most this.
    pub upper: Option<T>,
}

/// The writes that would be lost if the master's datacenter failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// The age of the oldest of them.
    pub lag: Bounds<Span>,
    /// Their bytes in the replication stream.
    pub bytes: Bounds<Bytes>,
    /// When this was certain for the last time; `None` means now.
    pub as_of: Option<Timestamp>,
}

/// The worst that a fault came to, by the estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worst {
    /// The lag.
    pub lag: Option<Span>,
    /// The lag in bytes.
    pub bytes: Option<Bytes>,
}

/// What is left of the master's backlog for a replica that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogHeadroom {
    /// Bytes that the master may still write before only a full resync helps; zero when that is so
    /// already.
    pub headroom: Bytes,
    /// How long that lasts at the rate of the last minutes; `None` where nothing was written, or
    /// too little is known.
    pub lasts: Option<Span>,
}

/// How a replica got over an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How the stream went on; `None` where that was not seen.
    pub resync: Option<Resync>,
    /// How long it took from the end of the fault until the replica had everything; `None` while it
    /// is still catching up.
    pub took: Option<Span>,
}

/// How a stream went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    /// Over the same connection.
    None,
    /// By a partial resync.
    Partial,
    /// By a full resync.
    Full,
}

/// What a server does for one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedPair {
    /// Whether it is the pair's master or its replica.
    pub role: ServiceRole,
    /// The pair.
    pub pair: String,
    /// The datacenter of the server at the other end.
    pub peer_dc: String,
    /// The server at the other end, `host:port`.
    pub peer: String,
    /// What would be lost if the pair's master failed.
    pub at_risk: Option<AtRisk>,
    /// How far the full sync between the two is, while one is under way.
    #[serde(default)]
    pub sync: Option<SyncProgress>,
}

/// Which end of a pair a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceRole {
    /// The master.
    Master,
    /// The replica.
    Replica,
}

/// What only alerts of one rule know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// The last failover of an entry.
    Failover(FailoverFacts),
    /// Two masters, or a replica with writes of its own.
    Diverged(DivergedFacts),
    /// How many full syncs a server gave.
    FullSyncs {
        /// Over how long they are counted.
        window: Span,
    },
    /// A master that came back without its history.
    HistoryLost(Arc<HistoryLoss>),
    /// How many servers outside the exporter's datacenter are silent.
    Isolated {
        /// All of them.
        servers: usize,
    },
}

/// A failover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverFacts {
    /// The master before, `host:port`.
    pub from: String,
    /// Its datacenter.
    pub from_dc: String,
    /// The master now, `host:port`.
    pub to: String,
    /// Its datacenter.
    pub to_dc: String,
    /// When it was seen.
    pub at: Timestamp,
    /// What the new master lacks of the old one's stream.
    pub lost: WriteLoss,
    /// Over how long failovers are counted.
    pub window: Span,
}

/// What a failover or a divergence cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteLoss {
    /// Exactly this; zero means nothing.
    Exactly(Bytes),
    /// Certainly at least this.
    AtLeast(Bytes),
    /// At most the writes of so much time, as of the instant at which that was certain. What the
    /// old master wrote after it is not known.
    AtMost {
        /// The age of the oldest write.
        lag: Span,
        /// Their bytes.
        bytes: Option<Bytes>,
        /// When that was certain.
        as_of: Timestamp,
        /// At least this many bytes are lost for certain.
        at_least: Option<Bytes>,
    },
    /// All that is lost was written within so much time, the last before the old master gave way.
    Within {
        /// So much time.
        lag: Span,
        /// At least this many bytes are lost for certain.
        at_least: Option<Bytes>,
    },
    /// Nothing is known.
    Unknown,
}

/// Two servers with histories of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DivergedFacts {
    /// The pair's master, `host:port`.
    pub master: String,
    /// The pair's replica, `host:port`.
    pub replica: String,
    /// Whether both say that they are masters.
    pub two_masters: bool,
    /// Bytes that only the master has.
    pub only_master: Option<Bytes>,
    /// Bytes that only the replica has.
    pub only_replica: Option<Bytes>,
}

impl<T> Default for Bounds<T> {
    fn default() -> Self {
        Self {
            lower: None,
            estimate: None,
            upper: None,
        }
    }
}

impl<T: Copy> Bounds<T> {
    /// The estimate, or the lower bound where there is none.
    pub fn best(&self) -> Option<T> {
        self.estimate.or(self.lower)
    }

    /// Whether nothing is known.
    pub const fn is_unknown(&self) -> bool {
        self.lower.is_none() && self.estimate.is_none() && self.upper.is_none()
    }
}

impl Worst {
    /// The worse of both.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        Self {
            lag: self.lag.max(other.lag),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl AtRisk {
    /// What of it counts as the worst: what is certain only as of earlier says nothing of now.
    pub fn worst(&self) -> Worst {
        if self.as_of.is_some() {
            return Worst::default();
        }
        Worst {
            lag: self.lag.best(),
            bytes: self.bytes.best(),
        }
    }
}

impl AlertContext {
    /// Goes on with what was known `before` of the same alert. A fault that began after the one
    /// before had ended is another one, with times and a peak of its own.
    #[must_use]
    pub fn continuing(mut self, before: &Self) -> Self {
        self.details = self.details.or_else(|| before.details.clone());
        let began = self.fault_since;
        let ended = before.fault_until.filter(|_| before.fault_since.is_some());
        if ended
            .zip(began)
            .is_some_and(|(ended, began)| began >= ended)
        {
            return self;
        }
        self.worst = self.worst.or_worse(before.worst);
        self.recovery = self.recovery.or(before.recovery);
        self.fault_state = self.fault_state.or(before.fault_state);
        self.fault_since = earliest(began, before.fault_since);
        let goes_on = began.is_some() && self.fault_until.is_none();
        if !goes_on {
            self.fault_until = earliest(self.fault_until, ended);
        }
        self
    }

    /// Whether the master's history, or the server's process, is the one from before the fault.
    pub fn is_the_same(&self) -> bool {
        let both = self.same_since.zip(self.fault_since);
        both.is_some_and(|(same, fault)| same <= fault)
    }

    /// Reads its instants, which are of another clock.
    pub fn shift(&mut self, shift: &ClockShift) {
        let past = |at: &mut Option<Timestamp>| *at = at.map(|at| shift.past(at));
        past(&mut self.last_sample);
        past(&mut self.fault_since);
        past(&mut self.fault_until);
        past(&mut self.last_data);
        past(&mut self.same_since);
        let own = self.at_risk.iter_mut();
        let of_services = self.services.iter_mut().filter_map(|s| s.at_risk.as_mut());
        own.chain(of_services)
            .for_each(|risk| past(&mut risk.as_of));
        match &mut self.details {
            Some(Details::Failover(failover)) => {
                failover.at = shift.past(failover.at);
                if let WriteLoss::AtMost { as_of, .. } = &mut failover.lost {
                    *as_of = shift.past(*as_of);
                }
            }
            Some(Details::HistoryLost(loss)) => Arc::make_mut(loss).shift(shift),
            Some(Details::Diverged(_) | Details::FullSyncs { .. } | Details::Isolated { .. })
            | None => {}
        }
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn fault(since: Option<i64>, until: Option<i64>, worst: i64) -> AlertContext {
        AlertContext {
            fault_since: since.map(at),
            fault_until: until.map(at),
            worst: Worst {
                lag: Some(Span::from_secs(worst)),
                bytes: None,
            },
            ..AlertContext::default()
        }
    }

    type Expected = (Option<i64>, Option<i64>, i64);

    #[test]
    fn a_fault_goes_on_ends_or_is_another_one() {
        let open = fault(Some(10), None, 7);
        let over = fault(Some(10), Some(20), 7);
        let cases: [(&str, &AlertContext, AlertContext, Expected); 7] = [
            (
                "it goes on",
                &open,
                fault(Some(12), None, 9),
                (Some(10), None, 9),
            ),
            (
                "nobody knows",
                &open,
                fault(None, None, 0),
                (Some(10), None, 7),
            ),
            (
                "all is well",
                &open,
                fault(None, Some(20), 0),
                (Some(10), Some(20), 7),
            ),
            (
                "all is still well",
                &over,
                fault(None, Some(25), 0),
                (Some(10), Some(20), 7),
            ),
            (
                "it was not over",
                &over,
                fault(Some(10), None, 8),
                (Some(10), None, 8),
            ),
            (
                "another one",
                &over,
                fault(Some(21), None, 3),
                (Some(21), None, 3),
            ),
            (
                "a known end",
                &open,
                fault(Some(10), Some(19), 7),
                (Some(10), Some(19), 7),
            ),
        ];
        for (case, before, now, (since, until, worst)) in cases {
            let merged = now.continuing(before);
            let expected = fault(since, until, worst);
            assert_eq!(merged, expected, "{case}");
        }
    }

    #[test]
    fn what_is_not_on_the_disk_is_unknown() {
        let old = r#"{"extra_labels":{},"master":null,"state":"stalled","reason":null,
                      "last_sample":5,"causes":[]}"#;
        let read: AlertContext = serde_json::from_str(old).unwrap();
        let expected = AlertContext {
            state: Some("stalled"),
            last_sample: Some(Timestamp::from_nanos(5)),
            ..AlertContext::default()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn everything_comes_back_from_the_disk_on_the_present_clock() {
        let at_risk = Some(AtRisk {
            as_of: Some(at(3)),
            ..AtRisk::default()
        });
        let lost = WriteLoss::AtMost {
            lag: Span::from_secs(1),
            bytes: None,
            as_of: at(4),
            at_least: None,
        };
        let failover = FailoverFacts {
            from: "a:1".to_owned(),
            from_dc: "dc1".to_owned(),
            to: "b:1".to_owned(),
            to_dc: "dc2".to_owned(),
            at: at(5),
            lost,
            window: Span::from_secs(600),
        };
        let context = AlertContext {
            at_risk,
            error: Some(PollError::Refused),
            details: Some(Details::Failover(failover)),
            ..fault(Some(1), Some(2), 7)
        };
        let text = serde_json::to_string(&context).unwrap();
        let mut read: AlertContext = serde_json::from_str(&text).unwrap();
        assert_eq!(read, context);
        let shift = ClockShift {
            by: Span::from_secs(100),
            now: crate::model::ClockAnchor {
                mono: at(1000),
                ..Default::default()
            },
            ..ClockShift::default()
        };
        read.shift(&shift);
        let Some(Details::Failover(failover)) = &read.details else {
            panic!("{read:?}");
        };
        let WriteLoss::AtMost { as_of, .. } = failover.lost else {
            panic!("{read:?}");
        };
        let as_of_risk = read.at_risk.and_then(|risk| risk.as_of);
        let instants = [read.fault_since, read.fault_until, as_of_risk, Some(as_of)];
        assert_eq!(instants, [101, 102, 103, 104].map(|secs| Some(at(secs))));
        assert_eq!(failover.at, at(105));
    }
}
