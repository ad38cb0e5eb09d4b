//! The task that owns the connection to one server.
//!
//! It takes one [`Order`] at a time and keeps at most one request outstanding. A request is never
//! cancelled: an answer that comes after its timeout still proves what the server's state was, so
//! it is reported like any other, and the connection of a server that is merely frozen is kept
//! until it has been silent for long.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::report::Reporter;
use super::timer;
use crate::client::{Connection, InfoReply, RequestWatch};
use crate::clock;
use crate::info::{self, InfoError, Observation};
use crate::model::{PollError, PollFailure, Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::topology::Server;

/// How long a connection may be silent with a request outstanding before it is taken for half-open
/// (the other end is gone and nothing tells us so): long enough for a frozen server to come back on
/// the same connection.
const MIN_SILENCE: Span = Span::from_secs(10);

/// The same, in timeouts, for servers that are given much time.
const SILENCE_FACTOR: f64 = 5.0;

/// How many such silences a request may be outstanding although bytes come: a minute at least. An
/// answer that takes longer will never be of use, and a proxy that drips it may have a sound server
/// behind it by now.
const OUTSTANDING_FACTOR: f64 = 6.0;

/// One poll, as the tree's task orders it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// When it was to be sent.
    pub(super) planned: Timestamp,
    /// After how long without an answer the request is overdue.
    pub(super) patience: Span,
    /// After how long the poll has failed.
    pub(super) timeout: Span,
    /// Somebody else says that the server is back.
    pub(super) is_back: bool,
}

/// A connection may take so many times as long as an answer before it is overdue: TCP, TLS and the
/// login are as many round trips.
const CONNECT_PATIENCE: f64 = 4.0;

/// An order, and where to tell what came of it.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) order: Order,
    pub(super) reply: Reply,
}

/// Where the tree's task is told of its orders. The tree may be another one than before: it got
/// another root, or another member.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) to: mpsc::Sender<Feedback>,
    /// The server's place in the tree.
    pub(super) server: usize,
}

/// What the tree's task is told of its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// A request was answered.
    Answered {
        server: usize,
        sent: Timestamp,
        received: Timestamp,
    },
    /// A poll ended without a usable answer, and nothing is outstanding.
    GaveUp { server: usize },
}

/// One server's connection and what it is doing.
pub(super) struct ServerTask {
    server: Arc<Server>,
    orders: mpsc::Receiver<Assignment>,
    /// Who gave the newest order: what comes of an older one is told there, too.
    reply: Option<Reply>,
    reporter: Reporter,
    backoff: Backoff,
    link: Link,
    poll: Option<Poll>,
    min_silence: Span,
    /// Why the last poll failed, if it did: told when it begins, changes and ends.
    failing: Option<PollFailure>,
}

/// The connection's state.
enum Link {
    /// There is none, and none is tried before `retry_at`.
    Down {
        retry_at: Timestamp,
        error: PollFailure,
    },
    /// It is being made.
    Connecting {
        began: Timestamp,
        done: Pin<Box<dyn Future<Output = Result<Connection, PollFailure>> + Send>>,
    },
    /// It is ready.
    Idle(Box<Connection>),
    /// INFO is outstanding.
    Asking {
        asked: Timestamp,
        watch: RequestWatch,
        done: Pin<Box<dyn Future<Output = Asked> + Send>>,
    },
}

type Asked = (Box<Connection>, Result<InfoReply, PollFailure>);

/// The poll under way.
#[derive(Clone, Copy, Debug)]
struct Poll {
    began: Timestamp,
    order: Order,
    /// Its timeout was reported; the request may still be outstanding.
    timed_out: bool,
    /// [`PollEventKind::Overdue`] was reported.
    overdue: bool,
    /// The connection was lost and made anew for it.
    second_try: bool,
}

/// What the link has come to.
enum Progress {
    Connected {
        began: Timestamp,
        result: Result<Connection, PollFailure>,
    },
    Asked(Asked),
}

impl Poll {
    fn times_out_at(&self) -> Timestamp {
        self.began + self.order.timeout
    }

    fn late(&self) -> Span {
        (self.began - self.order.planned).or_zero()
    }
}

impl ServerTask {
    /// A task without a connection yet.
    pub(super) fn new(
        server: Arc<Server>,
        orders: mpsc::Receiver<Assignment>,
        reporter: Reporter,
    ) -> Self {
        let link = Link::Down {
            retry_at: Timestamp::default(),
            error: PollError::Reset.into(),
        };
        Self {
            server,
            orders,
            reply: None,
            reporter,
            backoff: Backoff::default(),
            link,
            poll: None,
            min_silence: MIN_SILENCE,
            failing: None,
        }
    }

