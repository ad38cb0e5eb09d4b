//! Two servers in memory: as much of Redis as a switch-over depends on, with a clock of its own.

use super::super::*;
use super::{addr, history, master, replica};
use crate::info::Role;
use crate::model::{ServerAddr, Span, Timestamp};

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    view: ServerView,
    /// Until when its writes wait.
    paused_until: Timestamp,
    /// Whether it answers.
    pub(super) answers: bool,
    /// The end of the clients' acknowledged writes that went to it.
    acked: u64,
}

/// Both servers, and what happens to them by chance.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) servers: [Server; 2],
    pub(super) now: Timestamp,
    pub(super) chance: fastrand::Rng,
    histories: u8,
    /// The way from the old master to the target is closed.
    pub(super) old_cannot_follow: bool,
    /// The hooks that fail.
    pub(super) failing_hooks: Option<HookStage>,
    /// The Sentinel that watches them.
    pub(super) sentinel: Option<SentinelModel>,
    /// Whether masters send PINGs, also while writes wait.
    pub(super) pings: bool,
    /// When replicas last acknowledged what they have.
    acknowledged: Timestamp,
}

/// As much of a Sentinel as a promotion depends on.
#[derive(Debug)]
pub(super) struct SentinelModel {
    /// The priority of the target.
    pub(super) priority: u64,
    /// The priority that it has last learned, and when it learns it again.
    learned: u64,
    learns_at: Timestamp,
    /// How often it refuses before it promotes.
    pub(super) refusals: u32,
    /// When it promotes the target, once it was told to.
    promotes_at: Option<Timestamp>,
    /// Whether it ever does.
    pub(super) promotes: bool,
}

impl Server {
    fn new(view: ServerView) -> Self {
        Self {
            view,
            paused_until: Timestamp::default(),
            answers: true,
            acked: 1000,
        }
    }

    fn said(&mut self) -> &mut Said {
        self.view.said.as_mut().unwrap()
    }

    pub(super) fn is_master(&self) -> bool {
        self.view.is_master()
    }

