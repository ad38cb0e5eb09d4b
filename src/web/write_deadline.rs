//! A time limit for each response as a whole: a client that reads one byte a second makes progress
//! for hours.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection_table::ConnectionState;

/// A stream that fails with [`io::ErrorKind::TimedOut`] once a response has taken longer than the
/// limit.
///
/// hyper has the whole response from the start, and flushes its stream exactly when all of it was
/// written. So a response is timed from its first write that must wait to the next flush. The live
/// stream has no end; it is flushed after each frame, so each frame is timed. A flush may have to
/// wait, too: TLS keeps a part of what was written until then.
pub(super) struct WriteDeadline<S> {
    stream: S,
    limit: Duration,
    /// Set while the client has not taken what was written.
    deadline: Option<Pin<Box<Sleep>>>,
    state: Arc<ConnectionState>,
}

impl<S> WriteDeadline<S> {
    /// Limits responses on `stream`, and records in `state` when the client does not take them.
    pub(super) fn new(stream: S, limit: Duration, state: Arc<ConnectionState>) -> Self {
        Self {
            stream,
            limit,
            deadline: None,
            state,
        }
    }

    /// Passes on the result of an operation, unless it must wait and has waited too long.
    fn within_limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        let deadline = self.deadline.get_or_insert_with(|| {
            self.state.blocked();
            Box::pin(sleep(self.limit))
        });
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within_limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.within_limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() && self.deadline.take().is_some() {
            self.state.unblocked();
        }
        self.within_limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within_limit(cx, shut)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn read_one_byte_each(pause: Duration, mut client: DuplexStream) {
        while client.read_u8().await.is_ok() {
            sleep(pause).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_given_up_although_it_makes_progress() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let mut stream = WriteDeadline::new(server, LIMIT, Arc::default());
        let began = Instant::now();
        let error = stream.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_the_flush_sends_has_the_same_limit() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let buffered = BufWriter::with_capacity(1000, server);
        let mut stream = WriteDeadline::new(buffered, LIMIT, Arc::default());
        stream
            .write_all(&[0; 900])
            .await
            .expect("it is kept, as TLS does");
        let began = Instant::now();
        let error = stream.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn each_response_has_its_own_time() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let mut stream = WriteDeadline::new(server, LIMIT, Arc::default());
        let began = Instant::now();
        for _ in 0..5 {
            stream.write_all(&[0; 20]).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert!(
            began.elapsed() > LIMIT * 2,
            "all five together took longer than one may"
        );
    }
}
