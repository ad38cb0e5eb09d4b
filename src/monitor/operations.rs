//! The operations that controllers report: which is under way on each pair, for how long it quiets
//! alerts, and how the last one ended. Memory only: a controller at work reports again within
//! seconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Monitor;
use super::failover::Promotion;
use crate::alert::PlannedWork;
use crate::journal::{JournalEvent, RecordedOperation};
use crate::model::{PairName, Span, Timestamp, closed_set, serde_as_label};
use crate::operation::{NOTICE_LEASE, NoticeState, OperationNotice};

/// How long an operation with nothing open is shown after its end. One that left something open is
/// shown until the next one of its pair.
const SHOWN_FOR: Span = Span::from_secs(600);

/// How long after the end of an operation a change of masters is still its doing: the servers are
/// polled at intervals, and a failed poll is repeated later.
const SEEN_WITHIN: Span = Span::from_secs(60);

closed_set! {
    /// Where an operation is, as the exporter sees it.
    pub enum OperationPhase {
        /// Its controller works on it.
        Running => "running",
        /// Its controller has stopped reporting before it was over.
        Lapsed => "lapsed",
        /// Everything was done and proved.
        Done => "done",
        /// It failed, and everything is as before.
        AsBefore => "as-before",
        /// It was refused after all, and nothing was done.
        Refused => "refused",
        /// Things are not as before, and something is open.
        Incomplete => "incomplete",
    }
}

serde_as_label!(OperationPhase);

/// Why an operation is not taken note of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Something in the notice is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such pair is watched here.
    #[error("this exporter watches no pair called {0:?}")]
    UnknownPair(String),
    /// Another one is under way on the pair.
    #[error("operation {0} is under way on this pair")]
    InProgress(String),
}

/// One operation as the exporter knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationSnapshot {
    /// What its controller reported last.
    pub notice: Arc<OperationNotice>,
    /// When it was first reported.
    pub began: Timestamp,
    /// When it was last reported.
    pub heard: Timestamp,
    /// Where it is.
    pub phase: OperationPhase,
}

/// The newest operation of each pair.
#[derive(Debug, Default)]
pub(super) struct Operations {
    newest: BTreeMap<PairName, OperationSnapshot>,
    /// The same as readers see them; `None` once anything has changed.
    listed: Option<Arc<[OperationSnapshot]>>,
}

impl OperationSnapshot {
    /// Until when alerts are quiet without another report; `None` where they are not.
    pub fn quiet_until(&self) -> Option<Timestamp> {
        (self.phase == OperationPhase::Running).then(|| self.heard + NOTICE_LEASE)
    }

    /// The alerts that it causes. A disaster is no planned work: what it is about is worth a page.
    fn planned(&self) -> Option<PlannedWork> {
        let notice = &self.notice;
        (notice.kind.is_planned() && self.phase == OperationPhase::Running).then(|| PlannedWork {
            id: notice.id.as_str().into(),
            pair: notice.pair.as_str().into(),
            servers: vec![notice.old.clone(), notice.target.clone()],
            changes_master: notice.kind.changes_master(),
        })
    }

    /// Whether the change of masters is its doing.
    fn explains(&self, promotion: &Promotion, now: Timestamp) -> bool {
        let notice = &self.notice;
        let is_recent = self.phase == OperationPhase::Running || now - self.heard <= SEEN_WITHIN;
        let changes_master = notice.kind.changes_master();
        let is_same =
            notice.old == promotion.from.to_string() && notice.target == promotion.to.to_string();
        is_recent && changes_master && is_same
    }

    fn is_shown(&self, now: Timestamp) -> bool {
        match self.phase {
            OperationPhase::Running | OperationPhase::Lapsed | OperationPhase::Incomplete => true,
            OperationPhase::Done | OperationPhase::AsBefore | OperationPhase::Refused => {
                now - self.heard < SHOWN_FOR
            }
        }
    }

