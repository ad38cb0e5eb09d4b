//! Charts as paths of SVG, made here: they need no script and no library.

use crate::model::{Bytes, Span};
use crate::report::{HistoryReport, PointReport};

/// A chart's size, in its own units, with room for the axes.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// A sparkline's size.
const SPARK: (f64, f64) = (120.0, 26.0);

/// Points of a sparkline: more than two units apart, or they cannot be told from each other.
const SPARK_POINTS: usize = 60;

/// A chart, ready to be drawn.
pub(super) struct Plot {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The time at its left and right, as Unix seconds.
    pub(super) since: f64,
    pub(super) until: f64,
    /// The best estimate, or the only line.
    pub(super) line: String,
    /// What is certain.
    pub(super) band: String,
    /// Where only a lower bound is certain.
    pub(super) open: String,
    pub(super) levels: Vec<Threshold>,
    pub(super) ys: Vec<Tick>,
    pub(super) xs: Vec<Tick>,
}

/// A threshold that lies within the chart.
pub(super) struct Threshold {
    pub(super) level: &'static str,
    pub(super) y: f64,
    pub(super) text: String,
}

/// A mark on an axis.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// A lag in a table's row, small.
pub(super) struct Spark {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) line: String,
    pub(super) band: String,
    pub(super) open: String,
    /// The highest value in it, in words.
    pub(super) words: String,
}

/// One run of equal states in a timeline.
pub(super) struct Run {
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) level: &'static str,
    pub(super) state: &'static str,
    pub(super) words: String,
}

/// A point of a chart, without its unit.
#[derive(Clone, Copy)]
struct Dot {
    x: f64,
    value: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
}

/// From values to places.
struct Scale {
    most: f64,
    bottom: f64,
    height: f64,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        round(self.bottom - (value / self.most).min(1.0) * self.height)
    }
}

/// A time axis.
struct Times {
    since: f64,
    until: f64,
}

/// An axis is at least this long, in seconds, and no longer than there is something to show.
const SHORTEST: f64 = 120.0;

impl Times {
    fn of(history: &HistoryReport) -> Self {
        let until = history
            .exporter
            .now_timestamp
            .max(history.since_timestamp + 1.0);
        let first = history
            .points
            .first()
            .map_or(history.since_timestamp, |point| point.timestamp);
        Self {
            since: first.min(until - SHORTEST).max(history.since_timestamp),
            until,
        }
    }

    fn x(&self, at: f64) -> f64 {
        let share = (at - self.since) / (self.until - self.since);
        round(LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT))
    }

    /// Marks at round times, some six of them.
    fn ticks(&self) -> Vec<Tick> {
        let steps = [
            30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0,
            21_600.0,
        ];
        let wanted = (self.until - self.since) / 6.0;
        let step = steps
            .into_iter()
            .find(|step| *step >= wanted)
            .unwrap_or(43_200.0);
        let first = (self.since / step).ceil() * step;
        let times = (0..20)
            .map(|n| first + step * f64::from(n))
            .take_while(|at| *at <= self.until);
        let text = |at| {
            if step < 60.0 {
                second_text(at)
            } else {
                clock_text(at)
            }
        };
        times
            .map(|at| Tick {
                at: self.x(at),
                text: text(at),
            })
            .collect()
    }
}

