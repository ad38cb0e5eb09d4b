//! The size of the map and of its boxes, and where the boxes are.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::geometry::{Point, Rect, Size, Vector};
use super::{FEW_SITES, Label, PADDING};

/// The map's size and that of each box, in the map's own units.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) box_size: Size,
    /// Room for a label below the lowest boxes.
    room_below: f64,
}

impl Frame {
    /// The frame for as many datacenters. `has_inside` tells whether some pairs stay in their
    /// datacenter, which is written below its box.
    pub(super) const fn new(sites: usize, has_inside: bool) -> Self {
        let room_below = if has_inside {
            Label::HEIGHT + 2.0 * PADDING
        } else {
            0.0
        };
        if sites > FEW_SITES {
            return Self {
                width: 720.0,
                height: 420.0,
                box_size: Size {
                    width: 112.0,
                    height: 44.0,
                },
                room_below,
            };
        }
        let height = match (sites, has_inside) {
            (1, _) => 130.0,
            (2, false) => 150.0,
            (2, true) => 190.0,
            _ => 350.0,
        };
        Self {
            width: 460.0,
            height,
            box_size: Size {
                width: 128.0,
                height: 48.0,
            },
            room_below,
        }
    }

    /// All of the map.
    pub(super) const fn area(self) -> Rect {
        Rect {
            left: 0.0,
            top: 0.0,
            right: self.width,
            bottom: self.height,
        }
    }

    pub(super) const fn centre(self) -> Point {
        Point {
            x: self.width / 2.0,
            y: self.height / 2.0,
        }
    }

    /// The centres of `count` boxes: two beside each other, more in a circle that is stretched to
    /// the map's edges, the first at the top.
    pub(super) fn box_centres(self, count: usize) -> Vec<Point> {
        let first_angle = if count == 2 { PI } else { -FRAC_PI_2 };
        let mut circle = Vec::new();
        for n in 0..count {
            let angle = first_angle + TAU * n as f64 / count as f64;
            circle.push(Vector {
                x: angle.cos(),
                y: angle.sin(),
            });
        }
        let columns = Spread::new(circle.iter().map(|direction| direction.x));
        let rows = Spread::new(circle.iter().map(|direction| direction.y));

        let centre_x = self.width / 2.0;
        let centre_y = (self.height - self.room_below) / 2.0 + PADDING / 2.0;
        let room_x = centre_x - self.box_size.width / 2.0 - PADDING;
        let room_y = centre_y - self.box_size.height / 2.0 - 2.0 * PADDING;
        let centre = |direction: &Vector| Point {
            x: columns.stretch(direction.x, centre_x, room_x),
            y: rows.stretch(direction.y, centre_y, room_y),
        };
        circle.iter().map(centre).collect()
    }
}

/// The lowest and the highest of some values.
struct Spread {
    low: f64,
    high: f64,
}

impl Spread {
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut spread = Self {
            low: f64::MAX,
            high: f64::MIN,
        };
        for value in values {
            spread.low = spread.low.min(value);
            spread.high = spread.high.max(value);
        }
        spread
    }

    /// Maps a value so that all of them fill `centre - room ..= centre + room`. Values that are all
    /// alike go to the centre.
    fn stretch(&self, value: f64, centre: f64, room: f64) -> f64 {
        let width = self.high - self.low;
        if width < 0.01 {
            return centre;
        }
        centre - room + 2.0 * room * (value - self.low) / width
    }
}
