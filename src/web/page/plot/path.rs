//! Steps of a history as paths of SVG.

use super::axis::Axis;
use super::frame::Frame;
use super::values::Values;

/// A step of a chart: its time in the chart's units, its values in seconds or bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dot {
    /// The x at which it begins.
    pub(super) begin: f64,
    /// The x at which it ends.
    pub(super) end: f64,
    pub(super) values: Values,
}

/// The values between which an area lies at a step.
#[derive(Clone, Copy)]
struct Bounds {
    lower: f64,
    upper: f64,
}

/// Converts values to places: y grows downwards.
pub(super) struct Scale {
    /// The value at the top.
    pub(super) most: f64,
    /// The y of zero.
    pub(super) bottom: f64,
    pub(super) height: f64,
}

/// Which of a step's values is drawn; it decides where in the step it is drawn.
#[derive(Clone, Copy)]
pub(super) enum Extreme {
    Lowest,
    Highest,
}

impl Dot {
    /// The bounds of its value, where both are known.
    fn bounds(&self) -> Option<Bounds> {
        Some(Bounds {
            lower: self.values.lower?,
            upper: self.values.upper?,
        })
    }

    /// The bounds where the value is certainly above zero and may be anything above that.
    fn open_bounds(&self) -> Option<Bounds> {
        let lower = self.values.lower?;
        if lower > 0.0 && self.values.upper.is_none() {
            return Some(Bounds {
                lower,
                upper: f64::INFINITY,
            });
        }
        None
    }
}

impl Scale {
    pub(super) fn new(axis: &Axis, frame: &Frame) -> Self {
        Self {
            most: axis.most,
            bottom: frame.bottom(),
            height: frame.bottom() - Frame::TOP,
        }
    }

    /// The y of a value; what is above the top is at the top.
    pub(super) fn y(&self, value: f64) -> f64 {
        super::round(self.bottom - (value / self.most).min(1.0) * self.height)
    }

    /// A point of a path.
    fn point(&self, x: f64, value: f64) -> String {
        format!("{x} {}", self.y(value))
    }
}

impl Extreme {
    /// The x at which a step reaches it. While the values grow, a step's highest value is at its
    /// end and its lowest at its beginning; while they fall it is the other way around. So steady
    /// growth is a straight line up to now, although the last step has not ended.
    const fn x(self, dot: &Dot, growing: bool) -> f64 {
        match (self, growing) {
            (Self::Highest, true) | (Self::Lowest, false) => dot.end,
            (Self::Highest, false) | (Self::Lowest, true) => dot.begin,
        }
    }
}

/// Whether the values grow at the step `n` of a run.
fn grows(values: &[f64], n: usize) -> bool {
    let value = values.get(n);
    match n.checked_sub(1) {
        Some(before) => value >= values.get(before),
        None => values.get(1) > value,
    }
}

/// The highest of all values; 0 where nothing is known.
pub(super) fn highest(dots: &[Dot]) -> f64 {
    let highest = dots.iter().map(|dot| dot.values.highest());
    highest.fold(0.0, f64::max)
}

/// The line through the estimates. Where there is none, there is a gap.
pub(super) fn line(dots: &[Dot], extreme: Extreme, scale: &Scale) -> String {
    let is_known = |dot: &Dot| dot.values.estimate.is_some();
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| is_known(a) == is_known(b)) {
        let estimates: Vec<f64> = run.iter().filter_map(|dot| dot.values.estimate).collect();
        match (run, estimates.as_slice()) {
            (_, []) => {}
            // A single step has no slope.
            ([dot], [value]) => {
                path += &format!("M{}H{}", scale.point(dot.begin, *value), dot.end);
            }
            _ => {
                let points = points(run, &estimates, extreme, scale);
                path += &format!("M{}", points.join("L"));
            }
        }
    }
    path
}

/// The area between the bounds, where there are both.
pub(super) fn band(dots: &[Dot], scale: &Scale) -> String {
    area(dots, Dot::bounds, scale)
}

/// The area above a lower bound that has no upper one.
pub(super) fn open(dots: &[Dot], scale: &Scale) -> String {
    area(dots, Dot::open_bounds, scale)
}

