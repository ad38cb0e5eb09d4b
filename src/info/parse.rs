//! Parses a whole reply. Fields are found by their keys, in whatever section they are.

use super::replica_line::{is_replica_key, parse_replica_line};
use super::table::{InfoTable, lines};
use super::{
    BacklogInfo, Field, InfoError, Observation, PersistenceInfo, ReplicaLine, ReplicationInfo,
    Role, ServerInfo,
};
use super::{ServerMode, StatsInfo, UpstreamInfo};
use super::{engine, value};
use super::{keyspace, known};

/// Parses one INFO reply, or the concatenated texts of several sections (servers before 7.0 return
/// one section per call).
///
/// Keys are found in any section, with or without `# Section` headers; unknown ones are ignored. A
/// key that is repeated with another value is [`Field::Malformed`].
///
/// The text has to be complete. RESP's length prefix guarantees that: a truncated bulk string is a
/// protocol error and never gets here. If a proxy truncates the text, a last line without its end
/// is malformed, and the fields after it are missing. So a prefix of a reply gives no value that
/// the reply does not have; only the list of replicas may be shorter, the number of keys smaller,
/// and the engine less precise (Valkey without its `valkey_version` is Redis).
///
/// # Errors
///
/// [`InfoError`] when the text has no `key:value` line, or no `role`.
pub fn parse(text: &str) -> Result<Observation, InfoError> {
    parse_lines(text, is_used)
}

/// Parses the lines of `text` whose keys are `used`.
fn parse_lines(text: &str, used: impl Fn(&str) -> bool) -> Result<Observation, InfoError> {
    let mut table = InfoTable::default();
    let mut replicas = Vec::new();
    let mut is_empty = true;
    for line in lines(text) {
        if is_replica_key(line.key) {
            let has_room = replicas.len() < ReplicationInfo::MAX_REPLICAS;
            replicas.extend(parse_replica_line(&line).filter(|_| has_room));
        } else if used(line.key) {
            table.insert(&line);
        } else {
            is_empty = false;
        }
    }
    if !table.has("role") {
        let is_empty = is_empty && table.is_empty();
        return Err(why_no_role(&table, is_empty));
    }
    Ok(Observation {
        server: server(&table),
        replication: replication(&table, replicas),
        stats: stats(&table),
        persistence: persistence(&table),
        keys: keyspace::keys(&table, text),
    })
}

/// Whether a field depends on `key`.
fn is_used(key: &str) -> bool {
    known::place(key).is_some() || keyspace::is_database(key)
}

/// [`parse`] for bytes, for callers (and fuzzers) without a text. Bytes that are not UTF-8 are
/// replaced, which makes the fields that contain them malformed and does not affect the others.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_bytes(reply: &[u8]) -> Result<Observation, InfoError> {
    parse(&String::from_utf8_lossy(reply))
}

/// Why the reply is none that can be used; `is_empty` if it has no `key:value` line at all.
fn why_no_role(table: &InfoTable<'_>, is_empty: bool) -> InfoError {
    if is_empty {
        InfoError::NotInfo
    } else if server(table).mode.value() == Some(ServerMode::Sentinel) {
        InfoError::Sentinel
    } else if persistence(table).is_loading() {
        InfoError::Loading
    } else {
        InfoError::NoRole
    }
}

fn server(table: &InfoTable<'_>) -> ServerInfo {
    let (engine, version) = engine::detect(table);
    // Valkey 8 and later print server_mode unless they are configured to look like Redis.
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

fn replication(table: &InfoTable<'_>, replicas: Vec<ReplicaLine>) -> ReplicationInfo {
    let role = value::role(table.get("role"));
    ReplicationInfo {
        upstream: (role == Field::Value(Role::Replica)).then(|| upstream(table)),
        role,
        replid: value::replication_id(table.get("master_replid")),
        replid2: value::replication_id(table.get("master_replid2")),
        second_offset: value::offset(table.get("second_repl_offset")),
        master_offset: value::offset(table.get("master_repl_offset")),
        backlog: backlog(table),
        connected_replicas: value::count(table.get("connected_slaves")),
        replicas,
    }
}

fn backlog(table: &InfoTable<'_>) -> BacklogInfo {
    BacklogInfo {
        active: value::flag(table.get("repl_backlog_active")),
        size: value::bytes(table.get("repl_backlog_size")),
        first_byte: value::offset(table.get("repl_backlog_first_byte_offset")),
        histlen: value::bytes(table.get("repl_backlog_histlen")),
    }
}

fn upstream(table: &InfoTable<'_>) -> UpstreamInfo {
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

fn stats(table: &InfoTable<'_>) -> StatsInfo {
    StatsInfo {
        sync_full: value::count(table.get("sync_full")),
        sync_partial_ok: value::count(table.get("sync_partial_ok")),
        sync_partial_err: value::count(table.get("sync_partial_err")),
    }
}

fn persistence(table: &InfoTable<'_>) -> PersistenceInfo {
    PersistenceInfo {
        loading: value::flag(table.get("loading")),
        async_loading: value::flag(table.get("async_loading")),
        aof_enabled: value::flag(table.get("aof_enabled")),
        rdb_keys_loaded: value::count(table.get("rdb_last_load_keys_loaded")),
        save_keys_processed: value::count_above_zero(table.get("current_save_keys_processed")),
        save_keys_total: value::count_above_zero(table.get("current_save_keys_total")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_key_that_a_field_depends_on_is_used() {
        let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/info");
        let mut replies = 0;
        for server in std::fs::read_dir(captured).unwrap() {
            let folder = server.unwrap().path();
            if !folder.is_dir() {
                continue; // where they come from
            }
            for reply in std::fs::read_dir(folder).unwrap() {
                let text = std::fs::read_to_string(reply.unwrap().path()).unwrap();
                assert_eq!(parse(&text), parse_lines(&text, |_| true), "{text}");
                replies += 1;
            }
        }
        assert!(replies > 40, "{replies} captured replies");
        let rest = "loading:0\nasync_loading:1\nrole:slave\nslave_repl_offset:1\n\
            slave_repl_offset:1\nserver_mode:cluster\nmaster_1_host:a\nmvcc_depth:1\n\
            master_link_down_since_seconds:7\nrdb_last_load_keys_loaded:3\naof_enabled:1\n";
        assert_eq!(parse(rest), parse_lines(rest, |_| true));
        for only in ["other:1\n", "slave0:ip=a\n", "mvcc_depth:1\n", "# A\n", ""] {
            assert_eq!(parse(only), parse_lines(only, |_| true), "{only:?}");
        }
    }
}
