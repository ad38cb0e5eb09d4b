//! The database on a file that the tests can look into, limit and damage.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::*;
use crate::model::{ClockAnchor, ReplicationOffset, ServerAddr, Span};
use crate::replication::{
    Comparison, HistoryLimits, MasterHistory, MasterSample, ServerRecord, ToSave,
};
use crate::store::testing::{addr, at, clock, clock_of, id, pair_key, pair_record, saved_pair};
use redb::{ReadableDatabase, ReadableTable};

/// A disk in memory that counts what is written, and is full at some point.
#[derive(Clone, Debug)]
struct Disk(Arc<Platter>);

#[derive(Debug)]
struct Platter {
    bytes: Mutex<Vec<u8>>,
    written: AtomicU64,
    /// Writes after this many bytes fail.
    full_after: AtomicU64,
}

impl Disk {
    fn new() -> Self {
        let (bytes, written, full_after) = (
            Mutex::default(),
            AtomicU64::new(0),
            AtomicU64::new(u64::MAX),
        );
        Self(Arc::new(Platter {
            bytes,
            written,
            full_after,
        }))
    }

    fn written(&self) -> u64 {
        self.0.written.load(Relaxed)
    }

    fn size(&self) -> usize {
        self.0.bytes.lock().unwrap().len()
    }

