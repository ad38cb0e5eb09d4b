//! The states over time, as a strip.

use super::Frame;
use super::times::{Times, clock_text};
use crate::report::{HistoryReport, Level, PointReport};
use crate::web::page::measure;

/// Between a state's name and the edges of its run.
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

impl Timeline {
    /// States that follow one another are taken together.
    pub(super) fn new(history: &HistoryReport, frame: &Frame, left: f64) -> Self {
        let times = Times::new(history);
        let place = |at: f64| times.place(at, left, frame.right());
        let runs = history.points.chunk_by(|a, b| a.state == b.state);
        let run = |points: &[PointReport]| {
            let state = points.first()?.state?;
            let begin = points.first()?.timestamp.max(times.since);
            let end = (points.last()?.timestamp + history.step_seconds).min(times.until);
            let x = place(begin);
            let width = super::round((place(end) - x).max(1.0));
            let room = width - 2.0 * MARGIN;
            let fits = measure::width(state.label(), Frame::FONT) <= room;
            Some(Run {
                x: x.min(frame.right() - 1.0),
                width,
                level: Level::from_state(state).label(),
                state: state.label(),
                label: fits.then(|| state.label()),
                words: format!(
                    "{} from {} to {} UTC",
                    state.label(),
                    clock_text(begin),
                    clock_text(end)
                ),
            })
        };
        Self {
            class: frame.class,
            width: frame.width,
            left,
            right: frame.right(),
            runs: runs.filter_map(run).collect(),
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
