//! Charts as paths of SVG, made here: they need no script and no library.
//!
//! Each is made twice, for desks and for phones, so that its letters are as large on both; style.css
//! shows the one that there is room for. What a text needs is measured from above, so nothing is
//! clipped in whatever font a reader has.

mod axis;
mod frame;
mod path;
mod spark;
mod timeline;
mod times;

#[cfg(test)]
mod tests;

pub(super) use frame::Frame;
pub(super) use spark::Spark;
pub(super) use timeline::{Occurring, Timeline};
pub(super) use times::span_words;

use crate::model::{Bytes, Span};
use crate::report::{HistoryReport, Levels, PointReport};
use axis::{Axis, Mark};
use path::{Dot, Scale};
use times::Times;

/// The least that an axis of lag reaches, in seconds.
const LEAST_LAG: f64 = 0.01;

/// What stands at the left of a time axis.
const ZONE: &str = "UTC";

/// The charts of a pair in one size.
pub(super) struct Charts {
    pub(super) lag: Plot,
    pub(super) bytes: Plot,
    pub(super) states: Timeline,
}

/// A chart, ready to be drawn.
pub(super) struct Plot {
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// Where the texts at the left end.
    pub(super) beside: f64,
    /// What stands at the left of the time axis.
    pub(super) zone: &'static str,
    /// The time at its left and right, as Unix seconds.
    pub(super) since: f64,
    pub(super) until: f64,
    /// The best estimate, or the only line.
    pub(super) line: String,
    /// What is certain.
    pub(super) band: String,
    /// Where only a lower bound is certain.
    pub(super) open: String,
    /// Thresholds that lie within the chart.
    pub(super) levels: Vec<Threshold>,
    pub(super) ys: Vec<Tick>,
    pub(super) xs: Vec<Tick>,
}

/// A threshold that lies within the chart.
pub(super) struct Threshold {
    pub(super) level: &'static str,
    pub(super) y: f64,
    /// For the legend: a text beside the line would lie on what the chart shows.
    pub(super) text: String,
}

/// A mark on an axis.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
    anchor: Anchor,
}

/// By which of its ends a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Tick {
    /// The class that anchors the text.
    pub(super) const fn anchor(&self) -> &'static str {
        match self.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

impl Charts {
    /// The past of a pair, with the thresholds of its lag.
    pub(super) fn new(history: &HistoryReport, thresholds: Levels, frame: Frame) -> Self {
        let seconds = |point: &PointReport| Values {
            value: point.lag_seconds,
            lower: point.lag_lower_seconds,
            upper: point.lag_upper_seconds,
        };
        let bytes = |point: &PointReport| Values {
            value: point.lag_bytes.map(|bytes| Bytes::new(bytes).as_f64()),
            lower: None,
            upper: None,
        };
        let highest = |values: &dyn Fn(&PointReport) -> Values| {
            let all = history.points.iter().map(values);
            all.map(Values::highest).fold(0.0, f64::max)
        };
        let lag_axis = Axis::seconds(highest(&seconds).max(LEAST_LAG));
        let bytes_axis = Axis::bytes(highest(&bytes));
        let lag_marks = lag_axis.marks();
        let byte_marks = bytes_axis.marks();
        // One for all of them: what is above one another happened at the same time.
        let texts = lag_marks.iter().chain(&byte_marks);
        let left = Frame::left(texts.map(|mark| mark.text.as_str()).chain([ZONE]));
        let canvas = Canvas {
            history,
            frame,
            left,
        };
        let mut lag = canvas.plot(&lag_axis, &lag_marks, seconds);
        lag.levels = levels(thresholds, &lag_axis, &frame);
        Self {
            lag,
            bytes: canvas.plot(&bytes_axis, &byte_marks, bytes),
            states: Timeline::new(history, &frame, left),
        }
    }
}

/// What a chart shows of a step.
struct Values {
    value: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Values {
    fn highest(self) -> f64 {
        let all = [self.value, self.lower, self.upper];
        all.into_iter().flatten().fold(0.0, f64::max)
    }
}

/// What all charts of a size share.
struct Canvas<'a> {
    history: &'a HistoryReport,
    frame: Frame,
    left: f64,
}

impl Canvas<'_> {
    fn plot(&self, axis: &Axis, marks: &[Mark], values: impl Fn(&PointReport) -> Values) -> Plot {
        let times = Times::new(self.history);
        let frame = &self.frame;
        let scale = scale(axis, frame);
        let place = |at: f64| times.place(at, self.left, frame.right());
        let dot = |point: &PointReport| {
            let values = values(point);
            Dot {
                begin: place(point.timestamp),
                end: place(point.timestamp + self.history.step_seconds),
                value: values.value,
                lower: values.lower,
                upper: values.upper,
            }
        };
        let dots: Vec<Dot> = self.history.points.iter().map(dot).collect();
        let tick = |mark: &Mark| Tick {
            at: scale.y(mark.value),
            text: mark.text.clone(),
            anchor: Anchor::End,
        };
        Plot {
            class: frame.class,
            width: frame.width,
            height: frame.height,
            left: self.left,
            right: frame.right(),
            top: Frame::TOP,
            bottom: frame.bottom(),
            beside: self.left - Frame::MARGIN,
            zone: ZONE,
            since: times.since,
            until: times.until,
            line: path::line(&dots, &scale),
            band: path::band(&dots, &scale),
            open: path::open(&dots, &scale),
            levels: Vec::new(),
            ys: marks.iter().map(tick).collect(),
            xs: times.ticks(frame, self.left),
        }
    }
}

fn scale(axis: &Axis, frame: &Frame) -> Scale {
    Scale {
        most: axis.most,
        bottom: frame.bottom(),
        height: frame.bottom() - Frame::TOP,
    }
}

/// The thresholds that lie within the chart.
fn levels(thresholds: Levels, axis: &Axis, frame: &Frame) -> Vec<Threshold> {
    let scale = scale(axis, frame);
    let all = [
        ("warning", thresholds.warning),
        ("critical", thresholds.critical),
    ];
    let within = all
        .into_iter()
        .filter_map(|(level, value)| Some((level, value?)))
        .filter(|(_, value)| *value <= axis.most);
    let threshold = |(level, value)| Threshold {
        level,
        y: scale.y(value),
        text: format!("{level} from {}", Span::from_secs_f64(value)),
    };
    within.map(threshold).collect()
}

/// To a tenth: more digits would only make the page longer.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
