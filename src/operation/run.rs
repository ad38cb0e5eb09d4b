//! A run of an operation: what has been proved so far, and what comes next.

use std::collections::BTreeSet;

use super::ending::{Ending, Outcome};
use super::goal::Goal;
use super::hook_names::{HookProofs, HookStage};
use super::intent::Intent;
use super::journal::{Entry, Record};
use super::order::{Order, OrderError, OrderResult};
use super::sentinel_proofs::SentinelProofs;
use super::token::Token;
use super::view::{EqualOffsets, World};
use crate::info::Role;
use crate::model::{ReplicationId, ServerAddr, Span, Timestamp};

/// A pause is renewed after this share of its time.
const RENEW_AFTER: f64 = 0.25;

/// How long a server that does not answer is asked again before the operation ends without it.
pub(super) const PATIENCE: Span = Span::from_secs(10);

/// Between two looks at a server that does not answer, or at a link that is not up.
pub(super) const RETRY: Span = Span::from_millis(200);

/// The most orders of one run: more are a circle.
pub(super) const TOO_MANY_ORDERS: u32 = 100;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Ask the servers again: the old master, the target, the old master.
    Look {
        /// After waiting this long.
        after: Span,
        /// The other replicas, too.
        everyone: bool,
    },
    /// Give an order. It has to be in the journal first, unless it only renews a pause.
    Do {
        /// The order.
        order: Order,
        /// Whether it only renews what an earlier one did.
        renewal: bool,
    },
    /// Run the hooks of the configuration.
    Hooks {
        /// Which.
        stage: HookStage,
        /// Who is the master now; `None` before the operation.
        master: Option<ServerAddr>,
    },
    /// It is over.
    End(Ending),
}

/// A pause of writes, from when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// The first instant at which it may be over.
    until: Timestamp,
    /// When it is time to renew it.
    renew: Timestamp,
}

/// The old master's last position as a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demoted {
    pub(super) replid: ReplicationId,
    pub(super) offset: u64,
    pub(super) at: Timestamp,
}

/// What this run has proved.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// The pause of writes on the old master.
    pub(super) fence: Option<Lease>,
    /// The pause of writes on the target.
    pub(super) hold: Option<Lease>,
    /// Whether the target may have taken writes: its pause ended, or there was none.
    pub(super) hold_broken: bool,
    /// When writes began to wait.
    pub(super) fenced_at: Option<Timestamp>,
    /// How often in a row the target was close.
    pub(super) close_polls: u32,
    /// Where the old master's stream ended at the last look.
    pub(super) last_end: Option<u64>,
    /// The target level with the old master, before the demotion.
    pub(super) equal: Option<EqualOffsets>,
    /// How often the old master was told to become a replica.
    pub(super) demotions: u32,
    /// How often the old master was told to become a master again.
    pub(super) restorations: u32,
    pub(super) demoted: Option<Demoted>,
    /// Whether the target was told to become a master, in this run or an earlier one.
    pub(super) promote_sent: bool,
    /// The target's count of full syncs before its promotion.
    pub(super) full_syncs: Option<u64>,
    pub(super) promoted_at: Option<Timestamp>,
    /// When the target began to take writes.
    pub(super) opened_at: Option<Timestamp>,
    /// For how long writes had waited when the old master took them again.
    pub(super) given_back_after: Option<Span>,
    /// Servers that were told once and are not told again.
    pub(super) told: BTreeSet<(ServerAddr, &'static str)>,
    /// What failed, for somebody to look after.
    pub(super) open: Vec<String>,
    /// What the operation leaves to be done by its nature.
    pub(super) obligations: Vec<String>,
    /// Full syncs that the new master gave since its promotion.
    pub(super) full_syncs_given: Option<u64>,
    /// Since when a server has been silent.
    pub(super) silent_since: Option<Timestamp>,
    /// Since when a link has been waited for.
    pub(super) waiting_since: Option<Timestamp>,
    /// The last progress of a sync that is waited for.
    pub(super) progress: Option<(u64, Timestamp)>,
    /// Why the run turned back.
    pub(super) why_back: Option<String>,
    /// Whether an earlier run began this operation.
    pub(super) is_resumed: bool,
    /// What is known of the Sentinels.
    pub(super) sentinel: SentinelProofs,
    /// Where everything was acknowledged, before the demotion of a hand-over.
    pub(super) handed: Option<Token>,
    /// When the old master was seen to follow the new one, after a take-over.
    pub(super) old_follows_since: Option<Timestamp>,
}

