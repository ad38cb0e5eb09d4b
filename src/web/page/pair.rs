//! The page of one pair: its state, the reason, and its history.

use std::error::Error;

use askama::Template;

use super::groups::AlertGroup;
use super::links::way;
use super::plot::{Charts, Frame, Limits, Occurring, headroom, span_words};
use super::query::pair_address;
use super::rows::{
    DoctorView, JournalRow, Moment, NOT_KNOWN, is_about, lag_bytes, reason, text_or_dash,
};
use super::{ENTRIES_SHOWN, Head, Range, Rows, Summary};
use crate::model::{Bytes, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::report::{
    AlertsReport, ChangeReport, HistoryReport, Level, ListedState, PairReport, PointReport,
    ServerReport, at_most_bytes_text, bytes_text, lag_text, seconds_text, utc_text,
};

/// Which pair is shown, and how far back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::web) struct PairView {
    /// The name of the configuration's entry.
    pub(in crate::web) name: String,
    /// The replica; where none is named, the first.
    pub(in crate::web) replica: Option<String>,
    /// How far back.
    pub(in crate::web) range: Range,
}

/// `templates/pair.html`.
#[derive(Template)]
#[template(path = "pair.html")]
struct PairPage {
    head: Head,
    name: String,
    replica: String,
    master: String,
    way: String,
    level: &'static str,
    state: &'static str,
    /// The state and since when, and what would be lost if the master's datacenter failed now.
    summary: String,
    lag: String,
    reason: String,
    siblings: Vec<(String, String)>,
    facts: Vec<(&'static str, String)>,
    servers: Vec<ServerCard>,
    alerts: Rows<AlertGroup>,
    ranges: Vec<RangeLink>,
    /// How much history is shown: `The last 15 minutes`.
    span: String,
    range: &'static str,
    step: String,
    /// For desks, and for phones.
    charts: [Charts; 2],
    /// What the chart of the headroom means, or why there is none.
    headroom_words: String,
    legend: Vec<Occurring>,
    changes: Vec<ChangeRow>,
    happenings: Vec<JournalRow>,
    values: Vec<ValueRow>,
    doctor: Option<DoctorView>,
    json: String,
}

struct RangeLink {
    address: String,
    words: &'static str,
    chosen: bool,
}

struct ServerCard {
    role: &'static str,
    address: String,
    dc: String,
    level: &'static str,
    says: String,
    version: String,
    last_answer: Option<Moment>,
}

struct ChangeRow {
    at: Moment,
    level: &'static str,
    state: &'static str,
    reason: String,
}

/// One step of the charts, in words.
struct ValueRow {
    timestamp: f64,
    at: Moment,
    lag: String,
    bytes: String,
    headroom: String,
    state: &'static str,
}

/// The pair of that name and replica, and its place in the fleet; without a replica, the first of
/// that name.
pub(in crate::web) fn find<'a>(
    fleet: &'a FleetSnapshot,
    view: &PairView,
) -> Option<(usize, &'a PairSnapshot)> {
    for (place, pair) in fleet.pairs.iter().enumerate() {
        let key = &pair.meta.key;
        if key.name.as_str() != view.name {
            continue;
        }
        match &view.replica {
            Some(replica) if key.replica.to_string() != *replica => {}
            _ => return Some((place, pair)),
        }
    }
    None
}

/// A reload has removed the pair between the request and its rendering.
#[derive(Debug, thiserror::Error)]
#[error("the pair is no longer monitored")]
pub(in crate::web) struct PairGone;

/// The page as HTML.
pub(in crate::web) fn render(
    fleet: &FleetSnapshot,
    now: Timestamp,
    view: &PairView,
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let (place, pair) = find(fleet, view).ok_or(PairGone)?;
    let report = PairReport::at(fleet, place, now).ok_or(PairGone)?;
    let page = PairPage::new(fleet, now, pair, &report, view.range);
    Ok(page.render()?.into_bytes())
}

impl PairPage {
    fn new(
        fleet: &FleetSnapshot,
        now: Timestamp,
        pair: &PairSnapshot,
        report: &PairReport,
        range: Range,
    ) -> Self {
        let alerts = AlertsReport::new(fleet, now);
        let history = HistoryReport::new(fleet, pair, now - range.span(), now);
        let thresholds = report.thresholds.lag_seconds;
        let limits = Limits {
            thresholds,
            backlog: pair.facts.backlog_size,
        };
        let wide = Charts::new(&history, limits, Frame::WIDE);
        let narrow = Charts::new(&history, limits, Frame::NARROW);
        let level = report.level().label();
        let title = format!("{}: {level}", report.pair);
        Self {
            head: Head::new(title, Summary::default(), fleet, &alerts.exporter, now),
            name: report.pair.clone(),
            replica: report.replica.clone(),
            master: report.master.clone(),
            way: way(&report.source_dc, &report.target_dc),
            level,
            state: report.state.label(),
            summary: report.summary.clone(),
            lag: lag_text(
                report.lag_lower_seconds,
                report.lag_seconds,
                report.lag_upper_seconds,
            ),
            reason: reason(report),
            siblings: siblings(fleet, report),
            facts: facts(report),
            servers: servers(fleet, now, pair),
            alerts: open_alerts(&alerts, report),
            ranges: ranges(report, range),
            span: span_words(&history, range.words()),
            range: range.words(),
            step: seconds_words(history.step_seconds),
            legend: wide.states.legend(),
            charts: [wide, narrow],
            headroom_words: headroom_words(limits.backlog),
            changes: history.changes.iter().rev().map(ChangeRow::new).collect(),
            happenings: journal(fleet, report),
            values: values(&history, limits.backlog),
            doctor: DoctorView::new(fleet, &report.pair, now),
            json: history_address(report, &history),
        }
    }
}

