//! The way of a link on the map.

use super::{Frame, round};

/// Between a box and the end of a link.
const AIR: f64 = 5.0;

/// A quadratic Bézier curve, so that a link and its counterpart do not hide each other.
pub(super) struct Curve {
    from: (f64, f64),
    bend: (f64, f64),
    to: (f64, f64),
    /// Towards its outside.
    pub(super) side: (f64, f64),
}

impl Curve {
    /// To the left of its way; where there is no counterpart, to the outside of the map, where
    /// there is room.
    pub(super) fn between(from: (f64, f64), to: (f64, f64), frame: Frame, answered: bool) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let left = (dy / length, -dx / length);
        let middle = (
            f64::midpoint(from.0, to.0) - frame.width / 2.0,
            f64::midpoint(from.1, to.1) - frame.height / 2.0,
        );
        let inwards = middle.0 * left.0 + middle.1 * left.1 < -0.01;
        let side = if inwards && !answered {
            (-left.0, -left.1)
        } else {
            left
        };
        // Enough for a label on either side, less on long lines.
        let away = 26.0 + length * 0.06;
        let bend = (
            f64::midpoint(from.0, to.0) + side.0 * away,
            f64::midpoint(from.1, to.1) + side.1 * away,
        );
        Self {
            from: edge(from, bend, frame),
            bend,
            to: edge(to, bend, frame),
            side,
        }
    }

    /// The point after a part of the way, from 0 to 1.
    pub(super) fn at(&self, t: f64) -> (f64, f64) {
        let along = |a: f64, b: f64, c: f64| {
            (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * b + t * t * c
        };
        (
            along(self.from.0, self.bend.0, self.to.0),
            along(self.from.1, self.bend.1, self.to.1),
        )
    }

    pub(super) fn path(&self) -> String {
        let [(ax, ay), (bx, by), (cx, cy)] =
            [self.from, self.bend, self.to].map(|(x, y)| (round(x), round(y)));
        format!("M{ax} {ay}Q{bx} {by} {cx} {cy}")
    }

    /// A triangle at the end.
    pub(super) fn arrow(&self) -> String {
        let before = self.at(0.94);
        let (dx, dy) = (self.to.0 - before.0, self.to.1 - before.1);
        let length = dx.hypot(dy).max(1.0);
        let (dx, dy) = (dx / length, dy / length);
        let corner = |along: f64, aside: f64| {
            let x = self.to.0 - dx * along - dy * aside;
            let y = self.to.1 - dy * along + dx * aside;
            format!("{} {}", round(x), round(y))
        };
        format!(
            "M{}L{}L{}Z",
            corner(0.0, 0.0),
            corner(11.0, 5.0),
            corner(11.0, -5.0)
        )
    }
}

/// Where the way from a box's centre towards a point leaves the box, with a little air.
fn edge(centre: (f64, f64), towards: (f64, f64), frame: Frame) -> (f64, f64) {
    let (dx, dy) = (towards.0 - centre.0, towards.1 - centre.1);
    let share = ((frame.half.0 + AIR) / dx.abs().max(0.001))
        .min((frame.half.1 + AIR) / dy.abs().max(0.001))
        .min(1.0);
    (centre.0 + dx * share, centre.1 + dy * share)
}
