//! The scene in which an operation is assessed, and what needs more than one line of data to say;
//! the cases are in `cases`.

use super::super::*;
use super::{history, master, replica};
use crate::doctor::{Evidence, Finding, FindingSeverity, Fix};
use crate::model::{Bytes, DoctorCheck, ServerAddr, Span};

/// A scene in which nothing is refused, and what a case changes of it.
pub(super) struct Scene {
    pub(super) kind: OperationKind,
    pub(super) old: ServerView,
    pub(super) target: ServerView,
    pub(super) others: Vec<ServerView>,
    sentinel: Option<&'static str>,
    pub(super) sentinels: Vec<SentinelView>,
    pub(super) sentinels_seen: usize,
    pub(super) operations: Vec<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) rights: Vec<(ServerAddr, String, String)>,
    pub(super) evidence: DeathEvidence,
    pub(super) loss: Option<Loss>,
    pub(super) recent: Option<(String, Span)>,
    saved: Vec<SavedWrites>,
    copied: Option<Copied>,
    token: Option<Token>,
}

impl Scene {
    pub(super) fn planned() -> Self {
        Self {
            kind: OperationKind::SwitchOver,
            old: master(1),
            target: replica(2, 1),
            others: Vec::new(),
            sentinel: None,
            sentinels: Vec::new(),
            sentinels_seen: 0,
            operations: Vec::new(),
            findings: Vec::new(),
            rights: Vec::new(),
            evidence: DeathEvidence::default(),
            loss: None,
            recent: None,
            saved: Vec::new(),
            copied: None,
            token: None,
        }
    }

    pub(super) fn disaster() -> Self {
        let mut old = master(1);
        old.said = Err("it refused the connection".to_owned());
        let witness = |who: &str| Witness {
            who: who.to_owned(),
            what: "no answer".to_owned(),
            verdict: Verdict::Dead,
        };
        Self {
            kind: OperationKind::Disaster,
            old,
            evidence: DeathEvidence {
                witnesses: vec![witness("this machine"), witness("replica")],
            },
            loss: Some(Loss {
                safe_until: 99.0,
                last_heard: 100.0,
                silent_from: 101.0,
                bytes: Some(1000),
            }),
            ..Self::planned()
        }
    }

    /// The first half of a switch-over in two halves: the replica is not reached from here.
    pub(super) fn hand_over() -> Self {
        let mut scene = Self {
            kind: OperationKind::HandOver,
            ..Self::planned()
        };
        said(&mut scene.old).replicas.push(ListedReplica {
            addr: Some(scene.target.addr.clone()),
            is_online: true,
            acked: Some(1000),
        });
        scene.target.said = Err("it did not answer".to_owned());
        scene
    }

    /// The second half: the old master is not reached from here.
    pub(super) fn take_over() -> Self {
        let mut scene = Self {
            kind: OperationKind::TakeOver,
            token: Some(Token {
                replid: history('a'),
                offset: 1000,
            }),
            ..Self::planned()
        };
        scene.old.said = Err("it did not answer".to_owned());
        link(&mut scene.target).is_up = false;
        scene
    }

    /// A returning master that has 100 bytes of its own.
    pub(super) fn rejoin() -> Self {
        let mut target = master(2);
        let said = target.said.as_mut().unwrap();
        said.replid = history('b');
        said.replid2 = Some(history('a'));
        said.second_offset = Some(901);
        Self {
            kind: OperationKind::Rejoin,
            target,
            ..Self::planned()
        }
    }

    pub(super) fn assess(&self, overrides: &Overrides) -> Assessment {
        let preflight = Preflight {
            kind: self.kind,
            pair: "orders",
            old: &self.old,
            target: &self.target,
            others: &self.others,
            sentinel_name: self.sentinel,
            sentinels: &self.sentinels,
            sentinels_seen: self.sentinels_seen,
            other_operations: &self.operations,
            findings: &self.findings,
            missing_rights: &self.rights,
            evidence: &self.evidence,
            loss: self.loss,
            recent: self.recent.clone(),
            max_loss: Span::from_secs(30),
            max_loss_bytes: Bytes::new(30_000_000),
            overrides,
            saved: &self.saved,
            copied: self.copied.as_ref(),
            token: self.token.as_ref(),
        };
        preflight.assess()
    }
}

pub(super) fn link(view: &mut ServerView) -> &mut UpstreamView {
    view.said.as_mut().unwrap().upstream.as_mut().unwrap()
}

pub(super) fn said(view: &mut ServerView) -> &mut Said {
    view.said.as_mut().unwrap()
}

/// A Sentinel that watches the master and would choose the target.
pub(super) fn sentinel(port: u16) -> SentinelView {
    SentinelView {
        addr: super::addr(port),
        said: Ok(SentinelSaid {
            master: master(1).addr,
            epoch: Some(3),
            is_down: false,
            failing_over: false,
            tilted: Some(false),
            down_after: Some(Span::from_secs(5)),
            priorities: vec![(replica(2, 1).addr, 100)],
        }),
    }
}

