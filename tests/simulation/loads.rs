//! What a master writes, and when.

use fastrand::Rng;

use crate::world::{MS, Nanos, SEC};

/// One command in the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// When the master wrote it.
    pub(crate) at: Nanos,
    /// The master's offset right after it.
    pub(crate) offset: u64,
    /// Whether a replica applies it as it arrives; inside a transaction only the end is applied,
    /// all at once.
    pub(crate) applies: bool,
}

/// A kind of write process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Only the PINGs that a master sends to its replicas every 10 s.
    Idle,
    /// A small command every few milliseconds.
    Steady,
    /// Silence, and now and then some hundred kilobytes within 50 ms.
    Bursts,
    /// Five seconds steady, five seconds silent.
    OnOff,
    /// Steady, and now and then a transaction of several megabytes.
    Transactions,
}

impl Load {
    pub(crate) const ALL: [Self; 5] = [
        Self::Idle,
        Self::Steady,
        Self::Bursts,
        Self::OnOff,
        Self::Transactions,
    ];

    /// The writes in `[from, until)`, beginning at the offset `base`.
    pub(crate) fn writes(self, rng: &mut Rng, from: Nanos, until: Nanos, base: u64) -> Vec<Write> {
        let mut sizes: Vec<(Nanos, u64, bool)> = Vec::new();
        let first_ping = from + rng.i64(0..10 * SEC);
        let mut ping = first_ping;
        while ping < until {
            sizes.push((ping, 14, true));
            ping += 10 * SEC;
        }
        match self {
            Self::Idle => {}
            Self::Steady => steady(rng, from, until, &mut sizes),
            Self::OnOff => {
                let mut begin = from;
                while begin < until {
                    steady(rng, begin, (begin + 5 * SEC).min(until), &mut sizes);
                    begin += 10 * SEC;
                }
            }
            Self::Bursts => bursts(rng, from, until, &mut sizes),
            Self::Transactions => {
                steady(rng, from, until, &mut sizes);
                transactions(rng, from, until, &mut sizes);
            }
        }
        sizes.sort_by_key(|(at, _, _)| *at);
        let mut offset = base;
        sizes
            .into_iter()
            .map(|(at, size, applies)| {
                offset += size;
                Write {
                    at,
                    offset,
                    applies,
                }
            })
            .collect()
    }
}

fn steady(rng: &mut Rng, from: Nanos, until: Nanos, sizes: &mut Vec<(Nanos, u64, bool)>) {
    let mut at = from + rng.i64(0..40 * MS);
    while at < until {
        sizes.push((at, rng.u64(40..400), true));
        at += rng.i64(5 * MS..60 * MS);
    }
}

fn bursts(rng: &mut Rng, from: Nanos, until: Nanos, sizes: &mut Vec<(Nanos, u64, bool)>) {
    let mut at = from + rng.i64(SEC..5 * SEC);
    while at < until {
        for i in 0..20 {
            sizes.push((at + i * 2_500_000, rng.u64(1_000..20_000), true));
        }
        at += rng.i64(3 * SEC..20 * SEC);
    }
}

fn transactions(rng: &mut Rng, from: Nanos, until: Nanos, sizes: &mut Vec<(Nanos, u64, bool)>) {
    let mut at = from + rng.i64(SEC..8 * SEC);
    while at < until {
        let chunks = rng.u64(20..100);
        sizes.extend((0..chunks).map(|i| (at, 65_536, i + 1 == chunks)));
        at += rng.i64(6 * SEC..15 * SEC);
    }
}

impl Load {
    /// The writes behind an offset's steps, for a history that goes on.
    pub(crate) fn writes_of(steps: &crate::world::Steps) -> Vec<Write> {
        steps
            .changes()
            .map(|(at, offset)| Write {
                at,
                offset,
                applies: true,
            })
            .collect()
    }
}
