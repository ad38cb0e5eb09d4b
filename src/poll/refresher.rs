//! Polling on demand: rounds at once for a caller who needs fresh samples, such as a scrape.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::tree::{PollRequests, TreeProgress};
use crate::model::{ServerAddr, Timestamp};
use crate::topology::TreeId;

/// The other end of a running tree's task: what it is asked for, and how far it is.
#[derive(Debug)]
pub(super) struct TreeHandle {
    /// The tree's servers, roots first.
    pub(super) servers: Vec<ServerAddr>,
    /// The tree's task ends when this is dropped.
    pub(super) requests: watch::Sender<PollRequests>,
    pub(super) progress: watch::Receiver<TreeProgress>,
}

/// The trees that may be refreshed. Weak: waiting for a tree must not keep it running.
pub(super) type TreeHandles = Arc<BTreeMap<TreeId, Weak<TreeHandle>>>;

/// Requests rounds of trees at once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refresher {
    trees: watch::Receiver<TreeHandles>,
}

impl Refresher {
    pub(super) fn new(trees: watch::Receiver<TreeHandles>) -> Self {
        Self { trees }
    }

    /// Whether rounds may be requested: `poll.refresh_on_scrape`.
    pub fn is_on(&self) -> bool {
        !self.trees.borrow().is_empty()
    }

    /// Polls these trees at once and waits until their rounds have ended. A refresh that is
    /// requested or in progress is shared. A tree for which the budget allows no round, or which is
    /// no longer polled, is not waited for. Returns when the last of these rounds ended:
    /// everything that was learned in them had been reported by then.
    ///
    /// A tree waits for its servers no longer than their patience, but that may be long: callers
    /// should set a limit.
    pub async fn refresh<'a>(&self, trees: impl IntoIterator<Item = &'a TreeId>) -> Timestamp {
        // All are requested before the first is awaited, so that they run at the same time.
        let handles = Arc::clone(&self.trees.borrow());
        let mut requested = Vec::new();
        for tree in trees {
            if let Some(handle) = handles.get(tree).and_then(Weak::upgrade) {
                requested.push(handle.request_refresh());
            }
        }
        let mut last = Timestamp::default();
        for (mut progress, number) in requested {
            let served = progress.wait_for(|progress| progress.refreshes >= number);
            // An error means that the tree is no longer polled.
            if let Ok(progress) = served.await {
                last = last.max(progress.round_ended);
            }
        }
        last
    }
}

impl TreeHandle {
    /// Requests a refresh, unless one is requested already. Returns the refresh's number, and where
    /// to wait for it.
    fn request_refresh(&self) -> (watch::Receiver<TreeProgress>, u64) {
        let mut number = 0;
        self.requests.send_if_modified(|requests| {
            let is_idle = requests.refreshes == self.progress.borrow().refreshes;
            requests.refreshes += u64::from(is_idle);
            number = requests.refreshes;
            is_idle
        });
        (self.progress.clone(), number)
    }
}
