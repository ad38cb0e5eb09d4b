//! Replies that are too long, too many or broken off, from servers that behave until they are asked
//! for INFO.

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use redis_cross_dc_exporter::lab::{Reply, read_reply};

/// Replicas that [`many_replicas`] names, more than are read, and lines of [`many_lines`]: some 100
/// KB, which every limit on replies lets through.
const MANY: usize = 1100;

/// A small reply, again and again.
const SMALL: &[u8] = b"+OK\r\n";

/// The name of a command.
pub(super) fn name_of(command: &Reply) -> String {
    match command {
        Reply::Array(words) => words.first().and_then(Reply::text).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Answers `OK` until INFO is asked for; whether that has happened before the client left.
async fn until_info(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    while let Some(command) = read_reply(stream).await? {
        if name_of(&command).eq_ignore_ascii_case("INFO") {
            return Ok(true);
        }
        stream.write_all(SMALL).await?;
    }
    Ok(false)
}

/// Answers every INFO with `text`.
pub(super) async fn answer_info(stream: TcpStream, text: &str) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while until_info(&mut stream).await? {
        stream
            .write_all(format!("${}\r\n{text}\r\n", text.len()).as_bytes())
            .await?;
    }
    Ok(())
}

/// Sends the first half of INFO's reply and resets the connection.
pub(super) async fn reset_in_the_middle(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    if until_info(&mut stream).await? {
        stream
            .write_all(b"$60\r\n# Replication\r\nrole:master\r\n")
            .await?;
        stream.get_ref().set_zero_linger()?;
    }
    Ok(())
}

/// Sends small replies forever.
pub(super) async fn flood(stream: &mut TcpStream) -> io::Result<()> {
    let many = SMALL.repeat(3000);
    loop {
        stream.write_all(&many).await?;
    }
}

/// INFO of a master with [`MANY`] replicas, in the words of Redis 7.
pub(super) fn many_replicas() -> String {
    let mut text = format!("redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:{MANY}\r\n");
    for number in 0..MANY {
        let host = format!("10.0.{}.{}", number / 250, number % 250);
        let _ = write!(
            text,
            "slave{number}:ip={host},port=6379,state=online,offset={number},lag=0\r\n"
        );
    }
    let _ = write!(
        text,
        "master_replid:{}\r\nmaster_repl_offset:{MANY}\r\n",
        "ab".repeat(20)
    );
    text
}

/// [`MANY`] lines, none of which means anything.
pub(super) fn many_lines() -> String {
    format!("meaningless:{}\r\n", "x".repeat(90)).repeat(MANY)
}
