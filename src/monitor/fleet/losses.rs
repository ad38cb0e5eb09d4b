//! Masters that come back without their history, and the pairs that lose it with them.

use super::Fleet;
use super::pairs::Pairs;
use crate::model::Timestamp;
use crate::replication::{Assessment, HistoryLoss, MasterSample, PairState};

impl Pairs {
    /// The master at the top of these pairs answered. `loss` is the history that it has lost, if
    /// this answer is the first to show that.
    pub(super) fn record_loss(
        &mut self,
        indices: &[usize],
        loss: Option<&HistoryLoss>,
        sample: &MasterSample,
    ) {
        self.change(indices, |pair| {
            if let Some(loss) = loss {
                pair.tracker.history_lost(loss.clone());
            }
            pair.tracker.loss_master_answered(sample);
        });
    }
}

impl Fleet {
    /// Records whether the pair streams: a loss ends once it has streamed for some time.
    pub(in crate::monitor) fn record_streaming(
        &mut self,
        index: usize,
        assessment: &Assessment,
        now: Timestamp,
    ) {
        let streams = assessment.state == PairState::Streaming;
        self.pairs
            .change(&[index], |pair| pair.tracker.loss_streams(streams, now));
    }

    /// Forgets the pair's loss if it has ended.
    pub(in crate::monitor) fn end_loss(&mut self, index: usize, now: Timestamp) {
        self.pairs.change(&[index], |pair| {
            if pair.loss().is_some_and(|loss| loss.is_over(now)) {
                pair.tracker.forget_loss();
            }
        });
    }
}
