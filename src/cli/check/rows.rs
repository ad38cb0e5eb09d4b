//! The table of pairs, one line each, within the width of a terminal where possible.

use super::details::details;
use super::layout::Layout;
use super::seen::Seen;
use crate::cli::columns::{pad, widths};
use crate::cli::style;
use crate::cli::wrapped::{WIDTH, wrapped};
use crate::report::{Level, PairReport, bytes_text, lag_text, seconds_text, visible_text};

/// The columns, from the widest layout to the narrowest.
const HEAD: [&str; 7] = [
    "LEVEL",
    "PAIR",
    "FROM -> TO",
    "REPLICA",
    "STATE",
    "LAG",
    "BYTES",
];

/// The index of the replica's column.
const REPLICA: usize = 3;

/// The space between two columns.
const GAP: &str = "  ";

/// The layouts wider than the narrowest one, widest first.
const LAYOUTS: [Layout; 2] = [
    Layout {
        interval: true,
        replica: true,
    },
    Layout {
        interval: false,
        replica: true,
    },
];

const NARROWEST: Layout = Layout {
    interval: false,
    replica: false,
};

/// The heading and the rows, worst first, with the problems of a pair below its row.
pub(super) fn rows(seen: &Seen) -> String {
    let pairs = seen.worst_first();
    let layout = widest_layout(seen, &pairs);
    let cells = cells_of(seen, &pairs, layout);
    let widths = widths(&HEAD, &cells);
    let [level_width, ..] = widths;
    let heading = HEAD.map(str::to_owned);
    let mut text = row(&heading, &widths, layout) + "\n";
    for (pair, cells) in pairs.iter().zip(&cells) {
        let colour = style::for_level(seen.source.level(pair));
        let row = row(cells, &widths, layout);
        let (level, rest) = row.split_at(level_width);
        text += &format!("{colour}{level}{colour:#}{rest}\n");
        for line in details(pair, seen, layout) {
            text += &wrapped(&line);
        }
    }
    text
}

/// The widest layout that fits the screen.
fn widest_layout(seen: &Seen, pairs: &[&PairReport]) -> Layout {
    for layout in LAYOUTS {
        if total_width(&cells_of(seen, pairs, layout)) <= WIDTH {
            return layout;
        }
    }
    NARROWEST
}

fn cells_of(seen: &Seen, pairs: &[&PairReport], layout: Layout) -> Vec<[String; HEAD.len()]> {
    let cells = |pair: &&PairReport| cells(pair, seen.source.level(pair), layout);
    pairs.iter().map(cells).collect()
}

fn cells(pair: &PairReport, level: Level, layout: Layout) -> [String; HEAD.len()] {
    let source = visible_text(&pair.source_dc);
    let target = visible_text(&pair.target_dc);
    [
        level.label().to_owned(),
        visible_text(&pair.pair),
        format!("{source} -> {target}"),
        visible_text(&pair.replica),
        pair.state.label().to_owned(),
        lag(pair, layout),
        bytes_text(pair.lag_bytes),
    ]
}

/// The best estimate alone, or with its certified interval.
fn lag(pair: &PairReport, layout: Layout) -> String {
    match pair.lag_seconds {
        Some(estimate) if !layout.interval => seconds_text(estimate),
        estimate => lag_text(pair.lag_lower_seconds, estimate, pair.lag_upper_seconds),
    }
}

/// The width of a row with every column, in characters.
fn total_width(cells: &[[String; HEAD.len()]]) -> usize {
    let widths = widths(&HEAD, cells);
    widths.iter().sum::<usize>() + GAP.len() * (HEAD.len() - 1)
}

fn row(cells: &[String; HEAD.len()], widths: &[usize; HEAD.len()], layout: Layout) -> String {
    let mut padded = Vec::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if column != REPLICA || layout.replica {
            padded.push(pad(cell, *width));
        }
    }
    padded.join(GAP).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::source::Source;
    use crate::replication::PairState;
    use crate::report::testing::{pair, report};

    fn seen(pairs: [PairReport; 2]) -> Seen {
        Seen {
            report: report(pairs),
            source: Source::Exporter {
                url: "http://127.0.0.1:10121".to_owned(),
            },
            alerts: None,
            deliveries: None,
        }
    }

    fn plain(seen: &Seen) -> Vec<String> {
        let text = anstream::adapter::strip_str(&rows(seen)).to_string();
        text.lines().map(str::to_owned).collect()
    }

    fn stalled(name: &str) -> PairReport {
        let mut report = pair(name);
        report.state = PairState::Stalled;
        report.reason = "the link claims to be up, but nothing has arrived for 41.7 s although the master writes"
            .to_owned();
        report.lag_seconds = Some(41.7);
        report.lag_lower_seconds = Some(41.5);
        report.lag_upper_seconds = Some(41.9);
        report.link_down_seconds = Some(60.0);
        report
    }

    #[test]
    fn a_screen_fits_a_hundred_columns_and_explains_only_what_is_wrong() {
        let lines = plain(&seen([pair("carts"), stalled("orders")]));
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(
            lines[1].starts_with("warning  orders  dc1 -> dc2"),
            "{lines:#?}"
        );
        assert!(
            lines[4].starts_with("ok       carts   dc1 -> dc2"),
            "{lines:#?}"
        );
        let below = [
            "    stalled since 15:05:40 UTC (60.0 s)",
            "    the link claims to be up, but nothing has arrived for 41.7 s although the master writes",
        ];
        assert_eq!(lines[2..4], below);
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:#?}"
        );
        assert!(lines[1].contains("41.7 s (41.5 s to 41.9 s)"), "{lines:#?}");
    }

    #[test]
    fn details_without_a_column_are_below_the_row() {
        let mut long = stalled("a-pair-whose-name-takes-a-good-part-of-the-line");
        long.replica = "a-replica.with-a-long-name.example.com:6379".to_owned();
        let lines = plain(&seen([pair("carts"), long]));
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:#?}"
        );
        let below = "    replica a-replica.with-a-long-name.example.com:6379, lag 41.7 s (41.5 s to 41.9 s)";
        assert!(lines.iter().any(|line| line == below), "{lines:#?}");
    }

    #[test]
    fn healthy_pairs_do_not_change_places_with_every_millisecond() {
        let names = |lag: [f64; 2]| {
            let mut pairs = [pair("b"), pair("a")];
            for (pair, lag) in pairs.iter_mut().zip(lag) {
                pair.lag_seconds = Some(lag);
            }
            let lines = plain(&seen(pairs));
            lines[1..]
                .iter()
                .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
                .collect::<Vec<_>>()
        };
        assert_eq!(names([0.002, 0.040]), ["a", "b"]);
        assert_eq!(names([0.040, 0.002]), ["a", "b"]);
        assert_eq!(names([5.0, 0.002]), ["b", "a"]);
    }
}
