//! A connection for questions to one server, and a second one that becomes a stream.

use crate::client::{Command, Connection, RawStream, ReplyShape, Value};
use crate::info::{self, Observation, ServerDetails};
use crate::lost_writes::CannotBeHad;
use crate::model::{Bytes, PollError, ReplicationId, ReplicationOffset, ServerAddr, Span};
use crate::topology::Server;

/// The longest answer to anything but INFO: a word, or a parameter and its value.
const SMALL_REPLY: Bytes = Bytes::new(64 * 1024);

/// What a server answers to INFO.
#[derive(Clone, Debug)]
pub(super) struct ServerFacts {
    pub(super) observation: Observation,
    pub(super) details: ServerDetails,
}

/// A connection for questions.
pub(super) struct Session {
    pub(super) connection: Connection,
    timeout: Span,
}

impl Session {
    /// Connects to `server` and logs in.
    pub(super) async fn open(server: &Server, timeout: Span) -> Result<Self, CannotBeHad> {
        match Connection::connect(server, timeout).await {
            Ok(connection) => Ok(Self {
                connection,
                timeout,
            }),
            Err(failure) => Err(CannotBeHad::Silent {
                why: failure.sentence("the server"),
            }),
        }
    }

    /// Queries INFO.
    pub(super) async fn info(&mut self) -> Result<ServerFacts, CannotBeHad> {
        let asked = self.connection.fetch_info();
        let reply = match tokio::time::timeout(self.timeout.to_duration(), asked).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(reason)) => return Err(self.silent(reason)),
            Err(_) => return Err(self.silent(PollError::Timeout)),
        };
        match info::parse(&reply.text) {
            Ok(observation) => Ok(ServerFacts {
                details: info::parse_details(&reply.text),
                observation,
            }),
            Err(error) => Err(CannotBeHad::Silent {
                why: error.to_string(),
            }),
        }
    }

    fn silent(&self, reason: PollError) -> CannotBeHad {
        CannotBeHad::Silent {
            why: self.connection.explain(reason).sentence("the server"),
        }
    }

    /// Sends a command that is answered with a word or a list of words.
    pub(super) async fn request(&mut self, words: &[&str]) -> Result<Value, PollError> {
        let mut command = Command::new();
        command.arg(words);
        let asked = self
            .connection
            .request(&command, ReplyShape::Records, SMALL_REPLY);
        match tokio::time::timeout(self.timeout.to_duration(), asked).await {
            Ok(reply) => reply,
            Err(_) => Err(PollError::Timeout),
        }
    }

    /// Gives the address of a replica that everybody knows as its own: a Sentinel that finds a
    /// reader without one among the replicas remembers `ip:0` for good.
    pub(super) async fn announce(&mut self, replica: &ServerAddr) -> Result<(), CannotBeHad> {
        let Some((host, port)) = replica.tcp() else {
            return Ok(());
        };
        let port = port.to_string();
        let words = ["REPLCONF", "listening-port", &port, "ip-address", host];
        match self.request(&words).await {
            Ok(_) => Ok(()),
            Err(reason) => Err(refused("REPLCONF", "+replconf", reason)),
        }
    }

    /// A parameter of the server's configuration; `None` where that is not permitted or there is no
    /// such parameter.
    pub(super) async fn parameter(&mut self, name: &str) -> Option<String> {
        let reply = self.request(&["CONFIG", "GET", name]).await.ok()?;
        let value = match reply {
            Value::Array(words) => words.into_iter().nth(1)?,
            Value::Map(fields) => fields.into_iter().next()?.1,
            _ => return None,
        };
        match value {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            Value::SimpleString(text) => Some(text),
            _ => None,
        }
    }
}

/// From where on a server's stream is read.
pub(super) struct StreamRequest<'a> {
    pub(super) server: &'a Server,
    /// See [`Session::announce`].
    pub(super) announce: &'a ServerAddr,
    pub(super) history: &'a ReplicationId,
    pub(super) from: ReplicationOffset,
    pub(super) timeout: Span,
}

impl StreamRequest<'_> {
    /// Asks for the stream from an offset on that the server has just shown to hold: a server that
    /// does not hold it would begin a full sync, for which it forks.
    pub(super) async fn open(&self) -> Result<RawStream, CannotBeHad> {
        let opened = tokio::time::timeout(
            (self.timeout + self.timeout).to_duration(),
            self.open_in_any_time(),
        );
        match opened.await {
            Ok(stream) => stream,
            Err(_) => Err(CannotBeHad::Broken {
                why: "it did not answer PSYNC in time".to_owned(),
            }),
        }
    }

    async fn open_in_any_time(&self) -> Result<RawStream, CannotBeHad> {
        let mut session = Session::open(self.server, self.timeout).await?;
        session.announce(self.announce).await?;
        let mut psync = Command::new();
        psync.arg(&["PSYNC", self.history.as_str()]);
        psync.arg(self.from.get());
        let answered = session.connection.into_stream(&psync).await;
        let (reply, stream) =
            answered.map_err(|failure| refused("PSYNC", "+psync", failure.reason))?;
        let continues = match &reply {
            Value::SimpleString(line) => line.starts_with("CONTINUE"),
            _ => false,
        };
        if continues {
            Ok(stream)
        } else {
            Err(CannotBeHad::BeingRunOver) // a full sync; closing the connection ends it
        }
    }
}

/// Why a command gave no stream; `rule` is the right that it needs.
fn refused(command: &str, rule: &str, reason: PollError) -> CannotBeHad {
    let why = match reason {
        PollError::Denied => {
            format!(
                "{command} is not permitted on it: give the user the ACL rule {rule}, then run this again"
            )
        }
        PollError::Protocol => format!(
            "it refuses {command}: a managed service may have disabled it, or it became a replica \
             at this moment"
        ),
        _ => format!("{command} failed: the server {}", reason.sentence()),
    };
    CannotBeHad::Refused { why }
}