    /// Serves orders until nobody can give any more.
    pub(super) async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                // An answer that is there counts before the next order, which it would make a
                // skipped one.
                biased;
                progress = self.link.progress() => self.on_progress(progress).await,
                order = self.orders.recv() => match order {
                    Some(Assignment { order, reply }) => {
                        // What a tree that ended meanwhile had still ordered must not take the
                        // answer from the one after it.
                        if self.reply.is_none() || !reply.to.is_closed() {
                            self.reply = Some(reply);
                        }
                        self.on_order(order).await;
                    }
                    None => return,
                },
                () = timer::until(deadline) => self.on_deadline().await,
            }
        }
    }

    async fn on_order(&mut self, order: Order) {
        let now = clock::now();
        let poll = Poll {
            began: now,
            order,
            timed_out: false,
            overdue: false,
            second_try: false,
        };
        match (&self.link, &self.poll) {
            (Link::Connecting { .. } | Link::Asking { .. }, Some(outstanding))
                if outstanding.timed_out =>
            {
                // The server had its time and the schedule asked again: that poll, which begins
                // now, has failed as well.
                self.report_failure(&poll, PollError::Timeout.into());
            }
            (Link::Connecting { .. } | Link::Asking { .. }, _) => {
                self.reporter
                    .report(&self.server.addr, PollEventKind::Skipped);
            }
            (Link::Down { retry_at, error }, _)
                if now < *retry_at && !(order.is_back && self.backoff.cut_short()) =>
            {
                let error = error.clone();
                self.report_failure(&poll, error);
                self.give_up().await;
            }
            (Link::Down { .. }, _) => self.connect(poll),
            (Link::Idle(_), _) => self.ask(poll),
        }
    }

    async fn on_progress(&mut self, progress: Progress) {
        let Some(poll) = self.poll.take() else { return };
        match progress {
            Progress::Connected {
                began,
                result: Ok(connection),
            } => {
                let took = clock::now() - began;
                self.reporter
                    .report(&self.server.addr, PollEventKind::Connected { took });
                self.link = Link::Idle(Box::new(connection));
                self.ask(poll);
            }
            Progress::Connected {
                result: Err(error), ..
            } => self.fail_and_disconnect(&poll, error).await,
            Progress::Asked((connection, Ok(reply))) => {
                self.on_reply(connection, &poll, &reply).await;
            }
            Progress::Asked((connection, Err(error))) => {
                self.on_refusal(connection, poll, error).await;
            }
        }
    }

    async fn on_reply(&mut self, connection: Box<Connection>, poll: &Poll, reply: &InfoReply) {
        self.backoff.reset();
        self.link = Link::Idle(connection);
        let &InfoReply { sent, received, .. } = reply;
        match observe(&reply.text) {
            Ok(observation) => {
                self.log_answer();
                let observation = Box::new(observation);
                let kind = PollEventKind::Answered {
                    sent,
                    received,
                    late: poll.late(),
                    observation,
                };
                self.reporter.report(&self.server.addr, kind);
                self.tell(|server| Feedback::Answered {
                    server,
                    sent,
                    received,
                })
                .await;
            }
            Err(error) => {
                self.report_failure(poll, error.into());
                self.give_up().await;
            }
        }
    }

    async fn on_refusal(&mut self, connection: Box<Connection>, poll: Poll, error: PollFailure) {
        // A server that asks for a login after all is given one by a new connection.
        if connection.is_open() && error.reason != PollError::Auth {
            self.backoff.reset();
            self.link = Link::Idle(connection);
            self.report_failure(&poll, error);
            self.give_up().await;
        } else if error.reason == PollError::Reset && !poll.second_try && !poll.timed_out {
            // It may have been closed long ago (a restart, an idle timeout): that says nothing
            // about the server now.
            self.connect(Poll {
                second_try: true,
                ..poll
            });
        } else {
            self.fail_and_disconnect(&poll, error).await;
        }
    }

    /// When something is to happen although nothing comes.
    fn deadline(&self) -> Option<Timestamp> {
        let poll = self.poll.as_ref()?;
        let timeout = (!poll.timed_out).then(|| poll.times_out_at());
        let overdue = self.overdue_at(poll).map(|(_, at)| at);
        let abandon = self.abandon_at(poll);
        [timeout, overdue, abandon].into_iter().flatten().min()
    }

    async fn on_deadline(&mut self) {
        let now = clock::now();
        let Some(mut poll) = self.poll.take() else {
            return;
        };
        if let Some((sent, at)) = self.overdue_at(&poll)
            && at <= now
        {
            poll.overdue = true;
            self.reporter
                .report(&self.server.addr, PollEventKind::Overdue { sent });
        }
        let out_of_time = !poll.timed_out && poll.times_out_at() <= now;
        if out_of_time && matches!(self.link, Link::Connecting { .. }) {
            return self
                .fail_and_disconnect(&poll, PollError::Timeout.into())
                .await;
        }
        if out_of_time {
            poll.timed_out = true;
            self.report_failure(&poll, PollError::Timeout.into());
        }
        if self.abandon_at(&poll).is_some_and(|at| at <= now) {
            tracing::info!(server = %self.server.addr, "a request is not answered for long: connecting anew");
            self.link = Link::Down {
                retry_at: now,
                error: PollError::Timeout.into(),
            };
            return self.give_up().await;
        }
        self.poll = Some(poll);
    }

    /// Since when the server lets this poll wait and when that is overdue; `None` when it was
    /// reported already.
    fn overdue_at(&self, poll: &Poll) -> Option<(Timestamp, Timestamp)> {
        if poll.overdue {
            return None;
        }
        let patience = poll.order.patience;
        match &self.link {
            Link::Asking { asked, watch, .. } => {
                let sent = watch.sent().unwrap_or(*asked);
                Some((sent, sent + patience))
            }
            Link::Connecting { began, .. } => {
                Some((*began, *began + patience.mul_f64(CONNECT_PATIENCE)))
            }
            Link::Down { .. } | Link::Idle(_) => None,
        }
    }

    fn abandon_at(&self, poll: &Poll) -> Option<Timestamp> {
        let Link::Asking { asked, watch, .. } = &self.link else {
            return None;
        };
        let heard = watch.last_byte().map_or(*asked, |byte| byte.max(*asked));
        let silence = self
            .min_silence
            .max(poll.order.timeout.mul_f64(SILENCE_FACTOR));
        Some((heard + silence).min(*asked + silence.mul_f64(OUTSTANDING_FACTOR)))
    }

    fn connect(&mut self, poll: Poll) {
        let now = clock::now();
        let server = Arc::clone(&self.server);
        let within = (poll.times_out_at() - now).or_zero();
        let done = Box::pin(async move { Connection::connect(&server, within).await });
        self.link = Link::Connecting { began: now, done };
        self.poll = Some(poll);
    }

    fn ask(&mut self, poll: Poll) {
        let idle = std::mem::replace(
            &mut self.link,
            Link::Down {
                retry_at: poll.began,
                error: PollError::Reset.into(),
            },
        );
        let Link::Idle(mut connection) = idle else {
            return;
        };
        let watch = connection.watch();
        let done = Box::pin(async move {
            let result = connection.fetch_info().await;
            let result = result.map_err(|reason| connection.explain(reason));
            (connection, result)
        });
        self.link = Link::Asking {
            asked: clock::now(),
            watch,
            done,
        };
        self.poll = Some(poll);
    }

    async fn fail_and_disconnect(&mut self, poll: &Poll, error: PollFailure) {
        let wait = match error.reason {
            PollError::Refused => self.backoff.after_refusal(fastrand::f64()),
            _ => self.backoff.after_failure(fastrand::f64()),
        };
        self.link = Link::Down {
            retry_at: clock::now() + wait,
            error: error.clone(),
        };
        // A poll that had timed out was reported as failed then.
        if !poll.timed_out {
            self.report_failure(poll, error);
        }
        self.give_up().await;
    }

    fn report_failure(&mut self, poll: &Poll, error: PollFailure) {
        self.log_failure(&error);
        let kind = PollEventKind::Failed {
            began: poll.began,
            at: clock::now(),
            late: poll.late(),
            error,
        };
        self.reporter.report(&self.server.addr, kind);
    }

    fn log_failure(&mut self, failure: &PollFailure) {
        let server = &self.server;
        let reason = failure.reason;
        if self.failing.as_ref() == Some(failure) {
            tracing::debug!(server = %server.addr, dc = %server.dc, %reason, "a poll failed");
            return;
        }
        self.failing = Some(failure.clone());
        let sentence = failure.sentence("the server");
        tracing::warn!(server = %server.addr, dc = %server.dc, %reason, "{sentence}");
    }

    fn log_answer(&mut self) {
        if let Some(PollFailure { reason, .. }) = self.failing.take() {
            let server = &self.server;
            tracing::info!(server = %server.addr, dc = %server.dc, %reason, "the server answers again");
        }
    }

    async fn give_up(&mut self) {
        self.tell(|server| Feedback::GaveUp { server }).await;
    }

    async fn tell(&mut self, feedback: impl FnOnce(usize) -> Feedback) {
        let Some(Reply { to, server }) = &self.reply else {
            return;
        };
        // The tree's task never waits for this one, so this wait is short; when it is gone, nobody
        // needs to know.
        let _ = to.send(feedback(*server)).await;
    }
}

impl Link {
    /// Waits until the link has come to something. Cancelling and calling it again loses nothing.
    async fn progress(&mut self) -> Progress {
        match self {
            Self::Down { .. } | Self::Idle(_) => pending().await,
            Self::Connecting { began, done } => Progress::Connected {
                began: *began,
                result: done.await,
            },
            Self::Asking { done, .. } => Progress::Asked(done.await),
        }
    }
}

/// What an INFO reply says.
pub(super) fn observe(text: &str) -> Result<Observation, PollError> {
    info::parse(text).map_err(|error| match error {
        InfoError::Loading => PollError::Loading,
        InfoError::NotInfo | InfoError::NoRole | InfoError::Sentinel => PollError::Parse,
    })
}

#[cfg(test)]
mod tests;
