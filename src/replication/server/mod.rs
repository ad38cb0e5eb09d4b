//! The facts about one server: whether it answers, which process runs there, and its counters.

mod backlog;
mod history_start;
mod processes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::counter::RestartProofCounter;
use super::failed_polls::FailedPolls;
use super::gap::{Gap, Pause};
use super::rtt::MinRtt;
use crate::info::{Engine, Observation, Role, ServerMode};
use crate::model::{PollError, PollFailure, RunId, Span, Timestamp};

pub use backlog::BacklogFacts;
pub use history_start::HistoryStart;
use history_start::ShownHistory;
use processes::{ProcessAnswer, Processes, Succession};

/// Polls in a row without an answer after which a server counts as silent. One may be lost on any
/// network.
const SILENT_AFTER: u32 = 2;

/// Intervals since the last answer after which a server without an outstanding request was not
/// polled: one round may be late on a busy machine.
const UNPOLLED_AFTER: f64 = 3.0;

/// What is known of one server. Small enough to be cloned into every snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFacts {
    /// The program; `None` before the first answer.
    pub engine: Option<Engine>,
    /// The program's version, where it gives one.
    pub version: Option<Arc<str>>,
    /// How it runs.
    pub mode: Option<ServerMode>,
    /// The role that it reported last.
    pub role: Option<Role>,
    /// When the last poll that it answered was sent and when the answer came.
    pub last_answer: Option<(Timestamp, Timestamp)>,
    /// Polls since then that failed.
    pub failures: u32,
    /// Why the last of them failed.
    pub last_error: Option<PollFailure>,
    /// When the first unanswered poll since the last answer began.
    pub unanswered_since: Option<Timestamp>,
    /// Full resyncs that it served, over its restarts.
    pub full_syncs: RestartProofCounter,
    /// Partial resyncs that it granted.
    pub partial_syncs_ok: RestartProofCounter,
    /// Partial resyncs that it refused.
    pub partial_syncs_denied: RestartProofCounter,
    /// The smallest round trip.
    pub min_rtt: MinRtt,
    /// From where on its current history can have been written; `None` as long as it never showed
    /// another one.
    pub beginning: Option<HistoryStart>,
    /// Its replication backlog.
    pub backlog: BacklogFacts,
    /// What the failed polls since its last answer mean.
    failed_polls: FailedPolls,
    /// What its last answer showed of its history.
    shown: Option<ShownHistory>,
    /// When the last connection was refused, since the last answer.
    refused_at: Option<Timestamp>,
    /// The processes that have answered at this address.
    processes: Processes,
    /// Since when it had not answered before a restart of the exporter. This counts once a poll of
    /// the present process of the exporter has failed.
    silent_before: Option<Timestamp>,
    /// The last pause of the exporter.
    pause: Option<Pause>,
    /// Whether a poll that began after that pause has ended.
    polled_since_pause: bool,
    /// How much of the time since `unanswered_since` the exporter was paused.
    paused_for: Span,
}

impl ServerFacts {
    /// Records an answer. One that a later one overtook only counts as a round trip.
    pub fn answered(&mut self, seen: &Observation, sent: Timestamp, received: Timestamp) {
        self.min_rtt.observe(received - sent, received);
        if self.is_overtaken(sent) {
            return;
        }
        let succession = self.note_process(seen, received);
        self.note_history(seen, succession, sent);
        self.last_answer = Some((sent, received));
        self.clear_failures();
        self.polled_since_pause |= self.began_after_pause(sent);
        self.engine = Some(seen.server.engine);
        let version = seen.server.version.get().map(String::as_str);
        if self.version.as_deref() != version {
            self.version = version.map(Arc::from);
        }
        self.mode = seen.server.mode.value();
        self.role = seen.replication.role.value();
        self.note_counters(seen, succession);
        self.backlog.observe(seen, sent, received);
    }

    fn clear_failures(&mut self) {
        self.failures = 0;
        self.last_error = None;
        self.unanswered_since = None;
        self.failed_polls = FailedPolls::default();
        self.refused_at = None;
        self.silent_before = None;
        self.paused_for = Span::ZERO;
    }

    fn note_counters(&mut self, seen: &Observation, succession: Succession) {
        let run_id = seen.server.run_id.get();
        let is_other_server = succession == Succession::OtherServer;
        let counters = [
            (&mut self.full_syncs, &seen.stats.sync_full),
            (&mut self.partial_syncs_ok, &seen.stats.sync_partial_ok),
            (&mut self.partial_syncs_denied, &seen.stats.sync_partial_err),
        ];
        for (counter, field) in counters {
            match field.value() {
                Some(value) if is_other_server => counter.begin_at(value, run_id),
                Some(value) => counter.observe(value, run_id),
                None => {}
            }
        }
    }

