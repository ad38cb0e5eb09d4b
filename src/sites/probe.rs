//! How long a write takes to the other site: what is measured, and what is known of it.

use std::collections::BTreeMap;

use crate::active_active::Sighting;
use crate::model::{
    Datacenter, Histogram, LAG_BOUNDS, PairName, Span, Timestamp, closed_set, serde_as_label,
};

/// How often a probe is written.
pub const PROBE_EVERY: Span = Span::from_secs(10);

/// A write that has not arrived after so long is given up: it counts as longer than every bucket.
pub const GIVEN_UP_AFTER: Span = Span::from_secs(600);

/// How long the servers keep a probe's key.
pub const PROBE_LIVES: Span = Span::from_secs(600);

/// A queue of so many items gets no probe: it has no room for the services' writes.
pub const LONGEST_QUEUE: u64 = 500_000;

/// The pause before the second look at the target.
const FIRST_PAUSE: Span = Span::from_millis(20);

/// The longest pause between two looks.
const LONGEST_PAUSE: Span = Span::from_secs(1);

closed_set! {
    /// The way that a write takes to the other site.
    pub enum ProbePath {
        /// A probe's key in the queue: the worker of the applications brings it over.
        Queue => "queue",
        /// A probe's key that this exporter applies at the target itself: the network and the
        /// target.
        Direct => "direct",
        /// A key of the applications that was found to be under way. Nothing is written for it.
        Keys => "keys",
    }
}
serde_as_label!(ProbePath);

/// The key of a probe. No two directions, paths and exporters with an identity of their own share
/// one.
pub fn probe_key(entry: &PairName, identity: &str, source: &Datacenter, path: ProbePath) -> String {
    format!("{{redis-cross-dc-probe}}:{entry}:{identity}:{source}:{path}")
}

/// What a probe has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeNews {
    /// A probe is written at the source.
    Written,
    /// It is not, for this reason: a sentence without its end.
    NotWritten(String),
    /// A write has arrived at the target after so long.
    Arrived(Span),
    /// A write has not arrived for so long.
    GivenUp(Span),
}

/// A key that the source had and the target had not.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyUnderWay {
    /// The key.
    pub key: Vec<u8>,
    /// What the source had.
    pub sighting: Sighting,
    /// How old that was by the source's clock when it was read.
    pub age: Span,
    /// When it was read.
    pub seen: Timestamp,
}

/// How long to wait before each look at the target: 20 ms, then twice as long each time, up to a
/// second.
#[derive(Clone, Copy, Debug)]
pub struct ProbeBackoff {
    next: Span,
}

impl Default for ProbeBackoff {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl ProbeBackoff {
    /// The next pause.
    pub fn pause(&mut self) -> Span {
        let pause = self.next;
        self.next = self.next.mul_f64(2.0).min(LONGEST_PAUSE);
        pause
    }
}

/// What is known of one direction's writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeRecord {
    /// How long they took, by path; those that were given up included.
    pub convergence: BTreeMap<ProbePath, Histogram>,
    /// How long the latest one took, and when it arrived.
    pub latest: BTreeMap<ProbePath, (Timestamp, Span)>,
    /// Probes that were written.
    pub written: u64,
    /// Probes that were not.
    pub failed: u64,
    /// Why the latest probe of a path was not written, as a sentence without its end; none where it
    /// was.
    pub failures: BTreeMap<ProbePath, String>,
}

impl ProbeRecord {
    /// Takes news of a path.
    pub fn take(&mut self, path: ProbePath, news: ProbeNews, at: Timestamp) {
        match news {
            ProbeNews::Written => {
                self.written += 1;
                self.failures.remove(&path);
            }
            ProbeNews::NotWritten(why) => {
                self.failed += 1;
                self.failures.insert(path, why);
            }
            ProbeNews::Arrived(took) => {
                self.observe(path, took);
                self.latest.insert(path, (at, took));
            }
            ProbeNews::GivenUp(waited) => {
                self.observe(path, waited);
                self.latest.remove(&path);
            }
        }
    }

    fn observe(&mut self, path: ProbePath, took: Span) {
        let histogram = self.convergence.entry(path);
        histogram
            .or_insert_with(|| Histogram::new(LAG_BOUNDS))
            .observe(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_paths_and_exporters_have_keys_of_their_own() {
        let entry = PairName::new("profiles");
        let dc = Datacenter::new("dc1");
        let key = probe_key(&entry, "prod", &dc, ProbePath::Queue);
        assert_eq!(key, "{redis-cross-dc-probe}:profiles:prod:dc1:queue");
        assert_ne!(key, probe_key(&entry, "prod", &dc, ProbePath::Direct));
        assert_ne!(key, probe_key(&entry, "", &dc, ProbePath::Queue));
        let other = Datacenter::new("dc2");
        assert_ne!(key, probe_key(&entry, "prod", &other, ProbePath::Queue));
    }

    #[test]
    fn looks_become_rarer_and_never_rarer_than_once_a_second() {
        let mut backoff = ProbeBackoff::default();
        let pauses: Vec<_> = (0..8)
            .map(|_| backoff.pause().as_nanos() / 1_000_000)
            .collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn what_never_arrives_is_above_every_bucket_and_no_latest_value() {
        let at = Timestamp::from_nanos(5);
        let mut record = ProbeRecord::default();
        record.take(ProbePath::Queue, ProbeNews::Written, at);
        record.take(
            ProbePath::Queue,
            ProbeNews::Arrived(Span::from_millis(80)),
            at,
        );
        assert_eq!(record.latest[&ProbePath::Queue].1, Span::from_millis(80));
        let waited = GIVEN_UP_AFTER + Span::from_millis(1);
        record.take(ProbePath::Queue, ProbeNews::GivenUp(waited), at);
        let histogram = &record.convergence[&ProbePath::Queue];
        assert_eq!(histogram.count(), 2);
        assert_eq!(
            histogram.cumulative().last().map(|(_, below)| below),
            Some(1)
        );
        assert!(record.latest.is_empty());
    }

    #[test]
    fn a_probe_that_is_written_again_has_no_failure() {
        let at = Timestamp::from_nanos(5);
        let mut record = ProbeRecord::default();
        record.take(
            ProbePath::Direct,
            ProbeNews::NotWritten("no right".to_owned()),
            at,
        );
        assert_eq!(record.failures[&ProbePath::Direct], "no right");
        record.take(ProbePath::Queue, ProbeNews::Written, at);
        assert_eq!(
            (record.written, record.failed, record.failures.len()),
            (1, 1, 1)
        );
        record.take(ProbePath::Direct, ProbeNews::Written, at);
        assert!(record.failures.is_empty());
    }
}
