//! Waiting for an instant of the monotonic clock.

use std::future::pending;

use crate::clock;
use crate::model::Timestamp;

/// Waits until `at`; forever if it is `None`.
///
/// Then lets other tasks run once: after a suspend or a busy stretch, an answer may have reached
/// the socket already, and it is not the server's fault that it has not been read yet.
pub(super) async fn until(at: Option<Timestamp>) {
    let Some(at) = at else { return pending().await };
    tokio::time::sleep((at - clock::now()).to_duration()).await;
    tokio::task::yield_now().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[tokio::test]
    async fn it_waits_for_a_future_instant_and_not_for_a_past_one() {
        let at = clock::now() + Span::from_millis(20);
        until(Some(at)).await;
        assert!(clock::now() >= at);
        until(Some(Timestamp::default())).await;
    }

    #[tokio::test]
    async fn an_answer_that_is_ready_comes_before_the_time() {
        let ready = async {
            tokio::task::yield_now().await;
            "answer"
        };
        let first = tokio::select! {
            biased;
            answer = ready => answer,
            () = until(Some(Timestamp::default())) => "time",
        };
        assert_eq!(first, "answer");
    }
}
