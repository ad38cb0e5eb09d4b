//! A site as its users see it: requests out, replies back. Whatever can answer them is a site: a
//! connection of the `redis` crate, one of this program's own, or a model in memory.

use std::future::Future;
use std::time::Duration;

use super::batch::Acknowledged;
use super::counter::{Counter, LARGEST_COUNT};
use super::envelope::{Draft, Envelope};
use super::error::{Malformed, SiteError};
use super::item::{overflow_key, rejected_list};
use super::python;
use super::script::{Script, ScriptCall};
use super::stamp::Stamp;

/// A site: one Redis server, or whatever answers like one.
///
/// Cloning is cheap and leads to the same site.
pub trait Site: Clone + Send + Sync {
    /// Sends `requests` back to back and returns their replies in order. The server's error to one
    /// request does not keep the others from being done. They may be executed in another order: a
    /// call of a script that the server does not know yet is repeated behind the others.
    ///
    /// # Errors
    /// Where no replies came at all: what was sent may have been done.
    fn send(
        &self,
        requests: Vec<Request>,
    ) -> impl Future<Output = Result<Vec<Result<Reply, SiteError>>, SiteError>> + Send;

    /// How long something has been going on, to pace requests by: a clock that starts anywhere and
    /// never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Sends one request.
    ///
    /// # Errors
    /// The server's error, or why there is no reply.
    fn request(&self, request: Request) -> impl Future<Output = Result<Reply, SiteError>> + Send {
        async move {
            let replies = self.send(vec![request]).await?;
            match <[_; 1]>::try_from(replies) {
                Ok([reply]) => reply,
                Err(_) => Err(SiteError::unexpected("another number of replies")),
            }
        }
    }
}

/// A request to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command, as its words.
    Command(Vec<Vec<u8>>),
    /// A call of a script.
    Script(ScriptCall),
}

fn command<const N: usize>(words: [&[u8]; N]) -> Request {
    Request::Command(words.map(<[u8]>::to_vec).to_vec())
}

impl Request {
    /// The server's clock; answered with [`Reply::time`].
    pub fn time() -> Self {
        command([b"TIME"])
    }

    /// What a key holds.
    pub fn get(key: &[u8]) -> Self {
        command([b"GET", key])
    }

    /// The first bytes of what a key holds: empty for a key that does not exist. Unlike MGET it
    /// says when a key holds another type of value.
    pub fn read(key: &[u8], limit: usize) -> Self {
        let last = limit.saturating_sub(1).to_string();
        command([b"GETRANGE", key, b"0", last.as_bytes()])
    }

    /// Whether a key exists: 1 or 0.
    pub fn exists(key: &[u8]) -> Self {
        command([b"EXISTS", key])
    }

    /// How many of these keys exist; one that is named twice counts twice.
    pub fn count_existing(keys: &[Vec<u8>]) -> Self {
        let mut words = vec![b"EXISTS".to_vec()];
        words.extend_from_slice(keys);
        Self::Command(words)
    }

    /// How many items a list has.
    pub fn length(list: &[u8]) -> Self {
        command([b"LLEN", list])
    }

    /// The oldest items of a queue, the oldest last.
    pub fn peek(queue: &[u8], count: usize) -> Self {
        let first = format!("-{}", count.max(1));
        command([b"LRANGE", queue, first.as_bytes(), b"-1"])
    }

    /// The newest item of a queue, if there is one.
    pub fn newest(queue: &[u8]) -> Self {
        command([b"LRANGE", queue, b"0", b"0"])
    }

    /// How many keys there are, of all patterns; answered with a number.
    pub fn database_size() -> Self {
        command([b"DBSIZE"])
    }

    /// Lets the server remove a key after this time, if it is there; answered with a number.
    pub fn expire(key: &[u8], after: Duration) -> Self {
        let milliseconds = after.as_millis().to_string();
        command([b"PEXPIRE", key, milliseconds.as_bytes()])
    }

    /// Takes one item from a queue, looking from its new end.
    pub fn remove(queue: &[u8], item: &[u8]) -> Self {
        command([b"LREM", queue, b"1", item])
    }

