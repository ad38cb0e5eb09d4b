//! Records what the exporter reports about its pairs, ten times a second, and its metrics once a
//! second.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::Timestamp;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{PairReport, PairsReport};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::invariants::{self, MetricsWatch};
use crate::planted::Transcript;

/// The period of samples.
const PERIOD: Duration = Duration::from_millis(100);
/// Metrics are scraped at every this many samples.
const SAMPLES_PER_SCRAPE: usize = 10;
/// How long the exporter may take to answer on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the exporter said of one pair at one instant, which lies between `asked` and `answered`.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When the request was sent.
    pub(crate) asked: Timestamp,
    /// When its answer had come.
    pub(crate) answered: Timestamp,
    /// The age in seconds of the replica's last located answer then; the lower bound was certain at
    /// that time.
    pub(crate) age: Option<f64>,
    /// The pair.
    pub(crate) pair: PairReport,
}

impl Sample {
    /// The middle of the instants between which it was made.
    pub(crate) fn at(&self) -> Timestamp {
        self.asked + (self.answered - self.asked).half()
    }

    /// Seconds from `origin` to the sample.
    pub(crate) fn since(&self, origin: Timestamp) -> f64 {
        seconds_from(origin, self.at())
    }

    /// Whether an alert called `name` is pending or firing.
    pub(crate) fn has_alert(&self, name: &str) -> bool {
        self.pair.alerts.iter().any(|alert| alert.alertname == name)
    }

    /// Whether the pair is streaming, at most 0.1 s of lag is certain, and no more than a busy
    /// machine explains is estimated.
    pub(crate) fn is_healthy(&self) -> bool {
        self.pair.state == PairState::Streaming && self.has_no_certain_lag() && self.estimate(1.0)
    }

    /// Whether the lag is known, and certain only up to 0.1 s. On a machine that is busy with other
    /// work, a healthy pair's estimate may be higher for an instant: how close it is to the truth
    /// is measured by `make lab`.
    pub(crate) fn has_no_certain_lag(&self) -> bool {
        let lower = self.pair.lag_lower_seconds;
        self.pair.lag_seconds.is_some() && lower.is_none_or(|lower| lower <= 0.1)
    }

    fn estimate(&self, at_most: f64) -> bool {
        self.pair.lag_seconds.is_some_and(|lag| lag <= at_most)
    }
}

/// Seconds from `origin` to `at`; negative before it.
pub(crate) fn seconds_from(origin: Timestamp, at: Timestamp) -> f64 {
    (at - origin).as_secs_f64()
}

/// Samples of one pair in order.
#[derive(Clone, Debug)]
pub(crate) struct Series(pub(crate) Vec<Sample>);

