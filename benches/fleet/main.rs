//! What the exporter costs for fleets of several sizes, beside a client that only reads the same
//! answers: `make bench`, docs/performance.md.
//!
//! The fleet is a thread of this process, so its CPU is not counted to the exporter or the floor
//! client, which are children. Without `--bench`, as `cargo test` runs it, one small fleet is
//! measured for a short time and every number has to be there; no time is judged.

#![allow(
    clippy::print_stdout,
    reason = "tables and sentences for the person who runs it"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "an index that is wrong has to end the bench"
)]

mod document;
mod exporter;
#[path = "../../tests/fleet/mod.rs"]
mod fleet;
mod floor;
#[path = "../../tests/real/guard.rs"]
mod guard;
mod process;
mod scrape;
mod table;

use std::time::{Duration, Instant};

use exporter::Exporter;
use fleet::Fleet;
use floor::Floor;
use process::CpuTimes;
use scrape::{Answer, Totals, count_series, get};
use table::{Row, Scrapes, Window};

/// What the offsets of the fleet grow by, in bytes a second.
const WRITTEN: u64 = 100_000;

/// Open files of a process beside its connections to servers.
const SPARE_FILES: u64 = 64;

/// How many scrapes are timed, unless they take too long together.
const SCRAPES: usize = 5;
const SCRAPES_LIMIT: Duration = Duration::from_secs(15);

/// How long an exporter may take until it keeps up.
const SETTLING: Duration = Duration::from_secs(45);

/// What is measured, and for how long.
struct Plan {
    sizes: Vec<usize>,
    window: Duration,
    /// A short run that only shows that everything works.
    short: bool,
}

impl Plan {
    fn from_environment() -> Self {
        let short = !std::env::args().any(|argument| argument == "--bench");
        let defaults = if short {
            ("20", "2")
        } else {
            ("1,100,1000,4000,9500", "10")
        };
        let variable =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let sizes = variable("BENCH_PAIRS", defaults.0);
        let seconds = variable("BENCH_SECONDS", defaults.1);
        let size = |text: &str| {
            let size = text.trim().parse().ok().filter(|size| *size > 0);
            size.unwrap_or_else(|| panic!("BENCH_PAIRS: {text:?} is no number of pairs"))
        };
        let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0);
        Self {
            sizes: sizes.split(',').map(size).collect(),
            window: Duration::from_secs(seconds.expect("BENCH_SECONDS: a number of seconds")),
            short,
        }
    }

    /// How long a client polls before it is measured.
    fn warm_up(&self) -> Duration {
        (self.window / 2).min(Duration::from_secs(5))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, argument, rate] = arguments.as_slice()
        && argument == floor::ARGUMENT
    {
        let rate = rate.parse().expect("a number of polls a second");
        floor::run(rate).expect("the fleet answers");
        return;
    }
    let plan = Plan::from_environment();
    let files = process::allow_open_files();
    let mut rows = Vec::new();
    let mut sentences = Vec::new();
    for &pairs in &plan.sizes {
        let needed = 2 * pairs as u64 + SPARE_FILES;
        if files.is_some_and(|files| files < needed) {
            sentences.push(format!(
                "{pairs} pairs were not measured: they need {needed} open files, and `ulimit -Hn` \
                 allows {}.",
                files.unwrap_or_default()
            ));
            continue;
        }
        println!("==> {pairs} pairs");
        let row = measure(pairs, &plan);
        sentences.extend(row.caveat());
        rows.push(row);
    }
    let seconds = plan.window.as_secs();
    let circumstances = document::circumstances();
    let mut text = format!("{circumstances}, windows of {seconds} s:\n\n");
    text += &table::polling(&rows);
    text += "\n";
    text += &table::serving(&rows);
    for sentence in sentences {
        text += &format!("\n{sentence}\n");
    }
    document::publish("fleet", &text);
    let defects: Vec<String> = rows.iter().flat_map(Row::defects).collect();
    if plan.short {
        assert!(defects.is_empty(), "{}", defects.join("\n"));
    }
}

