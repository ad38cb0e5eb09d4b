//! Maintenance windows: alerts are muted at the same local time each week, also across the
//! daylight-saving changes of that time zone.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Span as Days, Timestamp as Instant};

use crate::config::MaintenanceWindow;
use crate::model::{Span, WallTime};

const DAY: i64 = 86_400;

/// The maintenance windows of a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maintenance {
    windows: Vec<MaintenanceWindow>,
}

impl Maintenance {
    /// The windows of a configuration.
    pub fn new(windows: &[MaintenanceWindow]) -> Self {
        Self {
            windows: windows.to_vec(),
        }
    }

    /// Which windows are open at `now`, by index.
    pub(super) fn open(&self, now: WallTime) -> Vec<usize> {
        let Ok(now) = Instant::from_nanosecond(now.as_nanos().into()) else {
            return Vec::new();
        };
        let mut open = Vec::new();
        for (index, window) in self.windows.iter().enumerate() {
            if is_open(window, now) {
                open.push(index);
            }
        }
        open
    }

    /// The name of the first window among `those` (indices) whose matchers fit these labels.
    pub(super) fn find<'a>(
        &self,
        those: &[usize],
        label: impl Fn(&str) -> &'a str,
    ) -> Option<Arc<str>> {
        for window in self.get(those) {
            let mut matchers = window.matchers.iter();
            if matchers.all(|(name, glob)| glob.matches(label(name))) {
                return Some(window.name.as_str().into());
            }
        }
        None
    }

    /// The names of `those` windows.
    pub(super) fn names(&self, those: &[usize]) -> Vec<Arc<str>> {
        let windows = self.get(those);
        windows.map(|window| window.name.as_str().into()).collect()
    }

    fn get(&self, those: &[usize]) -> impl Iterator<Item = &MaintenanceWindow> {
        those.iter().filter_map(|index| self.windows.get(*index))
    }
}

/// Whether the window is open: it began on one of the last days, and has not ended yet.
fn is_open(window: &MaintenanceWindow, now: Instant) -> bool {
    let today = now.to_zoned(window.timezone.clone()).date();
    let duration = window.duration.as_nanos();
    // One day more, as a day may have 25 hours.
    let days_back = duration / Span::from_secs(DAY).as_nanos() + 2;
    for back in 0..=days_back {
        let Ok(date) = today.checked_sub(Days::new().days(back)) else {
            continue;
        };
        let Some(begin) = begin_on(window, date) else {
            continue;
        };
        let elapsed = now.as_nanosecond() - begin.as_nanosecond();
        if (0..i128::from(duration)).contains(&elapsed) {
            return true;
        }
    }
    false
}

