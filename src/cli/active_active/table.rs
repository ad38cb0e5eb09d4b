//! The report for people: the news first.

use std::collections::BTreeMap;

use super::report::{DirectionLines, Drained, EntryReport, PairReport, QueueReport, Report};
use crate::report::visible_line;

pub(super) fn table(report: &Report) -> String {
    let mut lines = vec![headline(report)];
    for entry in &report.entries {
        entry_lines(entry, &mut lines);
    }
    let visible: Vec<_> = lines.iter().map(|line| visible_line(line)).collect();
    visible.join("\n")
}

fn headline(report: &Report) -> String {
    let pairs = || report.entries.iter().flat_map(|entry| &entry.pairs);
    let divergent: u64 = pairs().map(|pair| pair.divergent).sum();
    let compared: u64 = pairs().map(|pair| pair.keys + pair.counters).sum();
    let result = if divergent > 0 {
        format!("the sites differ in {divergent} keys and counters")
    } else if compared == 0 {
        "there was nothing to compare: no key matches the patterns of the configuration".to_owned()
    } else if report.converged {
        "the sites agree".to_owned()
    } else if pairs().all(|pair| pair.complete) {
        "no difference was found, but items still wait in a queue".to_owned()
    } else {
        "no difference was found in a sample; the other keys were not compared".to_owned()
    };
    if report.executed {
        format!("{result}; this is how it is after the repair")
    } else {
        result
    }
}

fn entry_lines(entry: &EntryReport, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(entry.name.clone());
    for queue in &entry.queues {
        lines.push(queue_line(queue));
        lines.extend(queue.drained.as_ref().map(drained_line));
    }
    for pair in &entry.pairs {
        pair_lines(pair, lines);
    }
}

fn queue_line(queue: &QueueReport) -> String {
    let mut line = format!(
        "  queue {} -> {}: {} waiting, {} set aside",
        queue.source_dc, queue.target_dc, queue.length, queue.rejected
    );
    match (queue.drain_seconds, queue.drain_ends) {
        (Some(seconds), _) if queue.length > 0 => {
            line += &format!("; a drain takes about {:.0} s", seconds.ceil());
        }
        (None, Some(false)) => line += "; a drain never ends at this rate: as much is added",
        _ => {}
    }
    if let Some(since) = queue.overflow_since {
        line += &format!(
            "; it was full at {since} (Unix time), and later writes may be missing in it: \
             once a sync has ended with 0, delete its key :overflow"
        );
    }
    line
}

fn drained_line(drained: &Drained) -> String {
    let mut line = format!(
        "    drained {} in {:.1} s: {} applied, {} were there, {} were older",
        drained.taken, drained.seconds, drained.applied, drained.same, drained.older
    );
    line += &counts("set aside", &drained.rejected);
    if let Some(why) = &drained.stopped {
        line += &format!("; stopped: {why}");
    }
    line
}

fn pair_lines(pair: &PairReport, lines: &mut Vec<String>) {
    let extent = if pair.complete { "" } else { " (a sample)" };
    lines.push(format!(
        "  {} and {}: {} keys and {} counters compared{extent}, {} differ",
        pair.first_dc, pair.second_dc, pair.keys, pair.counters, pair.divergent
    ));
    if let (Some(lower), Some(upper)) = (pair.lower_share, pair.upper_share) {
        lines.push(format!(
            "    of the keys at {}, {} to {} differ (each bound with 95 % confidence)",
            pair.first_dc,
            percent(lower),
            percent(upper)
        ));
    }
    if let Some(repaired) = &pair.repaired {
        let mut line = format!(
            "    repaired {} keys, merged {} counters",
            repaired.keys, repaired.counters
        );
        line += &counts("refused", &repaired.refused);
        lines.push(line);
    }
    for direction in &pair.directions {
        direction_lines(direction, lines);
    }
}

fn direction_lines(found: &DirectionLines, lines: &mut Vec<String>) {
    let mut parts: Vec<String> = found
        .settled
        .iter()
        .map(|(class, count)| format!("{count} {class}"))
        .collect();
    let more = [
        (found.counters, "counters behind"),
        (
            found.regressed_counters,
            "of them regressed: increments were lost there",
        ),
        (found.malformed_counters, "counters malformed"),
        (found.in_flight, "in flight"),
    ];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        parts.push(format!("{count} {what}"));
    }
    if parts.is_empty() {
        return;
    }
    let sites = format!("{} -> {}", found.source_dc, found.target_dc);
    lines.push(format!("    {sites}: {}", parts.join(", ")));
    for example in &found.examples {
        lines.push(format!("      {} ({})", example.key, example.difference));
    }
}

fn counts(what: &str, counts: &BTreeMap<&'static str, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    format!(", {what}: {}", parts.join(", "))
}

fn percent(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}
