//! Whether this exporter itself is cut off from the network: more likely than that all remote
//! servers fail at once.

use crate::model::{Span, Timestamp};
use crate::replication::ServerFacts;
use crate::topology::Server;

/// How long no server outside the exporter's own datacenter has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// How many servers are outside the exporter's own datacenter.
    pub remote: usize,
    /// How many of them were not polled yet, or could not be polled because of a fault of this
    /// exporter.
    not_polled: usize,
    /// The shortest silence of the others; zero when one of them answers.
    shortest: Option<Span>,
}

impl Isolation {
    /// The isolation at `now`, by what is known of all servers.
    pub fn from_servers<'a>(
        servers: impl Iterator<Item = (&'a Server, &'a ServerFacts)>,
        now: Timestamp,
    ) -> Self {
        let mut isolation = Self::default();
        for (server, facts) in servers {
            if !server.local {
                isolation.add_remote(facts.cut_off_for(now));
            }
        }
        isolation
    }

    /// The same, by the number of all `remote` servers and by what is known of those that may not
    /// answer; all others do.
    pub(super) fn new<'a>(
        remote: usize,
        doubtful: impl Iterator<Item = (&'a Server, &'a ServerFacts)>,
        now: Timestamp,
    ) -> Self {
        let mut isolation = Self::from_servers(doubtful, now);
        if isolation.remote < remote {
            isolation.remote = remote;
            isolation.shortest = Some(Span::ZERO);
        }
        isolation
    }

    fn add_remote(&mut self, silent_for: Option<Span>) {
        self.remote += 1;
        let Some(silent_for) = silent_for else {
            self.not_polled += 1;
            return;
        };
        let shortest = self.shortest.unwrap_or(silent_for);
        self.shortest = Some(shortest.min(silent_for));
    }

    /// For how long none of the remote servers has answered. `None` with fewer than two of them,
    /// and before all were polled: one remote server that is silent is that server's alert and not
    /// this exporter's.
    pub fn lasts(&self) -> Option<Span> {
        if self.remote < 2 || self.not_polled > 0 {
            return None;
        }
        self.shortest
    }
}
