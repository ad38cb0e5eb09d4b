//! Charts of a pair's history as paths of SVG: they need no script and no library.
//!
//! Each is made twice, for desks and for phones, so that its letters are as large on both;
//! style.css shows the one that there is room for. The width of every text is an upper bound, so
//! that nothing is clipped in any font.

mod axis;
mod canvas;
mod frame;
mod path;
mod spark;
mod tick;
mod timeline;
mod times;
mod values;

#[cfg(test)]
mod tests;

pub(super) use frame::Frame;
pub(super) use spark::Spark;
pub(super) use tick::Tick;
pub(super) use timeline::{Occurring, Timeline};
pub(super) use times::span_words;

use crate::model::{Bytes, Span};
use crate::report::{HistoryReport, Levels, PointReport};
use axis::Axis;
use canvas::Canvas;
use path::{Extreme, Scale};
use values::Values;

/// The least that an axis of lag reaches, in seconds.
const LEAST_LAG: f64 = 0.01;

/// The text at the left of a time axis.
const ZONE: &str = "UTC";

/// What the charts of a pair are held against.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// The thresholds of the lag.
    pub(super) thresholds: Levels,
    /// The size of the master's backlog as it is now.
    pub(super) backlog: Option<Bytes>,
}

/// The charts of a pair in one size.
pub(super) struct Charts {
    pub(super) lag: Plot,
    pub(super) bytes: Plot,
    /// What is left of the backlog; `None` where its size is not known.
    pub(super) headroom: Option<Plot>,
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
    /// Where the texts of the axis of values end.
    pub(super) beside: f64,
    /// The text at the left of the time axis.
    pub(super) zone: &'static str,
    /// The time at its left and right, as Unix seconds.
    pub(super) since: f64,
    pub(super) until: f64,
    /// The line of the estimates.
    pub(super) line: String,
    /// What the line is, for the legend.
    pub(super) line_words: &'static str,
    /// Whether some steps have no estimate.
    pub(super) has_gaps: bool,
    /// The area between the bounds.
    pub(super) band: String,
    /// The area above a lower bound without an upper one.
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

impl Charts {
    /// The past of a pair, with what it is held against.
    pub(super) fn new(history: &HistoryReport, limits: Limits, frame: Frame) -> Self {
        let lag_axis = Axis::seconds(highest(history, Values::lag).max(LEAST_LAG));
        let bytes_axis = Axis::bytes(highest(history, Values::bytes));
        let headroom_axis = limits.backlog.map(|size| Axis::bytes(size.as_f64()));

        // One canvas for all charts: what is above one another happened at the same time.
        let axes = [Some(lag_axis), Some(bytes_axis), headroom_axis];
        let mut texts = vec![ZONE.to_owned()];
        for axis in axes.into_iter().flatten() {
            texts.extend(axis.marks().into_iter().map(|mark| mark.text));
        }
        let canvas = Canvas::new(history, frame, texts.iter().map(String::as_str));

        let mut lag = Plot::new(&canvas, &lag_axis, HIGHEST, &Values::lag);
        lag.levels = levels(limits.thresholds, &lag_axis, &frame);
        Self {
            lag,
            bytes: Plot::new(&canvas, &bytes_axis, HIGHEST, &Values::bytes),
            headroom: headroom_axis.map(|axis| {
                let left = |point: &PointReport| Values::headroom(point, limits.backlog);
                Plot::new(&canvas, &axis, LOWEST, &left)
            }),
            states: Timeline::new(&canvas),
        }
    }
}

/// Which estimate of a step is drawn, and what that is called.
#[derive(Clone, Copy)]
struct Drawn {
    extreme: Extreme,
    words: &'static str,
}

/// The highest estimate of each step.
const HIGHEST: Drawn = Drawn {
    extreme: Extreme::Highest,
    words: "the highest estimate",
};

/// The lowest estimate of each step.
const LOWEST: Drawn = Drawn {
    extreme: Extreme::Lowest,
    words: "the lowest estimate",
};

/// What was left of a backlog of this size: at the worst in that step.
pub(super) fn headroom(point: &PointReport, backlog: Option<Bytes>) -> Option<u64> {
    let size = backlog?.get();
    Some(size.saturating_sub(point.lag_bytes?))
}

/// The highest of these values in a history; 0 where nothing is known.
fn highest(history: &HistoryReport, values: fn(&PointReport) -> Values) -> f64 {
    let mut highest: f64 = 0.0;
    for point in &history.points {
        highest = highest.max(values(point).highest());
    }
    highest
}

impl Plot {
    /// The chart of these values, without thresholds.
    fn new(
        canvas: &Canvas<'_>,
        axis: &Axis,
        drawn: Drawn,
        values: &dyn Fn(&PointReport) -> Values,
    ) -> Self {
        let frame = &canvas.frame;
        let scale = Scale::new(axis, frame);
        let dots = canvas.dots(values);
        let marks = axis.marks();
        let value_ticks = marks.iter().map(|mark| Tick::on_value_axis(mark, &scale));
        Self {
            class: frame.class,
            width: frame.width,
            height: frame.height,
            left: canvas.left,
            right: frame.right(),
            top: Frame::TOP,
            bottom: frame.bottom(),
            beside: canvas.left - Frame::MARGIN,
            zone: ZONE,
            since: canvas.times.since,
            until: canvas.times.until,
            line: path::line(&dots, drawn.extreme, &scale),
            line_words: drawn.words,
            has_gaps: dots.iter().any(|dot| dot.values.estimate.is_none()),
            band: path::band(&dots, &scale),
            open: path::open(&dots, &scale),
            levels: Vec::new(),
            ys: value_ticks.collect(),
            xs: canvas.times.ticks(frame, canvas.left),
        }
    }
}

/// The thresholds that lie within the chart.
fn levels(thresholds: Levels, axis: &Axis, frame: &Frame) -> Vec<Threshold> {
    let scale = Scale::new(axis, frame);
    let all = [
        ("warning", thresholds.warning),
        ("critical", thresholds.critical),
    ];
    let mut within = Vec::new();
    for (level, threshold) in all {
        if let Some(value) = threshold
            && value <= axis.most
        {
            within.push(Threshold {
                level,
                y: scale.y(value),
                text: format!("{level} from {}", Span::from_secs_f64(value)),
            });
        }
    }
    within
}

/// Rounded to a tenth: more digits would only make the page longer.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
