//! Whether this exporter keeps its polling intervals, and which interval it manages.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::alert::AlertContext;
use crate::config::{LevelRule, LevelThreshold};
use crate::model::{Span, Timestamp};

/// What is judged: a busy second is no overload.
const WINDOW: Span = Span::from_secs(30);

/// How often the counts are kept.
const KEEP_EVERY: Span = Span::from_secs(1);

/// The share of its rounds that an overloaded exporter misses at least.
const MISSED_SHARE: f64 = 0.1;

/// The share of the time that its own tasks wait for the processor at least. Without it the rounds
/// were missed because of servers that answer slowly.
const DELAY_SHARE: f64 = 0.05;

/// Servers are still observed correctly, only more rarely: a warning, once it lasts.
pub(super) const OVERLOAD_RULE: LevelRule<Span> = LevelRule {
    warning: Some(LevelThreshold {
        at: Span::from_secs(120),
        clear_below: Span::from_millis(1),
    }),
    critical: None,
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// What polling has done, and what it has lost by the fault of this program or its machine, since
/// the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollCounts {
    /// Answers and failures that found the monitor's queue full.
    pub dropped_events: u64,
    /// Base rounds of all trees that have begun.
    pub rounds: u64,
    /// Base rounds whose time had passed before they could begin.
    pub missed_rounds: u64,
    /// For how long this program's own tasks have waited for the processor.
    pub own_delay: Span,
    /// The planned interval between two base rounds of a tree.
    pub interval: Span,
    /// The interval in force: longer, where the exporter does not keep up with the planned one.
    pub paced: Span,
}

/// How the exporter has kept its intervals within the last half minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PollingLoad {
    /// The average time between two base rounds of a tree. `None` before any has begun, and while
    /// none does.
    pub effective_interval: Option<Span>,
    /// Since when it has not kept its intervals; `None` while it does.
    pub overloaded_since: Option<Timestamp>,
    /// The planned interval between two base rounds of a tree.
    pub interval: Span,
}

/// The counts of the last half minute, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// A count a second, the oldest first; no more than a window of them.
    kept: VecDeque<(Timestamp, PollCounts)>,
    load: Option<PollingLoad>,
}

impl Overload {
    /// Records the counts at `now`.
    pub(super) fn record(&mut self, counts: PollCounts, now: Timestamp) {
        let is_due = self
            .kept
            .back()
            .is_none_or(|(at, _)| now - *at >= KEEP_EVERY);
        if !is_due {
            return;
        }
        if self
            .kept
            .back()
            .is_some_and(|(_, before)| before.paced != counts.paced)
        {
            // Rounds of another interval cannot be counted together with those of this one.
            self.kept.clear();
        }
        while self.kept.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.kept.pop_front();
        }
        if let Some((begin, before)) = self.kept.front() {
            let window = Window::between(*before, counts, now - *begin);
            self.load = Some(self.judge(&window, now));
        }
        self.kept.push_back((now, counts));
    }

    fn judge(&self, window: &Window, now: Timestamp) -> PollingLoad {
        let overloaded_since = if window.is_overloaded() {
            let earlier = self.load.and_then(|load| load.overloaded_since);
            Some(earlier.unwrap_or(now))
        } else {
            None
        };
        PollingLoad {
            effective_interval: window.effective_interval(),
            overloaded_since,
            interval: window.counts.interval,
        }
    }

    /// The exporter was paused. What it missed meanwhile says nothing about how it keeps its
    /// intervals when it runs: that is not known until it has run for a while.
    pub(super) fn exporter_paused(&mut self) {
        self.kept.clear();
        self.load = None;
    }

    /// How the intervals are kept; `None` in the first second, and in the one after a pause.
    pub(super) const fn load(&self) -> Option<PollingLoad> {
        self.load
    }
}

/// What happened in a window of time.
struct Window {
    length: Span,
    counts: PollCounts,
}

impl Window {
    fn between(before: PollCounts, after: PollCounts, length: Span) -> Self {
        let counts = PollCounts {
            dropped_events: after.dropped_events - before.dropped_events,
            rounds: after.rounds - before.rounds,
            missed_rounds: after.missed_rounds - before.missed_rounds,
            own_delay: after.own_delay - before.own_delay,
            interval: after.interval,
            paced: after.paced,
        };
        Self { length, counts }
    }

    fn planned_rounds(&self) -> u64 {
        self.counts.rounds + self.counts.missed_rounds
    }

    fn effective_interval(&self) -> Option<Span> {
        if self.counts.rounds == 0 {
            return None;
        }
        let stretch = self.planned_rounds() as f64 / self.counts.rounds as f64;
        Some(self.counts.paced.mul_f64(stretch))
    }

    fn is_overloaded(&self) -> bool {
        if self.counts.dropped_events > 0 || self.counts.paced > self.counts.interval {
            return true;
        }
        let most_missed = self.planned_rounds() as f64 * MISSED_SHARE;
        let most_delay = self.length.mul_f64(DELAY_SHARE);
        self.counts.missed_rounds as f64 > most_missed && self.counts.own_delay > most_delay
    }
}

impl PollingLoad {
    /// For how long the exporter has been overloaded at `now`; zero while it is not.
    pub fn overloaded_for(&self, now: Timestamp) -> Span {
        match self.overloaded_since {
            Some(since) => (now - since).max(Span::from_millis(1)),
            None => Span::ZERO,
        }
    }

