//! Two monitors that get the same events: the product's, which evaluates only the rules that
//! are due and leaves ticks out while all is calm, as the core does, and one that evaluates every
//! rule in every tick. Whatever a test does to them, they want the same done in each tick and show
//! the same in each snapshot that is compared.

use std::sync::atomic::{AtomicUsize, Ordering};

use redis_cross_dc_exporter::chart::{ChartPoint, PairChart};
use redis_cross_dc_exporter::config::Settings;
use redis_cross_dc_exporter::model::{ClockAnchor, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{
    Action, FleetSnapshot, Monitor, PairSnapshot, PollEvent, Promotion,
};
use redis_cross_dc_exporter::replication::{SavedState, ToSave};
use redis_cross_dc_exporter::topology::Topology;

use crate::driver::anchor;

/// How far back each of a chart's tiers reaches, in seconds.
const TIERS: [i64; 3] = [900, 7_200, 86_400];

/// In how many ticks snapshots are compared once, besides those in which something is to be done.
const TICKS_A_SNAPSHOT: u64 = 7;

/// In how many ticks charts are compared once: what one of them lacks stays missing.
const TICKS_A_CHART: u64 = 98;

/// How many runs there are for one that has a twin.
const RUNS_A_TWIN: usize = 3;

/// The runs so far.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// When the product's monitor ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// In every tick, as the thorough one: what both keep is equal to the last number.
    Always,
    /// Not while all is calm, as in the core. Its charts then have what was true right before each
    /// poll, too, which is the upper bound at its highest.
    UnlessCalm,
}

/// The monitor of the product beside the one that evaluates everything.
pub(crate) struct Twins {
    monitor: Monitor,
    /// In one run of [`RUNS_A_TWIN`]: it costs more than all else.
    thorough: Option<Monitor>,
    pace: Pace,
    ticks: u64,
}

impl Twins {
    pub(crate) fn new(settings: &Settings, topology: &Topology, anchor: ClockAnchor) -> Self {
        let new = || Monitor::new(settings, topology, anchor);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let has_twin = run.is_multiple_of(RUNS_A_TWIN);
        let is_exact = run.is_multiple_of(2 * RUNS_A_TWIN);
        Self {
            monitor: new(),
            thorough: has_twin.then(|| new().evaluating_all()),
            pace: if is_exact {
                Pace::Always
            } else {
                Pace::UnlessCalm
            },
            ticks: 0,
        }
    }

    /// The same with what was saved before a restart; `load` reads it.
    pub(crate) fn with_restored(self, mut load: impl FnMut() -> SavedState) -> Self {
        Self {
            monitor: self.monitor.with_restored(load()),
            thorough: self.thorough.map(|twin| twin.with_restored(load())),
            pace: self.pace,
            ticks: self.ticks,
        }
    }

    pub(crate) fn to_save(&self) -> ToSave<'_> {
        self.monitor.to_save()
    }

    pub(crate) fn handle_poll(&mut self, event: PollEvent, now: Timestamp) {
        self.skip_ticks(now);
        if let Some(twin) = &mut self.thorough {
            twin.handle_poll(event.clone());
        }
        self.monitor.handle_poll(event);
    }

    fn skip_ticks(&mut self, now: Timestamp) {
        if self.pace == Pace::UnlessCalm {
            self.monitor.skip_ticks(now);
        }
    }

    pub(crate) fn promotions(&mut self, now: Timestamp) -> Vec<Promotion> {
        let promotions = self.monitor.promotions(now);
        if let Some(twin) = &mut self.thorough {
            assert_eq!(promotions, twin.promotions(now));
        }
        promotions
    }

    pub(crate) fn retarget(&mut self, settings: &Settings, topology: &Topology, now: Timestamp) {
        if let Some(twin) = &mut self.thorough {
            twin.retarget(settings, topology, now);
        }
        self.monitor.retarget(settings, topology, now);
    }

    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        let is_left_out = self.pace == Pace::UnlessCalm && now < self.monitor.next_wakeup();
        let actions = if is_left_out {
            Vec::new()
        } else {
            self.skip_ticks(now);
            self.monitor.tick(now)
        };
        let Some(twin) = &mut self.thorough else {
            return actions;
        };
        assert_eq!(actions, twin.tick(now), "the actions at {now:?}");
        // What was prepared long ago is shared by many snapshots; the other monitor prepares
        // nothing.
        self.monitor.prepare_snapshot(now);
        self.ticks += 1;
        if !actions.is_empty() || self.ticks.is_multiple_of(TICKS_A_SNAPSHOT) {
            self.compare_snapshots(now);
        }
        actions
    }

    fn compare_snapshots(&self, now: Timestamp) {
        let Some(twin) = &self.thorough else {
            return;
        };
        let anchor = anchor(now);
        let shown = self.monitor.snapshot(anchor);
        let expected = twin.snapshot(anchor);
        assert_same(&shown, &expected, now);
        if self.ticks.is_multiple_of(TICKS_A_CHART) {
            assert_same_charts(&shown, &expected, self.pace, now);
        }
    }

    pub(crate) fn snapshot(&self, anchor: ClockAnchor) -> FleetSnapshot {
        self.monitor.snapshot(anchor)
    }
}

