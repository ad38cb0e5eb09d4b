//! Minimal RESP2: enough to send a lab server an administrator's command (`CONFIG SET`,
//! `REPLICAOF`, `DEBUG SLEEP`). Protocol:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::LabError;
use super::lines::read_line;
use crate::model::{Secret, ServerAddr};

/// How long a command may take unless [`Connection::within`] says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);
/// The longest line of a reply: error lines and numbers are far shorter.
const MAX_LINE: usize = 64 * 1024;
/// The longest bulk string that is read: no administrator's reply comes near it.
const MAX_BULK: usize = 16 * 1024 * 1024;
/// The longest array that is read.
const MAX_ITEMS: usize = 100_000;
/// The deepest nesting of arrays that is read: `COMMAND DOCS`, the deepest reply known, has fewer
/// levels.
const MAX_DEPTH: usize = 16;

/// A RESP2 reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string, such as `OK`.
    Simple(String),
    /// An error line, such as `ERR unknown command`.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// The null bulk string or the null array.
    Null,
    /// An array.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a simple, error or bulk string, bytes that are not UTF-8 replaced; `None` for
    /// other replies.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) | Self::Error(text) => Some(text.clone()),
            Self::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer(_) | Self::Null | Self::Array(_) => None,
        }
    }
}

/// A connection to one Redis server.
#[derive(Debug)]
pub struct Connection {
    server: ServerAddr,
    stream: BufReader<TcpStream>,
    limit: Duration,
}

impl Connection {
    /// Connects to `server` and, when there is a `password`, logs in as the default user.
    ///
    /// # Errors
    /// When the server cannot be reached within 10 s or refuses the password.
    pub async fn open(server: &ServerAddr, password: Option<&Secret>) -> Result<Self, LabError> {
        let connecting = TcpStream::connect(server.to_string());
        let stream = in_time(DEFAULT_LIMIT, connecting)
            .await
            .map_err(LabError::io(format!("connect to {server}")))?;
        stream
            .set_nodelay(true)
            .map_err(LabError::io("set TCP_NODELAY"))?;
        let mut connection = Self {
            server: server.clone(),
            stream: BufReader::new(stream),
            limit: DEFAULT_LIMIT,
        };
        if let Some(password) = password {
            connection.command(&["AUTH", password.reveal()]).await?;
        }
        Ok(connection)
    }

    /// Sets how long each command may take.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends one command and returns its reply, which is never [`Reply::Error`].
    ///
    /// # Errors
    /// [`LabError::CommandRefused`] for an error reply, [`LabError::Io`] when the connection breaks
    /// or the time is up.
    pub async fn command(&mut self, words: &[&str]) -> Result<Reply, LabError> {
        let name = words.first().copied().unwrap_or("an empty command");
        match self.exchange(&encode(words), 1).await?.pop() {
            Some(Reply::Error(reply)) => Err(LabError::CommandRefused {
                server: self.server.to_string(),
                command: name.to_owned(),
                reply,
            }),
            Some(reply) => Ok(reply),
            None => Ok(Reply::Null),
        }
    }

    /// Sends `commands` at once and reads a reply to each; an error reply is an ordinary element.
    ///
    /// # Errors
    /// [`LabError::Io`] when the connection breaks or the time is up.
    pub async fn commands<W: AsRef<[u8]>>(
        &mut self,
        commands: &[Vec<W>],
    ) -> Result<Vec<Reply>, LabError> {
        let mut encoded = Vec::new();
        for words in commands {
            encoded.extend(encode(words));
        }
        self.exchange(&encoded, commands.len()).await
    }

    /// Sends commands that [`encode`] made and reads as many replies; an error reply is an ordinary
    /// element.
    pub(super) async fn exchange(
        &mut self,
        commands: &[u8],
        replies: usize,
    ) -> Result<Vec<Reply>, LabError> {
        let exchange = write_and_read(&mut self.stream, commands, replies);
        let action = format!("exchange commands with {}", self.server);
        in_time(self.limit, exchange)
            .await
            .map_err(LabError::io(action))
    }
}

async fn write_and_read(
    stream: &mut BufReader<TcpStream>,
    commands: &[u8],
    replies: usize,
) -> io::Result<Vec<Reply>> {
    stream.write_all(commands).await?;
    let mut read = Vec::with_capacity(replies);
    for _ in 0..replies {
        let reply = read_reply(stream).await?;
        read.push(reply.ok_or(io::ErrorKind::UnexpectedEof)?);
    }
    Ok(read)
}

/// A command as an array of bulk strings.
pub(super) fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut encoded = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        encoded.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        encoded.extend_from_slice(word);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded
}

/// Reads one reply (or, on a server's side, one command); `None` when the stream ended before it
/// began.
pub async fn read_reply<R: AsyncBufRead + Unpin + Send>(
    reader: &mut R,
) -> io::Result<Option<Reply>> {
    read_nested(reader, 0).await
}

