//! How much a master writes: measured within the audit, or from the history that a running exporter
//! has kept.

use std::fmt;

use crate::model::{Bytes, Span};

/// The history that a rate should rest on; with less, every finding from it says so.
const ENOUGH_HISTORY: Span = Span::from_secs(3600);

/// The windows over which a history has its peaks, shortest first.
pub const PEAK_WINDOWS: [Span; 12] = [
    Span::from_secs(60),
    Span::from_secs(2 * 60),
    Span::from_secs(5 * 60),
    Span::from_secs(10 * 60),
    Span::from_secs(20 * 60),
    Span::from_secs(30 * 60),
    Span::from_secs(3600),
    Span::from_secs(2 * 3600),
    Span::from_secs(4 * 3600),
    Span::from_secs(8 * 3600),
    Span::from_secs(12 * 3600),
    Span::from_secs(24 * 3600),
];

/// The most bytes that were written within any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritePeak {
    /// The length.
    pub window: Span,
    /// The bytes.
    pub bytes: Bytes,
}

/// How many bytes a master writes to its stream.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteRate {
    /// As measured within the audit.
    Measured {
        /// Bytes a second.
        per_second: f64,
        /// How long it was measured.
        over: Span,
    },
    /// As a running exporter has seen it.
    History(WriteHistory),
}

/// The peaks of what a master wrote while an exporter polled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteHistory {
    /// How long it was polled.
    over: Span,
    /// The peak of its busiest minute.
    minute: WritePeak,
    /// The peaks of longer windows, none longer than the history.
    longer: Vec<WritePeak>,
}

impl WriteHistory {
    /// A history of `over`; `None` without a peak of the shortest window, which says too little.
    /// Peaks of windows that are longer than the history are dropped: they had no time to show.
    pub fn new(over: Span, peaks: impl IntoIterator<Item = WritePeak>) -> Option<Self> {
        let mut peaks = peaks
            .into_iter()
            .filter(|peak| peak.window <= over && peak.window > Span::ZERO);
        let minute = peaks.next()?;
        Some(Self {
            over,
            minute,
            longer: peaks.collect(),
        })
    }

    /// How long it was polled.
    pub fn over(&self) -> Span {
        self.over
    }

    /// The peaks, of the shortest window first.
    pub fn peaks(&self) -> impl Iterator<Item = WritePeak> {
        std::iter::once(self.minute).chain(self.longer.iter().copied())
    }

    /// The most that can have been written in any window of `span`: no window can hold more than
    /// the peaks of the shorter ones that cover it.
    fn within(&self, span: Span) -> Bytes {
        let bound = |peak: WritePeak| {
            let covering = (span.as_secs_f64() / peak.window.as_secs_f64()).ceil();
            scaled(peak.bytes, covering)
        };
        let minute = bound(self.minute);
        self.longer
            .iter()
            .map(|peak| bound(*peak))
            .fold(minute, Bytes::min)
    }

    /// For how long `size` certainly suffices at the busiest time.
    fn lasts(&self, size: Bytes) -> Span {
        let mut longest = at_rate(size, self.per_second());
        for peak in self.peaks() {
            let windows = size.as_f64() / peak.bytes.as_f64().max(1.0);
            if windows >= 1.0 {
                longest = longest.max(peak.window.mul_f64(windows.floor()));
            }
        }
        longest
    }

    /// The rate of the busiest minute.
    fn per_second(&self) -> f64 {
        self.minute.bytes.as_f64() / self.minute.window.as_secs_f64()
    }
}

impl WriteRate {
    /// How much is written within `span`, at the busiest time that is known.
    pub fn within(&self, span: Span) -> Bytes {
        match self {
            Self::Measured { per_second, .. } => bytes(per_second * span.as_secs_f64()),
            Self::History(history) => history.within(span),
        }
    }

