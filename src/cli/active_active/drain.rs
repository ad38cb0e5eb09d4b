//! Drains the queue of a site, part by part: between two parts it looks whether the other site can
//! follow, and when the queue will be empty.

use std::time::Duration;

use super::brake::{Brake, Eta, Strain};
use super::progress;
use super::report::Drained;
use crate::active_active::{ApplyLimits, Request, Site, SiteError};
use crate::client::ServerSite;
use crate::info;
use crate::model::Span;
use crate::multi_site::{Drain, DrainReport, Stopped};

/// Items between two looks at the target.
const PART: u64 = 5_000;

/// How often a target under strain is asked again.
const STRAIN_PAUSE: Duration = Duration::from_millis(500);

/// How often at most, between two parts: a drain becomes slow, and never stands still.
const PAUSES_AT_ONCE: usize = 40;

/// A drain that has worked off twice what waited at its beginning, and so many items more, ends if
/// the queue is not shorter then: the repair after it is more use.
const HOPELESS_AFTER: u64 = 10_000;

/// A queue to be drained.
pub(super) struct QueueDrain<'a> {
    pub(super) source: &'a ServerSite,
    pub(super) target: &'a ServerSite,
    pub(super) queue: &'a str,
    pub(super) items_per_second: u32,
}

/// What is known of a drain under way.
struct Course {
    at_first: u64,
    length: u64,
    /// When the length was read.
    read: Duration,
    /// When the queue will be empty; `None` before the first part.
    eta: Option<Eta>,
    total: DrainReport,
}

impl QueueDrain<'_> {
    /// Drains until the queue is empty, a site does not serve, or the queue grows all the same.
    pub(super) async fn run(&self) -> Drained {
        let began = self.source.elapsed();
        let mut course = Course {
            at_first: 0,
            length: 0,
            read: began,
            eta: None,
            total: DrainReport::default(),
        };
        let why = match self.length().await {
            Ok(length) => {
                course.at_first = length;
                course.length = length;
                self.run_parts(&mut course).await
            }
            Err(error) => Some(self.sentence(&Stopped::Source(error))),
        };
        let took = self.source.elapsed().saturating_sub(began);
        Drained::new(course.total, why, took)
    }

    /// Returns why it ended before the queue was empty.
    async fn run_parts(&self, course: &mut Course) -> Option<String> {
        let mut brake = Brake::default();
        loop {
            self.wait_for_target(&mut brake, &course.total).await;
            let part = self.drain(course).await;
            course.total.add(part);
            if let Some(stopped) = &course.total.stopped {
                return Some(self.sentence(stopped));
            }
            match self.length().await {
                Ok(0) => return None,
                Ok(length) => course.note(length, self.source.elapsed()),
                Err(error) => return Some(self.sentence(&Stopped::Source(error))),
            }
            if course.is_hopeless() {
                return Some(
                    "as much is added to the queue as is drained: try a higher --items-per-second"
                        .to_owned(),
                );
            }
        }
    }

    async fn drain(&self, course: &Course) -> DrainReport {
        let drain = Drain {
            source: self.source,
            target: self.target,
            queue: self.queue,
            limits: ApplyLimits::default(),
            items_per_second: Some(self.items_per_second),
        };
        let dc = &self.source.server().dc;
        let eta = course.eta.map_or_else(String::new, |eta| {
            format!(", {} wait: {}", course.length, eta.sentence())
        });
        let taken = course.total.taken;
        let run = drain.run(PART, |part| {
            let taken = taken + part.taken;
            progress(&format!("{taken} items of the queue at {dc} drained{eta}"));
        });
        run.await
    }

    async fn length(&self) -> Result<u64, SiteError> {
        let request = Request::length(self.queue.as_bytes());
        self.source.request(request).await?.number()
    }

    /// Waits while the target is under strain. A target that does not answer stops the drain
    /// itself.
    async fn wait_for_target(&self, brake: &mut Brake, done: &DrainReport) {
        for _ in 0..PAUSES_AT_ONCE {
            let Some(strain) = self.strain(brake).await else {
                return;
            };
            let dc = &self.source.server().dc;
            let taken = done.taken;
            let why = strain.sentence();
            progress(&format!(
                "{taken} items of the queue at {dc} drained; {why}"
            ));
            self.target.pause(STRAIN_PAUSE).await;
        }
    }

    async fn strain(&self, brake: &mut Brake) -> Option<Strain> {
        let sent = self.target.elapsed();
        let reply = self.target.request(Request::info()).await.ok()?;
        let round_trip = self.target.elapsed().saturating_sub(sent);
        let text = reply.bytes().ok()??;
        let observation = info::parse(&String::from_utf8_lossy(&text)).ok()?;
        brake.strain(Span::from(round_trip), &observation)
    }

    /// Why a drain stopped, with the site that it is about.
    fn sentence(&self, stopped: &Stopped) -> String {
        let (site, error) = match stopped {
            Stopped::Source(error) => (self.source, error),
            Stopped::Target(error) => (self.target, error),
        };
        let trouble = site.trouble();
        trouble.unwrap_or_else(|| format!("{}: {error}", site.server().dc))
    }
}

impl Course {
    /// The queue has this length now.
    fn note(&mut self, length: u64, now: Duration) {
        let passed = now.saturating_sub(self.read).as_secs_f64();
        let shorter = self.length as f64 - length as f64;
        self.eta = Some(Eta::new(length, shorter / passed.max(f64::EPSILON)));
        self.length = length;
        self.read = now;
    }

    fn is_hopeless(&self) -> bool {
        let enough = 2 * self.at_first + HOPELESS_AFTER;
        self.total.taken > enough && self.length >= self.at_first
    }
}
