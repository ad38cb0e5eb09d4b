//! One server's connection: asks it, and gives it orders.

use crate::client::{Command, Connection, MAX_REPLY, ReplyShape, Value};
use crate::clock;
use crate::info;
use crate::model::{Bytes, PollError, PollFailure, Span};
use crate::operation::{Order, OrderError, OrderResult, Said, ServerView};
use crate::topology::Server;

/// The shortest time that is allowed for a connection and for each request.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// A server and the connection to it, which has the operation's name.
pub(super) struct Hand {
    server: Server,
    within: Span,
    /// What its connections are called in the server's CLIENT LIST.
    name: String,
    connection: Option<Connection>,
    /// Why the last request failed.
    failure: Option<PollFailure>,
    /// Why its connections have no name, in the server's words.
    nameless: Option<String>,
    /// Whether the operation asks it anything.
    is_reached: bool,
}

impl Hand {
    /// A hand for `server`, with connections called `name`.
    pub(super) fn new(server: Server, timeout: Span, name: &str) -> Self {
        Self {
            server,
            within: timeout.max(SHORTEST_TIMEOUT),
            name: name.to_owned(),
            connection: None,
            failure: None,
            nameless: None,
            is_reached: true,
        }
    }

    /// The same, which is asked nothing if `is_reached` is false: the server is another site's part
    /// of the operation, and each question to it would take its time.
    pub(super) fn for_reach(mut self, is_reached: bool) -> Self {
        self.is_reached = is_reached;
        if !is_reached {
            self.close();
        }
        self
    }

    /// Whether the operation asks the server, and it has answered the last time.
    pub(super) fn answers(&self) -> bool {
        self.is_reached && self.failure.is_none()
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Why the last request failed; `None` where it was answered.
    pub(super) fn failure(&self) -> Option<&PollFailure> {
        self.failure.as_ref()
    }

    /// Why its connections have no name, in the server's words; `None` where they have.
    pub(super) fn nameless(&self) -> Option<&str> {
        self.nameless.as_deref()
    }

    /// Closes the connection, and with it everything that is queued in a MULTI.
    fn close(&mut self) {
        self.connection = None;
    }

    /// Queues `commands` in a MULTI that is never executed, over a connection of its own that is
    /// closed afterwards. Returns the reply to each. They are sent only once the server has
    /// accepted MULTI, and over no other connection: outside of it they would be carried out.
    ///
    /// # Errors
    /// The server's words where it refuses MULTI, or why there is no answer.
    pub(super) async fn queue(&mut self, commands: &[Command]) -> Result<Vec<Value>, String> {
        let within = self.within.to_duration();
        let connected = self.connect().await;
        let mut connection = connected.map_err(|failure| failure.sentence("the server"))?;
        let opening = [command(&["MULTI"])];
        let multi = connection.request_all(&opening, ReplyShape::Scalar, MAX_REPLY);
        let begun = match tokio::time::timeout(within, multi).await {
            Ok(Ok(replies)) => replies.into_iter().next(),
            Ok(Err(reason)) => return Err(connection.explain(reason).sentence("the server")),
            Err(_) => return Err("the server did not answer in time".to_owned()),
        };
        if !matches!(begun, Some(Value::Okay)) {
            let words = begun.and_then(refusal);
            return Err(words.unwrap_or_else(|| "MULTI has another answer than OK".to_owned()));
        }
        let queued = connection.request_all(commands, ReplyShape::Scalar, MAX_REPLY);
        match tokio::time::timeout(within, queued).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(reason)) => Err(connection.explain(reason).sentence("the server")),
            Err(_) => Err("the server did not answer in time".to_owned()),
        }
    }

    /// Asks the server, with one more try where an older connection has ended.
    pub(super) async fn view(&mut self) -> ServerView {
        if !self.is_reached {
            return ServerView {
                addr: self.server.addr.clone(),
                dc: self.server.dc.clone(),
                said: Err("it is the other site's part".to_owned()),
            };
        }
        let had_connection = self.connection.is_some();
        let info = [command(&["INFO"])];
        let mut answer = self.request(&info, MAX_REPLY).await;
        if answer.is_err() && had_connection {
            answer = self.request(&info, MAX_REPLY).await;
        }
        let said = match answer {
            Ok(replies) => match replies.into_iter().next() {
                Some(reply) => read_info(reply),
                None => Err("the server gave no answer to INFO".to_owned()),
            },
            Err(failure) => Err(failure.sentence("the server")),
        };
        ServerView {
            addr: self.server.addr.clone(),
            dc: self.server.dc.clone(),
            said,
        }
    }

    /// Gives an order, and asks the server in the same request.
    pub(super) async fn perform(&mut self, order: &Order) -> OrderResult {
        let mut commands = order_commands(order);
        let orders = commands.len();
        commands.push(command(&["INFO"]));
        let sent = clock::now();
        let answer = self.request(&commands, MAX_REPLY).await;
        let received = clock::now();
        let (reply, said) = match answer {
            Ok(mut replies) => {
                let info = replies.pop().map(read_info);
                replies.truncate(orders);
                (judge(order, replies), info.and_then(Result::ok))
            }
            Err(failure) => (
                Err(OrderError::Unknown(failure.sentence("the server"))),
                None,
            ),
        };
        if reply.is_err() {
            // A MULTI may be open: nothing more may go into it.
            self.close();
        }
        OrderResult {
            sent,
            received,
            reply,
            said,
        }
    }

    /// Sends `commands` back to back, over a new connection where there is none.
    pub(super) async fn request(
        &mut self,
        commands: &[Command],
        limit: Bytes,
    ) -> Result<Vec<Value>, PollFailure> {
        let result = self.try_request(commands, limit).await;
        self.failure = result.as_ref().err().cloned();
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    async fn try_request(
        &mut self,
        commands: &[Command],
        limit: Bytes,
    ) -> Result<Vec<Value>, PollFailure> {
        let mut connection = match self.connection.take() {
            Some(connection) if connection.is_open() => connection,
            _ => self.connect().await?,
        };
        let request = connection.request_all(commands, ReplyShape::Records, limit);
        let replies = match tokio::time::timeout(self.within.to_duration(), request).await {
            Ok(Ok(replies)) => replies,
            Ok(Err(reason)) => return Err(connection.explain(reason)),
            Err(_) => return Err(PollError::Timeout.into()),
        };
        self.connection = Some(connection);
        Ok(replies)
    }

    /// Connects, and gives the connection the operation's name.
    async fn connect(&mut self) -> Result<Connection, PollFailure> {
        let mut connection = Connection::connect(&self.server, self.within).await?;
        let name = [command(&["CLIENT", "SETNAME", &self.name])];
        let request = connection.request_all(&name, ReplyShape::Scalar, MAX_REPLY);
        match tokio::time::timeout(self.within.to_duration(), request).await {
            Ok(Ok(replies)) => {
                self.nameless = replies.into_iter().find_map(refusal);
                Ok(connection)
            }
            Ok(Err(reason)) => Err(connection.explain(reason)),
            Err(_) => Err(PollError::Timeout.into()),
        }
    }
}

