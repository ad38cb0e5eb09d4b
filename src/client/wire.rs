//! The bytes of one connection: requests out, whole replies in, both stamped at the socket.
//!
//! The instants that bound an observation are taken here, next to the system call, not where the
//! reply is used: on a busy machine a task may wait for the processor for longer than the round
//! trip takes. Under TLS this is the decrypted stream: a request is stamped before it is encrypted,
//! a reply after the record with its last byte was decrypted. Both instants still bound the moment
//! of truth, wider by the microseconds that the cipher takes. Bytes of a record (16 KiB at most)
//! that is not complete do not count as received.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use redis::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, ReplyShape};
use super::raw_stream::RawStream;
use super::transport::Transport;
use crate::clock;
use crate::model::{PollError, Span, Timestamp};

/// Bytes that are read at once: a TLS record at its longest.
const READ_SIZE: usize = 16 * 1024;

/// The stream under a connection. Nothing is read from it unless a reply is due: a server that has
/// reached maxclients sends its error at once, and that is the reply to the first request.
pub(super) struct Wire {
    stream: Box<dyn Transport>,
    /// What was read beyond the replies that were taken.
    received: BytesMut,
    /// How much of that `framing` has followed.
    scanned: usize,
    framing: Framing,
    stamps: Arc<Stamps>,
    state: WireState,
    /// What was wrong with TLS itself, as a sentence.
    tls_sentence: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum WireState {
    /// Ready for a request.
    Idle,
    /// A request is under way, or was when its caller gave up on it.
    InRequest,
    /// Nothing can be sent or received any more.
    Broken(PollError),
}

/// The replies to one request, and the instants between which the server made them.
pub(super) struct Exchange {
    /// One value for each command, error replies among them.
    pub(super) replies: Vec<Value>,
    /// Just before the request's first byte was written.
    pub(super) sent: Timestamp,
    /// Just after the last reply's last byte was read.
    pub(super) received: Timestamp,
}

/// The reply to one command, and the instants between which the server made it.
pub(super) struct BulkExchange<T> {
    pub(super) reply: BulkReply<T>,
    /// Just before the request's first byte was written.
    pub(super) sent: Timestamp,
    /// Just after the reply's last byte was read.
    pub(super) received: Timestamp,
}

/// The reply to a command that is answered with a bulk string, unless it is refused.
pub(super) enum BulkReply<T> {
    /// What was made of the bulk string.
    Bulk(T),
    /// Any other reply.
    Other(Value),
}

/// What is left to write of a request.
struct Outgoing<'a> {
    unsent: &'a [u8],
    flushed: bool,
}

impl<'a> Outgoing<'a> {
    fn new(request: &'a [u8]) -> Self {
        Self {
            unsent: request,
            flushed: false,
        }
    }
}

