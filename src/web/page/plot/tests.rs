use super::tick::Anchor;
use super::times::Times;
use super::*;
use crate::replication::PairState;
use crate::report::ExporterReport;
use crate::web::page::measure;

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
            reload_failed: None,
            reload_failed_timestamp: None,
            effective_interval_seconds: None,
            overloaded_timestamp: None,
            overloaded: None,
        },
    }
}

fn charts(history: &HistoryReport, thresholds: Levels) -> Charts {
    let limits = Limits {
        thresholds,
        backlog: Some(Bytes::new(1 << 20)),
    };
    Charts::new(history, limits, Frame::WIDE)
}

fn texts(ticks: &[Tick]) -> Vec<&str> {
    ticks.iter().map(|tick| tick.text.as_str()).collect()
}

/// The history with all of it `seconds` later.
fn later(mut history: HistoryReport, seconds: f64) -> HistoryReport {
    for point in &mut history.points {
        point.timestamp += seconds;
    }
    history
}

#[test]
fn unknown_values_are_a_gap() {
    let known = [Some(1.0), Some(1.0), None, Some(1.0)];
    let plot = charts(&history(&known), Levels::default()).lag;
    assert_eq!(plot.line.matches('M').count(), 2, "{}", plot.line);
    assert_eq!(plot.band.matches('M').count(), 2, "{}", plot.band);
    assert!(plot.open.is_empty());
    let warning = Levels {
        warning: Some(1.0),
        critical: None,
    };
    let nothing = charts(&history(&[None, None]), warning).lag;
    assert!(nothing.line.is_empty() && nothing.band.is_empty() && nothing.levels.is_empty());
}

#[test]
fn a_lower_bound_without_an_upper_one_is_open_above() {
    let mut history = history(&[Some(1.0); 3]);
    for point in &mut history.points {
        point.lag_upper_seconds = None;
    }
    let plot = charts(&history, Levels::default()).lag;
    let top = format!(" {}", Frame::TOP);
    assert!(
        plot.band.is_empty() && plot.open.contains(&top),
        "{}",
        plot.open
    );
}

#[test]
fn thresholds_within_the_chart_are_drawn_and_marks_are_round() {
    let thresholds = Levels {
        warning: Some(30.0),
        critical: Some(120.0),
    };
    let charts = charts(&history(&[Some(20.0)]), thresholds);
    let marks = ["0 s", "10 s", "20 s", "30 s", "40 s"];
    assert_eq!(texts(&charts.lag.ys), marks);
    let levels: Vec<_> = charts.lag.levels.iter().map(|level| level.level).collect();
    assert_eq!(levels, ["warning"]);
    let times = ["14:54", "14:57", "15:00", "15:03", "15:06"];
    assert_eq!(texts(&charts.lag.xs), times);
    let marks = ["0 KiB", "1 KiB", "2 KiB", "3 KiB", "4 KiB"];
    assert_eq!(texts(&charts.bytes.ys), marks);
}

#[test]
fn a_time_axis_is_as_short_as_what_is_recorded() {
    let young = later(history(&[Some(1.0); 10]), 850.0);
    let times = Times::new(&young);
    assert!((times.until - times.since - times::SHORTEST).abs() < 1e-6);
    let ticks = times.ticks(&Frame::WIDE, 60.0);
    assert_eq!(
        texts(&ticks),
        ["15:05:00", "15:05:30", "15:06:00", "15:06:30"]
    );
}

#[test]
fn the_heading_tells_how_much_past_is_shown() {
    let words = |history: &HistoryReport| span_words(history, "15 minutes");
    assert_eq!(words(&history(&[Some(1.0); 180])), "The last 15 minutes");
    let young = later(history(&[Some(1.0); 10]), 740.0);
    assert_eq!(words(&young), "The last 2 min");
    let younger = later(history(&[Some(1.0); 10]), 855.0);
    assert_eq!(words(&younger), "The last 45 s");
    assert_eq!(words(&history(&[])), "Nothing is recorded yet");
    let mut silent = later(history(&[Some(1.0); 10]), 0.0);
    for point in &mut silent.points[..5] {
        point.state = None;
    }
    assert_eq!(
        words(&silent),
        "The last 14 min",
        "no state is known before"
    );
}

#[test]
fn a_sparkline_is_short_and_names_its_peak() {
    let spark = Spark::new(&history(&[Some(3.0); 180])).unwrap();
    assert_eq!(spark.words, "up to 3.000 s");
    assert!(
        spark.line.matches('L').count() < spark::STEPS && spark.line.len() < 800,
        "{}",
        spark.line
    );
    assert!(Spark::new(&history(&[None; 5])).is_none() && Spark::new(&history(&[])).is_none());
}

