//! Watches that never two servers are masters at the same instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_cross_dc_exporter::lab::{Connection, Reply};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::task::JoinHandle;

/// Between two samples.
const PERIOD: Duration = Duration::from_millis(3);

/// A watcher at work.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Samples with an answer from both.
    pub(crate) samples: u64,
    /// Samples in which both were masters: the first was one before and after the second's answer.
    pub(crate) two_masters: u64,
}

impl Watcher {
    pub(crate) fn start(servers: [ServerAddr; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(watch(servers, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Ends, and checks that there were never two.
    pub(crate) async fn never_two(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.task.await.unwrap();
        assert_eq!(seen.two_masters, 0, "{seen:?}");
        assert!(seen.samples > 0);
        seen.samples
    }
}

async fn watch([one, other]: [ServerAddr; 2], stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut connections = [None, None];
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(PERIOD).await;
        let first = is_master(&mut connections[0], &one).await;
        let second = is_master(&mut connections[1], &other).await;
        let again = is_master(&mut connections[0], &one).await;
        if let (Some(first), Some(second), Some(again)) = (first, second, again) {
            seen.samples += 1;
            seen.two_masters += u64::from(first && second && again);
        }
    }
    seen
}

async fn is_master(connection: &mut Option<Connection>, server: &ServerAddr) -> Option<bool> {
    if connection.is_none() {
        *connection = Connection::open(server, None).await.ok();
    }
    let role = connection.as_mut()?.command(&["ROLE"]).await;
    if let Ok(Reply::Array(items)) = role {
        return Some(items.first()?.text()? == "master");
    }
    *connection = None;
    None
}
