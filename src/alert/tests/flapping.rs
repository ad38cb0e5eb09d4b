//! Alerts that flap: they are shown as they are, their short outages are not notified, and nobody
//! is ever notified that something fires which is clear.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::alert::testing::{GROUP_INTERVAL, Simulation, at, key, settings};
use crate::alert::{
    AlertEngine, AlertState, AlertStatus, Evaluation, Instance, Notification, NotifyReason,
    Reading, RuleInput, Suppression,
};
use crate::config::{FlappingRule, LevelRule, LevelThreshold, NotifySettings, Severity};
use crate::model::Span;

const FLAPPING: FlappingRule = FlappingRule {
    changes: 2,
    window: Span::from_secs(100),
    stable_for: Span::from_secs(10),
};

/// Warning at 30 s, critical at 60 s.
fn rule(keep_firing_for: i64) -> LevelRule<Span> {
    let level = |at| {
        Some(LevelThreshold {
            at: Span::from_secs(at),
            clear_below: Span::from_secs(at),
        })
    };
    LevelRule {
        warning: level(30),
        critical: level(60),
        pending_for: Span::ZERO,
        keep_firing_for: Span::from_secs(keep_firing_for),
    }
}

/// What a letter reads as: `x` is a warning, `X` critical, `.` clear.
fn seconds_of(letter: char) -> i64 {
    match letter {
        'x' => 40,
        'X' => 70,
        _ => 0,
    }
}

/// One value a second and what each changes, as `second change`, with `muted` where nobody is
/// notified of it.
fn changes(values: &str) -> Vec<String> {
    let mut instance = Instance::default();
    let mut seen = Vec::new();
    for (second, value) in (0..).zip(values.chars()) {
        let reading = Reading::exact(Span::from_secs(seconds_of(value)));
        let change = instance.step(at(second), &rule(0), Some(&FLAPPING), &reading);
        instance.mark_own_outage();
        let series = instance.status().and_then(|status| status.series);
        let muted = if series.is_some_and(|series| series.muted) {
            " muted"
        } else {
            ""
        };
        seen.extend(change.map(|change| format!("{second} {}{muted}", change.label())));
    }
    seen
}

/// After two outages it flaps.
const TWO: [&str; 4] = ["0 fired", "1 resolved", "2 fired", "3 resolved"];

#[test]
fn a_flapping_alert_is_shown_as_it_is_and_settles_when_it_is_clear_for_long_enough() {
    assert_eq!(changes("x.x."), TWO);
    let third = ["4 fired muted", "5 resolved"];
    let settled = [&TWO[..], &third, &["15 settled"]].concat();
    assert_eq!(changes("x.x.x............"), settled);
    let fourth = ["4 fired muted", "5 resolved", "6 fired muted", "7 resolved"];
    let settled = [
        &TWO[..],
        &fourth,
        &["17 settled", "20 fired", "21 resolved"],
    ]
    .concat();
    assert_eq!(changes("x.x.x.x.............x."), settled);
}

#[test]
fn a_long_outage_is_not_muted() {
    let lasts = ["4 fired muted", "14 settled", "18 resolved"];
    assert_eq!(changes("x.x.xxxxxxxxxxxxxx."), [&TWO[..], &lasts].concat());
}

#[test]
fn a_critical_outage_is_not_muted() {
    let critical = [
        "4 fired muted",
        "5 escalated",
        "6 resolved",
        "7 fired muted",
        "8 resolved",
    ];
    assert_eq!(changes("x.x.xX.x."), [&TWO[..], &critical].concat());
    // Without a warning before, one in ten seconds is enough.
    let at_once = ["4 fired", "5 resolved", "6 fired muted", "7 resolved"];
    assert_eq!(changes("x.x.X.X."), [&TWO[..], &at_once].concat());
}

#[test]
fn escalations_do_not_count_as_outages() {
    let up_and_down = [
        "0 fired",
        "1 escalated",
        "2 deescalated",
        "3 escalated",
        "4 resolved",
    ];
    assert_eq!(changes("xXxX.x"), [&up_and_down[..], &["5 fired"]].concat());
}

