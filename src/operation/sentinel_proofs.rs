//! What a run has proved of the Sentinels, and what it has changed for them.

use super::order::{OrderError, OrderResult};
use super::watch::PriorityChange;
use crate::model::{ServerAddr, Span, Timestamp};

/// Between two orders to promote, after one that was refused.
const RETRY_AFTER: Span = Span::from_millis(500);

/// What a run knows of the Sentinels.
#[derive(Debug, Default)]
pub(super) struct SentinelProofs {
    /// Whether all that answer show the priorities.
    pub(super) ready: bool,
    /// Since when that has been waited for.
    pub(super) learning_since: Option<Timestamp>,
    /// Since when one has been asked to promote, and refused.
    pub(super) refused_since: Option<Timestamp>,
    /// When one may be asked again.
    pub(super) ask_again_at: Option<Timestamp>,
    /// How many have been asked.
    pub(super) asked: usize,
    /// When one began to promote the target, as far as is known.
    pub(super) begun: Option<Timestamp>,
    /// The priorities that may differ from what they were: places in the intent's list.
    pub(super) changed: Vec<usize>,
    /// Those that were put back.
    pub(super) restored: Vec<usize>,
}

impl SentinelProofs {
    /// Notes the answer to SENTINEL FAILOVER: the Sentinel's words where it certainly does nothing.
    pub(super) fn note_failover(&mut self, result: &OrderResult) -> Result<(), String> {
        self.asked += 1;
        match &result.reply {
            Err(OrderError::Refused(words)) if !words.starts_with("INPROG") => {
                self.refused_since.get_or_insert(result.sent);
                self.ask_again_at = Some(result.received + RETRY_AFTER);
                Err(words.clone())
            }
            // Done, under way already, or nobody knows.
            _ => {
                self.begun = Some(result.received);
                Ok(())
            }
        }
    }

    /// Notes that a priority may differ from what it was, or is what it was again.
    pub(super) fn note_priority(
        &mut self,
        changes: &[PriorityChange],
        server: &ServerAddr,
        value: u64,
    ) {
        for (index, change) in changes.iter().enumerate() {
            if change.server != *server {
                continue;
            }
            if value == change.before {
                self.restored.push(index);
            } else {
                self.changed.push(index);
            }
        }
    }
}
