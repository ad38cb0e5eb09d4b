//! A connection to one server: the login, INFO, and any other command within its limits.

use redis::{Cmd, RedisError, Value};
use tokio::time::{Instant, timeout_at};

use super::error::{self, Refusal};
use super::framing::{Framing, ReplyShape};
use super::info_form::{self, InfoForm};
use super::login::Login;
use super::raw_stream::RawStream;
use super::transport::{self, Transport};
use super::wire::{BulkReply, Exchange, RequestWatch, Wire};
use crate::model::{Bytes, PollError, PollFailure, Span, Timestamp};
use crate::topology::Server;

/// What the server's `CLIENT LIST` calls this program.
const CLIENT_NAME: &str = "redis-cross-dc-exporter";

/// The longest answer to one request: the sections of a master with ten thousand replicas (100
/// bytes each) fit, and reading that much ten times a second costs little processor time.
pub const MAX_REPLY: Bytes = Bytes::new(1024 * 1024);

/// The text of INFO, and when it was true.
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

/// What was read from INFO, and when it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoAnswer<T> {
    /// What was read from it.
    pub content: T,
    /// As of [`InfoReply`].
    pub sent: Timestamp,
    /// As of [`InfoReply`].
    pub received: Timestamp,
}

/// A connection that is ready for commands. Dropping it closes it.
///
/// Its requests have no limit in time: a late reply is evidence too, so how long to wait is the
/// caller's decision. A caller that drops a request before it is answered cannot use the connection
/// any more ([`Self::is_open`]).
pub struct Connection {
    wire: Wire,
    info_form: InfoForm,
    access: Access,
}

/// Which user this connection logged in as, and what the server refused it.
#[derive(Debug, Default)]
struct Access {
    /// Whether a login was sent.
    logged_in: bool,
    /// The ACL user; absent means the default user.
    username: Option<String>,
    /// The last refusal.
    refusal: Option<Refusal>,
}

impl Access {
    fn new(login: Option<&Login>) -> Self {
        let Some(login) = login else {
            return Self::default();
        };
        Self {
            logged_in: true,
            username: login.username.clone(),
            refusal: None,
        }
    }
}

impl Connection {
    /// Connects to `server` and logs in.
    ///
    /// # Errors
    /// Why there is no connection; [`PollError::Timeout`] when name resolution, the TCP and TLS
    /// handshakes and the login together take longer than `within`.
    pub async fn connect(server: &Server, within: Span) -> Result<Self, PollFailure> {
        let deadline = Instant::now() + within.to_duration();
        match timeout_at(deadline, Self::connect_before(server, deadline)).await {
            Ok(connected) => connected,
            Err(_) => Err(PollError::Timeout.into()),
        }
    }

    pub(super) async fn connect_before(
        server: &Server,
        deadline: Instant,
    ) -> Result<Self, PollFailure> {
        let login = Login::read(&server.addr, &server.credentials).await?;
        let stream = transport::open(server, deadline).await?;
        Self::over(stream, login).await
    }

    /// Logs in over `stream`, without a limit in time.
    pub(super) async fn over(
        stream: Box<dyn Transport>,
        login: Option<Login>,
    ) -> Result<Self, PollFailure> {
        let mut connection = Self {
            wire: Wire::new(stream),
            info_form: InfoForm::Unknown,
            access: Access::new(login.as_ref()),
        };
        match connection.introduce(login).await {
            Ok(()) => Ok(connection),
            Err(reason) => Err(connection.explain(reason)),
        }
    }

    /// Sends AUTH, and a name for the server's `CLIENT LIST`. Nothing else: any other command would
    /// leave denials in the ACL log of a server that grants this program no more than it needs.
    async fn introduce(&mut self, login: Option<Login>) -> Result<(), PollError> {
        if let Some(login) = login {
            self.authenticate(login).await?;
        }
        self.set_name().await
    }

