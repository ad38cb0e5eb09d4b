//! The lab's receiver of notifications, whose requests are searched for secrets that are not its
//! own.

use std::ops::Deref;

use redis_cross_dc_exporter::lab::{self, Answer, LabError, Received};

use crate::planted::{self, Transcript};

/// The header fields that a test gives a secret.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-token"];

/// A running receiver. When it is dropped, what it was sent is looked through.
pub(crate) struct Receiver(lab::Receiver);

impl Receiver {
    /// As [`lab::Receiver::start`].
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Result<Self, LabError> {
        lab::Receiver::start(script).await.map(Self)
    }
}

impl Deref for Receiver {
    type Target = lab::Receiver;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let transcript = Transcript::new("receiver");
        for request in self.requests() {
            transcript.add("requests", &without_its_own(&request));
        }
        if !std::thread::panicking() {
            transcript.assert_clean();
        }
    }
}

/// What is in a request besides the secrets that belong there: the URL, the headers with a
/// credential and PagerDuty's routing key.
fn without_its_own(request: &Received) -> String {
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| !SECRET_HEADERS.contains(&name.as_str()));
    let headers: Vec<_> = headers
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let key = format!("\"routing_key\":\"{}\"", planted::ROUTING_KEY);
    format!(
        "{}\n{}",
        headers.join("\n"),
        request.text().replace(&key, "\"routing_key\":\"its own\"")
    )
}
