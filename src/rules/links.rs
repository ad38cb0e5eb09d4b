//! Where the annotations of a rule lead.

use crate::config::Settings;

/// A pair's name as a part of a URL; a template of Prometheus.
const PAIR: &str = "{{ $labels.pair | urlquery | reReplaceAll \"[+]\" \"%20\" }}";

/// Where people reach the exporter and the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The exporter, without a slash at the end.
    exporter: String,
    /// The dashboard; `None` where there is none.
    dashboard: Option<String>,
}

impl Links {
    /// The links of a configuration. `exporter` is where people reach the exporter; without it the
    /// configuration's `notify.external_url`, and this machine where that is not set either.
    pub fn new(settings: &Settings, exporter: Option<&str>) -> Self {
        let configured = settings.notify.external_url.as_deref();
        let here = format!("http://localhost:{}", settings.listen_address.port());
        let exporter = exporter.or(configured).unwrap_or(&here);
        Self {
            exporter: exporter.trim_end_matches('/').to_owned(),
            dashboard: settings.notify.dashboard_url.clone(),
        }
    }

    /// The runbook of the alert `name`, which the exporter serves itself.
    pub(super) fn runbook(&self, name: &str) -> String {
        format!("{}/runbooks/{name}", self.exporter)
    }

    /// The dashboard, and without one the exporter's page: those of the pair that the alert is
    /// about, by its name alone, because a failover changes everything else.
    pub(super) fn dashboard(&self, about_a_pair: bool) -> String {
        match (&self.dashboard, about_a_pair) {
            (None, false) => format!("{}/", self.exporter),
            (None, true) => format!("{}/pairs/{PAIR}", self.exporter),
            (Some(url), false) => url.clone(),
            (Some(url), true) => {
                let joint = if url.contains('?') { '&' } else { '?' };
                format!("{url}{joint}var-pair={PAIR}")
            }
        }
    }
}
