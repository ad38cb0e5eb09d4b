//! Which server was deposed, and whether the writes that only it has can still be read.
//!
//! A promoted replica names the history that it continues (`master_replid2`) and the first offset
//! that it does not share (`second_repl_offset`). The deposed master goes on with that history:
//! what it has from that offset on, nobody else has. Its backlog holds the commands, as long as it
//! has not been run over, freed or lost in a restart.

use std::cmp::Reverse;
use std::fmt;

use crate::info::{Observation, ReplicationInfo, Role};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, ServerAddr, Span};

/// A server and what it answered.
#[derive(Clone, Debug)]
pub struct AskedServer {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its answer, or a sentence why there is none.
    pub answer: Result<Observation, String>,
}

/// The end of a history that only a deposed master has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsharedTail {
    /// The history's ID.
    pub history: ReplicationId,
    /// The first byte that nobody else has.
    pub first: ReplicationOffset,
    /// The last byte that the deposed master has.
    pub last: ReplicationOffset,
}

impl UnsharedTail {
    /// How many bytes it has.
    pub const fn length(&self) -> Bytes {
        Bytes::new(
            self.last
                .get()
                .saturating_add(1)
                .saturating_sub(self.first.get()),
        )
    }
}

/// What is true of a server that may have been deposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailState {
    /// It has nothing that the promoted server lacks.
    Nothing,
    /// It has writes of its own, and its backlog holds them.
    Readable(UnsharedTail),
    /// What it has alone cannot be read.
    Unreadable(CannotBeHad),
}

/// Why the writes of a deposed master cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotBeHad {
    /// It does not answer.
    Silent {
        /// Why, as a sentence.
        why: String,
    },
    /// It is loading its data set.
    Loading,
    /// It is no master any more, and waits for the full sync that replaces its data.
    Demoted {
        /// What only it has.
        length: Bytes,
    },
    /// It keeps no backlog.
    NoBacklog {
        /// What only it has.
        length: Bytes,
    },
    /// It has written more than its backlog holds.
    RunOver {
        /// Bytes at the beginning that are gone.
        gone: Bytes,
        /// What only it had.
        length: Bytes,
    },
    /// It writes so fast that its backlog is being run over now.
    BeingRunOver,
    /// It was restarted from its RDB file: how much is lost is known, and the commands are gone.
    Restarted {
        /// What only it had.
        length: Bytes,
    },
    /// Its history is a new one.
    HistoryGone {
        /// For how long its process has run.
        uptime: Option<Span>,
    },
    /// It, or its proxy, refuses what is needed.
    Refused {
        /// What and why, as a sentence.
        why: String,
    },
    /// Reading it would let writes through a fence.
    WouldOpenFence,
    /// The connection ended or what came was no stream of commands.
    Broken {
        /// Why, as a sentence.
        why: String,
    },
    /// The file cannot be written.
    NotWritten {
        /// Why, as a sentence.
        why: String,
    },
}

impl CannotBeHad {
    /// A word for programs.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "silent",
            Self::Loading => "loading",
            Self::Demoted { .. } => "demoted",
            Self::NoBacklog { .. } => "no_backlog",
            Self::RunOver { .. } => "run_over",
            Self::BeingRunOver => "being_run_over",
            Self::Restarted { .. } => "restarted",
            Self::HistoryGone { .. } => "history_gone",
            Self::Refused { .. } => "refused",
            Self::WouldOpenFence => "would_open_fence",
            Self::Broken { .. } => "broken",
            Self::NotWritten { .. } => "not_written",
        }
    }

    /// What happened, without what to do about it where that is known apart.
    pub fn cause(&self) -> String {
        match self {
            Self::Silent { why }
            | Self::Refused { why }
            | Self::Broken { why }
            | Self::NotWritten { why } => why.clone(),
            _ => self.to_string(),
        }
    }

    /// Whether another attempt may succeed.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Silent { .. }
            | Self::Loading
            | Self::Demoted { .. } // it may be made a master again
            | Self::BeingRunOver
            | Self::Refused { .. }
            | Self::WouldOpenFence
            | Self::Broken { .. }
            | Self::NotWritten { .. } => true,
            Self::NoBacklog { .. }
            | Self::RunOver { .. }
            | Self::Restarted { .. }
            | Self::HistoryGone { .. } => false,
        }
    }
}

