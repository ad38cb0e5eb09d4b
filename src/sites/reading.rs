//! What a site says of itself: its clock, its run, and its queue.

use std::collections::BTreeMap;

use super::clock_skew::ClockSample;
use crate::active_active::{QueueItem, Stamp};
use crate::model::{RunId, Span, closed_set, serde_as_label};

/// What a site answered.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteReading {
    /// Its clock.
    pub clock: ClockSample,
    /// Which run of the server it is; another one after a restart or a failover.
    pub run_id: Option<RunId>,
    /// Its queue; `None` where the entry has none.
    pub queue: Option<QueueReading>,
    /// How its server may lose what waits, by its settings.
    pub risks: Vec<SiteRisk>,
}

closed_set! {
    /// How a site may lose the queue, and writes that the other site does not have yet.
    pub enum SiteRisk {
        /// A full server evicts any key, the whole queue at once among them.
        EvictsAnyKey => "evicts_any_key",
        /// Without an append-only file a restart loses what came after the last snapshot.
        NoAppendOnlyFile => "no_append_only_file",
    }
}
serde_as_label!(SiteRisk);

impl SiteRisk {
    /// As a sentence without its end.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::EvictsAnyKey => {
                "its maxmemory-policy may evict the queue and tombstones: use noeviction or volatile-*"
            }
            Self::NoAppendOnlyFile => {
                "it has no append-only file: a restart loses what came after the last snapshot"
            }
        }
    }
}

/// What a server says of itself in the answer to INFO.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerWords {
    /// Which run it is.
    pub run_id: Option<RunId>,
    /// How it may lose what waits.
    pub risks: Vec<SiteRisk>,
}

impl ServerWords {
    /// Reads the answer to INFO. What is missing is no risk.
    pub fn parse(info: &str) -> Self {
        let lines = info.lines().map(str::trim_end);
        let fields: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(':')).collect();
        let mut risks = Vec::new();
        let is_bounded = fields.get("maxmemory").is_some_and(|bytes| *bytes != "0");
        let policy = fields.get("maxmemory_policy");
        if is_bounded && policy.is_some_and(|policy| policy.starts_with("allkeys-")) {
            risks.push(SiteRisk::EvictsAnyKey);
        }
        if fields.get("aof_enabled") == Some(&"0") {
            risks.push(SiteRisk::NoAppendOnlyFile);
        }
        Self {
            run_id: fields.get("run_id").and_then(|id| RunId::parse(id)),
            risks,
        }
    }
}

/// What waits in a site's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReading {
    /// Items that wait.
    pub length: u64,
    /// Items that were set aside, since no site could apply them.
    pub rejected: u64,
    /// Whether writes were not queued, because the queue was full.
    pub has_overflowed: bool,
    /// For how long the oldest item has waited, at least; zero for an empty queue.
    pub oldest: Result<Span, NoAge>,
}

closed_set! {
    /// Why the age of the oldest item is not known.
    pub enum NoAge {
        /// Neither end of the queue has an item that can be read.
        Unreadable => "unreadable",
        /// The items were written by a clock that is ahead of the server's.
        Future => "future",
    }
}
serde_as_label!(NoAge);

impl NoAge {
    /// As a sentence without its end.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unreadable => "neither the oldest nor the newest item of the queue can be read",
            Self::Future => "the items were stamped by a clock that is ahead of the server's",
        }
    }
}

/// For how long the oldest item of a queue has waited, at least, when the server's clock shows
/// `now`. `ends` are the items at both ends: the tutorial's worker puts what failed back at the new
/// end, so the oldest item need not be at the old one.
pub fn queue_age(ends: &[Vec<u8>], now: Stamp) -> Result<Span, NoAge> {
    if ends.is_empty() {
        return Ok(Span::ZERO);
    }
    let mut oldest: Option<Stamp> = None;
    for text in ends {
        if let Ok(item) = QueueItem::parse(text) {
            let stamp = item.envelope.version().stamp;
            oldest = Some(oldest.map_or(stamp, |known| known.min(stamp)));
        }
    }
    let age = now.seconds_after(oldest.ok_or(NoAge::Unreadable)?);
    if age < 0.0 {
        return Err(NoAge::Future);
    }
    Ok(Span::from_secs_f64(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(stamp: f64) -> Vec<u8> {
        let data = format!("{{\"value\": 1, \"timestamp\": {stamp:?}, \"dc\": \"a\"}}");
        format!("{{\"key\": \"k\", \"data\": {data}}}").into_bytes()
    }

    #[test]
    fn a_server_says_how_it_may_lose_the_queue() {
        let info = |maxmemory: &str, policy: &str, aof: &str| {
            let text = format!(
                "# Server\r\nrun_id:abc\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\naof_enabled:{aof}\r\n"
            );
            ServerWords::parse(&text)
        };
        let words = info("100", "allkeys-lru", "0");
        assert_eq!(words.run_id, RunId::parse("abc"));
        assert_eq!(
            words.risks,
            [SiteRisk::EvictsAnyKey, SiteRisk::NoAppendOnlyFile]
        );
        assert_eq!(info("0", "allkeys-lru", "1").risks, []);
        assert_eq!(info("100", "volatile-ttl", "1").risks, []);
        assert_eq!(ServerWords::parse("x"), ServerWords::default());
    }

    #[test]
    fn the_older_end_counts_and_what_cannot_be_read_does_not() {
        let now = Stamp::new(1000.0).unwrap();
        let age = |ends: &[Vec<u8>]| queue_age(ends, now);
        assert_eq!(age(&[]), Ok(Span::ZERO));
        assert_eq!(age(&[item(990.0), item(940.0)]), Ok(Span::from_secs(60)));
        assert_eq!(age(&[b"x".to_vec(), item(990.0)]), Ok(Span::from_secs(10)));
        assert_eq!(age(&[b"x".to_vec()]), Err(NoAge::Unreadable));
        assert_eq!(age(&[item(1001.0)]), Err(NoAge::Future));
        assert_eq!(age(&[item(9e9), item(999.0)]), Ok(Span::from_secs(1)));
    }
}
