//! Whether the operator may do what the plan needs: each command is queued in a MULTI that is never
//! executed, which servers of every version check and forget with the connection.

use super::hand::{Hand, command, refusal};
use crate::model::ServerAddr;

/// A command that is not permitted: where, which, and the server's words.
pub(super) type MissingRight = (ServerAddr, String, String);

/// What a server that changes its role needs.
const ROLE: [&[&str]; 2] = [&["REPLICAOF", "NO", "ONE"], &["CONFIG", "REWRITE"]];

/// What it needs where its writes are paused.
const PAUSE: [&[&str]; 2] = [&["CLIENT", "PAUSE", "1", "WRITE"], &["CLIENT", "UNPAUSE"]];

/// What it needs where its priority is changed.
const PRIORITY: &[&str] = &["CONFIG", "SET", "replica-priority", "100"];

/// What an operation does on a server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    /// Its role is changed.
    pub(super) role: bool,
    /// Its writes are paused.
    pub(super) pause: bool,
    /// Its priority is changed.
    pub(super) priority: bool,
}

/// The commands that `hand`'s server does not permit. A server that does not answer permits all, as
/// far as this goes: its silence is another refusal.
pub(super) async fn missing(hand: &mut Hand, uses: Uses) -> Vec<MissingRight> {
    let addr = hand.server().addr.clone();
    let mut found = Vec::new();
    let is_used = uses.role || uses.pause || uses.priority;
    let mut add = |what: &str, words: String| found.push((addr.clone(), what.to_owned(), words));
    if hand.failure().is_some() || !is_used {
        return Vec::new();
    }
    if let Some(words) = hand.nameless() {
        add("CLIENT SETNAME", words.to_owned());
    }
    let mut wanted: Vec<&[&str]> = Vec::new();
    if uses.role {
        wanted.extend(ROLE);
    }
    if uses.pause {
        wanted.extend(PAUSE);
    }
    if uses.priority {
        wanted.push(PRIORITY);
    }
    let commands: Vec<_> = wanted.iter().map(|words| command(words)).collect();
    match hand.queue(&commands).await {
        Err(words) => add("MULTI", words),
        Ok(replies) => {
            for (words, reply) in wanted.iter().zip(replies) {
                if let Some(refusal) = refusal(reply) {
                    add(&words.join(" "), refusal);
                }
            }
        }
    }
    found
}