impl Plot {
    /// The lag over time, with what is certain of it, and the thresholds that lie within.
    pub(super) fn of_lag(
        history: &HistoryReport,
        thresholds: [(&'static str, Option<f64>); 2],
    ) -> Self {
        let dots = |times: &Times| {
            let dot = |point: &PointReport| Dot {
                x: times.x(point.timestamp + history.step_seconds / 2.0),
                value: point.lag_seconds,
                lower: point.lag_lower_seconds,
                upper: point.lag_upper_seconds,
            };
            history.points.iter().map(dot).collect()
        };
        let words = |seconds| Span::from_secs_f64(seconds).to_string();
        let (mut plot, scale) = Self::of(history, dots, axis_seconds, (0.01, 1.0));
        let within = thresholds
            .into_iter()
            .filter_map(|(level, value)| Some((level, value?)));
        let threshold = |(level, value)| Threshold {
            level,
            y: scale.y(value),
            text: format!("{level} from {}", words(value)),
        };
        plot.levels = within
            .filter(|(_, value)| *value <= scale.most)
            .map(threshold)
            .collect();
        plot
    }

    /// The bytes behind over time.
    pub(super) fn of_bytes(history: &HistoryReport) -> Self {
        let dots = |times: &Times| {
            let value =
                |point: &PointReport| point.lag_bytes.map(|bytes| Bytes::new(bytes).as_f64());
            let x = |point: &PointReport| times.x(point.timestamp + history.step_seconds / 2.0);
            history
                .points
                .iter()
                .map(|p| Dot {
                    x: x(p),
                    value: value(p),
                    lower: None,
                    upper: None,
                })
                .collect()
        };
        Self::of(history, dots, axis_bytes, (1024.0, 1024.0)).0
    }

    fn of(
        history: &HistoryReport,
        dots: impl Fn(&Times) -> Vec<Dot>,
        words: impl Fn(f64) -> String,
        (least, base): (f64, f64),
    ) -> (Self, Scale) {
        let times = Times::of(history);
        let dots = dots(&times);
        let step = nice_step(highest(&dots).max(least) / 4.0, base);
        let most = step * (highest(&dots).max(least) / step).ceil();
        let scale = Scale {
            most,
            bottom: HEIGHT - BOTTOM,
            height: HEIGHT - BOTTOM - TOP,
        };
        let marks = (0..=6)
            .map(|n| step * f64::from(n))
            .take_while(|value| *value <= most * 1.001);
        let plot = Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
            since: times.since,
            until: times.until,
            line: line(&dots, &scale),
            band: band(&dots, &scale),
            open: open(&dots, &scale, TOP),
            levels: Vec::new(),
            ys: marks
                .map(|value| Tick {
                    at: scale.y(value),
                    text: words(value),
                })
                .collect(),
            xs: times.ticks(),
        };
        (plot, scale)
    }
}

impl Spark {
    /// The lag of a history, small; `None` while there is nothing to show.
    pub(super) fn of(history: &HistoryReport) -> Option<Self> {
        let merged = history
            .points
            .chunks(history.points.len().div_ceil(SPARK_POINTS).max(1));
        let Times { since, until } = Times::of(history);
        let dot = |points: &[PointReport]| {
            let share = (points.first()?.timestamp + history.step_seconds / 2.0 - since)
                / (until - since).max(1.0);
            let lowest = points
                .iter()
                .map(|p| p.lag_lower_seconds)
                .reduce(|a, b| Some(a?.min(b?)))
                .flatten();
            let highest = points
                .iter()
                .map(|p| p.lag_upper_seconds)
                .reduce(|a, b| Some(a?.max(b?)))
                .flatten();
            let value = points.iter().filter_map(|p| p.lag_seconds).reduce(f64::max);
            Some(Dot {
                x: round(share.clamp(0.0, 1.0) * SPARK.0),
                value,
                lower: lowest,
                upper: highest,
            })
        };
        let dots: Vec<Dot> = merged.filter_map(dot).collect();
        let high = highest(&dots);
        let known = dots
            .iter()
            .filter_map(|dot| dot.value.or(dot.lower))
            .reduce(f64::max)?;
        let scale = Scale {
            most: high.max(0.1),
            bottom: SPARK.1 - 1.5,
            height: SPARK.1 - 3.0,
        };
        Some(Self {
            width: SPARK.0,
            height: SPARK.1,
            line: line(&dots, &scale),
            band: band(&dots, &scale),
            open: open(&dots, &scale, 1.5),
            words: format!("up to {}", Span::from_secs_f64(known)),
        })
    }
}

/// The states over time, those that follow one another taken together.
pub(super) fn timeline(history: &HistoryReport) -> Vec<Run> {
    use crate::report::Level;
    let times = Times::of(history);
    let runs = history.points.chunk_by(|a, b| a.state == b.state);
    let run = |points: &[PointReport]| {
        let (first, last) = (points.first()?, points.last()?);
        let state = first.state?;
        let (begin, end) = (
            first.timestamp.max(times.since),
            (last.timestamp + history.step_seconds).min(times.until),
        );
        let x = times.x(begin);
        Some(Run {
            x,
            width: round((times.x(end) - x).max(1.0)),
            level: Level::of_state(state).label(),
            state: state.label(),
            words: format!(
                "{} from {} to {} UTC",
                state.label(),
                clock_text(begin),
                clock_text(end)
            ),
        })
    };
    runs.filter_map(run).collect()
}

fn highest(dots: &[Dot]) -> f64 {
    dots.iter()
        .flat_map(|dot| [dot.value, dot.lower, dot.upper])
        .flatten()
        .fold(0.0, f64::max)
}

/// The line through what is known. Where nothing is, there is a gap.
fn line(dots: &[Dot], scale: &Scale) -> String {
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| a.value.is_some() == b.value.is_some()) {
        let mut points = run
            .iter()
            .filter_map(|dot| Some((dot.x, scale.y(dot.value?))))
            .peekable();
        let Some((x, y)) = points.next() else {
            continue;
        };
        // A point that stands alone is seen as a dot by its round ends.
        let alone = if points.peek().is_none() { "h.01" } else { "" };
        path.extend([format!("M{x} {y}"), alone.to_owned()]);
        path.extend(points.map(|(x, y)| format!("L{x} {y}")));
    }
    path
}

