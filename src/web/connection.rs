//! One connection: HTTP/1.1 with limits, until the client leaves, a limit is reached or the server
//! drains.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::access::{ActiveConfigWatch, Peer, Tls};
use super::connection_table::{AnswerGuard, ConnectionState};
use super::handshake::handshake;
use super::limits::Limits;
use super::write_deadline::WriteDeadline;

/// hyper accepts no smaller read buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// What ends a connection in order: the running request is finished, and no other is accepted.
#[derive(Clone)]
pub(super) struct CloseSignals {
    /// Turns true when the server drains.
    pub(super) draining: watch::Receiver<bool>,
    /// The active web configuration: a connection ends when the certificates by which it was
    /// accepted change.
    pub(super) config: ActiveConfigWatch,
}

impl CloseSignals {
    /// Ready when a connection that was accepted under `tls` has to end.
    async fn received(mut self, tls: Option<Arc<Tls>>) {
        // An error means that the sender is gone, which happens only after the last connection.
        let draining = async { drop(self.draining.wait_for(|draining| *draining).await) };
        let outdated = async {
            let changed = self
                .config
                .wait_for(|config| !config.still_speaks(tls.as_ref()))
                .await
                .is_ok();
            if !changed {
                // The sender is gone or never existed, so the configuration never changes.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = draining => {}
            () = outdated => {}
        }
    }
}

/// What serves every connection.
#[derive(Clone)]
pub(super) struct HttpService {
    pub(super) app: Router,
    pub(super) limits: Limits,
}

/// The client of one connection, and the connection's state in the table.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) state: Arc<ConnectionState>,
}

/// Serves one accepted connection, over TLS where that is configured.
pub(super) async fn accept(
    (stream, ip): (TcpStream, IpAddr),
    state: Arc<ConnectionState>,
    service: HttpService,
    close: CloseSignals,
) {
    // Without this, a response's last packet may wait for the ACK of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set on an HTTP connection");
    }
    let tls = close.config.borrow().tls.clone();
    let mut closing = std::pin::pin!(close.received(tls.clone()));
    let Some(tls) = tls else {
        let peer = Peer {
            ip,
            https: false,
            certified: false,
        };
        return serve(stream, Client { peer, state }, service, closing).await;
    };
    let secured = tokio::select! {
        secured = handshake(stream, &tls, service.limits) => secured,
        () = closing.as_mut() => None,
    };
    if let Some(stream) = secured {
        let (_, session) = stream.get_ref();
        let peer = Peer {
            ip,
            https: true,
            certified: tls.proves_user(session.peer_certificates()),
        };
        serve(stream, Client { peer, state }, service, closing).await;
    }
}

/// Speaks HTTP on `stream`. Once `closing` is ready, the running request is finished and the
/// connection closed.
pub(super) async fn serve<S>(
    stream: S,
    client: Client,
    HttpService { app, limits }: HttpService,
    closing: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = WriteDeadline::new(stream, limits.response, Arc::clone(&client.state));
    let ending = watch::Sender::new(false);
    let service = TrackedService {
        app: TowerToHyperService::new(app),
        client,
        ending: ending.subscribe(),
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing => {
            ending.send_replace(true);
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Puts the peer and the [`ConnectionHandle`] into every request, and marks the connection as
/// answering until the response is there.
struct TrackedService {
    app: TowerToHyperService<Router>,
    client: Client,
    ending: watch::Receiver<bool>,
}

impl Service<Request<Incoming>> for TrackedService {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let handle = ConnectionHandle {
            state: Arc::clone(&self.client.state),
            ending: self.ending.clone(),
        };
        request.extensions_mut().insert(self.client.peer);
        request.extensions_mut().insert(handle);
        let answering = self.client.state.answering();
        let answer = self.app.call(request);
        Box::pin(async move {
            let answered = answer.await;
            drop(answering);
            answered
        })
    }
}

/// A request's way to its connection. In the request's extensions.
#[derive(Clone)]
pub(super) struct ConnectionHandle {
    state: Arc<ConnectionState>,
    ending: watch::Receiver<bool>,
}

impl ConnectionHandle {
    /// Begins a response without an end, such as the live stream.
    pub(super) fn begin_stream(mut self) -> StreamGuard {
        // An error means that the connection has ended, and its responses with it.
        let end = async move { drop(self.ending.wait_for(|ending| *ending).await) };
        StreamGuard {
            answering: Some(self.state.answering()),
            state: self.state,
            end: Box::pin(end),
        }
    }
}

/// A response without an end: while this lives, its connection counts as being answered.
pub(super) struct StreamGuard {
    state: Arc<ConnectionState>,
    answering: Option<AnswerGuard>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl StreamGuard {
    /// Ready once the connection is to end: the server drains, or certificates changed.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.as_mut().poll(cx)
    }

    /// Marks the connection as answering again: one that was blocked and then took everything
    /// counts as idle until this is called.
    pub(super) fn still_answering(&mut self) {
        // The old guard is dropped first: its end would end the new one's phase, too.
        self.answering = None;
        self.answering = Some(self.state.answering());
    }
}
