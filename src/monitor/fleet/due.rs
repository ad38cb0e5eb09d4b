//! Which rules are due: those of pairs and servers that nothing has happened to wait.

use super::Fleet;
use super::servers::{ServerEntry, ServerIndex};
use crate::model::Timestamp;
use crate::monitor::isolation::Isolation;
use crate::replication::{Assessment, ServerFacts};
use crate::topology::Server;

impl Fleet {
    /// Records what has been true of a pair in the ticks in which its rules were not evaluated.
    pub(in crate::monitor) fn record_steady(&mut self, index: usize) {
        let last_tick = self.last_tick;
        if let Some(entry) = self.pairs.get_mut(index) {
            entry.record_steady(last_tick);
        }
    }

    /// Records the lag of a pair whose rules are not evaluated now in the distribution.
    pub(in crate::monitor) fn record_steady_lag(&mut self, index: usize) {
        let Some(entry) = self.pairs.get(index) else {
            return;
        };
        if let Some(lag) = entry.steady_lag() {
            self.distributions.observe_lag(&entry.meta, lag);
        }
    }

    /// What is true of the pair at `now`, `seen`, stays true at least until `until`, unless a poll
    /// shows something new.
    pub(in crate::monitor) fn set_steady(
        &mut self,
        index: usize,
        seen: Assessment,
        until: Timestamp,
        now: Timestamp,
    ) {
        let Some(entry) = self.pairs.get_mut(index) else {
            return;
        };
        entry.set_steady(seen, now);
        let until = until.min(entry.steady_until(now));
        self.pairs.wait_until(index, until);
    }

    /// What is true of the pair may be something else in the next tick.
    pub(in crate::monitor) fn set_changing(&mut self, index: usize) {
        if let Some(entry) = self.pairs.get_mut(index) {
            entry.set_changing();
        }
        self.pairs.evaluate(&[index]);
    }

    /// Everything is evaluated in the next tick: what is known has changed by something other than
    /// a poll.
    pub(in crate::monitor) fn evaluate_all(&mut self) {
        self.servers.evaluate_all();
        self.pairs.evaluate_all();
    }

    /// When the rules of the first pair or server are due, unless something happens before.
    pub(in crate::monitor) fn next_due(&self) -> Timestamp {
        self.pairs.next_due().min(self.servers.next_due())
    }

    /// Records that a tick ends that was at `now`.
    pub(in crate::monitor) fn end_tick(&mut self, now: Timestamp) {
        self.last_tick = now;
    }

    /// The index of every server, ordered by address.
    pub(in crate::monitor) fn server_indices(&self) -> impl Iterator<Item = ServerIndex> + use<> {
        self.servers.indices()
    }

    /// Whether the rules of this server are evaluated at `now`.
    pub(in crate::monitor) fn is_server_due(&self, index: ServerIndex, now: Timestamp) -> bool {
        self.servers.is_due(index, now)
    }

    /// A server with what is known of it.
    pub(in crate::monitor) fn server(&self, index: ServerIndex) -> Option<(&Server, &ServerFacts)> {
        let server = self.servers.at(index)?;
        Some((&server.meta, &server.facts))
    }

    /// The rules of this server were evaluated, and it has no alert. If it answers, they wait until
    /// what they judge changes.
    pub(in crate::monitor) fn let_server_wait(&mut self, index: ServerIndex) {
        if self.servers.at(index).is_some_and(ServerEntry::answers) {
            self.servers.wait(index);
        }
    }

    /// Whether this exporter itself is cut off at `now`.
    pub(in crate::monitor) fn isolation(&self, now: Timestamp) -> Isolation {
        // Servers that need no evaluation answer.
        let due = self.servers.indices();
        let due = due.filter(|index| self.servers.is_due(*index, now));
        let others = due.filter_map(|index| self.server(index));
        Isolation::new(self.servers.remote(), others, now)
    }
}
