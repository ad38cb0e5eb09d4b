//! The composition root: turns settings into a program that is bound, runs and drains. `main` and
//! the tests use the same one.

mod access;
mod audit;
mod core;
mod descriptors;
mod drill_watch;
mod host;
mod log;
mod lost_writes;
mod newest;
pub mod operation;
mod probe;
mod process;
mod refresh;
mod start;
mod systemd;
mod systemd_socket;
mod watched;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::admin::{self, Admin, AdminAnswer, AdminCommand};
use crate::clock;
use crate::config::{ConfigErrors, ListenAddress, Settings, TelemetryPath};
use crate::http_client::HttpError;
use crate::notify::MessageContext;
use crate::web::{BoundServer, Server, WebConfig, WebConfigStatus, WebError, WebState};
use core::Inputs;
use start::StartInfo;
use systemd::Notifier;

pub use access::{Access, MissingRule, ServerAccess, try_access};
pub use audit::{AuditRequest, AuditStage, Progress, collect_facts, collect_sites};
pub use host::host_name;
pub use lost_writes::{EntryTails, find_deposed};
pub use probe::{ProbeError, probe_once};
pub use systemd_socket::SocketError;

/// How long due notifications may take once the program drains.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the configuration; called at each reload.
pub type LoadSettings = Box<dyn Fn() -> Result<Settings, ConfigErrors> + Send>;

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The host name of the address cannot be resolved.
    #[error("cannot listen on {listen}: its host name cannot be resolved: {why}")]
    Unresolved {
        /// The address as it was given.
        listen: ListenAddress,
        /// The system's error.
        why: String,
    },
    /// There is no usable socket of systemd.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// HTTP to receivers cannot be set up.
    #[error("HTTPS to the receivers cannot be set up: {0}")]
    Http(#[from] HttpError),
}

/// Where and how the program serves HTTP.
#[derive(Debug)]
pub struct WebOptions {
    /// What connections are accepted on.
    pub listen: Listen,
    /// Where the metrics are served.
    pub telemetry_path: TelemetryPath,
    /// HTTPS, passwords and headers; absent means plain HTTP that anybody can read.
    pub config: Option<WebConfig>,
    /// Whether clients on this machine have write access without authentication.
    pub admin_api: bool,
}

/// What the web server accepts connections on.
#[derive(Clone, Debug)]
pub enum Listen {
    /// These addresses, which are bound. The first one is where messages and commands look for the
    /// program.
    Addresses(Vec<ListenAddress>),
    /// The sockets that systemd passes.
    PassedSockets,
}

/// The program with its address bound and nothing running yet.
pub struct App {
    settings: Settings,
    listen: ListenAddress,
    server: BoundServer,
    web_config: Option<WebConfigStatus>,
    load: LoadSettings,
}

/// Makes a running program reload or end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    admin: Admin,
    stop: Arc<watch::Sender<bool>>,
}

impl App {
    /// Binds the address, so that an address in use is an error before this program connects to any
    /// server or receiver. Must be called within a tokio runtime.
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
            telemetry_path,
            config,
            admin_api,
        } = web;
        let web_config = config.as_ref().map(WebConfig::status);
        descriptors::raise_limit();
        let limits = descriptors::web_limits();
        let server = Server::new(limits)
            .with_config(config)
            .with_admin_api(admin_api)
            .with_telemetry_path(telemetry_path);
        let server = match &listen {
            Listen::Addresses(addresses) => server.bind_all(&resolved_all(addresses)?)?,
            Listen::PassedSockets => {
                let sockets = systemd_socket::passed_sockets(limits.send_buffer)?;
                server.on_sockets(sockets)?
            }
        };
        let listen = match &listen {
            Listen::Addresses(addresses) => addresses.first(),
            Listen::PassedSockets => None,
        };
        let listen = listen.cloned();
        let listen = listen.unwrap_or_else(|| ListenAddress::from(server.local_addr()));
        Ok(Self {
            settings,
            listen,
            server,
            web_config,
            load,
        })
    }

    /// The first address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until [`Control::stop`] is called on the handle that `started` gets; then drains.
    ///
    /// # Errors
    /// When HTTPS to the receivers cannot be set up.
    pub async fn run(self, started: impl FnOnce(Control)) -> Result<(), StartError> {
        let notifier = Notifier::from_environment();
        let parts = start::start(StartInfo {
            settings: self.settings,
            listen: self.listen,
            local_addrs: self.server.local_addrs(),
            has_web_config: self.web_config.is_some(),
            load: self.load,
            notifier: notifier.clone(),
        })
        .await?;
        let (admin, requests) = admin::channel();
        let (stop, stopped) = watch::channel(false);
        let (drain, drain_ordered) = oneshot::channel();
        // Before the core reports that the program is ready: systemd, for one, may ask for a reload
        // at once.
        started(Control {
            admin: admin.clone(),
            stop: Arc::new(stop),
        });
        let pulse = parts.core.pulse.clone();
        let inputs = Inputs {
            events: parts.events,
            admin: requests,
            drain: drain_ordered,
        };
        let core = core::spawn(parts.core, inputs);
        let state = WebState {
            snapshots: parts.snapshots,
            clock: clock::now,
            encode_metrics: process::encoder(process::Sources {
                exposition: parts.exposition,
                web_config: self.web_config,
                store: parts.store_status,
                poll_runtime: parts.poll_runtime,
            }),
            refresh: parts.refresh,
            newest: parts.newest,
            pulse,
            admin,
        };
        let stopping = wait_for_stop(stopped, notifier);
        let drained = self.server.serve(state, stopping).await;
        // Fails only if the core has ended already, which the next lines report.
        let _ = drain.send(DRAIN_TIMEOUT);
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

/// The sender of messages: this machine's name. Links in messages use that name, too, as those of
/// Prometheus do, unless the settings have an external URL. There are no links where a web
/// configuration may require HTTPS under the certificate's name, or where only this machine can
/// connect.
pub(crate) fn message_context(listens: &ListenAddress, has_web_config: bool) -> MessageContext {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let is_reachable = !listens.is_loopback() && !has_web_config && !host.is_empty();
    let external_url = if is_reachable {
        Some(format!("http://{host}:{}", listens.port()))
    } else {
        None
    };
    MessageContext {
        exporter: host,
        external_url,
        ..MessageContext::default()
    }
}

fn resolved_all(addresses: &[ListenAddress]) -> Result<Vec<SocketAddr>, StartError> {
    addresses.iter().map(resolved).collect()
}

/// The address of a host name: an IPv4 address where it has one, as in Prometheus' programs.
fn resolved(listen: &ListenAddress) -> Result<SocketAddr, StartError> {
    let unresolved = |why: String| StartError::Unresolved {
        listen: listen.clone(),
        why,
    };
    let found = match listen.to_string().to_socket_addrs() {
        Ok(found) => found,
        Err(error) => return Err(unresolved(error.to_string())),
    };
    // IPv4 first; `min_by_key` takes the first of equals.
    match found.min_by_key(SocketAddr::is_ipv6) {
        Some(address) => Ok(address),
        None => Err(unresolved("it has no address".to_owned())),
    }
}

async fn wait_for_stop(mut stopped: watch::Receiver<bool>, notifier: Notifier) {
    // An error means that nobody can stop it any more, which is the same as being stopped.
    drop(stopped.wait_for(|stopped| *stopped).await);
    notifier.stopping();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_link_to_the_machine_only_where_it_can_be_reached() {
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
