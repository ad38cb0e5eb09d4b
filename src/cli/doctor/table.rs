//! The screen of `doctor`: the news first, then pair by pair, worst first.

use anstyle::Style;

use super::lines::wrapped;
use crate::cli::style;
use crate::doctor::{
    DoctorReport, EntryReport, Finding, FindingSeverity, Fix, IgnoredFinding, NotChecked, ServerRef,
};
use crate::model::{DoctorCheck, Span};
use crate::report::{Level, visible_text};

/// The columns before the text of a finding.
const INDENT: usize = 2;
/// The columns before what explains it.
const BELOW: usize = 6;

/// The whole screen. Names and values come from servers, so control characters in them are escaped.
pub(super) fn table(report: &DoctorReport) -> String {
    let mut text = headline(report);
    for pair in &report.pairs {
        text.push('\n');
        text += &pair_text(pair);
    }
    text.push('\n');
    for missing in &report.not_in_this_version {
        let title = DoctorReport::title(missing.check);
        let line = format!("not checked: {title}: {}", missing.why);
        text += &wrapped(0, &format!("{} ", missing.check), &line);
    }
    text
}

fn headline(report: &DoctorReport) -> String {
    let summary = report.summary;
    let level = if summary.critical > 0 {
        Level::Critical
    } else if summary.warning > 0 {
        Level::Warning
    } else if summary.not_checked > 0 {
        Level::Unknown
    } else {
        Level::Ok
    };
    let loud = style::for_level(level);
    let count = report.pairs.len();
    let noun = if count == 1 { "pair" } else { "pairs" };
    let survive = Span::from_secs_f64(report.survive_seconds);
    format!(
        "{loud}{}{loud:#}: {count} {noun}, an interruption of {survive} to survive\n",
        summary.sentence()
    )
}

fn pair_text(pair: &EntryReport) -> String {
    let mut text = servers(pair);
    if let Some(rate) = &pair.write_rate {
        text += &wrapped(INDENT, "writes: ", &rate.sentence);
    }
    let mut findings: Vec<&Finding> = pair.findings.iter().collect();
    while let Some(first) = findings.first().copied() {
        let same = findings.extract_if(.., |finding| is_same(first, finding));
        text += &finding_text(&same.collect::<Vec<_>>());
    }
    if pair.findings.is_empty() && pair.not_checked.is_empty() {
        text += &wrapped(INDENT, "", "nothing found");
    }
    for gap in &pair.not_checked {
        text += &gap_text(gap);
    }
    for ignored in &pair.ignored {
        text += &ignored_text(ignored);
    }
    text
}

fn servers(pair: &EntryReport) -> String {
    let listed = |servers: &[ServerRef]| {
        let places = servers.iter().map(|s| format!("{} in {}", s.server, s.dc));
        places.collect::<Vec<_>>().join(", ")
    };
    let line = match &pair.master {
        Some(master) => format!(
            "{} in {} -> {}",
            master.server,
            master.dc,
            listed(&pair.replicas)
        ),
        None => format!("active-active sites: {}", listed(&pair.sites)),
    };
    wrapped(0, &format!("{}  ", visible_text(&pair.pair)), &line)
}

/// One finding, or the same on several servers.
fn finding_text(same: &[&Finding]) -> String {
    let Some(finding) = same.first() else {
        return String::new();
    };
    let loud = style_of(finding.severity);
    let word = finding.severity.label();
    let head = format!("{word:<8} {} ", finding.check);
    let places = same.iter().map(|f| format!("{} in {}", f.server, f.dc));
    let what = format!("{}: {}", joined(places), finding.what);
    let first = wrapped(INDENT, &head, &what);
    // The word alone is coloured.
    let first = first.replacen(word, &format!("{loud}{word}{loud:#}"), 1);
    let evidence = &finding.evidence;
    let measured = joined(same.iter().map(|f| f.evidence.measured.clone()));
    let facts = format!(
        "{}; needed: {}; by {measured}",
        evidence.value, evidence.need
    );
    let mut text = first;
    text += &wrapped(BELOW, "is:   ", &facts);
    text += &wrapped(BELOW, "then: ", &finding.consequence);
    let servers = joined(same.iter().map(|f| f.fix.server.clone()));
    text += &fix_text(&finding.fix, &servers);
    text += &wrapped(BELOW, "from: ", &finding.source);
    if let Some(ended) = &finding.exception_ended {
        text += &wrapped(BELOW, "      ", ended);
    }
    text
}

