//! Sites in virtual time: servers with clocks of their own, a network with three kinds of
//! partition, and an executor that decides at every request which task goes on, so that all that
//! lies between two requests can be interleaved with, cut or killed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redis_cross_dc_exporter::active_active::{
    Envelope, QueueItem, Reply, Request, Script, Site, SiteError, Stored,
};

use crate::model::{Data, Server, Value};

/// When the simulation begins, in seconds since the epoch.
const EPOCH: f64 = 1_732_262_769.25;

/// How many states before the present one a failover can go back to.
const HISTORY: usize = 12;

/// Queues of all sites have this key.
pub(crate) const QUEUE: &str = "sync_queue";

/// What happens to requests from one site's clients to another site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    #[default]
    Up,
    /// Connections are refused.
    Refused,
    /// Requests vanish.
    LosesRequests,
    /// Requests arrive, replies vanish.
    LosesReplies,
}

/// A server's clock: how far it is off, and how it drifts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) offset: f64,
    pub(crate) drift: f64,
}

/// One site.
pub(crate) struct SiteState {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    /// The data before each of the latest writes.
    history: Vec<Data>,
    /// The newest version that ever was under each key here.
    newest: BTreeMap<Vec<u8>, Envelope>,
    runs: usize,
}

/// Everything that is simulated.
pub(crate) struct World {
    pub(crate) sites: Vec<SiteState>,
    links: BTreeMap<(usize, usize), Link>,
    pub(crate) elapsed: Duration,
    /// Whether clients write without the scripts: then versions may go back.
    pub(crate) has_tutorial_clients: bool,
    /// Whether a client can be stopped between a request's execution and its reply as well. Without
    /// it there are fewer orders to try.
    pub(crate) replies_take_a_turn: bool,
    /// What each counter was raised by, whether or not a client knows.
    pub(crate) counted: BTreeMap<Vec<u8>, i128>,
    /// What went wrong.
    pub(crate) violations: Vec<String>,
}

impl World {
    pub(crate) fn new(sites: usize) -> Arc<Mutex<Self>> {
        let state = |site: usize| SiteState {
            server: Server::new(&run_id(site, 0)),
            clock: Clock::default(),
            history: Vec::new(),
            newest: BTreeMap::new(),
            runs: 0,
        };
        Arc::new(Mutex::new(Self {
            sites: (0..sites).map(state).collect(),
            links: BTreeMap::new(),
            elapsed: Duration::ZERO,
            has_tutorial_clients: false,
            replies_take_a_turn: true,
            counted: BTreeMap::new(),
            violations: Vec::new(),
        }))
    }

    /// What a site's clock shows.
    pub(crate) fn now(&self, site: usize) -> f64 {
        let clock = self.sites[site].clock;
        let true_time = self.elapsed.as_secs_f64();
        let now = EPOCH + true_time * (1.0 + clock.drift) + clock.offset;
        // Servers count microseconds.
        (now * 1e6).floor() / 1e6
    }

    pub(crate) fn set_link(&mut self, from: usize, to: usize, link: Link) {
        self.links.insert((from, to), link);
    }

    pub(crate) fn heal(&mut self) {
        self.links.clear();
    }

    /// A replica that lacks the latest `lost` writes takes over.
    pub(crate) fn fail_over(&mut self, site: usize, lost: usize) {
        let state = &mut self.sites[site];
        state.runs += 1;
        state.server.run_id = run_id(site, state.runs);
        let place = state.history.len().saturating_sub(lost.min(HISTORY));
        if let Some(earlier) = state.history.get(place).cloned() {
            state.history.truncate(place);
            state.server.data = earlier;
        }
    }

    fn execute(&mut self, site: usize, request: &Request) -> Result<Reply, SiteError> {
        let now = self.now(site);
        let state = &mut self.sites[site];
        state.server.expire(now);
        let before = state.server.data.clone();
        let reply = state.server.execute(request, now);
        if state.server.data != before {
            self.check_write(site, request, &before);
            let state = &mut self.sites[site];
            state.history.push(before);
            if state.history.len() > HISTORY {
                state.history.remove(0);
            }
        }
        reply
    }

    /// What must hold of every write.
    fn check_write(&mut self, site: usize, request: &Request, before: &Data) {
        if let Request::Script(call) = request
            && call.script == Script::Increment
        {
            let amount: i128 = String::from_utf8_lossy(&call.arguments[2]).parse().unwrap();
            *self.counted.entry(call.keys[0].clone()).or_default() += amount;
        }
        let after = self.sites[site].server.data.clone();
        for key in after.values.keys().filter(|key| key.starts_with(b"user:")) {
            let Stored::Envelope(new) = after.register(key) else {
                continue;
            };
            if let Stored::Envelope(old) = before.register(key)
                && new < old
                && !self.has_tutorial_clients
            {
                let text = format!(
                    "site {site}: {} goes back to {}",
                    old.version(),
                    new.version()
                );
                self.violations.push(text);
            }
            let newest = self.sites[site]
                .newest
                .entry(key.clone())
                .or_insert_with(|| new.clone());
            if new > *newest {
                *newest = new;
            }
        }
        self.check_queue(site, request, before, &after);
    }

