//! Interpolation: where in a bracket the instant likely lies at which the master went beyond an
//! offset, and how certain that is.
//!
//! Between two polls only the number of written bytes is known. How regularly the master writes
//! around them shows how the bytes were likely spread: a regular stream is linear in time to within
//! a few commands; a single command may have been written at any time; and where far more was
//! written than usual, the excess came at once and the rest as usual.

use super::Plateau;
use crate::model::{ReplicationOffset, Span, Timestamp};

/// Gaps between polls, on each side of a bracket, by which the master's rhythm is judged.
const NEIGHBOURS: usize = 8;

/// The bytes of a small command in the stream. Anything less is one command, too.
const SMALL_COMMAND: f64 = 100.0;

/// Bytes that exceed the usual by this many standard deviations came at once: a burst or a
/// transaction.
const EXCESS: f64 = 4.0;

/// The middle of a gap with the standard deviation of an instant that is anywhere in it: `1 /
/// sqrt(12)`.
const ANY_TIME: PartOfGap = PartOfGap {
    at: 0.5,
    spread: 0.288_675,
};

/// How much of a gap a burst in it takes, on average: anything from almost nothing to most of it.
const BURST_LENGTH: f64 = 0.3;

/// The standard deviation of an instant in a burst of unknown beginning and length, as a part of
/// the gap: smaller than that of an instant that is anywhere.
const IN_A_BURST: f64 = 0.2;

/// An instant within a gap, and its standard deviation, both as parts of the gap's length.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PartOfGap {
    at: f64,
    spread: f64,
}

/// An instant, and the standard deviation with which it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The likeliest instant.
    pub at: Timestamp,
    /// Its standard deviation, in a stream that is as regular as it was around it.
    pub spread: Span,
}

/// How a master writes: bytes a second, and the bytes that come at a time. The latter is the ratio
/// of variance to mean (the index of dispersion): for commands that come independently of each
/// other it is their size.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rhythm {
    rate: f64,
    chunk: f64,
}

impl Rhythm {
    /// The rhythm around the gap before `plateaus[next]`; that gap itself does not count.
    fn around(plateaus: &[Plateau], next: usize) -> Self {
        let from = next.saturating_sub(NEIGHBOURS + 1);
        let to = plateaus.len().min(next + NEIGHBOURS + 1);
        let near = plateaus.get(from..to).unwrap_or_default();
        let mut sums = Sums::default();
        for (i, pair) in near.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            if from + i + 1 == next {
                continue; // the gap itself
            }
            let bytes = after.offset.since(before.offset).get() as f64;
            sums = sums.add_gap(bytes, after.first_seen - before.last_sent);
        }
        for plateau in near {
            sums = sums.add_gap(0.0, plateau.last_sent - plateau.first_seen);
        }
        sums.rhythm()
    }
}

/// Sums over gaps, of bytes and of seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    bytes: f64,
    secs: f64,
    bytes_bytes: f64,
    bytes_secs: f64,
    secs_secs: f64,
}

impl Sums {
    /// These sums and a gap of this length in which `bytes` were written. A gap without a length
    /// shows nothing.
    fn add_gap(self, bytes: f64, length: Span) -> Self {
        let secs = length.or_zero().as_secs_f64();
        if secs <= 0.0 {
            return self;
        }
        Self {
            bytes: self.bytes + bytes,
            secs: self.secs + secs,
            bytes_bytes: self.bytes_bytes + bytes * bytes,
            bytes_secs: self.bytes_secs + bytes * secs,
            secs_secs: self.secs_secs + secs * secs,
        }
    }

    fn rhythm(self) -> Rhythm {
        if self.bytes <= 0.0 {
            return Rhythm {
                rate: 0.0,
                chunk: SMALL_COMMAND,
            };
        }
        let rate = self.bytes / self.secs;
        let squares =
            self.bytes_bytes - 2.0 * rate * self.bytes_secs + rate * rate * self.secs_secs;
        Rhythm {
            rate,
            chunk: (squares / self.bytes).max(SMALL_COMMAND),
        }
    }
}

/// The likeliest instant in `[lo, hi]` at which the master went beyond `offset`, which lies in the
/// gap before `plateaus[next]`.
pub(super) fn point(
    plateaus: &[Plateau],
    next: usize,
    offset: ReplicationOffset,
    lo: Timestamp,
    hi: Timestamp,
) -> Option<Point> {
    let below = plateaus.get(next.checked_sub(1)?)?.offset;
    let step = plateaus.get(next)?.offset.since(below).get() as f64;
    let done = offset.since(below).get() as f64;
    let width = (hi - lo).or_zero().as_secs_f64();
    let part = place(Rhythm::around(plateaus, next), step, done, width);
    Some(Point {
        at: lo + Span::from_secs_f64(part.at * width),
        spread: Span::from_secs_f64(part.spread * width),
    })
}

/// Which part of a gap of `width` seconds had passed when the first command beyond `done` of its
/// `step` bytes was written.
fn place(rhythm: Rhythm, step: f64, done: f64, width: f64) -> PartOfGap {
    let usual = rhythm.rate * width;
    if usual < rhythm.chunk {
        return ANY_TIME; // the master usually writes almost nothing in such a gap
    }
    if step <= usual + EXCESS * (usual * rhythm.chunk).sqrt() {
        return among_commands(rhythm.chunk, step, done);
    }
    place_around_burst(rhythm, usual, step, done)
}

/// As [`place`], where far more than the `usual` bytes were written: a burst at an unknown instant,
/// and the usual before and after it.
fn place_around_burst(rhythm: Rhythm, usual: f64, step: f64, done: f64) -> PartOfGap {
    let error = |bytes: f64| (bytes * rhythm.chunk).sqrt() / usual;
    let from_left = done / usual;
    if from_left < 1.0 {
        return PartOfGap {
            at: from_left,
            spread: error(done),
        };
    }
    let from_right = 1.0 - (step - done) / usual;
    if from_right > 0.0 {
        return PartOfGap {
            at: from_right,
            spread: error(step - done),
        };
    }
    // In the burst: it began at an unknown instant and took an unknown time, the longer the less
    // likely.
    PartOfGap {
        at: 0.5 + BURST_LENGTH * (done / step - 0.5),
        spread: IN_A_BURST,
    }
}

/// `done` of `step` bytes, in commands that came one after the other: the next one was `(k + 1)`-th
/// of `n`, whose mean is `(k + 1) / (n + 1)` of the gap.
fn among_commands(chunk: f64, step: f64, done: f64) -> PartOfGap {
    let command = SMALL_COMMAND.min(step);
    let part = (done + command) / (step + command);
    PartOfGap {
        at: part,
        spread: deviation(part, step / chunk),
    }
}

/// The standard deviation of an order statistic of `count` instants.
fn deviation(part: f64, count: f64) -> f64 {
    (part * (1.0 - part) / (count + 2.0)).sqrt()
}
