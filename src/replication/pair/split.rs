//! The unshared history of a pair whose servers both are masters.

use crate::info::ReplicationInfo;
use crate::model::{ReplicationId, ReplicationOffset};
use crate::replication::epochs::{MasterHistory, continued_history};
use crate::replication::split::Split;

/// What each of two masters has that the other has not: the one whose `history` is known, and the
/// one that answered `other`. `None` where it is unknown how their histories are related.
pub(super) fn split(history: &MasterHistory, other: &ReplicationInfo) -> Option<Split> {
    let own = history.replid()?;
    let own_continues = history.continues();
    let other_replid = other.replid.get()?;
    let other_continues = continued_history(other);

    let master_promoted = promoted_out_of(own_continues, other_replid);
    let replica_promoted = promoted_out_of(other_continues.as_ref(), own);
    let last_shared = match master_promoted.or(replica_promoted) {
        Some(last_shared) => last_shared,
        None => both_promoted(own_continues, other_continues.as_ref())?,
    };
    Some(Split {
        master: history.newest()?.since(last_shared),
        replica: other.master_offset.value()?.since(last_shared),
        master_was_promoted: master_promoted.is_some(),
    })
}

/// The last shared offset, if a server that continued that history was promoted out of `parent`.
fn promoted_out_of(
    continued: Option<&(ReplicationId, ReplicationOffset)>,
    parent: &ReplicationId,
) -> Option<ReplicationOffset> {
    let (replid, last_shared) = continued?;
    if replid != parent {
        return None;
    }
    Some(*last_shared)
}

/// The last shared offset, if both servers were promoted out of the same third one.
fn both_promoted(
    one: Option<&(ReplicationId, ReplicationOffset)>,
    other: Option<&(ReplicationId, ReplicationOffset)>,
) -> Option<ReplicationOffset> {
    let (one_replid, one_shared) = one?;
    let (other_replid, other_shared) = other?;
    if one_replid != other_replid {
        return None;
    }
    Some(*one_shared.min(other_shared))
}
