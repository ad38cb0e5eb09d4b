//! The pages: the fleet at a glance, worst first, and one page for each pair, for people without
//! Grafana.
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

use std::collections::BTreeSet;

use askama::Template;

pub(super) use pair::{PairView, find, render as render_pair};
pub(super) use query::{Filter, Range, pair_address};

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::replication::PairState;
use crate::report::{
    AlertReport, AlertsReport, DeliveriesReport, ExporterReport, FailoverReport, FailoversReport,
    HistoryReport, Level, LinkReport, ListedState, PairsReport, ServerReport, Summary,
};
use groups::AlertGroup;
use links::LinkRow;
use map::Map;
use notices::{Notice, notices};
use plot::Spark;
use prefill::SilenceForm;
use rows::{
    AlertRow, DeliveryRow, FailoverRow, JournalRow, Moment, PairRow, ReceiverRow, SentinelRow,
    ServerRow, SilenceRow,
};

/// The pages' stylesheet.
pub(super) const STYLE: &str = include_str!("../style.css");

/// The pages' script.
pub(super) const SCRIPT: &str = include_str!("../script.js");

/// The pages' icon.
pub(super) const ICON: &str = include_str!("../icon.svg");

/// The description of the API.
pub(super) const OPEN_API: &str = include_str!("../openapi.json");

/// Pairs on a screenful. Nobody reads more at once, and each brings a sparkline.
const ROWS_PER_PAGE: usize = 100;

/// Rows of every other table, at most: the API has all.
const MOST_ROWS: usize = 200;

/// Journal entries that are shown, at most.
const ENTRIES_SHOWN: usize = 30;

/// The latest of them, which are not folded away.
const LATEST_ENTRIES: usize = 8;

/// `templates/page.html`.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    head: Head,
    alerts: Rows<AlertGroup>,
    over: Rows<AlertRow>,
    map: Option<Map>,
    links: Rows<LinkRow>,
    silent: Rows<ServerRow>,
    sentinels: Rows<SentinelRow>,
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

/// The page as HTML.
pub(super) fn render(
    fleet: &FleetSnapshot,
    now: Timestamp,
    filter: &Filter,
) -> askama::Result<Vec<u8>> {
    let pairs = PairsReport::new(fleet, now);
    let alerts = AlertsReport::new(fleet, now);
    let page = Page::new(fleet, (&pairs, &alerts), now, filter);
    page.render().map(String::into_bytes)
}

impl Page {
    fn new(
        fleet: &FleetSnapshot,
        (report, alerts): (&PairsReport, &AlertsReport),
        now: Timestamp,
        filter: &Filter,
    ) -> Self {
        let links = report.links();
        let deliveries = DeliveriesReport::new(fleet, now);
        let title = title_text(report.summary(), &deliveries);
        let mut found = report.places_worst_first();
        found.retain(|place| {
            report
                .pairs
                .get(*place)
                .is_some_and(|pair| filter.takes(pair))
        });
        let pager = Pager::new(filter, found.len(), report.pairs.len());
        let resolved = |alert: &&AlertReport| alert.state == ListedState::Resolved;
        let silent = |server: &&ServerReport| server.up == Some(false);
        let mut entries = fleet.journal.after(0).rev();
        let latest = entries.by_ref().take(LATEST_ENTRIES);
        let happenings = latest.map(|entry| JournalRow::new(fleet, entry)).collect();
        let older = entries.take(ENTRIES_SHOWN - LATEST_ENTRIES);
        let older = older.map(|entry| JournalRow::new(fleet, entry)).collect();
        Self {
            head: Head::new(title, report.summary(), (fleet, &report.exporter), now),
            alerts: Rows::new(groups::live(alerts).into_iter(), |group| group),
            over: Rows::new(alerts.alerts.iter().filter(resolved), AlertRow::new),
            map: Map::new(&links, &report.servers),
            silent: Rows::new(report.servers.iter().filter(silent), ServerRow::new),
            sentinels: Rows::new(report.sentinels.iter(), SentinelRow::new),
            failovers: Rows::new(last_failovers(report), FailoverRow::new),
            receivers: Rows::new(deliveries.receivers.iter(), ReceiverRow::new),
            dead: Rows::new(
                deliveries.dead_letters.iter(),
                DeliveryRow::from_dead_letter,
            ),
            recent: Rows::new(deliveries.recent.iter(), DeliveryRow::new),
            silences: Rows::new(fleet.silences.iter(), SilenceRow::new),
            silence_form: SilenceForm::new(fleet, filter),
            maintenance: fleet.maintenance.iter().map(ToString::to_string).collect(),
            filter: Choices::new(filter, &links),
            pairs: pair_rows(fleet, now, report, pager.on_page(&found)),
            pager,
            happenings,
            older,
            links: worst_links(&links),
        }
    }
}

/// The rows of the pairs at these places of the report.
fn pair_rows(
    fleet: &FleetSnapshot,
    now: Timestamp,
    report: &PairsReport,
    places: &[usize],
) -> Vec<PairRow> {
    let since = now - Range::Minutes.span();
    let mut rows = Vec::new();
    for place in places {
        // Both have the pairs in the configuration's order.
        let (Some(pair), Some(snapshot)) = (report.pairs.get(*place), fleet.pairs.get(*place))
        else {
            continue;
        };
        let history = HistoryReport::new(fleet, snapshot, since, now);
        rows.push(PairRow::new(pair, Spark::new(&history)));
    }
    rows
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
fn worst_links(links: &[LinkReport]) -> Rows<LinkRow> {
    let mut links: Vec<_> = links.iter().collect();
    links.sort_by_key(|link| (std::cmp::Reverse(link.level), link.state));
    Rows::new(links.into_iter(), LinkRow::new)
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
    let receivers = deliveries.receivers.iter();
    let failing = receivers.filter(|receiver| receiver.level == Level::Critical.label());
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
        (fleet, exporter): (&FleetSnapshot, &ExporterReport),
        now: Timestamp,
    ) -> Self {
        let stale = exporter.stuck_seconds.is_some();
        let title = if stale {
            format!("stale · {title}")
        } else {
            title
        };
        let counts = summary.counts().into_iter().map(|(level, count)| Count {
            level: level.label(),
            count,
        });
        Self {
            title,
            counts: counts.collect(),
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
        let mut levels = vec![Choice::new("trouble", &filter.state)];
        for level in [Level::Critical, Level::Unknown, Level::Warning, Level::Ok] {
            levels.push(Choice::new(level.label(), &filter.state));
        }
        let mut states = Vec::new();
        for state in PairState::ALL {
            // The level of that name selects nearly the same pairs.
            if state != PairState::Unknown {
                states.push(Choice::new(state.label(), &filter.state));
            }
        }
        let sources: BTreeSet<&str> = links.iter().map(|link| link.source_dc.as_str()).collect();
        let targets: BTreeSet<&str> = links.iter().map(|link| link.target_dc.as_str()).collect();
        let choices = |names: BTreeSet<&str>, chosen: &str| {
            let choices = names.into_iter().map(|name| Choice::new(name, chosen));
            choices.collect()
        };
        Self {
            q: filter.q.clone(),
            narrow: filter.is_narrow(),
            levels,
            states,
            from_dcs: choices(sources, &filter.from),
            to_dcs: choices(targets, &filter.to),
        }
    }
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
            before: (page > 0).then(|| filter.address(page - 1)),
            after: (page < last_page).then(|| filter.address(page + 1)),
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
