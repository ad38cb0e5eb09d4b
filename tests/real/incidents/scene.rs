//! The servers, lines, receivers and the exporter of one incident, and its transcript.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, WanConditions, WanProxy};
use redis_cross_dc_exporter::model::{ClockAnchor, Timestamp};
use tokio::time::sleep;

use super::message::Message;
use super::transcript::{Line, Said, Transcript};
use crate::command::run;
use crate::exporter::Exporter;
use crate::laboratory::witness::{Load, NumberedWriter, Probe, Shared};
use crate::planted;
use crate::receiver::Receiver;

pub(super) const DC1: &str = "127.1.0.10";
pub(super) const DC2: &str = "127.2.0.10";

/// How long a healthy beginning lasts.
const HEALTHY: Duration = Duration::from_secs(8);

/// How long a server may take to be in sync.
const PATIENCE: Duration = Duration::from_mins(2);

/// About 17 KB/s of stream: fifty batches a second.
const LOAD: Load = Load {
    fillers: 1,
    bytes: 250,
};

/// A pair across a line that can be broken, with a writer, and a probe on its replica.
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) master: RedisServer,
    pub(super) link: WanProxy,
    pub(super) replica: RedisServer,
    pub(super) writer: NumberedWriter,
    record: Shared,
    _probe: Probe,
}

impl Pair {
    /// A pair from dc1 to dc2 that is in sync.
    pub(super) async fn start(name: &'static str, master: RedisServerBuilder) -> Self {
        let master = master
            .host(DC1)
            .config("repl-backlog-size 16mb")
            .start()
            .await
            .unwrap();
        let link = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .host(DC2)
            .replicaof(link.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(PATIENCE).await.unwrap();
        let record = Shared::default();
        let writer = NumberedWriter::start(master.addr(), Some(LOAD), Arc::clone(&record));
        let probe = Probe::start(replica.addr(), Arc::clone(&record));
        Self {
            name,
            master,
            link,
            replica,
            writer,
            record,
            _probe: probe,
        }
    }

    /// Its entry of `pairs`.
    pub(super) fn entry(&self) -> String {
        let (name, master, replica) = (self.name, self.master.addr(), self.replica.addr());
        format!(
            "{{name: {name}, master: {{address: '{master}'}}, replicas: [{{address: '{replica}'}}]}}"
        )
    }

    /// Writes this many bytes at once, in transactions of a megabyte.
    pub(super) async fn burst(&self, megabytes: usize) {
        for _ in 0..megabytes {
            let load = Load {
                fillers: 1_000,
                bytes: 1_000,
            };
            self.writer.transaction(load).await;
        }
    }

    fn truth(&self, at: Timestamp) -> Option<String> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = record.lag(at, at)?;
        let bytes = record.bytes(at, at);
        let bytes = bytes.map_or_else(String::new, |bytes| {
            format!(", {:.0} KiB", bytes.high / 1024.0)
        });
        let name = self.name;
        // While the replica is dead it is unknown when it stopped.
        let seconds = if lag.high - lag.low < 0.5 {
            format!("{:.1} s", lag.low)
        } else {
            format!("{:.1} to {:.1} s", lag.low, lag.high)
        };
        Some(format!("{name}: {seconds}{bytes} behind"))
    }
}

/// Everything but the servers.
pub(super) struct Scene {
    began: ClockAnchor,
    lines: Mutex<Vec<Line>>,
    receiver: Receiver,
    pub(super) exporter: Exporter,
}

impl Scene {
    /// Starts an exporter that watches `pairs` and `sentinels` (both as the configuration has
    /// them), and lets all be healthy for a while. All thresholds are the default ones; what counts
    /// events forgets them after two minutes, so that the resolve is seen, too.
    pub(super) async fn start(pairs: &str, sentinels: &str) -> Self {
        let receiver = Receiver::start([]).await.unwrap();
        let exporter = Exporter::start_admin(&configuration(pairs, sentinels, &receiver)).await;
        sleep(HEALTHY).await;
        Self {
            began: clock::anchor(),
            lines: Mutex::default(),
            receiver,
            exporter,
        }
    }

