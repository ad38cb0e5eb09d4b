//! Runs takes beside each other, and gathers their scores.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis_cross_dc_exporter::config::{Environment, Format, parse};
use tokio::sync::Semaphore;

use super::peer::Peer;
use super::scenarios::Scenario;
use super::score::{Score, mean};
use super::stage::{Method, Stage};
use super::take::Take;
use super::truth::seconds;
use super::{cluster_scenarios, scenarios};

/// The parts of the machine that scenarios share.
pub(super) const MACHINE: u32 = 14;

/// How long a take lasts at least, in seconds. An outage of twelve is a fifth of it, and the rest
/// is healthy.
const LENGTH: f64 = 60.0;

/// What to run.
pub(super) struct Orders {
    /// Names, or parts of names; empty is all.
    pub(super) scenarios: Vec<String>,
    /// Takes of each.
    pub(super) phases: u32,
    /// How many parts of the machine there are.
    pub(super) machine: u32,
    /// Where samples go.
    pub(super) dump: Option<PathBuf>,
}

impl Orders {
    /// What `LAB_SCENARIOS` (names or parts of names, by commas), `LAB_PHASES`, `LAB_JOBS` and
    /// `LAB_DUMP` say.
    pub(super) fn from_environment() -> Self {
        let text = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        let number = |name: &str, default: u32| {
            text(name).map_or(default, |value| {
                value
                    .parse()
                    .unwrap_or_else(|_| panic!("{name} is no number: {value}"))
            })
        };
        let names = text("LAB_SCENARIOS").unwrap_or_default();
        Self {
            scenarios: names
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            phases: number("LAB_PHASES", 5).max(1),
            machine: number("LAB_JOBS", MACHINE).max(1),
            dump: text("LAB_DUMP").map(PathBuf::from),
        }
    }

    fn includes(&self, scenario: &Scenario) -> bool {
        let is_whole = |name: &str| every_scenario().any(|scenario| scenario.name == name);
        let means_it = |name: &String| {
            scenario.name == name || !is_whole(name) && scenario.name.contains(name.as_str())
        };
        self.scenarios.is_empty() || self.scenarios.iter().any(means_it)
    }
}

/// One take that is to be made.
#[derive(Clone, Copy)]
struct Job {
    scenario: &'static Scenario,
    phase: u32,
    refresh: bool,
}

/// What became of the takes of one scenario.
pub(super) struct Outcome {
    pub(super) scenario: &'static Scenario,
    /// Whether each scrape asked the servers first.
    pub(super) refresh: bool,
    /// Of all takes together.
    pub(super) score: Score,
    /// Mean raw error of the worst take.
    pub(super) worst_phase: f64,
    /// Why takes came to nothing.
    pub(super) broken: Vec<String>,
}

/// Every scenario: those of pairs, then those of clusters.
pub(super) fn every_scenario() -> impl Iterator<Item = &'static Scenario> {
    scenarios::ALL.iter().chain(&cluster_scenarios::ALL)
}

