//! The plan of an operation, and its fingerprint.

use serde::{Deserialize, Serialize};

use super::intent::{Intent, OperationKind};
use super::view::ServerView;
use crate::model::stable_hash;

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The fingerprint: of the servers as they are, and of what is to be done with them.
    pub fingerprint: String,
    /// The steps, in order, each with its commands.
    pub steps: Vec<String>,
}

/// A fingerprint of the servers of a plan: another one as soon as a role, a run, a history or the
/// target changes.
pub fn fingerprint(kind: OperationKind, pair: &str, servers: &[&ServerView]) -> String {
    let mut texts = vec![kind.label().to_owned(), pair.to_owned()];
    for server in servers {
        texts.push(server.addr.to_string());
        match server.said() {
            Some(said) => {
                texts.push(said.role.label().to_owned());
                texts.push(said.run_id.clone());
                texts.push(said.replid.to_string());
            }
            None => texts.push("silent".to_owned()),
        }
    }
    format!("{:016x}", stable_hash(texts.iter().map(String::as_str)))
}

impl Plan {
    /// The plan for `intent`.
    pub fn new(intent: &Intent) -> Self {
        let steps = match intent.kind {
            OperationKind::SwitchOver => switch_over(intent),
            OperationKind::Disaster => disaster(intent),
            OperationKind::Rejoin => rejoin(intent),
        };
        Self {
            fingerprint: intent.fingerprint.clone(),
            steps,
        }
    }
}

fn switch_over(intent: &Intent) -> Vec<String> {
    let (old, target) = (&intent.old.addr, &intent.target.addr);
    let mut steps = vec![format!(
        "wait until {target} is close, at most {}",
        intent.limits.drain
    )];
    if intent.can_pause {
        steps.push(format!(
            "{old}: CLIENT PAUSE 2000 WRITE, renewed while needed, {} at most: writes wait",
            intent.limits.max_pause
        ));
        steps.push(format!(
            "prove that both are at one offset; {target}: CLIENT PAUSE 2000 WRITE"
        ));
    }
    let unpause = if intent.can_pause {
        "CLIENT UNPAUSE / "
    } else {
        ""
    };
    steps.push(format!(
        "{old}: MULTI / {unpause}REPLICAOF {target} / CONFIG REWRITE / EXEC: it is a replica, and nobody is \
         master"
    ));
    if !intent.can_pause {
        steps.push(format!(
            "{target}: REPLICAOF NO ONE, once it has everything: it takes writes. This is the point of no \
             return"
        ));
        steps.extend(followers(intent));
        return steps;
    }
    steps.push(format!(
        "{target}: REPLICAOF NO ONE, once it has everything"
    ));
    if !intent.limits.open_at_once {
        steps.push(format!(
            "prove that {old} follows by a partial resync, {} at most; otherwise everything goes back",
            intent.limits.verify
        ));
    }
    steps.push(format!(
        "{target}: CLIENT UNPAUSE: it takes writes. This is the point of no return"
    ));
    steps.extend(followers(intent));
    steps
}

fn disaster(intent: &Intent) -> Vec<String> {
    let (old, target) = (&intent.old.addr, &intent.target.addr);
    let mut steps = Vec::new();
    if !intent.states_fence() {
        steps.push(format!(
            "ask {old} once more: if it answers as a master, nothing is done"
        ));
    }
    steps.push(format!(
        "{target}: REPLICAOF NO ONE: it takes writes. This cannot be undone"
    ));
    steps.extend(followers(intent));
    steps
}

fn rejoin(intent: &Intent) -> Vec<String> {
    let (old, target) = (&intent.old.addr, &intent.target.addr);
    let (measure, unpause) = if intent.can_pause {
        ("CLIENT PAUSE 2000 WRITE, and measure", "CLIENT UNPAUSE / ")
    } else {
        ("measure", "")
    };
    let saved = match &intent.saved_in {
        Some(file) => format!(", which has to be what {file} holds"),
        None => String::new(),
    };
    vec![
        format!("{old}: {measure} what only it has{saved}"),
        format!(
            "{old}: MULTI / {unpause}REPLICAOF {target} / CONFIG REWRITE / EXEC: its data are \
             replaced where it has to sync fully"
        ),
        format!("wait until {old} has everything"),
    ]
}

fn followers(intent: &Intent) -> Vec<String> {
    let target = &intent.target.addr;
    let mut steps = vec![format!("{target}: CONFIG REWRITE")];
    for follower in &intent.followers {
        steps.push(format!(
            "{}: REPLICAOF {target} / CONFIG REWRITE",
            follower.addr
        ));
    }
    steps
}
