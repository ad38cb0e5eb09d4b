//! How long writes take to the other site. Two paths need probes (`active_active[].probe`, off by
//! default): **this file alone writes to sites**, two keys of its own a direction and an item of
//! the queue, all of which expire. The third path watches keys of the applications and writes
//! nothing.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{EntryPlan, SiteReporter};
use crate::active_active::{
    ApplyLimits, ApplyOutcome, Draft, Envelope, Reply, Request, SetOutcome, Site, SiteError,
    Stored, Version,
};
use crate::client::ServerSite;
use crate::clock;
use crate::model::{Span, Timestamp};
use crate::multi_site::read_all;
use crate::sites::{
    GIVEN_UP_AFTER, KeyUnderWay, LONGEST_QUEUE, PROBE_EVERY, PROBE_LIVES, ProbeBackoff, ProbeNews,
    ProbePath, SiteEventKind, probe_key,
};
use crate::topology::Server;

/// The task of one path of one direction, with connections of its own: none waits for another.
#[derive(Debug)]
pub(super) struct Probe {
    path: ProbePath,
    source: Arc<Server>,
    target: Arc<Server>,
    within: Span,
    key: String,
    /// The key of the queue, for the path through it.
    queue: String,
}

/// Keys under way that the comparison of a direction has found: one at a time, others are left out.
pub(super) type KeysUnderWay = mpsc::Sender<KeyUnderWay>;

impl Probe {
    /// The probes of the direction from `source` to `target`, as the entry has them.
    pub(super) fn all(plan: &EntryPlan, source: &Arc<Server>, target: &Arc<Server>) -> Vec<Self> {
        if !plan.entry.monitor.probe {
            return Vec::new();
        }
        let probe = |path: ProbePath, queue: String| Self {
            path,
            source: Arc::clone(source),
            target: Arc::clone(target),
            within: plan.within,
            key: probe_key(&plan.entry.name, &plan.identity, &source.dc, path),
            queue,
        };
        let mut probes = vec![probe(ProbePath::Direct, String::new())];
        if let Some(queue) = &plan.entry.sync_queue {
            probes.push(probe(ProbePath::Queue, queue.clone()));
        }
        probes
    }

    /// Probes until it is dropped.
    pub(super) async fn run(self, reporter: SiteReporter) {
        let [source, target] = [&self.source, &self.target]
            .map(|server| ServerSite::new(Server::clone(server), self.within));
        // Not all probes of an exporter at the same moment.
        let first = PROBE_EVERY.mul_f64(fastrand::f64());
        source.pause(first.to_duration()).await;
        let mut sequence = 0_u64;
        loop {
            let began = clock::now();
            sequence += 1;
            match self.write(&source, &target, sequence).await {
                Ok(probing) => {
                    self.report(&reporter, ProbeNews::Written).await;
                    let news = match probing.arrived {
                        Some(took) => ProbeNews::Arrived(took),
                        None => self.arrival(&target, &probing).await,
                    };
                    self.report(&reporter, news).await;
                }
                Err(error) => {
                    let why = self.sentence(&source, &target, &error);
                    self.report(&reporter, ProbeNews::NotWritten(why)).await;
                }
            }
            let rest = (began + PROBE_EVERY - clock::now()).or_zero();
            source.pause(rest.to_duration()).await;
        }
    }

    async fn report(&self, reporter: &SiteReporter, news: ProbeNews) {
        let kind = SiteEventKind::Probed {
            source: self.source.dc.clone(),
            target: self.target.dc.clone(),
            path: self.path,
            news,
        };
        reporter.report(kind).await;
    }

    /// Writes a probe at the source, and on the direct path at the target.
    async fn write(
        &self,
        source: &ServerSite,
        target: &ServerSite,
        sequence: u64,
    ) -> Result<Probing, SiteError> {
        let lives = u64::try_from(PROBE_LIVES.to_duration().as_millis()).unwrap_or(u64::MAX);
        let draft = Draft::of_value(self.source.dc.as_str(), &sequence);
        let draft = draft.map_err(|error| SiteError::unexpected(&error.to_string()))?;
        let draft = draft.living(lives);
        match self.path {
            ProbePath::Queue => self.queue(source, &draft).await,
            _ => self.apply_at_both(source, target, &draft).await,
        }
    }

    /// Writes and queues it, as the library does.
    async fn queue(&self, source: &ServerSite, draft: &Draft) -> Result<Probing, SiteError> {
        let length = Request::length(self.queue.as_bytes());
        let length = source.request(length).await?.number()?;
        if length > LONGEST_QUEUE {
            return Err(SiteError::unexpected("the queue is too long for probes"));
        }
        // Without a limit: that the queue has overflowed is only said of the services' writes.
        let request = Request::set(&self.key, draft, &self.queue, u64::MAX);
        match source.request(request).await?.set()? {
            SetOutcome::Written { envelope, .. } => Ok(Probing::written(&envelope)),
            SetOutcome::StoredMalformed => Err(SiteError::unexpected(
                "the probe's key holds something else",
            )),
        }
    }

