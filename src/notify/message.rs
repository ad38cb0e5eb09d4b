//! What is said, before it is known to whom: the same words for every receiver.

use crate::alert::news::{Clock, Sentence, headline, plight};
use crate::alert::{AlertSnapshot, AlertStatus, Notification, NotifyReason, Rule};
use crate::config::Severity;
use crate::model::{ClockAnchor, Timestamp};

use super::context::MessageContext;
use super::facts::{self, Fact};
use super::links::{self, Link};
use super::text::{one_line, rfc3339};

/// How many alerts of a group are described; the others are counted.
pub const MAX_DESCRIBED: usize = 20;

/// A title's sentence that is longer, in units of UTF-16, is cut at its first clause: Slack's headers
/// hold 150.
const MAX_TITLE: usize = 135;

/// The beginning of every text of a test.
const TEST_MARK: &str = "[TEST] ";

/// What to do about a test.
const TEST_ADVICE: &str = "Nothing is wrong: somebody ran test-notify to see whether messages arrive. The firing and its end \
                           follow each other at once.";

/// A message, free of any receiver's format and of any limit but the number of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The group's severity.
    pub severity: Severity,
    /// Whether nothing of it fires now, and it flaps.
    pub up_for_now: bool,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// The level and the first sentence.
    pub title: String,
    /// What happened and what would be lost: a few sentences.
    pub summary: String,
    /// The summary, with its instants; `None` where the receiver's own words stand there.
    pub news: Option<Sentence>,
    /// What follows the title's sentence in `news`.
    pub more_news: Sentence,
    /// The level and all of `news`.
    in_short: String,
    /// The worst alerts, at most [`MAX_DESCRIBED`].
    pub alerts: Vec<DescribedAlert>,
    /// How many alerts are not described.
    pub more: usize,
    /// What to do: a sentence for each rule that fires.
    pub advice: Vec<&'static str>,
    /// Where to go on: runbooks, the dashboard.
    pub links: Vec<Link>,
    /// The commands that silence it, while it fires.
    pub silence: Vec<String>,
    /// Why the receiver's own words are not there, though there should be some.
    pub failed_template: Option<String>,
    /// When it was decided, in UTC: everything is told as of this moment.
    pub as_of: String,
    /// The same for people: `22:13:20 UTC`.
    pub as_of_time: String,
    /// Who sends it.
    pub exporter: String,
}

/// What is said about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedAlert {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// Its severity.
    pub severity: Severity,
    /// Its rule.
    pub rule: Rule,
    /// Whether it flaps and is clear for now.
    pub up_for_now: bool,
    /// What it is about: `orders: dc1 → dc2, replica redis2:6379`.
    pub subject: String,
    /// What happened and what would be lost.
    pub headline: String,
    /// Value, threshold, times, addresses: only what is known.
    pub facts: Vec<Fact>,
}

impl Message {
    /// The built-in message for `notification`; `anchor` gives the wall time of its instants.
    pub fn new(
        notification: &Notification,
        anchor: &ClockAnchor,
        context: &MessageContext,
    ) -> Self {
        let describe = |alert: &AlertSnapshot| DescribedAlert {
            status: alert.status,
            severity: alert.severity,
            rule: alert.identity.rule,
            up_for_now: alert.is_clear_for_now(),
            subject: one_line(&facts::subject(&alert.identity)),
            headline: headline(alert, notification.decided_at, anchor).to_string(),
            facts: facts::facts(alert, notification.decided_at, anchor),
        };
        let alerts: Vec<_> = notification
            .alerts
            .iter()
            .take(MAX_DESCRIBED)
            .map(|alert| describe(alert))
            .collect();
        let news = group_news(notification, anchor);
        let level = level_of(notification);
        let told = news.clone().without_resolved();
        let in_short = one_line(&format!("[{level}] {told}"));
        let (first, more_news) = told.first_sentence(MAX_TITLE);
        let silence = if context.test {
            Vec::new()
        } else {
            links::silence_commands(notification, context)
        };
        Self {
            status: notification.status,
            severity: notification.severity,
            up_for_now: is_up_for_now(notification),
            reason: notification.reason,
            title: marked(context, &one_line(&format!("[{level}] {first}"))),
            summary: marked(context, &one_line(&news.to_string())),
            news: Some(news),
            more_news,
            in_short: marked(context, &in_short),
            more: notification.alerts.len() - alerts.len(),
            alerts,
            advice: if context.test {
                vec![TEST_ADVICE]
            } else {
                advice(notification)
            },
            links: links::links(notification, context, anchor),
            silence,
            as_of: rfc3339(anchor.wall(notification.decided_at)),
            as_of_time: time_of(notification.decided_at, anchor),
            exporter: one_line(&context.exporter),
            failed_template: None,
        }
    }