/// The alerts about the pair or one of its servers that are pending or firing, each by itself.
fn open_alerts(alerts: &AlertsReport, pair: &PairReport) -> Rows<AlertGroup> {
    let mut open = Vec::new();
    for alert in &alerts.alerts {
        if alert.state != ListedState::Resolved && is_about(&alert.labels, pair) {
            open.extend(AlertGroup::single(alert));
        }
    }
    // What is notified first: what inhibits the others is their cause.
    open.sort_by_key(|group: &AlertGroup| group.suppressed.is_some());
    Rows::new(open.into_iter(), |group| group)
}

/// What the chart of the headroom means, or why there is none.
fn headroom_words(backlog: Option<Bytes>) -> String {
    match backlog {
        Some(size) => format!(
            "What the master may write during a cut before the replica needs a full resync: its \
             backlog, with the {size} that it has now, without the bytes behind."
        ),
        None => "Not known: the master has not reported the size of its backlog.".to_owned(),
    }
}

/// The steps of the charts in words, the latest first.
fn values(history: &HistoryReport, backlog: Option<Bytes>) -> Vec<ValueRow> {
    let points = history.points.iter().rev();
    points.map(|point| ValueRow::new(point, backlog)).collect()
}

/// The most recent changes of alerts about the pair or one of its servers, the latest first.
fn journal(fleet: &FleetSnapshot, pair: &PairReport) -> Vec<JournalRow> {
    let entries = fleet.journal.after(0).rev();
    let about = entries.filter(|entry| JournalRow::is_alert_about(entry, pair));
    JournalRow::grouped(fleet, about, ENTRIES_SHOWN)
}

/// The other replicas of the same name, with their pages.
fn siblings(fleet: &FleetSnapshot, pair: &PairReport) -> Vec<(String, String)> {
    let mut siblings = Vec::new();
    for other in &fleet.pairs {
        let key = &other.meta.key;
        let replica = key.replica.to_string();
        if key.name.as_str() == pair.pair && replica != pair.replica {
            let address = pair_address(&pair.pair, &replica);
            siblings.push((replica, address));
        }
    }
    siblings
}

fn ranges(pair: &PairReport, chosen: Range) -> Vec<RangeLink> {
    let address = pair_address(&pair.pair, &pair.replica);
    let link = |range: Range| RangeLink {
        address: format!("{address}&range={}", range.name()),
        words: range.words(),
        chosen: range == chosen,
    };
    Range::ALL.map(link).into()
}

fn history_address(pair: &PairReport, history: &HistoryReport) -> String {
    let page = pair_address(&pair.pair, &pair.replica);
    let history_of = page
        .replacen("/pairs/", "/api/v1/pairs/", 1)
        .replacen('?', "/history?", 1);
    format!("{history_of}&since={:.0}", history.since_timestamp.floor())
}

/// A step's length: `5 seconds`, `5 minutes`.
fn seconds_words(seconds: f64) -> String {
    match seconds {
        60.0 => "1 minute".to_owned(),
        long if long > 60.0 => format!("{} minutes", long / 60.0),
        short => format!("{short} seconds"),
    }
}

