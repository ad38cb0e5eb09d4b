//! What delivery came to, receiver by receiver.

mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{DeliveryEvent, DeliveryEventKind, DeliveryFailure, QueueState, SuppressReason};
use super::snapshot::ReceiverSnapshot;
use crate::alert::Suppression;
use crate::config::{LevelRule, LevelThreshold, NotifySettings};
use crate::model::{Histogram, Span, Timestamp};
use crate::replication::Pause;

/// From when on a receiver that does not take its notifications is an alert, for the other
/// receivers: a restart on its side passes sooner.
pub(super) const FAILING_AFTER: Span = Span::from_secs(60);

/// How long it is an alert that a notification was refused for good, although the receiver may take
/// others.
const REFUSED_FOR: Span = Span::from_secs(15 * 60);

/// That somebody who should be told is not is always critical.
pub(super) const FAILING_RULE: LevelRule<Span> = LevelRule {
    warning: None,
    critical: Some(LevelThreshold {
        at: FAILING_AFTER,
        clear_below: FAILING_AFTER,
    }),
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// A notification that was refused for good is lost unless somebody acts: critical at once, however
/// short a time it took.
pub(super) const REFUSED_RULE: LevelRule<Span> = LevelRule {
    warning: None,
    critical: Some(LevelThreshold {
        at: Span::ZERO,
        clear_below: Span::ZERO,
    }),
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// How badly delivery to one receiver goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The receiver.
    pub(super) receiver: Arc<str>,
    /// What is wrong.
    kind: TroubleKind,
    /// Since when: from the first attempt that failed; `None` when nothing is wrong.
    since: Option<Timestamp>,
    /// What became of the last failed attempt.
    answer: Option<Arc<str>>,
}

/// What is wrong with a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TroubleKind {
    /// Nothing.
    None,
    /// Every attempt fails; notifications wait.
    Failing,
    /// A notification was refused for good lately.
    Refused,
    /// The same before a restart.
    Carried,
}

impl Trouble {
    /// The rule that fits what is wrong.
    pub(super) const fn rule(&self) -> &'static LevelRule<Span> {
        match self.kind {
            TroubleKind::None | TroubleKind::Failing => &FAILING_RULE,
            TroubleKind::Refused | TroubleKind::Carried => &REFUSED_RULE,
        }
    }

    /// Since when; `None` when nothing is wrong.
    pub(super) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// For how long; zero when nothing is wrong.
    pub(super) fn lasts(&self, now: Timestamp) -> Span {
        self.since
            .map_or(Span::ZERO, |since| (now - since).or_zero())
    }

    /// What is wrong, as a sentence.
    pub(super) fn reason(&self) -> Option<String> {
        let receiver = &self.receiver;
        let answer = self.answer.as_deref().unwrap_or("no answer is known");
        match self.kind {
            TroubleKind::None => None,
            TroubleKind::Failing => Some(format!(
                "{receiver} takes no notifications, they wait and are tried again: {answer}"
            )),
            TroubleKind::Refused => Some(format!(
                "{receiver} refused a notification: {answer} (dead letter; replay with POST \
                 /api/v1/deliveries/ID/replay once the receiver is mended)"
            )),
            TroubleKind::Carried => Some(format!(
                "{receiver} did not take its notifications before the exporter's restart"
            )),
        }
    }
}

/// Upper bounds of the delivery latency's buckets, in seconds: at once to an hour of retries.
const DELIVERY_BOUNDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0,
];

/// The receivers of one configuration, in its order. Every reason stands at zero from the start, so
/// that the first failure is an increase and not the birth of a series.
#[derive(Debug, Default)]
pub(super) struct Receivers(Vec<Receiver>);

#[derive(Debug)]
struct Receiver {
    told: ReceiverSnapshot,
    /// Since when every attempt has failed.
    failing_since: Option<Timestamp>,
    /// When a notification was last given up.
    gave_up_at: Option<Timestamp>,
    /// Since when attempts had failed then.
    gave_up_since: Option<Timestamp>,
    last_failure: Option<DeliveryFailure>,
    /// What became of the last failed attempt.
    answer: Option<Arc<str>>,
    /// When what was kept of it was taken in, after a restart.
    restored_at: Option<Timestamp>,
    /// Whether delivery had anything to say in this process.
    was_heard: bool,
    /// Whether the disk knows less than this.
    unsaved: bool,
}

