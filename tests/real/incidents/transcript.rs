//! Events and output, in the order of time.

use std::fmt;

use jiff::tz::TimeZone;
use redis_cross_dc_exporter::model::{ClockAnchor, Timestamp};

use super::message::Message;

/// The source of a line.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// What is done to the servers and lines.
    Event(String),
    /// What was true, by the writers' log.
    Truth(String),
    /// A message that a receiver was sent.
    Sent(Message),
    /// What `check` printed, and its exit code.
    Check { code: Option<i32>, text: String },
    /// The text of the page before its tables.
    Page(String),
}

/// One line of a transcript.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) said: Said,
}

/// The lines of one incident.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    /// Both clocks when the incident began.
    pub(super) began: ClockAnchor,
    pub(super) lines: Vec<Line>,
}

impl Transcript {
    /// The messages, oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = (Timestamp, &Message)> {
        self.lines.iter().filter_map(|line| match &line.said {
            Said::Sent(message) => Some((line.at, message)),
            _ => None,
        })
    }

    fn clock(&self, at: Timestamp) -> String {
        let wall = self.began.wall(at).as_nanos();
        let time = jiff::Timestamp::from_nanosecond(i128::from(wall)).expect("a time of today");
        time.to_zoned(TimeZone::UTC)
            .strftime("%H:%M:%S")
            .to_string()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let clock = self.clock(line.at);
            let since = (line.at - self.began.mono).as_secs_f64();
            let (who, text) = line.said.parts();
            let mut rows = text.lines();
            let first = rows.next().unwrap_or_default();
            writeln!(f, "{clock} {since:+7.1} s  {who:<9}  {first}")?;
            for row in rows {
                writeln!(f, "{:31}{row}", "")?;
            }
        }
        Ok(())
    }
}

impl Said {
    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Event(text) => ("event", text.clone()),
            Self::Truth(text) => ("truth", text.clone()),
            Self::Sent(message) => (message.receiver.label(), message.text.clone()),
            Self::Check { code, text } => {
                let code = code.map_or_else(|| "-".to_owned(), |code| code.to_string());
                ("check", format!("exit code {code}\n{text}"))
            }
            Self::Page(text) => ("page", text.clone()),
        }
    }
}
