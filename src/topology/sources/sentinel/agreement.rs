//! Which master and replicas the Sentinels agree on.
//!
//! Sentinels gossip, so two of them may have different views for a moment, or for as long as a
//! partition lasts. The view with the highest configuration epoch is the newest: a failover gets
//! its epoch from the majority that authorised it (redis.io/docs, "Sentinel: configuration
//! epochs"). Their views of roles are never relied on: the servers themselves are polled.

use std::collections::{BTreeMap, BTreeSet};

use crate::info::{KnownReplica, KnownSentinel, QuorumCheck, WatchedMaster};
use crate::model::ServerAddr;
use crate::topology::sources::vote::most_named;

/// Replicas of one master that are watched. Sentinel forgets a replica only on SENTINEL RESET, so
/// addresses that change at each restart would accumulate.
pub(super) const MAX_REPLICAS: usize = 256;

/// One Sentinel's view of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterView {
    /// The master.
    pub master: WatchedMaster,
    /// Its replicas.
    pub replicas: Vec<KnownReplica>,
    /// The other Sentinels that watch it; `None` if this Sentinel does not list them, or not all.
    pub sentinels: Option<Vec<KnownSentinel>>,
    /// Whether enough Sentinels are reachable for a failover; `None` if not reported.
    pub quorum: Option<QuorumCheck>,
}

/// The latest answer of one Sentinel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelView {
    /// Every master that it watches, by name.
    pub masters: BTreeMap<String, MasterView>,
    /// Whether it is in TILT, in which it watches and decides nothing; `None` if not reported.
    pub tilted: Option<bool>,
}

/// What the Sentinels agree on about one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// The master in the newest view.
    pub(super) master: ServerAddr,
    /// The replicas of all newest views together, without the master.
    pub(super) replicas: BTreeSet<ServerAddr>,
    /// The configuration epoch of the newest view.
    pub(super) epoch: u64,
    /// The Sentinels that know the master's name, and whether they name this master.
    pub(super) reporters: BTreeMap<ServerAddr, bool>,
}

/// What the Sentinels behind `views` agree on, by the masters' names.
pub(super) fn agreements(
    views: &BTreeMap<&ServerAddr, &SentinelView>,
) -> BTreeMap<String, Agreement> {
    let mut by_name: BTreeMap<&String, Vec<Report<'_>>> = BTreeMap::new();
    for (sentinel, view) in views {
        for (name, view) in &view.masters {
            let report = Report { sentinel, view };
            by_name.entry(name).or_default().push(report);
        }
    }
    let mut agreements = BTreeMap::new();
    for (name, reports) in by_name {
        if let Some(agreement) = Agreement::from_reports(&reports) {
            agreements.insert(name.clone(), agreement);
        }
    }
    agreements
}

/// A Sentinel's view of the master in question.
struct Report<'a> {
    sentinel: &'a ServerAddr,
    view: &'a MasterView,
}

impl Report<'_> {
    fn epoch(&self) -> u64 {
        self.view.master.config_epoch.unwrap_or(0)
    }

    fn master(&self) -> &ServerAddr {
        &self.view.master.addr
    }
}

impl Agreement {
    /// `None` if nobody reports anything.
    fn from_reports(reports: &[Report<'_>]) -> Option<Self> {
        let epoch = reports.iter().map(Report::epoch).max()?;
        let newest = reports.iter().filter(|report| report.epoch() == epoch);
        let master = most_named(newest.map(Report::master))?.clone();
        let mut replicas = BTreeSet::new();
        let mut reporters = BTreeMap::new();
        for report in reports {
            let agrees = *report.master() == master;
            reporters.insert(report.sentinel.clone(), agrees);
            if agrees && report.epoch() == epoch {
                replicas.extend(report.view.replicas.iter().map(|replica| &replica.addr));
            }
        }
        replicas.remove(&master);
        Some(Self {
            replicas: replicas.into_iter().take(MAX_REPLICAS).cloned().collect(),
            reporters,
            master,
            epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::SeenHealth;

    fn addr(text: &str) -> ServerAddr {
        ServerAddr::parse(&format!("{text}:1")).unwrap()
    }

    /// The view of one Sentinel: the epoch, the master and the replicas.
    fn view((epoch, master, replicas): (u64, &str, &[&str])) -> SentinelView {
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
    fn check(views: &[(u64, &str, &[&str])], expected: &str) {
        let views: Vec<_> = views
            .iter()
            .enumerate()
            .map(|(i, s)| (addr(&format!("s{i}")), view(*s)))
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
            .reporters
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
    fn a_single_view_is_adopted() {
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
    fn nothing_is_agreed_on_while_nobody_reports_a_master() {
        assert!(agreements(&BTreeMap::from([(&addr("s"), &SentinelView::default())])).is_empty());
    }
}
