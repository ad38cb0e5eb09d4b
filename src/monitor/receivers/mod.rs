//! The health of each receiver: counters and times of its deliveries, and what is wrong with it.

mod problem;
mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::snapshot::ReceiverSnapshot;
use crate::alert::Suppression;
use crate::config::NotifySettings;
use crate::delivery::{
    DeliveryEvent, DeliveryEventKind, DeliveryFailure, QueueState, SuppressReason,
};
use crate::model::{Histogram, Span, Timestamp};
use crate::replication::Pause;
pub(super) use problem::ReceiverProblem;
use problem::{FAILING_AFTER, ProblemKind};

/// How long it is an alert that a notification was refused for good, even if the receiver takes
/// others.
const REFUSED_FOR: Span = Span::from_secs(15 * 60);

/// Upper bounds of the delivery latency's buckets, in seconds: at once to an hour of retries.
const DELIVERY_BOUNDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0,
];

/// The receivers of one configuration, in its order.
#[derive(Debug, Default)]
pub(super) struct Receivers(Vec<ReceiverHealth>);

/// One receiver.
#[derive(Debug)]
struct ReceiverHealth {
    /// What is shown of it, but for what is wrong at the moment.
    shown: ReceiverSnapshot,
    /// Since when every attempt has failed.
    failing_since: Option<Timestamp>,
    /// When a notification was last given up.
    gave_up_at: Option<Timestamp>,
    /// Since when attempts had failed then.
    gave_up_since: Option<Timestamp>,
    last_failure: Option<DeliveryFailure>,
    /// The outcome of the last failed attempt.
    answer: Option<Arc<str>>,
    /// When its saved state was restored, after a restart.
    restored_at: Option<Timestamp>,
    /// Whether there was any delivery event in this process.
    has_events: bool,
    /// Whether anything changed since the last save.
    unsaved: bool,
}

impl Receivers {
    /// Changes the receivers; those whose name stays keep their counts.
    pub(super) fn reconfigure(&mut self, settings: &NotifySettings) {
        let mut known: BTreeMap<Arc<str>, ReceiverHealth> = BTreeMap::new();
        for receiver in self.0.drain(..) {
            known.insert(Arc::clone(&receiver.shown.name), receiver);
        }
        for receiver in &settings.receivers {
            let name = receiver.name.as_str();
            let kept = known.remove(name);
            self.0
                .push(kept.unwrap_or_else(|| ReceiverHealth::new(name)));
        }
    }

    /// Records a delivery event. Receivers that are no longer configured are ignored.
    pub(super) fn handle(&mut self, event: &DeliveryEvent, now: Timestamp) {
        if let Some(receiver) = self.find_mut(&event.receiver) {
            receiver.handle(event, now);
        }
    }

    /// The receiver failed before a restart, and nothing more was saved of it: that counts like a
    /// notification that was given up at `now`.
    pub(super) fn resume(&mut self, receiver: &str, now: Timestamp) {
        if let Some(receiver) = self.find_mut(receiver)
            && receiver.restored_at.is_none()
        {
            receiver.gave_up_at = Some(now);
        }
    }

    /// The exporter was paused: no receiver failed meanwhile.
    pub(super) fn exporter_paused(&mut self, pause: Pause) {
        for receiver in &mut self.0 {
            if let Some(since) = &mut receiver.failing_since {
                *since += pause.after(*since);
            }
        }
    }

    /// Counts a notification that was suppressed before it was made.
    pub(super) fn count_suppressed(&mut self, receiver: &str, why: Suppression) {
        if let Some(receiver) = self.find_mut(receiver) {
            receiver.count_suppressed(why.into());
        }
    }

    /// How delivery to each receiver goes, where that is known.
    pub(super) fn problems(&self, now: Timestamp) -> impl Iterator<Item = ReceiverProblem> {
        self.0
            .iter()
            .filter(move |receiver| receiver.is_judged(now))
            .map(move |receiver| receiver.problem(now))
    }

    /// Whether nothing is wrong with any of them, nor was lately.
    pub(super) fn are_fine(&self) -> bool {
        self.0.iter().all(ReceiverHealth::is_fine)
    }

    /// All receivers.
    pub(super) fn snapshot(&self, now: Timestamp) -> Vec<ReceiverSnapshot> {
        let receivers = self.0.iter();
        receivers.map(|receiver| receiver.snapshot(now)).collect()
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut ReceiverHealth> {
        self.0
            .iter_mut()
            .find(|receiver| &*receiver.shown.name == name)
    }
}

impl ReceiverHealth {
    /// A receiver to which nothing was sent yet.
    fn new(name: &str) -> Self {
        Self {
            shown: empty_snapshot(name),
            failing_since: None,
            gave_up_at: None,
            gave_up_since: None,
            last_failure: None,
            answer: None,
            restored_at: None,
            has_events: false,
            unsaved: false,
        }
    }