    fn record(&self) -> JournalEvent {
        let notice = &self.notice;
        let what = match self.phase {
            OperationPhase::Running => {
                format!("{} from {} to {}", notice.kind, notice.old, notice.target)
            }
            OperationPhase::Lapsed => {
                "its controller has stopped reporting: failover --status on its machine".to_owned()
            }
            _ => notice.sentence.clone(),
        };
        JournalEvent::Operation(RecordedOperation {
            pair: PairName::new(&notice.pair),
            id: notice.id.as_str().into(),
            phase: self.phase.label().into(),
            what: what.into(),
        })
    }
}

impl From<NoticeState> for OperationPhase {
    fn from(state: NoticeState) -> Self {
        match state {
            NoticeState::Running => Self::Running,
            NoticeState::Done => Self::Done,
            NoticeState::AsBefore => Self::AsBefore,
            NoticeState::Refused => Self::Refused,
            NoticeState::Incomplete => Self::Incomplete,
        }
    }
}

impl Operations {
    /// Whether none is shown.
    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Takes note of what a controller reports. Returns the news for the journal, if it is one.
    fn note(
        &mut self,
        notice: OperationNotice,
        now: Timestamp,
    ) -> Result<Option<JournalEvent>, OperationError> {
        let pair = PairName::new(&notice.pair);
        let phase = OperationPhase::from(notice.state);
        let before = self.newest.get(&pair);
        if let Some(other) = before
            && other.notice.id != notice.id
            && other.phase == OperationPhase::Running
        {
            return Err(OperationError::InProgress(other.notice.id.clone()));
        }
        let same = before.filter(|before| before.notice.id == notice.id);
        let is_news = same.is_none_or(|same| same.phase != phase);
        let began = same.map_or(now, |same| same.began);
        let snapshot = OperationSnapshot {
            notice: Arc::new(notice),
            began,
            heard: now,
            phase,
        };
        let event = is_news.then(|| snapshot.record());
        self.newest.insert(pair, snapshot);
        self.listed = None;
        Ok(event)
    }

    /// Ends the leases that have run out, and forgets what is no longer shown. Returns the news.
    fn expire(&mut self, now: Timestamp) -> Vec<JournalEvent> {
        let mut events = Vec::new();
        for operation in self.newest.values_mut() {
            if operation.quiet_until().is_some_and(|until| now >= until) {
                operation.phase = OperationPhase::Lapsed;
                self.listed = None;
                events.push(operation.record());
            }
        }
        let before = self.newest.len();
        self.newest.retain(|_, operation| operation.is_shown(now));
        if self.newest.len() != before {
            self.listed = None;
        }
        events
    }

    fn planned(&self) -> Vec<PlannedWork> {
        let all = self.newest.values();
        all.filter_map(OperationSnapshot::planned).collect()
    }

    /// Every operation that is shown, by pair.
    pub(super) fn list(&self) -> Arc<[OperationSnapshot]> {
        match &self.listed {
            Some(listed) => Arc::clone(listed),
            None => self.newest.values().cloned().collect(),
        }
    }

    fn prepare_list(&mut self) {
        if self.listed.is_none() {
            self.listed = Some(self.newest.values().cloned().collect());
        }
    }
}

impl Monitor {
    /// Takes note of what the controller of an operation reports: while it works, the alerts that
    /// it causes are not notified, for `NOTICE_LEASE` at a time.
    ///
    /// # Errors
    /// [`OperationError`] where that is wrong, about an unknown pair, or another one is under way.
    pub fn note_operation(
        &mut self,
        notice: OperationNotice,
        now: Timestamp,
    ) -> Result<(), OperationError> {
        notice.check().map_err(OperationError::Invalid)?;
        if !self.fleet.failovers.knows(&PairName::new(&notice.pair)) {
            return Err(OperationError::UnknownPair(notice.pair));
        }
        self.expire_operations(now);
        if let Some(event) = self.operations.note(notice, now)? {
            self.journal.record(event, now);
        }
        self.alerting.set_planned(self.operations.planned());
        Ok(())
    }

    /// Ends the leases that have run out.
    pub(super) fn expire_operations(&mut self, now: Timestamp) {
        for event in self.operations.expire(now) {
            self.journal.record(event, now);
        }
        self.operations.prepare_list();
        self.alerting.set_planned(self.operations.planned());
    }

