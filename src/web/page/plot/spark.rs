//! A lag in a table's row, small.

use super::path::{Dot, Scale, band, highest, line, open};
use super::times::Times;
use crate::model::Span;
use crate::report::{HistoryReport, PointReport};

/// Its size, in its own units.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 26.0;

/// Above and below the line.
const MARGIN: f64 = 1.5;

/// The least that is at its top, in seconds: what is less is flat.
const LEAST: f64 = 0.1;

/// Steps of it: two units or more apart, or they cannot be told from each other.
pub(super) const STEPS: usize = 60;

/// A lag in a table's row, small.
pub(in crate::web::page) struct Spark {
    pub(in crate::web::page) width: f64,
    pub(in crate::web::page) height: f64,
    pub(in crate::web::page) line: String,
    pub(in crate::web::page) band: String,
    pub(in crate::web::page) open: String,
    /// The highest value in it, in words.
    pub(in crate::web::page) words: String,
}

impl Spark {
    /// The lag of a history; `None` while there is nothing to show.
    pub(in crate::web::page) fn new(history: &HistoryReport) -> Option<Self> {
        let merged = history.points.len().div_ceil(STEPS).max(1);
        let times = Times::new(history);
        let steps = history.points.chunks(merged);
        let dots: Vec<Dot> = steps
            .filter_map(|points| dot(points, history.step_seconds, &times))
            .collect();
        let known = dots
            .iter()
            .filter_map(|dot| dot.value.or(dot.lower))
            .reduce(f64::max)?;
        let scale = Scale {
            most: highest(&dots).max(LEAST),
            bottom: HEIGHT - MARGIN,
            height: HEIGHT - 2.0 * MARGIN,
        };
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            line: line(&dots, &scale),
            band: band(&dots, &scale),
            open: open(&dots, &scale),
            words: format!("up to {}", Span::from_secs_f64(known)),
        })
    }
}

/// Several steps as one: what was certain of all of them, and the highest estimate of any.
fn dot(points: &[PointReport], step: f64, times: &Times) -> Option<Dot> {
    let lower = points
        .iter()
        .map(|point| point.lag_lower_seconds)
        .reduce(|a, b| Some(a?.min(b?)));
    let upper = points
        .iter()
        .map(|point| point.lag_upper_seconds)
        .reduce(|a, b| Some(a?.max(b?)));
    let value = points.iter().filter_map(|point| point.lag_seconds);
    Some(Dot {
        begin: times.place(points.first()?.timestamp, 0.0, WIDTH),
        end: times.place(points.last()?.timestamp + step, 0.0, WIDTH),
        value: value.reduce(f64::max),
        lower: lower.flatten(),
        upper: upper.flatten(),
    })
}
