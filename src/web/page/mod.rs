//! The pages: the whole fleet, worst first, and one page for each pair, for people without Grafana.
//!
//! They are complete without their script, which only keeps them fresh. The template engine escapes
//! everything that is put into them: names come from the configuration, and reasons may repeat what
//! servers reply.

mod groups;
mod links;
mod map;
mod measure;
mod notices;
mod pair;
mod plot;
mod prefill;
mod query;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

pub(super) use pair::{PairView, find, render as render_pair};
pub(super) use query::{Filter, Range, pair_address};

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::replication::PairState;
use crate::report::{
    ActiveActiveReport, AlertsReport, DeliveriesReport, DiscoveryReport, ExporterReport,
    FailoverReport, FailoversReport, HistoryReport, Level, LinkReport, PairsReport, ServerReport,
    Summary,
};
use groups::AlertGroup;
use links::LinkRow;
use map::Map;
use notices::{Notice, notices};
use plot::Spark;
use prefill::SilenceForm;
use rows::{
    ClusterRow, DeliveryRow, DirectionRow, DiscoveryRow, FailoverRow, JournalRow, Moment, PairRow,
    ReceiverRow, SentinelRow, ServerRow, SilenceRow, direction_rows,
};

/// The pages' stylesheet.
pub(super) const STYLE: &str = include_str!("../style.css");

/// The pages' script.
pub(super) const SCRIPT: &str = include_str!("../script.js");

/// The pages' icon.
pub(super) const ICON: &str = include_str!("../icon.svg");

/// The description of the API.
pub(super) const OPEN_API: &str = include_str!("../openapi.json");

/// Pairs on a screenful. Nobody reads more at once, and each has a sparkline.
const ROWS_PER_PAGE: usize = 100;

/// Rows of every other table, at most: the API has all.
const MOST_ROWS: usize = 200;

/// Rows of the journal that are shown, at most.
const ENTRIES_SHOWN: usize = 30;

/// The latest of them, which are not folded away.
const LATEST_ENTRIES: usize = 8;

/// Links that are not folded away: the pairs below are to be near.
const WORST_LINKS: usize = 8;

/// Silent servers of which each has a row; more are counted, and their rows folded away.
const FEW_SILENT: usize = 3;

/// `templates/page.html`.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    head: Head,
    alerts: Rows<AlertGroup>,
    over: Rows<AlertGroup>,
    map: Option<Map>,
    links: Vec<LinkRow>,
    /// The better ones of many links, folded away.
    more_links: Rows<LinkRow>,
    silent: SilentServers,
    sentinels: Rows<SentinelRow>,
    clusters: Rows<ClusterRow>,
    discovery: Rows<DiscoveryRow>,
    active_active: Rows<DirectionRow>,
    failovers: Rows<FailoverRow>,
    silences: Rows<SilenceRow>,
    silence_form: SilenceForm,
    receivers: Rows<ReceiverRow>,
    dead: Rows<DeliveryRow>,
    recent: Rows<DeliveryRow>,
    maintenance: Vec<String>,
    filter: Choices,
    pairs: Vec<PairRow>,
    pager: Pager,
    happenings: Vec<JournalRow>,
    /// Earlier entries, folded away.
    older: Vec<JournalRow>,
}

/// The head of every page.
struct Head {
    title: String,
    counts: Vec<Count>,
    now: Moment,
    /// The same as Unix seconds: from it the script derives the page's age.
    now_timestamp: f64,
    /// Whether the monitor has stopped, so that everything on the page is old.
    stale: bool,
    notices: Vec<Notice>,
    version: String,
}

/// How many pairs have a level.
struct Count {
    level: &'static str,
    count: usize,
}

/// The first rows of a table, and how many more there are.
struct Rows<T> {
    shown: Vec<T>,
    more: usize,
}

/// The servers that do not answer.
struct SilentServers {
    rows: Rows<ServerRow>,
    /// How many there are and where; empty where each has a row.
    words: String,
}

