//! Groups many alerts of one kind into one row of the page, with the others folded below it.

use super::rows::AlertRow;
use crate::report::{AlertReport, AlertsReport, ListedState};

/// Alerts of a kind that each have a row; of more, all but the first are folded.
const FEW: usize = 3;

/// Alerts that are named when they are folded: `/api/v1/alerts` has all.
const MOST_NAMED: usize = 50;

/// One row of the table of alerts.
pub(super) struct AlertGroup {
    /// The first, which began first among the worst.
    pub(super) head: AlertRow,
    /// The others, a line each.
    pub(super) others: Vec<Other>,
    /// How many are not even named.
    pub(super) more: usize,
    /// The matchers of a silence of all of them, one a line; empty where the row is one alert.
    pub(super) matchers: String,
}

/// An alert that is folded away.
pub(super) struct Other {
    pub(super) about: String,
    pub(super) address: Option<String>,
    pub(super) value: String,
}

impl AlertGroup {
    /// How many alerts are in the row.
    pub(super) const fn count(&self) -> usize {
        1 + self.others.len() + self.more
    }

    /// All alerts of a kind, with all but the first folded; `None` where there is none.
    fn folded(kind: &Kind<'_>, members: &[&AlertReport]) -> Option<Self> {
        let (head, rest) = members.split_first()?;
        let named = rest.iter().take(MOST_NAMED);
        let others: Vec<Other> = named.map(|alert| Other::new(alert)).collect();
        Some(Self {
            head: AlertRow::new(head),
            more: rest.len() - others.len(),
            others,
            matchers: kind.matchers(),
        })
    }

    const fn single(head: AlertRow) -> Self {
        Self {
            head,
            others: Vec::new(),
            more: 0,
            matchers: String::new(),
        }
    }
}

/// What alerts of one row have in common.
#[derive(PartialEq, Eq)]
struct Kind<'a> {
    name: &'a str,
    severity: &'static str,
    state: ListedState,
    recovering: bool,
    source_dc: Option<&'a String>,
    target_dc: Option<&'a String>,
    dc: Option<&'a String>,
    suppressed: bool,
}

impl<'a> Kind<'a> {
    fn new(alert: &'a AlertReport) -> Self {
        let suppressed = alert.silenced_by.is_some()
            || alert.maintenance.is_some()
            || alert.operation.is_some()
            || alert.caused_by.is_some();
        Self {
            name: &alert.alertname,
            severity: alert.severity.label(),
            state: alert.state,
            recovering: alert.recovering,
            source_dc: alert.labels.get("source_dc"),
            target_dc: alert.labels.get("target_dc"),
            dc: alert.labels.get("dc"),
            suppressed,
        }
    }

    fn matchers(&self) -> String {
        let places = [
            ("source_dc", self.source_dc),
            ("target_dc", self.target_dc),
            ("dc", self.dc),
        ];
        let mut lines = vec![format!("alertname={}", self.name)];
        for (name, value) in places {
            if let Some(value) = value {
                lines.push(format!("{name}={value}"));
            }
        }
        lines.join("\n")
    }
}

/// The alerts that are pending or firing, by kind; the kinds in the order of their first alerts.
pub(super) fn live(report: &AlertsReport) -> Vec<AlertGroup> {
    let mut kinds: Vec<(Kind<'_>, Vec<&AlertReport>)> = Vec::new();
    for alert in &report.alerts {
        if alert.state == ListedState::Resolved {
            continue;
        }
        let kind = Kind::new(alert);
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, members)) => members.push(alert),
            None => kinds.push((kind, vec![alert])),
        }
    }
    let mut groups = Vec::new();
    for (kind, members) in &kinds {
        if members.len() <= FEW {
            let rows = members.iter().map(|alert| AlertRow::new(alert));
            groups.extend(rows.map(AlertGroup::single));
        } else {
            groups.extend(AlertGroup::folded(kind, members));
        }
    }
    groups
}

impl Other {
    fn new(alert: &AlertReport) -> Self {
        let row = AlertRow::new(alert);
        Self {
            about: row.about,
            address: row.address,
            value: row.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    /// A report of as many alerts about servers, all alike.
    fn alike(count: usize) -> AlertsReport {
        let (fleet, now) = fleet(Scene::MasterLost);
        let mut report = AlertsReport::new(&fleet, now);
        let one = report.alerts.remove(0);
        report.alerts = (0..count)
            .map(|n| {
                let mut alert = one.clone();
                alert
                    .labels
                    .insert("server".to_owned(), format!("r{n}:6379"));
                alert
            })
            .collect();
        report
    }

    #[test]
    fn few_alerts_have_a_row_each() {
        let groups = live(&alike(3));
        assert_eq!(groups.len(), 3);
        assert!(
            groups
                .iter()
                .all(|group| group.count() == 1 && group.matchers.is_empty())
        );
    }

    #[test]
    fn many_alerts_of_one_kind_are_one_row_and_none_is_lost() {
        let groups = live(&alike(70));
        let [group] = groups.as_slice() else {
            panic!("one row")
        };
        assert_eq!(
            (group.count(), group.others.len(), group.more),
            (70, 50, 19)
        );
        assert_eq!(
            group.matchers,
            "alertname=RedisCrossDcServerUnreachable\ndc=dc1"
        );
    }

    #[test]
    fn a_suppressed_alert_is_not_folded_with_the_others() {
        let mut report = alike(10);
        report.alerts[4].maintenance = Some("patching".to_owned());
        let groups = live(&report);
        let counts: Vec<usize> = groups.iter().map(AlertGroup::count).collect();
        assert_eq!(counts, [9, 1]);
    }
}