impl fmt::Display for CannotBeHad {
    /// What is wrong and what to do, as the end of a sentence about the server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { why } => write!(
                f,
                "it does not answer ({why}). What only it has is in its memory as long as its process lives: \
                 run this again as soon as it answers"
            ),
            Self::Loading => f.write_str("it is loading its data set: run this again when it has ended"),
            Self::Demoted { length } => write!(
                f,
                "it is a replica now and waits for the full sync that replaces its data ({length} are only on it). \
                 REPLICAOF NO ONE on it, before that sync is loaded, makes it a master again with all it had; \
                 then run this again"
            ),
            Self::NoBacklog { length } => write!(
                f,
                "it keeps no backlog, so the {length} that are only on it are in its data set and not as commands: \
                 save an RDB copy before it resyncs (redis-cli --rdb FILE)"
            ),
            Self::RunOver { gone, length } => write!(
                f,
                "its backlog no longer holds the beginning: {gone} of {length} are gone. \
                 Save an RDB copy before it resyncs (redis-cli --rdb FILE), and make repl-backlog-size larger"
            ),
            Self::BeingRunOver => f.write_str(
                "its clients write so fast that its backlog is being run over at this moment: \
                 stop them, then run this again",
            ),
            Self::Restarted { length } => write!(
                f,
                "it was restarted from its RDB file: {length} were only on it, and their commands are gone with \
                 its backlog. What the file kept is in its data set: save an RDB copy before it resyncs \
                 (redis-cli --rdb FILE)"
            ),
            Self::HistoryGone { uptime } => {
                f.write_str("its replication history is a new one")?;
                if let Some(uptime) = uptime {
                    write!(f, " (its process has run for {uptime})")?;
                }
                f.write_str(
                    ": it was restarted, or freed its backlog (repl-backlog-ttl after its last replica left). \
                     What was only on it can no longer be distinguished: compare its data set before it resyncs",
                )
            }
            Self::Refused { why } | Self::Broken { why } | Self::NotWritten { why } => f.write_str(why),
            Self::WouldOpenFence => f.write_str(
                "it has min-replicas-to-write, and a reader counts as a replica: writes would get through while it \
                 reads. Give the user +client|pause and +client|unpause (Redis 6.2), or fence it yourself with \
                 CONFIG SET min-replicas-to-write 1000000, then run this again",
            ),
        }
    }
}

/// A server that was promoted, and the history that it continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotedServer {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its own history.
    pub history: ReplicationId,
    /// The history that it continues.
    pub continues: ReplicationId,
    /// The first offset that it does not share.
    pub first_own: ReplicationOffset,
}

impl PromotedServer {
    /// The server, if it answered as a master that continues another history.
    pub fn new(addr: &ServerAddr, answer: &Observation) -> Option<Self> {
        let info = &answer.replication;
        if !is_master(info) {
            return None;
        }
        Some(Self {
            addr: addr.clone(),
            history: info.replid.get()?.clone(),
            continues: info.replid2.get()?.clone(),
            first_own: info.second_offset.value()?,
        })
    }
}

/// A server that may have been deposed, and what is true of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeposedServer {
    /// Where it listens.
    pub addr: ServerAddr,
    /// The server that was promoted instead.
    pub promoted: PromotedServer,
    /// What it has alone.
    pub state: TailState,
}

/// The servers of one entry that may have been deposed. Empty where no server was promoted: then no
/// master has writes that it would lose.
pub fn deposed_servers(servers: &[AskedServer]) -> Vec<DeposedServer> {
    let Some(promoted) = promoted_server(servers) else {
        return Vec::new();
    };
    let mut deposed = Vec::new();
    for server in servers {
        if server.addr == promoted.addr {
            continue;
        }
        let state = match &server.answer {
            Ok(answer) => tail_state(answer, &promoted),
            Err(why) => TailState::Unreadable(CannotBeHad::Silent { why: why.clone() }),
        };
        deposed.push(DeposedServer {
            addr: server.addr.clone(),
            promoted: promoted.clone(),
            state,
        });
    }
    deposed
}

/// How likely a server is the promoted one: whether it continues the history of another one,
/// whether it is followed, and how little it shares of the old history.
type Rank = (bool, bool, Reverse<ReplicationOffset>);

/// The server that was promoted: the one that others follow, or that continues the history of
/// another one; of two that continue the same history, the one that shares less of it: the other
/// one wrote it for longer, and is a master again.
fn promoted_server(servers: &[AskedServer]) -> Option<PromotedServer> {
    let mut best: Option<(Rank, PromotedServer)> = None;
    for server in servers {
        let Ok(answer) = &server.answer else { continue };
        let Some(promoted) = PromotedServer::new(&server.addr, answer) else {
            continue;
        };
        let others = servers.iter().filter(|other| other.addr != server.addr);
        let mut continues_one = false;
        let mut is_followed = false;
        for other in others {
            let Ok(answer) = &other.answer else { continue };
            let replid = answer.replication.replid.get();
            continues_one |= replid == Some(&promoted.continues);
            is_followed |= replid == Some(&promoted.history);
        }
        let rank = (continues_one, is_followed, Reverse(promoted.first_own));
        if best.as_ref().is_none_or(|(known, _)| rank > *known) {
            best = Some((rank, promoted));
        }
    }
    best.map(|(_, promoted)| promoted)
}

