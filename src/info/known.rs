//! The keys that fields depend on, each with its place in a table. A reply has some 130 keys: to
//! collect all of them would take most of the time that a poll costs.

/// The longest of them, in bytes.
const LONGEST: usize = 30;

/// Every key, the shortest first: a key is compared only with those that are as long.
const KEYS: [&str; 53] = [
    "ip",
    "lag",
    "port",
    "role",
    "state",
    "offset",
    "run_id",
    "loading",
    "features",
    "tcp_port",
    "sync_full",
    "executable",
    "mvcc_depth",
    "redis_mode",
    "aof_enabled",
    "master_host",
    "master_port",
    "server_mode",
    "server_name",
    "async_loading",
    "master_1_host",
    "master_replid",
    "redis_version",
    "garnet_version",
    "master_replid2",
    "slave_priority",
    "valkey_version",
    "kvrocks_version",
    "slave_read_only",
    "sync_partial_ok",
    "connected_slaves",
    "sync_partial_err",
    "connected_masters",
    "dragonfly_version",
    "repl_backlog_size",
    "slave_repl_offset",
    "uptime_in_seconds",
    "master_link_status",
    "master_repl_offset",
    "second_repl_offset",
    "repl_backlog_active",
    "repl_backlog_histlen",
    "master_sync_read_bytes",
    "slave_read_repl_offset",
    "current_save_keys_total",
    "master_sync_in_progress",
    "master_sync_total_bytes",
    "master_global_link_status",
    "rdb_last_load_keys_loaded",
    "master_last_io_seconds_ago",
    "current_save_keys_processed",
    "master_link_down_since_seconds",
    "repl_backlog_first_byte_offset",
];

/// How many keys there are.
pub(super) const COUNT: usize = KEYS.len();

/// Where the keys of each length begin; those of the next one begin where they end.
const BEGIN: [usize; LONGEST + 2] = begin();

#[allow(clippy::indexing_slicing, reason = "a wrong index does not compile")]
const fn begin() -> [usize; LONGEST + 2] {
    let mut begin = [0; LONGEST + 2];
    let mut length = 0;
    let mut place = 0;
    while length < begin.len() {
        while place < COUNT && KEYS[place].len() < length {
            place += 1;
        }
        begin[length] = place;
        length += 1;
    }
    begin
}

/// The place of `key`, below [`COUNT`]; `None` for a key that no field depends on.
pub(super) fn place(key: &str) -> Option<usize> {
    let begin = *BEGIN.get(key.len())?;
    let end = *BEGIN.get(key.len() + 1)?;
    let as_long = KEYS.get(begin..end)?;
    // Most keys have no place. Their ends differ from those that do far more often than their
    // beginnings.
    let last = key.as_bytes().last();
    let is_key = |known: &&str| known.as_bytes().last() == last && *known == key;
    let found = as_long.iter().position(is_key)?;
    Some(begin + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place_and_no_other_has_one() {
        for (expected, key) in KEYS.iter().enumerate() {
            assert_eq!(place(key), Some(expected), "{key}");
            assert_eq!(place(&key[1..]), None, "{key}");
            assert_eq!(place(&key.to_uppercase()), None, "{key}");
        }
        for other in [
            "",
            "db0",
            "used_memory",
            "total_connections_received",
            "x".repeat(500).as_str(),
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
