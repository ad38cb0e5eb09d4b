//! The Sentinels as they are, and for how long each datacenter's have had no quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::labels::sentinel_labels;
use crate::alert::{AlertKey, Reading, Rule};
use crate::info::QuorumCheck;
use crate::model::{Datacenter, PairName, Span, Timestamp};
use crate::replication::Pause;
use crate::topology::{SentinelGroup, SentinelState};

/// The Sentinels of every pair.
#[derive(Debug, Default)]
pub(super) struct Sentinels {
    groups: Arc<[SentinelGroup]>,
    watches: BTreeMap<(PairName, Datacenter), Watch>,
}

/// The quorum of one pair, as the Sentinels of one datacenter see it.
#[derive(Debug)]
struct Watch {
    key: AlertKey,
    seen: Seen,
    /// When it was last there, or not known to be lost.
    fine_at: Timestamp,
    /// Since when it was lost before a restart, as long as nothing is known since.
    carried: Option<Timestamp>,
}

/// What the Sentinels of one datacenter say of the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// One of them at least sees it, or they are silent and others see it.
    Reached,
    /// Those that answer see none.
    NotReached,
    /// None of them answers, and none elsewhere sees it.
    Silent,
    /// Nothing is known from here.
    Unknown,
}

/// A quorum as its rule looks at it.
#[derive(Debug)]
pub(super) struct Quorum<'a> {
    /// Pair and datacenter.
    pub(super) key: &'a AlertKey,
    /// For how long it has been lost.
    pub(super) reading: Reading<Span>,
    seen: Seen,
}

impl Sentinels {
    /// Takes in how the Sentinels are, and returns the keys of their alerts.
    pub(super) fn note(
        &mut self,
        groups: Vec<SentinelGroup>,
        now: Timestamp,
    ) -> BTreeSet<AlertKey> {
        let mut old = std::mem::take(&mut self.watches);
        for group in &groups {
            let dcs: BTreeSet<_> = group
                .sentinels
                .iter()
                .map(|sentinel| &sentinel.dc)
                .collect();
            for dc in dcs {
                let id = (group.pair.clone(), dc.clone());
                let mut watch = old.remove(&id).unwrap_or_else(|| Watch::new(&id, now));
                watch.note(seen(&group.sentinels, dc), now);
                self.watches.insert(id, watch);
            }
        }
        self.groups = groups.into();
        self.watches
            .values()
            .map(|watch| watch.key.clone())
            .collect()
    }

    /// The quorum of this alert was lost before a restart, since then.
    pub(super) fn resume(&mut self, key: &AlertKey, since: Timestamp) {
        if let Some(watch) = self.watches.values_mut().find(|watch| watch.key == *key) {
            watch.carried = Some(since);
            let seen = watch.seen;
            if seen != Seen::Unknown {
                watch.note(seen, since);
            }
        }
    }

    /// Takes in that the exporter was paused: that time counts for no loss.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        for watch in self.watches.values_mut() {
            watch.fine_at += pause.after(watch.fine_at);
        }
    }

    /// Every quorum at `now`.
    pub(super) fn quorums(&self, now: Timestamp) -> impl Iterator<Item = Quorum<'_>> {
        self.watches.values().map(move |watch| watch.at(now))
    }

    /// The Sentinels, by the pairs that they watch.
    pub(super) fn groups(&self) -> Arc<[SentinelGroup]> {
        Arc::clone(&self.groups)
    }

    /// Whether every Sentinel has answered once, or failed to.
    pub(super) fn all_heard(&self) -> bool {
        self.groups
            .iter()
            .flat_map(|group| &group.sentinels)
            .all(|sentinel| sentinel.answer.is_some())
    }
}

impl Watch {
    fn new((pair, dc): &(PairName, Datacenter), now: Timestamp) -> Self {
        let labels = Arc::new(sentinel_labels(pair, dc));
        Self {
            key: AlertKey::new(Rule::SentinelQuorum, labels),
            seen: Seen::Unknown,
            fine_at: now,
            carried: None,
        }
    }

    fn note(&mut self, seen: Seen, now: Timestamp) {
        if !self.seen.is_lost() {
            self.fine_at = now;
        }
        match seen {
            Seen::Reached => self.carried = None,
            Seen::NotReached | Seen::Silent => {
                self.fine_at = self.carried.take().unwrap_or(self.fine_at);
            }
            Seen::Unknown => {}
        }
        self.seen = seen;
    }

    fn at(&self, now: Timestamp) -> Quorum<'_> {
        let reading = match self.seen {
            Seen::Reached => Reading::exact(Span::ZERO),
            Seen::NotReached | Seen::Silent => Reading::exact((now - self.fine_at).or_zero()),
            Seen::Unknown => Reading::NO_DATA,
        };
        Quorum {
            key: &self.key,
            reading,
            seen: self.seen,
        }
    }
}

