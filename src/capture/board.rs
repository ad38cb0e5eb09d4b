//! Which captures were tried and when the next one is due. Pure.

use std::collections::BTreeMap;

use crate::lost_writes::{CannotBeHad, CaptureState, CaptureStatus};
use crate::model::{Bytes, ClockAnchor, PairName, ServerAddr, Span, Timestamp};

/// The wait before another attempt after one that failed: Sentinel leaves ten seconds.
const RETRY_AFTER: Span = Span::from_secs(1);

/// The wait after several that failed.
const RETRY_LATER: Span = Span::from_secs(15);

/// How many attempts follow each other quickly.
const QUICK_RETRIES: u32 = 10;

/// The wait before what a server has written since is captured, too.
const AGAIN_AFTER: Span = Span::from_secs(2);

/// The same, in times of how long it took to read everything.
const AGAIN_FACTOR: f64 = 20.0;

/// A divergence that was not seen for this long has ended.
const ENDED_AFTER: Span = Span::from_secs(60);

/// For how long the end of a capture without a file is shown after the divergence has ended.
const SHOWN_FOR: Span = Span::from_secs(3600);

/// A deposed master of a pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CaptureKey {
    pub(super) pair: PairName,
    pub(super) deposed: ServerAddr,
}

/// How a capture ended.
#[derive(Clone, Debug)]
pub(super) enum CaptureEnd {
    /// Everything is in a file.
    Saved {
        /// How many bytes of the stream.
        length: Bytes,
        /// How long it took to read them.
        took: Span,
    },
    /// There was nothing of a client.
    Nothing,
    /// It could not be had.
    Failed(CannotBeHad),
}

/// The attempts for one deposed master.
#[derive(Clone, Debug)]
struct Attempts {
    stage: Stage,
    /// The last sentence about it.
    state: CaptureState,
    detail: String,
    failed: u32,
    /// What it had alone when the last attempt began, or what was captured.
    unshared: Bytes,
    changed_at: Timestamp,
    seen_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Another attempt may begin then, if there is more to capture.
    Again(Timestamp),
    /// Another attempt begins then.
    Retry(Timestamp),
    /// It is over.
    Over,
}

/// Every deposed master that was seen.
#[derive(Debug, Default)]
pub(super) struct Board {
    attempts: BTreeMap<CaptureKey, Attempts>,
}

impl Board {
    /// Records that a deposed master is seen at `now` with `unshared` bytes of its own. Whether its
    /// capture has to begin.
    pub(super) fn see(&mut self, key: &CaptureKey, unshared: Bytes, now: Timestamp) -> bool {
        let Some(known) = self.attempts.get_mut(key) else {
            self.attempts
                .insert(key.clone(), Attempts::begun(unshared, now));
            return true;
        };
        // Diverged once more, after it had ended: another divergence.
        let is_new = now - known.seen_at > ENDED_AFTER && known.stage != Stage::Running;
        known.seen_at = now;
        let is_due = match known.stage {
            Stage::Running | Stage::Over => false,
            Stage::Again(at) => now >= at && unshared > known.unshared,
            Stage::Retry(at) => now >= at,
        };
        if !is_due && !is_new {
            return false;
        }
        let failed = if is_new { 0 } else { known.failed };
        *known = Attempts {
            failed,
            ..Attempts::begun(unshared, now)
        };
        true
    }

    /// Records that a capture that began at `begun` has ended.
    pub(super) fn end(&mut self, key: &CaptureKey, end: CaptureEnd, now: Timestamp) {
        let Some(known) = self.attempts.get_mut(key) else {
            return;
        };
        known.changed_at = now;
        known.detail.clear();
        match end {
            CaptureEnd::Saved { length, took } => {
                let wait = AGAIN_AFTER.max(took.mul_f64(AGAIN_FACTOR));
                known.stage = Stage::Again(now + wait);
                known.unshared = length;
                known.state = CaptureState::Saved;
                known.failed = 0;
            }
            CaptureEnd::Nothing => {
                known.stage = Stage::Again(now + AGAIN_AFTER);
                known.state = CaptureState::Nothing;
                known.failed = 0;
            }
            CaptureEnd::Failed(why) => {
                known.failed += 1;
                known.detail = why.to_string();
                let wait = if known.failed <= QUICK_RETRIES {
                    RETRY_AFTER
                } else {
                    RETRY_LATER
                };
                if why.may_pass() {
                    known.stage = Stage::Retry(now + wait);
                    known.state = CaptureState::Failed;
                } else {
                    known.stage = Stage::Over;
                    known.state = CaptureState::Gone;
                }
            }
        }
    }