#[test]
fn the_headroom_is_what_the_bytes_behind_leave_of_the_backlog() {
    let lags: Vec<Option<f64>> = (0..10).map(|n| (n != 5).then_some(1.0)).collect();
    let mut history = history(&lags);
    for (n, point) in history.points.iter_mut().enumerate() {
        // It falls until the replica is further behind than the backlog reaches.
        point.lag_bytes = point.lag_bytes.map(|_| 256 * 1024 * n as u64);
    }
    let headroom = charts(&history, Levels::default()).headroom.unwrap();
    assert_eq!(texts(&headroom.ys).last(), Some(&"1024 KiB"));
    assert!(headroom.has_gaps, "the step of an unknown lag");
    let bottom = format!(" {}", headroom.bottom);
    assert!(headroom.line.ends_with(&bottom), "{}", headroom.line);
    assert!(headroom.line.starts_with('M') && headroom.line.matches('M').count() == 2);
    let unknown = Charts::new(&history, Limits::default(), Frame::WIDE);
    assert!(
        unknown.headroom.is_none(),
        "without a size there is no chart"
    );
}

#[test]
fn a_timeline_joins_equal_states() {
    let known = [Some(1.0), Some(1.0), None, None, Some(1.0)];
    let states = charts(&history(&known), Levels::default()).states;
    let seen: Vec<_> = states
        .runs
        .iter()
        .map(|run| (run.state, run.level))
        .collect();
    let streaming = ("streaming", "ok");
    let lost = ("master_unreachable", "critical");
    assert_eq!(seen, [streaming, lost, streaming]);
    let joined = |pair: &[timeline::Run]| (pair[0].x + pair[0].width - pair[1].x).abs() < 0.2;
    assert!(states.runs.windows(2).all(joined));
    assert_eq!(states.legend().len(), 2);
}

/// A text in a chart: where it begins and ends, at the widest.
fn extent(tick: &Tick, at: f64) -> (f64, f64) {
    let width = measure::width(&tick.text, Frame::FONT);
    let left = match tick.anchor {
        Anchor::Start => at,
        Anchor::Middle => at - width / 2.0,
        Anchor::End => at - width,
    };
    (left, left + width)
}

fn nothing_is_clipped(charts: &Charts) {
    let plots = [
        Some(&charts.lag),
        Some(&charts.bytes),
        charts.headroom.as_ref(),
    ];
    for plot in plots.into_iter().flatten() {
        for mark in &plot.ys {
            assert!(extent(mark, plot.beside).0 >= 0.0, "{}", mark.text);
            assert!((0.0..=plot.height).contains(&(mark.at + 4.0)));
        }
        let mut free_from = plot.beside;
        for mark in &plot.xs {
            let (left, right) = extent(mark, mark.at);
            assert!(left >= free_from && right <= plot.width, "{}", mark.text);
            free_from = right;
        }
        let unit = |tick: &Tick| tick.text.split(' ').nth(1).map(str::to_owned);
        let first = plot.ys.first().and_then(unit);
        assert!(plot.ys.iter().all(|tick| unit(tick) == first));
    }
    for run in &charts.states.runs {
        let width = run
            .label
            .map_or(0.0, |label| measure::width(label, Frame::FONT));
        assert!(width <= run.width, "{}: {}", run.state, run.width);
        assert!(run.x >= charts.states.left && run.x <= charts.states.right);
    }
}

/// Whatever the values are, every text lies inside its picture, no two on the time axis touch, each
/// axis has one unit, and a state's name is whole or not there.
#[test]
fn in_any_chart_nothing_is_clipped_and_an_axis_has_one_unit() {
    for exponent in -40..=90 {
        let scale = 10_f64.powf(f64::from(exponent) / 10.0);
        for steps in [0, 1, 3, 24, 100, 180] {
            let known = |n: i32| (n % 17 != 3).then(|| scale * f64::from(n % 7 + 1));
            let lags: Vec<Option<f64>> = (0..steps).map(known).collect();
            let mut history = history(&lags);
            for (n, point) in history.points.iter_mut().enumerate() {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
                let bytes = (scale * 1e3) as u64;
                point.lag_bytes = Some(bytes);
                point.timestamp += f64::from(exponent) + 0.37;
                point.state = Some(PairState::ALL[n / 9 % PairState::ALL.len()]);
            }
            for frame in [Frame::WIDE, Frame::NARROW] {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
                let backlog = Some(Bytes::new((scale * 1e6) as u64));
                let limits = Limits {
                    thresholds: Levels::default(),
                    backlog,
                };
                nothing_is_clipped(&Charts::new(&history, limits, frame));
            }
        }
    }
}
