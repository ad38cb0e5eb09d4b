//! A drill: the recovery practised, and what it measured.

use serde::{Deserialize, Serialize};

use super::ending::Outcome;
use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// Where a drill takes place.
    pub enum DrillKind {
        /// On servers that it starts for itself and ends afterwards.
        Throwaway => "throwaway",
        /// On the pair itself: there and back.
        Real => "real",
    }
}

serde_as_label!(DrillKind);

/// The report of one drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// Its name.
    pub id: String,
    /// The pair.
    pub pair: String,
    /// Where it took place.
    pub kind: DrillKind,
    /// Whether everything went as it should.
    pub passed: bool,
    /// What did not, a sentence each.
    pub problems: Vec<String>,
    /// When it began, in Unix seconds.
    pub began: f64,
    /// When it ended, in Unix seconds.
    pub ended: f64,
    /// What its servers have in common with those of the pair, and what not, a sentence each.
    pub notes: Vec<String>,
    /// What was practised, in order.
    pub parts: Vec<DrillPart>,
}

/// One thing that was practised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillPart {
    /// What.
    pub name: String,
    /// How it ended; `null` where it was refused, or is no operation.
    pub outcome: Option<Outcome>,
    /// How it ended, as a sentence.
    pub sentence: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The longest time without an acknowledged write, in seconds; `null` where nobody wrote.
    pub write_pause_seconds: Option<f64>,
    /// From the last acknowledged write on the old master to the first on the new one, in seconds;
    /// of a disaster only.
    pub rto_seconds: Option<f64>,
    /// What the command said would be lost; of a disaster only.
    pub rpo_stated: Option<String>,
    /// Acknowledged writes that are not on the new master; `null` where nobody wrote.
    pub lost_writes: Option<u64>,
    /// How many of them are in the file of lost writes; `null` where none was captured.
    pub captured_writes: Option<u64>,
}

impl DrillReport {
    /// Notes that something did not go as it should.
    pub fn fail(&mut self, problem: impl Into<String>) {
        self.passed = false;
        self.problems.push(problem.into());
    }

    /// The last line of a drill.
    pub fn last_line(&self) -> String {
        if self.passed {
            return format!("Passed: the drill {} of {}.", self.id, self.pair);
        }
        let problems = self.problems.join("; ");
        format!(
            "Failed: the drill {} of {}: {problems}.",
            self.id, self.pair
        )
    }

    /// The report in Markdown. `time` writes an instant for people.
    pub fn markdown(&self, time: impl Fn(f64) -> String) -> String {
        let verdict = if self.passed { "passed" } else { "failed" };
        let mut text = format!("# Drill of {}: {}\n\n**{verdict}**\n\n", self.pair, self.id);
        text += &format!(
            "* {}, {} to {}\n",
            self.kind,
            time(self.began),
            time(self.ended)
        );
        for problem in &self.problems {
            text += &format!("* problem: {problem}\n");
        }
        for note in &self.notes {
            text += &format!("* {note}\n");
        }
        text += "\n| part | outcome | took | write pause | RTO | lost writes | captured | stated beforehand |\n";
        text += "|---|---|---|---|---|---|---|---|\n";
        for part in &self.parts {
            text += &format!(
                "| {} | {} | {:.1} s | {} | {} | {} | {} | {} |\n",
                part.name,
                part.outcome.map_or("-", Outcome::label),
                part.seconds,
                seconds(part.write_pause_seconds),
                seconds(part.rto_seconds),
                count(part.lost_writes),
                count(part.captured_writes),
                part.rpo_stated.as_deref().unwrap_or("-"),
            );
        }
        text += "\n";
        for part in &self.parts {
            text += &format!("* {}: {}\n", part.name, part.sentence);
        }
        text
    }
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_measured_and_a_dash_where_nothing_was() {
        let mut report = DrillReport {
            id: "x".to_owned(),
            pair: "orders".to_owned(),
            kind: DrillKind::Throwaway,
            passed: true,
            problems: Vec::new(),
            began: 1.0,
            ended: 2.0,
            notes: vec!["7.0.15, as the pair".to_owned()],
            parts: vec![DrillPart {
                name: "disaster".to_owned(),
                outcome: Some(Outcome::Done),
                sentence: "it is done".to_owned(),
                seconds: 3.21,
                rto_seconds: Some(2.5),
                lost_writes: Some(17),
                ..DrillPart::default()
            }],
        };
        let text = report.markdown(|at| format!("<{at}>"));
        assert!(
            text.contains("| disaster | done | 3.2 s | - | 2.50 s | 17 | - | - |"),
            "{text}"
        );
        assert!(
            text.contains("**passed**") && text.contains("<1> to <2>"),
            "{text}"
        );
        report.fail("nothing was captured");
        assert!(report.markdown(|_| String::new()).contains("**failed**"));
        assert_eq!(
            report.last_line(),
            "Failed: the drill x of orders: nothing was captured."
        );
    }
}
