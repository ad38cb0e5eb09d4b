//! The screen of `check`.

use std::collections::BTreeMap;

use super::rows::rows;
use super::seen::Seen;
use super::source::Source;
use crate::cli::style;
use crate::report::{
    ClusterReport, DiscoveryReport, ExporterReport, Level, PairsReport, SentinelsReport,
    ServerReport, seconds_text, visible_text,
};

/// How long a failover is shown: in the morning an engineer wants to see those of the night.
const FAILOVER_SHOWN_SECONDS: f64 = 12.0 * 3600.0;

/// The whole screen. Names and sentences come from whatever answered at the exporter's address, so
/// control characters in them are escaped.
pub(super) fn table(seen: &Seen) -> String {
    let report = &seen.report;
    headline(report, &seen.source)
        + &troubles_of_the_exporter(&report.exporter)
        + "\n"
        + &rows(seen)
        + &recent_failovers(report)
        + &lost_writes(report)
        + &silent_servers(&report.servers)
        + &sentinels_in_trouble(&report.sentinels)
        + &clusters_in_trouble(&report.clusters)
        + &discovery_in_trouble(&report.discovery)
}

/// Why the answer of a running exporter may be out of date or incomplete.
fn troubles_of_the_exporter(exporter: &ExporterReport) -> String {
    let loud = style::for_level(Level::Critical);
    let mut text = String::new();
    if let Some(seconds) = exporter.stuck_seconds {
        let age = seconds_text(seconds);
        text += &format!("{loud}The exporter is stuck: what it reports is {age} old.{loud:#}\n");
    }
    if !exporter.ready {
        text += "The exporter has just started: not every server was polled yet.\n";
    }
    if let Some(managed) = &exporter.overloaded {
        text +=
            &format!("The exporter is overloaded: {managed}; bounds are wider, but still true.\n");
    }
    if let Some(why) = &exporter.reload_failed {
        let why = visible_text(why);
        text += &format!(
            "The exporter runs with its old configuration, the new one is refused: {why}\n"
        );
    }
    text
}

/// Recent failovers, and what was lost by them.
fn recent_failovers(report: &PairsReport) -> String {
    let mut text = String::new();
    for entry in &report.failovers {
        let Some(last) = &entry.last else { continue };
        let ago = (report.exporter.now_timestamp - last.timestamp).max(0.0);
        if ago > FAILOVER_SHOWN_SECONDS {
            continue;
        }
        let pair = visible_text(&entry.pair);
        let reason = visible_text(&last.reason);
        text += &format!("Failover of {pair} {} ago: {reason}\n", seconds_text(ago));
    }
    after_blank_line(text)
}

/// Writes that only a deposed master has, or had, until a person has dealt with them.
fn lost_writes(report: &PairsReport) -> String {
    let mut text = String::new();
    for entry in &report.lost_writes {
        if entry.is_open() {
            let pair = visible_text(&entry.pair);
            let reason = visible_text(&entry.reason);
            text += &format!("Lost writes of {pair}: {reason}\n");
        }
    }
    after_blank_line(text)
}

/// How many pairs there are of each level, and who was queried. That no exporter answers comes
/// first, because readers take for granted that one is watching.
fn headline(report: &PairsReport, source: &Source) -> String {
    let counts = summary(report, source);
    match source {
        Source::Exporter { url } => {
            format!("{counts}; asked the exporter at {}\n", visible_text(url))
        }
        Source::Servers { url, why } => {
            let loud = style::for_level(Level::Critical);
            let url = visible_text(url);
            let why = visible_text(why);
            format!(
                "{loud}NO EXPORTER ANSWERS at {url} ({why}).{loud:#}\n\
                 Polled the servers directly: {counts}; alerts, silences and history are not known.\n"
            )
        }
        Source::Named => {
            format!(
                "{counts}; polled the servers directly, no exporter was asked: alerts, silences and history \
                 are not known\n"
            )
        }
    }
}

