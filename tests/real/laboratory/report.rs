//! The table and the verdicts: what docs/lag.md shows.

use std::fmt::Write as _;
use std::path::Path;

use redis_cross_dc_exporter::clock;

use super::alarm::Detection;
use super::peer::SIGNALS;
use super::run::Outcome;
use super::score::{Errors, Score, max, mean, quantile};

/// Between these lines of docs/lag.md is what the laboratory wrote.
const MARKS: [&str; 2] = ["<!-- laboratory: begin -->\n", "<!-- laboratory: end -->\n"];
/// The same of clusters.
const CLUSTER_MARKS: [&str; 2] = [
    "<!-- laboratory of clusters: begin -->\n",
    "<!-- laboratory of clusters: end -->\n",
];
/// With this variable in the environment, docs/lag.md is rewritten.
const UPDATE: &str = "LAB_UPDATE";

/// The numbers to reach, in seconds.
mod limits {
    pub(super) const SETTLED_POOLED: f64 = 0.005;
    pub(super) const SETTLED_EACH: f64 = 0.05;
    pub(super) const RAW_POOLED: f64 = 0.03;
    pub(super) const RAW_EACH: f64 = 0.1;
    /// A replica that does not answer shows only by its silence when it stopped.
    pub(super) const RAW_STOPPED: f64 = 0.18;
    pub(super) const REFRESHED_POOLED: f64 = 0.01;
    pub(super) const DETECTED_MEAN: f64 = 0.1;
    pub(super) const DETECTED_WORST: f64 = 0.5;
}

/// Whether one number was reached.
struct Verdict {
    what: String,
    got: String,
    met: bool,
}

impl Verdict {
    fn new(what: impl Into<String>, got: impl Into<String>, met: bool) -> Self {
        Self {
            what: what.into(),
            got: got.into(),
            met,
        }
    }

    /// A number that may be at most `limit` seconds.
    fn at_most(what: &str, got: f64, limit: f64) -> Self {
        Self::new(
            format!("{what}: at most {limit} s"),
            format!("{got:.4} s"),
            got <= limit,
        )
    }

    /// A number that may be at most this many seconds in each scenario: `(name, got, limit)`.
    fn in_each(what: &str, each: &[(&str, f64, f64)]) -> Self {
        let over: Vec<String> = each
            .iter()
            .filter(|(_, got, limit)| got > limit)
            .map(|(name, got, limit)| format!("{name} {got:.3} s (limit {limit})"))
            .collect();
        let worst = each
            .iter()
            .map(|(name, got, _)| (*got, *name))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let best = worst.map_or_else(String::new, |(got, name)| {
            format!("worst: {name} {got:.4} s")
        });
        Self::new(
            what,
            if over.is_empty() {
                best
            } else {
                over.join("; ")
            },
            over.is_empty(),
        )
    }

    /// Something that must not happen: `(name, how often)`.
    fn never(what: &str, each: &[(&str, usize)]) -> Self {
        let found: Vec<String> = each
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        Self::new(
            what,
            if found.is_empty() {
                "none".to_owned()
            } else {
                found.join("; ")
            },
            found.is_empty(),
        )
    }
}

/// What became of all takes, and how they were made.
pub(super) struct Findings {
    /// Of scenarios of a master and its replicas.
    pub(super) of_pairs: Vec<Outcome>,
    /// Of scenarios of a Redis Cluster.
    pub(super) of_clusters: Vec<Outcome>,
    /// Takes of each.
    pub(super) phases: u32,
    /// The share of the time in which the processors were idle.
    pub(super) idle: Option<f64>,
    /// Whether the other exporter was scored.
    pub(super) has_peer: bool,
}

