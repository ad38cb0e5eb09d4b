//! The strip of a pair's states over time, below its charts.

use super::canvas::Canvas;
use super::frame::Frame;
use super::times::clock_text;
use crate::report::{Level, PointReport};
use crate::web::page::measure;

/// Room between a state's name and the edges of its run.
const MARGIN: f64 = 6.0;

/// The states of a pair over time.
pub(in crate::web::page) struct Timeline {
    pub(in crate::web::page) class: &'static str,
    pub(in crate::web::page) width: f64,
    pub(in crate::web::page) left: f64,
    pub(in crate::web::page) right: f64,
    pub(in crate::web::page) runs: Vec<Run>,
}

/// One run of equal states.
pub(in crate::web::page) struct Run {
    pub(in crate::web::page) x: f64,
    pub(in crate::web::page) width: f64,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) state: &'static str,
    /// The state's name where all of it fits.
    pub(in crate::web::page) label: Option<&'static str>,
    pub(in crate::web::page) words: String,
}

/// A state that occurs, for the legend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::web::page) struct Occurring {
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) state: &'static str,
}

impl Run {
    /// A run of points with the same state; `None` where the state is not known.
    fn new(points: &[PointReport], canvas: &Canvas<'_>) -> Option<Self> {
        let first = points.first()?;
        let last = points.last()?;
        let state = first.state?;
        let name = state.label();
        let begin = first.timestamp.max(canvas.times.since);
        let end = (last.timestamp + canvas.history.step_seconds).min(canvas.times.until);
        let x = canvas.x(begin);
        let width = super::round((canvas.x(end) - x).max(1.0));
        let name_fits = measure::width(name, Frame::FONT) <= width - 2.0 * MARGIN;
        let from = clock_text(begin);
        let to = clock_text(end);
        Some(Self {
            x: x.min(canvas.frame.right() - 1.0),
            width,
            level: Level::from_state(state).label(),
            state: name,
            label: if name_fits { Some(name) } else { None },
            words: format!("{name} from {from} to {to} UTC"),
        })
    }
}

impl Timeline {
    /// Equal states that follow one another are one run.
    pub(super) fn new(canvas: &Canvas<'_>) -> Self {
        let points = &canvas.history.points;
        let runs = points.chunk_by(|a, b| a.state == b.state);
        Self {
            class: canvas.frame.class,
            width: canvas.frame.width,
            left: canvas.left,
            right: canvas.frame.right(),
            runs: runs.filter_map(|run| Run::new(run, canvas)).collect(),
        }
    }

    /// The states that occur, each once, in the order of their first runs.
    pub(in crate::web::page) fn legend(&self) -> Vec<Occurring> {
        let mut all = Vec::new();
        for run in &self.runs {
            let occurring = Occurring {
                level: run.level,
                state: run.state,
            };
            if !all.contains(&occurring) {
                all.push(occurring);
            }
        }
        all
    }
}