/// A running recording.
pub(crate) struct Sampler {
    record: Arc<Mutex<Record>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Record {
    reports: Vec<(Timestamp, Timestamp, PairsReport)>,
    violations: Vec<String>,
}

impl Sampler {
    /// Samples the exporter at `url` until the recording is finished.
    pub(crate) fn start(url: &str) -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(url.to_owned(), Arc::clone(&record), stopped));
        Self { record, stop, task }
    }

    /// Waits for a sample of the pair `name`, taken from now on, that meets `reached`.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        reached: impl Fn(&Sample) -> bool,
    ) -> Sample {
        let from = clock::now();
        let probe = || async {
            let fresh = self.series(name).after(from);
            let last = fresh.0.last().map(|sample| format!("{:?}", sample.pair));
            fresh
                .0
                .into_iter()
                .find(|sample| reached(sample))
                .ok_or(last.unwrap_or_default())
        };
        eventually(what, limit, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the record reaches `length` beyond `from`.
    pub(crate) async fn recorded(&self, from: Timestamp, length: Duration) {
        let reached = || async {
            let record = self.record.lock().unwrap();
            record
                .reports
                .last()
                .is_some_and(|(asked, ..)| (*asked - from).to_duration() >= length)
        };
        let limit = length + Duration::from_secs(30);
        eventually("the recording", limit, reached).await.unwrap();
    }

    /// What is recorded of the pair `name` so far.
    pub(crate) fn series(&self, name: &str) -> Series {
        let record = self.record.lock().unwrap();
        let of_pair = record.reports.iter().flat_map(|(asked, answered, report)| {
            let pairs = report.pairs.iter().filter(|pair| pair.pair == name);
            pairs.map(|pair| {
                let age = pair
                    .sample_timestamp
                    .map(|at| report.exporter.now_timestamp - at);
                Sample {
                    asked: *asked,
                    answered: *answered,
                    age,
                    pair: pair.clone(),
                }
            })
        });
        Series(of_pair.collect())
    }

    /// Ends the recording. Panics when something did not hold that always must.
    pub(crate) async fn finish(mut self) -> Recording {
        self.stop.send_replace(true);
        (&mut self.task).await.unwrap();
        let violations = std::mem::take(&mut self.record.lock().unwrap().violations);
        assert!(
            violations.is_empty(),
            "what must always hold did not: {violations:#?}"
        );
        Recording(self)
    }
}

/// A recording that has ended.
pub(crate) struct Recording(Sampler);

impl Recording {
    /// What is recorded of the pair `name`.
    pub(crate) fn series(&self, name: &str) -> Series {
        self.0.series(name)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Series {
    /// The samples asked for at `from` or later.
    pub(crate) fn after(&self, from: Timestamp) -> Self {
        Self(
            self.0
                .iter()
                .filter(|sample| sample.asked >= from)
                .cloned()
                .collect(),
        )
    }

    /// The samples answered before `to`.
    pub(crate) fn before(&self, to: Timestamp) -> Self {
        Self(
            self.0
                .iter()
                .filter(|sample| sample.answered < to)
                .cloned()
                .collect(),
        )
    }

    /// When the first sample that fits was taken, in seconds from `origin`; `None` when none fits.
    pub(crate) fn first(&self, origin: Timestamp, fits: impl Fn(&Sample) -> bool) -> Option<f64> {
        self.0
            .iter()
            .find(|sample| fits(sample))
            .map(|sample| sample.since(origin))
    }

    /// Panics unless every sample fits; there must be at least one.
    pub(crate) fn all(&self, what: &str, fits: impl Fn(&Sample) -> bool) {
        assert!(!self.0.is_empty(), "no sample to check: {what}");
        let Some(index) = self.0.iter().position(|sample| !fits(sample)) else {
            return;
        };
        let (sample, began) = (&self.0[index], self.0[0].at());
        panic!(
            "not so in sample {index} of {}, {:.2} s in: {what}\n{sample:#?}",
            self.0.len(),
            sample.since(began)
        );
    }

    /// The estimate in the middle of all; 0 without any.
    pub(crate) fn median_lag(&self) -> f64 {
        let mut lags: Vec<_> = self.0.iter().filter_map(|s| s.pair.lag_seconds).collect();
        lags.sort_by(f64::total_cmp);
        lags.get(lags.len() / 2).copied().unwrap_or(0.0)
    }

    /// The highest estimate.
    pub(crate) fn max_lag(&self) -> Option<f64> {
        self.0
            .iter()
            .filter_map(|sample| sample.pair.lag_seconds)
            .max_by(f64::total_cmp)
    }

    /// The slope of the estimate in seconds a second, by least squares, over at least four seconds.
    pub(crate) fn slope(&self) -> f64 {
        let began = self.0[0].at();
        let lag = |sample: &Sample| {
            sample
                .pair
                .lag_seconds
                .map(|lag| (sample.since(began), lag))
        };
        let points: Vec<(f64, f64)> = self.0.iter().filter_map(lag).collect();
        let length = points.last().map_or(0.0, |(x, _)| *x);
        assert!(length >= 3.9, "a slope over {length} s says little");
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        covariance / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
    }

    /// The states in the order in which they came.
    pub(crate) fn states(&self) -> Vec<PairState> {
        let mut states: Vec<PairState> = self.0.iter().map(|sample| sample.pair.state).collect();
        states.dedup();
        states
    }

    /// One line per change of state, for people.
    pub(crate) fn print(&self, title: &str, origin: Timestamp) {
        println!("{title}:");
        let mut last = None;
        for sample in &self.0 {
            if last != Some(sample.pair.state) {
                let Sample { pair, .. } = sample;
                println!(
                    "  {:+7.2} s  {:<18} lag {:?} [{:?}, {:?}] s, {:?} B: {}",
                    sample.since(origin),
                    pair.state.label(),
                    pair.lag_seconds,
                    pair.lag_lower_seconds,
                    pair.lag_upper_seconds,
                    pair.lag_bytes,
                    pair.reason
                );
            }
            last = Some(sample.pair.state);
        }
    }
}

async fn run(url: String, record: Arc<Mutex<Record>>, stopped: watch::Receiver<bool>) {
    let timeouts = HttpTimeouts {
        connect: ANSWER_LIMIT,
        total: ANSWER_LIMIT,
    };
    let client = HttpClient::for_exporter(timeouts).unwrap();
    let mut metrics = MetricsWatch::default();
    let transcript = Transcript::new("sampler");
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for index in 0_usize.. {
        tick.tick().await;
        if *stopped.borrow() {
            return;
        }
        let asked = clock::now();
        let answer = client.get(&format!("{url}/api/v1/pairs")).await;
        let answered = clock::now();
        let report = answer
            .map_err(|error| error.to_string())
            .and_then(|answer| {
                transcript.add("pairs", &answer.body);
                serde_json::from_str::<PairsReport>(&answer.body)
                    .map_err(|error| format!("{error}: {}", answer.body))
            });
        let mut violations = match &report {
            Ok(report) => report.pairs.iter().flat_map(invariants::of_pair).collect(),
            Err(error) => vec![format!("no report: {error}")],
        };
        if index % SAMPLES_PER_SCRAPE == 0 {
            match client.get(&format!("{url}/metrics")).await {
                Ok(scrape) => {
                    transcript.add("metrics", &scrape.body);
                    violations.extend(metrics.check(&scrape.body));
                }
                Err(error) => violations.push(format!("no metrics: {error}")),
            }
        }
        let mut record = record.lock().unwrap();
        record
            .reports
            .extend(report.ok().map(|report| (asked, answered, report)));
        record.violations.extend(violations);
    }
}
