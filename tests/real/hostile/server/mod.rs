//! Servers that misbehave, in every way that a client of Redis has to survive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

mod errors;
mod replies;

use redis_cross_dc_exporter::lab::{LabError, Loopback, read_reply};
use redis_cross_dc_exporter::model::ServerAddr;

pub(crate) use errors::ErrorReply;

/// What the bulk reply of [`Misbehaviour::HugeBulk`] announces: 1 GiB, twice Redis' own limit for a
/// string.
const HUGE_BULK: usize = 1024 * 1024 * 1024;
/// What endless replies are made of.
const FILLER: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// What a hostile server does with each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    /// Accepts and reads, and never answers.
    Hang,
    /// Answers the first bytes with bytes that are no protocol, and closes.
    Garbage,
    /// Answers with a line that never ends.
    EndlessLine,
    /// Announces a bulk string of 1 GiB and sends it, as fast as the client reads.
    HugeBulk,
    /// Announces a bulk string of 1 KiB and sends it a byte per interval.
    Drip(Duration),
    /// Resets the connection as soon as it is accepted.
    Reset,
    /// Resets the connection when the first bytes arrive: over TLS, in the middle of the handshake.
    ResetOnCommand,
    /// Answers everything but INFO; resets the connection in the middle of INFO's reply.
    ResetMidReply,
    /// Closes the connection, in order, as soon as it is accepted.
    CloseOnAccept,
    /// Closes the connection, in order, when the first bytes arrive.
    CloseOnCommand,
    /// Answers every command with this error.
    Error(ErrorReply),
    /// Is a master, and names more replicas than anybody has.
    ManyReplicas,
    /// Answers INFO with thousands of lines that mean nothing.
    ManyLines,
    /// Answers each command with small replies without end.
    EndlessReplies,
    /// Is a web server: answers the first bytes with an HTTP 400 and closes.
    Http,
}

/// A running hostile server. On drop it stops.
#[derive(Debug)]
pub(crate) struct HostileServer(Loopback);

impl HostileServer {
    /// Listens on a port of 127.0.0.1 that the system picks.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start(misbehaviour: Misbehaviour) -> Result<Self, LabError> {
        let handle = move |stream| async move {
            // The victim may leave at any time; that is all that can go wrong.
            let _ = misbehave(stream, misbehaviour).await;
        };
        Ok(Self(Loopback::start(handle).await?))
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> &ServerAddr {
        self.0.addr()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.0.accepted()
    }
}

async fn misbehave(mut stream: TcpStream, misbehaviour: Misbehaviour) -> io::Result<()> {
    match misbehaviour {
        Misbehaviour::Reset => return stream.set_zero_linger(),
        Misbehaviour::CloseOnAccept => return stream.shutdown().await,
        Misbehaviour::ManyReplicas => {
            return replies::answer_info(stream, &replies::many_replicas()).await;
        }
        Misbehaviour::ManyLines => {
            return replies::answer_info(stream, &replies::many_lines()).await;
        }
        Misbehaviour::ResetMidReply => return replies::reset_in_the_middle(stream).await,
        Misbehaviour::Error(ErrorReply::MaxClients) => {
            return close_after(&mut stream, ErrorReply::MaxClients.line().as_bytes()).await;
        }
        Misbehaviour::Error(error) => return answer_each(stream, error).await,
        _ => {}
    }
    // Everybody else waits for a command, so that the client is past its connect.
    if stream.read(&mut [0; 1024]).await? == 0 {
        return Ok(());
    }
    match misbehaviour {
        Misbehaviour::Garbage => {
            close_after(&mut stream, b"\x16\x03\x01\x00\xff not RESP \x00\r\n").await
        }
        Misbehaviour::Http => {
            close_after(
                &mut stream,
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            )
            .await
        }
        Misbehaviour::EndlessLine => flood(&mut stream, "+", usize::MAX).await,
        Misbehaviour::HugeBulk => flood(&mut stream, &format!("${HUGE_BULK}\r\n"), HUGE_BULK).await,
        Misbehaviour::Drip(interval) => drip(&mut stream, interval).await,
        Misbehaviour::CloseOnCommand => stream.shutdown().await,
        Misbehaviour::ResetOnCommand => stream.set_zero_linger(),
        Misbehaviour::EndlessReplies => replies::flood(&mut stream).await,
        // The others have been dealt with above.
        _ => swallow(&mut stream).await,
    }
}

/// Answers each command with its error.
async fn answer_each(stream: TcpStream, error: ErrorReply) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(command) = read_reply(&mut stream).await? {
        stream
            .write_all(error.answer(&replies::name_of(&command)).as_bytes())
            .await?;
    }
    Ok(())
}

/// Sends `last_words`, closes the sending side, and reads on until the client closes too: a close
/// with unread bytes would become a reset, which may overtake the last words.
async fn close_after(stream: &mut TcpStream, last_words: &[u8]) -> io::Result<()> {
    stream.write_all(last_words).await?;
    stream.shutdown().await?;
    swallow(stream).await
}

/// Sends `start` and then `length` bytes of filler.
async fn flood(stream: &mut TcpStream, start: &str, length: usize) -> io::Result<()> {
    stream.write_all(start.as_bytes()).await?;
    let mut left = length;
    while left > 0 {
        let part = left.min(FILLER.len());
        stream.write_all(&FILLER[..part]).await?;
        left -= part;
    }
    stream.write_all(b"\r\n").await?;
    swallow(stream).await
}

async fn drip(stream: &mut TcpStream, interval: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"$1024\r\n").await?;
    for byte in FILLER.chunks(1).take(1024) {
        stream.write_all(byte).await?;
        sleep(interval).await;
    }
    stream.write_all(b"\r\n").await?;
    swallow(stream).await
}

