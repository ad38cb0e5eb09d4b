//! Restarts of the exporter: it keeps what it knew, and a failing disk stops nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{
    RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad, eventually,
};
use redis_cross_dc_exporter::model::{BootId, ClockAnchor, Span, Timestamp};
use redis_cross_dc_exporter::replication::{PairState, ToSave};
use redis_cross_dc_exporter::report::PairReport;
use redis_cross_dc_exporter::store::{BootClock, Database, SavePlanner};

use crate::exporter::Exporter;
use crate::stage::{LIMIT, Stage, entry};

const PAIR: &str = "orders";

/// Enough writes that it is known to the tenth of a second which of them is missing.
const LOAD: WriteLoad = WriteLoad {
    per_second: 50,
    value_bytes: 100,
};

/// A pair whose link can be cut, and an exporter that watches it.
struct Scene {
    master: RedisServer,
    wan: WanProxy,
    replica: RedisServer,
    _writer: SteadyWriter,
}

impl Scene {
    async fn set() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(wan.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let writer = SteadyWriter::start(master.addr(), None, LOAD);
        Self {
            master,
            wan,
            replica,
            _writer: writer,
        }
    }

    fn config(&self, state: &str) -> String {
        let entry = entry(
            PAIR,
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        );
        format!("poll: {{interval: 500ms, min_interval: 200ms}}\npairs: [{entry}]\n{state}")
    }

    /// Cuts the link and waits until the state of at least two seconds of the cut is on the disk.
    async fn cut(&self, exporter: &Exporter) -> Timestamp {
        streaming(exporter).await;
        self.wan.cut().await;
        let cut = clock::now();
        let wanted = clock::wall_now().as_secs_f64() + 2.0;
        eventually("a commit after the cut", LIMIT, || async {
            metric(
                exporter,
                "redis_cross_dc_state_store_last_commit_timestamp_seconds",
            )
            .await
            .is_some_and(|at| at > wanted)
        })
        .await
        .unwrap();
        cut
    }
}

async fn streaming(exporter: &Exporter) -> PairReport {
    let caught_up = |pair: &PairReport| {
        pair.state == PairState::Streaming && pair.lag_seconds.is_some_and(|l| l < 0.5)
    };
    exporter
        .wait_for(PAIR, "the pair to stream", LIMIT, caught_up)
        .await
}

async fn metric(exporter: &Exporter, series: &str) -> Option<f64> {
    let text = exporter.get("/metrics").await;
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn since(cut: Timestamp) -> f64 {
    (clock::now() - cut).as_secs_f64()
}

/// Looks at the restarted exporter from its first answer on: whatever it says is true of a cut that
/// began at `cut`, and soon it knows both bounds. `slack`: how wide it may take the cut's
/// beginning, in seconds.
async fn keeps_its_bounds(exporter: &Exporter, cut: Timestamp, slack: f64) {
    let mut known = 0;
    let deadline = clock::now() + Span::from_secs(20);
    while known < 5 {
        assert!(
            clock::now() < deadline,
            "it never knew: {:?}",
            exporter.pair(PAIR).await
        );
        let at_least = since(cut);
        let pair = exporter.pair(PAIR).await;
        let at_most = since(cut);
        for lag in [pair.lag_seconds, pair.lag_upper_seconds]
            .into_iter()
            .flatten()
        {
            assert!(
                lag >= at_least - slack,
                "{lag} s of lag {at_least} s into the cut: {pair:?}"
            );
        }
        // Half a second: the last write before the cut may be as old as that on a busy machine.
        assert!(
            pair.lag_lower_seconds
                .is_none_or(|lower| lower <= at_most + 0.5),
            "{at_most} {pair:?}"
        );
        let bounds = (
            pair.lag_lower_seconds,
            pair.lag_seconds,
            pair.lag_upper_seconds,
        );
        if let ((Some(lower), Some(_), Some(upper)), false) = (bounds, pair.stale) {
            assert!(
                lower >= at_least - slack - 1.0 && upper <= at_most + slack + 1.0,
                "{at_least} {pair:?}"
            );
            assert_eq!(pair.state, PairState::LinkDown);
            known += 1;
        }
    }
}

#[tokio::test]
async fn a_kill_during_a_cut_keeps_the_certified_bounds() {
    let scene = Scene::set().await;
    let config = scene.config("");
    let exporter = Exporter::start(&config).await;
    let cut = scene.cut(&exporter).await;
    let folder = exporter.folder();
    drop(exporter); // SIGKILL
    let exporter = Exporter::start_in(folder, &config).await;
    keeps_its_bounds(&exporter, cut, 1.0).await;
    scene.wan.heal().await.unwrap();
    streaming(&exporter).await;
}

#[tokio::test]
async fn an_orderly_end_saves_the_last_samples_and_counters_continue() {
    let scene = Scene::set().await;
    let config = scene.config("");
    let mut exporter = Exporter::start(&config).await;
    streaming(&exporter).await;
    // Bytes count from the second answer on.
    exporter
        .wait_for(PAIR, "some bytes", LIMIT, |p| {
            p.applied_bytes_total.is_some_and(|bytes| bytes > 0)
        })
        .await;
    scene.wan.cut().await;
    let cut = clock::now();
    exporter
        .wait_for(PAIR, "two seconds of lag", LIMIT, |p| {
            p.lag_lower_seconds.is_some_and(|l| l > 2.0)
        })
        .await;
    let applied = exporter.pair(PAIR).await;
    let series = exporter.get("/metrics").await;
    let bytes = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("redis_cross_dc_replication_bytes_total{"))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    exporter.signal("TERM");
    assert!(exporter.ended(LIMIT).await.success());
    let exporter = Exporter::start_in(exporter.folder(), &config).await;
    assert!(
        exporter.pair(PAIR).await.last_known.is_some(),
        "it was certain of something before: {applied:?}"
    );
    keeps_its_bounds(&exporter, cut, 1.0).await;
    assert!(bytes(&series) > 0.0 && bytes(&exporter.get("/metrics").await) >= bytes(&series));
}

