//! The model world: one master (over its restarts), one replica, and the link between them.
//! Everything that happens is laid out before a run begins, so that the truth at any instant is a
//! look-up.

use fastrand::Rng;

use crate::loads::{Load, Write};

/// Nanoseconds of virtual time.
pub(crate) type Nanos = i64;
pub(crate) const MS: Nanos = 1_000_000;
pub(crate) const SEC: Nanos = 1_000 * MS;

/// After this long without a byte, a replica gives its link up (`repl-timeout`).
pub(crate) const REPL_TIMEOUT: Nanos = 60 * SEC;

/// A value that only ever changes at known instants, and never falls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    base: u64,
    steps: Vec<(Nanos, u64)>,
}

impl Steps {
    pub(crate) fn new(base: u64) -> Self {
        Self {
            base,
            steps: Vec::new(),
        }
    }

    pub(crate) fn of(base: u64, writes: &[Write]) -> Self {
        Self {
            base,
            steps: writes.iter().map(|w| (w.at, w.offset)).collect(),
        }
    }

    fn push(&mut self, at: Nanos, value: u64) {
        self.steps.push((at, value));
    }

    pub(crate) fn at(&self, t: Nanos) -> u64 {
        let passed = self.steps.partition_point(|(at, _)| *at <= t);
        passed.checked_sub(1).map_or(self.base, |i| self.steps[i].1)
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = (Nanos, u64)> {
        self.steps.iter().copied()
    }

    /// When it first was at least `value`, if that took a change.
    pub(crate) fn reaches(&self, value: u64) -> Option<Nanos> {
        self.steps
            .get(self.steps.partition_point(|(_, v)| *v < value))
            .map(|(at, _)| *at)
    }

    /// When the last change before `t` was.
    pub(crate) fn last_change(&self, t: Nanos) -> Option<Nanos> {
        let passed = self.steps.partition_point(|(at, _)| *at <= t);
        passed.checked_sub(1).map(|i| self.steps[i].0)
    }

    /// `T(r) = sup{ s : M(s) <= r }`, as far as it is before `t`.
    pub(crate) fn beyond(&self, value: u64, t: Nanos) -> Option<Nanos> {
        if self.base > value {
            return Some(Nanos::MIN);
        }
        let next = self.steps.partition_point(|(_, v)| *v <= value);
        self.steps
            .get(next)
            .map(|(at, _)| *at)
            .filter(|at| *at <= t)
    }
}

/// What the master's address says of itself for some time.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) from: Nanos,
    /// When the process ends: connections are refused until the next life.
    pub(crate) until: Nanos,
    pub(crate) is_master: bool,
    pub(crate) replid: char,
    /// The history that it continued, and the last offset that it shares with it.
    pub(crate) continues: Option<(char, u64)>,
    pub(crate) backlog: bool,
    pub(crate) offset: Steps,
}

/// What happens to the link, or to the replica, for some time. Outages of one world do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
    pub(crate) kind: OutageKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutageKind {
    /// Packets vanish, both ways, and nobody is told.
    Stall,
    /// The connection is closed and cannot be made again.
    Cut,
    /// The connection is closed, and a full sync brings it back: prepared, transferred, loaded.
    FullSync {
        /// Redis 6.2 shows the offset 1 from beginning to end, later ones only while they load.
        hides_offset: bool,
    },
    /// The replica's process is stopped.
    ReplicaStopped,
    /// The link passes this many bytes a second.
    Throttle { rate: u64 },
}

/// The parts of a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncPhase {
    Preparing,
    Transfer,
    Loading,
}

impl Outage {
    pub(crate) fn new(from: Nanos, to: Nanos, kind: OutageKind) -> Self {
        Self { from, to, kind }
    }

    pub(crate) fn blocks(&self, t: Nanos) -> bool {
        (self.from..self.to).contains(&t) && !matches!(self.kind, OutageKind::Throttle { .. })
    }

    /// When the snapshot of a full sync is taken.
    pub(crate) fn snapshot_at(&self) -> Nanos {
        self.from + (self.to - self.from) / 4
    }

