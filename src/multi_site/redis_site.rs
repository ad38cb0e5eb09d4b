//! A site behind a connection of the `redis` crate.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::time::{sleep, timeout};

use crate::active_active::{Exchange, Reply, Request, Site, SiteError, WireReply};

/// A site behind any asynchronous connection of the `redis` crate that can be cloned: a
/// `MultiplexedConnection`, a `ConnectionManager` (which connects again by itself) or a
/// `ClusterConnection`.
#[derive(Clone)]
pub struct RedisSite<C> {
    connection: C,
    within: Duration,
}

impl<C> std::fmt::Debug for RedisSite<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSite")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl<C> RedisSite<C> {
    /// The site at the other end of `connection`. Whatever is not answered `within` this time has
    /// failed with [`SiteError::Timeout`].
    pub const fn new(connection: C, within: Duration) -> Self {
        Self { connection, within }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> RedisSite<C> {
    async fn exchange(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Reply, SiteError>>, SiteError> {
        let mut connection = self.connection.clone();
        let mut exchange = Exchange::new(requests);
        loop {
            let commands = exchange.commands();
            if commands.is_empty() {
                return Ok(exchange.finish());
            }
            let mut pipeline = Pipeline::with_capacity(commands.len());
            for words in commands {
                pipeline.add_command(command_of(&words));
            }
            pipeline.ignore_errors();
            let values: Vec<Value> = pipeline
                .query_async(&mut connection)
                .await
                .map_err(|error| error_of(&error))?;
            exchange.take(values.into_iter().map(wire_reply).collect())?;
        }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> Site for RedisSite<C> {
    async fn send(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Reply, SiteError>>, SiteError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        match timeout(self.within, self.exchange(requests)).await {
            Ok(replies) => replies,
            Err(_) => Err(SiteError::Timeout),
        }
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    async fn pause(&self, duration: Duration) {
        sleep(duration).await;
    }
}

/// A command of these words.
pub fn command_of(words: &[Vec<u8>]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word.as_slice());
    }
    command
}

/// A reply of the `redis` crate in this program's form.
pub fn wire_reply(value: Value) -> WireReply {
    match value {
        Value::ServerError(error) => WireReply::Error {
            code: error.code().to_owned(),
            detail: error.details().unwrap_or_default().to_owned(),
        },
        value => match reply_of(value) {
            Some(reply) => WireReply::Value(reply),
            None => WireReply::Error {
                code: "ERR".to_owned(),
                detail: "a reply of an unknown form".to_owned(),
            },
        },
    }
}

fn reply_of(value: Value) -> Option<Reply> {
    Some(match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Number(number),
        Value::Boolean(is_true) => Reply::Number(i64::from(is_true)),
        Value::BulkString(bytes) => Reply::Bytes(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
            Reply::Bytes(text.into_bytes())
        }
        Value::Okay => Reply::Bytes(b"OK".to_vec()),
        Value::Double(number) => Reply::Bytes(number.to_string().into_bytes()),
        Value::Array(values) | Value::Set(values) => list_of(values)?,
        Value::Map(pairs) => list_of(pairs.into_iter().flat_map(<[Value; 2]>::from).collect())?,
        _ => return None,
    })
}

fn list_of(values: Vec<Value>) -> Option<Reply> {
    let replies: Option<Vec<Reply>> = values.into_iter().map(reply_of).collect();
    replies.map(Reply::List)
}

/// Why a whole pipeline was not answered.
fn error_of(error: &RedisError) -> SiteError {
    if error.is_timeout() {
        return SiteError::Timeout;
    }
    match error.code() {
        Some(code) => SiteError::from_reply(code, error.detail().unwrap_or_default()),
        // A connection that broke, or that a pool could not make.
        None => SiteError::Disconnected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active_active::Script;

    fn parsed(text: &str) -> WireReply {
        wire_reply(redis::parse_redis_value(text.as_bytes()).unwrap())
    }

    #[test]
    fn replies_of_both_protocols_are_the_same() {
        let expected = WireReply::Value(Reply::List(vec![
            Reply::Bytes(b"p:dc1".to_vec()),
            Reply::Bytes(b"5".to_vec()),
        ]));
        assert_eq!(parsed("*2\r\n$5\r\np:dc1\r\n$1\r\n5\r\n"), expected);
        assert_eq!(parsed("%1\r\n$5\r\np:dc1\r\n$1\r\n5\r\n"), expected);
        assert_eq!(parsed("$-1\r\n"), WireReply::Value(Reply::Nil));
        assert_eq!(parsed("_\r\n"), WireReply::Value(Reply::Nil));
        assert_eq!(parsed(":7\r\n"), WireReply::Value(Reply::Number(7)));
    }

    #[test]
    fn errors_keep_their_code() {
        let error = |code: &str, detail: &str| WireReply::Error {
            code: code.to_owned(),
            detail: detail.to_owned(),
        };
        assert_eq!(
            parsed("-NOSCRIPT No matching\r\n"),
            error("NOSCRIPT", "No matching")
        );
        assert_eq!(parsed("-OOM command\r\n"), error("OOM", "command"));
    }

    #[test]
    fn scripts_have_the_hash_of_their_text() {
        for script in Script::ALL {
            let computed = redis::Script::new(script.text());
            assert_eq!(
                script.hash(),
                computed.get_hash(),
                "Script::hash of {script:?}"
            );
        }
    }
}
