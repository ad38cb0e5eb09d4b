//! The task that owns the connection to one server.
//!
//! It takes one [`PollOrder`] at a time and keeps at most one request outstanding. A request is
//! never cancelled: an answer after its timeout still proves what the server's state was, so it is
//! reported like any other, and the connection of a server that is merely frozen is kept until it
//! has been silent for long.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::own_delay::{DelaySince, OwnDelay};
use super::report::Reporter;
use super::timer;
use crate::client::{Connection, InfoAnswer, RequestWatch};
use crate::clock;
use crate::info::{self, InfoError, Observation};
use crate::model::{PollError, PollFailure, Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::topology::Server;

/// How long a connection may be silent with a request outstanding before it counts as half-open
/// (the other end is gone without a trace): long enough for a frozen server to come back on the
/// same connection.
const MIN_SILENCE: Span = Span::from_secs(10);

/// The same, in timeouts, for servers with long timeouts.
const SILENCE_FACTOR: f64 = 5.0;

/// How many such silences a request may be outstanding although bytes arrive: at least a minute in
/// all. An answer that takes longer will never be of use, and if a proxy drips it, the server
/// behind it may be healthy again by now.
const OUTSTANDING_FACTOR: f64 = 6.0;

/// How many times as long as an answer a connection may take before it is overdue: TCP, TLS and
/// the login take as many round trips.
const CONNECT_PATIENCE: f64 = 4.0;

/// One poll, as the tree's task orders it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollOrder {
    /// When it was due.
    pub(super) planned: Timestamp,
    /// After how long without an answer the request is overdue.
    pub(super) patience: Span,
    /// After how long the poll has failed.
    pub(super) timeout: Span,
    /// Whether the server's master has reported it connected again.
    pub(super) is_back: bool,
}

/// An order, and where to report its result.
#[derive(Debug)]
pub(super) struct PollCommand {
    pub(super) order: PollOrder,
    pub(super) reply_to: ReplyTo,
}

/// The tree's task that gave an order. It may be another one than before, if the tree has another
/// root or another member.
#[derive(Clone, Debug)]
pub(super) struct ReplyTo {
    pub(super) tree: mpsc::Sender<PollFeedback>,
    /// The server's index in the tree.
    pub(super) server: usize,
}

/// The result of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollFeedback {
    /// A request was answered.
    Answered {
        server: usize,
        sent: Timestamp,
        received: Timestamp,
    },
    /// A poll ended without a usable answer, and nothing is outstanding.
    GaveUp { server: usize },
}

/// One server's connection and the poll in progress.
pub(super) struct ServerTask {
    server: Arc<Server>,
    commands: mpsc::Receiver<PollCommand>,
    /// The tree that gave the newest order; the result of an older one goes there too.
    reply_to: Option<ReplyTo>,
    reporter: Reporter,
    own_delay: OwnDelay,
    backoff: Backoff,
    link: ServerLink,
    poll: Option<PendingPoll>,
    min_silence: Span,
    /// Why the last poll failed, if it did: logged when it begins, changes and ends.
    failing: Option<PollFailure>,
}

/// The state of the connection.
enum ServerLink {
    /// There is none, and no attempt is made before `retry_at`.
    Down {
        retry_at: Timestamp,
        error: PollFailure,
    },
    /// It is being opened.
    Connecting {
        began: Timestamp,
        done: Pin<Box<dyn Future<Output = Result<Connection, PollFailure>> + Send>>,
    },
    /// It is ready.
    Idle(Box<Connection>),
    /// INFO is outstanding.
    Polling {
        since: Timestamp,
        watch: RequestWatch,
        done: Pin<Box<dyn Future<Output = InfoResult> + Send>>,
    },
}

type InfoResult = (Box<Connection>, Result<InfoAnswer<Observed>, PollFailure>);

/// What a reply says, or why it says nothing.
type Observed = Result<Box<Observation>, PollError>;

