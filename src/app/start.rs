//! Builds the parts of the program, in the order in which they depend on each other, and starts
//! their tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};

use super::audit::AuditRuns;
use super::core::{Core, Events};
use super::newest::NewestSnapshot;
use super::systemd::{Notifier, Watchdog};
use super::watched::Watched;
use super::{LoadSettings, StartError, drill_watch, log, message_context, refresh};
use crate::capture::{AutomaticCapture, CAPTURE_QUEUE};
use crate::clock;
use crate::config::{ListenAddress, NotifySettings, Settings};
use crate::delivery::DeliveryEvent;
use crate::discovery::{self, DISCOVERY_QUEUE, Discovery};
use crate::http_client::HttpError;
use crate::metrics::Exposition;
use crate::monitor::{FleetSnapshot, Monitor, PollEvent};
use crate::notify::{Dispatcher, MessageContext, PeriodicSenders, Timing};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::site_watch::{SITE_QUEUE, SiteWatch};
use crate::store::{Store, StoreStatus};
use crate::topology::DiscoveryEvent;
use crate::web::{Awaited, CorePulse};

/// Results of periodic senders that wait for the core. Each is one answer of a receiver, so this
/// is minutes of them.
const DELIVERY_QUEUE: usize = 4096;

/// How long the start waits for the saved state. The file of a large fleet takes a second or two; a
/// disk that takes longer has a problem, and monitoring matters more.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the parts are built from.
pub(super) struct StartInfo {
    pub(super) settings: Settings,
    /// The address as it was given.
    pub(super) listen: ListenAddress,
    /// The addresses that were bound.
    pub(super) local_addrs: Vec<SocketAddr>,
    pub(super) has_web_config: bool,
    pub(super) load: LoadSettings,
    pub(super) notifier: Notifier,
}

/// The parts, with their tasks running. The core's loop is not started yet.
pub(super) struct Parts {
    pub(super) core: Core,
    pub(super) events: Events,
    pub(super) snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    pub(super) refresh: Awaited,
    pub(super) newest: Awaited,
    /// Where polls run, if not on the current runtime.
    pub(super) poll_runtime: Option<Handle>,
    /// What scrapes show; follows reloads.
    pub(super) exposition: watch::Receiver<Exposition>,
    pub(super) store_status: watch::Receiver<StoreStatus>,
}

/// Restores the saved state, asks the discovery sources once, and starts every task.
///
/// # Errors
/// When HTTPS to the receivers cannot be set up.
pub(super) async fn start(info: StartInfo) -> Result<Parts, StartError> {
    let context = message_context(&linked(&info), info.has_web_config);
    let mut store = Store::start(info.settings.state.path.clone(), clock::boot_id());
    // The saved state is restored for known pairs only, so discovery comes before the restore.
    let ((restored, documents), found) = tokio::join!(
        store.load(RESTORE_TIMEOUT),
        discovery::query_once(&info.settings)
    );
    let store_status = store.status();
    let anchor = clock::anchor();
    let mut watched = Watched::discover(info.settings, &restored, found, anchor.mono);
    let mut monitor =
        Monitor::new(&watched.settings, &watched.topology, anchor).with_restored(restored);
    monitor.note_sources(watched.sources(), anchor.mono);
    let (publish, snapshots) = watch::channel(Arc::new(monitor.snapshot(anchor)));

    let delivery = Delivery::start(&watched.settings.notify, context, &snapshots)?;
    log::check_receivers(&watched.settings.notify);
    log::check_access(&info.local_addrs, info.has_web_config);
    log::started(&info.local_addrs, &watched.topology, &watched.settings);

    let (poller, polls) = start_polls(&watched);
    let poll_runtime = poller.own_runtime();
    let wanted = Arc::new(Notify::new());
    let newest = NewestSnapshot::new(snapshots.clone(), Arc::clone(&wanted));
    let refresh = refresh::on_scrape(poller.refresher(), newest.clone());
    let (discovery, discoveries) = start_discovery(&watched);

    let (capture_events, captures) = mpsc::channel(CAPTURE_QUEUE);
    let capture = AutomaticCapture::start(&watched.settings, snapshots.clone(), capture_events);

    let drills = drill_watch::start(&watched.settings.state.path);
    let (site_events, sites) = mpsc::channel(SITE_QUEUE);
    let site_watch = SiteWatch::start(&watched.settings, site_events);

    let exposition = watched.exposition();
    let watchdog = Watchdog::from_environment(info.notifier.clone());
    let audits = AuditRuns::new(watched.settings.doctor.every, clock::now());
    let mut core = Core {
        monitor,
        poller,
        discovery,
        capture,
        site_watch,
        dispatcher: delivery.dispatcher,
        periodic_senders: delivery.periodic_senders,
        watched,
        audits,
        store,
        publish,
        wanted,
        load: info.load,
        listen: info.listen,
        notifier: info.notifier,
        watchdog,
        pulse: CorePulse::default(),
        runtime: Handle::current(),
    };
    core.restore(&documents);
    Ok(Parts {
        core,
        events: Events {
            polls,
            discoveries,
            captures,
            drills,
            sites,
            deliveries: delivery.events,
        },
        snapshots,
        refresh,
        newest: newest.before_reading(),
        poll_runtime,
        exposition,
        store_status,
    })
}

fn start_polls(watched: &Watched) -> (Poller, mpsc::Receiver<PollEvent>) {
    let (poll_events, polls) = mpsc::channel(EVENT_QUEUE);
    let settings = watched.settings.poll;
    let poller = Poller::start_on_own_thread(&watched.topology, settings, poll_events);
    (poller, polls)
}

fn start_discovery(watched: &Watched) -> (Discovery, mpsc::Receiver<DiscoveryEvent>) {
    let (discovered, discoveries) = mpsc::channel(DISCOVERY_QUEUE);
    let learned = watched.learned_reporters();
    let discovery = Discovery::start(&watched.settings, &learned, discovered);
    (discovery, discoveries)
}

/// The address that links in messages lead to: the first that others than this machine can reach.
fn linked(info: &StartInfo) -> ListenAddress {
    let bound = &info.local_addrs;
    let reachable = bound.iter().find(|addr| !addr.ip().is_loopback());
    match reachable.or(bound.first()) {
        Some(addr) => (*addr).into(),
        None => info.listen.clone(),
    }
}

/// The parts that send notifications.
struct Delivery {
    dispatcher: Dispatcher,
    periodic_senders: PeriodicSenders,
    /// Results of the periodic senders.
    events: mpsc::Receiver<DeliveryEvent>,
}

impl Delivery {
    fn start(
        settings: &NotifySettings,
        context: MessageContext,
        snapshots: &watch::Receiver<Arc<FleetSnapshot>>,
    ) -> Result<Self, HttpError> {
        let timing = Timing::default();
        let (sender, events) = mpsc::channel(DELIVERY_QUEUE);
        Ok(Self {
            dispatcher: Dispatcher::new(settings, context.clone(), timing)?,
            periodic_senders: PeriodicSenders::start(
                settings,
                context,
                timing,
                snapshots.clone(),
                sender,
            )?,
            events,
        })
    }
}