impl Findings {
    /// Prints everything, writes docs/lag.md if asked to, and panics when a number was missed.
    pub(super) fn publish(&self) {
        let circumstances = circumstances(self.phases, self.idle);
        let mut missed = Vec::new();
        if !self.of_pairs.is_empty() {
            let mut text = format!("{circumstances}\n{}", table(&self.of_pairs));
            text += &if self.has_peer {
                peers(&self.of_pairs)
            } else {
                "prometheus-redis-exporter is not installed: apt-get install prometheus-redis-exporter\n"
                    .to_owned()
            };
            missed.extend(conclude(text, &self.of_pairs, MARKS));
        }
        if !self.of_clusters.is_empty() {
            let text = format!("{circumstances}\n{}", table(&self.of_clusters));
            missed.extend(conclude(text, &self.of_clusters, CLUSTER_MARKS));
        }
        let mut broken = Vec::new();
        for outcome in self.of_pairs.iter().chain(&self.of_clusters) {
            broken.extend(&outcome.broken);
        }
        assert!(broken.is_empty(), "takes that came to nothing: {broken:#?}");
        let count = missed.len();
        assert!(
            missed.is_empty(),
            "{count} numbers were missed: {missed:#?}"
        );
    }
}

/// Prints a table with the verdicts about `outcomes`, and writes it between `marks` if asked to.
/// Returns which numbers were missed.
fn conclude(mut text: String, outcomes: &[Outcome], marks: [&str; 2]) -> Vec<String> {
    let verdicts = verdicts(outcomes);
    text += "\n| number to reach | reached | |\n|---|---|---|\n";
    for Verdict { what, got, met } in &verdicts {
        let reached = if *met { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {what} | {got} | {reached} |");
    }
    println!("\n{text}");
    if std::env::var_os(UPDATE).is_some() {
        update(&text, marks);
    }
    let missed = verdicts.into_iter().filter(|verdict| !verdict.met);
    missed.map(|verdict| verdict.what).collect()
}

/// When, on what and how it was measured.
fn circumstances(phases: u32, idle: Option<f64>) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "));
    let model = model.map_or("processor unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let today =
        jiff::Timestamp::from_second(clock::wall_now().as_nanos() / 1_000_000_000).expect("a date");
    let idle = idle.map_or_else(String::new, |share| {
        format!(" that were {:.0} % idle meanwhile", share * 100.0)
    });
    let phases = if phases == 1 {
        "one poll phase".to_owned()
    } else {
        format!("{phases} poll phases")
    };
    format!(
        "`make lab`, {}, {cores} cores ({model}){idle}, {phases} of each scenario:\n",
        today.strftime("%F")
    )
}

fn name(outcome: &Outcome) -> String {
    let refresh = if outcome.refresh {
        ", refresh on scrape"
    } else {
        ""
    };
    format!("{}{refresh}", outcome.scenario.name)
}

const HEADER: &str = "| scenario | samples | truth inside | raw mean (worst phase) | raw p99 | raw max | settled mean | limit (U-L)/2 | crossings | missed | false | delay mean / worst | absent | bytes |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

fn table(outcomes: &[Outcome]) -> String {
    let mut text = HEADER.to_owned();
    for outcome in outcomes {
        text += &row(&name(outcome), outcome.worst_phase, &outcome.score);
    }
    for refresh in [false, true] {
        if outcomes.iter().any(|outcome| outcome.refresh == refresh) {
            let title = if refresh {
                "**all with refresh on scrape**"
            } else {
                "**all**"
            };
            let worst = outcomes
                .iter()
                .filter(|o| o.refresh == refresh)
                .map(|o| o.worst_phase)
                .fold(0.0, f64::max);
            text += &row(title, worst, &pooled(outcomes, refresh));
        }
    }
    let vague: usize = outcomes.iter().map(|outcome| outcome.score.vague).sum();
    let grains: Vec<f64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.score.grains.iter().copied())
        .collect();
    let _ = writeln!(
        text,
        "\nSeconds. The truth is known to {:.3} s on average (median {:.3} s); {vague} samples whose truth is vaguer than 0.25 s count for \
         \"truth inside\" and not for errors.\n",
        mean(&grains),
        quantile(&grains, 0.5)
    );
    text
}

fn row(name: &str, worst_phase: f64, score: &Score) -> String {
    let Score {
        samples,
        overlapping,
        errors,
        hooks,
        absent,
        wrong_bytes,
        half_widths,
        ..
    } = score;
    let raw = &errors.raw;
    let bytes = if *wrong_bytes == 0 {
        "right".to_owned()
    } else {
        format!("{wrong_bytes} wrong")
    };
    format!(
        "| {name} | {samples} | {:.2} % | {:.3} ({worst_phase:.3}) | {:.2} | {:.2} | {:.4} | {:.3} | {} | {} | {} | {} | {absent} | {bytes} |\n",
        100.0 * *overlapping as f64 / (*samples).max(1) as f64,
        mean(raw),
        quantile(raw, 0.99),
        max(raw),
        mean(&errors.settled),
        mean(half_widths),
        hooks.crossings,
        hooks.missed,
        hooks.false_alarms,
        delays(hooks),
    )
}

