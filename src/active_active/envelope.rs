//! The envelope under a key: a value with the stamp and the datacenter of its last write. And the
//! one order of all envelopes of a key, by which every site ends with the same.

use std::cmp::Ordering;
use std::fmt;

use serde_core::Serialize;

use super::error::Malformed;
use super::stamp::Stamp;
use super::{json, python};

/// The longest envelope that is applied, in bytes: 1 MiB. The apply script blocks the server for
/// 0.9 ms at 100 kB, and in proportion.
pub const MAX_ENVELOPE: usize = 1024 * 1024;

/// An envelope as it is stored: `{"value": .., "timestamp": .., "dc": "..", "version": ".."}`.
///
/// Its bytes are kept as they came; nothing is rewritten. Its order ([`Ord`]) is by stamp, then by
/// datacenter, then by all bytes, both compared byte by byte. The tutorial's clients know only the
/// first two; the third makes sure that sites agree about two writes of one site in one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    text: Vec<u8>,
    version: Version,
    is_deleted: bool,
    expires_at: Option<Stamp>,
}

/// The stamp and the datacenter of a write, which order all but simultaneous writes of one site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// When it was written.
    pub stamp: Stamp,
    /// The writer's datacenter, as bytes.
    pub dc: Vec<u8>,
}

impl Envelope {
    /// Reads what is stored under a key. The spacing, the order of the members and further members
    /// do not matter; `version` is not read.
    ///
    /// # Errors
    /// What about `text` makes it no envelope.
    pub fn parse(text: Vec<u8>) -> Result<Self, Malformed> {
        if text.len() > MAX_ENVELOPE {
            return Err(Malformed::TooLarge);
        }
        let members = json::members(&text).ok_or(Malformed::NotAnObject)?;
        json::last(&members, "value").ok_or(Malformed::NoValue)?;
        let stamp = json::last(&members, "timestamp").and_then(json::number);
        let dc = json::last(&members, "dc").and_then(json::unescape);
        let expires_at = json::last(&members, "expires_at").and_then(json::number);
        let version = Version {
            stamp: stamp.and_then(Stamp::new).ok_or(Malformed::NoTimestamp)?,
            dc: dc.ok_or(Malformed::NoDatacenter)?,
        };
        let is_deleted = json::last(&members, "deleted") == Some(b"true");
        Ok(Self {
            version,
            is_deleted,
            expires_at: expires_at.and_then(Stamp::new),
            text,
        })
    }

    /// The bytes, as they are stored and sent.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The stamp and the datacenter of the write.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// The value as JSON; `null` for a tombstone.
    pub fn value(&self) -> &[u8] {
        // Never missing: `parse` has found it.
        let members = json::members(&self.text).unwrap_or_default();
        json::last(&members, "value").unwrap_or(b"null")
    }

    /// Whether this says that the key was deleted: a tombstone.
    pub const fn is_tombstone(&self) -> bool {
        self.is_deleted
    }

    /// When the servers remove it; none without an expiry.
    pub const fn expires_at(&self) -> Option<Stamp> {
        self.expires_at
    }

    /// Whether `other` has the same stamp and datacenter, but other bytes: two writes of one site
    /// that only their bytes order.
    pub fn ties_with(&self, other: &Self) -> bool {
        self.version == other.version && self.text != other.text
    }
}

impl Ord for Envelope {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_version = self.version.cmp(&other.version);
        by_version.then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Envelope {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", String::from_utf8_lossy(&self.dc), self.stamp)
    }
}

/// An envelope that is still to be stamped: the stamp is the site's server's, at the instant of the
/// write. What it becomes is the same bytes as Python's `json.dumps` would write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    value: String,
    dc: String,
    is_deleted: bool,
    lives_ms: Option<u64>,
}

