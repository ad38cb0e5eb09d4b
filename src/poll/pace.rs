//! Whether the exporter keeps up with its base rounds, and by how much their period has to be
//! longer so that it does. Pure.
//!
//! A program that does not keep up misses rounds, and chance decides which: some pairs are unknown
//! for seconds beside others that are polled on time. A longer period for all is fair, and every
//! pair stays known.

use crate::model::{Span, Timestamp};
use crate::monitor::PollCounts;

/// For how long rounds are watched before the period is changed again.
const WINDOW: Span = Span::from_secs(5);

/// The share of its rounds that a program misses at least which does not keep up.
const MISSED_SHARE: f64 = 0.02;

/// The share of the time that its own tasks wait for the processor at least. Without it the rounds
/// were missed because of servers that answer slowly.
const DELAY_SHARE: f64 = 0.05;

/// How much longer the period becomes than what was missed would need: nothing is left to spare
/// otherwise.
const RESERVE: f64 = 1.1;

/// By which factor the period becomes shorter after a window in which nothing was missed.
const SHORTEN: f64 = 0.9;

/// For how long it stays as it is where that was too short; each further time for twice as long, up
/// to [`LONGEST_HOLD`].
const HOLD: Span = Span::from_secs(60);
const LONGEST_HOLD: Span = Span::from_secs(600);

/// The longest period, as a multiple of the planned one.
const MAX_STRETCH: f64 = 10.0;

/// Below it the planned period is close enough.
const MIN_STRETCH: f64 = 1.02;

/// Counts come once a second. After a longer break than this the program was paused, and what it
/// missed says nothing about how it runs.
const LONGEST_BREAK: Span = Span::from_secs(3);

/// By how much the period of base rounds is longer than planned.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    stretch: f64,
    /// When the window began, and the counts then.
    window: Option<(Timestamp, PollCounts)>,
    seen: Timestamp,
    /// Whether the last window had missed rounds: one busy second is no reason to poll more rarely.
    was_late: bool,
    shortened_at: Timestamp,
    /// The period becomes no shorter before this.
    hold_until: Timestamp,
    /// For how long it is held where it is too short the next time.
    hold: Span,
}

