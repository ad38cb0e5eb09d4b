//! One connection to one server, and the one question it asks.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, ProtocolVersion, RedisConnectionInfo,
    RedisError, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::error::{self, Refusal};
use super::framing::ReplyFrames;
use super::login::Login;
use super::transport;
use super::wire::{GuardedStream, Wire};
use crate::model::{Bytes, PollError, PollFailure, Span, Timestamp};
use crate::topology::Server;

/// What the server's `CLIENT LIST` calls this program.
const CLIENT_NAME: &str = "redis-cross-dc-exporter";

/// The sections that are read: who answers, replication, resync counters, loading, how many keys.
const SECTIONS: [&str; 5] = ["server", "replication", "stats", "persistence", "keyspace"];

/// The first version whose INFO takes several sections in one call; before it that is a syntax
/// error.
const SECTIONS_IN_ONE_CALL_SINCE: u32 = 7;

/// The longest answer to one request for INFO: the sections of a master with ten thousand replicas
/// (100 bytes each) fit, and reading that much ten times a second costs little processor time.
pub const MAX_INFO_REPLY: Bytes = Bytes::new(1024 * 1024);

/// What INFO said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoReply {
    /// The sections as the server wrote them; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Just before the request's first byte was written.
    pub sent: Timestamp,
    /// Just after the reply's last byte was read. At some instant between the two the text was
    /// true.
    pub received: Timestamp,
}

/// A connection that is ready for commands. Dropping it closes it.
pub struct Connection {
    redis: MultiplexedConnection,
    wire: Arc<Wire>,
    info: InfoForm,
    open: bool,
    access: Access,
    driver: Driver,
}

/// Who this connection logged in as, and what the server had against it.
#[derive(Debug, Default)]
struct Access {
    /// Whether a login was sent.
    logged_in: bool,
    /// The ACL user; absent means the default user.
    username: Option<String>,
    /// The last refusal.
    refusal: Option<Refusal>,
}

/// What can be seen of a connection from outside while a request is under way.
#[derive(Clone, Debug)]
pub struct RequestWatch(Arc<Wire>);

/// How to ask this server for several sections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum InfoForm {
    /// Not known yet: ask in the form that every version takes, and learn from the reply.
    Unknown,
    /// One call, one reply.
    OneCall,
    /// A call for each section, written and executed back to back.
    CallEach,
}

impl Connection {
    /// Connects to `server` and logs in.
    ///
    /// # Errors
    /// Why there is no connection; [`PollError::Timeout`] when name resolution, the TCP and TLS
    /// handshakes and the login together take longer than `within`.
    pub async fn connect(server: &Server, within: Span) -> Result<Self, PollFailure> {
        let deadline = Instant::now() + within.to_duration();
        let ready = async {
            let login = Login::read(&server.addr, &server.credentials).await?;
            let stream = transport::open(server, deadline).await?;
            Self::over(stream, login, MAX_INFO_REPLY).await
        };
        timeout_at(deadline, ready)
            .await
            .unwrap_or_else(|_| Err(PollError::Timeout.into()))
    }