impl Wire {
    /// Takes over `stream`, from which nothing was read yet.
    pub(super) fn new(stream: Box<dyn Transport>) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
            scanned: 0,
            framing: Framing::new(ReplyShape::Scalar, 0),
            stamps: Arc::default(),
            state: WireState::Idle,
            tls_sentence: None,
        }
    }

    /// Sends the commands in `request` back to back and reads the reply to each of them, without a
    /// limit in time. A caller that stops waiting leaves the wire unusable: its replies may still
    /// come, and would be taken for those to the next request.
    ///
    /// # Errors
    /// Why the wire cannot be used any more.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        commands: usize,
        framing: Framing,
    ) -> Result<Exchange, PollError> {
        self.begin(framing)?;
        let result = self.send_and_receive(request, commands).await;
        self.finish(result)
    }

    /// Sends the one command in `request` and reads its reply, like [`Self::exchange`]. A bulk
    /// string is given to `read` where it lies, and usually that is where the system call put it:
    /// most replies are read at once, and need no room of their own.
    ///
    /// # Errors
    /// Why the wire cannot be used any more.
    pub(super) async fn exchange_bulk<T>(
        &mut self,
        request: &[u8],
        framing: Framing,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<BulkExchange<T>, PollError> {
        self.begin(framing)?;
        let result = self.send_and_read_bulk(request, read).await;
        self.finish(result)
    }

    /// Sends `request`, whose replies [`Self::next_reply`] reads one by one.
    ///
    /// # Errors
    /// Why the wire cannot be used any more.
    pub(super) async fn send(&mut self, request: &[u8], framing: Framing) -> Result<(), PollError> {
        self.begin(framing)?;
        let mut outgoing = Outgoing::new(request);
        let sent = poll_fn(|cx| self.poll_send(cx, &mut outgoing)).await;
        let sent = sent.map_err(|error| self.reason_of(&error));
        self.finish(sent)
    }

    /// The next reply, which has the whole of the framing's limits for itself. Cancelling this and
    /// calling it again loses nothing.
    ///
    /// # Errors
    /// Why there will be no more.
    pub(super) async fn next_reply(&mut self) -> Result<Value, PollError> {
        self.check_usable()?;
        let reply = self.receive_one().await;
        self.finish(reply)
    }

    /// Whether another request can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.state == WireState::Idle
    }

    /// What was wrong with TLS itself; `None` where it was something else, or there is no TLS.
    pub(super) fn tls_sentence(&self) -> Option<&str> {
        self.tls_sentence.as_deref()
    }

    /// A view of the latest request, for a task that waits for its replies.
    pub(super) fn watch(&self) -> RequestWatch {
        RequestWatch(Arc::clone(&self.stamps))
    }

    /// When the latest byte was read.
    pub(super) fn last_byte(&self) -> Option<Timestamp> {
        self.stamps.last_byte.get()
    }

    /// The stream, and what was read from it beyond the replies that were taken.
    pub(super) fn into_stream(self) -> RawStream {
        RawStream::new(self.received, self.stream)
    }

    fn check_usable(&mut self) -> Result<(), PollError> {
        let reason = match self.state {
            WireState::Idle => return Ok(()),
            // The caller of the request before stopped waiting.
            WireState::InRequest => PollError::Timeout,
            WireState::Broken(reason) => reason,
        };
        self.state = WireState::Broken(reason);
        Err(reason)
    }

    fn begin(&mut self, framing: Framing) -> Result<(), PollError> {
        self.check_usable()?;
        self.state = WireState::InRequest;
        self.framing = framing;
        self.stamps.sent.clear();
        Ok(())
    }

    fn finish<T>(&mut self, result: Result<T, PollError>) -> Result<T, PollError> {
        self.state = match &result {
            Ok(_) => WireState::Idle,
            Err(reason) => WireState::Broken(*reason),
        };
        result
    }

    async fn send_and_receive(
        &mut self,
        request: &[u8],
        commands: usize,
    ) -> Result<Exchange, PollError> {
        let mut outgoing = Outgoing::new(request);
        let mut replies = Vec::with_capacity(commands);
        while replies.len() < commands {
            if let Some(reply) = self.take_reply()? {
                replies.push(reply);
                continue;
            }
            // Written and read at the same time: a server whose replies are not read may stop
            // reading the rest of the commands.
            let moved = poll_fn(|cx| self.poll_transfer(cx, &mut outgoing)).await;
            moved.map_err(|error| self.reason_of(&error))?;
        }
        // More replies than commands: the next request would get the answer to this one.
        if !self.received.is_empty() || !outgoing.unsent.is_empty() {
            return Err(PollError::Protocol);
        }
        // Thousands of idle connections need not hold the room for their largest reply.
        self.received = BytesMut::new();
        Ok(Exchange {
            replies,
            sent: self.stamps.sent.get().ok_or(PollError::Protocol)?,
            received: self.stamps.last_byte.get().ok_or(PollError::Protocol)?,
        })
    }

    async fn send_and_read_bulk<T>(
        &mut self,
        request: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<BulkExchange<T>, PollError> {
        let mut outgoing = Outgoing::new(request);
        let mut read = Some(read);
        let reply = poll_fn(|cx| {
            loop {
                let length = ready!(self.poll_whole_reply(cx, &mut outgoing, &mut read))?;
                if let Some(reply) = length {
                    return Poll::Ready(Ok::<_, PollError>(reply));
                }
            }
        });
        let reply = reply.await?;
        if !outgoing.unsent.is_empty() {
            return Err(PollError::Protocol);
        }
        Ok(BulkExchange {
            reply,
            sent: self.stamps.sent.get().ok_or(PollError::Protocol)?,
            received: self.stamps.last_byte.get().ok_or(PollError::Protocol)?,
        })
    }

    /// Writes what can be written, and reads once. Returns the reply as soon as it is whole, and
    /// `None` while more has to come: what was read is kept then.
    fn poll_whole_reply<T, R: FnOnce(&[u8]) -> T>(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing<'_>,
        read: &mut Option<R>,
    ) -> Poll<Result<Option<BulkReply<T>>, PollError>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx, outgoing) {
            return Poll::Ready(Err(self.reason_of(&error)));
        }
        if self.stamps.sent.get().is_none() {
            return Poll::Pending;
        }
        let mut piece = [MaybeUninit::uninit(); READ_SIZE];
        let mut piece = ReadBuf::uninit(&mut piece);
        if let Err(error) = ready!(self.poll_read_piece(cx, &mut piece)) {
            return Poll::Ready(Err(self.reason_of(&error)));
        }
        Poll::Ready(self.take_piece(piece.filled(), read))
    }

    /// Follows what was just read to the end of the reply.
    fn take_piece<T, R: FnOnce(&[u8]) -> T>(
        &mut self,
        piece: &[u8],
        read: &mut Option<R>,
    ) -> Result<Option<BulkReply<T>>, PollError> {
        let end = self.framing.advance(piece)?;
        if end.is_some_and(|end| end < piece.len()) {
            // More than one reply: the next request would get the answer to this one.
            return Err(PollError::Protocol);
        }
        if end.is_some() && self.received.is_empty() {
            return bulk_reply(piece, read).map(Some);
        }
        self.received.extend_from_slice(piece);
        if end.is_none() {
            return Ok(None);
        }
        // Thousands of idle connections need not hold the room for their largest reply.
        let whole = std::mem::take(&mut self.received);
        bulk_reply(&whole, read).map(Some)
    }

    /// Reads until the next reply is whole.
    async fn receive_one(&mut self) -> Result<Value, PollError> {
        loop {
            if let Some(reply) = self.take_reply()? {
                self.framing.restart();
                return Ok(reply);
            }
            let read = poll_fn(|cx| self.poll_receive(cx)).await;
            read.map_err(|error| self.reason_of(&error))?;
        }
    }

    /// The next reply that was read to its end.
    fn take_reply(&mut self) -> Result<Option<Value>, PollError> {
        let fresh = self.received.get(self.scanned..).unwrap_or_default();
        let Some(length) = self.framing.advance(fresh)? else {
            self.scanned = self.received.len();
            return Ok(None);
        };
        let reply = self.received.split_to(self.scanned + length);
        self.scanned = 0;
        let reply = redis::parse_redis_value(&reply).map_err(|_| PollError::Protocol)?;
        Ok(Some(reply))
    }

    /// Writes what can be written of `outgoing`, and waits until something was read.
    fn poll_transfer(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx, outgoing) {
            return Poll::Ready(Err(error));
        }
        if self.stamps.sent.get().is_none() {
            return Poll::Pending;
        }
        self.poll_receive(cx)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing<'_>,
    ) -> Poll<io::Result<()>> {
        while !outgoing.unsent.is_empty() {
            let before = clock::now();
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, outgoing.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if self.stamps.sent.get().is_none() {
                self.stamps.sent.set(before);
            }
            outgoing.unsent = outgoing.unsent.get(written..).unwrap_or_default();
        }
        if !outgoing.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            outgoing.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [MaybeUninit::uninit(); READ_SIZE];
        let mut piece = ReadBuf::uninit(&mut piece);
        ready!(self.poll_read_piece(cx, &mut piece))?;
        self.received.extend_from_slice(piece.filled());
        Poll::Ready(Ok(()))
    }

    /// Reads at least one byte into `piece`, which is empty.
    fn poll_read_piece(
        &mut self,
        cx: &mut Context<'_>,
        piece: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, piece))?;
        if piece.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.stamps.last_byte.set(clock::now());
        Poll::Ready(Ok(()))
    }

    /// Why the stream below ended with `error`.
    fn reason_of(&mut self, error: &io::Error) -> PollError {
        match error.kind() {
            // The kernel's own retransmissions or keep-alive probes went unanswered.
            io::ErrorKind::TimedOut => PollError::Timeout,
            // What the TLS layer makes of a broken record or a refusal; the streams below it have
            // no such error.
            io::ErrorKind::InvalidData => {
                self.tls_sentence = error.get_ref().map(ToString::to_string);
                PollError::Tls
            }
            _ => PollError::Reset,
        }
    }
}

