//! That all surfaces of the exporter agree: the API, the metrics, `check` and the alerts.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::report::{FailoverReport, ListedState, PairsReport};

use crate::command::run;
use crate::exporter::Exporter;
use crate::scrape::Scrape;

/// How long something may take that Sentinels decide: they need seconds to agree, and ten to look
/// around.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// One entry of an exporter's configuration, and a letter for each of its servers.
pub(crate) struct Story<'a> {
    exporter: &'a Exporter,
    name: &'static str,
    letters: Vec<(String, &'static str)>,
}

impl<'a> Story<'a> {
    pub(crate) fn of(
        exporter: &'a Exporter,
        name: &'static str,
        servers: &[(&'static str, &ServerAddr)],
    ) -> Self {
        let letters = servers
            .iter()
            .map(|(letter, addr)| (addr.to_string(), *letter))
            .collect();
        Self {
            exporter,
            name,
            letters,
        }
    }

    /// Waits until all of them show `expected`: `SOURCE>TARGET REPLICA STATE` for each pair,
    /// sorted; how many failovers there were; and the alerts about the entry that fire, as `NAME
    /// SEVERITY` without the common beginning of their names. All separated by commas.
    pub(crate) async fn is(&self, expected: &str) {
        let told = || async {
            let told = [
                self.by_api().await,
                self.by_metrics().await,
                self.by_check().await,
            ];
            if told.iter().all(|told| told == expected) {
                Ok(())
            } else {
                Err(format!("{told:#?}"))
            }
        };
        let what = format!("everything to say {expected:?}");
        eventually(&what, LIMIT, told)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.exporter.log()));
        eprintln!("{}: {expected}", self.name);
    }

