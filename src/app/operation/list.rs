//! CLIENT LIST: who else works on a server, and whether Sentinels watch it.

use super::hand::{Hand, command, refusal};
use crate::client::Value;
use crate::model::Bytes;

/// The longest list: 100,000 connections of 300 bytes each.
const MAX_LIST: Bytes = Bytes::new(32 * 1024 * 1024);

/// What connections of operations are called; the operation's name follows.
pub(super) const NAME_HEAD: &str = "redis-cross-dc/failover/";

/// What is of interest in a CLIENT LIST.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// Names of other operations.
    pub(super) operations: Vec<String>,
    /// Connections of Sentinels.
    pub(super) sentinels: usize,
}

/// Lists the connections of a server. A connection of the operation `own` does not count.
///
/// # Errors
/// Why there is no list, in the server's words.
pub(super) async fn clients(hand: &mut Hand, own: &str) -> Result<Clients, String> {
    let replies = hand
        .request(&[command(&["CLIENT", "LIST"])], MAX_LIST)
        .await;
    let replies = replies.map_err(|failure| failure.sentence("the server"))?;
    let text = match replies.into_iter().next() {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(Value::SimpleString(line)) => line,
        Some(other) => return Err(refusal(other).unwrap_or_else(|| "another answer".to_owned())),
        None => return Err("no answer".to_owned()),
    };
    Ok(read(&text, own))
}

fn read(text: &str, own: &str) -> Clients {
    let mut found = Clients::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(name) = words.find_map(|word| word.strip_prefix("name=")) else {
            continue;
        };
        if let Some(id) = name.strip_prefix(NAME_HEAD) {
            if id != own && !found.operations.iter().any(|known| known == id) {
                found.operations.push(id.to_owned());
            }
        } else if name.starts_with("sentinel-") && name.ends_with("-cmd") {
            found.sentinels += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_operations_and_sentinels_are_found_by_their_names() {
        let text = "id=3 addr=127.0.0.1:1 name= age=1\n\
            id=4 addr=127.0.0.1:2 name=redis-cross-dc/failover/own age=1\n\
            id=5 addr=127.0.0.1:3 name=redis-cross-dc/failover/x age=1\n\
            id=6 addr=127.0.0.1:3 name=redis-cross-dc/failover/x age=1\n\
            id=7 addr=127.0.0.1:4 name=sentinel-a1b2c3d4-cmd age=1\n\
            id=8 addr=127.0.0.1:4 name=sentinel-a1b2c3d4-pubsub age=1\n\
            nonsense\n";
        let found = read(text, "own");
        assert_eq!(found.operations, ["x"]);
        assert_eq!(found.sentinels, 1);
    }
}
