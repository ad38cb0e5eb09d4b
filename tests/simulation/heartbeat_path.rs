//! How a heartbeat goes through the model world: behind everything that the master executed before
//! it.

use crate::replies::master_life;
use crate::world::{Nanos, OutageKind, World};

/// When the replica applies a heartbeat that reaches the master at `executed`, and the master's
/// process; `None` when nobody takes it, or it is lost with its stream.
pub(crate) fn applied(world: &World, executed: Nanos) -> Option<(Nanos, String)> {
    let life = world.life(executed).filter(|life| life.is_master)?;
    let before_it = life.offset.at(executed);
    let mut at = executed + world.delay;
    loop {
        if let Some(outage) = world.outages.iter().find(|outage| outage.blocks(at)) {
            // What the snapshot of a full sync holds does not come through the stream, and a
            // snapshot holds no messages.
            if matches!(outage.kind, OutageKind::FullSync { .. })
                && executed <= outage.snapshot_at()
            {
                return None;
            }
            at = outage.to + world.delay;
            continue;
        }
        let stream = world
            .stream(at)
            .filter(|stream| stream.replid == life.replid && at < life.until)?;
        if world.never_synced || world.is_promoted(at) {
            return None;
        }
        if stream.applied.at(at) >= before_it {
            return Some((at, master_life(life.from)));
        }
        at = stream.applied.reaches(before_it)?;
    }
}
