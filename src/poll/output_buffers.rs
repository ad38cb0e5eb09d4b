//! Asks masters how full their output buffers for their replicas are. Off by default: it takes
//! CLIENT LIST and CONFIG GET, which are more rights than INFO.
//!
//! One task a master, on a separate connection: no poll waits for it. Its answers go to the monitor
//! on the channel of poll events.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::report::Reporter;
use super::timer;
use super::tree::timeout_of;
use crate::client::{Command, Connection, ReplyShape, Value};
use crate::clock;
use crate::config::PollSettings;
use crate::info::{self, OutputBufferLimit, ReplicaConnection};
use crate::model::{Bytes, PollError, PollFailure, ServerAddr, Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::replication::{BufferAnswer, NoForecast};
use crate::topology::{Server, Topology};

/// The longest answer to all questions together: INFO, and a line for each replica.
const LONGEST_REPLY: Bytes = Bytes::new(1024 * 1024);

/// The limits of each class of clients.
const LIMIT: &str = "client-output-buffer-limit";
/// How long a master without replicas keeps its backlog.
const BACKLOG_TTL: &str = "repl-backlog-ttl";

/// All masters that are asked. Dropping it ends every task and closes every connection.
#[derive(Debug, Default)]
pub(super) struct OutputBuffers {
    running: BTreeMap<ServerAddr, (AskedMaster, JoinSet<()>)>,
}

/// How one master is asked.
#[derive(Clone, Debug, PartialEq)]
struct AskedMaster {
    server: Arc<Server>,
    timeout: Span,
    interval: Span,
}

impl OutputBuffers {
    /// Starts and ends tasks so that they match `topology`. Unchanged ones keep running.
    pub(super) fn reload(
        &mut self,
        topology: &Topology,
        settings: &PollSettings,
        reporter: &Reporter,
        runtime: &Handle,
    ) {
        let wanted = asked_masters(topology, settings);
        self.running
            .retain(|addr, (asked, _)| wanted.get(addr) == Some(asked));
        for (addr, master) in wanted {
            if let Entry::Vacant(vacant) = self.running.entry(addr) {
                let mut tasks = JoinSet::new();
                tasks.spawn_on(master.clone().run(reporter.clone()), runtime);
                vacant.insert((master, tasks));
            }
        }
    }

    /// Ends every task and waits until all connections are closed.
    pub(super) async fn stop(&mut self) {
        for (_, tasks) in self.running.values_mut() {
            tasks.shutdown().await;
        }
    }
}

/// The masters to ask: none unless that is on.
fn asked_masters(
    topology: &Topology,
    settings: &PollSettings,
) -> BTreeMap<ServerAddr, AskedMaster> {
    let mut masters = BTreeMap::new();
    if !settings.output_buffers {
        return masters;
    }
    for pair in &topology.pairs {
        if let Some(server) = topology.servers.get(&pair.master) {
            let asked = AskedMaster {
                server: Arc::clone(server),
                timeout: timeout_of(server, settings),
                interval: settings.interval,
            };
            masters.insert(pair.master.clone(), asked);
        }
    }
    masters
}

impl AskedMaster {
    /// Asks until it is dropped.
    async fn run(self, reporter: Reporter) {
        let mut backoff = Backoff::default();
        let mut log = FailureLog::default();
        loop {
            let Err(failure) = self.ask_all(&reporter, &mut backoff, &mut log).await;
            log.failed(&self.server.addr, &failure.sentence("the server"));
            let wait = backoff.after_failure(fastrand::f64());
            tokio::time::sleep(wait.to_duration()).await;
        }
    }

    /// Connects and asks once each interval.
    async fn ask_all(
        &self,
        reporter: &Reporter,
        backoff: &mut Backoff,
        log: &mut FailureLog,
    ) -> Result<Infallible, PollFailure> {
        let mut connection = Connection::connect(&self.server, self.timeout).await?;
        // The masters of one exporter are not all asked at the same moment.
        let mut next = clock::now() + self.interval.mul_f64(fastrand::f64());
        loop {
            timer::until(Some(next)).await;
            next = clock::now().max(next + self.interval);
            let asked = timeout(self.timeout.to_duration(), ask(&mut connection)).await;
            let answer = match asked {
                Ok(Ok(answer)) => answer,
                Ok(Err(reason)) => return Err(connection.explain(reason)),
                Err(_) => return Err(connection.explain(PollError::Timeout)),
            };
            backoff.reset();
            match answer
                .connections
                .as_ref()
                .err()
                .or(answer.limit.as_ref().err())
            {
                Some(reason) => log.failed(&self.server.addr, reason.sentence()),
                None => log.succeeded(),
            }
            let event = PollEventKind::OutputBuffers(Box::new(answer));
            reporter.report(&self.server.addr, event);
        }
    }
}

/// Logs why there are no answers, each reason once.
#[derive(Debug, Default)]
struct FailureLog {
    logged: Option<String>,
}

impl FailureLog {
    fn failed(&mut self, server: &ServerAddr, why: &str) {
        if self.logged.as_deref() != Some(why) {
            tracing::warn!(%server, "poll.output_buffers: {why}");
            self.logged = Some(why.to_owned());
        }
    }

    fn succeeded(&mut self) {
        self.logged = None;
    }
}

/// Asks all questions at once.
async fn ask(connection: &mut Connection) -> Result<BufferAnswer, PollError> {
    // Before 7.0 INFO takes one section, and CONFIG GET one parameter.
    let questions: [&[&str]; 5] = [
        &["INFO", "server"],
        &["INFO", "replication"],
        &["CLIENT", "LIST", "TYPE", "REPLICA"],
        &["CONFIG", "GET", LIMIT],
        &["CONFIG", "GET", BACKLOG_TTL],
    ];
    let commands = questions.map(command);
    let replies = connection
        .request_all(&commands, ReplyShape::Records, LONGEST_REPLY)
        .await?;
    answer(replies, clock::now())
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new();
    command.arg(words);
    command
}

/// What the replies say, in the order of the questions.
fn answer(replies: Vec<Value>, received: Timestamp) -> Result<BufferAnswer, PollError> {
    let replies: Result<[Value; 5], _> = replies.try_into();
    let [server, replication, clients, limit, ttl] = replies.map_err(|_| PollError::Protocol)?;
    let parts = [server, replication].map(|part| permitted(part).ok().and_then(text));
    let [Some(server), Some(replication)] = parts else {
        return Err(PollError::Denied);
    };
    let info = info::parse(&format!("{server}\r\n{replication}"));
    let clients = permitted(clients).and_then(|reply| text(reply).ok_or(NoForecast::NotAnswered));
    let limit = permitted(limit).and_then(|reply| {
        let value = parameter(reply).ok_or(NoForecast::NotAnswered)?;
        OutputBufferLimit::parse(&value).ok_or(NoForecast::NotAnswered)
    });
    let ttl = permitted(ttl).ok().and_then(parameter);
    let seconds = ttl.and_then(|seconds| seconds.parse().ok());
    Ok(BufferAnswer {
        info: info.map_err(|_| PollError::Parse)?,
        connections: clients.map(|list| ReplicaConnection::parse_list(&list)),
        limit,
        backlog_ttl: seconds.map(Span::from_secs),
        received,
    })
}

/// A reply that is no error. The user may not ask, or the command is disabled; other errors (BUSY)
/// pass.
fn permitted(reply: Value) -> Result<Value, NoForecast> {
    reply.extract_error().map_err(|error| match error.code() {
        Some("NOPERM" | "ERR") => NoForecast::Denied,
        _ => NoForecast::NotAnswered,
    })
}

fn text(reply: Value) -> Option<String> {
    match reply {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The value in an answer to CONFIG GET for one parameter.
fn parameter(reply: Value) -> Option<String> {
    match reply {
        Value::Array(words) => text(words.into_iter().nth(1)?),
        Value::Map(fields) => {
            let (_, value) = fields.into_iter().next()?;
            text(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn replies(clients: Value, limit: Value) -> Vec<Value> {
        let info = "role:master\r\nconnected_slaves:1\r\n\
                    slave0:ip=10.0.0.1,port=6379,state=online,offset=5,lag=0\r\n";
        let ttl = Value::Array(vec![bulk(BACKLOG_TTL), bulk("90")]);
        vec![
            bulk("redis_version:7.0.15\r\n"),
            bulk(info),
            clients,
            limit,
            ttl,
        ]
    }

    #[test]
    fn the_replies_make_one_answer() {
        let clients = bulk("addr=10.0.0.1:5000 omem=77\n");
        let value = bulk("normal 0 0 0 slave 256 64 60 pubsub 1 1 1");
        let limit = Value::Array(vec![bulk(LIMIT), value]);
        let seen = answer(replies(clients, limit), Timestamp::from_nanos(1)).unwrap();
        assert_eq!(seen.connections.unwrap()[0].buffered, Bytes::new(77));
        assert_eq!(seen.limit.unwrap().soft, Bytes::new(64));
        assert_eq!(seen.backlog_ttl, Some(Span::from_secs(90)));
        assert_eq!(seen.info.replication.replicas.len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_not_answered_and_the_rest_is_known() {
        let seen = answer(replies(Value::Nil, Value::Nil), Timestamp::from_nanos(1)).unwrap();
        assert_eq!(seen.connections.err(), Some(NoForecast::NotAnswered));
        assert_eq!(seen.limit.err(), Some(NoForecast::NotAnswered));
        assert_eq!(seen.backlog_ttl, Some(Span::from_secs(90)));
        assert!(answer(vec![], Timestamp::from_nanos(1)).is_err());
    }
}
