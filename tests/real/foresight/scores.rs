//! The scores of the predictions: many cuts, drains and overruns on real servers.
//!
//! `make lab` runs them after the lag's laboratory. `FORESIGHT_CUTS`, `FORESIGHT_DRAINS` and
//! `FORESIGHT_OVERRUNS` say how many; with `LAB_UPDATE` the table goes into docs/foresight.md.

#![allow(clippy::print_stdout)] // the figures are for people who measure

use std::fmt::Write as _;
use std::path::Path;

use redis_cross_dc_exporter::lab::RedisServer;

use super::cut::{CameBack, Cut, until_full, until_part};
use super::drain::{CatchUp, drain};
use super::lane::{Lane, LanePlan, lanes, pause};
use super::load::Pattern;
use super::overrun::{Overrun, overrun};

/// Between these lines of docs/foresight.md is what this wrote.
const MARKS: [&str; 2] = ["<!-- scores: begin -->\n", "<!-- scores: end -->\n"];

/// Lanes of each pattern, which run at the same time.
const LANES_EACH: usize = 4;

/// The shares to reach.
mod goals {
    pub(super) const OPTIMISTIC: f64 = 0.02;
    pub(super) const CLOSE: f64 = 0.8;
    pub(super) const FORESEEN: f64 = 0.9;
}

/// How often something is done, by a variable of the environment.
fn how_many(variable: &str, usual: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |text| text.parse().expect(variable))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long, and it wants the machine for itself: `make lab`"]
async fn predictions() {
    let cuts = score_cuts(how_many("FORESIGHT_CUTS", 200)).await;
    let drains = score_drains(how_many("FORESIGHT_DRAINS", 36)).await;
    let overruns = score_overruns(how_many("FORESIGHT_OVERRUNS", 50)).await;
    publish(&cuts, &drains, &overruns);
}

fn plans(rate: f64, lines: &[&str], patterns: &[Pattern]) -> Vec<LanePlan> {
    let mut plans = Vec::new();
    for pattern in patterns.repeat(LANES_EACH) {
        let mut master = RedisServer::builder();
        for line in lines {
            master = master.config(line);
        }
        plans.push(LanePlan {
            pattern,
            rate,
            master,
        });
    }
    plans
}

/// Runs `one` on every lane at the same time, so often that there are `all` of them.
async fn on_lanes<T, F>(lanes: Vec<Lane>, all: usize, one: F) -> Vec<(Pattern, T)>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut Lane, usize) -> std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>
        + Copy
        + Send
        + 'static,
{
    let count = lanes.len();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, mut lane) in lanes.into_iter().enumerate() {
        let times = all / count + usize::from(number < all % count);
        tasks.spawn(async move {
            lane.healthy().await;
            let pattern = Pattern::ALL
                .into_iter()
                .find(|pattern| lane.name.starts_with(pattern.name()))
                .unwrap();
            let mut outcomes = Vec::new();
            for time in 0..times {
                pause(1.0 + 3.0 * fastrand::f64()).await;
                outcomes.push((pattern, one(&mut lane, time).await));
            }
            outcomes
        });
    }
    let mut outcomes = Vec::new();
    while let Some(of_lane) = tasks.join_next().await {
        outcomes.extend(of_lane.unwrap());
    }
    outcomes
}

async fn score_cuts(all: usize) -> Vec<(Pattern, Cut)> {
    let directives = ["repl-backlog-size 1mb"];
    let lanes = lanes(plans(120_000.0, &directives, &Pattern::ALL), "", "").await;
    // A history in which each kind of load has shown itself.
    pause(45.0).await;
    on_lanes(lanes, all, |lane, time| {
        Box::pin(async move {
            // Each fourth one is healed in time.
            if time % 4 == 3 {
                until_part(lane, 0.9).await
            } else {
                until_full(lane).await
            }
        })
    })
    .await
}

async fn score_drains(all: usize) -> Vec<(Pattern, Vec<CatchUp>)> {
    let directives = ["repl-backlog-size 64mb"];
    let lanes = lanes(plans(200_000.0, &directives, &Pattern::ALL), "", "").await;
    // The mean of the load is known by then.
    pause(45.0).await;
    on_lanes(lanes, all, |lane, _| {
        Box::pin(async move {
            // The drains take 10 to 20 s, about as long as from one burst to the next.
            let stall = 30.0 + 15.0 * fastrand::f64();
            drain(lane, stall, 900_000, 1.5).await
        })
    })
    .await
}