/// A run of an operation.
#[derive(Debug)]
pub struct Run {
    pub(super) intent: Intent,
    pub(super) goal: Goal,
    pub(super) proofs: Proofs,
    pub(super) hooks: HookProofs,
    pub(super) began: Timestamp,
    pub(super) orders: u32,
    /// What was proved since it was last asked for, a sentence each.
    news: Vec<String>,
    /// When the progress of a sync was last shown.
    pub(super) shown_at: Option<Timestamp>,
    /// Since when a sync is under way.
    pub(super) sync_since: Option<Timestamp>,
}

impl Lease {
    fn new(result: &OrderResult, lease: Span, before: Option<Self>) -> Self {
        // A later pause never ends an earlier one sooner (`pauseClients` in networking.c).
        let until = result.sent + lease;
        Self {
            renew: result.sent + lease.mul_f64(RENEW_AFTER),
            until: before.map_or(until, |earlier| earlier.until.max(until)),
        }
    }

    /// Whether it certainly lasts at `now`.
    pub(super) fn lasts(self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether it is time to renew it.
    pub(super) fn is_old(self, now: Timestamp) -> bool {
        now >= self.renew
    }
}

impl Run {
    /// The first run of an operation.
    pub fn new(intent: Intent, now: Timestamp) -> Self {
        let proofs = Proofs {
            hold_broken: !intent.holds_target(),
            ..Proofs::default()
        };
        Self {
            intent,
            goal: Goal::Forward,
            proofs,
            hooks: HookProofs::default(),
            began: now,
            orders: 0,
            news: Vec::new(),
            shown_at: None,
            sync_since: None,
        }
    }

    /// A further run of an operation whose journal holds `entries`.
    pub fn resume(intent: Intent, goal: Goal, entries: &[Entry], now: Timestamp) -> Self {
        let mut run = Self::new(intent, now);
        run.goal = goal;
        run.proofs.is_resumed = true;
        if goal == Goal::Back {
            run.proofs.why_back = Some("a rollback was asked for".to_owned());
        }
        for entry in entries {
            match &entry.record {
                Record::Will { order, .. } => run.recall(order),
                Record::Hook { .. } => run.hooks.begun = true,
                _ => {}
            }
        }
        run
    }

    /// Notes an order of an earlier run, which may have been carried out.
    fn recall(&mut self, order: &Order) {
        self.recall_hooks(order);
        let is_old = *order.server() == self.intent.old.addr;
        match order {
            Order::Promote { .. } if !is_old => self.proofs.promote_sent = true,
            // Undone: the old master is promoted only while the target certainly is none.
            Order::Promote { .. } => {
                self.proofs.promote_sent = false;
                self.proofs.restorations = 1;
            }
            Order::Demote { .. } if is_old => self.proofs.demotions = 1,
            Order::SentinelFailover { .. } => self.proofs.promote_sent = true,
            Order::Priority { server, value, .. } => {
                self.note_priority(server, *value);
            }
            _ => {}
        }
    }

    /// The operation's intent.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Where the run is going.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// For how long writes waited, where this run paused them: until the new master took them, or
    /// the old one again.
    pub fn pause(&self) -> Option<Span> {
        if let Some(opened) = self.proofs.opened_at {
            return Some(opened - self.proofs.fenced_at?);
        }
        self.proofs.given_back_after
    }

    /// When the new master began to take writes.
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.proofs.opened_at
    }