/// What a server has that `promoted` lacks, by its answer.
pub fn tail_state(answer: &Observation, promoted: &PromotedServer) -> TailState {
    let info = &answer.replication;
    if info.replid.get() == Some(&promoted.history) {
        return TailState::Nothing; // it follows, and has nothing else
    }
    if answer.persistence.loading.value() == Some(true) {
        return TailState::Unreadable(CannotBeHad::Loading);
    }
    if info.replid.get() == Some(&promoted.continues) {
        return in_old_history(info, promoted);
    }
    if info.replid2.get() == Some(&promoted.continues)
        && let Some(first_own) = info.second_offset.value()
    {
        return in_continued_history(info, promoted, first_own);
    }
    if !is_master(info) && info.upstream.as_ref().is_none_or(|link| !link.is_up()) {
        return TailState::Nothing; // a replica writes nothing of its own
    }
    TailState::Unreadable(CannotBeHad::HistoryGone {
        uptime: answer.server.uptime.value(),
    })
}

/// The state of a server that continues, from `first_own` on, the history that `promoted`
/// continues: it became a master again before its full sync, or was restarted from its RDB file, or
/// was promoted as well.
fn in_continued_history(
    info: &ReplicationInfo,
    promoted: &PromotedServer,
    first_own: ReplicationOffset,
) -> TailState {
    // It knows the old ID up to there, and may have gone on under its own.
    let mut old = in_old_history(info, promoted);
    if first_own < promoted.first_own {
        old = TailState::Nothing; // it lacks a part of what both would share
    }
    let lost = first_own.since(promoted.first_own);
    match old {
        TailState::Unreadable(CannotBeHad::RunOver { .. } | CannotBeHad::NoBacklog { .. })
            if lost > Bytes::ZERO =>
        {
            TailState::Unreadable(CannotBeHad::Restarted { length: lost })
        }
        TailState::Unreadable(CannotBeHad::NoBacklog { .. }) => TailState::Nothing,
        old => old,
    }
}

/// The state of a server that still shows the history that `promoted` continues.
fn in_old_history(info: &ReplicationInfo, promoted: &PromotedServer) -> TailState {
    let Some(last) = last_offset(info) else {
        return TailState::Unreadable(CannotBeHad::Broken {
            why: "it does not show its replication offset, so what is only on it is not known: run this again"
                .to_owned(),
        });
    };
    let tail = UnsharedTail {
        history: promoted.continues.clone(),
        first: promoted.first_own,
        last,
    };
    let length = tail.length();
    if length == Bytes::ZERO {
        return TailState::Nothing;
    }
    if !is_master(info) {
        return TailState::Unreadable(CannotBeHad::Demoted { length });
    }
    let is_active = info.backlog.active.value() == Some(true);
    let first_byte = info.backlog.first_byte.value();
    let Some(first_byte) = first_byte.filter(|_| is_active) else {
        return TailState::Unreadable(CannotBeHad::NoBacklog { length });
    };
    if first_byte > tail.first {
        let gone = first_byte.since(tail.first);
        return TailState::Unreadable(CannotBeHad::RunOver { gone, length });
    }
    TailState::Readable(tail)
}

/// The last offset that a server has: written as a master, or applied as a replica whose link is
/// down. Once its full sync has begun, a demoted master shows an applied offset of 1; its own is
/// the old one until the new data set is loaded.
fn last_offset(info: &ReplicationInfo) -> Option<ReplicationOffset> {
    let upstream = info.upstream.as_ref();
    let applied = upstream.and_then(|upstream| upstream.applied_offset.value());
    applied.max(info.master_offset.value())
}

fn is_master(info: &ReplicationInfo) -> bool {
    info.role.value() == Some(Role::Master)
}

