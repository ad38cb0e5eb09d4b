//! One connection: HTTP/1.1 with limits, until the client leaves, a limit is reached or the server
//! drains.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};

use super::access::{ActiveConfigWatch, Peer, Tls};
use super::connection_table::{Answering, ConnectionState};
use super::handshake::handshake;
use super::limits::Limits;

/// hyper accepts no smaller read buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// What a connection over the limit is told.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 46\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
    too many connections are open; try again later";

/// What ends a connection in order: the running request is finished, and no other is taken.
#[derive(Clone)]
pub(super) struct Ends {
    /// Turns true when the server is told to stop.
    pub(super) draining: watch::Receiver<bool>,
    /// The web configuration in force: a connection ends when what it was let in by no longer
    /// holds.
    pub(super) published: ActiveConfigWatch,
}

impl Ends {
    async fn come(mut self, tls: Option<Arc<Tls>>) {
        // The senders live until the last connection has ended, except that of a configuration that
        // is not followed any more (or never was): what was in force then stays so.
        let told = async { drop(self.draining.wait_for(|draining| *draining).await) };
        let outdated = async {
            if self
                .published
                .wait_for(|active| !active.still_speaks(tls.as_ref()))
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = told => {}
            () = outdated => {}
        }
    }
}

/// What every connection is served by.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) app: Router,
    pub(super) limits: Limits,
}

/// One connection's client, and what the server keeps of it.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) activity: Arc<ConnectionState>,
}

/// Serves one accepted connection, over TLS where that is in force.
pub(super) async fn accept(
    (stream, ip): (TcpStream, IpAddr),
    activity: Arc<ConnectionState>,
    host: Host,
    ends: Ends,
) {
    // Without this, a response's last packet may wait for the ACK of the one before. Its failure
    // costs only that.
    let _ = stream.set_nodelay(true);
    let tls = ends.published.borrow().tls.clone();
    let end = ends.come(tls.clone());
    let mut end = std::pin::pin!(end);
    let Some(tls) = tls else {
        let peer = Peer {
            ip,
            https: false,
            certified: false,
        };
        return serve(stream, Client { peer, activity }, host, end).await;
    };
    let shaken = tokio::select! {
        shaken = handshake(stream, &tls, host.limits) => shaken,
        () = end.as_mut() => None,
    };
    if let Some(stream) = shaken {
        // A certificate that rustls has taken was verified: no other kind of asking for one is
        // configurable.
        let certified = stream.get_ref().1.peer_certificates().is_some();
        let peer = Peer {
            ip,
            https: true,
            certified,
        };
        serve(stream, Client { peer, activity }, host, end).await;
    }
}

/// Speaks HTTP on `stream`. Once `end` is ready, the running request is finished and the connection
/// closed.
pub(super) async fn serve<S>(
    stream: S,
    client: Client,
    Host { app, limits }: Host,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Deadlined::new(
        stream,
        limits.response,
        Arc::clone(&client.activity),
    ));
    let ending = watch::Sender::new(false);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(
            io,
            Attended {
                app: TowerToHyperService::new(app),
                client,
                ending: ending.subscribe(),
            },
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end => {
            ending.send_replace(true);
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Tells every request which connection it came by, and the connection that a request is being
/// answered.
struct Attended {
    app: TowerToHyperService<Router>,
    client: Client,
    ending: watch::Receiver<bool>,
}

/// What an answer that goes on must know of its connection, and its connection of it. In every
/// request's extensions.
#[derive(Clone)]
pub(super) struct Connected {
    activity: Arc<ConnectionState>,
    ending: watch::Receiver<bool>,
}

/// An answer that goes on: its connection is being answered as long as this lives.
pub(super) struct Attendance {
    activity: Arc<ConnectionState>,
    answering: Option<Answering>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connected {
    /// Begins an answer that goes on.
    pub(super) fn attend(mut self) -> Attendance {
        // The sender lives as long as the connection.
        let end = async move { drop(self.ending.wait_for(|ending| *ending).await) };
        Attendance {
            answering: Some(self.activity.answering()),
            activity: self.activity,
            end: Box::pin(end),
        }
    }
}

impl Attendance {
    /// Ready once the connection is to end: the program ends, or certificates changed.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.as_mut().poll(cx)
    }

    /// The answer goes on. A client that was waited for and took everything counts as idle until
    /// this is called.
    pub(super) fn go_on(&mut self) {
        // The old one must end before the new one begins, or its end would end both.
        self.answering = None;
        self.answering = Some(self.activity.answering());
    }
}

impl Service<Request<Incoming>> for Attended {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client.peer);
        let (activity, ending) = (Arc::clone(&self.client.activity), self.ending.clone());
        request
            .extensions_mut()
            .insert(Connected { activity, ending });
        let (answering, answer) = (self.client.activity.answering(), self.app.call(request));
        Box::pin(async move {
            let answered = answer.await;
            drop(answering);
            answered
        })
    }
}

/// Tells a client that there is no room.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, limit: Duration) {
    tell(stream, REFUSAL, limit).await;
}

/// Gives a client an answer, whatever it asks, and lets it read that: a close with unread input
/// would reset the connection and take the answer along.
pub(super) async fn tell<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &[u8],
    limit: Duration,
) {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the client took it or not, it is over.
    let _ = timeout(limit, told).await;
}

/// A stream on which each response must be taken as a whole within a time limit: a client that
/// reads one byte a second makes progress for ever.
///
/// hyper flushes its stream exactly when all it has to say was written, and has the whole response
/// from the start. So from the first write that must wait to the next flush is one response; of the
/// live stream, which is the only answer that goes on, one frame. A flush may have to wait, too:
/// TLS keeps a part of what was written until then.
struct Deadlined<S> {
    stream: S,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    activity: Arc<ConnectionState>,
}

impl<S> Deadlined<S> {
    fn new(stream: S, limit: Duration, activity: Arc<ConnectionState>) -> Self {
        Self {
            stream,
            limit,
            deadline: None,
            activity,
        }
    }

    /// Passes on what an operation came to, unless it must wait and has waited too long.
    fn within_limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        let deadline = self.deadline.get_or_insert_with(|| {
            self.activity.blocked();
            Box::pin(sleep(self.limit))
        });
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadlined<S> {
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
            self.activity.taken();
        }
        self.within_limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within_limit(cx, shut)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlined<S> {
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
    use tokio::io::{BufWriter, DuplexStream, duplex};
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
        let mut stream = Deadlined::new(server, LIMIT, Arc::default());
        let began = Instant::now();
        let error = stream.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_the_flush_sends_has_the_same_limit() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let mut stream = Deadlined::new(
            BufWriter::with_capacity(1000, server),
            LIMIT,
            Arc::default(),
        );
        stream
            .write_all(&[0; 900])
            .await
            .expect("it is kept, as TLS does");
        let began = Instant::now();
        assert_eq!(
            stream.flush().await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn each_response_has_its_own_time() {
        let (server, client) = duplex(16);
        tokio::spawn(read_one_byte_each(Duration::from_secs(1), client));
        let mut stream = Deadlined::new(server, LIMIT, Arc::default());
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

    #[tokio::test(start_paused = true)]
    async fn a_refused_client_may_finish_what_it_says_and_is_not_waited_for() {
        let (server, mut client) = duplex(1024);
        let refusing = tokio::spawn(refuse(server, LIMIT));
        client
            .write_all(&[b'x'; 5000])
            .await
            .expect("somebody reads it");
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
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
            "{head}"
        );
    }
}