    /// Notes how an order ended.
    pub fn note(&mut self, order: &Order, result: &OrderResult) {
        self.orders += u32::from(!matches!(order, Order::Pause { .. }));
        let is_old = *order.server() == self.intent.old.addr;
        if let Err(OrderError::NotKept(words)) = &result.reply {
            let server = order.server();
            self.add_open(format!(
                "{server} cannot keep its role over a restart (CONFIG REWRITE: {words}): write it \
                 into its file by hand"
            ));
        }
        let is_done = matches!(result.reply, Ok(()) | Err(OrderError::NotKept(_)));
        match order {
            Order::Pause { lease, .. } if is_done => self.note_pause(is_old, *lease, result),
            Order::Unpause { .. } if is_done => self.note_unpause(is_old, result),
            Order::Demote { .. } => self.note_demotion(is_old, is_done, result),
            Order::Promote { .. } => self.note_promotion(is_old, is_done, result),
            Order::SentinelFailover { .. } => return self.note_sentinel(result),
            Order::Priority { server, value, .. }
                if !matches!(result.reply, Err(OrderError::Refused(_))) =>
            {
                self.note_priority(server, *value);
            }
            _ => {}
        }
        if let Err(OrderError::Refused(words)) = &result.reply {
            self.note_refusal(order, words);
        }
    }

    fn note_pause(&mut self, is_old: bool, lease: Span, result: &OrderResult) {
        let proofs = &mut self.proofs;
        let place = if is_old {
            proofs.fenced_at = proofs.fenced_at.or(Some(result.sent));
            &mut proofs.fence
        } else {
            &mut proofs.hold
        };
        let still_lasting = place.filter(|before| before.lasts(result.sent));
        *place = Some(Lease::new(result, lease, still_lasting));
    }

    fn note_unpause(&mut self, is_old: bool, result: &OrderResult) {
        if is_old {
            self.note_given_back(result.received);
            return;
        }
        self.proofs.hold = None;
        // Also where the answer to its promotion was lost.
        let said = result.said.as_ref();
        if said.is_some_and(|said| said.role == Role::Master) {
            self.proofs.opened_at = Some(result.received);
        }
    }

    /// The old master takes writes again.
    fn note_given_back(&mut self, at: Timestamp) {
        let proofs = &mut self.proofs;
        proofs.fence = None;
        if let Some(since) = proofs.fenced_at.take() {
            proofs.given_back_after = Some(at - since);
        }
    }

    fn note_demotion(&mut self, is_old: bool, is_done: bool, result: &OrderResult) {
        if !is_old {
            // The way back: the target is a replica again, and nobody is master.
            self.proofs.promote_sent &= !is_done;
            self.proofs.promoted_at = None;
            self.proofs.hold = None;
            return;
        }
        self.proofs.demotions += 1;
        self.proofs.fence = None;
        if let Some(said) = &result.said
            && is_done
            && said.upstream.is_some()
        {
            self.proofs.demoted = Some(Demoted {
                replid: said.replid.clone(),
                offset: said.offset,
                at: result.received,
            });
        }
    }

    fn note_promotion(&mut self, is_old: bool, is_done: bool, result: &OrderResult) {
        let proofs = &mut self.proofs;
        if is_old {
            proofs.restorations += 1;
            proofs.equal = None;
            proofs.demoted = None;
            self.note_given_back(result.received);
            return;
        }
        // A refusal is certain; silence is not.
        let is_refused = matches!(result.reply, Err(OrderError::Refused(_)));
        proofs.promote_sent = !is_refused;
        if is_done {
            proofs.promoted_at = Some(result.received);
            if proofs.hold_broken {
                proofs.opened_at = Some(result.received);
            }
        }
    }

    fn note_sentinel(&mut self, result: &OrderResult) {
        match self.proofs.sentinel.note_failover(result) {
            Ok(()) => self.proofs.promote_sent = true,
            Err(words) => self.tell(format!("a Sentinel refused to promote the target: {words}")),
        }
    }

    fn note_priority(&mut self, server: &ServerAddr, value: u64) {
        if let Some(intent) = &self.intent.sentinel {
            let sentinel = &mut self.proofs.sentinel;
            sentinel.note_priority(&intent.priorities, server, value);
        }
    }

    fn note_refusal(&mut self, order: &Order, words: &str) {
        let server = order.server();
        let commands = order.commands().join(" / ");
        let sentence = format!("{server} refused {commands}: {words}");
        match order {
            // Setting a priority is a part of the way forward; putting it back is not.
            Order::Follow { .. } | Order::Keep { .. } | Order::Priority { rewrite: true, .. } => {
                self.add_open(sentence);
            }
            _ if self.goal == Goal::Forward => self.turn_back(sentence),
            _ => self.add_open(sentence),
        }
    }

