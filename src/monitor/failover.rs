//! Failovers: which server took over from which, and which writes were lost.

use std::fmt;
use std::sync::Arc;

use crate::model::{Bytes, Datacenter, PairName, ServerAddr, Span, Timestamp};
use crate::replication::LastKnown;

/// Another server of an entry reports that it is the master now: what is watched has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The name of the configuration's entry.
    pub pair: PairName,
    /// Its master so far.
    pub from: ServerAddr,
    /// Its master now.
    pub to: ServerAddr,
}

/// A failover, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    /// The masters before and after.
    pub promotion: Promotion,
    /// The old master's datacenter.
    pub from_dc: Datacenter,
    /// The new master's datacenter.
    pub to_dc: Datacenter,
    /// When it was detected.
    pub at: Timestamp,
    /// The part of the old master's stream that the new one does not have.
    pub loss: FailoverLoss,
    /// The last certified statement about the new master while it was a replica.
    pub last_known: Option<LastKnown>,
    /// The name of the operation that did it, where one was reported.
    pub operation: Option<Arc<str>>,
}

/// How much of the old master's stream the new one does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverLoss {
    /// Exactly this: the old master answered with its own history.
    Exactly(Bytes),
    /// The old master had shown this much; it may have written more since its last answer.
    AtLeast(Bytes),
    /// The old master gave up its history before it was polled once more: the rest of it will never
    /// be known.
    Unseen {
        /// What it had shown.
        at_least: Bytes,
        /// All that is lost was written within this time before the old master gave up, where that
        /// is known.
        within: Option<Span>,
    },
    /// Nothing is known.
    Unknown,
}

/// The failovers of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryFailovers {
    /// The name of the configuration's entry.
    pub pair: PairName,
    /// How many there were since the entry is watched.
    pub total: u64,
    /// The last one.
    pub last: Option<Failover>,
}

impl FailoverLoss {
    /// The number of bytes, where it is exact.
    pub const fn exactly(self) -> Option<Bytes> {
        if let Self::Exactly(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// A lower bound, where there is one.
    pub const fn at_least(self) -> Option<Bytes> {
        match self {
            Self::Exactly(bytes)
            | Self::AtLeast(bytes)
            | Self::Unseen {
                at_least: bytes, ..
            } => Some(bytes),
            Self::Unknown => None,
        }
    }

    /// All that is lost was written within this time, where that is all that will ever be known.
    pub const fn within(self) -> Option<Span> {
        if let Self::Unseen { within, .. } = self {
            within
        } else {
            None
        }
    }
}

impl fmt::Display for Failover {
    /// One sentence: the masters, their datacenters, and what was lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            promotion: Promotion { from, to, .. },
            from_dc,
            to_dc,
            loss,
            ..
        } = self;
        write!(f, "{to} in {to_dc} took over from {from} in {from_dc}; ")?;
        match loss {
            FailoverLoss::Exactly(Bytes::ZERO) => {
                f.write_str("nothing of the old master's stream is lost")
            }
            FailoverLoss::Exactly(bytes) => write!(
                f,
                "{bytes} of the old master's stream are not in the new one's"
            ),
            FailoverLoss::AtLeast(bytes) if *bytes > Bytes::ZERO => write!(
                f,
                "at least {} of the old master's stream are not in the new one's: what it wrote after it was last \
                 asked is not known",
                bytes.shown_at_least()
            ),
            FailoverLoss::Unseen { within, .. } if self.is_bound_better(*within) => {
                self.fmt_known(f)?;
                f.write_str("; what the old master wrote after that is not known")
            }
            FailoverLoss::Unseen { within, at_least } => fmt_unseen(f, *within, *at_least),
            FailoverLoss::AtLeast(_) | FailoverLoss::Unknown => self.fmt_bound(f),
        }
    }
}

/// What is known of a loss whose exact size will never be known.
fn fmt_unseen(f: &mut fmt::Formatter<'_>, within: Option<Span>, at_least: Bytes) -> fmt::Result {
    f.write_str("what the old master wrote ")?;
    if let Some(within) = within {
        write!(f, "in the last {} ", within.shown_at_most())?;
    }
    f.write_str("before it gave way and the new one lacked is lost: ")?;
    if at_least == Bytes::ZERO {
        f.write_str("how much is not known")
    } else {
        let least = at_least.shown_at_least();
        write!(f, "at least {least}, the rest is not known")
    }
}

