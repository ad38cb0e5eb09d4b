//! Clients of the exporter that mean no good: what each of them does again and again, and what it
//! must come to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::web::{connect, connect_narrow, outcome, read_all};

/// How often one client starts over at most. The floods take what they are given, not all of
/// this machine, on which the servers and this test run, too.
const PACE: Duration = Duration::from_millis(50);

/// How many clients of one kind start over in a second at most.
const PER_SECOND: f64 = 1000.0;

/// What one kind of client does.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends this and reads the answer.
    Send(Vec<u8>),
    /// Sends this a byte at a time.
    Drip(Vec<u8>),
    /// Sends the first and then the second forever, and reads the answer when that fails.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends this and reads nothing.
    NeverRead(Vec<u8>),
}

/// A kind of client.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How many of them there are at once.
    pub(super) clients: usize,
    pub(super) act: Act,
    /// What it may come to.
    pub(super) expected: &'static [&'static str],
}

/// How often what came of it.
pub(super) type Tally = BTreeMap<String, u64>;

/// Clients of several kinds at work. They end when this is dropped.
pub(super) struct HostileClients {
    kinds: Vec<Kind>,
    tallies: Vec<watch::Receiver<Tally>>,
    _work: JoinSet<()>,
}

impl HostileClients {
    /// Sets them all to work on `addr`.
    pub(super) fn at_work(addr: SocketAddr, kinds: Vec<Kind>) -> Self {
        let mut work = JoinSet::new();
        let mut tallies = Vec::new();
        for kind in &kinds {
            let (tally, seen) = watch::channel(Tally::new());
            tallies.push(seen);
            for _ in 0..kind.clients {
                work.spawn(again_and_again(
                    addr,
                    kind.act.clone(),
                    kind.pace(),
                    tally.clone(),
                ));
            }
        }
        Self {
            kinds,
            tallies,
            _work: work,
        }
    }

    /// The first kind that has not come to anything yet.
    pub(super) fn unfinished(&self) -> Option<&'static str> {
        let mut all = self.kinds.iter().zip(&self.tallies);
        all.find(|(_, tally)| tally.borrow().is_empty())
            .map(|(kind, _)| kind.name)
    }

    /// Prints what all came to, and checks that it is nothing else than what it may come to.
    pub(super) fn check(&self) {
        for (kind, tally) in self.kinds.iter().zip(&self.tallies) {
            eprintln!(
                "  {:4} x {:<40} {:?}",
                kind.clients,
                kind.name,
                *tally.borrow()
            );
        }
        for (kind, tally) in self.kinds.iter().zip(&self.tallies) {
            let strange: Vec<_> = tally
                .borrow()
                .keys()
                .filter(|seen| !kind.expected.contains(&seen.as_str()))
                .cloned()
                .collect();
            assert!(
                strange.is_empty(),
                "{}: {strange:?} instead of {:?}",
                kind.name,
                kind.expected
            );
        }
    }
}

impl Kind {
    fn pace(&self) -> Duration {
        let clients = u32::try_from(self.clients).unwrap_or(u32::MAX);
        PACE.max(Duration::from_secs_f64(f64::from(clients) / PER_SECOND))
    }
}

async fn again_and_again(addr: SocketAddr, act: Act, pace: Duration, tally: watch::Sender<Tally>) {
    let mut tick = interval(pace);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let seen = once(addr, &act, &tally)
            .await
            .unwrap_or_else(|_| "closed".to_owned());
        tally.send_modify(|tally| *tally.entry(seen).or_default() += 1);
    }
}

/// Does it once and returns the outcome. Errors of writing mean that the server has closed the
/// connection; what it sent before that is read all the same.
async fn once(
    addr: SocketAddr,
    act: &Act,
    tally: &watch::Sender<Tally>,
) -> std::io::Result<String> {
    let mut stream = match act {
        Act::NeverRead(_) => connect_narrow(addr).await?,
        _ => connect(addr).await?,
    };
    match act {
        Act::Send(bytes) => drop(stream.write_all(bytes).await),
        Act::Drip(bytes) => drip(&mut stream, bytes).await,
        Act::Endless(start, more) => {
            stream.write_all(start).await?;
            while stream.write_all(more).await.is_ok() {}
        }
        Act::NeverRead(bytes) => {
            stream.write_all(bytes).await?;
            stream.readable().await?;
            tally.send_modify(|tally| *tally.entry("stuck".to_owned()).or_default() += 1);
            // The server closes sooner or later; that is seen by writing, without reading anything.
            while stream.write_all(b"\r\n").await.is_ok() {
                sleep(PACE * 10).await;
            }
            return Ok("closed".to_owned());
        }
    }
    Ok(outcome(&read_all(&mut stream).await))
}

/// Writes a byte every now and then, as long as the server takes them.
async fn drip(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes.chunks(1) {
        if stream.write_all(byte).await.is_err() {
            return;
        }
        sleep(PACE * 4).await;
    }
}
