//! What an audit reads of an INFO reply beyond what polls need: memory, clients, persistence,
//! modules and databases.

use std::collections::{BTreeMap, BTreeSet};

use super::Field;
use super::keyspace;
use super::table::{InfoLine, InfoTable, RawValue, lines, parts};
use super::value;
use crate::model::{Bytes, Span};

/// The header of the section of modules; a server without modules sends nothing else of it.
const MODULES: &str = "# Modules";

/// Fields of INFO without arguments that only an audit reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerDetails {
    /// `redis_version`: of Valkey the Redis version that it is compatible with.
    pub redis_version: Field<String>,
    /// `config_file`: the file that the server was started with and CONFIG REWRITE writes; `None`
    /// where it was started without one.
    pub config_file: Field<String>,
    /// `connected_clients`: without replicas.
    pub connected_clients: Field<u64>,
    /// `maxclients` (6.2 and later).
    pub max_clients: Field<u64>,
    /// `used_memory`.
    pub used_memory: Field<Bytes>,
    /// `total_system_memory`: of the host, whatever a container may use of it.
    pub total_memory: Field<Bytes>,
    /// `maxmemory`; `None` when 0 (no limit).
    pub max_memory: Field<Bytes>,
    /// `maxmemory_policy`.
    pub eviction_policy: Field<String>,
    /// `rdb_last_bgsave_status`: whether the last RDB file was written.
    pub last_rdb_save_ok: Field<bool>,
    /// `aof_last_write_status`: whether the last write to the append-only file succeeded.
    pub last_aof_write_ok: Field<bool>,
    /// `rdb_last_save_time`, in Unix seconds; the start of the process where it has saved nothing.
    pub last_save_unix: Field<u64>,
    /// `rdb_changes_since_last_save`.
    pub changes_since_save: Field<u64>,
    /// The number of keys in each database that has any, by its number.
    pub databases: Field<BTreeMap<u64, u64>>,
    /// The names of the loaded modules; missing where the server does not send the section (before
    /// 6.0).
    pub modules: Field<BTreeSet<String>>,
    /// `min_slaves_good_slaves`: the replicas that count for `min-replicas-to-write`; missing where
    /// that is not set.
    pub good_replicas: Field<u64>,
    /// `replica_announced` (6.2 and later): whether Sentinels are told of this replica.
    pub announced: Field<bool>,
    /// `loading_loaded_bytes`: what it has loaded so far; only while it loads.
    pub loaded: Field<Bytes>,
    /// `loading_total_bytes`: of how much; `None` when 0, where it loads from a diskless sync.
    pub load_total: Field<Bytes>,
    /// `loading_eta_seconds`: the server's own estimate of the rest.
    pub load_left: Field<Span>,
}

/// Reads the details of one INFO reply. Total, as [`super::parse()`] is.
pub fn parse_details(text: &str) -> ServerDetails {
    let table = InfoTable::collect(lines(text).filter(|line| line.key != "module"));
    ServerDetails {
        redis_version: value::word(table.get("redis_version")),
        config_file: config_file(table.get("config_file")),
        connected_clients: value::count(table.get("connected_clients")),
        max_clients: value::count(table.get("maxclients")),
        used_memory: value::bytes(table.get("used_memory")),
        total_memory: value::bytes(table.get("total_system_memory")),
        max_memory: value::dump_size(table.get("maxmemory")),
        eviction_policy: value::word(table.get("maxmemory_policy")),
        last_rdb_save_ok: status(table.get("rdb_last_bgsave_status")),
        last_aof_write_ok: status(table.get("aof_last_write_status")),
        last_save_unix: value::count(table.get("rdb_last_save_time")),
        changes_since_save: value::count(table.get("rdb_changes_since_last_save")),
        databases: keyspace::databases(&table, text),
        modules: modules(text),
        good_replicas: value::count(table.get("min_slaves_good_slaves")),
        announced: value::flag(table.get("replica_announced")),
        loaded: value::bytes(table.get("loading_loaded_bytes")),
        load_total: value::dump_size(table.get("loading_total_bytes")),
        load_left: value::seconds(table.get("loading_eta_seconds")),
    }
}

/// A path; it may contain spaces, and is empty where the server has no file.
fn config_file(raw: RawValue<'_>) -> Field<String> {
    match raw {
        RawValue::Absent => Field::Missing,
        RawValue::Text("") => Field::None,
        RawValue::Text(path) if !path.contains(char::is_control) => Field::Value(path.to_owned()),
        RawValue::Text(_) | RawValue::Unusable => Field::Malformed,
    }
}