impl Seen {
    fn is_lost(self) -> bool {
        matches!(self, Self::NotReached | Self::Silent)
    }
}

impl Quorum<'_> {
    /// Why it is lost, as a sentence.
    pub(super) fn reason(&self) -> Option<String> {
        let sentence = match self.seen {
            Seen::NotReached => {
                "the Sentinels that answer say NOQUORUM: too few of them reach each other for a failover"
            }
            Seen::Silent => {
                "no Sentinel answers this exporter: nobody can say that a failover is possible"
            }
            Seen::Reached | Seen::Unknown => return None,
        };
        Some(sentence.to_owned())
    }
}

/// What the Sentinels in `dc` say, and in their silence those elsewhere.
fn seen(sentinels: &[SentinelState], dc: &Datacenter) -> Seen {
    let says =
        |answer: QuorumCheck| move |sentinel: &&SentinelState| sentinel.quorum == Some(answer);
    let here = || sentinels.iter().filter(|sentinel| sentinel.dc == *dc);
    if here().any(|sentinel| says(QuorumCheck::Reached)(&sentinel)) {
        Seen::Reached
    } else if here().any(|sentinel| says(QuorumCheck::NotReached)(&sentinel)) {
        Seen::NotReached
    } else if sentinels
        .iter()
        .any(|sentinel| says(QuorumCheck::Reached)(&sentinel))
    {
        Seen::Reached
    } else if sentinels
        .iter()
        .all(|sentinel| matches!(sentinel.answer, Some(Err(_))))
    {
        Seen::Silent
    } else {
        Seen::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PollError, ServerAddr};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// One letter a Sentinel, behind its datacenter: `r`eached, `n`ot reached, `s`ilent, `?` not
    /// asked yet, `m`ute about the quorum.
    fn group(sentinels: &str) -> Vec<SentinelGroup> {
        let state = |text: &str| {
            let (dc, letter) = text.split_at(1);
            let (answer, quorum) = match letter {
                "r" => (Some(Ok(())), Some(QuorumCheck::Reached)),
                "n" => (Some(Ok(())), Some(QuorumCheck::NotReached)),
                "m" => (Some(Ok(())), None),
                "s" => (Some(Err(PollError::Timeout.into())), None),
                _ => (None, None),
            };
            let (addr, dc) = (ServerAddr::new(text, 1), Datacenter::new(dc));
            SentinelState {
                addr,
                dc,
                answer,
                quorum,
                agrees: None,
                tilted: None,
            }
        };
        let sentinels = sentinels.split(' ').map(state).collect();
        vec![SentinelGroup {
            pair: PairName::new("p"),
            master: None,
            sentinels,
            risks: Vec::new(),
            placement_known: false,
        }]
    }

    /// The reading of each datacenter in seconds, ten seconds after the Sentinels became so; a dash
    /// for none.
    fn check(sentinels: &str, expected: &str) {
        let mut all = Sentinels::default();
        all.note(group(sentinels), at(0));
        let shown = |quorum: Quorum<'_>| match quorum.reading.estimate {
            Some(lost) => format!(
                "{}{}",
                quorum.key.identity().labels["dc"],
                lost.as_secs_f64()
            ),
            None => format!("{}-", quorum.key.identity().labels["dc"]),
        };
        assert_eq!(
            all.quorums(at(10)).map(shown).collect::<Vec<_>>().join(" "),
            expected,
            "{sentinels}"
        );
    }

    #[test]
    fn each_datacenter_has_its_own_view() {
        check("ar br bn", "a0 b0");
        check("an an bn", "a10 b10");
        check("an br", "a10 b0");
    }

    #[test]
    fn silence_counts_only_where_nobody_sees_a_quorum() {
        check("as bs", "a10 b10");
        check("as br", "a0 b0");
        check("as bn", "a- b10");
        check("a? b?", "a- b-");
        check("a? bs", "a- b-");
        check("am bm", "a- b-");
    }

    #[test]
    fn a_loss_counts_from_its_beginning_and_ends_at_once() {
        let mut all = Sentinels::default();
        let reading = |all: &Sentinels, secs| {
            all.quorums(at(secs))
                .next()
                .unwrap()
                .reading
                .estimate
                .unwrap()
        };
        for (secs, sentinels) in [(0, "ar"), (100, "an"), (105, "as"), (107, "an")] {
            all.note(group(sentinels), at(secs));
        }
        assert_eq!(reading(&all, 110), Span::from_secs(10));
        all.note(group("ar"), at(111));
        assert_eq!(reading(&all, 120), Span::ZERO);
    }

    #[test]
    fn what_is_not_asked_yet_keeps_the_program_from_being_ready() {
        let mut all = Sentinels::default();
        assert!(all.all_heard(), "no Sentinels at all");
        for (sentinels, ready) in [("ar b?", false), ("ar bs", true)] {
            all.note(group(sentinels), at(0));
            assert_eq!(all.all_heard(), ready, "{sentinels}");
        }
    }
}
