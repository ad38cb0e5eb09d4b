//! Settings for the tests of other rooms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    AlertSettings, ConnectionSettings, CountRule, Credentials, FlappingRule, HeartbeatSettings, LevelRule,
    LevelThreshold, MasterSelector, NotifySettings, PairSettings, PollSettings, SentinelSettings, ServerSettings,
    Settings, StateSettings,
};
use crate::model::{Bytes, PairName, ServerAddr, Span};

/// Settings with the contract's defaults and the given pairs: name, master, replicas.
pub(crate) fn settings_of(pairs: &[(&str, &str, &[&str])]) -> Settings {
    Settings {
        datacenters: Vec::new(),
        poll: PollSettings {
            interval: Span::from_secs(1),
            min_interval: Span::from_millis(250),
            max_polls_per_second: 30_000,
            timeout_local: Span::from_millis(500),
            timeout_remote: Span::from_secs(2),
            heartbeat: HeartbeatSettings::default(),
            refresh_on_scrape: false,
        },
        pairs: pairs.iter().map(|(name, master, replicas)| pair(name, master, replicas)).collect(),
        sentinels: Vec::new(),
        alerts: default_alerts(),
        notify: NotifySettings {
            identity: String::new(),
            group_by: ["alertname", "source_dc", "target_dc"].map(str::to_owned).to_vec(),
            group_wait: Span::from_secs(5),
            group_interval: Span::from_secs(60),
            repeat_interval: Span::from_secs(4 * 3600),
            flapping: Some(FlappingRule { changes: 6, window: Span::from_secs(600), stable_for: Span::from_secs(300) }),
            maintenance: Vec::new(),
            receivers: Vec::new(),
        },
        state: StateSettings { path: PathBuf::from("./data") },
    }
}

/// An entry of `sentinels` that watches every master.
pub(crate) fn sentinels_of(name: &str, addresses: &[String]) -> SentinelSettings {
    SentinelSettings {
        name: PairName::new(name),
        masters: MasterSelector::All,
        sentinels: addresses.iter().map(|addr| server(addr)).collect(),
        servers: ConnectionSettings::default(),
        labels: BTreeMap::new(),
        alerts: default_alerts(),
        heartbeat: HeartbeatSettings::default(),
    }
}

/// The contract's default rules.
pub(crate) fn default_alerts() -> AlertSettings {
    AlertSettings {
        lag_seconds: LevelRule { hold: Span::from_secs(10), ..seconds(30, 120, 0.8) },
        lag_bytes: LevelRule::<Bytes> { warning: None, critical: None, hold: Span::ZERO, keep_firing_for: Span::ZERO },
        link_down: seconds(10, 60, 1.0),
        unreachable: seconds(15, 60, 1.0),
        unknown: seconds(90, 300, 1.0),
        full_sync: CountRule { levels: full_syncs(1, 3), window: Span::from_secs(600) },
    }
}

fn full_syncs(warning: u64, critical: u64) -> LevelRule<u64> {
    let level = |at| Some(LevelThreshold { at, clear_below: at });
    LevelRule { warning: level(warning), critical: level(critical), hold: Span::ZERO, keep_firing_for: Span::ZERO }
}

fn seconds(warning: i64, critical: i64, clear: f64) -> LevelRule<Span> {
    let level = |secs: i64| {
        let at = Span::from_secs(secs);
        Some(LevelThreshold { at, clear_below: at.mul_f64(clear) })
    };
    LevelRule { warning: level(warning), critical: level(critical), hold: Span::ZERO, keep_firing_for: Span::ZERO }
}

fn pair(name: &str, master: &str, replicas: &[&str]) -> PairSettings {
    PairSettings {
        name: PairName::new(name),
        master: server(master),
        replicas: replicas.iter().map(|r| server(r)).collect(),
        labels: BTreeMap::new(),
        alerts: default_alerts(),
        heartbeat: HeartbeatSettings::default(),
    }
}

fn server(addr: &str) -> ServerSettings {
    ServerSettings {
        addr: ServerAddr::parse(addr).expect("a test's address"),
        dc: None,
        credentials: Credentials::default(),
        tls: None,
    }
}
