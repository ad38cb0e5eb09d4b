//! One of the sites that applications write to side by side, over this program's own connections:
//! with their limits on what comes, and made again when they break.

use std::sync::{Arc, LazyLock, Mutex as ValueMutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::framing::ReplyShape;
use crate::active_active::{Exchange, Reply, Request, Site, SiteError};
use crate::model::{Bytes, PollError, PollFailure, Span};
use crate::multi_site::{command_of, wire_reply};
use crate::topology::Server;

/// The longest answer to requests that are sent together: a hundred values of 64 KiB, or a batch of
/// the queue. A longer one makes the batches smaller.
const REPLY: Bytes = Bytes::new(32 * 1024 * 1024);

/// A site behind a connection that is made when it is needed. One exchange at a time.
#[derive(Clone)]
pub struct ServerSite {
    shared: Arc<Shared>,
}

struct Shared {
    server: Server,
    within: Span,
    connection: Mutex<Option<Connection>>,
    /// What was wrong in the latest exchange.
    trouble: ValueMutex<Option<String>>,
}

impl ServerSite {
    /// The site `server`. Connecting and each exchange may take `within`.
    pub fn new(server: Server, within: Span) -> Self {
        Self {
            shared: Arc::new(Shared {
                server,
                within,
                connection: Mutex::new(None),
                trouble: ValueMutex::new(None),
            }),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// What was wrong in the latest exchange, as a sentence without a full stop that names the
    /// site; none if nothing was.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.shared.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Option<String>) {
        let mut noted = self
            .shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *noted = trouble;
    }

    /// The site's datacenter and address.
    fn name(&self) -> String {
        let server = &self.shared.server;
        format!("{} ({})", server.dc, server.addr)
    }

    /// Notes the first reply that says that the site as a whole does not do what is asked.
    fn note_refusal(&self, replies: &[Result<Reply, SiteError>]) {
        let mut errors = replies.iter().filter_map(|reply| reply.as_ref().err());
        let refusal = errors.find(|error| error.is_about_site());
        self.note(refusal.map(|error| format!("{}: {error}", self.name())));
    }

    async fn exchange(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Reply, SiteError>>, PollFailure> {
        let mut slot = self.shared.connection.lock().await;
        // Taken out: if this is dropped or fails, the connection is not used again.
        let mut connection = match slot.take() {
            Some(connection) if connection.is_open() => connection,
            _ => Connection::connect(&self.shared.server, self.shared.within).await?,
        };
        let mut exchange = Exchange::new(requests);
        loop {
            let commands = exchange.commands();
            if commands.is_empty() {
                break;
            }
            let commands: Vec<Cmd> = commands.iter().map(|words| command_of(words)).collect();
            let sent = connection.request_all(&commands, ReplyShape::Records, REPLY);
            let replies: Vec<Value> = sent.await.map_err(|reason| connection.explain(reason))?;
            let replies = replies.into_iter().map(wire_reply);
            exchange
                .take(replies.collect())
                .map_err(|_| PollFailure::from(PollError::Protocol))?;
        }
        *slot = Some(connection);
        Ok(exchange.finish())
    }
}

impl Site for ServerSite {
    async fn send(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Reply, SiteError>>, SiteError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let exchanged = timeout(self.shared.within.to_duration(), self.exchange(requests)).await;
        let failure = match exchanged {
            Ok(Ok(replies)) => {
                self.note_refusal(&replies);
                return Ok(replies);
            }
            Ok(Err(failure)) => failure,
            Err(_) => PollError::Timeout.into(),
        };
        self.note(Some(failure.sentence(&self.name())));
        Err(site_error(PollError::from(failure)))
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    async fn pause(&self, duration: Duration) {
        sleep(duration).await;
    }
}

fn site_error(error: PollError) -> SiteError {
    match error {
        PollError::Timeout => SiteError::Timeout,
        PollError::Loading => SiteError::Loading,
        PollError::Busy => SiteError::Busy,
        PollError::Auth => SiteError::Login,
        PollError::Denied => SiteError::Denied,
        PollError::TooLarge => SiteError::TooLarge,
        PollError::Protocol => SiteError::unexpected("not a reply that Redis gives"),
        _ => SiteError::Disconnected,
    }
}
