//! What happens in takes of a Redis Cluster.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::layout::{Layout, Shape};
use super::scenarios::{OUTAGE, STEADY_STREAM, Scenario};
use super::stage::{PATIENCE, Plan, Stage, stop};
use crate::cluster::{move_slots_among, order};

/// Every situation of a cluster.
pub(super) const ALL: [Scenario; 2] = [
    Scenario::calm("cluster: failover under load", cluster, |s| {
        Box::pin(failover(s))
    })
    .of_many_servers(),
    Scenario::outage("cluster: replica stopped, slots move", cluster, |s| {
        Box::pin(stopped_while_slots_move(s))
    })
    .of_many_servers(),
];

/// Slots of the first shard that no key of the writer has.
const IDLE_SLOTS: [u16; 4] = [16_370, 16_372, 16_374, 16_376];

fn cluster() -> Plan {
    Plan {
        shape: Shape::Cluster,
        load: Some(STEADY_STREAM),
        ..Plan::default()
    }
}

/// The other replica becomes master in good order; the scored one and the old master follow it by
/// themselves.
async fn failover(stage: &mut Stage) {
    stage.pass(4.0).await;
    stage.writer.pause().await;
    stage.caught_up().await;
    let layout = &stage.layout;
    let heir = layout
        .other
        .as_ref()
        .expect("the shape has another replica");
    let ordered = clock::now();
    order(heir, &["CLUSTER", "FAILOVER"]).await;
    let (_, port) = heir.addr().tcp().expect("it listens on TCP");
    let port = port.to_string();
    let follows = || async {
        let master = layout.replica.info_field("replication", "master_port");
        let link = layout
            .replica
            .info_field("replication", "master_link_status");
        let is_heir = master
            .await
            .is_ok_and(|port_now| port_now.as_ref() == Some(&port));
        let is_up = link
            .await
            .is_ok_and(|status| status.as_deref() == Some("up"));
        is_heir && is_up
    };
    eventually("the scored replica to follow", PATIENCE, follows)
        .await
        .unwrap();
    // The exporter follows within a second, and both servers of the new pair have to answer first.
    stage.pass(1.0).await;
    stage.excuse(ordered);
    let heir = stage.layout.other.as_ref();
    let heir = heir.expect("the shape has another replica");
    stage.writer.go_to(heir.addr()).await;
    stage.writer.write(STEADY_STREAM).await;
    stage.caught_up().await;
    stage.pass(10.0).await;
}

/// Slots move to another shard and back, one by one, while the scored replica is stopped.
async fn stopped_while_slots_move(stage: &mut Stage) {
    let Layout {
        replica,
        master,
        others,
        ..
    } = &mut stage.layout;
    let master: &RedisServer = master;
    let others: &[RedisServer] = others;
    let masters = [master, &others[0], &others[1]];
    let moves = async {
        for slot in IDLE_SLOTS {
            move_slots_among(&masters, (master, &others[0]), slot..=slot).await;
            move_slots_among(&masters, (&others[0], master), slot..=slot).await;
        }
    };
    let (frozen, ()) = tokio::join!(stop(replica, Duration::from_secs_f64(OUTAGE)), moves);
    stage.froze(frozen.0, frozen.1);
}
