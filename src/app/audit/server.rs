//! The questions to one server, in a fixed number of round trips, each within the server's timeout.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::client::{Command, Connection, MAX_REPLY, ReplyShape, Value};
use crate::doctor::{
    AclUsers, ClockReading, Directive, Gap, ServerAudit, ServerFacts, Setting, WriteRate,
};
use crate::info::{self, Field, Observation, Role};
use crate::model::{Bytes, PollError, Span, Timestamp, WallTime};
use crate::topology::Server;

/// The first major version whose CONFIG GET takes several parameters.
const SEVERAL_PARAMETERS_SINCE: u32 = 7;

/// The longest answer of CONFIG GET and TIME: a few lines.
const SMALL_REPLY: Bytes = Bytes::new(64 * 1024);

/// How to ask one server.
pub(super) struct Question {
    pub(super) server: Arc<Server>,
    /// For the connection, and for each request.
    pub(super) timeout: Span,
    /// How long a master's writes are measured.
    pub(super) measure: Span,
    /// How many servers may be asked at the same time; waiting for a measurement does not count.
    pub(super) permits: Arc<Semaphore>,
}

/// An answer to INFO, and when it was read.
struct Info {
    text: String,
    observation: Observation,
    received: Option<Timestamp>,
}

impl Question {
    pub(super) async fn ask(self) -> ServerAudit {
        let facts = self.facts().await;
        ServerAudit {
            addr: self.server.addr.clone(),
            dc: self.server.dc.clone(),
            facts,
        }
    }

    async fn facts(&self) -> Result<ServerFacts, String> {
        let permit = self.permits.acquire().await;
        let connection = Connection::connect(&self.server, self.timeout).await;
        let mut connection = connection.map_err(|failure| failure.sentence("the server"))?;
        let info = self.info(&mut connection, &[]).await?;
        let mut facts = ServerFacts {
            details: info::parse_details(&info.text),
            observation: info.observation,
            settings: BTreeMap::new(),
            users: Err(Gap::because("ACL LIST was not asked for")),
            clock: Err(Gap::because("TIME was not asked for")),
            write_rate: Err(Gap::because("only a master writes")),
            logged_in: self.server.credentials.password.is_some(),
        };
        if !facts.observation.server.engine.counts_bytes() {
            return Ok(facts); // doctor knows nothing of it: ask nothing more
        }
        facts.clock = self.clock(&mut connection).await;
        facts.settings = self.settings(&mut connection, &facts).await;
        // Before 6.0 there are no users.
        facts.users = match facts.redis_version() {
            Ok(version) if version.major < 6 => Err(Gap::NotApplicable),
            _ => self.users(&mut connection).await,
        };
        drop(permit);
        if facts.observation.replication.role == Field::Value(Role::Master) {
            facts.write_rate = self
                .write_rate(&mut connection, &facts.observation, info.received)
                .await;
        }
        Ok(facts)
    }

    /// INFO, all of its default sections or these.
    async fn info(&self, connection: &mut Connection, sections: &[&str]) -> Result<Info, String> {
        let command = command("INFO", sections);
        let reply = self
            .request(connection, &command, ReplyShape::Scalar, MAX_REPLY)
            .await;
        let text = match reply {
            Ok(reply) => text(reply).ok_or("the server answered INFO with something else")?,
            Err(reason) => return Err(connection.explain(reason).sentence("the server")),
        };
        let received = connection.watch().last_byte();
        let observation = info::parse(&text).map_err(|error| error.to_string())?;
        Ok(Info {
            text,
            observation,
            received,
        })
    }

    async fn clock(&self, connection: &mut Connection) -> Result<ClockReading, Gap> {
        let command = command("TIME", &[]);
        let reply = self
            .request(connection, &command, ReplyShape::Records, SMALL_REPLY)
            .await;
        let reply = reply.map_err(|reason| gap("TIME", "+time", reason))?;
        let watch = connection.watch();
        let stamps = watch.sent().zip(watch.last_byte());
        let (Some(wall), Some((sent, received))) = (wall_time(reply), stamps) else {
            return Err(Gap::because("the answer to TIME is not understood"));
        };
        Ok(ClockReading {
            wall,
            sent,
            received,
        })
    }

    async fn users(&self, connection: &mut Connection) -> Result<AclUsers, Gap> {
        let command = command("ACL", &["LIST"]);
        let reply = self
            .request(connection, &command, ReplyShape::Records, MAX_REPLY)
            .await;
        match reply {
            Ok(Value::Array(lines)) => {
                let lines: Vec<String> = lines.into_iter().filter_map(text).collect();
                Ok(AclUsers::from_lines(lines.iter().map(String::as_str)))
            }
            Ok(_) => Err(Gap::because("the answer to ACL LIST is not understood")),
            Err(reason) => Err(gap("ACL LIST", "+acl|list", reason)),
        }
    }

