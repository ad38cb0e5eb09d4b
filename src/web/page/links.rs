//! The rows of the table of links: all pairs from one datacenter to another, or inside one.

use super::map::{count_words, state_words};
use super::query::link_address;
use super::rows::NOT_KNOWN;
use crate::report::{LinkReport, bytes_text, seconds_text};

/// All pairs from one datacenter to another, or inside one.
pub(super) struct LinkRow {
    pub(super) way: String,
    pub(super) address: String,
    pub(super) level: &'static str,
    pub(super) state: String,
    pub(super) streaming: String,
    pub(super) lag: Risk,
    pub(super) bytes: Risk,
}

/// What may be lost, of several pairs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Risk {
    /// The larger of what is known now and what was known last.
    pub(super) main: String,
    /// Of how many pairs what else is known; empty where `main` says all.
    pub(super) note: String,
}

impl LinkRow {
    pub(super) fn new(link: &LinkReport) -> Self {
        Self {
            way: way(&link.source_dc, &link.target_dc),
            address: link_address(&link.source_dc, &link.target_dc),
            level: link.level.label(),
            state: format!("{} {}", count_words(link), state_words(link)),
            streaming: format!("{} of {}", link.streaming, link.pairs),
            lag: Risk::new(
                link,
                Known {
                    now: link.worst_lag_seconds,
                    is_at_least: link.worst_lag_is_at_least,
                    last: link.last_known_lag_upper_seconds,
                },
                seconds_text,
            ),
            bytes: Risk::new(
                link,
                Known {
                    now: link.bytes_behind,
                    is_at_least: link.bytes_behind_is_at_least,
                    last: link.last_known_lag_upper_bytes,
                },
                |bytes| bytes_text(Some(bytes)),
            ),
        }
    }
}

/// `dc1 → dc2`, or `inside dc1`: what stays in a datacenter links nothing.
pub(super) fn way(source_dc: &str, target_dc: &str) -> String {
    if source_dc == target_dc {
        format!("inside {source_dc}")
    } else {
        format!("{source_dc} → {target_dc}")
    }
}

/// A quantity of a link.
#[derive(Clone, Copy)]
struct Known<T> {
    /// Of the pairs of which it is known now.
    now: Option<T>,
    is_at_least: bool,
    /// Of the others, as it was known last: an upper bound.
    last: Option<T>,
}

impl Risk {
    /// Never a small calm number where most is unknown: what was known last counts, and what is not
    /// known is said.
    fn new<T: Copy + Default + PartialOrd>(
        link: &LinkReport,
        known: Known<T>,
        text: impl Fn(T) -> String,
    ) -> Self {
        let now = known.now.and_then(|value| match known.is_at_least {
            // "At least nothing" says nothing.
            true if value <= T::default() => None,
            true => Some(format!("at least {}", text(value))),
            false => Some(text(value)),
        });
        let last = known
            .last
            .map(|value| format!("last known: at most {}", text(value)));
        let unknown = (link.lag_unknown > 0)
            .then(|| format!("{} of {} unknown", link.lag_unknown, link.pairs));
        let last_is_worse = known.last >= known.now;
        let both = if last_is_worse {
            [last, now]
        } else {
            [now, last]
        };
        let mut both = both.into_iter().flatten();
        let main = both.next().unwrap_or_else(|| NOT_KNOWN.to_owned());
        let notes: Vec<String> = both.chain(unknown).collect();
        Self {
            main,
            note: notes.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::PairState;
    use crate::report::testing::{pair, report};
    use crate::report::{LastKnownReport, PairReport};

    fn row(pairs: Vec<PairReport>) -> LinkRow {
        let mut report = report([]);
        report.pairs = pairs;
        LinkRow::new(&report.links()[0])
    }

    fn behind(seconds: f64, bytes: u64) -> PairReport {
        let mut pair = pair("calm");
        pair.lag_seconds = Some(seconds);
        pair.lag_bytes = Some(bytes);
        pair
    }

    fn lost(last: Option<(f64, u64)>) -> PairReport {
        let mut pair = pair("lost");
        pair.state = PairState::MasterUnreachable;
        pair.lag_seconds = None;
        pair.lag_lower_seconds = None;
        pair.lag_bytes = None;
        pair.lag_lower_bytes = None;
        pair.last_known = last.map(|(seconds, bytes)| LastKnownReport {
            lag_upper_seconds: seconds,
            lag_upper_bytes: Some(bytes),
            timestamp: 0.0,
        });
        pair
    }

    fn check(row: &LinkRow, lag: [&str; 2], bytes: [&str; 2]) {
        let risk = |texts: [&str; 2]| Risk {
            main: texts[0].to_owned(),
            note: texts[1].to_owned(),
        };
        assert_eq!((&row.lag, &row.bytes), (&risk(lag), &risk(bytes)));
    }

    #[test]
    fn an_unknown_pair_makes_the_others_a_lower_bound() {
        let row = row(vec![behind(12.0, 305), lost(None)]);
        let note = "1 of 2 unknown";
        check(&row, ["at least 12.0 s", note], ["at least 305 B", note]);
        assert_eq!(row.state, "1 of 2 pairs master unreachable");
    }

    #[test]
    fn a_lost_pair_counts_with_what_was_known_of_it_last() {
        let alone = row(vec![lost(Some((0.018, 305)))]);
        check(
            &alone,
            ["last known: at most 0.018 s", "1 of 1 unknown"],
            ["last known: at most 305 B", "1 of 1 unknown"],
        );
        let worse = row(vec![behind(0.001, 12), lost(Some((30.0, 2048)))]);
        check(
            &worse,
            [
                "last known: at most 30.0 s",
                "at least 0.001 s; 1 of 2 unknown",
            ],
            [
                "last known: at most 2.0 KiB",
                "at least 12 B; 1 of 2 unknown",
            ],
        );
    }

    #[test]
    fn at_least_nothing_is_a_dash() {
        let row = row(vec![behind(0.0, 0), lost(None)]);
        check(&row, ["-", "1 of 2 unknown"], ["-", "1 of 2 unknown"]);
    }

    #[test]
    fn what_is_known_needs_no_note() {
        let row = row(vec![behind(0.5, 12), behind(0.1, 3)]);
        check(&row, ["0.500 s", ""], ["15 B", ""]);
        assert_eq!(
            (row.state.as_str(), row.way.as_str()),
            ("2 pairs streaming", "dc1 → dc2")
        );
    }

    #[test]
    fn nothing_is_a_dash_with_its_count() {
        let row = row(vec![lost(None)]);
        check(&row, ["-", "1 of 1 unknown"], ["-", "1 of 1 unknown"]);
    }

    #[test]
    fn what_stays_in_a_datacenter_links_nothing() {
        assert_eq!(way("dc1", "dc1"), "inside dc1");
    }
}
