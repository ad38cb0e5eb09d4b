//! Waiting for a condition instead of sleeping and hoping.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::LabError;

/// The pause between two probes: short against anything a test waits for, long enough not to keep a
/// core busy.
const PAUSE: Duration = Duration::from_millis(20);

/// What a probe may return: whether the condition holds, and what it saw when it does not.
pub trait Probed {
    /// What the probe found once the condition holds.
    type Found;

    /// The finding, or a description of what was seen instead.
    ///
    /// # Errors
    /// What was seen, when the condition does not hold yet.
    fn found(self) -> Result<Self::Found, String>;
}

impl Probed for bool {
    type Found = ();
    fn found(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("the condition is false".to_owned())
        }
    }
}

impl<T> Probed for Option<T> {
    type Found = T;
    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Probed for Result<T, E> {
    type Found = T;
    fn found(self) -> Result<T, String> {
        self.map_err(|e| e.to_string())
    }
}

/// Calls `probe` until it finds what is awaited, for at most `limit`; a probe that hangs is given
/// up at the limit.
///
/// `what` names the condition so that it reads in "after 5.0 s, *the replica is in sync* had not
/// happened". A probe that returns `Err(seen)` puts what it saw into that message.
///
/// # Errors
/// [`LabError::NotReached`] when `limit` has passed.
pub async fn eventually<P, F>(
    what: &str,
    limit: Duration,
    mut probe: P,
) -> Result<<F::Output as Probed>::Found, LabError>
where
    P: FnMut() -> F,
    F: Future<Output: Probed>,
{
    let deadline = Instant::now() + limit;
    let mut last_seen = "the first probe did not return".to_owned();
    while let Ok(probed) = timeout_at(deadline, probe()).await {
        match probed.found() {
            Ok(found) => return Ok(found),
            Err(seen) => last_seen = seen,
        }
        if Instant::now() >= deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(LabError::NotReached {
        what: what.to_owned(),
        limit,
        last_seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn it_returns_what_the_probe_found() {
        let calls = Cell::new(0);
        let found = eventually("a third call", Duration::from_secs(1), || async {
            calls.set(calls.get() + 1);
            (calls.get() == 3).then(|| calls.get())
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_shows_what_was_seen_last() {
        let probe = || async { Err::<(), _>("link down") };
        let error = eventually("the sync", Duration::from_millis(1500), probe)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "after 1.5 s, the sync had not happened; last seen: link down"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_given_up() {
        let error = eventually(
            "an answer",
            Duration::from_secs(2),
            std::future::pending::<bool>,
        )
        .await
        .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the first probe did not return"),
            "{error}"
        );
    }
}
