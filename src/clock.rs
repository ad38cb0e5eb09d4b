//! The two clocks. Only the rooms at the edge read them; pure rooms are given `now`.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::{BootId, ClockAnchor, Timestamp, WallTime};

/// The current instant on the monotonic clock, which counts on while the machine sleeps
/// (`CLOCK_BOOTTIME`).
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Boottime);
    Timestamp::from_nanos(
        time.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(time.tv_nsec),
    )
}

/// The current instant on the wall clock; the epoch itself when the clock stands before it.
pub fn wall_now() -> WallTime {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// Both clocks at once.
pub fn anchor() -> ClockAnchor {
    ClockAnchor {
        mono: now(),
        wall: wall_now(),
    }
}

/// This boot of the machine's kernel; `None` where the kernel does not tell.
pub fn boot_id() -> Option<BootId> {
    BootId::parse(&std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?)
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
