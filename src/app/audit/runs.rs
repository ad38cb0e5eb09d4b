//! The audits that the exporter makes by itself: at intervals, or when a person asks for one. One
//! at a time, beside polling: few servers at once, each asked once, and none waits for another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::{AuditRequest, Collection, Progress, ask_sites};
use crate::clock;
use crate::config::{PairSettings, Settings};
use crate::doctor::{AuditOptions, DoctorReport, WriteHistory, audit_all};
use crate::model::{ServerAddr, Span, Timestamp};
use crate::topology::SourceHealth;

/// Servers that are asked at the same time: nobody waits for the result, and polls come first.
const AT_ONCE: usize = 4;

/// The longest time of one audit; a thousand servers that do not answer take less.
const LONGEST: Duration = Duration::from_mins(30);

/// The time between the start, or a change of the interval, and the first audit: until then the
/// polls have shown who is who, and a minute of writes is known.
const FIRST_AFTER: Span = Span::from_secs(120);

/// What is audited, as it is watched when the audit begins.
#[derive(Debug)]
pub(in crate::app) struct AuditPlan {
    pub(in crate::app) settings: Settings,
    pub(in crate::app) entries: Vec<PairSettings>,
    pub(in crate::app) sources: Vec<SourceHealth>,
    /// What was written, by master.
    pub(in crate::app) histories: BTreeMap<ServerAddr, WriteHistory>,
}

/// The audit that is running, and when the next one begins.
#[derive(Debug)]
pub(in crate::app) struct AuditRuns {
    every: Option<Span>,
    next: Option<Timestamp>,
    /// At most one; dropping this ends it.
    running: JoinSet<Result<DoctorReport, String>>,
}

impl AuditRuns {
    /// No audit is running, and the first one is not due at once.
    pub(in crate::app) fn new(every: Option<Span>, now: Timestamp) -> Self {
        Self {
            every,
            next: first(every, now),
            running: JoinSet::new(),
        }
    }

    /// Follows another interval.
    pub(in crate::app) fn reconfigure(&mut self, every: Option<Span>, now: Timestamp) {
        if self.every != every {
            self.every = every;
            self.next = first(every, now);
        }
    }

    /// Whether an audit has to begin now.
    pub(in crate::app) fn is_due(&self, now: Timestamp) -> bool {
        self.running.is_empty() && self.next.is_some_and(|next| next <= now)
    }

    /// When [`Self::is_due`] has to be asked again.
    pub(in crate::app) fn next_wakeup(&self) -> Option<Timestamp> {
        if self.running.is_empty() {
            self.next
        } else {
            None
        }
    }

    /// Begins an audit, unless one is running. Returns whether it did. The interval counts from
    /// here.
    pub(in crate::app) fn begin(&mut self, plan: AuditPlan, now: Timestamp) -> bool {
        if !self.running.is_empty() {
            return false;
        }
        self.next = self.every.map(|every| now + every);
        self.running.spawn(run(plan));
        true
    }

    /// The outcome of the audit that is running; waits without end while none is. Nothing is lost
    /// where a caller stops waiting.
    pub(in crate::app) async fn next_outcome(&mut self) -> Result<DoctorReport, String> {
        match self.running.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(ended_early(&error)),
            None => std::future::pending().await,
        }
    }
}

fn first(every: Option<Span>, now: Timestamp) -> Option<Timestamp> {
    every.map(|every| now + every.min(FIRST_AFTER))
}

fn ended_early(error: &JoinError) -> String {
    format!("the audit ended before its time: {error}; this is a bug: please report it")
}

async fn run(plan: AuditPlan) -> Result<DoctorReport, String> {
    let progress: Progress = Arc::new(|_, _, _| {});
    let collection = Collection {
        settings: &plan.settings,
        entries: &plan.entries,
        sources: &plan.sources,
        request: Arc::new(AuditRequest {
            histories: plan.histories,
            ..AuditRequest::default()
        }),
        at_once: AT_ONCE,
        progress: Arc::clone(&progress),
    };
    let request = AuditRequest::default();
    let collect = async {
        let entries = collection.collect().await;
        let sites = ask_sites(&plan.settings, &request, AT_ONCE, progress).await;
        (entries, sites)
    };
    let Ok((entries, sites)) = tokio::time::timeout(LONGEST, collect).await else {
        let minutes = LONGEST.as_secs() / 60;
        return Err(format!(
            "the servers could not all be asked within {minutes} minutes"
        ));
    };
    let doctor = &plan.settings.doctor;
    let options = AuditOptions {
        survive: doctor.survive,
        now: clock::wall_now(),
    };
    Ok(audit_all(&entries, &sites, &doctor.ignore, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn the_first_audit_waits_until_polls_have_shown_something() {
        let never = AuditRuns::new(None, at(0));
        assert!(!never.is_due(at(1_000_000)) && never.next_wakeup().is_none());
        let mut daily = AuditRuns::new(Some(Span::from_secs(86_400)), at(0));
        assert!(!daily.is_due(at(119)) && daily.is_due(at(120)));
        daily.reconfigure(Some(Span::from_secs(60)), at(500));
        assert!(!daily.is_due(at(559)) && daily.is_due(at(560)));
        daily.reconfigure(Some(Span::from_secs(60)), at(600));
        assert!(
            daily.is_due(at(560)),
            "an unchanged interval starts nothing over"
        );
        daily.reconfigure(None, at(700));
        assert_eq!(daily.next_wakeup(), None);
    }
}
