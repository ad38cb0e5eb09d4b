//! Properties that hold for every text.

use proptest::collection::vec;
use proptest::prelude::*;

use super::captured::{names, text};
use crate::info::{
    Field, Observation, ReplicationInfo, UpstreamInfo, parse, parse_bytes, parse_details,
};

/// The name of a captured reply with a replication section.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(names().collect::<Vec<_>>())
}

/// A line that no server sends, which must change nothing.
fn unknown_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "x_[a-z_]{0,20}:[ -~]{0,40}",
        "# [A-Za-z]{1,12}",
        "[ -9;-~]{0,30}", // without a colon
        "slave[a-z_]{1,9}x:ip=10.9.9.9,offset=1",
        Just(String::new()),
    ]
}

/// Texts near to replies: known keys with values of every kind.
fn nearly_a_reply() -> impl Strategy<Value = String> {
    let keys = [
        "role",
        "master_replid",
        "master_repl_offset",
        "second_repl_offset",
        "slave_repl_offset",
        "slave0",
        "slave99999999999999999999",
        "master_link_down_since_seconds",
        "repl_backlog_histlen",
        "uptime_in_seconds",
        "tcp_port",
        "run_id",
        "valkey_version",
        "master_sync_total_bytes",
    ];
    let value = prop_oneof![
        "(slave|master|active-replica|up|[01])",
        "-?[0-9]{1,40}",
        "[0-9a-f]{38,42}",
        "(ip|port|state|offset|lag)=[0-9:.=-]{0,20}(,(ip|port|state|offset|lag)=-?[0-9]{1,22}){0,6}",
        "\\PC{0,300}",
    ];
    let line = (
        prop::sample::select(keys.to_vec()),
        value,
        prop::sample::select(&["\n", "\r\n", "\r", ""][..]),
    );
    let line = line.prop_map(|(key, value, end)| format!("{key}:{value}{end}"));
    vec(line, 0..30).prop_map(|lines| lines.concat())
}

/// Whether `cut` says nothing but what `whole` says: the same, or missing, or malformed.
fn agrees<T: PartialEq>(cut: &Field<T>, whole: &Field<T>) -> bool {
    cut == whole || matches!(cut, Field::Missing | Field::Malformed)
}

fn upstream_agrees(cut: &UpstreamInfo, whole: &UpstreamInfo) -> bool {
    agrees(&cut.host, &whole.host)
        && agrees(&cut.port, &whole.port)
        && agrees(&cut.link, &whole.link)
        && agrees(&cut.last_io, &whole.last_io)
        && agrees(&cut.sync_in_progress, &whole.sync_in_progress)
        && agrees(&cut.sync_read, &whole.sync_read)
        && agrees(&cut.sync_total, &whole.sync_total)
        && agrees(&cut.read_offset, &whole.read_offset)
        && agrees(&cut.applied_offset, &whole.applied_offset)
        && agrees(&cut.link_down_since, &whole.link_down_since)
        && agrees(&cut.priority, &whole.priority)
        && agrees(&cut.read_only, &whole.read_only)
}

fn replication_agrees(cut: &ReplicationInfo, whole: &ReplicationInfo) -> bool {
    let upstreams = cut.upstream.as_ref().zip(whole.upstream.as_ref());
    agrees(&cut.role, &whole.role)
        && agrees(&cut.replid, &whole.replid)
        && agrees(&cut.replid2, &whole.replid2)
        && agrees(&cut.second_offset, &whole.second_offset)
        && agrees(&cut.master_offset, &whole.master_offset)
        && agrees(&cut.backlog.active, &whole.backlog.active)
        && agrees(&cut.backlog.size, &whole.backlog.size)
        && agrees(&cut.backlog.first_byte, &whole.backlog.first_byte)
        && agrees(&cut.backlog.histlen, &whole.backlog.histlen)
        && agrees(&cut.connected_replicas, &whole.connected_replicas)
        && whole.replicas.starts_with(&cut.replicas)
        && upstreams.is_none_or(|(cut, whole)| upstream_agrees(cut, whole))
}