/// How many bytes a server may still write before its backlog loses the byte at `from`; `None`
/// where that is not known.
pub fn room_before(info: &ReplicationInfo, from: ReplicationOffset) -> Option<Bytes> {
    let backlog = &info.backlog;
    let held = from.since(backlog.first_byte.value()?).get();
    let free = backlog
        .size
        .value()?
        .get()
        .saturating_sub(backlog.histlen.value()?.get());
    Some(Bytes::new(held.saturating_add(free)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info;

    const OLD: char = 'a';
    const NEW: char = 'b';
    const NONE: char = '0';

    fn id(letter: char) -> String {
        letter.to_string().repeat(40)
    }

    /// The answer of a master in history `replid`, which continues `replid2` up to `second` - 1.
    fn master(replid: char, offset: u64, replid2: char, second: i64) -> Observation {
        answer(&format!(
            "role:master\r\nmaster_replid:{}\r\nmaster_replid2:{}\r\nmaster_repl_offset:{offset}\r\n\
             second_repl_offset:{second}\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1000\r\n\
             repl_backlog_first_byte_offset:50\r\nrepl_backlog_histlen:{}\r\n",
            id(replid),
            id(replid2),
            offset.saturating_sub(49)
        ))
    }

    fn answer(replication: &str) -> Observation {
        info::parse(&format!(
            "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nuptime_in_seconds:7\r\n\r\n\
             # Replication\r\n{replication}\r\n"
        ))
        .unwrap()
    }

    fn promoted() -> PromotedServer {
        let addr = ServerAddr::new("new", 6379);
        PromotedServer::new(&addr, &master(NEW, 300, OLD, 100)).unwrap()
    }

    fn state(answer: &Observation) -> TailState {
        tail_state(answer, &promoted())
    }

    fn why(answer: &Observation) -> CannotBeHad {
        match state(answer) {
            TailState::Unreadable(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_master_that_goes_on_with_the_old_history_has_a_tail() {
        let TailState::Readable(tail) = state(&master(OLD, 250, NONE, -1)) else {
            panic!("readable");
        };
        assert_eq!((tail.first.get(), tail.last.get()), (100, 250));
        assert_eq!(tail.length(), Bytes::new(151));
        assert_eq!(state(&master(OLD, 99, NONE, -1)), TailState::Nothing);
        assert_eq!(state(&master(OLD, 80, NONE, -1)), TailState::Nothing);
    }

    #[test]
    fn a_backlog_that_lost_the_cut_or_is_off_holds_no_tail() {
        let late = info::parse(
            &"# Replication\r\nrole:master\r\nmaster_replid:A\r\nmaster_repl_offset:900\r\n\
              repl_backlog_active:1\r\nrepl_backlog_first_byte_offset:140\r\n"
                .replace(":A", &format!(":{}", id(OLD))),
        )
        .unwrap();
        let gone = Bytes::new(40);
        let length = Bytes::new(801);
        assert_eq!(why(&late), CannotBeHad::RunOver { gone, length });
        let mut off = master(OLD, 250, NONE, -1);
        off.replication.backlog.active = info::Field::Value(false);
        let length = Bytes::new(151);
        assert_eq!(why(&off), CannotBeHad::NoBacklog { length });
    }

    #[test]
    fn a_demoted_server_has_its_tail_until_it_resyncs() {
        let replica = |replid: char, applied: u64| {
            answer(&format!(
                "role:slave\r\nmaster_host:new\r\nmaster_port:6379\r\nmaster_link_status:down\r\n\
                 slave_repl_offset:{applied}\r\nmaster_replid:{}\r\n",
                id(replid)
            ))
        };
        let length = Bytes::new(51);
        assert_eq!(why(&replica(OLD, 150)), CannotBeHad::Demoted { length });
        assert_eq!(state(&replica(OLD, 99)), TailState::Nothing);
        assert_eq!(state(&replica(NEW, 200)), TailState::Nothing);
        // The transfer of the full sync has begun: the applied offset is a default.
        let mut in_transfer = replica(OLD, 1);
        in_transfer.replication.master_offset = info::Field::Value(ReplicationOffset::new(150));
        assert_eq!(why(&in_transfer), CannotBeHad::Demoted { length });
    }

    #[test]
    fn a_server_without_an_offset_is_not_said_to_have_nothing() {
        let mut without = master(OLD, 250, NONE, -1);
        without.replication.master_offset = info::Field::Missing;
        assert!(matches!(why(&without), CannotBeHad::Broken { .. }));
    }

    #[test]
    fn a_restarted_server_has_no_commands() {
        let length = Bytes::new(60);
        let mut from_rdb = master('c', 170, OLD, 160);
        from_rdb.replication.backlog.first_byte = info::Field::Value(ReplicationOffset::new(160));
        assert_eq!(why(&from_rdb), CannotBeHad::Restarted { length });
        from_rdb.replication.backlog.active = info::Field::Value(false);
        assert_eq!(why(&from_rdb), CannotBeHad::Restarted { length });
        let mut with_nothing = master('c', 99, OLD, 100);
        with_nothing.replication.backlog.active = info::Field::Value(false);
        assert_eq!(state(&with_nothing), TailState::Nothing);
        let uptime = Some(Span::from_secs(7));
        let unrelated = master('c', 0, NONE, -1);
        assert_eq!(why(&unrelated), CannotBeHad::HistoryGone { uptime });
    }

    #[test]
    fn a_server_that_became_a_master_again_is_read_under_the_old_id() {
        let TailState::Readable(tail) = state(&master('c', 170, OLD, 160)) else {
            panic!("readable");
        };
        assert_eq!(tail.history, promoted().continues);
        assert_eq!((tail.first.get(), tail.last.get()), (100, 170));
        assert_eq!(state(&master('c', 170, OLD, 90)), TailState::Nothing);
    }

    #[test]
    fn only_a_promotion_makes_a_deposed_server() {
        let asked = |name: &str, answer: Result<Observation, &str>| AskedServer {
            addr: ServerAddr::new(name, 6379),
            answer: answer.map_err(str::to_owned),
        };
        let old = || asked("old", Ok(master(OLD, 250, NONE, -1)));
        let new = || asked("new", Ok(master(NEW, 300, OLD, 100)));
        let replica = || asked("r", Ok(answer("role:slave\r\nmaster_link_status:down\r\n")));
        assert_eq!(deposed_servers(&[old(), replica()]), []);
        assert_eq!(
            deposed_servers(&[asked("old", Err("silent")), replica()]),
            []
        );
        let found = deposed_servers(&[old(), new()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].addr, ServerAddr::new("old", 6379));
        assert!(matches!(found[0].state, TailState::Readable(_)));
        let found = deposed_servers(&[asked("old", Err("timed out")), new()]);
        let silent = CannotBeHad::Silent {
            why: "timed out".to_owned(),
        };
        assert_eq!(found[0].state, TailState::Unreadable(silent));
    }

    #[test]
    fn of_two_promoted_servers_the_one_that_continues_the_other_counts() {
        let asked = |name: &str, answer: Observation| AskedServer {
            addr: ServerAddr::new(name, 6379),
            answer: Ok(answer),
        };
        // Promoted long ago, and deposed by a server that continues its history.
        let old = asked("old", master(OLD, 900, 'z', 800));
        let new = asked("new", master(NEW, 300, OLD, 100));
        for servers in [[old.clone(), new.clone()], [new.clone(), old]] {
            let found = deposed_servers(&servers);
            assert_eq!(found[0].addr, ServerAddr::new("old", 6379));
        }
        // The deposed one is a master again, and wrote the shared history for longer.
        let again = asked("old", master('c', 170, OLD, 160));
        for servers in [[again.clone(), new.clone()], [new, again]] {
            let found = deposed_servers(&servers);
            assert_eq!(found[0].addr, ServerAddr::new("old", 6379));
            assert!(
                matches!(found[0].state, TailState::Readable(_)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_room_before_the_cut_is_what_it_holds_and_what_is_free() {
        let info = master(OLD, 250, NONE, -1).replication;
        let room = room_before(&info, ReplicationOffset::new(100));
        assert_eq!(room, Some(Bytes::new(50 + 1000 - 201)));
        assert_eq!(
            room_before(&ReplicationInfo::default(), ReplicationOffset::new(1)),
            None
        );
    }

    #[test]
    fn every_reason_says_what_to_do() {
        let length = Bytes::new(2048);
        let why = || "the server says no".to_owned();
        let reasons = [
            CannotBeHad::Silent { why: why() },
            CannotBeHad::Loading,
            CannotBeHad::Demoted { length },
            CannotBeHad::NoBacklog { length },
            CannotBeHad::RunOver {
                gone: length,
                length,
            },
            CannotBeHad::BeingRunOver,
            CannotBeHad::Restarted { length },
            CannotBeHad::HistoryGone { uptime: None },
            CannotBeHad::WouldOpenFence,
        ];
        for reason in reasons {
            let sentence = reason.to_string();
            let advice = ["run this again", "RDB copy", "compare its data set"];
            assert!(
                advice.iter().any(|words| sentence.contains(words)),
                "{sentence}"
            );
            assert!(
                !sentence.ends_with('.') && !sentence.contains("  "),
                "{sentence}"
            );
        }
        assert_eq!(CannotBeHad::Refused { why: why() }.to_string(), why());
    }
}
