//! What a disaster would lose, as far as the exporter certified it.

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Span};

/// What a running exporter knows of a master and one of its replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExporterKnows {
    /// At this instant (Unix seconds) ...
    pub certified_at: f64,
    /// ... the replica lacked at most this many seconds of writes.
    pub upper_seconds: f64,
    /// ... and at most this many bytes.
    pub upper_bytes: Option<u64>,
    /// When the master last answered it (Unix seconds).
    pub master_last_answer: Option<f64>,
    /// How often it polls, in seconds; `None` while it does not, and until it has measured that.
    pub interval: Option<f64>,
    /// When it said that the master does not answer (Unix seconds); `None` where it said something
    /// else.
    pub silent_at: Option<f64>,
}

/// What would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Every write before this instant (Unix seconds) is on the target.
    pub safe_until: f64,
    /// When the master was last heard (Unix seconds).
    pub last_heard: f64,
    /// The first instant (Unix seconds) at which a poll was not answered any more, at the latest:
    /// if the master died, it was before that.
    pub silent_from: f64,
    /// Bytes that the target lacked at most when that was last certified.
    pub bytes: Option<u64>,
}

impl Loss {
    /// What would be lost; `None` where nothing bounds it.
    pub fn new(knows: ExporterKnows) -> Option<Self> {
        let last_heard = knows.master_last_answer?;
        let safe_until = (knows.certified_at - knows.upper_seconds).min(last_heard);
        let silent_from = match knows.interval {
            Some(interval) => last_heard + interval,
            // It started a moment ago. A poll had failed when it said so.
            None => knows.silent_at?,
        };
        Some(Self {
            safe_until,
            last_heard,
            silent_from,
            bytes: knows.upper_bytes,
        })
    }

    /// The writes of at most this time are lost, if the master died before its silence was noticed.
    pub fn upper(&self) -> Span {
        Span::from_secs_f64(self.silent_from - self.safe_until).or_zero()
    }

    /// What is certified, as sentences. `time` writes an instant for people.
    pub fn certified(&self, time: impl Fn(f64) -> String) -> Vec<String> {
        let safe = time(self.safe_until);
        let heard = time(self.last_heard);
        let silent = time(self.silent_from);
        let mut all = vec![format!(
            "every write before {safe} is on the target (last common write)"
        )];
        let upper = self.upper().shown_at_most();
        all.push(format!(
            "if the master died before {silent}, the writes of at most {upper} are lost"
        ));
        if let Some(bytes) = self.bytes {
            let bytes = Bytes::new(bytes).shown_at_most();
            all.push(format!(
                "the target lacked at most {bytes} when the master last answered ({heard})"
            ));
        }
        all
    }

    /// What is certified, and what nobody can know.
    pub fn sentences(&self, time: impl Fn(f64) -> String) -> Vec<String> {
        let heard = time(self.last_heard);
        let mut all = self.certified(time);
        all.push(format!(
            "if the master lives and clients reach it, what they write from {heard} on will be lost \
             unless it is captured when it returns: no tool can see that"
        ));
        all
    }
}
