//! Alerts that say the same of many: one row, with the others folded below it.

use super::query::pair_address;
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
    /// What a silence of all of them looks for, a line each; empty where the row is one alert.
    pub(super) matchers: String,
}

/// An alert that is folded away.
pub(super) struct Other {
    pub(super) about: String,
    pub(super) address: Option<String>,
    pub(super) value: String,
}

impl AlertGroup {
    /// How many alerts the row stands for.
    pub(super) const fn count(&self) -> usize {
        1 + self.others.len() + self.more
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
    held: bool,
}

impl<'a> Kind<'a> {
    fn new(alert: &'a AlertReport) -> Self {
        let held =
            alert.silenced_by.is_some() || alert.maintenance.is_some() || alert.caused_by.is_some();
        Self {
            name: &alert.alertname,
            severity: alert.severity.label(),
            state: alert.state,
            recovering: alert.recovering,
            source_dc: alert.labels.get("source_dc"),
            target_dc: alert.labels.get("target_dc"),
            dc: alert.labels.get("dc"),
            held,
        }
    }

    fn matchers(&self) -> String {
        let places = [
            ("source_dc", self.source_dc),
            ("target_dc", self.target_dc),
            ("dc", self.dc),
        ];
        let places = places
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let name = format!("alertname={}", self.name);
        std::iter::once(name)
            .chain(places)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The alerts that are pending or firing, by kind; each kind stands where its first alert does.
pub(super) fn live(report: &AlertsReport) -> Vec<AlertGroup> {
    let mut kinds: Vec<(Kind<'_>, Vec<&AlertReport>)> = Vec::new();
    let live = report
        .alerts
        .iter()
        .filter(|alert| alert.state != ListedState::Resolved);
    for alert in live {
        let kind = Kind::new(alert);
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, members)) => members.push(alert),
            None => kinds.push((kind, vec![alert])),
        }
    }
    kinds
        .into_iter()
        .flat_map(|(kind, members)| rows(&kind, &members))
        .collect()
}

fn rows(kind: &Kind<'_>, members: &[&AlertReport]) -> Vec<AlertGroup> {
    let Some((head, others)) = members.split_first() else {
        return Vec::new();
    };
    if members.len() <= FEW {
        let single = |alert: &&AlertReport| AlertGroup::single(AlertRow::new(alert));
        return members.iter().map(single).collect();
    }
    let named: Vec<Other> = others
        .iter()
        .take(MOST_NAMED)
        .map(|alert| other(alert))
        .collect();
    vec![AlertGroup {
        head: AlertRow::new(head),
        more: others.len() - named.len(),
        others: named,
        matchers: kind.matchers(),
    }]
}

fn other(alert: &AlertReport) -> Other {
    let row = AlertRow::new(alert);
    let label = |name| alert.labels.get(name).map(String::as_str);
    let replica = label("pair").zip(label("replica"));
    Other {
        about: row.about,
        address: replica.map(|(pair, replica)| pair_address(pair, replica)),
        value: row.value,
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
    fn what_is_worse_or_held_is_not_folded_with_the_rest() {
        let mut report = alike(10);
        report.alerts[4].maintenance = Some("patching".to_owned());
        let groups = live(&report);
        let counts: Vec<usize> = groups.iter().map(AlertGroup::count).collect();
        assert_eq!(counts, [9, 1]);
    }
}