    /// All fields of a counter; answered with [`Reply::counter`].
    pub fn counter(key: &[u8]) -> Self {
        command([b"HGETALL", key])
    }

    /// A page of the keys that match a pattern; answered with [`Reply::page`].
    pub fn scan(cursor: u64, pattern: &[u8], count: usize) -> Self {
        let cursor = cursor.to_string();
        let count = count.to_string();
        command([
            b"SCAN",
            cursor.as_bytes(),
            b"MATCH",
            pattern,
            b"COUNT",
            count.as_bytes(),
        ])
    }

    /// The server's own description, which has its run ID; answered with [`Reply::run_id`].
    pub fn server_info() -> Self {
        command([b"INFO", b"server"])
    }

    /// The server's own description, as it gives it without being asked for a part of it.
    pub fn info() -> Self {
        command([b"INFO"])
    }

    /// Writes `envelope` unless the stored one is the same or newer; answered with
    /// [`Reply::apply`].
    pub fn apply(key: &[u8], envelope: &Envelope, limits: ApplyLimits) -> Self {
        let version = envelope.version();
        let expires = envelope.expires_at().map(|at| {
            let milliseconds = (at.seconds() * 1000.0 + 0.5).floor();
            format!("{milliseconds:.0}")
        });
        Self::Script(ScriptCall {
            script: Script::Apply,
            keys: vec![key.to_vec()],
            arguments: vec![
                envelope.text().to_vec(),
                version.stamp.to_string().into_bytes(),
                version.dc.clone(),
                limits.max_ahead.as_secs_f64().to_string().into_bytes(),
                limits
                    .tombstone_grace
                    .as_secs_f64()
                    .to_string()
                    .into_bytes(),
                expires.unwrap_or_default().into_bytes(),
            ],
        })
    }

    /// Writes a new version and puts it into the queue, as long as that has fewer than `max_queue`
    /// items; answered with [`Reply::set`].
    pub fn set(key: &str, draft: &Draft, queue: &str, max_queue: u64) -> Self {
        let lives = draft.lives_ms().map(|lives| lives.to_string());
        let arguments = [
            draft.head(),
            draft.dc_text(),
            draft.version_head(),
            draft.tail().to_owned(),
            lives.unwrap_or_default(),
            python::string(key),
            max_queue.to_string(),
        ];
        Self::Script(ScriptCall {
            script: Script::Set,
            keys: [key.to_owned(), queue.to_owned(), overflow_key(queue)]
                .map(String::into_bytes)
                .to_vec(),
            arguments: arguments.map(String::into_bytes).to_vec(),
        })
    }

    /// Takes items from the queue's old end, as far as they still stand there; answered with a
    /// number.
    pub fn acknowledge(queue: &str, items: &[Acknowledged]) -> Self {
        let pairs = items
            .iter()
            .flat_map(|a| [a.item.clone(), a.record.clone()]);
        Self::Script(ScriptCall {
            script: Script::Acknowledge,
            keys: vec![
                queue.to_owned().into_bytes(),
                rejected_list(queue).into_bytes(),
            ],
            arguments: pairs.collect(),
        })
    }

    /// Adds to a field of a counter, on this run of the server alone; answered with
    /// [`Reply::increment`].
    pub fn increment(key: &[u8], run_id: &str, field: &str, amount: Amount) -> Self {
        let arguments = [
            run_id.to_owned(),
            field.to_owned(),
            amount.get().to_string(),
        ];
        Self::Script(ScriptCall {
            script: Script::Increment,
            keys: vec![key.to_vec()],
            arguments: arguments.map(String::into_bytes).to_vec(),
        })
    }

    /// Raises the fields of a counter to those of `other`; answered with [`Reply::counter`].
    pub fn merge(key: &[u8], other: &Counter) -> Self {
        let fields = other.fields().iter();
        let pairs = fields.flat_map(|(field, n)| [field.clone(), n.to_string().into_bytes()]);
        Self::Script(ScriptCall {
            script: Script::Merge,
            keys: vec![key.to_vec()],
            arguments: pairs.collect(),
        })
    }
}

/// What a counter can be raised by at once: 1 to 2^63-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(u64);

