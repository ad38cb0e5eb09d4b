//! Places the map's labels: inside the map, and on nothing else that must be read.

use super::curve::Curve;
use super::geometry::{Point, Rect, Size};
use super::{Frame, Label, PADDING};

/// Room between a label and the map's edges or other texts.
const GAP: f64 = 3.0;

/// Room between a label and its link.
const LINK_GAP: f64 = 7.0;

/// Where along its link a label may stand, the preferred place first.
const ALONG_THE_LINK: [f64; 7] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8];

/// The labels' places: what is occupied so far.
pub(super) struct Labels {
    map: Rect,
    occupied: Vec<Rect>,
}

impl Labels {
    pub(super) fn new(frame: Frame) -> Self {
        Self {
            map: frame.area(),
            occupied: Vec::new(),
        }
    }

    /// Keeps labels away from a place.
    pub(super) fn occupy(&mut self, place: Rect) {
        self.occupied.push(place);
    }

    /// A label beside a link; `None` where there is no room: the table beside the map has the same.
    pub(super) fn beside_link(
        &mut self,
        curve: &Curve,
        first: String,
        second: String,
    ) -> Option<Label> {
        let size = Label::size(&first, &second);
        let mut places = Vec::new();
        for side in [1.0, -1.0] {
            for t in ALONG_THE_LINK {
                places.push(place_beside(curve, t, side, size));
            }
        }
        // A place that has to be moved may lie on the link, so those come last.
        let moved: Vec<Rect> = places
            .iter()
            .map(|place| self.moved_inside(*place))
            .collect();
        places.extend(moved);
        let place = self.take_first_free(&places)?;
        Some(Label::within(place, first, second))
    }

    /// A label below a box, or above it.
    pub(super) fn near_box(&mut self, drawn: Rect, first: String, second: String) -> Option<Label> {
        let size = Label::size(&first, &second);
        let x = f64::midpoint(drawn.left, drawn.right);
        let distance = PADDING + size.height / 2.0;
        let below = Point {
            x,
            y: drawn.bottom + distance,
        };
        let above = Point {
            x,
            y: drawn.top - distance,
        };
        let places = [below, above].map(|centre| self.moved_inside(Rect::around(centre, size)));
        let place = self.take_first_free(&places)?;
        Some(Label::within(place, first, second))
    }

    fn moved_inside(&self, place: Rect) -> Rect {
        place.moved_into(self.map.shrunk(GAP))
    }

    /// Occupies the first of these places that is inside the map and free.
    fn take_first_free(&mut self, places: &[Rect]) -> Option<Rect> {
        let place = *places.iter().find(|place| self.is_free(**place))?;
        self.occupied.push(place);
        Some(place)
    }

    fn is_free(&self, place: Rect) -> bool {
        let mut occupied = self.occupied.iter();
        place.is_within(self.map) && !occupied.any(|other| other.touches(place, GAP))
    }
}

/// The place beside a curve's point `t` (0 to 1): where it bends to (`sign` is 1) or on its other
/// side (-1).
fn place_beside(curve: &Curve, t: f64, sign: f64, size: Size) -> Rect {
    let outwards = curve.side.scaled(sign);
    // How far the label reaches back towards the link, depending on its direction.
    let half_extent = outwards.x.abs() * size.width / 2.0 + outwards.y.abs() * size.height / 2.0;
    let distance = LINK_GAP + half_extent;
    Rect::around(curve.at(t).moved(outwards.scaled(distance)), size)
}
