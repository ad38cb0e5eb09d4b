//! `check --watch`: the screen, shown again and again in the same place.

use std::io::{self, IsTerminal};

use super::seen::Seen;
use super::table::table;
use crate::cli::output::{print_coloured, say};
use crate::report::utc_text;

/// The cursor to the upper left corner, and everything below it cleared (ECMA-48: CUP, ED).
const FROM_THE_TOP: &str = "\x1b[H\x1b[J";

/// Shows the screen, with its time. On a terminal it takes the place of the last one; elsewhere it
/// follows it.
pub(super) fn show(seen: &Seen) {
    let screen = screen(seen);
    if io::stdout().is_terminal() {
        // One write, so that nothing flickers.
        print_coloured(&format!("{FROM_THE_TOP}{screen}"));
    } else {
        print_coloured(&screen);
        say("");
    }
}

fn screen(seen: &Seen) -> String {
    format!("{}  (Ctrl-C ends)\n{}", utc_text(seen.now()), table(seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::source::Source;
    use crate::report::testing::{pair, report};

    #[test]
    fn the_screen_begins_with_its_time() {
        let seen = Seen {
            report: report([pair("orders")]),
            source: Source::Named,
            alerts: None,
            deliveries: None,
        };
        let screen = screen(&seen);
        let mut lines = screen.lines();
        let time = utc_text(seen.now());
        assert_eq!(
            lines.next(),
            Some(format!("{time}  (Ctrl-C ends)").as_str())
        );
        let counts = lines.next().unwrap();
        assert!(counts.starts_with("1 pair: 1 ok; polled the servers directly"));
    }
}
