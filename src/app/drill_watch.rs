//! When each pair's last drill passed: read from the folder of drills, in which the command
//! `failover --drill` of this machine keeps its reports.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::operation::DrillsFolder;
use crate::model::PairName;

/// How often the folder is read.
const EVERY: Duration = Duration::from_mins(1);

/// When the last drill of each pair passed, in Unix seconds.
pub(super) type LastDrills = Arc<[(PairName, f64)]>;

/// Reads the folder beside the database in `state` until nobody is left to receive that.
pub(super) fn start(state: &Path) -> watch::Receiver<LastDrills> {
    let folder = DrillsFolder::beside(state);
    let (sender, receiver) = watch::channel(LastDrills::default());
    tokio::spawn(async move {
        while !sender.is_closed() {
            let reader = folder.clone();
            let read = tokio::task::spawn_blocking(move || reader.last_passed()).await;
            // What was known of it stays so while it cannot be read.
            if let Ok(Ok(found)) = read {
                let found: LastDrills = found.into();
                sender.send_if_modified(|known| {
                    let is_news = *known != found;
                    *known = found;
                    is_news
                });
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    receiver
}
