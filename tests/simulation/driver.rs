//! Polls the model world by the real schedule, and runs the monitor on it in virtual time.
//!
//! One request a server is under way; what takes too long is reported as overdue, then as failed,
//! and may still be answered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastrand::Rng;
use redis_cross_dc_exporter::alert::Notification;
use redis_cross_dc_exporter::config::Settings;
use redis_cross_dc_exporter::info::{self, Observation};
use redis_cross_dc_exporter::model::{
    ClockAnchor, PollError, RunId, ServerAddr, Span, Timestamp, WallTime,
};
use redis_cross_dc_exporter::monitor::{
    Action, FleetSnapshot, HeartbeatEvent, PairSnapshot, PollEvent, PollEventKind,
};
use redis_cross_dc_exporter::poll::{DuePoll, Intervals, TreeSchedule};
use redis_cross_dc_exporter::replication::{Assessment, ReceivedHeartbeat};
use redis_cross_dc_exporter::topology::Topology;

use crate::heartbeat_path;
use crate::replies;
use crate::settings::settings_of;
use crate::twins::Twins;
use crate::world::{MS, Nanos, SEC, Server, World};

pub(crate) const MASTER: &str = "10.1.0.1:6379";
pub(crate) const REPLICA: &str = "10.2.0.1:6379";

/// The network between the monitor and the servers, and how often it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// The smallest round trip to the master and to the replica.
    pub(crate) rtt: [Nanos; 2],
    /// At most this is added to each way.
    pub(crate) jitter: Nanos,
    /// The part of answers that never come.
    pub(crate) loss: f64,
    /// The part of answers that take up to 3 s longer.
    pub(crate) slow: f64,
    /// Whether a request that timed out is followed by another before it is answered, so that
    /// answers overtake.
    pub(crate) reconnects: bool,
    /// Mean time between two looks at the truth.
    pub(crate) look_every: Nanos,
    /// How often the monitor evaluates its rules.
    pub(crate) tick: Nanos,
    /// Added to every instant that the monitor is told.
    pub(crate) origin: Nanos,
    /// Time between two heartbeats; `None` is without.
    pub(crate) beats: Option<Nanos>,
    /// How often the servers are polled.
    pub(crate) intervals: Intervals,
    /// Whether a replica's poll may trail its master's by a replica delay.
    pub(crate) replica_delay: bool,
}

impl Conditions {
    /// 2 ms to the master, 80 ms to the replica, little jitter.
    pub(crate) const CALM: Self = Self {
        rtt: [2 * MS, 80 * MS],
        jitter: MS,
        loss: 0.0,
        slow: 0.0,
        reconnects: false,
        look_every: 250 * MS,
        tick: 100 * MS,
        origin: 0,
        beats: None,
        intervals: Intervals {
            base: Span::from_secs(1),
            boosted: Span::from_millis(250),
        },
        replica_delay: true,
    };
}

/// The monitor's opinion at one instant.
pub(crate) struct Look<'a> {
    pub(crate) now: Nanos,
    pub(crate) seen: Assessment,
    pub(crate) pair: &'a PairSnapshot,
    pub(crate) fleet: &'a FleetSnapshot,
    pub(crate) world: &'a World,
    /// When the replica's answers were made, by when they were asked for.
    pub(crate) served: &'a BTreeMap<Nanos, Nanos>,
    pub(crate) origin: Nanos,
}

impl Look<'_> {
    /// An instant of the monitor as the world's.
    pub(crate) fn world_time(&self, at: Timestamp) -> Nanos {
        at.as_nanos() - self.origin
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Schedule,
    Deliver(usize),
    Overdue(usize),
    Timeout(usize),
    Tick,
    Look,
    SendBeat,
    BeatArrives(usize),
}

struct Request {
    server: usize,
    sent: Nanos,
    /// What comes of it; taken when it is delivered.
    answer: Option<Result<Box<Observation>, PollError>>,
    failed: bool,
}

/// One run.
pub(crate) struct Driver {
    pub(crate) monitor: Twins,
    pub(crate) notifications: Vec<Notification>,
    /// How many polls were answered.
    pub(crate) answers: u64,
    /// How many polls of each server were sent.
    pub(crate) polls: [u64; 2],
    settings: Settings,
    world: World,
    conditions: Conditions,
    rng: Rng,
    now: Nanos,
    queue: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    sequence: u64,
    requests: Vec<Request>,
    outstanding: [Option<usize>; 2],
    served: BTreeMap<Nanos, Nanos>,
    /// In the world's time: its phase would follow a shifted clock.
    schedule: TreeSchedule,
    /// When the schedule is to be called next.
    scheduled: Nanos,
    last_text: [Option<(String, Observation)>; 2],
    /// Every heartbeat that comes out of the replica: when it was sent, and the master's process.
    beats: Vec<(Nanos, String)>,
    /// When the last of them arrives: one connection carries them all.
    last_beat: Nanos,
}

