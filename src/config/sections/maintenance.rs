//! `notify.maintenance`: recurring maintenance windows, in which alerts are muted.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::{UniqueNames, matchers};
use crate::config::MaintenanceWindow;
use crate::config::cursor::{Cursor, Section};
use crate::config::table::MAINTENANCE;

/// The maximum number of windows: each is evaluated every second.
const MAX_WINDOWS: usize = 64;

/// The days of a week.
const DAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

pub(super) fn read(notify: &Section<'_>) -> Vec<MaintenanceWindow> {
    let items = notify.items("maintenance");
    if items.len() > MAX_WINDOWS {
        notify.refuse_at(
            "notify.maintenance",
            format!(
                "has {} windows; allowed: at most {MAX_WINDOWS}",
                items.len()
            ),
        );
    }
    let mut names = UniqueNames::default();
    items
        .iter()
        .filter_map(|item| window(&item.section(&MAINTENANCE)?, &mut names))
        .collect()
}

fn window(section: &Section<'_>, names: &mut UniqueNames) -> Option<MaintenanceWindow> {
    let matchers = matchers::read(section);
    let every = section.required("every", "the days of the week, such as [sunday]");
    let every = every.map(|cursor| days(&cursor));
    let start = section.read_required("start", "a time of the day, such as \"02:00\"", start);
    let duration = section.read_required("duration", "how long it lasts", |_| {
        section.span("duration")
    });
    let zone = section.read_required("timezone", "an IANA time zone, such as Europe/Berlin", zone);
    let name = section.read_required("name", "the window's name", |cursor| {
        let name = cursor.name()?;
        names.check(name, cursor);
        Some(name.to_owned())
    });
    Some(MaintenanceWindow {
        name: name?,
        matchers,
        every: every?,
        start: start?,
        duration: duration?,
        timezone: zone?,
    })
}

/// Reads days of the week, each of them once, from Monday on.
fn days(cursor: &Cursor<'_>) -> Vec<Weekday> {
    let items = cursor.items();
    if items.is_empty() && cursor.is_list() {
        cursor.add_problem("names no day: write one at least, such as [sunday]");
    }
    let mut days: Vec<_> = items.iter().filter_map(day).collect();
    days.sort_unstable_by_key(|day| day.to_monday_zero_offset());
    days.dedup();
    days
}

fn day(cursor: &Cursor<'_>) -> Option<Weekday> {
    let text = cursor.text()?;
    for day in DAYS {
        if day_name(day) == text {
            return Some(day);
        }
    }
    cursor.refuse(
        "is not a day; allowed: monday, tuesday, wednesday, thursday, friday, saturday, sunday",
    );
    None
}

/// The name of a day of the week, as it is written in a configuration.
pub(in crate::config) const fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

/// Parses `02:00`.
fn start(cursor: &Cursor<'_>) -> Option<Time> {
    let text = cursor.text()?;
    cursor.checked(
        time_of_day(text)
            .ok_or("is not a time of the day; write it like \"02:00\" or \"14:30\", in quotes"),
    )
}

fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(two_digits(hour)?, two_digits(minute)?, 0, 0).ok()
}

fn two_digits(text: &str) -> Option<i8> {
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = text.as_bytes() else {
        return None;
    };
    i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok()
}

fn zone(cursor: &Cursor<'_>) -> Option<TimeZone> {
    let text = cursor.text()?;
    match TimeZone::get(text) {
        Ok(zone) if zone.iana_name().is_some() => Some(zone),
        _ => {
            cursor.refuse(
                "is not a known IANA time zone; write it like Europe/Berlin, America/New_York or UTC",
            );
            None
        }
    }
}
