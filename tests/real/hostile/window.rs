//! What is seen of a healthy pair in a window of time: by the exporter that is attacked, and by
//! another one beside it that is not. Whatever else runs on the machine slows both.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::{INTERVAL, MEMORY};
use crate::scrape::{Distribution, Scrape};

/// Scrapes in a window of ten seconds.
const SCRAPES: u32 = 50;
const SCRAPE_EVERY: Duration = Duration::from_millis(200);

/// A bucket of the lateness histogram: no attack may make a poll of a healthy server later than
/// this.
const LATE: f64 = 0.25;

/// Nor may polls be later by this much on average, a tenth of the interval: a tree that waits for a
/// hung server each round, for its patience of 100 ms at the least, is later by more than that.
const LATER: f64 = INTERVAL / 10.0;

/// How many more polls or fewer there may be, as a share, and how many more scrapes that find the
/// pair in trouble: a server that gets no processor for 100 ms, because a compiler runs on this
/// machine, is reported as one that is silent.
const SHARE: f64 = 0.1;

/// Windows that are tried. What an attack does to polls, it does in each of them; what another
/// program on this machine does, it hardly does in all.
const WINDOWS: usize = 3;

/// The healthy pair: its name, and the datacenters of its master and its replica, which have no
/// other servers.
pub(super) const HEALTHY: &str = "healthy";
pub(super) const DCS: [&str; 2] = ["calm1", "calm2"];

/// The same ten seconds of two exporters with the same healthy pair.
pub(super) struct Comparison {
    /// The one that is attacked.
    pub(super) attacked: Window,
    /// The one that is not.
    pub(super) spared: Window,
}

impl Comparison {
    /// Observes both, by the scrapes that `attacked` and `spared` make, in a window in which polls
    /// go on alike. Others are looked for only where they did not.
    pub(super) async fn observe(
        what: &str,
        attacked: impl AsyncFn() -> Scrape,
        spared: impl AsyncFn() -> Scrape,
    ) -> Self {
        let mut differences = Vec::new();
        for _ in 0..WINDOWS {
            let beside = format!("beside, not {what}");
            let (attacked, spared) = tokio::join!(
                Window::observe(what, &attacked),
                Window::observe(&beside, &spared)
            );
            match attacked.differs_from(&spared) {
                None => return Self { attacked, spared },
                Some(difference) => differences.push(difference),
            }
        }
        panic!(
            "in {WINDOWS} windows of {WINDOWS}: {}",
            differences.join("; ")
        );
    }

    /// How many times as long a scrape of the attacked exporter takes.
    pub(super) fn scrape_ratio(&self) -> f64 {
        self.attacked.scrape_median().as_secs_f64() / self.spared.scrape_median().as_secs_f64()
    }

    /// Checks that the attack cost little memory, while it lasted and after it, and prints how
    /// much.
    pub(super) fn memory_stays_small(&self, after: &Scrape) {
        let after = memory_of(after);
        let [spared, most, left] =
            [self.spared.memory, self.attacked.memory, after].map(|bytes| bytes / 1e6);
        eprintln!("memory: {most:.0} MB at most, {left:.0} MB after; {spared:.0} MB beside it");
        assert!(
            self.attacked.memory.max(after) < MEMORY,
            "{most:.0} MB resident, {left:.0} MB after"
        );
    }
}

/// Ten seconds.
pub(super) struct Window {
    what: String,
    polls_per_second: Vec<f64>,
    lateness: Vec<Distribution>,
    /// How long each scrape took, the shortest first.
    scrapes: Vec<Duration>,
    /// The share of scrapes that found the pair in trouble.
    unwell: f64,
    /// The share of one processor that the exporter took.
    processor: f64,
    /// The most resident memory that was seen, in bytes.
    pub(super) memory: f64,
}

