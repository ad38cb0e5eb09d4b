//! Every refusal by its name: what brings it about, and what overrides it.

use super::super::*;
use super::{history, master, replica};
use crate::doctor::{Evidence, Finding, FindingSeverity, Fix};
use crate::info::Engine;
use crate::model::{Bytes, DoctorCheck, ServerAddr, Span};

/// A scene in which nothing is refused, and what a case changes of it.
struct Scene {
    kind: OperationKind,
    old: ServerView,
    target: ServerView,
    others: Vec<ServerView>,
    sentinel: Option<&'static str>,
    sentinels: Vec<SentinelView>,
    sentinels_seen: usize,
    operations: Vec<String>,
    findings: Vec<Finding>,
    rights: Vec<(ServerAddr, String, String)>,
    evidence: DeathEvidence,
    loss: Option<Loss>,
    recent: Option<(String, Span)>,
    saved: Vec<SavedWrites>,
}

impl Scene {
    fn planned() -> Self {
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
        }
    }

    fn disaster() -> Self {
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

    /// A returning master that has 100 bytes of its own.
    fn rejoin() -> Self {
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

    fn assess(&self, overrides: &Overrides) -> Assessment {
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
        };
        preflight.assess()
    }
}

fn link(view: &mut ServerView) -> &mut UpstreamView {
    view.said.as_mut().unwrap().upstream.as_mut().unwrap()
}

fn said(view: &mut ServerView) -> &mut Said {
    view.said.as_mut().unwrap()
}