    async fn authenticate(&mut self, login: Login) -> Result<(), PollError> {
        let mut auth = redis::cmd("AUTH");
        auth.arg(login.username).arg(login.password.reveal());
        let reply = self.request_short(&auth).await?;
        match reply.extract_error() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(&error, error::reason_of_login)),
        }
    }

    /// Names this client, which also makes sure that the server accepts its commands.
    async fn set_name(&mut self) -> Result<(), PollError> {
        let mut name = redis::cmd("CLIENT");
        name.arg("SETNAME").arg(CLIENT_NAME);
        let reply = self.request_short(&name).await?;
        match self.accept(reply) {
            Err(reason @ (PollError::Auth | PollError::MaxClients)) => Err(reason),
            // A name is a courtesy: a user who may not set it may still read INFO.
            _ => Ok(()),
        }
    }

    /// The failure behind `reason`, with the detail that this connection has of it.
    pub fn explain(&self, reason: PollError) -> PollFailure {
        match reason {
            PollError::Auth | PollError::Denied => self.explain_refusal(reason),
            PollError::Tls => {
                let plain = "the port speaks TLS, and tls is not set for it";
                PollFailure::access(reason, self.wire.tls_sentence().unwrap_or(plain))
            }
            _ => reason.into(),
        }
    }

    fn explain_refusal(&self, reason: PollError) -> PollFailure {
        let Some(refusal) = self.access.refusal else {
            return reason.into();
        };
        let user = match &self.access.username {
            Some(name) => format!("user {name}"),
            None => "the default user".to_owned(),
        };
        PollFailure::access(reason, &refusal.detail(&user, self.access.logged_in))
    }

    /// Queries INFO, without a limit in time.
    ///
    /// # Errors
    /// The server's error reply, or why the connection ended ([`Self::is_open`] distinguishes the
    /// two).
    pub async fn fetch_info(&mut self) -> Result<InfoReply, PollError> {
        let answer = self.read_info(str::to_owned).await?;
        Ok(InfoReply {
            text: answer.content,
            sent: answer.sent,
            received: answer.received,
        })
    }

    /// Queries INFO, without a limit in time, and returns what `read` makes of the sections' text,
    /// which usually it gets without a copy.
    ///
    /// # Errors
    /// As [`Self::fetch_info`].
    pub async fn read_info<T>(
        &mut self,
        read: impl Fn(&str) -> T,
    ) -> Result<InfoAnswer<T>, PollError> {
        if self.info_form == InfoForm::OneCall
            && let Some(answer) = self.read_info_at_once(&read).await?
        {
            return Ok(answer);
        }
        let reply = self.fetch_each_section().await?;
        Ok(InfoAnswer {
            content: read(&reply.text),
            sent: reply.sent,
            received: reply.received,
        })
    }

    /// All sections in one call; `None` from another program than its version claims: use the form
    /// that all of them take.
    async fn read_info_at_once<T>(
        &mut self,
        read: impl Fn(&str) -> T,
    ) -> Result<Option<InfoAnswer<T>>, PollError> {
        let framing = framing(ReplyShape::Scalar, MAX_REPLY);
        let exchange = self
            .wire
            .exchange_bulk(
                &info_form::ONE_CALL,
                framing,
                |bytes| match str::from_utf8(bytes) {
                    Ok(text) => read(text),
                    Err(_) => read(&String::from_utf8_lossy(bytes)),
                },
            );
        let exchange = exchange.await?;
        let content = match exchange.reply {
            BulkReply::Bulk(content) => content,
            BulkReply::Other(reply) if info_form::is_unknown_request(&reply) => return Ok(None),
            BulkReply::Other(reply) => match self.accept(reply)? {
                Value::SimpleString(line) => read(&line),
                _ => return Err(PollError::Protocol),
            },
        };
        Ok(Some(InfoAnswer {
            content,
            sent: exchange.sent,
            received: exchange.received,
        }))
    }

    async fn fetch_each_section(&mut self) -> Result<InfoReply, PollError> {
        let exchange = self.exchange_info(&info_form::call_each()).await?;
        let reply = self.info_reply(exchange)?;
        self.info_form = self.info_form.learn(&reply.text);
        Ok(reply)
    }

    async fn exchange_info(&mut self, calls: &[Cmd]) -> Result<Exchange, PollError> {
        self.exchange(calls, ReplyShape::Scalar, MAX_REPLY).await
    }

    fn info_reply(&mut self, exchange: Exchange) -> Result<InfoReply, PollError> {
        let mut text = String::new();
        for reply in exchange.replies {
            match self.accept(reply)? {
                Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                Value::SimpleString(line) => text.push_str(&line),
                _ => return Err(PollError::Protocol),
            }
        }
        Ok(InfoReply {
            text,
            sent: exchange.sent,
            received: exchange.received,
        })
    }

    /// Sends `message` to `channel`, without a limit in time, and returns how many clients of this
    /// server received it.
    ///
    /// # Errors
    /// As [`Self::fetch_info`]; [`PollError::Denied`] when the user may not publish, or not on this
    /// channel.
    pub async fn publish(&mut self, channel: &str, message: &str) -> Result<u64, PollError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(message);
        let reply = self.request_short(&publish).await?;
        match self.accept(reply)? {
            Value::Int(receivers) => u64::try_from(receivers).map_err(|_| PollError::Protocol),
            _ => Err(PollError::Protocol),
        }
    }

    /// Sends `command` and returns its reply, without a limit in time. Commands that belong
    /// together, such as those of a transaction, are requests on one connection, one after the
    /// other.
    ///
    /// # Errors
    /// As [`Self::fetch_info`]: the longest reply has `limit` bytes, and only replies
    /// of `shape` are accepted.
    pub async fn request(
        &mut self,
        command: &Cmd,
        shape: ReplyShape,
        limit: Bytes,
    ) -> Result<Value, PollError> {
        let commands = std::slice::from_ref(command);
        let replies = self.request_all(commands, shape, limit).await?;
        self.accept(only_one(replies)?)
    }

    /// Sends `commands` back to back and returns their replies in order, error replies among them,
    /// without a limit in time. All replies together may have `limit` bytes.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn request_all(
        &mut self,
        commands: &[Cmd],
        shape: ReplyShape,
        limit: Bytes,
    ) -> Result<Vec<Value>, PollError> {
        let exchange = self.exchange(commands, shape, limit).await?;
        Ok(exchange.replies)
    }

    /// Sends `command`, which turns the connection into a stream of another kind, such as PSYNC.
    /// Returns its reply, one line, and what follows.
    ///
    /// # Errors
    /// As [`Self::fetch_info`].
    pub async fn into_stream(mut self, command: &Cmd) -> Result<(Value, RawStream), PollFailure> {
        let request = command.get_packed_command();
        let framing = framing(ReplyShape::Scalar, MAX_REPLY);
        let reply = match self.wire.send(&request, framing).await {
            Ok(()) => self.wire.next_reply().await,
            Err(reason) => Err(reason),
        };
        let accepted = match reply {
            Ok(reply) => self.accept(reply),
            Err(reason) => Err(reason),
        };
        match accepted {
            Ok(reply) => Ok((reply, self.wire.into_stream())),
            Err(reason) => Err(self.explain(reason)),
        }
    }

    /// The wire below, for a mode of the protocol in which replies answer no request.
    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Whether the connection can take another request.
    pub fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// A view of the latest request, for a task that waits for its reply.
    pub fn watch(&self) -> RequestWatch {
        self.wire.watch()
    }

    /// The reply to a command that is answered with a word or a number: error replies, too.
    async fn request_short(&mut self, command: &Cmd) -> Result<Value, PollError> {
        let commands = std::slice::from_ref(command);
        let replies = self
            .request_all(commands, ReplyShape::Scalar, MAX_REPLY)
            .await?;
        only_one(replies)
    }

    async fn exchange(
        &mut self,
        commands: &[Cmd],
        shape: ReplyShape,
        limit: Bytes,
    ) -> Result<Exchange, PollError> {
        let mut request = Vec::new();
        for command in commands {
            command.write_packed_command(&mut request);
        }
        self.wire
            .exchange(&request, commands.len(), framing(shape, limit))
            .await
    }

    /// `reply`, unless it is an error, or has one inside.
    fn accept(&mut self, reply: Value) -> Result<Value, PollError> {
        match reply.extract_error() {
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.refused(&error, error::reason_of)),
        }
    }

    /// Notes that the server answered with `error`. Its text is never logged: a server that does
    /// not know AUTH repeats its arguments.
    fn refused(
        &mut self,
        error: &RedisError,
        reason_of: fn(&RedisError) -> PollError,
    ) -> PollError {
        self.access.refusal = Refusal::from_error(error);
        reason_of(error)
    }
}

