//! The rows of the table of links: all pairs from one datacenter to another, or inside one.

use super::map::{count_words, state_words};
use super::query::link_address;
use super::rows::NOT_KNOWN;
use crate::report::{
    LinkReport, at_least_bytes_text, at_least_text, at_most_bytes_text, at_most_text, bytes_text,
    seconds_text,
};

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

/// What may be lost of several pairs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Risk {
    /// The larger of the current value and the last known bound.
    pub(super) main: String,
    /// The other one, and how many pairs are unknown; empty where `main` is everything.
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
            lag: lag_risk(link),
            bytes: bytes_risk(link),
        }
    }
}

fn lag_risk(link: &LinkReport) -> Risk {
    let known = Known {
        now: link.worst_lag_seconds,
        is_at_least: link.worst_lag_is_at_least,
        last: link.last_known_lag_upper_seconds,
    };
    let texts = Texts {
        estimate: seconds_text,
        at_least: at_least_text,
        at_most: at_most_text,
    };
    Risk::new(known, unknown_note(link), &texts)
}

fn bytes_risk(link: &LinkReport) -> Risk {
    let known = Known {
        now: link.bytes_behind,
        is_at_least: link.bytes_behind_is_at_least,
        last: link.last_known_lag_upper_bytes,
    };
    let texts = Texts {
        estimate: |bytes| bytes_text(Some(bytes)),
        at_least: at_least_bytes_text,
        at_most: |bytes| at_most_bytes_text(Some(bytes)),
    };
    Risk::new(known, unknown_note(link), &texts)
}

/// Of how many pairs the lag is unknown; `None` where all are known.
fn unknown_note(link: &LinkReport) -> Option<String> {
    if link.lag_unknown == 0 {
        return None;
    }
    Some(format!("{} of {} unknown", link.lag_unknown, link.pairs))
}

/// `dc1 → dc2`, or `inside dc1` for pairs that stay in one datacenter.
pub(super) fn way(source_dc: &str, target_dc: &str) -> String {
    if source_dc == target_dc {
        format!("inside {source_dc}")
    } else {
        format!("{source_dc} → {target_dc}")
    }
}

/// What is known of a quantity of a link.
#[derive(Clone, Copy)]
struct Known<T> {
    /// The value of the pairs whose value is known now.
    now: Option<T>,
    is_at_least: bool,
    /// The last known upper bound of the other pairs.
    last: Option<T>,
}

/// How a quantity is written.
struct Texts<T> {
    estimate: fn(T) -> String,
    /// A lower bound.
    at_least: fn(T) -> String,
    /// An upper bound.
    at_most: fn(T) -> String,
}

impl<T: Copy + Default + PartialOrd> Known<T> {
    fn now_text(self, texts: &Texts<T>) -> Option<String> {
        let value = self.now?;
        if !self.is_at_least {
            return Some((texts.estimate)(value));
        }
        // "At least nothing" is no information.
        if value <= T::default() {
            return None;
        }
        Some(format!("at least {}", (texts.at_least)(value)))
    }

    fn last_text(self, texts: &Texts<T>) -> Option<String> {
        let value = self.last?;
        Some(format!("last known: at most {}", (texts.at_most)(value)))
    }
}

impl Risk {
    /// Never a reassuring small number where most is unknown: the last known bound counts, and
    /// `unknown` is shown as well.
    fn new<T: Copy + Default + PartialOrd>(
        known: Known<T>,
        unknown: Option<String>,
        texts: &Texts<T>,
    ) -> Self {
        let now = known.now_text(texts);
        let last = known.last_text(texts);
        let last_is_worse = known.last >= known.now;
        let worst_first = if last_is_worse {
            [last, now]
        } else {
            [now, last]
        };
        let mut parts = worst_first.into_iter().flatten();
        let main = match parts.next() {
            Some(worst) => worst,
            None => NOT_KNOWN.to_owned(),
        };
        let notes: Vec<String> = parts.chain(unknown).collect();
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
    fn a_lost_pair_counts_with_its_last_known_lag() {
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
    fn known_values_have_no_note() {
        let row = row(vec![behind(0.5, 12), behind(0.1, 3)]);
        check(&row, ["0.500 s", ""], ["15 B", ""]);
        assert_eq!(
            (row.state.as_str(), row.way.as_str()),
            ("2 pairs streaming", "dc1 → dc2")
        );
    }

    #[test]
    fn no_known_value_is_a_dash_with_the_number_of_pairs() {
        let row = row(vec![lost(None)]);
        check(&row, ["-", "1 of 1 unknown"], ["-", "1 of 1 unknown"]);
    }

    #[test]
    fn pairs_inside_a_datacenter_have_no_arrow() {
        assert_eq!(way("dc1", "dc1"), "inside dc1");
    }
}
