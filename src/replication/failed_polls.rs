//! What the failed polls of one server since its last answer mean: the server is silent, or this
//! exporter has no access to it.

use crate::model::{PollFailure, Span, Timestamp};

/// This many silent polls in a row end a fault: a server that does not answer cannot show whether
/// the login would work now.
const SILENCE_ENDS_A_FAULT: u32 = 2;

/// Since when a server has been silent, and since when this exporter has had no access to it.
///
/// Both may be set: a password that cannot be read any more says nothing about a server that had
/// not answered before either.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FailedPolls {
    /// When the first poll began that failed because the server or the network was silent, since
    /// the server last proved that it is alive.
    pub(super) silent_since: Option<Timestamp>,
    /// When the first poll began that failed by a fault of access, since the last answer.
    pub(super) fault_since: Option<Timestamp>,
    /// Silent polls since the last fault.
    silent_in_a_row: u32,
}

impl FailedPolls {
    /// Records a poll that began at `began` and failed.
    pub(super) fn failed(&mut self, failure: &PollFailure, began: Timestamp) {
        if !failure.is_fault() {
            self.silent(began);
            return;
        }
        self.silent_in_a_row = 0;
        self.fault_since.get_or_insert(began);
        if failure.proves_life() {
            self.silent_since = None;
        }
    }

    fn silent(&mut self, began: Timestamp) {
        // A silence from before a restart is earlier than a request that was overdue already.
        let known = self.silent_since.unwrap_or(began);
        self.silent_since = Some(known.min(began));
        self.silent_in_a_row = self.silent_in_a_row.saturating_add(1);
        if self.silent_in_a_row >= SILENCE_ENDS_A_FAULT {
            self.fault_since = None;
        }
    }

    /// Records that the request sent at `sent` takes longer than answers ever do.
    pub(super) fn overdue(&mut self, sent: Timestamp) {
        self.silent_since.get_or_insert(sent);
    }

    /// How long there has been no access; zero without a fault, `None` where the last poll was a
    /// silent one, which leaves open whether the fault has ended.
    pub(super) fn fault_for(&self, now: Timestamp) -> Option<Span> {
        match self.fault_since {
            None => Some(Span::ZERO),
            Some(_) if self.silent_in_a_row > 0 => None,
            Some(since) => Some((now - since).or_zero()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PollError;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn fail(trouble: &mut FailedPolls, second: i64, failure: impl Into<PollFailure>) {
        trouble.failed(&failure.into(), at(second));
    }

    #[test]
    fn a_refused_login_proves_that_the_server_answers() {
        let mut trouble = FailedPolls::default();
        fail(&mut trouble, 1, PollError::Timeout);
        fail(&mut trouble, 2, PollError::Auth);
        assert_eq!(trouble.silent_since, None);
        assert_eq!(trouble.fault_for(at(5)), Some(Span::from_secs(3)));
    }

    #[test]
    fn a_poll_that_was_never_sent_leaves_the_silence_as_it_was() {
        let mut trouble = FailedPolls::default();
        fail(&mut trouble, 1, PollError::Refused);
        let unreadable = PollFailure::own(PollError::Auth, "the password file cannot be read");
        fail(&mut trouble, 2, unreadable.clone());
        assert_eq!(trouble.silent_since, Some(at(1)));
        assert_eq!(trouble.fault_for(at(2)), Some(Span::ZERO));
        fail(&mut trouble, 3, unreadable);
        assert_eq!(trouble.fault_for(at(4)), Some(Span::from_secs(2)));
    }

    #[test]
    fn two_silent_polls_in_a_row_end_a_fault_and_one_leaves_it_open() {
        let mut trouble = FailedPolls::default();
        fail(&mut trouble, 1, PollError::Auth);
        fail(&mut trouble, 2, PollError::Timeout);
        assert_eq!(trouble.fault_for(at(3)), None);
        fail(&mut trouble, 3, PollError::Timeout);
        assert_eq!(trouble.fault_for(at(4)), Some(Span::ZERO));
        assert_eq!(trouble.silent_since, Some(at(2)));
    }
}