/// The filter as its form shows it.
struct Choices {
    q: String,
    narrow: bool,
    levels: Vec<Choice>,
    states: Vec<Choice>,
    from_dcs: Vec<Choice>,
    to_dcs: Vec<Choice>,
}

struct Choice {
    value: String,
    chosen: bool,
}

/// Which screenful of how many.
struct Pager {
    first: usize,
    last: usize,
    found: usize,
    total: usize,
    before: Option<String>,
    after: Option<String>,
}

/// What the page is made from: a snapshot, and its reports at one instant.
struct Reports<'a> {
    fleet: &'a FleetSnapshot,
    now: Timestamp,
    pairs: PairsReport,
    alerts: AlertsReport,
    deliveries: DeliveriesReport,
}

impl<'a> Reports<'a> {
    fn new(fleet: &'a FleetSnapshot, now: Timestamp) -> Self {
        Self {
            fleet,
            now,
            pairs: PairsReport::new(fleet, now),
            alerts: AlertsReport::new(fleet, now),
            deliveries: DeliveriesReport::new(fleet, now),
        }
    }

    fn head(&self) -> Head {
        let summary = self.pairs.summary();
        let title = title_text(summary, &self.deliveries);
        Head::new(title, summary, self.fleet, &self.pairs.exporter, self.now)
    }

    /// The places of the pairs that the filter takes, worst first.
    fn found(&self, filter: &Filter) -> Vec<usize> {
        let mut found = self.pairs.places_worst_first();
        found.retain(|place| match self.pairs.pairs.get(*place) {
            Some(pair) => filter.takes(pair),
            None => false,
        });
        found
    }

    /// The rows of the pairs at these places.
    fn pair_rows(&self, places: &[usize]) -> Vec<PairRow> {
        let since = self.now - Range::Minutes.span();
        let mut rows = Vec::new();
        for place in places {
            // Both have the pairs in the configuration's order.
            let pair = self.pairs.pairs.get(*place);
            let snapshot = self.fleet.pairs.get(*place);
            if let (Some(pair), Some(snapshot)) = (pair, snapshot) {
                let history = HistoryReport::new(self.fleet, snapshot, since, self.now);
                rows.push(PairRow::new(pair, Spark::new(&history)));
            }
        }
        rows
    }

    fn live_alerts(&self) -> Rows<AlertGroup> {
        let groups = groups::live(&self.alerts, &self.fleet.group_by);
        Rows::new(groups.into_iter(), |group| group)
    }

    fn resolved_alerts(&self) -> Rows<AlertGroup> {
        let groups = groups::resolved(&self.alerts, &self.fleet.group_by);
        Rows::new(groups.into_iter(), |group| group)
    }

    fn silent_servers(&self) -> SilentServers {
        let servers = self.pairs.servers.iter();
        let silent: Vec<&ServerReport> =
            servers.filter(|server| server.up == Some(false)).collect();
        SilentServers::new(&silent)
    }

    fn active_active(&self) -> Rows<DirectionRow> {
        let report = ActiveActiveReport::new(self.fleet, self.now);
        Rows::new(direction_rows(&report).into_iter(), |row| row)
    }

    fn dead_letters(&self) -> Rows<DeliveryRow> {
        let letters = self.deliveries.dead_letters.iter();
        Rows::new(letters, DeliveryRow::from_dead_letter)
    }

    /// The most recent journal entries, the latest first.
    fn journal(&self) -> Vec<JournalRow> {
        let entries = self.fleet.journal.after(0).rev();
        JournalRow::grouped(self.fleet, entries, ENTRIES_SHOWN)
    }
}

/// The page as HTML.
pub(super) fn render(
    fleet: &FleetSnapshot,
    now: Timestamp,
    filter: &Filter,
) -> askama::Result<Vec<u8>> {
    let page = Page::new(&Reports::new(fleet, now), filter);
    page.render().map(String::into_bytes)
}

