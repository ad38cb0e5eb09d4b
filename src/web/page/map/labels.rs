//! Where labels stand: inside the map, and on nothing else that must be read.

use super::curve::Curve;
use super::{Frame, Label, PADDING};

/// Between a label and the map's edges or other texts.
const AIR: f64 = 3.0;

/// Between a label and its link.
const BESIDE: f64 = 7.0;

/// Where on its way a link is labelled, in the order of preference.
const ON_THE_WAY: [f64; 7] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8];

/// A part of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Rect {
    /// A rectangle of a size around a point.
    pub(super) fn around(x: f64, y: f64, (width, height): (f64, f64)) -> Self {
        Self {
            left: x - width / 2.0,
            top: y - height / 2.0,
            right: x + width / 2.0,
            bottom: y + height / 2.0,
        }
    }

    /// The same, moved no farther than is needed for it to be inside the map.
    pub(super) fn moved_into(self, frame: Frame) -> Self {
        let right = (self.right - (frame.width - AIR)).max(0.0);
        let down = (self.bottom - (frame.height - AIR)).max(0.0);
        let left = (AIR - (self.left - right)).max(0.0);
        let up = (AIR - (self.top - down)).max(0.0);
        Self {
            left: self.left - right + left,
            top: self.top - down + up,
            right: self.right - right + left,
            bottom: self.bottom - down + up,
        }
    }

    /// Whether it is inside the map.
    pub(super) fn is_inside(self, frame: Frame) -> bool {
        self.left >= 0.0
            && self.top >= 0.0
            && self.right <= frame.width
            && self.bottom <= frame.height
    }

    /// Whether they lie on each other, or nearly.
    pub(super) fn touches(self, other: Self) -> bool {
        self.left < other.right + AIR
            && other.left < self.right + AIR
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// What is taken so far.
pub(super) struct Labels {
    frame: Frame,
    taken: Vec<Rect>,
}

impl Labels {
    pub(super) const fn new(frame: Frame) -> Self {
        Self {
            frame,
            taken: Vec::new(),
        }
    }

    /// Nothing may stand there.
    pub(super) fn keep_free(&mut self, place: Rect) {
        self.taken.push(place);
    }

    /// A label beside a link; `None` where there is no room: the table beside the map has the same.
    pub(super) fn place(&mut self, curve: &Curve, first: String, second: String) -> Option<Label> {
        let size = Label::size(&first, &second);
        let beside = |t: f64, side: f64| {
            let (x, y) = curve.at(t);
            let (dx, dy) = (curve.side.0 * side, curve.side.1 * side);
            let away = BESIDE + dx.abs() * size.0 / 2.0 + dy.abs() * size.1 / 2.0;
            Rect::around(x + dx * away, y + dy * away, size)
        };
        let candidates: Vec<Rect> = [1.0, -1.0]
            .into_iter()
            .flat_map(|side| ON_THE_WAY.map(|t| beside(t, side)))
            .collect();
        let moved = candidates.iter().map(|place| place.moved_into(self.frame));
        let all: Vec<Rect> = candidates.iter().copied().chain(moved).collect();
        self.first_free(&all)
            .map(|place| Label::within(place, first, second))
    }

    /// A label below a box, or above it.
    pub(super) fn below(&mut self, site: Rect, first: String, second: String) -> Option<Label> {
        let extent = Label::size(&first, &second);
        let x = f64::midpoint(site.left, site.right);
        let away = PADDING + extent.1 / 2.0;
        let places = [site.bottom + away, site.top - away]
            .map(|y| Rect::around(x, y, extent).moved_into(self.frame));
        self.first_free(&places)
            .map(|place| Label::within(place, first, second))
    }

    /// Takes the first of these places that nothing else has.
    fn first_free(&mut self, places: &[Rect]) -> Option<Rect> {
        let free = |place: &&Rect| {
            let taken = self.taken.iter().any(|taken| taken.touches(**place));
            !taken && place.is_inside(self.frame)
        };
        let place = *places.iter().find(free)?;
        self.taken.push(place);
        Some(place)
    }
}
