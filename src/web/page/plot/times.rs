//! The time axis, and the words for how much past there is.

use super::frame::Frame;
use super::{Anchor, Tick};
use crate::report::HistoryReport;
use crate::web::page::measure;

/// An axis is at least this long, in seconds, and no longer than there is something to show.
pub(super) const SHORTEST: f64 = 120.0;

/// Steps between marks, in seconds.
const STEPS: [f64; 15] = [
    30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0, 10_800.0,
    14_400.0, 21_600.0, 43_200.0,
];

/// Between two texts beside each other, in parts of the font's size.
const GAP: f64 = 0.8;

/// A time axis, in Unix seconds.
pub(super) struct Times {
    pub(super) since: f64,
    pub(super) until: f64,
}

impl Times {
    pub(super) fn new(history: &HistoryReport) -> Self {
        let until = history
            .exporter
            .now_timestamp
            .max(history.since_timestamp + 1.0);
        let first = first_seen(history).unwrap_or(history.since_timestamp);
        Self {
            since: first.min(until - SHORTEST).max(history.since_timestamp),
            until,
        }
    }

    /// The place of an instant between `left` and `right`.
    pub(super) fn place(&self, at: f64, left: f64, right: f64) -> f64 {
        let share = (at - self.since) / (self.until - self.since).max(1.0);
        super::round(left + share.clamp(0.0, 1.0) * (right - left))
    }

    /// Marks at round times, as many as there is room for, each within the picture.
    pub(super) fn ticks(&self, frame: &Frame, left: f64) -> Vec<Tick> {
        let wanted = (self.until - self.since) / f64::from(frame.time_marks);
        let step = STEPS
            .into_iter()
            .find(|step| *step >= wanted)
            .unwrap_or(86_400.0);
        let first = (self.since / step).ceil() * step;
        let times = (0..20)
            .map(|n| first + step * f64::from(n))
            .take_while(|at| *at <= self.until);
        let text = if step < 60.0 { second_text } else { clock_text };
        let mut ticks = Vec::new();
        let mut free_from = f64::MIN;
        for at in times {
            let tick = Tick::within(
                self.place(at, left, frame.right()),
                text(at),
                (left, frame.width),
            );
            if tick.left() >= free_from {
                free_from = tick.right() + GAP * Frame::FONT;
                ticks.push(tick);
            }
        }
        ticks
    }
}

impl Tick {
    /// A mark at `at` whose text lies between `left` and `right`: by its middle where that fits.
    fn within(at: f64, text: String, (left, right): (f64, f64)) -> Self {
        let half = measure::width(&text, Frame::FONT) / 2.0;
        let anchor = if at - half < left {
            Anchor::Start
        } else if at + half > right {
            Anchor::End
        } else {
            Anchor::Middle
        };
        Self { at, text, anchor }
    }

    /// Where a text on the time axis begins, at the least.
    pub(super) fn left(&self) -> f64 {
        let width = measure::width(&self.text, Frame::FONT);
        match self.anchor {
            Anchor::Start => self.at,
            Anchor::Middle => self.at - width / 2.0,
            Anchor::End => self.at - width,
        }
    }

    /// Where it ends at the latest.
    pub(super) fn right(&self) -> f64 {
        self.left() + measure::width(&self.text, Frame::FONT)
    }
}

/// When the first step began in which anybody looked.
fn first_seen(history: &HistoryReport) -> Option<f64> {
    let seen = history.points.iter().find(|point| point.state.is_some());
    seen.map(|point| point.timestamp.max(history.since_timestamp))
}

/// `The last 15 minutes`, or as much of it as there is: `The last 2 min`.
pub(in crate::web::page) fn span_words(history: &HistoryReport, asked: &str) -> String {
    let now = history.exporter.now_timestamp;
    let Some(first) = first_seen(history) else {
        return "Nothing is recorded yet".to_owned();
    };
    let missing = first - history.since_timestamp;
    if missing <= history.step_seconds {
        return format!("The last {asked}");
    }
    format!("The last {}", rough_words(now - first))
}

/// A span of time, roughly: `45 s`, `12 min`, `3 h 05 min`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of a day at most
fn rough_words(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `21:05:30`, in UTC.
fn second_text(at: f64) -> String {
    let text = crate::report::utc_text(at);
    text.get(11..19).unwrap_or("-").to_owned()
}

/// `21:05`, in UTC.
pub(super) fn clock_text(at: f64) -> String {
    let text = crate::report::utc_text(at);
    text.get(11..16).unwrap_or("-").to_owned()
}
