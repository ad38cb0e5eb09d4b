//! What readers get of pairs. A pair that has not changed is shared between snapshots.

use std::sync::Arc;

use super::{PairEntry, Pairs};
use crate::model::{ServerAddr, Timestamp};
use crate::monitor::fleet::histories::Histories;
use crate::monitor::fleet::servers::{ServerIndex, Servers};
use crate::monitor::foresight::{writes, writes_of_drain};
use crate::monitor::snapshot::{PairSnapshot, ServerSnapshot};
use crate::replication::Writes;

impl Pairs {
    /// Prepares the snapshot of each pair that has changed since the last one, or whose servers
    /// have. Those of the servers are prepared already.
    pub(in crate::monitor::fleet) fn prepare_snapshots(
        &mut self,
        servers: &Servers,
        histories: &Histories,
        now: Timestamp,
    ) {
        let footprint = |addr: &ServerAddr| histories.footprint(addr);
        let server = |index| Some(servers.at(index)?.snapshot(&footprint));
        for entry in &mut self.entries {
            if entry.snapshot.is_none() {
                entry.snapshot = entry.snapshot(server, histories, now);
            }
        }
    }
}

impl PairEntry {
    /// Its snapshot at `now`: the one that was last prepared, unless it or one of its servers has
    /// changed since. `server` gives the snapshot of a server.
    pub(in crate::monitor::fleet) fn snapshot(
        &self,
        server: impl Fn(ServerIndex) -> Option<Arc<ServerSnapshot>>,
        histories: &Histories,
        now: Timestamp,
    ) -> Option<Arc<PairSnapshot>> {
        if let Some(prepared) = &self.snapshot {
            return Some(Arc::clone(prepared));
        }
        let own = self.servers?;
        let history = histories.get(&self.meta.top);
        let writes = match history {
            Some(history) if self.facts().forecast.is_draining() => writes_of_drain(history),
            Some(history) => writes(history),
            None => Writes::default(),
        };
        Some(Arc::new(PairSnapshot {
            meta: Arc::clone(&self.meta),
            facts: self.facts().clone(),
            master: server(own.top)?,
            replica: server(own.replica)?,
            lag_max: self.lag_max.get(now),
            writes,
            chart: self.chart.clone(),
        }))
    }
}