fn delays(detection: &Detection) -> String {
    let all = late(detection);
    if all.is_empty() {
        String::new()
    } else {
        format!("{:.2} / {:.2}", mean(&all), max(&all))
    }
}

/// The delays; what came early had none, and makes up for no other.
fn late(detection: &Detection) -> Vec<f64> {
    detection
        .delays
        .iter()
        .map(|delay| delay.max(0.0))
        .collect()
}

/// Everything together, with refresh on scrape or without.
fn pooled(outcomes: &[Outcome], refresh: bool) -> Score {
    let mut all = Score::default();
    outcomes
        .iter()
        .filter(|outcome| outcome.refresh == refresh)
        .for_each(|outcome| all.add(outcome.score.clone()));
    all
}

/// The signals of the other exporter, over all scenarios, beside ours.
fn peers(outcomes: &[Outcome]) -> String {
    let mut text = "The same situations as redis_exporter shows them, scraped each 1.03 s (one poll phase):\n\n\
                    | signal | readings | error mean | p99 | max | crossings | missed | false | delay mean / worst |\n|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let all = pooled(outcomes, false);
    let ours = (&all.errors, &all.shown);
    let theirs = all
        .peer
        .iter()
        .map(|(errors, detection)| (errors, detection));
    let named = SIGNALS
        .iter()
        .map(|signal| format!("redis_exporter: {signal}"));
    let rows = std::iter::once("**lag_seconds, each 0.1 s**".to_owned())
        .chain(named)
        .zip(std::iter::once(ours).chain(theirs));
    for (name, (Errors { raw, .. }, detection)) in rows {
        let Detection {
            crossings,
            missed,
            false_alarms,
            ..
        } = detection;
        let _ = writeln!(
            text,
            "| {name} | {} | {:.3} | {:.2} | {:.2} | {crossings} | {missed} | {false_alarms} | {} |",
            raw.len(),
            mean(raw),
            quantile(raw, 0.99),
            max(raw),
            delays(detection)
        );
    }
    text
}

/// Every target for which there are outcomes.
fn verdicts(outcomes: &[Outcome]) -> Vec<Verdict> {
    let plain: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.refresh).collect();
    let all = pooled(outcomes, false);
    let each = |of: fn(&Score) -> f64, limit: fn(&str) -> f64| -> Vec<(&str, f64, f64)> {
        plain
            .iter()
            .map(|o| (o.scenario.name, of(&o.score), limit(o.scenario.name)))
            .collect()
    };
    let count = |of: fn(&Score) -> usize| -> Vec<(&str, usize)> {
        plain
            .iter()
            .map(|o| (o.scenario.name, of(&o.score)))
            .collect()
    };
    let raw_limit = |name: &str| {
        if name == "replica stopped" {
            limits::RAW_STOPPED
        } else {
            limits::RAW_EACH
        }
    };
    let mut found = Vec::new();
    // Two scenarios, of which one is an outage, have no mean that says anything.
    if !plain
        .iter()
        .all(|outcome| outcome.scenario.is_of_a_cluster())
    {
        found.extend(pooled_verdicts(&all));
    }
    found.extend([
        Verdict::never(
            "the truth is in [lower, upper] in every sample; outside",
            &count(|s| s.samples - s.overlapping),
        ),
        Verdict::in_each(
            "settled mean in each scenario: at most 0.05 s",
            &each(|s| mean(&s.errors.settled), |_| limits::SETTLED_EACH),
        ),
        Verdict::in_each(
            "raw mean in each scenario: at most 0.1 s, 0.18 s with the replica stopped",
            &each(|s| mean(&s.errors.raw), raw_limit),
        ),
        Verdict::never(
            "5 s threshold: missed by the webhook",
            &count(|s| s.hooks.missed),
        ),
        Verdict::never(
            "5 s threshold: missed in scrapes",
            &count(|s| s.shown.missed),
        ),
        Verdict::never(
            "5 s threshold: false webhooks",
            &count(|s| s.hooks.false_alarms),
        ),
        Verdict::never(
            "5 s threshold: false samples",
            &count(|s| s.shown.false_alarms),
        ),
        Verdict::never("samples absent that could be known", &count(|s| s.absent)),
        Verdict::at_most(
            "delay of the webhook at 5 s, mean",
            mean(&late(&all.hooks)),
            limits::DETECTED_MEAN,
        ),
        Verdict::in_each(
            "delay of the webhook at 5 s: at most 0.5 s",
            &each(|s| max(&s.hooks.delays), |_| limits::DETECTED_WORST),
        ),
        Verdict::never(
            "bytes outside their interval, negative or a spike",
            &count(|s| s.wrong_bytes),
        ),
        Verdict::never(
            "scenarios that cross 5 s and did not here",
            &uncrossed(&plain),
        ),
    ]);
    if plain.iter().any(|outcome| outcome.scenario.refreshed) {
        found.push(refreshed(outcomes));
    }
    found
}

