//! The worst backlog headroom beside the truth, in virtual time: masters with different loads are
//! polled, and their links are cut at every moment of the second half.

use fastrand::Rng;
use redis_cross_dc_exporter::model::{Bytes, ReplicationId, ReplicationOffset, Timestamp};
use redis_cross_dc_exporter::replication::{HistoryLimits, MasterHistory, MasterSample};

use crate::loads::{Load, Write};
use crate::seeds::for_seeds;
use crate::world::{MS, Nanos, SEC};

/// How long a master is watched; links are cut in the second half.
const DURATION: Nanos = 1200 * SEC;
/// The master goes on for so long.
const UNTIL: Nanos = 3 * DURATION;

/// What one load's cuts came to.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    cuts: usize,
    /// Cuts for which the worst estimate was longer than it really took.
    optimistic: usize,
    /// The same for the mean rate of the last minutes.
    optimistic_mean: usize,
}

fn offset_at(writes: &[Write], at: Nanos) -> u64 {
    let later = writes.partition_point(|write| write.at <= at);
    later.checked_sub(1).map_or(1, |last| writes[last].offset)
}

/// When the master had written `bytes` more than at `from`.
fn written_by(writes: &[Write], from: Nanos, bytes: u64) -> Option<Nanos> {
    let beyond = offset_at(writes, from) + bytes;
    let place = writes.partition_point(|write| write.offset <= beyond);
    writes.get(place).map(|write| write.at)
}

fn sample(writes: &[Write], at: Nanos) -> MasterSample {
    MasterSample {
        replid: ReplicationId::parse(&"a".repeat(40)).expect("an ID"),
        continues: None,
        offset: ReplicationOffset::new(offset_at(writes, at)),
        backlog_active: true,
        sent: Timestamp::from_nanos(at - 2 * MS),
        received: Timestamp::from_nanos(at + 2 * MS),
        beginning: None,
    }
}

/// Cuts the link again and again, with a backlog that holds about so many seconds of the mean.
fn score(load: Load, rng: &mut Rng, seconds: f64) -> Score {
    let writes = load.writes(rng, 0, UNTIL, 1);
    let mean = offset_at(&writes, DURATION) as f64 / (DURATION / SEC) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive number
    let backlog = (mean * seconds) as u64;
    let mut history = MasterHistory::new(HistoryLimits::default());
    let mut score = Score::default();
    let mut now = 0;
    while now < DURATION {
        now += SEC + rng.i64(-30 * MS..30 * MS);
        history.observe(&sample(&writes, now));
        if now < DURATION / 2 {
            continue;
        }
        let cut = now + rng.i64(5 * MS..900 * MS);
        let Some(ended) = written_by(&writes, cut, backlog) else {
            continue;
        };
        let truth = (ended - cut) as f64 / SEC as f64;
        let peaks = history.write_peaks();
        let worst = peaks.shortest_time_for(Bytes::new(backlog));
        score.cuts += 1;
        if worst.is_some_and(|worst| worst.as_secs_f64() > truth) {
            score.optimistic += 1;
        }
        score.optimistic_mean += usize::from(seconds > truth);
    }
    score
}

/// At most 2 % of thousands of cuts end in a full resync before the worst estimate says so; by the
/// mean it would be a third of them.
#[test]
fn the_worst_headroom_is_hardly_ever_too_long() {
    let mut all = Score::default();
    for_seeds("the_worst_headroom_is_hardly_ever_too_long", 4, |seed| {
        let mut rng = Rng::with_seed(seed);
        for load in [Load::Steady, Load::Bursts, Load::OnOff, Load::Transactions] {
            for seconds in [8.0, 60.0, 300.0] {
                let one = score(load, &mut rng, seconds);
                println!("{seed} {load:?} {seconds} s: {one:?}");
                all.cuts += one.cuts;
                all.optimistic += one.optimistic;
                all.optimistic_mean += one.optimistic_mean;
            }
        }
    });
    assert!(all.cuts > 1000, "{all:?}");
    assert!(all.optimistic * 50 <= all.cuts, "{all:?}");
    assert!(
        all.optimistic_mean * 10 > all.cuts,
        "the loads are too even to show anything: {all:?}"
    );
}
