//! A connection to a Sentinel, for the masters, replicas and other Sentinels that it lists.
//!
//! Protocol:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-api>. A query
//! takes two round trips: the masters, then everything that belongs to them, back to back.

use redis::{Cmd, Value};

use super::connection::Connection;
use super::error;
use super::framing::ReplyShape;
use super::values::{command, pairs, text};
use crate::config::MasterSelector;
use crate::info::{
    KnownSentinel, QuorumCheck, SentinelRecord, SentinelWatch, WatchSettings, WatchedMaster,
    is_tilted,
};
use crate::model::{Bytes, PollError, PollFailure, ServerAddr, Span};
use crate::topology::{MasterView, SentinelView, Server};

/// The commands that are sent for each master: where it is for clients, its replicas, the other
/// Sentinels, the quorum.
const MASTER_COMMANDS: [&str; 4] = [
    "GET-MASTER-ADDR-BY-NAME",
    "REPLICAS",
    "SENTINELS",
    "CKQUORUM",
];

/// Masters in one request. Their replies share the limit of one reply: at 1 KB for each of their
/// replicas and Sentinels, 30 such entries a master are within it.
const MASTERS_AT_ONCE: usize = 200;

/// The longest answer to one request: the masters of the largest Sentinels, at 1 KB each, or what
/// belongs to 200 of them.
const REPLY: Bytes = Bytes::new(8 * 1024 * 1024);

/// What a Sentinel says that decides a promotion.
#[derive(Clone, Debug, PartialEq)]
pub struct PromotionAnswer {
    /// The master, as it sends clients there.
    pub master: WatchedMaster,
    /// How it watches the master.
    pub settings: WatchSettings,
    /// The priority of each replica that it knows, as it has last learned it.
    pub priorities: Vec<(ServerAddr, u64)>,
    /// Whether it is in TILT mode, in which it does nothing; `None` where that is not known.
    pub tilted: Option<bool>,
}

/// A connection to a Sentinel that is ready for queries. Dropping it closes it.
pub struct SentinelConnection(Connection);

