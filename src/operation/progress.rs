//! How far a full sync is, for a person who waits for it: the transfer, and then the load.

use super::intent::OperationKind;
use super::run::Run;
use super::view::{Load, Said, UpstreamView, World};
use crate::model::{Bytes, Span, Timestamp};

/// How often it is shown.
const EVERY: Span = Span::from_secs(5);

impl Run {
    /// A line about the sync of a returning server; `None` where there is none, or where one was
    /// shown a moment ago.
    pub fn progress_line(&mut self, world: &World, now: Timestamp) -> Option<String> {
        let is_rejoin = self.intent.kind == OperationKind::Rejoin;
        if !is_rejoin || !world.old.follows(&self.intent.target.addr) || world.old.is_linked() {
            return None;
        }
        let said = world.old.said()?;
        let began = *self.sync_since.get_or_insert(now);
        if self.shown_at.is_some_and(|at| now - at < EVERY) {
            return None;
        }
        self.shown_at = Some(now);
        Some(format!("{}: {}", world.old.addr, phase(said, now - began)))
    }
}

fn phase(said: &Said, elapsed: Span) -> String {
    let Some(link) = &said.upstream else {
        return "it is no replica yet".to_owned();
    };
    if said.loading {
        return match said.load {
            Some(load) => loaded(load),
            None => "full sync, 2 of 2: it loads the data".to_owned(),
        };
    }
    if !link.syncing {
        return "it waits for the master".to_owned();
    }
    received(link, elapsed)
}

fn received(link: &UpstreamView, elapsed: Span) -> String {
    let phase = "full sync, 1 of 2";
    let Some(read) = link.sync_read else {
        return format!("{phase}: it does not say how much it has received");
    };
    let rate = per_second(read, elapsed).map_or_else(String::new, |rate| format!(", {rate}/s"));
    let Some(total) = link.sync_total.filter(|total| *total >= read) else {
        return format!(
            "{phase}: {read} received{rate}; the total of a diskless sync is not known"
        );
    };
    let share = read.as_f64() / total.as_f64().max(1.0);
    if share <= 0.0 {
        return format!("{phase}: {read} of {total}");
    }
    let left = elapsed.mul_f64(1.0 / share - 1.0);
    format!("{phase}: {read} of {total} received{rate}, about {left} to go, then it loads them")
}

fn loaded(load: Load) -> String {
    let phase = "full sync, 2 of 2";
    let read = load.read;
    let total = load
        .total
        .map_or_else(String::new, |total| format!(" of {total}"));
    let left = load
        .left
        .map_or_else(String::new, |left| format!(", about {left} to go"));
    format!("{phase}: {read}{total} loaded{left}")
}

fn per_second(read: Bytes, elapsed: Span) -> Option<Bytes> {
    let seconds = u64::try_from(elapsed.as_nanos() / 1_000_000_000).ok()?;
    Some(Bytes::new(read.get().checked_div(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::replica;
    use super::*;

    fn at(change: impl Fn(&mut Said)) -> String {
        let mut said = replica(1, 2).said.expect("it answers");
        change(&mut said);
        phase(&said, Span::from_secs(10))
    }

    fn link(said: &mut Said) -> &mut UpstreamView {
        said.upstream.as_mut().expect("a replica")
    }

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_transfer_and_the_load_are_shown_each_with_what_is_left() {
        let transfer = at(|said| {
            link(said).syncing = true;
            link(said).sync_read = Some(Bytes::new(100 * MIB));
            link(said).sync_total = Some(Bytes::new(300 * MIB));
        });
        let expected = "full sync, 1 of 2: 100.0 MiB of 300.0 MiB received, 10.0 MiB/s, about 20.0 s to \
                        go, then it loads them";
        assert_eq!(transfer, expected);
        let load = at(|said| {
            said.loading = true;
            said.load = Some(Load {
                read: Bytes::new(200 * MIB),
                total: Some(Bytes::new(300 * MIB)),
                left: Some(Span::from_secs(3)),
            });
        });
        let expected = "full sync, 2 of 2: 200.0 MiB of 300.0 MiB loaded, about 3.000 s to go";
        assert_eq!(load, expected);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let diskless = at(|said| {
            link(said).syncing = true;
            link(said).sync_read = Some(Bytes::new(100 * MIB));
        });
        assert!(
            diskless.contains("is not known") && !diskless.contains("to go"),
            "{diskless}"
        );
        let silent = at(|said| link(said).syncing = true);
        assert!(silent.contains("does not say"), "{silent}");
        let loading = at(|said| said.loading = true);
        assert_eq!(loading, "full sync, 2 of 2: it loads the data");
        let waiting = at(|_| {});
        assert_eq!(waiting, "it waits for the master");
    }
}
