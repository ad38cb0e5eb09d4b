//! What was measured of one size, and the tables of all sizes.

use std::time::Duration;

/// A client's part in a window of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) polls_a_second: f64,
    /// Of each answer.
    pub(crate) bytes: f64,
    /// In cores: 1 is one of them all the time.
    pub(crate) cpu: f64,
    /// The same of the fleet.
    pub(crate) fleet_cpu: f64,
    /// The part of the machine's processors that nobody used; `None` where that is unknown.
    pub(crate) idle: Option<f64>,
}

/// Everything about one size. What is unknown is absent.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) pairs: usize,
    /// From the start of the process until every server had been polled.
    pub(crate) start: Option<Duration>,
    pub(crate) exporter: Window,
    pub(crate) floor: Window,
    /// In MiB: at the end of the window, and the highest ever, with the scrapes.
    pub(crate) memory: [Option<f64>; 2],
    pub(crate) pairs_up: Option<f64>,
    /// The effective interval, in seconds.
    pub(crate) interval: Option<f64>,
    /// The bucket's bounds in seconds, of half of the polls and of 99 %.
    pub(crate) lateness: [Option<f64>; 2],
    pub(crate) rounds_missed: Option<f64>,
    pub(crate) events_dropped: Option<f64>,
    pub(crate) poll_errors: f64,
    pub(crate) scrapes: Scrapes,
}

/// Several scrapes.
#[derive(Clone, Debug)]
pub(crate) struct Scrapes {
    pub(crate) series: usize,
    pub(crate) bytes: usize,
    /// Medians, from the request.
    pub(crate) first_byte: Duration,
    pub(crate) last_byte: Duration,
}

impl Window {
    /// Seconds of a processor for one poll.
    fn poll_cost(&self) -> f64 {
        self.cpu / self.polls_a_second
    }
}

impl Row {
    /// How many times what the floor client needs the exporter needs for a poll.
    fn ratio(&self) -> f64 {
        self.exporter.poll_cost() / self.floor.poll_cost()
    }

    /// What must be there whatever the machine does; the sentences name what is not.
    pub(crate) fn defects(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut require = |holds: bool, sentence: &str| {
            if !holds {
                found.push(format!("{} pairs: {sentence}", self.pairs));
            }
        };
        let as_many = |up: f64| (up - self.pairs as f64).abs() < 0.5;
        require(self.start.is_some(), "the exporter was not ready in time");
        require(self.pairs_up.is_some_and(as_many), "not all pairs are up");
        require(self.poll_errors < 0.5, "polls of healthy servers failed");
        require(
            self.exporter.polls_a_second > 0.0,
            "the exporter polled nobody",
        );
        require(self.exporter.cpu > 0.0, "the exporter's CPU is unknown");
        require(
            self.floor.polls_a_second > 0.0,
            "the floor client polled nobody",
        );
        require(self.floor.cpu > 0.0, "the floor client's CPU is unknown");
        require(
            self.memory.iter().all(Option::is_some),
            "no memory is known",
        );
        require(
            self.lateness.iter().all(Option::is_some),
            "no lateness is known",
        );
        require(
            self.rounds_missed.is_some(),
            "missed rounds are not counted",
        );
        require(
            self.events_dropped.is_some(),
            "dropped events are not counted",
        );
        require(
            self.scrapes.series > self.pairs,
            "/metrics has too few series",
        );
        found
    }

    /// Why the ratio compares unlike things, as a sentence; `None` when it does not.
    pub(crate) fn caveat(&self) -> Option<String> {
        let asked = self.exporter.bytes;
        let floor = self.floor.bytes;
        let rate = self.floor.polls_a_second / self.exporter.polls_a_second;
        let pairs = self.pairs;
        if (asked / floor - 1.0).abs() > 0.02 {
            return Some(format!(
                "{pairs} pairs: the exporter's answers had {asked:.0} bytes, the floor client's \
                 {floor:.0}."
            ));
        }
        ((rate - 1.0).abs() > 0.05)
            .then(|| format!("{pairs} pairs: the floor client made {rate:.2} times as many polls."))
    }
}

/// What polling costs.
pub(crate) fn polling(rows: &[Row]) -> String {
    let mut text = String::from(
        "| pairs | polls/s | CPU, cores | a poll, µs | floor, µs | ratio | pairs up | interval, s \
         | late p50 | late p99 | rounds missed | events dropped | polls failed | fleet, cores \
         | idle |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let exporter = &row.exporter;
        let cells = [
            row.pairs.to_string(),
            format!("{:.0}", exporter.polls_a_second),
            format!("{:.3}", exporter.cpu),
            format!("{:.0}", exporter.poll_cost() * 1e6),
            format!("{:.0}", row.floor.poll_cost() * 1e6),
            format!("{:.1}", row.ratio()),
            known(row.pairs_up, |up| format!("{up:.0}")),
            known(row.interval, |interval| format!("{interval:.2}")),
            known(row.lateness[0], at_most),
            known(row.lateness[1], at_most),
            known(row.rounds_missed, |count| format!("{count:.0}")),
            known(row.events_dropped, |count| format!("{count:.0}")),
            format!("{:.0}", row.poll_errors),
            format!("{:.2}", exporter.fleet_cpu),
            known(exporter.idle, |part| format!("{:.0} %", part * 100.0)),
        ];
        text += &line(&cells);
    }
    text
}

/// What else an exporter costs: its start, its memory, its scrapes.
pub(crate) fn serving(rows: &[Row]) -> String {
    let mut text = String::from(
        "| pairs | start, s | RSS, MiB | highest, MiB | series | a pair | /metrics, MB \
         | first byte, ms | last byte, ms |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let scrapes = &row.scrapes;
        let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let cells = [
            row.pairs.to_string(),
            known(row.start, |start| format!("{:.2}", start.as_secs_f64())),
            known(row.memory[0], |memory| format!("{memory:.0}")),
            known(row.memory[1], |memory| format!("{memory:.0}")),
            scrapes.series.to_string(),
            format!("{:.0}", scrapes.series as f64 / row.pairs as f64),
            format!("{:.2}", scrapes.bytes as f64 / 1e6),
            millis(scrapes.first_byte),
            millis(scrapes.last_byte),
        ];
        text += &line(&cells);
    }
    text
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn known<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

/// A bucket's bound in milliseconds.
fn at_most(bound: f64) -> String {
    if bound.is_finite() {
        format!("<= {} ms", bound * 1e3)
    } else {
        "more".to_owned()
    }
}
