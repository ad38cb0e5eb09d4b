//! What the table from offsets to time costs: insert and query of 48 hours, beside a plain ring of
//! the last 4096 samples, which is what such a table usually is. Memory is printed first. `make
//! bench-history`.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use redis_cross_dc_exporter::model::{ReplicationOffset, Span, Timestamp};
use redis_cross_dc_exporter::replication::{HistoryLimits, OffsetHistory};

/// Two days of polls, one a second.
const POLLS: i64 = 48 * 3600;

/// What other tools keep.
const RING: usize = 4096;

/// A ring of samples: the oldest goes when a new one comes.
#[derive(Clone, Default)]
struct Ring(VecDeque<(ReplicationOffset, Timestamp)>);

impl Ring {
    fn insert(&mut self, received: Timestamp, offset: ReplicationOffset) {
        if self.0.len() == RING {
            self.0.pop_front();
        }
        self.0.push_back((offset, received));
    }

    /// When the master was first seen beyond `offset`.
    fn passed(&self, offset: ReplicationOffset) -> Option<Timestamp> {
        self.0
            .get(self.0.partition_point(|(seen, _)| *seen <= offset))
            .map(|(_, at)| *at)
    }
}

/// A poll a second, 5 ms long, of a master that writes 10 KB a second on average, some seconds
/// nothing.
fn poll(
    random: &mut fastrand::Rng,
    second: i64,
    offset: &mut u64,
) -> (Timestamp, Timestamp, ReplicationOffset) {
    *offset += if random.u8(0..4) == 0 {
        0
    } else {
        random.u64(0..27_000)
    };
    let sent = Timestamp::default() + Span::from_secs(second);
    (
        sent,
        sent + Span::from_millis(5),
        ReplicationOffset::new(*offset),
    )
}

/// Both tables after two days, and where the master is then.
fn two_days() -> (OffsetHistory, Ring, u64) {
    let mut random = fastrand::Rng::with_seed(48);
    let (mut history, mut ring, mut offset) = (
        OffsetHistory::new(HistoryLimits::default()),
        Ring::default(),
        0,
    );
    for second in 0..POLLS {
        let (sent, received, seen) = poll(&mut random, second, &mut offset);
        history.insert(sent, received, seen);
        ring.insert(received, seen);
    }
    (history, ring, offset)
}

#[allow(clippy::print_stdout)] // a figure for people
fn memory(history: &OffsetHistory, ring: &Ring) {
    let footprint = history.footprint();
    let ring_bytes = ring.0.capacity() * size_of::<(ReplicationOffset, Timestamp)>();
    println!(
        "memory per master after 48 h: {} records, {} bytes, epsilon {:.4}; the ring: {} records, {ring_bytes} bytes, {:.1} h",
        footprint.records,
        footprint.bytes,
        footprint.epsilon,
        ring.0.len(),
        ring.0.len() as f64 / 3600.0,
    );
}

fn insert(c: &mut Criterion, history: &OffsetHistory, ring: &Ring, newest: u64) {
    const BATCH: i64 = 1024;
    let next: Vec<_> = {
        let (mut random, mut offset) = (fastrand::Rng::with_seed(49), newest);
        (0..BATCH)
            .map(|i| poll(&mut random, POLLS + i, &mut offset))
            .collect()
    };
    let mut group = c.benchmark_group("insert 1024 polls");
    group.bench_function("history", |b| {
        let insert = |mut table: OffsetHistory| {
            for (sent, received, offset) in &next {
                table.insert(*sent, *received, *offset);
            }
            table
        };
        b.iter_batched(|| history.clone(), insert, BatchSize::LargeInput);
    });
    group.bench_function("ring", |b| {
        let insert = |mut table: Ring| {
            for (_, received, offset) in &next {
                table.insert(*received, *offset);
            }
            table
        };
        b.iter_batched(|| ring.clone(), insert, BatchSize::LargeInput);
    });
    group.finish();
}

/// Offsets of all ages; the ring knows those of the last hour.
fn query(c: &mut Criterion, history: &OffsetHistory, ring: &Ring, newest: u64) {
    let mut group = c.benchmark_group("query one offset");
    let mut random = fastrand::Rng::with_seed(50);
    group.bench_function("history: bracket", |b| {
        b.iter(|| black_box(history.bracket(ReplicationOffset::new(random.u64(0..newest)))));
    });
    group.bench_function("history: bracket and point", |b| {
        b.iter(|| {
            let offset = ReplicationOffset::new(random.u64(0..newest));
            black_box(history.point(offset, history.bracket(offset)))
        });
    });
    group.bench_function("ring", |b| {
        b.iter(|| black_box(ring.passed(ReplicationOffset::new(random.u64(0..newest)))));
    });
    group.finish();
}

fn offset_history(c: &mut Criterion) {
    let (history, ring, newest) = two_days();
    memory(&history, &ring);
    insert(c, &history, &ring, newest);
    query(c, &history, &ring, newest);
}

criterion_group!(benches, offset_history);
criterion_main!(benches);
