//! A monitor with many pairs in virtual time, whose servers answer as the simulated fleet does.

use std::net::Ipv4Addr;
use std::path::Path;

use redis_cross_dc_exporter::config::{Environment, Format, parse};
use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::model::{
    ClockAnchor, PollError, PollFailure, ServerAddr, Span, Timestamp, WallTime,
};
use redis_cross_dc_exporter::monitor::{
    Action, EVALUATION_TICK, FleetSnapshot, Monitor, PollEvent, PollEventKind,
};
use redis_cross_dc_exporter::topology::Topology;

use crate::fleet::Side;
use crate::fleet::replies::{Templates, Values};

/// The sections that the exporter asks for.
const SECTIONS: [&str; 5] = ["server", "replication", "stats", "persistence", "keyspace"];

/// Each server is polled every fourth tick: 2.5 times a second, as with `poll.interval: 1s`.
const TICKS_A_POLL: usize = 4;

/// From a request to its answer.
const ROUND_TRIP: Span = Span::from_millis(1);

/// What masters write between two ticks, in bytes.
const WRITTEN_A_TICK: u64 = 10_000;

/// One simulated server of the monitor.
struct Server {
    address: ServerAddr,
    pair: usize,
    side: Side,
}

/// The monitor, and everything that it watches.
pub(crate) struct World {
    pub(crate) monitor: Monitor,
    templates: Templates,
    servers: Vec<Server>,
    now: Timestamp,
    ticks: usize,
    /// Whether the replicas of every second pair refuse connections.
    half_fails: bool,
    /// The snapshot that readers have.
    published: Option<FleetSnapshot>,
}

impl World {
    /// `pairs` healthy pairs that have been watched for some seconds.
    pub(crate) fn healthy(pairs: usize) -> Self {
        let mut yaml = String::from("pairs:\n");
        let mut servers = Vec::new();
        for pair in 0..pairs {
            let master = address(1, pair);
            let replica = address(2, pair);
            yaml += &format!(
                "- {{name: p{pair}, master: {{address: '{master}', dc: dc1}}, \
                 replicas: [{{address: '{replica}', dc: dc2}}]}}\n"
            );
            for (text, side) in [(master, Side::Master), (replica, Side::Replica)] {
                let address = ServerAddr::parse(&text).expect("an address");
                servers.push(Server {
                    address,
                    pair,
                    side,
                });
            }
        }
        yaml += "notify: {receivers: [{name: hook, webhook: {url: 'http://hook.example.com/'}}]}\n";
        let environment = Environment::default();
        let settings = parse(&yaml, Format::Yaml, Path::new("."), &environment);
        let settings = settings.expect("a configuration");
        let now = Timestamp::default();
        let topology = Topology::from_settings(&settings);
        let mut world = Self {
            monitor: Monitor::new(&settings, &topology, anchor(now)),
            templates: Templates::read().expect("the captured replies"),
            servers,
            now,
            ticks: 0,
            half_fails: false,
            published: None,
        };
        for _ in 0..100 {
            world.step();
        }
        world
    }

    /// From now on the replicas of every second pair refuse connections.
    pub(crate) fn fail_half(&mut self) {
        self.half_fails = true;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Both clocks now.
    pub(crate) fn anchor(&self) -> ClockAnchor {
        anchor(self.now)
    }

    pub(crate) fn snapshot(&self) -> FleetSnapshot {
        self.monitor.snapshot(self.anchor())
    }

    /// Publishes a snapshot in place of the last one, as the core does.
    pub(crate) fn publish(&mut self) {
        self.monitor.prepare_snapshot(self.now);
        self.published = Some(self.snapshot());
    }

    /// One tick of time with everything that happens in it; returns what the monitor wants done.
    pub(crate) fn step(&mut self) -> Vec<Action> {
        self.advance();
        self.tick()
    }

    /// The monitor's tick now.
    pub(crate) fn tick(&mut self) -> Vec<Action> {
        self.monitor.tick(self.now)
    }

    /// One tick of time and its polls, without the monitor's tick.
    pub(crate) fn advance(&mut self) {
        for event in self.polls() {
            self.monitor.handle_poll(event);
        }
    }

    /// One tick of time, and the events of its polls.
    pub(crate) fn polls(&mut self) -> Vec<PollEvent> {
        self.now += EVALUATION_TICK;
        self.ticks += 1;
        let turn = self.ticks % TICKS_A_POLL;
        let due = self.servers.iter().skip(turn).step_by(TICKS_A_POLL);
        due.map(|server| self.poll(server)).collect()
    }

    /// What the poll of `server` that ends now comes to.
    fn poll(&self, server: &Server) -> PollEvent {
        let late = Span::ZERO;
        let sent = self.now - ROUND_TRIP;
        let fails =
            self.half_fails && server.side == Side::Replica && server.pair.is_multiple_of(2);
        let kind = if fails {
            PollEventKind::Failed {
                began: sent,
                at: self.now,
                late,
                error: PollFailure::server(PollError::Refused, "connection refused"),
            }
        } else {
            let text = self.reply(server.pair, server.side);
            PollEventKind::Answered {
                sent,
                received: self.now,
                late,
                observation: Box::new(info::parse(&text).expect("an INFO text")),
            }
        };
        PollEvent {
            server: server.address.clone(),
            kind,
        }
    }

    /// What a server answers now.
    pub(crate) fn reply(&self, pair: usize, side: Side) -> String {
        let partner = match side {
            Side::Master => ip(2, pair),
            Side::Replica => ip(1, pair),
        };
        let values = Values {
            pair,
            side,
            offset: 1_000 + self.ticks as u64 * WRITTEN_A_TICK,
            partner: (partner, 6379),
        };
        let mut frame = Vec::new();
        self.templates.write(&values, &SECTIONS, &mut frame);
        let frame = String::from_utf8(frame).expect("a captured text");
        let body = frame.split_once("\r\n").expect("a bulk string").1;
        body.trim_end().to_owned() + "\r\n"
    }
}

fn ip(dc: u8, pair: usize) -> Ipv4Addr {
    let network = u8::try_from(pair / 250).expect("at most 64,000 pairs");
    let host = u8::try_from(1 + pair % 250).expect("at most 250");
    Ipv4Addr::new(10, dc, network, host)
}

fn address(dc: u8, pair: usize) -> String {
    format!("{}:6379", ip(dc, pair))
}

fn anchor(at: Timestamp) -> ClockAnchor {
    ClockAnchor {
        mono: at,
        wall: WallTime::from_nanos(at.as_nanos()),
    }
}
