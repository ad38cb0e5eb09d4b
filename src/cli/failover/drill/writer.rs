//! The client of a drill: it writes numbers, and knows which of them were acknowledged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock;
use crate::lab::{Connection, LabError, RedisServer, Reply};
use crate::model::{ServerAddr, Span, Timestamp};

/// The list that holds the numbers.
const LIST: &str = "redis-cross-dc-drill";

/// After which silence the client tries the other server, as a client with a timeout does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two connections.
const RECONNECT: Duration = Duration::from_millis(2);

/// Numbers of the list that are read at once.
const LAST_NUMBER: &str = "1000000";

/// A client at work. It ends when it is dropped.
pub(super) struct DrillWriter {
    shared: Arc<Mutex<Written>>,
    task: JoinHandle<()>,
}

/// What the client knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// The numbers that were acknowledged.
    pub(super) acknowledged: BTreeSet<u64>,
    /// Those that nobody knows of: the connection ended before the answer.
    pub(super) in_doubt: BTreeSet<u64>,
    /// When the last one was acknowledged.
    last: Option<Timestamp>,
    /// The longest time without an acknowledgement since it was last asked for.
    longest: Span,
}

impl DrillWriter {
    /// Writes to whichever of `servers` is the master, `per_second` times a second at most.
    pub(super) fn start(servers: Vec<ServerAddr>, per_second: u32) -> Self {
        let shared = Arc::new(Mutex::new(Written::default()));
        let pause = Duration::from_secs(1) / per_second.max(1);
        let task = tokio::spawn(write(servers, pause, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// What it knows now.
    pub(super) fn written(&self) -> Written {
        lock(&self.shared).clone()
    }

    /// The longest time without an acknowledgement since this was last called.
    pub(super) fn take_pause(&self) -> Span {
        std::mem::take(&mut lock(&self.shared).longest)
    }
}

impl Drop for DrillWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Written {
    fn acknowledge(&mut self, number: u64, now: Timestamp) {
        self.acknowledged.insert(number);
        if let Some(last) = self.last {
            self.longest = self.longest.max(now - last);
        }
        self.last = Some(now);
    }

    /// The acknowledged numbers that are not in `found`.
    pub(super) fn missing_from(&self, found: &[u64]) -> BTreeSet<u64> {
        let found: BTreeSet<u64> = found.iter().copied().collect();
        self.acknowledged.difference(&found).copied().collect()
    }
}

fn lock(shared: &Mutex<Written>) -> MutexGuard<'_, Written> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(servers: Vec<ServerAddr>, pause: Duration, shared: Arc<Mutex<Written>>) {
    let mut number = 0;
    for server in servers.iter().cycle() {
        // One that does not answer is left, and tried again in its turn.
        if let Ok(connection) = Connection::open(server, None).await {
            number = write_on(connection.within(PATIENCE), number, pause, &shared).await;
        }
        sleep(RECONNECT).await;
    }
}

/// Writes until something fails; the next number.
async fn write_on(
    mut connection: Connection,
    mut number: u64,
    pause: Duration,
    shared: &Mutex<Written>,
) -> u64 {
    loop {
        let text = number.to_string();
        let command = vec!["RPUSH", LIST, text.as_str()];
        match connection.commands(&[command]).await.as_deref() {
            Ok([Reply::Integer(_)]) => lock(shared).acknowledge(number, clock::now()),
            // READONLY and the like: certainly not carried out, so it is written again.
            Ok(_) => return number,
            Err(_) => {
                lock(shared).in_doubt.insert(number);
                return number + 1;
            }
        }
        number += 1;
        sleep(pause).await;
    }
}

/// The numbers on a server, in its order.
///
/// # Errors
/// It does not answer.
pub(super) async fn numbers(server: &RedisServer) -> Result<Vec<u64>, LabError> {
    let reply = server.command(&["LRANGE", LIST, "0", LAST_NUMBER]).await?;
    let Reply::Array(items) = reply else {
        return Ok(Vec::new());
    };
    let parsed = items.iter().filter_map(|item| item.text()?.parse().ok());
    Ok(parsed.collect())
}

/// The numbers in a file of lost writes.
pub(super) fn numbers_in(file: &[u8]) -> BTreeSet<u64> {
    let text = String::from_utf8_lossy(file);
    let words: Vec<&str> = text.split("\r\n").collect();
    let mut found = BTreeSet::new();
    // `RPUSH`, `$20`, the list, `$n`, the number: a line each.
    for window in words.windows(5) {
        if let [name, _, list, _, number] = window
            && *name == "RPUSH"
            && *list == LIST
        {
            found.extend(number.parse::<u64>().ok());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_file_are_found_between_other_commands() {
        let command = |number: &str| {
            let list = LIST.len();
            let digits = number.len();
            format!("*3\r\n$5\r\nRPUSH\r\n${list}\r\n{LIST}\r\n${digits}\r\n{number}\r\n")
        };
        let file = format!(
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n{}*1\r\n$4\r\nPING\r\n{}",
            command("7"),
            command("12")
        );
        assert_eq!(numbers_in(file.as_bytes()), [7, 12].into());
    }

    #[test]
    fn the_longest_pause_is_between_two_acknowledgements() {
        let at = |millis: i64| Timestamp::from_nanos(millis * 1_000_000);
        let mut written = Written::default();
        for (number, millis) in [(0, 0), (1, 5), (2, 45), (3, 50)] {
            written.acknowledge(number, at(millis));
        }
        assert_eq!(written.longest, Span::from_millis(40));
        assert_eq!(written.missing_from(&[0, 2]), [1, 3].into());
    }
}
