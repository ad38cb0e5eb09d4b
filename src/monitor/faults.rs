//! Faults of the exporter itself: no access to a server, and a configuration that was refused.

use std::sync::Arc;

use super::context;
use crate::alert::{AlertContext, Inhibitor, ServedPair};
use crate::config::{LevelRule, LevelThreshold};
use crate::model::{Span, Timestamp};
use crate::replication::ServerFacts;

/// The most characters of a refusal's sentence: a file may have many problems.
const MAX_SENTENCE: usize = 400;

/// A refused configuration is a warning at once: the next restart would not start.
pub(super) const RELOAD_RULE: LevelRule<Span> = LevelRule {
    warning: Some(LevelThreshold {
        at: Span::from_millis(1),
        clear_below: Span::from_millis(1),
    }),
    critical: None,
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadFailure {
    /// When it was first refused; later refusals do not move it.
    pub since: Timestamp,
    /// What is wrong with it, in one line.
    pub sentence: Arc<str>,
}

impl ReloadFailure {
    /// A refusal with the sentences of `why`, made one line of at most [`MAX_SENTENCE`] characters.
    pub(super) fn new(since: Timestamp, why: &str) -> Self {
        let lines: Vec<_> = why.lines().map(str::trim).collect();
        let mut sentence = lines.join("; ");
        if let Some((end, _)) = sentence.char_indices().nth(MAX_SENTENCE) {
            sentence.truncate(end);
            sentence.push('…');
        }
        Self {
            since,
            sentence: sentence.into(),
        }
    }

    /// How long the refusal has lasted, at least the smallest threshold.
    pub(super) fn lasts(&self, now: Timestamp) -> Span {
        (now - self.since).max(Span::from_millis(1))
    }

    /// The context of the alert about it.
    pub(super) fn context(&self) -> Arc<AlertContext> {
        let reason = format!("the new configuration is refused: {}", self.sentence);
        Arc::new(AlertContext {
            reason: Some(reason),
            fault_since: Some(self.since),
            ..AlertContext::default()
        })
    }
}

/// The context of an alert about a server to which there is no access.
pub(super) fn fault_context(
    facts: &ServerFacts,
    services: Vec<ServedPair>,
    inhibitors: Option<&Arc<[Inhibitor]>>,
) -> Arc<AlertContext> {
    let server = context::server_context(facts, services, inhibitors);
    Arc::new(AlertContext {
        fault_since: facts.fault_since(),
        ..Arc::unwrap_or_clone(server)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_bounded_line() {
        let now = Timestamp::from_nanos(0);
        let failure = ReloadFailure::new(now, "pairs: is missing\n  pol: is not a known key");
        assert_eq!(
            &*failure.sentence,
            "pairs: is missing; pol: is not a known key"
        );
        let long = ReloadFailure::new(now, &"é".repeat(10_000));
        assert_eq!(long.sentence.chars().count(), MAX_SENTENCE + 1);
        assert_eq!(long.lasts(now), Span::from_millis(1));
    }
}
