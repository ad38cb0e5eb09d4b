//! Opens the byte stream to a server: TCP or a Unix socket, with or without TLS.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{plain_probe, tcp, tls, unix};
use crate::config::TlsSettings;
use crate::model::{PollError, PollFailure};
use crate::topology::Server;

/// A byte stream of any kind that carries the Redis protocol.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for S {}

/// Opens a stream to `server` before `deadline`.
///
/// # Errors
/// Why no connection was established, or why its TLS handshake failed.
pub(super) async fn open(
    server: &Server,
    deadline: Instant,
) -> Result<Box<dyn Transport>, PollFailure> {
    if let Some(path) = server.addr.unix_path() {
        return Ok(Box::new(unix::connect(path).await?));
    }
    let (host, port) = server.addr.tcp().ok_or(PollError::Dns)?;
    let stream = tcp::connect(host, port, deadline).await?;
    match &server.tls {
        Some(settings) => secured(stream, server, settings, deadline).await,
        None => Ok(Box::new(stream)),
    }
}

/// Performs the TLS handshake on `stream`. A plain Redis port waits silently for the end of what it
/// takes for a line, and a frozen server is silent too: halfway to the deadline a probe finds
/// out which of the two it is.
async fn secured(
    stream: TcpStream,
    server: &Server,
    settings: &TlsSettings,
    deadline: Instant,
) -> Result<Box<dyn Transport>, PollFailure> {
    let peer = stream.peer_addr();
    let left = deadline.saturating_duration_since(Instant::now());
    let handshake = async {
        let secured = tls::connect(stream, &server.addr, settings, deadline).await?;
        Ok(Box::new(secured) as Box<dyn Transport>)
    };
    tokio::pin!(handshake);
    if let Ok(connected) = timeout(left / 2, &mut handshake).await {
        return connected;
    }
    let Ok(peer) = peer else {
        return handshake.await;
    };
    tokio::select! {
        connected = &mut handshake => connected,
        () = plain_probe::until_answered(peer) => Err(tls::plain_port(&server.addr)),
    }
}