/// Pairs whose values come second by second, and receivers of what they do.
struct World {
    engine: AlertEngine,
    simulation: Simulation,
    rule: LevelRule<Span>,
    second: i64,
}

impl World {
    fn new(receivers: &[&str], keep_firing_for: i64) -> Self {
        let settings = NotifySettings {
            flapping: Some(FLAPPING),
            ..settings(receivers)
        };
        Self {
            engine: AlertEngine::new(&settings),
            simulation: Simulation::new(&settings),
            rule: rule(keep_firing_for),
            second: 0,
        }
    }

    /// Lets a second pass in which these are the values, by pair. Returns the notifications.
    fn second(&mut self, values: &BTreeMap<&str, char>) -> Vec<Notification> {
        let now = at(self.second);
        self.second += 1;
        for (pair, value) in values {
            let reading = Reading::exact(Span::from_secs(seconds_of(*value)));
            let evaluation = Evaluation {
                key: &key(pair),
                input: RuleInput::Seconds {
                    rule: &self.rule,
                    reading,
                },
                context: &Arc::default,
            };
            if let Some(transition) = self.engine.evaluate(now, evaluation) {
                self.simulation.record_at(now, &transition.alert);
            }
        }
        self.engine.update_inhibition(now);
        for alert in self.engine.take_recovery_changes() {
            self.simulation.record_at(now, &alert);
        }
        let before = self.simulation.notifications.len();
        self.simulation.advance(now);
        self.simulation.notifications[before..].to_vec()
    }

    /// One pair's values, second by second: the notifications of `receiver`, as `second reason
    /// generation`.
    fn notified(&mut self, values: &str, receiver: &str) -> Vec<String> {
        let mut notified = Vec::new();
        for value in values.chars() {
            let second = self.second;
            for notification in self.second(&BTreeMap::from([("a", value)])) {
                if &*notification.receiver == receiver {
                    notified.push(format!(
                        "{second} {} {}",
                        notification.reason.label(),
                        notification.generation
                    ));
                }
            }
        }
        notified
    }
}

#[test]
fn short_outages_of_a_flapping_alert_are_counted_and_not_notified() {
    let mut world = World::new(&["chat"], 0);
    let short = "xxxxxx......".repeat(6) + &".".repeat(10);
    let notified = [
        "5 first 0",
        "6 resolved 0",
        "17 first 0",
        "18 flapping 0",
        "76 resolved 0",
    ];
    assert_eq!(world.notified(&short, "chat"), notified);
    let suppressed = &world.simulation.suppressed;
    assert_eq!(suppressed.len(), 4, "the outages from the third on");
    assert!(
        suppressed
            .iter()
            .all(|(_, why)| *why == Suppression::Flapping)
    );
}

#[test]
fn short_outages_that_were_not_notified_stay_so() {
    let mut world = World::new(&["chat"], 0);
    let notified = world.notified(&("x..".repeat(20) + &".".repeat(20)), "chat");
    assert_eq!(notified, Vec::<String>::new());
    assert_eq!(world.simulation.groups.next_wakeup(), None);
}

#[test]
fn a_critical_outage_of_a_flapping_alert_pages_each_time() {
    let values = "xxxxxx..xxxxxx..xxXXXXXX..xxXXXXXX............";
    let mut world = World::new(&["oncall:critical"], 0);
    let notified = world.notified(values, "oncall");
    let pages = [
        "23 first 0",
        "24 flapping 0",
        "28 escalated 1",
        "34 flapping 1",
        "44 resolved 1",
    ];
    assert_eq!(notified, pages);
    let mut world = World::new(&["chat"], 0);
    let first = ["5 first 0", "6 resolved 0", "13 first 0", "14 flapping 0"];
    let then = [
        "18 escalated 1",
        "24 flapping 1",
        "28 escalated 2",
        "34 flapping 2",
    ];
    let all = [&first[..], &then, &["44 resolved 2"]].concat();
    assert_eq!(world.notified(values, "chat"), all);
}