impl Receivers {
    /// Changes the receivers; those whose name stays keep their counts.
    pub(super) fn reconfigure(&mut self, settings: &NotifySettings) {
        let mut old: BTreeMap<Arc<str>, Receiver> = self
            .0
            .drain(..)
            .map(|receiver| (Arc::clone(&receiver.told.name), receiver))
            .collect();
        self.0 = settings
            .receivers
            .iter()
            .map(|receiver| {
                old.remove(receiver.name.as_str())
                    .unwrap_or_else(|| Receiver::new(&receiver.name))
            })
            .collect();
    }

    /// Takes in what delivery has to say. Receivers that are no longer configured are ignored.
    pub(super) fn handle(&mut self, event: &DeliveryEvent, now: Timestamp) {
        let Some(receiver) = self.0.iter_mut().find(|r| r.told.name == event.receiver) else {
            return;
        };
        receiver.judge(event, now);
        receiver.was_heard = true;
        receiver.unsaved = true;
        let told = &mut receiver.told;
        told.queue = event.queue;
        match event.kind {
            DeliveryEventKind::Delivered { latency } => {
                told.delivered += 1;
                told.latency.observe(latency);
                told.last_success = Some(now);
            }
            DeliveryEventKind::Failed { reason, .. } => {
                *told.failed.entry(reason).or_default() += 1;
            }
            DeliveryEventKind::Suppressed { reason } => {
                *told.suppressed.entry(reason).or_default() += 1;
            }
            DeliveryEventKind::Queued => {}
        }
    }

    /// The receiver failed before a restart, by a state that does not say more: that is believed
    /// for as long as after a notification that was given up.
    pub(super) fn carry_on(&mut self, receiver: &str, now: Timestamp) {
        let mut unknown = self.0.iter_mut().filter(|r| r.restored_at.is_none());
        if let Some(receiver) = unknown.find(|r| &*r.told.name == receiver) {
            receiver.gave_up_at = Some(now);
        }
    }

    /// Takes in that the exporter was paused: a receiver did not fail meanwhile.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        for receiver in &mut self.0 {
            let since = receiver.failing_since;
            receiver.failing_since = since.map(|since| since + pause.after(since));
        }
    }

    /// Counts a notification that was not made on purpose.
    pub(super) fn suppressed(&mut self, receiver: &str, why: Suppression) {
        if let Some(receiver) = self.0.iter_mut().find(|r| &*r.told.name == receiver) {
            *receiver.told.suppressed.entry(why.into()).or_default() += 1;
        }
    }

    /// How delivery to each receiver goes, where anybody can say.
    pub(super) fn troubles(&self, now: Timestamp) -> impl Iterator<Item = Trouble> {
        let judged = self
            .0
            .iter()
            .filter(move |receiver| receiver.is_judged(now));
        judged.map(move |receiver| receiver.trouble(now))
    }

    /// All receivers.
    pub(super) fn snapshot(&self, now: Timestamp) -> Vec<ReceiverSnapshot> {
        self.0
            .iter()
            .map(|receiver| {
                let trouble = receiver.trouble(now);
                ReceiverSnapshot {
                    failing_since: trouble.since,
                    trouble: trouble.reason().map(Into::into),
                    ..receiver.told.clone()
                }
            })
            .collect()
    }
}

impl Receiver {
    fn new(name: &str) -> Self {
        Self {
            told: fresh(name),
            failing_since: None,
            gave_up_at: None,
            gave_up_since: None,
            last_failure: None,
            answer: None,
            restored_at: None,
            was_heard: false,
            unsaved: false,
        }
    }

    /// Notes how delivery goes.
    fn judge(&mut self, event: &DeliveryEvent, now: Timestamp) {
        match event.kind {
            DeliveryEventKind::Failed { reason, dead } => {
                let answer = event.answer.clone();
                self.answer = answer.or_else(|| Some(reason.label().into()));
                self.last_failure = Some(reason);
                let since = *self.failing_since.get_or_insert(now);
                if dead {
                    self.gave_up_at = Some(now);
                    self.gave_up_since = Some(since);
                }
            }
            DeliveryEventKind::Delivered { .. } => self.failing_since = None,
            _ => {}
        }
        if event.queue.depth == 0 {
            self.failing_since = None; // nothing waits: nobody can tell whether it would be taken
        }
    }

    /// Whether it is known how delivery goes: one that failed before a restart may take the next
    /// attempt, which is made soon where anything waits.
    fn is_judged(&self, now: Timestamp) -> bool {
        let waited = self.restored_at.is_none_or(|at| now - at >= FAILING_AFTER);
        self.was_heard || self.failing_since.is_none() || waited
    }