/// The whole `reply`: a bulk string as `read` takes it, any other one as it is.
fn bulk_reply<T, R: FnOnce(&[u8]) -> T>(
    reply: &[u8],
    read: &mut Option<R>,
) -> Result<BulkReply<T>, PollError> {
    if let Some(content) = bulk_content(reply)
        && let Some(read) = read.take()
    {
        return Ok(BulkReply::Bulk(read(content)));
    }
    let value = redis::parse_redis_value(reply).map_err(|_| PollError::Protocol)?;
    Ok(BulkReply::Other(value))
}

/// What is in a whole bulk string: behind its length line, before its last CRLF. `None` for nil and
/// every other reply.
fn bulk_content(reply: &[u8]) -> Option<&[u8]> {
    let length = reply.strip_prefix(b"$")?;
    if length.starts_with(b"-") {
        return None;
    }
    let end_of_line = memchr::memchr(b'\n', reply)?;
    let content = reply.get(end_of_line + 1..)?;
    content.strip_suffix(b"\r\n")
}

/// What can be seen of a request from outside while its replies are due.
#[derive(Clone, Debug)]
pub struct RequestWatch(Arc<Stamps>);

impl RequestWatch {
    /// When the latest request's first byte was written; `None` while it waits to be written.
    pub fn sent(&self) -> Option<Timestamp> {
        self.0.sent.get()
    }

