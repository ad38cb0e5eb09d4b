//! One direction of one connection: a delay line of bounded size, and the shared rate of its
//! direction.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes as Buffer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Direction, WanConditions};
use crate::model::Bytes;

/// Bytes under way at most, per direction and connection: what a long fat network holds (335 Mbit/s
/// at 100 ms).
const IN_FLIGHT: usize = 4 * 1024 * 1024;
/// The most that one read takes.
const CHUNK: u32 = 16 * 1024;
/// Chunks under way at most: small ones fill the queue before their bytes reach [`IN_FLIGHT`].
const IN_FLIGHT_CHUNKS: usize = 8192;
/// A limited rate is applied to pieces that take this part of a second, so that the flow is smooth
/// ...
const PIECES_PER_SECOND: u64 = 50;
/// ... but to no smaller ones, to spare the timer.
const MIN_PIECE: u64 = 64;

/// Timers are no later than this; without a cause, that is.
const LATEST_TIMER: Duration = Duration::from_millis(50);

/// One direction of the line, shared by all connections.
#[derive(Debug)]
pub(super) struct Flow {
    direction: Direction,
    delivered: AtomicU64,
    promised: Mutex<Promised>,
}

/// What a line of limited rate has yet to send.
#[derive(Debug)]
struct Promised {
    /// When all of it will have been sent.
    until: Instant,
    /// The rate, in bytes per second, at which that was computed.
    rate: u64,
}

impl Flow {
    pub(super) fn new(direction: Direction) -> Self {
        let promised = Mutex::new(Promised {
            until: Instant::now(),
            rate: 0,
        });
        Self {
            direction,
            delivered: AtomicU64::new(0),
            promised,
        }
    }

    /// Bytes delivered so far.
    pub(super) fn delivered(&self) -> Bytes {
        Bytes::new(self.delivered.load(Ordering::Relaxed))
    }

    /// Promises the line to `length` bytes that have been there since `ready`, and returns when it
    /// will have sent them. A new rate voids what was promised at the old one.
    fn reserve(&self, length: usize, rate: u64, ready: Instant) -> Instant {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // A timer that fired late has not slowed the line, unless it stood still.
        let earliest = now.checked_sub(LATEST_TIMER).unwrap_or(now).max(ready);
        let free_at = if promised.rate == rate {
            promised.until.max(earliest)
        } else {
            now
        };
        *promised = Promised {
            until: free_at + Duration::from_secs_f64(length as f64 / rate as f64),
            rate,
        };
        promised.until
    }
}

/// A connection's view of its direction.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    flow: Arc<Flow>,
    conditions: watch::Receiver<WanConditions>,
}

/// What one read brought. An empty chunk is the end of the stream, which takes the delay too.
struct Chunk {
    data: Buffer,
    read_at: Instant,
    /// Gives the room back when the chunk has been delivered.
    _room: OwnedSemaphorePermit,
}

/// Carries bytes from `reader` to `writer` in order, until the end of the stream has been passed
/// on.
pub(super) async fn relay<R, W>(lane: Lane, reader: R, writer: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (into, from) = mpsc::channel(IN_FLIGHT_CHUNKS);
    let reading = read_chunks(lane.clone(), reader, into);
    let writing = write_chunks(lane, writer, from);
    tokio::try_join!(reading, writing)?;
    Ok(())
}

/// Queues what `reader` reads, until its end.
async fn read_chunks<R: AsyncRead + Unpin>(
    mut lane: Lane,
    mut reader: R,
    queue: mpsc::Sender<Chunk>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut buffer = vec![0; CHUNK as usize];
    loop {
        let acquired = Arc::clone(&room).acquire_many_owned(CHUNK).await;
        let mut free = acquired.map_err(io::Error::other)?;
        let length = lane.read(&mut reader, &mut buffer).await?;
        // The part of the room that this read does not use goes back at once.
        let used = free.split(length).ok_or(io::ErrorKind::InvalidData)?;
        let read = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
        let chunk = Chunk {
            data: Buffer::copy_from_slice(read),
            read_at: Instant::now(),
            _room: used,
        };
        if queue.send(chunk).await.is_err() || length == 0 {
            return Ok(());
        }
    }
}

/// Writes the chunks of `queue` when the conditions allow it, until the end of the stream.
async fn write_chunks<W: AsyncWrite + Unpin>(
    mut lane: Lane,
    mut writer: W,
    mut queue: mpsc::Receiver<Chunk>,
) -> io::Result<()> {
    while let Some(chunk) = queue.recv().await {
        let mut rest = &chunk.data[..];
        if rest.is_empty() {
            lane.clear(chunk.read_at, 0).await;
            break;
        }
        while !rest.is_empty() {
            let piece = lane.clear(chunk.read_at, rest.len()).await;
            let (now, later) = rest
                .split_at_checked(piece)
                .ok_or(io::ErrorKind::InvalidData)?;
            writer.write_all(now).await?;
            let delivered = &lane.flow.delivered;
            delivered.fetch_add(piece as u64, Ordering::Relaxed);
            rest = later;
        }
    }
    writer.shutdown().await
}

impl Lane {
    pub(super) fn new(flow: Arc<Flow>, conditions: watch::Receiver<WanConditions>) -> Self {
        Self { flow, conditions }
    }

    /// Reads while the direction is not stalled.
    async fn read<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            let stalled = self
                .conditions
                .borrow_and_update()
                .is_stalled(self.flow.direction);
            tokio::select! {
                biased;
                () = self.changed() => {}
                read = reader.read(buffer), if !stalled => return read,
            }
        }
    }

    /// Waits until the conditions let bytes through that were read at `read_at`, and returns how
    /// many of `length`.
    async fn clear(&mut self, read_at: Instant, length: usize) -> usize {
        loop {
            let now = *self.conditions.borrow_and_update();
            if now.is_stalled(self.flow.direction) {
                self.changed().await;
                continue;
            }
            let ready = read_at + now.delay;
            if self.sleep_until(ready).await {
                let Some(rate) = now.rate.map(|rate| rate.max(1)) else {
                    return length;
                };
                let piece = length.min(piece_at(rate));
                if self
                    .sleep_until(self.flow.reserve(piece, rate, ready))
                    .await
                {
                    return piece;
                }
            }
        }
    }

    /// Sleeps until `due`; `false` when the conditions change first.
    async fn sleep_until(&mut self, due: Instant) -> bool {
        if due <= Instant::now() {
            return true;
        }
        tokio::select! {
            () = sleep_until(due) => true,
            () = self.changed() => false,
        }
    }

    /// Waits for a change of conditions. When the proxy is gone there will be none: its cut ends
    /// the connection.
    async fn changed(&mut self) {
        if self.conditions.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// How many bytes are sent at once at `rate` bytes per second.
fn piece_at(rate: u64) -> usize {
    usize::try_from((rate / PIECES_PER_SECOND).max(MIN_PIECE)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
