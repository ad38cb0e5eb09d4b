//! The story of the demo: healthy, stalled, healed, cut, healed, and a drill of the recovery. After
//! each act the exporter's answers are checked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::narrator::Narrator;
use super::pause::Pause;
use super::stage::Stage;
use crate::app::operation;
use crate::cli::failover::practise;
use crate::lab::{Direction, Received};
use crate::model::PairName;
use crate::operation::DrillPart;
use crate::replication::PairState;
use crate::report::{PairReport, bytes_text, lag_text, visible_line};

/// How often the exporter is queried while an act waits for something.
const QUERY_EVERY: Duration = Duration::from_millis(250);

/// Of how many answers one is printed meanwhile.
const PRINT_EVERY: u32 = 8;

/// The most lag of a healthy link, in seconds, at 40 ms each way.
const HEALTHY_LAG: f64 = 0.2;

/// How long one act may take: several times what it takes on a slow machine.
const ACT_LIMIT: Duration = Duration::from_mins(3);

/// How long a notification may take to arrive.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// A pair of the story.
#[derive(Clone, Copy)]
struct StoryPair {
    name: &'static str,
    /// The replica's datacenter.
    target_dc: &'static str,
}

const ORDERS_TO_DC2: StoryPair = StoryPair {
    name: "orders",
    target_dc: "dc2",
};
const ORDERS_TO_DC3: StoryPair = StoryPair {
    name: "orders",
    target_dc: "dc3",
};
const SESSIONS_TO_DC1: StoryPair = StoryPair {
    name: "sessions",
    target_dc: "dc1",
};

/// What a pair is expected to become.
#[derive(Clone, Copy)]
struct Expected {
    within_secs: u64,
    what: &'static str,
    is_met: fn(&PairReport) -> bool,
}

impl Expected {
    const fn new(within_secs: u64, what: &'static str, is_met: fn(&PairReport) -> bool) -> Self {
        Self {
            within_secs,
            what,
            is_met,
        }
    }
}

/// The story on its stage.
struct Story<'a> {
    narrator: &'a Narrator,
    stage: &'a Stage,
}

/// Plays all acts. The first expectation that is not met ends the story with an error.
pub(super) async fn play(narrator: &Narrator, stage: &Stage, pause: &Pause) -> Result<(), String> {
    let story = Story { narrator, stage };
    in_time(story.healthy()).await?;
    pause.before("act 2: the line from dc1 to dc2 stalls").await;
    in_time(story.stalls()).await?;
    pause.before("the line from dc1 to dc2 heals").await;
    in_time(story.stall_heals()).await?;
    pause.before("act 3: the line from dc2 to dc1 is cut").await;
    in_time(story.is_cut()).await?;
    pause.before("the line from dc2 to dc1 is repaired").await;
    in_time(story.cut_heals()).await?;
    pause
        .before("act 4: the recovery of sessions is practised")
        .await;
    in_time(story.practises()).await?;
    story.summary().await
}

/// An act within its time limit; pauses do not count.
async fn in_time(act: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let played = tokio::time::timeout(ACT_LIMIT, act).await;
    played.map_err(|_| format!("the act took longer than {} s", ACT_LIMIT.as_secs()))?
}