    /// Notes of each change of masters which operation has done it. A planned one is no failover
    /// that anybody has to be notified of.
    pub(super) fn explain_failovers<'a>(
        &mut self,
        promoted: impl Iterator<Item = &'a PairName>,
        now: Timestamp,
    ) {
        for pair in promoted {
            let Some(operation) = self.operations.newest.get(pair) else {
                continue;
            };
            let is_planned = operation.notice.kind.is_planned();
            let id = &operation.notice.id;
            let is_its_doing = |promotion: &Promotion| operation.explains(promotion, now);
            self.fleet
                .failovers
                .explain(pair, id, is_planned, is_its_doing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OperationKind;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn notice(id: &str, state: NoticeState) -> OperationNotice {
        OperationNotice {
            id: id.to_owned(),
            pair: "orders".to_owned(),
            kind: OperationKind::SwitchOver,
            old: "10.0.0.1:6379".to_owned(),
            target: "10.0.0.2:6379".to_owned(),
            state,
            sentence: String::new(),
        }
    }

    #[test]
    fn a_lease_quiets_as_long_as_it_is_renewed_and_no_longer() {
        let mut operations = Operations::default();
        let begun = operations.note(notice("a", NoticeState::Running), at(0));
        assert!(begun.unwrap().is_some(), "it is news");
        let renewed = operations.note(notice("a", NoticeState::Running), at(8));
        assert_eq!(renewed.unwrap(), None);
        assert!(operations.expire(at(17)).is_empty());
        assert_eq!(operations.planned().len(), 1);
        assert_eq!(
            operations.expire(at(18)).len(),
            1,
            "10 s after the last report"
        );
        assert!(operations.planned().is_empty());
        assert!(operations.expire(at(19)).is_empty(), "once");
        assert_eq!(operations.list()[0].phase, OperationPhase::Lapsed);
        // It goes on, and ends.
        operations
            .note(notice("a", NoticeState::Running), at(30))
            .unwrap();
        assert_eq!(operations.planned().len(), 1);
        operations
            .note(notice("a", NoticeState::Done), at(31))
            .unwrap();
        assert!(operations.planned().is_empty());
        operations.expire(at(630));
        assert_eq!(operations.list().len(), 1);
        operations.expire(at(631));
        assert!(operations.list().is_empty());
    }

    #[test]
    fn one_operation_of_a_pair_at_a_time() {
        let mut operations = Operations::default();
        operations
            .note(notice("a", NoticeState::Running), at(0))
            .unwrap();
        let other = operations.note(notice("b", NoticeState::Running), at(1));
        assert_eq!(other, Err(OperationError::InProgress("a".to_owned())));
        operations.expire(at(10));
        operations
            .note(notice("b", NoticeState::Running), at(10))
            .unwrap();
        assert_eq!(operations.list()[0].notice.id, "b");
    }

    #[test]
    fn a_disaster_quiets_nothing() {
        let mut operations = Operations::default();
        let disaster = OperationNotice {
            kind: OperationKind::Disaster,
            ..notice("a", NoticeState::Running)
        };
        operations.note(disaster, at(0)).unwrap();
        assert!(operations.planned().is_empty());
    }

    #[test]
    fn a_change_of_masters_is_explained_by_the_operation_that_does_it() {
        use crate::model::ServerAddr;
        let promotion = |from: &str, to: &str| Promotion {
            pair: PairName::new("orders"),
            from: ServerAddr::parse(from).unwrap(),
            to: ServerAddr::parse(to).unwrap(),
        };
        let mut operations = Operations::default();
        operations
            .note(notice("a", NoticeState::Done), at(0))
            .unwrap();
        let listed = operations.list();
        let done = promotion("10.0.0.1:6379", "10.0.0.2:6379");
        let back = promotion("10.0.0.2:6379", "10.0.0.1:6379");
        assert!(listed[0].explains(&done, at(60)));
        assert!(!listed[0].explains(&done, at(61)));
        assert!(!listed[0].explains(&back, at(1)));
    }
}
