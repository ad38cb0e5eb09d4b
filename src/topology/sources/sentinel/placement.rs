//! Risks in where Sentinels run: whether a cut between datacenters lets some of them do harm.
//!
//! A master is declared down by `quorum` Sentinels. A replica is promoted by a Sentinel that a
//! majority of all Sentinels, and at least `quorum` of them, have voted for
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>, "Quorum").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Datacenter;

/// Sentinels of one datacenter that can act on their own against a master in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacementRisk {
    /// The datacenter of these Sentinels and of a replica.
    pub dc: Datacenter,
    /// The master's datacenter.
    pub master_dc: Datacenter,
    /// How many Sentinels run in `dc`.
    pub sentinels: usize,
    /// How many Sentinels there are in all.
    pub of: usize,
    /// How many Sentinels have to agree that the master is down.
    pub quorum: usize,
    /// What these Sentinels can do.
    pub harm: PlacementHarm,
}

/// What the Sentinels of one datacenter can do without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlacementHarm {
    /// Declare the master down and promote a replica: a cut between the datacenters leaves two
    /// masters.
    Promote,
    /// Declare the master down. Others have to vote, and vote for whichever Sentinel asks first.
    DeclareDown,
}

/// The risks of Sentinels that run in `sentinels` (one item each), around a master in `master_dc`
/// with replicas in `replica_dcs`. Servers whose datacenter is unknown are ignored.
pub fn placement_risks(
    quorum: usize,
    sentinels: &[Datacenter],
    master_dc: &Datacenter,
    replica_dcs: &BTreeSet<Datacenter>,
) -> Vec<PlacementRisk> {
    if master_dc.is_unknown() {
        return Vec::new();
    }
    let mut counts: BTreeMap<&Datacenter, usize> = BTreeMap::new();
    for dc in sentinels {
        *counts.entry(dc).or_default() += 1;
    }
    let majority = sentinels.len() / 2 + 1;
    let mut risks = Vec::new();
    for (dc, count) in counts {
        let is_remote = dc != master_dc && !dc.is_unknown() && replica_dcs.contains(dc);
        if !is_remote || count < quorum {
            continue;
        }
        let harm = if count >= majority {
            PlacementHarm::Promote
        } else {
            PlacementHarm::DeclareDown
        };
        risks.push(PlacementRisk {
            dc: dc.clone(),
            master_dc: master_dc.clone(),
            sentinels: count,
            of: sentinels.len(),
            quorum,
            harm,
        });
    }
    risks
}

impl fmt::Display for PlacementRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dc,
            master_dc,
            sentinels,
            of,
            quorum,
            harm,
        } = self;
        match harm {
            PlacementHarm::Promote => write!(
                f,
                "the Sentinels in {dc} can promote a replica there on their own ({sentinels} of {of} run in {dc}, the \
                 quorum is {quorum}): when {dc} is cut from {master_dc}, both take writes, and those of one are lost; \
                 place Sentinels so that {dc} alone has no majority, best with some in a third datacenter"
            ),
            PlacementHarm::DeclareDown => write!(
                f,
                "the Sentinels in {dc} can declare the master in {master_dc} down on their own ({sentinels} of {of} run \
                 in {dc}, the quorum is {quorum}): a fault that only {dc} sees can start a failover; raise the quorum \
                 above {sentinels}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The risks of Sentinels in these datacenters around a master in `a` with a replica in `b`.
    fn check(quorum: usize, sentinels: &str, expected: &[(&str, PlacementHarm)]) {
        let sentinels: Vec<_> = sentinels.split(' ').map(Datacenter::new).collect();
        let replicas = BTreeSet::from([Datacenter::new("b")]);
        let found = placement_risks(quorum, &sentinels, &Datacenter::new("a"), &replicas);
        let found: Vec<_> = found
            .iter()
            .map(|risk| (risk.dc.as_str(), risk.harm))
            .collect();
        assert_eq!(found, expected, "quorum {quorum}, {sentinels:?}");
    }

    #[test]
    fn a_datacenter_with_a_majority_promotes_on_its_own() {
        use PlacementHarm::{DeclareDown, Promote};
        check(2, "a b b", &[("b", Promote)]);
        check(2, "a a b", &[]);
        check(1, "a a b", &[("b", DeclareDown)]);
        check(2, "a a a b b", &[("b", DeclareDown)]);
        check(3, "a a a b b", &[]);
        check(3, "a a b b b", &[("b", Promote)]);
        check(2, "a b c", &[]);
        check(3, "a b b", &[]);
    }

    #[test]
    fn a_third_datacenter_without_a_replica_is_where_sentinels_belong() {
        check(2, "a c c", &[]);
    }

    #[test]
    fn sentinels_and_masters_in_unknown_datacenters_are_no_risk() {
        check(2, "a unknown unknown", &[]);
        let sentinels = [Datacenter::new("b"), Datacenter::new("b")];
        let replicas = BTreeSet::from([Datacenter::new("b")]);
        assert_eq!(
            placement_risks(1, &sentinels, &Datacenter::unknown(), &replicas),
            []
        );
    }

    #[test]
    fn the_sentence_names_the_datacenters_and_the_numbers() {
        let sentinels = ["a", "b", "b"].map(Datacenter::new);
        let replicas = BTreeSet::from([Datacenter::new("b")]);
        let risk = placement_risks(2, &sentinels, &Datacenter::new("a"), &replicas)
            .remove(0)
            .to_string();
        assert!(risk.starts_with(
            "the Sentinels in b can promote a replica there on their own (2 of 3 run in b, the quorum is 2)"
        ));
        assert!(risk.contains("when b is cut from a, both take writes"));
    }
}
