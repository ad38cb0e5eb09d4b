//! The pages: one look at the fleet, the worst first, and one at a pair, for a person without
//! Grafana.
//!
//! They are whole without their script, which only keeps them fresh. The template engine escapes
//! everything that is put into them: names come from the configuration, and reasons may repeat what
//! servers say.

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

use askama::Template;

pub(super) use pair::{PairView, find, render as render_pair};
pub(super) use query::{Filter, Range, pair_address};

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::replication::PairState;
use crate::report::{
    AlertsReport, DeliveriesReport, ExporterReport, HistoryReport, Level, LinkReport, ListedState,
    PairsReport, Summary,
};
use groups::AlertGroup;
use links::LinkRow;
use map::Map;
use notices::{Notice, notices};
use plot::Spark;
use prefill::SilenceForm;
use rows::{
    AlertRow, DeliveryRow, FailoverRow, HappeningRow, Moment, PairRow, ReceiverRow, SentinelRow,
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

/// Rows of every other table at the most: the API has all.
const MOST_ROWS: usize = 200;

/// Happenings that are shown at the most,
const HAPPENINGS: usize = 30;

/// and those of them that are not folded away.
const LATEST_HAPPENINGS: usize = 8;

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
    happenings: Vec<HappeningRow>,
    /// Those before, folded away.
    older: Vec<HappeningRow>,
}

/// What stands at the top of every page.
struct Head {
    title: String,
    counts: Vec<Count>,
    now: Moment,
    /// The same as Unix seconds: the script tells by it how old the page is.
    now_timestamp: f64,
    /// Whether the monitor has stopped: then everything is old.
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
    let (pairs, alerts) = (PairsReport::new(fleet, now), AlertsReport::new(fleet, now));
    Page::new(fleet, (&pairs, &alerts), now, filter)
        .render()
        .map(String::into_bytes)
}

impl Page {
    fn new(
        fleet: &FleetSnapshot,
        (report, alerts): (&PairsReport, &AlertsReport),
        now: Timestamp,
        filter: &Filter,
    ) -> Self {
        let live = groups::live(alerts);
        let over = alerts
            .alerts
            .iter()
            .filter(|alert| alert.state == ListedState::Resolved);
        let silent = report
            .servers
            .iter()
            .filter(|server| server.up == Some(false));
        let links = report.links();
        let deliveries = DeliveriesReport::new(fleet, now);
        let found = report.places_worst_first();
        let found: Vec<usize> = found
            .into_iter()
            .filter(|place| filter.takes(&report.pairs[*place]))
            .collect();
        let pager = Pager::new(filter, found.len(), report.pairs.len());
        let row = |place: &usize| {
            let spark = fleet.pairs.get(*place).and_then(|pair| {
                Spark::new(&HistoryReport::new(
                    fleet,
                    pair,
                    now - Range::Minutes.span(),
                    now,
                ))
            });
            PairRow::new(&report.pairs[*place], spark)
        };
        let mut happened = fleet.journal.after(0).rev();
        let latest = happened.by_ref().take(LATEST_HAPPENINGS);
        let happenings = latest.map(|one| HappeningRow::new(fleet, one)).collect();
        let older = happened
            .take(HAPPENINGS - LATEST_HAPPENINGS)
            .map(|one| HappeningRow::new(fleet, one))
            .collect();
        Self {
            head: Head::new(
                title_text(report.summary(), &deliveries),
                report.summary(),
                (fleet, &report.exporter),
                now,
            ),
            alerts: Rows::new(live.into_iter(), |group| group),
            over: Rows::new(over, AlertRow::new),
            map: Map::new(&links, &report.servers),
            silent: Rows::new(silent, ServerRow::new),
            sentinels: Rows::new(report.sentinels.iter(), SentinelRow::new),
            failovers: Rows::new(
                report
                    .failovers
                    .iter()
                    .filter_map(|entry| entry.last.as_ref().map(|last| (entry, last))),
                FailoverRow::new,
            ),
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
            pairs: found
                .iter()
                .skip(pager.first.saturating_sub(1))
                .take(ROWS_PER_PAGE)
                .map(row)
                .collect(),
            pager,
            happenings,
            older,
            links: worst_links(&links),
        }
    }
}

/// The links, worst first.
fn worst_links(links: &[LinkReport]) -> Rows<LinkRow> {
    let mut links: Vec<_> = links.iter().collect();
    links.sort_by_key(|link| (std::cmp::Reverse(link.level), link.state));
    Rows::new(links.into_iter(), LinkRow::new)
}

/// How many pairs are how bad: `1 critical, 2 ok`.
fn summary_text(summary: Summary) -> String {
    let counts = summary.counts().into_iter().filter(|(_, count)| *count > 0);
    let parts: Vec<_> = counts
        .map(|(level, count)| format!("{count} {}", level.label()))
        .collect();
    if parts.is_empty() {
        "no pairs".to_owned()
    } else {
        parts.join(", ")
    }
}

/// The summary of the pairs, after the receivers that take no notifications: who is not notified
/// needs to see that first.
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
        let counts = summary.counts().into_iter();
        let stale = exporter.stuck_seconds.is_some();
        Self {
            title: if stale {
                format!("stale · {title}")
            } else {
                title
            },
            counts: counts
                .map(|(level, count)| Count {
                    level: level.label(),
                    count,
                })
                .collect(),
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
        let levels = [Level::Critical, Level::Unknown, Level::Warning, Level::Ok].map(Level::label);
        let levels = ["trouble"].into_iter().chain(levels);
        // The state "unknown" has the level of that name to itself, nearly.
        let states = PairState::ALL
            .into_iter()
            .filter(|state| *state != PairState::Unknown)
            .map(PairState::label);
        let choice = |value: &str, chosen: &str| Choice {
            value: value.to_owned(),
            chosen: value == chosen,
        };
        let dcs = |of: fn(&LinkReport) -> &str, chosen: &str| {
            let mut names: Vec<_> = links.iter().map(of).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(|name| choice(name, chosen)).collect()
        };
        Self {
            q: filter.q.clone(),
            narrow: filter.is_narrow(),
            levels: levels.map(|level| choice(level, &filter.state)).collect(),
            states: states.map(|state| choice(state, &filter.state)).collect(),
            from_dcs: dcs(|link| &link.source_dc, &filter.from),
            to_dcs: dcs(|link| &link.target_dc, &filter.to),
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
}

#[cfg(test)]
mod tests;
