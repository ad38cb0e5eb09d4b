//! Parses what a Sentinel answers: the masters it monitors, their replicas, the other Sentinels,
//! and whether they are a quorum.
//!
//! What a Sentinel reports is hearsay: which servers exist and which one it considers the master.
//! Roles, offsets and links are polled from the servers themselves; a Sentinel's copy of them is up
//! to ten seconds old and is not read here.

use std::collections::BTreeMap;

use crate::model::{ServerAddr, Span};

/// The longest name of a master, in bytes; Sentinel itself accepts any word in its configuration.
const MAX_NAME: usize = 256;

/// One entry of a Sentinel's answer: names and values, from a flat array (RESP2) or a map (RESP3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelRecord(BTreeMap<String, String>);

/// A master that a Sentinel monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedMaster {
    /// Its name in the Sentinels' configuration.
    pub name: String,
    /// Its address, as the Sentinel reports it.
    pub addr: ServerAddr,
    /// Its state, as the Sentinel sees it.
    pub health: SeenHealth,
    /// Sentinels that have to agree that it is down before a failover begins.
    pub quorum: Option<u32>,
    /// The other Sentinels that this one knows, reachable or not.
    pub other_sentinels: Option<u32>,
    /// Incremented by every failover: of two Sentinels that disagree, the one with the higher epoch
    /// is more up to date.
    pub config_epoch: Option<u64>,
}

/// A replica that a Sentinel knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReplica {
    /// Its address, as the Sentinel reports it.
    pub addr: ServerAddr,
    /// Its state, as the Sentinel sees it.
    pub health: SeenHealth,
    /// Whether it may be reported to clients (`replica-announced`); `true` where the Sentinel does
    /// not report it (before 6.2).
    pub announced: bool,
}

/// Another Sentinel that monitors the same master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSentinel {
    /// Its address.
    pub addr: ServerAddr,
    /// Its state, as this Sentinel sees it.
    pub health: SeenHealth,
}

/// A server's state as a Sentinel sees it: its flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenHealth {
    /// `s_down`: this Sentinel receives no valid answer from it.
    pub subjectively_down: bool,
    /// `o_down`: a quorum of Sentinels agrees on that (only for masters).
    pub objectively_down: bool,
    /// `failover_in_progress`.
    pub failing_over: bool,
}

/// The answer of SENTINEL CKQUORUM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumCheck {
    /// Enough Sentinels are reachable to agree on a failure and to authorize a failover.
    Reached,
    /// They are not (`NOQUORUM`): an answer, not a failure to answer.
    NotReached,
}

/// How a Sentinel watches one master. A field that it does not report is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSettings {
    /// How many Sentinels have to agree that the master is down.
    pub quorum: Option<u64>,
    /// After how long without an answer a server counts as down.
    pub down_after: Option<Span>,
    /// How long a failover may take.
    pub failover_timeout: Option<Span>,
    /// How many replicas sync with a new master at once.
    pub parallel_syncs: Option<u64>,
}

/// A server or another Sentinel that a Sentinel remembers, whether it still exists or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RememberedServer {
    /// Host and port as the Sentinel has them.
    pub name: String,
    /// Whether they are an address that can be connected to: a tool that read the stream has port
    /// 0.
    pub has_address: bool,
    /// How long it has been down for this Sentinel; `None` while it is not.
    pub down_for: Option<Span>,
}

/// Everything that one Sentinel remembers of one master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelWatch {
    /// How it watches it.
    pub settings: WatchSettings,
    /// The master itself, as this Sentinel names and sees it.
    pub master: RememberedServer,
    /// The scripts that it calls, each with the name of its directive.
    pub scripts: Vec<String>,
    /// Its replicas.
    pub replicas: Vec<RememberedServer>,
    /// The other Sentinels.
    pub sentinels: Vec<RememberedServer>,
}