    fn open(&self, present: BootClock) -> Result<(Database, Loaded), StoreError> {
        Database::open_with(Path::new("disk"), present, |builder| {
            builder.create_with_backend(self.clone())
        })
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.size() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        let bytes = self.0.bytes.lock().unwrap();
        out.copy_from_slice(
            bytes
                .get(from..from + out.len())
                .ok_or(io::ErrorKind::UnexpectedEof)?,
        );
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0
            .bytes
            .lock()
            .unwrap()
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.0.written.fetch_add(data.len() as u64, Relaxed) + data.len() as u64
            > self.0.full_after.load(Relaxed)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let from = usize::try_from(offset).unwrap();
        self.0.bytes.lock().unwrap()[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn offset(bytes: u64) -> ReplicationOffset {
    ReplicationOffset::new(bytes)
}

/// A master that writes 100 bytes a second and is polled twice a second, in these seconds.
fn polled(history: &mut MasterHistory, seconds: std::ops::Range<i64>) {
    for half in seconds.start * 2..seconds.end * 2 {
        history.observe(&MasterSample {
            replid: id('a'),
            continues: None,
            offset: offset(u64::try_from(half).unwrap() * 50),
            backlog_active: true,
            sent: at(0) + Span::from_millis(half * 500),
            received: at(0) + Span::from_millis(half * 500 + 3),
            beginning: None,
        });
    }
}

/// Each commit's anchor: `clock(secs)` after the tests' zero.
fn anchor(secs: i64) -> ClockAnchor {
    clock(secs).anchor
}

fn to_save(histories: &[(ServerAddr, MasterHistory)]) -> ToSave<'_> {
    ToSave {
        histories: histories
            .iter()
            .map(|(server, history)| (server, history))
            .collect(),
        pairs: vec![(pair_key(), pair_record())],
        servers: vec![(
            addr(),
            ServerRecord {
                own_port: Some(7),
                ..ServerRecord::default()
            },
        )],
    }
}

fn save(
    database: &mut Database,
    planner: &mut SavePlanner,
    histories: &[(ServerAddr, MasterHistory)],
    secs: i64,
) {
    let (batch, pending) = planner.plan(to_save(histories), anchor(secs));
    database.commit(&batch.into()).unwrap();
    planner.commit(pending);
}

/// Commits of [`an_hour`], roughly: not a multiple of what would make a snapshot due.
const COMMITS: i64 = 355;
const END: i64 = COMMITS * 10;

/// A disk with one master's hour on it, saved every ten seconds.
fn an_hour() -> (Disk, MasterHistory) {
    let disk = Disk::new();
    let (mut database, loaded) = disk.open(clock(0)).unwrap();
    let (mut planner, mut histories) = (
        loaded.planner,
        [(addr(), MasterHistory::new(HistoryLimits::default()))],
    );
    for n in 0..COMMITS {
        polled(&mut histories[0].1, n * 10..n * 10 + 10);
        save(&mut database, &mut planner, &histories, n * 10 + 10);
    }
    drop(database);
    let [(_, history)] = histories;
    (disk, history)
}

fn widths(history: &MasterHistory) -> Vec<Option<Span>> {
    let bracket = |r| history.bracket(Comparison::Current, offset(r));
    (0..u64::try_from(END).unwrap())
        .map(|second| second * 100 + 7)
        .map(bracket)
        .map(|b| Some(b.hi? - b.lo?))
        .collect()
}

#[test]
fn an_hour_of_commits_is_read_back_unchanged() {
    let (disk, live) = an_hour();
    let (_, loaded) = disk.open(clock(END)).unwrap();
    assert_eq!(loaded.refused.count, 0, "{:?}", loaded.refused);
    let back = &loaded.state.histories[&addr()];
    assert_eq!(
        (back.newest(), back.generation()),
        (live.newest(), live.generation())
    );
    // It was thinned at other moments, so the same bracket may be wider or narrower; but never
    // wider than the rule allows.
    for (second, width) in (0..END).zip(widths(back)) {
        let allowed = Span::from_millis(550).max(Span::from_secs(END - second).mul_f64(0.0101));
        assert!(
            width.is_some_and(|width| width <= allowed),
            "second {second}: {width:?} {allowed:?}"
        );
    }
    assert_eq!(
        loaded.state.pairs[&pair_key()].applied_total,
        pair_record().applied_total
    );
    assert_eq!(loaded.state.servers[&addr()].own_port, Some(7));
}

#[test]
fn after_a_restart_only_additions_are_written() {
    let (disk, _) = an_hour();
    let (mut database, mut loaded) = disk.open(clock(END)).unwrap();
    let history = loaded.state.histories.remove(&addr()).unwrap();
    let mut histories = [(addr(), history)];
    polled(&mut histories[0].1, END..END + 10);
    let (batch, _) = loaded.planner.plan(to_save(&histories), anchor(END + 10));
    assert_eq!(
        (batch.commit, batch.snapshots.len(), batch.deltas.len()),
        (u64::try_from(COMMITS).unwrap() + 1, 0, 1)
    );
    database.commit(&batch.into()).unwrap();
    drop(database);
    let (_, loaded) = disk.open(clock(END + 20)).unwrap();
    assert_eq!(
        loaded.state.histories[&addr()].newest(),
        Some(offset((u64::try_from(END).unwrap() * 2 + 19) * 50))
    );
}

#[test]
fn on_another_machine_bounds_are_widened_by_the_error_of_the_clocks() {
    let (disk, live) = an_hour();
    // Booted 100 s ago; 40 s after the last commit.
    let present = clock_of(2, 100, END + 40);
    let (mut database, loaded) = disk.open(present).unwrap();
    assert_eq!(loaded.refused.count, 0, "{:?}", loaded.refused);
    let moved = |t: crate::model::Timestamp| t - at(END) + Span::from_secs(60);
    let back = &loaded.state.histories[&addr()];
    for r in [7, 100_007, 349_000] {
        let (was, is) = (
            live.bracket(Comparison::Current, offset(r)),
            back.bracket(Comparison::Current, offset(r)),
        );
        let (lo, hi) = (
            at(0) + moved(was.lo.unwrap()),
            at(0) + moved(was.hi.unwrap()),
        );
        assert!(
            is.lo.unwrap() <= lo && lo - is.lo.unwrap() < Span::from_secs(40),
            "{r}: {is:?} {lo:?}"
        );
        assert!(
            is.hi.unwrap() >= hi && is.hi.unwrap() - hi < Span::from_secs(40),
            "{r}: {is:?} {hi:?}"
        );
    }
    // What comes now is on this machine's clock and goes on the old snapshot.
    let mut histories = [(addr(), loaded.state.histories.into_values().next().unwrap())];
    histories[0].1.observe(&MasterSample {
        replid: id('a'),
        continues: None,
        offset: offset(400_000),
        backlog_active: true,
        sent: at(101),
        received: at(102),
        beginning: None,
    });
    let anchor = clock_of(2, 110, END + 50).anchor;
    let (batch, _) = loaded.planner.plan(to_save(&histories), anchor);
    assert_eq!((batch.snapshots.len(), batch.deltas.len()), (0, 1));
    database.commit(&batch.into()).unwrap();
    drop(database);
    let (_, loaded) = disk.open(clock_of(2, 120, END + 60)).unwrap();
    assert_eq!(
        loaded.state.histories[&addr()]
            .bracket(Comparison::Current, offset(400_000))
            .lo,
        Some(at(101))
    );
}

#[test]
fn a_wall_clock_that_went_backwards_is_reported_once_and_the_state_is_not_used() {
    let (disk, _) = an_hour();
    let (_, loaded) = disk.open(clock_of(2, 100, END - 100)).unwrap();
    let expected = "the state of another boot or machine is left out: the wall clock is 100.0 s behind the time at which \
                it was last written: its age is not known";
    assert_eq!(
        (loaded.refused.count, loaded.refused.first),
        (1, vec![expected.to_owned()])
    );
    assert!(loaded.state.histories.is_empty() && loaded.state.pairs.is_empty());
    let (_, later) = disk.open(clock_of(2, 100, END + 100)).unwrap();
    assert!(
        !later.state.histories.is_empty(),
        "it was not destroyed: the clock may have been wrong for a moment"
    );
}

#[test]
fn state_older_than_the_horizon_is_left_out_without_a_warning() {
    let (disk, _) = an_hour();
    let (mut database, loaded) = disk.open(clock(END + 49 * 3_600)).unwrap();
    assert_eq!((loaded.refused.count, loaded.state.histories.len()), (0, 0));
    let (batch, _) = loaded.planner.plan(to_save(&[]), anchor(50 * 3_600));
    assert_eq!(batch.forgotten, [addr().to_string()]);
    database.commit(&batch.into()).unwrap();
    let read = database.file.begin_read().unwrap();
    assert_eq!(
        read.open_table(SNAPSHOTS).unwrap().iter().unwrap().count(),
        0
    );
}

/// Flips one bit in the value of every row in turn.
#[test]
fn a_damaged_row_costs_only_its_own_content() {
    let (disk, _) = an_hour();
    let (database, _) = disk.open(clock(END)).unwrap();
    let damage = |table: TableDefinition<'static, u32, &'static [u8]>| {
        let write = database.file.begin_write().unwrap();
        {
            let mut rows = write.open_table(table).unwrap();
            let mut row = rows.get(0).unwrap().unwrap().value().to_vec();
            row[9] ^= 4;
            rows.insert(0, &*row).unwrap();
        }
        write.commit().unwrap();
    };
    damage(PAIRS);
    damage(SERVERS);
    drop(database);
    let (_, loaded) = disk.open(clock(END)).unwrap();
    let expected = ["row 0 of the pairs", "row 0 of the servers"]
        .map(|row| format!("{row} is left out: its checksum is wrong"));
    assert_eq!(loaded.refused.first, expected);
    assert_eq!(
        (loaded.state.histories.len(), loaded.state.pairs.len()),
        (1, 0)
    );
}

#[test]
fn of_many_unreadable_rows_the_first_ten_are_reported() {
    let (disk, _) = an_hour();
    let (database, _) = disk.open(clock(END)).unwrap();
    let write = database.file.begin_write().unwrap();
    for n in 0..25 {
        write
            .open_table(SNAPSHOTS)
            .unwrap()
            .insert(&*format!("redis-{n}:6379"), &b"nonsense"[..])
            .unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let (_, loaded) = disk.open(clock(END)).unwrap();
    assert_eq!(
        (loaded.refused.count, loaded.refused.first.len()),
        (25, REASONS_KEPT)
    );
    assert_eq!(loaded.state.histories.len(), 1);
    let (batch, _) = loaded.planner.plan(to_save(&[]), anchor(END));
    assert_eq!(batch.forgotten.len(), 25, "they go with the next commit");
}

#[test]
fn a_full_disk_loses_the_commit_and_nothing_before_it() {
    let disk = Disk::new();
    let (mut database, _) = disk.open(clock(0)).unwrap();
    database.commit(&saved_pair().into()).unwrap();
    disk.0.full_after.store(disk.written() + 100, Relaxed);
    let next = Batch {
        commit: 2,
        pairs: Vec::new(),
        ..saved_pair()
    };
    let error = database.commit(&next.clone().into()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(
        database.commit(&next.clone().into()).is_err(),
        "it has to be opened again"
    );
    drop(database);
    disk.0.full_after.store(u64::MAX, Relaxed);
    let (database, loaded) = disk.open(clock(10)).unwrap();
    assert_eq!((database.last_commit(), loaded.state.pairs.len()), (1, 1));
}

/// Bytes a second and master in rows and to the disk, and bytes kept a master, each table as full
/// as hours make it.
#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
fn cost(masters: usize) -> (f64, f64, usize) {
    const SECONDS: i64 = 600;
    const BEGIN: i64 = 12_000;
    let disk = Disk::new();
    let (mut database, loaded) = disk.open(clock(0)).unwrap();
    let mut old = MasterHistory::new(HistoryLimits::default());
    polled(&mut old, 0..BEGIN);
    let name = |n| ServerAddr::new(&format!("redis-{n}.dc1.example.com"), 6379);
    let mut histories: Vec<_> = (0..masters).map(|n| (name(n), old.clone())).collect();
    let mut planner = loaded.planner;
    save(&mut database, &mut planner, &histories, BEGIN);
    let (mut rows, before) = (0, disk.written());
    for now in (BEGIN..BEGIN + SECONDS)
        .step_by(10)
        .map(|second| second + 10)
    {
        for (_, history) in &mut histories {
            polled(history, now - 10..now);
        }
        let (batch, pending) = planner.plan(to_save(&histories), anchor(now));
        rows += database.commit(&batch.into()).unwrap().bytes;
        planner.commit(pending);
    }
    let per = |bytes: u64| bytes as f64 / (masters as f64 * SECONDS as f64);
    (
        per(rows),
        per(disk.written() - before),
        disk.size() / masters,
    )
}

/// docs/lag.md states these numbers ("After a restart").
#[test]
fn the_size_of_a_master_on_the_disk_is_bounded() {
    for (masters, largest) in [
        (1, (60.0, 10_000.0, 2_000_000)),
        (200, (40.0, 120.0, 60_000)),
    ] {
        let cost = cost(masters);
        println!(
            "{masters}: bytes a second and master {:.1} in rows, {:.1} to the disk; {} kept",
            cost.0, cost.1, cost.2
        );
        assert!(
            cost.0 < largest.0 && cost.1 < largest.1 && cost.2 < largest.2,
            "{masters}: {cost:?}"
        );
    }
}