impl Page {
    fn new(reports: &Reports<'_>, filter: &Filter) -> Self {
        let fleet = reports.fleet;
        let pairs = &reports.pairs;
        let deliveries = &reports.deliveries;
        let links = pairs.links();
        let mut worst = worst_links(&links);
        let better = worst.split_off(worst.len().min(WORST_LINKS));
        let found = reports.found(filter);
        let pager = Pager::new(filter, found.len(), pairs.pairs.len());
        let mut latest = reports.journal();
        let older = latest.split_off(latest.len().min(LATEST_ENTRIES));
        Self {
            head: reports.head(),
            alerts: reports.live_alerts(),
            over: reports.resolved_alerts(),
            map: Map::new(&links, &pairs.servers),
            silent: reports.silent_servers(),
            sentinels: Rows::new(pairs.sentinels.iter(), SentinelRow::new),
            clusters: Rows::new(pairs.clusters.iter(), ClusterRow::new),
            discovery: Rows::new(discovery_rows(&pairs.discovery), |row| row),
            active_active: reports.active_active(),
            failovers: Rows::new(last_failovers(pairs), FailoverRow::new),
            receivers: Rows::new(deliveries.receivers.iter(), ReceiverRow::new),
            dead: reports.dead_letters(),
            recent: Rows::new(deliveries.recent.iter(), DeliveryRow::new),
            silences: Rows::new(fleet.silences.iter(), SilenceRow::new),
            silence_form: SilenceForm::new(fleet, filter),
            maintenance: fleet.maintenance.iter().map(ToString::to_string).collect(),
            filter: Choices::new(filter, &links),
            pairs: reports.pair_rows(pager.on_page(&found)),
            pager,
            happenings: latest,
            older,
            links: worst.into_iter().map(LinkRow::new).collect(),
            more_links: Rows::new(better.into_iter(), LinkRow::new),
        }
    }
}

/// The pair files and DNS names, those first that something is wrong with.
fn discovery_rows(discovery: &DiscoveryReport) -> impl Iterator<Item = DiscoveryRow> {
    let files = discovery.files.iter().map(DiscoveryRow::of_file);
    let names = discovery.names.iter().flat_map(DiscoveryRow::of_names);
    let mut rows: Vec<_> = files.chain(names).collect();
    rows.sort_by_key(|row| row.level == Level::Ok.label());
    rows.into_iter()
}

/// The entries that had a failover, each with its last one.
fn last_failovers(
    report: &PairsReport,
) -> impl Iterator<Item = (&FailoversReport, &FailoverReport)> {
    report.failovers.iter().filter_map(|entry| {
        let last = entry.last.as_ref()?;
        Some((entry, last))
    })
}

/// The links, worst first.
fn worst_links(links: &[LinkReport]) -> Vec<&LinkReport> {
    let mut links: Vec<_> = links.iter().collect();
    links.sort_by_key(|link| (std::cmp::Reverse(link.level), link.state));
    links
}

impl SilentServers {
    fn new(silent: &[&ServerReport]) -> Self {
        let words = if silent.len() > FEW_SILENT {
            silent_words(silent)
        } else {
            String::new()
        };
        Self {
            rows: Rows::new(silent.iter().copied(), ServerRow::new),
            words,
        }
    }
}

/// `20 servers: 18 in dc2, 2 in dc3`.
fn silent_words(silent: &[&ServerReport]) -> String {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for server in silent {
        *places.entry(server.dc.as_str()).or_default() += 1;
    }
    let mut parts = Vec::new();
    for (dc, count) in places {
        parts.push(format!("{count} in {dc}"));
    }
    format!("{} servers: {}", silent.len(), parts.join(", "))
}

/// How many pairs are how bad: `1 critical, 2 ok`.
fn summary_text(summary: Summary) -> String {
    let mut parts = Vec::new();
    for (level, count) in summary.counts() {
        if count > 0 {
            parts.push(format!("{count} {}", level.label()));
        }
    }
    if parts.is_empty() {
        return "no pairs".to_owned();
    }
    parts.join(", ")
}

