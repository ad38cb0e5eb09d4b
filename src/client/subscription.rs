//! A connection on which the messages of some channels are received:
//! <https://redis.io/docs/latest/develop/pubsub/>.

use redis::{PushKind, Value};
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, InfoReply};
use super::error;
use super::framing::{Framing, ReplyShape};
use super::wire::Wire;
use crate::model::{PollError, PollFailure, Span, Timestamp};
use crate::topology::Server;

/// The longest message: a channel's name and a number, and Redis's own errors, take a fraction of
/// it.
const MAX_MESSAGE: usize = 1024;

/// A message that was published on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMessage {
    /// The channel.
    pub channel: String,
    /// The message itself; bytes that are not UTF-8 are replaced.
    pub payload: String,
    /// Just after its last byte was read.
    pub received: Timestamp,
}

/// A connection that receives messages once it is subscribed. Dropping it closes it.
pub struct Subscription {
    wire: Wire,
    channels: Vec<String>,
}

/// What the server sends to a subscribed connection.
enum Push {
    /// The messages of this channel come from now on.
    Subscribed { channel: String },
    /// A message was published.
    Message { channel: String, payload: String },
}

impl Push {
    fn channel(&self) -> &str {
        match self {
            Self::Subscribed { channel } | Self::Message { channel, .. } => channel,
        }
    }
}

impl Subscription {
    /// Connects to `server` for the messages of `channels`, logs in and queries INFO. Since that
    /// comes over the same connection, it identifies the process that sends the messages.
    ///
    /// # Errors
    /// As [`Connection::connect`] and [`Connection::fetch_info`]; [`PollError::Timeout`] when all
    /// of it takes longer than `within`.
    pub async fn open(
        server: &Server,
        channels: &[&str],
        within: Span,
    ) -> Result<(Self, InfoReply), PollFailure> {
        let deadline = Instant::now() + within.to_duration();
        let open = async {
            let connection = Connection::connect_before(server, deadline).await?;
            Self::over(connection, channels).await
        };
        match timeout_at(deadline, open).await {
            Ok(opened) => opened,
            Err(_) => Err(PollError::Timeout.into()),
        }
    }

    async fn over(
        mut connection: Connection,
        channels: &[&str],
    ) -> Result<(Self, InfoReply), PollFailure> {
        let info = connection.fetch_info().await?;
        let subscription = Self {
            wire: connection.into_wire(),
            channels: channels.iter().map(ToString::to_string).collect(),
        };
        Ok((subscription, info))
    }

    /// Subscribes, without a limit in time. To be called once. Messages that come on one channel
    /// before the last one is subscribed are dropped.
    ///
    /// # Errors
    /// [`PollError::Denied`] when the user may not subscribe, or not to one of these channels; or
    /// why the connection ended.
    pub async fn subscribe(&mut self) -> Result<(), PollError> {
        let mut subscribe = redis::cmd("SUBSCRIBE");
        subscribe.arg(&self.channels);
        let framing = Framing::new(ReplyShape::Message, MAX_MESSAGE);
        let request = subscribe.get_packed_command();
        self.wire.send(&request, framing).await?;
        let mut confirmed = 0;
        while confirmed < self.channels.len() {
            match self.next_push().await? {
                Push::Subscribed { .. } => confirmed += 1,
                Push::Message { .. } if confirmed == 0 => return Err(PollError::Protocol),
                Push::Message { .. } => {}
            }
        }
        Ok(())
    }

    /// Waits for the next message, without a limit in time. Cancelling and calling it again loses
    /// nothing.
    ///
    /// # Errors
    /// Why there will be no more.
    pub async fn next(&mut self) -> Result<ChannelMessage, PollError> {
        let Push::Message { channel, payload } = self.next_push().await? else {
            return Err(PollError::Protocol);
        };
        Ok(ChannelMessage {
            channel,
            payload,
            received: self.wire.last_byte().ok_or(PollError::Protocol)?,
        })
    }

