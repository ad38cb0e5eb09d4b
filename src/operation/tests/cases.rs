//! Refusals and their overrides as data: a directory a case, with what it is like (`scene`), the
//! flag that lifts it (`override`, where there is one), and what a person reads (`expect`,
//! `recorded`). `UPDATE_GOLDEN=1` writes what a person reads, for review.

use std::path::{Path, PathBuf};

use super::super::*;
use super::refusals::{Scene, link, said, sentinel, trap, watched};
use super::{history, master, replica};
use crate::doctor::FindingSeverity;
use crate::info::Engine;
use crate::model::{DoctorCheck, ServerAddr, Span};

/// One directory.
pub(super) struct Case {
    pub(super) name: String,
    folder: PathBuf,
    /// The name of the refusal: the beginning of the directory's.
    pub(super) refusal: RefusalName,
    pub(super) overrides: Option<Overrides>,
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/operation/tests/cases");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names.sort();
    names
        .into_iter()
        .map(|name| Case::read(&folder, name))
        .collect()
}

impl Case {
    fn read(folder: &Path, name: String) -> Self {
        let folder = folder.join(&name);
        let mut fitting = RefusalName::ALL.to_vec();
        fitting.retain(|refusal| name.starts_with(refusal.label()));
        // `max-loss-bytes` begins with `max-loss`, too.
        let refusal = fitting
            .into_iter()
            .max_by_key(|refusal| refusal.label().len());
        let flags = std::fs::read_to_string(folder.join("override")).ok();
        Self {
            refusal: refusal.unwrap_or_else(|| panic!("{name} begins with no refusal")),
            overrides: flags.map(|flag| overrides(flag.trim())),
            folder,
            name,
        }
    }

    /// The scene as its lines make it.
    pub(super) fn scene(&self) -> Scene {
        let text = std::fs::read_to_string(self.folder.join("scene")).unwrap();
        let mut lines = text.lines();
        let mut scene = match lines.next() {
            Some("planned") => Scene::planned(),
            Some("disaster") => Scene::disaster(),
            Some("rejoin") => Scene::rejoin(),
            Some("hand-over") => Scene::hand_over(),
            Some("take-over") => Scene::take_over(),
            other => panic!("{}: {other:?}", self.name),
        };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let is_known = change(&mut scene, &words);
            assert!(is_known, "{}: {line:?} is not understood", self.name);
        }
        scene
    }

    /// Compares what a person reads with the file of this name.
    pub(super) fn reads(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let expected = std::fs::read_to_string(&path);
        assert_eq!(expected.unwrap_or_default(), text, "{}/{file}", self.name);
    }
}

/// The flag of a person.
fn overrides(flag: &str) -> Overrides {
    let mut overrides = Overrides::default();
    let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
    match name {
        "--accept-unknown-loss" => overrides.unknown_loss = true,
        "--accept-single-view" => overrides.single_view = true,
        "--accept-behind" => overrides.behind = true,
        "--accept-version" => overrides.version = true,
        "--again" => overrides.again = true,
        "--unfenced" => overrides.unfenced = true,
        "--sentinels-are-stopped" => overrides.sentinels_stopped = true,
        "--old-master-is-fenced" => overrides.old_master_fenced = Some(value.to_owned()),
        "--accept" => overrides.traps.extend(DoctorCheck::parse(value)),
        "--discard" => {
            let bytes = value.parse().map(Discard::Bytes);
            overrides.discard = Some(bytes.unwrap_or(Discard::Unknown));
        }
        other => panic!("{other} is no flag"),
    }
    overrides
}

/// Carries a line out; false where it is not understood.
fn change(scene: &mut Scene, words: &[&str]) -> bool {
    match words {
        ["old", rest @ ..] => {
            let rights = &mut scene.rights;
            match rest {
                ["does", "not", "permit", command] => {
                    let words = "NOPERM this user has no permissions".to_owned();
                    rights.push((master(1).addr, (*command).to_owned(), words));
                    true
                }
                _ => change_server(&mut scene.old, 1, rest),
            }
        }
        ["target", "has", "a", "trap"] => {
            scene.findings.push(trap(FindingSeverity::Critical));
            true
        }
        ["target", rest @ ..] => change_server(&mut scene.target, 2, rest),
        ["other", port, rest @ ..] => {
            let port = port.parse().unwrap();
            let mut other = replica(port, 1);
            let is_known = change_server(&mut other, port, rest);
            scene.others.push(other);
            is_known
        }
        ["sentinel", rest @ ..] => change_sentinel(scene, rest),
        _ => change_circumstances(scene, words),
    }
}

