//! `poll.refresh_on_scrape`: a scrape that would show old samples polls first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::model::{Span, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::poll::Refresher;
use crate::topology::TreeId;
use crate::web::Refresh;

/// A sample that is older than this is worth a poll.
const OLD: Span = Span::from_millis(100);

/// The longest time that a scrape waits for polls. What comes later is in the next one.
const WAIT: Duration = Duration::from_millis(150);

type Snapshots = watch::Receiver<Arc<FleetSnapshot>>;

/// What the web server waits for before it answers a scrape; at once where the setting is off.
pub(super) fn on_scrape(refresher: Refresher, snapshots: Snapshots) -> Refresh {
    Arc::new(move || {
        let (refresher, snapshots) = (refresher.clone(), snapshots.clone());
        Box::pin(async move {
            if refresher.is_on() {
                // What is not there in time is not waited for: the scrape shows what there is.
                let _ = tokio::time::timeout(WAIT, refresh(&refresher, snapshots)).await;
            }
        })
    })
}

async fn refresh(refresher: &Refresher, mut snapshots: Snapshots) {
    let fleet = Arc::clone(&snapshots.borrow());
    let old = old_trees(&fleet, clock::now());
    if old.is_empty() {
        return;
    }
    let polled = refresher.refresh(old).await;
    // An error means that the program ends.
    let _ = snapshots
        .wait_for(|fleet| fleet.anchor.mono >= polled)
        .await;
}

/// The trees of which some pair was last seen a while ago, although its servers answer.
fn old_trees(fleet: &FleetSnapshot, now: Timestamp) -> BTreeSet<&TreeId> {
    fleet
        .pairs
        .iter()
        .filter(|pair| is_old(pair, now))
        .map(|pair| &pair.meta.tree)
        .collect()
}

fn is_old(pair: &PairSnapshot, now: Timestamp) -> bool {
    let servers = [&pair.master.facts, &pair.replica.facts];
    let answers = servers.iter().all(|facts| facts.unanswered_since.is_none());
    let answered = servers
        .iter()
        .filter_map(|facts| facts.last_answer)
        .map(|(_, received)| received)
        .min();
    answers
        && pair
            .facts
            .comparable_at()
            .or(answered)
            .is_some_and(|seen| now - seen > OLD)
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
    fn what_is_old_and_answers_is_worth_a_poll() {
        let (seen, now) = fleet(Scene::Streaming);
        let age = now - seen.pairs[0].facts.comparable_at().unwrap();
        let until_old = (OLD - age).as_nanos() / 1_000_000;
        check(Scene::Streaming, until_old - 1, 0);
        check(Scene::Streaming, until_old + 1, 1);
        check(Scene::NothingYet, 60_000, 0);
        check(Scene::MasterLost, 60_000, 0);
    }
}
