//! Maps instants of an earlier process to the present clock: exactly in the same boot, otherwise by
//! the wall clock and widened by its possible error.

use std::collections::BTreeMap;

use crate::model::{BootId, ClockAnchor, ClockShift, Span, Timestamp};

/// How far two wall clocks may be apart, at least: that of the machine that wrote the state then
/// and that of the one that reads it now, each kept right by NTP to half a second.
pub const WALL_ERROR: Span = Span::from_secs(1);

/// What is added to the error for each second between: an undisciplined quartz drifts by less (50
/// ppm).
const DRIFT: f64 = 5e-5;

/// Older state is useless: the tables themselves reach back no further.
pub const HORIZON: Span = Span::from_secs(48 * 3600);

/// The clock of one boot of a machine, with its relation to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootClock {
    /// The boot; `None` where the kernel does not name it.
    pub boot: Option<BootId>,
    /// Both clocks at the last commit.
    pub anchor: ClockAnchor,
}

/// Why instants of an earlier clock cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockRefusal {
    /// The wall clock shows a time before the last commit.
    #[error(
        "the wall clock is {0} behind the time at which it was last written: its age is not known"
    )]
    Backwards(Span),
    /// Nothing of it is within the horizon.
    #[error("it was last written {0} ago, and nothing is kept for longer than 48 hours")]
    Expired(Span),
    /// No such clock is known.
    #[error("it names a clock that is not known")]
    Unknown,
}

/// How instants of an earlier clock are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMapping {
    /// Added to an instant of the earlier clock.
    by: Span,
    /// How wrong that may be, either way. Zero in the same boot.
    error: Span,
    now: Timestamp,
}

impl BootClock {
    /// Whether `now` is in the same boot, so that instants compare as they are.
    pub fn is_same_boot(&self, now: &Self) -> bool {
        self.boot.is_some() && self.boot == now.boot && now.anchor.mono >= self.anchor.mono
    }

    /// How instants of this clock are read on the clock of `now`.
    ///
    /// # Errors
    /// They cannot be placed, or are too old to matter.
    pub fn mapping(&self, now: &Self) -> Result<ClockMapping, ClockRefusal> {
        let mono = self.mono_until(now);
        if self.is_same_boot(now) {
            if mono > HORIZON {
                return Err(ClockRefusal::Expired(mono));
            }
            return Ok(ClockMapping {
                by: Span::ZERO,
                error: Span::ZERO,
                now: now.anchor.mono,
            });
        }
        let wall = self.wall_until(now);
        // Two wall clocks that differ by less than their error may be in the wrong order.
        if wall < Span::ZERO - WALL_ERROR {
            return Err(ClockRefusal::Backwards(Span::ZERO - wall));
        }
        if wall > HORIZON {
            return Err(ClockRefusal::Expired(wall));
        }
        Ok(ClockMapping {
            by: mono - wall,
            error: WALL_ERROR + wall.or_zero().mul_f64(DRIFT),
            now: now.anchor.mono,
        })
    }

    /// How instants of this clock that prove nothing are read on the clock of `now`: as precisely
    /// as possible. If the wall clock went backwards, no time is taken to have passed.
    pub(super) fn shift(&self, now: &Self) -> ClockShift {
        let mono = self.mono_until(now);
        let ago = if self.is_same_boot(now) {
            mono
        } else {
            self.wall_until(now).or_zero()
        };
        ClockShift {
            by: mono - ago,
            ago,
            now: now.anchor,
        }
    }

    /// From this clock's last commit to `now`, by the monotonic clock. Without meaning over a
    /// reboot.
    fn mono_until(&self, now: &Self) -> Span {
        now.anchor.mono - self.anchor.mono
    }

    /// From this clock's last commit to `now`, by the wall clock.
    fn wall_until(&self, now: &Self) -> Span {
        let nanos = now.anchor.wall.as_nanos();
        Span::from_nanos(nanos.saturating_sub(self.anchor.wall.as_nanos()))
    }
}

impl ClockMapping {
    /// The earliest instant that `at` may be now. `None` when it lies in the future, which cannot
    /// be.
    pub(super) fn not_before(&self, at: Timestamp) -> Option<Timestamp> {
        let moved = at + self.by - self.error;
        if moved > self.now {
            return None;
        }
        Some(moved)
    }