/// The areas between the bounds of the steps that have them.
fn area(dots: &[Dot], bounds: fn(&Dot) -> Option<Bounds>, scale: &Scale) -> String {
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| bounds(a).is_some() == bounds(b).is_some()) {
        let known: Vec<Bounds> = run.iter().filter_map(bounds).collect();
        if known.is_empty() {
            continue;
        }
        let lows: Vec<f64> = known.iter().map(|bounds| bounds.lower).collect();
        let highs: Vec<f64> = known.iter().map(|bounds| bounds.upper).collect();
        let below = edge(run, &lows, Extreme::Lowest, scale);
        let mut above = edge(run, &highs, Extreme::Highest, scale);
        // Around the area: along its lower edge, and back along its upper one.
        above.reverse();
        path += &format!("M{}L{}Z", below.join("L"), above.join("L"));
    }
    path
}

/// One edge of an area, from the first step's begin to the last one's end.
fn edge(run: &[Dot], values: &[f64], extreme: Extreme, scale: &Scale) -> Vec<String> {
    let mut edge = points(run, values, extreme, scale);
    if let (Some(first), Some(value)) = (run.first(), values.first()) {
        edge.insert(0, scale.point(first.begin, *value));
    }
    if let (Some(last), Some(value)) = (run.last(), values.last()) {
        edge.push(scale.point(last.end, *value));
    }
    edge.dedup();
    edge
}

/// A point for each step of a run.
fn points(run: &[Dot], values: &[f64], extreme: Extreme, scale: &Scale) -> Vec<String> {
    let mut points = Vec::new();
    for (n, (dot, value)) in run.iter().zip(values).enumerate() {
        let x = extreme.x(dot, grows(values, n));
        points.push(scale.point(x, *value));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale {
        most: 100.0,
        bottom: 100.0,
        height: 100.0,
    };

    fn dots(values: &[Option<f64>]) -> Vec<Dot> {
        let dot = |(n, value): (usize, &Option<f64>)| Dot {
            begin: 10.0 * n as f64,
            end: 10.0 * n as f64 + 10.0,
            values: Values {
                estimate: *value,
                lower: *value,
                upper: *value,
            },
        };
        values.iter().enumerate().map(dot).collect()
    }

    /// The places of a path, in the order in which it is drawn.
    fn places(path: &str) -> Vec<(f64, f64)> {
        let place = |text: &str| {
            let (x, y) = text.split_once(' ').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        path.split(['M', 'L'])
            .filter(|text| !text.is_empty())
            .map(place)
            .collect()
    }

    #[test]
    fn steady_growth_is_straight_up_to_a_last_step_that_has_not_ended() {
        // A second is a unit; the lag grows by a second a second, and the step is 3 s old.
        let mut dots = dots(&[10.0, 20.0, 30.0, 33.0].map(Some));
        dots[3].end = 33.0;
        let straight = places(&line(&dots, Extreme::Highest, &SCALE));
        assert!(
            straight.iter().all(|(x, y)| (100.0 - y - x).abs() < 0.01),
            "{straight:?}"
        );
    }

    #[test]
    fn a_fall_is_straight_too() {
        let mut dots = dots(&[40.0, 30.0, 20.0, 10.0].map(Some));
        dots[3].end = 31.0;
        let straight = places(&line(&dots, Extreme::Highest, &SCALE));
        let sums: Vec<f64> = straight.iter().map(|(x, y)| 100.0 - y + x).collect();
        assert!(sums.iter().all(|sum| (sum - 40.0).abs() < 0.01), "{sums:?}");
    }

    #[test]
    fn no_path_goes_back_in_time() {
        let values: Vec<Option<f64>> = (0..50)
            .map(|n| Some(f64::from(n * 37 % 11)).filter(|_| n % 13 != 0))
            .collect();
        let dots = dots(&values);
        let drawn = line(&dots, Extreme::Highest, &SCALE);
        for run in drawn.split('M').filter(|run| !run.is_empty()) {
            if run.contains('H') {
                continue;
            }
            let xs: Vec<f64> = places(run).into_iter().map(|place| place.0).collect();
            assert!(xs.is_sorted(), "{xs:?}");
        }
    }

    #[test]
    fn a_band_touches_the_line_and_does_not_run_below_it() {
        let dots = dots(&[10.0, 20.0, 30.0, 40.0].map(Some));
        let path = band(&dots, &SCALE);
        // Growing: the lower bound of a step is that of its begin, as its line was then.
        assert!(path.starts_with("M0 90L10 80L20 70L30 60"), "{path}");
    }
}
