//! What the monitor holds for `doctor`: the last findings, and the peaks of what masters wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Monitor;
use crate::doctor::{DoctorReport, PEAK_WINDOWS, WriteHistory, WritePeak};
use crate::model::{ServerAddr, Span, Timestamp};
use crate::replication::MasterHistory;

/// How often the peaks of a master are computed.
const PEAKS_EVERY: Span = Span::from_secs(60);

/// How often it is checked whose peaks are due.
const CHECKED_EVERY: Span = Span::from_secs(1);

/// Masters whose peaks are computed at once: polls come first.
const PEAKS_AT_ONCE: usize = 32;

/// The audits of `doctor`, as readers see them.
#[derive(Clone, Debug, Default)]
pub struct DoctorSnapshot {
    /// How often one begins by itself; `None` where none does.
    pub every: Option<Span>,
    /// Since when one has been running; `None` while none is.
    pub running_since: Option<Timestamp>,
    /// The last one that ended with a report.
    pub last: Option<Arc<FinishedAudit>>,
    /// Why the latest one has no report; `None` where it has one.
    pub failure: Option<Arc<str>>,
    /// The peaks of what each master wrote. A master of less than a minute is missing.
    pub writes: Arc<BTreeMap<ServerAddr, WriteHistory>>,
}

/// The report of an audit, and when it ended.
#[derive(Clone, Debug)]
pub struct FinishedAudit {
    /// What was found.
    pub report: DoctorReport,
    /// When.
    pub ended: Timestamp,
}

/// The audits and the peaks.
#[derive(Debug, Default)]
pub(super) struct Doctor {
    snapshot: DoctorSnapshot,
    /// When the peaks of each master are due.
    due: BTreeMap<ServerAddr, Timestamp>,
    /// When that is checked next; `None` before the first time.
    next_check: Option<Timestamp>,
}

impl Doctor {
    pub(super) fn new(every: Option<Span>) -> Self {
        let mut doctor = Self::default();
        doctor.snapshot.every = every;
        doctor
    }

    pub(super) fn reconfigure(&mut self, every: Option<Span>) {
        self.snapshot.every = every;
    }

    pub(super) fn snapshot(&self) -> DoctorSnapshot {
        self.snapshot.clone()
    }

    /// Computes the peaks that are due, of some of the masters.
    fn refresh<'a>(
        &mut self,
        streams: impl Iterator<Item = (&'a ServerAddr, &'a MasterHistory)>,
        now: Timestamp,
    ) {
        if self.next_check.is_some_and(|next| now < next) {
            return;
        }
        self.next_check = Some(now + CHECKED_EVERY);
        let mut current = BTreeMap::new();
        for (addr, history) in streams {
            current.insert(addr, history);
        }
        self.due.retain(|addr, _| current.contains_key(addr));
        let mut computed = Vec::new();
        for (addr, history) in &current {
            if computed.len() >= PEAKS_AT_ONCE {
                break;
            }
            let due = self.due.entry((*addr).clone()).or_insert(now);
            if *due <= now {
                *due = now + PEAKS_EVERY;
                computed.push(((*addr).clone(), peaks(history, now)));
            }
        }
        let is_gone = |known: &ServerAddr| !current.contains_key(known);
        if computed.is_empty() && !self.snapshot.writes.keys().any(is_gone) {
            return;
        }
        let writes = Arc::make_mut(&mut self.snapshot.writes);
        writes.retain(|addr, _| current.contains_key(addr));
        for (addr, history) in computed {
            match history {
                Some(history) => writes.insert(addr, history),
                None => writes.remove(&addr),
            };
        }
    }
}

/// The peaks of one master.
fn peaks(history: &MasterHistory, now: Timestamp) -> Option<WriteHistory> {
    let table = history.write_peaks();
    let over = (now - table.since()?).or_zero();
    let mut peaks = Vec::with_capacity(PEAK_WINDOWS.len());
    for window in PEAK_WINDOWS {
        if let Some(bytes) = table.most_within(window) {
            peaks.push(WritePeak { window, bytes });
        }
    }
    WriteHistory::new(over, peaks)
}

impl Monitor {
    /// Records that an audit has begun.
    pub fn audit_began(&mut self, now: Timestamp) {
        self.doctor.snapshot.running_since = Some(now);
    }

    /// Records how an audit ended: with its report, or with a sentence that says why there is none.
    /// The findings of the one before stay then; they say how old they are.
    pub fn audit_ended(&mut self, outcome: Result<DoctorReport, String>, now: Timestamp) {
        let snapshot = &mut self.doctor.snapshot;
        snapshot.running_since = None;
        match outcome {
            Ok(report) => {
                snapshot.failure = None;
                snapshot.last = Some(Arc::new(FinishedAudit { report, ended: now }));
            }
            Err(why) => snapshot.failure = Some(why.into()),
        }
    }

    /// The peaks of what each master wrote, for an audit.
    pub fn write_histories(&self) -> BTreeMap<ServerAddr, WriteHistory> {
        self.doctor.snapshot.writes.as_ref().clone()
    }

    /// Keeps the peaks up to date. To be called in each tick.
    pub(super) fn refresh_write_peaks(&mut self, now: Timestamp) {
        self.doctor.refresh(self.fleet.streams(), now);
    }
}
