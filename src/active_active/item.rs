//! Items of the queue: what a site has written and the other one may not have yet.

use std::fmt::Write;

use super::envelope::Envelope;
use super::error::Malformed;
use super::stamp::Stamp;
use super::{json, python};

/// An item: `{"key": "..", "data": <envelope>}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// The key.
    pub key: Vec<u8>,
    /// What it held when the item was made: the bytes inside the item.
    pub envelope: Envelope,
}

/// Why an item is set aside rather than applied: it would block everything behind it for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The item itself is none, or its envelope is none.
    Malformed(Malformed),
    /// The other site holds another type of value under the key.
    WrongType,
    /// The other site holds something under the key that is no envelope.
    StoredMalformed,
    /// It was written by a clock that is far ahead.
    Future,
    /// It is so old that the tombstone of a later deletion may have expired.
    ExpiredTombstone,
}

impl Rejection {
    /// Its name in records and reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongType => "wrong_type",
            Self::StoredMalformed => "stored_malformed",
            Self::Future => "future",
            Self::ExpiredTombstone => "expired_tombstone",
        }
    }
}

impl QueueItem {
    /// Reads an item.
    ///
    /// # Errors
    /// What about `text` makes it no item.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let members = json::members(text).ok_or(Malformed::NotAnObject)?;
        let key = json::last(&members, "key").and_then(json::unescape);
        let data = json::last(&members, "data").ok_or(Malformed::NoData)?;
        Ok(Self {
            key: key.ok_or(Malformed::NoKey)?,
            envelope: Envelope::parse(data.to_vec())?,
        })
    }

    /// The item of a write, as Python's `json.dumps` would write it.
    pub fn text(key: &str, envelope: &Envelope) -> Vec<u8> {
        let mut text = format!("{{\"key\": {}, \"data\": ", python::string(key)).into_bytes();
        text.extend_from_slice(envelope.text());
        text.push(b'}');
        text
    }
}

/// What is kept of an item that is set aside: an object with the reason, the time on the server's
/// clock, and the whole item as a string, or in hexadecimal if it is not UTF-8.
pub fn rejected_record(item: &[u8], rejection: Rejection, at: Option<Stamp>) -> Vec<u8> {
    let content = match std::str::from_utf8(item) {
        Ok(text) => format!("\"item\": {}", python::string(text)),
        Err(_) => format!("\"item_hex\": \"{}\"", hexadecimal(item)),
    };
    let time = at.map_or_else(|| "null".to_owned(), |at| at.to_string());
    let reason = rejection.label();
    format!("{{\"reason\": \"{reason}\", \"rejected_at\": {time}, {content}}}").into_bytes()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Where items are kept that cannot be applied. The braces put it into the same slot of a Redis
/// Cluster as the queue.
pub fn rejected_list(queue: &str) -> String {
    format!("{{{queue}}}:rejected")
}

/// Where the library notes since when writes were not queued, because the queue was full.
pub fn overflow_key(queue: &str) -> String {
    format!("{{{queue}}}:overflow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_the_tutorial_is_read_and_written_the_same() {
        let text = "{\"key\": \"user:\\u00e9\", \"data\": {\"value\": 1, \"timestamp\": 1.5, \
                    \"dc\": \"dc1\", \"version\": \"dc1:1.5\"}}";
        let item = QueueItem::parse(text.as_bytes()).unwrap();
        assert_eq!(item.key, "user:é".as_bytes());
        assert_eq!(item.envelope.version().to_string(), "dc1:1.5");
        let written = QueueItem::text("user:é", &item.envelope);
        assert_eq!(String::from_utf8_lossy(&written), text);
    }

    #[test]
    fn what_is_no_item_says_why() {
        let cases = [
            ("x", Malformed::NotAnObject),
            (
                r#"{"data":{"value":1,"timestamp":1,"dc":"a"}}"#,
                Malformed::NoKey,
            ),
            (
                r#"{"key":1,"data":{"value":1,"timestamp":1,"dc":"a"}}"#,
                Malformed::NoKey,
            ),
            (r#"{"key":"a"}"#, Malformed::NoData),
            (r#"{"key":"a","data":"x"}"#, Malformed::NotAnObject),
            (
                r#"{"key":"a","data":{"value":1,"dc":"a"}}"#,
                Malformed::NoTimestamp,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(QueueItem::parse(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_rejected_item_is_kept_whole() {
        let record = rejected_record(b"{\"a\"", Rejection::Future, Stamp::new(1.5));
        let expected = "{\"reason\": \"future\", \"rejected_at\": 1.5, \"item\": \"{\\\"a\\\"\"}";
        assert_eq!(String::from_utf8_lossy(&record), expected);
        let record = rejected_record(b"\xff\x00", Rejection::WrongType, None);
        let expected =
            "{\"reason\": \"wrong_type\", \"rejected_at\": null, \"item_hex\": \"ff00\"}";
        assert_eq!(String::from_utf8_lossy(&record), expected);
    }
}
