//! The composition root: settings become a bound, running, draining program. `main` and the tests
//! use the same one.

mod core;
mod descriptors;
mod log;
mod probe;
mod process;
mod refresh;
mod systemd;
mod watched;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::admin::{self, Admin, AdminAnswer, AdminCommand};
use crate::clock;
use crate::config::{ConfigErrors, ListenAddress, Settings};
use crate::discovery::{self, DISCOVERY_QUEUE, Discovery};
use crate::http_client::HttpError;
use crate::monitor::Monitor;
use crate::notify::{Dispatcher, MessageContext, PeriodicSenders, Timing};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::store::Store;
use crate::web::{BoundServer, Server, WebConfig, WebConfigStatus, WebError, WebState};
use core::{Core, Inputs};
use systemd::{Notifier, Watchdog};
use watched::Watched;

pub use probe::{ProbeError, probe_once};

/// Delivery events of periodic receivers that wait for the core. Each is one answer, so this is minutes of
/// them.
const DELIVERY_QUEUE: usize = 4096;

/// How long due notifications may take once the program is told to end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the start waits for what was kept. A larger fleet's file takes a second or two; a disk
/// that takes longer is in trouble, and monitoring matters more.
const RESTORE: Duration = Duration::from_secs(10);

/// Reads the configuration anew; called at each reload.
pub type LoadSettings = Box<dyn Fn() -> Result<Settings, ConfigErrors> + Send>;

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The address is a name that means nothing here.
    #[error("cannot listen on {listen}: its host name cannot be resolved: {why}")]
    Unresolved {
        /// The address as it was given.
        listen: ListenAddress,
        /// Why, as the system says.
        why: String,
    },
    /// HTTP to receivers cannot be set up.
    #[error("HTTPS to the receivers cannot be set up: {0}")]
    Http(#[from] HttpError),
}

/// Where and how the program is asked.
#[derive(Debug)]
pub struct WebOptions {
    /// The address that is bound.
    pub listen: ListenAddress,
    /// HTTPS, passwords and headers; absent means plain HTTP, which everybody may read.
    pub config: Option<WebConfig>,
    /// Whether clients on this machine may ask for changes without having proved who they are.
    pub admin_api: bool,
}

/// The program with its address bound and nothing running yet.
pub struct App {
    settings: Settings,
    listen: ListenAddress,
    server: BoundServer,
    web_config: Option<WebConfigStatus>,
    load: LoadSettings,
}

/// Asks a running program to reload or end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    admin: Admin,
    stop: Arc<watch::Sender<bool>>,
}

