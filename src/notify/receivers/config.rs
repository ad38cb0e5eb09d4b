//! One receiver's settings, together with the exporter's settings that its requests need.

use super::kinds::protocol;
use super::pagerduty::RetiredPagerDuty;
use super::protocol::GroupProtocol;
use crate::config::{GroupReceiver, HttpSettings, NotifySettings, ReceiverSettings};
use crate::model::Span;
use crate::notify::context::MessageContext;

/// A receiver of alert groups.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::notify) struct GroupConfig {
    /// The receiver's name.
    pub(in crate::notify) name: String,
    target: GroupTarget,
    /// The certificate authorities and the proxy of its requests.
    pub(in crate::notify) http: HttpSettings,
    /// The exporter's identity, which is part of every deduplication key.
    pub(in crate::notify) identity: String,
    /// Where messages come from and what they link to.
    pub(in crate::notify) context: MessageContext,
}

/// The receiver of the requests.
#[derive(Clone, Debug, PartialEq)]
enum GroupTarget {
    /// A receiver of the configuration.
    Configured(Box<GroupReceiver>),
    /// A receiver that was removed from the configuration while it had incidents open.
    Retired(RetiredPagerDuty),
}

/// A receiver of the present state, whose kind has the settings `S`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::notify) struct PeriodicConfig<S> {
    /// What all kinds of receivers have.
    pub(in crate::notify) common: ReceiverSettings,
    /// What this kind has.
    pub(in crate::notify) receiver: S,
    /// Where messages come from and what they link to.
    pub(in crate::notify) context: MessageContext,
    /// How long groups wait for more members, and how long an alert inhibits others after its end.
    pub(in crate::notify) group_wait: Span,
}

impl GroupConfig {
    /// The settings of `receiver`, which is of the kind `group`.
    pub(in crate::notify) fn new(
        settings: &NotifySettings,
        receiver: &ReceiverSettings,
        group: &GroupReceiver,
        context: &MessageContext,
    ) -> Self {
        Self {
            name: receiver.name.clone(),
            target: GroupTarget::Configured(Box::new(group.clone())),
            http: receiver.http.clone(),
            identity: settings.identity.clone(),
            context: message_context(settings, receiver, context),
        }
    }

    /// A receiver that is no longer configured: its incidents are resolved at `url`, each with the
    /// key that opened it.
    pub(in crate::notify) fn retired(name: &str, url: &str) -> Self {
        let endpoint = RetiredPagerDuty {
            url: url.to_owned(),
        };
        Self {
            name: name.to_owned(),
            target: GroupTarget::Retired(endpoint),
            http: HttpSettings::default(),
            identity: String::new(),
            context: MessageContext::default(),
        }
    }

    /// The protocol of its requests.
    pub(in crate::notify) fn protocol(&self) -> &dyn GroupProtocol {
        match &self.target {
            GroupTarget::Configured(receiver) => protocol(receiver),
            GroupTarget::Retired(endpoint) => endpoint,
        }
    }
}

impl<S: Clone> PeriodicConfig<S> {
    /// The settings of `receiver`, whose kind has the settings `kind`.
    pub(in crate::notify) fn new(
        settings: &NotifySettings,
        receiver: &ReceiverSettings,
        kind: &S,
        context: &MessageContext,
    ) -> Self {
        Self {
            common: receiver.clone(),
            receiver: kind.clone(),
            context: message_context(settings, receiver, context),
            group_wait: settings.group_wait,
        }
    }
}

/// Where messages to `receiver` come from: the values of the configuration, and those of `context`
/// where it has none.
fn message_context(
    settings: &NotifySettings,
    receiver: &ReceiverSettings,
    context: &MessageContext,
) -> MessageContext {
    let mut context = context.clone();
    if !settings.identity.is_empty() {
        context.exporter.clone_from(&settings.identity);
    }
    if settings.external_url.is_some() {
        context.external_url.clone_from(&settings.external_url);
    }
    if settings.dashboard_url.is_some() {
        context.dashboard_url.clone_from(&settings.dashboard_url);
    }
    context.template.clone_from(&receiver.template);
    context
}
