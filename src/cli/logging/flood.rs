//! Rate limiting of log lines by subject; pure, for any kind of line.
//!
//! [`BURST`] lines a minute about one subject (a pair, a server, a receiver) are written at once, so
//! its first failures are always visible. Further lines are counted and only the last one is kept.
//! It is written with the count once nothing was logged about the subject for [`QUIET`], so that
//! the outcome is always visible, and once every [`WINDOW`] while the flapping continues.

use std::collections::HashMap;
use std::hash::Hash;

use crate::model::{Span, Timestamp};

/// Lines about a subject that are written in a window: a failure and its end, three times.
const BURST: u32 = 6;

/// How long a burst is remembered, and the longest time that a line is suppressed.
const WINDOW: Span = Span::from_secs(60);

/// How long without a line until the last suppressed one is written, which is then the outcome.
const QUIET: Span = Span::from_secs(10);

/// The most subjects that are remembered: more than ten thousand pairs have when a datacenter is
/// cut off.
const MAX_SUBJECTS: usize = 32_768;

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<L> {
    /// Write it now.
    Write(L),
    /// It is counted, and written later if no other line follows it.
    Held,
    /// There is no room to remember another subject. Admit the line under a shared one.
    NoRoom(L),
}

/// The suppressed lines of one subject.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary<L> {
    /// The last line.
    pub(super) last: L,
    /// How many suppressed lines it stands for, at least 1: itself.
    pub(super) lines: u64,
    /// When the last line was logged.
    pub(super) at: Timestamp,
    /// How long ago the first of them was logged.
    pub(super) over: Span,
}

/// The rate limits of all recent subjects. `K` identifies a subject, `L` is a line.
#[derive(Debug)]
pub(super) struct Flood<K, L> {
    subjects: HashMap<K, Tracked<L>>,
    max_subjects: usize,
}

#[derive(Debug)]
struct Tracked<L> {
    /// When its window began.
    since: Timestamp,
    /// Lines written in it.
    written: u32,
    held: Option<Held<L>>,
}

#[derive(Debug)]
struct Held<L> {
    first: Timestamp,
    latest: Timestamp,
    lines: u64,
    last: L,
}

impl<K, L> Default for Flood<K, L> {
    fn default() -> Self {
        Self {
            subjects: HashMap::new(),
            max_subjects: MAX_SUBJECTS,
        }
    }
}

impl<K: Eq + Hash, L> Flood<K, L> {
    /// Decides whether a line about `subject` at `now` is written.
    pub(super) fn admit(&mut self, subject: K, line: L, now: Timestamp) -> Admission<L> {
        if let Some(known) = self.subjects.get_mut(&subject) {
            return known.admit(line, now);
        }
        if self.subjects.len() >= self.max_subjects {
            return Admission::NoRoom(line);
        }
        self.subjects.insert(
            subject,
            Tracked {
                since: now,
                written: 1,
                held: None,
            },
        );
        Admission::Write(line)
    }

    /// The summaries that are due at `now`, oldest first. Subjects that have calmed down are
    /// forgotten.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Summary<L>> {
        let mut due = Vec::new();
        self.subjects.retain(|_, subject| {
            due.extend(subject.due(now));
            !subject.is_calm(now)
        });
        sorted(due)
    }

    /// The summaries of everything that is still suppressed, for the end of the program.
    pub(super) fn drain(&mut self, now: Timestamp) -> Vec<Summary<L>> {
        sorted(
            self.subjects
                .drain()
                .filter_map(|(_, subject)| Some(subject.held?.summary(now)))
                .collect(),
        )
    }
}

fn sorted<L>(mut summaries: Vec<Summary<L>>) -> Vec<Summary<L>> {
    summaries.sort_by_key(|summary| summary.at);
    summaries
}

impl<L> Tracked<L> {
    fn admit(&mut self, line: L, now: Timestamp) -> Admission<L> {
        if let Some(held) = &mut self.held {
            held.lines += 1;
            held.latest = now;
            held.last = line;
            return Admission::Held;
        }
        if now - self.since >= WINDOW {
            self.since = now;
            self.written = 0;
        }
        if self.written < BURST {
            self.written += 1;
            return Admission::Write(line);
        }
        self.held = Some(Held {
            first: now,
            latest: now,
            lines: 1,
            last: line,
        });
        Admission::Held
    }

    /// The summary that is due now. The next window begins without a burst, so what keeps flapping
    /// stays suppressed.
    fn due(&mut self, now: Timestamp) -> Option<Summary<L>> {
        let held = self
            .held
            .take_if(|held| now - held.latest >= QUIET || now - held.first >= WINDOW)?;
        self.since = now;
        self.written = BURST;
        Some(held.summary(now))
    }

    fn is_calm(&self, now: Timestamp) -> bool {
        self.held.is_none() && now - self.since >= WINDOW
    }
}