/// The poll in progress.
#[derive(Debug)]
struct PendingPoll {
    began: Timestamp,
    /// This program's own delay since then: time that the server did not have.
    own_delay: DelaySince,
    order: PollOrder,
    /// Its timeout was reported; the request may still be outstanding.
    timed_out: bool,
    /// [`PollEventKind::Overdue`] was reported.
    overdue: bool,
    /// The connection was lost, and another one opened for it.
    second_try: bool,
}

/// What has happened on the link.
enum LinkProgress {
    Connected {
        began: Timestamp,
        result: Result<Connection, PollFailure>,
    },
    Answered(InfoResult),
}

impl PendingPoll {
    /// When it has failed, if this program's own delay does not grow any more: for `delayed` it
    /// could not have read an answer, so the server did not have that time.
    fn times_out_at(&self, delayed: Span) -> Timestamp {
        self.began + self.order.timeout + delayed
    }

    /// Whether the server has not had all the time that it is given.
    fn has_time_left(&self) -> bool {
        let now = clock::now();
        now < self.times_out_at(self.own_delay.until(now))
    }

    fn late(&self) -> Span {
        (self.began - self.order.planned).or_zero()
    }
}

impl ServerTask {
    /// A task without a connection yet.
    pub(super) fn new(
        server: Arc<Server>,
        commands: mpsc::Receiver<PollCommand>,
        reporter: Reporter,
        own_delay: OwnDelay,
    ) -> Self {
        let link = ServerLink::Down {
            retry_at: Timestamp::default(),
            error: PollError::Reset.into(),
        };
        Self {
            server,
            commands,
            reply_to: None,
            reporter,
            own_delay,
            backoff: Backoff::default(),
            link,
            poll: None,
            min_silence: MIN_SILENCE,
            failing: None,
        }
    }