impl Amount {
    /// An amount; `None` for 0 and for more than HINCRBY takes.
    pub fn new(amount: u64) -> Option<Self> {
        (1..=LARGEST_COUNT)
            .contains(&amount)
            .then_some(Self(amount))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a site accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyLimits {
    /// How far a version may be ahead of the site's clock.
    pub max_ahead: Duration,
    /// How long tombstones are kept: an older version of a key that is missing is refused, since a
    /// tombstone may have stood there.
    pub tombstone_grace: Duration,
}

impl Default for ApplyLimits {
    /// 60 s and 10 days (Cassandra's `gc_grace_seconds`).
    fn default() -> Self {
        Self {
            max_ahead: Duration::from_mins(1),
            tombstone_grace: Duration::from_hours(240),
        }
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// A list; maps are lists of names and values in turn.
    List(Vec<Reply>),
}

/// What became of an envelope at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It is written.
    Applied {
        /// Whether only its bytes made it the newer one.
        by_tie: bool,
    },
    /// The site had it.
    Same,
    /// The site has a newer one, which is returned.
    Older {
        /// What the site has.
        stored: Envelope,
        /// Whether only its bytes make it the newer one.
        by_tie: bool,
    },
    /// Refused: it is too far ahead of the site's clock.
    Future,
    /// Refused: what is stored is no envelope.
    StoredMalformed,
    /// Refused: the key is missing and the envelope is so old that a tombstone may have expired.
    ExpiredTombstone,
}

impl ApplyOutcome {
    /// The script reads what is stored a little more generously than this program: what cannot be
    /// sent back to the other site counts as no envelope.
    fn older(stored: Option<Result<Envelope, Malformed>>, by_tie: bool) -> Self {
        match stored {
            Some(Ok(stored)) => Self::Older { stored, by_tie },
            _ => Self::StoredMalformed,
        }
    }
}

/// What became of a local write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// It is written.
    Written {
        /// What was written.
        envelope: Envelope,
        /// Whether it is in the queue; else the queue is full, and that is noted.
        is_queued: bool,
        /// The server's clock at that instant.
        now: Stamp,
    },
    /// Refused: what is stored is no envelope.
    StoredMalformed,
}

/// What became of an increment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncrementOutcome {
    /// It is counted.
    Counted,
    /// Nothing was counted: this is another run of the server.
    OtherRun(String),
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the next page begins; 0 after the last.
    pub cursor: u64,
    /// The keys; a key can come twice.
    pub keys: Vec<Vec<u8>>,
}

fn unexpected(what: &str) -> SiteError {
    SiteError::unexpected(&format!("a reply of another form to {what}"))
}

impl Reply {
    /// As a string; none for nil.
    ///
    /// # Errors
    /// For another form.
    pub fn bytes(self) -> Result<Option<Vec<u8>>, SiteError> {
        match self {
            Self::Nil => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(unexpected("a read")),
        }
    }

    /// As a number that is not negative.
    ///
    /// # Errors
    /// For another form.
    pub fn number(self) -> Result<u64, SiteError> {
        match self {
            Self::Number(number) => u64::try_from(number).map_err(|_| unexpected("a count")),
            _ => Err(unexpected("a count")),
        }
    }

    /// As a list of strings.
    ///
    /// # Errors
    /// For another form.
    pub fn strings(self) -> Result<Vec<Vec<u8>>, SiteError> {
        let Self::List(list) = self else {
            return Err(unexpected("a list"));
        };
        let strings = list.into_iter().map(|reply| match reply {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(unexpected("a list")),
        });
        strings.collect()
    }

    /// As the reply to TIME.
    ///
    /// # Errors
    /// For another form.
    pub fn time(self) -> Result<Stamp, SiteError> {
        let parts = self.strings()?;
        let number = |at: usize| {
            parts
                .get(at)
                .and_then(|text| text_of(text)?.parse::<f64>().ok())
        };
        let seconds = number(0).zip(number(1)).map(|(s, micros)| s + micros / 1e6);
        seconds
            .and_then(Stamp::new)
            .ok_or_else(|| unexpected("TIME"))
    }

