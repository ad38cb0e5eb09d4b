//! One attempt to deliver a notification.

use std::fmt;
use std::sync::Arc;

use super::incident::IncidentRef;
use crate::alert::Notification;
use crate::model::ClockAnchor;

/// Characters of an id that is parsed. Ids that are made here have up to 60.
const MAX_ID: usize = 100;

/// A delivery's id, the same on every attempt, so that receivers can recognise a repetition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(Arc<str>);

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The delivery's id.
    pub id: DeliveryId,
    /// What is delivered.
    pub notification: Arc<Notification>,
    /// The two clocks when it was decided.
    pub anchor: ClockAnchor,
    /// The attempt's number, from 1.
    pub number: u32,
    /// Whether it is sent as plain text, because the receiver refused the layout.
    pub plain: bool,
    /// The recipients that do not have it yet; `None` while nobody has it.
    pub left: Option<Arc<[String]>>,
    /// The group's newest open incident: the one that a resolve ends.
    pub incident: Option<IncidentRef>,
    /// All open incidents of the group, the newest last.
    pub open_incidents: Vec<IncidentRef>,
}

impl DeliveryId {
    /// The id of a queue's `sequence`th delivery in a run of the program. `names` is a hash of the
    /// receiver's and the group's name, which may hold characters that a header may not.
    pub(super) fn new(names: u64, run: u64, sequence: u64) -> Self {
        Self(format!("msg_{names:016x}_{run:x}_{sequence}").into())
    }

    /// The id of a test's delivery, which no queue assigns.
    pub(super) fn for_test(what: &str, run: i64) -> Self {
        Self(format!("msg_test_{run:x}_{what}").into())
    }

    /// Parses an id that was assigned in this run of the program or an earlier one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id_byte = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        let is_id = text.starts_with("msg_") && text.bytes().all(is_id_byte);
        if text.len() > MAX_ID || !is_id {
            return None;
        }
        Some(Self(text.into()))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
