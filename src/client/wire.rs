//! The byte stream under a connection: bounded, framed, stamped, and read only while a reply is
//! due.
//!
//! The instants that bound an observation are taken here, at the socket, not where the reply is
//! used: on a busy machine a task may wait for the processor for longer than the round trip itself.
//! Under TLS this is the decrypted stream: a request is stamped before it is encrypted, a reply
//! when the record with its last byte is decrypted. Both instants still bound the moment of truth,
//! wider by the microseconds that the cipher takes; so does the limit on replies count what the
//! parser sees. What has not filled a whole record (16 KiB at most) is no byte yet.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::ReplyFrames;
use crate::clock;
use crate::model::{PollError, Timestamp};

/// What the two ends of one stream share: the guarded stream below, and the connection above the
/// `redis` crate.
#[derive(Debug)]
pub(super) struct Wire(Mutex<State>);

#[derive(Debug)]
struct State {
    frames: ReplyFrames,
    /// Replies that are still to come.
    due: u32,
    /// When the first byte of the latest request was about to be written.
    sent: Option<Timestamp>,
    /// When the last byte of the latest request's replies was read.
    answered: Option<Timestamp>,
    /// When the latest byte of any reply was read.
    last_byte: Option<Timestamp>,
    /// Why nothing can be read any more.
    broken: Option<PollError>,
    /// What TLS itself had against going on, as a sentence.
    tls: Option<Arc<str>>,
    /// Who waits for a request to be written before it may read.
    reader: Option<Waker>,
}

impl Wire {
    /// A wire whose replies to one request may have `limit` bytes together.
    #[cfg(test)]
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Self::guarding(ReplyFrames::new(limit))
    }

    /// A wire whose replies are those that `frames` lets through.
    pub(super) fn guarding(frames: ReplyFrames) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            frames,
            due: 0,
            sent: None,
            answered: None,
            last_byte: None,
            broken: None,
            tls: None,
            reader: None,
        })))
    }

    /// A request is about to be written that has `replies` replies.
    pub(super) fn expect(&self, replies: u32) {
        let mut state = self.state();
        state.due = replies;
        state.sent = None;
        state.answered = None;
        state.frames.restart();
    }

    /// When the latest request was written and when its replies were complete.
    pub(super) fn exchange(&self) -> Option<(Timestamp, Timestamp)> {
        let state = self.state();
        Some((state.sent?, state.answered?))
    }

    /// When the latest request's first byte was written.
    pub(super) fn sent(&self) -> Option<Timestamp> {
        self.state().sent
    }

    /// When the latest byte came.
    pub(super) fn last_byte(&self) -> Option<Timestamp> {
        self.state().last_byte
    }

    /// Why the stream is at its end; `None` while it works.
    pub(super) fn broken(&self) -> Option<PollError> {
        self.state().broken
    }

    /// What TLS itself had against going on; `None` where the stream is not secured.
    pub(super) fn tls_sentence(&self) -> Option<Arc<str>> {
        self.state().tls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change to the state is complete before anything could panic, so a poisoned state is
        // a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in that the stream below ended with `error`.
    fn end(&mut self, error: &io::Error) -> PollError {
        let reason = reason_of(error);
        if reason == PollError::Tls {
            self.tls = error.get_ref().map(|cause| cause.to_string().into());
        }
        reason
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), PollError> {
        if bytes.is_empty() {
            return Err(PollError::Reset);
        }
        let now = clock::now();
        self.last_byte = Some(now);
        let replies = self.frames.follow(bytes)?;
        self.due = self.due.checked_sub(replies).ok_or(PollError::Protocol)?;
        if self.due == 0 {
            self.answered = Some(now);
            // More than was asked for: what follows would be taken for the next request's reply.
            return if self.frames.is_between_replies() {
                Ok(())
            } else {
                Err(PollError::Protocol)
            };
        }
        Ok(())
    }
}

/// `S`, guarded by a [`Wire`].
pub(super) struct GuardedStream<S> {
    stream: S,
    wire: Arc<Wire>,
}

