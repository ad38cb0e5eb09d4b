//! A sparkline: the lag of the last minutes, in a row of the table of pairs.

use super::path::{Dot, Extreme, Scale, band, highest, line, open};
use super::times::Times;
use super::values::Values;
use crate::model::Span;
use crate::report::{HistoryReport, PointReport};

/// Its size, in its own units.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 26.0;

/// Above and below the line.
const MARGIN: f64 = 1.5;

/// The least lag that reaches the top, in seconds: a smaller one looks flat.
const LEAST: f64 = 0.1;

/// Steps of it, at most: closer than two units apart they could not be told from each other.
pub(super) const STEPS: usize = 60;

/// A sparkline of a pair's lag.
pub(in crate::web::page) struct Spark {
    pub(in crate::web::page) width: f64,
    pub(in crate::web::page) height: f64,
    pub(in crate::web::page) line: String,
    pub(in crate::web::page) band: String,
    pub(in crate::web::page) open: String,
    /// Its highest value, in words.
    pub(in crate::web::page) words: String,
}

impl Spark {
    /// The lag of a history; `None` while there is nothing to show.
    pub(in crate::web::page) fn new(history: &HistoryReport) -> Option<Self> {
        let dots = dots(history);
        let scale = Scale {
            most: highest(&dots).max(LEAST),
            bottom: HEIGHT - MARGIN,
            height: HEIGHT - 2.0 * MARGIN,
        };
        let peak = Span::from_secs_f64(peak(&dots)?);
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            line: line(&dots, Extreme::Highest, &scale),
            band: band(&dots, &scale),
            open: open(&dots, &scale),
            words: format!("up to {peak}"),
        })
    }
}

/// The steps of the history, several drawn as one.
fn dots(history: &HistoryReport) -> Vec<Dot> {
    let times = Times::new(history);
    let merged = history.points.len().div_ceil(STEPS).max(1);
    let steps = history.points.chunks(merged);
    steps
        .filter_map(|points| dot(points, history.step_seconds, &times))
        .collect()
}

fn dot(points: &[PointReport], step: f64, times: &Times) -> Option<Dot> {
    let first = points.first()?;
    let last = points.last()?;
    let values = points.iter().map(Values::lag).reduce(Values::joined)?;
    Some(Dot {
        begin: times.place(first.timestamp, 0.0, WIDTH),
        end: times.place(last.timestamp + step, 0.0, WIDTH),
        values,
    })
}

/// The highest estimate, or lower bound where there is no estimate; `None` where nothing is known.
fn peak(dots: &[Dot]) -> Option<f64> {
    let known = |dot: &Dot| dot.values.estimate.or(dot.values.lower);
    dots.iter().filter_map(known).reduce(f64::max)
}