fn change_server(server: &mut ServerView, port: u16, words: &[&str]) -> bool {
    match words {
        ["is", "silent"] => server.said = Err("it refused the connection".to_owned()),
        ["is", "a", "cluster's", "node"] => said(server).is_cluster = true,
        ["is", "a", "Unix", "socket"] => {
            server.addr = ServerAddr::parse("unix:///run/redis.sock").unwrap();
        }
        ["is", "a", "master"] => *server = master(port),
        ["is", "loading"] => said(server).loading = true,
        ["is", "syncing"] => link(server).syncing = true,
        ["runs", "KeyDB"] => said(server).engine = Engine::KeyDb,
        ["follows", other] => *server = replica(port, other.parse().unwrap()),
        ["has", "history", digit] => said(server).replid = history(digit.chars().next().unwrap()),
        ["has", "version", version] => (*version).clone_into(&mut said(server).version),
        ["has", "keys", keys] => said(server).keys = Some(keys.parse().unwrap()),
        ["has", "no", "priority"] => said(server).priority = None,
        ["has", "applied", offset] => link(server).applied = offset.parse().unwrap(),
        ["lists", "nobody"] => said(server).replicas.clear(),
        ["lists", "two", "others"] => {
            let other = said(server).replicas[0].clone();
            for port in [8, 9] {
                let mut another = other.clone();
                another.addr = Some(ServerAddr::new("10.0.0.7", port));
                said(server).replicas.push(another);
            }
            said(server).replicas.remove(0);
        }
        ["sends", "a", "full", "sync"] => said(server).replicas[0].is_online = false,
        ["has", "its", "link", "down"] => link(server).is_up = false,
        _ => return false,
    }
    true
}

fn change_sentinel(scene: &mut Scene, words: &[&str]) -> bool {
    let target = scene.target.addr.clone();
    let sentinel = watched(scene);
    match words {
        ["watches"] => {}
        ["knows", "nobody"] => sentinel.priorities.clear(),
        ["is", "failing", "over"] => sentinel.failing_over = true,
        ["is", "tilted"] => sentinel.tilted = Some(true),
        ["names", "the", "target"] => sentinel.master = target,
        ["waits", millis] => {
            sentinel.down_after = Some(Span::from_millis(millis.parse().unwrap()));
        }
        ["is", "silent"] => scene.sentinels[0].said = Err("no answer".to_owned()),
        ["has", "another", "epoch"] => {
            scene.sentinels.push(another_sentinel());
        }
        _ => return false,
    }
    true
}

fn another_sentinel() -> SentinelView {
    let mut another = sentinel(26380);
    another.said.as_mut().unwrap().epoch = Some(4);
    another
}

fn change_circumstances(scene: &mut Scene, words: &[&str]) -> bool {
    match words {
        ["operation", id, "is", "under", "way"] => scene.operations.push((*id).to_owned()),
        ["loss", "is", "unknown"] => scene.loss = None,
        ["loss", "begins", "at", at] => {
            scene.loss.as_mut().unwrap().safe_until = at.parse().unwrap();
        }
        ["loss", "has", "bytes", bytes] => {
            scene.loss.as_mut().unwrap().bytes = Some(bytes.parse().unwrap());
        }
        ["witness", number, "is", verdict] => {
            let number: usize = number.parse().unwrap();
            let verdict = Verdict::parse(verdict).unwrap();
            scene.evidence.witnesses[number].verdict = verdict;
        }
        ["sentinels", "seen", count] => scene.sentinels_seen = count.parse().unwrap(),
        ["failover", seconds, "ago"] => {
            let ago = Span::from_secs(seconds.parse().unwrap());
            scene.recent = Some(("20261130T115900Z-0007".to_owned(), ago));
        }
        _ => return false,
    }
    true
}

/// A refusal as a person reads it.
fn text(refusal: &Refusal) -> String {
    let Refusal {
        name,
        evidence,
        consequence,
        remedy,
        flag,
    } = refusal;
    let flag = flag.as_deref().unwrap_or("nothing overrides it");
    format!("refused: {name}: {evidence}\nso: {consequence}\ndo: {remedy}\nor: {flag}\n")
}

#[test]
fn each_refusal_says_what_was_seen_what_follows_and_what_to_do() {
    for case in cases() {
        let scene = case.scene();
        let found = scene.assess(&Overrides::default());
        let [refusal] = &found.refusals[..] else {
            panic!("{}: {found:#?}", case.name)
        };
        assert_eq!(refusal.name, case.refusal, "{}", case.name);
        for text in [&refusal.evidence, &refusal.consequence, &refusal.remedy] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{refusal:#?}");
        }
        case.reads("expect", &text(refusal));
        let Some(overrides) = &case.overrides else {
            continue;
        };
        assert!(refusal.flag.is_some(), "{refusal:#?}");
        let allowed = scene.assess(overrides);
        assert_eq!(allowed.refusals, [], "{}", case.name);
        let mut recorded = String::new();
        for line in &allowed.overridden {
            recorded += &format!("{line}\n");
        }
        case.reads("recorded", &recorded);
    }
}

#[test]
fn every_name_has_a_case() {
    let covered: Vec<_> = cases().iter().map(|case| case.refusal).collect();
    for name in RefusalName::ALL {
        // Made where the fingerprints are compared; a test on real servers has it.
        if name != RefusalName::PlanChanged {
            assert!(covered.contains(&name), "{name}");
        }
    }
}

#[test]
fn an_override_lifts_no_other_refusal() {
    for case in cases() {
        for other in cases() {
            let Some(overrides) = other.overrides.filter(|_| other.refusal != case.refusal) else {
                continue;
            };
            let found = case.scene().assess(&overrides);
            let mut names = found.refusals.iter().map(|refusal| refusal.name);
            assert!(
                names.any(|name| name == case.refusal),
                "{} is lifted by the override of {}",
                case.name,
                other.name
            );
        }
    }
}