    /// The level in capitals: `CRITICAL`, `WARNING`, `RESOLVED` or `FLAPPING`.
    pub fn level(&self) -> &'static str {
        if self.up_for_now {
            FLAPPING
        } else {
            level(self.status, self.severity)
        }
    }

    /// All of it in one line, with its level: what a lock screen shows.
    pub fn in_short(&self) -> String {
        if self.news.is_some() {
            return self.in_short.clone();
        }
        format!("{}\n{}", self.title, self.summary)
    }
}

/// Why a message is sent, for people.
pub const fn reason_words(reason: NotifyReason) -> &'static str {
    match reason {
        NotifyReason::First => "new",
        NotifyReason::Escalated => "escalated to critical",
        NotifyReason::Deescalated => "no longer critical",
        NotifyReason::NewInGroup => "more alerts in this group",
        NotifyReason::HappenedAgain => "happened again",
        NotifyReason::Flapping => "flapping",
        NotifyReason::PartlyResolved => "partly resolved",
        NotifyReason::Repeat => "still firing (reminder)",
        NotifyReason::Resolved => "resolved",
    }
}

/// `text`, marked if it is a test's.
pub(super) fn marked(context: &MessageContext, text: &str) -> String {
    if context.test {
        format!("{TEST_MARK}{text}")
    } else {
        text.to_owned()
    }
}

/// `text` without its mark.
pub(super) fn unmarked<'a>(context: &MessageContext, text: &'a str) -> &'a str {
    let unmarked = text.strip_prefix(TEST_MARK).filter(|_| context.test);
    unmarked.unwrap_or(text)
}

impl DescribedAlert {
    /// The level in capitals: `CRITICAL`, `WARNING`, `RESOLVED` or `FLAPPING`.
    pub fn level(&self) -> &'static str {
        if self.up_for_now {
            FLAPPING
        } else {
            level(self.status, self.severity)
        }
    }
}

/// The level of what flaps and is clear for now.
const FLAPPING: &str = "FLAPPING";

/// Whether nothing of the group fires now, and what was notified is not over: it flaps.
fn is_up_for_now(notification: &Notification) -> bool {
    notification.status == AlertStatus::Firing && count(notification).0 == 0
}

fn level_of(notification: &Notification) -> &'static str {
    if is_up_for_now(notification) {
        FLAPPING
    } else {
        level(notification.status, notification.severity)
    }
}

/// `dc1 → dc2`, where the group has a direction.
pub fn direction(notification: &Notification) -> Option<String> {
    let label = |name: &str| notification.group.0.get(name);
    Some(format!("{} → {}", label("source_dc")?, label("target_dc")?))
}

fn level(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "RESOLVED",
        (AlertStatus::Firing, Severity::Critical) => "CRITICAL",
        (AlertStatus::Firing, Severity::Warning) => "WARNING",
    }
}

/// `500 of 500 pairs`: how much of what could break is broken.
fn of_how_many(notification: &Notification) -> Option<String> {
    let affected = notification.affected?;
    Some(format!(
        "{} of {} {}",
        affected.firing,
        affected.of,
        affected.kind.noun(affected.of)
    ))
}

/// How many alerts fire, and how many are over.
fn count(notification: &Notification) -> (usize, usize) {
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing)
        .count();
    (firing, notification.alerts.len() - firing)
}

fn time_of(at: Timestamp, anchor: &ClockAnchor) -> String {
    let clock = Clock { now: at, anchor };
    Sentence::default().at(at, clock).to_string()
}

/// What the message says: about one alert all of it, about several how many, and the one that
/// matters: the new one, or the worst.
fn group_news(notification: &Notification, anchor: &ClockAnchor) -> Sentence {
    let said = |alert: &AlertSnapshot| headline(alert, notification.decided_at, anchor);
    let (firing, resolved) = count(notification);
    let line = match notification.alerts.as_slice() {
        [] => Sentence::words("Nothing fires."),
        [only] => said(only),
        [first, ..] if is_up_for_now(notification) => Sentence::words(format!(
            "None of {resolved} alerts of this group fires now. "
        ))
        .and_line(said(first)),
        [worst, ..] if firing == 0 => Sentence::words(format!(
            "All {resolved} alerts of this group resolved. The worst: "
        ))
        .and_line(said(worst).without_resolved()),
        [worst, ..] => several(notification, (firing, resolved), said(worst), said),
    };
    if notification.held == 0 {
        return line;
    }
    line.and(format!(
        " {} more firing, suppressed by silences or maintenance.",
        notification.held
    ))
}

