//! A connection that hears the messages of some channels.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, InfoReply, MAX_INFO_REPLY};
use super::error;
use super::lent::Lent;
use super::login::Login;
use super::push::{MAX_PUSH, Push, parse};
use super::transport::{self, Transport};
use crate::clock;
use crate::model::{Bytes, PollError, PollFailure, Span, Timestamp};
use crate::topology::Server;

/// A message that came out of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMessage {
    /// The channel.
    pub channel: String,
    /// What it says; bytes that are not UTF-8 are replaced.
    pub payload: String,
    /// Just after its last byte was read.
    pub received: Timestamp,
}

/// A connection that hears its channels once it is subscribed. Dropping it closes it.
pub struct Subscription {
    stream: Box<dyn Transport>,
    channels: Vec<String>,
    /// What was read and is no whole push yet.
    heard: Vec<u8>,
    /// When the last of it was read.
    heard_at: Timestamp,
}

impl Subscription {
    /// Connects to `server` for the messages of `channels`, logs in and asks for INFO. That says
    /// which process it is that will be heard: it comes over the same connection.
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
        let ready = async {
            let login = Login::read(&server.addr, &server.credentials).await?;
            let stream = transport::open(server, deadline).await?;
            Self::over(stream, login, channels, MAX_INFO_REPLY).await
        };
        timeout_at(deadline, ready)
            .await
            .unwrap_or_else(|_| Err(PollError::Timeout.into()))
    }

    async fn over(
        stream: Box<dyn Transport>,
        login: Option<Login>,
        channels: &[&str],
        reply: Bytes,
    ) -> Result<(Self, InfoReply), PollFailure> {
        let (lent, kept) = Lent::new(stream);
        let mut connection = Connection::over(lent, login, reply).await?;
        let info = connection.fetch_info().await?;
        // It has read every reply to its end and not one byte beyond, so the stream can go on in
        // another mode.
        connection.release().await;
        let stream = kept.take_back().ok_or(PollError::Reset)?;
        let channels = channels
            .iter()
            .map(|channel| (*channel).to_owned())
            .collect();
        Ok((
            Self {
                stream,
                channels,
                heard: Vec::with_capacity(MAX_PUSH),
                heard_at: info.received,
            },
            info,
        ))
    }

    /// Subscribes, without a limit in time. To be called once. What one channel says before the
    /// last one is subscribed is not told.
    ///
    /// # Errors
    /// [`PollError::Denied`] when the user may not subscribe, or not to one of these channels; or
    /// why the connection ended.
    pub async fn subscribe(&mut self) -> Result<(), PollError> {
        let request = redis::cmd("SUBSCRIBE")
            .arg(&self.channels)
            .get_packed_command();
        self.stream
            .write_all(&request)
            .await
            .map_err(|_| PollError::Reset)?;
        self.stream.flush().await.map_err(|_| PollError::Reset)?;
        let mut confirmed = 0;
        while confirmed < self.channels.len() {
            match self.take_push()? {
                Some(Heard::Subscribed) => confirmed += 1,
                Some(Heard::Message { .. }) if confirmed == 0 => return Err(PollError::Protocol),
                Some(Heard::Message { .. }) => {}
                None => self.read().await?,
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
        loop {
            match self.take_push()? {
                Some(Heard::Message { channel, payload }) => {
                    return Ok(ChannelMessage {
                        channel,
                        payload,
                        received: self.heard_at,
                    });
                }
                Some(Heard::Subscribed) => return Err(PollError::Protocol),
                None => self.read().await?,
            }
        }
    }

    /// The next push that was read to its end.
    fn take_push(&mut self) -> Result<Option<Heard>, PollError> {
        let Some((push, length)) = parse(&self.heard)? else {
            return Ok(None);
        };
        let name = |channel: &[u8]| {
            self.channels
                .iter()
                .find(|own| own.as_bytes() == channel)
                .ok_or(PollError::Protocol)
        };
        let heard = match push {
            Push::Subscribed { channel } => name(channel).map(|_| Heard::Subscribed)?,
            Push::Message { channel, payload } => {
                let (channel, payload) = (
                    name(channel)?.clone(),
                    String::from_utf8_lossy(payload).into_owned(),
                );
                Heard::Message { channel, payload }
            }
            Push::Error(line) => return Err(error::reason_of_line(line)),
        };
        self.heard.drain(..length);
        Ok(Some(heard))
    }

    async fn read(&mut self) -> Result<(), PollError> {
        let mut piece = [0; MAX_PUSH];
        let count = self
            .stream
            .read(&mut piece)
            .await
            .map_err(|_| PollError::Reset)?;
        if count == 0 {
            return Err(PollError::Reset);
        }
        self.heard_at = clock::now();
        self.heard.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

/// What a push says to this subscription.
enum Heard {
    Subscribed,
    Message { channel: String, payload: String },
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::client::testing::{FakeServer, Script, bulk};

    const REPLY: Bytes = Bytes::new(64 * 1024);

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
        let (mut subscription, info) = Subscription::over(Box::new(near), None, &["ch"], REPLY)
            .await
            .unwrap();
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
    async fn several_channels_are_told_apart() {
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
        let (mut subscription, _) = Subscription::over(Box::new(near), None, &["+a", "-b"], REPLY)
            .await
            .unwrap();
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
            ("*3\r\n".to_owned() + &"$".repeat(2000), PollError::TooLarge),
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
    async fn what_is_no_message_of_the_channel_ends_it() {
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
    async fn a_message_that_comes_in_pieces_survives_a_cancelled_wait() {
        let (near, far): (DuplexStream, DuplexStream) = duplex(4096);
        let (channels, heard) = (vec!["ch".to_owned()], Vec::new());
        let mut subscription = Subscription {
            stream: Box::new(near),
            channels,
            heard,
            heard_at: Timestamp::default(),
        };
        let mut far = BufReader::new(far);
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
        assert_eq!(
            far.fill_buf().await.unwrap(),
            b"",
            "dropping it closes the stream"
        );
    }
}