impl SentinelRecord {
    /// A record of these names and values; the last value of a repeated name counts.
    pub fn new(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(fields.into_iter().collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?;
        if text.is_empty() {
            return None;
        }
        Some(text)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The server's address, from `ip` and `port`. A Sentinel may know a replica whose address is
    /// not known yet: port 0, or `?`.
    pub fn addr(&self) -> Option<ServerAddr> {
        let host = self.text("ip")?;
        let port: u16 = self.number("port").filter(|port| *port > 0)?;
        let text = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        ServerAddr::parse(&text).ok()
    }

    fn health(&self) -> SeenHealth {
        let flags = self.text("flags").unwrap_or_default();
        let has = |flag| flags.split(',').any(|seen| seen == flag);
        SeenHealth {
            subjectively_down: has("s_down"),
            objectively_down: has("o_down"),
            failing_over: has("failover_in_progress"),
        }
    }

    /// The record as the answer of SENTINEL MASTER: how the master is watched.
    pub fn watch_settings(&self) -> WatchSettings {
        let millis = |name| self.number(name).map(Span::from_millis);
        WatchSettings {
            quorum: self.number("quorum"),
            down_after: millis("down-after-milliseconds"),
            failover_timeout: millis("failover-timeout"),
            parallel_syncs: self.number("parallel-syncs"),
        }
    }

    /// The record as the answer of SENTINEL MASTER: the scripts, which it has only where there are
    /// any.
    pub fn scripts(&self) -> Vec<String> {
        let mut scripts = Vec::new();
        for name in ["client-reconfig-script", "notification-script"] {
            if let Some(path) = self.text(name) {
                scripts.push(format!("{name} {path}"));
            }
        }
        scripts
    }

    /// The record as the answer of SENTINEL MASTER, or an entry of SENTINEL REPLICAS or SENTINELS,
    /// whatever is wrong with it.
    pub fn remembered(&self) -> RememberedServer {
        let host = self.text("ip").unwrap_or("?");
        let port = self.text("port").unwrap_or("?");
        let is_down = self.health().subjectively_down;
        let down_for = self.number("s-down-time").map(Span::from_millis);
        RememberedServer {
            name: format!("{host}:{port}"),
            has_address: self.addr().is_some(),
            down_for: if is_down { down_for } else { None },
        }
    }

    /// The record as an entry of SENTINEL MASTERS; `None` where it lacks a name or an address.
    pub fn master(&self) -> Option<WatchedMaster> {
        Some(WatchedMaster {
            name: self.text("name").filter(|name| is_name(name))?.to_owned(),
            addr: self.addr()?,
            health: self.health(),
            quorum: self.number("quorum"),
            other_sentinels: self.number("num-other-sentinels"),
            config_epoch: self.number("config-epoch"),
        })
    }

    /// The record as an entry of SENTINEL REPLICAS; `None` where it lacks an address.
    pub fn replica(&self) -> Option<KnownReplica> {
        let announced = self.text("replica-announced") != Some("0");
        Some(KnownReplica {
            addr: self.addr()?,
            health: self.health(),
            announced,
        })
    }

    /// The priority in an entry of SENTINEL REPLICAS, as the Sentinel has last learned it.
    pub fn priority(&self) -> Option<u64> {
        self.number("slave-priority")
            .or_else(|| self.number("replica-priority"))
    }

    /// The record as an entry of SENTINEL SENTINELS; `None` where it lacks an address.
    pub fn sentinel(&self) -> Option<KnownSentinel> {
        Some(KnownSentinel {
            addr: self.addr()?,
            health: self.health(),
        })
    }
}

/// Whether `name` can be shown and searched for: it is short and has no control characters.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

impl QuorumCheck {
    /// Parses the answer of CKQUORUM, `OK ...` or the error `NOQUORUM ...`; `None` for anything
    /// else, such as an unknown name.
    pub fn parse(answer: &str) -> Option<Self> {
        match answer.split(' ').next()? {
            "OK" => Some(Self::Reached),
            "NOQUORUM" => Some(Self::NotReached),
            _ => None,
        }
    }
}

/// Whether the Sentinel is in TILT mode according to its INFO: its clock jumped or its process
/// paused, so that it monitors without acting. `None` where the text does not have it.
pub fn is_tilted(info: &str) -> Option<bool> {
    let tilt = info
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("sentinel_tilt:"))?;
    match tilt {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// The channels on which a Sentinel publishes changes of its masters, replicas and fellow
/// Sentinels.
pub const SENTINEL_CHANNELS: [&str; 10] = [
    "+switch-master",
    "+slave",
    "+sdown",
    "-sdown",
    "+odown",
    "-odown",
    "+tilt",
    "-tilt",
    "+convert-to-slave",
    "+sentinel",
];

/// A message on one of a Sentinel's channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentinelMessage {
    /// `+switch-master`: a failover has ended.
    Switched {
        /// The master's name.
        name: String,
        /// The old master's address.
        from: ServerAddr,
        /// The new master's address.
        to: ServerAddr,
    },
    /// Any other change: the Sentinels should be queried.
    Other,
}

impl SentinelMessage {
    /// Parses a message; `None` for channels other than [`SENTINEL_CHANNELS`].
    pub fn parse(channel: &str, message: &str) -> Option<Self> {
        if !SENTINEL_CHANNELS.contains(&channel) {
            return None;
        }
        if channel != "+switch-master" {
            return Some(Self::Other);
        }
        Some(parse_switch(message).unwrap_or(Self::Other))
    }
}

/// The message of `+switch-master`: `NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT`.
fn parse_switch(message: &str) -> Option<SentinelMessage> {
    let words: Vec<&str> = message.split(' ').collect();
    let [name, old_host, old_port, new_host, new_port] = words[..] else {
        return None;
    };
    if !is_name(name) {
        return None;
    }
    Some(SentinelMessage::Switched {
        name: name.to_owned(),
        from: parse_addr(old_host, old_port)?,
        to: parse_addr(new_host, new_port)?,
    })
}

fn parse_addr(host: &str, port: &str) -> Option<ServerAddr> {
    SentinelRecord::new([pair("ip", host), pair("port", port)]).addr()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captured(name: &str) -> String {
        let path = format!(
            "{}/tests/fixtures/info/sentinel/{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).unwrap()
    }

    /// The records of a captured answer: names and values line by line; each begins with `name`.
    fn records(file: &str) -> Vec<SentinelRecord> {
        let text = captured(file);
        let lines: Vec<&str> = text.lines().collect();
        let mut records: Vec<Vec<(String, String)>> = Vec::new();
        for couple in lines.chunks(2) {
            let [name, value] = couple else { continue };
            if *name == "name" {
                records.push(Vec::new());
            }
            records.last_mut().unwrap().push(pair(name, value));
        }
        records.into_iter().map(SentinelRecord::new).collect()
    }

    fn shown(addr: &ServerAddr, health: SeenHealth) -> String {
        let flags = [
            (health.subjectively_down, "s"),
            (health.objectively_down, "o"),
            (health.failing_over, "f"),
        ];
        let down: String = flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, letter)| *letter)
            .collect();
        format!(
            "{}{}{down}",
            addr.port().unwrap(),
            if down.is_empty() { "" } else { " " }
        )
    }

    #[test]
    fn captured_masters_are_read() {
        let read = |file| {
            let masters: Vec<_> = records(file)
                .iter()
                .map(|record| record.master().unwrap())
                .collect();
            let [master] = &masters[..] else {
                panic!("{masters:?}")
            };
            let epoch = master.config_epoch.unwrap();
            (
                shown(&master.addr, master.health),
                master.quorum,
                master.other_sentinels,
                epoch,
                master.name.clone(),
            )
        };
        assert_eq!(
            read("before.masters"),
            ("37101".into(), Some(2), Some(2), 0, "dc1".into())
        );
        assert_eq!(
            read("after.masters"),
            ("37102".into(), Some(2), Some(2), 1, "dc1".into())
        );
        assert_eq!(
            read("after_return.masters"),
            ("37102".into(), Some(2), Some(2), 1, "dc1".into())
        );
    }

    #[test]
    fn captured_replicas_are_read() {
        let read = |file| {
            let replicas = records(file);
            replicas
                .iter()
                .map(|r| r.replica().unwrap())
                .map(|r| shown(&r.addr, r.health))
                .collect::<Vec<_>>()
        };
        let sorted = |file| {
            let mut list = read(file);
            list.sort();
            list
        };
        assert_eq!(sorted("before.replicas_dc1"), ["37102", "37103"]);
        assert_eq!(
            sorted("after.replicas_dc1"),
            ["37101 s", "37103"],
            "the old master is a replica that does not answer"
        );
        assert_eq!(sorted("after_return.replicas_dc1"), ["37101", "37103"]);
    }

    #[test]
    fn captured_sentinels_are_read() {
        let down = |file| {
            let sentinels: Vec<_> = records(file)
                .iter()
                .map(|record| record.sentinel().unwrap())
                .collect();
            (
                sentinels.len(),
                sentinels
                    .iter()
                    .filter(|s| s.health.subjectively_down)
                    .count(),
            )
        };
        assert_eq!(down("before.sentinels_dc1"), (2, 0));
        assert_eq!(down("noquorum.sentinels_dc1"), (2, 2));
    }

    #[test]
    fn a_missing_quorum_is_an_answer() {
        assert_eq!(
            QuorumCheck::parse(&captured("before.ckquorum_dc1")),
            Some(QuorumCheck::Reached)
        );
        assert_eq!(
            QuorumCheck::parse(&captured("noquorum.ckquorum_dc1")),
            Some(QuorumCheck::NotReached)
        );
        assert_eq!(
            QuorumCheck::parse("ERR No such master with that name"),
            None
        );
    }

    #[test]
    fn tilt_is_read_from_info() {
        assert_eq!(is_tilted(&captured("before.info_sentinel")), Some(false));
        assert_eq!(is_tilted("# Sentinel\r\nsentinel_tilt:1\r\n"), Some(true));
        assert_eq!(is_tilted("redis_version:7.0.15\r\n"), None);
    }

    #[test]
    fn a_captured_failover_is_recognized() {
        let text = captured("events.psubscribe");
        let lines: Vec<&str> = text.lines().collect();
        let messages: Vec<_> = lines
            .windows(4)
            .filter(|w| w[0] == "pmessage")
            .filter_map(|w| SentinelMessage::parse(w[2], w[3]))
            .collect();
        let switched: Vec<_> = messages
            .iter()
            .filter(|message| **message != SentinelMessage::Other)
            .collect();
        let to = ServerAddr::parse("127.0.0.1:37102").unwrap();
        let from = ServerAddr::parse("127.0.0.1:37101").unwrap();
        assert_eq!(
            switched,
            [&SentinelMessage::Switched {
                name: "dc1".to_owned(),
                from,
                to
            }]
        );
        assert!(messages.len() > 3);
    }

    #[test]
    fn an_entry_without_an_address_is_no_server() {
        let record = |ip: &str, port: &str| {
            SentinelRecord::new([pair("name", "x"), pair("ip", ip), pair("port", port)])
        };
        for (ip, port) in [
            ("", "6379"),
            ("?", "0"),
            ("10.0.0.1", "0"),
            ("10.0.0.1", "99999"),
            ("a b", "1"),
        ] {
            assert_eq!(record(ip, port).replica(), None, "{ip}:{port}");
        }
        assert_eq!(
            record("2001:db8::1", "6379")
                .replica()
                .unwrap()
                .addr
                .to_string(),
            "[2001:db8::1]:6379"
        );
        assert_eq!(
            record("redis.dc1.example.com", "6379")
                .master()
                .unwrap()
                .addr
                .host(),
            Some("redis.dc1.example.com")
        );
    }

    #[test]
    fn a_name_is_short_and_visible() {
        let named = |name: &str| {
            SentinelRecord::new([
                pair("name", name),
                pair("ip", "10.0.0.1"),
                pair("port", "1"),
            ])
            .master()
            .is_some()
        };
        assert!(named(&"x".repeat(MAX_NAME)) && named("mymaster"));
        assert!(!named(&"x".repeat(MAX_NAME + 1)) && !named("a\nb") && !named(""));
    }

    proptest! {
        #[test]
        fn nothing_that_a_sentinel_says_makes_it_panic(fields in proptest::collection::vec((".{0,20}", ".{0,40}"), 0..20), text in ".{0,200}") {
            let record = SentinelRecord::new(fields);
            let _ = (record.master(), record.replica(), record.sentinel(), QuorumCheck::parse(&text), is_tilted(&text));
            let _ = (SentinelMessage::parse("+switch-master", &text), SentinelMessage::parse(&text, &text));
        }
    }
}
