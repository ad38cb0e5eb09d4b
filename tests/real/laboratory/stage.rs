//! The servers, the links, the witnesses and the exporter of one take.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{
    RedisServer, RedisServerBuilder, Reply, WanConditions, eventually,
};
use redis_cross_dc_exporter::model::{Span, Timestamp};
use tokio::time::sleep;

use super::alarm;
use super::layout::{Layout, Shape};
use super::peer::{Peer, PeerWatch};
use super::scraper::{Sample, Scraper, Subject};
use super::take::Take;
use super::truth::{Record, seconds};
use super::witness::{Load, NumberedWriter, Probe, Shared};
use crate::exporter::Exporter;
use crate::receiver::Receiver;

/// The entry of the pair that is scored.
pub(super) const PAIR: &str = "scored";
/// How long the machine may take for what takes a moment.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// The period of polls, as configured.
const POLL_INTERVAL: Span = Span::from_secs(1);
/// How often Prometheus would scrape in the laboratory: often enough to see what happens between
/// two polls.
const SCRAPE_PERIOD: Duration = Duration::from_millis(100);
/// How often it scrapes where each scrape asks the servers first.
const REFRESHED_SCRAPE_PERIOD: Duration = Duration::from_secs(1);
/// How long all is well before the story, in seconds ...
const HEALTHY_BEFORE: f64 = 4.0;
/// ... and at least after it.
const HEALTHY_AFTER: f64 = 3.0;
/// The fastest that a process can be seen to have stopped.
const STOP_PAUSE: Duration = Duration::from_millis(1);

/// What to set up.
pub(super) struct Plan {
    pub(super) shape: Shape,
    /// One way, on the link.
    pub(super) delay: Duration,
    /// `None` writes nothing until the story does.
    pub(super) load: Option<Load>,
    pub(super) master: RedisServerBuilder,
    pub(super) replica: RedisServerBuilder,
}

impl Default for Plan {
    fn default() -> Self {
        let server = RedisServer::builder;
        Self {
            shape: Shape::Pair,
            delay: Duration::ZERO,
            load: Some(Load::default()),
            master: server(),
            replica: server(),
        }
    }
}

/// How to measure.
#[derive(Clone)]
pub(super) struct Method {
    /// Where in the period of polls the story begins, from 0 to 1.
    pub(super) phase: f64,
    /// How long the take lasts at least, in seconds: after the story all is well.
    pub(super) length: f64,
    /// Whether each scrape asks the servers first (`poll.refresh_on_scrape`), at one scrape a
    /// second.
    pub(super) refresh: bool,
    /// The other exporter, if it is installed and to be scored.
    pub(super) peer: Option<Arc<Peer>>,
}

/// All that was set up. Fields are dropped in this order.
pub(super) struct Stage {
    pub(super) scraper: Scraper,
    pub(super) exporter: Exporter,
    peer: Option<PeerWatch>,
    _probe: Probe,
    pub(super) writer: NumberedWriter,
    record: Shared,
    receiver: Receiver,
    subject: Subject,
    pub(super) layout: Layout,
    excused: Vec<(Timestamp, Timestamp)>,
    began: Timestamp,
    method: Method,
}

impl Stage {
    /// Sets up what is planned and waits until the exporter has the lag.
    pub(super) async fn start(plan: Plan, method: Method) -> Self {
        let Plan {
            shape,
            delay,
            load,
            master,
            replica,
        } = plan;
        let conditions = WanConditions {
            delay,
            ..WanConditions::default()
        };
        let layout = Layout::start(shape, (master, replica), conditions).await;
        let record = Shared::default();
        let writer = NumberedWriter::start(layout.master.addr(), load, Arc::clone(&record));
        let probe = Probe::start(layout.replica.addr(), Arc::clone(&record));
        let receiver = Receiver::start([]).await.unwrap();
        let entries = layout.entries(shape);
        let exporter = Exporter::start(&configuration(&entries, &receiver, method.refresh)).await;
        let subject = Subject {
            pair: layout.pair(),
            replica: layout.watched().to_string(),
        };
        let period = if method.refresh {
            REFRESHED_SCRAPE_PERIOD
        } else {
            SCRAPE_PERIOD
        };
        let scraper = Scraper::start(exporter.url(), subject.clone(), period);
        let peer = method
            .peer
            .as_ref()
            .map(|peer| peer.watch(layout.master.addr(), layout.watched()));
        let excused = Vec::new();
        let began = clock::now();
        let mut stage = Self {
            scraper,
            exporter,
            peer,
            _probe: probe,
            writer,
            record,
            receiver,
            subject,
            layout,
            excused,
            began,
            method,
        };
        stage.known("the lag to be known").await;
        stage.pass(HEALTHY_BEFORE).await;
        stage.began = stage.in_phase().await - Span::from_secs_f64(HEALTHY_BEFORE);
        stage
    }

