//! The names under which receivers know the alert groups that they were notified of: a group's
//! resolve has to repeat them, also after a restart.

use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// How a receiver knows a group: what the group's resolve has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentRef {
    /// By nothing that a resolve would have to repeat.
    Unnamed,
    /// By a `PagerDuty` incident: the resolve must carry the routing key and the deduplication key
    /// of the trigger.
    PagerDuty(Incident),
    /// By the message of a Slack bot, which is edited in place.
    SlackMessage(PostedMessage),
    /// By the mail that reported it, which every further one answers.
    Mail(MailThread),
}

/// The first mail about a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailThread {
    /// Its Message-ID, without angle brackets: what `In-Reply-To` and `References` name.
    pub message_id: String,
}

/// The keys of a `PagerDuty` incident. A resolve needs both exactly as the trigger had them; with
/// another key it is answered 202 and dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The integration's routing key.
    pub routing_key: Secret,
    /// The incident's key.
    pub dedup_key: String,
}

/// A message that a Slack bot has posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedMessage {
    /// The channel as it was configured at that time. A message in another channel than today's is
    /// not edited but ended.
    pub configured: String,
    /// The channel's ID from Slack's answer: a name is not enough to edit a message.
    pub channel: String,
    /// The message's ID from Slack's answer.
    pub ts: String,
}

impl IncidentRef {
    /// Whether it stays open until a resolve closes it.
    pub(super) fn needs_resolve(&self) -> bool {
        matches!(self, Self::PagerDuty(_))
    }

    /// Whether `other` is no longer open once this one is. A message whose place is known is the
    /// one that may have been posted before, and a group has one message in a channel.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SlackMessage(_), Self::Unnamed) => true,
            // Every mail about a group answers the same one.
            (Self::Mail(_), other) => matches!(other, Self::Mail(_) | Self::Unnamed),
            (Self::SlackMessage(new), Self::SlackMessage(old)) => new.configured == old.configured,
            // The old incident was resolved together with the new trigger.
            (Self::PagerDuty(new), Self::PagerDuty(old)) => new.follows(old),
            _ => false,
        }
    }
}

impl Incident {
    /// Whether this incident replaces `other`: a later one of the same group in the same service.
    pub fn follows(&self, other: &Self) -> bool {
        let (group, generation) = split_generation(&self.dedup_key);
        let (other_group, other_generation) = split_generation(&other.dedup_key);
        self.routing_key == other.routing_key
            && group == other_group
            && generation > other_generation
    }
}

/// The group's part of a deduplication key, and the generation. A group's part ends in a quotation
/// mark or in hexadecimal digits, so that a tilde can only be the mark of a generation.
fn split_generation(dedup_key: &str) -> (&str, u32) {
    if let Some((group, generation)) = dedup_key.rsplit_once('~')
        && let Ok(generation) = generation.parse()
    {
        return (group, generation);
    }
    (dedup_key, 0)
}