/// How many pairs there are of each level, worst first.
fn summary(report: &PairsReport, source: &Source) -> String {
    let mut counts: BTreeMap<Level, usize> = BTreeMap::new();
    for pair in &report.pairs {
        *counts.entry(source.level(pair)).or_default() += 1;
    }
    let mut parts = Vec::new();
    for (level, count) in counts.iter().rev() {
        parts.push(format!("{count} {}", level.label()));
    }
    let noun = if report.pairs.len() == 1 {
        "pair"
    } else {
        "pairs"
    };
    format!("{} {noun}: {}", report.pairs.len(), parts.join(", "))
}

/// A part of the screen after a blank line; nothing where it is empty.
fn after_blank_line(text: String) -> String {
    if text.is_empty() {
        return text;
    }
    format!("\n{text}")
}

/// Servers that do not answer, and why.
fn silent_servers(servers: &[ServerReport]) -> String {
    let mut text = String::new();
    for server in servers {
        if server.up != Some(false) {
            continue;
        }
        let why = match &server.reason {
            Some(reason) => visible_text(reason),
            None => "the server does not answer".to_owned(),
        };
        let name = visible_text(&server.server);
        let dc = visible_text(&server.dc);
        text += &format!("{name} in {dc}: {why}\n");
    }
    after_blank_line(text)
}

/// Problems of Sentinels, and risks of their placement.
fn sentinels_in_trouble(groups: &[SentinelsReport]) -> String {
    let mut text = String::new();
    for group in groups {
        let pair = visible_text(&group.pair);
        for sentinel in &group.sentinels {
            let Some(trouble) = sentinel.trouble() else {
                continue;
            };
            let trouble = visible_text(&trouble);
            let server = visible_text(&sentinel.server);
            let dc = visible_text(&sentinel.dc);
            text += &format!("Sentinel {server} in {dc} of {pair}: {trouble}\n");
        }
        for risk in &group.risks {
            text += &format!("Sentinels of {pair}: {}\n", visible_text(risk));
        }
    }
    after_blank_line(text)
}

/// Problems of Redis Clusters and of their nodes, and risks of where they run.
fn clusters_in_trouble(clusters: &[ClusterReport]) -> String {
    let mut text = String::new();
    for cluster in clusters {
        let name = visible_text(&cluster.cluster);
        for sentence in cluster.troubles.iter().chain(&cluster.risks) {
            text += &format!("Cluster {name}: {}\n", visible_text(sentence));
        }
        for node in &cluster.nodes {
            let Some(reason) = &node.reason else {
                continue;
            };
            let server = visible_text(&node.server);
            let dc = visible_text(&node.dc);
            let reason = visible_text(reason);
            text += &format!("Node {server} in {dc} of {name}: {reason}\n");
        }
    }
    after_blank_line(text)
}

