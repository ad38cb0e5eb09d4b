//! The contract's default settings, for any pairs.

use std::path::Path;

use redis_cross_dc_exporter::config::{Environment, Format, Settings, parse};

/// Every pair: name, master, replicas. One receiver takes every alert.
///
/// The servers of the simulation have the 1 MiB backlog that servers have by default, which is
/// small for what they write: without that rule, a healthy pair has no alert.
pub(crate) fn settings_of(pairs: &[(String, String, Vec<String>)]) -> Settings {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, master, replicas)| pair(name, master, replicas))
        .collect();
    let receiver = "{name: hook, webhook: {url: 'http://hook.example.com/'}}";
    let yaml = format!(
        "alerts: {{backlog_headroom: {{warning: null}}}}\npairs: [{}]\nnotify: {{receivers: [{receiver}]}}\n",
        pairs.join(", ")
    );
    parse(&yaml, Format::Yaml, Path::new("."), &Environment::default())
        .expect("a test's configuration")
}

fn pair(name: &str, master: &str, replicas: &[String]) -> String {
    let replicas: Vec<String> = replicas
        .iter()
        .map(|addr| format!("{{address: '{addr}'}}"))
        .collect();
    format!(
        "{{name: {name}, master: {{address: '{master}'}}, replicas: [{}]}}",
        replicas.join(", ")
    )
}