impl SentinelConnection {
    /// Connects to the Sentinel `server` and logs in.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub async fn connect(server: &Server, within: Span) -> Result<Self, PollFailure> {
        Connection::connect(server, within).await.map(Self)
    }

    /// The failure behind `reason`, with the detail that this connection has of it.
    pub fn explain(&self, reason: PollError) -> PollFailure {
        self.0.explain(reason)
    }

    /// Queries everything that the Sentinel reports of the masters that `wanted` fits, without a
    /// limit in time.
    ///
    /// # Errors
    /// Why there is no answer; [`PollError::Protocol`] for a server that is no Sentinel.
    pub async fn query(&mut self, wanted: &MasterSelector) -> Result<SentinelView, PollError> {
        let commands = [
            command(&["SENTINEL", "MASTERS"]),
            command(&["INFO", "sentinel"]),
        ];
        let replies = self.request_all(&commands).await?;
        let [masters, info] = replies.try_into().map_err(|_| PollError::Protocol)?;
        let masters = wanted_masters(masters, wanted)?;
        let mut view = SentinelView {
            tilted: tilted(info),
            ..SentinelView::default()
        };
        for masters in masters.chunks(MASTERS_AT_ONCE) {
            view.masters.extend(self.query_masters(masters).await?);
        }
        Ok(view)
    }

    /// Queries how the Sentinel watches the master called `name`, without a limit in time.
    ///
    /// # Errors
    /// As of [`Self::query`]; also [`PollError::Protocol`] for a name that it does not know.
    pub async fn watch(&mut self, name: &str) -> Result<SentinelWatch, PollError> {
        let commands = ["MASTER", "REPLICAS", "SENTINELS"]
            .map(|subcommand| command(&["SENTINEL", subcommand, name]));
        let replies = self.request_all(&commands).await?;
        let [master, replicas, sentinels] = replies.try_into().map_err(|_| PollError::Protocol)?;
        let master = master
            .extract_error()
            .map_err(|error| error::reason_of(&error))?;
        let remembered = |reply| {
            let records = records(reply)?;
            let servers = records.iter().map(SentinelRecord::remembered);
            Ok::<_, PollError>(servers.collect())
        };
        let master = record(master)?;
        Ok(SentinelWatch {
            settings: master.watch_settings(),
            master: master.remembered(),
            scripts: master.scripts(),
            replicas: remembered(replicas)?,
            sentinels: remembered(sentinels)?,
        })
    }

    /// Queries what decides a promotion of a replica of the master called `name`, without a limit
    /// in time.
    ///
    /// # Errors
    /// As of [`Self::watch`].
    pub async fn promotion(&mut self, name: &str) -> Result<PromotionAnswer, PollError> {
        let commands = [
            command(&["SENTINEL", "MASTER", name]),
            command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]),
            command(&["SENTINEL", "REPLICAS", name]),
            command(&["INFO", "sentinel"]),
        ];
        let replies = self.request_all(&commands).await?;
        let [master, addr, replicas, info] = replies.try_into().map_err(|_| PollError::Protocol)?;
        let master = master
            .extract_error()
            .map_err(|error| error::reason_of(&error))?;
        let record = record(master)?;
        let mut master = record.master().ok_or(PollError::Protocol)?;
        if let Some(addr) = current_addr(addr) {
            master.addr = addr;
        }
        let mut priorities = Vec::new();
        for replica in records(replicas)? {
            if let (Some(addr), Some(priority)) = (replica.addr(), replica.priority()) {
                priorities.push((addr, priority));
            }
        }
        Ok(PromotionAnswer {
            master,
            settings: record.watch_settings(),
            priorities,
            tilted: tilted(info),
        })
    }

    /// Tells the Sentinel to promote a replica of the master called `name`, which needs no votes of
    /// the others. Its words where it refuses.
    ///
    /// # Errors
    /// Why there is no answer: it may do it all the same.
    pub async fn fail_over(&mut self, name: &str) -> Result<Result<(), String>, PollError> {
        let mut replies = self
            .request_all(&[command(&["SENTINEL", "FAILOVER", name])])
            .await?
            .into_iter();
        let reply = replies.next().ok_or(PollError::Protocol)?;
        match reply.extract_error() {
            Ok(Value::Okay) => Ok(Ok(())),
            Ok(_) => Err(PollError::Protocol),
            Err(refused) => {
                let code = refused.code().unwrap_or("ERR");
                let detail = refused.detail().unwrap_or_default();
                Ok(Err(format!("{code} {detail}").trim_end().to_owned()))
            }
        }
    }

    async fn query_masters(
        &mut self,
        masters: &[WatchedMaster],
    ) -> Result<Vec<(String, MasterView)>, PollError> {
        let commands = master_commands(masters);
        let mut replies = self.request_all(&commands).await?.into_iter();
        let mut next = || replies.next().ok_or(PollError::Protocol);
        let mut views = Vec::with_capacity(masters.len());
        for master in masters {
            let replies = MasterReplies {
                addr: next()?,
                replicas: next()?,
                sentinels: next()?,
                quorum: next()?,
            };
            if let Some(view) = replies.into_view(master)? {
                views.push((master.name.clone(), view));
            }
        }
        Ok(views)
    }

    async fn request_all(&mut self, commands: &[Cmd]) -> Result<Vec<Value>, PollError> {
        self.0
            .request_all(commands, ReplyShape::Records, REPLY)
            .await
    }

    /// How long the Sentinel took to answer the latest query.
    pub fn round_trip(&self) -> Option<Span> {
        self.0.watch().round_trip()
    }

    /// Whether the connection can take another query.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }
}

/// [`MASTER_COMMANDS`] for each of `masters`.
fn master_commands(masters: &[WatchedMaster]) -> Vec<Cmd> {
    let mut commands = Vec::with_capacity(MASTER_COMMANDS.len() * masters.len());
    for master in masters {
        for name in MASTER_COMMANDS {
            commands.push(command(&["SENTINEL", name, &master.name]));
        }
    }
    commands
}