/// The same state under the name of another boot, whose clock stood elsewhere: as if it came from
/// another machine.
fn as_of_another_machine(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let here = clock::anchor();
    let there = ClockAnchor {
        mono: here.mono + Span::from_secs(1_000_000),
        ..here
    };
    let other = BootClock {
        boot: Some(BootId::from_bits(1)),
        anchor: there,
    };
    let (_, loaded) = Database::open(&from.join("state.redb"), other).unwrap();
    assert_eq!(
        (loaded.state.histories.len(), loaded.refused.count),
        (1, 0),
        "{:?}",
        loaded.refused
    );
    let state = loaded.state;
    let to_save = ToSave {
        histories: state.histories.iter().collect(),
        pairs: state.pairs.into_iter().collect(),
        servers: state.servers.into_iter().collect(),
    };
    let (mut database, _) = Database::open(&folder.path().join("state.redb"), other).unwrap();
    let (batch, _) = SavePlanner::default().plan(to_save, there);
    database.commit(&batch.into()).unwrap();
    folder
}

#[tokio::test]
async fn on_another_machine_the_bounds_are_wider_by_the_clock_uncertainty() {
    let scene = Scene::set().await;
    let mut exporter = Exporter::start(&scene.config("")).await;
    streaming(&exporter).await;
    scene.wan.cut().await;
    let cut = clock::now();
    exporter
        .wait_for(PAIR, "six seconds of lag", LIMIT, |p| {
            p.lag_lower_seconds.is_some_and(|l| l > 6.0)
        })
        .await;
    exporter.signal("TERM");
    assert!(exporter.ended(LIMIT).await.success());
    let moved = as_of_another_machine(&exporter.folder().path().join("data"));
    let state = format!("state: {{path: '{}'}}\n", moved.path().display());
    let exporter = Exporter::start(&scene.config(&state)).await;
    // Twice the error of the wall clocks: there and back.
    keeps_its_bounds(&exporter, cut, 1.0 + 2.0).await;
    let pair = exporter.pair(PAIR).await;
    let width = pair.lag_upper_seconds.unwrap() - pair.lag_lower_seconds.unwrap();
    assert!(width >= 2.0, "a wall clock is not that exact: {pair:?}");
}

fn damaged_files(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().contains("state.redb.corrupt-"))
        .collect()
}

#[tokio::test]
async fn a_damaged_state_is_kept_aside_and_monitoring_starts_again() {
    let stage = Stage::set().await;
    let config = format!(
        "poll: {{interval: 200ms}}\npairs: [{}]\n",
        stage.entry(PAIR)
    );
    let mut exporter = Exporter::start(&config).await;
    streaming(&exporter).await;
    exporter.signal("TERM");
    assert!(exporter.ended(LIMIT).await.success());
    let data = exporter.folder().path().join("data");
    let mut bytes = std::fs::read(data.join("state.redb")).unwrap();
    bytes[4096..]
        .iter_mut()
        .step_by(7)
        .for_each(|byte| *byte ^= 0x55);
    std::fs::write(data.join("state.redb"), &bytes).unwrap();
    let exporter = Exporter::start_in(exporter.folder(), &config).await;
    streaming(&exporter).await;
    assert!(
        exporter
            .log()
            .contains("the state was damaged: it is kept under another name"),
        "{}",
        exporter.log()
    );
    assert_eq!(
        metric(
            &exporter,
            "redis_cross_dc_state_store_errors_total{operation=\"open\"}"
        )
        .await,
        Some(1.0)
    );
    assert_eq!(
        metric(&exporter, "redis_cross_dc_state_store_up").await,
        Some(1.0)
    );
    let aside = damaged_files(&data);
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(&aside[0]).unwrap(), bytes);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_reported_once_and_stops_nothing() {
    let stage = Stage::set().await;
    let config = format!(
        "poll: {{interval: 200ms}}\npairs: [{}]\n",
        stage.entry(PAIR)
    );
    let mut exporter = Exporter::start(&format!(
        "{config}state: {{path: /proc/nothing/can/be/made/here}}\n"
    ))
    .await;
    streaming(&exporter).await;
    assert_eq!(
        metric(&exporter, "redis_cross_dc_state_store_up").await,
        Some(0.0)
    );
    let log = exporter.log();
    let said = "/proc/nothing/can/be/made/here/state.redb cannot be made or opened for writing";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    exporter.signal("TERM");
    assert!(exporter.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn two_exporters_never_share_a_state() {
    let stage = Stage::set().await;
    let config = format!(
        "poll: {{interval: 200ms}}\npairs: [{}]\n",
        stage.entry(PAIR)
    );
    let first = Exporter::start(&config).await;
    let data = first.folder().path().join("data");
    let second = Exporter::start(&format!("{config}state: {{path: '{}'}}\n", data.display())).await;
    streaming(&second).await;
    assert!(
        second
            .log()
            .contains("is in use by another exporter: give each its own state.path"),
        "{}",
        second.log()
    );
    assert_eq!(
        metric(&first, "redis_cross_dc_state_store_up").await,
        Some(1.0)
    );
    assert_eq!(
        metric(&second, "redis_cross_dc_state_store_up").await,
        Some(0.0)
    );
}