fn others_agree(cut: &Observation, whole: &Observation) -> bool {
    agrees(&cut.server.run_id, &whole.server.run_id)
        && agrees(&cut.server.tcp_port, &whole.server.tcp_port)
        && agrees(&cut.server.uptime, &whole.server.uptime)
        && agrees(&cut.stats.sync_full, &whole.stats.sync_full)
        && agrees(&cut.stats.sync_partial_ok, &whole.stats.sync_partial_ok)
        && agrees(&cut.stats.sync_partial_err, &whole.stats.sync_partial_err)
        && agrees(&cut.persistence.loading, &whole.persistence.loading)
        && agrees(
            &cut.persistence.async_loading,
            &whole.persistence.async_loading,
        )
        && agrees(&cut.persistence.aof_enabled, &whole.persistence.aof_enabled)
        && agrees(
            &cut.persistence.rdb_keys_loaded,
            &whole.persistence.rdb_keys_loaded,
        )
}

/// Every prefix of some short replies; the property below tries some prefixes of all.
#[test]
fn a_cut_reply_never_says_anything_that_the_whole_does_not_say() {
    for name in [
        "redis-6.2/replica_syncing",
        "redis-7.4/replica_link_down",
        "redis-8.2/master",
        "valkey-9.1/master",
    ] {
        let whole = text(name);
        let expected = parse(&whole).unwrap();
        for end in 0..whole.len() {
            let Ok(cut) = parse(&whole[..end]) else {
                continue;
            };
            assert!(
                replication_agrees(&cut.replication, &expected.replication),
                "{name} cut at {end}: {cut:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = parse_bytes(&bytes);
        let _ = parse_details(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_text_near_a_reply_makes_it_panic_or_break_its_bounds(text in nearly_a_reply()) {
        let details = parse_details(&text);
        prop_assert!(details.eviction_policy.get().is_none_or(|word| word.len() <= 256));
        if let Ok(o) = parse(&text) {
            let whole = i64::MAX.unsigned_abs();
            prop_assert!(o.replication.master_offset.value().is_none_or(|offset| offset.get() <= whole));
            prop_assert!(o.replication.replicas.iter().all(|line| (1..=256).contains(&line.ip.len())));
            prop_assert!(o.server.uptime.value().is_none_or(|uptime| uptime.as_nanos() >= 0));
            prop_assert_eq!(parse_bytes(text.as_bytes()), Ok(o));
        }
    }

    #[test]
    fn unknown_lines_change_nothing(
        name in name(),
        extra in vec((any::<prop::sample::Index>(), unknown_line()), 0..20),
    ) {
        let reply = text(name);
        let mut lines: Vec<_> = reply.split_inclusive("\r\n").map(str::to_owned).collect();
        for (at, line) in extra {
            lines.insert(at.index(lines.len() + 1), line + "\r\n");
        }
        prop_assert_eq!(parse(&lines.concat()), parse(&reply));
    }

    #[test]
    fn the_order_of_lines_does_not_matter((name, order) in (name(), vec(any::<u32>(), 300))) {
        let reply = text(name);
        let mut lines: Vec<_> = reply.split_inclusive("\r\n").zip(order).collect();
        lines.sort_by_key(|(_, order)| *order);
        let shuffled: String = lines.into_iter().map(|(line, _)| line).collect();
        prop_assert_eq!(parse(&shuffled), parse(&reply));
    }

    #[test]
    fn line_ends_and_headers_do_not_matter(name in name(), end in prop::sample::select(&["\n", "\r", "\r\n\r\n"][..])) {
        let reply = text(name);
        let lines = reply.lines().filter(|line| !line.starts_with('#'));
        let bare: Vec<_> = lines.map(|line| line.to_owned() + end).collect();
        prop_assert_eq!(parse(&bare.concat()), parse(&reply));
    }

    #[test]
    fn a_cut_reply_of_all_sections_never_says_anything_else(name in name(), at in any::<prop::sample::Index>()) {
        let whole = text(name);
        let expected = parse(&whole).unwrap();
        if let Ok(cut) = parse(&whole[..at.index(whole.len())]) {
            prop_assert!(replication_agrees(&cut.replication, &expected.replication));
            prop_assert!(others_agree(&cut, &expected));
        }
    }
}
