//! How far a full sync is, for a person who waits for it.

use super::intent::OperationKind;
use super::run::Run;
use super::view::{Said, World};
use crate::model::{Span, Timestamp};

/// How often it is shown.
const EVERY: Span = Span::from_secs(5);

impl Run {
    /// A line about the sync of a returning server; `None` where there is none, or where one was
    /// shown a moment ago.
    pub fn progress_line(&mut self, world: &World, now: Timestamp) -> Option<String> {
        if self.intent.kind != OperationKind::Rejoin || !world.old.follows(&self.intent.target.addr)
        {
            return None;
        }
        if world.old.is_linked() {
            return None;
        }
        if self.shown_at.is_some_and(|at| now - at < EVERY) {
            return None;
        }
        let said = world.old.said()?;
        let began = *self.sync_since.get_or_insert(now);
        self.shown_at = Some(now);
        Some(format!("{}: {}", world.old.addr, phase(said, now - began)))
    }
}

fn phase(said: &Said, elapsed: Span) -> String {
    let Some(link) = &said.upstream else {
        return "it is no replica yet".to_owned();
    };
    if said.loading {
        return "it loads the data that it has received".to_owned();
    }
    if !link.syncing {
        return "it waits for the master".to_owned();
    }
    let Some(read) = link.sync_read else {
        return "full sync: it does not say how much it has received".to_owned();
    };
    let Some(total) = link.sync_total else {
        return format!("full sync: {read} received; the total of a diskless sync is not known");
    };
    let share = read.as_f64() / total.as_f64().max(1.0);
    if share <= 0.0 {
        return format!("full sync: {read} of {total}");
    }
    let left = elapsed.mul_f64(1.0 / share - 1.0);
    format!("full sync: {read} of {total}, about {left} to go, then it loads them")
}
