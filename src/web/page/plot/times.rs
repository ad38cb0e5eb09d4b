//! The time axis, and the text for how much past there is.

use super::frame::Frame;
use super::tick::Tick;
use crate::report::HistoryReport;

/// An axis is at least this long, in seconds, and no longer than there is something to show.
pub(super) const SHORTEST: f64 = 120.0;

/// Steps between marks, in seconds.
const STEPS: [f64; 15] = [
    30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0, 10_800.0,
    14_400.0, 21_600.0, 43_200.0,
];

/// Room between two texts beside each other, in parts of the font's size.
const GAP: f64 = 0.8;

/// Marks on a time axis, at most.
const MOST_TICKS: u8 = 20;

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
        let first = first_known(history).unwrap_or(history.since_timestamp);
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

    /// Marks at round times, as many as there is room for.
    pub(super) fn ticks(&self, frame: &Frame, left: f64) -> Vec<Tick> {
        let wanted = (self.until - self.since) / f64::from(frame.time_marks);
        let step = step_of_at_least(wanted);
        let first = (self.since / step).ceil() * step;
        let text = if step < 60.0 { second_text } else { clock_text };
        let mut ticks = Vec::new();
        let mut free_from = f64::MIN;
        for n in 0..MOST_TICKS {
            let at = first + step * f64::from(n);
            if at > self.until {
                break;
            }
            let x = self.place(at, left, frame.right());
            let tick = Tick::on_time_axis(x, text(at), left, frame.width);
            if tick.left() >= free_from {
                free_from = tick.right() + GAP * Frame::FONT;
                ticks.push(tick);
            }
        }
        ticks
    }
}

/// The shortest step that is no shorter than `wanted`; a day where none is.
fn step_of_at_least(wanted: f64) -> f64 {
    for step in STEPS {
        if step >= wanted {
            return step;
        }
    }
    86_400.0
}

/// When the first step began of which a state is known.
fn first_known(history: &HistoryReport) -> Option<f64> {
    let seen = history.points.iter().find(|point| point.state.is_some());
    seen.map(|point| point.timestamp.max(history.since_timestamp))
}

/// `The last 15 minutes`, or as much of it as there is: `The last 2 min`.
pub(in crate::web::page) fn span_words(history: &HistoryReport, asked: &str) -> String {
    let now = history.exporter.now_timestamp;
    let Some(first) = first_known(history) else {
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