    /// The latest instant that `at` may be now: never one that is still to come.
    pub(super) fn not_after(&self, at: Timestamp) -> Option<Timestamp> {
        let moved = at + self.by + self.error;
        let is_exact = self.error == Span::ZERO;
        if is_exact && moved > self.now {
            return None;
        }
        Some(moved.min(self.now))
    }
}

/// The clocks that rows may name.
#[derive(Debug, Default)]
pub(super) struct ClockMappings(BTreeMap<u32, Result<ClockMapping, ClockRefusal>>);

impl ClockMappings {
    /// Every clock as it is read at `now`.
    pub(super) fn new(clocks: &BTreeMap<u32, BootClock>, now: &BootClock) -> Self {
        let mut mappings = BTreeMap::new();
        for (number, clock) in clocks {
            mappings.insert(*number, clock.mapping(now));
        }
        Self(mappings)
    }

    /// The mapping of the clock with this number.
    pub(super) fn get(&self, number: u32) -> Result<ClockMapping, ClockRefusal> {
        match self.0.get(&number) {
            Some(mapping) => *mapping,
            None => Err(ClockRefusal::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WallTime;

    fn clock(boot: u128, mono: i64, wall: i64) -> BootClock {
        let secs = 1_000_000_000;
        let anchor = ClockAnchor {
            mono: Timestamp::from_nanos(mono * secs),
            wall: WallTime::from_nanos(wall * secs),
        };
        BootClock {
            boot: Some(BootId::from_bits(boot)),
            anchor,
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn in_the_same_boot_instants_stay_as_they_are_whatever_the_wall_clock_does() {
        for wall in [0, 5_000, 9_999_999] {
            let mapping = clock(1, 100, 5_000).mapping(&clock(1, 150, wall)).unwrap();
            assert_eq!(
                (mapping.not_before(at(90)), mapping.not_after(at(90))),
                (Some(at(90)), Some(at(90)))
            );
            assert_eq!(
                (mapping.not_before(at(151)), mapping.not_after(at(151))),
                (None, None),
                "in the future"
            );
        }
    }

    #[test]
    fn on_another_machine_the_wall_clock_places_them_within_an_error() {
        let mapping = clock(1, 100, 5_000).mapping(&clock(2, 7, 5_040)).unwrap();
        let error = WALL_ERROR + Span::from_millis(2);
        assert_eq!(mapping.not_before(at(90)), Some(at(7 - 40 - 10) - error));
        assert_eq!(mapping.not_after(at(90)), Some(at(7 - 40 - 10) + error));
        let at_once = clock(1, 100, 5_000).mapping(&clock(2, 7, 5_000)).unwrap();
        assert_eq!(
            at_once.not_after(at(100)),
            Some(at(7)),
            "no poll was answered later than now"
        );
    }

    #[test]
    fn an_unnamed_boot_counts_as_another_one() {
        let unnamed = |mono| BootClock {
            boot: None,
            ..clock(0, mono, 5_000)
        };
        assert!(
            unnamed(100)
                .mapping(&unnamed(150))
                .is_ok_and(|mapping| mapping.error >= WALL_ERROR)
        );
        assert!(
            clock(1, 100, 5_000)
                .mapping(&clock(1, 99, 5_001))
                .is_ok_and(|mapping| mapping.error >= WALL_ERROR)
        );
    }

    #[test]
    fn a_wall_clock_that_went_backwards_and_what_is_too_old_are_refused() {
        let old = clock(1, 100, 5_000);
        assert_eq!(
            old.mapping(&clock(2, 100, 4_990)),
            Err(ClockRefusal::Backwards(Span::from_secs(10)))
        );
        assert!(
            old.mapping(&clock(2, 100, 4_999))
                .is_ok_and(|mapping| mapping.not_after(at(100)) == Some(at(100)))
        );
        let days = 3 * 86_400;
        assert_eq!(
            old.mapping(&clock(2, 100, 5_000 + days)),
            Err(ClockRefusal::Expired(Span::from_secs(days)))
        );
        assert_eq!(
            old.mapping(&clock(1, 100 + days, 5_000)),
            Err(ClockRefusal::Expired(Span::from_secs(days)))
        );
    }
}
