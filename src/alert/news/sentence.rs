//! A sentence that keeps its instants apart from its words, because each kind of receiver formats
//! instants differently.

use std::fmt;

use super::words::Clock;
use crate::model::{Timestamp, WallTime};

/// One line of text that keeps its instants apart from its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence(Vec<Piece>);

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words.
    Words(String),
    /// An instant, and how it is written in UTC.
    Time(WallTime, String),
}

impl Sentence {
    /// A line of words.
    pub fn words(text: impl Into<String>) -> Self {
        Self(vec![Piece::Words(text.into())])
    }

    /// Its pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The line with `text` at its end.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.push(Piece::Words(text.into()));
        self
    }

    /// Words after words are one piece.
    fn push(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (Some(Piece::Words(before)), Piece::Words(text)) => before.push_str(&text),
            (_, piece) => self.0.push(piece),
        }
    }

    /// The line with another one at its end.
    #[must_use]
    pub fn and_line(mut self, line: Self) -> Self {
        for piece in line.0 {
            self.push(piece);
        }
        self
    }

    /// The line with the time of day at its end: `12:04:31 UTC`.
    #[must_use]
    pub fn at(mut self, at: Timestamp, clock: Clock<'_>) -> Self {
        let text = format!("{} UTC", clock.time(at));
        self.0.push(Piece::Time(clock.wall(at), text));
        self
    }

    /// The line with a stretch of time at its end: `12:04:31 to 12:05:31 UTC`.
    #[must_use]
    pub fn from_to(mut self, from: Timestamp, to: Timestamp, clock: Clock<'_>) -> Self {
        self.0.push(Piece::Time(clock.wall(from), clock.time(from)));
        self.and(" to ").at(to, clock)
    }

    /// Its first sentence, and the rest; of a sentence that is longer than `max` units of UTF-16
    /// its first clause.
    pub fn first_sentence(&self, max: usize) -> (String, Self) {
        let (first, rest) = self.split_at(". ");
        if first.encode_utf16().count() > max {
            return self.split_at("; ");
        }
        (first, rest)
    }

    /// What comes before the first `mark`, and what after it.
    fn split_at(&self, mark: &str) -> (String, Self) {
        let mut first = String::new();
        let mut pieces = self.0.iter();
        while let Some(piece) = pieces.next() {
            if let Piece::Words(text) = piece
                && let Some((head, tail)) = text.split_once(mark)
            {
                first.push_str(head);
                let mut rest = Self::words(tail);
                rest.0.extend(pieces.cloned());
                return (first, rest);
            }
            first.push_str(piece.text());
        }
        let whole = first.trim_end_matches('.').to_owned();
        (whole, Self::default())
    }

    /// Whether it has no text.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|piece| piece.text().is_empty())
    }

    /// The line without the word "resolved", for messages whose level already says so.
    #[must_use]
    pub fn without_resolved(mut self) -> Self {
        if let Some(Piece::Words(text)) = self.0.first_mut() {
            *text = text.replacen(": resolved. ", ": ", 1);
        }
        self
    }

    /// The line with its control characters as spaces, so that no configured name can break it.
    #[must_use]
    pub fn in_one_line(mut self) -> Self {
        for piece in &mut self.0 {
            if let Piece::Words(text) = piece {
                *text = text.replace(char::is_control, " ");
            }
        }
        self
    }
}

impl Piece {
    /// As text, with times in UTC.
    pub fn text(&self) -> &str {
        match self {
            Self::Words(text) | Self::Time(_, text) => text,
        }
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            f.write_str(piece.text())?;
        }
        Ok(())
    }
}
