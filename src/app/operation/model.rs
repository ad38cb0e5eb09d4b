//! What a throwaway copy of a pair has to resemble: asked of its servers, which are not changed.

use super::hand::{Hand, command};
use super::request::PrepareError;
use super::scene::Scene;
use crate::client::Value;
use crate::clock;
use crate::config::Settings;
use crate::model::{Bytes, PairName, ServerAddr, Span};
use crate::operation::ServerView;

/// The settings that a copy gets: what decides how replication, persistence and eviction behave,
/// and neither addresses nor secrets.
const COPIED: [&str; 17] = [
    "appendfsync",
    "appendonly",
    "client-output-buffer-limit",
    "databases",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "repl-backlog-size",
    "repl-backlog-ttl",
    "repl-diskless-load",
    "repl-diskless-sync",
    "repl-diskless-sync-delay",
    "repl-ping-replica-period",
    "repl-timeout",
    "save",
    "stop-writes-on-bgsave-error",
];

/// Between the two answers that show how fast the master writes.
const MEASURED_FOR: Span = Span::from_secs(2);

/// How often the replica is asked for the round trip.
const ROUND_TRIPS: usize = 5;

/// The longest answer to one CONFIG GET.
const MAX_ANSWER: Bytes = Bytes::new(64 * 1024);

/// A pair, as far as a copy has to resemble it.
#[derive(Clone, Debug)]
pub struct PairModel {
    /// The version of the master.
    pub version: String,
    /// The version of the replica.
    pub replica_version: String,
    /// Settings of the master, by name.
    pub directives: Vec<(String, String)>,
    /// Why there are none.
    pub without_directives: Option<String>,
    /// What the master's stream grew by in a second.
    pub bytes_per_second: f64,
    /// The shortest round trip to the replica.
    pub round_trip: Option<Span>,
}

/// Asks the servers of `pair`.
///
/// # Errors
/// [`PrepareError`] where there is no such pair, or its master does not answer.
pub async fn pair_model(settings: &Settings, pair: &PairName) -> Result<PairModel, PrepareError> {
    let mut scene = Scene::ask(settings, pair).await?;
    let master = scene.master(false);
    let usage = |sentence: String| PrepareError::Usage(sentence);
    let said = |view: Option<&ServerView>| match view.map(|view| &view.said) {
        Some(Ok(said)) => Ok(said.clone()),
        Some(Err(why)) => Err(why.clone()),
        None => Err("it is not in the pair".to_owned()),
    };
    let first = said(scene.views.iter().find(|view| view.addr == master));
    let first = first.map_err(|why| usage(format!("{master} does not answer: {why}")))?;
    let replica = scene.views.iter().find(|view| view.addr != master);
    let replica = replica.map(|view| view.addr.clone());
    let replica_version = match said(scene.views.iter().find(|view| view.addr != master)) {
        Ok(said) => said.version,
        Err(_) => "an unknown version".to_owned(),
    };
    let asked_at = clock::now();
    tokio::time::sleep(MEASURED_FOR.to_duration()).await;
    let Some(hand) = find(&mut scene.hands, &master) else {
        return Err(usage(format!("{master} is not in the pair")));
    };
    let later = said(Some(&hand.view().await));
    let later = later.map_err(|why| usage(format!("{master} does not answer: {why}")))?;
    let took = (clock::now() - asked_at).as_secs_f64();
    let grown = Bytes::new(later.offset.saturating_sub(first.offset));
    let (directives, without_directives) = match directives(hand).await {
        Ok(directives) => (directives, None),
        Err(words) => (Vec::new(), Some(words)),
    };
    let round_trip = match replica.and_then(|addr| find(&mut scene.hands, &addr)) {
        Some(hand) => round_trip(hand).await,
        None => None,
    };
    Ok(PairModel {
        version: first.version,
        replica_version,
        directives,
        without_directives,
        bytes_per_second: grown.as_f64() / took,
        round_trip,
    })
}

fn find<'a>(hands: &'a mut [Hand], addr: &ServerAddr) -> Option<&'a mut Hand> {
    hands.iter_mut().find(|hand| hand.server().addr == *addr)
}

/// The settings that a copy gets, one CONFIG GET each: servers before 7.0 take one name.
async fn directives(hand: &mut Hand) -> Result<Vec<(String, String)>, String> {
    let commands: Vec<_> = COPIED
        .iter()
        .map(|name| command(&["CONFIG", "GET", name]))
        .collect();
    let replies = hand.request(&commands, MAX_ANSWER).await;
    let replies = replies.map_err(|failure| failure.sentence("the server"))?;
    let mut found = Vec::new();
    for reply in replies {
        match reply {
            Value::Array(words) => {
                let words: Vec<String> = words.into_iter().filter_map(text).collect();
                if let [name, value] = &words[..] {
                    found.push((name.clone(), value.clone()));
                }
            }
            other => {
                if let Some(words) = super::hand::refusal(other) {
                    return Err(words);
                }
            }
        }
    }
    Ok(found)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(line) => Some(line),
        _ => None,
    }
}

async fn round_trip(hand: &mut Hand) -> Option<Span> {
    let mut shortest: Option<Span> = None;
    for _ in 0..ROUND_TRIPS {
        let sent = clock::now();
        let answered = hand.view().await.said.is_ok();
        let took = clock::now() - sent;
        if answered && shortest.is_none_or(|known| took < known) {
            shortest = Some(took);
        }
    }
    shortest
}