/// Reads until the client closes.
async fn swallow<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<()> {
    tokio::io::copy(reader, &mut tokio::io::sink())
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_cross_dc_exporter::lab::Connection;
    use redis_cross_dc_exporter::model::Secret;

    async fn start(misbehaviour: Misbehaviour) -> HostileServer {
        HostileServer::start(misbehaviour).await.unwrap()
    }

    const PATIENT: Duration = Duration::from_secs(30);
    const IMPATIENT: Duration = Duration::from_millis(200);

    /// What a client sees as the answer to INFO within `limit`.
    async fn check(misbehaviour: Misbehaviour, limit: Duration, seen: &str) {
        let server = start(misbehaviour).await;
        let mut connection = Connection::open(server.addr(), None)
            .await
            .unwrap()
            .within(limit);
        let error = connection.command(&["INFO"]).await.unwrap_err().to_string();
        assert!(error.contains(seen), "{misbehaviour:?}: {error}");
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn each_hostile_server_misbehaves_as_declared() {
        check(Misbehaviour::Hang, IMPATIENT, "no answer within").await;
        check(
            Misbehaviour::Drip(Duration::from_millis(20)),
            IMPATIENT,
            "no answer within",
        )
        .await;
        check(Misbehaviour::Garbage, PATIENT, "not RESP2").await;
        check(Misbehaviour::Http, PATIENT, "not RESP2").await;
        check(Misbehaviour::EndlessLine, PATIENT, "a line is longer than").await;
        check(Misbehaviour::HugeBulk, PATIENT, "above the limit").await;
        check(Misbehaviour::CloseOnCommand, PATIENT, "end of file").await;
        check(Misbehaviour::CloseOnAccept, PATIENT, "").await;
        check(Misbehaviour::ResetOnCommand, PATIENT, "reset by peer").await;
        check(Misbehaviour::ResetMidReply, PATIENT, "reset by peer").await;
        check(Misbehaviour::Error(ErrorReply::Loading), PATIENT, "LOADING").await;
        check(Misbehaviour::Error(ErrorReply::NoAuth), PATIENT, "NOAUTH").await;
        check(Misbehaviour::Error(ErrorReply::NoPerm), PATIENT, "NOPERM").await;
        check(
            Misbehaviour::Error(ErrorReply::MaxClients),
            PATIENT,
            "max number of clients reached",
        )
        .await;
        check(Misbehaviour::Error(ErrorReply::Busy), PATIENT, "BUSY").await;
        check(Misbehaviour::Error(ErrorReply::Moved), PATIENT, "MOVED").await;
        check(Misbehaviour::Error(ErrorReply::Ask), PATIENT, "ASK").await;
    }

    #[tokio::test]
    async fn long_info_answers_are_complete() {
        for (misbehaviour, part) in [
            (Misbehaviour::ManyReplicas, "\nslave1099:ip="),
            (Misbehaviour::ManyLines, "\nmeaningless:"),
        ] {
            let server = start(misbehaviour).await;
            let mut connection = Connection::open(server.addr(), None).await.unwrap();
            connection
                .command(&["CLIENT", "SETNAME", "x"])
                .await
                .unwrap();
            for _ in 0..2 {
                assert!(
                    connection
                        .command(&["INFO"])
                        .await
                        .unwrap()
                        .text()
                        .unwrap()
                        .contains(part)
                );
            }
        }
    }

    #[tokio::test]
    async fn endless_replies_continue_after_the_requested_one() {
        let server = start(Misbehaviour::EndlessReplies).await;
        let mut stream = TcpStream::connect(server.addr().to_string()).await.unwrap();
        stream.write_all(b"*1\r\n$4\r\nINFO\r\n").await.unwrap();
        let mut start = vec![0; 1_000_000];
        stream.read_exact(&mut start).await.unwrap();
        assert!(start.chunks_exact(5).all(|reply| reply == b"+OK\r\n"));
    }

    #[tokio::test]
    async fn a_reset_is_seen_as_one() {
        let server = start(Misbehaviour::Reset).await;
        // The reset may come before or after the connect returns.
        let stream = TcpStream::connect(server.addr().to_string()).await;
        let read = match stream {
            Ok(mut stream) => stream.read(&mut [0]).await,
            Err(error) => Err(error),
        };
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn passwords_are_refused_or_accepted_as_the_error_says() {
        let password = Secret::new("pw");
        let refuses = start(Misbehaviour::Error(ErrorReply::NoAuth)).await;
        let denied = Connection::open(refuses.addr(), Some(&password))
            .await
            .unwrap_err()
            .to_string();
        assert!(denied.contains("WRONGPASS"), "{denied}");
        let accepts = start(Misbehaviour::Error(ErrorReply::NoPerm)).await;
        Connection::open(accepts.addr(), Some(&password))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_huge_bulk_is_sent_at_full_speed_and_a_slow_one_byte_by_byte() {
        for misbehaviour in [
            Misbehaviour::HugeBulk,
            Misbehaviour::Drip(Duration::from_millis(1)),
        ] {
            let server = start(misbehaviour).await;
            let mut stream = TcpStream::connect(server.addr().to_string()).await.unwrap();
            stream.write_all(b"*1\r\n$4\r\nINFO\r\n").await.unwrap();
            let mut start = [0; 64];
            stream.read_exact(&mut start).await.unwrap();
            assert!(
                start.starts_with(b"$10") && start.ends_with(b"xxxx"),
                "{}",
                start.escape_ascii()
            );
        }
    }
}