async fn score_overruns(all: usize) -> Vec<(Pattern, Overrun)> {
    let limit = "client-output-buffer-limit replica 24mb 6mb 6";
    let directives = ["repl-backlog-size 1mb", limit];
    let patterns = [Pattern::Steady, Pattern::OnOff];
    let poll = ", output_buffers: true";
    let lanes = lanes(plans(1_200_000.0, &directives, &patterns), poll, "").await;
    on_lanes(lanes, all, |lane, _| Box::pin(overrun(lane))).await
}

/// One line of the table.
struct Line {
    what: String,
    got: String,
    goal: String,
    met: bool,
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} % ({part} of {whole})", share(part, whole) * 100.0)
}

fn cut_lines(cuts: &[(Pattern, Cut)]) -> Vec<Line> {
    let mut lines = Vec::new();
    for pattern in Pattern::ALL {
        let of_load: Vec<&Cut> = of(cuts, pattern);
        let optimistic = of_load.iter().filter(|cut| cut.was_optimistic()).count();
        lines.push(Line {
            what: format!("worst headroom too optimistic, {} load", pattern.name()),
            got: percent(optimistic, of_load.len()),
            goal: String::new(),
            met: true,
        });
    }
    let all = cuts.len();
    let optimistic = cuts.iter().filter(|(_, cut)| cut.was_optimistic()).count();
    lines.push(Line {
        what: "worst headroom too optimistic, all cuts".to_owned(),
        got: percent(optimistic, all),
        goal: "at most 2 %".to_owned(),
        met: all > 0 && share(optimistic, all) <= goals::OPTIMISTIC,
    });
    let ended: Vec<(&Cut, f64)> = cuts
        .iter()
        .filter_map(|(_, cut)| Some((cut, cut.truth?)))
        .collect();
    let by_mean = ended
        .iter()
        .filter(|(cut, truth)| cut.expected.is_some_and(|expected| expected > *truth));
    lines.push(Line {
        what: "for comparison: the expected headroom too optimistic".to_owned(),
        got: percent(by_mean.count(), ended.len()),
        goal: String::new(),
        met: true,
    });
    let mut parts: Vec<f64> = ended.iter().map(|(cut, truth)| cut.worst / truth).collect();
    parts.sort_by(f64::total_cmp);
    let median = parts.get(parts.len() / 2);
    lines.push(Line {
        what: "the worst headroom as a part of the true one, median".to_owned(),
        got: median.map_or("-".to_owned(), |median| format!("{median:.2}")),
        goal: String::new(),
        met: true,
    });
    let in_time: Vec<&Cut> = cuts
        .iter()
        .map(|(_, cut)| cut)
        .filter(|cut| cut.truth.is_none())
        .collect();
    let partial = in_time
        .iter()
        .filter(|cut| cut.came_back == CameBack::Partially)
        .count();
    lines.push(Line {
        what: "links healed within the worst headroom: partial resyncs".to_owned(),
        got: percent(partial, in_time.len()),
        goal: String::new(),
        met: true,
    });
    lines
}

fn drain_lines(drains: &[(Pattern, Vec<CatchUp>)]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut all_numbers = Vec::new();
    let mut all_in_range = Vec::new();
    for pattern in Pattern::ALL {
        let name = pattern.name();
        let seen: Vec<CatchUp> = of(drains, pattern).into_iter().flatten().copied().collect();
        let numbers: Vec<bool> = seen.iter().filter_map(CatchUp::is_close).collect();
        let in_range: Vec<bool> = seen.iter().map(CatchUp::is_in_range).collect();
        lines.push(told(
            format!("catch-up within 25 %, {name} load"),
            how_often(&numbers),
        ));
        let given = percent(numbers.len(), seen.len());
        lines.push(told(format!("there is such a number, {name} load"), given));
        all_numbers.extend(numbers);
        all_in_range.extend(in_range);
    }
    let close = all_numbers.iter().filter(|is_close| **is_close).count();
    lines.push(Line {
        what: format!("catch-up within 25 %, {} drains", drains.len()),
        got: how_often(&all_numbers),
        goal: "at least 80 %".to_owned(),
        met: share(close, all_numbers.len()) >= goals::CLOSE,
    });
    lines.push(told(
        "there is such a number, all drains".to_owned(),
        percent(all_numbers.len(), all_in_range.len()),
    ));
    lines.push(told(
        "catch-up within its range, all drains".to_owned(),
        how_often(&all_in_range),
    ));
    lines
}

