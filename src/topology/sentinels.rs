//! What Sentinels agree on: which masters there are, and which replicas belong to them.
//!
//! Sentinels gossip, so two of them may tell different stories for a while, or for as long as a
//! partition lasts. The story with the highest configuration epoch is the newest (a failover is
//! given an epoch by the majority that authorized it: redis.io/docs, "Sentinel: configuration
//! epochs"). What they say of roles is never believed: the servers are asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::info::{KnownReplica, KnownSentinel, QuorumCheck, WatchedMaster};
use crate::model::ServerAddr;

/// Replicas of one master that are watched. Sentinel forgets none until it is told to (SENTINEL
/// RESET), so addresses that change at each restart would pile up for ever.
pub(super) const MAX_REPLICAS: usize = 256;

/// What one Sentinel says of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterView {
    /// The master.
    pub master: WatchedMaster,
    /// Its replicas.
    pub replicas: Vec<KnownReplica>,
    /// The other Sentinels that watch it; `None` where this Sentinel does not say, or not in full.
    pub sentinels: Option<Vec<KnownSentinel>>,
    /// Whether enough Sentinels are reachable for a failover; `None` where this Sentinel does not
    /// say.
    pub quorum: Option<QuorumCheck>,
}

/// What one Sentinel last answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelView {
    /// Every master that it watches, by name.
    pub masters: BTreeMap<String, MasterView>,
    /// Whether it is in TILT: it watches and decides nothing. `None` where it does not say.
    pub tilted: Option<bool>,
}

/// What the Sentinels agree on about one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The newest story's master.
    pub master: ServerAddr,
    /// The replicas in every newest story together, without the master, sorted.
    pub replicas: BTreeSet<ServerAddr>,
    /// The configuration epoch of the newest story.
    pub epoch: u64,
    /// The Sentinels that tell of it, and whether they name this master.
    pub told_by: BTreeMap<ServerAddr, bool>,
}

/// What the Sentinels in `views` agree on, by the masters' names.
pub fn agreements(views: &BTreeMap<&ServerAddr, &SentinelView>) -> BTreeMap<String, Agreement> {
    let names: BTreeSet<&String> = views
        .values()
        .flat_map(|view| view.masters.keys())
        .collect();
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), agreement(name, views)?)))
        .collect()
}

fn agreement(name: &str, views: &BTreeMap<&ServerAddr, &SentinelView>) -> Option<Agreement> {
    let stories: Vec<(&ServerAddr, &MasterView)> = views
        .iter()
        .filter_map(|(sentinel, view)| Some((*sentinel, view.masters.get(name)?)))
        .collect();
    let epoch = stories.iter().map(|(_, story)| epoch_of(story)).max()?;
    let newest = || stories.iter().filter(|(_, story)| epoch_of(story) == epoch);
    let mut votes: BTreeMap<&ServerAddr, usize> = BTreeMap::new();
    for (_, story) in newest() {
        *votes.entry(&story.master.addr).or_default() += 1;
    }
    // Of equal votes the first address, so that every exporter chooses alike.
    let most = votes.values().max()?;
    let master = votes
        .iter()
        .find(|(_, count)| *count == most)
        .map(|(addr, _)| (*addr).clone())?;
    let same = newest().filter(|(_, story)| story.master.addr == master);
    let replicas = same
        .flat_map(|(_, story)| &story.replicas)
        .map(|replica| replica.addr.clone());
    let replicas = replicas
        .filter(|addr| *addr != master)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(MAX_REPLICAS);
    let told_by = stories
        .iter()
        .map(|(sentinel, story)| ((*sentinel).clone(), story.master.addr == master))
        .collect();
    Some(Agreement {
        replicas: replicas.collect(),
        master,
        epoch,
        told_by,
    })
}

fn epoch_of(story: &MasterView) -> u64 {
    story.master.config_epoch.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::SeenHealth;

    fn addr(text: &str) -> ServerAddr {
        ServerAddr::parse(&format!("{text}:1")).unwrap()
    }

    /// One Sentinel's story: its name, the epoch, the master and the replicas.
    fn story((epoch, master, replicas): (u64, &str, &[&str])) -> SentinelView {
        let health = SeenHealth::default();
        let replica = |name: &&str| KnownReplica {
            addr: addr(name),
            health,
            announced: true,
        };
        let master = WatchedMaster {
            name: "m".to_owned(),
            addr: addr(master),
            health,
            quorum: Some(2),
            other_sentinels: Some(2),
            config_epoch: Some(epoch),
        };
        let replicas = replicas.iter().map(replica).collect();
        let view = MasterView {
            master,
            replicas,
            sentinels: None,
            quorum: None,
        };
        SentinelView {
            masters: [("m".to_owned(), view)].into(),
            tilted: Some(false),
        }
    }

    /// What is agreed on: `master<replicas`, and who disagrees.
    fn check(stories: &[(u64, &str, &[&str])], expected: &str) {
        let views: Vec<_> = stories
            .iter()
            .enumerate()
            .map(|(i, s)| (addr(&format!("s{i}")), story(*s)))
            .collect();
        let all = agreements(
            &views
                .iter()
                .map(|(sentinel, view)| (sentinel, view))
                .collect(),
        );
        let agreed = &all["m"];
        let host = |addr: &ServerAddr| addr.host().unwrap().to_owned();
        let replicas: Vec<_> = agreed.replicas.iter().map(host).collect();
        let against: Vec<_> = agreed
            .told_by
            .iter()
            .filter(|(_, same)| !**same)
            .map(|(s, _)| host(s))
            .collect();
        assert_eq!(
            format!(
                "{}<{} !{}",
                host(&agreed.master),
                replicas.join(","),
                against.join(",")
            ),
            expected
        );
    }

    #[test]
    fn one_story_is_taken_as_it_is() {
        check(&[(0, "a", &["b", "c"])], "a<b,c !");
    }

    #[test]
    fn the_newest_epoch_wins_whatever_the_others_say() {
        check(
            &[(0, "a", &["b"]), (0, "a", &["b"]), (1, "b", &["a"])],
            "b<a !s0,s1",
        );
    }

    #[test]
    fn of_one_epoch_the_majority_wins() {
        check(
            &[(3, "b", &["a"]), (3, "a", &["b"]), (3, "a", &["b", "c"])],
            "a<b,c !s0",
        );
    }

    #[test]
    fn replicas_that_only_one_knows_are_watched() {
        check(
            &[(1, "a", &["b"]), (1, "a", &["c"]), (0, "a", &["old"])],
            "a<b,c !",
        );
    }

    #[test]
    fn the_master_is_never_its_own_replica() {
        check(&[(1, "a", &["a", "b"])], "a<b !");
    }

    #[test]
    fn nobody_s_word_is_no_agreement() {
        assert!(agreements(&BTreeMap::from([(&addr("s"), &SentinelView::default())])).is_empty());
    }
}