/// The area between the bounds, where there are both.
fn band(dots: &[Dot], scale: &Scale) -> String {
    area(dots, |dot| {
        Some((dot.x, scale.y(dot.lower?), scale.y(dot.upper?)))
    })
}

/// The area above a lower bound that has no upper one beside it.
fn open(dots: &[Dot], scale: &Scale, top: f64) -> String {
    let alone = |dot: &Dot| {
        dot.lower
            .filter(|lower| *lower > 0.0 && dot.upper.is_none())
    };
    area(dots, |dot| Some((dot.x, scale.y(alone(dot)?), top)))
}

fn area(dots: &[Dot], sides: impl Fn(&Dot) -> Option<(f64, f64, f64)>) -> String {
    let mut path = String::new();
    for run in dots.chunk_by(|a, b| sides(a).is_some() == sides(b).is_some()) {
        let mut sides: Vec<_> = run.iter().filter_map(&sides).collect();
        if let [(x, low, high)] = sides[..] {
            sides = vec![(round(x - 1.0), low, high), (round(x + 1.0), low, high)];
        }
        let there = sides.iter().map(|(x, low, _)| format!("{x} {low}"));
        let back = sides.iter().rev().map(|(x, _, high)| format!("{x} {high}"));
        let all: Vec<_> = there.chain(back).collect();
        if !all.is_empty() {
            path.extend(["M", &all.join("L"), "Z"]);
        }
    }
    path
}

/// The next of 1, 2 or 5 times a power of ten; in a unit that is a power of `base`, where that is
/// not 1.
fn nice_step(least: f64, base: f64) -> f64 {
    let unit = if base > 1.0 {
        base.powf(least.log(base).floor().max(0.0))
    } else {
        1.0
    };
    let power = 10_f64.powf((least / unit).log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power * unit >= least * 0.999)
        .unwrap_or(10.0);
    factor * power * unit
}

/// `0 s`, `0.5 s`, `20 s`, `5m 00s`: a mark is a round number.
fn axis_seconds(seconds: f64) -> String {
    if seconds >= 120.0 {
        Span::from_secs_f64(seconds).to_string()
    } else {
        format!("{} s", rounded(seconds))
    }
}

/// `0 B`, `512 B`, `20 KiB`.
fn axis_bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (unit, value) = units
        .iter()
        .fold(("B", bytes), |(unit, value), next| match next {
            &"B" => (unit, value),
            next if value >= 1024.0 => (*next, value / 1024.0),
            _ => (unit, value),
        });
    format!("{} {unit}", rounded(value))
}

/// Without the digits that binary fractions add.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// `21:05:30`, in UTC.
fn second_text(at: f64) -> String {
    crate::report::utc_text(at)
        .get(11..19)
        .unwrap_or("-")
        .to_owned()
}

/// `21:05`, in UTC.
pub(super) fn clock_text(at: f64) -> String {
    let text = crate::report::utc_text(at);
    text.get(11..16).unwrap_or("-").to_owned()
}