    /// The entry's last failover, once it meets `reached`.
    pub(crate) async fn failover(
        &self,
        what: &str,
        reached: impl Fn(&FailoverReport) -> bool,
    ) -> FailoverReport {
        let probe = || async {
            let report = self.exporter.pairs().await;
            let last = report
                .failovers
                .into_iter()
                .find(|entry| entry.pair == self.name)
                .and_then(|entry| entry.last);
            last.clone().filter(&reached).ok_or(format!("{last:?}"))
        };
        eventually(what, LIMIT, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.exporter.log()))
    }

    /// Nothing critical about the entry was notified, by the log.
    pub(crate) fn paged_nobody(&self) {
        let log = self.exporter.log();
        let pair = format!("pair={}", self.name);
        let paged = log.lines().find(|line| {
            line.contains("an alert changed")
                && line.contains(&pair)
                && line.contains("severity=critical")
        });
        assert_eq!(paged, None);
    }

    /// How often an alert about the entry changed in this way, by the log: `RedisCrossDcDiverged`,
    /// `resolved`.
    pub(crate) fn changes(&self, alert: &str, change: &str) -> usize {
        let words = [
            format!("alertname={alert}"),
            format!("change={change}"),
            format!("pair={}", self.name),
        ];
        let log = self.exporter.log();
        log.lines()
            .filter(|line| words.iter().all(|word| line.contains(word.as_str())))
            .count()
    }

    /// Connections that the exporter has made so far.
    pub(crate) async fn connections(&self) -> f64 {
        let labels = [("operation", "connect")];
        Scrape::of(self.exporter)
            .await
            .value("redis_cross_dc_latency_seconds_count", &labels)
            .unwrap_or(0.0)
    }

    async fn by_api(&self) -> String {
        let report = self.exporter.pairs().await;
        let alerts = self.exporter.alerts().await.alerts;
        let about = alerts.iter().filter(|alert| {
            alert
                .labels
                .get("pair")
                .is_some_and(|pair| pair == self.name)
        });
        let firing = about.filter(|alert| alert.state == ListedState::Firing);
        self.told(
            &report,
            &firing
                .map(|alert| (alert.alertname.clone(), alert.severity.label()))
                .collect(),
        )
    }

    async fn by_check(&self) -> String {
        let args = [
            "check",
            "--exporter.url",
            self.exporter.url(),
            "--output",
            "json",
        ];
        let report = run(Path::new("."), &args).await;
        let Ok(report) = serde_json::from_str::<PairsReport>(&report.stdout) else {
            return report.stderr;
        };
        let own = report
            .pairs
            .iter()
            .filter(|pair| pair.pair == self.name)
            .flat_map(|pair| &pair.alerts);
        let firing = own.filter(|alert| alert.state == ListedState::Firing);
        // A pair's line has those of its servers, too.
        let of_servers = ["RedisCrossDcServerUnreachable", "RedisCrossDcFullSync"];
        let firing = firing.filter(|alert| !of_servers.contains(&alert.alertname.as_str()));
        self.told(
            &report,
            &firing
                .map(|alert| (alert.alertname.clone(), alert.severity.label()))
                .collect(),
        )
    }

    async fn by_metrics(&self) -> String {
        let scrape = Scrape::of(self.exporter).await;
        let own = [("pair", self.name)];
        let values =
            |name: &str, labels: &[(&str, &str)], label| scrape.label_values(name, labels, label);
        let mut pairs = BTreeSet::new();
        for replica in values("redis_cross_dc_pair_info", &own, "replica") {
            let labels = [("pair", self.name), ("replica", &*replica)];
            let dcs = ["source_dc", "target_dc"].map(|dc| {
                values("redis_cross_dc_pair_info", &labels, dc)
                    .into_iter()
                    .collect::<Vec<_>>()
                    .join("|")
            });
            let states = values("redis_cross_dc_link_state", &labels, "state");
            let state = states.iter().filter(|state| {
                let labels = [labels[0], labels[1], ("state", state.as_str())];
                scrape.value("redis_cross_dc_link_state", &labels) == Some(1.0)
            });
            let state = state.cloned().collect::<Vec<_>>().join("|");
            pairs.insert(format!(
                "{}>{} {} {state}",
                dcs[0],
                dcs[1],
                self.letter(&replica)
            ));
        }
        let failovers = scrape
            .value("redis_cross_dc_failovers_total", &own)
            .unwrap_or(-1.0);
        let mut alerts = BTreeSet::new();
        for name in values(
            "redis_cross_dc_alerts",
            &[own[0], ("state", "firing")],
            "alertname",
        ) {
            for severity in values(
                "redis_cross_dc_alerts",
                &[own[0], ("alertname", &name)],
                "severity",
            ) {
                alerts.insert(short(&name, &severity));
            }
        }
        line(pairs, failovers, alerts)
    }

    fn told(&self, report: &PairsReport, alerts: &BTreeSet<(String, &'static str)>) -> String {
        let own = report.pairs.iter().filter(|pair| pair.pair == self.name);
        let shown = own.map(|pair| {
            let (source, target, state) = (&pair.source_dc, &pair.target_dc, pair.state.label());
            format!("{source}>{target} {} {state}", self.letter(&pair.replica))
        });
        let failovers = report
            .failovers
            .iter()
            .find(|entry| entry.pair == self.name);
        #[allow(clippy::cast_precision_loss, reason = "a handful of failovers")]
        let failovers = failovers.map_or(-1.0, |entry| entry.total as f64);
        line(
            shown.collect(),
            failovers,
            alerts
                .iter()
                .map(|(name, severity)| short(name, severity))
                .collect(),
        )
    }

    fn letter(&self, addr: &str) -> &str {
        self.letters
            .iter()
            .find(|(known, _)| known == addr)
            .map_or("?", |(_, letter)| letter)
    }
}

fn short(alert: &str, severity: &str) -> String {
    format!("{} {severity}", alert.trim_start_matches("RedisCrossDc"))
}

fn line(pairs: BTreeSet<String>, failovers: f64, alerts: BTreeSet<String>) -> String {
    pairs
        .into_iter()
        .chain([failovers.to_string()])
        .chain(alerts)
        .collect::<Vec<_>>()
        .join(", ")
}