/// The masters in the answer of SENTINEL MASTERS that `wanted` fits, by name.
fn wanted_masters(reply: Value, wanted: &MasterSelector) -> Result<Vec<WatchedMaster>, PollError> {
    let mut masters = Vec::new();
    for record in records(reply)? {
        if let Some(master) = record.master()
            && wanted.matches(&master.name)
        {
            masters.push(master);
        }
    }
    masters.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(masters)
}

/// Whether the Sentinel is in TILT mode. Unknown where the user may not call INFO; that does not
/// prevent discovery.
fn tilted(info: Value) -> Option<bool> {
    is_tilted(&text(info)?)
}

/// The replies to [`MASTER_COMMANDS`] about one master.
struct MasterReplies {
    addr: Value,
    replicas: Value,
    sentinels: Value,
    quorum: Value,
}

impl MasterReplies {
    /// One master's view; `None` when the Sentinel has forgotten it since it listed it.
    fn into_view(self, master: &WatchedMaster) -> Result<Option<MasterView>, PollError> {
        let is_error = matches!(self.replicas, Value::ServerError(_));
        let replicas = match records(self.replicas) {
            Ok(records) => records.iter().filter_map(SentinelRecord::replica).collect(),
            // A plain error is about the name, which existed a moment ago.
            Err(PollError::Protocol) if is_error => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut master = master.clone();
        // While a failover reconfigures the other replicas, MASTERS still names the old master, and
        // clients are already sent to the new one.
        if let Some(addr) = current_addr(self.addr) {
            master.addr = addr;
        }
        Ok(Some(MasterView {
            master,
            replicas,
            // These two are unknown where the user may not query them; that does not prevent
            // discovery.
            sentinels: other_sentinels(self.sentinels),
            quorum: quorum_of(self.quorum),
        }))
    }
}

/// The answer of GET-MASTER-ADDR-BY-NAME: host and port.
fn current_addr(reply: Value) -> Option<ServerAddr> {
    let Value::Array(words) = reply else {
        return None;
    };
    let [host, port] = <[Value; 2]>::try_from(words).ok()?;
    let fields = [("ip", text(host)?), ("port", text(port)?)];
    SentinelRecord::new(fields.map(|(name, value)| (name.to_owned(), value))).addr()
}

/// The answer of SENTINEL SENTINELS. One record that cannot be read makes the list unknown: without
/// that Sentinel the list would show another placement.
fn other_sentinels(reply: Value) -> Option<Vec<KnownSentinel>> {
    let records = records(reply).ok()?;
    records.iter().map(SentinelRecord::sentinel).collect()
}

fn quorum_of(reply: Value) -> Option<QuorumCheck> {
    match reply {
        // Only the code: what follows is a sentence.
        Value::ServerError(error) => QuorumCheck::parse(error.code()),
        other => QuorumCheck::parse(&text(other)?),
    }
}

/// The records of a list: flat arrays of names and values (RESP2), or maps (RESP3).
fn records(reply: Value) -> Result<Vec<SentinelRecord>, PollError> {
    let reply = reply
        .extract_error()
        .map_err(|error| error::reason_of(&error))?;
    match reply {
        Value::Array(items) => items.into_iter().map(record).collect(),
        _ => Err(PollError::Protocol),
    }
}

fn record(item: Value) -> Result<SentinelRecord, PollError> {
    let fields = match item {
        Value::Map(fields) => fields,
        Value::Array(words) => pairs(words).ok_or(PollError::Protocol)?,
        _ => return Err(PollError::Protocol),
    };
    let mut texts = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        if let (Some(name), Some(value)) = (text(name), text(value)) {
            texts.push((name, value));
        }
    }
    Ok(SentinelRecord::new(texts))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::client::testing::{FakeServer, Script, bulk};

    /// A flat array.
    fn flat(words: &[&str]) -> String {
        format!("*{}\r\n", words.len()) + &words.iter().map(|word| bulk(word)).collect::<String>()
    }

    /// The same as a map of RESP3.
    fn map(words: &[&str]) -> String {
        format!("%{}\r\n", words.len() / 2)
            + &words.iter().map(|word| bulk(word)).collect::<String>()
    }

    fn list(items: &[String]) -> String {
        format!("*{}\r\n{}", items.len(), items.concat())
    }