async fn read_nested<R: AsyncBufRead + Unpin + Send>(
    reader: &mut R,
    depth: usize,
) -> io::Result<Option<Reply>> {
    let Some(line) = read_line(reader, MAX_LINE).await? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&line);
    let rest = text.get(1..).unwrap_or_default();
    let reply = match line.first() {
        Some(b'+') => Reply::Simple(rest.to_owned()),
        Some(b'-') => Reply::Error(rest.to_owned()),
        Some(b':') => Reply::Integer(read_integer(rest)?),
        Some(b'$') => read_bulk(reader, rest).await?,
        Some(b'*') => read_array(reader, rest, depth).await?,
        _ => return Err(invalid("the reply is not RESP2")),
    };
    Ok(Some(reply))
}

fn read_integer(text: &str) -> io::Result<i64> {
    text.parse()
        .map_err(|_| invalid("an integer reply is not a number"))
}

async fn read_bulk<R: AsyncBufRead + Unpin + Send>(
    reader: &mut R,
    length: &str,
) -> io::Result<Reply> {
    let Some(length) = read_length(length, MAX_BULK)? else {
        return Ok(Reply::Null);
    };
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(invalid("a bulk string does not end where its length says"));
    }
    bytes.truncate(length);
    Ok(Reply::Bulk(bytes))
}

async fn read_array<R: AsyncBufRead + Unpin + Send>(
    reader: &mut R,
    length: &str,
    depth: usize,
) -> io::Result<Reply> {
    let Some(length) = read_length(length, MAX_ITEMS)? else {
        return Ok(Reply::Null);
    };
    if depth >= MAX_DEPTH {
        return Err(invalid("arrays are nested too deeply"));
    }
    let mut items = Vec::new();
    for _ in 0..length {
        let item = Box::pin(read_nested(reader, depth + 1)).await?;
        items.push(item.ok_or(io::ErrorKind::UnexpectedEof)?);
    }
    Ok(Reply::Array(items))
}

/// A length that may be -1, which means null.
fn read_length(text: &str, limit: usize) -> io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let length: usize = text
        .parse()
        .map_err(|_| invalid("a length is not a number"))?;
    if length > limit {
        Err(invalid("a length is above the limit"))
    } else {
        Ok(Some(length))
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    if let Ok(result) = timeout(limit, work).await {
        return result;
    }
    let sentence = format!("no answer within {:.1} s", limit.as_secs_f64());
    Err(io::Error::new(io::ErrorKind::TimedOut, sentence))
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], expected: Result<Option<Reply>, io::ErrorKind>) {
        let mut reader = input;
        assert_eq!(
            read_reply(&mut reader).await.map_err(|e| e.kind()),
            expected,
            "{}",
            input.escape_ascii()
        );
    }

    #[tokio::test]
    async fn every_kind_of_reply_is_read() {
        check(b"+OK\r\n", Ok(Some(Reply::Simple("OK".into())))).await;
        check(b"-ERR no\r\n", Ok(Some(Reply::Error("ERR no".into())))).await;
        check(b":-7\r\n", Ok(Some(Reply::Integer(-7)))).await;
        check(
            b"$4\r\na\r\nb\r\n",
            Ok(Some(Reply::Bulk(b"a\r\nb".to_vec()))),
        )
        .await;
        check(b"$-1\r\n", Ok(Some(Reply::Null))).await;
        check(
            b"*2\r\n:1\r\n*0\r\n",
            Ok(Some(Reply::Array(vec![
                Reply::Integer(1),
                Reply::Array(vec![]),
            ]))),
        )
        .await;
        check(b"", Ok(None)).await;
    }

    #[tokio::test]
    async fn what_is_not_resp_or_too_large_is_refused() {
        for input in [
            "HTTP/1.1 200 OK\r\n",
            "\r\n",
            ":x\r\n",
            "$99999999999\r\n",
            "$-2\r\n",
            "*100001\r\n",
            "$1\r\nabc\r\n",
        ] {
            check(input.as_bytes(), Err(io::ErrorKind::InvalidData)).await;
        }
        check(
            &b"*1\r\n".repeat(MAX_DEPTH + 1),
            Err(io::ErrorKind::InvalidData),
        )
        .await;
        check(b"$5\r\nab", Err(io::ErrorKind::UnexpectedEof)).await;
        check(b"*2\r\n:1\r\n", Err(io::ErrorKind::UnexpectedEof)).await;
    }

    #[tokio::test]
    async fn a_command_reads_back_as_an_array_of_its_words() {
        let encoded = encode(&["SET", "key", "two words\r\n"]);
        let words = ["SET", "key", "two words\r\n"].map(|w| Reply::Bulk(w.into()));
        check(&encoded, Ok(Some(Reply::Array(words.to_vec())))).await;
    }
}
