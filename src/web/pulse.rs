//! The core's pulse: whether its loop goes round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often the pulse is felt.
const EVERY: Duration = Duration::from_secs(1);

/// Seconds without a beat after which the core is stuck. Its loop goes round ten times a second;
/// the longest that it ever takes, to reload the configuration of a large fleet, is some seconds.
/// It is the time that systemd's watchdog waits, too (`WatchdogSec` of the unit).
pub(super) const STUCK_AFTER: u32 = 30;

/// The core's pulse. Cheap to clone.
///
/// It counts seconds in which this process ran and the core did not. So neither a machine that was
/// suspended nor a process that was stopped or had no processor makes the core seem stuck.
#[derive(Clone, Debug, Default)]
pub struct CorePulse(Arc<AtomicU32>);

impl CorePulse {
    /// The core's loop has gone round.
    pub fn beat(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Seconds since the last beat in which this process ran.
    pub(super) fn silent_seconds(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the seconds. Never ends.
    pub(super) async fn follow(self) {
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        // Ticks that were missed while nothing ran are not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.pass_second();
        }
    }

    /// A second has passed in which this process ran.
    pub(super) fn pass_second(&self) {
        // Would wrap after 136 years.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn seconds_without_a_beat_are_counted_and_a_beat_ends_the_count() {
        let pulse = CorePulse::default();
        tokio::spawn(pulse.clone().follow());
        sleep(Duration::from_millis(30_500)).await;
        assert_eq!(pulse.silent_seconds(), STUCK_AFTER);
        pulse.beat();
        assert_eq!(pulse.silent_seconds(), 0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(pulse.silent_seconds(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_whole_process_counts_as_one_second() {
        let pulse = CorePulse::default();
        tokio::spawn(pulse.clone().follow());
        sleep(Duration::from_millis(500)).await;
        pulse.beat();
        // As after SIGSTOP and SIGCONT: the clock has gone on, and no task ran meanwhile.
        advance(Duration::from_hours(1)).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(pulse.silent_seconds(), 1);
    }
}