impl Failover {
    /// Whether what was certain before the failover bounds the loss more tightly than `within`, the
    /// time in which all that is lost was written.
    pub(super) fn is_bound_better(&self, within: Option<Span>) -> bool {
        match (self.last_known, within) {
            (Some(known), Some(within)) => known.upper <= within,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// What is known while the old master has not answered with its own history.
    fn fmt_bound(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was lost is not known until the old master answers")?;
        if self.last_known.is_none() {
            return Ok(());
        }
        f.write_str(": ")?;
        self.fmt_known(f)
    }

    /// The last certain statement about the new master while it was a replica.
    fn fmt_known(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(known) = self.last_known else {
            return Ok(());
        };
        let before = self.at - known.at;
        let lacked_nothing = known.upper <= Span::ZERO || known.upper_bytes == Some(Bytes::ZERO);
        if lacked_nothing {
            return write!(f, "{before} before, the new master lacked nothing");
        }
        write!(f, "{before} before, the new master lacked at most ")?;
        if let Some(bytes) = known.upper_bytes {
            write!(f, "{}, ", bytes.shown_at_most())?;
        }
        write!(f, "the writes of {}", known.upper.shown_at_most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(loss: FailoverLoss, last_known: Option<LastKnown>, expected: &str) {
        let [from, to] = ["a", "b"].map(|host| ServerAddr::new(host, 1));
        let failover = Failover {
            promotion: Promotion {
                pair: PairName::new("orders"),
                from,
                to,
            },
            from_dc: Datacenter::new("dc1"),
            to_dc: Datacenter::new("dc2"),
            at: Timestamp::from_nanos(12_000_000_000),
            loss,
            last_known,
            operation: None,
        };
        assert_eq!(
            failover.to_string(),
            format!("b:1 in dc2 took over from a:1 in dc1; {expected}")
        );
    }

    #[test]
    fn the_sentence_claims_no_more_than_what_is_certain() {
        let known = LastKnown {
            upper: Span::from_millis(1500),
            upper_bytes: Some(Bytes::new(70)),
            at: Timestamp::from_nanos(2_000_000_000),
        };
        check(
            FailoverLoss::Exactly(Bytes::ZERO),
            Some(known),
            "nothing of the old master's stream is lost",
        );
        check(
            FailoverLoss::Exactly(Bytes::new(2048)),
            None,
            "2.0 KiB of the old master's stream are not in the new one's",
        );
        check(
            FailoverLoss::AtLeast(Bytes::new(9)),
            Some(known),
            "at least 9 B of the old master's stream are not in the new one's: what it wrote after it was last asked is \
             not known",
        );
        check(
            FailoverLoss::AtLeast(Bytes::ZERO),
            Some(known),
            "what was lost is not known until the old master answers: 10.0 s before, the new master lacked at most 70 B, \
             the writes of 1.500 s",
        );
        let known_now = |nanos, bytes| LastKnown {
            upper: Span::from_nanos(nanos),
            upper_bytes: Some(Bytes::new(bytes)),
            at: Timestamp::from_nanos(2_000_000_000),
        };
        check(
            FailoverLoss::Unknown,
            Some(known_now(400_000, 9)),
            "what was lost is not known until the old master answers: 10.0 s before, the new master lacked at most 9 B, \
             the writes of 0.001 s",
        );
        check(
            FailoverLoss::Unknown,
            Some(known_now(400_000, 0)),
            "what was lost is not known until the old master answers: 10.0 s before, the new master lacked nothing",
        );
        let unseen = |millis| FailoverLoss::Unseen {
            at_least: Bytes::new(9),
            within: Some(Span::from_millis(millis)),
        };
        check(
            unseen(1_200),
            Some(known),
            "what the old master wrote in the last 1.200 s before it gave way and the new one lacked is lost: at least 9 B, \
             the rest is not known",
        );
        check(
            unseen(60_000),
            Some(known),
            "10.0 s before, the new master lacked at most 70 B, the writes of 1.500 s; what the old master wrote after that \
             is not known",
        );
        check(
            FailoverLoss::Unseen {
                at_least: Bytes::ZERO,
                within: None,
            },
            None,
            "what the old master wrote before it gave way and the new one lacked is lost: how much is not known",
        );
        check(
            FailoverLoss::Unknown,
            None,
            "what was lost is not known until the old master answers",
        );
        assert_eq!(FailoverLoss::AtLeast(Bytes::new(9)).exactly(), None);
        assert_eq!(
            FailoverLoss::AtLeast(Bytes::new(9)).at_least(),
            Some(Bytes::new(9))
        );
    }
}