    /// Records which history the server shows, and where it began if it is another one than before.
    /// When the history of another server began is not known.
    fn note_history(&mut self, seen: &Observation, succession: Succession, sent: Timestamp) {
        let now = ShownHistory::new(seen, sent);
        if succession == Succession::OtherServer {
            self.beginning = None;
        } else if let (Some(before), Some(now)) = (&self.shown, &now)
            && let Some(start) = now.start_after(before, self.refused_at)
        {
            self.beginning = Some(start);
        }
        self.shown = now;
    }

    fn note_process(&mut self, seen: &Observation, received: Timestamp) -> Succession {
        self.processes.answered(ProcessAnswer {
            run_id: seen.server.run_id.get(),
            uptime: seen.server.uptime.value(),
            received,
            previous: self.last_answer.map(|(_, received)| received),
        })
    }

    /// The process that answered last; `None` where the server does not name it.
    pub fn process(&self) -> Option<&RunId> {
        let (run_id, _) = self.processes.current()?;
        Some(run_id)
    }

    /// Since when the process that answered last is known to run; `None` where the server does not
    /// name it.
    pub fn lives_since(&self) -> Option<Timestamp> {
        let (_, since) = self.processes.current()?;
        Some(*since)
    }

    /// Whether several servers take turns in answering at this address, so that none of them is
    /// observed.
    pub fn takes_turns(&self, now: Timestamp) -> bool {
        self.processes.take_turns(now)
    }

    /// Whether a poll that was sent later than `sent` has been answered already, so that the answer
    /// to the one sent at `sent` is outdated.
    pub fn is_overtaken(&self, sent: Timestamp) -> bool {
        match self.last_answer {
            Some((last_sent, _)) => sent < last_sent,
            None => false,
        }
    }

    /// Records a failed poll that began at `began`. One during which the exporter was paused proves
    /// nothing: its answer may have been on time.
    pub fn failed(&mut self, failure: impl Into<PollFailure>, began: Timestamp) {
        if self.is_overtaken(began) || !self.began_after_pause(began) {
            return;
        }
        self.polled_since_pause = true;
        let failure = failure.into();
        self.failures = self.failures.saturating_add(1);
        if failure.reason == PollError::Refused {
            self.refused_at = Some(began);
        }
        let mut since = began;
        for known in [self.silent_before.take(), self.unanswered_since] {
            since = since.min(known.unwrap_or(began));
        }
        self.unanswered_since = Some(since);
        self.failed_polls.failed(&failure, since);
        self.last_error = Some(failure);
    }

    /// Records that the request sent at `sent` takes longer than this server's answers ever do.
    pub fn overdue(&mut self, sent: Timestamp) {
        if let Some((_, received)) = self.last_answer
            && sent < received
        {
            return;
        }
        if self.began_after_pause(sent) {
            self.unanswered_since.get_or_insert(sent);
            self.failed_polls.overdue(sent);
        }
    }

    /// Records that the server had not answered since `since` when the exporter was restarted. This
    /// counts only once a poll of the present process has failed.
    pub fn resume_silence(&mut self, since: Timestamp) {
        if !self.was_polled() {
            let known = self.silent_before.unwrap_or(since);
            self.silent_before = Some(known.min(since));
        }
    }

    /// The fault of access by which its last poll failed; `None` where it answers or is silent.
    pub fn fault(&self) -> Option<&PollFailure> {
        self.last_error.as_ref().filter(|error| error.is_fault())
    }

    /// When the first poll began that failed because the server was silent, since it last proved
    /// that it is alive.
    pub fn silent_since(&self) -> Option<Timestamp> {
        self.failed_polls.silent_since
    }

    /// When the first poll began that failed by a fault of access, since its last answer.
    pub fn fault_since(&self) -> Option<Timestamp> {
        self.failed_polls.fault_since
    }

    /// How long this exporter has had no access to it, because of a fault of the exporter or
    /// because the server refuses it; zero where there is access, `None` where that is not known.
    pub fn fault_for(&self, now: Timestamp) -> Option<Span> {
        if !self.is_judged() {
            return None;
        }
        self.failed_polls.fault_for(now)
    }