#[test]
fn an_alert_whose_value_is_clear_is_not_notified_as_firing() {
    let mut world = World::new(&["chat"], 20);
    // Past the threshold for two seconds, clear since: the group's wait ends while it is clear.
    let notified = world.notified(&("xx".to_owned() + &".".repeat(30)), "chat");
    assert_eq!(notified, Vec::<String>::new());
    let notified = world.notified("xx.....xxxxxxxx", "chat");
    assert_eq!(notified, ["44 first 0"], "five seconds after it came back");
}

#[test]
fn flapping_that_is_switched_off_leaves_nothing_open() {
    let mut world = World::new(&["chat"], 0);
    world.notified("xxxxxx.xxxxxx..", "chat");
    world.engine.reconfigure(&settings(&["chat"]));
    assert_eq!(world.notified(".", "chat"), ["15 resolved 0"]);
}

/// What one receiver believes: which pairs are down, and which flap and are up for now.
#[derive(Default)]
struct Belief {
    down: BTreeSet<String>,
    up_for_now: BTreeSet<String>,
}

impl Belief {
    /// Receives a notification while the pairs have these values.
    fn receive(&mut self, notification: &Notification, values: &BTreeMap<&str, char>) {
        let known: BTreeSet<_> = self.down.union(&self.up_for_now).cloned().collect();
        self.down.clear();
        self.up_for_now.clear();
        for alert in &notification.alerts {
            let pair = alert.identity.labels["pair"].clone();
            let is_clear = values[pair.as_str()] == '.';
            match alert.status {
                AlertStatus::Firing if known.contains(&pair) => {}
                AlertStatus::Firing => {
                    assert!(!is_clear, "{pair} is clear, and is notified as firing");
                }
                AlertStatus::Resolved => {
                    assert!(
                        known.contains(&pair),
                        "{pair} ends, and was never notified as firing"
                    );
                }
            }
            if alert.status == AlertStatus::Firing {
                self.down.insert(pair);
            } else if alert.series.is_some() {
                assert!(is_clear, "{pair} is notified as clear for now");
                self.up_for_now.insert(pair);
            }
        }
        let is_open = !self.down.is_empty() || !self.up_for_now.is_empty();
        assert_eq!(notification.status == AlertStatus::Firing, is_open);
        assert_eq!(notification.reason == NotifyReason::Resolved, !is_open);
    }
}

proptest! {
    // Each case is some minutes, second by second.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes and goes: nothing is notified as firing that is clear, or as ended that was
    /// never notified, and everything that was notified as firing ends.
    #[test]
    fn notifications_of_a_flapping_alert_are_true_and_leave_nothing_open(
        keep in 0_i64..4,
        phases in vec((0..2_usize, select(vec!['x', 'X', '.', '.']), 1_i64..9), 1..40),
    ) {
        let mut world = World::new(&["chat", "oncall:critical"], keep);
        let mut beliefs = BTreeMap::from([("chat", Belief::default()), ("oncall", Belief::default())]);
        let mut values = BTreeMap::from([("a", '.'), ("b", '.')]);
        let quiet = GROUP_INTERVAL + 30;
        let end = [(0, '.', 1), (1, '.', quiet)];
        for (pair, value, seconds) in phases.into_iter().chain(end) {
            values.insert(["a", "b"][pair], value);
            for _ in 0..seconds {
                for notification in world.second(&values) {
                    let belief = beliefs.get_mut(&*notification.receiver).unwrap();
                    belief.receive(&notification, &values);
                }
                for listed in world.engine.listed() {
                    let pair = &listed.alert.identity.labels["pair"];
                    let is_clear = values[pair.as_str()] == '.';
                    prop_assert!(!is_clear || listed.state != AlertState::Firing);
                }
            }
        }
        for (receiver, belief) in beliefs {
            prop_assert!(belief.down.is_empty() && belief.up_for_now.is_empty(), "{}", receiver);
        }
        prop_assert_eq!(world.simulation.groups.next_wakeup(), None);
    }
}

#[test]
fn a_flapping_alert_is_kept_longer_than_resolved_ones() {
    let mut world = World::new(&["chat"], 0);
    world.notified("x.x.", "chat");
    let severity = world.engine.snapshot(&key("a")).map(|alert| alert.severity);
    assert_eq!(severity, Some(Severity::Warning));
    world.engine.expire(at(100_000));
    assert!(world.engine.snapshot(&key("a")).is_some());
}