impl Story<'_> {
    async fn healthy(&self) -> Result<(), String> {
        self.narrator
            .act("act 1: all links are up and carry 100 writes a second");
        for pair in [ORDERS_TO_DC2, ORDERS_TO_DC3, SESSIONS_TO_DC1] {
            let healthy = Expected::new(20, "streaming with next to no lag", is_healthy);
            self.wait_until(pair, healthy).await?;
        }
        self.look("the page: three pairs, all ok, and what would be lost now (next to nothing)");
        Ok(())
    }

    async fn stalls(&self) -> Result<(), String> {
        self.narrator
            .act("act 2: the line from dc1 to dc2 stalls: packets vanish, no connection breaks");
        self.narrator.see(
            "(master_link_status stays up and the age of the last ACK is no lag: this is what others miss)",
        );
        let pair = ORDERS_TO_DC2;
        let before = self.requests_so_far();
        self.stage.orders_to_dc2.stall(Direction::Both);
        let stalled = Expected::new(10, "stalled", |pair| pair.state == PairState::Stalled);
        self.wait_until(pair, stalled).await?;
        let behind = Expected::new(20, "more than 11 s behind", |pair| {
            pair.lag_seconds.is_some_and(|lag| lag > 11.0)
        });
        self.wait_until(pair, behind).await?;
        self.wait_for_request(before, "/slack", "[WARNING] orders dc1")
            .await?;
        self.narrator.holds("the alert reached Slack");
        self.wait_for_request(before, "/v2/enqueue", "trigger")
            .await?;
        self.narrator.holds("critical paged PagerDuty");
        self.look(
            "the page: the alert on top, who was notified, orders to dc2 with its lag growing",
        );
        Ok(())
    }

    async fn stall_heals(&self) -> Result<(), String> {
        self.narrator.act("the line from dc1 to dc2 heals");
        let before = self.requests_so_far();
        let healed = self.stage.orders_to_dc2.heal().await;
        healed.map_err(|error| error.to_string())?;
        let caught_up = Expected::new(60, "caught up", is_healthy);
        self.wait_until(ORDERS_TO_DC2, caught_up).await?;
        self.wait_for_request(before, "/v2/enqueue", "resolve")
            .await?;
        self.narrator.holds("PagerDuty was notified of the end");
        self.look("the page of orders: the charts of its lag and its states");
        Ok(())
    }

    async fn is_cut(&self) -> Result<(), String> {
        self.narrator
            .act("act 3: the line from dc2 to dc1 is cut: every connection breaks");
        let before = self.requests_so_far();
        self.stage.sessions_to_dc1.cut().await;
        let link_down = Expected::new(10, "link_down", |pair| pair.state == PairState::LinkDown);
        self.wait_until(SESSIONS_TO_DC1, link_down).await?;
        self.wait_for_request(before, "/slack", "[WARNING] sessions dc2")
            .await?;
        self.narrator.holds("the alert reached Slack");
        self.look("the page: sessions, and the runbook that its alert links to");
        Ok(())
    }

    async fn cut_heals(&self) -> Result<(), String> {
        let before = self.requests_so_far();
        self.narrator.act("the line from dc2 to dc1 is repaired");
        let healed = self.stage.sessions_to_dc1.heal().await;
        healed.map_err(|error| error.to_string())?;
        let caught_up = Expected::new(60, "caught up", is_healthy);
        self.wait_until(SESSIONS_TO_DC1, caught_up).await?;
        self.wait_for_request(before, "/webhook", "\"status\":\"resolved\"")
            .await?;
        self.narrator.holds("the webhook was notified of the end");
        Ok(())
    }

    /// What `failover --drill` does, on copies of a pair's servers: nothing happens to the pair.
    async fn practises(&self) -> Result<(), String> {
        self.narrator.act(
            "act 4: failover --drill --pair sessions: on throwaway copies of its servers a planned switch-over \
             and back, a disaster, the writes that it cost as a file, and the failback",
        );
        let pair = PairName::new(SESSIONS_TO_DC1.name);
        let mut lines = DrillLines(self.narrator);
        // Boxed: several operations in one future are large.
        let drill = Box::pin(practise(&self.stage.settings, &pair, &mut lines)).await?;
        if !drill.passed {
            return Err(drill.last_line());
        }
        for part in &drill.parts {
            self.narrator.holds(&measured(part));
        }
        self.look("the runbooks of the page: they name these commands, failover, lost-writes and failback");
        Ok(())
    }

    /// Says what is worth a look now.
    fn look(&self, at: &str) {
        self.narrator.see(&format!("look at {at}"));
    }

    async fn summary(&self) -> Result<(), String> {
        let report = self.stage.pairs().await?;
        let slack = self.count_requests("/slack");
        let pagerduty = self.count_requests("/v2/enqueue");
        let webhook = self.count_requests("/webhook");
        self.narrator
            .act("the end: what the exporter reports of every pair now");
        for pair in report.worst_first() {
            self.narrator.see(&line(pair));
        }
        self.narrator.holds(&format!(
            "notified Slack {slack}, PagerDuty {pagerduty} and the webhook {webhook} times"
        ));
        Ok(())
    }

    /// Waits until the pair is as expected, and prints what the exporter reports meanwhile.
    async fn wait_until(&self, pair: StoryPair, expected: Expected) -> Result<(), String> {
        let StoryPair { name, target_dc } = pair;
        let Expected {
            within_secs, what, ..
        } = expected;
        let deadline = Instant::now() + Duration::from_secs(within_secs);
        for query in 1_u32.. {
            let report = self.stage.pair(name, target_dc).await?;
            let line = line(&report);
            if (expected.is_met)(&report) {
                self.narrator.holds(&format!("{what}: {line}"));
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "{name} to {target_dc} was not {what} within {within_secs} s: {line}"
                ));
            }
            if query.is_multiple_of(PRINT_EVERY) {
                self.narrator.see(&line);
            }
            sleep(QUERY_EVERY).await;
        }
        Ok(())
    }

    /// Waits until the receiver has a request to `path` that contains `text`, not counting its
    /// first `before` requests.
    async fn wait_for_request(&self, before: usize, path: &str, text: &str) -> Result<(), String> {
        let is_wanted =
            |request: &Received| request.path.starts_with(path) && request.text().contains(text);
        let deadline = Instant::now() + REQUEST_LIMIT;
        loop {
            let requests = self.stage.receiver.requests();
            if requests.iter().skip(before).any(is_wanted) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "no request to {path} with {text} arrived within 30 s"
                ));
            }
            sleep(QUERY_EVERY).await;
        }
    }

    fn requests_so_far(&self) -> usize {
        self.stage.receiver.requests().len()
    }

    fn count_requests(&self, path: &str) -> usize {
        let requests = self.stage.receiver.requests();
        let to_path = requests.iter().filter(|r| r.path.starts_with(path));
        to_path.count()
    }
}

/// Prints the steps of a drill.
struct DrillLines<'a>(&'a Narrator);

impl operation::Narrator for DrillLines<'_> {
    fn line(&mut self, text: &str) {
        self.0.see(&visible_line(text));
    }
}

/// A part of a drill, with what was measured.
fn measured(part: &DrillPart) -> String {
    let mut text = format!("{}: {:.1} s", part.name, part.seconds);
    if let Some(pause) = part.write_pause_seconds {
        text += &format!(", writes waited {:.0} ms", pause * 1000.0);
    }
    if let Some(lost) = part.lost_writes {
        text += &format!(", lost {lost} writes");
    }
    if let Some(captured) = part.captured_writes {
        text += &format!(", {captured} of them in the file");
    }
    text
}

fn is_healthy(pair: &PairReport) -> bool {
    pair.state == PairState::Streaming && pair.lag_seconds.is_some_and(|lag| lag <= HEALTHY_LAG)
}

/// A pair in one line.
fn line(pair: &PairReport) -> String {
    let lag = lag_text(
        pair.lag_lower_seconds,
        pair.lag_seconds,
        pair.lag_upper_seconds,
    );
    let bytes = bytes_text(pair.lag_bytes);
    format!(
        "{} {} -> {}: {}, lag {lag}, {bytes}",
        pair.pair,
        pair.source_dc,
        pair.target_dc,
        pair.state.label()
    )
}
