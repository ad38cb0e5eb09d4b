//! `match` of receivers and maintenance windows: labels and the globs that they have to fit.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use crate::config::cursor::{Cursor, Section};
use crate::config::value::{MAX_LABEL_CHARS, is_label_name};

/// The `match` of `section`; empty, which fits every alert, where it has none.
pub(super) fn read(section: &Section<'_>) -> BTreeMap<String, WildMatch> {
    let mut matchers = BTreeMap::new();
    let Some(cursor) = section.get("match") else {
        return matchers;
    };
    for (name, value) in cursor.entries() {
        if let Some(glob) = matcher(name, &value) {
            matchers.insert(name.to_owned(), glob);
        }
    }
    matchers
}

fn matcher(name: &str, value: &Cursor<'_>) -> Option<WildMatch> {
    if !is_label_name(name) {
        value.add_problem(
            "is not a label's name; allowed: letters, digits and _, not beginning with a digit or \
             __",
        );
    }
    let glob = value.text()?;
    if glob.is_empty() || glob.chars().count() > MAX_LABEL_CHARS {
        value.refuse(format_args!(
            "is not a glob; allowed: 1 to {MAX_LABEL_CHARS} characters, such as orders-*"
        ));
    }
    Some(WildMatch::new(glob))
}