/// Puts the pair under a Sentinel, unless it is, and returns what that says.
pub(super) fn watched(scene: &mut Scene) -> &mut SentinelSaid {
    scene.sentinel = Some("mymaster");
    if scene.sentinels.is_empty() {
        scene.sentinels.push(sentinel(26379));
    }
    scene.sentinels[0].said.as_mut().unwrap()
}

pub(super) fn trap(severity: FindingSeverity) -> Finding {
    Finding {
        check: DoctorCheck::A1,
        severity,
        server: replica(2, 1).addr.to_string(),
        dc: "dc2".to_owned(),
        what: "it refuses every write".to_owned(),
        evidence: Evidence::new(String::new(), String::new(), String::new()),
        consequence: "Nothing can be written.".to_owned(),
        fix: Fix::by_hand(&replica(2, 1).addr, "give it a replica"),
        source: String::new(),
        exception_ended: None,
    }
}

#[test]
fn nothing_is_refused_without_a_reason() {
    let mut under_sentinels = [Scene::planned(), Scene::disaster()];
    for scene in &mut under_sentinels {
        watched(scene);
    }
    let alone = [Scene::planned(), Scene::disaster()];
    for scene in alone.into_iter().chain(under_sentinels) {
        assert_eq!(scene.assess(&Overrides::default()), Assessment::default());
    }
}

#[test]
fn a_returning_master_is_left_to_its_sentinels() {
    let mut scene = Scene::rejoin();
    watched(&mut scene);
    let found = scene.assess(&Overrides::default());
    assert_eq!(found.refusals[0].name, RefusalName::SentinelManaged);
    assert!(found.refusals[0].remedy.contains("recover.capture"));
}

#[test]
fn a_wrong_number_of_bytes_discards_nothing() {
    let scene = Scene::rejoin();
    for wrong in [Discard::Bytes(99), Discard::Bytes(101), Discard::Unknown] {
        let overrides = Overrides {
            discard: Some(wrong),
            ..Overrides::default()
        };
        let found = scene.assess(&overrides);
        assert_eq!(
            found.refusals[0].name,
            RefusalName::UnsavedWrites,
            "{wrong:?}"
        );
        let flag = found.refusals[0].flag.as_deref();
        assert_eq!(flag, Some("--copy, or --discard 100"));
    }
}

#[test]
fn a_trap_that_is_no_more_than_a_warning_is_a_note() {
    let mut scene = Scene::planned();
    scene.findings.push(trap(FindingSeverity::Warning));
    let found = scene.assess(&Overrides::default());
    assert_eq!(found.refusals, []);
    assert_eq!(found.notes, ["A1: it refuses every write"]);
}

#[test]
fn a_replica_right_after_its_full_sync_is_not_called_empty() {
    let mut scene = Scene::disaster();
    link(&mut scene.target).applied = 1;
    link(&mut scene.target).is_up = false;
    said(&mut scene.target).keys = Some(0);
    let sentence = |scene: &Scene| {
        scene.assess(&Overrides::default()).refusals[0]
            .evidence
            .clone()
    };
    assert!(
        sentence(&scene).contains("is empty"),
        "{}",
        sentence(&scene)
    );
    said(&mut scene.target).keys = Some(7);
    assert!(
        sentence(&scene).contains("has 7 keys"),
        "{}",
        sentence(&scene)
    );
    // Another replica has the same history: it took that over with the data.
    scene.others.push(replica(3, 1));
    link(&mut scene.others[0]).applied = 1;
    assert_eq!(scene.assess(&Overrides::default()).refusals, []);
    // So has the master, while it answers.
    let mut scene = Scene::planned();
    link(&mut scene.target).applied = 1;
    link(&mut scene.target).is_up = false;
    let found = scene.assess(&Overrides::default());
    let names: Vec<_> = found.refusals.iter().map(|refusal| refusal.name).collect();
    assert_eq!(names, [RefusalName::LinkDown]);
}

#[test]
fn what_is_saved_as_a_whole_may_be_overwritten() {
    let file = |digit, from, bytes| SavedWrites {
        replid: history(digit),
        from,
        bytes,
        file: "tail.aof".into(),
    };
    // Offsets 901 to 1000 are only on the returning server.
    let cases = [
        (file('a', 901, 100), true),
        (file('a', 800, 300), true),
        (file('a', 901, 99), false),
        (file('a', 902, 100), false),
        (file('f', 901, 100), false),
    ];
    for (file, is_enough) in cases {
        let mut scene = Scene::rejoin();
        scene.saved.push(file);
        let found = scene.assess(&Overrides::default());
        assert_eq!(found.refusals.is_empty(), is_enough, "{:?}", scene.saved);
    }
}