    fn note(&self, said: Said) {
        let line = Line {
            at: clock::now(),
            said,
        };
        self.lines.lock().unwrap().push(line);
    }

    /// Notes what is done.
    pub(super) fn event(&self, text: &str) {
        self.note(Said::Event(text.to_owned()));
    }

    /// Notes what is true.
    pub(super) fn truth(&self, text: &str) {
        self.note(Said::Truth(text.to_owned()));
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// Records what a person sees now: `check` and the page.
    pub(super) async fn look(&self) {
        self.check().await;
        self.note(Said::Page(page_text(&self.exporter.get("/").await)));
    }

    /// Records the output of `check` in the exporter's folder, where it asks the exporter.
    pub(super) async fn check(&self) {
        self.run_check(&["check", "--exporter.url", self.exporter.url()])
            .await;
    }

    /// Records the output of `check` while no exporter answers.
    pub(super) async fn check_alone(&self) {
        self.run_check(&[
            "check",
            "--config.file",
            "config.yml",
            "--exporter.url",
            self.exporter.url(),
        ])
        .await;
    }

    async fn run_check(&self, args: &[&str]) {
        let folder = self.exporter.folder();
        let folder: &Path = folder.path();
        let outcome = run(folder, args).await;
        let text = anstream_free(&outcome.stdout) + &outcome.stderr;
        self.note(Said::Check {
            code: outcome.code,
            text,
        });
    }

    /// The transcript, with the truth about `pairs` beside each message.
    pub(super) fn transcript(self, pairs: &[&Pair]) -> Transcript {
        let mut lines = self.lines.into_inner().unwrap();
        for request in self.receiver.requests() {
            let Some(message) = Message::read(&request) else {
                continue;
            };
            let at = request.at;
            lines.push(Line {
                at,
                said: Said::Sent(message),
            });
            for text in pairs.iter().filter_map(|pair| pair.truth(at)) {
                lines.push(Line {
                    at,
                    said: Said::Truth(text),
                });
            }
        }
        lines.sort_by_key(|line| line.at);
        Transcript {
            began: self.began,
            lines,
        }
    }
}

fn configuration(pairs: &str, sentinels: &str, receiver: &Receiver) -> String {
    let (slack, pagerduty) = (receiver.url("/slack"), receiver.url("/v2/enqueue"));
    let key = planted::ROUTING_KEY;
    format!(
        "datacenters:\n\
         - {{name: dc1, match: [127.1.0.0/16], local: true}}\n\
         - {{name: dc2, match: [127.2.0.0/16]}}\n\
         pairs: [{pairs}]\n\
         sentinels: [{sentinels}]\n\
         alerts: {{full_sync: {{window: 2m}}, failover: {{window: 2m}}}}\n\
         notify:\n\
         \x20 external_url: 'http://exporter.example.com:10121'\n\
         \x20 receivers:\n\
         \x20 - {{name: chat, slack: {{webhook_url: '{slack}'}}}}\n\
         \x20 - {{name: oncall, min_severity: critical, pagerduty: {{routing_key: {key}, url: '{pagerduty}'}}}}\n"
    )
}

/// The text of the page down to its first table: title, banners, counts.
fn page_text(html: &str) -> String {
    let title = between(html, "<title>", "</title>").unwrap_or_default();
    let main = between(html, "<main", "<table").unwrap_or_default();
    let mut text = String::new();
    let mut in_tag = true;
    for letter in main.chars() {
        match letter {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                text.push(' ');
            }
            _ if !in_tag => text.push(letter),
            _ => {}
        }
    }
    let words: Vec<_> = text.split_whitespace().collect();
    format!("{title}\n{}", words.join(" "))
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let from = text.find(begin)? + begin.len();
    let rest = text.get(from..)?;
    rest.get(..rest.find(end)?)
}

/// `text` without the colours of a terminal.
fn anstream_free(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
