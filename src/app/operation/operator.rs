//! How operations log in, and how long they wait for servers.

use crate::config::Settings;
use crate::model::Span;
use crate::topology::Server;

/// The settings with the operator's login in place of the monitor's, where one is configured.
pub(super) fn as_operator(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let Some(operator) = settings.operator.clone() else {
        return settings;
    };
    for pair in &mut settings.pairs {
        pair.master.credentials = operator.clone();
        for replica in &mut pair.replicas {
            replica.credentials = operator.clone();
        }
    }
    for entry in &mut settings.sentinels {
        entry.servers.credentials = operator.clone();
    }
    for entry in &mut settings.clusters {
        entry.servers.credentials = operator.clone();
    }
    settings
}

/// How long a server may take to answer.
pub(super) fn timeout(server: &Server, settings: &Settings) -> Span {
    if server.local {
        settings.poll.timeout_local
    } else {
        settings.poll.timeout_remote
    }
}