    async fn apply_at_both(
        &self,
        source: &ServerSite,
        target: &ServerSite,
        draft: &Draft,
    ) -> Result<Probing, SiteError> {
        let now = source.request(Request::time()).await?.time()?;
        let envelope = draft.stamped(now, now);
        let envelope = envelope.map_err(|error| SiteError::unexpected(&error.to_string()))?;
        apply(source, &self.key, &envelope).await?;
        let mut probing = Probing::written(&envelope);
        apply(target, &self.key, &envelope).await?;
        probing.arrived = Some(clock::now() - probing.began);
        Ok(probing)
    }

    /// Waits for a probe at the target.
    async fn arrival(&self, target: &ServerSite, probing: &Probing) -> ProbeNews {
        let waiting = Waiting {
            key: self.key.as_bytes(),
            began: probing.began,
            age: Span::ZERO,
        };
        let has_arrived = |stored: &Stored| match stored {
            Stored::Envelope(envelope) => *envelope.version() >= probing.version,
            _ => false,
        };
        let news = waiting.watch(target, has_arrived).await;
        // The tutorial's worker brings it over without its expiry.
        if matches!(news, ProbeNews::Arrived(_)) && self.path == ProbePath::Queue {
            let expire = Request::expire(self.key.as_bytes(), PROBE_LIVES.to_duration());
            // Where that fails the key stays until the next probe: there is only one.
            let _ = target.request(expire).await;
        }
        news
    }

    /// Why there is no probe, without its full stop.
    fn sentence(&self, source: &ServerSite, target: &ServerSite, error: &SiteError) -> String {
        let trouble = source.trouble().or_else(|| target.trouble());
        trouble.unwrap_or_else(|| format!("{}: {error}", self.source.dc))
    }
}

/// A probe that is written.
struct Probing {
    version: Version,
    /// When its source had said so.
    began: Timestamp,
    /// How long it took, where the target has said that it has it.
    arrived: Option<Span>,
}

impl Probing {
    fn written(envelope: &Envelope) -> Self {
        Self {
            version: envelope.version().clone(),
            began: clock::now(),
            arrived: None,
        }
    }
}

async fn apply(site: &ServerSite, key: &str, envelope: &Envelope) -> Result<(), SiteError> {
    let request = Request::apply(key.as_bytes(), envelope, ApplyLimits::default());
    let why = match site.request(request).await.and_then(Reply::apply)? {
        ApplyOutcome::Applied { .. } | ApplyOutcome::Same => return Ok(()),
        ApplyOutcome::Older { .. } => "the source's clock has gone back: an earlier probe is newer",
        ApplyOutcome::Future => "the source's clock is more than a minute ahead of the target's",
        _ => "the probe's key holds something else",
    };
    Err(SiteError::unexpected(why))
}

/// Watches keys of the applications that were under way, one after the other, until it is dropped.
pub(super) async fn watch_keys(
    direction: [Arc<Server>; 2],
    within: Span,
    mut keys: mpsc::Receiver<KeyUnderWay>,
    reporter: SiteReporter,
) {
    let [source, target] = direction;
    let site = ServerSite::new(Server::clone(&target), within);
    while let Some(found) = keys.recv().await {
        let waiting = Waiting {
            key: &found.key,
            began: found.seen,
            age: found.age,
        };
        let has_arrived = |stored: &Stored| !found.sighting.is_lacking_at(stored);
        let news = waiting.watch(&site, has_arrived).await;
        let kind = SiteEventKind::Probed {
            source: source.dc.clone(),
            target: target.dc.clone(),
            path: ProbePath::Keys,
            news,
        };
        reporter.report(kind).await;
    }
}

/// A key that is waited for at the target.
struct Waiting<'a> {
    key: &'a [u8],
    began: Timestamp,
    /// How old its version was then.
    age: Span,
}

impl Waiting<'_> {
    /// Looks at the target until it has the version, or it is given up. A target that does not
    /// answer has it not.
    async fn watch(&self, target: &ServerSite, has_arrived: impl Fn(&Stored) -> bool) -> ProbeNews {
        let mut backoff = ProbeBackoff::default();
        loop {
            let view = read_all(target, &[self.key.to_vec()]).await;
            let took = self.age + (clock::now() - self.began);
            let stored = view.ok().and_then(|view| view.stored.into_iter().next());
            if stored.is_some_and(|stored| has_arrived(&stored)) {
                return ProbeNews::Arrived(took);
            }
            if took > GIVEN_UP_AFTER {
                return ProbeNews::GivenUp(took);
            }
            target.pause(backoff.pause().to_duration()).await;
        }
    }
}