/// Several alerts of which some fire: the new one first where there is one, else how many and the
/// worst.
fn several(
    notification: &Notification,
    (firing, resolved): (usize, usize),
    worst: Sentence,
    said: impl Fn(&AlertSnapshot) -> Sentence,
) -> Sentence {
    let how_many = how_many(notification, firing);
    let resolved = if resolved > 0 {
        format!(", {resolved} resolved")
    } else {
        String::new()
    };
    match newest(notification) {
        Some(new) => said(new).and(format!(" In all: {how_many}{resolved}.")),
        None => Sentence::words(format!("{how_many}{resolved}. Worst: ")).and_line(worst),
    }
}

/// The alert that a message is about which says that one joined or escalated.
fn newest(notification: &Notification) -> Option<&AlertSnapshot> {
    let is_news = matches!(
        notification.reason,
        NotifyReason::NewInGroup | NotifyReason::Escalated | NotifyReason::Flapping
    );
    let known = if notification.news == 0 {
        notification.alerts.len()
    } else {
        notification.news
    };
    let firing = notification
        .alerts
        .iter()
        .take(known)
        .filter(|alert| is_news && alert.status == AlertStatus::Firing);
    let decided = firing.filter_map(|alert| Some((alert.decision?.at, alert)));
    decided.max_by_key(|(at, _)| *at).map(|(_, alert)| &**alert)
}

/// `500 of 500 pairs dc1 → dc2 stalled or down`.
fn how_many(notification: &Notification, firing: usize) -> String {
    let place = direction(notification).or_else(|| {
        let dc = notification.group.0.get("dc")?;
        Some(format!("in {dc}"))
    });
    let place = place.map_or_else(String::new, |place| format!(" {place}"));
    let firing_ones = || {
        let alerts = notification.alerts.iter();
        alerts.filter(|alert| alert.status == AlertStatus::Firing)
    };
    let rule = firing_ones().next().map(|alert| alert.identity.rule);
    let same = rule.filter(|rule| firing_ones().all(|alert| alert.identity.rule == *rule));
    let plight = same.map_or_else(String::new, |rule| format!(" {}", plight(rule)));
    match (of_how_many(notification), same) {
        (Some(affected), _) => format!("{affected}{place}{plight}"),
        (None, Some(rule)) => {
            let noun = rule.target().noun(firing);
            format!("{firing} {noun}{place}{plight}")
        }
        (None, None) => format!("{firing} alerts{place} firing"),
    }
}

/// The advice for the rules that fire, each once.
fn advice(notification: &Notification) -> Vec<&'static str> {
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing);
    let mut rules: Vec<_> = firing.map(|alert| alert.identity.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules.into_iter().map(advice_for).collect()
}

