//! Whether Sentinels stand where a cut between datacenters lets them do harm.
//!
//! A master is declared down by `quorum` Sentinels, and a replica is promoted by one that a
//! majority of all Sentinels, and at least `quorum` of them, has voted for
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>, "Quorum").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Datacenter;

/// Sentinels of one datacenter that may act on their own against a master in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacementRisk {
    /// Where the Sentinels stand, and a replica with them.
    pub dc: Datacenter,
    /// Where the master stands.
    pub master_dc: Datacenter,
    /// How many Sentinels stand in `dc`.
    pub sentinels: usize,
    /// How many there are altogether.
    pub of: usize,
    /// Sentinels that have to agree that the master is down.
    pub quorum: usize,
    /// What they can do.
    pub harm: PlacementHarm,
}

/// What Sentinels of one datacenter can do without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlacementHarm {
    /// Declare the master down and promote a replica: a cut between the datacenters leaves two
    /// masters.
    Promote,
    /// Declare the master down; others have to vote, and vote for whoever asks first.
    DeclareDown,
}

/// What is risky about Sentinels that stand in `sentinels`, one item each, around a master in
/// `master_dc` with replicas in `replica_dcs`. Servers whose datacenter nobody knows are no
/// evidence.
pub fn placement_risks(
    quorum: usize,
    sentinels: &[Datacenter],
    master_dc: &Datacenter,
    replica_dcs: &BTreeSet<Datacenter>,
) -> Vec<PlacementRisk> {
    let mut standing: BTreeMap<&Datacenter, usize> = BTreeMap::new();
    for dc in sentinels {
        *standing.entry(dc).or_default() += 1;
    }
    let majority = sentinels.len() / 2 + 1;
    let remote = |dc: &Datacenter| dc != master_dc && !dc.is_unknown() && replica_dcs.contains(dc);
    let risk = |(dc, count): (&Datacenter, usize)| {
        let harm = match count {
            0 => return None,
            count if count >= quorum.max(majority) => PlacementHarm::Promote,
            count if count >= quorum => PlacementHarm::DeclareDown,
            _ => return None,
        };
        let (dc, master_dc) = (dc.clone(), master_dc.clone());
        Some(PlacementRisk {
            dc,
            master_dc,
            sentinels: count,
            of: sentinels.len(),
            quorum,
            harm,
        })
    };
    if master_dc.is_unknown() {
        return Vec::new();
    }
    standing
        .into_iter()
        .filter(|(dc, _)| remote(dc))
        .filter_map(risk)
        .collect()
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
                "the Sentinels in {dc} can promote a replica there on their own ({sentinels} of {of} stand in {dc}, the \
                 quorum is {quorum}): when {dc} is cut from {master_dc}, both take writes, and those of one are lost; \
                 place Sentinels so that {dc} alone has no majority, best with some in a third datacenter"
            ),
            PlacementHarm::DeclareDown => write!(
                f,
                "the Sentinels in {dc} can declare the master in {master_dc} down on their own ({sentinels} of {of} stand \
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
    fn what_nobody_can_place_is_no_risk() {
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
            "the Sentinels in b can promote a replica there on their own (2 of 3 stand in b, the quorum is 2)"
        ));
        assert!(risk.contains("when b is cut from a, both take writes"));
    }
}