    /// Whether a Sentinel was told to promote the target, in this run or an earlier one.
    pub(super) fn has_told_sentinel(&self) -> bool {
        self.intent.sentinel.is_some() && self.proofs.promote_sent
    }

    /// Gives the forward way up.
    pub(super) fn turn_back(&mut self, why: impl Into<String>) {
        self.goal = Goal::Back;
        self.proofs.why_back.get_or_insert(why.into());
        self.proofs.waiting_since = None;
    }

    /// Adds something for somebody to do, once.
    pub(super) fn add_open(&mut self, sentence: String) {
        if !self.proofs.open.contains(&sentence) {
            self.proofs.open.push(sentence);
        }
    }

    /// Adds what the operation leaves to be done by its nature, once.
    pub(super) fn oblige(&mut self, sentence: String) {
        if !self.proofs.obligations.contains(&sentence) {
            self.proofs.obligations.push(sentence);
        }
    }

    /// Notes something that was proved.
    pub(super) fn tell(&mut self, sentence: impl Into<String>) {
        self.news.push(sentence.into());
    }

    /// What was proved since the last call.
    pub fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// How many full syncs the new master gave since its promotion, where that was counted.
    pub fn full_syncs_given(&self) -> Option<u64> {
        self.proofs.full_syncs_given
    }

    /// Gives `order` to a server once; `None` where that was done, `what` being the kind of order.
    pub(super) fn once(&mut self, what: &'static str, order: Order) -> Option<Act> {
        let key = (order.server().clone(), what);
        if !self.proofs.told.insert(key) {
            return None;
        }
        Some(give(order))
    }

    /// Pauses the writes of the old master, or those of the target.
    pub(super) fn pause_writes(&self, server: &ServerAddr, before: Option<Lease>) -> Act {
        Act::Do {
            order: Order::Pause {
                server: server.clone(),
                lease: self.intent.limits.lease,
            },
            renewal: before.is_some(),
        }
    }

    /// Looks again after `after`, unless that has been going on for longer than `limit`.
    pub(super) fn wait(&mut self, now: Timestamp, after: Span, limit: Span) -> Option<Act> {
        let since = *self.proofs.waiting_since.get_or_insert(now);
        if now - since > limit {
            return None;
        }
        Some(Act::Look {
            after,
            everyone: false,
        })
    }

    /// Asks a silent server again; `None` once that has been done for long enough.
    pub(super) fn ask_again(&mut self, now: Timestamp) -> Option<Act> {
        let since = *self.proofs.silent_since.get_or_insert(now);
        if now - since > PATIENCE {
            return None;
        }
        Some(Act::Look {
            after: RETRY,
            everyone: false,
        })
    }

    /// The end of the run.
    pub(super) fn end(&self, outcome: Outcome, sentence: impl Into<String>) -> Ending {
        let mut sentence = sentence.into();
        if let Some(why) = &self.proofs.why_back {
            sentence = format!("{sentence}, because {why}");
        }
        let open = self.proofs.obligations.iter().chain(&self.proofs.open);
        Ending::new(outcome, sentence).with_open(open.cloned().collect())
    }

    /// The end that leaves something for a person.
    pub(super) fn incomplete(&mut self, world: &World, why: &str, todo: String) -> Act {
        self.add_open(todo);
        let sentence = format!("{}; {why}", world.masters());
        Act::End(self.end(Outcome::Incomplete, sentence))
    }
}

/// Whether the server's file keeps its role: where that is not known, CONFIG REWRITE is tried.
pub(super) fn can_keep(said: &super::view::Said) -> bool {
    said.has_config_file != Some(false)
}

/// Gives an order.
pub(super) const fn give(order: Order) -> Act {
    Act::Do {
        order,
        renewal: false,
    }
}

/// Looks at once.
pub(super) const fn look() -> Act {
    Act::Look {
        after: Span::ZERO,
        everyone: false,
    }
}
