//! `doctor`: what the audit for disaster recovery asks for, and which findings are accepted.

use jiff::civil::Date;
use wildmatch::WildMatch;

use crate::config::cursor::{Cursor, Section};
use crate::config::table::DOCTOR_EXCEPTION;
use crate::config::{DoctorException, DoctorSettings};
use crate::model::{DoctorCheck, Span};

/// The most exceptions: each is compared with every finding.
const MAX_EXCEPTIONS: usize = 1000;

/// The longest reason, in characters.
const MAX_REASON: usize = 400;

pub(super) fn read(root: &Section<'_>) -> DoctorSettings {
    let section = root.section("doctor");
    let items = section.items("ignore");
    if items.len() > MAX_EXCEPTIONS {
        let count = items.len();
        let sentence = format!("has {count} exceptions; allowed: at most {MAX_EXCEPTIONS}");
        section.refuse_at("doctor.ignore", sentence);
    }
    let mut ignore = Vec::with_capacity(items.len());
    for item in &items {
        ignore.extend(item.section(&DOCTOR_EXCEPTION).and_then(exception));
    }
    DoctorSettings {
        survive: section.span_or_default("survive"),
        every: every(&section),
        ignore,
    }
}

/// How often the exporter makes the audit by itself; null is never.
fn every(section: &Section<'_>) -> Option<Span> {
    if section.get("every")?.is_null() {
        return None;
    }
    section.span("every")
}

#[allow(clippy::needless_pass_by_value)] // as a function of `and_then`
fn exception(section: Section<'_>) -> Option<DoctorException> {
    let check = section.read_required("check", "the check's name, such as B6", check);
    let pair = section.read("pair", pair);
    let reason = section.read_required("reason", "why the finding is accepted", reason);
    let until = section.read("until", date);
    Some(DoctorException {
        check: check?,
        pair,
        reason: reason?,
        until,
    })
}

fn check(cursor: &Cursor<'_>) -> Option<DoctorCheck> {
    let text = cursor.text()?;
    let check = DoctorCheck::parse(text);
    if check.is_none() {
        let names = DoctorCheck::ALL.map(DoctorCheck::label).join(", ");
        cursor.refuse(format_args!("is not a check of doctor; allowed: {names}"));
    }
    check
}

fn pair(cursor: &Cursor<'_>) -> Option<WildMatch> {
    Some(WildMatch::new(cursor.name()?))
}

fn reason(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let length = text.chars().count();
    if length == 0 || length > MAX_REASON || text.chars().any(char::is_control) {
        cursor.refuse(format_args!(
            "is not a reason; allowed: 1 to {MAX_REASON} characters, no control characters"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn date(cursor: &Cursor<'_>) -> Option<Date> {
    let text = cursor.text()?;
    let is_plain = text.len() == "2027-01-31".len();
    match text.parse() {
        Ok(date) if is_plain => Some(date),
        _ => {
            cursor.refuse("is not a date; write it like 2027-01-31");
            None
        }
    }
}
