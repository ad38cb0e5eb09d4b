//! The two clocks. Only rooms that do I/O read them; pure rooms receive `now` as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::{BootId, ClockAnchor, Timestamp, WallTime};

/// The current instant on the monotonic clock, which also advances while the machine is suspended
/// (`CLOCK_BOOTTIME`).
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = time.tv_sec.saturating_mul(1_000_000_000);
    Timestamp::from_nanos(seconds.saturating_add(time.tv_nsec))
}

/// The current instant on the wall clock; the epoch itself when the clock is set to before it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is what everything else calls instead"
)]
pub fn wall_now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since_epoch.unwrap_or_default().as_nanos();
    WallTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Both clocks at once.
pub fn anchor() -> ClockAnchor {
    ClockAnchor {
        mono: now(),
        wall: wall_now(),
    }
}

/// The identity of the machine's current boot; `None` where `/proc` does not have it.
pub fn boot_id() -> Option<BootId> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    BootId::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_stays_the_same() {
        assert!(boot_id().is_some());
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn the_monotonic_clock_never_steps_back() {
        let first = now();
        assert!(now() >= first);
        assert!(wall_now().as_secs_f64() > 1.7e9);
    }
}
