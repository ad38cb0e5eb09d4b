//! A switch-over in two halves, because no one place reaches both servers.

use super::Preflight;
use crate::operation::intent::OperationKind;
use crate::operation::refusal::{Refusal, RefusalName};
use crate::operation::take_over;
use crate::operation::view::Said;

impl Preflight<'_> {
    /// The first half: the old master has to answer, and to list the replica.
    pub(super) fn hand_over(&self) -> Vec<Refusal> {
        let addr = &self.old.addr;
        let old = match &self.old.said {
            Ok(old) => old,
            Err(why) => {
                return vec![Refusal::new(
                    RefusalName::MasterSilent,
                    format!("{addr} does not answer: {why}"),
                    "it cannot be handed over without it",
                    "run this where it is reached; if it is lost for good, where its replica is: failover \
                     --disaster",
                )];
            }
        };
        if self.old.follows(&self.target.addr) {
            return vec![Refusal::new(
                RefusalName::NotAReplica,
                format!("{addr} follows {} already", self.target.addr),
                "it has been handed over",
                "failover --status shows the token; where the replica is reached: failover --token",
            )];
        }
        if !self.old.is_master() {
            return vec![Refusal::new(
                RefusalName::NotAReplica,
                format!("{addr} is not a master itself"),
                "only a master can be handed over",
                "check shows who follows whom",
            )];
        }
        if self.target.is_master() {
            return vec![self.target_is_master()];
        }
        let mut found = Vec::new();
        found.extend(self.not_listed(old));
        found.extend(self.no_pause(old));
        found
    }

    /// Whether the old master knows the replica and what it has acknowledged.
    fn not_listed(&self, old: &Said) -> Option<Refusal> {
        let addr = &self.target.addr;
        let Some(listed) = old.listed(addr) else {
            let known: Vec<_> = old
                .replicas
                .iter()
                .filter_map(|replica| replica.addr.as_ref())
                .map(ToString::to_string)
                .collect();
            let whom = if known.is_empty() {
                "nobody".to_owned()
            } else {
                known.join(", ")
            };
            return Some(Refusal::new(
                RefusalName::NotAReplica,
                format!(
                    "{} lists no replica at {addr}; it lists {whom}",
                    self.old.addr
                ),
                "what it has acknowledged cannot be seen",
                "write the address that the master lists into the configuration, or have the replica \
                 announce the other one (replica-announce-ip, replica-announce-port)",
            ));
        };
        if listed.is_online {
            return None;
        }
        Some(Refusal::new(
            RefusalName::LinkDown,
            format!("{} is not sending its stream to {addr} now", self.old.addr),
            "it cannot become level with it",
            "wait until its sync is complete: check at its site",
        ))
    }

    /// Without a pause something would always come into the stream behind what is acknowledged.
    fn no_pause(&self, old: &Said) -> Option<Refusal> {
        if super::pauses_writes(old) {
            return None;
        }
        Some(Refusal::new(
            RefusalName::FenceUnavailable,
            format!(
                "{} runs {}: CLIENT PAUSE ... WRITE needs 6.2",
                self.old.addr, old.version
            ),
            "its replica would lack what is written last",
            "upgrade it to Redis 6.2 or later, or switch over from a place that reaches both",
        ))
    }

    /// The second half: the replica has to have exactly what the token says.
    pub(super) fn take_over(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        if self.old.is_master() {
            let old = &self.old.addr;
            found.push(Refusal::new(
                RefusalName::MasterAlive,
                format!("{old} answers, and is a master"),
                "there would be two, and what the old one takes from now on would be lost",
                "hand it over first: failover --hand-over where it is reached",
            ));
        }
        let misfits = self.target_fits(None);
        let fits = misfits.is_empty();
        found.extend(misfits);
        if fits
            && let Some(target) = self.target.said()
            && let Some(token) = self.token
            && let Some(why) = take_over::mismatch(target, token)
        {
            found.push(Refusal::new(
                RefusalName::TokenMismatch,
                format!("{}: {why}", self.target.addr),
                "writes that the old master acknowledged would be lost, or it has taken some since",
                "look whether the token is complete and the newest; else take the hand-over back (on the \
                 old master: REPLICAOF NO ONE) and begin again",
            ));
        }
        found
    }

    /// What a person should know of the half that is asked for.
    pub(super) fn of_two_sites(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.kind == OperationKind::HandOver {
            notes.push(format!(
                "what would make {} useless as a master is not looked for from here: run doctor where it is \
                 reached, before this",
                self.target.addr
            ));
            if self.target.said.is_ok() {
                notes.push(format!(
                    "{} answers here: failover without --hand-over does both halves, and can take both back",
                    self.target.addr
                ));
            }
        }
        notes
    }
}