/// Makes all takes and returns the outcomes in the order of [`every_scenario`], those with refresh
/// last.
pub(super) async fn run(orders: &Orders, peer: Option<Arc<Peer>>) -> Vec<Outcome> {
    let chosen: Vec<&'static Scenario> = every_scenario()
        .filter(|scenario| orders.includes(scenario))
        .collect();
    assert!(
        !chosen.is_empty(),
        "LAB_SCENARIOS names no scenario; there are: {}",
        names()
    );
    let refreshed = chosen
        .iter()
        .copied()
        .filter(|scenario| scenario.refreshed && can_refresh());
    let kinds: Vec<(&'static Scenario, bool)> = chosen
        .iter()
        .map(|s| (*s, false))
        .chain(refreshed.map(|s| (s, true)))
        .collect();
    let jobs = (0..orders.phases).flat_map(|phase| {
        kinds.iter().map(move |(scenario, refresh)| Job {
            scenario,
            phase,
            refresh: *refresh,
        })
    });
    let jobs: Vec<Job> = jobs.collect();
    let mut takes = make_all(orders, jobs, peer).await;
    let of = |(scenario, refresh): (&'static Scenario, bool)| {
        gather(
            scenario,
            refresh,
            takes.remove(&(scenario.name, refresh)).unwrap_or_default(),
        )
    };
    kinds.into_iter().map(of).collect()
}

/// Whether this build takes `poll.refresh_on_scrape`.
fn can_refresh() -> bool {
    let text = "poll: {refresh_on_scrape: true}\npairs: [{name: p, master: {address: 'a:1', dc: x}, replicas: [{address: 'b:1', dc: y}]}]\n";
    parse(text, Format::Yaml, Path::new("."), &Environment::default()).is_ok()
}

fn names() -> String {
    every_scenario()
        .map(|scenario| scenario.name)
        .collect::<Vec<_>>()
        .join(", ")
}

type Scored = Result<Score, String>;

/// Makes the takes, as many at a time as the machine has room for.
async fn make_all(
    orders: &Orders,
    jobs: Vec<Job>,
    peer: Option<Arc<Peer>>,
) -> BTreeMap<(&'static str, bool), Vec<Scored>> {
    let (room, total) = (
        Arc::new(Semaphore::new(orders.machine as usize)),
        jobs.len(),
    );
    let mut running = tokio::task::JoinSet::new();
    let mut places = BTreeMap::new();
    for job in jobs {
        // One phase of the other exporter is enough, and spares the machine.
        let is_scored = job.phase == 0 && !job.refresh && !job.scenario.is_of_a_cluster();
        let peer = peer.clone().filter(|_| is_scored);
        let phase = f64::from(job.phase) / f64::from(orders.phases);
        let method = Method {
            phase,
            length: LENGTH,
            refresh: job.refresh,
            peer,
        };
        let (room, dump) = (Arc::clone(&room), orders.dump.clone());
        let weight = job.scenario.weight.min(orders.machine);
        let handle = running.spawn(async move {
            let _part = room
                .acquire_many_owned(weight)
                .await
                .expect("the semaphore is never closed");
            make(job, method, dump.as_deref()).await
        });
        places.insert(handle.id(), job);
    }
    let (mut done, mut found) = (0, BTreeMap::new());
    while let Some(result) = running.join_next_with_id().await {
        done += 1;
        let (id, scored) = match result {
            Ok((id, score)) => (id, Ok(score)),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        let job = places[&id];
        println!("[{done}/{total}] {}", progress(job, &scored));
        found
            .entry((job.scenario.name, job.refresh))
            .or_insert_with(Vec::new)
            .push(scored);
    }
    found
}

/// Makes one take.
pub(super) async fn take(scenario: &Scenario, method: Method) -> Take {
    let mut stage = Stage::start((scenario.plan)(), method).await;
    (scenario.story)(&mut stage).await;
    stage.finish().await
}

async fn make(job: Job, method: Method, dump: Option<&Path>) -> Score {
    let take = take(job.scenario, method).await;
    let score = Score::of(&take);
    if let Some(folder) = dump {
        write_dump(folder, &title(job), &take);
    }
    score
}

fn title(job: Job) -> String {
    let refresh = if job.refresh { ", refreshed" } else { "" };
    format!("{}{refresh}, phase {}", job.scenario.name, job.phase)
}

fn progress(job: Job, scored: &Scored) -> String {
    let title = title(job);
    match scored {
        Err(error) => format!("{title}: came to nothing: {error}"),
        Ok(score) => {
            let Score {
                samples,
                overlapping,
                absent,
                complaints,
                errors,
                ..
            } = score;
            let mut line = format!(
                "{title}: {samples} samples, {} outside, {absent} absent, raw {:.3} s, settled {:.4} s",
                samples - overlapping,
                mean(&errors.raw),
                mean(&errors.settled)
            );
            for complaint in complaints {
                let _ = write!(line, "\n    {complaint}");
            }
            line
        }
    }
}

fn gather(scenario: &'static Scenario, refresh: bool, takes: Vec<Scored>) -> Outcome {
    let mut outcome = Outcome {
        scenario,
        refresh,
        score: Score::default(),
        worst_phase: 0.0,
        broken: Vec::new(),
    };
    for take in takes {
        match take {
            Ok(score) => {
                outcome.worst_phase = outcome.worst_phase.max(mean(&score.errors.raw));
                outcome.score.add(score);
            }
            Err(error) => outcome.broken.push(error),
        }
    }
    outcome
}

/// Writes a take's samples beside the truth, as CSV.
fn write_dump(folder: &Path, title: &str, take: &Take) {
    let mut text = "seconds,truth_low,truth_high,lower,estimate,upper,learned_ago,bytes,lower_bytes,upper_bytes,\
                    true_bytes_low,true_bytes_high,state\n"
        .to_owned();
    let cell = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    for sample in &take.samples {
        let truth = take.record.lag(sample.asked, sample.answered);
        let bytes = take.record.bytes(sample.asked, sample.answered);
        let ago = sample.learned.map(|learned| seconds(learned, sample.asked));
        let cells = [
            Some(seconds(take.began, sample.asked)),
            truth.map(|truth| truth.low),
            truth.map(|truth| truth.high),
            sample.lower,
            sample.lag,
            sample.upper,
            ago,
            sample.bytes,
            sample.lower_bytes,
            sample.upper_bytes,
            bytes.map(|bytes| bytes.low),
            bytes.map(|bytes| bytes.high),
        ];
        let cells: Vec<String> = cells.into_iter().map(cell).collect();
        let _ = writeln!(text, "{},{}", cells.join(","), sample.state);
    }
    let hooks = take
        .hooks
        .iter()
        .map(|at| format!("# webhook at {:.4}\n", seconds(take.began, *at)));
    text.extend(hooks);
    let file = title.replace(", ", "-").replace([' ', '/'], "_");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(format!("{file}.csv")), text).unwrap();
}

/// How busy the machine was.
pub(super) struct Load {
    idle: u64,
    all: u64,
}

impl Load {
    /// The processors' times up to now, in ticks (`/proc/stat`, proc(5)); `None` where there is no
    /// such file.
    pub(super) fn now() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> = text
            .lines()
            .next()?
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        Some(Self {
            idle: ticks.get(3)? + ticks.get(4)?,
            all: ticks.iter().sum(),
        })
    }

    /// The share of the time since then in which the processors were idle.
    pub(super) fn idle_since(&self) -> Option<f64> {
        let now = Self::now()?;
        Some((now.idle - self.idle) as f64 / (now.all - self.all).max(1) as f64)
    }
}
