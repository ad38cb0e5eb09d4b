//! The configuration as a whole: what reads, what is refused and with which sentence, and that no
//! secret leaks.

mod accepted;
mod clusters;
mod documents;
mod notify;
mod printed;
mod refused;
mod secrets;
mod sentinels;
mod syntax;

use std::path::Path;

use super::*;
use crate::model::Span;

const PAIR: &str = r#"pairs: [{name: p, master: {address: "a:1"}, replicas: [{address: "b:1"}]}]"#;

fn environment(vars: &[(&str, &str)]) -> Environment {
    vars.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read_with(yaml: &str, vars: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    parse(
        yaml,
        Format::Yaml,
        Path::new("/etc/exporter"),
        &environment(vars),
    )
}

fn read(yaml: &str) -> Result<Settings, ConfigErrors> {
    read_with(yaml, &[])
}

/// The settings of one plain pair and `sections`.
fn good(sections: &str) -> Settings {
    read(&format!("{PAIR}\n{sections}")).unwrap_or_else(|errors| panic!("{sections}\n{errors}"))
}

fn secs(secs: i64) -> Span {
    Span::from_secs(secs)
}

#[allow(clippy::unnecessary_wraps)] // a level is an `Option` wherever it is compared
fn level<T>(at: T, clear_below: T) -> Option<LevelThreshold<T>> {
    Some(LevelThreshold { at, clear_below })
}

/// A configuration that uses every section, all of its secrets in files.
const FULL: &str = r#"
datacenters:
  - {name: "dc $$1", match: [10.1.0.0/16, "*.dc1.example.com", "2001:db8::1"], local: true}
  - {name: "yes"}
redis: {username: "null", password_file: "pass word"}
poll: {interval: 1500ms, min_interval: 70ms, max_polls_per_second: 9, refresh_on_scrape: true, timeout: {local: 11ms, remote: 59s}, heartbeat: {interval: 3s}}
pairs:
  - name: "1"
    heartbeat: {enabled: true, interval: 1h}
    master: {address: "[::1]:6379", dc: "~"}
    replicas:
      - {address: "b:1", username: "a: b # c", password_file: other}
      - {address: "rediss://c:1", tls: {ca_file: "c$$.crt", cert_file: "y", key_file: k, server_name: "1"}}
      - {address: "unix:///run/a b $$.sock", tls: {enabled: false, insecure_skip_verify: true}}
    labels: {Team: "- \"x\"", empty: ""}
    alerts: {lag_seconds: {warning: 3ms, clear: 2ms}, lag_bytes: {critical: 1TiB}, unknown: {warning: null}}
sentinels:
  - {name: "2", addresses: ["s1:26379", "rediss://s2:26379"], sentinel_auth: {username: "$$s", password_file: s, tls: {enabled: false}}, tls: {ca_file: c}}
  - {name: all, master_name: "m?-*", addresses: [s3:26379], username: u, password_file: w, labels: {a: b}, heartbeat: {enabled: true}}
  - {name: one, master_name: "a$$b", addresses: [s3:26379], sentinel_auth: {tls: {}}, alerts: {link_down: {warning: 1s}}}
clusters:
  - {name: "3", addresses: ["c1:6379"], labels: {a: b}}
  - {name: c, addresses: ["rediss://c1:6379", "c2:6379"], tls: {ca_file: c}, username: u, password_file: w, alerts: {link_down: {warning: 1s}}}
alerts:
  lag_bytes: {warning: 999, keep_firing_for: 3s}
  unreachable: {warning: null, critical: null}
  full_sync: {warning: null, critical: 7, window: 5m}
notify:
  identity: "$$"
  group_by: [alertname, team]
  repeat_interval: 1d
  external_url: "https://x.example/$$"
  dashboard_url: "https://g.example/d/x?a=b"
  flapping: {changes: 3, window: 1h, stable_for: 2m}
  maintenance:
    - {name: "w$$", match: {pair: "a*"}, every: [sunday, friday], start: "23:59", duration: 90m, timezone: America/New_York}
  receivers:
    - {name: s, slack: {webhook_url_file: f}}
    - {name: p, min_severity: critical, group_by: [], repage_on: [new_in_group, escalated], pagerduty: {routing_key_file: f, url: "https://x.example/"}}
    - {name: w, match: {pair: "a*", team: "?"}, webhook: {url_file: f, secret_file: f, headers: {X-A_file: f}}, template: {title: "{{ level }} $$", summary: "{% if firing %}a{% endif %}"}}
    - {name: b, slack: {bot_token_file: f, channel: 'C$$x', api_url: "https://slack.example/api"}, http: {ca_file: c, proxy_url_file: f}}
    - {name: am, alertmanager: {urls: ["http://a:1", "http://b:1/p$$"], interval: 3s, headers: {X-A_file: f}}}
    - {name: h, heartbeat: {url_file: f, interval: 5s, headers: {X-A_file: f}}}
state: {path: "/var/lib/$$x"}
doctor:
  survive: 1h
  every: 6h
  ignore: [{check: B6, pair: "a*", reason: "costs $$5", until: 2027-01-31}, {check: A10, reason: x}]
operator: {username: "$$o", password_file: f}
recover: {capture: on, dir: "/var/lib/$$y", max_bytes: 2GiB}
"#;

/// Checks that `yaml` gives exactly the problem `sentence`.
fn bad_whole(yaml: &str, sentence: &str) {
    assert_eq!(
        read(yaml).map_err(|errors| errors.to_string()),
        Err(sentence.to_owned()),
        "{yaml}"
    );
}