    fn handle(&mut self, event: &DeliveryEvent, now: Timestamp) {
        self.has_events = true;
        self.unsaved = true;
        self.shown.queue = event.queue;
        match event.kind {
            DeliveryEventKind::Delivered { latency } => {
                self.shown.latency.observe(latency);
                self.accepted(now);
            }
            DeliveryEventKind::PartlyDelivered => self.accepted(now),
            DeliveryEventKind::Failed { reason, dead } => {
                self.answer = match &event.answer {
                    Some(answer) => Some(Arc::clone(answer)),
                    None => Some(reason.label().into()),
                };
                self.failed(reason, dead, now);
            }
            DeliveryEventKind::Suppressed { reason } => self.count_suppressed(reason),
            DeliveryEventKind::Queued => {}
        }
        if event.queue.depth == 0 {
            // Nothing waits: whether the receiver would accept it is not known.
            self.failing_since = None;
        }
    }

    fn accepted(&mut self, now: Timestamp) {
        self.failing_since = None;
        self.shown.accepted += 1;
        self.shown.last_success = Some(now);
    }

    fn failed(&mut self, reason: DeliveryFailure, dead: bool, now: Timestamp) {
        *self.shown.failed.entry(reason).or_default() += 1;
        self.last_failure = Some(reason);
        let since = *self.failing_since.get_or_insert(now);
        if dead {
            self.gave_up_at = Some(now);
            self.gave_up_since = Some(since);
        }
    }

    fn count_suppressed(&mut self, reason: SuppressReason) {
        *self.shown.suppressed.entry(reason).or_default() += 1;
    }

    /// Whether it is known how delivery goes. A receiver that failed before a restart may take the
    /// next attempt, which is made soon if anything waits.
    fn is_judged(&self, now: Timestamp) -> bool {
        if self.has_events || self.failing_since.is_none() {
            return true;
        }
        self.restored_at.is_none_or(|at| now - at >= FAILING_AFTER)
    }

    const fn is_fine(&self) -> bool {
        self.failing_since.is_none() && self.gave_up_at.is_none()
    }

    fn problem(&self, now: Timestamp) -> ReceiverProblem {
        let mut problem = ReceiverProblem {
            receiver: Arc::clone(&self.shown.name),
            kind: ProblemKind::None,
            since: None,
            answer: self.answer.clone(),
        };
        if let Some(at) = self.gave_up_at
            && now - at < REFUSED_FOR
        {
            problem.kind = match self.last_failure {
                Some(_) => ProblemKind::Refused,
                None => ProblemKind::FailedBeforeRestart,
            };
            problem.since = Some(self.gave_up_since.unwrap_or(at));
        } else if let Some(since) = self.failing_since
            && self.has_events
        {
            problem.kind = ProblemKind::Failing;
            problem.since = Some(since);
        }
        problem
    }

