//! Answers to connections that are not served: bytes that need no HTTP stack.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// The answer to a connection over the limit.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 46\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
    too many connections are open; try again later";

/// The answer to plain HTTP on a port that speaks TLS.
const WRONG_PROTOCOL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 38\r\nconnection: close\r\n\r\nthis port speaks HTTPS: use https://.\n";

/// Refuses a connection over the limit, and closes it within `limit`.
pub(super) async fn too_many_connections<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    limit: Duration,
) {
    answer(stream, TOO_MANY_CONNECTIONS, limit).await;
}

/// Refuses a connection that does not speak TLS, and closes it within `limit`.
pub(super) async fn wrong_protocol<S: AsyncRead + AsyncWrite + Unpin>(stream: S, limit: Duration) {
    answer(stream, WRONG_PROTOCOL, limit).await;
}

/// Sends a fixed answer whatever the client asks, then reads until the client closes: to close with
/// unread input would reset the connection, and the client would lose the answer.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8], limit: Duration) {
    let exchange = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    match timeout(limit, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused HTTP connection ended early"),
        Err(_) => tracing::debug!("a refused HTTP connection was not closed by its client"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_refused_client_may_finish_its_request_and_is_not_waited_for() {
        let (server, mut client) = duplex(1024);
        let refusing = tokio::spawn(too_many_connections(server, LIMIT));
        client
            .write_all(&[b'x'; 5000])
            .await
            .expect("somebody reads it");
        let began = Instant::now();
        refusing.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, TOO_MANY_CONNECTIONS);
    }

    #[test]
    fn each_answer_has_the_length_that_it_announces() {
        for answer in [TOO_MANY_CONNECTIONS, WRONG_PROTOCOL] {
            let text = std::str::from_utf8(answer).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = format!("\r\ncontent-length: {}\r\n", body.len());
            assert!(head.contains(&length), "{head}");
        }
    }
}
