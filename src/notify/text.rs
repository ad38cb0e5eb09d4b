//! Texts within limits: cutting, escaping, times.

use jiff::Timestamp as Instant;

use crate::model::{Span, WallTime};

/// `text` with at most `max` units, the last of which is `…` when something was cut off.
///
/// A unit is one of UTF-16. Receivers do not say whether they count these or characters; there are
/// never fewer units, so both counts keep the limit. Never cuts through a character.
pub(super) fn cut(text: &str, max: usize) -> String {
    cut_pieces(text.chars().map(Piece::Char), max)
}

/// `text` with `&`, `<` and `>` escaped as Slack wants it, in at most `max` units. Never cuts
/// through an escape.
pub(super) fn slack_escape(text: &str, max: usize) -> String {
    let pieces = text.chars().map(|c| match c {
        '&' => Piece::Escape("&amp;"),
        '<' => Piece::Escape("&lt;"),
        '>' => Piece::Escape("&gt;"),
        other => Piece::Char(other),
    });
    cut_pieces(pieces, max)
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

/// A length of time for people, without the digits that nobody needs (`0.250 s`, `12.3 s`, `4m
/// 10s`).
pub(super) fn length(span: Span) -> String {
    span.or_zero().to_string()
}

#[derive(Clone, Copy)]
enum Piece {
    Char(char),
    Escape(&'static str),
}

impl Piece {
    fn units(self) -> usize {
        match self {
            Self::Char(c) => c.len_utf16(),
            Self::Escape(text) => text.len(),
        }
    }

    fn push_to(self, text: &mut String) {
        match self {
            Self::Char(c) => text.push(c),
            Self::Escape(escape) => text.push_str(escape),
        }
    }
}

fn cut_pieces(pieces: impl Iterator<Item = Piece> + Clone, max: usize) -> String {
    let mut text = String::new();
    let whole = pieces.clone().map(Piece::units).sum::<usize>() <= max;
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
    fn texts_are_cut_at_a_characters_end() {
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
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[0m"), "a  b [0m");
    }
}
