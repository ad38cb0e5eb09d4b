//! Polling for somebody who wants to know now, such as a scrape.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::tree::{Served, Wishes};
use crate::model::{ServerAddr, Timestamp};
use crate::topology::TreeId;

/// What a running tree is told, and what it tells.
#[derive(Debug)]
pub(super) struct Line {
    /// Its members, roots first.
    pub(super) servers: Vec<ServerAddr>,
    /// When this is dropped, the tree's task ends.
    pub(super) wishes: watch::Sender<Wishes>,
    pub(super) served: watch::Receiver<Served>,
}

/// The trees that may be refreshed. Weak: whoever waits for a tree must not keep it running.
pub(super) type Lines = Arc<BTreeMap<TreeId, Weak<Line>>>;

/// Asks for rounds of trees at once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refresher {
    lines: watch::Receiver<Lines>,
}

impl Refresher {
    pub(super) fn new(lines: watch::Receiver<Lines>) -> Self {
        Self { lines }
    }

    /// Whether rounds may be asked for: `poll.refresh_on_scrape`.
    pub fn is_on(&self) -> bool {
        !self.lines.borrow().is_empty()
    }

    /// Polls these trees at once and waits until that is over: a refresh that is wanted or under
    /// way is shared, and a tree for which the budget has no round, or which is not polled any
    /// more, is not waited for. Returns when the last of these rounds ended: everything that was
    /// learned in them had been reported by then.
    ///
    /// A tree waits for its servers no longer than their patience, but that may be long: set a
    /// limit yourself.
    pub async fn refresh<'a>(&self, trees: impl IntoIterator<Item = &'a TreeId>) -> Timestamp {
        let lines = Arc::clone(&self.lines.borrow());
        let wanted: Vec<_> = trees
            .into_iter()
            .filter_map(|tree| lines.get(tree)?.upgrade())
            .map(|l| l.wish())
            .collect();
        let mut last = Timestamp::default();
        for (mut served, wanted) in wanted {
            // A tree that ended has nothing more to say.
            if let Ok(served) = served.wait_for(|served| served.refreshes >= wanted).await {
                last = last.max(served.round_ended);
            }
        }
        last
    }
}

impl Line {
    /// Wishes for a refresh, unless one is wished for already; the number to wait for, and where.
    fn wish(&self) -> (watch::Receiver<Served>, u64) {
        let mut wanted = 0;
        self.wishes.send_if_modified(|wishes| {
            let is_idle = wishes.refreshes == self.served.borrow().refreshes;
            wishes.refreshes += u64::from(is_idle);
            wanted = wishes.refreshes;
            is_idle
        });
        (self.served.clone(), wanted)
    }
}
