//! From a server's settings to a stream of plain Redis protocol: TCP or a Unix socket, with or
//! without TLS.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{tcp, tls, unix};
use crate::model::PollError;
use crate::topology::Server;

/// A stream of any kind.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for S {}

/// Opens a stream to `server` before `deadline`.
///
/// # Errors
/// Why there is none.
pub(super) async fn open(
    server: &Server,
    deadline: Instant,
) -> Result<Box<dyn Transport>, PollError> {
    if let Some(path) = server.addr.unix_path() {
        return Ok(Box::new(unix::connect(path).await?));
    }
    let (host, port) = server.addr.tcp().ok_or(PollError::Dns)?;
    let stream = tcp::connect(host, port, deadline).await?;
    match &server.tls {
        Some(settings) => Ok(Box::new(
            tls::connect(stream, &server.addr, settings, deadline).await?,
        )),
        None => Ok(Box::new(stream)),
    }
}
