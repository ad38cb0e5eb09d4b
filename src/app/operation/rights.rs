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

/// The commands that `hand`'s server does not permit. A server that does not answer permits all, as
/// far as this goes: its silence is another refusal.
pub(super) async fn missing(hand: &mut Hand, with_pause: bool) -> Vec<MissingRight> {
    let addr = hand.server().addr.clone();
    let mut found = Vec::new();
    let mut add = |what: &str, words: String| found.push((addr.clone(), what.to_owned(), words));
    if hand.failure().is_some() {
        return Vec::new();
    }
    if let Some(words) = hand.nameless() {
        add("CLIENT SETNAME", words.to_owned());
    }
    let mut wanted: Vec<&[&str]> = ROLE.to_vec();
    if with_pause {
        wanted.extend(PAUSE);
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
