//! Text helpers of all receivers: cut to a limit, escape for Slack, write times. Names come from
//! servers and may hold anything.

use jiff::Timestamp as Instant;

use crate::alert::news::{Piece as LinePiece, Sentence};
use crate::model::WallTime;

/// `text` with at most `max` units, the last of which is `…` when something was cut off.
///
/// A unit is one of UTF-16. Receivers do not say whether they count these or characters; there are
/// never fewer units, so both counts keep the limit. No character is cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    cut_pieces(text.chars().map(Piece::Char), max)
}

/// `text` with `&`, `<` and `>` escaped as Slack wants it, in at most `max` units. Never cuts
/// through an escape.
pub(super) fn slack_escape(text: &str, max: usize) -> String {
    cut_pieces(text.chars().map(slack_piece), max)
}

/// `line` escaped as Slack wants it, in at most `max` units. Each time is followed by the same in
/// the reader's own time zone, which Slack fills in
/// (<https://docs.slack.dev/messaging/formatting-message-text#date-formatting>).
pub(super) fn slack_line(line: &Sentence, max: usize) -> String {
    let mut pieces = Vec::new();
    for piece in line.pieces() {
        pieces.extend(piece.text().chars().map(slack_piece));
        if let LinePiece::Time(at, text) = piece {
            pieces.push(Piece::Token(local_time(*at, text)));
        }
    }
    cut_pieces(pieces.into_iter(), max)
}

/// ` (<!date^1700000000^{time_secs}|22:13:20>)`: what Slack cannot show is the text after the bar.
fn local_time(at: WallTime, text: &str) -> String {
    let seconds = at.as_nanos().div_euclid(1_000_000_000);
    format!(" (<!date^{seconds}^{{time_secs}}|{text}>)")
}

fn slack_piece(c: char) -> Piece {
    match c {
        '&' => Piece::Escape("&amp;"),
        '<' => Piece::Escape("&lt;"),
        '>' => Piece::Escape("&gt;"),
        other => Piece::Char(other),
    }
}

/// `text` in one line: every control character becomes a space.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `wall` by RFC 3339, in UTC, to the millisecond. A time that no calendar has is the epoch's or
/// the last one's.
pub(super) fn rfc3339(wall: WallTime) -> String {
    let instant = Instant::from_nanosecond(i128::from(wall.as_nanos())).unwrap_or(Instant::MAX);
    format!("{instant:.3}")
}

#[derive(Clone)]
enum Piece {
    Char(char),
    Escape(&'static str),
    Token(String),
}

impl Piece {
    fn units(&self) -> usize {
        match self {
            Self::Char(c) => c.len_utf16(),
            Self::Escape(text) => text.len(),
            Self::Token(text) => text.encode_utf16().count(),
        }
    }

    fn push_to(self, text: &mut String) {
        match self {
            Self::Char(c) => text.push(c),
            Self::Escape(escape) => text.push_str(escape),
            Self::Token(token) => text.push_str(&token),
        }
    }
}

fn cut_pieces(pieces: impl Iterator<Item = Piece> + Clone, max: usize) -> String {
    let mut text = String::new();
    let whole = pieces.clone().map(|piece| piece.units()).sum::<usize>() <= max;
    let mut left = if whole { max } else { max.saturating_sub(1) };
    for piece in pieces {
        let Some(rest) = left.checked_sub(piece.units()) else {
            break;
        };
        left = rest;
        piece.push_to(&mut text);
    }
    if !whole && max > 0 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let cases = [
            ("orders", 6, "orders"),
            ("orders", 5, "orde…"),
            ("😀😀", 4, "😀😀"),
            ("😀😀", 3, "😀…"),
            ("😀😀", 2, "…"),
            ("orders", 0, ""),
        ];
        for (text, max, expected) in cases {
            assert_eq!(cut(text, max), expected, "{text} {max}");
        }
    }

    #[test]
    fn escapes_stay_whole() {
        assert_eq!(
            slack_escape("<!channel> & co", 100),
            "&lt;!channel&gt; &amp; co"
        );
        assert_eq!(slack_escape("a&b", 7), "a&amp;b");
        assert_eq!(slack_escape("a&b", 6), "a…");
        assert_eq!(slack_escape("&&", 9), "&amp;…");
    }

    #[test]
    fn a_time_is_followed_by_the_readers_local_time_which_is_never_cut() {
        let anchor = crate::notify::testing::anchor();
        let clock = crate::alert::news::Clock {
            now: anchor.mono,
            anchor: &anchor,
        };
        let line = Sentence::words("<down> since ")
            .at(anchor.mono, clock)
            .and("!");
        let whole =
            "&lt;down&gt; since 22:13:20 UTC (<!date^1700000000^{time_secs}|22:13:20 UTC>)!";
        assert_eq!(slack_line(&line, 200), whole);
        for max in 0..=whole.len() {
            let text = slack_line(&line, max);
            assert!(text.encode_utf16().count() <= max, "{text}");
            assert_eq!(text.contains("<!date"), text.contains(">)"), "{text}");
        }
    }

    #[test]
    fn times_are_utc_to_the_millisecond() {
        assert_eq!(
            rfc3339(WallTime::from_nanos(1_700_000_000_123_456_789)),
            "2023-11-14T22:13:20.123Z"
        );
        assert_eq!(
            rfc3339(WallTime::from_nanos(-1)),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(
            rfc3339(WallTime::from_nanos(i64::MAX)),
            "2262-04-11T23:47:16.854Z"
        );
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(one_line("a\r\nb\u{1b}[0m"), "a  b [0m");
    }
}
