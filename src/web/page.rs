//! The page: one look at the fleet, the worst first, for a person without Grafana.
//!
//! No script. The template engine escapes everything that is put into the page: names come from the configuration, and
//! reasons may repeat what servers say.

use askama::Template;

use crate::report::{
    AlertReport, AlertsReport, LastKnownReport, Level, ListedState, PairReport, PairsReport, SentinelReport,
    SentinelsReport, ServerReport, amount_text, bytes_text, lag_text, seconds_text, utc_text,
};

/// The page's stylesheet.
pub(super) const STYLE: &str = include_str!("style.css");

/// Rows of a table at the most. Nobody reads more, and a browser that reloads every 5 s should not choke.
const MOST_ROWS: usize = 500;

/// What stands where a value is not known.
const NOT_KNOWN: &str = "-";

/// `templates/page.html`.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    summary: String,
    now: String,
    stuck_for: Option<String>,
    ready: bool,
    version: String,
    alerts: Rows<AlertRow>,
    silent: Rows<ServerRow>,
    sentinels: Rows<SentinelRow>,
    pairs: Rows<PairRow>,
}

/// The first rows of a table, and how many more there are.
struct Rows<T> {
    shown: Vec<T>,
    more: usize,
}

struct AlertRow {
    name: String,
    severity: &'static str,
    recovering: bool,
    about: String,
    value: String,
    threshold: String,
    since: String,
    reason: String,
}

struct ServerRow {
    server: String,
    dc: String,
    silent_for: String,
    last_answer: String,
    reason: String,
}

struct SentinelRow {
    pair: String,
    master: String,
    answering: String,
    seeing_quorum: String,
    level: &'static str,
    trouble: String,
}

struct PairRow {
    name: String,
    source_dc: String,
    target_dc: String,
    master: String,
    replica: String,
    level: &'static str,
    state: &'static str,
    lag: String,
    bytes: String,
    headroom: String,
    reason: String,
}

/// The page as HTML.
pub(super) fn render(pairs: &PairsReport, alerts: &AlertsReport) -> askama::Result<Vec<u8>> {
    Page::of(pairs, alerts).render().map(String::into_bytes)
}

impl Page {
    fn of(report: &PairsReport, alerts: &AlertsReport) -> Self {
        let exporter = &report.exporter;
        let firing = alerts.alerts.iter().filter(|alert| alert.state == ListedState::Firing);
        let silent = report.servers.iter().filter(|server| server.up == Some(false));
        Self {
            summary: summary(report),
            now: utc_text(exporter.now_timestamp),
            stuck_for: exporter.stuck_seconds.map(seconds_text),
            ready: exporter.ready,
            version: exporter.version.clone(),
            alerts: Rows::of(firing, AlertRow::of),
            silent: Rows::of(silent, ServerRow::of),
            sentinels: Rows::of(report.sentinels.iter(), SentinelRow::of),
            pairs: Rows::of(report.worst_first().into_iter(), PairRow::of),
        }
    }
}

/// How many pairs are how bad: `1 critical, 2 ok`.
fn summary(report: &PairsReport) -> String {
    let levels = [Level::Critical, Level::Unknown, Level::Warning, Level::Ok];
    let count = |level: Level| report.pairs.iter().filter(|pair| pair.level() == level).count();
    let counts = levels.map(|level| (count(level), level.label()));
    let parts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, label)| format!("{n} {label}")).collect();
    if parts.is_empty() { "no pairs".to_owned() } else { parts.join(", ") }
}

impl<T> Rows<T> {
    fn of<I>(mut items: impl Iterator<Item = I>, row: impl Fn(I) -> T) -> Self {
        let shown = items.by_ref().take(MOST_ROWS).map(row).collect();
        Self { shown, more: items.count() }
    }
}

impl AlertRow {
    fn of(alert: &AlertReport) -> Self {
        let about: Vec<_> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            name: alert.alertname.clone(),
            severity: alert.severity.label(),
            recovering: alert.recovering,
            about: about.join(", "),
            value: alert_value(alert),
            threshold: amount_text(alert.threshold, alert.unit),
            since: utc_text(alert.started_timestamp),
            reason: alert.reason.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
        }
    }
}

fn alert_value(alert: &AlertReport) -> String {
    match (alert.value, alert.lower) {
        (Some(value), _) => amount_text(value, alert.unit),
        (None, Some(lower)) => format!("at least {}", amount_text(lower, alert.unit)),
        (None, None) => NOT_KNOWN.to_owned(),
    }
}

impl ServerRow {
    fn of(server: &ServerReport) -> Self {
        Self {
            server: server.server.clone(),
            dc: server.dc.clone(),
            silent_for: server.unreachable_seconds.map_or_else(|| NOT_KNOWN.to_owned(), seconds_text),
            last_answer: server.last_answer_timestamp.map_or_else(|| "never".to_owned(), utc_text),
            reason: server.reason.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
        }
    }
}