/// The summary of the pairs, after the number of failing receivers: a person who is not notified
/// has to see that first.
fn title_text(summary: Summary, deliveries: &DeliveriesReport) -> String {
    let critical = Level::Critical.label();
    let receivers = deliveries.receivers.iter();
    let failing = receivers.filter(|receiver| receiver.level == critical);
    let pairs = summary_text(summary);
    match failing.count() {
        0 => pairs,
        1 => format!("1 receiver failing, {pairs}"),
        many => format!("{many} receivers failing, {pairs}"),
    }
}

impl Head {
    fn new(
        title: String,
        summary: Summary,
        fleet: &FleetSnapshot,
        exporter: &ExporterReport,
        now: Timestamp,
    ) -> Self {
        let stale = exporter.stuck_seconds.is_some();
        let title = if stale {
            format!("stale · {title}")
        } else {
            title
        };
        let mut counts = Vec::new();
        for (level, count) in summary.counts() {
            counts.push(Count {
                level: level.label(),
                count,
            });
        }
        Self {
            title,
            counts,
            now: Moment::from_unix(exporter.now_timestamp),
            now_timestamp: exporter.now_timestamp,
            stale,
            notices: notices(fleet, exporter, now),
            version: exporter.version.clone(),
        }
    }
}

impl<T> Rows<T> {
    fn new<I>(mut items: impl Iterator<Item = I>, row: impl Fn(I) -> T) -> Self {
        let shown = items.by_ref().take(MOST_ROWS).map(row).collect();
        Self {
            shown,
            more: items.count(),
        }
    }
}

impl Choices {
    fn new(filter: &Filter, links: &[LinkReport]) -> Self {
        let sources: BTreeSet<&str> = links.iter().map(|link| link.source_dc.as_str()).collect();
        let targets: BTreeSet<&str> = links.iter().map(|link| link.target_dc.as_str()).collect();
        Self {
            q: filter.q.clone(),
            narrow: filter.is_narrow(),
            levels: choices(level_names(), &filter.state),
            states: choices(state_names(), &filter.state),
            from_dcs: choices(sources, &filter.from),
            to_dcs: choices(targets, &filter.to),
        }
    }
}

fn choices<'a>(values: impl IntoIterator<Item = &'a str>, chosen: &str) -> Vec<Choice> {
    let mut choices = Vec::new();
    for value in values {
        choices.push(Choice::new(value, chosen));
    }
    choices
}

/// The levels that the filter offers, and `trouble` for all that is not ok.
fn level_names() -> Vec<&'static str> {
    let mut names = vec!["trouble"];
    for level in [Level::Critical, Level::Unknown, Level::Warning, Level::Ok] {
        names.push(level.label());
    }
    names
}

/// The states that the filter offers.
fn state_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for state in PairState::ALL {
        // The level of that name selects nearly the same pairs.
        if state != PairState::Unknown {
            names.push(state.label());
        }
    }
    names
}

impl Choice {
    fn new(value: &str, chosen: &str) -> Self {
        Self {
            value: value.to_owned(),
            chosen: value == chosen,
        }
    }
}

impl Pager {
    fn new(filter: &Filter, found: usize, total: usize) -> Self {
        let last_page = found.saturating_sub(1) / ROWS_PER_PAGE;
        let page = filter.page().min(last_page);
        let first = page * ROWS_PER_PAGE;
        Self {
            first: (first + 1).min(found),
            last: (first + ROWS_PER_PAGE).min(found),
            found,
            total,
            before: page.checked_sub(1).map(|before| filter.address(before)),
            after: if page < last_page {
                Some(filter.address(page + 1))
            } else {
                None
            },
        }
    }

    /// The part of `found` that is on this screenful.
    fn on_page<'a>(&self, found: &'a [usize]) -> &'a [usize] {
        let first = self.first.saturating_sub(1);
        found.get(first..self.last).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
