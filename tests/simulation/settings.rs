//! The contract's default settings, for any pairs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use redis_cross_dc_exporter::config::{
    AlertSettings, Credentials, HeartbeatSettings, LevelRule, LevelThreshold, NotifySettings, PairSettings,
    PollSettings, ReceiverKind, ReceiverSettings, SecretSource, ServerSettings, Settings, Severity, StateSettings,
};
use redis_cross_dc_exporter::model::{PairName, Secret, ServerAddr, Span};

/// Every pair: name, master, replicas. One receiver takes every alert.
pub(crate) fn settings_of(pairs: &[(String, String, Vec<String>)]) -> Settings {
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
            group_wait: Span::from_secs(5),
            group_interval: Span::from_secs(60),
            repeat_interval: Span::from_secs(4 * 3600),
            receivers: vec![receiver()],
        },
        state: StateSettings { path: PathBuf::from("./data") },
    }
}

fn default_alerts() -> AlertSettings {
    AlertSettings {
        lag_seconds: LevelRule { hold: Span::from_secs(10), ..seconds(30, 120, 0.8) },
        lag_bytes: LevelRule { warning: None, critical: None, hold: Span::ZERO, keep_firing_for: Span::ZERO },
        link_down: seconds(10, 60, 1.0),
        unreachable: seconds(15, 60, 1.0),
        unknown: seconds(90, 300, 1.0),
    }
}

fn seconds(warning: i64, critical: i64, clear: f64) -> LevelRule<Span> {
    let level = |secs: i64| {
        let at = Span::from_secs(secs);
        Some(LevelThreshold { at, clear_below: at.mul_f64(clear) })
    };
    LevelRule { warning: level(warning), critical: level(critical), hold: Span::ZERO, keep_firing_for: Span::ZERO }
}

fn pair(name: &str, master: &str, replicas: &[String]) -> PairSettings {
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

fn receiver() -> ReceiverSettings {
    ReceiverSettings {
        name: "hook".to_owned(),
        min_severity: Severity::Warning,
        matchers: BTreeMap::new(),
        fallback: None,
        kind: ReceiverKind::Webhook {
            url: SecretSource::Inline(Secret::new("http://hook.example.com/")),
            headers: BTreeMap::new(),
        },
    }
}
