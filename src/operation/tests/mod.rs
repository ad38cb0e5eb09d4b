//! The decisions, without any server.

mod cases;
mod documents;
mod hooks;
mod model;
mod refusals;
mod restarts;
mod runs;
mod sentinel;
mod two_sites;

use crate::info::{Engine, Role};
use crate::model::{Datacenter, ReplicationId, ServerAddr, Span};

use super::*;

/// The history of the old master.
pub(super) fn history(digit: char) -> ReplicationId {
    ReplicationId::parse(&digit.to_string().repeat(40)).unwrap()
}

pub(super) fn addr(port: u16) -> ServerAddr {
    ServerAddr::new("10.0.0.1", port)
}

/// A healthy master at offset 1000.
pub(super) fn master(port: u16) -> ServerView {
    ServerView {
        addr: addr(port),
        dc: Datacenter::new("dc1"),
        said: Ok(Said {
            engine: Engine::Redis,
            is_cluster: false,
            version: "7.0.15".to_owned(),
            run_id: format!("run-{port}"),
            role: Role::Master,
            replid: history('a'),
            replid2: None,
            second_offset: None,
            offset: 1000,
            backlog_from: Some(1),
            loading: false,
            load: None,
            keys: Some(10),
            memory: Some(crate::model::Bytes::new(1024 * 1024)),
            full_syncs: 1,
            has_config_file: Some(true),
            priority: None,
            upstream: None,
            replicas: Vec::new(),
        }),
    }
}

/// A replica of the server at `master`, level with a master at offset 1000.
pub(super) fn replica(port: u16, master: u16) -> ServerView {
    let mut view = self::master(port);
    view.dc = Datacenter::new("dc2");
    let said = view.said.as_mut().unwrap();
    said.role = Role::Replica;
    said.priority = Some(100);
    said.upstream = Some(UpstreamView {
        addr: Some(addr(master)),
        is_up: true,
        syncing: false,
        sync_read: None,
        sync_total: None,
        applied: 1000,
        last_io: Some(Span::ZERO),
    });
    view
}

/// The switch-over from port 1 to port 2.
pub(super) fn intent(kind: OperationKind) -> Intent {
    Intent {
        id: "20261130T120000Z-0001".to_owned(),
        kind,
        pair: "orders".to_owned(),
        old: Party::from_view(&master(1)),
        target: Party::from_view(&replica(2, 1)),
        old_for_target: addr(1),
        followers: Vec::new(),
        limits: Limits::default(),
        can_pause: true,
        discard: None,
        saved_in: None,
        copied: None,
        hooks: HookNames::default(),
        sentinel: None,
        token: None,
        fingerprint: "0123456789abcdef".to_owned(),
        overridden: Vec::new(),
        stated_loss: None,
    }
}

#[test]
fn the_situation_follows_from_the_roles() {
    let intent = intent(OperationKind::SwitchOver);
    let silent = |mut view: ServerView| {
        view.said = Err("no answer".to_owned());
        view
    };
    let world = |old, target| World {
        old,
        target,
        old_again: None,
        others: Vec::new(),
        sentinels: Vec::new(),
    };
    let cases = [
        (master(1), replica(2, 1), Situation::Before),
        (replica(1, 2), replica(2, 1), Situation::Nobody),
        (replica(1, 2), master(2), Situation::After),
        (master(1), master(2), Situation::TwoMasters),
        (
            silent(master(1)),
            replica(2, 1),
            Situation::OldSilent(Role::Replica),
        ),
        (
            silent(master(1)),
            master(2),
            Situation::OldSilent(Role::Master),
        ),
        (
            master(1),
            silent(master(2)),
            Situation::TargetSilent(Role::Master),
        ),
        (
            replica(1, 2),
            silent(master(2)),
            Situation::TargetSilent(Role::Replica),
        ),
        (silent(master(1)), silent(master(2)), Situation::BothSilent),
        (master(1), replica(2, 9), Situation::Elsewhere),
        (replica(1, 9), replica(2, 1), Situation::Elsewhere),
        (replica(1, 9), master(2), Situation::Elsewhere),
    ];
    for (old, target, expected) in cases {
        assert_eq!(
            Situation::from_world(&world(old, target), &intent),
            expected
        );
    }
}

