//! The task that drives one replication tree: the pure schedule on one side, the tasks of its
//! servers on the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::budget::PollBudget;
use super::connections;
use super::pace::{Intervals, Round};
use super::report::Reporter;
use super::schedule::{DuePoll, TreeSchedule};
use super::server::{Assignment, Feedback, Order, Reply};
use super::timer;
use crate::clock;
use crate::config::PollSettings;
use crate::model::{Span, Timestamp};
use crate::monitor::PollEventKind;
use crate::topology::Server;

/// What a tree's task is told from outside: always the latest, so that telling never waits. When
/// the other end is gone, the task ends.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    /// Periods and timeouts; the interval is already the sustainable one.
    pub(super) settings: PollSettings,
    /// One for each server, in the schedule's order.
    pub(super) servers: Vec<ServerWish>,
    /// Counts the wishes for a round at once.
    pub(super) refreshes: u64,
}

/// What is wished for one server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ServerWish {
    /// It is polled in boost rounds until then.
    pub(super) boosted_until: Timestamp,
    /// What its link takes, one way.
    pub(super) delay: Option<Span>,
    /// Its master says that it is back; until then.
    pub(super) back_until: Timestamp,
}

/// What a tree's task tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    /// Wishes for a round at once that are settled: it ran, or there was no budget for it.
    pub(super) refreshes: u64,
    /// When the last round ended.
    pub(super) round_ended: Timestamp,
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
    orders: Vec<mpsc::Sender<Assignment>>,
    feedback: (mpsc::Sender<Feedback>, mpsc::Receiver<Feedback>),
    wishes: watch::Receiver<Wishes>,
    known: Wishes,
    served: watch::Sender<Served>,
    /// What the budget knows of this tree's demand.
    demand: f64,
    shared: Shared,
}

impl TreeTask {
    /// The task of the tree whose first `roots` servers are its roots, with each server's orders.
    /// `seed` is the hash of its identity.
    pub(super) fn new(
        roots: usize,
        members: Vec<(Arc<Server>, mpsc::Sender<Assignment>)>,
        seed: u64,
        (mut wishes, served): (watch::Receiver<Wishes>, watch::Sender<Served>),
        shared: Shared,
    ) -> Self {
        let known = wishes.borrow_and_update().clone();
        let (servers, orders): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let timeouts = timeouts(&servers, &known.settings);
        let now = clock::now();
        let mut schedule =
            TreeSchedule::new(roots, &timeouts, intervals(&known.settings), seed, now);
        schedule.look_first(shared.budget().share_of_base(), now);
        // Each server has at most one poll under way, which ends once.
        let feedback = mpsc::channel(servers.len().max(1));
        Self {
            schedule,
            servers,
            orders,
            feedback,
            wishes,
            known,
            served,
            demand: 0.0,
            shared,
        }
    }

    /// Polls until nobody can wish for anything any more.
    pub(super) async fn run(mut self) {
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
    }

    fn on_wishes(&mut self) {
        let now = clock::now();
        let new = self.wishes.borrow_and_update().clone();
        if new.settings != self.known.settings {
            self.schedule.set_intervals(
                intervals(&new.settings),
                &timeouts(&self.servers, &new.settings),
                now,
            );
        }
        for (index, (wish, before)) in new.servers.iter().zip(&self.known.servers).enumerate() {
            if wish.boosted_until > now && wish.boosted_until != before.boosted_until {
                self.schedule.boost(index, wish.boosted_until, now);
            }
            self.schedule.set_link_delay(index, wish.delay);
        }
        if new.refreshes != self.known.refreshes {
            self.schedule.refresh(now);
        }
        self.known = new;
        self.share_budget(now);
    }

    fn on_feedback(&mut self, feedback: Option<Feedback>) {
        let now = clock::now();
        match feedback {
            Some(Feedback::Answered {
                server,
                sent,
                received,
            }) => self.schedule.on_answer(server, sent, received, now),
            Some(Feedback::GaveUp { server }) => self.schedule.on_give_up(server, now),
            // This task holds a sender itself.
            None => {}
        }
    }

    fn on_time(&mut self) {
        let now = clock::now();
        let was_polling = self.schedule.is_polling();
        self.share_budget(now);
        if let Some(round) = self.schedule.due_round(now)
            && !self.may_begin(round, now)
        {
            self.schedule.put_off(round, now);
        } else {
            let missed = self.schedule.missed_rounds();
            let asks = self.schedule.on_time(now);
            self.shared
                .missed_rounds
                .fetch_add(self.schedule.missed_rounds() - missed, Ordering::Relaxed);
            for ask in asks {
                self.order(ask);
            }
        }
        self.tell_served(was_polling, now);
    }

    /// Tells the budget what this tree would like for boost rounds, and the schedule what it gets.
    fn share_budget(&mut self, now: Timestamp) {
        let demand = self.schedule.boost_demand(now);
        let before = std::mem::replace(&mut self.demand, demand);
        let mut budget = self.shared.budget();
        budget.change_demand(before, demand);
        self.schedule.set_stretch(budget.stretch());
    }

    fn may_begin(&self, round: Round, now: Timestamp) -> bool {
        let polls = self.schedule.polls_in(round, now);
        let mut budget = self.shared.budget();
        match round {
            Round::Base => {
                budget.charge(polls, now);
                true
            }
            Round::Refresh | Round::Boost => budget.try_take(polls, now),
            Round::HalfInterval => budget.try_take_spare(polls, now),
        }
    }

    /// Between two rounds every refresh that is not wanted any more is settled.
    fn tell_served(&self, was_polling: bool, now: Timestamp) {
        if self.schedule.is_polling() || self.schedule.wants_refresh() {
            return;
        }
        let refreshes = self.known.refreshes;
        self.served.send_if_modified(|served| {
            let news = served.refreshes != refreshes;
            served.refreshes = refreshes;
            if was_polling {
                served.round_ended = now;
            }
            news
        });
    }

    fn order(&mut self, ask: DuePoll) {
        let DuePoll {
            server,
            planned,
            patience,
        } = ask;
        let timeout = timeout_of(&self.servers[server], &self.known.settings);
        let is_back = self
            .known
            .servers
            .get(server)
            .is_some_and(|wish| wish.back_until > planned);
        let reply = Reply {
            to: self.feedback.0.clone(),
            server,
        };
        let assignment = Assignment {
            order: Order {
                planned,
                patience,
                timeout,
                is_back,
            },
            reply,
        };
        match self.orders[server].try_send(assignment) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.shared
                    .reporter
                    .report(&self.servers[server].addr, PollEventKind::Skipped);
            }
            Err(TrySendError::Closed(assignment)) => {
                tracing::error!(server = %self.servers[server].addr, "the server's polling task ended; starting it anew");
                (self.orders[server], _) =
                    connections::start(&self.servers[server], &self.shared.reporter);
                // A new queue is empty.
                let _ = self.orders[server].try_send(assignment);
            }
        }
    }
}

impl Drop for TreeTask {
    /// What ends would like nothing any more.
    fn drop(&mut self) {
        self.shared.budget().change_demand(self.demand, 0.0);
    }
}

impl Shared {
    /// The budget is whole between any two of its operations, so a poisoned one is too.
    pub(super) fn budget(&self) -> MutexGuard<'_, PollBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn intervals(settings: &PollSettings) -> Intervals {
    Intervals {
        base: settings.interval,
        boosted: settings.min_interval,
    }
}

fn timeouts(servers: &[Arc<Server>], settings: &PollSettings) -> Vec<Span> {
    servers
        .iter()
        .map(|server| timeout_of(server, settings))
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
