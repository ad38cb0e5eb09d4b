//! One GET of the exporter, timed, and the values of /metrics.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take: a scrape of many pairs on a busy machine takes seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// An answer, with when it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// From the request to the first byte of the answer.
    pub(crate) first_byte: Duration,
    /// From the request to its last byte.
    pub(crate) last_byte: Duration,
}

/// Gets `path` on a new connection, uncompressed: without a network, compression only costs.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let began = Instant::now();
    // HTTP/1.0: the body is what comes until the connection is closed.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
    let mut bytes = vec![0; 64 * 1024];
    let length = stream.read(&mut bytes)?;
    let first_byte = began.elapsed();
    bytes.truncate(length);
    stream.read_to_end(&mut bytes)?;
    let last_byte = began.elapsed();
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let no_answer = || io::Error::other("no HTTP answer");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_answer)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(no_answer)?,
        body: body.to_owned(),
        first_byte,
        last_byte,
    })
}

/// What /metrics said at one moment, as far as it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) rounds_missed: Option<f64>,
    pub(crate) events_dropped: Option<f64>,
    pub(crate) poll_errors: Option<f64>,
    pub(crate) pairs_up: Option<f64>,
    /// In seconds, between two rounds of a pair.
    pub(crate) interval: Option<f64>,
    pub(crate) lateness: Distribution,
}

/// A histogram over all its other labels: each bound in seconds, with the values at or below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distribution(Vec<(f64, f64)>);

impl Totals {
    pub(crate) fn read(metrics: &str) -> Self {
        Self {
            rounds_missed: sum(metrics, "redis_cross_dc_poll_rounds_missed_total"),
            events_dropped: sum(metrics, "redis_cross_dc_poll_events_dropped_total"),
            poll_errors: sum(metrics, "redis_cross_dc_poll_errors_total"),
            pairs_up: sum(metrics, "redis_cross_dc_link_up"),
            interval: sum(metrics, "redis_cross_dc_effective_interval_seconds"),
            lateness: Distribution::read(metrics, "redis_cross_dc_poll_lateness_seconds_bucket"),
        }
    }
}

impl Distribution {
    fn read(metrics: &str, name: &str) -> Self {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, count) in series(metrics, name) {
            let bound = labels
                .split_once("le=\"")
                .and_then(|(_, rest)| rest.split_once('"'));
            let Some(bound) = bound.and_then(|(bound, _)| bound.parse::<f64>().ok()) else {
                continue;
            };
            match buckets
                .iter_mut()
                .find(|(b, _)| b.total_cmp(&bound).is_eq())
            {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(buckets)
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| {
            let same = earlier.0.iter().find(|(b, _)| b.total_cmp(&bound).is_eq());
            same.map_or(0.0, |(_, count)| *count)
        };
        let left = self
            .0
            .iter()
            .map(|(bound, count)| (*bound, count - before(*bound)));
        Self(left.collect())
    }

    /// The smallest bound that `share` of the values are at or below; `None` of nothing.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let (_, all) = self.0.last()?;
        if *all <= 0.0 {
            return None;
        }
        let reached = self.0.iter().find(|(_, below)| *below >= share * all);
        reached.map(|(bound, _)| *bound)
    }
}

/// How many series there are.
pub(crate) fn count_series(metrics: &str) -> usize {
    metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count()
}

/// The sum of all series called `name`; `None` when there is none. An absent reason is no error.
fn sum(metrics: &str, name: &str) -> Option<f64> {
    let values: Vec<f64> = series(metrics, name).map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// The labels and the value of each series called `name`.
fn series<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let (head, value) = line.rsplit_once(' ')?;
        let labels = head.strip_prefix(name)?;
        let fits = labels.is_empty() || labels.starts_with('{');
        fits.then_some(())?;
        Some((labels, value.parse().ok()?))
    })
}
