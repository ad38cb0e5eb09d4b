//! The servers of a drill: a copy of the pair on loopback, with its settings and its round trip,
//! and an exporter that watches it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::operation::{ExporterDoor, ExporterView, PairModel};
use crate::app::{App, Control, Listen, WebOptions};
use crate::config::{Environment, Format, Settings, TelemetryPath};
use crate::http_client::HttpClient;
use crate::lab::{RedisServer, RedisServerBuilder, WanConditions, WanProxy, eventually};
use crate::report::PairsReport;

use super::super::exporters;

/// What the pair of a drill is called.
pub(super) const PAIR: &str = "drill";

/// How long servers and the exporter may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The longest one-way delay that is simulated.
const LONGEST_DELAY: Duration = Duration::from_millis(250);

/// The largest backlog of a copy: it holds seconds of writes, and takes memory at once.
const LARGEST_BACKLOG: u64 = 64 * 1024 * 1024;

/// The copy of a pair.
pub(super) struct DrillStage {
    pub(super) master: RedisServer,
    pub(super) replica: RedisServer,
    /// In front of the master: the way to it from the other site.
    pub(super) to_master: WanProxy,
    _to_replica: WanProxy,
    pub(super) settings: Settings,
    _folder: tempfile::TempDir,
    pub(super) door: ExporterDoor,
    control: Control,
    exporter: JoinHandle<()>,
}

impl DrillStage {
    /// Starts everything, and waits until the exporter knows the pair.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) async fn set(model: &PairModel) -> Result<Self, String> {
        let master = server(model).start().await;
        let master = master.map_err(|error| error.to_string())?;
        let delay = one_way(model);
        let to_master = wan(&master, delay).await?;
        let replica = server(model).replicaof(to_master.addr()).start().await;
        let replica = replica.map_err(|error| error.to_string())?;
        let to_replica = wan(&replica, delay).await?;
        let synced = replica.wait_until_in_sync(START_LIMIT).await;
        synced.map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let yaml = format!(
            "poll: {{interval: 200ms, min_interval: 100ms}}\n\
             state: {{path: ./data}}\n\
             recover: {{dir: ./data/lost-writes}}\n\
             pairs:\n\
             \x20 - name: {PAIR}\n\
             \x20   master: {{address: \"{}\", dc: old}}\n\
             \x20   replicas: [{{address: \"{}\", dc: new}}]\n",
            to_master.addr(),
            to_replica.addr()
        );
        let settings = parse(&yaml, folder.path())?;
        let (url, control, exporter) = exporter(&settings).await?;
        let client = HttpClient::for_exporter(exporters::TIMEOUTS);
        let client = client.map_err(|error| error.to_string())?;
        let stage = Self {
            master,
            replica,
            to_master,
            _to_replica: to_replica,
            settings,
            _folder: folder,
            door: ExporterDoor { url, client },
            control,
            exporter,
        };
        let certified = || async {
            let view = stage.view().await;
            let report = view.report?;
            match report.pairs.first().map(|pair| pair.last_known.is_some()) {
                Some(true) => Ok(()),
                _ => Err("it has no certified bound of the lag yet".to_owned()),
            }
        };
        eventually(
            "the drill's exporter to know the pair",
            START_LIMIT,
            certified,
        )
        .await
        .map_err(|error| error.to_string())?;
        Ok(stage)
    }

    /// What its exporter says.
    pub(super) async fn view(&self) -> ExporterView {
        let url = format!("{}/api/v1/pairs", self.door.url);
        let report = self.door.client.get_json::<PairsReport>(&url).await;
        ExporterView {
            url: self.door.url.clone(),
            is_observer: false,
            report: report.map_err(|error| error.to_string()),
        }
    }

    /// Ends the exporter in order; the servers end with the stage.
    pub(super) async fn end(self) {
        self.control.stop();
        // A panic of the exporter, the only error, has been printed by the panic hook.
        let _ = self.exporter.await;
    }
}

/// Half of the round trip to the replica.
pub(super) fn one_way(model: &PairModel) -> Duration {
    let half = model.round_trip.map(|trip| trip.mul_f64(0.5).to_duration());
    half.unwrap_or_default().min(LONGEST_DELAY)
}

async fn wan(server: &RedisServer, delay: Duration) -> Result<WanProxy, String> {
    let conditions = WanConditions {
        delay,
        ..WanConditions::default()
    };
    let proxy = WanProxy::start(None, server.addr(), conditions).await;
    proxy.map_err(|error| error.to_string())
}

/// A server with the settings of the pair.
fn server(model: &PairModel) -> RedisServerBuilder {
    let mut builder = RedisServer::builder();
    for (name, value) in &model.directives {
        for line in lines(name, value) {
            builder = builder.config(&line);
        }
    }
    builder
}

/// The lines of redis.conf that say what CONFIG GET said.
fn lines(name: &str, value: &str) -> Vec<String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    match name {
        // One line a class of clients, or a pair of numbers: older servers take no more.
        "client-output-buffer-limit" => words
            .chunks(4)
            .map(|class| format!("{name} {}", class.join(" ")))
            .collect(),
        "save" if words.is_empty() => vec!["save \"\"".to_owned()],
        "save" => words
            .chunks(2)
            .map(|rule| format!("{name} {}", rule.join(" ")))
            .collect(),
        "repl-backlog-size" => {
            let size = value
                .parse()
                .unwrap_or(LARGEST_BACKLOG)
                .min(LARGEST_BACKLOG);
            vec![format!("{name} {size}")]
        }
        _ => vec![format!("{name} {value}")],
    }
}

fn parse(yaml: &str, folder: &Path) -> Result<Settings, String> {
    let environment: Environment = std::iter::empty::<(String, String)>().collect();
    let parsed = crate::config::parse(yaml, Format::Yaml, folder, &environment);
    parsed.map_err(|errors| errors.to_string())
}

/// Runs an exporter in the background, which programs of this machine may tell of operations.
async fn exporter(settings: &Settings) -> Result<(String, Control, JoinHandle<()>), String> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let web = WebOptions {
        listen: Listen::Addresses(vec![listen.into()]),
        telemetry_path: TelemetryPath::default(),
        config: None,
        admin_api: true,
    };
    let same = settings.clone();
    let load = Box::new(move || Ok(same.clone()));
    let app = App::bind(settings.clone(), web, load).map_err(|error| error.to_string())?;
    let url = format!("http://{}", app.local_addr());
    let (sender, control) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(async move {
        // An exporter that ends with an error no longer answers, which fails the drill.
        let _ = Box::pin(app.run(|control| drop(sender.send(control)))).await;
    });
    let control = control.await.map_err(|error| error.to_string())?;
    Ok((url, control, running))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_config_get_says_becomes_lines_of_a_file() {
        assert_eq!(lines("appendonly", "yes"), ["appendonly yes"]);
        assert_eq!(lines("save", ""), ["save \"\""]);
        assert_eq!(
            lines("save", "3600 1 300 100"),
            ["save 3600 1", "save 300 100"]
        );
        assert_eq!(
            lines("client-output-buffer-limit", "normal 0 0 0 slave 1 2 3"),
            [
                "client-output-buffer-limit normal 0 0 0",
                "client-output-buffer-limit slave 1 2 3"
            ]
        );
        assert_eq!(
            lines("repl-backlog-size", "1073741824"),
            ["repl-backlog-size 67108864"]
        );
    }
}