    fn master(name: &str, write: fn(&[&str]) -> String) -> String {
        write(&[
            "name",
            name,
            "ip",
            "10.1.0.1",
            "port",
            "6379",
            "flags",
            "master",
            "quorum",
            "2",
            "config-epoch",
            "7",
        ])
    }

    /// A Sentinel that knows masters of these names, in whose records `write` writes; `other`
    /// answers first.
    fn sentinel(
        names: &'static [&'static str],
        write: fn(&[&str]) -> String,
        other: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Script {
        Script::new(move |request| {
            if let Some(answer) = other(request) {
                return answer;
            }
            match request.split(' ').collect::<Vec<_>>()[..] {
                ["SENTINEL", "MASTERS"] => list(
                    &names
                        .iter()
                        .map(|name| master(name, write))
                        .collect::<Vec<_>>(),
                ),
                ["INFO", "sentinel"] => bulk("# Sentinel\r\nsentinel_tilt:0\r\n"),
                ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", _] => flat(&["10.2.0.1", "6379"]),
                ["SENTINEL", "REPLICAS", _] => list(&[write(&[
                    "ip",
                    "10.2.0.2",
                    "port",
                    "6379",
                    "flags",
                    "slave,s_down",
                ])]),
                ["SENTINEL", "SENTINELS", _] => list(&[write(&[
                    "ip", "10.2.0.3", "port", "26379", "flags", "sentinel",
                ])]),
                ["SENTINEL", "CKQUORUM", _] => {
                    "-NOQUORUM 1 usable Sentinels. Not enough\r\n".into()
                }
                _ => "+OK\r\n".into(),
            }
        })
    }

    async fn query(
        script: Script,
        wanted: &MasterSelector,
    ) -> (Result<SentinelView, PollError>, bool, Vec<String>) {
        let (near, far) = duplex(64 * 1024);
        let server = FakeServer::over(far, script);
        let mut connection =
            SentinelConnection(Connection::over(Box::new(near), None).await.unwrap());
        let view = connection.query(wanted).await;
        (view, connection.is_open(), server.requests())
    }

    #[tokio::test]
    async fn everything_of_a_master_is_read_in_both_protocols() {
        for write in [flat as fn(&[&str]) -> String, map] {
            let (view, open, requests) =
                query(sentinel(&["m"], write, |_| None), &MasterSelector::All).await;
            let view = view.unwrap();
            assert_eq!(
                (view.tilted, open, requests.len()),
                (Some(false), true, 1 + 2 + MASTER_COMMANDS.len())
            );
            let seen = &view.masters["m"];
            assert_eq!(
                seen.master.addr.to_string(),
                "10.2.0.1:6379",
                "where clients are sent"
            );
            assert_eq!(
                (seen.master.quorum, seen.master.config_epoch, seen.quorum),
                (Some(2), Some(7), Some(QuorumCheck::NotReached))
            );
            assert!(
                seen.replicas[0].addr.to_string() == "10.2.0.2:6379"
                    && seen.replicas[0].health.subjectively_down
            );
            assert_eq!(
                seen.sentinels.as_ref().unwrap()[0].addr.to_string(),
                "10.2.0.3:26379"
            );
        }
    }

    #[tokio::test]
    async fn only_wanted_masters_are_queried() {
        let cases = [
            (MasterSelector::All, "a b ab"),
            (MasterSelector::Exact("a".into()), "a"),
            (
                MasterSelector::Glob(wildmatch::WildMatch::new("a*")),
                "a ab",
            ),
            (MasterSelector::Exact("z".into()), ""),
        ];
        for (wanted, expected) in cases {
            let (view, _, requests) =
                query(sentinel(&["b", "a", "ab"], flat, |_| None), &wanted).await;
            let mut expected: Vec<_> = expected
                .split(' ')
                .filter(|name| !name.is_empty())
                .collect();
            expected.sort_unstable();
            assert_eq!(
                view.unwrap().masters.keys().collect::<Vec<_>>(),
                expected,
                "{wanted:?}"
            );
            assert_eq!(
                requests
                    .iter()
                    .filter(|request| request.contains("CKQUORUM"))
                    .count(),
                expected.len()
            );
        }
    }

