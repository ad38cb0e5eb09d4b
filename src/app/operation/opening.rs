//! What comes before the first order, in a first run and in a resumed one: connections, the lock,
//! the report to the exporter, the journal.

use std::io;

use super::announce::{Announcement, ExporterDoor};
use super::folder::{JournalFile, OperationsFolder, PairLock};
use super::hand::Hand;
use super::list::{self, NAME_HEAD};
use super::narrator::Narrator;
use super::operator::{as_operator, timeout};
use super::scene::discovered_entry;
use super::sentinels;
use super::world::Hands;
use crate::clock;
use crate::config::Settings;
use crate::model::{PairName, ServerAddr};
use crate::operation::{Entry, Intent, OperationNotice, Plan, Record};
use crate::topology::Topology;

/// Begins the journal of an operation, with its plan beside it.
pub(super) fn begin_journal(
    folder: &OperationsFolder,
    intent: &Intent,
    plan: &Plan,
) -> io::Result<JournalFile> {
    let first = entry(Record::Began {
        intent: Box::new(intent.clone()),
    });
    let journal = folder.begin(&intent.id, first)?;
    journal.plan(plan)?;
    Ok(journal)
}

/// Reports the operation to the running exporter, if there is one.
///
/// # Errors
/// Another operation of the pair is under way.
pub(super) async fn announce(
    exporter: Option<&ExporterDoor>,
    intent: &Intent,
    narrator: &mut dyn Narrator,
) -> Result<Option<Announcement>, String> {
    let Some(exporter) = exporter else {
        return Ok(None);
    };
    match Announcement::begin(exporter, OperationNotice::begins(intent)).await? {
        Ok(announcement) => Ok(Some(announcement)),
        Err(sentence) => {
            narrator.line(&sentence);
            Ok(None)
        }
    }
}

/// The connections for an operation that was begun before, from the configuration of today.
pub(super) async fn hands(settings: &Settings, intent: &Intent) -> Result<Hands, String> {
    let settings = as_operator(settings);
    let pair = PairName::new(&intent.pair);
    let mut discovered = None;
    let mut sentinels = Vec::new();
    if let Some((_, hands)) = sentinels::hands(&settings, &pair)
        && intent.sentinel.is_some()
    {
        sentinels = hands;
        let entry = discovered_entry(&settings, &pair).await;
        discovered = Some(entry.map_err(|error| error.to_string())?);
    } else if settings.pairs.iter().all(|entry| entry.name != pair) {
        discovered = discovered_entry(&settings, &pair).await.ok();
    }
    let mut servers = Vec::new();
    if let Some(entry) = &discovered {
        servers.extend(std::iter::once(&entry.master).chain(&entry.replicas));
    }
    for pair in &settings.pairs {
        if pair.name.as_str() == intent.pair {
            servers.extend(std::iter::once(&pair.master).chain(&pair.replicas));
        }
    }
    let name = format!("{NAME_HEAD}{}", intent.id);
    let hand = |addr: &ServerAddr| {
        let server = servers.iter().find(|server| server.addr == *addr);
        let server = server.ok_or_else(|| {
            format!(
                "{addr} of operation {} is not in the pair {} any more",
                intent.id, intent.pair
            )
        })?;
        let server = Topology::server(server, &settings.datacenters);
        let timeout = timeout(&server, &settings);
        Ok::<_, String>(Hand::new(server, timeout, &name))
    };
    let mut others = Vec::new();
    for follower in &intent.followers {
        others.push(hand(&follower.addr)?);
    }
    Ok(Hands {
        old: hand(&intent.old.addr)?.for_reach(intent.kind.reaches_old()),
        target: hand(&intent.target.addr)?.for_reach(intent.kind.reaches_target()),
        others,
        sentinels,
    })
}

/// Locks the pair on this machine, and looks for controllers on others: each names its connections
/// before it lists those of the servers, so of two at least one sees the other.
pub(super) async fn lock(
    folder: &OperationsFolder,
    intent: &Intent,
    hands: &mut Hands,
) -> Result<PairLock, String> {
    let lock = folder
        .lock(&intent.pair)
        .map_err(|error| no_journal(folder, &error))?;
    let Some(lock) = lock else {
        return Err(format!(
            "operation-in-progress: another process of this machine works on {}: failover --status",
            intent.pair
        ));
    };
    for hand in [&mut hands.old, &mut hands.target] {
        // Named by being opened; a silent server cannot list anything.
        hand.view().await;
    }
    for hand in [&mut hands.old, &mut hands.target] {
        if !hand.answers() {
            continue;
        }
        let addr = hand.server().addr.clone();
        let clients = list::clients(hand, &intent.id).await;
        let clients = clients.map_err(|words| {
            format!("rights-missing: {addr} does not permit CLIENT LIST, which shows other controllers: {words}")
        })?;
        if let Some(other) = clients.operations.first() {
            return Err(format!(
                "operation-in-progress: {addr} has a connection of operation {other}"
            ));
        }
    }
    Ok(lock)
}

/// Why no operation is begun without a journal.
pub(super) fn no_journal(folder: &OperationsFolder, error: &io::Error) -> String {
    let path = folder.path().display();
    format!(
        "the journal cannot be kept in {path}: {error}; an operation without one cannot be resumed, so \
         none is begun (state.path in the configuration)"
    )
}

/// A line of the journal that is written now.
pub(super) fn entry(record: Record) -> Entry {
    Entry {
        at: clock::wall_now().as_secs_f64(),
        record,
    }
}
