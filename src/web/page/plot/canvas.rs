//! What all charts of one size share: the history, the size, and the time axis.

use super::frame::Frame;
use super::path::Dot;
use super::times::Times;
use super::values::Values;
use crate::report::{HistoryReport, PointReport};

pub(super) struct Canvas<'a> {
    pub(super) history: &'a HistoryReport,
    pub(super) frame: Frame,
    pub(super) times: Times,
    /// Where the axis of values is.
    pub(super) left: f64,
}

impl<'a> Canvas<'a> {
    /// The canvas whose axis of values leaves room for the widest of `texts` beside it.
    pub(super) fn new<'t>(
        history: &'a HistoryReport,
        frame: Frame,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        Self {
            history,
            frame,
            times: Times::new(history),
            left: Frame::left(texts),
        }
    }

    /// The x of an instant.
    pub(super) fn x(&self, at: f64) -> f64 {
        self.times.place(at, self.left, self.frame.right())
    }

    /// The steps of the history, each with these of its values.
    pub(super) fn dots(&self, values: &dyn Fn(&PointReport) -> Values) -> Vec<Dot> {
        let mut dots = Vec::new();
        for point in &self.history.points {
            dots.push(Dot {
                begin: self.x(point.timestamp),
                end: self.x(point.timestamp + self.history.step_seconds),
                values: values(point),
            });
        }
        dots
    }
}