    /// Records that the exporter was paused: until a poll that begins after the pause has ended,
    /// the server's condition is unknown, and no time of the pause counts as its silence.
    pub fn note_pause(&mut self, pause: Pause) {
        if let Some(since) = self.unanswered_since {
            self.paused_for = self.paused_for + pause.after(since);
        }
        self.pause = Some(pause);
        self.polled_since_pause = false;
    }

    fn began_after_pause(&self, began: Timestamp) -> bool {
        match self.pause {
            Some(pause) => began >= pause.until,
            None => true,
        }
    }

    /// Whether the last poll was answered, and the exporter was not paused since.
    pub fn is_up(&self) -> bool {
        self.up() == Some(true)
    }

    /// Whether the last poll was answered; `None` before the first has ended in this process, and
    /// after a pause of the exporter until the next has.
    pub fn up(&self) -> Option<bool> {
        if !self.is_judged() {
            return None;
        }
        Some(self.failures == 0)
    }

    /// Whether it has been polled at all in this process, with whatever result.
    pub fn was_polled(&self) -> bool {
        self.last_answer.is_some() || self.failures > 0
    }

    /// Whether a poll has ended in this process, and since the exporter's last pause.
    pub fn is_judged(&self) -> bool {
        self.was_polled() && !self.is_paused()
    }

    fn is_paused(&self) -> bool {
        self.pause.is_some() && !self.polled_since_pause
    }

    /// Why the server's condition is unknown, where the exporter itself is the cause. `interval` is
    /// the period of polling.
    pub fn gap(&self, now: Timestamp, interval: Span) -> Option<Gap> {
        if !self.was_polled() {
            return Some(Gap::FirstPolls);
        }
        if let Some(pause) = self.pause
            && self.is_paused()
        {
            let for_ = pause.length();
            return Some(Gap::Paused { for_ });
        }
        if self.unanswered_since.is_some() {
            return None; // a poll has failed or is overdue, so the server is being polled
        }
        let (_, received) = self.last_answer?;
        let for_ = now - received;
        if for_ > interval.mul_f64(UNPOLLED_AFTER) {
            return Some(Gap::NotPolled { for_ });
        }
        None
    }

    /// Whether it has not answered for two polls of the period `interval`, by failures or by
    /// silence. A server that is not polled is not silent.
    pub fn is_silent(&self, now: Timestamp, interval: Span) -> bool {
        if self.gap(now, interval).is_some() {
            return false;
        }
        if self.failures >= SILENT_AFTER {
            return true;
        }
        match self.silence(now) {
            Some(silence) => silence > interval + interval,
            None => false,
        }
    }

    /// Whether it is known to answer: it is polled, and it is not silent.
    pub fn answers(&self, now: Timestamp, interval: Span) -> bool {
        self.gap(now, interval).is_none() && !self.is_silent(now, interval)
    }

    /// For how long it has left polls unanswered, without the time during which the exporter was
    /// paused; `None` while none is unanswered.
    pub fn silence(&self, now: Timestamp) -> Option<Span> {
        let since = self.unanswered_since?;
        Some((now - since - self.paused_for).or_zero())
    }

    /// How long it has been silent; zero when its last poll was answered, also by a refusal. `None`
    /// while that is not known: before the first poll of this process has ended, after a pause of
    /// the exporter, and while this exporter cannot send its polls.
    pub fn unreachable_for(&self, now: Timestamp) -> Option<Span> {
        if !self.is_judged() {
            return None;
        }
        if let Some(fault) = self.fault() {
            return fault.proves_life().then_some(Span::ZERO);
        }
        match self.failed_polls.silent_since {
            Some(since) => Some((now - since - self.paused_for).or_zero()),
            None => Some(Span::ZERO),
        }
    }

    /// As [`Self::unreachable_for`], to find out whether this exporter is cut off: a network fault
    /// that cuts it off may cut off its resolver as well.
    pub fn cut_off_for(&self, now: Timestamp) -> Option<Span> {
        if let Some(fault) = self.fault()
            && fault.reason == PollError::Dns
        {
            return self.silence(now);
        }
        self.unreachable_for(now)
    }

    /// Whether its offsets are no bytes of a replication stream; `false` as long as that is not
    /// known.
    pub fn is_unsupported(&self) -> bool {
        if self.mode == Some(ServerMode::Sentinel) {
            return true;
        }
        match self.engine {
            Some(engine) => !engine.counts_bytes(),
            None => false,
        }
    }
}