    pub(crate) fn sync_phase(&self, t: Nanos) -> SyncPhase {
        let quarter = (self.to - self.from) / 4;
        match (t - self.from) / quarter.max(1) {
            0 => SyncPhase::Preparing,
            1 | 2 => SyncPhase::Transfer,
            _ => SyncPhase::Loading,
        }
    }
}

/// What the replica has of one history, from some instant on.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) from: Nanos,
    pub(crate) replid: char,
    pub(crate) received: Steps,
    pub(crate) applied: Steps,
}

/// The replica's end as a replica.
#[derive(Clone, Debug)]
pub(crate) struct Promotion {
    pub(crate) at: Nanos,
    pub(crate) replid: char,
    pub(crate) continues: (char, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Master,
    Replica,
}

/// The whole world.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) lives: Vec<Life>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) outages: Vec<Outage>,
    /// When the monitor cannot reach a server that is well.
    pub(crate) cut_off: Vec<(Server, Nanos, Nanos)>,
    pub(crate) promotion: Option<Promotion>,
    /// Bytes that came by full syncs and not through the stream: when, and how many.
    pub(crate) synced: Vec<(Nanos, u64)>,
    /// One way, between master and replica.
    pub(crate) delay: Nanos,
    pub(crate) never_synced: bool,
}

/// What an omniscient observer knows of the pair at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Both belong to one history that the master still writes.
    Comparable { lag: Nanos, bytes: u64 },
    /// The replica has a history that is over; the age of its oldest lack in it, if it lacks any of
    /// it.
    Closed { lag: Option<Nanos> },
    /// Nothing to compare.
    None,
}

/// How a link passes commands on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) delay: Nanos,
    /// Bytes a second.
    pub(crate) rate: u64,
}

/// Bytes a second of a link that nobody throttles.
const FULL_RATE: u64 = 50_000_000;

impl World {
    /// One master that lives forever, one replica that follows it, and outages of their link.
    pub(crate) fn new(
        rng: &mut Rng,
        load: Load,
        until: Nanos,
        base: u64,
        shape: Shape,
        outages: Vec<Outage>,
    ) -> Self {
        let writes = load.writes(rng, -5 * SEC, until, base);
        Self::of_writes(&writes, base, shape, outages)
    }

    pub(crate) fn of_writes(
        writes: &[Write],
        base: u64,
        shape: Shape,
        outages: Vec<Outage>,
    ) -> Self {
        let offset = Steps::of(base, writes);
        let (stream, synced) = deliver('a', base, writes, &offset, shape, &outages);
        Self {
            lives: vec![Life {
                from: Nanos::MIN,
                until: Nanos::MAX,
                is_master: true,
                replid: 'a',
                continues: None,
                backlog: true,
                offset,
            }],
            streams: vec![stream],
            outages,
            cut_off: Vec::new(),
            promotion: None,
            synced,
            delay: shape.delay,
            never_synced: false,
        }
    }

    /// The link of a shape that nobody throttles.
    pub(crate) fn shape(delay: Nanos) -> Shape {
        Shape {
            delay,
            rate: FULL_RATE,
        }
    }

    pub(crate) fn outage(&self, t: Nanos) -> Option<&Outage> {
        self.outages.iter().find(|o| (o.from..o.to).contains(&t))
    }

    pub(crate) fn life(&self, t: Nanos) -> Option<&Life> {
        self.lives
            .iter()
            .find(|life| (life.from..life.until).contains(&t))
    }

    pub(crate) fn stream(&self, t: Nanos) -> Option<&Stream> {
        self.streams.iter().rev().find(|s| s.from <= t)
    }

    pub(crate) fn is_promoted(&self, t: Nanos) -> bool {
        self.promotion.as_ref().is_some_and(|p| p.at <= t)
    }

    /// Until when the replica's process answers nothing, if it is stopped at `t`.
    pub(crate) fn stopped_until(&self, t: Nanos) -> Option<Nanos> {
        self.outage(t)
            .filter(|o| o.kind == OutageKind::ReplicaStopped)
            .map(|o| o.to)
    }