/// What the means of all scenarios together are to reach.
fn pooled_verdicts(all: &Score) -> [Verdict; 2] {
    let settled = mean(&all.errors.settled);
    let raw = mean(&all.errors.raw);
    [
        Verdict::at_most("settled mean, pooled", settled, limits::SETTLED_POOLED),
        Verdict::at_most("raw mean, pooled", raw, limits::RAW_POOLED),
    ]
}

/// A scenario that does not do what it is for would prove nothing.
fn uncrossed<'a>(plain: &[&'a Outcome]) -> Vec<(&'a str, usize)> {
    let idle = |outcome: &&&Outcome| outcome.scenario.crosses && outcome.score.hooks.crossings == 0;
    plain
        .iter()
        .filter(idle)
        .map(|outcome| (outcome.scenario.name, 1))
        .collect()
}

fn refreshed(outcomes: &[Outcome]) -> Verdict {
    let what = "raw mean with refresh on scrape at 1 Hz, pooled";
    if outcomes.iter().any(|outcome| outcome.refresh) {
        return Verdict::at_most(
            what,
            mean(&pooled(outcomes, true).errors.raw),
            limits::REFRESHED_POOLED,
        );
    }
    Verdict::new(what, "this build refuses poll.refresh_on_scrape", false)
}

/// Writes `text` between `marks` into docs/lag.md.
fn update(text: &str, marks: [&str; 2]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lag.md");
    let document = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, with_text(&document, text, marks)).unwrap();
    println!("wrote {}", path.display());
}

fn with_text(document: &str, text: &str, marks: [&str; 2]) -> String {
    let [begin, end] = marks;
    let (before, rest) = document
        .split_once(begin)
        .expect("the mark where the table begins");
    let (_, after) = rest.split_once(end).expect("the mark where the table ends");
    format!("{before}{begin}{text}{end}{after}")
}

#[test]
fn only_the_text_between_the_marks_is_replaced() {
    for marks in [MARKS, CLUSTER_MARKS] {
        let document = |text: &str| format!("a\n{}{text}{}b\n", marks[0], marks[1]);
        let renewed = with_text(&document("old\n"), "new\n", marks);
        assert_eq!(renewed, document("new\n"));
    }
}

#[test]
fn verdicts_name_where_a_number_was_missed() {
    let missed = Verdict::in_each("x", &[("a", 0.2, 0.1), ("b", 0.05, 0.1)]);
    assert!(
        !missed.met && missed.got.contains("a 0.2") && !missed.got.contains('b'),
        "{}",
        missed.got
    );
    let reached = Verdict::in_each("x", &[("a", 0.02, 0.1), ("b", 0.05, 0.1)]);
    assert!(
        reached.met && reached.got.contains("worst: b"),
        "{}",
        reached.got
    );
    assert!(Verdict::never("x", &[("a", 0)]).met && !Verdict::never("x", &[("a", 1)]).met);
    assert!(Verdict::at_most("x", 0.1, 0.1).met && !Verdict::at_most("x", 0.11, 0.1).met);
}
