//! One connection: HTTP/1.1 with limits, until the client leaves, a limit is reached or the server drains.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};

use super::limits::Limits;

/// hyper accepts no smaller read buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// What a connection over the limit is told.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 46\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
    too many connections are open; try again later";

/// Serves one accepted connection. Once `draining` turns true, the running request is finished and the connection
/// closed.
pub(super) async fn accept(stream: TcpStream, app: Router, limits: Limits, draining: watch::Receiver<bool>) {
    // Without this, a response's last packet may wait for the ACK of the one before. Its failure costs only that.
    let _ = stream.set_nodelay(true);
    serve(stream, app, limits, draining).await;
}

/// Speaks HTTP on `stream`. Once `draining` turns true, the running request is finished and the connection closed.
pub(super) async fn serve<S>(stream: S, app: Router, limits: Limits, mut draining: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Deadlined::new(stream, limits.response));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(io, TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    // The sender lives until the last connection has ended; an error would mean that the server is gone.
    let told = async { drop(draining.wait_for(|draining| *draining).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Tells a client that there is no room, and lets it read that: a close with unread input would reset the connection
/// and take the answer along.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, limit: Duration) {
    let told = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the client took it or not, it is over.
    let _ = timeout(limit, told).await;
}

/// A stream on which each response must be taken as a whole within a time limit: a client that reads one byte a
/// second makes progress for ever.
///
/// hyper flushes its stream exactly when all it has to say was written, and has the whole response from the start
/// (bodies here are never streamed). So from the first write that must wait to the next flush is one response.
struct Deadlined<S> {
    stream: S,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Deadlined<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, deadline: None }
    }

    /// Passes on what a write came to, unless it must wait and has waited too long.
    fn within_limit(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            return written;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadlined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        if flushed.is_ready() {
            self.deadline = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlined<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
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
        let mut stream = Deadlined::new(server, LIMIT);
        let began = Instant::now();
        let error = stream.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn each_response_has_its_own_time() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let mut stream = Deadlined::new(server, LIMIT);
        let began = Instant::now();
        for _ in 0..5 {
            stream.write_all(&[0; 20]).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert!(began.elapsed() > LIMIT * 2, "all five together took longer than one may");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_client_may_finish_what_it_says_and_is_not_waited_for() {
        let (server, mut client) = duplex(1024);
        let refusing = tokio::spawn(refuse(server, LIMIT));
        client.write_all(&[b'x'; 5000]).await.expect("somebody reads it");
        let began = Instant::now();
        refusing.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, REFUSAL);
    }

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
    }
}