    /// Logs in over `stream`. Waits for ever for a server that does not answer.
    pub(super) async fn over<S>(
        stream: S,
        login: Option<Login>,
        reply: Bytes,
    ) -> Result<Self, PollFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::guarded_by(ReplyFrames::new(bytes_of(reply)), stream, login).await
    }

    /// The same for a connection on which answers may be lists of records, too.
    pub(super) async fn for_records<S>(
        stream: S,
        login: Option<Login>,
        reply: Bytes,
    ) -> Result<Self, PollFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::guarded_by(ReplyFrames::of_records(bytes_of(reply)), stream, login).await
    }

    async fn guarded_by<S>(
        frames: ReplyFrames,
        stream: S,
        login: Option<Login>,
    ) -> Result<Self, PollFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let wire = Wire::guarding(frames);
        let guarded = GuardedStream::new(stream, Arc::clone(&wire));
        // Nothing of the crate's own set-up: its CLIENT SETINFO would leave two denials in the ACL
        // log of a server that grants this program no more than it needs, and its AUTH does not
        // tell why it failed.
        let setup = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        let (redis, driver) = MultiplexedConnection::new_with_config(&setup, guarded, config)
            .await
            .map_err(|error| error::reason_of(&error))?;
        let driver = Driver(tokio::spawn(driver));
        let mut connection = Self {
            redis,
            wire,
            info: InfoForm::Unknown,
            open: true,
            access: Access {
                logged_in: login.is_some(),
                username: login.as_ref().and_then(|login| login.username.clone()),
                refusal: None,
            },
            driver,
        };
        match connection.introduce(login).await {
            Ok(()) => Ok(connection),
            Err(reason) => Err(connection.explain(reason)),
        }
    }

    /// AUTH, and a name for the server's `CLIENT LIST`. The second also makes sure that the server
    /// lets us in.
    async fn introduce(&mut self, login: Option<Login>) -> Result<(), PollError> {
        if let Some(login) = login {
            let mut auth = redis::cmd("AUTH");
            auth.arg(login.username).arg(login.password.reveal());
            self.call(&auth)
                .await
                .map_err(|error| self.reason_of(&error, error::reason_of_login))?;
        }
        let mut name = redis::cmd("CLIENT");
        name.arg("SETNAME").arg(CLIENT_NAME);
        match self
            .call(&name)
            .await
            .map_err(|error| self.reason_of(&error, error::reason_of))
        {
            Err(reason)
                if !self.open || matches!(reason, PollError::Auth | PollError::MaxClients) =>
            {
                Err(reason)
            }
            // A name is a courtesy: a user who may not set it may still read INFO.
            _ => Ok(()),
        }
    }

    /// The failure behind `reason`, with what this connection knows of it.
    pub fn explain(&self, reason: PollError) -> PollFailure {
        match reason {
            PollError::Auth | PollError::Denied => self.refusal_of(reason),
            PollError::Tls => {
                let sentence = self.wire.tls_sentence();
                let plain = "the port speaks TLS, and tls is not set for it";
                PollFailure::access(reason, sentence.as_deref().unwrap_or(plain))
            }
            _ => reason.into(),
        }
    }

    fn refusal_of(&self, reason: PollError) -> PollFailure {
        let Some(refusal) = self.access.refusal else {
            return reason.into();
        };
        let user = match &self.access.username {
            Some(name) => format!("user {name}"),
            None => "the default user".to_owned(),
        };
        PollFailure::access(reason, &refusal.detail(&user, self.access.logged_in))
    }

    /// Asks for INFO, without a limit in time.
    ///
    /// # Errors
    /// The server's error reply, or why the connection ended ([`Self::is_open`] tells which).
    pub async fn fetch_info(&mut self) -> Result<InfoReply, PollError> {
        let text = match self.info {
            InfoForm::OneCall => match self.ask_in_one_call().await {
                // Another program than its version says: ask it in the form that all of them take.
                Err(error) if error::is_plain_error(&error) => self.ask_each().await,
                other => other,
            },
            InfoForm::Unknown | InfoForm::CallEach => self.ask_each().await,
        };
        let text = text.map_err(|error| self.reason_of(&error, error::reason_of))?;
        let (sent, received) = self.wire.exchange().ok_or(PollError::Protocol)?;
        Ok(InfoReply {
            text,
            sent,
            received,
        })
    }

    /// Sends `message` to `channel`, without a limit in time, and returns how many of this server's
    /// own clients heard it.
    ///
    /// # Errors
    /// As [`Self::fetch_info`]; [`PollError::Denied`] when the user may not publish, or not on this
    /// channel.
    pub async fn publish(&mut self, channel: &str, message: &str) -> Result<u64, PollError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(message);
        match self.call(&publish).await {
            Ok(Value::Int(heard)) => u64::try_from(heard).map_err(|_| PollError::Protocol),
            Ok(_) => Err(PollError::Protocol),
            Err(error) => Err(self.reason_of(&error, error::reason_of)),
        }
    }

    /// Sends `calls` back to back and returns their replies, error replies among them, without a
    /// limit in time.
    ///
    /// # Errors
    /// Why the connection ended.
    pub(super) async fn ask_all(&mut self, calls: &Pipeline) -> Result<Vec<Value>, PollError> {
        let count = calls.len();
        self.wire.expect(u32::try_from(count).unwrap_or(u32::MAX));
        let replies = self.redis.send_packed_commands(calls, 0, count).await;
        replies.map_err(|error| self.reason_of(&error, error::reason_of))
    }

    /// Gives up the stream without closing it: when this returns, nothing reads or writes it any
    /// more.
    pub(super) async fn release(mut self) {
        self.driver.0.abort();
        // Aborted or ended by itself: in either case the stream is let go.
        let _ = (&mut self.driver.0).await;
    }

    /// Whether the connection can take another request.
    pub fn is_open(&self) -> bool {
        self.open && self.wire.broken().is_none()
    }

    /// A view of the connection for whoever waits for a reply.
    pub fn watch(&self) -> RequestWatch {
        RequestWatch(Arc::clone(&self.wire))
    }

    async fn ask_in_one_call(&mut self) -> Result<String, RedisError> {
        let value = self.call(redis::cmd("INFO").arg(&SECTIONS)).await?;
        text_of(vec![value])
    }

    async fn ask_each(&mut self) -> Result<String, RedisError> {
        let mut calls = Pipeline::with_capacity(SECTIONS.len());
        for section in SECTIONS {
            calls.cmd("INFO").arg(section);
        }
        self.wire
            .expect(u32::try_from(SECTIONS.len()).unwrap_or(u32::MAX));
        let text = text_of(
            self.redis
                .send_packed_commands(&calls, 0, SECTIONS.len())
                .await?,
        )?;
        // A server that refused the one call once is not asked that way again.
        self.info = match (self.info, major_version(&text)) {
            (InfoForm::Unknown, Some(major)) if major >= SECTIONS_IN_ONE_CALL_SINCE => {
                InfoForm::OneCall
            }
            (InfoForm::Unknown, None) => InfoForm::Unknown,
            _ => InfoForm::CallEach,
        };
        Ok(text)
    }

    async fn call(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        self.wire.expect(1);
        self.redis
            .send_packed_command(command)
            .await?
            .extract_error()
    }

    fn reason_of(
        &mut self,
        error: &RedisError,
        of_reply: fn(&RedisError) -> PollError,
    ) -> PollError {
        // The error's text is never logged: a server that does not know AUTH repeats its arguments.
        self.open &= !matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse);
        self.access.refusal = Refusal::of(error);
        self.wire.broken().unwrap_or_else(|| of_reply(error))
    }
}

