//! The lines between two sites, and three ways in which they break.

use std::time::Duration;

use fastrand::Rng;
use redis_cross_dc_exporter::lab::{Direction, WanConditions, WanProxy};
use redis_cross_dc_exporter::model::ServerAddr;

use super::super::Sites;

/// The lines by which the applications of each site reach the other one.
pub(super) struct Wan {
    /// From the applications at dc1 to the server at dc2.
    pub(super) to_second: WanProxy,
    /// From the applications at dc2 to the server at dc1.
    pub(super) to_first: WanProxy,
}

/// How a line breaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Break {
    /// Connections are reset and refused.
    Refused,
    /// Requests do not arrive.
    StallsThere,
    /// Requests arrive, replies do not.
    StallsBack,
}

const BREAKS: [Break; 3] = [Break::Refused, Break::StallsThere, Break::StallsBack];

impl Wan {
    /// Two lines with a round trip of 1 to 20 ms.
    pub(super) async fn start(sites: &Sites, random: &mut Rng) -> Self {
        let conditions = WanConditions {
            delay: Duration::from_micros(random.u64(500..10_000)),
            ..WanConditions::default()
        };
        let line =
            async |server: &ServerAddr| WanProxy::start(None, server, conditions).await.unwrap();
        Self {
            to_second: line(sites.dc2.addr()).await,
            to_first: line(sites.dc1.addr()).await,
        }
    }

    /// Breaks both lines, each in a way of its own.
    pub(super) async fn part(&self, random: &mut Rng) {
        for line in [&self.to_second, &self.to_first] {
            match BREAKS[random.usize(..BREAKS.len())] {
                Break::Refused => line.cut().await,
                // The lab calls the side that connects the replica.
                Break::StallsThere => line.stall(Direction::ToMaster),
                Break::StallsBack => line.stall(Direction::ToReplica),
            }
        }
    }

    pub(super) async fn heal(&self) {
        for line in [&self.to_second, &self.to_first] {
            line.heal().await.unwrap();
        }
    }
}
