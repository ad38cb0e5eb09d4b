//! The context of an alert: the facts besides its value from which its messages are made.
//!
//! These types are also written to the state file. A new field needs a serde default; one that is
//! renamed keeps its old name for serde.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    AtRisk, BacklogHeadroom, Details, Inhibitor, Labels, Recovery, ServedPair, Worst, WriteLoss,
};
use crate::model::{ClockShift, PollError, Timestamp};
use crate::replication::PairState;

/// What a person who is notified needs besides labels and values.
///
/// The times are those of the fault and not of the alert: a fault is older than the alert that a
/// rule makes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertContext {
    /// The pair's configured labels. They are sent, but are no part of the identity.
    pub extra_labels: Arc<Labels>,
    /// The pair's master, as `host:port`.
    pub master: Option<String>,
    /// The pair's link state.
    pub state: Option<PairState>,
    /// One sentence: why the state is what it is.
    pub reason: Option<String>,
    /// When the last sample was taken that could be compared.
    pub last_sample: Option<Timestamp>,
    /// The alerts that inhibit this one while they fire, so that only one of them is notified.
    #[serde(rename = "causes")]
    pub inhibitors: Arc<[Inhibitor]>,
    /// When the fault began: the link went down, the first request was not answered, the oldest
    /// missing write was written. `None` while nothing is wrong, or where it is unknown.
    #[serde(default)]
    pub fault_since: Option<Timestamp>,
    /// When the fault ended. Together with `fault_since` both belong to one fault; alone it only
    /// means that there is no fault.
    #[serde(default)]
    pub fault_until: Option<Timestamp>,
    /// The replica has every write up to this instant.
    #[serde(default)]
    pub last_data: Option<Timestamp>,
    /// What would be lost if the master's datacenter failed.
    #[serde(default)]
    pub at_risk: Option<AtRisk>,
    /// The worst values during the fault.
    #[serde(default)]
    pub worst: Worst,
    /// How much longer the master's backlog covers the outage.
    #[serde(default)]
    pub backlog: Option<BacklogHeadroom>,
    /// How the replica recovered from the outage.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// The last state of the link that was a fault.
    #[serde(default)]
    pub fault_state: Option<PairState>,
    /// When the master's present replication history, or the server's present process, was first
    /// seen. A history that is older than the fault has lost nothing.
    #[serde(default)]
    pub same_since: Option<Timestamp>,
    /// Whether the replica has to be named: another one of the pair runs in the same datacenter.
    #[serde(default)]
    pub names_replica: bool,
    /// The pairs whose master or replica the server is, as a master first; at most
    /// [`MAX_SERVICES`](super::MAX_SERVICES).
    #[serde(default)]
    pub services: Vec<ServedPair>,
    /// How many more pairs there are.
    #[serde(default)]
    pub more_services: usize,
    /// Why the server's last poll failed.
    #[serde(default, deserialize_with = "known_error")]
    pub error: Option<PollError>,
    /// Whether the pair's master came back without its replication history, and that has not ended:
    /// then nothing may be called safe.
    #[serde(default)]
    pub history_lost: bool,
    /// Facts that only alerts of one rule have.
    #[serde(default)]
    pub details: Option<Details>,
}

impl AlertContext {
    /// Merges what was known `before` of the same alert into this newer context. A fault that began
    /// after the previous one had ended is another fault, with times and a peak of its own.
    #[must_use]
    pub fn continuing(mut self, before: &Self) -> Self {
        if self.details.is_none() {
            self.details.clone_from(&before.details);
        }
        let began = self.fault_since;
        // Without a beginning, `fault_until` is not the end of a fault.
        let ended = match before.fault_since {
            Some(_) => before.fault_until,
            None => None,
        };
        if let Some(began) = began
            && let Some(ended) = ended
            && began >= ended
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

    /// Whether the master's history, or the server's process, is the same as before the fault.
    pub fn is_the_same(&self) -> bool {
        let (Some(same), Some(fault)) = (self.same_since, self.fault_since) else {
            return false;
        };
        same <= fault
    }

    /// Maps its instants from the clock of the process that saved it.
    pub fn shift(&mut self, shift: &ClockShift) {
        let map = |at: &mut Option<Timestamp>| *at = at.map(|at| shift.past(at));
        map(&mut self.last_sample);
        map(&mut self.fault_since);
        map(&mut self.fault_until);
        map(&mut self.last_data);
        map(&mut self.same_since);
        if let Some(risk) = &mut self.at_risk {
            map(&mut risk.as_of);
        }
        for service in &mut self.services {
            if let Some(risk) = &mut service.at_risk {
                map(&mut risk.as_of);
            }
        }
        if let Some(details) = &mut self.details {
            details.shift(shift);
        }
    }
}

impl Details {
    fn shift(&mut self, shift: &ClockShift) {
        match self {
            Self::Failover(failover) => {
                failover.at = shift.past(failover.at);
                if let WriteLoss::AtMost { as_of, .. } = &mut failover.lost {
                    *as_of = shift.past(*as_of);
                }
            }
            Self::HistoryLost(loss) => Arc::make_mut(loss).shift(shift),
            Self::Diverged(facts) => {
                if let Some(evidence) = &mut facts.evidence {
                    evidence.at = shift.past(evidence.at);
                }
            }
            Self::FullSyncs { .. } | Self::Isolated { .. } | Self::OutputBuffer(_) => {}
        }
    }
}

/// Reads a reason; one that this version does not have is absent.
fn known_error<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PollError>, D::Error> {
    let label = Option::<String>::deserialize(from)?;
    Ok(label.as_deref().and_then(PollError::parse))
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::FailoverFacts;
    use crate::model::Span;

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
    fn a_fault_continues_ends_or_is_followed_by_another() {
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
                "nothing is known",
                &open,
                fault(None, None, 0),
                (Some(10), None, 7),
            ),
            (
                "it has ended",
                &open,
                fault(None, Some(20), 0),
                (Some(10), Some(20), 7),
            ),
            (
                "it is still over",
                &over,
                fault(None, Some(25), 0),
                (Some(10), Some(20), 7),
            ),
            (
                "it had not ended",
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
    fn fields_missing_on_the_disk_are_unknown() {
        let old = r#"{"extra_labels":{},"master":null,"state":"stalled","reason":null,
                      "last_sample":5,"causes":[]}"#;
        let read: AlertContext = serde_json::from_str(old).unwrap();
        let expected = AlertContext {
            state: Some(PairState::Stalled),
            last_sample: Some(Timestamp::from_nanos(5)),
            ..AlertContext::default()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_restored_context_has_its_instants_on_the_present_clock() {
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
            operation: None,
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
