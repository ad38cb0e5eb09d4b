//! What the start, a reload and changes of a fleet cost for one pair, in a fleet of a thousand and
//! of ten thousand pairs: the second divided by the first is 1 for what is linear, and 10 for what
//! is quadratic.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis_cross_dc_exporter::config::{Environment, Format, Settings, parse};
use redis_cross_dc_exporter::model::{ClockAnchor, Timestamp, WallTime};
use redis_cross_dc_exporter::monitor::Monitor;
use redis_cross_dc_exporter::poll::{EVENT_QUEUE, Poller};
use redis_cross_dc_exporter::report::TargetGroup;
use redis_cross_dc_exporter::topology::{
    Discovered, DiscoveryEvent, FilesReport, ObservedMasters, Topology, TopologyDiff,
};

use crate::{median, timed};

/// A step is too far from linear when a pair costs so many times as much in ten times as many.
/// Sorted tables and caches cost up to twice as much there.
const MOST: f64 = 4.0;

/// How often each step is made.
const TIMES: usize = 5;

/// A step of a fleet of some size: it is made, and returns nanoseconds for one pair.
type Step = (&'static str, fn(usize) -> f64);

const STEPS: &[Step] = &[
    ("configuration parsed", parsing),
    ("topology and monitor built", starting),
    ("pair files parsed and merged", discovering),
    ("a reload that changes nothing", reloading),
    ("one entry of a pair file changed, and followed", changing),
    ("roles of a whole datacenter swapped", swapping),
    ("polling of other pairs begun", polling),
    ("/api/v1/sd", targets),
];

/// The table of all steps for fleets of `few` and `many` pairs.
///
/// # Panics
/// When a step is far from linear.
pub(crate) fn table(few: usize, many: usize) -> String {
    let mut text =
        format!("| step | ns for one pair, of {few} | of {many} | ratio |\n|---|---|---|---|\n");
    for (name, step) in STEPS {
        let at = |pairs: usize| median((0..TIMES).map(|_| step(pairs)).collect());
        let (small, large) = (at(few), at(many));
        let ratio = large / small;
        text += &format!("| {name} | {small:.0} | {large:.0} | {ratio:.1} |\n");
        assert!(
            ratio < MOST || many < 1_000,
            "{name} is not linear:\n{text}"
        );
    }
    text
}

fn cost<T>(pairs: usize, step: impl FnOnce() -> T) -> f64 {
    let (took, _) = timed(pairs, step);
    took.as_secs_f64() * 1e9 / pairs as f64
}

fn entry(pair: usize, more: &str) -> String {
    let host = |dc: usize| format!("10.{dc}.{}.{}:6379", pair / 250, 1 + pair % 250);
    format!(
        "- {{name: p{pair}, master: {{address: '{}', dc: dc1}}, replicas: [{{address: '{}', dc: \
         dc2}}]{more}}}\n",
        host(1),
        host(2)
    )
}

fn listed(pairs: usize) -> String {
    (0..pairs).map(|pair| entry(pair, "")).collect()
}

fn read(yaml: &str) -> Settings {
    let folder = Path::new("/");
    parse(yaml, Format::Yaml, folder, &Environment::default()).expect("a configuration")
}

fn settings(pairs: usize) -> Settings {
    read(&format!("pairs:\n{}", listed(pairs)))
}

fn anchor() -> ClockAnchor {
    ClockAnchor {
        mono: Timestamp::default(),
        wall: WallTime::from_nanos(0),
    }
}

fn parsing(pairs: usize) -> f64 {
    let text = format!("pairs:\n{}", listed(pairs));
    cost(pairs, || read(&text))
}

fn starting(pairs: usize) -> f64 {
    let settings = settings(pairs);
    cost(pairs, || {
        let topology = Topology::from_settings(&settings);
        Monitor::new(&settings, &topology, anchor())
    })
}

/// Ten files with all pairs between them. In the first one the first pair has the labels `more`.
fn report(settings: &Settings, pairs: usize, more: &str) -> DiscoveryEvent {
    let mut files = BTreeMap::new();
    for file in 0..10 {
        let mut text = String::new();
        for pair in (file..pairs).step_by(10) {
            text += &entry(pair, if pair == 0 { more } else { "" });
        }
        let reader = &settings.discovery.reader;
        let read = reader.parse(&text, Format::Yaml, Path::new("/"));
        let read = Arc::from(read.expect("a pair file"));
        files.insert(PathBuf::from(format!("/p/{file}.yml")), Ok(read));
    }
    DiscoveryEvent::Files(FilesReport {
        files,
        unlisted: BTreeMap::new(),
    })
}

fn discovering(pairs: usize) -> f64 {
    let settings = read("discovery: {files: ['/p/*.yml']}");
    cost(pairs, || {
        let mut discovered = Discovered::new(&settings);
        discovered.handle(report(&settings, pairs, ""), Timestamp::default());
        discovered
    })
}

fn topology(entries: &[redis_cross_dc_exporter::config::PairSettings]) -> Topology {
    Topology::observed(entries, &[], &ObservedMasters::default())
}

fn changing(pairs: usize) -> f64 {
    let settings = read("discovery: {files: ['/p/*.yml']}");
    let mut discovered = Discovered::new(&settings);
    discovered.handle(report(&settings, pairs, ""), Timestamp::default());
    let before = topology(&discovered.entries());
    let mut monitor = Monitor::new(&settings, &before, anchor());
    let changed = report(&settings, pairs, ", labels: {team: other}");
    cost(pairs, || {
        discovered.handle(changed, Timestamp::default());
        let after = topology(&discovered.entries());
        black_box(TopologyDiff::between(&before, &after));
        monitor.retarget(&settings, &after, Timestamp::default());
    })
}

fn reloading(pairs: usize) -> f64 {
    let settings = settings(pairs);
    let before = Topology::from_settings(&settings);
    let mut monitor = Monitor::new(&settings, &before, anchor());
    cost(pairs, || {
        let after = Topology::from_settings(&settings);
        black_box(TopologyDiff::between(&before, &after));
        monitor.reconfigure(&settings, &after, anchor());
    })
}

fn swapping(pairs: usize) -> f64 {
    let settings = settings(pairs);
    let before = Topology::from_settings(&settings);
    let mut monitor = Monitor::new(&settings, &before, anchor());
    cost(pairs, || {
        let masters = ObservedMasters::from_saved(&settings.pairs, |_| true, |_, _| true);
        let after = Topology::observed(&settings.pairs, &[], &masters);
        monitor.retarget(&settings, &after, Timestamp::default());
    })
}

fn polling(pairs: usize) -> f64 {
    let settings = settings(pairs);
    let topology = Topology::from_settings(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let (events, _polls) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let mut poller = Poller::start(&Topology::default(), settings.poll, events);
    // No task runs: nothing is polled, and what is measured is what the core waits for.
    cost(pairs, || poller.reload(&topology, settings.poll))
}

fn targets(pairs: usize) -> f64 {
    let settings = settings(pairs);
    let topology = Topology::from_settings(&settings);
    let monitor = Monitor::new(&settings, &topology, anchor());
    let snapshot = monitor.snapshot(anchor());
    cost(pairs, || TargetGroup::all(&snapshot))
}
