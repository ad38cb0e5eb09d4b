//! Counters in two sites.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;

use super::names::{BuildError, check_dc};
use super::redis_site::RedisSite;
use crate::active_active::{
    Amount, CountSign, Counter, IncrementOutcome, Request, Site, SiteError, own_field,
};

/// Counters whose field was chosen and is remembered. Beyond that all are forgotten, which costs
/// two reads the next time.
const REMEMBERED: usize = 10_000;

/// How often an increment is tried while the server is replaced again and again.
const RUNS: usize = 5;

/// Counters in two sites, each of which counts in fields of its own. Cheap to clone.
///
/// The counter `visits` is the hash `counter:visits`; its value is the sum of all fields `p:...`
/// less that of all fields `n:...`. [`Self::merge`] raises every field at both sites to the larger
/// of the two.
///
/// When a site's server has lost increments, by a failover to a replica that lagged or by a
/// restore, its own field is smaller than the copy at the other site: the next merge would raise it
/// again and swallow what was counted meanwhile. So before it counts on a server that it does not
/// know yet, this compares the two, and counts in a new field, `p:dc1#0a1b2c3d`, if the own one
/// went back or the other site cannot be asked. Every reader sums such fields.
///
/// ```
/// # mod servers { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/two_servers.rs")); }
/// use redis_cross_dc_exporter::multi_site::PnCounter;
///
/// # fn main() { servers::run(|dc1, dc2| async move {
/// let local = redis::Client::open(dc1)?.get_multiplexed_async_connection().await?;
/// let remote = redis::Client::open(dc2)?.get_multiplexed_async_connection().await?;
/// let counters = PnCounter::builder("dc1").connect(local, remote)?;
///
/// counters.increment("visits", 5).await?;
/// counters.decrement("visits", 2).await?;
/// assert_eq!(counters.value("visits").await?, 3);
/// assert_eq!(counters.merge("visits").await?, 3);
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct PnCounter<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Clone for PnCounter<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

#[derive(Debug)]
struct Shared<S> {
    dc: String,
    prefix: String,
    local: S,
    remote: S,
    chosen: Mutex<Chosen>,
}

/// The fields that were chosen for a run of the local server.
#[derive(Debug, Default)]
struct Chosen {
    /// Absent before the first increment.
    run_id: Option<String>,
    /// By key: the incarnation, or none for the plain field.
    incarnations: HashMap<String, Option<String>>,
}

/// Where an increment is counted.
struct Field {
    run_id: String,
    incarnation: Option<String>,
}

/// Why a counter did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CounterError {
    /// The site does not serve. After [`SiteError::Timeout`] and [`SiteError::Disconnected`] the
    /// increment may have been counted: repeating it may count it twice.
    Site(SiteError),
    /// The field would exceed 2^63-1. Nothing was counted.
    Overflow,
    /// The site's own field is no whole number, or the key is no hash. Nothing was counted.
    Malformed,
}

impl fmt::Display for CounterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(inner) => write!(f, "the site does not serve: {inner}"),
            Self::Overflow => f.write_str("the counter would exceed 9223372036854775807"),
            Self::Malformed => f.write_str(
                "the key holds something that no active-active client wrote; it is left alone",
            ),
        }
    }
}

impl std::error::Error for CounterError {}

impl From<SiteError> for CounterError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Overflow => Self::Overflow,
            SiteError::NotANumber | SiteError::WrongType => Self::Malformed,
            error => Self::Site(error),
        }
    }
}

/// An increment that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The field that it is counted in; none for an increment by 0, which counts nothing.
    pub field: Option<String>,
}

/// Builds a [`PnCounter`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PnCounterBuilder {
    dc: String,
    prefix: String,
    local_timeout: Duration,
    remote_timeout: Duration,
}

impl PnCounter<()> {
    /// Begins counters that count in the name of the datacenter `dc`. No two sites may have the
    /// same name.
    pub fn builder(dc: &str) -> PnCounterBuilder {
        PnCounterBuilder {
            dc: dc.to_owned(),
            prefix: "counter:".to_owned(),
            local_timeout: Duration::from_millis(100),
            remote_timeout: Duration::from_secs(1),
        }
    }
}

impl PnCounterBuilder {
    /// What the keys of counters begin with; by default `counter:`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// How long the local site may take to answer; by default 100 ms.
    pub const fn local_timeout(mut self, timeout: Duration) -> Self {
        self.local_timeout = timeout;
        self
    }

    /// How long the remote site may take to answer; by default 1 s.
    pub const fn remote_timeout(mut self, timeout: Duration) -> Self {
        self.remote_timeout = timeout;
        self
    }

    /// The counters over connections of the `redis` crate.
    ///
    /// # Errors
    /// [`BuildError`] for a name that cannot be used.
    pub fn connect<C>(self, local: C, remote: C) -> Result<PnCounter<RedisSite<C>>, BuildError>
    where
        C: ConnectionLike + Clone + Send + Sync,
    {
        let local = RedisSite::new(local, self.local_timeout);
        let remote = RedisSite::new(remote, self.remote_timeout);
        self.build(local, remote)
    }

    /// The counters over sites of any kind, whose timeouts are their own.
    ///
    /// # Errors
    /// [`BuildError`] for a name that cannot be used.
    pub fn build<S>(self, local: S, remote: S) -> Result<PnCounter<S>, BuildError> {
        check_dc(&self.dc)?;
        Ok(PnCounter {
            shared: Arc::new(Shared {
                dc: self.dc,
                prefix: self.prefix,
                local,
                remote,
                chosen: Mutex::default(),
            }),
        })
    }
}