    fn trouble(&self, now: Timestamp) -> Trouble {
        let since = self.failing_since.filter(|_| self.was_heard);
        let refused = self.gave_up_at.filter(|at| now - *at < REFUSED_FOR);
        let kind = match (refused, since) {
            (Some(_), _) if self.last_failure.is_none() => TroubleKind::Carried,
            (Some(_), _) => TroubleKind::Refused,
            (None, Some(_)) => TroubleKind::Failing,
            (None, None) => TroubleKind::None,
        };
        Trouble {
            receiver: Arc::clone(&self.told.name),
            kind,
            since: refused.map(|at| self.gave_up_since.unwrap_or(at)).or(since),
            answer: self.answer.clone(),
        }
    }
}

fn fresh(name: &str) -> ReceiverSnapshot {
    ReceiverSnapshot {
        name: name.into(),
        delivered: 0,
        failed: DeliveryFailure::ALL
            .into_iter()
            .map(|reason| (reason, 0))
            .collect(),
        suppressed: SuppressReason::ALL
            .into_iter()
            .map(|reason| (reason, 0))
            .collect(),
        latency: Histogram::new(DELIVERY_BOUNDS),
        last_success: None,
        failing_since: None,
        trouble: None,
        queue: QueueState::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::config::{
        HttpSettings, ReceiverKind, ReceiverSettings, RepageOn, SecretSource, Severity,
    };

    pub(super) const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    pub(super) fn receivers() -> Receivers {
        let kind = ReceiverKind::SlackWebhook {
            url: SecretSource::File("f".into()),
        };
        let (min_severity, repage_on) = (Severity::Warning, RepageOn::default());
        let chat = ReceiverSettings {
            name: "chat".to_owned(),
            min_severity,
            matchers: BTreeMap::new(),
            fallback: None,
            group_by: None,
            repage_on,
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

    pub(super) fn hear(all: &mut Receivers, second: i64, kind: DeliveryEventKind, depth: usize) {
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
        all.troubles(at(second)).next().unwrap().lasts(at(second))
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
    fn it_fails_from_the_first_failure_to_the_next_success() {
        let mut all = receivers();
        assert_eq!(lasts(&all, 100), Span::ZERO);
        hear(&mut all, 10, FAILED, 1);
        hear(&mut all, 50, FAILED, 2);
        assert_eq!(lasts(&all, 80), Span::from_secs(70));
        let trouble = all.troubles(at(80)).next().unwrap();
        let reason = trouble.reason().unwrap();
        assert_eq!(
            reason,
            "chat takes no notifications, they wait and are tried again: HTTP 404 Not Found"
        );
        hear(&mut all, 90, DELIVERED, 1);
        assert_eq!(lasts(&all, 100), Span::ZERO);
    }

    #[test]
    fn nothing_that_waits_is_no_trouble() {
        let mut all = receivers();
        hear(&mut all, 10, FAILED, 1);
        hear(
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
    fn one_that_was_given_up_is_trouble_for_a_quarter_of_an_hour() {
        let mut all = receivers();
        hear(&mut all, 10, GIVEN_UP, 0);
        hear(&mut all, 11, DELIVERED, 0);
        let trouble = all.troubles(at(12)).next().unwrap();
        assert_eq!(*trouble.rule(), REFUSED_RULE, "critical at once");
        assert_eq!(trouble.lasts(at(12)), Span::from_secs(2), "no made-up time");
        assert_eq!(
            trouble.reason().unwrap(),
            "chat refused a notification: HTTP 404 Not Found (dead letter; replay with POST \
             /api/v1/deliveries/ID/replay once the receiver is mended)"
        );
        assert_eq!(lasts(&all, 10 + 899), Span::from_secs(899));
        assert_eq!(lasts(&all, 10 + 900), Span::ZERO);
        let trouble = all.troubles(at(10 + 900)).next().unwrap();
        assert_eq!(*trouble.rule(), FAILING_RULE);
    }

    #[test]
    fn what_is_held_back_is_counted_by_its_reason() {
        let mut all = receivers();
        all.suppressed("chat", Suppression::Inhibited);
        all.suppressed("nobody", Suppression::Inhibited);
        let counts = all.snapshot(at(0))[0].suppressed.clone();
        assert_eq!(
            counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect::<Vec<_>>(),
            [(SuppressReason::Caused, 1)]
        );
    }
}
