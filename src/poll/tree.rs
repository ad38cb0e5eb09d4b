//! The task that drives one replication tree: the pure schedule on one side, the tasks of its
//! servers on the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::connections;
use super::context::PollContext;
use super::round_timer::{Intervals, Round};
use super::schedule::{DuePoll, TreeSchedule};
use super::server::{PollCommand, PollFeedback, PollOrder, ReplyTo};
use super::timer;
use crate::clock;
use crate::config::PollSettings;
use crate::model::{Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::topology::Server;

/// What a tree's task is asked for: always the latest, so that requests never wait. The task ends
/// when the sender is dropped.
#[derive(Clone, Debug)]
pub(super) struct PollRequests {
    /// Periods and timeouts; the interval is the sustainable one.
    pub(super) settings: PollSettings,
    /// One for each server, in the schedule's order.
    pub(super) servers: Vec<ServerRequest>,
    /// How many refreshes were requested.
    pub(super) refreshes: u64,
}

/// What is requested for one server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ServerRequest {
    /// Until when it takes part in boost rounds.
    pub(super) boosted_until: Timestamp,
    /// How long its link takes, one way.
    pub(super) link_delay: Option<Span>,
    /// Until when its master's report counts that it is connected again.
    pub(super) back_until: Timestamp,
}

/// How far a tree's task is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TreeProgress {
    /// How many of the requested refreshes are done: their round has ended, or the budget did not
    /// allow it.
    pub(super) refreshes: u64,
    /// When the last round ended.
    pub(super) round_ended: Timestamp,
}

/// A server of the tree, and where its task takes commands.
pub(super) struct TreeServer {
    pub(super) server: Arc<Server>,
    pub(super) commands: mpsc::Sender<PollCommand>,
}

/// One tree's task.
pub(super) struct TreeTask {
    schedule: TreeSchedule,
    /// Roots first, as in the schedule.
    servers: Vec<TreeServer>,
    feedback_to: mpsc::Sender<PollFeedback>,
    feedback: mpsc::Receiver<PollFeedback>,
    requests: watch::Receiver<PollRequests>,
    /// The requests as they were last applied.
    applied: PollRequests,
    progress: watch::Sender<TreeProgress>,
    /// The demand of this tree that was reported to the budget, in polls a second.
    demand: f64,
    context: PollContext,
}

impl TreeTask {
    /// The task of the tree whose first `roots` servers are its roots. `seed` is the hash of the
    /// tree's identity.
    pub(super) fn new(
        roots: usize,
        servers: Vec<TreeServer>,
        seed: u64,
        mut requests: watch::Receiver<PollRequests>,
        progress: watch::Sender<TreeProgress>,
        context: PollContext,
    ) -> Self {
        let applied = requests.borrow_and_update().clone();
        let timeouts = timeouts(&servers, &applied.settings);
        let intervals = intervals(&applied.settings);
        let now = clock::now();
        let mut schedule = TreeSchedule::new(roots, &timeouts, intervals, seed, now);
        schedule.poll_early(context.budget().share_of_base(), now);
        // Each server has at most one poll in progress, which ends once.
        let (feedback_to, feedback) = mpsc::channel(servers.len().max(1));
        Self {
            schedule,
            servers,
            feedback_to,
            feedback,
            requests,
            applied,
            progress,
            demand: 0.0,
            context,
        }
    }