#[test]
fn equality_needs_a_master_that_did_not_move_and_a_target_that_has_all() {
    let level = World {
        old: master(1),
        target: replica(2, 1),
        old_again: Some(master(1)),
        others: Vec::new(),
        sentinels: Vec::new(),
    };
    assert_eq!(level.equal_offsets().unwrap().offset, 1000);
    let spoil: [fn(&mut World); 5] = [
        |world| world.old_again = None,
        |world| {
            world
                .old_again
                .as_mut()
                .unwrap()
                .said
                .as_mut()
                .unwrap()
                .offset += 14
        },
        |world| {
            world
                .target
                .said
                .as_mut()
                .unwrap()
                .upstream
                .as_mut()
                .unwrap()
                .applied -= 1
        },
        |world| world.target.said.as_mut().unwrap().replid = history('b'),
        |world| {
            world
                .target
                .said
                .as_mut()
                .unwrap()
                .upstream
                .as_mut()
                .unwrap()
                .is_up = false
        },
    ];
    for spoil in spoil {
        let mut world = level.clone();
        spoil(&mut world);
        assert_eq!(world.equal_offsets(), None, "{world:?}");
    }
}

#[test]
fn what_only_a_returning_master_has_is_measured_or_unknown() {
    let said = |view: ServerView| view.said.unwrap();
    let mut promoted = said(master(2));
    promoted.replid = history('b');
    promoted.replid2 = Some(history('a'));
    promoted.second_offset = Some(901);
    promoted.offset = 2000;
    let mut old = said(master(1));
    let tail = |bytes, in_backlog| Unshared::Tail {
        bytes,
        from: 901,
        in_backlog,
    };
    assert_eq!(Unshared::between(&old, &promoted), tail(100, true));
    old.backlog_from = Some(902);
    assert_eq!(Unshared::between(&old, &promoted), tail(100, false));
    old.keys = Some(0);
    assert_eq!(
        Unshared::between(&old, &promoted),
        tail(100, false),
        "deletions are writes, too"
    );
    old.offset = 900;
    assert_eq!(Unshared::between(&old, &promoted), Unshared::Nothing);
    old.replid = history('c');
    assert_eq!(Unshared::between(&old, &promoted), Unshared::EmptyServer);
    old.keys = Some(1);
    assert_eq!(Unshared::between(&old, &promoted), Unshared::Unknown);
    // Restarted with the RDB file of its shutdown at offset 950, and written to since.
    old.replid2 = Some(history('a'));
    old.second_offset = Some(951);
    old.offset = 960;
    assert_eq!(Unshared::between(&old, &promoted), tail(60, false));
    assert!(tail(60, true).may_be_overwritten(Some(60)));
    for wrong in [None, Some(59), Some(61), Some(UNKNOWN_BYTES)] {
        assert!(!tail(60, true).may_be_overwritten(wrong), "{wrong:?}");
    }
    assert!(Unshared::Unknown.may_be_overwritten(Some(UNKNOWN_BYTES)));
    assert!(!Unshared::Unknown.may_be_overwritten(Some(0)));
}

#[test]
fn the_loss_is_what_was_certified_and_the_rest_is_said() {
    let knows = ExporterKnows {
        certified_at: 100.0,
        upper_seconds: 1.5,
        upper_bytes: Some(2048),
        master_last_answer: Some(101.0),
        interval: Some(0.5),
        silent_at: Some(103.0),
    };
    let loss = Loss::new(knows).unwrap();
    assert!((loss.safe_until - 98.5).abs() < 1e-9, "{loss:?}");
    assert_eq!(loss.upper(), Span::from_secs(3));
    let sentences = loss.sentences(|at| format!("<{at}>"));
    assert!(sentences[0].contains("before <98.5>"), "{sentences:?}");
    assert!(
        sentences.iter().any(|said| said.contains("2.0 KiB")),
        "{sentences:?}"
    );
    assert!(
        sentences.last().unwrap().contains("no tool can see"),
        "{sentences:?}"
    );
    let silent = ExporterKnows {
        master_last_answer: None,
        ..knows
    };
    assert_eq!(Loss::new(silent), None);
    let just_started = ExporterKnows {
        interval: None,
        ..knows
    };
    let silent_from = |knows| Loss::new(knows).map(|loss| loss.silent_from);
    assert_eq!(silent_from(just_started), Some(103.0));
    let answered = ExporterKnows {
        silent_at: None,
        ..just_started
    };
    assert_eq!(silent_from(answered), None);
}