const TIMEOUT: [Nanos; 2] = [2 * SEC, 2 * SEC];

impl Driver {
    pub(crate) fn new(world: World, conditions: Conditions, seed: u64) -> Self {
        Self::with_settings(world, conditions, seed, settings())
    }

    /// A run with other rules than the default ones.
    pub(crate) fn with_settings(
        world: World,
        conditions: Conditions,
        seed: u64,
        settings: Settings,
    ) -> Self {
        let monitor = new_monitor(&settings, conditions.origin);
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let timeouts = TIMEOUT.map(Span::from_nanos);
        let schedule = TreeSchedule::new(
            1,
            &timeouts,
            conditions.intervals,
            rng.u64(..),
            Timestamp::default(),
        );
        let first_look = rng.i64(0..SEC);
        let mut driver = Self {
            monitor,
            settings,
            notifications: Vec::new(),
            answers: 0,
            polls: [0; 2],
            world,
            conditions,
            rng,
            now: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            requests: Vec::new(),
            outstanding: [None; 2],
            served: BTreeMap::new(),
            schedule,
            scheduled: Nanos::MAX,
            last_text: [None, None],
            beats: Vec::new(),
            last_beat: 0,
        };
        driver.plan();
        driver.at(0, Event::Tick);
        driver.at(first_look, Event::Look);
        if conditions.beats.is_some() {
            driver.at(first_look, Event::SendBeat);
        }
        driver
    }

    /// The monitor forgets everything, as after a restart of its process.
    pub(crate) fn restart_monitor(&mut self) {
        self.monitor = self.new_monitor();
    }

    /// A monitor that begins now.
    pub(crate) fn new_monitor(&self) -> Twins {
        new_monitor(&self.settings, self.conditions.origin + self.now)
    }

    /// The world's time.
    pub(crate) fn now(&self) -> Nanos {
        self.now
    }

    /// From now on the monitor runs on a machine whose clock is ahead of the world's by `origin`.
    /// To be followed by a restart: instants of before mean nothing.
    pub(crate) fn move_to(&mut self, origin: Nanos) {
        self.conditions.origin = origin;
    }

    /// For so long no monitor runs: nothing is asked, and answers that are on their way reach
    /// nobody.
    pub(crate) fn sleep(&mut self, span: Nanos) {
        self.now += span;
        self.queue.clear();
        self.outstanding = [None; 2];
        let (timeouts, intervals) = (TIMEOUT.map(Span::from_nanos), self.conditions.intervals);
        let now = Timestamp::from_nanos(self.now);
        self.schedule = TreeSchedule::new(1, &timeouts, intervals, self.rng.u64(..), now);
        self.scheduled = Nanos::MAX;
        self.plan();
        self.at(self.now, Event::Tick);
        let first_look = self.now + self.rng.i64(1..SEC);
        self.at(first_look, Event::Look);
        if self.conditions.beats.is_some() {
            self.at(first_look, Event::SendBeat);
        }
    }

