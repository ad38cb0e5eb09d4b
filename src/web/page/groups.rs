//! Alerts as the page lists them: grouped as messages are, one line each, which unfolds.

use std::collections::BTreeMap;

use super::rows::{AlertRow, Moment, Suppressed, alert_since};
use crate::alert::Rule;
use crate::alert::news::plight;
use crate::model::percent_encode;
use crate::report::{AlertReport, AlertsReport, ListedState};

/// Alerts that are named in a group, as in messages: `/api/v1/alerts` has all.
const MOST_NAMED: usize = 20;

/// Alerts of one group: a line, and what it unfolds to.
pub(super) struct AlertGroup {
    /// The same as long as the group lives, so that what a reader has unfolded stays so.
    pub(super) id: String,
    /// Of the first, which is the worst.
    pub(super) level: &'static str,
    pub(super) state: &'static str,
    /// What is wrong with how many of what kind; of one alert its own sentence.
    pub(super) line: String,
    /// When the first fault began.
    pub(super) since: Moment,
    /// Why receivers are not notified, where that is so.
    pub(super) suppressed: Option<String>,
    /// The worst first.
    pub(super) alerts: Vec<AlertRow>,
    /// How many are not even named.
    pub(super) more: usize,
    /// The matchers of a silence of all of them, one a line; empty where the group is one alert.
    pub(super) matchers: String,
}

/// What the alerts of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind<'a> {
    /// Those of the labels by which messages are grouped that the alert has.
    labels: BTreeMap<&'a str, &'a str>,
    state: ListedState,
    suppressed: Option<Suppressed>,
}

impl<'a> Kind<'a> {
    fn new(alert: &'a AlertReport, group_by: &'a [String]) -> Self {
        let mut labels = BTreeMap::new();
        for name in group_by {
            let value = match name.as_str() {
                "alertname" => Some(alert.alertname.as_str()),
                other => alert.labels.get(other).map(String::as_str),
            };
            if let Some(value) = value {
                labels.insert(name.as_str(), value);
            }
        }
        Self {
            labels,
            state: alert.state,
            suppressed: Suppressed::from_alert(alert),
        }
    }

    fn id(&self) -> String {
        let mut id = format!("alerts.{}", self.state.label());
        if let Some(suppressed) = self.suppressed {
            id.push('.');
            id.push_str(suppressed.label());
        }
        for value in self.labels.values() {
            id.push('.');
            id.push_str(&percent_encode(value));
        }
        id
    }

    fn matchers(&self) -> String {
        let mut lines = Vec::new();
        for (name, value) in &self.labels {
            lines.push(format!("{name}={value}"));
        }
        lines.join("\n")
    }

    /// ` dc1 → dc2`, or ` in dc1`; empty where the group has no place.
    fn place(&self) -> String {
        let label = |name: &str| self.labels.get(name);
        match (label("source_dc"), label("target_dc"), label("dc")) {
            (Some(from), Some(to), _) => format!(" {from} → {to}"),
            (_, _, Some(dc)) => format!(" in {dc}"),
            _ => String::new(),
        }
    }
}

/// The alerts that are pending or firing.
pub(super) fn live(report: &AlertsReport, group_by: &[String]) -> Vec<AlertGroup> {
    let alerts = report.alerts.iter();
    grouped(
        alerts.filter(|alert| alert.state != ListedState::Resolved),
        group_by,
    )
}

/// The alerts that have resolved.
pub(super) fn resolved(report: &AlertsReport, group_by: &[String]) -> Vec<AlertGroup> {
    let alerts = report.alerts.iter();
    grouped(
        alerts.filter(|alert| alert.state == ListedState::Resolved),
        group_by,
    )
}

/// The groups of these alerts: what fires before what is pending, and of each what is notified
/// before what is not, which is mostly its effect; else in the order of their first alerts.
fn grouped<'a>(
    alerts: impl Iterator<Item = &'a AlertReport>,
    group_by: &'a [String],
) -> Vec<AlertGroup> {
    let mut kinds: Vec<(Kind<'a>, Vec<&AlertReport>)> = Vec::new();
    for alert in alerts {
        let kind = Kind::new(alert, group_by);
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, members)) => members.push(alert),
            None => kinds.push((kind, vec![alert])),
        }
    }
    kinds.sort_by_key(|(kind, _)| (kind.state, kind.suppressed.is_some()));
    let mut groups = Vec::new();
    for (kind, members) in &kinds {
        groups.extend(AlertGroup::new(kind, members));
    }
    groups
}

impl AlertGroup {
    /// How many alerts are in the group.
    pub(super) const fn count(&self) -> usize {
        self.alerts.len() + self.more
    }

    /// `None` where there is no alert.
    fn new(kind: &Kind<'_>, members: &[&AlertReport]) -> Option<Self> {
        let worst = members.first()?;
        let named = members.iter().take(MOST_NAMED);
        let alerts: Vec<AlertRow> = named.map(|alert| AlertRow::new(alert)).collect();
        let since = members.iter().map(|alert| alert_since(alert));
        let head = alerts.first()?;
        Some(Self {
            id: kind.id(),
            level: head.level,
            state: head.state,
            line: line(kind, members, worst),
            since: Moment::from_unix(since.fold(f64::INFINITY, f64::min)),
            suppressed: head.suppressed.clone(),
            more: members.len() - alerts.len(),
            matchers: if members.len() > 1 {
                kind.matchers()
            } else {
                String::new()
            },
            alerts,
        })
    }

