//! `doctor --output markdown`: for a ticket or a wiki, a checkbox for each finding.

use crate::doctor::{DoctorReport, EntryReport, Finding, Fix, ServerRef};
use crate::model::Span;
use crate::report::visible_line;

/// The whole document.
pub(super) fn markdown(report: &DoctorReport) -> String {
    let survive = Span::from_secs_f64(report.survive_seconds);
    let mut text = format!(
        "# Disaster recovery audit\n\n{}; an interruption of {survive} to survive.\n",
        report.summary.sentence()
    );
    for pair in &report.pairs {
        text += &pair_text(pair);
    }
    if !report.not_in_this_version.is_empty() {
        text += "\n## Not in this version\n\n";
    }
    for missing in &report.not_in_this_version {
        let title = DoctorReport::title(missing.check);
        text += &format!("* {} {title}: {}\n", missing.check, plain(&missing.why));
    }
    text
}

fn pair_text(pair: &EntryReport) -> String {
    let listed = |servers: &[ServerRef]| {
        let places = servers
            .iter()
            .map(|s| format!("{} ({})", plain(&s.server), plain(&s.dc)));
        places.collect::<Vec<_>>().join(", ")
    };
    let servers = match &pair.master {
        Some(master) => format!(
            "{} → {}",
            listed(std::slice::from_ref(master)),
            listed(&pair.replicas)
        ),
        None => format!("Active-active sites: {}", listed(&pair.sites)),
    };
    let mut text = format!("\n## {}\n\n{servers}\n\n", plain(&pair.pair));
    if let Some(rate) = &pair.write_rate {
        text += &format!("Writes: {}\n\n", plain(&rate.sentence));
    }
    for finding in &pair.findings {
        text += &finding_text(finding);
    }
    for gap in &pair.not_checked {
        let checks: Vec<&str> = gap.checks.iter().map(|check| check.label()).collect();
        let checks = checks.join(" ");
        text += &format!(
            "* not checked on {}: {} ({checks})\n",
            plain(&gap.server),
            plain(&gap.why)
        );
    }
    for ignored in &pair.ignored {
        let until = ignored.until.as_deref().unwrap_or("further notice");
        text += &format!(
            "* ignored until {until}: {} on {}: {} ({})\n",
            ignored.check,
            plain(&ignored.server),
            plain(&ignored.what),
            plain(&ignored.reason)
        );
    }
    if pair.findings.is_empty() && pair.not_checked.is_empty() {
        text += "* nothing found\n";
    }
    text
}

fn finding_text(finding: &Finding) -> String {
    let evidence = &finding.evidence;
    let mut text = format!(
        "- [ ] **{} {}** {} ({}): {}\n",
        finding.severity,
        finding.check,
        plain(&finding.server),
        plain(&finding.dc),
        plain(&finding.what)
    );
    text += &format!(
        "    * is: {}; needed: {}; by {}\n",
        plain(&evidence.value),
        plain(&evidence.need),
        plain(&evidence.measured)
    );
    text += &format!("    * then: {}\n", plain(&finding.consequence));
    if let Some(ended) = &finding.exception_ended {
        text += &format!("    * {}\n", plain(ended));
    }
    text += &fix_text(&finding.fix);
    text += &format!("    * from: {}\n", plain(&finding.source));
    text
}

fn fix_text(fix: &Fix) -> String {
    let mut text = format!(
        "    * fix on {}: {}\n",
        plain(&fix.server),
        plain(&fix.note)
    );
    text += &code("", &fix.commands);
    text += &code("      In its redis.conf:\n\n", &fix.lines);
    text
}

/// A block of code behind `head`; nothing where there are no lines.
fn code(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{head}      ```\n");
    for line in lines {
        // All of them begin with a word of the program, so none can end the block.
        text += &format!("      {}\n", visible_line(line));
    }
    text + "      ```\n\n"
}

/// A text in which no character is Markdown's, and no character commands a terminal.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible_line(text).chars() {
        if matches!(
            c,
            '*' | '_' | '`' | '<' | '>' | '[' | ']' | '|' | '#' | '\\'
        ) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
pub(super) mod testing {
    use crate::doctor::{
        DoctorReport, EntryReport, Evidence, Finding, FindingSeverity, Fix, IgnoredFinding,
        NotChecked, ServerRef,
    };
    use crate::model::DoctorCheck;

    /// A report with one thing of each kind on a replica of this name.
    pub(in crate::cli::doctor) fn report(server: &str) -> DoctorReport {
        let at = |server: &str, dc: &str| ServerRef {
            server: server.to_owned(),
            dc: dc.to_owned(),
        };
        let finding = Finding {
            check: DoctorCheck::A1,
            severity: FindingSeverity::Critical,
            server: server.to_owned(),
            dc: "dc2".to_owned(),
            what: "it refuses every write once it is promoted: it wants 1 replicas and has 0"
                .to_owned(),
            evidence: Evidence {
                value: "min-replicas-to-write 1".to_owned(),
                need: "at most 0".to_owned(),
                measured: "CONFIG GET".to_owned(),
            },
            consequence: "Every write is refused.".to_owned(),
            fix: Fix {
                server: server.to_owned(),
                commands: vec!["CONFIG SET min-replicas-to-write 0".to_owned()],
                lines: vec!["min-replicas-to-write 0".to_owned()],
                note: "a restart loses it".to_owned(),
            },
            source: "redis.conf".to_owned(),
            exception_ended: None,
        };
        let gap = NotChecked {
            server: server.to_owned(),
            dc: "dc2".to_owned(),
            checks: vec![DoctorCheck::A3, DoctorCheck::B2],
            why: "CONFIG GET is not permitted: give the user +config|get".to_owned(),
        };
        let ignored = IgnoredFinding {
            check: DoctorCheck::B6,
            server: server.to_owned(),
            what: "it collects writes".to_owned(),
            reason: "wanted".to_owned(),
            until: None,
        };
        let pair = EntryReport {
            pair: "orders".to_owned(),
            master: Some(at("10.1.0.1:6379", "dc1")),
            replicas: vec![at(server, "dc2")],
            sites: Vec::new(),
            write_rate: None,
            findings: vec![finding],
            not_checked: vec![gap],
            ignored: vec![ignored],
        };
        DoctorReport::new(vec![pair], 1.0, 600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::report;
    use super::*;

    #[test]
    fn a_document_has_a_box_for_each_finding_and_the_commands_as_code() {
        let text = markdown(&report("10.2.0.1:6379"));
        assert!(
            text.contains("- [ ] **critical A1** 10.2.0.1:6379 (dc2): it refuses every write"),
            "{text}"
        );
        let code = "      ```\n      CONFIG SET min-replicas-to-write 0\n      ```\n\n\n      \
                    In its redis.conf:\n\n      ```\n      min-replicas-to-write 0\n      ```\n";
        assert!(text.contains(code), "{text}");
        assert!(text.contains("(A3 B2)") && !text.contains("## Not in this version"));
    }

    #[test]
    fn a_server_cannot_write_markdown() {
        let text = markdown(&report("[x](http://evil) `<b>`\n# owned"));
        assert!(
            !text.contains("[x](http") && !text.contains("<b>"),
            "{text}"
        );
        assert!(!text.contains("\n# owned"), "{text}");
    }
}
