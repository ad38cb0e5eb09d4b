//! TLS to a server: the handshake, and a stream that reports why it broke.
//!
//! The whole program uses ring for cryptography, HTTPS included: `Cargo.toml` names it once, in the
//! features of `rustls`. It needs only a C compiler to build and runs wherever the exporter does;
//! nothing here needs FIPS or post-quantum key exchange, which aws-lc-rs would add.

mod failure;
mod material;
mod verifier;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::config::TlsSettings;
use crate::model::{PollFailure, ServerAddr};
use failure::TlsFailure;

/// The share of the remaining time that a handshake may take: login and the first request need a
/// round trip after it, and the caller's timeout must not expire before the log says what the time
/// was spent on.
const SHARE: f64 = 0.9;

/// Performs the TLS handshake on `stream` with the server at `addr` before `deadline`. Reads the
/// files that `settings` name each time, so that rotated ones are used.
///
/// # Errors
/// [`PollError::Tls`](crate::model::PollError::Tls) when the files, the certificates or the TLS
/// settings of the two sides are to blame; `Reset` when the server closed the connection without a
/// reason; `Timeout` when it sent nothing, as a frozen server does, and a Redis port without TLS,
/// which waits for the end of the line. Each is logged once with a sentence that says what to do,
/// and the failure carries that sentence.
pub(super) async fn connect<S>(
    stream: S,
    addr: &ServerAddr,
    settings: &TlsSettings,
    deadline: Instant,
) -> Result<TlsStream<S>, PollFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let left = deadline.saturating_duration_since(Instant::now());
    let handshake = handshake(stream, addr, settings);
    let failure = match timeout(left.mul_f64(SHARE), handshake).await {
        Ok(Ok(inner)) => {
            let addr = addr.clone();
            return Ok(TlsStream { inner, addr });
        }
        Ok(Err(failure)) => failure,
        Err(_) => TlsFailure::Silent,
    };
    failure.log(addr);
    Err(failure.to_poll_failure())
}

/// Performs the handshake, without a limit in time.
async fn handshake<S>(
    stream: S,
    addr: &ServerAddr,
    settings: &TlsSettings,
) -> Result<tokio_rustls::client::TlsStream<S>, TlsFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = server_name(addr, settings)?;
    let config = config(settings.clone()).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let connected = connector.connect(name, stream).await;
    connected.map_err(|error| TlsFailure::from_handshake(&error))
}

/// An encrypted connection to another kind of server than Redis.
pub type SecureStream<S> = tokio_rustls::client::TlsStream<S>;

/// Performs the TLS handshake on `stream` with the server at `addr`, which is no Redis server: with
/// a mail server. Reads the files that `settings` name each time. Without a limit in time, which is
/// the caller's.
///
/// # Errors
/// A sentence that says what to do.
pub async fn secure<S>(
    stream: S,
    addr: &ServerAddr,
    settings: &TlsSettings,
) -> Result<SecureStream<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let secured = handshake(stream, addr, settings).await;
    secured.map_err(|failure| match failure {
        TlsFailure::Closed => {
            "the server closed the connection during the TLS handshake: is this its port for TLS?"
                .to_owned()
        }
        failure => failure.to_string(),
    })
}

/// The failure of a handshake with a port that answers in plain Redis.
pub(super) fn plain_port(addr: &ServerAddr) -> PollFailure {
    TlsFailure::PlainPort.log(addr);
    TlsFailure::PlainPort.to_poll_failure()
}

/// The name or address that the certificate must be for.
fn server_name(
    addr: &ServerAddr,
    settings: &TlsSettings,
) -> Result<ServerName<'static>, TlsFailure> {
    let name = settings.server_name.as_deref().or(addr.host());
    let name = name.unwrap_or_default().to_owned();
    ServerName::try_from(name.clone()).map_err(|_| TlsFailure::ServerName(name))
}

/// The configuration of a handshake, from the files as they are now.
async fn config(settings: TlsSettings) -> Result<ClientConfig, TlsFailure> {
    // A file may be on a network file system: never block a thread that serves other servers.
    spawn_blocking(move || build(&settings))
        .await
        .unwrap_or(Err(TlsFailure::Stopping))
}

fn build(settings: &TlsSettings) -> Result<ClientConfig, TlsFailure> {
    let provider = provider();
    let verifier = verifier::build(settings, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFailure::Protocol(failure::describe(&error)))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.client_certificate {
        Some(files) => {
            let (chain, key) = material::client_certificate(files)?;
            let mismatch = |_| TlsFailure::KeyMismatch(files.clone());
            config.with_client_auth_cert(chain, key).map_err(mismatch)?
        }
        None => config.with_no_client_auth(),
    };
    // Without resumption every connection presents its certificate again: a resumed session would
    // keep using the one that was rotated away.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A TLS stream. A failure of TLS itself after the handshake is logged as a sentence, and is an
/// error of the kind [`io::ErrorKind::InvalidData`] with that sentence.
///
/// In TLS 1.3 a server verifies the client's certificate after the client has finished its
/// handshake, so that a refusal arrives here, instead of the first reply.
pub(super) struct TlsStream<S> {
    inner: tokio_rustls::client::TlsStream<S>,
    addr: ServerAddr,
}

impl<S> TlsStream<S> {
    fn explained<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && let Some(failure) = TlsFailure::from_stream(error)
        {
            failure.log(&self.addr);
            let sentence = failure.to_string();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, sentence)));
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.explained(polled)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.explained(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.explained(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
