//! Rate limiting of log lines by subject; pure, for any kind of line.
//!
//! [`BURST`] lines a minute about one subject (a pair, a server, a receiver) are written at once,
//! so its first failures are always visible. Further lines are counted and only the last one is
//! kept. It is written with the count once nothing was logged about the subject for [`QUIET`], so
//! that the outcome is always visible, and once every [`WINDOW`] while the flapping continues.

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
    Suppressed,
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
    suppressed: Option<Suppressed<L>>,
}

#[derive(Debug)]
struct Suppressed<L> {
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
                suppressed: None,
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
        let mut summaries = Vec::new();
        for (_, subject) in self.subjects.drain() {
            if let Some(suppressed) = subject.suppressed {
                summaries.push(suppressed.summary(now));
            }
        }
        sorted(summaries)
    }
}

fn sorted<L>(mut summaries: Vec<Summary<L>>) -> Vec<Summary<L>> {
    summaries.sort_by_key(|summary| summary.at);
    summaries
}

impl<L> Tracked<L> {
    fn admit(&mut self, line: L, now: Timestamp) -> Admission<L> {
        if let Some(suppressed) = &mut self.suppressed {
            suppressed.lines += 1;
            suppressed.latest = now;
            suppressed.last = line;
            return Admission::Suppressed;
        }
        if now - self.since >= WINDOW {
            self.since = now;
            self.written = 0;
        }
        if self.written < BURST {
            self.written += 1;
            return Admission::Write(line);
        }
        self.suppressed = Some(Suppressed {
            first: now,
            latest: now,
            lines: 1,
            last: line,
        });
        Admission::Suppressed
    }

    /// The summary that is due now. The next window begins without a burst, so what keeps flapping
    /// stays suppressed.
    fn due(&mut self, now: Timestamp) -> Option<Summary<L>> {
        let is_due = |suppressed: &mut Suppressed<L>| {
            now - suppressed.latest >= QUIET || now - suppressed.first >= WINDOW
        };
        let suppressed = self.suppressed.take_if(is_due)?;
        self.since = now;
        self.written = BURST;
        Some(suppressed.summary(now))
    }

    fn is_calm(&self, now: Timestamp) -> bool {
        self.suppressed.is_none() && now - self.since >= WINDOW
    }
}

impl<L> Suppressed<L> {
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

    /// What is written of one subject's lines, which are logged at these seconds. Summaries are
    /// written each second: `(second, line, lines that it stands for)`. A line is the second at
    /// which it was logged.
    fn seen(logged: &[f64], until: u32) -> Vec<(f64, f64, u64)> {
        let mut flood = Flood::default();
        let mut seen = Vec::new();
        let mut logged = logged.iter().peekable();
        for second in 0..=until {
            let tick = f64::from(second);
            while let Some(when) = logged.next_if(|when| **when < tick) {
                if let Admission::Write(line) = flood.admit("pair", *when, at(*when)) {
                    seen.push((*when, line, 1));
                }
            }
            for summary in flood.due(at(tick)) {
                seen.push((tick, summary.last, summary.lines));
            }
        }
        assert!(flood.subjects.is_empty(), "calm subjects are forgotten");
        seen
    }

    #[test]
    fn rare_lines_are_never_suppressed() {
        let logged: Vec<f64> = (0..20).map(|n| f64::from(n) * 11.0 + 0.5).collect();
        let all: Vec<_> = logged.iter().map(|when| (*when, *when, 1)).collect();
        assert_eq!(seen(&logged, 400), all);
    }

    #[test]
    fn a_burst_is_written_and_the_rest_is_summarised_after_a_pause() {
        let logged: Vec<f64> = (0..10).map(|n| f64::from(n) * 0.1).collect();
        let seen = seen(&logged, 120);
        let lines: Vec<_> = seen.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(
            &lines[..6],
            &logged[..6],
            "the first failures are seen at once"
        );
        assert_eq!(
            seen[6..],
            [(11.0, logged[9], 4)],
            "the last line, for itself and the three before"
        );
    }

    #[test]
    fn continued_flapping_is_summarised_each_minute() {
        // Twice a second for three minutes.
        let logged: Vec<f64> = (0..360).map(|n| f64::from(n) * 0.5 + 0.25).collect();
        let seen = seen(&logged, 300);
        assert_eq!(seen.len(), 6 + 3, "{seen:?}");
        assert_eq!(
            seen.iter().map(|(_, _, lines)| lines).sum::<u64>(),
            360,
            "no line is lost"
        );
        let (written, last, _) = seen[8];
        assert!(
            (last - 179.75).abs() < 1e-9 && written <= 190.0,
            "the end is written ten seconds after it: {seen:?}"
        );
    }

    #[test]
    fn after_a_calm_minute_the_first_failure_is_written_at_once() {
        let mut logged: Vec<f64> = (0..20).map(|n| f64::from(n) * 0.1).collect();
        logged.push(100.5);
        assert_eq!(seen(&logged, 200).last(), Some(&(100.5, 100.5, 1)));
    }

    #[test]
    fn subjects_are_limited_apart_and_their_number_is_bounded() {
        let mut flood = Flood {
            max_subjects: 2,
            ..Flood::default()
        };
        for line in 0..100 {
            flood.admit("noisy", line, at(0.0));
        }
        assert_eq!(flood.admit("calm", 1, at(0.0)), Admission::Write(1));
        assert_eq!(flood.admit("third", 1, at(0.0)), Admission::NoRoom(1));
        assert_eq!(flood.admit("noisy", 1, at(0.0)), Admission::Suppressed);
        flood.due(at(11.0));
        assert!(flood.due(at(72.0)).is_empty());
        assert_eq!(
            flood.admit("third", 1, at(72.0)),
            Admission::Write(1),
            "what is calm makes room"
        );
    }

    #[test]
    fn the_end_of_the_program_writes_the_pending_summaries() {
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
            let mut logged = Vec::new();
            let mut when = 0.0;
            for pause in &pauses {
                when += pause;
                logged.push(when);
            }
            // No pause is longer than 30 s.
            let seen = seen(&logged, 30 * u32::try_from(pauses.len()).unwrap() + 200);
            prop_assert_eq!(seen[0], (logged[0], logged[0], 1));
            prop_assert_eq!(seen.iter().map(|(_, _, lines)| *lines).sum::<u64>(), logged.len() as u64);
            let (written, last, _) = *seen.last().unwrap();
            prop_assert!((last - when).abs() < 1e-9 && written - when <= 12.0, "{:?}", seen.last());
            let most = 6.0 * (when / 60.0 + 2.0) + when / 10.0;
            prop_assert!((seen.len() as f64) <= most, "{} lines in {} s", seen.len(), when);
            let mut before = 0.0;
            for (written, last, _) in seen {
                prop_assert!(last > before && written >= last && written - last <= 62.0, "{written} {last}");
                before = last;
            }
        }
    }
}
