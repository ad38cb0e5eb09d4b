//! The rows of active-active sites: one for each direction between two of them.

use super::{NOT_KNOWN, text_or_dash};
use crate::report::{
    ActiveActiveReport, ClockReport, DirectionReport, Level, SiteReport, SitesReport, seconds_text,
};
use crate::sites::{ProbePath, SiteRisk};

/// One direction between two sites.
pub(in crate::web::page) struct DirectionRow {
    pub(in crate::web::page) name: String,
    pub(in crate::web::page) way: String,
    pub(in crate::web::page) level: &'static str,
    /// How many keys differ for good, or the bounds of that.
    pub(in crate::web::page) differ: String,
    /// What of the keys was looked at.
    pub(in crate::web::page) basis: String,
    /// The age of the oldest version that is not there yet.
    pub(in crate::web::page) behind: String,
    pub(in crate::web::page) queue: String,
    pub(in crate::web::page) clocks: String,
    pub(in crate::web::page) why: String,
}

/// The rows of every entry.
pub(in crate::web::page) fn direction_rows(report: &ActiveActiveReport) -> Vec<DirectionRow> {
    let mut rows = Vec::new();
    for entry in &report.entries {
        for direction in &entry.directions {
            rows.push(DirectionRow::new(entry, direction));
        }
    }
    rows
}

impl DirectionRow {
    fn new(entry: &SitesReport, direction: &DirectionReport) -> Self {
        let mut sites = entry.sites.iter();
        let source = sites.find(|site| site.dc == direction.source_dc);
        let source = source.filter(|site| is_queue_to(site, &direction.target_dc));
        let trouble = trouble(direction, source);
        let evicts = source.is_some_and(may_evict);
        let level = if direction.reason.is_some() {
            Level::Unknown
        } else if trouble.is_empty() && !evicts {
            agreement(direction)
        } else {
            Level::Warning
        };
        let why = match &direction.reason {
            Some(reason) => reason.clone(),
            None => with_risks(trouble, source),
        };
        Self {
            name: entry.name.clone(),
            way: format!("{} \u{2192} {}", direction.source_dc, direction.target_dc),
            level: level.label(),
            differ: differ(direction),
            basis: basis(direction),
            behind: behind(direction),
            queue: source.map_or_else(|| NOT_KNOWN.to_owned(), queue),
            clocks: clocks(&entry.clocks, direction),
            why,
        }
    }
}

/// The level of a direction in which nothing wrong was found: what is not counted yet is not known
/// to agree.
fn agreement(direction: &DirectionReport) -> Level {
    let counts = [direction.keys.counted, direction.counters.counted];
    if counts.iter().all(Option::is_some) {
        Level::Ok
    } else {
        Level::Unknown
    }
}

fn may_evict(site: &SiteReport) -> bool {
    let mut risks = site.risks.iter();
    risks.any(|risk| risk.risk == SiteRisk::EvictsAnyKey)
}

/// What is wrong, and how the source may lose what waits.
fn with_risks(mut parts: Vec<String>, source: Option<&SiteReport>) -> String {
    if let Some(site) = source {
        for risk in &site.risks {
            parts.push(format!("{}: {}", site.dc, risk.sentence));
        }
    }
    parts.join("; ")
}

fn is_queue_to(site: &SiteReport, target: &str) -> bool {
    site.queue
        .as_ref()
        .is_none_or(|queue| queue.target_dc == target)
}

/// The age of the oldest version that is not there yet, and how long the latest write took.
fn behind(direction: &DirectionReport) -> String {
    let mut text = span(direction.unpropagated_seconds);
    // In their order: what carries the applications' data comes first.
    let paths = [ProbePath::Queue, ProbePath::Keys, ProbePath::Direct];
    let latest = paths.into_iter().find_map(|path| {
        let mut writes = direction.writes.iter();
        let of_path = writes.find(|writes| writes.path == path)?;
        Some((path, of_path.latest_seconds?))
    });
    if let Some((path, seconds)) = latest {
        let what = match path {
            ProbePath::Queue => "a probe through the queue",
            ProbePath::Keys => "the latest key seen under way",
            ProbePath::Direct => "a probe applied directly",
        };
        text += &format!("; {what} took {}", seconds_text(seconds));
    }
    text
}

fn span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| NOT_KNOWN.to_owned(), seconds_text)
}

/// How many keys and counters differ for good.
fn differ(direction: &DirectionReport) -> String {
    let keys = &direction.keys;
    let Some(lower) = keys.lower else {
        return NOT_KNOWN.to_owned();
    };
    let mut text = match (keys.counted, keys.upper) {
        (Some(counted), _) => counted.to_string(),
        (None, Some(upper)) => format!("at least {lower}, at most {upper} (95 %)"),
        (None, None) => format!("at least {lower}"),
    };
    match (direction.counters.counted, direction.counters.lower) {
        (Some(0), _) => {}
        (Some(counters), _) => text += &format!(", and {}", of_counters(counters)),
        (None, Some(counters)) if counters > 0 => {
            text += &format!(", and at least {}", of_counters(counters));
        }
        (None, _) => text += "; counters are not counted yet",
    }
    text
}

fn of_counters(count: u64) -> String {
    let noun = if count == 1 { "counter" } else { "counters" };
    format!("{count} {noun}")
}