/// A figure without a goal.
fn told(what: String, got: String) -> Line {
    Line {
        what,
        got,
        goal: String::new(),
        met: true,
    }
}

/// The share of what is true.
fn how_often(all: &[bool]) -> String {
    percent(all.iter().filter(|is_true| **is_true).count(), all.len())
}

fn overrun_lines(overruns: &[(Pattern, Overrun)]) -> Vec<Line> {
    let all = overruns.len();
    let before = |at_least: f64| {
        let overruns = overruns.iter();
        let foreseen = overruns
            .filter(|(_, overrun)| overrun.foreseen_before.is_some_and(|was| was >= at_least));
        foreseen.count()
    };
    let mut earliest: Vec<f64> = overruns
        .iter()
        .filter_map(|(_, overrun)| overrun.foreseen_before)
        .collect();
    earliest.sort_by(f64::total_cmp);
    let median = earliest.get(earliest.len() / 2).copied();
    let errors = overruns
        .iter()
        .flat_map(|(_, overrun)| &overrun.predictions);
    let errors: Vec<bool> = errors
        .filter(|(_, left)| *left >= 2.0)
        .map(|(foreseen, left)| (foreseen - left).abs() <= left * 0.5)
        .collect();
    let close = errors.iter().filter(|is_close| **is_close).count();
    vec![
        Line {
            what: "disconnects foreseen, a second ahead or more".to_owned(),
            got: percent(before(1.0), all),
            goal: "at least 90 %".to_owned(),
            met: share(before(1.0), all) >= goals::FORESEEN,
        },
        Line {
            what: "how long ahead, median".to_owned(),
            got: median.map_or("-".to_owned(), |median| format!("{median:.1} s")),
            goal: String::new(),
            met: true,
        },
        Line {
            what: "the time foreseen within 50 % of the true one".to_owned(),
            got: percent(close, errors.len()),
            goal: String::new(),
            met: true,
        },
    ]
}

fn of<T>(outcomes: &[(Pattern, T)], pattern: Pattern) -> Vec<&T> {
    let own = outcomes.iter().filter(|(of, _)| *of == pattern);
    own.map(|(_, outcome)| outcome).collect()
}

/// Prints the table, writes it into docs/foresight.md if asked to, and panics when a goal was
/// missed.
fn publish(
    cuts: &[(Pattern, Cut)],
    drains: &[(Pattern, Vec<CatchUp>)],
    overruns: &[(Pattern, Overrun)],
) {
    let mut lines = cut_lines(cuts);
    lines.extend(drain_lines(drains));
    lines.extend(overrun_lines(overruns));
    let mut table = String::from("| prediction | score | goal | |\n|---|---|---|---|\n");
    for Line {
        what,
        got,
        goal,
        met,
    } in &lines
    {
        let reached = match (goal.is_empty(), met) {
            (true, _) => "",
            (false, true) => "reached",
            (false, false) => "**missed**",
        };
        let _ = writeln!(table, "| {what} | {got} | {goal} | {reached} |");
    }
    println!("\n{table}");
    for (pattern, cut) in cuts {
        if cut.was_optimistic() {
            println!("optimistic: {pattern:?} {cut:?}");
        }
    }
    if std::env::var_os("LAB_UPDATE").is_some() {
        write_into_docs(&table);
    }
    assert!(lines.iter().all(|line| line.met), "a goal was missed");
}

fn write_into_docs(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/foresight.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let [begin, end] = MARKS;
    let (before, rest) = text.split_once(begin).expect("the mark");
    let (_, after) = rest.split_once(end).expect("the mark");
    std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
}