    /// What the exporter manages, as a sentence without a full stop.
    pub fn sentence(&self) -> String {
        let planned = self.interval;
        match self.effective_interval {
            Some(effective) => format!("it polls every {effective} instead of every {planned}"),
            None => format!("it has begun no round of polls, and {planned} is the interval"),
        }
    }

    /// The context of the alert about it at `now`.
    pub(super) fn context(&self, now: Timestamp) -> Arc<AlertContext> {
        let since = self.overloaded_since;
        Arc::new(AlertContext {
            reason: since.map(|_| self.sentence()),
            fault_since: since,
            fault_until: since.is_none().then_some(now),
            ..AlertContext::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::default() + Span::from_secs(seconds)
    }

    /// What a second adds to the counts: rounds, missed rounds, own delay in milliseconds.
    type Second = (u64, u64, i64);

    /// The load after as many seconds of each kind.
    fn after(seconds: &[(i64, Second)]) -> (Overload, PollCounts, Timestamp) {
        let mut overload = Overload::default();
        let mut counts = PollCounts {
            interval: Span::from_secs(1),
            paced: Span::from_secs(1),
            ..PollCounts::default()
        };
        let mut now = at(100);
        overload.record(counts, now);
        for (count, (rounds, missed, delay)) in seconds {
            for _ in 0..*count {
                now += Span::from_secs(1);
                counts.rounds += rounds;
                counts.missed_rounds += missed;
                counts.own_delay = counts.own_delay + Span::from_millis(*delay);
                overload.record(counts, now);
            }
        }
        (overload, counts, now)
    }

    #[test]
    fn an_exporter_that_keeps_its_intervals_is_not_overloaded() {
        let (overload, ..) = after(&[(60, (100, 0, 10))]);
        let load = overload.load().unwrap();
        assert_eq!(load.effective_interval, Some(Span::from_secs(1)));
        assert_eq!(load.overloaded_since, None);
    }

    #[test]
    fn a_busy_second_is_no_overload() {
        let (overload, ..) = after(&[(30, (100, 0, 0)), (1, (0, 100, 900)), (29, (100, 0, 0))]);
        assert_eq!(overload.load().unwrap().overloaded_since, None);
    }

    #[test]
    fn an_exporter_that_misses_half_of_its_rounds_is_overloaded_until_it_keeps_them() {
        let (overload, mut counts, mut now) = after(&[(60, (100, 0, 0)), (60, (50, 50, 500))]);
        let load = overload.load().unwrap();
        assert_eq!(load.effective_interval, Some(Span::from_secs(2)));
        let since = load.overloaded_since.expect("it is overloaded");
        assert!(since > at(160) && since < at(180), "{since:?}");
        assert!(load.sentence().contains("every 2"), "{}", load.sentence());
        let mut overload = overload;
        for _ in 0..30 {
            now += Span::from_secs(1);
            counts.rounds += 100;
            overload.record(counts, now);
        }
        assert_eq!(overload.load().unwrap().overloaded_since, None);
    }

    #[test]
    fn rounds_that_slow_servers_hold_up_are_no_overload() {
        let (overload, ..) = after(&[(60, (50, 50, 10))]);
        let load = overload.load().unwrap();
        assert_eq!(load.overloaded_since, None);
        assert_eq!(load.effective_interval, Some(Span::from_secs(2)));
    }

    #[test]
    fn an_interval_that_was_made_longer_is_overload_although_it_is_kept() {
        let (mut overload, mut counts, now) = after(&[(30, (100, 0, 0))]);
        counts.paced = Span::from_secs(2);
        for second in 1..=2 {
            counts.rounds += 50;
            overload.record(counts, now + Span::from_secs(second));
        }
        let load = overload.load().unwrap();
        assert_eq!(load.effective_interval, Some(Span::from_secs(2)));
        assert!(load.overloaded_since.is_some());
        assert!(load.sentence().contains("every 2"), "{}", load.sentence());
    }

    #[test]
    fn a_full_queue_is_overload() {
        let (mut overload, mut counts, now) = after(&[(5, (100, 0, 0))]);
        counts.dropped_events = 1;
        overload.record(counts, now + Span::from_secs(1));
        assert!(overload.load().unwrap().overloaded_since.is_some());
    }

    #[test]
    fn without_rounds_there_is_no_interval() {
        let (overload, ..) = after(&[(40, (0, 100, 900))]);
        assert_eq!(overload.load().unwrap().effective_interval, None);
        assert!(overload.load().unwrap().overloaded_since.is_some());
    }

    #[test]
    fn nothing_is_known_at_the_start() {
        let (overload, ..) = after(&[]);
        assert_eq!(overload.load(), None);
    }

    #[test]
    fn what_a_pause_missed_is_no_overload() {
        let (mut overload, mut counts, mut now) = after(&[(60, (100, 0, 0))]);
        now += Span::from_secs(10);
        counts.missed_rounds += 1000;
        counts.own_delay = counts.own_delay + Span::from_secs(10);
        overload.exporter_paused();
        overload.record(counts, now);
        assert_eq!(overload.load(), None);
        for _ in 0..5 {
            now += Span::from_secs(1);
            counts.rounds += 100;
            overload.record(counts, now);
        }
        let load = overload.load().unwrap();
        assert_eq!(load.overloaded_since, None);
        assert_eq!(load.effective_interval, Some(Span::from_secs(1)));
    }
}