/// Both clients, one after the other, on the same fleet.
fn measure(pairs: usize, plan: &Plan) -> Row {
    let fleet = Fleet::start(pairs, WRITTEN).expect("a fleet");
    let yaml = format!("poll: {{interval: 1s}}\n{}", fleet.entries());
    let mut exporter = Exporter::start(&yaml);
    let start = exporter.ready();
    std::thread::sleep(plan.warm_up());
    let before = settled(&exporter, plan);
    // The threads that rendered are done with it.
    std::thread::sleep(Duration::from_millis(500));
    let window = watch(exporter.pid(), &fleet, plan.window);
    let memory = process::memory(exporter.pid(), "VmRSS");
    let last = scrape(&exporter);
    let after = Totals::read(&last.body);
    let scrapes = scrapes(&exporter, &last);
    let highest_memory = process::memory(exporter.pid(), "VmHWM");
    drop(exporter);

    let floor = Floor::start(&fleet, pairs, window.polls_a_second.max(1.0));
    std::thread::sleep(plan.warm_up());
    let floor_window = watch(floor.pid(), &fleet, plan.window);
    drop(floor);

    let lateness = after.lateness.since(&before.lateness);
    let grown = |read: fn(&Totals) -> Option<f64>| Some(read(&after)? - read(&before)?);
    Row {
        pairs,
        start,
        exporter: window,
        floor: floor_window,
        memory: [memory, highest_memory],
        pairs_up: after.pairs_up,
        interval: after.interval,
        lateness: [0.5, 0.99].map(|share| lateness.quantile(share)),
        rounds_missed: grown(|totals| totals.rounds_missed),
        events_dropped: grown(|totals| totals.events_dropped),
        // A reason of errors is absent until it first occurs.
        poll_errors: after.poll_errors.unwrap_or(0.0) - before.poll_errors.unwrap_or(0.0),
        scrapes,
    }
}

/// What the exporter says once it misses hardly any rounds, or after some time: a large fleet is
/// polled more slowly where it does not keep up, which it notices within seconds.
fn settled(exporter: &Exporter, plan: &Plan) -> Totals {
    let began = Instant::now();
    let mut totals = Totals::read(&scrape(exporter).body);
    while !plan.short && began.elapsed() < SETTLING {
        std::thread::sleep(plan.warm_up());
        let later = Totals::read(&scrape(exporter).body);
        let missed = later.rounds_missed.unwrap_or(0.0) - totals.rounds_missed.unwrap_or(0.0);
        totals = later;
        if missed < 1.0 {
            break;
        }
    }
    totals
}

/// What process `pid` does in a window of time.
fn watch(pid: u32, fleet: &Fleet, window: Duration) -> Window {
    let own = std::process::id();
    let began = Instant::now();
    let idle = process::IdleTime::now();
    let answers = fleet.answers();
    let cpu = CpuTimes::of(pid);
    let fleet_cpu = CpuTimes::of(own);
    std::thread::sleep(window);
    let used = CpuTimes::of(pid).since(&cpu);
    let fleet_used = CpuTimes::of(own).since(&fleet_cpu);
    let later = fleet.answers();
    let elapsed = began.elapsed().as_secs_f64();
    let polls = (later.polls - answers.polls) as f64;
    Window {
        polls_a_second: polls / elapsed,
        bytes: (later.bytes - answers.bytes) as f64 / polls,
        cpu: used.as_secs_f64() / elapsed,
        fleet_cpu: fleet_used.as_secs_f64() / elapsed,
        idle: idle.and_then(|idle| idle.share_since()),
    }
}

fn scrape(exporter: &Exporter) -> Answer {
    let answer = get(exporter.address(), "/metrics").expect("a scrape");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Some more scrapes after `first`, one at a time.
fn scrapes(exporter: &Exporter, first: &Answer) -> Scrapes {
    let began = Instant::now();
    let series = count_series(&first.body);
    let bytes = first.body.len();
    let mut first_bytes = vec![first.first_byte];
    let mut last_bytes = vec![first.last_byte];
    while first_bytes.len() < SCRAPES && began.elapsed() < SCRAPES_LIMIT {
        std::thread::sleep(Duration::from_millis(200));
        let answer = scrape(exporter);
        first_bytes.push(answer.first_byte);
        last_bytes.push(answer.last_byte);
    }
    Scrapes {
        series,
        bytes,
        first_byte: median(first_bytes),
        last_byte: median(last_bytes),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
