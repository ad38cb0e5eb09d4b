//! The writer of numbered batches and the probe that reads the numbers on the replica: where the
//! truth comes from.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Connection, LabError, Reply};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::truth::Record;

/// The period of batches, and with it the grain of the truth in time.
pub(crate) const WRITE_PERIOD: Duration = Duration::from_millis(20);
/// The period of readings on the replica: the other part of the grain.
pub(crate) const READ_PERIOD: Duration = Duration::from_millis(25);
/// How long a server may be frozen before the connection to it is given up.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// The pause before a broken connection is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// The key of the numbers.
const KEY: &str = "number";
/// Keys of what fills a batch; they are used again and again, so that a long take does not fill the
/// memory.
const FILLER_KEYS: usize = 100;

pub(crate) type Shared = Arc<Mutex<Record>>;

/// What each batch holds beside its number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// SET commands.
    pub(crate) fillers: usize,
    /// The length of the value of each.
    pub(crate) bytes: usize,
}

enum Order {
    Write(Option<Load>),
    GoTo(ServerAddr),
    Transaction(Load),
}

/// A running writer. On drop it stops.
pub(crate) struct NumberedWriter {
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl NumberedWriter {
    /// Writes a batch with `load` to `master` each [`WRITE_PERIOD`]; `None` waits for orders.
    pub(crate) fn start(master: &ServerAddr, load: Option<Load>, record: Shared) -> Self {
        let (orders, received) = mpsc::channel(1);
        let writer = Writer {
            master: master.clone(),
            load,
            record,
            connection: None,
        };
        Self {
            orders,
            task: tokio::spawn(writer.run(received)),
        }
    }

    /// From now on, batches hold `load`.
    pub(crate) async fn write(&self, load: Load) {
        self.order(Order::Write(Some(load))).await;
    }

    /// From now on, nothing is written. Every batch has been answered when this returns.
    pub(crate) async fn pause(&self) {
        self.order(Order::Write(None)).await;
    }

    /// From now on, batches go to `master`.
    pub(crate) async fn go_to(&self, master: &ServerAddr) {
        self.order(Order::GoTo(master.clone())).await;
    }

    /// Writes one batch as a transaction; returns when it was executed on the master.
    pub(crate) async fn transaction(&self, load: Load) {
        self.order(Order::Transaction(load)).await;
    }

    async fn order(&self, order: Order) {
        let (done, waiting) = oneshot::channel();
        self.orders
            .send((order, done))
            .await
            .expect("the writer runs");
        waiting.await.expect("the writer carries out the order");
    }
}

impl Drop for NumberedWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Writer {
    master: ServerAddr,
    load: Option<Load>,
    record: Shared,
    connection: Option<Connection>,
}

impl Writer {
    async fn run(mut self, mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        let mut tick = interval(WRITE_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    self.obey(order).await;
                    // Whoever gave the order may have gone.
                    let _ = done.send(());
                }
                _ = tick.tick() => if let Some(load) = self.load {
                    self.batch(load, false).await;
                },
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Write(load) => self.load = load,
            Order::GoTo(master) => (self.master, self.connection) = (master, None),
            Order::Transaction(load) => self.batch(load, true).await,
        }
    }

    /// Writes one batch. When the master is not there, none is made; when the answer is lost, the
    /// batch is in doubt.
    async fn batch(&mut self, load: Load, as_transaction: bool) {
        let Some(mut connection) = self.connected().await else {
            return sleep(RECONNECT_PAUSE).await;
        };
        let number = self.record.lock().unwrap().newest_batch() + 1;
        let mut commands = fillers(load, number);
        commands.push(vec!["SET".to_owned(), KEY.to_owned(), number.to_string()]);
        let bytes: usize = commands.iter().map(|command| stream_bytes(command)).sum();
        if as_transaction {
            // What is queued is not written yet: the transaction is as old as its EXEC.
            commands.insert(0, vec!["MULTI".to_owned()]);
            if send(&mut connection, &commands).await.is_err() {
                return;
            }
            commands = vec![vec!["EXEC".to_owned()]];
        }
        let begun = self
            .record
            .lock()
            .unwrap()
            .sending(clock::now(), bytes as u64);
        assert_eq!(begun, number, "one writer numbers all batches");
        if send(&mut connection, &commands).await.is_ok() {
            self.record.lock().unwrap().confirmed(number, clock::now());
            self.connection = Some(connection);
        }
    }

    async fn connected(&mut self) -> Option<Connection> {
        match self.connection.take() {
            Some(connection) => Some(connection),
            None => Some(
                Connection::open(&self.master, None)
                    .await
                    .ok()?
                    .within(ANSWER_LIMIT),
            ),
        }
    }
}

fn fillers(load: Load, number: usize) -> Vec<Vec<String>> {
    let value = "x".repeat(load.bytes);
    let key = |index| format!("filler:{}", (number + index) % FILLER_KEYS);
    (0..load.fillers)
        .map(|index| vec!["SET".to_owned(), key(index), value.clone()])
        .collect()
}

/// What a command takes in the replication stream: RESP, as it was sent.
fn stream_bytes(words: &[String]) -> usize {
    let digits = |number: usize| number.to_string().len();
    let word = |word: &String| 1 + digits(word.len()) + 2 + word.len() + 2;
    1 + digits(words.len()) + 2 + words.iter().map(word).sum::<usize>()
}

async fn send(connection: &mut Connection, commands: &[Vec<String>]) -> Result<(), LabError> {
    let replies = connection.commands(commands).await?;
    let refused = replies.into_iter().find_map(|reply| match reply {
        Reply::Error(reply) => Some(reply),
        _ => None,
    });
    refused.map_or(Ok(()), |reply| {
        panic!("the master refused a write: {reply}")
    })
}

/// A running probe. On drop it stops.
pub(crate) struct Probe(JoinHandle<()>);

impl Probe {
    /// Reads the number on `replica` each [`READ_PERIOD`], for as long as it takes.
    pub(crate) fn start(replica: &ServerAddr, record: Shared) -> Self {
        Self(tokio::spawn(probe(replica.clone(), record)))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn probe(replica: ServerAddr, record: Shared) {
    loop {
        // It may be dead for now.
        let Ok(connection) = Connection::open(&replica, None).await else {
            sleep(RECONNECT_PAUSE).await;
            continue;
        };
        // It ends when the connection breaks.
        let _ = read_on(connection.within(ANSWER_LIMIT), &record).await;
    }
}

async fn read_on(mut connection: Connection, record: &Shared) -> Result<(), LabError> {
    // A node of a cluster redirects whoever does not say this; other servers refuse it.
    let _ = connection.command(&["READONLY"]).await;
    let mut tick = interval(READ_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = clock::now();
        let shown = match connection.command(&["GET", KEY]).await {
            Ok(reply) => reply
                .text()
                .map(|text| text.parse().expect("the key holds a number")),
            Err(LabError::CommandRefused { reply, .. }) if reply.starts_with("LOADING") => None,
            // Busy with a script: that proves nothing.
            Err(LabError::CommandRefused { .. }) => continue,
            Err(error) => return Err(error),
        };
        record.lock().unwrap().read(asked, clock::now(), shown);
    }
}

#[test]
fn the_bytes_of_a_command_are_those_of_resp() {
    let words = ["SET", "number", "12"].map(str::to_owned);
    assert_eq!(
        stream_bytes(&words),
        "*3\r\n$3\r\nSET\r\n$6\r\nnumber\r\n$2\r\n12\r\n".len()
    );
}
