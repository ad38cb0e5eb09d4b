//! Replies that were not captured: those of forks, old versions, proxies and attackers.

use crate::info::{
    BacklogInfo, Engine, Field, InfoError, LinkStatus, Observation, PersistenceInfo,
    ReplicationInfo, Role, ServerInfo, ServerMode, StatsInfo, UpstreamInfo, parse, parse_bytes,
};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, Span};

fn replica(rest: &str) -> UpstreamInfo {
    parse(&format!("role:slave\n{rest}"))
        .unwrap()
        .replication
        .upstream
        .unwrap()
}

fn observed(text: &str) -> Observation {
    parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn a_text_without_replication_is_refused_with_the_reason() {
    let cases = [
        ("", InfoError::NotInfo),
        ("PONG", InfoError::NotInfo),
        ("-NOAUTH Authentication required.\r\n", InfoError::NotInfo),
        ("# Replication\r\n\r\n", InfoError::NotInfo),
        ("#role:master\r\n", InfoError::NotInfo),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n",
            InfoError::NoRole,
        ),
        (
            "redis_version:7.4.1\r\nrole_of:master\r\n",
            InfoError::NoRole,
        ),
        ("ROLE:master\r\n", InfoError::NoRole),
        (
            "redis_version:7.0.15\r\nredis_mode:sentinel\r\n",
            InfoError::Sentinel,
        ),
        (
            "valkey_version:8.1.8\r\nserver_mode:sentinel\r\n",
            InfoError::Sentinel,
        ),
        (
            "kvrocks_version:2.9.0\r\n# Persistence\r\nloading:1\r\n",
            InfoError::Loading,
        ),
        (
            "kvrocks_version:2.9.0\r\n# Persistence\r\nloading:0\r\n",
            InfoError::NoRole,
        ),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn errors_are_sentences_that_say_what_to_look_at() {
    for error in [
        InfoError::NotInfo,
        InfoError::NoRole,
        InfoError::Sentinel,
        InfoError::Loading,
    ] {
        assert!(error.to_string().split_whitespace().count() > 8, "{error}");
        assert!(!error.to_string().contains("  "), "{error}");
    }
}

#[test]
fn a_role_alone_leaves_everything_else_missing() {
    let o = observed("role:master\n");
    let role = Field::Value(Role::Master);
    let expected = Observation {
        replication: ReplicationInfo {
            role,
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(o, expected);
    assert_eq!(replica(""), UpstreamInfo::default());
}

/// Captured replies have equal values in many fields; here no two fields of one type agree, so that
/// none can be read from another's key.
#[test]
fn every_field_is_read_from_its_own_key() {
    let replid = "a1".repeat(20);
    let replid2 = "b2".repeat(20);
    let text = format!(
        "redis_version:7.4.1\nredis_mode:cluster\nrun_id:r1\ntcp_port:7001\nuptime_in_seconds:11\nrole:slave\n\
         master_host:m\nmaster_port:7002\nmaster_link_status:down\nmaster_last_io_seconds_ago:12\n\
         master_sync_in_progress:1\nslave_read_repl_offset:21\nslave_repl_offset:22\nmaster_sync_total_bytes:31\n\
         master_sync_read_bytes:32\nmaster_sync_left_bytes:33\nmaster_sync_last_io_seconds_ago:13\n\
         master_link_down_since_seconds:14\nslave_priority:41\nslave_read_only:0\nreplica_announced:1\n\
         connected_slaves:42\nmaster_replid:{replid}\nmaster_replid2:{replid2}\nmaster_repl_offset:23\n\
         second_repl_offset:24\nrepl_backlog_active:1\nrepl_backlog_size:34\nrepl_backlog_first_byte_offset:25\n\
         repl_backlog_histlen:35\nsync_full:43\nsync_partial_ok:44\nsync_partial_err:45\nloading:0\nasync_loading:1\n\
         aof_enabled:1\nrdb_last_load_keys_loaded:49\n\
         current_save_keys_processed:50\ncurrent_save_keys_total:51\n\
         db0:keys=46,expires=47,avg_ttl=48\n"
    );
    let position = |n| Field::Value(ReplicationOffset::new(n));
    let size = |n| Field::Value(Bytes::new(n));
    let seconds = |n| Field::Value(Span::from_secs(n));
    let upstream = UpstreamInfo {
        host: Field::Value("m".to_owned()),
        port: Field::Value(7002),
        link: Field::Value(LinkStatus::Down),
        last_io: seconds(12),
        sync_in_progress: Field::Value(true),
        sync_read: size(32),
        sync_total: size(31),
        read_offset: position(21),
        applied_offset: position(22),
        link_down_since: seconds(14),
        priority: Field::Value(41),
        read_only: Field::Value(false),
    };
    let expected = Observation {
        server: ServerInfo {
            engine: Engine::Redis,
            version: Field::Value("7.4.1".to_owned()),
            mode: Field::Value(ServerMode::Cluster),
            run_id: Field::Value(RunId::parse("r1").unwrap()),
            tcp_port: Field::Value(7001),
            uptime: seconds(11),
        },
        replication: ReplicationInfo {
            role: Field::Value(Role::Replica),
            replid: Field::Value(ReplicationId::parse(&replid).unwrap()),
            replid2: Field::Value(ReplicationId::parse(&replid2).unwrap()),
            second_offset: position(24),
            master_offset: position(23),
            backlog: BacklogInfo {
                active: Field::Value(true),
                size: size(34),
                first_byte: position(25),
                histlen: size(35),
            },
            connected_replicas: Field::Value(42),
            replicas: Vec::new(),
            upstream: Some(upstream),
        },
        stats: StatsInfo {
            sync_full: Field::Value(43),
            sync_partial_ok: Field::Value(44),
            sync_partial_err: Field::Value(45),
        },
        persistence: PersistenceInfo {
            loading: Field::Value(false),
            async_loading: Field::Value(true),
            aof_enabled: Field::Value(true),
            rdb_keys_loaded: Field::Value(49),
            save_keys_processed: Field::Value(50),
            save_keys_total: Field::Value(51),
        },
        keys: Field::Value(46),
    };
    assert_eq!(observed(&text), expected);
}

#[test]
fn an_unknown_role_is_malformed_and_has_no_upstream() {
    for text in [
        "role:\n",
        "role:sentinel\n",
        "role:master",
        "role:master\nrole:slave\n",
    ] {
        let r = observed(text).replication;
        assert_eq!((r.role, r.upstream), (Field::Malformed, None), "{text:?}");
    }
}

#[test]
fn a_master_that_was_a_replica_has_no_upstream() {
    assert_eq!(
        observed("role:master\nmaster_host:a\nmaster_link_status:up\n")
            .replication
            .upstream,
        None
    );
}

#[test]
fn an_underflow_is_not_a_position() {
    let u = replica(
        "slave_repl_offset:18446744073709551607\nslave_read_repl_offset:-9\nmaster_port:-1\n",
    );
    assert_eq!(
        (u.applied_offset, u.read_offset, u.port),
        (Field::Malformed, Field::Malformed, Field::Malformed)
    );
}

#[test]
fn a_replica_that_never_connected_has_no_down_time_in_any_version() {
    assert_eq!(
        replica("master_link_down_since_seconds:1795352691\n").link_down_since,
        Field::None
    );
    assert_eq!(
        replica("master_link_down_since_seconds:-1\n").link_down_since,
        Field::None
    );
    assert_eq!(
        replica("master_link_status:up\n").link_down_since,
        Field::Missing
    );
}

#[test]
fn an_ipv6_master_is_read_to_its_end() {
    let u = replica("master_host:2001:db8::1\nmaster_port:6379\n");
    assert_eq!(u.host, Field::Value("2001:db8::1".to_owned()));
}

#[test]
fn two_lines_of_one_replica_are_both_kept_in_order() {
    let r = observed(
        "role:master\n\
         slave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0,type=main-channel\n\
         slave1:ip=10.0.0.2,port=6379,state=send_bulk,offset=0,lag=0,type=rdb-channel\n\
         slave1:ip=10.0.0.3,port=6379,state=online,offset=7,lag=1\n\
         slave2:nonsense\n",
    )
    .replication;
    let ips: Vec<_> = r.replicas.iter().map(|line| line.ip.as_str()).collect();
    assert_eq!(ips, ["10.0.0.2", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn the_list_of_replicas_is_bounded() {
    let lines: Vec<_> = (0..3000)
        .map(|n| format!("slave{n}:ip=10.0.0.2,port=1,state=online\n"))
        .collect();
    let r = observed(&format!(
        "role:master\nconnected_slaves:3000\n{}",
        lines.concat()
    ))
    .replication;
    assert_eq!(r.replicas.len(), ReplicationInfo::MAX_REPLICAS);
    assert_eq!(r.connected_replicas, Field::Value(3000));
}

/// A server prints the address that a replica announces as it came, so a hostile replica can add
/// lines.
#[test]
fn an_injected_line_makes_a_field_malformed_and_never_another_value() {
    let r = observed(
        "role:master\n\
         slave0:ip=10.0.0.2\n\
         master_repl_offset:1\n\
         role:master\n\
         x:,port=6379,state=online,offset=5,lag=0\n\
         master_repl_offset:62149180\n",
    )
    .replication;
    assert_eq!(r.master_offset, Field::Malformed);
    assert_eq!(r.role, Field::Value(Role::Master));
}

#[test]
fn keydb_with_two_masters_is_recognised_and_gives_no_applied_offset() {
    let o = observed(
        "# Server\r\nredis_version:6.3.4\r\n# Replication\r\nrole:active-replica\r\nmaster_global_link_status:up\r\n\
         master_host:10.0.0.3\r\nmaster_port:6379\r\nmaster_link_status:up\r\nslave_repl_offset:4323\r\n\
         master_1_host:10.0.0.2\r\nmaster_1_port:6379\r\nmaster_1_link_status:up\r\nslave_repl_offset:4369\r\n",
    );
    assert_eq!(
        (o.server.engine, o.server.engine.counts_bytes()),
        (Engine::KeyDb, false)
    );
    assert_eq!(
        o.replication.upstream.unwrap().applied_offset,
        Field::Malformed
    );
}

#[test]
fn dragonfly_says_replica_and_gives_no_offsets() {
    let o = observed(
        "redis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\nrole:replica\r\nmaster_host:10.0.0.1\r\n\
         master_port:6379\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\nmaster_sync_in_progress:0\r\n",
    );
    let u = o.replication.upstream.unwrap();
    assert_eq!(
        (o.server.engine, u.link),
        (Engine::Dragonfly, Field::Value(LinkStatus::Up))
    );
    assert_eq!(
        (o.replication.master_offset, u.applied_offset),
        (Field::Missing, Field::Missing)
    );
}

#[test]
fn garnet_without_a_cluster_says_that_it_has_no_numbers() {
    let o = observed(
        "garnet_version:1.0.50\nrole:master\nmaster_replid:0000000000000000000000000000000000000000\n\
         master_repl_offset:N/A\nsecond_repl_offset:N/A\n",
    );
    assert_eq!(o.replication.replid, Field::None);
    assert_eq!(
        (o.replication.master_offset, o.replication.second_offset),
        (Field::Malformed, Field::Malformed)
    );
}

#[test]
fn bytes_that_are_no_text_spoil_only_their_own_field() {
    let o =
        parse_bytes(b"role:slave\nmaster_host:\xff\xfe\nslave_repl_offset:5\nmaster_port:6379\0\n")
            .unwrap();
    let u = o.replication.upstream.unwrap();
    assert_eq!((u.host, u.port), (Field::Malformed, Field::Malformed));
    assert_eq!(u.applied_offset, Field::Value(ReplicationOffset::new(5)));
}

#[test]
fn helpers_restate_what_fields_say() {
    assert!(replica("master_link_status:up\n").is_up());
    assert!(!replica("master_link_status:down\n").is_up() && !replica("").is_up());
    for (text, loading) in [
        ("loading:1\n", true),
        ("loading:0\nasync_loading:1\n", true),
        ("loading:0\n", false),
    ] {
        assert_eq!(
            observed(&format!("role:master\n{text}"))
                .persistence
                .is_loading(),
            loading,
            "{text}"
        );
    }
    assert_eq!(
        observed("role:master\nuptime_in_seconds:7\n").server.uptime,
        Field::Value(Span::from_secs(7))
    );
}

#[test]
fn a_process_that_loaded_nothing_says_so_only_where_it_is_certain() {
    for (text, started_empty) in [
        (
            "loading:0\nasync_loading:0\naof_enabled:0\nrdb_last_load_keys_loaded:0\n",
            true,
        ),
        (
            "loading:0\nasync_loading:0\naof_enabled:0\nrdb_last_load_keys_loaded:1\n",
            false,
        ),
        (
            "loading:0\nasync_loading:0\naof_enabled:1\nrdb_last_load_keys_loaded:0\n",
            false,
        ),
        (
            "loading:1\nasync_loading:0\naof_enabled:0\nrdb_last_load_keys_loaded:0\n",
            false,
        ),
        (
            "loading:0\nasync_loading:1\naof_enabled:0\nrdb_last_load_keys_loaded:0\n",
            false,
        ),
        ("loading:0\naof_enabled:0\n", false),
        ("loading:0\nrdb_last_load_keys_loaded:0\n", false),
    ] {
        let seen = observed(&format!("role:master\n{text}"));
        assert_eq!(seen.persistence.started_empty(), started_empty, "{text}");
    }
}
