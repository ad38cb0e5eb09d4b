//! Periodic receivers: Alertmanager and dead man's switches. They are sent the present state at
//! intervals, so that nothing is queued: a lost request is made up for by the next one.
//!
//! Each has a task that reads the latest snapshot once a second. Every member of an Alertmanager
//! cluster has one, so that a member that fails delays none of the others.

mod alertmanager;
mod backlog;
mod dead_mans_switch;
mod liveness;
mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::config::{
    AlertmanagerSettings, DeadMansSwitchSettings, NotifySettings, PeriodicReceiver, ReceiverKind,
};
use crate::delivery::DeliveryEvent;
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::monitor::FleetSnapshot;

use super::context::MessageContext;
use super::receivers::PeriodicConfig;
use super::retry::Timing;
use alertmanager::AlertmanagerMember;
pub(super) use alertmanager::resend;
use backlog::Backlog;
use dead_mans_switch::DeadMansSwitch;
pub(super) use dead_mans_switch::request;
use sender::PeriodicSender;

/// A member of a cluster: the receiver's name and the member's URL.
type MemberKey = (Arc<str>, String);

/// Sends to periodic receivers. Dropped without [`Self::drain`], it stops at once.
#[derive(Debug)]
pub struct PeriodicSenders {
    members: BTreeMap<MemberKey, TaskHandle<AlertmanagerSettings>>,
    switches: BTreeMap<Arc<str>, TaskHandle<DeadMansSwitchSettings>>,
    tasks: JoinSet<()>,
    client: HttpClient,
    context: MessageContext,
    timing: Timing,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    events: mpsc::Sender<DeliveryEvent>,
}

/// The handle of one task, which ends when this is dropped.
#[derive(Debug)]
struct TaskHandle<S> {
    config: watch::Sender<Arc<PeriodicConfig<S>>>,
    backlog: Backlog,
}

impl PeriodicSenders {
    /// Starts the tasks of the periodic receivers of `settings` on the current runtime. The results
    /// of requests are reported on `events`, and no task ever waits for its receiving end.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn start(
        settings: &NotifySettings,
        context: MessageContext,
        timing: Timing,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
        events: mpsc::Sender<DeliveryEvent>,
    ) -> Result<Self, HttpError> {
        let timeouts = HttpTimeouts {
            connect: timing.connect.to_duration(),
            total: timing.attempt.to_duration(),
        };
        let mut senders = Self {
            members: BTreeMap::new(),
            switches: BTreeMap::new(),
            tasks: JoinSet::new(),
            client: HttpClient::for_receivers(timeouts)?,
            context,
            timing,
            snapshots,
            events,
        };
        senders.reload(settings);
        Ok(senders)
    }

    /// Follows new settings. A member that stays remembers which alerts it was sent.
    pub fn reload(&mut self, settings: &NotifySettings) {
        while self.tasks.try_join_next().is_some() {}
        let mut old_members = std::mem::take(&mut self.members);
        let mut old_switches = std::mem::take(&mut self.switches);
        for receiver in &settings.receivers {
            let ReceiverKind::Periodic(kind) = &receiver.kind else {
                continue;
            };
            let name: Arc<str> = receiver.name.as_str().into();
            match kind {
                PeriodicReceiver::Alertmanager(cluster) => {
                    let config = PeriodicConfig::new(settings, receiver, cluster, &self.context);
                    self.configure_cluster(&name, &Arc::new(config), &mut old_members);
                }
                PeriodicReceiver::DeadMansSwitch(switch) => {
                    let config = PeriodicConfig::new(settings, receiver, switch, &self.context);
                    let old = old_switches.remove(&name);
                    self.configure_switch(name, &Arc::new(config), old);
                }
            }
        }
        // The tasks of the old ones that are left end when their handles are dropped here.
    }

    fn configure_cluster(
        &mut self,
        receiver: &Arc<str>,
        config: &Arc<PeriodicConfig<AlertmanagerSettings>>,
        old: &mut BTreeMap<MemberKey, TaskHandle<AlertmanagerSettings>>,
    ) {
        for url in &config.receiver.urls {
            let key = (Arc::clone(receiver), url.clone());
            let handle = match old.remove(&key) {
                Some(handle) => handle.with(config),
                None => self.start_member(&key, config),
            };
            self.members.insert(key, handle);
        }
    }

    fn configure_switch(
        &mut self,
        receiver: Arc<str>,
        config: &Arc<PeriodicConfig<DeadMansSwitchSettings>>,
        old: Option<TaskHandle<DeadMansSwitchSettings>>,
    ) {
        let handle = match old {
            Some(handle) => handle.with(config),
            None => self.start_switch(&receiver, config),
        };
        self.switches.insert(receiver, handle);
    }

    /// Stops: changes that were not sent yet are sent, for as long as `within`.
    pub async fn drain(mut self, within: Duration) {
        self.members.clear();
        self.switches.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            warn!("some periodic receivers did not get the last changes in time");
        }
    }

    fn start_member(
        &mut self,
        (receiver, url): &MemberKey,
        config: &Arc<PeriodicConfig<AlertmanagerSettings>>,
    ) -> TaskHandle<AlertmanagerSettings> {
        let backlog = self.backlog_of(receiver);
        let (sender, handle) = self.sender(receiver, backlog, config);
        let member = AlertmanagerMember::new(sender, url.clone(), self.snapshots.clone());
        self.tasks.spawn(member.run());
        handle
    }

    /// The backlog that the members of this receiver share: they report as one receiver.
    fn backlog_of(&self, receiver: &Arc<str>) -> Backlog {
        for ((name, _), sibling) in &self.members {
            if name == receiver {
                return sibling.backlog.clone();
            }
        }
        Backlog::default()
    }

    fn start_switch(
        &mut self,
        receiver: &Arc<str>,
        config: &Arc<PeriodicConfig<DeadMansSwitchSettings>>,
    ) -> TaskHandle<DeadMansSwitchSettings> {
        let (sender, handle) = self.sender(receiver, Backlog::default(), config);
        let switch = DeadMansSwitch::new(sender, self.snapshots.clone());
        self.tasks.spawn(switch.run());
        handle
    }

    /// What a new task sends with, and its handle.
    fn sender<S>(
        &self,
        receiver: &Arc<str>,
        backlog: Backlog,
        config: &Arc<PeriodicConfig<S>>,
    ) -> (PeriodicSender<S>, TaskHandle<S>) {
        let (config, configs) = watch::channel(Arc::clone(config));
        let sender = PeriodicSender::new(
            Arc::clone(receiver),
            self.client.clone(),
            self.timing,
            configs,
            backlog.guard(),
            self.events.clone(),
        );
        (sender, TaskHandle { config, backlog })
    }
}

impl<S> TaskHandle<S> {
    /// Gives new settings to the task.
    fn with(self, config: &Arc<PeriodicConfig<S>>) -> Self {
        self.config.send_replace(Arc::clone(config));
        self
    }
}

#[cfg(test)]
mod tests;
