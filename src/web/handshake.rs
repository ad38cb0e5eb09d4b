//! The TLS handshake, and the refusal of clients that speak plain HTTP to a TLS port.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::access::Tls;
use super::limits::Limits;
use super::refusal;

/// The first byte of a TLS connection: a record of the type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Performs the handshake within the limits; `None` when the connection cannot be served.
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
    let received = stream.peek(&mut first).await?;
    if received > 0 && first != [TLS_HANDSHAKE] {
        refusal::wrong_protocol(stream, refusal).await;
        return Ok(None);
    }
    let stream = tls.acceptor().accept(stream).await?;
    Ok(Some(stream))
}
