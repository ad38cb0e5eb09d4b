//! Compares two sites, in both directions, for as long as the program runs.

use std::sync::Arc;

use super::probe::KeysUnderWay;
use super::{EntryPlan, FailureLog, SiteReporter};
use crate::active_active::{ApplyLimits, Request, Site, SiteError};
use crate::client::ServerSite;
use crate::clock;
use crate::model::{RunId, Span, Timestamp};
use crate::multi_site::{counters_at, read_all};
use crate::sites::{
    BATCH, CheckedClass, CounterLook, DirectionScan, KeyKind, LookStep, Pace, RegisterLook,
    ScanPlan, ScanStep, Scanned, SiteEventKind, SiteFault, SiteFaultReason, Step,
};
use crate::topology::Server;

/// How long a direction rests after a failure.
const AFTER_FAILURE: Span = Span::from_secs(3);

/// The task of two sites.
#[derive(Debug)]
pub(super) struct ComparedSites {
    servers: [Arc<Server>; 2],
    within: Span,
    lanes: [Lane; 2],
}

/// A rest is at least so long.
const SHORTEST_REST: Span = Span::from_millis(10);

/// What is known is reported at most so often.
const REPORTED_EVERY: Span = Span::from_millis(250);

/// One direction.
#[derive(Debug)]
struct Lane {
    /// The places of the source and of the target among the two sites.
    source: usize,
    target: usize,
    scan: DirectionScan,
    pace: Pace,
    /// Nothing is asked before.
    rests_until: Timestamp,
    next_report: Timestamp,
    /// Of its own: one direction may fail for good while the other one succeeds.
    log: FailureLog,
    /// Who waits for keys that are under way.
    under_way: KeysUnderWay,
}

/// So many keys a site was asked about, or has gone through.
struct Asked(u64);

impl ComparedSites {
    /// Keys that are found under way go to `there` from the first to the second site, and `back`
    /// from the second to the first.
    pub(super) fn new(
        plan: &EntryPlan,
        [first, second]: [&Arc<Server>; 2],
        [there, back]: [KeysUnderWay; 2],
    ) -> Self {
        Self {
            servers: [Arc::clone(first), Arc::clone(second)],
            within: plan.within,
            lanes: [
                Lane::new(plan, 0, 1, second, there),
                Lane::new(plan, 1, 0, first, back),
            ],
        }
    }

    /// Compares until it is dropped.
    pub(super) async fn run(self, reporter: SiteReporter) {
        let Self {
            servers,
            within,
            mut lanes,
        } = self;
        let sites = servers.map(|server| ServerSite::new(Server::clone(&server), within));
        loop {
            let [first, second] = &mut lanes;
            let lane = if first.ready_at() <= second.ready_at() {
                first
            } else {
                second
            };
            let wait = (lane.ready_at() - clock::now()).to_duration();
            tokio::time::sleep(wait).await;
            lane.advance(&sites, &reporter).await;
        }
    }
}

impl Lane {
    fn new(
        plan: &EntryPlan,
        source: usize,
        target: usize,
        to: &Server,
        under_way: KeysUnderWay,
    ) -> Self {
        let now = clock::now();
        let monitor = plan.entry.monitor;
        let scan = DirectionScan::new(ScanPlan {
            keys: plan.entry.keys.clone(),
            counters: plan.entry.counters.clone(),
            settle: monitor.settle,
            target: to.dc.clone(),
            max_ahead: ApplyLimits::default().max_ahead.into(),
        });
        Self {
            source,
            target,
            scan,
            pace: Pace::new(monitor.keys_per_second, now),
            rests_until: now,
            next_report: now,
            log: FailureLog::default(),
            under_way,
        }
    }

    fn ready_at(&self) -> Timestamp {
        self.pace.next().max(self.rests_until)
    }