    async fn next_push(&mut self) -> Result<Push, PollError> {
        let reply = self.wire.next_reply().await?.extract_error();
        let reply = reply.map_err(|error| error::reason_of(&error))?;
        let push = parse_push(&reply).ok_or(PollError::Protocol)?;
        if self.channels.iter().any(|own| own == push.channel()) {
            Ok(push)
        } else {
            Err(PollError::Protocol)
        }
    }
}

fn parse_push(reply: &Value) -> Option<Push> {
    let (kind, rest) = match reply {
        Value::Array(words) => split_kind(words)?,
        Value::Push { kind, data } => (kind.clone(), data.as_slice()),
        _ => return None,
    };
    match (kind, rest) {
        (PushKind::Subscribe, [Value::BulkString(channel), Value::Int(_)]) => {
            Some(Push::Subscribed {
                channel: text(channel),
            })
        }
        (PushKind::Message, [Value::BulkString(channel), Value::BulkString(payload)]) => {
            Some(Push::Message {
                channel: text(channel),
                payload: text(payload),
            })
        }
        _ => None,
    }
}

/// The kind of a push in RESP2, where it is the first element of an array.
fn split_kind(words: &[Value]) -> Option<(PushKind, &[Value])> {
    let (Value::BulkString(kind), rest) = words.split_first()? else {
        return None;
    };
    match kind.as_slice() {
        b"subscribe" => Some((PushKind::Subscribe, rest)),
        b"message" => Some((PushKind::Message, rest)),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::client::testing::{FakeServer, Script, bulk};
    use crate::clock;

    fn subscribed(channel: &str) -> String {
        format!("*3\r\n{}{}:1\r\n", bulk("subscribe"), bulk(channel))
    }

    fn message(channel: &str, payload: &str) -> String {
        format!(
            "*3\r\n{}{}{}",
            bulk("message"),
            bulk(channel),
            bulk(payload)
        )
    }

    /// A server of version 7 that answers SUBSCRIBE with `answer`.
    async fn open(answer: String) -> (Result<Subscription, PollError>, FakeServer) {
        let (near, far) = duplex(4096);
        let plain = Script::version("7.0.15");
        let script = Script::new(move |request| match request.split(' ').next() {
            Some("SUBSCRIBE") => answer.clone(),
            _ => plain.ask(request),
        });
        let server = FakeServer::over(far, script);
        let connection = Connection::over(Box::new(near), None).await.unwrap();
        let (mut subscription, info) = Subscription::over(connection, &["ch"]).await.unwrap();
        assert!(info.text.contains("run_id:"));
        let subscribed = subscription.subscribe().await;
        (subscribed.map(|()| subscription), server)
    }

    #[tokio::test]
    async fn messages_come_one_by_one_on_the_connection_that_asked_for_info() {
        let (subscription, server) =
            open(subscribed("ch") + &message("ch", "1") + &message("ch", "2")).await;
        let mut subscription = subscription.unwrap();
        for expected in ["1", "2"] {
            assert_eq!(subscription.next().await.unwrap().payload, expected);
        }
        assert_eq!(
            server.requests().last().map(String::as_str),
            Some("SUBSCRIBE ch")
        );
        assert!(
            server.requests().contains(&"INFO server".to_owned()),
            "{:?}",
            server.requests()
        );
        drop(server);
        assert_eq!(subscription.next().await, Err(PollError::Reset));
    }

    #[tokio::test]
    async fn messages_of_several_channels_are_distinguished() {
        let (near, far) = duplex(4096);
        let plain = Script::version("7.0.15");
        let early =
            subscribed("+a") + &message("+a", "early") + &subscribed("-b") + &message("-b", "x");
        let server = FakeServer::over(
            far,
            Script::new(move |request| {
                if request == "SUBSCRIBE +a -b" {
                    early.clone()
                } else {
                    plain.ask(request)
                }
            }),
        );
        let connection = Connection::over(Box::new(near), None).await.unwrap();
        let (mut subscription, _) = Subscription::over(connection, &["+a", "-b"]).await.unwrap();
        subscription.subscribe().await.unwrap();
        let message = subscription.next().await.unwrap();
        assert_eq!(
            (message.channel.as_str(), message.payload.as_str()),
            ("-b", "x")
        );
        drop(server);
    }

    #[tokio::test]
    async fn a_refusal_has_its_reason() {
        let cases = [
            (
                "-NOPERM this user has no permissions to access one of the channels\r\n".to_owned(),
                PollError::Denied,
            ),
            ("-ERR unknown command\r\n".to_owned(), PollError::Protocol),
            (subscribed("other"), PollError::Protocol),
            (message("ch", "1"), PollError::Protocol),
            ("+OK\r\n".to_owned(), PollError::Protocol),
            ("*3\r\n".to_owned() + &"$".repeat(2000), PollError::Protocol),
            ("*2\r\n+message\r\n+ch\r\n".to_owned(), PollError::Protocol),
            ("*9\r\n".to_owned(), PollError::TooLarge),
            (String::new(), PollError::Reset),
        ];
        for (answer, expected) in cases {
            assert_eq!(
                open(answer.clone()).await.0.err(),
                Some(expected),
                "{answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_unexpected_push_ends_the_subscription() {
        for wrong in [
            message("other", "1"),
            subscribed("ch"),
            "-ERR\r\n".to_owned(),
            "$1\r\na\r\n".to_owned(),
        ] {
            let (subscription, _server) = open(subscribed("ch") + &wrong).await;
            assert_eq!(
                subscription.unwrap().next().await,
                Err(PollError::Protocol),
                "{wrong:?}"
            );
        }
    }

    #[tokio::test]
    async fn messages_come_as_pushes_of_resp3_too() {
        let push = |text: String| text.replacen('*', ">", 1);
        let answer = push(subscribed("ch")) + &push(message("ch", "1"));
        let (subscription, _server) = open(answer).await;
        let message = subscription.unwrap().next().await.unwrap();
        assert_eq!(message.payload, "1");
    }

    #[tokio::test]
    async fn each_message_is_bounded_separately() {
        let long = "x".repeat(MAX_MESSAGE - 100);
        let answer = subscribed("ch") + &message("ch", &long) + &message("ch", &long);
        let too_long = message("ch", &"x".repeat(MAX_MESSAGE));
        let (subscription, _server) = open(answer + &too_long).await;
        let mut subscription = subscription.unwrap();
        for _ in 0..2 {
            assert_eq!(subscription.next().await.unwrap().payload, long);
        }
        assert_eq!(subscription.next().await, Err(PollError::TooLarge));
        assert_eq!(subscription.next().await, Err(PollError::TooLarge));
    }

    #[tokio::test]
    async fn a_message_that_comes_in_pieces_survives_a_cancelled_wait() {
        let (near, mut far) = duplex(4096);
        let mut subscription = Subscription {
            wire: Wire::new(Box::new(near)),
            channels: vec!["ch".to_owned()],
        };
        far.write_all(subscribed("ch").as_bytes()).await.unwrap();
        subscription.subscribe().await.unwrap();
        let mut request = [0; 64];
        assert!(far.read(&mut request).await.unwrap() > 0);
        let text = message("ch", "42");
        let began = clock::now();
        for byte in text.as_bytes() {
            let waits = async {
                tokio::select! {
                    biased;
                    message = subscription.next() => Some(message),
                    () = tokio::task::yield_now() => None,
                }
            };
            assert_eq!(waits.await, None);
            far.write_all(&[*byte]).await.unwrap();
        }
        let message = subscription.next().await.unwrap();
        assert_eq!(message.payload, "42");
        assert!(message.received >= began);
        drop(subscription);
        let end = far.read(&mut [0]).await.unwrap();
        assert_eq!(end, 0, "dropping it closes the stream");
    }
}