impl SentinelRow {
    fn of(group: &SentinelsReport) -> Self {
        let all = group.sentinels.len();
        let count = |is: fn(&SentinelReport) -> Option<bool>| {
            let said = group.sentinels.iter().filter(|sentinel| is(sentinel) == Some(true)).count();
            format!("{said} of {all}")
        };
        let of_sentinel = |sentinel: &SentinelReport| Some(format!("{}: {}", sentinel.server, sentinel.trouble()?));
        let trouble = group.sentinels.iter().filter_map(of_sentinel).chain(group.risks.iter().cloned());
        let trouble = trouble.collect::<Vec<_>>().join("; ");
        Self {
            pair: group.pair.clone(),
            master: group.master.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
            answering: count(|sentinel| sentinel.up),
            seeing_quorum: count(|sentinel| sentinel.quorum_ok),
            level: if trouble.is_empty() { Level::Ok.label() } else { Level::Warning.label() },
            trouble: if trouble.is_empty() { NOT_KNOWN.to_owned() } else { trouble },
        }
    }
}

impl PairRow {
    fn of(pair: &PairReport) -> Self {
        Self {
            name: pair.pair.clone(),
            source_dc: pair.source_dc.clone(),
            target_dc: pair.target_dc.clone(),
            master: pair.master.clone(),
            replica: pair.replica.clone(),
            level: pair.level().label(),
            state: pair.state.label(),
            lag: lag_text(pair.lag_lower_seconds, pair.lag_seconds, pair.lag_upper_seconds),
            bytes: lag_bytes(pair),
            headroom: bytes_text(pair.backlog_headroom_bytes),
            reason: reason(pair),
        }
    }
}

fn lag_bytes(pair: &PairReport) -> String {
    match (pair.lag_bytes, pair.lag_lower_bytes) {
        (None, Some(lower)) if lower > 0 => format!("at least {}", bytes_text(Some(lower))),
        (estimate, _) => bytes_text(estimate),
    }
}

/// The reason, with what else a person must know: that the lag is an assumption, or the last that was certain.
fn reason(pair: &PairReport) -> String {
    let stale = "the lag assumes that the silent replica applies nothing but what it acknowledges";
    let last_certain = pair.last_known.filter(|_| pair.lag_seconds.is_none()).map(last_certain);
    let parts = [Some(pair.reason.clone()), pair.stale.then(|| stale.to_owned()), last_certain];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn last_certain(known: LastKnownReport) -> String {
    let upper = seconds_text(known.lag_upper_seconds);
    let when = utc_text(known.timestamp);
    format!("last certain: at most {upper} ({}) at {when}", bytes_text(known.lag_upper_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet, fleet_named, large_fleet};

    fn html((fleet, now): (crate::monitor::FleetSnapshot, crate::model::Timestamp)) -> String {
        let page = render(&PairsReport::of(&fleet, now), &AlertsReport::of(&fleet, now)).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn a_healthy_fleet_shows_lag_with_its_interval() {
        let html = html(fleet(Scene::Streaming));
        assert!(html.contains("<title>1 ok - redis-cross-dc-exporter</title>"), "{html}");
        assert!(html.contains("<td class=\"level\">ok: streaming</td><td>0.000 s (0.000 s to 0."), "{html}");
        assert!(html.contains("dc1 &rarr; dc2") && html.contains("<th scope=\"row\">orders</th>"));
        assert!(!html.contains("Firing alerts") && !html.contains("do not answer"));
    }

    #[test]
    fn a_lost_master_shows_what_was_certain_last_and_who_is_silent() {
        let html = html(fleet(Scene::MasterLost));
        for text in [
            "critical: master_unreachable",
            "; last certain: at most 0.",
            "<caption>Servers that do not answer</caption>",
            "<caption>Firing alerts</caption>",
            "RedisCrossDcServerUnreachable",
            "the server gave no answer in time",
            "2025-06-15 ",
        ] {
            assert!(html.contains(text), "{text}: {html}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash_with_its_reason() {
        let html = html(fleet(Scene::NothingYet));
        assert!(html.contains("<td>-</td><td>-</td><td>-</td><td>the first polls are under way</td>"), "{html}");
        assert!(html.contains("Starting: not every server has been polled yet."));
    }

    #[test]
    fn hostile_names_are_text_and_nothing_else() {
        let html = html(fleet_named("<script>alert('x')</script>\"&", Scene::MasterLost));
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#34;&#38;"), "{html}");
    }

    #[test]
    fn a_large_fleet_is_cut_and_says_so() {
        let html = html(large_fleet(MOST_ROWS + 7));
        assert_eq!(html.matches("<tr class=\"unknown\">").count(), MOST_ROWS);
        assert!(html.contains("And 7 more, none of them worse than those above"), "{html}");
    }

    #[test]
    fn the_page_needs_nothing_but_its_own_stylesheet() {
        let html = html(fleet(Scene::MasterLost));
        assert!(!html.contains("style=") && !html.contains("http://") && !html.contains("https://"));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