/// What of the keys was looked at.
fn basis(direction: &DirectionReport) -> String {
    let pass = &direction.pass;
    let under_way = match pass.expected {
        Some(expected) => format!("{} of about {expected} looked at", pass.looked),
        None => format!("{} looked at", pass.looked),
    };
    match &direction.last_pass {
        Some(last) => format!(
            "all {} counted in {}; {under_way} since",
            last.keys,
            seconds_text(last.seconds)
        ),
        None => under_way,
    }
}

fn queue(site: &SiteReport) -> String {
    let Some(queue) = &site.queue else {
        return NOT_KNOWN.to_owned();
    };
    match queue.oldest_seconds {
        Some(age) if queue.length > 0 => {
            format!("{}, the oldest {} old", queue.length, seconds_text(age))
        }
        _ => queue.length.to_string(),
    }
}

/// How far the clocks of the two sites are apart.
fn clocks(all: &[ClockReport], direction: &DirectionReport) -> String {
    let source = &direction.source_dc;
    let target = &direction.target_dc;
    for clock in all {
        let sign = if clock.source_dc == *source && clock.target_dc == *target {
            1.0
        } else if clock.source_dc == *target && clock.target_dc == *source {
            -1.0
        } else {
            continue;
        };
        let Some(skew) = clock.skew_seconds else {
            break;
        };
        let skew = skew * sign;
        let word = if skew < 0.0 { "behind" } else { "ahead" };
        return format!("{target} {} {word}", seconds_text(skew.abs()));
    }
    text_or_dash(None)
}

/// What is wrong, each a part of a sentence.
fn trouble(direction: &DirectionReport, source: Option<&SiteReport>) -> Vec<String> {
    let mut parts = Vec::new();
    for (class, count) in &direction.settled {
        parts.push(format!("{count} {class}"));
    }
    for writes in &direction.writes {
        if let Some(reason) = &writes.reason {
            parts.push(format!("no probe by the path {}: {reason}", writes.path));
        }
    }
    if let Some(queue) = source.and_then(|site| site.queue.as_ref()) {
        if queue.rejected > 0 {
            parts.push(format!("{} items set aside", queue.rejected));
        }
        if queue.overflow {
            parts.push("the queue was full: not every write was queued".to_owned());
        }
    }
    if let Some(example) = direction.examples.first() {
        parts.push(format!("for one, {:?}", example.key));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::WritesReport;
    use serde_json::{Value, json};

    /// A direction without a trouble, of which so much was counted.
    fn direction(keys: Option<u64>, counters: Option<u64>) -> DirectionReport {
        let counts = |counted: Option<u64>| -> Value {
            json!({"counted": counted, "lower": counted.unwrap_or(0), "upper": counted})
        };
        let report = json!({
            "source_dc": "dc1", "target_dc": "dc2", "looked_timestamp": 1.0, "reason": null,
            "keys": counts(keys), "counters": counts(counters), "regressed_counters": null,
            "settled": {}, "in_flight": 0, "unpropagated_seconds": null,
            "timestamp_ahead_seconds": null,
            "pass": {"began_timestamp": 1.0, "looked": 7, "expected": 10},
            "last_pass": null, "examples": [], "is_slow": false,
        });
        serde_json::from_value(report).unwrap()
    }

    fn row(direction: &DirectionReport) -> (&'static str, String) {
        let entry = SitesReport {
            name: "profiles".to_owned(),
            sites: Vec::new(),
            directions: Vec::new(),
            clocks: Vec::new(),
        };
        let row = DirectionRow::new(&entry, direction);
        (row.level, row.differ)
    }

    #[test]
    fn the_way_of_the_applications_says_how_long_writes_take() {
        let mut known = direction(Some(0), Some(0));
        assert_eq!(behind(&known), NOT_KNOWN);
        known.unpropagated_seconds = Some(0.0);
        let writes = |path, seconds| WritesReport {
            path,
            count: 3,
            latest_seconds: seconds,
            latest_timestamp: None,
            reason: None,
        };
        known.writes = vec![
            writes(ProbePath::Queue, None),
            writes(ProbePath::Direct, Some(0.08)),
        ];
        let text = behind(&known);
        assert!(
            text.ends_with("a probe applied directly took 0.080 s"),
            "{text}"
        );
        known.writes[0].latest_seconds = Some(2.0);
        let text = behind(&known);
        assert!(text.contains("through the queue took 2"), "{text}");
        known.writes[0].reason = Some("no right".to_owned());
        let troubles = trouble(&known, None);
        assert_eq!(troubles, ["no probe by the path queue: no right"]);
    }

    #[test]
    fn only_what_was_counted_is_known_to_agree() {
        let ok = Level::Ok.label();
        let unknown = Level::Unknown.label();
        let both = row(&direction(Some(0), Some(0)));
        assert_eq!(both, (ok, "0".to_owned()));
        let (level, differ) = row(&direction(Some(0), None));
        assert_eq!(level, unknown);
        assert_eq!(differ, "0; counters are not counted yet");
        let (level, differ) = row(&direction(None, Some(2)));
        assert_eq!(level, unknown);
        assert_eq!(differ, "at least 0, and 2 counters");
        let (_, differ) = row(&direction(Some(3), Some(1)));
        assert_eq!(differ, "3, and 1 counter");
        let mut silent = direction(Some(0), Some(0));
        silent.reason = Some("dc2 does not answer".to_owned());
        assert_eq!(row(&silent).0, unknown);
    }
}
