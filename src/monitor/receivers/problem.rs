//! What is wrong with a receiver, and the rule for that.

use std::sync::Arc;

use crate::config::{LevelRule, LevelThreshold};
use crate::model::{Span, Timestamp};

/// From when on a receiver that does not take its notifications is an alert, sent to the other
/// receivers: a restart of the receiver takes less.
pub(in crate::monitor) const FAILING_AFTER: Span = Span::from_secs(60);

/// The rule for a receiver whose attempts fail: always critical, because notifications do not
/// arrive.
pub(super) const FAILING_RULE: LevelRule<Span> = LevelRule {
    warning: None,
    critical: Some(LevelThreshold {
        at: FAILING_AFTER,
        clear_below: FAILING_AFTER,
    }),
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// The rule for a notification that was refused for good: it is lost unless an operator acts, so it
/// is critical at once.
pub(super) const REFUSED_RULE: LevelRule<Span> = LevelRule {
    warning: None,
    critical: Some(LevelThreshold {
        at: Span::ZERO,
        clear_below: Span::ZERO,
    }),
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// How delivery to one receiver goes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::monitor) struct ReceiverProblem {
    /// The receiver's name.
    pub(in crate::monitor) receiver: Arc<str>,
    pub(super) kind: ProblemKind,
    /// When the first attempt failed; `None` when nothing is wrong.
    pub(super) since: Option<Timestamp>,
    /// The outcome of the last failed attempt.
    pub(super) answer: Option<Arc<str>>,
}

/// What is wrong with a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// Nothing.
    None,
    /// Every attempt fails; notifications wait.
    Failing,
    /// A notification was recently refused for good.
    Refused,
    /// A notification was given up before a restart, and no more is known of it.
    FailedBeforeRestart,
}

impl ReceiverProblem {
    /// The alert rule for this kind of problem.
    pub(in crate::monitor) const fn rule(&self) -> &'static LevelRule<Span> {
        match self.kind {
            ProblemKind::None | ProblemKind::Failing => &FAILING_RULE,
            ProblemKind::Refused | ProblemKind::FailedBeforeRestart => &REFUSED_RULE,
        }
    }

    /// When the first attempt failed; `None` when nothing is wrong.
    pub(in crate::monitor) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// For how long something has been wrong; zero when nothing is.
    pub(in crate::monitor) fn lasts(&self, now: Timestamp) -> Span {
        self.since
            .map_or(Span::ZERO, |since| (now - since).or_zero())
    }

    /// What is wrong, as a sentence.
    pub(in crate::monitor) fn reason(&self) -> Option<String> {
        let receiver = &self.receiver;
        let answer = self.answer.as_deref().unwrap_or("no answer is known");
        match self.kind {
            ProblemKind::None => None,
            ProblemKind::Failing => Some(format!(
                "{receiver} takes no notifications, they wait and are tried again: {answer}"
            )),
            ProblemKind::Refused => Some(format!(
                "{receiver} refused a notification: {answer} (dead letter; replay with POST \
                 /api/v1/deliveries/ID/replay once the receiver is mended)"
            )),
            ProblemKind::FailedBeforeRestart => Some(format!(
                "{receiver} did not take its notifications before the exporter's restart"
            )),
        }
    }
}