    /// Carries out commands until all their senders are dropped.
    pub(super) async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                // An answer that has arrived is handled before the next command, which would be
                // skipped otherwise.
                biased;
                progress = self.link.progress() => self.on_progress(progress).await,
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command).await,
                    None => return,
                },
                () = timer::until(deadline) => self.on_deadline().await,
            }
        }
    }

    async fn on_command(&mut self, command: PollCommand) {
        // A late command of a tree that has ended must not take the answer from the tree that
        // replaced it.
        if self.reply_to.is_none() || !command.reply_to.tree.is_closed() {
            self.reply_to = Some(command.reply_to);
        }
        self.on_order(command.order).await;
    }

    async fn on_order(&mut self, order: PollOrder) {
        let now = clock::now();
        let poll = PendingPoll {
            began: now,
            own_delay: self.own_delay.count_from(now),
            order,
            timed_out: false,
            overdue: false,
            second_try: false,
        };
        match &self.link {
            ServerLink::Connecting { .. } | ServerLink::Polling { .. } => self.on_busy(&poll),
            ServerLink::Idle(_) => self.send_info(poll),
            ServerLink::Down { retry_at, error } => {
                let must_wait = now < *retry_at;
                if must_wait && !(order.is_back && self.backoff.cut_short()) {
                    let error = error.clone();
                    self.report_failure(&poll, error);
                    self.give_up().await;
                } else {
                    self.connect(poll);
                }
            }
        }
    }

    /// A poll that begins while the one before is outstanding is skipped. It has also failed if
    /// that one has timed out: the server has used up its time and the schedule polls again.
    fn on_busy(&mut self, poll: &PendingPoll) {
        match &self.poll {
            Some(outstanding) if outstanding.timed_out => {
                self.report_failure(poll, PollError::Timeout.into());
            }
            _ => self.report(PollEventKind::Skipped),
        }
    }

    fn report(&self, kind: PollEventKind) {
        self.reporter.report(&self.server.addr, kind);
    }

    async fn on_progress(&mut self, progress: LinkProgress) {
        let Some(poll) = self.poll.take() else { return };
        match progress {
            LinkProgress::Connected {
                began,
                result: Ok(connection),
            } => {
                let took = clock::now() - began;
                self.report(PollEventKind::Connected { took });
                self.link = ServerLink::Idle(Box::new(connection));
                self.send_info(poll);
            }
            LinkProgress::Connected {
                result: Err(error), ..
            } if error.reason == PollError::Timeout && poll.has_time_left() => {
                self.connect(poll);
            }
            LinkProgress::Connected {
                result: Err(error), ..
            } => self.fail_and_disconnect(&poll, error).await,
            LinkProgress::Answered((connection, Ok(answer))) => {
                self.on_answer(connection, &poll, answer).await;
            }
            LinkProgress::Answered((connection, Err(error))) => {
                self.on_refusal(connection, poll, error).await;
            }
        }
    }

    async fn on_answer(
        &mut self,
        connection: Box<Connection>,
        poll: &PendingPoll,
        answer: InfoAnswer<Observed>,
    ) {
        self.backoff.reset();
        self.link = ServerLink::Idle(connection);
        let InfoAnswer {
            content,
            sent,
            received,
        } = answer;
        let observation = match content {
            Ok(observation) => observation,
            Err(error) => {
                self.report_failure(poll, error.into());
                return self.give_up().await;
            }
        };
        self.log_answer();
        self.report(PollEventKind::Answered {
            sent,
            received,
            late: poll.late(),
            observation,
        });
        let feedback = |server| PollFeedback::Answered {
            server,
            sent,
            received,
        };
        self.reply(feedback).await;
    }

    async fn on_refusal(
        &mut self,
        connection: Box<Connection>,
        poll: PendingPoll,
        error: PollFailure,
    ) {
        // If the server now requires a login, a new connection logs in.
        if connection.is_open() && error.reason != PollError::Auth {
            self.backoff.reset();
            self.link = ServerLink::Idle(connection);
            self.report_failure(&poll, error);
            self.give_up().await;
        } else if error.reason == PollError::Reset && !poll.second_try && !poll.timed_out {
            // It may have been closed long ago (a restart, an idle timeout), which proves nothing
            // about the server now.
            self.connect(PendingPoll {
                second_try: true,
                ..poll
            });
        } else {
            self.fail_and_disconnect(&poll, error).await;
        }
    }

    /// When to act if nothing arrives.
    fn deadline(&self) -> Option<Timestamp> {
        let poll = self.poll.as_ref()?;
        let delayed = poll.own_delay.until(clock::now());
        let times_out = (!poll.timed_out).then(|| poll.times_out_at(delayed));
        let overdue = self.overdue_at(poll, delayed).map(|(_, at)| at);
        let abandoned = self.abandon_at(poll, delayed);
        let deadlines = [times_out, overdue, abandoned];
        deadlines.into_iter().flatten().min()
    }

    async fn on_deadline(&mut self) {
        let now = clock::now();
        let Some(mut poll) = self.poll.take() else {
            return;
        };
        let delayed = poll.own_delay.until(now);
        if let Some((sent, at)) = self.overdue_at(&poll, delayed)
            && at <= now
        {
            poll.overdue = true;
            self.report(PollEventKind::Overdue { sent });
        }
        if !poll.timed_out && poll.times_out_at(delayed) <= now {
            let error = PollFailure::from(PollError::Timeout);
            if matches!(self.link, ServerLink::Connecting { .. }) {
                return self.fail_and_disconnect(&poll, error).await;
            }
            poll.timed_out = true;
            self.report_failure(&poll, error);
        }
        match self.abandon_at(&poll, delayed) {
            Some(at) if at <= now => self.abandon(now).await,
            _ => self.poll = Some(poll),
        }
    }

    /// Drops the connection with its request; the next poll opens another one.
    async fn abandon(&mut self, now: Timestamp) {
        tracing::info!(server = %self.server.addr, "a request has been unanswered for long: reconnecting");
        self.link = ServerLink::Down {
            retry_at: now,
            error: PollError::Timeout.into(),
        };
        self.give_up().await;
    }

    /// Since when this poll has waited for the server, and when it is overdue; `None` once that was
    /// reported.
    fn overdue_at(&self, poll: &PendingPoll, delayed: Span) -> Option<(Timestamp, Timestamp)> {
        if poll.overdue {
            return None;
        }
        let patience = poll.order.patience;
        let (began, patience) = match &self.link {
            ServerLink::Polling { since, watch, .. } => (watch.sent().unwrap_or(*since), patience),
            ServerLink::Connecting { began, .. } => (*began, patience.mul_f64(CONNECT_PATIENCE)),
            ServerLink::Down { .. } | ServerLink::Idle(_) => return None,
        };
        Some((began, began + patience + delayed))
    }

    /// When the connection is given up because the request stays unanswered.
    fn abandon_at(&self, poll: &PendingPoll, delayed: Span) -> Option<Timestamp> {
        let ServerLink::Polling { since, watch, .. } = &self.link else {
            return None;
        };
        let last_byte = watch.last_byte().unwrap_or(*since).max(*since);
        let usual = poll.order.timeout.mul_f64(SILENCE_FACTOR);
        let silence = self.min_silence.max(usual);
        let longest = silence.mul_f64(OUTSTANDING_FACTOR);
        Some((last_byte + silence).min(*since + longest) + delayed)
    }

    fn connect(&mut self, poll: PendingPoll) {
        let now = clock::now();
        let server = Arc::clone(&self.server);
        let within = (poll.times_out_at(poll.own_delay.until(now)) - now).or_zero();
        let done = Box::pin(async move { Connection::connect(&server, within).await });
        self.link = ServerLink::Connecting { began: now, done };
        self.poll = Some(poll);
    }

    fn send_info(&mut self, poll: PendingPoll) {
        let idle = std::mem::replace(
            &mut self.link,
            ServerLink::Down {
                retry_at: poll.began,
                error: PollError::Reset.into(),
            },
        );
        let ServerLink::Idle(mut connection) = idle else {
            return;
        };
        let watch = connection.watch();
        let done = Box::pin(async move {
            let result = connection.read_info(observe).await;
            let result = result.map_err(|reason| connection.explain(reason));
            (connection, result)
        });
        self.link = ServerLink::Polling {
            since: clock::now(),
            watch,
            done,
        };
        self.poll = Some(poll);
    }

    async fn fail_and_disconnect(&mut self, poll: &PendingPoll, error: PollFailure) {
        let wait = match error.reason {
            PollError::Refused => self.backoff.after_refusal(fastrand::f64()),
            _ => self.backoff.after_failure(fastrand::f64()),
        };
        self.link = ServerLink::Down {
            retry_at: clock::now() + wait,
            error: error.clone(),
        };
        // A poll that had timed out was reported as failed then.
        if !poll.timed_out {
            self.report_failure(poll, error);
        }
        self.give_up().await;
    }

    fn report_failure(&mut self, poll: &PendingPoll, error: PollFailure) {
        self.log_failure(&error);
        let kind = PollEventKind::Failed {
            began: poll.began,
            at: clock::now(),
            late: poll.late(),
            error,
        };
        self.report(kind);
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
        self.reply(|server| PollFeedback::GaveUp { server }).await;
    }

    async fn reply(&mut self, feedback: impl FnOnce(usize) -> PollFeedback) {
        let Some(ReplyTo { tree, server }) = &self.reply_to else {
            return;
        };
        // The tree's task never waits for this one, so this wait is short. An error means that the
        // tree has ended, and its result is not needed.
        let _ = tree.send(feedback(*server)).await;
    }
}

impl ServerLink {
    /// Waits until something happens on the link. Cancel-safe.
    async fn progress(&mut self) -> LinkProgress {
        match self {
            Self::Down { .. } | Self::Idle(_) => pending().await,
            Self::Connecting { began, done } => LinkProgress::Connected {
                began: *began,
                result: done.await,
            },
            Self::Polling { done, .. } => LinkProgress::Answered(done.await),
        }
    }
}

/// Parses an INFO reply.
pub(super) fn observe(text: &str) -> Observed {
    match info::parse(text) {
        Ok(observation) => Ok(Box::new(observation)),
        Err(InfoError::Loading) => Err(PollError::Loading),
        Err(InfoError::NotInfo | InfoError::NoRole | InfoError::Sentinel) => Err(PollError::Parse),
    }
}

#[cfg(test)]
mod tests;