fn framing(shape: ReplyShape, limit: Bytes) -> Framing {
    Framing::new(shape, usize::try_from(limit.get()).unwrap_or(usize::MAX))
}

fn only_one(replies: Vec<Value>) -> Result<Value, PollError> {
    let [reply] = <[Value; 1]>::try_from(replies).map_err(|_| PollError::Protocol)?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::client::info_form::SECTIONS;
    use crate::client::testing::{FakeServer, Script, bulk};
    use crate::model::Secret;

    async fn connect(
        script: Script,
        login: Option<Login>,
    ) -> (Result<Connection, PollError>, FakeServer) {
        let (near, far) = duplex(4096);
        let server = FakeServer::over(far, script);
        let connection = Connection::over(Box::new(near), login).await;
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
    async fn sections_are_queried_one_by_one_until_the_version_is_known() {
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
    async fn an_old_server_is_always_queried_section_by_section() {
        let (connection, server) = connect(Script::version("6.2.5"), None).await;
        let mut connection = connection.unwrap();
        connection.fetch_info().await.unwrap();
        connection.fetch_info().await.unwrap();
        assert_eq!(server.requests().len(), 1 + 2 * SECTIONS.len());
    }

    #[tokio::test]
    async fn a_server_that_refuses_the_one_call_is_queried_section_by_section_from_then_on() {
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
    async fn without_a_login_the_first_request_shows_whether_one_is_needed() {
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
    async fn bytes_that_are_no_reply_end_the_connection() {
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
        let waiting = tokio::spawn(Connection::over(Box::new(near), None));
        let mut request = [0; 16];
        far.read_exact(&mut request).await.unwrap();
        waiting.abort();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
    }

    fn command(words: &[&str]) -> Cmd {
        let mut command = Cmd::new();
        command.arg(words);
        command
    }

    async fn connected(script: Script) -> (Connection, FakeServer) {
        let (connection, server) = connect(script, None).await;
        (connection.unwrap(), server)
    }

    #[tokio::test]
    async fn a_transaction_is_several_requests_on_one_connection() {
        let script = Script::new(|request| match request {
            "EXEC" => "*2\r\n+OK\r\n:1\r\n".into(),
            "REPLICAOF host 6379" => "+QUEUED\r\n".into(),
            _ => "+OK\r\n".into(),
        });
        let (mut connection, server) = connected(script).await;
        for (words, expected) in [
            (&["MULTI"][..], Value::Okay),
            (
                &["REPLICAOF", "host", "6379"],
                Value::SimpleString("QUEUED".to_owned()),
            ),
            (&["EXEC"], Value::Array(vec![Value::Okay, Value::Int(1)])),
        ] {
            let reply = connection
                .request(&command(words), ReplyShape::Records, MAX_REPLY)
                .await;
            assert_eq!(reply, Ok(expected), "{words:?}");
        }
        assert_eq!(server.requests().len(), 1 + 3);
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn several_requests_are_answered_in_order_errors_among_them() {
        let script = Script::new(|request| match request.strip_prefix("ECHO ") {
            Some("x") => "-NOPERM no\r\n".into(),
            Some(word) => bulk(word),
            None => "+OK\r\n".into(),
        });
        let (mut connection, _server) = connected(script).await;
        let commands = ["1", "x", "2"].map(|word| command(&["ECHO", word]));
        let replies = connection
            .request_all(&commands, ReplyShape::Scalar, MAX_REPLY)
            .await
            .unwrap();
        let bytes = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        assert!(matches!(
            &replies[..],
            [first, Value::ServerError(_), last]
                if *first == bytes("1") && *last == bytes("2")
        ));
        assert!(connection.is_open());
    }

    #[tokio::test]
    async fn a_reply_beyond_the_shape_or_the_limit_of_its_request_ends_the_connection() {
        let cases = [
            (ReplyShape::Scalar, 1000, Err(PollError::Protocol)),
            (ReplyShape::Records, 10, Err(PollError::TooLarge)),
            (ReplyShape::Records, 1000, Ok(())),
        ];
        for (shape, limit, expected) in cases {
            let script = Script::version("7.0.15").answer("ROLE", "*2\r\n+slave\r\n*0\r\n");
            let (mut connection, _server) = connected(script).await;
            let reply = connection
                .request(&command(&["ROLE"]), shape, Bytes::new(limit))
                .await;
            assert_eq!(reply.map(|_| ()), expected, "{shape:?} {limit}");
            assert_eq!(connection.is_open(), expected.is_ok());
        }
    }

    #[tokio::test]
    async fn a_command_that_turns_the_connection_into_a_stream_loses_no_byte_of_it() {
        let script = Script::version("7.0.15").answer("PSYNC", "+CONTINUE\r\n*1\r\n$4\r\nPING\r\n");
        let (connection, server) = connected(script).await;
        let psync = command(&["PSYNC", "abc", "42"]);
        let (reply, mut stream) = connection.into_stream(&psync).await.unwrap();
        assert_eq!(reply, Value::SimpleString("CONTINUE".to_owned()));
        let mut rest = [0; 14];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"*1\r\n$4\r\nPING\r\n");
        drop(server);
        assert_eq!(stream.read(&mut rest).await.unwrap(), 0);
        let script = Script::version("7.0.15").answer("PSYNC", "-NOPERM no\r\n");
        let (connection, _server) = connected(script).await;
        let refused = connection.into_stream(&psync).await.err();
        assert_eq!(refused.map(PollError::from), Some(PollError::Denied));
    }
}
