//! How long the Sentinels of each datacenter have had no quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::labels::sentinel_labels;
use crate::alert::{AlertKey, Reading, Rule};
use crate::info::QuorumCheck;
use crate::model::{Datacenter, PairName, Span, Timestamp};
use crate::replication::Pause;
use crate::topology::{SentinelGroup, SentinelState};

/// The quorums of every master that Sentinels watch.
#[derive(Debug, Default)]
pub(super) struct SentinelQuorums {
    watches: BTreeMap<(PairName, Datacenter), QuorumWatch>,
}

/// The quorum for one master, as the Sentinels of one datacenter see it.
#[derive(Debug)]
struct QuorumWatch {
    key: AlertKey,
    state: QuorumState,
    /// When it was last reached, or not known to be lost.
    fine_at: Timestamp,
    /// Since when it has been lost according to the saved state, until this process knows more.
    restored: Option<Timestamp>,
}

/// What the Sentinels of one datacenter report of the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuorumState {
    /// At least one of them reaches it, or they are silent and others reach it.
    Reached,
    /// Those that answer do not reach it.
    NotReached,
    /// None of them answers, and none elsewhere reaches it.
    Silent,
    /// Nothing is known.
    Unknown,
}

/// A quorum as its alert rule sees it.
#[derive(Debug)]
pub(super) struct Quorum<'a> {
    /// Pair and datacenter.
    pub(super) key: &'a AlertKey,
    /// For how long it has been lost.
    pub(super) reading: Reading<Span>,
    state: QuorumState,
}

impl SentinelQuorums {
    /// Replaces what is known of the Sentinels. Returns the keys of their alerts.
    pub(super) fn update(
        &mut self,
        groups: &[&SentinelGroup],
        now: Timestamp,
    ) -> BTreeSet<AlertKey> {
        let mut old = std::mem::take(&mut self.watches);
        let mut keys = BTreeSet::new();
        for group in groups {
            let sentinels = group.sentinels.iter();
            let dcs: BTreeSet<_> = sentinels.map(|sentinel| &sentinel.dc).collect();
            for dc in dcs {
                let id = (group.pair.clone(), dc.clone());
                let known = old.remove(&id);
                let mut watch = known.unwrap_or_else(|| QuorumWatch::new(&id, now));
                watch.update(quorum_state(&group.sentinels, dc), now);
                keys.insert(watch.key.clone());
                self.watches.insert(id, watch);
            }
        }
        keys
    }

    /// The quorum of this alert has been lost since before a restart.
    pub(super) fn resume(&mut self, key: &AlertKey, since: Timestamp) {
        let mut watches = self.watches.values_mut();
        if let Some(watch) = watches.find(|watch| watch.key == *key) {
            watch.restored = Some(since);
            let state = watch.state;
            if state != QuorumState::Unknown {
                watch.update(state, since);
            }
        }
    }

    /// Notes that the exporter was paused: that time counts towards no loss.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        for watch in self.watches.values_mut() {
            watch.fine_at += pause.after(watch.fine_at);
        }
    }

    /// Every quorum at `now`.
    pub(super) fn quorums(&self, now: Timestamp) -> impl Iterator<Item = Quorum<'_>> {
        self.watches.values().map(move |watch| watch.at(now))
    }
}

impl QuorumWatch {
    fn new((pair, dc): &(PairName, Datacenter), now: Timestamp) -> Self {
        let labels = Arc::new(sentinel_labels(pair, dc));
        Self {
            key: AlertKey::new(Rule::SentinelQuorum, labels),
            state: QuorumState::Unknown,
            fine_at: now,
            restored: None,
        }
    }

    fn update(&mut self, state: QuorumState, now: Timestamp) {
        if !self.state.is_lost() {
            self.fine_at = now;
        }
        match state {
            QuorumState::Reached => self.restored = None,
            QuorumState::NotReached | QuorumState::Silent => {
                self.fine_at = self.restored.take().unwrap_or(self.fine_at);
            }
            QuorumState::Unknown => {}
        }
        self.state = state;
    }

