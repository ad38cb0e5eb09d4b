//! A real Prometheus and a real Alertmanager, as Debian ships them, with separate directories.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{eventually, ports};
use serde_json::Value;

use crate::stage::LIMIT;

/// A running server that is killed when it is dropped.
struct Process {
    child: Child,
    folder: tempfile::TempDir,
}

impl Process {
    /// Starts `program` in `folder`; one that is missing fails with what installs it.
    fn start(
        program: &str,
        package: &str,
        folder: tempfile::TempDir,
        arguments: &[String],
    ) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program}: {error}; install it: apt-get install {package}")
            });
        Self { child, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whom Prometheus scrapes, and what it is to do with what it sees.
pub(crate) struct Job<'a> {
    /// The exporter, as `host:port`.
    pub(crate) target: &'a str,
    /// The rules, as a file's text.
    pub(crate) rules: &'a str,
    /// The Alertmanager, as `host:port`.
    pub(crate) alertmanager: Option<&'a str>,
}

/// A Prometheus that scrapes one exporter each second.
pub(crate) struct Prometheus {
    process: Process,
    url: String,
    client: HttpClient,
}

impl Prometheus {
    /// Starts it and waits until it has scraped the exporter.
    pub(crate) async fn start(job: Job<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: redis-cross-dc, static_configs: [{{targets: ['{}']}}]}}]\n",
            job.target
        );
        if let Some(alertmanager) = job.alertmanager {
            writeln!(config, "alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}")
                .unwrap();
        }
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yml"), job.rules).unwrap();
        let started = Self::launch(folder);
        started.wait_for("up == 1", "the first scrape", LIMIT).await;
        started
    }

    /// Starts it with this configuration, which may find no target that it can scrape.
    pub(crate) async fn with_config(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let started = Self::launch(folder);
        started
            .wait_for("vector(1)", "the first answer", LIMIT)
            .await;
        started
    }

    fn launch(folder: tempfile::TempDir) -> Self {
        let listen = format!("127.0.0.1:{}", ports::free().unwrap());
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address={listen}"),
        ];
        let process = Process::start("prometheus", "prometheus", folder, &arguments);
        Self {
            process,
            url: format!("http://{listen}"),
            client: client(),
        }
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The result of an instant query: one value for each series. What Prometheus refuses fails
    /// with its sentence.
    pub(crate) async fn query(&self, expr: &str) -> Vec<Value> {
        let answer = self
            .answer(expr)
            .await
            .unwrap_or_else(|error| panic!("{expr}: {error}\n{}", self.process.log()));
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The result of the query over the last two minutes, every two seconds.
    pub(crate) async fn last_minutes(&self, expr: &str) -> Vec<Value> {
        let now = jiff::Timestamp::now().as_second();
        let path = format!(
            "query_range?query={}&start={}&end={now}&step=2",
            encoded(expr),
            now - 120
        );
        let answer = self
            .ask(&path)
            .await
            .unwrap_or_else(|error| panic!("{expr}: {error}\n{}", self.process.log()));
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Waits until the query has a result.
    pub(crate) async fn wait_for(&self, expr: &str, what: &str, limit: Duration) {
        let probe = || async {
            let answer = self.answer(expr).await?;
            let series = answer["data"]["result"].as_array().map_or(0, Vec::len);
            if series > 0 {
                Ok(())
            } else {
                Err(format!("no result of {expr}"))
            }
        };
        eventually(what, limit, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.process.log()));
    }

    async fn answer(&self, expr: &str) -> Result<Value, String> {
        self.ask(&format!("query?query={}", encoded(expr))).await
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = self
            .client
            .get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&answer.body)
            .map_err(|error| format!("{error}: {}", answer.body))?;
        if body["status"] == "success" {
            Ok(body)
        } else {
            Err(body["error"].to_string())
        }
    }
}

/// A running Alertmanager.
pub(crate) struct Alertmanager {
    _process: Process,
    /// Where it listens: `host:port`.
    pub(crate) address: String,
}

impl Alertmanager {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(webhook: &str) -> Self {
        let config = format!(
            "route: {{receiver: hook, group_by: [alertname, pair], group_wait: 0s, group_interval: 1s}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]\n"
        );
        Self::with_config(&config).await
    }

    /// Starts it with this configuration and waits until it is ready.
    pub(crate) async fn with_config(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
        let address = format!("127.0.0.1:{}", ports::free().unwrap());
        let arguments = [
            "--config.file=alertmanager.yml".to_owned(),
            "--storage.path=data".to_owned(),
            // It needs no others, and would listen on every address for them.
            "--cluster.listen-address=".to_owned(),
            format!("--web.listen-address={address}"),
        ];
        let process = Process::start(
            "prometheus-alertmanager",
            "prometheus-alertmanager",
            folder,
            &arguments,
        );
        let (client, ready) = (client(), format!("http://{address}/-/ready"));
        let probe = || async {
            client
                .get(&ready)
                .await
                .is_ok_and(|answer| answer.status == 200)
        };
        eventually("Alertmanager to be ready", LIMIT, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", process.log()));
        Self {
            _process: process,
            address,
        }
    }
}

fn client() -> HttpClient {
    let timeouts = HttpTimeouts {
        connect: Duration::from_secs(2),
        total: Duration::from_secs(10),
    };
    HttpClient::for_exporter(timeouts).unwrap()
}

/// A text as the value of a URL's query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => url.push(char::from(byte)),
            other => write!(url, "%{other:02X}").unwrap(),
        }
        url
    })
}

/// The dashboards' folder.
pub(crate) fn dashboards() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}
