//! The protocol and the secrets of each kind of receiver: the one place that lists all kinds.

use super::protocol::{GroupProtocol, ReceiverSecrets};
use crate::config::{GroupReceiver, PeriodicReceiver, ReceiverKind};

/// The protocol of a group receiver.
pub(super) fn protocol(receiver: &GroupReceiver) -> &dyn GroupProtocol {
    match receiver {
        GroupReceiver::SlackWebhook(webhook) => webhook,
        GroupReceiver::SlackBot(bot) => bot,
        GroupReceiver::PagerDuty(pagerduty) => pagerduty,
        GroupReceiver::MsTeams(teams) => teams,
        GroupReceiver::Email(email) => email,
        GroupReceiver::Webhook(webhook) => webhook,
    }
}

/// The secrets of a receiver of any kind.
pub(super) fn secrets_of(kind: &ReceiverKind) -> &dyn ReceiverSecrets {
    match kind {
        ReceiverKind::Group(GroupReceiver::SlackWebhook(webhook)) => webhook,
        ReceiverKind::Group(GroupReceiver::SlackBot(bot)) => bot,
        ReceiverKind::Group(GroupReceiver::PagerDuty(pagerduty)) => pagerduty,
        ReceiverKind::Group(GroupReceiver::MsTeams(teams)) => teams,
        ReceiverKind::Group(GroupReceiver::Email(email)) => email,
        ReceiverKind::Group(GroupReceiver::Webhook(webhook)) => webhook,
        ReceiverKind::Periodic(PeriodicReceiver::Alertmanager(alertmanager)) => alertmanager,
        ReceiverKind::Periodic(PeriodicReceiver::DeadMansSwitch(switch)) => switch,
    }
}