    /// A group of one.
    pub(super) fn single(alert: &AlertReport) -> Option<Self> {
        let kind = Kind {
            labels: BTreeMap::from([("fingerprint", alert.fingerprint.as_str())]),
            state: alert.state,
            suppressed: None,
        };
        Self::new(&kind, &[alert])
    }
}

/// `20 pairs dc1 → dc2 stalled or down. Worst: orders dc1 → dc2 stalled for 60 s ...`, as a message
/// says it; of one alert its own sentence.
fn line(kind: &Kind<'_>, members: &[&AlertReport], worst: &AlertReport) -> String {
    let sentence = if worst.summary.is_empty() {
        worst.alertname.clone()
    } else {
        worst.summary.clone()
    };
    if members.len() == 1 {
        return sentence;
    }
    let count = members.len();
    let place = kind.place();
    let all = match common_rule(members) {
        Some(rule) => {
            let noun = rule.target().noun(count);
            format!("{count} {noun}{place} {}", plight(rule))
        }
        None => format!("{count} alerts{place}"),
    };
    match worst.state {
        ListedState::Resolved => format!("{all}: resolved. Worst: {sentence}"),
        ListedState::Firing | ListedState::Pending => format!("{all}. Worst: {sentence}"),
    }
}

/// The rule of all of them, if it is the same one.
fn common_rule(members: &[&AlertReport]) -> Option<Rule> {
    let name = &members.first()?.alertname;
    if members.iter().any(|alert| alert.alertname != *name) {
        return None;
    }
    let mut rules = Rule::ALL.into_iter();
    rules.find(|rule| rule.alert_name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    fn default_grouping() -> Vec<String> {
        ["alertname", "source_dc", "target_dc", "dc"]
            .map(str::to_owned)
            .into()
    }

    /// A report of as many alerts about servers, all alike.
    fn alike(count: usize) -> AlertsReport {
        let (fleet, now) = fleet(Scene::MasterLost);
        let mut report = AlertsReport::new(&fleet, now);
        let one = report.alerts.remove(0);
        let mut alerts = Vec::new();
        for n in 0..count {
            let mut alert = one.clone();
            let server = format!("r{n}:6379");
            alert.labels.insert("server".to_owned(), server);
            alerts.push(alert);
        }
        report.alerts = alerts;
        report
    }

    #[test]
    fn one_alert_is_a_line_of_its_own_sentence() {
        let report = alike(1);
        let groups = live(&report, &default_grouping());
        let [group] = groups.as_slice() else {
            panic!("one group")
        };
        assert_eq!(group.line, report.alerts[0].summary);
        assert!(group.count() == 1 && group.matchers.is_empty());
    }

    #[test]
    fn many_alerts_of_one_kind_are_one_line_and_none_is_lost() {
        let report = alike(70);
        let groups = live(&report, &default_grouping());
        let [group] = groups.as_slice() else {
            panic!("one group")
        };
        assert_eq!(
            (group.count(), group.alerts.len(), group.more),
            (70, 20, 50)
        );
        assert!(
            group
                .line
                .starts_with("70 servers in dc1 not answering. Worst: "),
            "{}",
            group.line
        );
        assert_eq!(
            group.matchers,
            "alertname=RedisCrossDcServerUnreachable\ndc=dc1"
        );
        assert_eq!(group.id, "alerts.firing.RedisCrossDcServerUnreachable.dc1");
    }

    #[test]
    fn alerts_are_grouped_by_the_labels_by_which_messages_are() {
        let mut report = alike(4);
        report.alerts[3].alertname = "RedisCrossDcFullSync".to_owned();
        let counts = |group_by: &[&str]| -> Vec<usize> {
            let group_by: Vec<String> = group_by.iter().map(|name| (*name).to_owned()).collect();
            let groups = live(&report, &group_by);
            groups.iter().map(AlertGroup::count).collect()
        };
        assert_eq!(counts(&["alertname", "dc"]), [3, 1]);
        assert_eq!(counts(&["server"]), [1; 4]);
        assert_eq!(counts(&[]), [4]);
        assert!(live(&report, &[])[0].line.starts_with("4 alerts. Worst: "));
    }

    #[test]
    fn a_suppressed_alert_is_not_folded_with_the_others() {
        let mut report = alike(10);
        report.alerts[0].maintenance = Some("patching".to_owned());
        let groups = live(&report, &default_grouping());
        let counts: Vec<usize> = groups.iter().map(AlertGroup::count).collect();
        assert_eq!(counts, [9, 1]);
        assert_eq!(
            groups[1].suppressed.as_deref(),
            Some("maintenance: patching")
        );
        assert_ne!(groups[0].id, groups[1].id);
    }

    #[test]
    fn what_has_resolved_is_grouped_apart() {
        let mut report = alike(5);
        for alert in &mut report.alerts[..3] {
            alert.state = ListedState::Resolved;
            alert.resolved_timestamp = Some(alert.started_timestamp + 60.0);
        }
        let groups = resolved(&report, &default_grouping());
        let [group] = groups.as_slice() else {
            panic!("one group")
        };
        assert!(group.line.contains("not answering: resolved. Worst: "));
        assert_eq!((group.count(), group.level), (3, "resolved"));
        assert_eq!(live(&report, &default_grouping())[0].count(), 2);
    }
}