    /// Goes on until `until`, showing the monitor's opinion at random instants.
    pub(crate) fn run(&mut self, until: Nanos, mut look: impl FnMut(&Look<'_>)) {
        while let Some(Reverse((at, _, _))) = self.queue.peek() {
            if *at > until {
                break;
            }
            let Some(Reverse((at, _, event))) = self.queue.pop() else {
                break;
            };
            self.now = at;
            match event {
                Event::Schedule => self.go_on(),
                Event::Deliver(request) => self.deliver(request),
                Event::Overdue(request) => self.overdue(request),
                Event::Timeout(request) => self.time_out(request),
                Event::Tick => self.tick(),
                Event::SendBeat => self.send_beat(),
                Event::BeatArrives(beat) => self.beat_arrives(beat),
                Event::Look => {
                    self.look(&mut look);
                    let wait = 1 + self.rng.i64(0..2 * self.conditions.look_every);
                    self.at(self.now + wait, Event::Look);
                }
            }
        }
        self.now = until;
    }

    /// The monitor's opinion now.
    pub(crate) fn look(&self, look: &mut impl FnMut(&Look<'_>)) {
        let fleet = self.monitor.snapshot(anchor(self.stamp(self.now)));
        let pair = &fleet.pairs[0];
        look(&Look {
            now: self.now,
            seen: pair.assess(self.stamp(self.now)),
            pair,
            fleet: &fleet,
            world: &self.world,
            served: &self.served,
            origin: self.conditions.origin,
        });
    }

    /// The world's time on the monitor's clock.
    pub(crate) fn stamp(&self, at: Nanos) -> Timestamp {
        Timestamp::from_nanos(at + self.conditions.origin)
    }

    fn at(&mut self, at: Nanos, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, event)));
    }

    fn tick(&mut self) {
        for action in self.monitor.tick(self.stamp(self.now)) {
            match action {
                Action::Notify(notification) => self.notifications.push(notification),
                Action::BoostPolling { server, until, .. } => {
                    let index = usize::from(server != addr(0));
                    let until = Timestamp::from_nanos(until.as_nanos() - self.conditions.origin);
                    self.schedule
                        .boost(index, until, Timestamp::from_nanos(self.now));
                }
                Action::LinkDelay { delay, .. } => self
                    .schedule
                    .set_link_delay(1, self.conditions.replica_delay.then_some(delay)),
                // For the log, which a simulation does not keep.
                Action::StateChanged(_) | Action::AlertChanged(_) | Action::Paused(_) => {}
            }
        }
        self.plan();
        self.at(self.now + self.conditions.tick, Event::Tick);
    }

    /// Has the schedule called when it wants to be.
    fn plan(&mut self) {
        let next = self.schedule.poll_at().as_nanos().max(self.now);
        if next != self.scheduled {
            self.scheduled = next;
            self.at(next, Event::Schedule);
        }
    }

    fn go_on(&mut self) {
        // Another instant was planned since.
        if self.now != self.scheduled {
            return;
        }
        self.scheduled = Nanos::MAX;
        for ask in self.schedule.on_time(Timestamp::from_nanos(self.now)) {
            self.ask(ask);
        }
        self.plan();
    }

    fn ask(&mut self, ask: DuePoll) {
        let DuePoll {
            server, patience, ..
        } = ask;
        if self.outstanding[server].is_some() {
            return self.tell(server, PollEventKind::Skipped);
        }
        self.polls[server] += 1;
        let (answered_at, received) = self.travel(server);
        let id = self.requests.len();
        let answer = answered_at.map(|at| self.answer(server, at));
        self.requests.push(Request {
            server,
            sent: self.now,
            answer,
            failed: false,
        });
        self.outstanding[server] = Some(id);
        if let Some(at) = answered_at {
            if server == 1 {
                self.served.insert(self.now, at);
            }
            self.at(received, Event::Deliver(id));
        }
        // What is answered in time needs no alarm clock.
        if answered_at.is_none() || received >= self.now + patience.as_nanos() {
            self.at(self.now + patience.as_nanos(), Event::Overdue(id));
            self.at(self.now + TIMEOUT[server], Event::Timeout(id));
        }
    }

    /// When a request that is sent now is served, and when its answer arrives.
    fn travel(&mut self, server: usize) -> (Option<Nanos>, Nanos) {
        let Conditions {
            rtt,
            jitter,
            loss,
            slow,
            ..
        } = self.conditions;
        if self.rng.f64() < loss {
            return (None, Nanos::MAX);
        }
        let half = rtt[server] / 2;
        let mut leg = || half + self.rng.i64(0..=jitter);
        let (out, back) = (leg(), leg());
        let late = if self.rng.f64() < slow {
            self.rng.i64(0..3 * SEC)
        } else {
            0
        };
        let who = if server == 0 {
            Server::Master
        } else {
            Server::Replica
        };
        let mut read_at = self.heal(who, self.now + out);
        if server == 1 {
            read_at = self
                .world
                .stopped_until(read_at)
                .map_or(read_at, |resumed| resumed + MS);
        }
        let received = self
            .heal(who, read_at + back + late)
            .max(read_at + back + late);
        (Some(read_at), received)
    }

    /// What cannot get through now is sent again until it can.
    fn heal(&self, who: Server, at: Nanos) -> Nanos {
        let cut = self
            .world
            .cut_off
            .iter()
            .find(|(server, from, to)| *server == who && (*from..*to).contains(&at));
        cut.map_or(at, |(_, _, to)| to + 50 * MS)
    }

    fn answer(&mut self, server: usize, at: Nanos) -> Result<Box<Observation>, PollError> {
        let text = if server == 0 {
            replies::master(&self.world, at)
        } else {
            replies::replica(&self.world, at)
        };
        let text = text.ok_or(PollError::Refused)?;
        let last = self.last_text[server]
            .take()
            .filter(|(known, _)| *known == text);
        let seen = last.unwrap_or_else(|| {
            let seen = info::parse(&text).expect("the model writes INFO");
            (text, seen)
        });
        let observation = seen.1.clone();
        self.last_text[server] = Some(seen);
        Ok(Box::new(observation))
    }

    /// Sends a heartbeat, and follows it to the replica and back.
    fn send_beat(&mut self) {
        let Conditions {
            rtt,
            jitter,
            beats,
            slow,
            ..
        } = self.conditions;
        let reached = self.now + rtt[0] / 2 + self.rng.i64(0..=jitter);
        let executed = self.heal(Server::Master, reached);
        if let Some((applied, master)) = heartbeat_path::applied(&self.world, executed) {
            let late = if self.rng.f64() < slow {
                self.rng.i64(0..3 * SEC)
            } else {
                0
            };
            let back = applied + rtt[1] / 2 + self.rng.i64(0..=jitter) + late;
            let arrives = self.heal(Server::Replica, back).max(self.last_beat);
            self.last_beat = arrives;
            self.beats.push((self.now, master));
            self.at(arrives, Event::BeatArrives(self.beats.len() - 1));
        }
        let wait = beats.map_or(SEC, |interval| {
            interval * (970 + self.rng.i64(0..60)) / 1000
        });
        self.at(self.now + wait, Event::SendBeat);
    }

    fn beat_arrives(&mut self, beat: usize) {
        let (sent, master) = &self.beats[beat];
        let life = |name: &str| RunId::parse(name).expect("a name");
        let (sent, received) = (self.stamp(*sent), self.stamp(self.now));
        let beat = ReceivedHeartbeat {
            sent,
            received,
            master: life(master),
            replica: life(replies::REPLICA_LIFE),
        };
        let top = ServerAddr::parse(MASTER).expect("an address");
        self.tell(
            1,
            PollEventKind::Heartbeat(HeartbeatEvent::Arrived { top, beat }),
        );
    }

    fn tell(&mut self, server: usize, kind: PollEventKind) {
        let event = PollEvent {
            server: addr(server),
            kind,
        };
        self.monitor.handle_poll(event, self.stamp(self.now));
    }

    fn deliver(&mut self, id: usize) {
        let (server, sent) = (self.requests[id].server, self.requests[id].sent);
        if self.outstanding[server] == Some(id) {
            self.outstanding[server] = None;
        }
        match self.requests[id].answer.take() {
            Some(Ok(observation)) => {
                self.answers += 1;
                let (world_sent, now) =
                    (Timestamp::from_nanos(sent), Timestamp::from_nanos(self.now));
                let (sent, received) = (self.stamp(sent), self.stamp(self.now));
                self.tell(
                    server,
                    PollEventKind::Answered {
                        sent,
                        received,
                        observation,
                        late: Span::ZERO,
                    },
                );
                self.schedule.on_answer(server, world_sent, now, now);
            }
            Some(Err(error)) => {
                self.fail(id, error);
                self.give_up(server);
            }
            None => {}
        }
        self.plan();
    }

    fn give_up(&mut self, server: usize) {
        self.schedule
            .on_give_up(server, Timestamp::from_nanos(self.now));
        self.plan();
    }

    fn fail(&mut self, id: usize, error: PollError) {
        if std::mem::replace(&mut self.requests[id].failed, true) {
            return;
        }
        let (server, began, at) = (
            self.requests[id].server,
            self.stamp(self.requests[id].sent),
            self.stamp(self.now),
        );
        self.tell(
            server,
            PollEventKind::Failed {
                began,
                at,
                error: error.into(),
                late: Span::ZERO,
            },
        );
    }

    fn is_pending(&self, id: usize) -> bool {
        self.outstanding[self.requests[id].server] == Some(id)
    }

    fn overdue(&mut self, id: usize) {
        if !self.is_pending(id) {
            return;
        }
        let sent = self.stamp(self.requests[id].sent);
        self.tell(self.requests[id].server, PollEventKind::Overdue { sent });
    }

    fn time_out(&mut self, id: usize) {
        if !self.is_pending(id) {
            return;
        }
        self.fail(id, PollError::Timeout);
        let never = self.requests[id].answer.is_none();
        if never || self.conditions.reconnects {
            self.outstanding[self.requests[id].server] = None;
            self.give_up(self.requests[id].server);
        }
    }
}

/// The master's address, or the replica's.
fn addr(server: usize) -> ServerAddr {
    ServerAddr::parse(if server == 0 { MASTER } else { REPLICA }).expect("an address")
}

/// The settings of the pair that is watched.
pub(crate) fn settings() -> Settings {
    let mut settings = settings_of(&[(
        "orders".to_owned(),
        MASTER.to_owned(),
        vec![REPLICA.to_owned()],
    )]);
    settings.pairs[0].heartbeat.enabled = true;
    settings
}

fn new_monitor(settings: &Settings, now: Nanos) -> Twins {
    Twins::new(
        settings,
        &Topology::from_settings(settings),
        anchor(Timestamp::from_nanos(now)),
    )
}

/// The wall clock is the monitor's own clock here: nothing may depend on it.
pub(crate) fn anchor(at: Timestamp) -> ClockAnchor {
    ClockAnchor {
        mono: at,
        wall: WallTime::from_nanos(at.as_nanos()),
    }
}