    pub(crate) fn truth(&self, t: Nanos) -> Truth {
        if self.never_synced || self.is_promoted(t) {
            return Truth::None;
        }
        let Some(stream) = self.stream(t) else {
            return Truth::None;
        };
        let Some(life) = self.lives.iter().rev().find(|life| life.from <= t) else {
            return Truth::None;
        };
        let applied = stream.applied.at(t);
        let shared = |(id, cut): (char, u64)| id == stream.replid && applied <= cut;
        if life.is_master
            && life.backlog
            && (life.replid == stream.replid || life.continues.is_some_and(shared))
        {
            let end = t.min(life.until.saturating_sub(1));
            let lag = life
                .offset
                .beyond(applied, end)
                .map_or(0, |since| t.saturating_sub(since));
            return Truth::Comparable {
                lag,
                bytes: life.offset.at(end).saturating_sub(applied),
            };
        }
        let old = self
            .lives
            .iter()
            .rev()
            .find(|l| l.from <= t && l.is_master && l.backlog && l.replid == stream.replid);
        old.map_or(Truth::None, |old| {
            let end = t.min(old.until.saturating_sub(1));
            Truth::Closed {
                lag: old
                    .offset
                    .beyond(applied, end)
                    .map(|since| t.saturating_sub(since)),
            }
        })
    }

    /// Bytes that the replica got through the stream in `(from, to]`.
    pub(crate) fn streamed(&self, from: Nanos, to: Nanos) -> u64 {
        let applied = |t| self.stream(t).map_or(0, |s| s.applied.at(t));
        let synced: u64 = self
            .synced
            .iter()
            .filter(|(at, _)| (from + 1..=to).contains(at))
            .map(|(_, b)| b)
            .sum();
        applied(to) - applied(from) - synced
    }
}

/// How the writes arrive: in order, after the delay, at the link's rate, and not during an outage.
pub(crate) fn deliver(
    replid: char,
    base: u64,
    writes: &[Write],
    master: &Steps,
    shape: Shape,
    outages: &[Outage],
) -> (Stream, Vec<(Nanos, u64)>) {
    let (mut received, mut applied) = (Steps::new(base), Steps::new(base));
    let mut synced = Vec::new();
    let (mut clock, mut before, mut done) = (Nanos::MIN, base, base);
    for write in writes {
        clock = clock.max(write.at + shape.delay);
        let snapshot = |o: &&Outage| {
            matches!(o.kind, OutageKind::FullSync { .. })
                && o.blocks(clock)
                && write.offset <= master.at(o.snapshot_at())
        };
        if let Some(sync) = outages.iter().find(snapshot) {
            let end = master.at(sync.snapshot_at());
            if done < end {
                synced.push((sync.to, end - done));
                received.push(sync.to, end);
                applied.push(sync.to, end);
                done = end;
            }
            before = write.offset;
            continue;
        }
        clock = wait_out(clock, outages, shape.delay);
        let throttle = outages.iter().find_map(|o| match o.kind {
            OutageKind::Throttle { rate } if (o.from..o.to).contains(&clock) => Some(rate),
            _ => None,
        });
        let rate = throttle.unwrap_or(shape.rate);
        let size = write.offset - before;
        before = write.offset;
        clock += i64::try_from(u128::from(size) * 1_000_000_000 / u128::from(rate))
            .expect("a short transfer");
        clock = wait_out(clock, outages, shape.delay);
        received.push(clock, write.offset);
        if write.applies {
            applied.push(clock, write.offset);
            done = write.offset;
        }
    }
    (
        Stream {
            from: Nanos::MIN,
            replid,
            received,
            applied,
        },
        synced,
    )
}

fn wait_out(mut clock: Nanos, outages: &[Outage], delay: Nanos) -> Nanos {
    for outage in outages {
        if outage.blocks(clock) {
            clock = outage.to + delay;
        }
    }
    clock
}
