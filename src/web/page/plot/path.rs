//! Steps of a history as paths of SVG.

/// A step of a chart, in its units from left to right; its values still have theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dot {
    pub(super) begin: f64,
    pub(super) end: f64,
    /// The highest estimate.
    pub(super) value: Option<f64>,
    /// The lowest that was certain at every instant of the step.
    pub(super) lower: Option<f64>,
    /// The highest that was certain at every instant of the step.
    pub(super) upper: Option<f64>,
}

/// From values to places.
pub(super) struct Scale {
    pub(super) most: f64,
    pub(super) bottom: f64,
    pub(super) height: f64,
}

impl Scale {
    pub(super) fn y(&self, value: f64) -> f64 {
        super::round(self.bottom - (value / self.most).min(1.0) * self.height)
    }
}

/// The highest value of all.
pub(super) fn highest(dots: &[Dot]) -> f64 {
    dots.iter()
        .flat_map(|dot| [dot.value, dot.lower, dot.upper])
        .flatten()
        .fold(0.0, f64::max)
}

/// Whether the values grow at the step `n` of a run. Then its highest is at its end, and its lowest
/// at its begin; while they fall it is the other way around. So a steady growth is a straight line
/// up to now, although the last step is not over.
fn grows(values: &[f64], n: usize) -> bool {
    let value = values.get(n);
    match n.checked_sub(1) {
        Some(before) => value >= values.get(before),
        None => values.get(1) > value,
    }
}

/// The line through what is known. Where nothing is, there is a gap.
pub(super) fn line(dots: &[Dot], scale: &Scale) -> String {
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| a.value.is_some() == b.value.is_some()) {
        let values: Vec<f64> = run.iter().filter_map(|dot| dot.value).collect();
        if let [value] = values[..] {
            // A step that stands alone.
            path += &run
                .iter()
                .map(|dot| alone(dot, scale.y(value)))
                .collect::<String>();
            continue;
        }
        let places = run.iter().zip(&values).enumerate();
        for (n, (dot, value)) in places {
            let x = if grows(&values, n) {
                dot.end
            } else {
                dot.begin
            };
            let pen = if n == 0 { "M" } else { "L" };
            let step = format!("{pen}{x} {}", scale.y(*value));
            path.push_str(&step);
        }
    }
    path
}

fn alone(dot: &Dot, y: f64) -> String {
    format!("M{} {y}H{}", dot.begin, dot.end)
}

/// The area between the bounds, where there are both.
pub(super) fn band(dots: &[Dot], scale: &Scale) -> String {
    area(dots, |dot| Some((dot.lower?, dot.upper?)), scale)
}

/// The area above a lower bound that has no upper one beside it.
pub(super) fn open(dots: &[Dot], scale: &Scale) -> String {
    let sides = |dot: &Dot| {
        let lower = dot.lower.filter(|lower| *lower > 0.0)?;
        dot.upper.is_none().then_some((lower, f64::INFINITY))
    };
    area(dots, sides, scale)
}

/// The areas between the sides of steps that have both.
fn area(dots: &[Dot], sides: impl Fn(&Dot) -> Option<(f64, f64)>, scale: &Scale) -> String {
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| sides(a).is_some() == sides(b).is_some()) {
        let known: Vec<(f64, f64)> = run.iter().filter_map(&sides).collect();
        if known.is_empty() {
            continue;
        }
        let lows: Vec<f64> = known.iter().map(|side| side.0).collect();
        let highs: Vec<f64> = known.iter().map(|side| side.1).collect();
        let below = edge(run, &lows, |grows| !grows, scale);
        let mut above = edge(run, &highs, |grows| grows, scale);
        above.reverse();
        let outline = format!("M{}L{}Z", below.join("L"), above.join("L"));
        path.push_str(&outline);
    }
    path
}

/// One side of an area, from the first step's begin to the last one's end. `at_end` says whether a
/// step's value stands at its end, by whether the values grow.
fn edge(run: &[Dot], values: &[f64], at_end: fn(bool) -> bool, scale: &Scale) -> Vec<String> {
    let place = |x: f64, value: f64| format!("{x} {}", scale.y(value));
    let inner = run.iter().zip(values).enumerate().map(|(n, (dot, value))| {
        let x = if at_end(grows(values, n)) {
            dot.end
        } else {
            dot.begin
        };
        place(x, *value)
    });
    let first = run.first().zip(values.first());
    let last = run.last().zip(values.last());
    let mut edge: Vec<String> = first
        .map(|(dot, value)| place(dot.begin, *value))
        .into_iter()
        .chain(inner)
        .chain(last.map(|(dot, value)| place(dot.end, *value)))
        .collect();
    edge.dedup();
    edge
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
            value: *value,
            lower: *value,
            upper: *value,
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
    fn a_steady_growth_is_straight_up_to_a_last_step_that_is_not_over() {
        // A second is a unit; the lag grows by a second a second, and the step is 3 s old.
        let mut dots = dots(&[10.0, 20.0, 30.0, 33.0].map(Some));
        dots[3].end = 33.0;
        let straight = places(&line(&dots, &SCALE));
        assert!(
            straight.iter().all(|(x, y)| (100.0 - y - x).abs() < 0.01),
            "{straight:?}"
        );
    }

    #[test]
    fn a_fall_is_straight_too() {
        let mut dots = dots(&[40.0, 30.0, 20.0, 10.0].map(Some));
        dots[3].end = 31.0;
        let straight = places(&line(&dots, &SCALE));
        let sums: Vec<f64> = straight.iter().map(|(x, y)| 100.0 - y + x).collect();
        assert!(sums.iter().all(|sum| (sum - 40.0).abs() < 0.01), "{sums:?}");
    }

    #[test]
    fn no_path_goes_back_in_time() {
        let values: Vec<Option<f64>> = (0..50)
            .map(|n| Some(f64::from(n * 37 % 11)).filter(|_| n % 13 != 0))
            .collect();
        let dots = dots(&values);
        let drawn = line(&dots, &SCALE);
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
