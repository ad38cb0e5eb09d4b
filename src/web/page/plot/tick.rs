//! The marks on a chart's axes, with their texts.

use super::axis::Mark;
use super::frame::Frame;
use super::path::Scale;
use crate::web::page::measure;

/// A mark on an axis.
pub(in crate::web::page) struct Tick {
    /// Its x on the time axis, its y on an axis of values.
    pub(in crate::web::page) at: f64,
    pub(in crate::web::page) text: String,
    pub(super) anchor: Anchor,
}

/// Which part of a tick's text is at the tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Tick {
    /// A mark of an axis of values: its text ends at the axis.
    pub(super) fn on_value_axis(mark: &Mark, scale: &Scale) -> Self {
        Self {
            at: scale.y(mark.value),
            text: mark.text.clone(),
            anchor: Anchor::End,
        }
    }

    /// A mark of the time axis, whose text lies between `left` and `right`: the tick is at the
    /// middle of its text where that fits.
    pub(super) fn on_time_axis(at: f64, text: String, left: f64, right: f64) -> Self {
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

    /// The class that anchors the text.
    pub(in crate::web::page) const fn anchor(&self) -> &'static str {
        match self.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }

    /// Where a text on the time axis begins at the earliest.
    pub(super) fn left(&self) -> f64 {
        let width = measure::width(&self.text, Frame::FONT);
        match self.anchor {
            Anchor::Start => self.at,
            Anchor::Middle => self.at - width / 2.0,
            Anchor::End => self.at - width,
        }
    }

    /// Where a text on the time axis ends at the latest.
    pub(super) fn right(&self) -> f64 {
        self.left() + measure::width(&self.text, Frame::FONT)
    }
}
