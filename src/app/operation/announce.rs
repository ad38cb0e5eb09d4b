//! Reports an operation to the running exporter as long as it works, so that the exporter shows it
//! and quiets what it causes. An operation does not depend on it: an exporter that does not answer
//! is named once, and left.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::http_client::HttpClient;
use crate::operation::{Ending, NOTICE_EVERY, OperationNotice};

/// How long the first report may take: nothing is done before it is answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running exporter that operations are reported to.
#[derive(Clone, Debug)]
pub struct ExporterDoor {
    /// Its URL, without a slash at the end.
    pub url: String,
    /// Has the login and the trusted certificates.
    pub client: HttpClient,
}

/// Why an exporter has taken no note.
#[derive(Debug)]
enum NotNoted {
    /// Another operation of the pair is under way.
    InProgress(String),
    /// It does not answer, or does not allow it.
    Unavailable(String),
}

/// A lease at an exporter, renewed until it is ended.
pub(super) struct Announcement {
    door: ExporterDoor,
    notice: OperationNotice,
    /// Ends the renewals when it is dropped.
    stop: oneshot::Sender<()>,
    renewals: JoinHandle<()>,
}

impl ExporterDoor {
    async fn post(&self, notice: &OperationNotice) -> Result<(), NotNoted> {
        let unavailable = |why: String| NotNoted::Unavailable(why);
        let body = serde_json::to_vec(notice).map_err(|error| unavailable(error.to_string()))?;
        let url = format!("{}/api/v1/operations", self.url);
        let answer = self.client.post_json(&url, &[], body).await;
        let answer = answer.map_err(|error| unavailable(error.to_string()))?;
        match answer.status {
            200 => Ok(()),
            409 => Err(NotNoted::InProgress(words(&answer.body))),
            status => {
                let words = words(&answer.body);
                Err(unavailable(format!("{words} (status {status})")))
            }
        }
    }
}

/// The error in an exporter's answer.
fn words(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Refused {
        error: String,
    }
    let refused = serde_json::from_str::<Refused>(body);
    refused.map_or_else(|_| "it refused".to_owned(), |refused| refused.error)
}

impl Announcement {
    /// Reports that the operation begins, and goes on reporting it. `Ok(Err)` has a sentence for
    /// the user where nothing can be reported to the exporter.
    ///
    /// # Errors
    /// Another operation of the pair is under way, as the exporter says.
    pub(super) async fn begin(
        door: &ExporterDoor,
        notice: OperationNotice,
    ) -> Result<Result<Self, String>, String> {
        let first = timeout(PATIENCE, door.post(&notice)).await;
        let url = &door.url;
        match first {
            Ok(Ok(())) => {}
            Ok(Err(NotNoted::InProgress(why))) => {
                return Err(format!(
                    "operation-in-progress: {why} (the exporter at {url})"
                ));
            }
            Ok(Err(NotNoted::Unavailable(why))) => {
                return Ok(Err(not_reported(url, &why)));
            }
            Err(_) => return Ok(Err(not_reported(url, "no answer in time"))),
        }
        let (stop, stopped) = oneshot::channel();
        let renewals = tokio::spawn(renew(door.clone(), notice.clone(), stopped));
        Ok(Ok(Self {
            door: door.clone(),
            notice,
            stop,
            renewals,
        }))
    }

    /// Reports how it ended.
    pub(super) async fn end(self, ending: &Ending) {
        let Self {
            door,
            notice,
            stop,
            renewals,
        } = self;
        drop(stop);
        // A renewal that arrived after the end would begin another lease. It ends by itself.
        let _ = renewals.await;
        let last = notice.ended(ending.outcome, &ending.last_line());
        // Without it the lease runs out within seconds.
        let _ = timeout(PATIENCE, door.post(&last)).await;
    }
}

fn not_reported(url: &str, why: &str) -> String {
    format!(
        "the exporter at {url} does not know of this operation, so it will notify of what it causes: {why}"
    )
}

/// Reports again and again; a report that fails is one of several.
async fn renew(door: ExporterDoor, notice: OperationNotice, mut stopped: oneshot::Receiver<()>) {
    let every = NOTICE_EVERY.to_duration();
    while timeout(every, &mut stopped).await.is_err() {
        let _ = timeout(every, door.post(&notice)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::HttpTimeouts;
    use crate::http_client::testing::{Reply, TestServer};
    use crate::operation::{NoticeState, OperationKind, Outcome};

    fn door(url: String) -> ExporterDoor {
        let second = Duration::from_secs(1);
        let timeouts = HttpTimeouts {
            connect: second,
            total: second,
        };
        ExporterDoor {
            url,
            client: HttpClient::for_exporter(timeouts).unwrap(),
        }
    }

    fn notice() -> OperationNotice {
        OperationNotice {
            id: "x".to_owned(),
            pair: "orders".to_owned(),
            kind: OperationKind::SwitchOver,
            old: "a:1".to_owned(),
            target: "b:1".to_owned(),
            state: NoticeState::Running,
            sentence: String::new(),
        }
    }

    #[tokio::test]
    async fn an_operation_is_reported_from_its_beginning_to_its_end() {
        let exporter = TestServer::replying(vec![Reply::body(200, "{}")]).await;
        let door = door(exporter.url.clone());
        let begun = Announcement::begin(&door, notice()).await;
        let announcement = begun.unwrap().unwrap();
        let ending = Ending::new(Outcome::Done, "b:1 is the master");
        announcement.end(&ending).await;
        let requests = exporter.requests();
        assert!(requests[0].line.ends_with("/api/v1/operations HTTP/1.1"));
        let states: Vec<_> = requests
            .iter()
            .map(|request| request.json()["state"].clone())
            .collect();
        assert_eq!(states, ["running", "done"]);
        assert!(requests[1].body.contains("b:1 is the master"));
    }

    #[tokio::test]
    async fn another_operation_ends_this_one_and_an_exporter_that_does_not_listen_does_not() {
        let busy = Reply::body(409, "{\"error\":\"operation y is under way\"}");
        let denied = Reply::body(403, "{\"error\":\"not you\"}");
        let exporter = TestServer::replying(vec![busy, denied]).await;
        let door = door(exporter.url.clone());
        let refused = Announcement::begin(&door, notice()).await.err();
        assert!(refused.unwrap().contains("operation y is under way"));
        let why = Announcement::begin(&door, notice()).await.unwrap().err();
        assert!(why.unwrap().contains("not you"));
        let nobody = ExporterDoor {
            url: "http://127.0.0.1:1".to_owned(),
            ..door
        };
        let why = Announcement::begin(&nobody, notice()).await.unwrap().err();
        assert!(why.unwrap().contains("does not know of this operation"));
    }
}
