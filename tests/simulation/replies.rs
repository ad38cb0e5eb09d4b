//! What the model's servers answer to INFO: text, as it comes from the wire, so that reading it is
//! tested as well.

use std::fmt::Write as _;

use crate::world::{Nanos, OutageKind, REPL_TIMEOUT, SEC, SyncPhase, World};

/// The port by which the master's line for the replica is recognised.
const REPLICA_PORT: u16 = 6379;

/// The replica's process.
pub(crate) const REPLICA_LIFE: &str = "r";

/// The master's process that began at `from`.
pub(crate) fn master_life(from: Nanos) -> String {
    format!("m{from}")
}

/// The history called by this letter.
pub(crate) fn replid(letter: char) -> String {
    letter.to_string().repeat(40)
}

fn server_section(run_id: &str, loading: bool) -> String {
    format!(
        "# Server\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\nrun_id:{run_id}\r\ntcp_port:{REPLICA_PORT}\r\n\r\n\
         # Persistence\r\nloading:{}\r\nasync_loading:0\r\n\r\n\
         # Stats\r\nsync_full:0\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n\r\n# Replication\r\n",
        u8::from(loading)
    )
}

fn histories(
    out: &mut String,
    own: char,
    continues: Option<(char, u64)>,
    offset: u64,
    backlog: bool,
) {
    let (old, second) = continues.map_or_else(
        || ("0".repeat(40), "-1".to_owned()),
        |(id, cut)| (replid(id), (cut + 1).to_string()),
    );
    let _ = write!(
        out,
        "master_replid:{}\r\nmaster_replid2:{old}\r\nmaster_repl_offset:{offset}\r\nsecond_repl_offset:{second}\r\n\
         repl_backlog_active:{}\r\nrepl_backlog_size:1048576\r\nrepl_backlog_first_byte_offset:1\r\n\
         repl_backlog_histlen:1048576\r\n",
        replid(own),
        u8::from(backlog)
    );
}

/// The master's answer at the instant `t`; `None` when nobody listens.
pub(crate) fn master(world: &World, t: Nanos) -> Option<String> {
    let life = world.life(t)?;
    let mut out = server_section(&master_life(life.from), false);
    out.push_str(if life.is_master {
        "role:master\r\n"
    } else {
        "role:slave\r\n"
    });
    if life.is_master {
        let replica = replica_line(world, t);
        let _ = write!(out, "connected_slaves:{}\r\n", u8::from(replica.is_some()));
        if let Some(line) = replica {
            let _ = write!(out, "slave0:ip=10.2.0.1,port={REPLICA_PORT},{line}\r\n");
        }
    } else {
        let offset = life.offset.at(t);
        let _ = write!(
            out,
            "master_host:10.2.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n\
             master_sync_in_progress:0\r\nslave_read_repl_offset:{offset}\r\nslave_repl_offset:{offset}\r\n\
             connected_slaves:0\r\n"
        );
    }
    histories(
        &mut out,
        life.replid,
        life.continues,
        life.offset.at(t),
        life.backlog,
    );
    Some(out)
}

/// The master's line for the replica, without its address: state, ACKed offset, age of the ACK.
fn replica_line(world: &World, t: Nanos) -> Option<String> {
    let stream = world.stream(t)?;
    let follows = world
        .life(t)
        .is_some_and(|life| life.replid == stream.replid);
    if world.never_synced || world.is_promoted(t) || !follows {
        let syncing = world
            .outage(t)
            .is_some_and(|o| matches!(o.kind, OutageKind::FullSync { .. }));
        if !syncing {
            return None;
        }
    }
    if let Some(outage) = world.outage(t) {
        match outage.kind {
            OutageKind::Cut => return None,
            OutageKind::FullSync { .. } => {
                let state = match outage.sync_phase(t) {
                    SyncPhase::Preparing => "wait_bgsave",
                    SyncPhase::Transfer => "send_bulk",
                    SyncPhase::Loading => "online",
                };
                return Some(format!("state={state},offset=0,lag=0"));
            }
            OutageKind::Stall if t - outage.from > REPL_TIMEOUT => return None,
            _ => {}
        }
    }
    let sent = last_ack(world, t)?;
    let age = (t - sent - world.delay) / SEC;
    Some(format!(
        "state=online,offset={},lag={age}",
        stream.applied.at(sent)
    ))
}

