//! What is known of one server: whether it answers, who it is, what it counts.

use std::sync::Arc;

use super::counter::RestartProofCounter;
use super::failed_polls::FailedPolls;
use super::gap::{Gap, Pause};
use super::rtt::MinRtt;
use crate::info::{Engine, Observation, Role, ServerMode};
use crate::model::{
    PollError, PollFailure, ReplicationId, ReplicationOffset, RunId, Span, Timestamp,
};

/// Polls in a row without an answer after which a server counts as silent. One may be lost on any
/// network.
const SILENT_AFTER: u32 = 2;

/// Intervals since the last answer after which a server that nobody waits for was not polled: one
/// round may be late on a busy machine.
const UNPOLLED_AFTER: f64 = 3.0;

/// From where on a server's current replication history can have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryStart {
    /// It began after this: a poll that was sent then showed another history of this same server,
    /// or none.
    pub after: Timestamp,
    /// Every byte beyond this offset was written since.
    pub offset: ReplicationOffset,
    /// It likely began after this: later connections were refused, so there was nobody to write it.
    /// No proof, because somebody between may have refused them.
    pub likely_after: Timestamp,
}

/// What a server showed of its replication history in one answer.
#[derive(Clone, Debug, PartialEq)]
struct ShownHistory {
    replid: ReplicationId,
    has_backlog: bool,
    offset: ReplicationOffset,
    run_id: Option<RunId>,
    sent: Timestamp,
}

/// What is known of one server. Small enough to be copied into every snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFacts {
    /// The program; `None` before the first answer.
    pub engine: Option<Engine>,
    /// The program's version, where it gives one.
    pub version: Option<Arc<str>>,
    /// How it runs.
    pub mode: Option<ServerMode>,
    /// The role it claimed last.
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
    /// What the failed polls since its last answer have been.
    trouble: FailedPolls,
    /// What its last answer showed of it.
    shown: Option<ShownHistory>,
    /// When the last connection was refused, since the last answer.
    refused_at: Option<Timestamp>,
    /// The process that answered last, and since when it does.
    life: Option<(RunId, Timestamp)>,
    /// Since when it had not answered before a restart of the exporter: it counts once a poll of
    /// this process has failed.
    silent_before: Option<Timestamp>,
    /// The last pause of the exporter.
    pause: Option<Pause>,
    /// Whether a poll that began after that pause has ended.
    heard_since_pause: bool,
    /// How much of the time since `unanswered_since` the exporter was paused.
    paused_for: Span,
}

impl ServerFacts {
    /// Takes in an answer. One that a later one overtook only counts as a round trip.
    pub fn answered(&mut self, seen: &Observation, sent: Timestamp, received: Timestamp) {
        self.min_rtt.observe(received - sent, received);
        if self.is_overtaken(sent) {
            return;
        }
        self.note_history(seen, sent);
        self.last_answer = Some((sent, received));
        self.failures = 0;
        self.last_error = None;
        self.unanswered_since = None;
        self.trouble = FailedPolls::default();
        self.refused_at = None;
        self.note_life(seen, received);
        self.silent_before = None;
        self.paused_for = Span::ZERO;
        self.heard_since_pause |= self.began_after_pause(sent);
        self.engine = Some(seen.server.engine);
        self.version = seen.server.version.get().map(|v| v.as_str().into());
        self.mode = seen.server.mode.value();
        self.role = seen.replication.role.value();
        let life = seen.server.run_id.get();
        let counters = [
            (&mut self.full_syncs, &seen.stats.sync_full),
            (&mut self.partial_syncs_ok, &seen.stats.sync_partial_ok),
            (&mut self.partial_syncs_denied, &seen.stats.sync_partial_err),
        ];
        for (counter, field) in counters {
            if let Some(value) = field.value() {
                counter.observe(value, life);
            }
        }
    }

