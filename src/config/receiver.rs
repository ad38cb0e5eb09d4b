//! The kinds of receivers, and the settings that each is reached with. `sections/notify.rs` reads
//! them, `redact.rs` prints them.

use std::collections::BTreeMap;

use super::{SecretSource, TlsSettings};
use crate::model::{ServerAddr, Span, closed_set};
use crate::template::Template;

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
    /// Microsoft Teams, through the webhook of a workflow.
    MsTeams(MsTeamsSettings),
    /// Mail, through a mail server.
    Email(EmailSettings),
    /// Any HTTP endpoint: it gets Alertmanager's webhook body, version 4, or one from a template.
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
    /// Who is mentioned when an alert is critical.
    pub mention: Vec<SlackMention>,
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
    /// Who is mentioned when an alert is critical.
    pub mention: Vec<SlackMention>,
}

/// Whom a Slack message notifies, besides those who watch its channel
/// (<https://docs.slack.dev/messaging/formatting-message-text#special-mentions>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlackMention {
    /// `@here`: the active members of the channel.
    Here,
    /// `@channel`: all members of the channel.
    Channel,
    /// `@everyone`: everybody, in the general channel.
    Everyone,
    /// A member, by the ID, which begins with U or W.
    User(String),
    /// A user group, by the ID, which begins with S.
    Group(String),
}

/// Characters of an ID of Slack; real ones have 9 to 11.
const MAX_SLACK_ID: usize = 32;

impl SlackMention {
    /// Reads a mention as the configuration has it: `here`, `channel`, `everyone` or an ID.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id_byte = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let is_id = (2..=MAX_SLACK_ID).contains(&text.len()) && text.bytes().all(is_id_byte);
        match text {
            "here" => Some(Self::Here),
            "channel" => Some(Self::Channel),
            "everyone" => Some(Self::Everyone),
            id if is_id && id.starts_with(['U', 'W']) => Some(Self::User(id.to_owned())),
            id if is_id && id.starts_with('S') => Some(Self::Group(id.to_owned())),
            _ => None,
        }
    }

    /// The mention as the configuration has it.
    pub fn text(&self) -> &str {
        match self {
            Self::Here => "here",
            Self::Channel => "channel",
            Self::Everyone => "everyone",
            Self::User(id) | Self::Group(id) => id,
        }
    }
}

impl SlackWebhookSettings {
    /// The webhook at `url`, which mentions nobody.
    pub const fn to(url: SecretSource) -> Self {
        Self {
            url,
            mention: Vec::new(),
        }
    }
}

/// How to reach a `PagerDuty` service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerDutySettings {
    /// The integration's routing key.
    pub routing_key: SecretSource,
    /// The URL that events are posted to.
    pub url: String,
}

/// How to reach a channel of Microsoft Teams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsTeamsSettings {
    /// The URL of the workflow's webhook, which is a secret.
    pub url: SecretSource,
}

/// How to send mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailSettings {
    /// The mail server that takes the mail.
    pub smarthost: ServerAddr,
    /// How the connection to it is encrypted.
    pub security: MailSecurity,
    /// The certificate authorities that its certificate has to be signed by.
    pub tls: TlsSettings,
    /// The user and the password; absent means that there is no login.
    pub login: Option<(String, SecretSource)>,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses: at least one.
    pub to: Vec<String>,
}

closed_set! {
    /// How the connection to a mail server is encrypted.
    #[derive(Default)]
    pub enum MailSecurity {
        /// It begins in plain text and must be encrypted before anything is said (port 587).
        #[default]
        StartTls => "starttls",
        /// It is encrypted from the first byte (port 465).
        Tls => "tls",
        /// It is not encrypted.
        None => "none",
    }
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
    /// The method of its requests.
    pub method: WebhookMethod,
    /// The media type of the body, as the header `Content-Type` has it.
    pub content_type: String,
    /// What is appended to the URL; absent means nothing.
    pub path: Option<Template>,
    /// The body; absent means Alertmanager's webhook body, version 4.
    pub body: Option<Template>,
}

closed_set! {
    /// The methods that a webhook may have: those whose requests have a body.
    #[derive(Default)]
    pub enum WebhookMethod {
        /// What nearly every service expects.
        #[default]
        Post => "POST",
        /// Replaces what the URL names.
        Put => "PUT",
        /// Changes a part of it.
        Patch => "PATCH",
    }
}

impl WebhookSettings {
    /// The media type of a body, unless another is configured.
    pub const CONTENT_TYPE: &str = "application/json";

    /// A webhook at `url` with Alertmanager's body and nothing else.
    pub fn to(url: SecretSource) -> Self {
        Self {
            url,
            headers: BTreeMap::new(),
            secret: None,
            method: WebhookMethod::default(),
            content_type: Self::CONTENT_TYPE.to_owned(),
            path: None,
            body: None,
        }
    }

    /// Whether its body is JSON, by its media type (RFC 6838, section 4.2.8).
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        essence == Self::CONTENT_TYPE || essence.ends_with("+json")
    }
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
    MsTeamsSettings => Group(GroupReceiver::MsTeams),
    EmailSettings => Group(GroupReceiver::Email),
    WebhookSettings => Group(GroupReceiver::Webhook),
    AlertmanagerSettings => Periodic(PeriodicReceiver::Alertmanager),
    DeadMansSwitchSettings => Periodic(PeriodicReceiver::DeadMansSwitch),
}
