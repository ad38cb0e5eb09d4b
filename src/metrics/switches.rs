//! What the configuration's `metrics` switches on and off, and how many series there are: what is
//! constant, derivable from other series or only for diagnosis is not exported by default.

use super::catalogue as c;
use super::catalogue::Metric;
use crate::config::{MetricsSettings, Settings, ShownStates, ShownThresholds};
use crate::model::closed_set;
use crate::monitor::{PairSnapshot, Threshold, thresholds_of};

/// Series of one healthy pair alone, by default, where it is not known for how long its link may be
/// cut.
pub(super) const SERIES_OF_A_PAIR: usize = 16;

/// Series of an entry of the configuration, however many replicas it has.
pub(super) const SERIES_OF_AN_ENTRY: usize = 1;

/// Series of a server that answers, by default.
pub(super) const SERIES_OF_A_SERVER: usize = 8;

closed_set! {
    /// A switch behind which whole metrics are, as the documentation writes it.
    pub(super) enum Switch {
        /// What the servers report and what is not a lag.
        RawSignals => "metrics.raw_signals: true",
        /// For whoever works on the exporter, or on its machine.
        Diagnostics => "metrics.diagnostics: true",
    }
}

/// What a scrape shows: the switches, and the thresholds that need no series of their own.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    pub(super) shown: MetricsSettings,
    /// The thresholds that pairs have by default.
    pub(super) default_thresholds: Vec<Threshold>,
}

impl Exposition {
    /// As `settings` say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            shown: settings.metrics,
            default_thresholds: thresholds_of(&settings.alerts),
        }
    }

    /// Whether every state has a series, not only the one that is true.
    pub(super) fn shows_all_states(&self) -> bool {
        self.shown.states == ShownStates::All
    }

    /// The thresholds of all pairs together.
    pub(super) fn thresholds_of_all(&self) -> &[Threshold] {
        match self.shown.thresholds {
            ShownThresholds::On | ShownThresholds::Overrides => &self.default_thresholds,
            ShownThresholds::Off => &[],
        }
    }

    /// The thresholds of `pair` that have a series. Where the default has a level that the pair has
    /// not, this is infinite: no value ever reaches it.
    pub(super) fn thresholds_of_pair(&self, pair: &PairSnapshot) -> Vec<Threshold> {
        let shown = self.shown.thresholds;
        if shown == ShownThresholds::Off {
            return Vec::new();
        }
        let mut own = pair.thresholds();
        for default in &self.default_thresholds {
            let is_level = |one: &Threshold| is_same_level(one, default);
            if !own.iter().any(is_level) {
                own.push(Threshold {
                    value: f64::INFINITY,
                    ..*default
                });
            }
        }
        if shown == ShownThresholds::Overrides {
            own.retain(|threshold| !self.default_thresholds.contains(threshold));
        }
        own
    }
}

fn is_same_level(one: &Threshold, other: &Threshold) -> bool {
    one.rule == other.rule && one.severity == other.severity
}

/// The switch that `metric` is behind; `None` for one that is always exported.
pub(super) fn switch_of(metric: &Metric) -> Option<Switch> {
    let behind = [
        (c::LAST_IO_SECONDS, Switch::RawSignals),
        (c::ACK_AGE_SECONDS, Switch::RawSignals),
        (c::ACK_LAG_BYTES, Switch::RawSignals),
        (c::UNAPPLIED_BYTES, Switch::RawSignals),
        (c::POLLS_SKIPPED, Switch::Diagnostics),
        (c::HISTORY_RECORDS, Switch::Diagnostics),
        (c::HISTORY_EPSILON, Switch::Diagnostics),
    ];
    let found = behind.iter().find(|(one, _)| one == metric);
    found.map(|(_, switch)| *switch)
}

/// The part of docs/metrics.md about the number of series.
pub(super) fn documentation() -> String {
    let pair = SERIES_OF_A_PAIR;
    let entry = SERIES_OF_AN_ENTRY;
    let server = SERIES_OF_A_SERVER;
    let all = pair + entry + 2 * server;
    format!(
        "## How many series\n\n\
         A healthy master with one replica has **{all} series**: {pair} of the pair, {entry} of its entry in the \
         configuration and {server} of each of the two servers. One more replica adds {pair} and {server}. A pair has \
         up to two more where it is known for how long its link may be cut (`redis_cross_dc_backlog_headroom_seconds`): \
         once its master has been seen to write for ten seconds, and unless that is more than 30 days. More appear \
         while something is wrong or under way (an outage, a full sync, diverged histories, alerts, errors of \
         polls), for heartbeats, Sentinels, `poll.output_buffers` and audits of `doctor`, and for thresholds that are not the \
         default ones. The exporter itself has some \
         100, and 15 to 60 for each datacenter, direction and receiver.\n\n\
         What is constant, follows from other series or is for diagnosis only is left out by default, and comes with \
         a switch in the configuration:\n\n\
         | switch | default | what it adds |\n|---|---|---|\n\
         | `metrics.raw_signals` | `false` | four series a pair: what the servers report about themselves, which is \
         no lag. The page of a pair and the API show them always |\n\
         | `metrics.states` | `current` | with `all`: a series with 0 for each state that a pair is not in (ten) and the role that a \
         server does not claim (one), for receivers that do not notice the end of a series, and for averages over time |\n\
         | `metrics.thresholds` | `overrides` | with `on`: every threshold of every pair (twelve by default); with `off`: none at \
         all, and the dashboards then have no colours and lines of thresholds |\n\
         | `metrics.diagnostics` | `false` | one series a server, and two a master: skipped polls, and the size of the \
         offset history |\n"
    )
}