    /// Notes whether the server shows another history than before. Redis begins one when its
    /// process starts, at a promotion, and when a master that had freed its backlog
    /// (`repl-backlog-ttl`) gets a replica again; the offset goes on in the last case
    /// (`createReplicationBacklog`).
    fn note_history(&mut self, seen: &Observation, sent: Timestamp) {
        let info = &seen.replication;
        let shown = info
            .replid
            .get()
            .zip(info.master_offset.value())
            .zip(info.backlog.active.value());
        let Some(((replid, offset), has_backlog)) = shown else {
            self.shown = None;
            return;
        };
        let run_id = seen.server.run_id.get().cloned();
        let now = ShownHistory {
            replid: replid.clone(),
            has_backlog,
            offset,
            run_id,
            sent,
        };
        let Some(before) = self.shown.replace(now.clone()) else {
            return;
        };
        if before.replid != now.replid
            || before.has_backlog != now.has_backlog
            || now.offset < before.offset
        {
            let goes_on =
                !before.has_backlog && before.run_id.is_some() && before.run_id == now.run_id;
            let offset = if goes_on {
                before.offset.min(now.offset)
            } else {
                ReplicationOffset::default()
            };
            let likely_after = self
                .refused_at
                .map_or(before.sent, |refused| refused.max(before.sent));
            self.beginning = Some(HistoryStart {
                after: before.sent,
                offset,
                likely_after,
            });
        }
    }

    fn note_life(&mut self, seen: &Observation, received: Timestamp) {
        let Some(run_id) = seen.server.run_id.get() else {
            self.life = None;
            return;
        };
        let is_known = self.life.as_ref().is_some_and(|(known, _)| known == run_id);
        if !is_known {
            self.life = Some((run_id.clone(), received));
        }
    }

    /// Since when the process that answered last is known to run; `None` where the server does not
    /// name it.
    pub fn lives_since(&self) -> Option<Timestamp> {
        self.life.as_ref().map(|(_, since)| *since)
    }

    /// Whether a poll that was sent later than `sent` has been answered already: then its answer
    /// says nothing new.
    pub fn is_overtaken(&self, sent: Timestamp) -> bool {
        self.last_answer.is_some_and(|(last, _)| sent < last)
    }

    /// Takes in a failed poll that began at `began`. One that the exporter slept through says
    /// nothing: its answer may have been on time.
    pub fn failed(&mut self, failure: impl Into<PollFailure>, began: Timestamp) {
        if self.is_overtaken(began) || !self.began_after_pause(began) {
            return;
        }
        self.heard_since_pause = true;
        let failure = failure.into();
        self.failures = self.failures.saturating_add(1);
        if failure.reason == PollError::Refused {
            self.refused_at = Some(began);
        }
        let earlier = self.silent_before.take().into_iter();
        let known = earlier.chain(self.unanswered_since);
        let since = known.chain([began]).min().unwrap_or(began);
        self.unanswered_since = Some(since);
        self.trouble.failed(&failure, since);
        self.last_error = Some(failure);
    }

    /// Takes in that the request sent at `sent` takes longer than this server's answers ever do.
    pub fn overdue(&mut self, sent: Timestamp) {
        let is_newer = self
            .last_answer
            .is_none_or(|(_, received)| sent >= received);
        if is_newer && self.began_after_pause(sent) {
            self.unanswered_since.get_or_insert(sent);
            self.trouble.overdue(sent);
        }
    }

    /// Takes in that it had not answered since then, before a restart of the exporter. Nothing
    /// comes of it before a poll of this process has failed.
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

    /// When the first poll began that its silence explains, since it last proved that it lives.
    pub fn silent_since(&self) -> Option<Timestamp> {
        self.trouble.silent_since
    }

    /// When the first poll began that failed by a fault of access, since its last answer.
    pub fn fault_since(&self) -> Option<Timestamp> {
        self.trouble.fault_since
    }

    /// How long this exporter has had no access to it, for a fault of its own or because the server
    /// refuses it; zero where there is access, `None` where nobody knows.
    pub fn fault_for(&self, now: Timestamp) -> Option<Span> {
        let is_judged = self.is_judged();
        self.trouble.fault_for(now).filter(|_| is_judged)
    }

    /// Takes in that the exporter was paused: until a poll that begins afterwards has ended, nobody
    /// knows how the server is, and no time of the pause counts as its silence.
    pub fn note_pause(&mut self, pause: Pause) {
        if let Some(since) = self.unanswered_since {
            self.paused_for = self.paused_for + pause.after(since);
        }
        self.pause = Some(pause);
        self.heard_since_pause = false;
    }

    fn began_after_pause(&self, began: Timestamp) -> bool {
        self.pause.is_none_or(|pause| began >= pause.until)
    }

    /// Whether the last poll was answered, and nothing came in between that leaves it open how the
    /// server is now.
    pub fn is_up(&self) -> bool {
        self.up() == Some(true)
    }

    /// Whether the last poll was answered; `None` before the first has ended in this process, and
    /// after a pause of the exporter until the next has.
    pub fn up(&self) -> Option<bool> {
        self.is_judged().then_some(self.failures == 0)
    }

