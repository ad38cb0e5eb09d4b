//! The curve that draws a link on the map.

use super::Frame;
use super::geometry::{Point, Vector};

/// Room between a box and the end of a link.
const GAP: f64 = 5.0;

/// The least distance between a link's bend and the straight line: enough for a label.
const LEAST_BEND: f64 = 26.0;

/// How much more a long link bends, as a share of its length.
const BEND_PER_LENGTH: f64 = 0.06;

/// The length of an arrowhead, and half of its width.
const ARROW_LENGTH: f64 = 11.0;
const ARROW_HALF_WIDTH: f64 = 5.0;

/// A quadratic Bézier curve from one box to another. It bends, so that a link and the link in the
/// opposite direction do not hide each other.
pub(super) struct Curve {
    from: Point,
    bend: Point,
    to: Point,
    /// The direction in which it bends, as a unit vector.
    pub(super) side: Vector,
}

impl Curve {
    /// The link from the box at `from` to the box at `to`. It bends to its left; without a link in
    /// the opposite direction (`has_return`), towards the map's edge, where there is room.
    pub(super) fn between(from: Point, to: Point, frame: Frame, has_return: bool) -> Self {
        let direct = from.vector_to(to);
        let middle = from.midpoint(to);
        let left = direct.unit().turned_left();
        let outwards = frame.centre().vector_to(middle);
        let left_is_inwards = outwards.dot(left) < -0.01;
        let side = if left_is_inwards && !has_return {
            left.reversed()
        } else {
            left
        };
        let distance = LEAST_BEND + direct.length().max(1.0) * BEND_PER_LENGTH;
        let bend = middle.moved(side.scaled(distance));
        Self {
            from: leave_box(from, bend, frame),
            bend,
            to: leave_box(to, bend, frame),
            side,
        }
    }

    /// The point after the share `t` (0 to 1) of the curve.
    pub(super) fn at(&self, t: f64) -> Point {
        let rest = 1.0 - t;
        let from_share = rest * rest;
        let bend_share = 2.0 * t * rest;
        let to_share = t * t;
        Point {
            x: from_share * self.from.x + bend_share * self.bend.x + to_share * self.to.x,
            y: from_share * self.from.y + bend_share * self.bend.y + to_share * self.to.y,
        }
    }

    /// The curve as a path of SVG.
    pub(super) fn path(&self) -> String {
        format!("M{}Q{} {}", self.from, self.bend, self.to)
    }

    /// The arrowhead at its end as a path of SVG: a triangle.
    pub(super) fn arrow(&self) -> String {
        let direction = self.at(0.94).vector_to(self.to).unit();
        let base = self.to.moved(direction.scaled(-ARROW_LENGTH));
        let aside = direction.turned_left().scaled(ARROW_HALF_WIDTH);
        let left = base.moved(aside);
        let right = base.moved(aside.reversed());
        format!("M{}L{right}L{left}Z", self.to)
    }
}

/// Where the straight line from a box's centre towards a point leaves the box and its gap.
fn leave_box(centre: Point, towards: Point, frame: Frame) -> Point {
    let way = centre.vector_to(towards);
    let half_width = frame.box_size.width / 2.0 + GAP;
    let half_height = frame.box_size.height / 2.0 + GAP;
    // The shares of the way after which it reaches the box's side, and its top or bottom.
    let to_side = half_width / way.x.abs().max(0.001);
    let to_top = half_height / way.y.abs().max(0.001);
    centre.moved(way.scaled(to_side.min(to_top).min(1.0)))
}