impl<S: Site> PnCounter<S> {
    /// Counts up. By 0 it does nothing.
    ///
    /// # Errors
    /// [`CounterError`]: nothing was counted, or it is unknown whether it was.
    pub async fn increment(&self, name: &str, amount: u64) -> Result<Counted, CounterError> {
        self.count(CountSign::Plus, name, amount).await
    }

    /// Counts down. By 0 it does nothing.
    ///
    /// # Errors
    /// As [`Self::increment`].
    pub async fn decrement(&self, name: &str, amount: u64) -> Result<Counted, CounterError> {
        self.count(CountSign::Minus, name, amount).await
    }

    /// What the counter stands at, as the local site knows it, or the remote one while the local
    /// one does not serve. 0 for a counter that does not exist.
    ///
    /// # Errors
    /// [`CounterError`]: no site answered, or the key is no counter.
    pub async fn value(&self, name: &str) -> Result<i128, CounterError> {
        let key = self.key(name);
        let local = self
            .shared
            .local
            .request(Request::counter(key.as_bytes()))
            .await;
        let reply = match local {
            Err(error) if error.is_temporary() => {
                let remote = self
                    .shared
                    .remote
                    .request(Request::counter(key.as_bytes()))
                    .await;
                // The local site's error says more about what is wrong here.
                remote.map_err(|_| error)
            }
            reply => reply,
        };
        Ok(reply?.counter()?.value())
    }

    /// Raises every field at both sites to the larger of the two, and returns what the counter
    /// stands at then. To be called now and then by some process.
    ///
    /// # Errors
    /// [`CounterError`]: one of the sites does not serve. Trying again does no harm.
    pub async fn merge(&self, name: &str) -> Result<i128, CounterError> {
        let key = self.key(name);
        let merged = merge(&self.shared.local, &self.shared.remote, key.as_bytes()).await?;
        Ok(merged.value())
    }

    async fn count(
        &self,
        sign: CountSign,
        name: &str,
        amount: u64,
    ) -> Result<Counted, CounterError> {
        if amount == 0 {
            return Ok(Counted { field: None });
        }
        let amount = Amount::new(amount).ok_or(CounterError::Overflow)?;
        let key = self.key(name);
        for _ in 0..RUNS {
            let chosen = self.choose_field(&key).await?;
            let field = own_field(sign, &self.shared.dc, chosen.incarnation.as_deref());
            let request = Request::increment(key.as_bytes(), &chosen.run_id, &field, amount);
            match self.shared.local.request(request).await?.increment()? {
                IncrementOutcome::Counted => return Ok(Counted { field: Some(field) }),
                IncrementOutcome::OtherRun(run_id) => self.begin_run(run_id),
            }
        }
        let error = SiteError::unexpected("the server is replaced again and again");
        Err(CounterError::Site(error))
    }

    /// The field to count in on the present run of the local server.
    async fn choose_field(&self, key: &str) -> Result<Field, CounterError> {
        if let Some(known) = self.known_field(key) {
            return Ok(known);
        }
        let known_run = self.chosen().run_id.clone();
        let run_id = match known_run {
            Some(run_id) => run_id,
            None => self
                .shared
                .local
                .request(Request::server_info())
                .await?
                .run_id()?,
        };
        // If the server is replaced after that, the increment is refused.
        let request = || Request::counter(key.as_bytes());
        let own = self.shared.local.request(request()).await?.counter()?;
        let peer = match self.shared.remote.request(request()).await {
            Ok(reply) => reply.counter(),
            Err(error) => Err(error),
        };
        let is_safe = peer.is_ok_and(|peer| own.regressed_field(&self.shared.dc, &peer).is_none());
        let incarnation = (!is_safe).then(|| run_id.clone());
        self.remember(key, &run_id, incarnation.clone());
        Ok(Field {
            run_id,
            incarnation,
        })
    }

    fn known_field(&self, key: &str) -> Option<Field> {
        let chosen = self.chosen();
        Some(Field {
            run_id: chosen.run_id.clone()?,
            incarnation: chosen.incarnations.get(key)?.clone(),
        })
    }

    fn remember(&self, key: &str, run_id: &str, incarnation: Option<String>) {
        let mut chosen = self.chosen();
        if chosen.run_id.as_deref() != Some(run_id) {
            chosen.run_id = Some(run_id.to_owned());
            chosen.incarnations.clear();
        }
        if chosen.incarnations.len() >= REMEMBERED {
            chosen.incarnations.clear();
        }
        chosen.incarnations.insert(key.to_owned(), incarnation);
    }

    fn begin_run(&self, run_id: String) {
        let mut chosen = self.chosen();
        chosen.run_id = Some(run_id);
        chosen.incarnations.clear();
    }

    fn chosen(&self) -> MutexGuard<'_, Chosen> {
        self.shared
            .chosen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.shared.prefix)
    }
}

/// Raises every field of a counter at both sites to the larger of the two.
pub(super) async fn merge<S: Site>(
    first: &S,
    second: &S,
    key: &[u8],
) -> Result<Counter, SiteError> {
    let own = first.request(Request::counter(key)).await?.counter()?;
    let merged = second.request(Request::merge(key, &own)).await?.counter()?;
    first.request(Request::merge(key, &merged)).await?.counter()
}