impl App {
    /// Binds the address, so that a taken address is an error before any server or receiver hears
    /// of this program. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(
        settings: Settings,
        web: WebOptions,
        load: LoadSettings,
    ) -> Result<Self, StartError> {
        let WebOptions {
            listen,
            config,
            admin_api,
        } = web;
        let web_config = config.as_ref().map(WebConfig::status);
        descriptors::raise_limit();
        let server = Server::new(descriptors::web_limits());
        let server = server
            .with_config(config)
            .with_admin_api(admin_api)
            .bind(resolved(&listen)?)?;
        Ok(Self {
            settings,
            listen,
            server,
            web_config,
            load,
        })
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until [`Control::stop`] is called on what `started` is given; then drains.
    pub async fn run(self, started: impl FnOnce(Control)) -> Result<(), StartError> {
        let Self {
            settings,
            listen,
            server,
            web_config,
            load,
        } = self;
        let (events, polls) = mpsc::channel(EVENT_QUEUE);
        let (delivered, deliveries) = mpsc::channel(DELIVERY_QUEUE);
        let (admin, requests) = admin::channel();
        let (drain, drain_ordered) = oneshot::channel();
        let (stop, stopped) = watch::channel(false);
        let mut store = Store::start(settings.state.path.clone(), clock::boot_id());
        // What was kept is of use only for pairs that are known: Sentinels are asked before
        // anything else.
        let ((restored, documents), found) =
            tokio::join!(store.load(RESTORE), discovery::query_once(&settings));
        let bound = ListenAddress::from(server.local_addr());
        let context = message_context(&bound, web_config.is_some());
        let encode_metrics = process::encoder(web_config, store.status());
        let anchor = clock::anchor();
        let mut watched = Watched::discover(settings, &restored, found, anchor.mono);
        let mut monitor =
            Monitor::new(&watched.settings, &watched.topology, anchor).with_restored(restored);
        monitor.note_sources(watched.sources(), anchor.mono);
        let (publish, snapshots) = watch::channel(Arc::new(monitor.snapshot(anchor)));
        let notify = &watched.settings.notify;
        let dispatcher = Dispatcher::new(notify, context.clone(), Timing::default())?;
        let periodic_senders = PeriodicSenders::start(
            notify,
            context,
            Timing::default(),
            snapshots.clone(),
            delivered,
        )?;
        log::check_receivers(notify);
        log::started(server.local_addr(), &watched.topology, &watched.settings);
        let poller = Poller::start(&watched.topology, watched.settings.poll, events);
        let refresh = refresh::on_scrape(poller.refresher(), snapshots.clone());
        let (discovered, discovery_events) = mpsc::channel(DISCOVERY_QUEUE);
        let discovery = Discovery::start(&watched.settings, discovered);
        let notifier = Notifier::from_environment();
        let watchdog = Watchdog::from_environment(notifier.clone());
        let mut core = Core {
            monitor,
            poller,
            discovery,
            dispatcher,
            periodic_senders,
            watched,
            store,
            publish,
            load,
            listen,
            notifier: notifier.clone(),
            watchdog,
        };
        core.restore(&documents);
        let control = Control {
            admin: admin.clone(),
            stop: Arc::new(stop),
        };
        // Before the core says that the program is ready: whoever waits for that may ask for a
        // reload at once.
        started(control);
        let core = tokio::spawn(core.run(Inputs {
            polls,
            discovery: discovery_events,
            deliveries,
            admin: requests,
            drain: drain_ordered,
        }));
        let state = WebState {
            snapshots,
            clock: clock::now,
            encode_metrics,
            refresh,
            admin,
        };
        let drained = server.serve(state, wait_for_stop(stopped, notifier)).await;
        // Fails only if the core has ended already, which the next lines report.
        let _ = drain.send(DRAIN);
        if let Err(error) = core.await {
            warn!(%error, "the core ended before it was drained");
        }
        info!(connections_cut = drained.cut, "ended");
        Ok(())
    }
}

impl Control {
    /// Reloads the configuration and waits until that is done. The log has the result, too.
    ///
    /// # Errors
    /// As of [`Admin::ask`].
    pub async fn reload(&self) -> AdminAnswer {
        self.admin.ask(AdminCommand::Reload).await
    }

    /// Asks the program to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Where messages come from: the machine's name. Unless the settings say where people reach the
/// exporter, they are led to that name, as Prometheus does; not where a web configuration may ask
/// for HTTPS under a name that only its certificate knows, nor where nobody but this machine gets
/// an answer.
pub(crate) fn message_context(listens: &ListenAddress, has_web_config: bool) -> MessageContext {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let reachable = !listens.is_loopback() && !has_web_config && !host.is_empty();
    let external_url = reachable.then(|| format!("http://{host}:{}", listens.port()));
    MessageContext {
        exporter: host,
        external_url,
        ..MessageContext::default()
    }
}

/// What a host name means here: an IPv4 address where it has one, as Prometheus programs take it.
fn resolved(listen: &ListenAddress) -> Result<SocketAddr, StartError> {
    let unresolved = |why: String| StartError::Unresolved {
        listen: listen.clone(),
        why,
    };
    let found = listen.to_string().to_socket_addrs();
    let mut addresses: Vec<_> = found
        .map_err(|error| unresolved(error.to_string()))?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let first = addresses.first().copied();
    first.ok_or_else(|| unresolved("it has no address".to_owned()))
}

async fn wait_for_stop(mut stopped: watch::Receiver<bool>, notifier: Notifier) {
    // An error means that nobody can stop it any more, which is the same as being stopped.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    notifier.stopping();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_led_to_the_machine_only_where_it_answers_them() {
        let url =
            |listens: &str, config| message_context(&listens.parse().unwrap(), config).external_url;
        let everywhere = url("0.0.0.0:10121", false).unwrap();
        assert!(
            everywhere.starts_with("http://") && everywhere.ends_with(":10121"),
            "{everywhere}"
        );
        assert_eq!(
            (url("127.0.0.1:10121", false), url("0.0.0.0:10121", true)),
            (None, None)
        );
    }
}
