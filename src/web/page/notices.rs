//! The banners above every page: why it may be old, incomplete or not as configured.

use super::rows::Moment;
use crate::alert::{AlertState, Rule};
use crate::lost_writes::CaptureState;
use crate::model::{Span, Timestamp};
use crate::monitor::{FleetSnapshot, OperationPhase};
use crate::operation::OperationNotice;
use crate::replication::Gap;
use crate::report::{ExporterReport, Level, seconds_text};

/// Captures of lost writes that have a banner each: the others are counted, or banners would cover
/// the page.
const MOST_CAPTURES: usize = 3;

/// A banner over the page.
pub(super) struct Notice {
    pub(super) level: &'static str,
    pub(super) text: String,
}

impl Notice {
    fn new(level: Level, text: String) -> Self {
        Self {
            level: level.label(),
            text,
        }
    }
}

/// The notices, the most important first.
pub(super) fn notices(
    fleet: &FleetSnapshot,
    exporter: &ExporterReport,
    now: Timestamp,
) -> Vec<Notice> {
    let all = [
        stuck(exporter),
        isolated(fleet, now),
        paused(fleet, now),
        starting(exporter),
        overloaded(exporter),
        refused(fleet),
        share(fleet),
    ];
    let mut notices: Vec<Notice> = all.into_iter().flatten().collect();
    notices.extend(operations(fleet));
    notices.extend(lost_writes(fleet));
    notices
}

/// The operations that are under way or have left something open, and how others ended.
fn operations(fleet: &FleetSnapshot) -> Vec<Notice> {
    let mut notices = Vec::new();
    for operation in &*fleet.operations {
        let notice = &operation.notice;
        let OperationNotice {
            id,
            pair,
            kind,
            old,
            target,
            sentence,
            ..
        } = &**notice;
        let begin = format!("{pair}: operation {id} ({kind} from {old} to {target})");
        let is_quiet = kind.is_planned();
        let (level, text) = match operation.phase {
            OperationPhase::Running if is_quiet => (
                Level::Ok,
                format!("{begin} is under way: nobody is notified of what it causes."),
            ),
            OperationPhase::Running => (Level::Ok, format!("{begin} is under way.")),
            OperationPhase::Lapsed => (
                Level::Warning,
                format!(
                    "{begin} was interrupted: its controller has stopped reporting. On its machine: \
                     redis-cross-dc-exporter failover --status {id}."
                ),
            ),
            OperationPhase::Incomplete => (Level::Warning, format!("{begin}: {sentence}")),
            OperationPhase::Done | OperationPhase::AsBefore | OperationPhase::Refused => {
                (Level::Ok, format!("{begin}: {sentence}"))
            }
        };
        notices.push(Notice::new(level, text));
    }
    notices
}

/// Writes that only a deposed master has, or had: each is shown until a person has dealt with it.
fn lost_writes(fleet: &FleetSnapshot) -> Vec<Notice> {
    let mut notices = Vec::new();
    for status in &*fleet.captures {
        let what_to_do = match status.state {
            CaptureState::Nothing => continue,
            CaptureState::Running => "",
            CaptureState::Saved => {
                " Look at it and replay it or not, then mark it: redis-cross-dc-exporter lost-writes --done FILE."
            }
            CaptureState::Failed => " It is tried again as long as that server is a master.",
            CaptureState::Gone => " See the runbook of RedisCrossDcDiverged.",
        };
        let text = format!("{}: {status}.{what_to_do}", status.pair);
        notices.push(Notice::new(Level::Warning, text));
    }
    let more = notices.len().saturating_sub(MOST_CAPTURES);
    if more > 0 {
        notices.truncate(MOST_CAPTURES);
        let text = format!(
            "{more} more captures of lost writes wait for a person: lost_writes in /api/v1/pairs has all."
        );
        notices.push(Notice::new(Level::Warning, text));
    }
    notices
}

/// The monitor publishes nothing any more; only the web server still answers.
fn stuck(exporter: &ExporterReport) -> Option<Notice> {
    let age = seconds_text(exporter.stuck_seconds?);
    let at = Moment::from_unix(exporter.snapshot_timestamp).clock;
    let text = format!(
        "This page is stale: the monitor inside the exporter has stopped since {at} ({age}). \
         Everything below is as it was then. Restart the exporter."
    );
    Some(Notice::new(Level::Critical, text))
}

/// This exporter watches only a part of the fleet.
fn share(fleet: &FleetSnapshot) -> Option<Notice> {
    let shard = fleet.shard?;
    let text = format!(
        "This page shows only the pairs of shard {shard} (counted from 0). Other exporters watch the rest of the fleet."
    );
    Some(Notice::new(Level::Ok, text))
}

/// Every server of every other datacenter is silent at once.
fn isolated(fleet: &FleetSnapshot, now: Timestamp) -> Option<Notice> {
    let fires = |listed: &&crate::alert::ListedAlert| {
        let state = listed.state;
        listed.alert.identity.rule == Rule::MonitorIsolated
            && matches!(state, AlertState::Firing | AlertState::Recovering)
    };
    fleet.alerts.iter().find(fires)?;
    let lasts = fleet.isolation().lasts()?;
    let seconds = (lasts + (now - fleet.anchor.mono)).as_secs_f64();
    let text = format!(
        "This exporter is probably cut off: no server of another datacenter has answered it for {}. \
         Unreachable and unknown below says nothing about those servers.",
        seconds_text(seconds)
    );
    Some(Notice::new(Level::Critical, text))
}

