//! Scrapes the exporter's metrics, as Prometheus does but more often, and keeps what they show of
//! one pair.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::{ClockAnchor, Span, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How long the exporter may take to answer on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the exporter said of the pair at one instant, which lies between `asked` and `answered`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) asked: Timestamp,
    pub(super) answered: Timestamp,
    pub(super) lag: Option<f64>,
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
    pub(super) bytes: Option<f64>,
    pub(super) lower_bytes: Option<f64>,
    pub(super) upper_bytes: Option<f64>,
    /// When the replica's position was last learned.
    pub(super) learned: Option<Timestamp>,
    pub(super) state: String,
}

/// Which series to keep.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) pair: String,
    pub(super) replica: String,
}

/// A running recording. On drop it ends.
pub(super) struct Scraper {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Scraper {
    /// Scrapes the exporter at `url` each `period`. A scrape that fails leaves no sample.
    pub(super) fn start(url: &str, subject: Subject, period: Duration) -> Self {
        let samples = Arc::default();
        let task = tokio::spawn(scrape(
            format!("{url}/metrics"),
            subject,
            period,
            Arc::clone(&samples),
        ));
        Self { samples, task }
    }

    /// What was recorded so far.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap().clone()
    }

    /// Waits for a sample, taken from now on, that meets `reached`.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        reached: impl Fn(&Sample) -> bool,
    ) -> Sample {
        let from = clock::now();
        let probe = || async {
            let samples = self.samples.lock().unwrap();
            let fresh = || {
                samples
                    .iter()
                    .rev()
                    .take_while(|sample| sample.asked >= from)
            };
            fresh()
                .find(|sample| reached(sample))
                .cloned()
                .ok_or_else(|| format!("{:?}", samples.last()))
        };
        eventually(what, limit, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn scrape(url: String, subject: Subject, period: Duration, samples: Arc<Mutex<Vec<Sample>>>) {
    let timeouts = HttpTimeouts {
        connect: ANSWER_LIMIT,
        total: ANSWER_LIMIT,
    };
    let client = HttpClient::for_exporter(timeouts).unwrap();
    let anchor = clock::anchor();
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = clock::now();
        let answer = client.get(&url).await;
        let answered = clock::now();
        if let Ok(answer) = answer.map(|answer| answer.body) {
            samples
                .lock()
                .unwrap()
                .extend(read(&answer, &subject, (asked, answered), anchor));
        }
    }
}

/// The sample of `subject` in a scrape; `None` when it has no such pair.
fn read(
    text: &str,
    subject: &Subject,
    (asked, answered): (Timestamp, Timestamp),
    anchor: ClockAnchor,
) -> Option<Sample> {
    let names_it = |line: &&str| {
        line.contains(&format!("pair=\"{}\"", subject.pair))
            && line.contains(&format!("replica=\"{}\"", subject.replica))
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(names_it)
        .collect();
    let value = |name: &str| {
        lines
            .iter()
            .find_map(|line| value_of(line.strip_prefix(name)?))
    };
    let lag = |of: &str| value(&format!("redis_cross_dc_replication_lag_{of}{{"));
    let is_state = |line: &&&str| {
        line.starts_with("redis_cross_dc_link_state{") && value_of(line) == Some(1.0)
    };
    let state = lines
        .iter()
        .find(is_state)?
        .split_once("state=\"")?
        .1
        .split('"')
        .next()?
        .to_owned();
    let on_our_clock = |at: f64| anchor.mono + Span::from_secs_f64(at - anchor.wall.as_secs_f64());
    Some(Sample {
        asked,
        answered,
        lag: lag("seconds"),
        lower: lag("lower_seconds"),
        upper: lag("upper_seconds"),
        bytes: lag("bytes"),
        lower_bytes: lag("lower_bytes"),
        upper_bytes: lag("upper_bytes"),
        learned: lag("sample_timestamp_seconds").map(on_our_clock),
        state,
    })
}

/// The value at the end of a line.
pub(super) fn value_of(line: &str) -> Option<f64> {
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_scrape_is_read() {
    let labels =
        |replica: &str| format!("pair=\"p\",source_dc=\"a\",target_dc=\"b\",replica=\"{replica}\"");
    let text = format!(
        "# HELP x y\nredis_cross_dc_replication_lag_seconds{{{other}}} 9\nredis_cross_dc_replication_lag_seconds{{{it}}} 0.25\n\
         redis_cross_dc_replication_lag_upper_seconds{{{it}}} 0.5\nredis_cross_dc_replication_lag_bytes{{{it}}} 7\n\
         redis_cross_dc_replication_lag_sample_timestamp_seconds{{{it}}} 1002.5\n\
         redis_cross_dc_link_state{{{it},state=\"stalled\"}} 0\nredis_cross_dc_link_state{{{it},state=\"streaming\"}} 1\n",
        other = labels("h:2"),
        it = labels("h:1"),
    );
    let at = Timestamp::from_nanos;
    let anchor = ClockAnchor {
        mono: at(0),
        wall: redis_cross_dc_exporter::model::WallTime::from_nanos(1_000_000_000_000),
    };
    let subject = |replica: &str| Subject {
        pair: "p".to_owned(),
        replica: replica.to_owned(),
    };
    let sample = read(&text, &subject("h:1"), (at(1), at(2)), anchor).unwrap();
    assert_eq!(
        (sample.lag, sample.lower, sample.upper),
        (Some(0.25), None, Some(0.5))
    );
    assert_eq!(
        (sample.bytes, sample.state.as_str()),
        (Some(7.0), "streaming")
    );
    assert_eq!(sample.learned, Some(at(2_500_000_000)));
    assert_eq!(read(&text, &subject("h:3"), (at(1), at(2)), anchor), None);
}
