//! The metrics of servers and Sentinels.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label, with};
use super::switches::Exposition;
use crate::info::{QuorumCheck, Role};
use crate::model::{ClockAnchor, Datacenter, ServerAddr};
use crate::monitor::ServerSnapshot;
use crate::replication::ServerFacts;
use crate::topology::{SentinelGroup, SentinelState};

/// All metrics of one server.
pub(super) fn add_server(
    families: &mut Families,
    server: &ServerSnapshot,
    exposition: &Exposition,
    anchor: ClockAnchor,
) {
    let labels = server_labels(&server.meta.dc, &server.meta.addr);
    let facts = &server.facts;
    families.add(&c::SERVER_UP, &labels, facts.up());
    add_role(families, &labels, facts, exposition);
    add_version(families, &labels, facts);
    add_syncs(families, &labels, facts);
    add_polls(families, &labels, server, anchor);
    for (reason, count) in &server.heartbeat_errors {
        let labels = with(&labels, "reason", reason.label());
        families.add(&c::HEARTBEAT_ERRORS, &labels, *count);
    }
    if exposition.shown.diagnostics {
        add_diagnostics(families, &labels, server);
    }
}

/// What is for diagnosis of the exporter only.
fn add_diagnostics(families: &mut Families, labels: &SeriesLabels, server: &ServerSnapshot) {
    families.add(&c::POLLS_SKIPPED, labels, server.skipped);
    if let Some(history) = server.history {
        families.add(&c::HISTORY_RECORDS, labels, history.records);
        families.add(&c::HISTORY_EPSILON, labels, history.epsilon);
    }
}

pub(super) fn server_labels(dc: &Datacenter, addr: &ServerAddr) -> SeriesLabels {
    SeriesLabels::new([label("dc", dc.as_str()), label("server", &addr.to_string())])
}

fn add_role(
    families: &mut Families,
    labels: &SeriesLabels,
    facts: &ServerFacts,
    exposition: &Exposition,
) {
    let Some(reported) = facts.role else { return };
    for role in [Role::Master, Role::Replica] {
        if role == reported || exposition.shows_all_states() {
            let labels = with(labels, "role", role.label());
            families.add(&c::SERVER_ROLE, &labels, role == reported);
        }
    }
}

fn add_version(families: &mut Families, labels: &SeriesLabels, facts: &ServerFacts) {
    if let Some(engine) = facts.engine {
        let labels = with(labels, "engine", engine.label());
        let version = facts.version.as_deref().unwrap_or("unknown");
        families.add(&c::SERVER_INFO, &with(&labels, "version", version), true);
    }
}

fn add_syncs(families: &mut Families, labels: &SeriesLabels, facts: &ServerFacts) {
    families.add(&c::FULL_SYNCS, labels, facts.full_syncs.total());
    let results = [
        ("ok", facts.partial_syncs_ok.total()),
        ("denied", facts.partial_syncs_denied.total()),
    ];
    families.add_each(&c::PARTIAL_SYNCS, labels, "result", results);
}

fn add_polls(
    families: &mut Families,
    labels: &SeriesLabels,
    server: &ServerSnapshot,
    anchor: ClockAnchor,
) {
    families.add(&c::POLLS, labels, server.polls);
    for (reason, count) in &server.errors {
        let labels = with(labels, "reason", reason.label());
        families.add(&c::POLL_ERRORS, &labels, *count);
    }
    if let Some(fault) = server.facts.fault() {
        let labels = with(labels, "reason", fault.reason.label());
        families.add(&c::EXPORTER_FAULT, &labels, true);
    }
    if let Some((_, received)) = server.facts.last_answer {
        families.add(&c::POLL_LAST_SUCCESS, labels, anchor.wall(received));
    }
}

/// The metrics of the Sentinels that watch one pair's master. What a Sentinel does not report is
/// absent.
pub(super) fn add_sentinels(families: &mut Families, group: &SentinelGroup) {
    for sentinel in &group.sentinels {
        add_sentinel(families, group, sentinel);
    }
}

fn add_sentinel(families: &mut Families, group: &SentinelGroup, sentinel: &SentinelState) {
    let pair = SeriesLabels::new([label("pair", group.pair.as_str())]);
    let labels = pair.followed_by(&server_labels(&sentinel.dc, &sentinel.addr));
    if let Some(answer) = &sentinel.answer {
        families.add(&c::SENTINEL_UP, &labels, answer.is_ok());
    }
    if let Some(quorum) = sentinel.quorum {
        let is_reached = quorum == QuorumCheck::Reached;
        families.add(&c::SENTINEL_QUORUM_OK, &labels, is_reached);
    }
    families.add(&c::SENTINEL_AGREES, &labels, sentinel.agrees);
    families.add(&c::SENTINEL_TILT, &labels, sentinel.tilted);
}
