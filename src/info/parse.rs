//! The whole reply: sections found by their keys, wherever they stand.

use super::keyspace;
use super::replica_line::{is_replica_key, replica_line};
use super::table::{Table, lines};
use super::{
    BacklogInfo, Field, InfoError, Observation, PersistenceInfo, ReplicationInfo, Role, ServerInfo,
};
use super::{ServerMode, StatsInfo, UpstreamInfo};
use super::{engine, value};

/// Reads one INFO reply, or the texts of several sections one after the other as they came (servers
/// before 7.0 give one section a call).
///
/// Keys are looked up wherever they stand, with or without `# Section` headers; unknown ones are
/// ignored. A key that repeats with another value is [`Field::Malformed`].
///
/// The text must be whole. RESP's length prefix guarantees that (a cut bulk string is a protocol
/// error and never gets here). A text that was cut elsewhere, say by a proxy, shows it: a last line
/// without its line end is malformed, and what would have followed is missing. So a prefix of a
/// reply gives no value that the reply does not have; only the list of replicas may be shorter, the
/// number of keys smaller, and the engine less precise (Valkey without its `valkey_version` is
/// Redis).
///
/// # Errors
///
/// [`InfoError`] when the text says nothing about replication: it has no `key:value` line, or no
/// `role`.
pub fn parse(text: &str) -> Result<Observation, InfoError> {
    let table = Table::collect(lines(text).filter(|line| !is_replica_key(line.key)));
    if !table.has("role") {
        return Err(why_no_role(&table));
    }
    Ok(Observation {
        server: server(&table),
        replication: replication(&table, text),
        stats: stats(&table),
        persistence: persistence(&table),
        keys: keyspace::keys(&table, text),
    })
}

/// [`parse`] for bytes as they came from the wire, for callers (and fuzzers) that hold no text.
/// What is not UTF-8 is replaced, which makes the fields that hold it malformed and leaves the
/// others as they are.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_bytes(reply: &[u8]) -> Result<Observation, InfoError> {
    parse(&String::from_utf8_lossy(reply))
}

fn why_no_role(table: &Table<'_>) -> InfoError {
    if table.is_empty() {
        InfoError::NotInfo
    } else if server(table).mode.value() == Some(ServerMode::Sentinel) {
        InfoError::Sentinel
    } else if persistence(table).is_loading() {
        InfoError::Loading
    } else {
        InfoError::NoRole
    }
}

fn server(table: &Table<'_>) -> ServerInfo {
    let (engine, version) = engine::detect(table);
    // Valkey 8 and later print server_mode unless they are told to look like Redis.
    let mode_key = if table.has("server_mode") {
        "server_mode"
    } else {
        "redis_mode"
    };
    ServerInfo {
        engine,
        version,
        mode: value::mode(table.get(mode_key)),
        run_id: value::run_id(table.get("run_id")),
        tcp_port: value::listening_port(table.get("tcp_port")),
        uptime: value::seconds(table.get("uptime_in_seconds")),
    }
}

fn replication(table: &Table<'_>, text: &str) -> ReplicationInfo {
    let role = value::role(table.get("role"));
    let replica_lines = lines(text).filter(|line| is_replica_key(line.key));
    ReplicationInfo {
        upstream: (role == Field::Value(Role::Replica)).then(|| upstream(table)),
        role,
        replid: value::replication_id(table.get("master_replid")),
        replid2: value::replication_id(table.get("master_replid2")),
        second_offset: value::offset(table.get("second_repl_offset")),
        master_offset: value::offset(table.get("master_repl_offset")),
        backlog: backlog(table),
        connected_replicas: value::count(table.get("connected_slaves")),
        replicas: replica_lines
            .filter_map(|line| replica_line(&line))
            .take(ReplicationInfo::MAX_REPLICAS)
            .collect(),
    }
}

fn backlog(table: &Table<'_>) -> BacklogInfo {
    BacklogInfo {
        active: value::flag(table.get("repl_backlog_active")),
        size: value::bytes(table.get("repl_backlog_size")),
        first_byte: value::offset(table.get("repl_backlog_first_byte_offset")),
        histlen: value::bytes(table.get("repl_backlog_histlen")),
    }
}

fn upstream(table: &Table<'_>) -> UpstreamInfo {
    UpstreamInfo {
        host: value::word(table.get("master_host")),
        port: value::port(table.get("master_port")),
        link: value::link(table.get("master_link_status")),
        last_io: value::seconds(table.get("master_last_io_seconds_ago")),
        sync_in_progress: value::flag(table.get("master_sync_in_progress")),
        sync_read: value::bytes(table.get("master_sync_read_bytes")),
        sync_total: value::dump_size(table.get("master_sync_total_bytes")),
        read_offset: value::offset(table.get("slave_read_repl_offset")),
        applied_offset: value::offset(table.get("slave_repl_offset")),
        link_down_since: value::link_down_seconds(table.get("master_link_down_since_seconds")),
        priority: value::count(table.get("slave_priority")),
        read_only: value::flag(table.get("slave_read_only")),
    }
}

fn stats(table: &Table<'_>) -> StatsInfo {
    StatsInfo {
        sync_full: value::count(table.get("sync_full")),
        sync_partial_ok: value::count(table.get("sync_partial_ok")),
        sync_partial_err: value::count(table.get("sync_partial_err")),
    }
}

fn persistence(table: &Table<'_>) -> PersistenceInfo {
    PersistenceInfo {
        loading: value::flag(table.get("loading")),
        async_loading: value::flag(table.get("async_loading")),
        aof_enabled: value::flag(table.get("aof_enabled")),
        rdb_keys_loaded: value::count(table.get("rdb_last_load_keys_loaded")),
    }
}