impl Pace {
    /// The planned period.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            stretch: 1.0,
            window: None,
            seen: now,
            was_late: false,
            shortened_at: now - HOLD,
            hold_until: now,
            hold: HOLD,
        }
    }

    /// How many times as long as planned the period is: at least 1.
    pub(super) const fn stretch(&self) -> f64 {
        self.stretch
    }

    /// Judges the counts at `now`; whether the stretch is another one. To be called once a second.
    pub(super) fn judge(&mut self, counts: PollCounts, now: Timestamp) -> bool {
        let was_paused = now - self.seen > LONGEST_BREAK;
        self.seen = now;
        let (begin, before) = match self.window {
            Some(window) if !was_paused => window,
            _ => {
                self.window = Some((now, counts));
                return false;
            }
        };
        if now - begin < WINDOW {
            return false;
        }
        self.window = Some((now, counts));
        let made = (counts.rounds - before.rounds) as f64;
        let missed = (counts.missed_rounds - before.missed_rounds) as f64;
        let delayed = counts.own_delay - before.own_delay;
        let is_delayed = delayed > (now - begin).mul_f64(DELAY_SHARE);
        let is_late = is_delayed && missed > (made + missed) * MISSED_SHARE;
        let was_late = std::mem::replace(&mut self.was_late, is_late);
        let old = self.stretch;
        if is_late && was_late {
            self.lengthen((made + missed) / made.max(1.0), now);
        } else if missed < 1.0 && now >= self.hold_until {
            self.shorten(now);
        }
        self.stretch.total_cmp(&old).is_ne()
    }

    /// The period has to be at least `factor` times as long.
    fn lengthen(&mut self, factor: f64, now: Timestamp) {
        // It takes two late windows, before which one may still look well, and half a window is for
        // counts that come late.
        let was_shortened = now - self.shortened_at <= WINDOW.mul_f64(3.5);
        if was_shortened {
            self.hold_until = now + self.hold;
            self.hold = self.hold.mul_f64(2.0).min(LONGEST_HOLD);
        }
        self.stretch = (self.stretch * factor * RESERVE).min(MAX_STRETCH);
    }

    fn shorten(&mut self, now: Timestamp) {
        if self.stretch <= 1.0 {
            return;
        }
        self.shortened_at = now;
        self.stretch *= SHORTEN;
        if self.stretch < MIN_STRETCH {
            self.stretch = 1.0;
            self.hold = HOLD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that can make so many rounds a second, of 100 that are planned at the planned
    /// period.
    struct Machine {
        pace: Pace,
        counts: PollCounts,
        now: Timestamp,
        longest: f64,
    }

    impl Machine {
        fn new() -> Self {
            let now = Timestamp::default() + Span::from_secs(1000);
            Self {
                pace: Pace::new(now),
                counts: PollCounts::default(),
                now,
                longest: 1.0,
            }
        }

        fn run(&mut self, seconds: u32, capacity: u64) -> u64 {
            let mut missed = 0;
            for _ in 0..seconds {
                let share = 1.0 / self.pace.stretch();
                let planned = (0..100).filter(|round| f64::from(*round) < 100.0 * share);
                let planned = planned.count() as u64;
                let made = planned.min(capacity);
                missed += planned - made;
                self.counts.rounds += made;
                self.counts.missed_rounds += planned - made;
                if planned > capacity {
                    self.counts.own_delay = self.counts.own_delay + Span::from_millis(300);
                }
                self.now += Span::from_secs(1);
                self.pace.judge(self.counts, self.now);
                self.longest = self.longest.max(self.pace.stretch());
            }
            missed
        }
    }

    #[test]
    fn a_machine_that_keeps_up_polls_as_planned() {
        let mut machine = Machine::new();
        assert_eq!(machine.run(300, 100), 0);
        assert!(machine.longest < 1.01);
    }

    #[test]
    fn a_machine_that_is_too_small_settles_where_it_misses_little() {
        let mut machine = Machine::new();
        machine.run(20, 60);
        assert!((1.6..2.1).contains(&machine.pace.stretch()));
        let missed = machine.run(600, 60);
        assert!(missed < 720, "{missed} of 36,000");
        assert!(machine.longest < 2.5, "{}", machine.longest);
        assert!(machine.pace.stretch() < 2.2);
    }

    #[test]
    fn a_busy_minute_is_over_soon_after_it_has_ended() {
        let mut machine = Machine::new();
        machine.run(60, 40);
        assert!(machine.pace.stretch() > 2.2);
        machine.run(180, 100);
        assert!((1.0..1.01).contains(&machine.pace.stretch()));
    }

    #[test]
    fn a_busy_second_changes_nothing() {
        let mut machine = Machine::new();
        machine.run(17, 100);
        machine.run(1, 0);
        machine.run(30, 100);
        assert!(machine.longest < 1.01);
    }

    #[test]
    fn slow_servers_and_pauses_change_nothing() {
        let mut machine = Machine::new();
        for _ in 0..60 {
            machine.counts.rounds += 50;
            machine.counts.missed_rounds += 50;
            machine.now += Span::from_secs(1);
            assert!(!machine.pace.judge(machine.counts, machine.now));
        }
        machine.counts.missed_rounds += 3000;
        machine.counts.own_delay = machine.counts.own_delay + Span::from_secs(30);
        machine.now += Span::from_secs(30);
        machine.pace.judge(machine.counts, machine.now);
        machine.run(30, 100);
        assert!(machine.longest < 1.01);
    }

    #[test]
    fn a_machine_that_does_nothing_is_asked_for_a_tenth() {
        let mut machine = Machine::new();
        machine.run(120, 0);
        assert!((10.0..10.01).contains(&machine.pace.stretch()));
    }
}
