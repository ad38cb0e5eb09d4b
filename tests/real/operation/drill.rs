//! The long form: many random drills, each with its seed. `make drill`, with
//! `DRILLS=100 DRILL_SEED=7`.

use super::killed::{LINES, kill_and_recover};
use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, ids};

fn variable(name: &str, default: u64) -> u64 {
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
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut pauses = Vec::new();
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(100).await;
    let mut master = 0;
    for drill in 0..drills {
        // A third of them is left alone; the others are killed, at each line in either way.
        let line = if chance.u8(..3) == 0 {
            usize::MAX
        } else {
            chance.usize(1..=LINES)
        };
        let back = chance.bool();
        println!("drill {drill}: line {line}, back {back}");
        master = kill_and_recover(&duo, line, back).await;
        if line == usize::MAX
            && let Some(pause) = duo.report()["pause_seconds"].as_f64()
        {
            pauses.push(pause);
        }
        writer.after(50).await;
    }
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    written.check_against(&ids(&duo.servers[master]).await);
    pauses.sort_by(f64::total_cmp);
    // The percentile, in milliseconds.
    let at = |percent: usize| {
        let last = pauses.len().saturating_sub(1);
        let pause = pauses.get(last * percent / 100).copied();
        pause.unwrap_or_default() * 1000.0
    };
    println!(
        "{} acknowledged writes, 0 lost, 0 twice; {samples} samples, never two masters; pause of {} \
         switch-overs: median {:.1} ms, 90 % {:.1} ms, longest {:.1} ms",
        written.acked.len(),
        pauses.len(),
        at(50),
        at(90),
        at(100)
    );
}