    fn snapshot(&self, now: Timestamp) -> ReceiverSnapshot {
        let problem = self.problem(now);
        ReceiverSnapshot {
            failing_since: problem.since(),
            trouble: problem.reason().map(Into::into),
            ..self.shown.clone()
        }
    }
}

/// Every reason is at zero from the start, so that the first failure is an increase of its counter
/// and not a new series.
fn empty_snapshot(name: &str) -> ReceiverSnapshot {
    let failed = DeliveryFailure::ALL.map(|reason| (reason, 0));
    let suppressed = SuppressReason::ALL.map(|reason| (reason, 0));
    ReceiverSnapshot {
        name: name.into(),
        accepted: 0,
        failed: failed.into(),
        suppressed: suppressed.into(),
        latency: Histogram::new(DELIVERY_BOUNDS),
        last_success: None,
        failing_since: None,
        trouble: None,
        queue: QueueState::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::problem::{FAILING_RULE, REFUSED_RULE};
    use super::*;
    use crate::config::testing::settings_of;
    use crate::config::{
        HttpSettings, ReceiverKind, ReceiverSettings, RepageOn, SecretSource, Severity,
        SlackWebhookSettings,
    };

    pub(super) const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    pub(super) fn receivers() -> Receivers {
        let kind = ReceiverKind::from(SlackWebhookSettings::to(SecretSource::File("f".into())));
        let chat = ReceiverSettings {
            name: "chat".to_owned(),
            min_severity: Severity::Warning,
            matchers: BTreeMap::new(),
            fallback: None,
            group_by: None,
            repage_on: RepageOn::default(),
            kind,
            http: HttpSettings::default(),
            template: crate::config::TemplateSettings::default(),
        };
        let mut all = Receivers::default();
        all.reconfigure(&NotifySettings {
            receivers: vec![chat],
            ..settings_of(&[]).notify
        });
        all
    }

    pub(super) fn report(all: &mut Receivers, second: i64, kind: DeliveryEventKind, depth: usize) {
        let queue = QueueState {
            depth,
            ..QueueState::default()
        };
        all.handle(
            &DeliveryEvent {
                receiver: "chat".into(),
                kind,
                queue,
                answer: Some("HTTP 404 Not Found".into()),
            },
            at(second),
        );
    }

    pub(super) fn lasts(all: &Receivers, second: i64) -> Span {
        all.problems(at(second)).next().unwrap().lasts(at(second))
    }

    pub(super) const FAILED: DeliveryEventKind = DeliveryEventKind::Failed {
        reason: DeliveryFailure::Server,
        dead: false,
    };
    pub(super) const GIVEN_UP: DeliveryEventKind = DeliveryEventKind::Failed {
        reason: DeliveryFailure::Client,
        dead: true,
    };
    pub(super) const DELIVERED: DeliveryEventKind = DeliveryEventKind::Delivered {
        latency: Span::ZERO,
    };

    #[test]
    fn a_receiver_fails_from_the_first_failure_to_the_next_success() {
        let mut all = receivers();
        assert_eq!(lasts(&all, 100), Span::ZERO);
        report(&mut all, 10, FAILED, 1);
        report(&mut all, 50, FAILED, 2);
        assert_eq!(lasts(&all, 80), Span::from_secs(70));
        let problem = all.problems(at(80)).next().unwrap();
        let reason = problem.reason().unwrap();
        assert_eq!(
            reason,
            "chat takes no notifications, they wait and are tried again: HTTP 404 Not Found"
        );
        report(&mut all, 90, DELIVERED, 1);
        assert_eq!(lasts(&all, 100), Span::ZERO);
    }

    #[test]
    fn every_request_of_a_notification_is_an_attempt() {
        let mut all = receivers();
        report(&mut all, 10, FAILED, 1);
        report(&mut all, 11, DeliveryEventKind::PartlyDelivered, 1);
        assert_eq!(lasts(&all, 100), Span::ZERO, "it accepts again");
        report(&mut all, 12, DELIVERED, 0);
        let [shown] = &all.snapshot(at(13))[..] else {
            panic!("one receiver");
        };
        assert_eq!(shown.attempts(), 3);
        assert_eq!(shown.last_success, Some(at(12)));
    }

    #[test]
    fn a_receiver_for_which_nothing_waits_is_no_problem() {
        let mut all = receivers();
        report(&mut all, 10, FAILED, 1);
        report(
            &mut all,
            20,
            DeliveryEventKind::Suppressed {
                reason: SuppressReason::NeverDelivered,
            },
            0,
        );
        assert_eq!(lasts(&all, 1000), Span::ZERO);
    }

    #[test]
    fn a_notification_that_was_given_up_is_a_problem_for_a_quarter_of_an_hour() {
        let mut all = receivers();
        report(&mut all, 10, GIVEN_UP, 0);
        report(&mut all, 11, DELIVERED, 0);
        let problem = all.problems(at(12)).next().unwrap();
        assert_eq!(*problem.rule(), REFUSED_RULE, "critical at once");
        assert_eq!(problem.lasts(at(12)), Span::from_secs(2), "no made-up time");
        assert_eq!(
            problem.reason().unwrap(),
            "chat refused a notification: HTTP 404 Not Found (dead letter; replay with POST \
             /api/v1/deliveries/ID/replay once the receiver is mended)"
        );
        assert_eq!(lasts(&all, 10 + 899), Span::from_secs(899));
        assert_eq!(lasts(&all, 10 + 900), Span::ZERO);
        let problem = all.problems(at(10 + 900)).next().unwrap();
        assert_eq!(*problem.rule(), FAILING_RULE);
    }

    #[test]
    fn suppressed_notifications_are_counted_by_reason() {
        let mut all = receivers();
        all.count_suppressed("chat", Suppression::Inhibited);
        all.count_suppressed("unknown", Suppression::Inhibited);
        let counts = all.snapshot(at(0))[0].suppressed.clone();
        assert_eq!(
            counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect::<Vec<_>>(),
            [(SuppressReason::Inhibited, 1)]
        );
    }
}