    /// When the latest byte of any reply was read.
    pub fn last_byte(&self) -> Option<Timestamp> {
        self.0.last_byte.get()
    }

    /// How long the latest request took to be answered; `None` while it is not.
    pub fn round_trip(&self) -> Option<Span> {
        let sent = self.sent()?;
        let received = self.last_byte()?;
        (received > sent).then(|| received - sent)
    }
}

#[derive(Debug, Default)]
struct Stamps {
    /// When the latest request's first byte was about to be written.
    sent: Stamp,
    /// When the latest byte was read.
    last_byte: Stamp,
}

/// An instant, or none yet. One task writes it; others read it alone, so no order between two of
/// them matters.
#[derive(Debug)]
struct Stamp(AtomicI64);

impl Stamp {
    /// Represents no instant: 292 years before the boot.
    const NONE: i64 = i64::MIN;

    fn get(&self) -> Option<Timestamp> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos != Self::NONE).then_some(Timestamp::from_nanos(nanos))
    }

    fn set(&self, at: Timestamp) {
        self.0.store(at.as_nanos(), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(Self::NONE, Ordering::Relaxed);
    }
}

impl Default for Stamp {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NONE))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn framing() -> Framing {
        Framing::new(ReplyShape::Scalar, 100)
    }

    fn wire() -> (Wire, DuplexStream) {
        let (near, far) = duplex(4096);
        (Wire::new(Box::new(near)), far)
    }

    #[tokio::test]
    async fn an_error_sent_before_the_request_is_its_reply() {
        let (mut wire, mut far) = wire();
        far.write_all(b"-ERR max number of clients reached\r\n")
            .await
            .unwrap();
        let exchange = wire.exchange(b"PING\r\n", 1, framing()).await.unwrap();
        assert!(matches!(exchange.replies[..], [Value::ServerError(_)]));
        assert!(wire.is_open());
    }

    #[tokio::test]
    async fn an_exchange_is_bounded_by_its_first_and_its_last_byte() {
        let (mut wire, mut far) = wire();
        let watch = wire.watch();
        assert_eq!((watch.sent(), watch.last_byte()), (None, None));
        let began = clock::now();
        let server = async {
            far.read_exact(&mut [0]).await.unwrap();
            far.write_all(b"+a\r\n+b").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let before_the_end = clock::now();
            far.write_all(b"\r\n").await.unwrap();
            before_the_end
        };
        let (exchange, before_the_end) = tokio::join!(wire.exchange(b"x", 2, framing()), server);
        let exchange = exchange.unwrap();
        assert_eq!(exchange.replies.len(), 2);
        assert!(began <= exchange.sent && exchange.sent <= before_the_end);
        assert!(before_the_end <= exchange.received && exchange.received <= clock::now());
        assert_eq!(watch.sent(), Some(exchange.sent));
        assert_eq!(watch.last_byte(), Some(exchange.received));
    }

    #[tokio::test]
    async fn the_reason_why_the_wire_ended_is_kept() {
        let cases: [(&[u8], PollError); 5] = [
            (b"+a\r\n+b\r\n", PollError::Protocol),
            (b"+a\r\n+b", PollError::Protocol),
            (b":x\r\n", PollError::Protocol),
            (b"$200\r\n", PollError::TooLarge),
            (b"HTTP/1.1 400\r\n", PollError::Protocol),
        ];
        for (bytes, expected) in cases {
            let (mut wire, mut far) = wire();
            far.write_all(bytes).await.unwrap();
            for _ in 0..2 {
                let end = wire.exchange(b"x", 1, framing()).await.err();
                assert_eq!(end, Some(expected), "{bytes:?}");
                assert!(!wire.is_open());
            }
        }
    }

    #[tokio::test]
    async fn a_closed_stream_is_a_reset() {
        let (mut wire, mut far) = wire();
        let close = async {
            far.read_exact(&mut [0]).await.unwrap();
            drop(far);
        };
        let (exchange, ()) = tokio::join!(wire.exchange(b"x", 1, framing()), close);
        assert_eq!(exchange.err(), Some(PollError::Reset));
    }

    #[tokio::test]
    async fn a_request_that_its_caller_gave_up_on_leaves_the_wire_unusable() {
        let (mut wire, mut far) = wire();
        let given_up = timeout(Duration::from_millis(5), wire.exchange(b"x", 1, framing()));
        assert!(given_up.await.is_err());
        assert!(!wire.is_open());
        // The late reply is never taken for that to another request.
        far.write_all(b"+late\r\n").await.unwrap();
        let next = wire.exchange(b"y", 1, framing()).await;
        assert_eq!(next.err(), Some(PollError::Timeout));
    }

    #[tokio::test]
    async fn a_server_that_answers_before_the_request_is_complete_blocks_nothing() {
        let (near, mut far) = duplex(64);
        let mut wire = Wire::new(Box::new(near));
        let request = vec![b'x'; 1000];
        let server = async {
            // It reads no more than it has room to answer.
            for _ in 0..1000 {
                far.read_exact(&mut [0]).await.unwrap();
                far.write_all(b"+\r\n").await.unwrap();
            }
        };
        let framing = Framing::new(ReplyShape::Scalar, 100_000);
        let (exchange, ()) = tokio::join!(wire.exchange(&request, 1000, framing), server);
        assert_eq!(exchange.unwrap().replies.len(), 1000);
    }

    #[tokio::test]
    async fn replies_are_read_one_by_one_and_what_follows_stays_in_the_stream() {
        let (mut wire, mut far) = wire();
        far.write_all(b"+a\r\n+b\r\nraw").await.unwrap();
        wire.send(b"x", framing()).await.unwrap();
        for expected in ["a", "b"] {
            let reply = wire.next_reply().await.unwrap();
            assert_eq!(reply, Value::SimpleString(expected.to_owned()));
        }
        let mut stream = wire.into_stream();
        far.write_all(b" bytes").await.unwrap();
        let mut rest = [0; 9];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"raw bytes");
        stream.write_all(b"ACK").await.unwrap();
        let mut written = [0; 4];
        far.read_exact(&mut written).await.unwrap();
        assert_eq!(&written, b"xACK");
    }
}
