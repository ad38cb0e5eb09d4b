//! The composition root: settings become a bound, running, draining program. `main` and the tests use the same one.

mod core;
mod log;
mod look;
mod process;
mod systemd;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::clock;
use crate::config::{ConfigErrors, Settings};
use crate::http_client::HttpError;
use crate::monitor::Monitor;
use crate::notify::{Dispatcher, MessageContext, Timing};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::topology::Topology;
use crate::web::{BoundServer, Server, WebError, WebState};
use core::{Command, Core, Inputs};
use systemd::{Notifier, Watchdog};

pub use look::{LookError, look};

/// Delivery events that wait for the core. Each is one answer of one receiver, so this is minutes of them.
const DELIVERY_QUEUE: usize = 4096;

/// How long due notifications may take once the program is told to end.
const DRAIN: Duration = Duration::from_secs(5);

/// Reads the configuration anew; called at each reload.
pub type LoadSettings = Box<dyn Fn() -> Result<Settings, ConfigErrors> + Send>;

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error(transparent)]
    Web(#[from] WebError),
    /// HTTP to receivers cannot be set up.
    #[error("HTTPS to the receivers cannot be set up: {0}")]
    Http(#[from] HttpError),
}

/// The program with its address bound and nothing running yet.
pub struct App {
    settings: Settings,
    server: BoundServer,
    load: LoadSettings,
}

/// Asks a running program to reload or end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    stop: Arc<watch::Sender<bool>>,
}

impl App {
    /// Binds `listen`, so that a taken address is an error before any server or receiver hears of this program.
    pub async fn bind(settings: Settings, listen: SocketAddr, load: LoadSettings) -> Result<Self, StartError> {
        let server = Server::default().bind(listen).await?;
        Ok(Self { settings, server, load })
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until [`Control::stop`] is called on what `started` is given; then drains.
    pub async fn run(self, started: impl FnOnce(Control)) -> Result<(), StartError> {
        let Self { settings, server, load } = self;
        let topology = Topology::from_settings(&settings);
        let (events, polls) = mpsc::channel(EVENT_QUEUE);
        let (delivered, deliveries) = mpsc::channel(DELIVERY_QUEUE);
        let (commands, requests) = mpsc::channel(4);
        let (stop, stopped) = watch::channel(false);
        let anchor = clock::anchor();
        let monitor = Monitor::new(&settings, &topology, anchor);
        let (publish, snapshots) = watch::channel(Arc::new(monitor.snapshot(anchor)));
        let dispatcher = Dispatcher::new(&settings.notify, message_context(), Timing::default(), delivered)?;
        log::started(server.local_addr(), &topology, &settings);
        let poller = Poller::start(&topology, settings.poll, events);
        let notifier = Notifier::from_environment();
        let watchdog = Watchdog::from_environment(notifier.clone());
        let core = Core { monitor, poller, dispatcher, topology, publish, load, notifier: notifier.clone(), watchdog };
        let core = tokio::spawn(core.run(Inputs { polls, deliveries, commands: requests }));
        started(Control { commands: commands.clone(), stop: Arc::new(stop) });
        let encode_metrics = Arc::new(process::encode_with_process);
        let state = WebState { snapshots, clock: clock::now, encode_metrics };
        let drained = server.serve(state, wait_for_stop(stopped, notifier)).await;
        let (done, finished) = oneshot::channel();
        if commands.send(Command::Drain { within: DRAIN, done }).await.is_ok() {
            finished.await.unwrap_or_else(|_| warn!("the core ended before it was drained"));
        }
        core.abort();
        info!(connections_cut = drained.cut, "ended");
        Ok(())
    }
}

impl Control {
    /// Asks for a reload of the configuration. One that is already waiting to be carried out is enough.
    pub fn reload(&self) {
        if self.commands.try_send(Command::Reload).is_err() {
            warn!("a reload is already waiting");
        }
    }

    /// Asks the program to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Where messages come from: the machine's name.
fn message_context() -> MessageContext {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    MessageContext { exporter: host, ..MessageContext::default() }
}

async fn wait_for_stop(mut stopped: watch::Receiver<bool>, notifier: Notifier) {
    // An error means that nobody can stop it any more, which is the same as being stopped.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    notifier.stopping();
}
