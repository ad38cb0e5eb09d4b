//! The stage of the demo: servers, a simulated WAN, writers, a receiver and the exporter.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::narrator::Narrator;
use crate::app::{App, Control, Listen, LoadSettings, WebOptions};
use crate::config::{Environment, Format, Settings, TelemetryPath};
use crate::http_client::{HttpClient, HttpTimeouts};
use crate::lab::{
    LabError, Receiver, RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use crate::report::{PairReport, PairsReport};

/// The delay between two datacenters, in each direction: as from Frankfurt to New York.
const ONE_WAY_DELAY: Duration = Duration::from_millis(40);

/// Enough writes to see bytes move, few enough to leave the machine alone.
const LOAD: WriteLoad = WriteLoad {
    per_second: 100,
    value_bytes: 200,
};

/// Enough for the writes of the longest cut that is planned for, ten minutes: with less an alert
/// says so.
const BACKLOG: &str = "repl-backlog-size 32mb";

/// How long the exporter may take to answer a query of the story.
const QUERY_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(5),
};

/// How long servers may take to start and to copy an empty data set over the WAN.
const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// The story's pairs: `orders` with replicas in dc2 and dc3, `sessions` from dc2 to dc1.
pub(super) struct Stage {
    pub(super) orders_to_dc2: WanProxy,
    pub(super) sessions_to_dc1: WanProxy,
    pub(super) receiver: Receiver,
    control: Control,
    exporter: JoinHandle<()>,
    printer: JoinHandle<()>,
    client: HttpClient,
    url: String,
    pub(super) settings: Settings,
    _cast: Cast,
}

/// What only has to stay alive.
struct Cast {
    _servers: Vec<RedisServer>,
    _orders_to_dc3: WanProxy,
    _writers: Vec<SteadyWriter>,
    /// The exporter's state, which vanishes with the demo.
    _folder: tempfile::TempDir,
}

/// The story's servers, and the proxies between them.
struct Fleet {
    orders: RedisServer,
    sessions: RedisServer,
    /// Of `orders` in dc2 and in dc3, and of `sessions` in dc1.
    replicas: [RedisServer; 3],
    orders_to_dc2: WanProxy,
    orders_to_dc3: WanProxy,
    sessions_to_dc1: WanProxy,
}

impl Fleet {
    /// Starts the servers and waits until all replicas are in sync.
    async fn start() -> Result<Self, LabError> {
        let orders = RedisServer::builder().config(BACKLOG).start().await?;
        let sessions = RedisServer::builder().config(BACKLOG).start().await?;
        let orders_to_dc2 = wan(&orders).await?;
        let orders_to_dc3 = wan(&orders).await?;
        let sessions_to_dc1 = wan(&sessions).await?;
        let replicas = [
            replica_of(&orders_to_dc2).await?,
            replica_of(&orders_to_dc3).await?,
            replica_of(&sessions_to_dc1).await?,
        ];
        for replica in &replicas {
            replica.wait_until_in_sync(SYNC_LIMIT).await?;
        }
        Ok(Self {
            orders,
            sessions,
            replicas,
            orders_to_dc2,
            orders_to_dc3,
            sessions_to_dc1,
        })
    }

    /// Clients that write to both masters.
    fn start_writers(&self) -> Vec<SteadyWriter> {
        let masters = [&self.orders, &self.sessions];
        masters
            .map(|master| SteadyWriter::start(master.addr(), None, LOAD))
            .into()
    }
}

impl Stage {
    /// Starts everything and waits until all replicas are in sync.
    pub(super) async fn set(
        narrator: &Narrator,
        listen: SocketAddr,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        narrator.act("starting five redis-servers in three datacenters, 40 ms apart each way");
        let fleet = Fleet::start().await?;
        let writers = fleet.start_writers();
        let receiver = Receiver::start(Vec::new()).await?;
        let folder = tempfile::tempdir()?;
        let yaml = configuration(&fleet, &receiver);
        let settings = parse(&yaml, folder.path())?;
        let app = bind(yaml, folder.path(), listen)?;
        let url = format!("http://{}", app.local_addr());
        narrator.act(&format!(
            "starting the exporter: {url}/  {url}/metrics  {url}/api/v1/pairs"
        ));
        let (control, exporter) = start(app).await?;
        let printer = print_webhooks(*narrator, &receiver);
        let [orders_dc2, orders_dc3, sessions_dc1] = fleet.replicas;
        Ok(Self {
            orders_to_dc2: fleet.orders_to_dc2,
            sessions_to_dc1: fleet.sessions_to_dc1,
            receiver,
            control,
            exporter,
            printer,
            client: HttpClient::for_exporter(QUERY_TIMEOUTS)?,
            url,
            settings,
            _cast: Cast {
                _servers: vec![
                    fleet.orders,
                    fleet.sessions,
                    orders_dc2,
                    orders_dc3,
                    sessions_dc1,
                ],
                _orders_to_dc3: fleet.orders_to_dc3,
                _writers: writers,
                _folder: folder,
            },
        })
    }

