//! What an audit finds, and how it is repaired.

use serde::{Deserialize, Serialize};

use super::directive::Directive;
use super::facts::ServerFacts;
use crate::model::{DoctorCheck, ServerAddr, closed_set, serde_as_label, shell_quote};

closed_set! {
    /// How bad a finding is, worst last.
    pub enum FindingSeverity {
        /// A choice, or something that could be better.
        Advice => "advice",
        /// It will do harm in some disaster.
        Warning => "warning",
        /// It makes the disaster recovery fail, or lose data.
        Critical => "critical",
    }
}

serde_as_label!(FindingSeverity, else Critical);

/// The three facts that let a reader judge a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the value is.
    pub value: String,
    /// What it should be, and by which measurement.
    pub need: String,
    /// Which commands on which servers returned it.
    pub measured: String,
}

/// How to repair a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// The server that the commands are for.
    pub server: String,
    /// Commands of Redis, in their order; none where nothing but `note` helps.
    pub commands: Vec<String>,
    /// Lines for redis.conf; none where CONFIG REWRITE writes them.
    pub lines: Vec<String>,
    /// Whether the commands outlast a restart, and what else there is to do.
    pub note: String,
}

/// What one rule found on one server, before the catalogue's part is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// How bad it is.
    pub(super) severity: FindingSeverity,
    /// Where, if that is not the server that the rule looked at.
    pub(super) server: Option<ServerAddr>,
    /// What, as one sentence without a full stop.
    pub(super) what: String,
    /// The facts.
    pub(super) evidence: Evidence,
    /// What follows from it, where that is another thing than the catalogue says of the check.
    pub(super) consequence: Option<&'static str>,
    /// How to repair it.
    pub(super) fix: Fix,
}

/// A finding, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check.
    pub check: DoctorCheck,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// Where.
    pub server: String,
    /// Its datacenter.
    pub dc: String,
    /// What, as one sentence without a full stop.
    pub what: String,
    /// The facts.
    pub evidence: Evidence,
    /// What follows from it, as one sentence.
    pub consequence: String,
    /// How to repair it.
    pub fix: Fix,
    /// Where the rule comes from.
    pub source: String,
    /// The exception whose last day has passed, if there was one.
    pub exception_ended: Option<String>,
}

/// Checks without a result, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotChecked {
    /// The server that they look at.
    pub server: String,
    /// Its datacenter.
    pub dc: String,
    /// The checks.
    pub checks: Vec<DoctorCheck>,
    /// Why, as a sentence without a full stop.
    pub why: String,
}

/// A finding that the configuration accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredFinding {
    /// What was found, or not checked.
    pub check: DoctorCheck,
    /// Where.
    pub server: String,
    /// What, as one sentence without a full stop.
    pub what: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is.
    pub until: Option<String>,
}

impl Problem {
    /// A finding on the server that the rule looks at.
    pub(super) fn new(
        severity: FindingSeverity,
        what: String,
        evidence: Evidence,
        fix: Fix,
    ) -> Self {
        Self {
            severity,
            server: None,
            what,
            evidence,
            consequence: None,
            fix,
        }
    }

    /// The same with this consequence, a sentence.
    #[must_use]
    pub(super) fn then(mut self, consequence: &'static str) -> Self {
        self.consequence = Some(consequence);
        self
    }

    /// The same on another server.
    #[must_use]
    pub(super) fn on(mut self, server: &ServerAddr) -> Self {
        self.server = Some(server.clone());
        self
    }
}

impl Evidence {
    /// What it is, what it should be, and which commands returned it.
    pub fn new(value: String, need: String, measured: String) -> Self {
        Self {
            value,
            need,
            measured,
        }
    }
}

impl Fix {
    /// Sets `directive` on a running server, and keeps it if the server has a file.
    pub fn set(
        server: &ServerAddr,
        facts: &ServerFacts,
        directive: Directive,
        value: &str,
    ) -> Self {
        Self::set_named(server, facts, directive.label(), value)
    }

    /// Like [`Self::set`], for a directive that is not asked for.
    pub fn set_named(server: &ServerAddr, facts: &ServerFacts, name: &str, value: &str) -> Self {
        let value = shell_quote(value);
        let mut fix = Self {
            server: server.to_string(),
            commands: vec![format!("CONFIG SET {name} {value}")],
            lines: Vec::new(),
            note: String::new(),
        };
        match facts.config_file() {
            Ok(Some(path)) => {
                fix.commands.push("CONFIG REWRITE".to_owned());
                fix.note = format!("CONFIG REWRITE keeps it, in {path}");
            }
            Ok(None) => {
                fix.lines.push(format!("{name} {value}"));
                "a restart loses it: the server was started without a file, so put the line where \
                 it is started from"
                    .clone_into(&mut fix.note);
            }
            Err(_) => {
                fix.lines.push(format!("{name} {value}"));
                "a restart loses it unless the line is in the server's file"
                    .clone_into(&mut fix.note);
            }
        }
        fix
    }

    /// A line for redis.conf that takes effect at a restart.
    pub fn line(server: &ServerAddr, line: String, note: &str) -> Self {
        Self {
            server: server.to_string(),
            commands: Vec::new(),
            lines: vec![line],
            note: note.to_owned(),
        }
    }

    /// Commands that need no line.
    pub fn commands(server: &ServerAddr, commands: Vec<String>, note: &str) -> Self {
        Self {
            server: server.to_string(),
            commands,
            lines: Vec::new(),
            note: note.to_owned(),
        }
    }

    /// What is no command of Redis.
    pub fn by_hand(server: &ServerAddr, note: &str) -> Self {
        Self::commands(server, Vec::new(), note)
    }

    /// The same with a further sentence in the note.
    #[must_use]
    pub fn noting(mut self, sentence: &str) -> Self {
        if !self.note.is_empty() {
            self.note += "; ";
        }
        self.note += sentence;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;
    use crate::info::Field;

    #[test]
    fn a_fix_says_whether_it_outlasts_a_restart() {
        let addr = ServerAddr::new("a", 1);
        let mut facts = facts();
        let fix = |facts: &ServerFacts| Fix::set(&addr, facts, Directive::ReplTimeout, "60");
        let kept = fix(&facts);
        assert_eq!(
            kept.commands,
            ["CONFIG SET repl-timeout 60", "CONFIG REWRITE"]
        );
        assert!(kept.lines.is_empty() && kept.note.ends_with("in /etc/redis/redis.conf"));
        facts.details.config_file = Field::None;
        let lost = fix(&facts);
        assert_eq!(lost.commands, ["CONFIG SET repl-timeout 60"]);
        assert_eq!(lost.lines, ["repl-timeout 60"]);
        assert!(lost.note.starts_with("a restart loses it"));
    }
}