/// To a tenth: more digits would only make the page longer.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::PairState;
    use crate::report::ExporterReport;

    const NOW: f64 = 1_750_000_000.0;

    fn history(lags: &[Option<f64>]) -> HistoryReport {
        let point = |(n, lag): (usize, &Option<f64>)| PointReport {
            timestamp: NOW - 900.0 + 5.0 * n as f64,
            lag_seconds: *lag,
            lag_min_seconds: *lag,
            lag_lower_seconds: lag.map(|lag| lag / 2.0),
            lag_upper_seconds: lag.map(|lag| lag * 2.0),
            lag_bytes: lag.map(|_| 4096),
            state: Some(if lag.is_some() {
                PairState::Streaming
            } else {
                PairState::MasterUnreachable
            }),
        };
        HistoryReport {
            pair: "orders".to_owned(),
            replica: "r:1".to_owned(),
            step_seconds: 5.0,
            since_timestamp: NOW - 900.0,
            points: lags.iter().enumerate().map(point).collect(),
            changes: Vec::new(),
            exporter: ExporterReport {
                version: String::new(),
                ready: true,
                now_timestamp: NOW,
                snapshot_timestamp: NOW,
                stuck_seconds: None,
            },
        }
    }

    #[test]
    fn what_is_not_known_is_a_gap() {
        let plot = Plot::of_lag(
            &history(&[Some(1.0), Some(1.0), None, Some(1.0)]),
            [("warning", None), ("critical", None)],
        );
        assert_eq!(plot.line.matches('M').count(), 2, "{}", plot.line);
        assert_eq!(plot.band.matches('M').count(), 2, "{}", plot.band);
        assert!(plot.line.ends_with("h.01") && plot.open.is_empty());
        let nothing = Plot::of_lag(
            &history(&[None, None]),
            [("warning", Some(1.0)), ("critical", None)],
        );
        assert!(nothing.line.is_empty() && nothing.band.is_empty() && nothing.levels.is_empty());
    }

    #[test]
    fn a_lower_bound_without_an_upper_one_is_open_above() {
        let mut history = history(&[Some(1.0); 3]);
        history
            .points
            .iter_mut()
            .for_each(|point| point.lag_upper_seconds = None);
        let plot = Plot::of_lag(&history, [("warning", None), ("critical", None)]);
        assert!(
            plot.band.is_empty() && plot.open.contains(&format!(" {TOP}")),
            "{}",
            plot.open
        );
    }

    #[test]
    fn thresholds_within_the_chart_are_drawn_and_marks_are_round() {
        let plot = Plot::of_lag(
            &history(&[Some(20.0)]),
            [("warning", Some(30.0)), ("critical", Some(120.0))],
        );
        let texts = |ticks: &[Tick]| {
            ticks
                .iter()
                .map(|tick| tick.text.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&plot.ys), ["0 s", "10 s", "20 s", "30 s", "40 s"]);
        assert_eq!(
            plot.levels
                .iter()
                .map(|level| level.text.as_str())
                .collect::<Vec<_>>(),
            ["warning from 30.0 s"]
        );
        assert_eq!(
            texts(&plot.xs),
            ["14:54", "14:57", "15:00", "15:03", "15:06"]
        );
        assert_eq!(
            texts(&Plot::of_bytes(&history(&[Some(1.0)])).ys),
            ["0 B", "1 KiB", "2 KiB", "3 KiB", "4 KiB"]
        );
    }

    #[test]
    fn an_axis_is_no_longer_than_there_is_something_to_show() {
        let mut young = history(&[Some(1.0); 10]);
        young
            .points
            .iter_mut()
            .for_each(|point| point.timestamp += 850.0);
        let times = Times::of(&young);
        assert!((times.until - times.since - SHORTEST).abs() < 1e-6);
        let texts: Vec<_> = times.ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["15:05:00", "15:05:30", "15:06:00", "15:06:30"]);
    }

    #[test]
    fn a_sparkline_is_short_and_says_its_peak() {
        let spark = Spark::of(&history(&[Some(3.0); 180])).unwrap();
        assert_eq!(spark.words, "up to 3.000 s");
        assert!(
            spark.line.matches('L').count() < SPARK_POINTS && spark.line.len() < 800,
            "{}",
            spark.line
        );
        assert!(Spark::of(&history(&[None; 5])).is_none() && Spark::of(&history(&[])).is_none());
    }

    #[test]
    fn a_timeline_joins_equal_states() {
        let runs = timeline(&history(&[Some(1.0), Some(1.0), None, None, Some(1.0)]));
        let states: Vec<_> = runs.iter().map(|run| (run.state, run.level)).collect();
        let streaming = ("streaming", "ok");
        assert_eq!(
            states,
            [streaming, ("master_unreachable", "critical"), streaming]
        );
        assert!(
            runs.windows(2)
                .all(|pair| (pair[0].x + pair[0].width - pair[1].x).abs() < 0.2)
        );
    }
}