    /// Where the exporter answers.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The exporter's report of all pairs.
    pub(super) async fn pairs(&self) -> Result<PairsReport, String> {
        let url = format!("{}/api/v1/pairs", self.url);
        self.client
            .get_json(&url)
            .await
            .map_err(|error| format!("{url}: {error}"))
    }

    /// The exporter's report of one pair.
    pub(super) async fn pair(&self, name: &str, target_dc: &str) -> Result<PairReport, String> {
        let report = self.pairs().await?;
        for pair in report.pairs {
            if pair.pair == name && pair.target_dc == target_dc {
                return Ok(pair);
            }
        }
        Err(format!("the exporter shows no pair {name} to {target_dc}"))
    }

    /// Ends the exporter in order; the servers end when the stage is dropped.
    pub(super) async fn end(self) {
        self.control.stop();
        // A panic of the exporter, the only error, has been printed by the panic hook.
        let _ = self.exporter.await;
        self.printer.abort();
    }
}

async fn wan(master: &RedisServer) -> Result<WanProxy, LabError> {
    let conditions = WanConditions {
        delay: ONE_WAY_DELAY,
        ..WanConditions::default()
    };
    WanProxy::start(None, master.addr(), conditions).await
}

/// A replica that notices a silent link within 10 s instead of a minute, to keep the story short.
async fn replica_of(master: &WanProxy) -> Result<RedisServer, LabError> {
    let builder = RedisServer::builder().replicaof(master.addr());
    builder
        .config("repl-timeout 20")
        .config("repl-diskless-sync-delay 0")
        .start()
        .await
}

/// Where the exporter will listen: the wanted port, or any free one when it is taken.
pub(super) async fn listen_address(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for address in [wanted, free] {
        if let Ok(listener) = TcpListener::bind(address).await
            && let Ok(bound) = listener.local_addr()
        {
            return bound;
        }
    }
    wanted
}

/// The exporter with this configuration, listening on `listen`.
fn bind(
    yaml: String,
    folder: &Path,
    listen: SocketAddr,
) -> Result<App, Box<dyn std::error::Error>> {
    let settings = parse(&yaml, folder)?;
    let web = WebOptions {
        listen: Listen::Addresses(vec![listen.into()]),
        telemetry_path: TelemetryPath::default(),
        config: None,
        admin_api: false,
    };
    let app = App::bind(settings, web, reload_the_same(yaml, folder.to_owned()))?;
    Ok(app)
}

/// Runs the exporter in the background, once it can be controlled.
async fn start(app: App) -> Result<(Control, JoinHandle<()>), Box<dyn std::error::Error>> {
    let (sender, control) = tokio::sync::oneshot::channel();
    let exporter = tokio::spawn(async move {
        // An exporter that ends with an error no longer answers, which fails the story.
        let _ = Box::pin(app.run(|control| drop(sender.send(control)))).await;
    });
    Ok((control.await?, exporter))
}

fn print_webhooks(narrator: Narrator, receiver: &Receiver) -> JoinHandle<()> {
    let mut arrivals = receiver.subscribe();
    tokio::spawn(async move {
        while let Ok(received) = arrivals.recv().await {
            narrator.webhook(&received);
        }
    })
}

fn parse(yaml: &str, folder: &Path) -> Result<Settings, crate::config::ConfigErrors> {
    let environment: Environment = std::iter::empty::<(String, String)>().collect();
    crate::config::parse(yaml, Format::Yaml, folder, &environment)
}

fn reload_the_same(yaml: String, folder: PathBuf) -> LoadSettings {
    Box::new(move || parse(&yaml, &folder))
}

/// The demo's configuration, with thresholds that are reached within seconds.
fn configuration(fleet: &Fleet, receiver: &Receiver) -> String {
    let [orders_dc2, orders_dc3, sessions_dc1] = &fleet.replicas;
    format!(
        r#"
datacenters:
  - {{name: dc1, match: [], local: true}}
poll: {{interval: 1s}}
pairs:
  - name: orders
    master: {{address: "{}", dc: dc1}}
    replicas:
      - {{address: "{}", dc: dc2}}
      - {{address: "{}", dc: dc3}}
    labels: {{team: payments}}
  - name: sessions
    master: {{address: "{}", dc: dc2}}
    replicas: [{{address: "{}", dc: dc1}}]
alerts:
  lag_seconds: {{warning: 5s, critical: 10s, for: 0s}}
  link_down: {{warning: 7s, critical: 60s}}
notify:
  group_wait: 0s
  group_interval: 5s
  receivers:
    - {{name: chat, slack: {{webhook_url: "{}"}}}}
    - {{name: oncall, min_severity: critical, pagerduty: {{routing_key: "0123456789abcdef0123456789abcdef", url: "{}"}}}}
    - {{name: hook, webhook: {{url: "{}"}}}}
"#,
        fleet.orders.addr(),
        orders_dc2.addr(),
        orders_dc3.addr(),
        fleet.sessions.addr(),
        sessions_dc1.addr(),
        receiver.url("/slack"),
        receiver.url("/v2/enqueue"),
        receiver.url("/webhook"),
    )
}