impl Draft {
    /// A write of `value` by the datacenter `dc`.
    ///
    /// # Errors
    /// Where `value` has no JSON form.
    pub fn of_value<T: Serialize + ?Sized>(dc: &str, value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self {
            value: python::dumps(value)?,
            dc: dc.to_owned(),
            is_deleted: false,
            lives_ms: None,
        })
    }

    /// A tombstone: the value is `null`, which the tutorial's clients return as no value.
    pub fn of_deletion(dc: &str) -> Self {
        Self {
            value: "null".to_owned(),
            dc: dc.to_owned(),
            is_deleted: true,
            lives_ms: None,
        }
    }

    /// Lets the servers remove it so many milliseconds after the write.
    #[must_use]
    pub const fn living(mut self, milliseconds: u64) -> Self {
        self.lives_ms = Some(milliseconds);
        self
    }

    /// How long it lives in milliseconds; `None` where it never expires.
    pub const fn lives_ms(&self) -> Option<u64> {
        self.lives_ms
    }

    /// What stands before the stamp.
    pub(super) fn head(&self) -> String {
        format!("{{\"value\": {}, \"timestamp\": ", self.value)
    }

    /// The datacenter as JSON.
    pub(super) fn dc_text(&self) -> String {
        python::string(&self.dc)
    }

    /// What stands before the stamp in `version`, with the opening quote.
    pub(super) fn version_head(&self) -> String {
        let quoted = self.dc_text();
        let open = quoted.strip_suffix('"').unwrap_or(&quoted);
        format!("{open}:")
    }

    /// What follows `version`, but for the expiry.
    pub(super) const fn tail(&self) -> &'static str {
        if self.is_deleted {
            ", \"deleted\": true"
        } else {
            ""
        }
    }

    /// The longest that the stamped envelope can be, in bytes.
    pub fn max_length(&self) -> usize {
        // Three numbers of at most 24 characters and the names around them.
        self.value.len() + 2 * self.dc_text().len() + 200
    }

    /// The envelope of this draft with `stamp`, on a server whose clock shows `now`: what the
    /// script `set.lua` makes of it, for sites that run no scripts.
    ///
    /// # Errors
    /// None for a draft that the constructors made.
    pub fn stamped(&self, stamp: Stamp, now: Stamp) -> Result<Envelope, Malformed> {
        let expires = self.lives_ms.map(|lives| {
            let milliseconds = (now.seconds() * 1000.0).floor() + lives as f64;
            format!(", \"expires_at\": {}", python::float(milliseconds / 1000.0))
        });
        let text = format!(
            "{}{stamp}, \"dc\": {}, \"version\": {}{stamp}\"{}{}}}",
            self.head(),
            self.dc_text(),
            self.version_head(),
            self.tail(),
            expires.unwrap_or_default(),
        );
        Envelope::parse(text.into_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is read is exactly what was written")]
mod tests {
    use super::*;

    fn envelope(text: &str) -> Envelope {
        Envelope::parse(text.as_bytes().to_vec()).unwrap()
    }

    fn refusal(text: &str) -> Malformed {
        Envelope::parse(text.as_bytes().to_vec()).unwrap_err()
    }

    #[test]
    fn an_envelope_of_the_tutorial_is_read() {
        let text = "{\"value\": {\"name\": \"A\"}, \"timestamp\": 1732262769.1234567, \
                    \"dc\": \"dc1\", \"version\": \"dc1:1732262769.1234567\"}";
        let read = envelope(text);
        assert_eq!(read.version().stamp.seconds(), 1_732_262_769.123_456_7);
        assert_eq!(read.version().dc, b"dc1");
        assert_eq!(read.value(), br#"{"name": "A"}"#);
        assert_eq!(read.text(), text.as_bytes());
        assert!(!read.is_tombstone() && read.expires_at().is_none());
    }

    #[test]
    fn other_writers_of_json_are_read() {
        let read = envelope(r#"{"dc":"é","more":[],"timestamp":-1e2,"value":NaN}"#);
        assert_eq!(read.version().stamp.seconds(), -100.0);
        assert_eq!(read.version().dc, "é".as_bytes());
        let read =
            envelope(r#"{"value":null,"timestamp":1,"dc":"","deleted":true,"expires_at":2.5}"#);
        assert!(read.is_tombstone());
        assert_eq!(read.expires_at().unwrap().seconds(), 2.5);
    }

    #[test]
    fn what_is_no_envelope_says_why() {
        assert_eq!(refusal("hello"), Malformed::NotAnObject);
        assert_eq!(refusal(r#"{"timestamp":1,"dc":"a"}"#), Malformed::NoValue);
        for stamp in ["\"1\"", "NaN", "1e999", "1e15", "null", "true"] {
            let text = format!(r#"{{"value":1,"timestamp":{stamp},"dc":"a"}}"#);
            assert_eq!(refusal(&text), Malformed::NoTimestamp, "{stamp}");
        }
        assert_eq!(
            refusal(r#"{"value":1,"timestamp":1,"dc":1}"#),
            Malformed::NoDatacenter
        );
        let long = vec![b' '; MAX_ENVELOPE + 1];
        assert_eq!(Envelope::parse(long).unwrap_err(), Malformed::TooLarge);
    }

    #[test]
    fn datacenters_are_compared_byte_by_byte() {
        let of = |dc: &str| envelope(&format!(r#"{{"value":1,"timestamp":1,"dc":"{dc}"}}"#));
        assert!(of("dc1") > of("DC1"));
        assert!(of("dc10") < of("dc2"));
        assert!(of("dc1") > of("dc"));
    }

    #[test]
    fn simultaneous_writes_of_a_site_are_ordered_by_their_bytes() {
        let first = envelope(r#"{"value":1,"timestamp":1,"dc":"a"}"#);
        let second = envelope(r#"{"value":2,"timestamp":1,"dc":"a"}"#);
        assert!(second > first && second.ties_with(&first) && !first.ties_with(&first));
        let spaced = envelope(r#"{"value": 1,"timestamp":1.0,"dc":"a"}"#);
        assert!(spaced.ties_with(&first));
    }

    #[test]
    fn a_stamped_draft_is_what_python_would_write() {
        let stamp = Stamp::new(1_732_262_769.5).unwrap();
        let draft = Draft::of_value("dc \"é\"", &serde_json::json!([1, "ü"])).unwrap();
        let made = draft.stamped(stamp, stamp).unwrap();
        let expected = "{\"value\": [1, \"\\u00fc\"], \"timestamp\": 1732262769.5, \
                        \"dc\": \"dc \\\"\\u00e9\\\"\", \
                        \"version\": \"dc \\\"\\u00e9\\\":1732262769.5\"}";
        assert_eq!(String::from_utf8_lossy(made.text()), expected);
        assert!(expected.len() <= draft.max_length());

        let made = Draft::of_deletion("dc1")
            .living(1500)
            .stamped(stamp, stamp)
            .unwrap();
        let expected = "{\"value\": null, \"timestamp\": 1732262769.5, \"dc\": \"dc1\", \
                        \"version\": \"dc1:1732262769.5\", \"deleted\": true, \
                        \"expires_at\": 1732262771.0}";
        assert_eq!(String::from_utf8_lossy(made.text()), expected);
        assert!(made.is_tombstone());
    }
}