    /// As the reply to HGETALL.
    ///
    /// # Errors
    /// For another form, and for a counter of too many fields.
    pub fn counter(self) -> Result<Counter, SiteError> {
        let texts = self.strings()?;
        let (pairs, rest) = texts.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(unexpected("HGETALL"));
        }
        let pairs = pairs.iter().cloned().map(<(Vec<u8>, Vec<u8>)>::from);
        Counter::from_fields(pairs).map_err(|_| SiteError::TooLarge)
    }

    /// As the reply to SCAN.
    ///
    /// # Errors
    /// For another form.
    pub fn page(self) -> Result<Page, SiteError> {
        let Self::List(parts) = self else {
            return Err(unexpected("SCAN"));
        };
        let Ok([Self::Bytes(cursor), keys]) = <[Self; 2]>::try_from(parts) else {
            return Err(unexpected("SCAN"));
        };
        let cursor = text_of(&cursor).and_then(|text| text.parse().ok());
        Ok(Page {
            cursor: cursor.ok_or_else(|| unexpected("SCAN"))?,
            keys: keys.strings()?,
        })
    }

    /// The run ID in the reply to INFO.
    ///
    /// # Errors
    /// For another form, and for a server without one.
    pub fn run_id(self) -> Result<String, SiteError> {
        let info = self.bytes()?.unwrap_or_default();
        let text = String::from_utf8_lossy(&info).into_owned();
        let mut lines = text.lines();
        let id = lines.find_map(|line| line.trim_end().strip_prefix("run_id:"));
        id.map(str::to_owned)
            .ok_or_else(|| unexpected("INFO server: it has no run_id"))
    }

    /// As the reply to [`Request::apply`].
    ///
    /// # Errors
    /// For another form.
    pub fn apply(self) -> Result<ApplyOutcome, SiteError> {
        let mut parts = self.strings()?.into_iter();
        let outcome = parts.next().unwrap_or_default();
        let stored = parts.next().map(Envelope::parse);
        match outcome.as_slice() {
            b"applied" => Ok(ApplyOutcome::Applied { by_tie: false }),
            b"applied_tie" => Ok(ApplyOutcome::Applied { by_tie: true }),
            b"same" => Ok(ApplyOutcome::Same),
            b"older" => Ok(ApplyOutcome::older(stored, false)),
            b"older_tie" => Ok(ApplyOutcome::older(stored, true)),
            b"future" => Ok(ApplyOutcome::Future),
            b"malformed" => Ok(ApplyOutcome::StoredMalformed),
            b"expired_tombstone" => Ok(ApplyOutcome::ExpiredTombstone),
            _ => Err(unexpected("an apply")),
        }
    }

    /// As the reply to [`Request::set`].
    ///
    /// # Errors
    /// For another form.
    pub fn set(self) -> Result<SetOutcome, SiteError> {
        let parts = self.strings()?;
        let Ok([outcome, text, now]) = <[Vec<u8>; 3]>::try_from(parts) else {
            return Err(unexpected("a write"));
        };
        let is_queued = match outcome.as_slice() {
            b"queued" => true,
            b"overflow" => false,
            b"malformed" => return Ok(SetOutcome::StoredMalformed),
            _ => return Err(unexpected("a write")),
        };
        let now = text_of(&now).and_then(|text| Stamp::new(text.parse().ok()?));
        Ok(SetOutcome::Written {
            envelope: Envelope::parse(text).map_err(|_| unexpected("a write"))?,
            is_queued,
            now: now.ok_or_else(|| unexpected("a write"))?,
        })
    }

    /// As the reply to [`Request::increment`].
    ///
    /// # Errors
    /// For another form.
    pub fn increment(self) -> Result<IncrementOutcome, SiteError> {
        let mut parts = self.strings()?.into_iter();
        let outcome = parts.next().unwrap_or_default();
        let run = parts.next().and_then(|run| String::from_utf8(run).ok());
        match (outcome.as_slice(), run) {
            (b"counted", None) => Ok(IncrementOutcome::Counted),
            (b"run", Some(run)) => Ok(IncrementOutcome::OtherRun(run)),
            _ => Err(unexpected("an increment")),
        }
    }
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