    /// Polls until the sender of the requests is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let next = Some(self.schedule.poll_at());
            tokio::select! {
                biased;
                changed = self.requests.changed() => match changed {
                    Ok(()) => self.apply_requests(),
                    Err(_) => break,
                },
                feedback = self.feedback.recv() => self.on_feedback(feedback),
                () = timer::until(next) => self.on_time(),
            }
        }
    }

    fn apply_requests(&mut self) {
        let now = clock::now();
        let new = self.requests.borrow_and_update().clone();
        if new.settings != self.applied.settings {
            let timeouts = timeouts(&self.servers, &new.settings);
            let intervals = intervals(&new.settings);
            self.schedule.set_intervals(intervals, &timeouts, now);
        }
        let servers = new.servers.iter().zip(&self.applied.servers);
        for (index, (request, before)) in servers.enumerate() {
            let until = request.boosted_until;
            if until > now && until != before.boosted_until {
                self.schedule.boost(index, until, now);
            }
            self.schedule.set_link_delay(index, request.link_delay);
        }
        if new.refreshes != self.applied.refreshes {
            self.schedule.refresh(now);
        }
        self.applied = new;
        self.share_budget(now);
    }

    fn on_feedback(&mut self, feedback: Option<PollFeedback>) {
        let now = clock::now();
        match feedback {
            Some(PollFeedback::Answered {
                server,
                sent,
                received,
            }) => self.schedule.on_answer(server, sent, received, now),
            Some(PollFeedback::GaveUp { server }) => self.schedule.on_give_up(server, now),
            // This task holds a sender itself.
            None => {}
        }
    }

    fn on_time(&mut self) {
        let now = clock::now();
        let was_polling = self.schedule.is_polling();
        self.share_budget(now);
        match self.schedule.due_round(now) {
            Some(round) if !self.may_begin(round, now) => self.schedule.put_off(round, now),
            _ => self.advance(now),
        }
        self.publish_progress(was_polling, now);
    }

    /// Advances the schedule, and sends the polls that are due.
    fn advance(&mut self, now: Timestamp) {
        let missed_before = self.schedule.missed_rounds();
        let polls = self.schedule.on_time(now);
        let missed = self.schedule.missed_rounds() - missed_before;
        let total = &self.context.missed_rounds;
        total.fetch_add(missed, Ordering::Relaxed);
        for poll in polls {
            self.send(poll);
        }
    }

    /// Reports this tree's demand for boost rounds to the budget, and passes the share that it gets
    /// to the schedule.
    fn share_budget(&mut self, now: Timestamp) {
        let demand = self.schedule.boost_demand(now);
        let before = std::mem::replace(&mut self.demand, demand);
        let mut budget = self.context.budget();
        budget.change_demand(before, demand);
        self.schedule.set_stretch(budget.stretch());
    }

    fn may_begin(&self, round: Round, now: Timestamp) -> bool {
        let polls = self.schedule.polls_in(round, now);
        let mut budget = self.context.budget();
        match round {
            Round::Base => {
                budget.charge(polls, now);
                self.context.rounds.fetch_add(1, Ordering::Relaxed);
                true
            }
            Round::Refresh | Round::Boost => budget.try_take(polls, now),
            Round::HalfInterval => budget.try_take_spare(polls, now),
        }
    }

    /// Between two rounds, every requested refresh that does not wait to begin is done.
    fn publish_progress(&self, was_polling: bool, now: Timestamp) {
        if self.schedule.is_polling() || self.schedule.wants_refresh() {
            return;
        }
        let refreshes = self.applied.refreshes;
        if self.progress.borrow().refreshes != refreshes {
            // Whoever waits for it looks for its results.
            self.context.reporter.flush();
        }
        self.progress.send_if_modified(|progress| {
            let changed = progress.refreshes != refreshes;
            progress.refreshes = refreshes;
            if was_polling {
                progress.round_ended = now;
            }
            changed
        });
    }

    /// Commands the server's task to poll. Nothing is queued: if the server's last poll has not
    /// ended, this one is skipped.
    fn send(&mut self, poll: DuePoll) {
        let Some(member) = self.servers.get_mut(poll.server) else {
            return; // the schedule has no other servers
        };
        let is_back = match self.applied.servers.get(poll.server) {
            Some(request) => request.back_until > poll.planned,
            None => false,
        };
        let command = PollCommand {
            order: PollOrder {
                planned: poll.planned,
                patience: poll.patience,
                timeout: timeout_of(&member.server, &self.applied.settings),
                is_back,
            },
            reply_to: ReplyTo {
                tree: self.feedback_to.clone(),
                server: poll.server,
            },
        };
        let context = &self.context;
        match member.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let addr = &member.server.addr;
                context.reporter.report(addr, PollEventKind::Skipped);
            }
            Err(TrySendError::Closed(command)) => member.restart(command, context),
        }
    }
}

impl TreeServer {
    /// Starts the server's task again with `command`, after it has ended by a panic.
    fn restart(&mut self, command: PollCommand, context: &PollContext) {
        let addr = &self.server.addr;
        tracing::error!(server = %addr, "the server's polling task ended; restarting it");
        let (commands, _) = connections::start(&self.server, context);
        // The new channel is empty and open: this cannot fail.
        drop(commands.try_send(command));
        self.commands = commands;
    }
}

impl Drop for TreeTask {
    /// A tree that is gone has no demand.
    fn drop(&mut self) {
        self.context.budget().change_demand(self.demand, 0.0);
    }
}

fn intervals(settings: &PollSettings) -> Intervals {
    Intervals {
        base: settings.interval,
        boosted: settings.min_interval,
    }
}

fn timeouts(servers: &[TreeServer], settings: &PollSettings) -> Vec<Span> {
    let servers = servers.iter();
    servers
        .map(|member| timeout_of(&member.server, settings))
        .collect()
}

/// How long `server` may take to answer.
pub(super) fn timeout_of(server: &Server, settings: &PollSettings) -> Span {
    if server.local {
        settings.timeout_local
    } else {
        settings.timeout_remote
    }
}
