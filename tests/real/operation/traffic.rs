//! Switch-overs under every kind of command that moves a stream in a way of its own: keys that
//! expire, PUBLISH, transactions, scripts, and clients that wait in BLPOP. `make drill` makes a
//! hundred.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_cross_dc_exporter::lab::{Connection, Reply};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::task::JoinHandle;

use super::drill::variable;
use super::watcher::Watcher;
use super::writer::{PATIENCE, Writer};
use super::{Duo, counter, ids, numbers, until_follows};

/// A script that writes in its own words.
const SCRIPT: &str = "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[2])";

/// What a client did and was told.
#[derive(Debug, Default)]
struct Seen {
    /// Numbers of transactions that were acknowledged.
    transactions: BTreeSet<u64>,
    /// Numbers of scripts.
    scripts: BTreeSet<u64>,
    /// Numbers that were put into the queue.
    pushed: BTreeSet<u64>,
}

/// What the client in BLPOP got, and how often its connection ended while it waited.
#[derive(Debug, Default)]
struct Taken {
    numbers: Vec<u64>,
    cut_off: usize,
}

/// Both clients at work.
struct Traffic {
    stop: Arc<AtomicBool>,
    mixed: JoinHandle<Seen>,
    waiting: JoinHandle<Taken>,
}

impl Traffic {
    fn start(servers: &[ServerAddr; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self {
            mixed: tokio::spawn(mix(servers.to_vec(), Arc::clone(&stop))),
            waiting: tokio::spawn(wait(servers.to_vec(), Arc::clone(&stop))),
            stop,
        }
    }

    async fn stop(self) -> (Seen, Taken) {
        self.stop.store(true, Ordering::Relaxed);
        (self.mixed.await.unwrap(), self.waiting.await.unwrap())
    }
}

/// A connection to the servers in turn.
struct Anywhere {
    servers: Vec<ServerAddr>,
    place: usize,
    connection: Option<Connection>,
}

impl Anywhere {
    fn new(servers: Vec<ServerAddr>) -> Self {
        Self {
            servers,
            place: 0,
            connection: None,
        }
    }

    /// Sends commands back to back; `None` where they were refused or cut off: then the next server
    /// is asked the next time.
    async fn send(&mut self, commands: &[Vec<&str>]) -> Option<Vec<Reply>> {
        if self.connection.is_none() {
            let server = &self.servers[self.place % self.servers.len()];
            self.place += 1;
            let opened = Connection::open(server, None).await.ok();
            self.connection = opened.map(|open| open.within(PATIENCE));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let replies = self.connection.as_mut()?.commands(commands).await.ok();
        let is_refused =
            |replies: &Vec<Reply>| replies.iter().any(|reply| matches!(reply, Reply::Error(_)));
        if replies.as_ref().is_none_or(is_refused) {
            self.connection = None;
            return None;
        }
        replies
    }
}

async fn mix(servers: Vec<ServerAddr>, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut server = Anywhere::new(servers);
    let mut beat = tokio::time::interval(Duration::from_millis(2));
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        beat.tick().await;
        let text = number.to_string();
        let brief = format!("brief:{}", number % 500);
        let transaction = [
            vec!["MULTI"],
            vec!["RPUSH", "transactions", &text],
            vec!["INCR", "transactions:count"],
            vec!["EXEC"],
        ];
        let replies = server.send(&transaction).await;
        if let Some(Reply::Array(_)) = replies.as_deref().and_then(<[Reply]>::last) {
            seen.transactions.insert(number);
        }
        let script = vec!["EVAL", SCRIPT, "2", "scripts", "scripts:count", &text];
        if server.send(&[script]).await.is_some() {
            seen.scripts.insert(number);
        }
        let rest = [
            vec!["SET", &brief, "x", "PX", "30"],
            vec!["PUBLISH", "news", &text],
        ];
        server.send(&rest).await;
        if server
            .send(&[vec!["RPUSH", "queue", &text]])
            .await
            .is_some()
        {
            seen.pushed.insert(number);
        }
    }
    seen
}

async fn wait(servers: Vec<ServerAddr>, stop: Arc<AtomicBool>) -> Taken {
    let mut taken = Taken::default();
    let mut server = Anywhere::new(servers);
    while !stop.load(Ordering::Relaxed) {
        match server.send(&[vec!["BLPOP", "queue", "1"]]).await.as_deref() {
            Some([Reply::Array(items)]) => {
                let number = items.last().and_then(Reply::text);
                taken
                    .numbers
                    .extend(number.and_then(|text| text.parse::<u64>().ok()));
            }
            Some(_) => {}
            None => taken.cut_off += 1,
        }
    }
    taken
}

/// The numbers in a list, which may not be there twice.
async fn once(server: &redis_cross_dc_exporter::lab::RedisServer, list: &str) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for number in numbers(server, list).await {
        assert!(found.insert(number), "{number} is twice in {list}");
    }
    found
}

/// Switches over so many times, there and back: what went over them.
async fn switch_over(times: u64) -> String {
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    let traffic = Traffic::start(&addrs);
    writer.after(200).await;
    let before = full_syncs(&duo).await;
    let mut master = 0;
    for _ in 0..times {
        duo.failover(&["--execute"]).await.ended_with(0);
        master = 1 - master;
        writer.after(50).await;
        until_follows(&duo.servers[1 - master], &duo.servers[master]).await;
    }
    let (seen, taken) = traffic.stop().await;
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    let server = &duo.servers[master];
    written.check_against(&ids(server).await);
    assert_eq!(written.in_doubt, Vec::<u64>::new());
    assert_eq!(full_syncs(&duo).await, before, "full syncs");
    let transactions = once(server, "transactions").await;
    let scripts = once(server, "scripts").await;
    let lost: Vec<_> = seen.transactions.difference(&transactions).collect();
    assert!(lost.is_empty(), "transactions: {lost:?}");
    let lost: Vec<_> = seen.scripts.difference(&scripts).collect();
    assert!(lost.is_empty(), "scripts: {lost:?}");
    check_queue(&seen, &taken, &once(server, "queue").await);
    format!(
        "{times} switch-overs: {} writes, {} transactions, {} scripts, {} items of a queue ({} connections \
         cut off in BLPOP): 0 lost, 0 twice, no full sync; {samples} samples, never two masters",
        written.acked.len(),
        seen.transactions.len(),
        seen.scripts.len(),
        seen.pushed.len(),
        taken.cut_off
    )
}

/// Every item is taken once, or still there. One that was taken while the connection ended may have
/// reached nobody: that is BLPOP's nature.
fn check_queue(seen: &Seen, taken: &Taken, left: &BTreeSet<u64>) {
    let got: BTreeSet<u64> = taken.numbers.iter().copied().collect();
    assert_eq!(got.len(), taken.numbers.len(), "an item was taken twice");
    let twice: Vec<_> = got.intersection(left).collect();
    assert!(twice.is_empty(), "taken and still there: {twice:?}");
    let missing = seen
        .pushed
        .iter()
        .filter(|number| !got.contains(number) && !left.contains(number));
    assert!(missing.count() <= taken.cut_off, "{taken:?}");
}

async fn full_syncs(duo: &Duo) -> u64 {
    counter(&duo.servers[0], "sync_full").await + counter(&duo.servers[1], "sync_full").await
}

#[tokio::test]
async fn no_kind_of_command_is_lost_or_doubled() {
    println!("{}", switch_over(4).await);
}

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn no_kind_of_command_is_lost_or_doubled_in_many_switch_overs() {
    let times = variable("DRILL_SWITCH_OVERS", 100);
    println!("{}", switch_over(times).await);
}
