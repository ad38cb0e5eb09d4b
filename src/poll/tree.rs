//! The task that drives one replication tree: the pure schedule on one side, the tasks of its servers on the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::budget::PollBudget;
use super::report::Reporter;
use super::schedule::{Ask, Intervals, TreeSchedule};
use super::server::{Feedback, Order, ServerTask};
use super::timer;
use crate::clock;
use crate::config::PollSettings;
use crate::model::{Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::topology::Server;

/// Orders that may wait for one server. One: an order that finds another one waiting is not worth more.
const ORDER_QUEUE: usize = 1;

/// What a tree's task is told from outside: always the latest, so that telling never waits. When the other end is
/// gone, the task ends, and with it all of its servers' tasks and connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    /// Periods and timeouts; the interval is already the sustainable one.
    pub(super) settings: PollSettings,
    /// Rounds follow at the minimal interval until then.
    pub(super) urgent_until: Timestamp,
    /// Counts the wishes for a round at once.
    pub(super) refreshes: u64,
}

/// What all trees share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) reporter: Reporter,
    pub(super) budget: Arc<Mutex<PollBudget>>,
    pub(super) missed_rounds: Arc<AtomicU64>,
}

/// One tree's task.
pub(super) struct TreeTask {
    schedule: TreeSchedule,
    /// Roots first, as in the schedule.
    servers: Vec<Arc<Server>>,
    orders: Vec<mpsc::Sender<Order>>,
    tasks: JoinSet<()>,
    feedback: (mpsc::Sender<Feedback>, mpsc::Receiver<Feedback>),
    wishes: watch::Receiver<Wishes>,
    known: Wishes,
    shared: Shared,
}

impl TreeTask {
    /// The task of the tree whose first `roots` servers are its roots. `seed` is the hash of its identity.
    pub(super) fn new(
        roots: usize,
        servers: Vec<Arc<Server>>,
        seed: u64,
        mut wishes: watch::Receiver<Wishes>,
        shared: Shared,
    ) -> Self {
        let known = *wishes.borrow_and_update();
        let timeouts = timeouts(&servers, &known.settings);
        let schedule = TreeSchedule::new(roots, &timeouts, intervals(&known.settings), seed, clock::now());
        // Each server has at most one poll under way, which ends once.
        let feedback = mpsc::channel(servers.len().max(1));
        Self { schedule, servers, orders: Vec::new(), tasks: JoinSet::new(), feedback, wishes, known, shared }
    }

    /// Polls until nobody can wish for anything any more.
    pub(super) async fn run(mut self) {
        self.orders = (0..self.servers.len()).map(|index| self.start_server(index)).collect();
        loop {
            let next = Some(self.schedule.poll_at());
            tokio::select! {
                biased;
                changed = self.wishes.changed() => match changed {
                    Ok(()) => self.on_wishes(),
                    Err(_) => break,
                },
                feedback = self.feedback.1.recv() => self.on_feedback(feedback),
                () = timer::until(next) => self.on_time(),
            }
        }
        self.tasks.shutdown().await;
    }

    fn on_wishes(&mut self) {
        let now = clock::now();
        let new = *self.wishes.borrow_and_update();
        let old = std::mem::replace(&mut self.known, new);
        if new.settings != old.settings {
            self.schedule.set_intervals(intervals(&new.settings), &timeouts(&self.servers, &new.settings), now);
        }
        if new.urgent_until > now && new.urgent_until != old.urgent_until {
            self.schedule.set_urgent(new.urgent_until, now);
        }
        if new.refreshes != old.refreshes {
            self.schedule.refresh(now);
        }
    }

    fn on_feedback(&mut self, feedback: Option<Feedback>) {
        let now = clock::now();
        match feedback {
            Some(Feedback::Answered { server, sent, received }) => self.schedule.on_answer(server, sent, received, now),
            Some(Feedback::GaveUp { server }) => self.schedule.on_give_up(server, now),
            // This task holds a sender itself.
            None => {}
        }
    }

    fn on_time(&mut self) {
        let now = clock::now();
        if self.schedule.is_round_due(now) && !self.may_begin_round(now) {
            return self.schedule.put_off_extra(now);
        }
        let missed = self.schedule.missed_rounds();
        let asks = self.schedule.on_time(now);
        self.shared.missed_rounds.fetch_add(self.schedule.missed_rounds() - missed, Ordering::Relaxed);
        for ask in asks {
            self.order(ask);
        }
    }

    fn may_begin_round(&self, now: Timestamp) -> bool {
        let polls = self.schedule.polls_per_round();
        // The budget is whole between any two of its operations, so a poisoned one is too.
        let mut budget = self.shared.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if self.schedule.is_extra_due(now) {
            return budget.try_take(polls, now);
        }
        budget.charge(polls, now);
        true
    }

    fn order(&mut self, ask: Ask) {
        let Ask { server, planned, patience } = ask;
        let timeout = timeout_of(&self.servers[server], &self.known.settings);
        match self.orders[server].try_send(Order { planned, patience, timeout }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.shared.reporter.report(&self.servers[server].addr, PollEventKind::Skipped);
            }
            Err(TrySendError::Closed(order)) => {
                tracing::error!(server = %self.servers[server].addr, "the server's polling task ended; starting it anew");
                self.orders[server] = self.start_server(server);
                // A new queue is empty.
                let _ = self.orders[server].try_send(order);
            }
        }
    }

    fn start_server(&mut self, index: usize) -> mpsc::Sender<Order> {
        let (orders, received) = mpsc::channel(ORDER_QUEUE);
        let (server, reporter) = (Arc::clone(&self.servers[index]), self.shared.reporter.clone());
        let task = ServerTask::new(server, index, received, self.feedback.0.clone(), reporter);
        self.tasks.spawn(task.run());
        orders
    }
}

fn intervals(settings: &PollSettings) -> Intervals {
    Intervals { base: settings.interval, urgent: settings.min_interval }
}

fn timeouts(servers: &[Arc<Server>], settings: &PollSettings) -> Vec<Span> {
    servers.iter().map(|server| timeout_of(server, settings)).collect()
}

/// How long `server` may take to answer.
pub(super) fn timeout_of(server: &Server, settings: &PollSettings) -> Span {
    if server.local { settings.timeout_local } else { settings.timeout_remote }
}