fn assert_same(shown: &FleetSnapshot, expected: &FleetSnapshot, now: Timestamp) {
    assert_eq!(shown.pairs.len(), expected.pairs.len(), "{now:?}");
    for (shown, expected) in shown.pairs.iter().zip(&expected.pairs) {
        assert_same_pair(shown, expected, now);
    }
    assert_eq!(shown.servers.len(), expected.servers.len(), "{now:?}");
    for (shown, expected) in shown.servers.iter().zip(&expected.servers) {
        assert_eq!(shown.facts, expected.facts, "{now:?}");
        let counts = |server: &redis_cross_dc_exporter::monitor::ServerSnapshot| {
            (server.polls, server.skipped, server.errors.clone())
        };
        assert_eq!(counts(shown), counts(expected), "{now:?}");
        assert_eq!(shown.history, expected.history, "{now:?}");
    }
    assert_eq!(shown.alerts, expected.alerts, "{now:?}");
    assert_eq!(shown.failovers, expected.failovers, "{now:?}");
    assert_eq!(shown.lag_distribution, expected.lag_distribution, "{now:?}");
    let all = |fleet: &FleetSnapshot| fleet.journal.after(0).cloned().collect::<Vec<_>>();
    assert_eq!(all(shown), all(expected), "{now:?}");
    assert_eq!(shown.ready, expected.ready, "{now:?}");
}

fn assert_same_pair(shown: &PairSnapshot, expected: &PairSnapshot, now: Timestamp) {
    assert_eq!(shown.facts, expected.facts, "{now:?}");
    assert_eq!(shown.master.facts, expected.master.facts, "{now:?}");
    assert_eq!(shown.replica.facts, expected.replica.facts, "{now:?}");
    assert_eq!(shown.writes, expected.writes, "{now:?}");
    let highest = |pair: &PairSnapshot| pair.lag_max.max(pair.assess(now).lag.estimate);
    assert_eq!(highest(shown), highest(expected), "{now:?}");
}

fn assert_same_charts(shown: &FleetSnapshot, expected: &FleetSnapshot, pace: Pace, now: Timestamp) {
    for (shown, expected) in shown.pairs.iter().zip(&expected.pairs) {
        assert_same_chart(&shown.chart_at(now), &expected.chart_at(now), pace, now);
    }
}

fn assert_same_chart(shown: &PairChart, expected: &PairChart, pace: Pace, now: Timestamp) {
    for reach in TIERS {
        let since = now - Span::from_secs(reach);
        let points = |chart: &PairChart| chart.tier(since, now).points().collect::<Vec<_>>();
        let shown = points(shown);
        let expected = points(expected);
        match pace {
            Pace::Always => assert_eq!(shown, expected, "{now:?}"),
            Pace::UnlessCalm => assert_holds(&shown, &expected, now),
        }
    }
    assert_eq!(shown.changes(), expected.changes(), "{now:?}");
}

/// The same but for upper bounds, which may be higher.
fn assert_holds(
    shown: &[(Timestamp, ChartPoint)],
    expected: &[(Timestamp, ChartPoint)],
    now: Timestamp,
) {
    let others = |(at, point): &(Timestamp, ChartPoint)| {
        let lag = (point.lag_min(), point.lag_max(), point.lag_lower());
        (*at, lag, point.bytes_max(), point.state())
    };
    let all = |points: &[_]| points.iter().map(others).collect::<Vec<_>>();
    assert_eq!(all(shown), all(expected), "{now:?}");
    for ((_, shown), (_, least)) in shown.iter().zip(expected) {
        assert!(
            shown.lag_upper() >= least.lag_upper(),
            "{now:?}: {shown:?} {least:?}"
        );
    }
}