    /// The end of what it holds.
    pub(super) fn end(&self) -> u64 {
        self.view.said().unwrap().applied()
    }
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        let mut model = Self {
            servers: [Server::new(master(1)), Server::new(replica(2, 1))],
            now: Timestamp::from_nanos(1_000_000_000_000),
            chance: fastrand::Rng::with_seed(seed),
            histories: 0,
            old_cannot_follow: false,
            failing_hooks: None,
            sentinel: None,
            pings: false,
            acknowledged: Timestamp::default(),
        };
        model.pass(Span::from_millis(1));
        model
    }

    /// The same under a Sentinel.
    pub(super) fn under_sentinel(seed: u64) -> Self {
        let mut model = Self::new(seed);
        model.sentinel = Some(SentinelModel {
            priority: 100,
            learned: 100,
            learns_at: model.now + Span::from_secs(10),
            refusals: model.chance.u32(0..3),
            promotes_at: None,
            promotes: true,
        });
        model
    }

    /// What the Sentinel does by itself.
    fn pass_sentinel(&mut self) {
        let now = self.now;
        let Some(sentinel) = &mut self.sentinel else {
            return;
        };
        if now >= sentinel.learns_at {
            sentinel.learned = sentinel.priority;
            sentinel.learns_at = now + Span::from_secs(10);
        }
        if sentinel.promotes_at.is_some_and(|at| now >= at) {
            sentinel.promotes_at = None;
            if !self.servers[1].is_master() {
                self.promote(1);
            }
        }
    }

    fn tell_sentinel(&mut self) -> Result<(), OrderError> {
        let wait = Span::from_millis(self.chance.i64(10..400));
        let sentinel = self.sentinel.as_mut().expect("a Sentinel");
        if sentinel.promotes_at.is_some() {
            return Err(OrderError::Refused(
                "INPROG Failover already in progress".to_owned(),
            ));
        }
        if sentinel.refusals > 0 {
            sentinel.refusals -= 1;
            return Err(OrderError::Refused(
                "NOGOODSLAVE No suitable replica to promote".to_owned(),
            ));
        }
        if sentinel.promotes {
            sentinel.promotes_at = Some(self.now + wait);
        }
        Ok(())
    }

    fn look_at_sentinel(&self) -> Vec<SentinelView> {
        let Some(sentinel) = &self.sentinel else {
            return Vec::new();
        };
        let master = usize::from(self.servers[1].is_master());
        vec![SentinelView {
            addr: addr(26379),
            said: Ok(SentinelSaid {
                master: self.servers[master].view.addr.clone(),
                epoch: Some(1),
                is_down: false,
                failing_over: sentinel.promotes_at.is_some(),
                tilted: Some(false),
                down_after: Some(Span::from_secs(3)),
                priorities: vec![(addr(2), sentinel.learned)],
            }),
        }]
    }

    fn index(server: &ServerAddr) -> usize {
        usize::from(*server != addr(1))
    }

    /// Whether the server takes a client's write now.
    pub(super) fn accepts(&self, index: usize) -> bool {
        let server = &self.servers[index];
        server.is_master() && self.now >= server.paused_until
    }

    /// Time passes: clients write, replicas apply.
    pub(super) fn pass(&mut self, span: Span) {
        self.now += span;
        self.pass_sentinel();
        let both = self.accepts(0) && self.accepts(1);
        assert!(!both, "two servers accept writes: {self:#?}");
        for index in 0..2 {
            if self.accepts(index) {
                let written = self.chance.u64(1..200);
                let server = &mut self.servers[index];
                server.said().offset += written;
                server.acked = server.said().offset;
            }
        }
        for index in 0..2 {
            if self.pings && self.servers[index].is_master() && self.chance.u8(..100) == 0 {
                self.servers[index].said().offset += 14;
            }
        }
        for index in 0..2 {
            self.replicate(index);
        }
        for index in 0..2 {
            self.list_replica(index);
        }
        if self.now - self.acknowledged >= Span::from_secs(1) {
            self.acknowledged = self.now;
        }
    }

    /// A master lists the other server while that follows it; what has been acknowledged changes
    /// once a second.
    fn list_replica(&mut self, index: usize) {
        let is_due = self.now - self.acknowledged >= Span::from_secs(1);
        let other = self.servers[1 - index].clone();
        let said = self.servers[index].said();
        let before = said.replicas.first().and_then(|listed| listed.acked);
        said.replicas.clear();
        if said.role == Role::Master && other.view.is_linked() {
            let acked = if is_due { Some(other.end()) } else { before };
            said.replicas.push(ListedReplica {
                addr: Some(other.view.addr.clone()),
                is_online: true,
                acked,
            });
        }
    }

    /// A replica applies some or all of what its master has, unless its writes wait.
    fn replicate(&mut self, index: usize) {
        let upstream = self.servers[1 - index].clone();
        let is_slow = self.chance.u8(..4) == 0;
        let is_closed = index == 0 && self.old_cannot_follow;
        let now = self.now;
        let server = &mut self.servers[index];
        let is_held = now < server.paused_until;
        let said = server.view.said.as_mut().unwrap();
        let Some(link) = &mut said.upstream else {
            return;
        };
        let master = upstream.view.said.as_ref().unwrap();
        let continues = master.replid == said.replid
            || (master.replid2.as_ref() == Some(&said.replid)
                && master
                    .second_offset
                    .is_some_and(|second| link.applied < second));
        if is_closed || !upstream.answers || is_slow {
            link.is_up = link.is_up && !is_closed;
            return;
        }
        // A replica without a master of its own gives what is on its way, and accepts no replica.
        link.is_up = upstream.is_master();
        let end = master.applied();
        if !continues {
            // A full sync.
            self.servers[1 - index].said().full_syncs += 1;
            let said = self.servers[index].said();
            said.upstream.as_mut().unwrap().applied = end;
            said.offset = end;
        } else if !is_held && end > link.applied {
            link.applied = end;
            said.offset = end;
        }
        let replid = upstream.view.said().unwrap().replid.clone();
        self.servers[index].said().replid = replid;
    }

    /// What the servers say, as the executor asks them.
    pub(super) fn look(&mut self) -> World {
        let mut ask = |index: usize| {
            self.pass(Span::from_millis(1));
            let server = &self.servers[index];
            let mut view = server.view.clone();
            if !server.answers {
                view.said = Err("no answer".to_owned());
            }
            view
        };
        let old = ask(0);
        let target = ask(1);
        let old_again = Some(ask(0));
        World {
            old,
            target,
            old_again,
            others: Vec::new(),
            sentinels: self.look_at_sentinel(),
        }
    }

    /// Carries an order out.
    pub(super) fn perform(&mut self, order: &Order) -> OrderResult {
        let sent = self.now;
        self.pass(Span::from_millis(1));
        if let Order::SentinelFailover { .. } = order {
            let reply = self.tell_sentinel();
            return OrderResult {
                sent,
                received: self.now,
                reply,
                said: None,
            };
        }
        let index = Self::index(order.server());
        if !self.servers[index].answers {
            return OrderResult {
                sent,
                received: self.now,
                reply: Err(OrderError::Unknown("no answer".to_owned())),
                said: None,
            };
        }
        self.apply(index, order);
        OrderResult {
            sent,
            received: self.now,
            reply: Ok(()),
            said: self.servers[index].view.said().cloned(),
        }
    }

    fn apply(&mut self, index: usize, order: &Order) {
        let now = self.now;
        match order {
            Order::Pause { lease, .. } => {
                let server = &mut self.servers[index];
                server.paused_until = server.paused_until.max(now + *lease);
            }
            Order::Unpause { .. } => self.servers[index].paused_until = now,
            Order::Demote { master, .. } | Order::Follow { master, .. } => {
                let server = &mut self.servers[index];
                server.paused_until = now;
                let said = server.said();
                let applied = said.offset;
                said.role = Role::Replica;
                said.upstream = Some(UpstreamView {
                    addr: Some(master.clone()),
                    is_up: false,
                    syncing: false,
                    sync_read: None,
                    sync_total: None,
                    applied,
                    last_io: None,
                });
            }
            Order::Promote { .. } => self.promote(index),
            Order::Keep { .. } => {}
            Order::Priority { value, .. } => {
                self.sentinel.as_mut().expect("a Sentinel").priority = *value;
            }
            Order::SentinelFailover { .. } => unreachable!("it is for the Sentinel"),
        }
    }

    /// A server becomes a master. It has to hold everything that clients were promised.
    fn promote(&mut self, index: usize) {
        let promised = self.servers[0].acked.max(self.servers[1].acked);
        let end = self.servers[index].end();
        assert!(end >= promised, "acknowledged writes are lost: {self:#?}");
        self.histories += 1;
        let digits = ['b', 'c', 'd', 'e', 'f'];
        let replid = history(digits[usize::from(self.histories) % digits.len()]);
        let said = self.servers[index].said();
        said.replid2 = Some(said.replid.clone());
        said.second_offset = Some(end + 1);
        said.offset = end;
        said.replid = replid;
        said.role = Role::Master;
        said.upstream = None;
    }
}