    /// Nothing leaves a queue unless the other site has it, or it is set aside.
    fn check_queue(&mut self, site: usize, request: &Request, before: &Data, after: &Data) {
        if matches!(request, Request::Command(words) if words[0] == b"RPOP") {
            return; // the tutorial's worker
        }
        let is_acknowledged =
            matches!(request, Request::Script(c) if c.script == Script::Acknowledge);
        let left = items(before).len().saturating_sub(items(after).len());
        let gone: Vec<Vec<u8>> = if is_acknowledged {
            items(before).into_iter().rev().take(left).collect()
        } else {
            items(before)
                .into_iter()
                .filter(|item| left > 0 && !items(after).contains(item))
                .collect()
        };
        for item in gone {
            let Ok(item) = QueueItem::parse(&item) else {
                continue;
            };
            let other = &self.sites[peer(site, self.sites.len())];
            let has_it = other
                .newest
                .get(&item.key)
                .is_some_and(|newest| *newest >= item.envelope);
            let version = item.envelope.version().to_string();
            let is_set_aside = is_set_aside(after, &version);
            // The other site had it and has expired it.
            let has_expired = item.envelope.expires_at().is_some();
            if !has_it && !is_set_aside && !has_expired {
                let text = format!("site {site}: {version} left the queue and is nowhere");
                self.violations.push(text);
            }
        }
    }
}

fn is_set_aside(data: &Data, version: &str) -> bool {
    let Some(Value::List(records)) = data.values.get(b"{sync_queue}:rejected".as_slice()) else {
        return false;
    };
    records
        .iter()
        .any(|record| String::from_utf8_lossy(record).contains(version))
}

/// The site that `site` propagates to.
pub(crate) const fn peer(site: usize, sites: usize) -> usize {
    (site + 1) % sites
}

fn items(data: &Data) -> Vec<Vec<u8>> {
    match data.values.get(QUEUE.as_bytes()) {
        Some(Value::List(list)) => list.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

fn run_id(site: usize, run: usize) -> String {
    // The first eight digits name an incarnation.
    format!("{site:04x}{run:04x}00000000000000000000000000000000")
}

/// A connection from a client at one site to a server.
#[derive(Clone)]
pub(crate) struct Wire {
    world: Arc<Mutex<World>>,
    from: usize,
    to: usize,
}

impl Wire {
    pub(crate) fn new(world: &Arc<Mutex<World>>, from: usize, to: usize) -> Self {
        Self {
            world: Arc::clone(world),
            from,
            to,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn link(&self) -> Link {
        self.lock()
            .links
            .get(&(self.from, self.to))
            .copied()
            .unwrap_or_default()
    }
}

impl Site for Wire {
    async fn send(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Reply, SiteError>>, SiteError> {
        let mut replies = Vec::new();
        let mut is_lost = false;
        for request in &requests {
            // Other tasks go on here, and this one may end.
            Turn::default().await;
            match self.link() {
                Link::Refused => return Err(SiteError::Disconnected),
                Link::LosesRequests => return Err(SiteError::Timeout),
                Link::LosesReplies => is_lost = true,
                Link::Up => {}
            }
            replies.push(self.lock().execute(self.to, request));
        }
        if !requests.is_empty() && self.lock().replies_take_a_turn {
            Turn::default().await;
        }
        if is_lost {
            return Err(SiteError::Timeout);
        }
        Ok(replies)
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    async fn pause(&self, duration: Duration) {
        let due = self.elapsed() + duration;
        while self.elapsed() < due {
            Turn::default().await;
        }
    }
}

/// Lets others go on once.
#[derive(Default)]
struct Turn {
    has_waited: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.has_waited {
            return Poll::Ready(());
        }
        self.has_waited = true;
        Poll::Pending
    }
}

/// A task, which can be dropped between any two requests.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Lets `task` go on to its next request. Whether it has ended.
pub(crate) fn step(task: &mut Task) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    task.as_mut().poll(&mut context).is_ready()
}

/// Runs a future to its end while nothing else happens but time.
pub(crate) fn run_alone<T: 'static>(
    world: &Arc<Mutex<World>>,
    future: impl Future<Output = T>,
) -> T {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        world.lock().unwrap().elapsed += Duration::from_millis(1);
    }
    panic!("a task does not end");
}