impl<L> Held<L> {
    fn summary(self, now: Timestamp) -> Summary<L> {
        Summary {
            last: self.last,
            lines: self.lines,
            at: self.latest,
            over: (now - self.first).or_zero(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::default() + Span::from_secs_f64(seconds)
    }

    /// What is seen of the lines that one subject says at these seconds, with a look each second:
    /// `(second, line, lines that it stands for)`. A line is the second at which it was said.
    fn seen(said: &[f64], until: u32) -> Vec<(f64, f64, u64)> {
        let (mut flood, mut seen, mut said) =
            (Flood::default(), Vec::new(), said.iter().peekable());
        for second in 0..=until {
            let look = f64::from(second);
            while let Some(when) = said.next_if(|when| **when < look) {
                if let Admission::Write(line) = flood.admit("pair", *when, at(*when)) {
                    seen.push((*when, line, 1));
                }
            }
            seen.extend(
                flood
                    .due(at(look))
                    .into_iter()
                    .map(|summary| (look, summary.last, summary.lines)),
            );
        }
        assert!(flood.subjects.is_empty(), "calm subjects are forgotten");
        seen
    }

    #[test]
    fn what_speaks_seldom_is_never_held_back() {
        let said: Vec<f64> = (0..20).map(|n| f64::from(n) * 11.0 + 0.5).collect();
        let all: Vec<_> = said.iter().map(|when| (*when, *when, 1)).collect();
        assert_eq!(seen(&said, 400), all);
    }

    #[test]
    fn a_burst_is_seen_and_the_rest_is_summed_up_when_it_is_quiet() {
        let said: Vec<f64> = (0..10).map(|n| f64::from(n) * 0.1).collect();
        let seen = seen(&said, 120);
        let lines: Vec<_> = seen.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(
            &lines[..6],
            &said[..6],
            "the first failures are seen at once"
        );
        assert_eq!(
            seen[6..],
            [(11.0, said[9], 4)],
            "the last line, for itself and the three before"
        );
    }

    #[test]
    fn what_flaps_on_is_summed_up_each_minute_until_it_ends() {
        // Twice a second for three minutes.
        let said: Vec<f64> = (0..360).map(|n| f64::from(n) * 0.5 + 0.25).collect();
        let seen = seen(&said, 300);
        assert_eq!(seen.len(), 6 + 3, "{seen:?}");
        assert_eq!(
            seen.iter().map(|(_, _, lines)| lines).sum::<u64>(),
            360,
            "no line is lost"
        );
        let (told, last, _) = seen[8];
        assert!(
            (last - 179.75).abs() < 1e-9 && told <= 190.0,
            "the end is told ten seconds after it: {seen:?}"
        );
    }

    #[test]
    fn after_a_calm_minute_the_first_failure_is_seen_at_once_again() {
        let mut said: Vec<f64> = (0..20).map(|n| f64::from(n) * 0.1).collect();
        said.push(100.5);
        assert_eq!(seen(&said, 200).last(), Some(&(100.5, 100.5, 1)));
    }

    #[test]
    fn subjects_do_not_share_and_their_number_is_bounded() {
        let mut flood = Flood {
            max_subjects: 2,
            ..Flood::default()
        };
        for line in 0..100 {
            flood.admit("noisy", line, at(0.0));
        }
        assert_eq!(flood.admit("calm", 1, at(0.0)), Admission::Write(1));
        assert_eq!(flood.admit("third", 1, at(0.0)), Admission::NoRoom(1));
        assert_eq!(flood.admit("noisy", 1, at(0.0)), Admission::Held);
        flood.due(at(11.0));
        assert!(flood.due(at(72.0)).is_empty());
        assert_eq!(
            flood.admit("third", 1, at(72.0)),
            Admission::Write(1),
            "what is calm makes room"
        );
    }

    #[test]
    fn the_end_of_the_program_tells_what_is_held_back() {
        let mut flood = Flood::default();
        for line in 0..10 {
            flood.admit("pair", line, at(0.0));
        }
        assert_eq!(
            flood.drain(at(3.0)),
            [Summary {
                last: 9,
                lines: 4,
                at: at(0.0),
                over: Span::from_secs(3)
            }]
        );
        assert!(flood.drain(at(3.0)).is_empty());
    }

    proptest! {
        /// However it flaps: nothing is lost, the first and the last line are seen in time, and
        /// there are few lines.
        #[test]
        fn nothing_is_lost_and_little_is_written(pauses in prop::collection::vec(0.01..30.0_f64, 1..400)) {
            let mut said = Vec::new();
            let mut when = 0.0;
            for pause in &pauses {
                when += pause;
                said.push(when);
            }
            // No pause is longer than 30 s.
            let seen = seen(&said, 30 * u32::try_from(pauses.len()).unwrap() + 200);
            prop_assert_eq!(seen[0], (said[0], said[0], 1));
            prop_assert_eq!(seen.iter().map(|(_, _, lines)| *lines).sum::<u64>(), said.len() as u64);
            let (told, last, _) = *seen.last().unwrap();
            prop_assert!((last - when).abs() < 1e-9 && told - when <= 12.0, "{:?}", seen.last());
            let most = 6.0 * (when / 60.0 + 2.0) + when / 10.0;
            prop_assert!((seen.len() as f64) <= most, "{} lines in {} s", seen.len(), when);
            let mut before = 0.0;
            for (told, last, _) in seen {
                prop_assert!(last > before && told >= last && told - last <= 62.0, "{told} {last}");
                before = last;
            }
        }
    }
}
