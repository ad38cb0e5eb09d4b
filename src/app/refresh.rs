//! `poll.refresh_on_scrape`: a scrape that would show old samples polls first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::newest::NewestSnapshot;
use crate::clock;
use crate::model::{Span, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::poll::Refresher;
use crate::topology::TreeId;
use crate::web::Awaited;

/// A sample that is older than this is worth a poll.
const OLD: Span = Span::from_millis(100);

/// The longest time that a scrape waits for polls. Later results are in the next scrape.
const WAIT: Duration = Duration::from_millis(150);

/// The web server's hook before each scrape; it does nothing where the setting is off.
pub(super) fn on_scrape(refresher: Refresher, newest: NewestSnapshot) -> Awaited {
    Arc::new(move || {
        let refresher = refresher.clone();
        let newest = newest.clone();
        Box::pin(async move {
            if refresher.is_on() {
                // After the timeout the scrape shows the samples that there are.
                drop(tokio::time::timeout(WAIT, refresh(&refresher, newest)).await);
            }
        })
    })
}

async fn refresh(refresher: &Refresher, mut newest: NewestSnapshot) {
    let fleet = newest.latest();
    let old = old_trees(&fleet, clock::now());
    if old.is_empty() {
        return;
    }
    let polled = refresher.refresh(old).await;
    newest.since(polled).await;
}

/// The trees in which the last sample of some pair is old although its servers answer.
fn old_trees(fleet: &FleetSnapshot, now: Timestamp) -> BTreeSet<&TreeId> {
    let mut trees = BTreeSet::new();
    for pair in &fleet.pairs {
        if is_old(pair, now) {
            trees.insert(&pair.meta.tree);
        }
    }
    trees
}

/// Whether the pair's last sample is old although both servers answer.
fn is_old(pair: &PairSnapshot, now: Timestamp) -> bool {
    let mut oldest_answer = None;
    for facts in [&pair.master.facts, &pair.replica.facts] {
        if facts.unanswered_since.is_some() {
            return false;
        }
        let Some((_, received)) = facts.last_answer else {
            continue;
        };
        oldest_answer =
            Some(oldest_answer.map_or(received, |oldest: Timestamp| oldest.min(received)));
    }
    match pair.facts.comparable_at().or(oldest_answer) {
        Some(sampled) => now - sampled > OLD,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    fn check(scene: Scene, later: i64, expected: usize) {
        let (fleet, now) = fleet(scene);
        assert_eq!(
            old_trees(&fleet, now + Span::from_millis(later)).len(),
            expected,
            "{scene:?} {later} ms later"
        );
    }

    #[test]
    fn old_samples_of_answering_servers_are_refreshed() {
        let (seen, now) = fleet(Scene::Streaming);
        let age = now - seen.pairs[0].facts.comparable_at().unwrap();
        let until_old = (OLD - age).as_nanos() / 1_000_000;
        check(Scene::Streaming, until_old - 1, 0);
        check(Scene::Streaming, until_old + 1, 1);
        check(Scene::NothingYet, 60_000, 0);
        check(Scene::MasterLost, 60_000, 0);
    }
}