    /// Whether it has been asked at all in this process, with whatever result.
    pub fn was_polled(&self) -> bool {
        self.last_answer.is_some() || self.failures > 0
    }

    /// Whether a poll has ended in this process, and since the exporter's last pause.
    pub fn is_judged(&self) -> bool {
        self.was_polled() && !self.is_paused()
    }

    fn is_paused(&self) -> bool {
        self.pause.is_some() && !self.heard_since_pause
    }

    /// Why nobody can say how the server is, where that is the exporter's own doing. `interval` is
    /// the period of polling.
    pub fn gap(&self, now: Timestamp, interval: Span) -> Option<Gap> {
        if !self.was_polled() {
            return Some(Gap::FirstPolls);
        }
        if let Some(pause) = self.pause.filter(|_| self.is_paused()) {
            let for_ = pause.length();
            return Some(Gap::Paused { for_ });
        }
        // A server that does not answer leaves a failure, or a request that is overdue.
        let is_waited_for = self.unanswered_since.is_some();
        let (_, received) = self.last_answer.filter(|_| !is_waited_for)?;
        let for_ = now - received;
        let is_unpolled = for_ > interval.mul_f64(UNPOLLED_AFTER);
        is_unpolled.then_some(Gap::NotPolled { for_ })
    }

    /// Whether it has not answered for two polls of the period `interval`, by failures or by
    /// silence. What nobody asks is not silent.
    pub fn is_silent(&self, now: Timestamp, interval: Span) -> bool {
        if self.gap(now, interval).is_some() {
            return false;
        }
        let waits_long = self
            .silence(now)
            .is_some_and(|silence| silence > interval + interval);
        self.failures >= SILENT_AFTER || waits_long
    }

    /// Whether it is known to answer: neither silent nor out of sight.
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
    /// while nobody can say: before the first poll of this process has ended, after a pause of the
    /// exporter, and while this exporter does not get as far as asking.
    pub fn unreachable_for(&self, now: Timestamp) -> Option<Span> {
        if !self.is_judged() {
            return None;
        }
        let silence = |since: Timestamp| (now - since - self.paused_for).or_zero();
        match self.fault() {
            Some(fault) if fault.proves_life() => Some(Span::ZERO),
            Some(_) => None,
            None => Some(self.trouble.silent_since.map_or(Span::ZERO, silence)),
        }
    }

    /// As [`Self::unreachable_for`], for the question whether this exporter is cut off: what cuts it
    /// off may cut off its resolver as well.
    pub fn cut_off_for(&self, now: Timestamp) -> Option<Span> {
        let resolver = self
            .fault()
            .is_some_and(|fault| fault.reason == PollError::Dns);
        if resolver {
            return self.silence(now);
        }
        self.unreachable_for(now)
    }