#[test]
fn two_have_to_see_that_a_master_is_dead_and_nobody_may_hear_it() {
    use Verdict::{Alive, Dead, Unclear};
    let witness = |verdict| Witness {
        who: "somebody".to_owned(),
        what: "something".to_owned(),
        verdict,
    };
    let proof = |verdicts: &[Verdict]| {
        let witnesses = verdicts.iter().copied().map(witness).collect();
        DeathEvidence { witnesses }.is_proof()
    };
    assert!(proof(&[Dead, Dead]));
    assert!(proof(&[Dead, Unclear, Dead]));
    for not_enough in [&[][..], &[Dead], &[Dead, Unclear], &[Dead, Dead, Alive]] {
        assert!(!proof(not_enough), "{not_enough:?}");
    }
}

#[test]
fn a_replica_testifies_by_its_link_and_by_what_arrives() {
    let first = replica(2, 1);
    let mut down = first.clone();
    down.said.as_mut().unwrap().upstream.as_mut().unwrap().is_up = false;
    let mut moved = first.clone();
    moved
        .said
        .as_mut()
        .unwrap()
        .upstream
        .as_mut()
        .unwrap()
        .applied += 14;
    let verdict = |later: &ServerView| Witness::replica(&first, later).unwrap().verdict;
    assert_eq!(verdict(&down), Verdict::Dead);
    assert_eq!(verdict(&moved), Verdict::Alive);
    assert_eq!(
        verdict(&first),
        Verdict::Unclear,
        "a link that is up proves nothing"
    );
    assert_eq!(Witness::replica(&first, &master(2)), None);
}

#[test]
fn the_target_is_named_or_obvious() {
    let kind = OperationKind::SwitchOver;
    let one = [replica(2, 1)];
    assert_eq!(choose_target(kind, &one, None).unwrap().addr, addr(2));
    let mut two = [replica(2, 1), replica(3, 1)];
    assert!(
        choose_target(kind, &two, None)
            .unwrap_err()
            .contains("--to")
    );
    assert_eq!(
        choose_target(kind, &two, Some(&addr(3))).unwrap().addr,
        addr(3)
    );
    assert!(choose_target(kind, &two, Some(&addr(9))).is_err());
    two[1]
        .said
        .as_mut()
        .unwrap()
        .upstream
        .as_mut()
        .unwrap()
        .applied = 1001;
    let disaster = OperationKind::Disaster;
    assert_eq!(
        choose_target(disaster, &two, None).unwrap().addr,
        addr(3),
        "the most advanced"
    );
    two[1].said = Err("no answer".to_owned());
    assert_eq!(choose_target(disaster, &two, None).unwrap().addr, addr(2));
}

#[test]
fn another_run_role_or_target_makes_another_plan() {
    let kind = OperationKind::SwitchOver;
    let plan =
        |servers: &[&ServerView]| fingerprint(kind, "orders", servers, &[], &HookNames::default());
    let before = plan(&[&master(1), &replica(2, 1)]);
    let mut later = master(1);
    later.said.as_mut().unwrap().offset += 100;
    assert_eq!(plan(&[&later, &replica(2, 1)]), before, "writes go on");
    let mut restarted = master(1);
    restarted.said.as_mut().unwrap().run_id = "another".to_owned();
    assert_ne!(plan(&[&restarted, &replica(2, 1)]), before);
    assert_ne!(plan(&[&master(1), &replica(3, 1)]), before);
    assert_ne!(
        fingerprint(
            OperationKind::Disaster,
            "orders",
            &[&master(1), &replica(2, 1)],
            &[],
            &HookNames::default()
        ),
        before
    );
}
