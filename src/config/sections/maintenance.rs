//! `notify.maintenance`: recurring maintenance windows, in which alerts are muted.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::{Unique, matchers};
use crate::config::MaintenanceWindow;
use crate::config::cursor::{Cursor, Section};
use crate::config::table::MAINTENANCE;

/// The maximum number of windows: each is evaluated every second.
const MAX_WINDOWS: usize = 64;

/// The days of a week as they are written.
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
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
    let mut names = Unique::default();
    items
        .iter()
        .filter_map(|item| window(&item.section(&MAINTENANCE)?, &mut names))
        .collect()
}

fn window(section: &Section<'_>, names: &mut Unique) -> Option<MaintenanceWindow> {
    let matchers = matchers::read(section);
    let every = section
        .required("every", "the days of the week, such as [sunday]")
        .map(|cursor| days(&cursor));
    let start = section
        .required("start", "a time of the day, such as \"02:00\"")
        .and_then(|cursor| start(&cursor));
    let duration = section
        .required("duration", "how long it lasts")
        .and_then(|_| section.span("duration"));
    let zone = section
        .required("timezone", "an IANA time zone, such as Europe/Berlin")
        .and_then(|cursor| zone(&cursor));
    let cursor = section.required("name", "the window's name")?;
    let name = cursor.name()?;
    names.check(name, &cursor);
    let name = name.to_owned();
    Some(MaintenanceWindow {
        name,
        matchers,
        every: every?,
        start: start?,
        duration: duration?,
        timezone: zone?,
    })
}

fn days(cursor: &Cursor<'_>) -> Vec<Weekday> {
    let items = cursor.items();
    if items.is_empty() && cursor.is_list() {
        cursor.note("names no day: write one at least, such as [sunday]");
    }
    let mut days: Vec<_> = items.iter().filter_map(day).collect();
    days.sort_unstable_by_key(|day| day.to_monday_zero_offset());
    days.dedup();
    days
}

fn day(cursor: &Cursor<'_>) -> Option<Weekday> {
    let text = cursor.text()?;
    let known = DAYS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, day)| *day);
    cursor.checked(known.ok_or(
        "is not a day; allowed: monday, tuesday, wednesday, thursday, friday, saturday, sunday",
    ))
}

/// The name of a day of the week.
pub(in crate::config) fn day_name(day: Weekday) -> &'static str {
    DAYS.iter()
        .find(|(_, known)| *known == day)
        .map_or("", |(name, _)| name)
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
    let number = |digits: &str| {
        let well_formed = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        well_formed.then(|| digits.parse::<i8>().ok())?
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn zone(cursor: &Cursor<'_>) -> Option<TimeZone> {
    let text = cursor.text()?;
    let known = TimeZone::get(text)
        .ok()
        .filter(|zone| zone.iana_name().is_some());
    cursor.checked(known.ok_or(
        "is not a known IANA time zone; write it like Europe/Berlin, America/New_York or UTC",
    ))
}
