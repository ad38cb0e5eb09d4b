//! Reads the clock and the queue of one site, every two seconds.

use std::sync::Arc;

use super::{EntryPlan, FailureLog, SiteReporter};
use crate::active_active::{Reply, Request, Site, SiteError, overflow_key, rejected_list};
use crate::client::ServerSite;
use crate::clock;
use crate::model::Span;
use crate::sites::{
    ClockSample, QueueReading, ServerWords, SiteEventKind, SiteFault, SiteFaultReason, SiteReading,
    queue_age,
};
use crate::topology::Server;

/// How often. The queue's oldest item comes along, which may have a megabyte.
const EVERY: Span = Span::from_secs(2);

/// The task of one site.
#[derive(Debug)]
pub(super) struct ReadSite {
    server: Arc<Server>,
    within: Span,
    queue: Option<String>,
}

impl ReadSite {
    pub(super) fn new(plan: &EntryPlan, site: &Arc<Server>) -> Self {
        Self {
            server: Arc::clone(site),
            within: plan.within,
            queue: plan.entry.sync_queue.clone(),
        }
    }

    /// Reads until it is dropped.
    pub(super) async fn run(self, reporter: SiteReporter) {
        let site = ServerSite::new(Server::clone(&self.server), self.within);
        let mut log = FailureLog::default();
        // The sites of one exporter are not all asked at the same moment.
        site.pause(EVERY.mul_f64(fastrand::f64()).to_duration())
            .await;
        loop {
            let read = read_site(&site, self.queue.as_deref()).await;
            let result = read.map_err(|error| SiteFault {
                reason: SiteFaultReason::from(&error),
                why: self.sentence(&site, &error),
            });
            match &result {
                Ok(_) => log.succeeded(&reporter.entry),
                Err(fault) => log.failed(&reporter.entry, &fault.why),
            }
            let kind = SiteEventKind::Reading {
                site: self.server.dc.clone(),
                result: result.map(Box::new),
            };
            reporter.report(kind).await;
            site.pause(EVERY.to_duration()).await;
        }
    }

    /// What is wrong, without its full stop.
    fn sentence(&self, site: &ServerSite, error: &SiteError) -> String {
        if let Some(trouble) = site.trouble() {
            return trouble;
        }
        // The site answers, but one of these keys is not what it should be.
        let Server { dc, addr, .. } = &*self.server;
        match &self.queue {
            Some(queue) => format!(
                "{dc} ({addr}): the queue {queue} or the list {} cannot be read: {error}; TYPE shows \
                 what they are",
                rejected_list(queue)
            ),
            None => format!("{dc} ({addr}): {error}"),
        }
    }
}

async fn read_site<S: Site>(site: &S, queue: Option<&str>) -> Result<SiteReading, SiteError> {
    // In an exchange of its own: the tighter it is, the more it says.
    let sent = clock::now();
    let time = site.request(Request::time()).await?.time()?;
    let clock = ClockSample {
        server: time,
        sent,
        received: clock::now(),
    };
    let mut requests = vec![Request::info()];
    if let Some(queue) = queue {
        requests.extend([
            Request::length(queue.as_bytes()),
            Request::length(rejected_list(queue).as_bytes()),
            Request::exists(overflow_key(queue).as_bytes()),
            Request::peek(queue.as_bytes(), 1),
            Request::newest(queue.as_bytes()),
        ]);
    }
    let mut replies = site.send(requests).await?.into_iter();
    let mut next = || replies.next().unwrap_or(Err(SiteError::Disconnected));
    let info = next()?.bytes()?.unwrap_or_default();
    let words = ServerWords::parse(&String::from_utf8_lossy(&info));
    let mut reading = SiteReading {
        clock,
        run_id: words.run_id,
        queue: None,
        risks: words.risks,
    };
    if queue.is_some() {
        let length = next()?.number()?;
        let rejected = next()?.number()?;
        let has_overflowed = next()?.number()? > 0;
        let mut ends = next().and_then(Reply::strings)?;
        ends.extend(next().and_then(Reply::strings)?);
        reading.queue = Some(QueueReading {
            length,
            rejected,
            has_overflowed,
            oldest: queue_age(&ends, time),
        });
    }
    Ok(reading)
}