    /// Asks for every directive: in one request where the server's version takes several.
    async fn settings(
        &self,
        connection: &mut Connection,
        facts: &ServerFacts,
    ) -> BTreeMap<Directive, Setting> {
        let version = facts.redis_version();
        let is_new = version.is_ok_and(|version| version.major >= SEVERAL_PARAMETERS_SINCE);
        let mut commands = Vec::new();
        if is_new {
            let names = Directive::ALL.map(Directive::label);
            commands.push(config_get(&names));
        } else {
            for directive in Directive::ALL {
                commands.push(config_get(&[directive.label()]));
            }
        }
        let mut reported = BTreeMap::new();
        let mut failure = None;
        let request = connection.request_all(&commands, ReplyShape::Records, SMALL_REPLY);
        match tokio::time::timeout(self.timeout.to_duration(), request).await {
            Ok(Ok(replies)) => {
                for reply in replies {
                    match reply.extract_error() {
                        Ok(reply) => reported.extend(parameters(reply)),
                        Err(error) => failure = Some(refused(error.code())),
                    }
                }
            }
            Ok(Err(reason)) => failure = Some(failed(reason)),
            Err(_) => failure = Some(failed(PollError::Timeout)),
        }
        let mut settings = BTreeMap::new();
        for directive in Directive::ALL {
            let setting = match (reported.remove(directive.label()), &failure) {
                (Some(value), _) => Setting::known(directive, value),
                (None, Some(failure)) => failure.clone(),
                (None, None) => Setting::Absent,
            };
            settings.insert(directive, setting);
        }
        settings
    }

    /// How much the master writes: the distance of its offset from that of `first`, after a while.
    async fn write_rate(
        &self,
        connection: &mut Connection,
        first: &Observation,
        received: Option<Timestamp>,
    ) -> Result<WriteRate, Gap> {
        tokio::time::sleep(self.measure.to_duration()).await;
        let permit = self.permits.acquire().await;
        let second = self.info(connection, &["replication"]).await;
        drop(permit);
        let second = second.map_err(|why| {
            Gap::because(format!("how much it writes could not be measured: {why}"))
        })?;
        let begin = &first.replication;
        let end = &second.observation.replication;
        let is_same_history = begin.replid.get().is_some() && begin.replid == end.replid;
        let offsets = begin.master_offset.value().zip(end.master_offset.value());
        let bytes = match offsets {
            Some((from, to)) if is_same_history => to.get().checked_sub(from.get()),
            _ => None,
        };
        let Some(bytes) = bytes else {
            return Err(Gap::because(
                "how much it writes could not be measured: its history changed meanwhile",
            ));
        };
        match received.zip(second.received) {
            Some((from, to)) if to > from => Ok(WriteRate {
                per_second: bytes as f64 / (to - from).as_secs_f64(),
                over: to - from,
            }),
            _ => Err(Gap::because(
                "how much it writes could not be measured: no time passed between two answers",
            )),
        }
    }

    /// Sends `command`, within the server's timeout.
    async fn request(
        &self,
        connection: &mut Connection,
        command: &Command,
        shape: ReplyShape,
        limit: Bytes,
    ) -> Result<Value, PollError> {
        let request = connection.request(command, shape, limit);
        match tokio::time::timeout(self.timeout.to_duration(), request).await {
            Ok(reply) => reply,
            Err(_) => Err(PollError::Timeout),
        }
    }
}

/// Why `command` gave no answer; `rule` is the right that it needs.
fn gap(command: &str, rule: &str, reason: PollError) -> Gap {
    match reason {
        PollError::Denied => {
            Gap::because(format!("{command} is not permitted: give the user {rule}"))
        }
        _ => Gap::because(format!(
            "{command} failed: the server {}",
            reason.sentence()
        )),
    }
}

/// What an error reply to CONFIG GET means. Its text is not shown: it may repeat arguments.
fn refused(code: Option<&str>) -> Setting {
    match code {
        Some("NOPERM") => Setting::Denied,
        _ => Setting::Failed("the server does not know it, or has it disabled".to_owned()),
    }
}

fn failed(reason: PollError) -> Setting {
    Setting::Failed(format!("the server {}", reason.sentence()))
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new();
    command.arg(name).arg(arguments);
    command
}

fn config_get(names: &[&str]) -> Command {
    let mut command = command("CONFIG", &["GET"]);
    command.arg(names);
    command
}

/// The names and values of an answer to CONFIG GET.
fn parameters(reply: Value) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    match reply {
        Value::Array(words) => {
            let mut words = words.into_iter().filter_map(text);
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                parameters.insert(name, value);
            }
        }
        Value::Map(fields) => {
            for (name, value) in fields {
                if let (Some(name), Some(value)) = (text(name), text(value)) {
                    parameters.insert(name, value);
                }
            }
        }
        _ => {}
    }
    parameters
}

/// The answer of TIME: seconds and microseconds.
fn wall_time(reply: Value) -> Option<WallTime> {
    let Value::Array(words) = reply else {
        return None;
    };
    let numbers: Vec<i64> = words
        .into_iter()
        .filter_map(|word| text(word)?.parse().ok())
        .collect();
    let [seconds, micros] = numbers[..] else {
        return None;
    };
    let nanos = seconds.checked_mul(1_000_000_000)?;
    Some(WallTime::from_nanos(
        nanos.checked_add(micros.checked_mul(1000)?)?,
    ))
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(line) => Some(line),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