/// A Sentinel that watches the master and would choose the target.
fn sentinel(port: u16) -> SentinelView {
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
fn watched(scene: &mut Scene) -> &mut SentinelSaid {
    scene.sentinel = Some("mymaster");
    if scene.sentinels.is_empty() {
        scene.sentinels.push(sentinel(26379));
    }
    scene.sentinels[0].said.as_mut().unwrap()
}

fn silent(view: &mut ServerView) {
    view.said = Err("it refused the connection".to_owned());
}

fn trap(severity: FindingSeverity) -> Finding {
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

/// A refusal: its name, the scene, what brings it about, and the override (none where it stands).
type Case = (
    RefusalName,
    fn() -> Scene,
    fn(&mut Scene),
    Option<fn(&mut Overrides)>,
);

#[allow(clippy::enum_glob_use)] // a table of all of them
fn cases() -> Vec<Case> {
    use RefusalName::*;
    let planned = Scene::planned as fn() -> Scene;
    let disaster = Scene::disaster as fn() -> Scene;
    let rejoin = Scene::rejoin as fn() -> Scene;
    vec![
        (
            ClusterMode,
            planned,
            |s| said(&mut s.old).is_cluster = true,
            None,
        ),
        (
            UnsupportedEngine,
            planned,
            |s| said(&mut s.target).engine = Engine::KeyDb,
            None,
        ),
        (
            OperationInProgress,
            planned,
            |s| s.operations.push("x".to_owned()),
            None,
        ),
        (MasterSilent, planned, |s| silent(&mut s.old), None),
        (TargetSilent, planned, |s| silent(&mut s.target), None),
        (TargetSilent, disaster, |s| silent(&mut s.target), None),
        (TargetSilent, rejoin, |s| silent(&mut s.old), None),
        (NotAReplica, planned, |s| s.old = replica(1, 9), None),
        (NotAReplica, disaster, |s| s.target = master(2), None),
        (SecondMaster, planned, |s| s.target = master(2), None),
        (SecondMaster, planned, |s| s.others.push(master(3)), None),
        (
            NotOfThisHistory,
            planned,
            |s| said(&mut s.target).replid = history('f'),
            None,
        ),
        (
            NeverSynced,
            disaster,
            |s| {
                link(&mut s.target).applied = 1;
                link(&mut s.target).is_up = false;
            },
            None,
        ),
        (
            Syncing,
            planned,
            |s| link(&mut s.target).syncing = true,
            None,
        ),
        (
            Loading,
            planned,
            |s| said(&mut s.target).loading = true,
            None,
        ),
        (Loading, rejoin, |s| said(&mut s.old).loading = true, None),
        (
            LinkDown,
            planned,
            |s| link(&mut s.target).is_up = false,
            None,
        ),
        (
            UnknownLag,
            disaster,
            |s| s.loss = None,
            Some(|o| o.unknown_loss = true),
        ),
        (
            MaxLoss,
            disaster,
            |s| s.loss.as_mut().unwrap().safe_until = 60.0,
            None,
        ),
        (
            MaxLossBytes,
            disaster,
            |s| s.loss.as_mut().unwrap().bytes = Some(30_000_001),
            None,
        ),
        (
            AnotherIsAhead,
            disaster,
            |s| {
                let mut other = replica(3, 1);
                link(&mut other).applied = 1001;
                s.others.push(other);
            },
            Some(|o| o.behind = true),
        ),
        (
            MasterAlive,
            disaster,
            |s| s.evidence.witnesses[1].verdict = Verdict::Alive,
            Some(|o| o.old_master_fenced = Some("its power is off".to_owned())),
        ),
        (
            NoProof,
            disaster,
            |s| s.evidence.witnesses[1].verdict = Verdict::Unclear,
            Some(|o| o.single_view = true),
        ),
        (
            SentinelManaged,
            planned,
            |s| watched(s).priorities.clear(),
            None,
        ),
        (
            SentinelBusy,
            planned,
            |s| watched(s).failing_over = true,
            None,
        ),
        (
            SentinelBusy,
            planned,
            |s| watched(s).tilted = Some(true),
            None,
        ),
        (
            SentinelBusy,
            planned,
            |s| watched(s).master = replica(2, 1).addr,
            None,
        ),
        (
            SentinelBusy,
            planned,
            |s| {
                watched(s);
                s.sentinels.push(sentinel(26380));
                watched(s).epoch = Some(4);
            },
            None,
        ),
        (
            PauseTooLong,
            planned,
            |s| watched(s).down_after = Some(Span::from_millis(499)),
            None,
        ),
        (
            SentinelWouldUndo,
            planned,
            |s| {
                watched(s);
                s.sentinels[0].said = Err("no answer".to_owned());
            },
            Some(|o| o.sentinels_stopped = true),
        ),
        (
            SentinelWouldUndo,
            planned,
            |s| s.sentinels_seen = 3,
            Some(|o| o.sentinels_stopped = true),
        ),
        (
            FenceUnavailable,
            planned,
            |s| {
                said(&mut s.old).version = "6.0.16".to_owned();
                said(&mut s.target).version = "6.0.16".to_owned();
            },
            Some(|o| o.unfenced = true),
        ),
        (
            RightsMissing,
            planned,
            |s| {
                s.rights.push((
                    master(1).addr,
                    "REPLICAOF NO ONE".to_owned(),
                    "NOPERM".to_owned(),
                ))
            },
            None,
        ),
        (
            PromotionTrap,
            planned,
            |s| s.findings.push(trap(FindingSeverity::Critical)),
            Some(|o| o.traps.push(DoctorCheck::A1)),
        ),
        (
            UnsavedWrites,
            rejoin,
            |_| {},
            Some(|o| o.discard = Some(Discard::Bytes(100))),
        ),
        (
            UnsavedWrites,
            rejoin,
            |s| said(&mut s.old).replid = history('f'),
            Some(|o| o.discard = Some(Discard::Unknown)),
        ),
        (
            TooSoon,
            disaster,
            |s| s.recent = Some(("x".to_owned(), Span::from_secs(60))),
            Some(|o| o.again = true),
        ),
        (
            VersionSkew,
            planned,
            |s| said(&mut s.old).version = "7.2.0".to_owned(),
            Some(|o| o.version = true),
        ),
    ]
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
fn each_refusal_has_its_name_its_reasons_and_its_own_override() {
    for (name, scene, spoil, fix) in cases() {
        let mut scene = scene();
        spoil(&mut scene);
        let found = scene.assess(&Overrides::default());
        let [refusal] = &found.refusals[..] else {
            panic!("{name}: {found:#?}")
        };
        assert_eq!(refusal.name, name);
        for text in [&refusal.evidence, &refusal.consequence, &refusal.remedy] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{refusal:#?}");
        }
        let Some(fix) = fix else { continue };
        assert!(refusal.flag.is_some(), "{refusal:#?}");
        let mut overrides = Overrides::default();
        fix(&mut overrides);
        let allowed = scene.assess(&overrides);
        assert_eq!(allowed.refusals, [], "{name}");
        if name != RefusalName::UnsavedWrites {
            assert!(
                allowed.overridden[0].starts_with(name.label()),
                "{allowed:#?}"
            );
        }
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
fn every_name_has_a_case() {
    let covered: Vec<_> = cases().iter().map(|case| case.0).collect();
    for name in RefusalName::ALL {
        // Made where the fingerprints are compared; a test on real servers has it.
        if name != RefusalName::PlanChanged {
            assert!(covered.contains(&name), "{name}");
        }
    }
}

#[test]
fn an_override_lifts_no_other_refusal() {
    for (name, scene, spoil, _) in cases() {
        for (other, _, _, fix) in cases() {
            let Some(fix) = fix.filter(|_| other != name) else {
                continue;
            };
            let mut scene = scene();
            spoil(&mut scene);
            let mut overrides = Overrides::default();
            fix(&mut overrides);
            let found = scene.assess(&overrides);
            let is_refused = found.refusals.iter().any(|refusal| refusal.name == name);
            assert!(is_refused, "{name} is lifted by the override of {other}");
        }
    }
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
        assert_eq!(found.refusals[0].flag.as_deref(), Some("--discard 100"));
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
