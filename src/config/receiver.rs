//! The kinds of receivers, and the settings that each is reached with. `sections/notify.rs` reads them,
//! `redact.rs` prints them.

use std::collections::BTreeMap;

use super::SecretSource;
use crate::model::Span;

/// What a receiver is and how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub enum ReceiverKind {
    /// Gets a message for each alert group: when it fires, changes and resolves. Messages are
    /// queued and retried.
    Group(GroupReceiver),
    /// Gets the current state at intervals, so that nothing has to be queued.
    Periodic(PeriodicReceiver),
}

/// A receiver of alert groups.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupReceiver {
    /// A Slack incoming webhook.
    SlackWebhook(SlackWebhookSettings),
    /// A Slack bot, whose messages change in place.
    SlackBot(SlackBotSettings),
    /// `PagerDuty` Events API v2.
    PagerDuty(PagerDutySettings),
    /// Any HTTP endpoint that understands Alertmanager's webhook body, version 4.
    Webhook(WebhookSettings),
}

/// A receiver of the current state.
#[derive(Clone, Debug, PartialEq)]
pub enum PeriodicReceiver {
    /// Alertmanager, API v2, which expects firing alerts to be resent.
    Alertmanager(AlertmanagerSettings),
    /// A dead man's switch, which raises an alarm when requests cease.
    DeadMansSwitch(DeadMansSwitchSettings),
}

/// How to reach a Slack incoming webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackWebhookSettings {
    /// The webhook's URL, which is a secret.
    pub url: SecretSource,
}

/// How to reach a Slack channel through a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackBotSettings {
    /// The bot's token.
    pub token: SecretSource,
    /// The channel, by its name or its ID.
    pub channel: String,
    /// The base URL of Slack's Web API, without the method's name.
    pub api_url: String,
}

/// How to reach a `PagerDuty` service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerDutySettings {
    /// The integration's routing key.
    pub routing_key: SecretSource,
    /// The URL that events are posted to.
    pub url: String,
}

/// How to reach a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The endpoint, which is a secret: it may hold a token.
    pub url: SecretSource,
    /// Headers to add, such as `Authorization`; their values are secrets.
    pub headers: BTreeMap<String, SecretSource>,
    /// The key that signs requests (Standard Webhooks); absent means that they are not signed.
    pub secret: Option<SecretSource>,
}

/// How to reach an Alertmanager cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerSettings {
    /// The base URL of every member of the cluster.
    pub urls: Vec<String>,
    /// How often firing alerts are resent.
    pub interval: Span,
    /// Headers to add; their values are secrets.
    pub headers: BTreeMap<String, SecretSource>,
}

/// How to reach a dead man's switch: the configuration's `heartbeat` receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMansSwitchSettings {
    /// The URL to request, which is a secret: it may hold a token.
    pub url: SecretSource,
    /// How often it is requested while the exporter is healthy.
    pub interval: Span,
    /// Headers to add; their values are secrets.
    pub headers: BTreeMap<String, SecretSource>,
}

impl ReceiverKind {
    /// The receiver, if it gets alert groups.
    pub const fn as_group(&self) -> Option<&GroupReceiver> {
        match self {
            Self::Group(receiver) => Some(receiver),
            Self::Periodic(_) => None,
        }
    }
}

/// Lets settings of each kind be turned into a [`ReceiverKind`] with `From`.
macro_rules! kinds_from_settings {
    ($($settings:ty => $class:ident($enum:ident::$variant:ident),)*) => {
        $(impl From<$settings> for ReceiverKind {
            fn from(settings: $settings) -> Self {
                Self::$class($enum::$variant(settings))
            }
        })*
    };
}

kinds_from_settings! {
    SlackWebhookSettings => Group(GroupReceiver::SlackWebhook),
    SlackBotSettings => Group(GroupReceiver::SlackBot),
    PagerDutySettings => Group(GroupReceiver::PagerDuty),
    WebhookSettings => Group(GroupReceiver::Webhook),
    AlertmanagerSettings => Periodic(PeriodicReceiver::Alertmanager),
    DeadMansSwitchSettings => Periodic(PeriodicReceiver::DeadMansSwitch),
}
