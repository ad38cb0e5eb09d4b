//! For how long the writes of a deposed master stay provable: its backlog holds them until newer
//! writes push them out, or until it has had no replica for `repl-backlog-ttl`. After that nobody
//! can say any more what was lost, and no partial resync can fetch it.

use super::super::assess::Evidence;
use super::super::epochs::Comparison;
use super::super::no_forecast::NoForecast;
use super::super::pair::Relation;
use super::super::server::BacklogFacts;
use crate::model::{Bytes, Span, Timestamp, closed_set, serde_as_label};

/// `repl-backlog-ttl` where it is not known: the default of every version.
const DEFAULT_TTL: Span = Span::from_secs(3600);

closed_set! {
    /// What ends the evidence.
    pub enum EvidenceEnd {
        /// `repl-backlog-ttl` has passed since its last replica left.
        Ttl => "ttl",
        /// The same, with the default of 3600 s: the exporter does not ask for the setting.
        AssumedTtl => "assumed_ttl",
        /// Newer writes have pushed it out of the backlog.
        Backlog => "backlog",
    }
}

serde_as_label!(EvidenceEnd, else AssumedTtl);

impl EvidenceEnd {
    /// What happens then, as the end of a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Ttl => "the deposed master drops its backlog (repl-backlog-ttl)",
            Self::AssumedTtl => {
                "the deposed master drops its backlog, if its repl-backlog-ttl is the default of 3600 s"
            }
            Self::Backlog => "newer writes push them out of its backlog",
        }
    }
}

/// For how long the unshared writes of a deposed master stay provable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceLeft {
    /// How long; zero when it is too late.
    pub lasts: Span,
    /// What ends it first.
    pub end: EvidenceEnd,
}

/// The same at `now`.
///
/// # Errors
/// Why there is nothing to count down, or no end.
pub fn evidence_left(evidence: Evidence<'_>, now: Timestamp) -> Result<EvidenceLeft, NoForecast> {
    let split = match evidence.pair.relation {
        Relation::IsMaster { split } => split.ok_or(NoForecast::SplitUnknown)?,
        Relation::NotComparable(Comparison::Diverged { .. }) => {
            return Err(NoForecast::Following);
        }
        _ => return Err(NoForecast::NotDiverged),
    };
    let deposed = if split.master_was_promoted {
        evidence.replica
    } else {
        evidence.master
    };
    left(&deposed.backlog, split.older(), now)
}

/// How long `backlog` keeps the last `unshared` bytes of its stream.
fn left(
    backlog: &BacklogFacts,
    unshared: Bytes,
    now: Timestamp,
) -> Result<EvidenceLeft, NoForecast> {
    let by_room = room(backlog, unshared).and_then(|room| {
        let growth = backlog.writes.per_second().filter(|growth| *growth > 0.0);
        if room == Bytes::ZERO {
            return Some(Span::ZERO);
        }
        Some(Span::from_secs_f64(room.as_f64() / growth?))
    });
    let by_ttl = by_ttl(backlog, now);
    let first = [by_ttl, by_room.map(|lasts| (lasts, EvidenceEnd::Backlog))]
        .into_iter()
        .flatten()
        .min_by_key(|(lasts, _)| *lasts);
    let (lasts, end) = first.ok_or(NoForecast::NoEnd)?;
    Ok(EvidenceLeft { lasts, end })
}

/// How much may be written until the first unshared byte falls out; `None` where the backlog is not
/// reported.
fn room(backlog: &BacklogFacts, unshared: Bytes) -> Option<Bytes> {
    let first_unshared = backlog.end?.get().checked_sub(unshared.get())? + 1;
    let Some(first) = backlog.first else {
        // Without a backlog there is no evidence.
        return (backlog.active == Some(false)).then_some(Bytes::ZERO);
    };
    let Some(before) = first_unshared.checked_sub(first.get()) else {
        return Some(Bytes::ZERO);
    };
    let unused = backlog.size?.get().saturating_sub(backlog.used?.get());
    Some(Bytes::new(before.saturating_add(unused)))
}

fn by_ttl(backlog: &BacklogFacts, now: Timestamp) -> Option<(Span, EvidenceEnd)> {
    let since = backlog.lone_since?;
    let (ttl, end) = match backlog.ttl {
        Some(Span::ZERO) => return None,
        Some(ttl) => (ttl, EvidenceEnd::Ttl),
        None => (DEFAULT_TTL, EvidenceEnd::AssumedTtl),
    };
    Some(((since + ttl - now).or_zero(), end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReplicationOffset;
    use crate::replication::trend::Trend;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// A backlog of 1000 bytes that holds 501 to 1200 of a stream, which grows by `rate` a second.
    fn backlog(rate: u64) -> BacklogFacts {
        let mut writes = Trend::default();
        for second in 0..4_i64 {
            let end = 1200 + second.unsigned_abs() * rate;
            writes.observe(at(second), Bytes::new(end), Span::from_secs(1));
        }
        BacklogFacts {
            end: Some(ReplicationOffset::new(1200)),
            first: Some(ReplicationOffset::new(501)),
            size: Some(Bytes::new(1000)),
            used: Some(Bytes::new(700)),
            writes,
            ..BacklogFacts::default()
        }
    }

    fn lasts(backlog: &BacklogFacts, unshared: u64) -> Result<(f64, EvidenceEnd), NoForecast> {
        let left = left(backlog, Bytes::new(unshared), at(100))?;
        Ok((left.lasts.as_secs_f64(), left.end))
    }

    #[test]
    fn writes_push_the_evidence_out_of_the_backlog() {
        // 300 unused and 500 before the first of the last 200.
        assert_eq!(lasts(&backlog(10), 200), Ok((80.0, EvidenceEnd::Backlog)));
        assert_eq!(
            lasts(&backlog(10), 900),
            Ok((0.0, EvidenceEnd::Backlog)),
            "it is out already"
        );
        assert_eq!(lasts(&backlog(0), 200), Err(NoForecast::NoEnd));
    }

    #[test]
    fn the_ttl_counts_from_the_last_replica() {
        let lone = BacklogFacts {
            lone_since: Some(at(40)),
            ..backlog(0)
        };
        assert_eq!(lasts(&lone, 200), Ok((3540.0, EvidenceEnd::AssumedTtl)));
        let known = BacklogFacts {
            ttl: Some(Span::from_secs(90)),
            ..lone
        };
        assert_eq!(lasts(&known, 200), Ok((30.0, EvidenceEnd::Ttl)));
        let never = BacklogFacts {
            ttl: Some(Span::ZERO),
            ..lone
        };
        assert_eq!(lasts(&never, 200), Err(NoForecast::NoEnd));
        let writing = BacklogFacts {
            lone_since: Some(at(40)),
            ..backlog(10)
        };
        assert_eq!(
            lasts(&writing, 200),
            Ok((80.0, EvidenceEnd::Backlog)),
            "the earlier of both"
        );
    }
}