impl<S> GuardedStream<S> {
    pub(super) fn new(stream: S, wire: Arc<Wire>) -> Self {
        Self { stream, wire }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.wire.state();
        if let Some(error) = state.broken {
            return Poll::Ready(Err(end_of(error)));
        }
        // A server that has no room says so before it is asked. Read too early, that would be a
        // reply to nothing, and the reason would be lost.
        if state.due == 0 || state.sent.is_none() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let taken = match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => state.take(&buf.filled()[before..]),
            Poll::Ready(Err(error)) => Err(state.end(&error)),
        };
        Poll::Ready(taken.map_err(|error| {
            state.broken = Some(error);
            end_of(error)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let before = clock::now();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        let mut state = this.wire.state();
        match &written {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => {
                state.sent.get_or_insert(before);
                if let Some(reader) = state.reader.take() {
                    reader.wake();
                }
            }
            Poll::Ready(Err(error)) => state.broken = Some(state.end(error)),
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Why an established connection ended.
fn reason_of(error: &io::Error) -> PollError {
    match error.kind() {
        // The kernel's own retransmissions or keep-alive probes went unanswered.
        io::ErrorKind::TimedOut => PollError::Timeout,
        // What the TLS layer makes of a broken record or a refusal; the streams below it know no
        // such error.
        io::ErrorKind::InvalidData => PollError::Tls,
        _ => PollError::Reset,
    }
}

/// The error that makes the layer above give up the stream; the reason itself is kept in the wire.
fn end_of(error: PollError) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error.label())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn guarded(limit: usize) -> (GuardedStream<DuplexStream>, Arc<Wire>, DuplexStream) {
        let (near, far) = duplex(4096);
        let wire = Wire::new(limit);
        (GuardedStream::new(near, Arc::clone(&wire)), wire, far)
    }

    #[tokio::test]
    async fn nothing_is_read_before_a_request_is_written() {
        let (mut near, wire, mut far) = guarded(100);
        far.write_all(b"-ERR max number of clients reached\r\n")
            .await
            .unwrap();
        wire.expect(1);
        let mut byte = [0];
        let early = std::future::poll_fn(|cx| {
            Poll::Ready(
                Pin::new(&mut near)
                    .poll_read(cx, &mut ReadBuf::new(&mut byte))
                    .is_pending(),
            )
        });
        assert!(early.await);
        near.write_all(b"PING\r\n").await.unwrap();
        assert_eq!(near.read(&mut byte).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_exchange_is_bounded_by_its_first_and_its_last_byte() {
        let (mut near, wire, mut far) = guarded(100);
        let began = clock::now();
        wire.expect(2);
        near.write_all(b"x").await.unwrap();
        let mut buf = [0; 64];
        far.write_all(b"+a\r\n+b").await.unwrap();
        assert_eq!(near.read(&mut buf).await.unwrap(), 6);
        assert_eq!(wire.exchange(), None, "one of two replies");
        far.write_all(b"\r\n").await.unwrap();
        assert_eq!(near.read(&mut buf).await.unwrap(), 2);
        let (sent, received) = wire.exchange().unwrap();
        assert!(began <= sent && sent <= received && received <= clock::now());
        assert_eq!(wire.last_byte(), Some(received));
    }

    #[tokio::test]
    async fn the_reason_of_an_end_is_kept() {
        let cases: [(&[u8], PollError); 4] = [
            (b"+a\r\n+b\r\n", PollError::Protocol),
            (b"+a\r\n+b", PollError::Protocol),
            (b"$200\r\n", PollError::TooLarge),
            (b"HTTP/1.1 400\r\n", PollError::Protocol),
        ];
        for (bytes, expected) in cases {
            let (mut near, wire, mut far) = guarded(100);
            wire.expect(1);
            near.write_all(b"x").await.unwrap();
            far.write_all(bytes).await.unwrap();
            assert!(near.read(&mut [0; 64]).await.is_err());
            assert_eq!(wire.broken(), Some(expected), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_closed_stream_is_a_reset() {
        let (mut near, wire, far) = guarded(100);
        wire.expect(1);
        near.write_all(b"x").await.unwrap();
        drop(far);
        assert!(near.read(&mut [0; 64]).await.is_err());
        assert_eq!(wire.broken(), Some(PollError::Reset));
    }
}