/// When the window begins on this day of its time zone, if it does.
fn begin_on(window: &MaintenanceWindow, date: Date) -> Option<Instant> {
    if !window.every.contains(&date.weekday()) {
        return None;
    }
    // A local time that does not exist is moved forward, one that exists twice is the first
    // (RFC 5545, 3.3.5).
    let local = date.to_datetime(window.start);
    let begin = local.to_zoned(window.timezone.clone()).ok()?;
    Some(begin.timestamp())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::{Time, Weekday};
    use jiff::tz::TimeZone;

    use super::*;

    fn window(days: &[Weekday], start: &str, hours: i64, zone: &str) -> MaintenanceWindow {
        MaintenanceWindow {
            name: "patching".to_owned(),
            matchers: BTreeMap::from([("pair".to_owned(), wildmatch::WildMatch::new("orders*"))]),
            every: days.to_vec(),
            start: start.parse::<Time>().unwrap(),
            duration: Span::from_secs(hours * 3600),
            timezone: TimeZone::get(zone).unwrap(),
        }
    }

    /// Whether the window is open at each of the instants, written in UTC.
    fn check(window: &MaintenanceWindow, instants: &[(&str, bool)]) {
        let maintenance = Maintenance::new(std::slice::from_ref(window));
        for (text, open) in instants {
            let nanos = text.parse::<Instant>().unwrap().as_nanosecond();
            let at = WallTime::from_nanos(i64::try_from(nanos).unwrap());
            assert_eq!(
                maintenance.open(at),
                if *open { vec![0] } else { vec![] },
                "{text}"
            );
        }
    }

    #[test]
    fn a_window_follows_the_local_time_of_its_zone() {
        let sunday = window(&[Weekday::Sunday], "02:00", 2, "Europe/Berlin");
        check(
            &sunday,
            &[
                ("2026-01-04T00:59:59Z", false),
                ("2026-01-04T01:00:00Z", true),
            ],
        );
        check(
            &sunday,
            &[
                ("2026-01-04T02:59:59Z", true),
                ("2026-01-04T03:00:00Z", false),
            ],
        );
        check(
            &sunday,
            &[
                ("2026-07-05T00:00:00Z", true),
                ("2026-07-05T02:00:00Z", false),
            ],
        );
        check(
            &sunday,
            &[
                ("2026-01-05T01:30:00Z", false),
                ("2026-01-03T01:30:00Z", false),
            ],
        );
    }

    /// On 29 March 2026 the clocks of Berlin go from 02:00 to 03:00 at 01:00 UTC.
    #[test]
    fn when_the_clocks_go_forward_a_window_begins_later_and_lasts_as_long() {
        let skipped = window(&[Weekday::Sunday], "02:30", 2, "Europe/Berlin");
        check(
            &skipped,
            &[
                ("2026-03-29T01:29:59Z", false),
                ("2026-03-29T01:30:00Z", true),
            ],
        );
        check(
            &skipped,
            &[
                ("2026-03-29T03:29:59Z", true),
                ("2026-03-29T03:30:00Z", false),
            ],
        );
        let across = window(&[Weekday::Sunday], "01:00", 3, "Europe/Berlin");
        check(
            &across,
            &[
                ("2026-03-29T00:00:00Z", true),
                ("2026-03-29T02:59:59Z", true),
            ],
        );
        check(&across, &[("2026-03-29T03:00:00Z", false)]);
    }

    /// On 25 October 2026 the clocks of Berlin go from 03:00 to 02:00 at 01:00 UTC.
    #[test]
    fn when_the_clocks_go_back_a_window_begins_once_and_lasts_as_long() {
        let twice = window(&[Weekday::Sunday], "02:30", 2, "Europe/Berlin");
        check(
            &twice,
            &[
                ("2026-10-25T00:29:59Z", false),
                ("2026-10-25T00:30:00Z", true),
            ],
        );
        check(
            &twice,
            &[
                ("2026-10-25T02:29:59Z", true),
                ("2026-10-25T02:30:00Z", false),
            ],
        );
        let short = MaintenanceWindow {
            duration: Span::from_secs(1800),
            ..twice
        };
        check(
            &short,
            &[
                ("2026-10-25T00:45:00Z", true),
                ("2026-10-25T01:00:00Z", false),
            ],
        );
        check(&short, &[("2026-10-25T01:35:00Z", false)]);
    }

    #[test]
    fn a_window_may_extend_over_midnight_and_over_days() {
        let night = window(&[Weekday::Friday], "23:00", 4, "America/New_York");
        check(
            &night,
            &[
                ("2026-01-10T03:59:59Z", false),
                ("2026-01-10T04:00:00Z", true),
            ],
        );
        check(
            &night,
            &[
                ("2026-01-10T07:59:59Z", true),
                ("2026-01-10T08:00:00Z", false),
            ],
        );
        let week = window(&[Weekday::Monday], "00:00", 7 * 24, "UTC");
        check(
            &week,
            &[
                ("2026-01-05T00:00:00Z", true),
                ("2026-01-11T23:59:59Z", true),
                ("2026-01-12T00:00:00Z", true),
            ],
        );
    }

    #[test]
    fn only_alerts_that_fit_the_matchers_are_muted() {
        let maintenance = Maintenance::new(&[window(&[Weekday::Monday], "00:00", 1, "UTC")]);
        let find = |pair: &'static str, open: &[usize]| maintenance.find(open, |_| pair);
        assert_eq!(find("orders-1", &[0]).as_deref(), Some("patching"));
        assert_eq!(
            (find("sessions", &[0]), find("orders-1", &[])),
            (None, None)
        );
    }
}
