//! Detects which program answered: most of them also claim a Redis version, for compatibility.

use super::table::InfoTable;
use super::value;
use super::{Engine, Field};

/// The fields by which a program names its own version. Each of these programs prints
/// `redis_version` too, or may: Valkey `src/server.c` (also `server_name:valkey`), Dragonfly
/// `src/server/server_family.cc`, Kvrocks `src/server/server.cc`, Garnet
/// `libs/server/Metrics/Info/GarnetInfoMetrics.cs`.
const OWN_VERSIONS: [(&str, Engine); 4] = [
    ("valkey_version", Engine::Valkey),
    ("dragonfly_version", Engine::Dragonfly),
    ("kvrocks_version", Engine::Kvrocks),
    ("garnet_version", Engine::Garnet),
];

/// Fields that only `KeyDB` prints. It names itself only in its program's path, so any of these has
/// to suffice: the first two are in every replica's `# Replication`, the last in `# KeyDB`.
const KEYDB_FIELDS: [&str; 4] = [
    "master_global_link_status",
    "connected_masters",
    "master_1_host",
    "mvcc_depth",
];

/// Returns the program and its own version.
pub(super) fn detect(table: &InfoTable<'_>) -> (Engine, Field<String>) {
    if let Some((key, engine)) = OWN_VERSIONS.into_iter().find(|(key, _)| table.has(key)) {
        return (engine, value::word(table.get(key)));
    }
    if table.text("server_name") == Some("valkey") {
        return (Engine::Valkey, Field::Missing);
    }
    let version = value::word(table.get("redis_version"));
    match version {
        _ if is_keydb(table) => (Engine::KeyDb, version),
        Field::Missing => (Engine::Unknown, version),
        _ => (Engine::Redis, version),
    }
}

/// Recognizes `KeyDB` by its program's path (`/usr/local/bin/keydb-server` in captured replies of
/// 5.3 to 6.3.4), its feature list (`features:cluster_mget`, 6.3), its role word, its own fields,
/// or an applied offset for each of several masters (captured in `redis_exporter` issue 371:
/// `slave_repl_offset` twice in one reply).
fn is_keydb(table: &InfoTable<'_>) -> bool {
    let path = table.text("executable").unwrap_or_default();
    let program = path.rsplit('/').next().unwrap_or_default();
    let mut features = table.text("features").unwrap_or_default().split(',');
    program.starts_with("keydb")
        || table.text("role") == Some("active-replica")
        || features.any(|feature| feature == "cluster_mget")
        || KEYDB_FIELDS.iter().any(|key| table.has(key))
        || table.repeats("slave_repl_offset")
}

#[cfg(test)]
mod tests {
    use super::super::table::lines;
    use super::*;

    fn check(text: &str, engine: Engine, version: Option<&str>) {
        let (found, own) = detect(&InfoTable::collect(lines(text)));
        assert_eq!(
            (found, own.get().map(String::as_str)),
            (engine, version),
            "{text:?}"
        );
    }

    #[test]
    fn every_program_is_known_by_what_it_prints() {
        check(
            "redis_version:7.4.1\nexecutable:/usr/bin/redis-server\n",
            Engine::Redis,
            Some("7.4.1"),
        );
        check(
            "redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.1.8\n",
            Engine::Valkey,
            Some("8.1.8"),
        );
        check(
            "redis_version:7.2.4\nserver_name:valkey\n",
            Engine::Valkey,
            None,
        );
        check(
            "redis_version:7.4.0\ndragonfly_version:df-v1.40.1\n",
            Engine::Dragonfly,
            Some("df-v1.40.1"),
        );
        check(
            "version:2.9.0\nkvrocks_version:2.9.0\nredis_version:4.0.0\n",
            Engine::Kvrocks,
            Some("2.9.0"),
        );
        check(
            "garnet_version:1.0.50\nredis_version:7.4.3\n",
            Engine::Garnet,
            Some("1.0.50"),
        );
        check("role:master\n", Engine::Unknown, None);
        check("", Engine::Unknown, None);
    }

    #[test]
    fn keydb_is_known_although_it_says_redis() {
        let signs = [
            "executable:/usr/local/bin/keydb-server\n",
            "executable:keydb-server\n",
            "features:cluster_mget\n",
            "role:active-replica\n",
            "role:slave\nmaster_global_link_status:up\n",
            "connected_masters:1\n",
            "mvcc_depth:0\n",
            "slave_repl_offset:4323\nslave_repl_offset:4369\n",
            "slave_repl_offset:4323\nslave_repl_offset:4323\n",
        ];
        for sign in signs {
            check(
                &format!("redis_version:6.3.4\n{sign}"),
                Engine::KeyDb,
                Some("6.3.4"),
            );
        }
        check(
            "redis_version:7.0.15\nexecutable:/srv/keydb/redis-server\n",
            Engine::Redis,
            Some("7.0.15"),
        );
    }

    #[test]
    fn an_unusable_version_still_names_the_program() {
        check(
            "valkey_version:\nredis_version:7.2.4\n",
            Engine::Valkey,
            None,
        );
        check("redis_version:7.4", Engine::Redis, None);
    }
}