    /// How long `size` bytes take to be written at that time.
    pub fn lasts(&self, size: Bytes) -> Span {
        match self {
            Self::Measured { per_second, .. } => at_rate(size, *per_second),
            Self::History(history) => history.lasts(size),
        }
    }

    /// Bytes a second: of the measurement, or of the busiest minute.
    pub fn per_second(&self) -> f64 {
        match self {
            Self::Measured { per_second, .. } => *per_second,
            Self::History(history) => history.per_second(),
        }
    }

    /// On how much history it rests.
    pub fn over(&self) -> Span {
        match self {
            Self::Measured { over, .. } => *over,
            Self::History(history) => history.over,
        }
    }

    /// Whether it comes from the history of a running exporter.
    pub fn is_history(&self) -> bool {
        matches!(self, Self::History(_))
    }
}

/// The rate, and on how much history it rests.
impl fmt::Display for WriteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = bytes(self.per_second().round());
        let over = self.over();
        match self {
            Self::Measured { .. } => write!(f, "{rate}/s, measured over {over}")?,
            Self::History(_) => write!(
                f,
                "{rate}/s in the busiest minute of the exporter's history of {over}"
            )?,
        }
        if over < ENOUGH_HISTORY {
            write!(f, " only: less than an hour of history")?;
        }
        Ok(())
    }
}

/// How long `size` bytes take at this many a second; without end where nothing is written.
fn at_rate(size: Bytes, per_second: f64) -> Span {
    Span::from_secs_f64(size.as_f64() / per_second)
}

/// `bytes` times `factor`, rounded up.
pub(super) fn scaled(size: Bytes, factor: f64) -> Bytes {
    bytes(size.as_f64() * factor)
}

fn bytes(number: f64) -> Bytes {
    // `as` saturates, and no caller has a sign.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = number.ceil() as u64;
    Bytes::new(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(secs: i64, bytes: u64) -> WritePeak {
        WritePeak {
            window: Span::from_secs(secs),
            bytes: Bytes::new(bytes),
        }
    }

    #[test]
    fn a_rate_says_on_how_much_history_it_rests() {
        let rate = WriteRate::Measured {
            per_second: 2048.0,
            over: Span::from_secs(5),
        };
        assert_eq!(rate.within(Span::from_secs(600)), Bytes::new(1_228_800));
        assert_eq!(
            rate.to_string(),
            "2.0 KiB/s, measured over 5.000 s only: less than an hour of history"
        );
        let rate = WriteRate::Measured {
            per_second: 2048.0,
            over: Span::from_secs(7200),
        };
        assert_eq!(rate.to_string(), "2.0 KiB/s, measured over 2h 00m");
    }

    #[test]
    fn a_burst_counts_once_however_long_the_window_is() {
        // 6,000 bytes in one minute, and nothing else for an hour.
        let peaks = [peak(60, 6000), peak(600, 6000), peak(86_400, 1)];
        let history = WriteHistory::new(Span::from_secs(3600), peaks).unwrap();
        assert_eq!(history.peaks().count(), 2, "no day was seen");
        let rate = WriteRate::History(history);
        assert_eq!(rate.within(Span::from_secs(30)), Bytes::new(6000));
        assert_eq!(rate.within(Span::from_secs(600)), Bytes::new(6000));
        assert_eq!(rate.within(Span::from_secs(601)), Bytes::new(12_000));
        assert_eq!(rate.lasts(Bytes::new(12_000)), Span::from_secs(1200));
        assert_eq!(rate.lasts(Bytes::new(3000)), Span::from_secs(30));
        assert_eq!(
            rate.to_string(),
            "100 B/s in the busiest minute of the exporter's history of 60m 00s"
        );
    }

    #[test]
    fn a_history_of_less_than_a_minute_says_nothing() {
        assert_eq!(WriteHistory::new(Span::from_secs(59), [peak(60, 1)]), None);
        assert_eq!(WriteHistory::new(Span::from_secs(60), []), None);
    }
}