/// What to do first when `rule` fires.
pub fn advice_for(rule: Rule) -> &'static str {
    match rule {
        Rule::LagSeconds => {
            "Do not fail over now: the replica lacks that much. Compare the master's write rate with the bandwidth \
             between the datacenters, then look at the replica for slow commands, CPU and disk."
        }
        Rule::LagBytes => {
            "Do not fail over now: the replica lacks that much. Compare the master's write rate with the bandwidth, \
             and the replica's output buffer on the master with its limit: beyond it the master cuts the link."
        }
        Rule::LinkDown => "Check the network between master and replica, and the replica's log.",
        Rule::Unreachable => {
            "Check that the server runs, and the network path from this exporter to it. If others reach it, the path \
             is at fault."
        }
        Rule::Unknown => {
            "Treat the replica as unsafe for a failover until the lag is known again. The state and its reason say what is \
             missing; check that this exporter reaches both servers."
        }
        Rule::SentinelQuorum => {
            "Check that the Sentinels run and reach each other \
             across the datacenters."
        }
        Rule::FullSync => {
            "Each full sync sends the whole data set. Several in a row are a loop: raise the master's replica output buffer \
             limit and its backlog, or repl-timeout, before the next one is cut as well."
        }
        Rule::ReceiverFailing => {
            "Run test-notify for the receiver: it prints the answer. Then check its URL, key and network path."
        }
        Rule::MonitorIsolated => {
            "Check the datacenters from elsewhere before you act: probably only the exporter's own network has failed."
        }
        Rule::Diverged => {
            "Find out which of the two clients write to, and stop writes to the other. What only the one that gives way has \
             is lost when it follows the other: the state says how much that is. Copy it first if it is worth something."
        }
        Rule::HistoryLost => {
            "If the replica still has the data, keep it: run REPLICAOF NO ONE on the replica now, before its full sync is \
             loaded. Then find out what the master loaded at its start, and which of the two has the data that you want."
        }
        Rule::Failover => {
            "Check that clients write to the new master and that the old one has come back as its replica. What is not in \
             the new master's history is lost unless it is copied from the old one before that follows."
        }
        Rule::ExporterFault => {
            "The exporter cannot see this server, and nothing says that the server itself is ill. Mend what the reason \
             names: a secret or certificate file of the exporter, its TLS settings, its DNS, or the login that the server \
             refuses. Files are read anew at each attempt, so no restart is needed."
        }
        Rule::ConfigReloadFailed => {
            "Run check-config on the file that was refused and mend what it names, then reload. Do not restart before: \
             the exporter would not start."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{
        anchor, context, notification, now, pair_alert, resolved, server_alert,
    };
    use super::*;
    use crate::alert::{Affected, FlapSeries, TargetKind};
    use crate::model::Span;

    fn message(notification: &Notification) -> Message {
        Message::new(notification, &anchor(), &context())
    }

    #[test]
    fn one_alert_is_its_headline() {
        let message = message(&notification(
            NotifyReason::First,
            vec![pair_alert("orders", 0)],
        ));
        assert_eq!(
            message.title,
            "[CRITICAL] orders dc1 → dc2 2 min 10 s behind (stalled)"
        );
        let rest = "If dc1 died now: the last 2 min 10 s of writes, 4.2 MiB, would be lost. Backlog \
                    has 11.0 MiB left, then a full resync.";
        assert_eq!(message.in_short(), format!("{}. {rest}", message.title));
        assert_eq!(
            message.summary,
            format!("orders dc1 → dc2 2 min 10 s behind (stalled). {rest}")
        );
        assert_eq!(message.as_of, "2023-11-14T22:13:20.000Z");
        assert_eq!(
            (message.alerts.len(), message.more, message.advice.len()),
            (1, 0, 1)
        );
    }

    #[test]
    fn a_large_group_is_a_line_each_and_the_rest_is_counted() {
        let alerts = (0..500).map(|n| pair_alert("orders", n)).collect();
        let message = message(&notification(NotifyReason::First, alerts));
        assert_eq!(message.title, "[CRITICAL] 500 pairs dc1 → dc2 behind");
        let begin = "500 pairs dc1 → dc2 behind. Worst: orders dc1 → dc2 2 min 10 s behind";
        assert!(message.summary.starts_with(begin), "{}", message.summary);
        assert_eq!(
            (message.alerts.len(), message.more, message.advice.len()),
            (20, 480, 1)
        );
    }

    fn cut_link(firing: usize, resolved_too: usize, of: usize) -> Notification {
        let over = (firing..firing + resolved_too).map(|n| resolved(pair_alert("orders", n)));
        let alerts = (0..firing)
            .map(|n| pair_alert("orders", n))
            .chain(over)
            .collect();
        let affected = Some(Affected {
            kind: TargetKind::Pair,
            firing,
            of,
        });
        Notification {
            affected,
            ..notification(NotifyReason::First, alerts)
        }
    }

    #[test]
    fn how_much_of_it_all_is_broken_is_said_first() {
        let all = message(&cut_link(500, 0, 500));
        assert_eq!(all.title, "[CRITICAL] 500 of 500 pairs dc1 → dc2 behind");
        let part = message(&cut_link(300, 200, 501));
        assert_eq!(
            part.title,
            "[CRITICAL] 300 of 501 pairs dc1 → dc2 behind, 200 resolved"
        );
        let over = message(&cut_link(0, 3, 3));
        assert_eq!(over.title, "[RESOLVED] All 3 alerts of this group resolved");
    }

    #[test]
    fn what_joined_or_escalated_is_said_before_what_was_known() {
        let mut new = (*server_alert()).clone();
        new.decision = Some(crate::alert::Decision {
            change: crate::alert::AlertChange::Escalated,
            at: new.started_at,
            value: new.value,
        });
        let alerts = vec![pair_alert("orders", 0), std::sync::Arc::new(new)];
        let joined = message(&notification(NotifyReason::NewInGroup, alerts.clone()));
        let begin = "[CRITICAL] orders: master redis1:6379 (dc1) has not answered for 65 s";
        assert!(joined.title.starts_with(begin), "{}", joined.title);
        assert!(
            joined
                .summary
                .ends_with(" In all: 2 alerts dc1 → dc2 firing."),
            "{}",
            joined.summary
        );
        let known = message(&notification(NotifyReason::Repeat, alerts));
        assert!(
            known
                .title
                .starts_with("[CRITICAL] 2 alerts dc1 → dc2 firing")
        );
    }

    #[test]
    fn what_is_kept_quiet_and_what_flaps_is_said() {
        let series = Some(FlapSeries {
            since: now() - Span::from_secs(570),
            outages: 3,
            stable_for: Span::from_secs(300),
            muted: false,
        });
        let mut fires = (*pair_alert("orders", 0)).clone();
        fires.series = series;
        let told = Notification {
            held: 7,
            alerts: vec![Arc::new(fires)],
            ..cut_link(1, 0, 9)
        };
        let end = " Flapping: short outages are not notified until it is stable. 7 more firing, \
                   suppressed by silences or maintenance.";
        let summary = message(&told).summary;
        assert!(summary.ends_with(end), "{summary}");

        let mut clear = (*resolved(pair_alert("orders", 0))).clone();
        clear.series = series;
        let told = message(&Notification {
            status: AlertStatus::Firing,
            severity: Severity::Warning,
            ..notification(NotifyReason::Flapping, vec![Arc::new(clear)])
        });
        let begin = "[FLAPPING] orders dc1 → dc2 flapping: fired 3 times in 9 min 30 s, clear now";
        assert!(told.title.starts_with(begin), "{}", told.title);
        assert_eq!((told.level(), told.alerts[0].level()), (FLAPPING, FLAPPING));
    }

    #[test]
    fn why_a_message_is_sent_is_said_in_words() {
        let reasons = [
            NotifyReason::First,
            NotifyReason::Escalated,
            NotifyReason::Deescalated,
            NotifyReason::NewInGroup,
            NotifyReason::Flapping,
            NotifyReason::PartlyResolved,
            NotifyReason::Repeat,
            NotifyReason::Resolved,
        ];
        let words: std::collections::BTreeSet<_> = reasons.map(reason_words).into();
        assert_eq!(words.len(), reasons.len(), "{words:?}");
        assert!(
            words
                .iter()
                .all(|words| !words.contains('_') && *words != "first")
        );
        let escalated = message(&notification(
            NotifyReason::Escalated,
            vec![pair_alert("orders", 0)],
        ));
        let first = message(&notification(
            NotifyReason::First,
            vec![pair_alert("orders", 0)],
        ));
        assert_eq!(
            escalated.title, first.title,
            "the level and the footer say it"
        );
        assert_eq!(escalated.as_of_time, "22:13:20 UTC");
    }

    #[test]
    fn a_part_that_resolves_is_counted() {
        let alerts = vec![pair_alert("orders", 0), resolved(pair_alert("orders", 1))];
        let message = message(&notification(NotifyReason::PartlyResolved, alerts));
        assert_eq!(
            message.title,
            "[CRITICAL] 1 pair dc1 → dc2 behind, 1 resolved"
        );
        assert_eq!(message.alerts[1].level(), "RESOLVED");
    }

    #[test]
    fn a_resolve_says_from_when_to_when_and_gives_no_advice() {
        let message = message(&notification(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        ));
        assert_eq!(
            message.title,
            "[RESOLVED] orders dc1 → dc2: Behind 22:09:10 to 22:13:20 UTC (4 min 10 s), at worst 2 \
             min 20 s / 4.5 MiB; now 2 min 10 s, 4.2 MiB behind"
        );
        assert!(
            message
                .summary
                .starts_with("orders dc1 → dc2: resolved. Behind 22:09:10")
        );
        assert!(message.advice.is_empty());
    }

    #[test]
    fn a_server_says_what_it_is_and_whose() {
        let message = message(&notification(NotifyReason::First, vec![server_alert()]));
        assert_eq!(
            message.title,
            "[CRITICAL] orders: master redis1:6379 (dc1) has not answered for 65 s (since 22:12:15 \
             UTC)"
        );
    }

    #[test]
    fn no_name_breaks_the_line() {
        let message = message(&notification(
            NotifyReason::First,
            vec![pair_alert("or\nders\u{7}", 0)],
        ));
        for line in [&message.title, &message.summary, &message.alerts[0].subject] {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
