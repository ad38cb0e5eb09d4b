//! The plan of an operation, and its fingerprint.

use serde::{Deserialize, Serialize};

use super::hook_names::HookNames;
use super::intent::{Intent, OperationKind};
use super::view::ServerView;
use super::watch::SentinelView;
use crate::model::stable_hash;

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The fingerprint: of the servers as they are, and of what is to be done with them.
    pub fingerprint: String,
    /// The steps, in order, each with its commands.
    pub steps: Vec<String>,
}

/// A fingerprint of a plan: another one as soon as a role, a run, a history, the target, the epoch
/// of the Sentinels or a hook changes.
pub fn fingerprint(
    kind: OperationKind,
    pair: &str,
    servers: &[&ServerView],
    sentinels: &[SentinelView],
    hooks: &HookNames,
) -> String {
    let mut texts = vec![kind.label().to_owned(), pair.to_owned()];
    let answers = sentinels.iter().filter_map(|view| view.said.as_ref().ok());
    if let Some(epoch) = answers.filter_map(|said| said.epoch).max() {
        texts.push(format!("epoch {epoch}"));
    }
    for hook in hooks.before.iter().chain(&hooks.after) {
        texts.push(format!("hook {hook}"));
    }
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
            OperationKind::HandOver => hand_over(intent),
            OperationKind::TakeOver => take_over(intent),
        };
        Self {
            fingerprint: intent.fingerprint.clone(),
            steps,
        }
    }
}

fn switch_over(intent: &Intent) -> Vec<String> {
    let old = &intent.old.addr;
    let target = &intent.target.addr;
    let pause = pause(intent);
    let mut steps = priorities(intent);
    steps.push(format!(
        "wait until {target} is close, at most {}",
        intent.limits.drain
    ));
    steps.extend(hooks("before it", &intent.hooks.before));
    if intent.can_pause {
        steps.push(format!(
            "{old}: {pause}, renewed while needed, {} at most: writes wait",
            intent.limits.max_pause
        ));
        let mut prove = "prove that both are at one offset".to_owned();
        if intent.holds_target() {
            prove += &format!("; {target}: {pause}");
        }
        steps.push(prove);
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
    if let Some(sentinel) = &intent.sentinel {
        steps.push(format!(
            "on a Sentinel, once {target} has everything: SENTINEL FAILOVER {}: {target} takes writes. This is \
             the point of no return",
            sentinel.name
        ));
        steps.extend(by_sentinels(intent));
        return steps;
    }
    if !intent.holds_target() {
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
    steps.push(format!(
        "prove that {old} follows by a partial resync, {} at most; otherwise everything goes back",
        intent.limits.verify
    ));
    steps.push(format!(
        "{target}: CLIENT UNPAUSE: it takes writes. This is the point of no return"
    ));
    steps.extend(followers(intent));
    steps
}

fn disaster(intent: &Intent) -> Vec<String> {
    let old = &intent.old.addr;
    let target = &intent.target.addr;
    let mut steps = Vec::new();
    if !intent.states_fence() {
        steps.push(format!(
            "ask {old} once more: if it answers as a master, nothing is done"
        ));
    }
    steps.extend(priorities(intent));
    steps.extend(hooks("before it", &intent.hooks.before));
    if let Some(sentinel) = &intent.sentinel {
        steps.push(format!(
            "on a Sentinel: SENTINEL FAILOVER {}, again for up to 15 s while it answers NOGOODSLAVE: {target} \
             takes writes. This cannot be undone",
            sentinel.name
        ));
        steps.extend(by_sentinels(intent));
        return steps;
    }
    steps.push(format!(
        "{target}: REPLICAOF NO ONE: it takes writes. This cannot be undone"
    ));
    steps.extend(followers(intent));
    steps
}

/// A step for each hook.
fn hooks(when: &str, names: &[String]) -> Vec<String> {
    let step = |name: &String| format!("hook {when}: {name}");
    names.iter().map(step).collect()
}

fn pause(intent: &Intent) -> String {
    let millis = intent.limits.lease.as_nanos() / 1_000_000;
    format!("CLIENT PAUSE {millis} WRITE")
}

/// What makes the Sentinels choose the target.
fn priorities(intent: &Intent) -> Vec<String> {
    let Some(sentinel) = &intent.sentinel else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    for change in &sentinel.priorities {
        steps.push(format!(
            "{}: CONFIG SET replica-priority {} (it has {})",
            change.server, change.during, change.before
        ));
    }
    steps.push(format!(
        "wait until every Sentinel that answers would choose {}, some 10 s",
        intent.target.addr
    ));
    steps
}

/// What the Sentinels do, and what is put back.
fn by_sentinels(intent: &Intent) -> Vec<String> {
    let target = &intent.target.addr;
    let mut steps = hooks("after it", &intent.hooks.after);
    steps.push(format!(
        "the Sentinels point the other replicas to {target}; wait until all that answer name it"
    ));
    for change in intent.sentinel.iter().flat_map(|known| &known.priorities) {
        steps.push(format!(
            "{}: CONFIG SET replica-priority {} / CONFIG REWRITE",
            change.server, change.before
        ));
    }
    steps
}

fn rejoin(intent: &Intent) -> Vec<String> {
    let old = &intent.old.addr;
    let target = &intent.target.addr;
    let (measure, unpause) = if intent.can_pause {
        (
            format!("{}, and measure", pause(intent)),
            "CLIENT UNPAUSE / ",
        )
    } else {
        ("measure".to_owned(), "")
    };
    let saved = match (&intent.copied, &intent.saved_in) {
        (Some(copy), _) => format!(
            ", which has to be nothing since the copy {} was made",
            copy.file.display()
        ),
        (None, Some(file)) => format!(", which has to be what {file} holds"),
        (None, None) => String::new(),
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

fn hand_over(intent: &Intent) -> Vec<String> {
    let old = &intent.old.addr;
    let target = &intent.target.addr;
    let mut steps = vec![format!(
        "wait until {target} acknowledges what is written, at most {}",
        intent.limits.drain
    )];
    steps.extend(hooks("before it", &intent.hooks.before));
    steps.push(format!(
        "{old}: {}, renewed while needed, {} at most: writes wait until {target} has acknowledged \
         everything, which it does once a second",
        pause(intent),
        intent.limits.max_pause
    ));
    steps.push(format!(
        "{old}: MULTI / CLIENT UNPAUSE / REPLICAOF {target} / CONFIG REWRITE / EXEC: it is a replica, and \
         nobody is master"
    ));
    steps.push(format!(
        "print the token with which {target} is promoted where it is reached"
    ));
    steps
}

fn take_over(intent: &Intent) -> Vec<String> {
    let old = &intent.old.addr;
    let target = &intent.target.addr;
    let token = intent
        .token
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let mut steps = hooks("before it", &intent.hooks.before);
    steps.push(format!(
        "{target}: REPLICAOF NO ONE, if it has exactly what the token {token} says: it takes writes. This \
         cannot be undone"
    ));
    steps.push(format!(
        "wait until it lists {old} as its replica, {} at most",
        intent.limits.verify
    ));
    steps.extend(followers(intent));
    steps
}

fn followers(intent: &Intent) -> Vec<String> {
    let target = &intent.target.addr;
    let mut steps = hooks("after it", &intent.hooks.after);
    steps.push(format!("{target}: CONFIG REWRITE"));
    for follower in &intent.followers {
        steps.push(format!(
            "{}: REPLICAOF {target} / CONFIG REWRITE",
            follower.addr
        ));
    }
    steps
}
