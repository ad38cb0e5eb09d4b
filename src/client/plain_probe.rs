//! Probes whether a port that does not answer a TLS handshake answers in plain Redis: only that
//! distinguishes a wrong port from a frozen server.

use std::future::pending;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Every Redis answers this, even before a login, and it contains no secret.
const PROBE: &[u8] = b"PING\r\n";

/// Returns as soon as `peer` has answered in plain Redis; never returns if it does not.
pub(super) async fn until_answered(peer: SocketAddr) {
    if !speaks_plain_redis(peer).await {
        pending::<()>().await;
    }
}

/// Whether the first byte that comes back begins a simple reply or an error of the Redis protocol.
/// A TLS port sends an alert (byte 21) or closes.
async fn speaks_plain_redis(peer: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(peer).await else {
        return false;
    };
    if stream.write_all(PROBE).await.is_err() {
        return false;
    }
    matches!(stream.read_u8().await, Ok(b'+' | b'-'))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn speaks(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; PROBE.len()];
            stream.read_exact(&mut question).await.unwrap();
            assert_eq!(question, PROBE);
            stream.write_all(answer).await.unwrap();
        };
        tokio::join!(speaks_plain_redis(peer), serve).0
    }

    #[tokio::test]
    async fn only_a_reply_of_the_redis_protocol_counts() {
        assert!(speaks(b"+PONG\r\n").await);
        assert!(speaks(b"-NOAUTH Authentication required.\r\n").await);
        assert!(!speaks(b"\x15\x03\x03\x00\x02\x02\x46").await);
        assert!(!speaks(b"").await);
    }
}
