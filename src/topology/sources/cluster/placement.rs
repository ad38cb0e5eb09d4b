//! Risks in where the nodes of a shard run: what is lost or far away when a datacenter is.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Datacenter, PairName};

/// A shard whose nodes are placed so that the loss of one datacenter, or of one node, is worse than
/// it had to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRisk {
    /// The name of the shard's pairs.
    pub pair: PairName,
    /// The master's datacenter.
    pub master_dc: Datacenter,
    /// What is wrong.
    pub harm: ShardHarm,
}

/// What is wrong with where the nodes of a shard run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardHarm {
    /// It has no replica.
    NoReplica,
    /// Every replica is in the master's datacenter.
    NoneElsewhere,
    /// Every one of several replicas is in one other datacenter.
    AllInOne {
        /// That datacenter.
        dc: Datacenter,
        /// How many replicas there are.
        replicas: usize,
    },
}

/// The risk of a shard whose replicas are in `replicas` (one item each); `None` where there is
/// none, and while the datacenter of one of its nodes is not known.
pub(super) fn shard_risk(
    pair: &PairName,
    master_dc: &Datacenter,
    replicas: &[Datacenter],
) -> Option<ShardRisk> {
    if master_dc.is_unknown() || replicas.iter().any(Datacenter::is_unknown) {
        return None;
    }
    let mut counts: BTreeMap<&Datacenter, usize> = BTreeMap::new();
    for dc in replicas {
        *counts.entry(dc).or_default() += 1;
    }
    let is_single = counts.len() == 1;
    let harm = match counts.into_iter().next() {
        None => ShardHarm::NoReplica,
        Some((dc, _)) if is_single && dc == master_dc => ShardHarm::NoneElsewhere,
        Some((dc, count)) if is_single && count > 1 => ShardHarm::AllInOne {
            dc: dc.clone(),
            replicas: count,
        },
        Some(_) => return None,
    };
    Some(ShardRisk {
        pair: pair.clone(),
        master_dc: master_dc.clone(),
        harm,
    })
}

impl fmt::Display for ShardRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pair,
            master_dc,
            harm,
        } = self;
        match harm {
            ShardHarm::NoReplica => write!(
                f,
                "{pair} has no replica: when its master in {master_dc} is lost, so are the keys of its slots; add a \
                 replica in another datacenter"
            ),
            ShardHarm::NoneElsewhere => write!(
                f,
                "{pair} has no replica outside {master_dc}, where its master is: when {master_dc} is lost, so are the \
                 keys of its slots; place a replica in another datacenter"
            ),
            ShardHarm::AllInOne { dc, replicas } => write!(
                f,
                "all {replicas} replicas of {pair} are in {dc}, and its master is in {master_dc}: when the master alone \
                 fails, its clients in {master_dc} write to {dc}; place a replica in {master_dc} as well"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The harm of a shard with its master in `a` and replicas in these datacenters.
    fn check(replicas: &str, expected: Option<&ShardHarm>) {
        let replicas: Vec<_> = replicas.split_whitespace().map(Datacenter::new).collect();
        let risk = shard_risk(&PairName::new("c/slot-0"), &Datacenter::new("a"), &replicas);
        let harm = risk.map(|risk| risk.harm);
        assert_eq!(harm.as_ref(), expected, "{replicas:?}");
    }

    #[test]
    fn replicas_belong_into_both_datacenters() {
        check("b", None);
        check("a b", None);
        check("a b b", None);
        check("", Some(&ShardHarm::NoReplica));
        check("a", Some(&ShardHarm::NoneElsewhere));
        check("a a", Some(&ShardHarm::NoneElsewhere));
        let dc = Datacenter::new("b");
        check("b b", Some(&ShardHarm::AllInOne { dc, replicas: 2 }));
        check("b c", None);
    }

    #[test]
    fn a_node_in_an_unknown_datacenter_is_no_risk() {
        check("unknown", None);
        check("a unknown", None);
        let name = PairName::new("c/slot-0");
        assert_eq!(shard_risk(&name, &Datacenter::unknown(), &[]), None);
    }

    #[test]
    fn the_sentence_names_the_shard_and_the_datacenters() {
        let dc2 = [Datacenter::new("dc2"), Datacenter::new("dc2")];
        let risk = shard_risk(&PairName::new("c/slot-0"), &Datacenter::new("dc1"), &dc2);
        assert!(
            risk.unwrap()
                .to_string()
                .starts_with("all 2 replicas of c/slot-0 are in dc2, and its master is in dc1: ")
        );
    }
}
