//! The TLS handshake, and what a client that speaks plain HTTP to a TLS port is told.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::access::Tls;
use super::connection::tell;
use super::limits::Limits;

/// The first byte of a TLS connection: a record of the type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What plain HTTP is told.
pub(super) const WRONG_PROTOCOL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 38\r\nconnection: close\r\n\r\nthis port speaks HTTPS: use https://.\n";

/// Makes TLS of a connection within the limits; `None` when there is nothing to go on with.
pub(super) async fn handshake(
    stream: TcpStream,
    tls: &Tls,
    limits: Limits,
) -> Option<TlsStream<TcpStream>> {
    match timeout(limits.handshake, begin(stream, tls, limits.refusal)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

async fn begin(
    stream: TcpStream,
    tls: &Tls,
    refusal: Duration,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first[0] != TLS_HANDSHAKE {
        tell(stream, WRONG_PROTOCOL, refusal).await;
        return Ok(None);
    }
    tls.acceptor().accept(stream).await.map(Some)
}