    #[tokio::test]
    async fn a_user_with_few_rights_still_discovers() {
        let denied = |request: &str| {
            let allowed = ["CLIENT", "SENTINEL MASTERS", "SENTINEL REPLICAS"]
                .iter()
                .any(|word| request.starts_with(word));
            (!allowed).then(|| "-NOPERM this user has no permissions\r\n".to_owned())
        };
        let (view, open, _) = query(sentinel(&["m"], flat, denied), &MasterSelector::All).await;
        let view = view.unwrap();
        let seen = &view.masters["m"];
        assert_eq!(
            (view.tilted, open, seen.quorum, &seen.sentinels),
            (None, true, None, &None)
        );
        assert_eq!(
            seen.master.addr.to_string(),
            "10.1.0.1:6379",
            "the address that MASTERS reports"
        );
    }

    #[tokio::test]
    async fn a_list_of_sentinels_that_cannot_be_read_is_unknown_and_an_empty_one_is_none() {
        let record = |ip: &str| flat(&["ip", ip, "port", "26379", "flags", "sentinel"]);
        let cases = [
            ("-NOPERM no\r\n".to_owned(), None),
            ("+OK\r\n".to_owned(), None),
            (
                list(&[record("10.2.0.3"), flat(&["flags", "sentinel"])]),
                None,
            ),
            (list(&[record("10.2.0.3"), record("10.2.0.4")]), Some(2)),
            (list(&[]), Some(0)),
        ];
        for (answer, known) in cases {
            let text = answer.clone();
            let script = sentinel(&["m"], flat, move |request| {
                request
                    .starts_with("SENTINEL SENTINELS")
                    .then(|| text.clone())
            });
            let (view, ..) = query(script, &MasterSelector::All).await;
            assert_eq!(
                view.unwrap().masters["m"].sentinels.as_ref().map(Vec::len),
                known,
                "{answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_failed_required_query_is_an_error() {
        let answer = |command: &'static str, answer: &'static str| {
            sentinel(&["m"], flat, move |request| {
                request.starts_with(command).then(|| answer.to_owned())
            })
        };
        let cases = [
            (
                "SENTINEL MASTERS",
                "-NOPERM no\r\n",
                PollError::Denied,
                true,
            ),
            (
                "SENTINEL REPLICAS",
                "-NOPERM no\r\n",
                PollError::Denied,
                true,
            ),
            (
                "SENTINEL MASTERS",
                "-ERR unknown command 'SENTINEL'\r\n",
                PollError::Protocol,
                true,
            ),
            ("SENTINEL MASTERS", "+OK\r\n", PollError::Protocol, true),
            (
                "SENTINEL MASTERS",
                "*1\r\n*1\r\n$1\r\na\r\n",
                PollError::Protocol,
                true,
            ),
            (
                "SENTINEL MASTERS",
                "*9999999\r\n",
                PollError::TooLarge,
                false,
            ),
            ("SENTINEL REPLICAS", "+OK\r\n", PollError::Protocol, true),
            ("SENTINEL REPLICAS", "", PollError::Reset, false),
        ];
        for (command, text, expected, open) in cases {
            let (view, is_open, _) = query(answer(command, text), &MasterSelector::All).await;
            assert_eq!(
                (view.err(), is_open),
                (Some(expected), open),
                "{command} {text:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_master_that_is_removed_between_two_queries_is_no_error() {
        let forgotten = |request: &str| {
            request
                .starts_with("SENTINEL REPLICAS a")
                .then(|| "-ERR No such master with that name\r\n".to_owned())
        };
        let (view, ..) = query(sentinel(&["a", "b"], flat, forgotten), &MasterSelector::All).await;
        assert_eq!(view.unwrap().masters.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn many_masters_are_queried_in_several_requests() {
        const NAMES: &[&str] = &["x"; MASTERS_AT_ONCE + 1];
        let (view, _, requests) =
            query(sentinel(NAMES, flat, |_| None), &MasterSelector::All).await;
        assert_eq!(
            (view.unwrap().masters.len(), requests.len()),
            (1, 1 + 2 + NAMES.len() * MASTER_COMMANDS.len())
        );
    }
}