    /// Lets `seconds` pass, which the recording goes on in.
    pub(super) async fn pass(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Waits until the exporter shows a lag, and that it streams.
    async fn known(&self, what: &str) {
        let is_known = |s: &Sample| s.lag.is_some() && s.upper.is_some() && s.state == "streaming";
        self.scraper.wait_for(what, PATIENCE, is_known).await;
    }

    /// Waits for the phase of the poll period in which the story is to begin, as far as the
    /// sample's time tells it.
    async fn in_phase(&self) -> Timestamp {
        let before = self
            .scraper
            .samples()
            .last()
            .and_then(|sample| sample.learned);
        let polled = self
            .scraper
            .wait_for("another poll", PATIENCE, |s| s.learned > before)
            .await;
        let due = polled.learned.unwrap_or(polled.asked) + POLL_INTERVAL.mul_f64(self.method.phase);
        sleep((due - clock::now()).or_zero().to_duration()).await;
        clock::now()
    }

    /// Waits until the replica has all that was written when this was called.
    pub(super) async fn caught_up(&self) {
        let written = self.record.lock().unwrap().newest_batch();
        let probe = || async {
            let has = self.record.lock().unwrap().newest_reading();
            if has >= written {
                Ok(())
            } else {
                Err(format!("batch {has} of {written}"))
            }
        };
        eventually("the replica to catch up", PATIENCE, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Stops the replica (SIGSTOP) for `seconds`.
    pub(super) async fn freeze_replica(&mut self, seconds: f64) {
        let (from, to) = stop(&mut self.layout.replica, Duration::from_secs_f64(seconds)).await;
        self.froze(from, to);
    }

    /// Kills the replica and starts it again, empty, after `seconds`.
    pub(super) async fn restart_replica(&mut self, seconds: f64) {
        self.layout.replica.kill();
        let from = clock::now();
        self.pass(seconds).await;
        self.froze(from, clock::now());
        self.layout.replica.restart().await.unwrap();
    }

    /// Blocks the replica with a command, which takes some seconds.
    pub(super) async fn block_replica(&self, command: &[&str]) {
        let mut connection = self
            .layout
            .replica
            .connect()
            .await
            .unwrap()
            .within(PATIENCE);
        connection
            .command(&["CONFIG", "SET", "slowlog-log-slower-than", "1000000"])
            .await
            .unwrap();
        let sent = clock::now();
        connection.command(command).await.unwrap();
        let answered = clock::now();
        // Redis itself measures for how long it did nothing else: `[[id, time, microseconds,
        // ...]]`.
        let log = connection.command(&["SLOWLOG", "GET", "1"]).await.unwrap();
        let took = longest(&log).expect("the command is in the slow log");
        self.froze(answered - took, sent + took);
    }

    /// The replica certainly applied nothing from `from` to `to`.
    pub(super) fn froze(&self, from: Timestamp, to: Timestamp) {
        self.record.lock().unwrap().froze(from, to);
    }

    /// From `from` to now no number can be known, so an absent one is right.
    pub(super) fn excuse(&mut self, from: Timestamp) {
        self.excused.push((from, clock::now()));
    }

    /// Ends the take, when all has been well for a while and it is long enough.
    pub(super) async fn finish(mut self) -> Take {
        let rest = self.method.length - seconds(self.began, clock::now());
        self.pass(rest.max(HEALTHY_AFTER)).await;
        let ended = clock::now();
        // The truth is known up to the last reading that was asked for.
        self.pass(0.2).await;
        let peer = self
            .peer
            .take()
            .map(PeerWatch::readings)
            .unwrap_or_default();
        let record = std::mem::replace(&mut self.record, Arc::new(Mutex::new(Record::default())));
        let record = record.lock().unwrap().clone();
        let mut samples = self.scraper.samples();
        samples.retain(|sample| sample.asked >= self.began && sample.answered <= ended);
        let hooks = alarm::hooks(&self.receiver.requests(), &self.subject);
        Take {
            record,
            samples,
            hooks,
            peer,
            excused: self.excused.clone(),
            began: self.began,
            ended,
        }
    }
}

/// Stops `server` (SIGSTOP) for `length`. Returns from when to when it certainly did nothing.
pub(super) async fn stop(server: &mut RedisServer, length: Duration) -> (Timestamp, Timestamp) {
    server.stop().unwrap();
    let stat = format!("/proc/{}/stat", server.pid().expect("the server runs"));
    // The signal takes effect when the process is next scheduled.
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        sleep(STOP_PAUSE).await;
    }
    let from = clock::now();
    sleep(length).await;
    let to = clock::now();
    server.cont().unwrap();
    (from, to)
}

/// The longest command of a reply of SLOWLOG GET.
fn longest(log: &Reply) -> Option<Span> {
    let Reply::Array(entries) = log else {
        return None;
    };
    let micros = entries.iter().filter_map(|entry| match entry {
        Reply::Array(fields) => match fields.get(2) {
            Some(Reply::Integer(micros)) => Some(*micros),
            _ => None,
        },
        _ => None,
    });
    micros.max().map(|micros| Span::from_nanos(micros * 1000))
}

/// One rule, at five seconds, that fires at once.
fn configuration(entries: &str, receiver: &Receiver, refresh: bool) -> String {
    let refresh = if refresh {
        ", refresh_on_scrape: true"
    } else {
        ""
    };
    let off = ["lag_bytes", "link_down", "unreachable", "unknown"]
        .map(|rule| format!(", {rule}: {{warning: null, critical: null}}"));
    format!(
        "poll: {{interval: 1s{refresh}}}\n{entries}\
         alerts: {{lag_seconds: {{warning: 5s, critical: null, for: 0s}}{}}}\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{{name: hook, webhook: {{url: '{}'}}}}]}}\n",
        off.concat(),
        receiver.url("/hook")
    )
}