/// When the newest ACK that the master has at `t` was sent: they come at 1 Hz, and not through an
/// outage.
fn last_ack(world: &World, t: Nanos) -> Option<Nanos> {
    let mut sent = (t - world.delay).div_euclid(SEC) * SEC;
    for _ in 0..200 {
        let lost = world.outages.iter().any(|o| {
            (o.from..o.to).contains(&(sent + world.delay))
                && !matches!(o.kind, OutageKind::Throttle { .. })
                || o.kind == OutageKind::ReplicaStopped && (o.from..o.to).contains(&sent)
        });
        if !lost {
            return Some(sent);
        }
        sent -= SEC;
    }
    None
}

/// What the replica says about its link.
#[derive(Clone, Copy, Default)]
struct LinkReply {
    /// Since when it is down; `None` while it is up.
    down_since: Option<Nanos>,
    phase: Option<SyncPhase>,
    hides_offset: bool,
}

fn link(world: &World, t: Nanos) -> LinkReply {
    let up = LinkReply::default();
    let Some(outage) = world.outage(t) else {
        return up;
    };
    match outage.kind {
        OutageKind::Cut => LinkReply {
            down_since: Some(outage.from),
            ..up
        },
        OutageKind::Stall if t - outage.from > REPL_TIMEOUT => LinkReply {
            down_since: Some(outage.from + REPL_TIMEOUT),
            ..up
        },
        OutageKind::FullSync { hides_offset } => {
            let phase = outage.sync_phase(t);
            let hides_offset = hides_offset || phase == SyncPhase::Loading;
            LinkReply {
                down_since: Some(outage.from),
                phase: Some(phase),
                hides_offset,
            }
        }
        _ => up,
    }
}

/// The replica's answer at the instant `t`.
pub(crate) fn replica(world: &World, t: Nanos) -> Option<String> {
    let stream = world.stream(t)?;
    if let Some(promotion) = world.promotion.as_ref().filter(|p| p.at <= t) {
        let mut out = server_section(REPLICA_LIFE, false);
        out.push_str("role:master\r\nconnected_slaves:0\r\n");
        histories(
            &mut out,
            promotion.replid,
            Some(promotion.continues),
            promotion.continues.1 + 10,
            true,
        );
        return Some(out);
    }
    let link = link(world, t);
    let (is_up, transfers) = (
        link.down_since.is_none(),
        link.phase == Some(SyncPhase::Transfer),
    );
    let mut out = server_section(REPLICA_LIFE, link.phase == Some(SyncPhase::Loading));
    let _ = write!(
        out,
        "role:slave\r\nmaster_host:10.1.0.1\r\nmaster_port:6379\r\nmaster_link_status:{}\r\n\
         master_last_io_seconds_ago:{}\r\nmaster_sync_in_progress:{}\r\n",
        if is_up && !world.never_synced {
            "up"
        } else {
            "down"
        },
        if is_up {
            stream
                .received
                .last_change(t)
                .map_or(0, |at| (t - at) / SEC)
        } else {
            -1
        },
        u8::from(transfers),
    );
    let (received, applied) = match (world.never_synced, link.hides_offset) {
        (true, _) => (0, 0),
        (_, true) => (1, 1),
        _ => (stream.received.at(t), stream.applied.at(t)),
    };
    let _ = write!(
        out,
        "slave_read_repl_offset:{received}\r\nslave_repl_offset:{applied}\r\n"
    );
    if transfers {
        let read = (t / 1_000_000).rem_euclid(1_000_000) * 100;
        let _ = write!(
            out,
            "master_sync_total_bytes:0\r\nmaster_sync_read_bytes:{read}\r\n"
        );
    }
    if world.never_synced {
        out.push_str("master_link_down_since_seconds:-1\r\n");
    } else if let Some(since) = link.down_since {
        let ago = t.div_euclid(SEC) - since.div_euclid(SEC);
        let _ = write!(out, "master_link_down_since_seconds:{ago}\r\n");
    }
    let own = if world.never_synced {
        'e'
    } else {
        stream.replid
    };
    out.push_str("slave_priority:100\r\nslave_read_only:1\r\nconnected_slaves:0\r\n");
    histories(&mut out, own, None, applied, true);
    Some(out)
}