impl Window {
    /// Looks at the healthy pair for ten seconds by the scrapes that `scrape` makes.
    async fn observe(what: &str, scrape: impl AsyncFn() -> Scrape) -> Self {
        let (began, before) = (Instant::now(), scrape().await);
        let mut tick = interval(SCRAPE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut scrapes, mut memory, mut unwell) = (Vec::new(), 0.0_f64, 0);
        for _ in 0..SCRAPES {
            tick.tick().await;
            let began = Instant::now();
            let seen = scrape().await;
            scrapes.push(began.elapsed());
            unwell += u32::from(!is_well(&seen, what));
            memory = memory.max(memory_of(&seen));
        }
        let (seconds, after) = (began.elapsed().as_secs_f64(), scrape().await);
        scrapes.sort_unstable();
        let processor = |scrape: &Scrape| scrape.value("process_cpu_seconds_total", &[]).unwrap();
        let polls = |scrape: &Scrape, dc| {
            scrape
                .value("redis_cross_dc_polls_total", &[("dc", dc)])
                .unwrap()
        };
        let lateness = |scrape: &Scrape, dc| {
            scrape.distribution("redis_cross_dc_poll_lateness_seconds", &[("dc", dc)])
        };
        let window = Self {
            what: what.to_owned(),
            polls_per_second: DCS
                .iter()
                .map(|dc| (polls(&after, dc) - polls(&before, dc)) / seconds)
                .collect(),
            lateness: DCS
                .iter()
                .map(|dc| &lateness(&after, dc) - &lateness(&before, dc))
                .collect(),
            scrapes,
            unwell: f64::from(unwell) / f64::from(SCRAPES),
            processor: (processor(&after) - processor(&before)) / seconds,
            memory,
        };
        window.print();
        window
    }

    /// The median time of a scrape.
    fn scrape_median(&self) -> Duration {
        self.scrapes[self.scrapes.len() / 2]
    }

    fn print(&self) {
        for ((dc, rate), late) in DCS.iter().zip(&self.polls_per_second).zip(&self.lateness) {
            eprintln!(
                "{:<26} {dc:<6} {rate:5.1} polls/s, {:4} polls, lateness mean {:.2} ms, p99 <= {:5.1} ms, max <= {:.1} ms",
                self.what,
                late.count,
                late.mean() * 1e3,
                late.quantile(0.99) * 1e3,
                late.quantile(1.0) * 1e3,
            );
        }
        let longest = self.scrapes[self.scrapes.len() - 1];
        eprintln!(
            "{:<26} scrape median {:.2?}, longest {longest:.2?}; well in {:.0} % of them; processor {:.0} %, memory {:.0} MB",
            self.what,
            self.scrape_median(),
            100.0 * (1.0 - self.unwell),
            100.0 * self.processor,
            self.memory / 1e6
        );
    }

    /// How polls went on otherwise than in the window `spared`; `None` when they did not.
    fn differs_from(&self, spared: &Self) -> Option<String> {
        let rates = self.polls_per_second.iter().zip(&spared.polls_per_second);
        let rates = rates.filter(|(now, before)| (*now / *before - 1.0).abs() > SHARE);
        let mut differences: Vec<_> = rates
            .map(|(now, before)| format!("{now:.1} polls/s instead of {before:.1}"))
            .collect();
        for (now, before) in self.lateness.iter().zip(&spared.lateness) {
            let (late, late_before) = (now.above(LATE), before.above(LATE));
            if late > late_before {
                differences.push(format!(
                    "{late} polls were later than {LATE} s, and {late_before} without"
                ));
            }
            if now.mean() > before.mean() + LATER {
                differences.push(format!(
                    "late by {:.4} s, and {:.4} s without",
                    now.mean(),
                    before.mean()
                ));
            }
        }
        if self.unwell > spared.unwell + SHARE {
            differences.push(format!(
                "in trouble in {} of all scrapes, and in {} without",
                self.unwell, spared.unwell
            ));
        }
        (!differences.is_empty()).then(|| format!("{}: {}", self.what, differences.join(", ")))
    }
}

/// Whether the healthy pair streams and has a lag. Alerts it never has.
fn is_well(scrape: &Scrape, what: &str) -> bool {
    let of = |name: &str| scrape.value(name, &[("pair", HEALTHY)]);
    assert_eq!(
        of("redis_cross_dc_alerts"),
        None,
        "{what}: an alert is pending or fires"
    );
    of("redis_cross_dc_link_up") == Some(1.0)
        && of("redis_cross_dc_replication_lag_seconds").is_some_and(|lag| lag < 1.0)
}

/// The resident memory in bytes.
fn memory_of(scrape: &Scrape) -> f64 {
    scrape.value("process_resident_memory_bytes", &[]).unwrap()
}