    /// Forgets what is over for long. An attempt that never succeeded before the divergence ended
    /// never will.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.attempts.retain(|_, known| {
            let unseen = now - known.seen_at;
            if known.state == CaptureState::Failed && unseen > ENDED_AFTER {
                known.state = CaptureState::Gone;
                known.stage = Stage::Over;
                known.detail = format!(
                    "it is no master any more; the last attempt: {}",
                    known.detail
                );
            }
            known.stage == Stage::Running || unseen <= SHOWN_FOR
        });
    }

    /// What is to be shown, besides the files.
    pub(super) fn statuses(&self, anchor: &ClockAnchor) -> Vec<CaptureStatus> {
        let mut statuses = Vec::new();
        for (key, known) in &self.attempts {
            if known.state == CaptureState::Saved {
                continue; // its file is shown
            }
            statuses.push(CaptureStatus {
                pair: key.pair.clone(),
                deposed: key.deposed.clone(),
                state: known.state,
                file: None,
                detail: known.detail.clone(),
                timestamp: anchor.wall(known.changed_at).as_secs_f64(),
            });
        }
        statuses
    }
}

impl Attempts {
    fn begun(unshared: Bytes, now: Timestamp) -> Self {
        Self {
            stage: Stage::Running,
            state: CaptureState::Running,
            detail: String::new(),
            failed: 0,
            unshared,
            changed_at: now,
            seen_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WallTime;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn key() -> CaptureKey {
        CaptureKey {
            pair: PairName::new("orders"),
            deposed: ServerAddr::new("old", 6379),
        }
    }

    const SOME: Bytes = Bytes::new(100);
    const MORE: Bytes = Bytes::new(101);

    /// All of [`SOME`] was captured, within this many seconds.
    fn saved(took: i64) -> CaptureEnd {
        CaptureEnd::Saved {
            length: SOME,
            took: Span::from_secs(took),
        }
    }

    fn shown(board: &Board) -> Vec<(CaptureState, String)> {
        let anchor = ClockAnchor {
            mono: at(0),
            wall: WallTime::from_nanos(0),
        };
        let statuses = board.statuses(&anchor).into_iter();
        statuses
            .map(|status| (status.state, status.detail))
            .collect()
    }

    #[test]
    fn a_divergence_is_captured_once_and_again_only_when_there_is_more() {
        let mut board = Board::default();
        assert!(board.see(&key(), SOME, at(0)));
        assert!(!board.see(&key(), MORE, at(1)), "it is running");
        board.end(&key(), saved(0), at(2));
        assert!(!board.see(&key(), MORE, at(3)), "not at once");
        assert!(!board.see(&key(), SOME, at(50)), "nothing more");
        assert!(board.see(&key(), MORE, at(51)));
    }

    #[test]
    fn a_capture_that_took_long_is_repeated_later() {
        let mut board = Board::default();
        board.see(&key(), SOME, at(0));
        board.end(&key(), saved(10), at(10));
        for second in 11..=209 {
            assert!(!board.see(&key(), MORE, at(second)), "{second}");
        }
        assert!(board.see(&key(), MORE, at(210)));
        board.end(&key(), CaptureEnd::Nothing, at(211));
        assert_eq!(shown(&board)[0].0, CaptureState::Nothing);
    }

    #[test]
    fn what_may_pass_is_tried_again_quickly_and_then_slowly() {
        let mut board = Board::default();
        let mut tries = Vec::new();
        for second in 0..60 {
            if board.see(&key(), SOME, at(second)) {
                tries.push(second);
                board.end(&key(), CaptureEnd::Failed(CannotBeHad::Loading), at(second));
            }
        }
        assert_eq!(tries[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(tries[11..], [25, 40, 55]);
        assert_eq!(shown(&board)[0].0, CaptureState::Failed);
    }

    #[test]
    fn what_cannot_pass_is_tried_once_in_a_divergence() {
        let gone = || CaptureEnd::Failed(CannotBeHad::HistoryGone { uptime: None });
        let mut board = Board::default();
        board.see(&key(), SOME, at(0));
        board.end(&key(), gone(), at(1));
        for second in 2..50 {
            assert!(!board.see(&key(), MORE, at(second)));
        }
        assert_eq!(shown(&board)[0].0, CaptureState::Gone);
        assert!(board.see(&key(), SOME, at(200)), "another divergence");
    }

    #[test]
    fn an_attempt_that_never_succeeded_is_gone_with_the_divergence_and_shown_for_an_hour() {
        let mut board = Board::default();
        board.see(&key(), SOME, at(0));
        board.end(&key(), CaptureEnd::Failed(CannotBeHad::Loading), at(1));
        board.tidy(at(30));
        assert_eq!(shown(&board)[0].0, CaptureState::Failed);
        board.tidy(at(90));
        let (state, detail) = &shown(&board)[0];
        assert_eq!(*state, CaptureState::Gone);
        assert!(detail.starts_with("it is no master any more; the last attempt: it is loading"));
        board.tidy(at(3700));
        assert_eq!(shown(&board), []);
    }
}
