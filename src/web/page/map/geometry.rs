//! Points, sizes and rectangles in the map's own units: x grows to the right, y downwards.

use std::fmt;

/// A place on the map. Its text is what a path of SVG takes: `x y`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A direction, or a distance in a direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vector {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A width and a height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// An upright rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Point {
    /// The point halfway to another one.
    pub(super) const fn midpoint(self, other: Self) -> Self {
        Self {
            x: f64::midpoint(self.x, other.x),
            y: f64::midpoint(self.y, other.y),
        }
    }

    /// The way from here to another point.
    pub(super) fn vector_to(self, other: Self) -> Vector {
        Vector {
            x: other.x - self.x,
            y: other.y - self.y,
        }
    }

    /// The point that lies `by` away from here.
    pub(super) fn moved(self, by: Vector) -> Self {
        Self {
            x: self.x + by.x,
            y: self.y + by.y,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", round(self.x), round(self.y))
    }
}

impl Vector {
    pub(super) fn length(self) -> f64 {
        self.x.hypot(self.y)
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            x: self.x * factor,
            y: self.y * factor,
        }
    }

    /// The same direction with a length of one; shorter for a vector that is shorter than one.
    pub(super) fn unit(self) -> Self {
        let length = self.length().max(1.0);
        Self {
            x: self.x / length,
            y: self.y / length,
        }
    }

    /// The same length, a quarter turn to the left.
    pub(super) fn turned_left(self) -> Self {
        Self {
            x: self.y,
            y: -self.x,
        }
    }

    pub(super) fn reversed(self) -> Self {
        self.scaled(-1.0)
    }

    /// The scalar product: negative where the directions are more than a quarter turn apart.
    pub(super) fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }
}

impl Rect {
    pub(super) fn around(centre: Point, size: Size) -> Self {
        Self {
            left: centre.x - size.width / 2.0,
            top: centre.y - size.height / 2.0,
            right: centre.x + size.width / 2.0,
            bottom: centre.y + size.height / 2.0,
        }
    }

    /// This rectangle, moved no farther than necessary to lie within `area`.
    pub(super) fn moved_into(self, area: Self) -> Self {
        // First away from the right and lower edges, then from the left and upper ones.
        let left_by = (self.right - area.right).max(0.0);
        let up_by = (self.bottom - area.bottom).max(0.0);
        let right_by = (area.left - (self.left - left_by)).max(0.0);
        let down_by = (area.top - (self.top - up_by)).max(0.0);
        let x = right_by - left_by;
        let y = down_by - up_by;
        Self {
            left: self.left + x,
            top: self.top + y,
            right: self.right + x,
            bottom: self.bottom + y,
        }
    }

    /// This rectangle with its edges moved inwards.
    pub(super) fn shrunk(self, by: f64) -> Self {
        Self {
            left: self.left + by,
            top: self.top + by,
            right: self.right - by,
            bottom: self.bottom - by,
        }
    }

    pub(super) fn is_within(self, area: Self) -> bool {
        self.left >= area.left
            && self.top >= area.top
            && self.right <= area.right
            && self.bottom <= area.bottom
    }

    /// Whether the rectangles overlap, or are less than `gap` apart beside each other.
    pub(super) fn touches(self, other: Self, gap: f64) -> bool {
        self.left < other.right + gap
            && other.left < self.right + gap
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// Rounded to a tenth: more digits would only make the page longer.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
