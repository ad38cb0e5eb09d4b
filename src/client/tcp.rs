//! TCP connections: resolves names, tries every address, and gives each failure its reason.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::model::{PollError, PollFailure};

/// How long a connection is idle before the kernel probes it. Below the idle timeout of all common
/// NATs and load balancers (350 s is the shortest), for exporters that poll less often than that.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Connects to `port` of `host` before `deadline`.
///
/// # Errors
/// [`PollError::Dns`] when the name has no address in time; otherwise the reason of the last
/// address that was tried.
pub(super) async fn connect(
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, PollFailure> {
    let addresses = match timeout_at(deadline, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => return Err(unresolved(host, &resolver_message(&error))),
        Err(_) => return Err(unresolved(host, "the resolver gave no answer in time")),
    };
    Ok(connect_to_any(&addresses, deadline).await?)
}

/// This machine's resolver did not find `host`.
fn unresolved(host: &str, why: &str) -> PollFailure {
    PollFailure::own(
        PollError::Dns,
        &format!("the host name {host} cannot be resolved: {why}"),
    )
}

/// The resolver's message, without the prefix that repeats what the caller writes.
fn resolver_message(error: &io::Error) -> String {
    let text = error.to_string();
    let message = text.strip_prefix("failed to lookup address information: ");
    message.unwrap_or(&text).to_owned()
}

/// Connects to the first of `addresses` that accepts, in the resolver's order (RFC 6724).
async fn connect_to_any(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, PollError> {
    let mut last = PollError::Dns;
    for (index, address) in addresses.iter().enumerate() {
        // An address that does not answer must leave time for those after it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match connect_one(*address, share).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_one(address: SocketAddr, within: Duration) -> Result<TcpStream, PollError> {
    let stream = timeout(within, TcpStream::connect(address))
        .await
        .map_err(|_| PollError::Timeout)?
        .map_err(|error| reason_of(&error))?;
    configure(&stream).map_err(|error| reason_of(&error))?;
    Ok(stream)
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    // A request is one small packet: delaying it (Nagle) would only add to the round trip.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    Ok(())
}

/// Why no connection was established.
fn reason_of(error: &io::Error) -> PollError {
    match error.kind() {
        // An ICMP "unreachable" is a router or a firewall that rejects.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::PermissionDenied => PollError::Refused,
        io::ErrorKind::TimedOut => PollError::Timeout,
        _ => PollError::Reset,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn attempt(host: &str, port: u16) -> Result<TcpStream, PollFailure> {
        connect(host, port, Instant::now() + Duration::from_secs(10)).await
    }

    #[tokio::test]
    async fn a_listening_server_is_reached_by_address_and_by_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let stream = attempt(host, port).await.unwrap();
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_failure_has_its_reason() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(
            attempt("127.0.0.1", port).await.unwrap_err().reason,
            PollError::Refused
        );
        let failure = attempt("no-such-host.invalid", 1).await.unwrap_err();
        assert_eq!(failure.reason, PollError::Dns);
        let sentence = failure.sentence("the master");
        let expected = "this exporter cannot find the master: the host name no-such-host.invalid \
                        cannot be resolved: ";
        assert!(sentence.starts_with(expected), "{sentence}");
    }

    /// An address that never answers: a listener without room for another connection, whose
    /// attempts the kernel drops, as a dead host does.
    async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            queued.push(stream);
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried_in_order_and_in_time() {
        let living = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let (_listener, _queued, silent) = silent().await;
        let living_at = living.local_addr().unwrap();
        let deadline = || Instant::now() + Duration::from_secs(4);
        let stream = connect_to_any(&[refusing, silent, living_at], deadline())
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), living_at);
        let began = Instant::now();
        let soon = began + Duration::from_millis(300);
        assert_eq!(
            connect_to_any(&[refusing, silent], soon).await.unwrap_err(),
            PollError::Timeout
        );
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "the silent address takes only its share"
        );
        assert_eq!(
            connect_to_any(&[silent, refusing], soon).await.unwrap_err(),
            PollError::Refused
        );
        assert_eq!(
            connect_to_any(&[], deadline()).await.unwrap_err(),
            PollError::Dns
        );
    }
}
