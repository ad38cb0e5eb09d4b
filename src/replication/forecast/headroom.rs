//! How long the link may be cut before the replica needs a full resync: until the master has
//! written more than its backlog holds beyond what the replica has.

use std::sync::Arc;

use super::super::assess::Assessment;
use super::super::no_forecast::NoForecast;
use super::super::write_course::WriteCourse;
use super::super::write_peaks::PeakTable;
use crate::model::{Bytes, Span, Timestamp};

/// Over less than this no rate is measured.
const SHORTEST_RATE: Span = Span::from_secs(10);

/// Beyond this a backlog lasts long enough, and the number means nothing.
pub const LONGEST_HEADROOM: Span = Span::from_secs(30 * 86_400);

/// What a master has written, as far as its polls are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Bytes of the last minutes, and over how long they were counted.
    pub recent: Option<(Bytes, Span)>,
    /// The most in windows of every length.
    pub peaks: Option<Arc<PeakTable>>,
    /// The course of the last minutes; `None` where no replica catches up, which needs it.
    pub course: Option<Arc<WriteCourse>>,
}

/// How long the link may be cut before a full resync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// What the master may write until then; zero when it is too late.
    pub bytes: Result<Bytes, NoForecast>,
    /// How long that lasts at the rate of the last minutes.
    pub expected: Result<Span, NoForecast>,
    /// How long it lasts if the master writes as fast as it ever has in the history that is kept.
    pub worst: Result<Span, NoForecast>,
    /// How long that history is.
    pub history: Option<Span>,
}

impl Headroom {
    /// The headroom at `now`, of a master whose backlog has this size.
    pub fn new(backlog: Option<Bytes>, seen: &Assessment, writes: &Writes, now: Timestamp) -> Self {
        let bytes = bytes(backlog, seen);
        let peaks = writes.peaks.as_deref();
        let since = peaks.and_then(PeakTable::since);
        let expected = bytes.and_then(|bytes| expected(bytes, writes.recent));
        let worst = bytes.and_then(|bytes| worst(bytes, peaks));
        Self {
            bytes,
            expected,
            // The last minutes are in the history, of which the worst is kept less precisely.
            worst: match (worst, expected) {
                (Ok(worst), Ok(expected)) => Ok(worst.min(expected)),
                (worst, _) => worst,
            },
            history: since.map(|since| (now - since).or_zero()),
        }
    }

    /// Only how long it is expected to last, which costs less.
    pub fn expected(seen: &Assessment, recent: Option<(Bytes, Span)>) -> Result<Span, NoForecast> {
        expected(bytes(None, seen)?, recent)
    }
}

/// What the master may write until a full resync; without the size of its `backlog` that is not
/// known.
fn bytes(backlog: Option<Bytes>, seen: &Assessment) -> Result<Bytes, NoForecast> {
    match (seen.backlog_headroom, backlog) {
        (Some(headroom), _) => Ok(headroom),
        (None, None) => Err(NoForecast::BacklogUnknown),
        (None, Some(_)) => Err(NoForecast::LagUnknown),
    }
}

/// By the mean of the last minutes.
fn expected(bytes: Bytes, recent: Option<(Bytes, Span)>) -> Result<Span, NoForecast> {
    if bytes == Bytes::ZERO {
        return Ok(Span::ZERO);
    }
    let (written, counted) = recent.ok_or(NoForecast::ShortHistory)?;
    if counted < SHORTEST_RATE {
        return Err(NoForecast::ShortHistory);
    }
    if written == Bytes::ZERO {
        return Err(NoForecast::NothingWritten);
    }
    let rate = written.as_f64() / counted.as_secs_f64(); // bytes a second
    within_limit(Span::from_secs_f64(bytes.as_f64() / rate))
}

/// By the fastest growth of that much in the history.
fn worst(bytes: Bytes, peaks: Option<&PeakTable>) -> Result<Span, NoForecast> {
    if bytes == Bytes::ZERO {
        return Ok(Span::ZERO);
    }
    let peaks = peaks.ok_or(NoForecast::ShortHistory)?;
    if peaks.since().is_none() {
        return Err(NoForecast::ShortHistory);
    }
    let lasts = peaks.shortest_time_for(bytes);
    within_limit(lasts.ok_or(NoForecast::NothingWritten)?)
}

fn within_limit(lasts: Span) -> Result<Span, NoForecast> {
    if lasts > LONGEST_HEADROOM {
        return Err(NoForecast::NothingWritten);
    }
    Ok(lasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_time_follows_from_the_mean() {
        let rate = |written, secs| Some((Bytes::new(written), Span::from_secs(secs)));
        let lasts = |bytes, recent| expected(Bytes::new(bytes), recent).map(Span::as_secs_f64);
        assert_eq!(lasts(1000, rate(300, 300)), Ok(1000.0));
        assert_eq!(
            lasts(0, None),
            Ok(0.0),
            "it is too late, whatever is written"
        );
        assert_eq!(lasts(1000, None), Err(NoForecast::ShortHistory));
        assert_eq!(lasts(1000, rate(300, 9)), Err(NoForecast::ShortHistory));
        assert_eq!(lasts(1000, rate(0, 300)), Err(NoForecast::NothingWritten));
        assert_eq!(
            lasts(1 << 40, rate(14, 300)),
            Err(NoForecast::NothingWritten)
        );
    }
}
