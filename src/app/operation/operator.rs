//! How operations log in, and how long they wait for servers.

use crate::config::{PairSettings, Settings};
use crate::model::Span;
use crate::topology::Server;

/// The settings with the operator's login in place of the monitor's, where one is configured.
pub(super) fn as_operator(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let Some(operator) = settings.operator.clone() else {
        return settings;
    };
    let mut pairs = std::mem::take(&mut settings.pairs);
    for pair in &mut pairs {
        use_operator(&settings, pair);
    }
    settings.pairs = pairs;
    for entry in &mut settings.sentinels {
        entry.servers.credentials = operator.clone();
    }
    for entry in &mut settings.clusters {
        entry.servers.credentials = operator.clone();
    }
    for entry in &mut settings.discovery.dns {
        entry.servers.credentials = operator.clone();
    }
    settings
}

/// Gives every server of `entry` the operator's login, where one is configured.
pub(super) fn use_operator(settings: &Settings, entry: &mut PairSettings) {
    let Some(operator) = &settings.operator else {
        return;
    };
    entry.master.credentials = operator.clone();
    for replica in &mut entry.replicas {
        replica.credentials = operator.clone();
    }
}

/// How long a server may take to answer.
pub(super) fn timeout(server: &Server, settings: &Settings) -> Span {
    if server.local {
        settings.poll.timeout_local
    } else {
        settings.poll.timeout_remote
    }
}