/// The exporter did not run for a while, and some servers have not been polled since.
fn paused(fleet: &FleetSnapshot, now: Timestamp) -> Option<Notice> {
    let mut longest = Span::ZERO;
    let mut waiting = 0;
    for server in &fleet.servers {
        // The interval matters only to a gap of another kind.
        if let Some(Gap::Paused { for_ }) = server.facts.gap(now, Span::ZERO) {
            longest = longest.max(for_);
            waiting += 1;
        }
    }
    if waiting == 0 {
        return None;
    }
    let lasted = seconds_text(longest.as_secs_f64());
    let total = fleet.servers.len();
    let consequence = if waiting == 1 {
        "has not been polled since: its pairs are unknown until then."
    } else {
        "have not been polled since: their pairs are unknown until then."
    };
    let text = format!(
        "The exporter was paused for {lasted}, and {waiting} of {total} servers {consequence}"
    );
    Some(Notice::new(Level::Unknown, text))
}

fn starting(exporter: &ExporterReport) -> Option<Notice> {
    let text = "Starting: not every server has been polled yet.";
    (!exporter.ready).then(|| Notice::new(Level::Unknown, text.to_owned()))
}

/// The machine is too small or too busy for the configured intervals.
fn overloaded(exporter: &ExporterReport) -> Option<Notice> {
    let managed = exporter.overloaded.as_ref()?;
    let since = Moment::from_unix(exporter.overloaded_timestamp?).clock;
    let text = format!(
        "The exporter has been overloaded since {since}: {managed}. What is shown stays true, with \
         wider bounds; give its machine more CPU, or poll less often."
    );
    Some(Notice::new(Level::Warning, text))
}

/// The configuration on the disk is not the one at work.
fn refused(fleet: &FleetSnapshot) -> Option<Notice> {
    let reload = &fleet.reload;
    let why = &reload.failure.as_ref()?.sentence;
    let at = Moment::from_unix(reload.last_success.as_secs_f64()).text;
    let text = format!(
        "The last reload was refused: the exporter runs with the configuration of {at}. \
         {why}"
    );
    Some(Notice::new(Level::Warning, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lost_writes::CaptureStatus;
    use crate::report::testing::{Scene, fleet, fleet_after_pause};

    fn texts(fleet: &FleetSnapshot, now: Timestamp) -> Vec<String> {
        let exporter = ExporterReport::new(fleet, now);
        let notices = notices(fleet, &exporter, now);
        notices.into_iter().map(|notice| notice.text).collect()
    }

    #[test]
    fn a_healthy_page_has_no_banner() {
        let (fleet, now) = fleet(Scene::Streaming);
        assert_eq!(texts(&fleet, now), [""; 0]);
    }

    #[test]
    fn a_monitor_that_is_stuck_makes_a_stale_page() {
        let (fleet, now) = fleet(Scene::Streaming);
        let texts = texts(&fleet, now + Span::from_secs(45));
        assert!(
            texts[0].starts_with("This page is stale: the monitor inside the exporter has stopped")
                && texts[0].contains("(45.0 s)"),
            "{texts:?}"
        );
    }

    #[test]
    fn a_pause_is_a_banner_until_every_server_was_polled_again() {
        let (fleet, now) = fleet_after_pause();
        let texts = texts(&fleet, now);
        assert_eq!(
            texts,
            [
                "The exporter was paused for 42.0 s, and 1 of 2 servers has not been polled since: \
                 its pairs are unknown until then."
            ]
        );
    }

    #[test]
    fn an_overloaded_exporter_is_a_banner() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        fleet.load = Some(crate::monitor::PollingLoad {
            effective_interval: Some(Span::from_millis(2300)),
            overloaded_since: Some(now),
            interval: Span::from_secs(1),
        });
        let texts = texts(&fleet, now);
        assert!(
            texts[0].starts_with("The exporter has been overloaded since ")
                && texts[0].contains("it polls every 2.300 s instead of every 1.000 s"),
            "{texts:?}"
        );
    }

    #[test]
    fn lost_writes_are_a_banner_until_a_person_has_dealt_with_them() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        let status = |state: CaptureState, file: Option<&str>| CaptureStatus {
            pair: crate::model::PairName::new("orders"),
            deposed: crate::model::ServerAddr::new("old", 6379),
            state,
            file: file.map(std::path::PathBuf::from),
            detail: "3 commands".to_owned(),
            timestamp: 0.0,
        };
        fleet.captures = [
            status(CaptureState::Nothing, None),
            status(CaptureState::Saved, Some("/d/x.aof")),
        ]
        .into();
        let texts = texts(&fleet, now);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(
            texts[0].starts_with(
                "orders: the writes that only old:6379 had are saved in /d/x.aof: 3 commands. Look at it"
            ),
            "{texts:?}"
        );
    }

    #[test]
    fn captures_of_many_pairs_do_not_cover_the_page() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        let captures = (0..40).map(|n| CaptureStatus {
            pair: crate::model::PairName::new(&format!("p{n}")),
            deposed: crate::model::ServerAddr::new("old", 6379),
            state: CaptureState::Saved,
            file: Some(std::path::PathBuf::from("/d/x.aof")),
            detail: "3 commands".to_owned(),
            timestamp: 0.0,
        });
        fleet.captures = captures.collect();
        let texts = texts(&fleet, now);
        assert_eq!(texts.len(), MOST_CAPTURES + 1);
        assert!(
            texts[MOST_CAPTURES].starts_with("37 more captures of lost writes"),
            "{texts:?}"
        );
    }

    #[test]
    fn a_refused_reload_is_a_banner() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        fleet.reload.failure = Some(crate::monitor::ReloadFailure {
            since: now,
            sentence: "pol: is not a known key".into(),
        });
        let texts = texts(&fleet, now);
        assert!(
            texts[0].starts_with("The last reload was refused")
                && texts[0].ends_with("pol: is not a known key"),
            "{texts:?}"
        );
    }
}
