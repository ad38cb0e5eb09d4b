//! Whether it is this exporter that is cut off, and not everybody else.

use crate::model::{Span, Timestamp};
use crate::replication::ServerFacts;
use crate::topology::Server;

/// For how long no server outside the exporter's own datacenter has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Servers outside the exporter's own datacenter.
    pub remote: usize,
    /// Those that were never asked, or not for want of a secret of this exporter's.
    never_asked: usize,
    /// The shortest silence of the others; zero when one of them answers.
    shortest: Option<Span>,
}

impl Isolation {
    /// As it is at `now`.
    pub fn from_servers<'a>(
        servers: impl Iterator<Item = (&'a Server, &'a ServerFacts)>,
        now: Timestamp,
    ) -> Self {
        let mut seen = Self::default();
        for (_, facts) in servers.filter(|(server, _)| !server.local) {
            let silent = facts.cut_off_for(now);
            seen.remote += 1;
            seen.never_asked += usize::from(silent.is_none());
            seen.shortest = seen.shortest.into_iter().chain(silent).min();
        }
        seen
    }

    /// For how long none of them has answered; `None` when there is no telling: fewer than two, or
    /// one that was not asked yet. A single remote server that is silent is that server's alert and
    /// not this exporter's.
    pub fn lasts(&self) -> Option<Span> {
        self.shortest
            .filter(|_| self.remote >= 2 && self.never_asked == 0)
    }
}
