//! The long form: many random drills, each with its seed. `make drill`, with
//! `DRILLS=100 DRILL_SEED=7`.
//!
//! Half of them are planned switch-overs, most of which are killed after a random line of their
//! journal and then resumed or rolled back; a quarter are disasters with their capture and the way
//! back; the rest are Redis' own FAILOVER, so that both pauses come from the same run.

use std::collections::BTreeSet;
use std::time::Instant;

use fastrand::Rng;
use redis_cross_dc_exporter::lab::{Direction, Reply, eventually};

use super::disaster::Apart;
use super::killed::{LINES, kill_and_recover};
use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, failback, failover, ids, replication, until_follows};
use crate::command::run;
use crate::stage::LIMIT;

/// The flags of a disaster in which the old master lives on behind a cut network.
const DISASTER: [&str; 5] = [
    "--disaster",
    "--old-master-is-fenced",
    "a drill",
    "--accept-unknown-loss",
    "--execute",
];

/// What one drill is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A switch-over that nobody disturbs.
    Planned,
    /// One that is killed after a line of its journal, and then resumed or rolled back.
    Killed { line: usize, back: bool },
    /// Redis' own FAILOVER.
    Failover,
    /// A lost master, the capture of what only it has, and its return.
    Disaster,
}

impl Kind {
    fn draw(chance: &mut Rng) -> Self {
        match chance.u8(..8) {
            0 | 1 => Self::Planned,
            2..5 => Self::Killed {
                line: chance.usize(1..=LINES),
                back: chance.bool(),
            },
            5 => Self::Failover,
            _ => Self::Disaster,
        }
    }
}

/// Pauses of one kind, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Pauses(pub(crate) Vec<f64>);

impl Pauses {
    pub(crate) fn line(&mut self, what: &str) -> String {
        self.0.sort_by(f64::total_cmp);
        let last = self.0.len().saturating_sub(1);
        let at = |percent: usize| {
            self.0
                .get(last * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        format!(
            "{what}, {} times: median {:.1} ms, 90 % {:.1} ms, longest {:.1} ms",
            self.0.len(),
            at(50),
            at(90),
            at(100)
        )
    }
}

pub(crate) fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test]
#[ignore = "takes many minutes: make drill"]
async fn many_random_drills_end_consistent() {
    let drills = variable("DRILLS", 100);
    let seed = variable("DRILL_SEED", fastrand::u64(..));
    println!("DRILLS={drills} DRILL_SEED={seed}");
    let began = Instant::now();
    let mut chance = Rng::with_seed(seed);
    let mut ours = Pauses::default();
    let mut theirs = Pauses::default();
    let mut lost = 0;
    let mut disasters = 0;
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(100).await;
    let mut master = 0;
    for drill in 0..drills {
        let kind = Kind::draw(&mut chance);
        println!(
            "{:>4} s  drill {drill}: {kind:?}",
            began.elapsed().as_secs()
        );
        writer.take_gap();
        match kind {
            Kind::Planned => {
                master = kill_and_recover(&duo, usize::MAX, false).await;
                writer.after(50).await;
                ours.0.push(writer.take_gap().as_secs_f64() * 1000.0);
            }
            Kind::Killed { line, back } => {
                master = kill_and_recover(&duo, line, back).await;
                writer.after(50).await;
            }
            Kind::Failover => {
                redis_failover(&duo, master).await;
                master = 1 - master;
                writer.after(50).await;
                theirs.0.push(writer.take_gap().as_secs_f64() * 1000.0);
            }
            Kind::Disaster => {
                disasters += 1;
                lost += disaster(&mut chance).await;
            }
        }
    }
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    written.check_against(&ids(&duo.servers[master]).await);
    println!(
        "{drills} drills in {} s; {} acknowledged writes over the switch-overs, 0 lost, 0 twice; {samples} \
         samples, never two masters",
        began.elapsed().as_secs(),
        written.acked.len(),
    );
    println!(
        "{disasters} disasters: {lost} writes lost, every one of them captured, and nothing else"
    );
    println!("the longest time without an acknowledged write:");
    println!("{}", ours.line("failover --execute"));
    println!("{}", theirs.line("FAILOVER of Redis"));
}

/// Changes the masters by Redis' own command.
pub(crate) async fn redis_failover(duo: &Duo, master: usize) {
    let (old, new) = (&duo.servers[master], &duo.servers[1 - master]);
    let (host, port) = new.addr().tcp().unwrap();
    let port = port.to_string();
    let command = ["FAILOVER", "TO", host, &port, "TIMEOUT", "10000"];
    let begun = old.command(&command).await.unwrap();
    assert!(matches!(&begun, Reply::Simple(_)), "{begun:?}");
    let promoted = || async { replication(new, "role").await == "master" };
    eventually("FAILOVER to be done", LIMIT, promoted)
        .await
        .unwrap();
    until_follows(old, new).await;
}

/// A disaster on servers of its own: how many writes were lost, all of which were captured.
async fn disaster(chance: &mut Rng) -> usize {
    let apart = Apart::start().await;
    let writer = Writer::start(vec![apart.master.addr().clone()]);
    writer.after(chance.u64(1..200)).await;
    let direction = if chance.bool() {
        Direction::Both
    } else {
        Direction::ToReplica
    };
    apart.proxy.stall(direction);
    writer.after(chance.u64(1..400)).await;
    // Clients go on while the other side is promoted.
    let folder = apart.folder.path();
    let done = failover(folder, &DISASTER).await;
    // The old master lives, and that is open.
    done.ended_with(30);
    let written = writer.stop().await;
    assert_eq!(written.in_doubt, Vec::<u64>::new());
    let on_new: BTreeSet<u64> = ids(&apart.replica).await.into_iter().collect();
    let lost: BTreeSet<u64> = written
        .lost_from(&ids(&apart.replica).await)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    apart.lose_its_replica().await;
    let save = [
        "lost-writes",
        "--config.file",
        "config.yml",
        "--pair",
        "orders",
    ];
    run(folder, &save).await.ended_with(10);
    assert_eq!(captured(folder), lost, "captured and lost");
    // What is in the file may be overwritten; then the old master takes over again.
    failback(folder, &["--execute"]).await.ended_with(0);
    until_follows(&apart.replica, &apart.master).await;
    let back: BTreeSet<u64> = ids(&apart.master).await.into_iter().collect();
    assert_eq!(back, on_new, "the way back");
    lost.len()
}

/// The numbers in the only file of lost writes.
pub(crate) fn captured(folder: &std::path::Path) -> BTreeSet<u64> {
    let files = std::fs::read_dir(folder.join("data/lost-writes")).unwrap();
    let files = files.flatten().map(|entry| entry.path());
    let files: Vec<_> = files
        .filter(|path| path.extension() == Some("aof".as_ref()))
        .collect();
    let [file] = &files[..] else {
        panic!("{files:?}")
    };
    let text = String::from_utf8(std::fs::read(file).unwrap()).unwrap();
    // `*3 $5 RPUSH $3 ids $n NUMBER`, a line each.
    let words: Vec<&str> = text.split("\r\n").collect();
    let mut numbers = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        if *word == "RPUSH" {
            numbers.insert(words[index + 4].parse().unwrap());
        }
    }
    numbers
}