impl RequestWatch {
    /// When the latest request's first byte was written; `None` while it waits to be written.
    pub fn sent(&self) -> Option<Timestamp> {
        self.0.sent()
    }

    /// When the latest byte of any reply came.
    pub fn last_byte(&self) -> Option<Timestamp> {
        self.0.last_byte()
    }
}

fn bytes_of(limit: Bytes) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}

/// The task that moves bytes for a connection. It would live until the server closes; it ends with
/// its connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The text of INFO's replies, one after the other.
fn text_of(replies: Vec<Value>) -> Result<String, RedisError> {
    let mut text = String::new();
    for reply in replies {
        match reply.extract_error()? {
            Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Value::SimpleString(line) => text.push_str(&line),
            _ => {
                return Err((
                    ErrorKind::UnexpectedReturnType,
                    "INFO was not answered with a text",
                )
                    .into());
            }
        }
    }
    Ok(text)
}

/// The major version that an INFO text claims. Valkey claims the Redis version that it is
/// compatible with, which is what matters here.
fn major_version(text: &str) -> Option<u32> {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::client::testing::{FakeServer, Script, bulk};
    use crate::model::Secret;

    const REPLY: Bytes = Bytes::new(64 * 1024);

    async fn connect(
        script: Script,
        login: Option<Login>,
    ) -> (Result<Connection, PollError>, FakeServer) {
        let (near, far) = duplex(4096);
        let server = FakeServer::over(far, script);
        let connection = Connection::over(near, login, REPLY).await;
        (connection.map_err(PollError::from), server)
    }

    async fn fetch(script: Script) -> (Result<String, PollError>, bool, Vec<String>) {
        let (connection, server) = connect(script, None).await;
        let mut connection = connection.unwrap();
        let text = connection.fetch_info().await.map(|reply| reply.text);
        (text, connection.is_open(), server.requests())
    }

    fn login(username: Option<&str>) -> Login {
        Login {
            username: username.map(Into::into),
            password: Secret::new("hunter2"),
        }
    }

    #[tokio::test]
    async fn sections_are_asked_one_by_one_until_the_version_is_known() {
        let (connection, server) = connect(Script::version("7.0.15"), None).await;
        let mut connection = connection.unwrap();
        let reply = connection.fetch_info().await.unwrap();
        assert!(
            reply.text.contains("redis_version:7.0.15") && reply.text.contains("# persistence")
        );
        assert!(reply.sent <= reply.received);
        connection.fetch_info().await.unwrap();
        let each = SECTIONS.map(|section| format!("INFO {section}"));
        let mut expected = vec!["CLIENT SETNAME redis-cross-dc-exporter".to_owned()];
        expected.extend(each);
        expected.push("INFO server replication stats persistence keyspace".to_owned());
        assert_eq!(server.requests(), expected);
    }

    #[tokio::test]
    async fn an_old_server_is_always_asked_section_by_section() {
        let (connection, server) = connect(Script::version("6.2.5"), None).await;
        let mut connection = connection.unwrap();
        connection.fetch_info().await.unwrap();
        connection.fetch_info().await.unwrap();
        assert_eq!(server.requests().len(), 1 + 2 * SECTIONS.len());
    }

    #[tokio::test]
    async fn a_server_that_refuses_the_one_call_is_asked_section_by_section_at_once_and_ever_after()
    {
        let script = Script::new(|request| match request.split(' ').collect::<Vec<_>>()[..] {
            ["INFO", section] => bulk(&format!("# {section}\r\nredis_version:7.4.0\r\n")),
            ["INFO", ..] => "-ERR syntax error\r\n".into(),
            _ => "+OK\r\n".into(),
        });
        let (connection, server) = connect(script, None).await;
        let mut connection = connection.unwrap();
        for _ in 0..3 {
            assert!(
                connection
                    .fetch_info()
                    .await
                    .unwrap()
                    .text
                    .contains("# persistence")
            );
        }
        assert_eq!(server.requests().len(), 1 + 5 + (1 + 5) + 5);
    }

    #[tokio::test]
    async fn a_login_is_sent_with_and_without_a_username() {
        for (username, expected) in [
            (None, "AUTH hunter2"),
            (Some("monitor"), "AUTH monitor hunter2"),
        ] {
            let (connection, server) =
                connect(Script::version("7.0.15"), Some(login(username))).await;
            assert!(connection.is_ok());
            assert_eq!(server.requests()[0], expected);
        }
    }

    #[tokio::test]
    async fn a_refused_login_has_its_reason() {
        let cases = [
            (
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
                PollError::Auth,
            ),
            ("-ERR invalid password\r\n", PollError::Auth),
            (
                "-ERR max number of clients reached\r\n",
                PollError::MaxClients,
            ),
            ("*3\r\n", PollError::Protocol),
        ];
        for (answer, expected) in cases {
            let (connection, _server) =
                connect(Script::new(move |_| answer.into()), Some(login(None))).await;
            assert_eq!(connection.err(), Some(expected), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn without_a_login_the_first_request_tells_whether_one_is_needed() {
        let script = Script::new(|_| "-NOAUTH Authentication required.\r\n".into());
        assert_eq!(connect(script, None).await.0.err(), Some(PollError::Auth));
        let script = Script::new(|_| "-ERR max number of clients reached\r\n".into());
        assert_eq!(
            connect(script, None).await.0.err(),
            Some(PollError::MaxClients)
        );
    }

    #[tokio::test]
    async fn a_user_who_may_not_set_a_name_may_still_poll() {
        let script =
            Script::version("7.0.15").answer("CLIENT", "-NOPERM this user has no permissions\r\n");
        assert!(fetch(script).await.0.is_ok());
    }

    #[tokio::test]
    async fn an_error_reply_leaves_the_connection_open() {
        let cases = [
            (
                "-LOADING Redis is loading the dataset in memory\r\n",
                PollError::Loading,
            ),
            ("-BUSY Redis is busy running a script.\r\n", PollError::Busy),
            (
                "-NOPERM this user has no permissions to run the 'info' command\r\n",
                PollError::Denied,
            ),
            ("-NOAUTH Authentication required.\r\n", PollError::Auth),
            ("-ERR unknown command\r\n", PollError::Protocol),
            (":1\r\n", PollError::Protocol),
            ("$-1\r\n", PollError::Protocol),
        ];
        for (answer, expected) in cases {
            let (text, open, _) = fetch(Script::version("7.0.15").answer("INFO", answer)).await;
            assert_eq!((text, open), (Err(expected), true), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_ends_the_connection() {
        let cases = [
            ("*1\r\n$1\r\na\r\n", PollError::Protocol),
            ("<html>\r\n", PollError::Protocol),
            ("$9999999999\r\n", PollError::TooLarge),
            (
                "+\u{0}\r\n+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n",
                PollError::Protocol,
            ),
            ("", PollError::Reset),
        ];
        for (answer, expected) in cases {
            let (text, open, _) = fetch(Script::version("7.0.15").answer("INFO", answer)).await;
            assert_eq!((text, open), (Err(expected), false), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn dropping_the_connection_closes_the_stream_although_a_reply_is_due() {
        let (near, mut far): (DuplexStream, DuplexStream) = duplex(4096);
        let waiting = tokio::spawn(Connection::over(near, None, REPLY));
        let mut request = [0; 16];
        far.read_exact(&mut request).await.unwrap();
        waiting.abort();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
    }

    #[test]
    fn versions_are_read_from_the_text() {
        assert_eq!(
            major_version("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\n"),
            Some(7)
        );
        assert_eq!(major_version("redis_version:10.0\n"), Some(10));
        assert_eq!(major_version("redis_version:x\n"), None);
        assert_eq!(major_version(""), None);
    }
}
