//! What Sentinels stand in the way of, and what they would not do.

use super::Preflight;
use crate::model::{ServerAddr, Span};
use crate::operation::intent::OperationKind;
use crate::operation::refusal::{Refusal, RefusalName};
use crate::operation::sentinel::without_priority;
use crate::operation::view::ServerView;
use crate::operation::watch::SentinelSaid;

/// A shorter `down-after-milliseconds` leaves less than 250 ms for a pause of writes.
const SHORTEST_DOWN_AFTER: Span = Span::from_millis(500);

impl Preflight<'_> {
    /// Whether the Sentinels called the master's `name` would do their part.
    pub(super) fn under_sentinels(&self, name: &str) -> Vec<Refusal> {
        match self.kind {
            OperationKind::Rejoin => return vec![rejoined_by_sentinels(name, self.old)],
            OperationKind::HandOver | OperationKind::TakeOver => {
                return vec![promoted_by_them(name)];
            }
            OperationKind::SwitchOver | OperationKind::Disaster => {}
        }
        let mut answering: Vec<(&ServerAddr, &SentinelSaid)> = Vec::new();
        for view in self.sentinels {
            if let Ok(said) = &view.said {
                answering.push((&view.addr, said));
            }
        }
        if answering.is_empty() {
            let refusal = Refusal::new(
                RefusalName::SentinelWouldUndo,
                format!("none of the Sentinels that manage this pair, as {name}, answers"),
                "they undo what others do to its roles: REPLICAOF NO ONE after 9 to 20 s",
                "make one of them reachable from here, or stop all of them",
            );
            return vec![refusal.overridden_by("--sentinels-are-stopped")];
        }
        let mut found = Vec::new();
        for (addr, said) in &answering {
            found.extend(busy(addr, said, &self.old.addr));
        }
        let mut epochs: Vec<_> = answering.iter().map(|(_, said)| said.epoch).collect();
        epochs.sort_unstable();
        epochs.dedup();
        if epochs.len() > 1 {
            found.push(Refusal::new(
                RefusalName::SentinelBusy,
                "the Sentinels do not have the same configuration epoch".to_owned(),
                "they are not through with an earlier failover",
                "wait until they agree: SENTINEL MASTER on each shows config-epoch",
            ));
        }
        found.extend(without_priority(self.target, self.others).map(unknown_priority));
        let target = &self.target.addr;
        if !answering.iter().any(|(_, said)| said.knows(target)) {
            found.push(Refusal::new(
                RefusalName::SentinelManaged,
                format!("no Sentinel that answers knows {target} as a replica of {name}"),
                "they cannot promote it",
                &format!(
                    "on {target}: CONFIG SET replica-announced yes; they look for new replicas every 10 s"
                ),
            ));
        }
        let down_after = answering
            .iter()
            .filter_map(|(_, said)| said.down_after)
            .min();
        if self.kind == OperationKind::SwitchOver
            && let Some(down_after) = down_after
            && down_after < SHORTEST_DOWN_AFTER
        {
            found.push(Refusal::new(
                RefusalName::PauseTooLong,
                format!("a Sentinel takes the master for down after {down_after}"),
                "writes may wait for half of that at most, or the Sentinels fail over by themselves",
                &format!(
                    "for the switch-over, on each Sentinel: SENTINEL SET {name} down-after-milliseconds 5000"
                ),
            ));
        }
        found
    }
}

/// In a switch-over in two halves nobody would be master for longer than Sentinels wait.
fn promoted_by_them(name: &str) -> Refusal {
    Refusal::new(
        RefusalName::SentinelManaged,
        format!("Sentinels manage this pair, as {name}"),
        "between the two halves nobody is master, and they would promote somebody by themselves",
        "from a place that reaches both servers and a Sentinel: failover without --hand-over and --token",
    )
}

fn unknown_priority(replica: &ServerView) -> Refusal {
    let addr = &replica.addr;
    Refusal::new(
        RefusalName::UnknownPriority,
        format!("the INFO of {addr} has no slave_priority that can be read"),
        "whether the Sentinels would choose the target is not known, nor what to put back afterwards",
        &format!(
            "look at it: redis-cli on {addr}, INFO replication and CONFIG GET replica-priority; a proxy in \
             front of it may cut the answer"
        ),
    )
}

fn rejoined_by_sentinels(name: &str, old: &ServerView) -> Refusal {
    Refusal::new(
        RefusalName::SentinelManaged,
        format!("Sentinels manage this pair, as {name}"),
        "they make a returning master a replica by themselves, within seconds, and what only it has is gone",
        &format!(
            "let the exporter save that by itself (recover.capture), or run lost-writes before {} reaches \
             them; to make it the master again: failover --to {}",
            old.addr, old.addr
        ),
    )
}

/// Why a Sentinel would not promote a replica of `master` now.
fn busy(addr: &ServerAddr, said: &SentinelSaid, master: &ServerAddr) -> Option<Refusal> {
    let refusal = |evidence: String, consequence: &str| {
        let remedy = "wait until that is over; SENTINEL MASTER and INFO sentinel show it";
        Some(Refusal::new(
            RefusalName::SentinelBusy,
            evidence,
            consequence,
            remedy,
        ))
    };
    if said.failing_over {
        return refusal(
            format!("the Sentinel {addr} is failing over"),
            "two failovers at once end nowhere",
        );
    }
    if said.tilted == Some(true) {
        return refusal(
            format!("the Sentinel {addr} is in TILT mode: its clock has jumped"),
            "it does nothing for 30 s",
        );
    }
    if said.master != *master {
        return refusal(
            format!(
                "the Sentinel {addr} names {} as the master, not {master}",
                said.master
            ),
            "it would undo what is done here",
        );
    }
    None
}

pub(super) fn sentinel_would_undo(count: usize, old: &ServerView) -> Refusal {
    let refusal = Refusal::new(
        RefusalName::SentinelWouldUndo,
        format!(
            "{count} connections to {} are from Sentinels that the configuration does not name",
            old.addr
        ),
        "they undo the promotion, and a second failover may follow",
        "name them in `sentinels`, or stop them",
    );
    refusal.overridden_by("--sentinels-are-stopped")
}