/// The command of these words.
pub(super) fn command(words: &[&str]) -> Command {
    let mut command = Command::new();
    for word in words {
        command.arg(*word);
    }
    command
}

/// The commands of an order: what [`Order::commands`] shows.
fn order_commands(order: &Order) -> Vec<Command> {
    let lines = order.commands();
    let words = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        command(&words)
    };
    lines.iter().map(words).collect()
}

/// The server's words where it refused; `None` where it did not.
pub(super) fn refusal(reply: Value) -> Option<String> {
    let error = reply.extract_error().err()?;
    let code = error.code().unwrap_or("ERR");
    let detail = error.detail().unwrap_or_default();
    Some(format!("{code} {detail}").trim_end().to_owned())
}

/// Whether an order was carried out.
fn judge(order: &Order, replies: Vec<Value>) -> Result<(), OrderError> {
    match order {
        Order::Demote { .. } => judge_transaction(replies),
        // The first command counts; CONFIG REWRITE only keeps it.
        Order::Follow { .. } | Order::Priority { .. } => {
            let mut refusals = replies.into_iter().map(refusal);
            if let Some(words) = refusals.next().flatten() {
                return Err(OrderError::Refused(words));
            }
            not_kept(refusals.flatten().next())
        }
        Order::Keep { .. } => not_kept(replies.into_iter().find_map(refusal)),
        Order::Pause { .. }
        | Order::Unpause { .. }
        | Order::Promote { .. }
        | Order::SentinelFailover { .. } => match replies.into_iter().find_map(refusal) {
            Some(words) => Err(OrderError::Refused(words)),
            None => Ok(()),
        },
    }
}

fn not_kept(refusal: Option<String>) -> Result<(), OrderError> {
    match refusal {
        Some(words) => Err(OrderError::NotKept(words)),
        None => Ok(()),
    }
}

/// A transaction: refused as a whole where a command could not be queued. CONFIG REWRITE alone may
/// fail inside of it.
fn judge_transaction(mut replies: Vec<Value>) -> Result<(), OrderError> {
    let Some(executed) = replies.pop() else {
        return Err(OrderError::Unknown(
            "the server gave no answer to EXEC".to_owned(),
        ));
    };
    if let Some(words) = replies.into_iter().find_map(refusal) {
        return Err(OrderError::Refused(words));
    }
    let Value::Array(results) = executed else {
        let words = refusal(executed).unwrap_or_else(|| "EXEC was not carried out".to_owned());
        return Err(OrderError::Refused(words));
    };
    for result in results {
        if let Some(words) = refusal(result) {
            // REPLICAOF and CLIENT UNPAUSE do not fail once they are queued; where REPLICAOF does
            // all the same, the role that INFO reports shows it.
            return Err(OrderError::NotKept(words));
        }
    }
    Ok(())
}

/// What an answer to INFO says, or why it says nothing.
fn read_info(reply: Value) -> Result<Said, String> {
    let text = match reply {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::SimpleString(line) => line,
        other => {
            let words = refusal(other).unwrap_or_else(|| "something else".to_owned());
            return Err(format!("the server answered INFO with {words}"));
        }
    };
    let observation = info::parse(&text).map_err(|error| error.to_string())?;
    Said::read(&observation, &info::parse_details(&text))
}
