//! The sizes of charts: one for desks and one for phones, so that letters are as large on both.

use crate::web::page::measure;

/// The size of a chart, in its own units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::web::page) struct Frame {
    /// The CSS class that shows it where there is room for it.
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Marks on the time axis, roughly.
    pub(super) time_marks: u8,
}

impl Frame {
    /// For desks.
    pub(in crate::web::page) const WIDE: Self = Self {
        class: "wide-chart",
        width: 760.0,
        height: 200.0,
        time_marks: 6,
    };

    /// For phones.
    pub(in crate::web::page) const NARROW: Self = Self {
        class: "narrow-chart",
        width: 380.0,
        height: 190.0,
        time_marks: 3,
    };

    /// The size of the letters; style.css has the same.
    pub(super) const FONT: f64 = 11.0;

    /// Room above the highest mark.
    pub(super) const TOP: f64 = 10.0;

    /// Room below the axis, for its marks.
    const BOTTOM: f64 = 24.0;

    /// Beside the last step, so that its line is not cut in half.
    const RIGHT: f64 = 4.0;

    /// Room between a mark's text and the axis.
    pub(super) const MARGIN: f64 = 6.0;

    /// Where the axis of values is, so that the widest of these texts fits beside it.
    pub(super) fn left<'a>(texts: impl IntoIterator<Item = &'a str>) -> f64 {
        super::round(measure::widest(texts, Self::FONT).ceil() + Self::MARGIN + 2.0)
    }

    /// Where the present is.
    pub(super) const fn right(&self) -> f64 {
        self.width - Self::RIGHT
    }

    /// Where zero is.
    pub(super) const fn bottom(&self) -> f64 {
        self.height - Self::BOTTOM
    }
}
