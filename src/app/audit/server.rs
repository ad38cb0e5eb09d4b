//! The questions to one server, in a fixed number of round trips, each within the server's timeout.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::AuditRequest;
use super::reply::{command, config_get, gap, parameters, text, wall_time};
use crate::client::{Command, Connection, MAX_REPLY, ReplyShape, Value};
use crate::clock;
use crate::doctor::{
    AclUsers, ClockReading, Directive, Gap, KnownCommands, ServerAudit, ServerFacts, Setting,
    WriteRate,
};
use crate::info::{self, Field, Observation, Role};
use crate::model::{Bytes, PollError, Span, Timestamp};
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
    /// What the audit is about.
    pub(super) request: Arc<AuditRequest>,
    /// Whether Sentinels are configured, so that the rights of their users matter.
    pub(super) has_sentinels: bool,
    /// The user that failovers log in as, where one is configured.
    pub(super) operator_user: Option<String>,
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
        let mut facts = self.unasked(&info);
        facts.round_trip = connection.watch().round_trip();
        if !facts.observation.server.engine.counts_bytes() {
            return Ok(facts); // doctor knows nothing of it: ask nothing more
        }
        facts.clock = self.clock(&mut connection).await;
        if let Ok(clock) = &facts.clock {
            let round_trip = clock.received - clock.sent;
            facts.round_trip = Some(facts.round_trip.map_or(round_trip, |r| r.min(round_trip)));
        }
        self.ask_settings(&mut connection, &mut facts).await;
        facts.commands = self.commands(&mut connection).await;
        // Before 6.0 there are no users.
        facts.users = match facts.redis_version() {
            Ok(version) if version.major < 6 => Err(Gap::NotApplicable),
            _ => self.users(&mut connection).await,
        };
        facts.operator = self.operator(&mut connection, &facts).await;
        facts.sentinel_users = self.sentinel_users(&mut connection, &facts).await;
        drop(permit);
        if facts.observation.replication.role == Field::Value(Role::Master) {
            facts.write_rate = self
                .write_rate(&mut connection, &facts.observation, info.received)
                .await;
        }
        Ok(facts)
    }

    /// What INFO alone says.
    fn unasked(&self, info: &Info) -> ServerFacts {
        let not_asked = |command: &str| Gap::because(format!("{command} was not asked for"));
        ServerFacts {
            details: info::parse_details(&info.text),
            observation: info.observation.clone(),
            settings: BTreeMap::new(),
            users: Err(not_asked("ACL LIST")),
            clock: Err(not_asked("TIME")),
            write_rate: Err(Gap::because("only a master writes")),
            commands: Err(not_asked("COMMAND INFO")),
            asked_for: BTreeMap::new(),
            operator: Err(not_asked("ACL DRYRUN")),
            sentinel_users: Err(Gap::NotApplicable),
            round_trip: None,
            logged_in: self.server.credentials.password.is_some(),
        }
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

    /// Which of the commands that matter the server knows.
    async fn commands(&self, connection: &mut Connection) -> Result<KnownCommands, Gap> {
        let names: Vec<&str> = KnownCommands::asked().collect();
        let mut command = command("COMMAND", &["INFO"]);
        command.arg(&names);
        let reply = self
            .request(connection, &command, ReplyShape::Nested, MAX_REPLY)
            .await;
        match reply {
            Ok(Value::Array(answers)) if answers.len() == names.len() => {
                let known = answers.iter().map(|answer| *answer != Value::Nil);
                Ok(KnownCommands::from_answers(known))
            }
            Ok(_) => Err(Gap::because("the answer to COMMAND INFO is not understood")),
            Err(reason) => Err(gap("COMMAND INFO", "+command", reason)),
        }
    }

    /// Asks for every directive, and those that somebody asks for.
    async fn ask_settings(&self, connection: &mut Connection, facts: &mut ServerFacts) {
        let version = facts.redis_version();
        let is_new = version.is_ok_and(|version| version.major >= SEVERAL_PARAMETERS_SINCE);
        let mut names: Vec<&str> = Directive::ALL.map(Directive::label).to_vec();
        names.extend(self.request.directives.iter().map(String::as_str));
        let mut answers = self.settings(connection, &names, is_new).await;
        for directive in Directive::ALL {
            let answer = answers.get(directive.label());
            let setting = match answer {
                Some(Setting::Known(value)) => Setting::known(directive, value.clone()),
                Some(other) => other.clone(),
                None => Setting::Absent,
            };
            facts.settings.insert(directive, setting);
        }
        for name in &self.request.directives {
            // Its value is nobody's business: it may be a secret.
            let setting = match answers.remove(name) {
                Some(Setting::Known(_)) => Setting::Known(String::new()),
                Some(other) => other,
                None => Setting::Absent,
            };
            facts.asked_for.insert(name.clone(), setting);
        }
    }

    /// What CONFIG GET says of each of `names`: in one request where the server takes several.
    async fn settings(
        &self,
        connection: &mut Connection,
        names: &[&str],
        at_once: bool,
    ) -> BTreeMap<String, Setting> {
        let mut commands = Vec::new();
        if at_once {
            commands.push(config_get(names));
        } else {
            commands.extend(names.iter().map(|name| config_get(&[*name])));
        }
        let mut settings = BTreeMap::new();
        let mut failure = None;
        let request = connection.request_all(&commands, ReplyShape::Records, SMALL_REPLY);
        match tokio::time::timeout(self.timeout.to_duration(), request).await {
            Ok(Ok(replies)) => {
                for reply in replies {
                    match reply.extract_error() {
                        Ok(reply) => {
                            let known = parameters(reply).into_iter();
                            settings.extend(known.map(|(n, value)| (n, Setting::Known(value))));
                        }
                        Err(error) => failure = Some(refused(error.code())),
                    }
                }
            }
            Ok(Err(reason)) => failure = Some(failed(reason)),
            Err(_) => failure = Some(failed(PollError::Timeout)),
        }
        if let Some(failure) = failure {
            for name in names {
                let missing = settings.entry((*name).to_owned());
                missing.or_insert_with(|| failure.clone());
            }
        }
        settings
    }

    /// How much the master writes: as an exporter has seen it, else the distance of its offset from
    /// that of `first`, after a while.
    async fn write_rate(
        &self,
        connection: &mut Connection,
        first: &Observation,
        received: Option<Timestamp>,
    ) -> Result<WriteRate, Gap> {
        let history = self.request.histories.get(&self.server.addr);
        let measure = match (history, self.request.measure) {
            (Some(history), measure) if measure.is_none_or(|m| m < history.over()) => {
                return Ok(WriteRate::History(history.clone()));
            }
            (_, Some(measure)) => measure,
            (_, None) => {
                return Err(Gap::because(
                    "the exporter has less than a minute of its writes: run doctor again later",
                ));
            }
        };
        // The other questions have taken a part of that time.
        let passed = received.map_or(Span::ZERO, |received| clock::now() - received);
        let left = (measure - passed).or_zero();
        tokio::time::sleep(left.to_duration()).await;
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
            Some((from, to)) if to > from => Ok(WriteRate::Measured {
                per_second: bytes as f64 / (to - from).as_secs_f64(),
                over: to - from,
            }),
            _ => Err(Gap::because(
                "how much it writes could not be measured: no time passed between two answers",
            )),
        }
    }

    /// Sends `command`, within the server's timeout.
    pub(super) async fn request(
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