    /// Whether its offsets are no bytes of a replication stream; `false` as long as nobody knows.
    pub fn is_unsupported(&self) -> bool {
        self.engine.is_some_and(|engine| !engine.counts_bytes())
            || self.mode == Some(ServerMode::Sentinel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    const INTERVAL: Span = Span::from_secs(1);

    #[test]
    fn one_lost_poll_is_not_silence_and_two_are() {
        let mut facts = ServerFacts::default();
        assert_eq!(facts.unreachable_for(at(0)), None);
        facts.answered(&Observation::default(), at(0), at(5));
        facts.failed(PollError::Timeout, at(1000));
        assert!(!facts.is_silent(at(1500), INTERVAL) && !facts.is_up());
        facts.failed(PollError::Timeout, at(2000));
        assert!(facts.is_silent(at(2500), INTERVAL));
        assert_eq!(facts.unreachable_for(at(3000)), Some(Span::from_secs(2)));
        facts.answered(&Observation::default(), at(3000), at(3001));
        assert!(facts.is_up() && !facts.is_silent(at(3500), INTERVAL));
        assert_eq!(facts.unreachable_for(at(3500)), Some(Span::ZERO));
    }

    #[test]
    fn a_fault_of_access_is_no_silence() {
        let mut facts = ServerFacts::default();
        facts.failed(PollError::Auth, at(1000));
        assert_eq!(facts.unreachable_for(at(9000)), Some(Span::ZERO));
        assert_eq!(facts.fault_for(at(9000)), Some(Span::from_secs(8)));
        let mut facts = ServerFacts::default();
        let unreadable = PollFailure::own(PollError::Auth, "the password file cannot be read");
        facts.failed(unreadable, at(1000));
        assert_eq!(facts.unreachable_for(at(9000)), None, "it was not asked");
        assert_eq!(facts.cut_off_for(at(9000)), None, "no sign of a cut");
        facts.answered(&Observation::default(), at(9000), at(9001));
        assert_eq!(facts.fault_for(at(9001)), Some(Span::ZERO));
    }

    #[test]
    fn a_resolver_that_is_cut_off_is_a_sign_of_a_cut() {
        let mut facts = ServerFacts::default();
        facts.failed(PollError::Dns, at(1000));
        assert_eq!(facts.unreachable_for(at(9000)), None);
        assert_eq!(facts.cut_off_for(at(9000)), Some(Span::from_secs(8)));
    }

    #[test]
    fn an_answer_that_came_before_a_request_was_overdue_is_no_silence() {
        let mut facts = ServerFacts::default();
        facts.answered(&Observation::default(), at(1000), at(1300));
        facts.overdue(at(900));
        assert_eq!(facts.unreachable_for(at(2000)), Some(Span::ZERO));
        facts.overdue(at(2000));
        assert_eq!(
            facts.unreachable_for(at(2500)),
            Some(Span::from_millis(500))
        );
    }

    #[test]
    fn what_a_later_answer_overtook_changes_only_the_round_trip() {
        let mut facts = ServerFacts::default();
        let says = |role| {
            let mut seen = Observation::default();
            seen.replication.role = Field::Value(role);
            seen
        };
        facts.answered(&says(Role::Master), at(1000), at(1100));
        facts.answered(&says(Role::Replica), at(500), at(1550));
        facts.failed(PollError::Timeout, at(400));
        assert_eq!(
            (facts.role, facts.last_answer),
            (Some(Role::Master), Some((at(1000), at(1100))))
        );
        assert!(facts.is_up() && facts.unreachable_for(at(1600)) == Some(Span::ZERO));
        assert_eq!(facts.min_rtt.get(), Some(Span::from_millis(100)));
    }

    /// What a server's answers, a second apart, said of its history: its letter, whether there is a
    /// backlog, the offset, the process.
    fn beginning(answers: &[(char, bool, u64, &str)]) -> Option<(i64, u64)> {
        let mut facts = ServerFacts::default();
        for (second, (letter, backlog, offset, life)) in (0_i64..).zip(answers) {
            let mut seen = Observation::default();
            let replication = &mut seen.replication;
            replication.replid = ReplicationId::parse(&letter.to_string().repeat(40))
                .map_or(Field::Missing, Field::Value);
            replication.master_offset = Field::Value(ReplicationOffset::new(*offset));
            replication.backlog.active = Field::Value(*backlog);
            seen.server.run_id =
                RunId::parse(&life.repeat(40)).map_or(Field::Missing, Field::Value);
            facts.answered(&seen, at(second * 1000), at(second * 1000 + 5));
        }
        facts
            .beginning
            .map(|b| (b.after.as_nanos() / 1_000_000_000, b.offset.get()))
    }

    #[test]
    fn a_history_began_after_the_server_last_showed_another_one() {
        assert_eq!(
            beginning(&[('a', true, 100, "1"), ('a', true, 200, "1")]),
            None,
            "who knows since when"
        );
        assert_eq!(
            beginning(&[
                ('a', true, 100, "1"),
                ('a', true, 200, "1"),
                ('b', true, 9, "2")
            ]),
            Some((1, 0))
        );
        let ttl = [
            ('a', true, 100, "1"),
            ('c', false, 200, "1"),
            ('c', false, 200, "1"),
            ('b', true, 900, "1"),
        ];
        assert_eq!(
            beginning(&ttl),
            Some((2, 200)),
            "its backlog was gone: the offset stood still"
        );
        assert_eq!(
            beginning(&[('a', false, 100, "1"), ('b', true, 900, "2")]),
            Some((0, 0)),
            "another process"
        );
        assert_eq!(
            beginning(&[('a', true, 100, "1"), ('a', true, 50, "1")]),
            Some((0, 0)),
            "a step back"
        );
        let unknown = [
            ('a', true, 100, "1"),
            ('?', true, 100, "1"),
            ('b', true, 100, "1"),
        ];
        assert_eq!(beginning(&unknown), None, "in between it said nothing");
    }

    #[test]
    fn a_history_likely_began_after_the_last_refused_connection() {
        let shows = |facts: &mut ServerFacts, letter: &str, millis| {
            let mut seen = Observation::default();
            let replication = &mut seen.replication;
            replication.replid =
                ReplicationId::parse(&letter.repeat(40)).map_or(Field::Missing, Field::Value);
            replication.master_offset = Field::Value(ReplicationOffset::new(1));
            replication.backlog.active = Field::Value(true);
            facts.answered(&seen, at(millis), at(millis + 5));
        };
        let mut facts = ServerFacts::default();
        shows(&mut facts, "a", 0);
        facts.failed(PollError::Refused, at(4000));
        facts.failed(PollError::Timeout, at(5000));
        shows(&mut facts, "b", 6000);
        assert_eq!(
            facts.beginning.map(|b| (b.after, b.likely_after)),
            Some((at(0), at(4000))),
            "a timeout is no sign"
        );
        shows(&mut facts, "c", 7000);
        assert_eq!(
            facts.beginning.map(|b| (b.after, b.likely_after)),
            Some((at(6000), at(6000)))
        );
    }

    /// It says how busy the exporter is, and nothing about the server.
    #[test]
    fn a_server_that_nobody_polls_is_not_silent_but_unknown() {
        let mut facts = ServerFacts::default();
        facts.answered(&Observation::default(), at(0), at(5));
        assert_eq!(facts.gap(at(2000), INTERVAL), None);
        let for_ = Span::from_millis(3495);
        assert_eq!(facts.gap(at(3500), INTERVAL), Some(Gap::NotPolled { for_ }));
        assert!(!facts.is_silent(at(3500), INTERVAL) && !facts.answers(at(3500), INTERVAL));
        facts.overdue(at(3600));
        assert!(facts.is_silent(at(5700), INTERVAL));
    }

    #[test]
    fn nothing_is_said_of_a_server_before_its_first_poll_has_ended() {
        let mut facts = ServerFacts::default();
        facts.resume_silence(at(-60_000));
        facts.overdue(at(0));
        assert_eq!(facts.gap(at(9000), INTERVAL), Some(Gap::FirstPolls));
        assert!(!facts.is_silent(at(9000), INTERVAL));
        assert_eq!((facts.up(), facts.unreachable_for(at(9000))), (None, None));
        let mut answers = facts.clone();
        answers.answered(&Observation::default(), at(8000), at(9000));
        assert_eq!(answers.unreachable_for(at(9000)), Some(Span::ZERO));
        answers.failed(PollError::Timeout, at(9500));
        assert_eq!(
            answers.unreachable_for(at(9600)),
            Some(Span::from_millis(100)),
            "the silence of before is over"
        );
        facts.failed(PollError::Timeout, at(8000));
        assert_eq!(
            facts.unreachable_for(at(9000)),
            Some(Span::from_secs(69)),
            "it goes on since before the restart"
        );
        assert!(facts.is_silent(at(9000), INTERVAL));
    }

    fn slept(from: i64, until: i64) -> Pause {
        Pause {
            from: at(from),
            until: at(until),
        }
    }

    #[test]
    fn a_pause_of_the_exporter_is_no_silence_of_a_server() {
        let mut facts = ServerFacts::default();
        facts.answered(&Observation::default(), at(0), at(5));
        facts.note_pause(slept(100, 42_100));
        // The poll that was under way timed out, as its time had passed.
        facts.overdue(at(90));
        facts.failed(PollError::Timeout, at(90));
        let for_ = Span::from_secs(42);
        assert_eq!(facts.gap(at(42_150), INTERVAL), Some(Gap::Paused { for_ }));
        assert!(!facts.is_silent(at(42_150), INTERVAL) && !facts.is_up());
        assert_eq!(
            (facts.up(), facts.unreachable_for(at(42_150))),
            (None, None)
        );
        facts.answered(&Observation::default(), at(42_200), at(42_205));
        assert!(facts.answers(at(42_250), INTERVAL));
        assert_eq!(facts.unreachable_for(at(42_250)), Some(Span::ZERO));
    }

    #[test]
    fn silence_goes_on_after_a_pause_where_it_was() {
        let mut facts = ServerFacts::default();
        for second in 0..10 {
            facts.failed(PollError::Timeout, at(second * 1000));
        }
        facts.note_pause(slept(10_000, 70_000));
        assert_eq!(facts.unreachable_for(at(70_100)), None);
        facts.note_pause(slept(71_000, 81_000));
        facts.failed(PollError::Timeout, at(82_000));
        assert_eq!(
            facts.unreachable_for(at(83_000)),
            Some(Span::from_secs(83 - 70))
        );
        assert!(facts.is_silent(at(83_000), INTERVAL));
    }
}