/// All other values of the pair, with their names.
fn facts(pair: &PairReport) -> Vec<(&'static str, String)> {
    let last_sample = pair.sample_timestamp.map(utc_text);
    let position = text_or_dash(last_sample.as_deref());
    let highest_lag = seconds_or_dash(pair.lag_max_seconds);
    let down_for = seconds_or_dash(pair.link_down_seconds);
    let last_io = seconds_or_dash(pair.last_io_seconds);
    let ack_age = seconds_or_dash(pair.ack_age_seconds);
    let upper_bytes = at_most_bytes_text(pair.lag_upper_bytes);
    let headroom = bytes_text(pair.backlog_headroom_bytes);
    let unapplied = bytes_text(pair.unapplied_bytes);
    let ahead = &pair.forecast;
    vec![
        ("Highest lag of the last minute", highest_lag),
        ("Bytes behind", lag_bytes(pair)),
        ("Bytes behind, certainly at most", upper_bytes),
        ("Position last learned", position),
        ("Link down or stalled for", down_for),
        ("Backlog headroom", headroom),
        (
            "Backlog lasts",
            forecast_text(
                pair,
                "Backlog lasts",
                ahead.backlog_headroom.reason.as_deref(),
            ),
        ),
        (
            "Catches up in",
            forecast_text(pair, "Catches up in", ahead.catch_up.reason.as_deref()),
        ),
        (
            "Output buffer on the master",
            forecast_text(pair, "Output buffer", ahead.output_buffer.reason.as_deref()),
        ),
        (
            "Full sync",
            forecast_text(pair, "Full sync", ahead.full_sync.reason.as_deref()),
        ),
        ("Last byte arrived (master_last_io)", last_io),
        ("Age of the last ACK", ack_age),
        ("Bytes not acknowledged", bytes_text(pair.ack_lag_bytes)),
        ("Bytes received and not applied", unapplied),
        ("Unshared history", bytes_text(pair.diverged_bytes)),
        (
            "Unshared writes provable for",
            forecast_text(
                pair,
                "Writes provable for",
                ahead.evidence.reason.as_deref(),
            ),
        ),
        ("Labels", labels_text(pair)),
    ]
}

/// A prediction, or a dash with the reason why there is none.
fn forecast_text(pair: &PairReport, name: &str, reason: Option<&str>) -> String {
    let known = pair.forecast.known();
    let found = known.into_iter().find(|(known, _)| *known == name);
    match (found, reason) {
        (Some((_, text)), _) => text,
        (None, Some(reason)) => format!("{NOT_KNOWN} ({reason})"),
        (None, None) => NOT_KNOWN.to_owned(),
    }
}

fn seconds_or_dash(value: Option<f64>) -> String {
    match value {
        Some(seconds) => seconds_text(seconds),
        None => NOT_KNOWN.to_owned(),
    }
}

fn labels_text(pair: &PairReport) -> String {
    let mut labels = Vec::new();
    for (name, value) in &pair.labels {
        labels.push(format!("{name}={value}"));
    }
    if labels.is_empty() {
        return NOT_KNOWN.to_owned();
    }
    labels.join(", ")
}

fn servers(fleet: &FleetSnapshot, now: Timestamp, pair: &PairSnapshot) -> Vec<ServerCard> {
    let ends = [
        ("Master", &pair.meta.master),
        ("Replica", &pair.meta.key.replica),
    ];
    let mut cards = Vec::new();
    for (role, addr) in ends {
        let mut servers = fleet.servers.iter();
        if let Some(server) = servers.find(|server| server.meta.addr == *addr) {
            let report = ServerReport::new(fleet, server, now);
            cards.push(ServerCard::new(role, &report));
        }
    }
    cards
}

impl ServerCard {
    fn new(role: &'static str, server: &ServerReport) -> Self {
        let level = match server.up {
            Some(true) => Level::Ok,
            Some(false) => Level::Critical,
            None => Level::Unknown,
        };
        Self {
            role,
            address: server.server.clone(),
            dc: server.dc.clone(),
            level: level.label(),
            says: answer_text(server),
            version: version_text(server),
            last_answer: server.last_answer_timestamp.map(Moment::from_unix),
        }
    }
}

/// Whether the server answers, and what it reports of its role.
fn answer_text(server: &ServerReport) -> String {
    match (server.up, &server.role, &server.reason) {
        (Some(true), Some(role), _) => format!("answers, reports that it is a {role}"),
        (Some(true), None, _) => "answers".to_owned(),
        (Some(false), _, Some(reason)) => reason.clone(),
        (Some(false), _, None) => "does not answer".to_owned(),
        (None, _, _) => "was not polled yet".to_owned(),
    }
}

/// The program and its version.
fn version_text(server: &ServerReport) -> String {
    let engine = text_or_dash(server.engine.as_deref());
    match &server.version {
        Some(version) => format!("{engine} {version}"),
        None => engine,
    }
}

impl ChangeRow {
    fn new(change: &ChangeReport) -> Self {
        Self {
            at: Moment::from_unix(change.timestamp),
            level: Level::from_state(change.state).label(),
            state: change.state.label(),
            reason: change.reason.clone(),
        }
    }
}

impl ValueRow {
    fn new(point: &PointReport, backlog: Option<Bytes>) -> Self {
        Self {
            timestamp: point.timestamp,
            at: Moment::from_unix(point.timestamp),
            lag: lag_text(
                point.lag_lower_seconds,
                point.lag_seconds,
                point.lag_upper_seconds,
            ),
            bytes: bytes_text(point.lag_bytes),
            headroom: bytes_text(headroom(point, backlog)),
            state: point.state.map_or(NOT_KNOWN, |state| state.label()),
        }
    }
}