/// `ok` or `err`.
fn status(raw: RawValue<'_>) -> Field<bool> {
    match raw {
        RawValue::Absent => Field::Missing,
        RawValue::Text("ok") => Field::Value(true),
        RawValue::Text("err") => Field::Value(false),
        RawValue::Text(_) | RawValue::Unusable => Field::Malformed,
    }
}

/// The names in lines like `module:name=ReJSON,ver=20607,api=1`.
fn modules(text: &str) -> Field<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for line in lines(text).filter(|line| line.key == "module") {
        let Field::Value(name) = module_name(&line) else {
            return Field::Malformed;
        };
        names.insert(name);
    }
    if names.is_empty() && !text.contains(MODULES) {
        return Field::Missing;
    }
    Field::Value(names)
}

fn module_name(line: &InfoLine<'_>) -> Field<String> {
    let Some(value) = line.value else {
        return Field::Malformed;
    };
    value::word(InfoTable::collect(parts(value)).get("name"))
}

impl ServerDetails {
    /// How long ago the last RDB file was saved, `now_unix` being the server's own time.
    pub fn since_last_save(&self, now_unix: f64) -> Option<Span> {
        let saved = self.last_save_unix.value()? as f64;
        Some(Span::from_secs_f64(now_unix - saved).or_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_today_is_read_in_full() {
        let text = "# Server\r\nredis_version:7.0.15\r\nconfig_file:/etc/redis/my conf\r\n\
            # Clients\r\nconnected_clients:1\r\nmaxclients:10000\r\n\
            # Memory\r\nused_memory:917016\r\ntotal_system_memory:25276510208\r\nmaxmemory:0\r\n\
            maxmemory_policy:noeviction\r\n\
            # Persistence\r\nloading:1\r\nloading_total_bytes:0\r\nloading_loaded_bytes:900\r\n\
            loading_eta_seconds:7\r\nrdb_changes_since_last_save:3\r\nrdb_last_save_time:1796003598\r\n\
            rdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\n\
            # Replication\r\nrole:slave\r\nmin_slaves_good_slaves:2\r\nreplica_announced:1\r\n\
            # Modules\r\nmodule:name=ReJSON,ver=20607,api=1\r\nmodule:name=bf,ver=1\r\n\
            # Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\ndb9:keys=1,expires=0,avg_ttl=0\r\n";
        let details = parse_details(text);
        let expected = ServerDetails {
            redis_version: Field::Value("7.0.15".to_owned()),
            config_file: Field::Value("/etc/redis/my conf".to_owned()),
            connected_clients: Field::Value(1),
            max_clients: Field::Value(10_000),
            used_memory: Field::Value(Bytes::new(917_016)),
            total_memory: Field::Value(Bytes::new(25_276_510_208)),
            max_memory: Field::None,
            eviction_policy: Field::Value("noeviction".to_owned()),
            last_rdb_save_ok: Field::Value(false),
            last_aof_write_ok: Field::Value(true),
            last_save_unix: Field::Value(1_796_003_598),
            changes_since_save: Field::Value(3),
            databases: Field::Value(BTreeMap::from([(0, 7), (9, 1)])),
            modules: Field::Value(BTreeSet::from(["ReJSON".to_owned(), "bf".to_owned()])),
            good_replicas: Field::Value(2),
            announced: Field::Value(true),
            loaded: Field::Value(Bytes::new(900)),
            load_total: Field::None,
            load_left: Field::Value(Span::from_secs(7)),
        };
        assert_eq!(details, expected);
        assert_eq!(
            details.since_last_save(1_796_003_600.5),
            Some(Span::from_millis(2500))
        );
    }

    #[test]
    fn what_is_missing_empty_or_broken_is_distinguished() {
        assert_eq!(parse_details(""), ServerDetails::default());
        let details = parse_details("config_file:\r\n# Modules\r\n# Keyspace\r\n");
        assert_eq!(details.config_file, Field::None);
        assert_eq!(details.modules, Field::Value(BTreeSet::new()));
        assert_eq!(details.databases, Field::Value(BTreeMap::new()));
        let details = parse_details(
            "module:ver=1\r\nrdb_last_bgsave_status:maybe\r\ndb0:expires=1\r\nconfig_file:\u{1b}\r\n",
        );
        assert_eq!(details.modules, Field::Malformed);
        assert_eq!(details.last_rdb_save_ok, Field::Malformed);
        assert_eq!(details.databases, Field::Malformed);
        assert_eq!(details.config_file, Field::Malformed);
    }
}