/// Pair files and DNS names that are not in force, and what is watched instead.
fn discovery_in_trouble(discovery: &DiscoveryReport) -> String {
    let mut text = String::new();
    for (subject, reason) in discovery.troubles() {
        let subject = visible_text(&subject);
        text += &format!("{subject}: {}\n", visible_text(reason));
    }
    after_blank_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{pair, report};
    use crate::report::{FailoverReport, FailoversReport};

    fn screen(report: PairsReport, url: &str) -> String {
        table(&Seen {
            report,
            source: Source::Exporter {
                url: url.to_owned(),
            },
            alerts: None,
            deliveries: None,
        })
    }

    fn failovers(pair: &str, reason: &str, hours_ago: f64) -> FailoversReport {
        let last = FailoverReport {
            from: "m:1".to_owned(),
            from_dc: "dc1".to_owned(),
            to: "r:1".to_owned(),
            to_dc: "dc2".to_owned(),
            timestamp: report([]).exporter.now_timestamp - hours_ago * 3600.0,
            lost_bytes: None,
            lost_at_least_bytes: None,
            lost_within_seconds: None,
            last_known: None,
            reason: reason.to_owned(),
        };
        FailoversReport {
            pair: pair.to_owned(),
            total: 1,
            last: Some(last),
        }
    }

    #[test]
    fn failovers_of_the_last_hours_are_shown() {
        let mut report = report([pair("orders")]);
        report.failovers = vec![
            failovers("orders", "r:1 took over", 0.5),
            failovers("carts", "long ago", 13.0),
        ];
        report.failovers.push(FailoversReport {
            pair: "users".to_owned(),
            total: 0,
            last: None,
        });
        let shown: Vec<_> = screen(report, "")
            .lines()
            .filter(|line| line.starts_with("Failover"))
            .map(str::to_owned)
            .collect();
        assert_eq!(shown, ["Failover of orders 30m 00s ago: r:1 took over"]);
    }

    #[test]
    fn a_hostile_exporter_cannot_command_the_terminal_or_break_the_table() {
        let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m<b>\"'\\\n\r\u{202e}".to_owned()
            + &"x".repeat(10_240);
        let mut bad = pair(&hostile);
        for text in [
            &mut bad.source_dc,
            &mut bad.target_dc,
            &mut bad.replica,
            &mut bad.reason,
        ] {
            text.clone_from(&hostile);
        }
        bad.state = crate::replication::PairState::Stalled;
        let mut report = report([bad, pair("orders")]);
        let colours: usize = report
            .pairs
            .iter()
            .map(|pair| style::for_level(pair.level()).to_string().len())
            .sum();
        report.servers.push(ServerReport {
            dc: hostile.clone(),
            server: hostile.clone(),
            up: Some(false),
            role: None,
            engine: None,
            version: None,
            last_error: None,
            reason: Some(hostile.clone()),
            unreachable_seconds: None,
            last_answer_timestamp: None,
            polls_total: 1,
            polls_skipped_total: 0,
        });
        let sentinel = crate::report::SentinelReport {
            dc: hostile.clone(),
            server: hostile.clone(),
            up: Some(false),
            reason: Some(hostile.clone()),
            quorum_ok: None,
            agrees: None,
            tilt: None,
        };
        report.sentinels.push(SentinelsReport {
            pair: hostile.clone(),
            master: None,
            sentinels: vec![sentinel],
            risks: vec![hostile.clone()],
            placement_known: true,
        });
        report.failovers.push(failovers(&hostile, &hostile, 0.0));
        let screen = screen(report, &hostile);
        let plain = anstream::adapter::strip_str(&screen).to_string();
        assert!(
            colours > 0 && plain.len() < screen.len(),
            "the levels are coloured"
        );
        assert!(
            !plain.contains(|c: char| c.is_control() && c != '\n'),
            "{plain:?}"
        );
        let below = 1 + 3; // why; the replica and the lag, which are too long for a line
        let expected = 2 + 1 + 2 + below + (1 + 1) + (1 + 1) + (1 + 2);
        assert_eq!(
            plain.lines().count(),
            expected,
            "summary, head, pairs, what is wrong, failover, silent server, Sentinels: {plain}"
        );
        assert!(
            plain.contains("\\u{1b}]0;owned\\u{7}") && plain.len() < 20_000,
            "{plain}"
        );
        let commands = screen.matches('\u{1b}').count();
        assert_eq!(
            commands, 4,
            "two levels, each with its colour and the end of it"
        );
    }

    #[test]
    fn a_missing_exporter_is_the_first_line() {
        let source = Source::Servers {
            url: "http://127.0.0.1:10121".to_owned(),
            why: "the server refused it".to_owned(),
        };
        let screen = table(&Seen {
            report: report([pair("orders")]),
            source,
            alerts: None,
            deliveries: None,
        });
        let plain = anstream::adapter::strip_str(&screen).to_string();
        let lines: Vec<_> = plain.lines().take(2).collect();
        assert_eq!(
            lines,
            [
                "NO EXPORTER ANSWERS at http://127.0.0.1:10121 (the server refused it).",
                "Polled the servers directly: 1 pair: 1 ok; alerts, silences and history are not known.",
            ]
        );
        let red = style::for_level(Level::Critical).to_string();
        assert!(screen.starts_with(&red));
    }
}