    fn at(&self, now: Timestamp) -> Quorum<'_> {
        let reading = match self.state {
            QuorumState::Reached => Reading::exact(Span::ZERO),
            QuorumState::NotReached | QuorumState::Silent => {
                Reading::exact((now - self.fine_at).or_zero())
            }
            QuorumState::Unknown => Reading::NO_DATA,
        };
        Quorum {
            key: &self.key,
            reading,
            state: self.state,
        }
    }
}

impl QuorumState {
    fn is_lost(self) -> bool {
        matches!(self, Self::NotReached | Self::Silent)
    }
}

impl Quorum<'_> {
    /// Why it is lost, as a sentence.
    pub(super) fn reason(&self) -> Option<String> {
        let sentence = match self.state {
            QuorumState::NotReached => {
                "the Sentinels that answer say NOQUORUM: too few of them reach each other for a failover"
            }
            QuorumState::Silent => {
                "no Sentinel answers this exporter: whether a failover is possible is not known"
            }
            QuorumState::Reached | QuorumState::Unknown => return None,
        };
        Some(sentence.to_owned())
    }
}

/// What the Sentinels in `dc` report or, if they are silent, those elsewhere.
fn quorum_state(sentinels: &[SentinelState], dc: &Datacenter) -> QuorumState {
    let mut reached_here = false;
    let mut not_reached_here = false;
    let mut reached_elsewhere = false;
    let mut all_fail = true;
    for sentinel in sentinels {
        let is_here = sentinel.dc == *dc;
        match sentinel.quorum {
            Some(QuorumCheck::Reached) if is_here => reached_here = true,
            Some(QuorumCheck::Reached) => reached_elsewhere = true,
            Some(QuorumCheck::NotReached) if is_here => not_reached_here = true,
            _ => {}
        }
        all_fail &= matches!(sentinel.answer, Some(Err(_)));
    }
    if reached_here {
        QuorumState::Reached
    } else if not_reached_here {
        QuorumState::NotReached
    } else if reached_elsewhere {
        QuorumState::Reached
    } else if all_fail {
        QuorumState::Silent
    } else {
        QuorumState::Unknown
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{PollError, ServerAddr};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// One letter a Sentinel, behind its datacenter: `r`eached, `n`ot reached, `s`ilent, `?` not
    /// asked yet, `m`ute about the quorum.
    pub(in crate::monitor) fn group(sentinels: &str) -> SentinelGroup {
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
        SentinelGroup {
            pair: PairName::new("p"),
            master: None,
            sentinels,
            risks: Vec::new(),
            placement_known: false,
        }
    }

    /// The reading of each datacenter in seconds, ten seconds after the Sentinels became so; a dash
    /// for none.
    fn check(sentinels: &str, expected: &str) {
        let mut all = SentinelQuorums::default();
        all.update(&[&group(sentinels)], at(0));
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
    fn silent_sentinels_count_only_if_no_other_reports_a_quorum() {
        check("as bs", "a10 b10");
        check("as br", "a0 b0");
        check("as bn", "a- b10");
        check("a? b?", "a- b-");
        check("a? bs", "a- b-");
        check("am bm", "a- b-");
    }

    #[test]
    fn a_lost_quorum_is_timed_from_its_beginning_and_ends_at_once() {
        let mut all = SentinelQuorums::default();
        let reading = |all: &SentinelQuorums, secs| {
            all.quorums(at(secs))
                .next()
                .unwrap()
                .reading
                .estimate
                .unwrap()
        };
        for (secs, sentinels) in [(0, "ar"), (100, "an"), (105, "as"), (107, "an")] {
            all.update(&[&group(sentinels)], at(secs));
        }
        assert_eq!(reading(&all, 110), Span::from_secs(10));
        all.update(&[&group("ar")], at(111));
        assert_eq!(reading(&all, 120), Span::ZERO);
    }
}
