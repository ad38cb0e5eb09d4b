//! Snapshots on request. A snapshot costs as much as several polls, and most of them nobody would
//! read: so the core publishes the results of polls once a second, and at once for a reader that
//! asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::clock;
use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;
use crate::web::Awaited;

/// A snapshot of this age is as good as a new one: the core publishes no oftener.
pub(super) const RECENT: Span = Span::from_millis(20);

/// How long a reader waits for a core that is busy. It reads the snapshot that there is then, which
/// says of which instant it is.
const PATIENCE: Duration = Duration::from_millis(50);

/// Asks the core for snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct NewestSnapshot {
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    /// Notified when somebody waits for a snapshot.
    wanted: Arc<Notify>,
}

impl NewestSnapshot {
    /// Asks the core that publishes `snapshots`, and publishes one whenever `wanted` is notified.
    pub(super) fn new(snapshots: watch::Receiver<Arc<FleetSnapshot>>, wanted: Arc<Notify>) -> Self {
        Self { snapshots, wanted }
    }

    /// The latest snapshot, however old it is.
    pub(super) fn latest(&self) -> Arc<FleetSnapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Waits until there is a snapshot of `at` or later.
    pub(super) async fn since(&mut self, at: Timestamp) {
        if self.snapshots.borrow().anchor.mono >= at {
            return;
        }
        self.wanted.notify_one();
        let published = self.snapshots.wait_for(|fleet| fleet.anchor.mono >= at);
        // An error means that the program ends.
        drop(published.await);
    }

    /// The web server's hook before it reads a snapshot: waits for one of now.
    pub(super) fn before_reading(self) -> Awaited {
        Arc::new(move || {
            let mut newest = self.clone();
            Box::pin(async move {
                let recent = clock::now() - RECENT;
                drop(timeout(PATIENCE, newest.since(recent)).await);
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    fn snapshot(at: Timestamp) -> Arc<FleetSnapshot> {
        let (mut fleet, _) = fleet(Scene::Streaming);
        fleet.anchor.mono = at;
        Arc::new(fleet)
    }

    #[tokio::test]
    async fn a_reader_asks_only_for_what_is_not_there() {
        let now = clock::now();
        let (publish, snapshots) = watch::channel(snapshot(now));
        let wanted = Arc::new(Notify::new());
        let mut newest = NewestSnapshot::new(snapshots, Arc::clone(&wanted));
        newest.since(now).await;
        let later = now + Span::from_secs(1);
        let publisher = async {
            wanted.notified().await;
            publish.send_replace(snapshot(later));
        };
        tokio::join!(newest.since(later), publisher);
        assert_eq!(newest.latest().anchor.mono, later);
        drop(publish);
        newest.since(later + Span::from_secs(1)).await;
    }

    #[tokio::test]
    async fn a_core_that_does_nothing_delays_a_reader_only_for_a_moment() {
        let old = clock::now() - Span::from_secs(9);
        let (_publish, snapshots) = watch::channel(snapshot(old));
        let wanted = Arc::new(Notify::new());
        let newest = NewestSnapshot::new(snapshots, Arc::clone(&wanted));
        (newest.before_reading())().await;
        // It was asked, and the permit is there.
        wanted.notified().await;
    }
}
