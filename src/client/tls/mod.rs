//! TLS to a server: the handshake, and a stream that says why it broke.
//!
//! The cryptography is ring, for the whole program: `Cargo.toml` names it once, in the features of
//! `rustls`, and what goes out over HTTPS uses the same. ring because it needs no more than a C
//! compiler to build and runs wherever the exporter does; nothing here needs FIPS or post-quantum
//! key exchange, which aws-lc-rs would add.

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

/// The part of the time left that a handshake may take: login and the first request need a round
/// trip after it, and whoever waits for the connection must not lose patience before the log says
/// what it was spent on.
const SHARE: f64 = 0.9;

/// Secures `stream` to the server at `addr` before `deadline`. Reads the files that `settings`
/// name, each time anew.
///
/// # Errors
/// [`PollError::Tls`](crate::model::PollError::Tls) for what the files, the certificates or the two
/// sides' ideas of TLS are to blame for; `Reset` when the server closed the connection without a
/// reason; `Timeout` when it said nothing, which a frozen server does, and also a Redis port without
/// TLS: it waits for the end of the line. Each has one log line that says what to do, and the failure
/// carries that sentence.
pub(super) async fn connect<S>(
    stream: S,
    addr: &ServerAddr,
    settings: &TlsSettings,
    deadline: Instant,
) -> Result<TlsStream<S>, PollFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = async {
        let name = server_name(addr, settings)?;
        let config = config(settings.clone()).await?;
        let connected = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        connected.map_err(|error| TlsFailure::of_handshake(&error))
    };
    let left = deadline
        .saturating_duration_since(Instant::now())
        .mul_f64(SHARE);
    match timeout(left, handshake)
        .await
        .unwrap_or(Err(TlsFailure::Silent))
    {
        Ok(inner) => Ok(TlsStream {
            inner,
            addr: addr.clone(),
        }),
        Err(failure) => {
            failure.log(addr);
            Err(failure.told())
        }
    }
}

/// The failure of a handshake with a port that turned out to answer in plain Redis.
pub(super) fn plain_port(addr: &ServerAddr) -> PollFailure {
    TlsFailure::PlainPort.log(addr);
    TlsFailure::PlainPort.told()
}

/// The name or address that the certificate must have.
fn server_name(
    addr: &ServerAddr,
    settings: &TlsSettings,
) -> Result<ServerName<'static>, TlsFailure> {
    let name = settings
        .server_name
        .as_deref()
        .or(addr.host())
        .unwrap_or_default()
        .to_owned();
    ServerName::try_from(name.clone()).map_err(|_| TlsFailure::ServerName(name))
}

/// What a handshake needs, from the files as they are now.
async fn config(settings: TlsSettings) -> Result<ClientConfig, TlsFailure> {
    // A file may stand on a network disk: never wait for it on a thread that serves other servers.
    spawn_blocking(move || build(&settings))
        .await
        .unwrap_or(Err(TlsFailure::Stopping))
}

fn build(settings: &TlsSettings) -> Result<ClientConfig, TlsFailure> {
    let provider = provider();
    let verifier = verifier::of(settings, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFailure::Protocol(failure::sentence_of(&error)))?
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
    // Every connection shows its certificate anew: a resumed session would go on with the one that
    // was rotated away.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A secured stream. What goes wrong with TLS itself after the handshake is logged once, as a
/// sentence, and is an error of the kind [`io::ErrorKind::InvalidData`] with that sentence.
///
/// In TLS 1.3 a server judges the client's certificate after the client has finished its handshake,
/// so a refusal comes here, in the place of the first reply.
pub(super) struct TlsStream<S> {
    inner: tokio_rustls::client::TlsStream<S>,
    addr: ServerAddr,
}

impl<S> TlsStream<S> {
    fn explained<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && let Some(failure) = TlsFailure::of_stream(error)
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