    /// Takes the next step and reports what is known then, unless that was just reported.
    async fn advance(&mut self, sites: &[ServerSite; 2], reporter: &SiteReporter) {
        let began = clock::now();
        let step = self.scan.step(began);
        let (Some(source), Some(target)) = (sites.get(self.source), sites.get(self.target)) else {
            return;
        };
        let done = self.perform(&step, source, target).await;
        let result = match done {
            Ok(Asked(keys)) => {
                self.log.succeeded(&reporter.entry);
                let now = clock::now();
                match step {
                    Step::Wait(until) => self.rests_until = until.max(now + SHORTEST_REST),
                    _ => self.pace.spent(keys, began, now - began),
                }
                if now < self.next_report {
                    return;
                }
                self.next_report = now + REPORTED_EVERY;
                let mut status = self.scan.status();
                status.is_slow = self.pace.is_slow();
                Ok(Box::new(status))
            }
            Err(error) => {
                self.rests_until = clock::now() + AFTER_FAILURE;
                let trouble = source.trouble().or_else(|| target.trouble());
                let why = trouble.unwrap_or_else(|| error.to_string());
                self.log.failed(&reporter.entry, &why);
                let reason = SiteFaultReason::from(&error);
                Err(SiteFault { reason, why })
            }
        };
        let kind = SiteEventKind::Compared {
            source: source.server().dc.clone(),
            target: target.server().dc.clone(),
            result,
        };
        reporter.report(kind).await;
    }

    /// Reads what the step asks for.
    async fn perform<S: Site>(
        &mut self,
        step: &Step,
        source: &S,
        target: &S,
    ) -> Result<Asked, SiteError> {
        match step {
            Step::Wait(_) => Ok(Asked(0)),
            Step::Scan(scan) => {
                let scanned = scan_page(scan, source, target).await?;
                let found = scanned.page.keys.len();
                self.scan.scanned(scan, scanned, clock::now());
                // Those that were found are paid for when they are looked at.
                Ok(Asked(BATCH.saturating_sub(found) as u64))
            }
            Step::Look(look) => {
                match look.kind {
                    KeyKind::Register => self.look_at_registers(look, source, target).await?,
                    KeyKind::Counter => self.look_at_counters(look, source, target).await?,
                }
                Ok(Asked(look.keys.len() as u64))
            }
        }
    }

    async fn look_at_registers<S: Site>(
        &mut self,
        step: &LookStep,
        source: &S,
        target: &S,
    ) -> Result<(), SiteError> {
        let began = clock::now();
        let at_source = read_all(source, &step.keys).await?;
        let took = clock::now() - began;
        let at_target = read_all(target, &step.keys).await?;
        let look = RegisterLook {
            source_now: at_source.now,
            target_now: at_target.now,
            source: at_source.stored,
            target: at_target.stored,
            took,
        };
        self.scan.looked_at_registers(step, &look, clock::now());
        if let Some(key) = self.scan.take_under_way(began) {
            // Another one is waited for otherwise.
            let _ = self.under_way.try_send(key);
        }
        Ok(())
    }

    async fn look_at_counters<S: Site>(
        &mut self,
        step: &LookStep,
        source: &S,
        target: &S,
    ) -> Result<(), SiteError> {
        // In this order: a field of the target's own that has less than the source remembered has
        // gone back.
        let at_source = counters_at(source, &step.keys).await?;
        let at_target = counters_at(target, &step.keys).await?;
        let classed = |counters: Vec<Result<_, _>>| {
            let counters = counters.into_iter();
            counters
                .map(|counter| counter.map_err(CheckedClass::from))
                .collect()
        };
        let look = CounterLook {
            source: classed(at_source),
            target: classed(at_target),
        };
        self.scan.looked_at_counters(step, &look, clock::now());
        Ok(())
    }
}

async fn scan_page<S: Site>(step: &ScanStep, source: &S, target: &S) -> Result<Scanned, SiteError> {
    let requests = vec![
        Request::server_info(),
        Request::database_size(),
        Request::scan(step.cursor, step.pattern.as_bytes(), BATCH),
    ];
    let mut replies = source.send(requests).await?.into_iter();
    let mut next = || replies.next().unwrap_or(Err(SiteError::Disconnected));
    let source_run = next()?.run_id()?;
    let database = next()?.number()?;
    let page = next()?.page()?;
    let target_run = target.request(Request::server_info()).await?.run_id()?;
    Ok(Scanned {
        page,
        database,
        source_run: run(&source_run)?,
        target_run: run(&target_run)?,
    })
}

fn run(text: &str) -> Result<RunId, SiteError> {
    RunId::parse(text).ok_or_else(|| SiteError::unexpected("INFO server: its run_id is too long"))
}
