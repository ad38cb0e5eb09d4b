//! One server, answer by answer.

use super::*;
use crate::info::Field;
use crate::model::{ReplicationId, ReplicationOffset};

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
fn a_fault_of_access_is_not_silence() {
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
fn a_resolver_fault_counts_as_being_cut_off() {
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
fn an_overtaken_answer_changes_only_the_round_trip() {
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
        seen.server.run_id = RunId::parse(&life.repeat(40)).map_or(Field::Missing, Field::Value);
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

/// What an answer shows of another server: it ran already while the first one answered.
#[test]
fn another_server_at_the_address_brings_neither_a_beginning_nor_counts() {
    let answer = |letter: &str, process: &str, uptime: i64, full_syncs: u64| {
        let mut seen = Observation::default();
        let replication = &mut seen.replication;
        replication.replid =
            ReplicationId::parse(&letter.repeat(40)).map_or(Field::Missing, Field::Value);
        replication.master_offset = Field::Value(ReplicationOffset::new(100));
        replication.backlog.active = Field::Value(true);
        seen.server.run_id = RunId::parse(process).map_or(Field::Missing, Field::Value);
        seen.server.uptime = Field::Value(Span::from_secs(uptime));
        seen.stats.sync_full = Field::Value(full_syncs);
        seen
    };
    for (uptime, began, total) in [(2, true, 9), (5000, false, 2)] {
        let mut facts = ServerFacts::default();
        facts.answered(&answer("a", "1", 700, 2), at(0), at(5));
        facts.answered(&answer("b", "2", uptime, 7), at(9000), at(9005));
        assert_eq!(facts.beginning.is_some(), began, "{uptime} s");
        assert_eq!(facts.full_syncs.total(), Some(total), "{uptime} s");
    }
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
fn a_server_that_is_not_polled_is_unknown_and_not_silent() {
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
fn a_server_is_not_judged_before_its_first_poll_has_ended() {
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
fn a_pause_of_the_exporter_is_not_silence_of_a_server() {
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
fn silence_continues_after_a_pause() {
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