/// Whether both findings differ in nothing but their server.
fn is_same(one: &Finding, other: &Finding) -> bool {
    let facts = |f: &Finding| (f.evidence.value.clone(), f.evidence.need.clone());
    let fix = |f: &Finding| {
        (
            f.fix.commands.clone(),
            f.fix.lines.clone(),
            f.fix.note.clone(),
        )
    };
    (one.check, one.severity) == (other.check, other.severity)
        && one.what == other.what
        && one.exception_ended == other.exception_ended
        && facts(one) == facts(other)
        && fix(one) == fix(other)
}

/// Different texts, with "and" before the last.
fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = texts.collect();
    all.dedup();
    match all.pop() {
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{} and {last}", all.join(", ")),
        None => String::new(),
    }
}

fn fix_text(fix: &Fix, servers: &str) -> String {
    let mut text = String::new();
    let mut head = "fix:  ";
    for command in &fix.commands {
        text += &wrapped(BELOW, head, &format!("{command}    (on {servers})"));
        head = "      ";
    }
    for line in &fix.lines {
        let file = format!("{line}    (redis.conf of {servers})");
        text += &wrapped(BELOW, head, &file);
        head = "      ";
    }
    text += &wrapped(BELOW, head, &fix.note);
    text
}

fn gap_text(gap: &NotChecked) -> String {
    let what = format!("{} in {}: {}", gap.server, gap.dc, gap.why);
    let checks = labels(&gap.checks);
    let mut text = wrapped(INDENT, "not checked ", &what);
    text += &wrapped(BELOW, "", &checks);
    text
}

fn labels(checks: &[DoctorCheck]) -> String {
    let labels: Vec<&str> = checks.iter().map(|check| check.label()).collect();
    labels.join(" ")
}

fn ignored_text(ignored: &IgnoredFinding) -> String {
    let until = match &ignored.until {
        Some(until) => format!(" until {until}"),
        None => String::new(),
    };
    let what = format!(
        "{}: {} (ignored{until}: {})",
        ignored.server, ignored.what, ignored.reason
    );
    wrapped(INDENT, &format!("ignored  {} ", ignored.check), &what)
}

fn style_of(severity: FindingSeverity) -> Style {
    style::for_level(match severity {
        FindingSeverity::Critical => Level::Critical,
        FindingSeverity::Warning => Level::Warning,
        FindingSeverity::Advice => Level::Ok,
    })
}

#[cfg(test)]
mod tests {
    use super::super::markdown::testing::report;
    use super::*;

    #[test]
    fn the_screen_has_the_news_first_and_fits_a_hundred_columns() {
        let screen = table(&report("10.2.0.1:6379"));
        let plain = anstream::adapter::strip_str(&screen).to_string();
        let first = plain.lines().next().unwrap();
        assert_eq!(
            first,
            "1 critical, 2 not checked, 1 ignored: 1 pair, an interruption of 10m 00s to survive"
        );
        for line in plain.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        assert!(
            plain.contains("\n  critical A1 10.2.0.1:6379 in dc2: it refuses"),
            "{plain}"
        );
        assert!(plain.contains("fix:  CONFIG SET min-replicas-to-write 0    (on 10.2.0.1:6379)"));
        assert!(
            plain.contains("\n  not checked 10.2.0.1:6379 in dc2: CONFIG GET is not permitted")
        );
    }

    #[test]
    fn the_same_on_two_servers_is_said_once() {
        let mut report = report("10.2.0.1:6379");
        let mut other = report.pairs[0].findings[0].clone();
        "10.3.0.1:6379".clone_into(&mut other.server);
        "10.3.0.1:6379".clone_into(&mut other.fix.server);
        report.pairs[0].findings.push(other.clone());
        "another fault".clone_into(&mut other.what);
        report.pairs[0].findings.push(other);
        let screen = table(&report);
        let plain = anstream::adapter::strip_str(&screen).to_string();
        assert_eq!(plain.matches("critical A1").count(), 2, "{plain}");
        let both = "A1 10.2.0.1:6379 in dc2 and 10.3.0.1:6379 in dc2: it refuses";
        assert!(plain.contains(both), "{plain}");
        assert!(
            plain.contains("(on 10.2.0.1:6379 and 10.3.0.1:6379)"),
            "{plain}"
        );
    }

    #[test]
    fn a_server_cannot_command_the_terminal() {
        let screen = table(&report("\u{1b}]0;owned\u{7}\n\u{202e}"));
        let plain = anstream::adapter::strip_str(&screen).to_string();
        assert!(
            !plain.contains(|c: char| c.is_control() && c != '\n'),
            "{plain:?}"
        );
        assert!(plain.contains("\\u{1b}]0;owned\\u{7}"));
    }
}
