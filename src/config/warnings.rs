//! Warnings about settings that are valid but dangerous.

use std::collections::{BTreeMap, BTreeSet};

use super::{AlertSettings, BOUND_PERIODS, LevelRule, SentinelSettings, Settings, TlsSettings};
use crate::model::{PairName, Span};

impl Settings {
    /// Warnings about these settings, as sentences for the log and for `check-config`. Contain no
    /// secret.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(unverified_tls(self));
        warnings.extend(self.sentinels.iter().filter_map(unverified_discovery));
        warnings.extend(unprovable_thresholds(self));
        warnings.extend(twins(self));
        warnings
    }
}

/// A warning about the pair with the lowest threshold that polls can hardly prove to be clear.
fn unprovable_thresholds(settings: &Settings) -> Option<String> {
    let interval = settings.poll.min_interval;
    let oldest_bound = interval.mul_f64(BOUND_PERIODS);
    let mut clear_levels = Vec::new();
    for pair in &settings.pairs {
        clear_levels.extend(lowest_clear_level(&pair.alerts, &pair.name));
    }
    for entry in &settings.sentinels {
        clear_levels.extend(lowest_clear_level(&entry.alerts, &entry.name));
    }
    for entry in &settings.clusters {
        clear_levels.extend(lowest_clear_level(&entry.alerts, &entry.name));
    }
    let (below, name) = clear_levels.into_iter().min()?;
    if below >= oldest_bound {
        return None;
    }
    Some(format!(
        "alerts.lag_seconds of {name} resolves only below {below}, which polls each {interval} can \
         hardly prove: the upper bound of the lag becomes up to {oldest_bound} old between them; \
         raise the threshold to clear, or lower poll.min_interval"
    ))
}

/// The lowest lag in seconds below which an alert of the pair or entry `name` resolves, with that
/// name.
fn lowest_clear_level<'a>(
    alerts: &AlertSettings,
    name: &'a PairName,
) -> Option<(Span, &'a PairName)> {
    let LevelRule {
        warning, critical, ..
    } = alerts.lag_seconds;
    let lowest = match (warning, critical) {
        (Some(warning), Some(critical)) => warning.clear_below.min(critical.clear_below),
        (Some(level), None) | (None, Some(level)) => level.clear_below,
        (None, None) => return None,
    };
    Some((lowest, name))
}

/// A warning about the first two entries that name the same master and replica.
fn twins(settings: &Settings) -> Option<String> {
    let mut seen = BTreeMap::new();
    for entry in &settings.pairs {
        for replica in &entry.replicas {
            let servers = (&entry.master.addr, &replica.addr);
            if let Some(earlier) = seen.insert(servers, &entry.name) {
                let (master, replica) = servers;
                return Some(format!(
                    "the pair of {master} and {replica} has two names, {earlier} and {}: each of them \
                     has alerts of its own, so you are notified twice",
                    entry.name
                ));
            }
        }
    }
    None
}

/// A warning about all servers whose certificates are not verified.
fn unverified_tls(settings: &Settings) -> Option<String> {
    let mut servers = Vec::new();
    for pair in &settings.pairs {
        servers.push(&pair.master);
        servers.extend(&pair.replicas);
    }
    for entry in &settings.sentinels {
        servers.extend(&entry.sentinels);
    }
    for entry in &settings.clusters {
        servers.extend(&entry.nodes);
    }
    servers.retain(|server| is_unverified(server.tls.as_ref()));
    let addrs: BTreeSet<_> = servers.iter().map(|server| &server.addr).collect();
    let first = addrs.first()?;
    let which = match addrs.len() {
        1 => first.to_string(),
        count => format!("{count} servers, such as {first}"),
    };
    Some(format!(
        "tls.insecure_skip_verify is on for {which}: certificates are not verified, so anybody on \
         the way can pose as the server and read the password; give ca_file instead"
    ))
}

fn is_unverified(tls: Option<&TlsSettings>) -> bool {
    tls.is_some_and(|tls| tls.insecure_skip_verify)
}

/// A warning if certificates of servers that Sentinels report are not verified.
fn unverified_discovery(entry: &SentinelSettings) -> Option<String> {
    if !is_unverified(entry.servers.tls.as_ref()) {
        return None;
    }
    let name = &entry.name;
    Some(format!(
        "tls.insecure_skip_verify is on for the servers that the Sentinels of {name} find: certificates are not verified, \
         so anybody on the way can pose as a server and read the password; give ca_file instead"
    ))
}

#[cfg(test)]
mod tests {
    use crate::config::TlsSettings;
    use crate::config::testing::settings_of;
    use crate::model::Span;

    #[test]
    fn every_server_without_verification_is_counted_once() {
        let mut settings = settings_of(&[("x", "a:1", &["b:1"]), ("y", "a:1", &["c:1"])]);
        assert_eq!(settings.warnings(), [] as [&str; 0]);
        let insecure = Some(TlsSettings {
            insecure_skip_verify: true,
            ..TlsSettings::default()
        });
        settings.pairs[0].master.tls.clone_from(&insecure);
        settings.pairs[1].master.tls.clone_from(&insecure);
        assert!(
            settings.warnings()[0]
                .starts_with("tls.insecure_skip_verify is on for a:1: certificates are not")
        );
        settings.pairs[1].replicas[0].tls = insecure;
        assert!(settings.warnings()[0].contains("is on for 2 servers, such as a:1: "));
    }

    #[test]
    fn a_pair_with_two_names_gets_a_warning() {
        let shared = [
            ("x", "a:1", &["b:1", "c:1"][..]),
            ("y", "a:1", &["d:1"][..]),
        ];
        assert_eq!(settings_of(&shared).warnings(), [] as [&str; 0]);
        let twins = [
            ("x", "a:1", &["b:1", "c:1"][..]),
            ("y", "a:1", &["c:1"][..]),
        ];
        assert_eq!(
            settings_of(&twins).warnings(),
            [
                "the pair of a:1 and c:1 has two names, x and y: each of them has alerts of its own, so you are \
              notified twice"
            ]
        );
    }

    #[test]
    fn a_threshold_that_polling_cannot_prove_to_be_clear_gets_a_warning() {
        let mut settings = settings_of(&[("orders", "a:1", &["b:1"]), ("other", "c:1", &["d:1"])]);
        for (clear_below, warned) in [(625, false), (624, true)] {
            let level = settings.pairs[0]
                .alerts
                .lag_seconds
                .warning
                .as_mut()
                .unwrap();
            level.clear_below = Span::from_millis(clear_below);
            assert_eq!(
                settings.warnings().len(),
                usize::from(warned),
                "{clear_below} ms"
            );
        }
        assert!(settings.warnings()[0].starts_with(
            "alerts.lag_seconds of orders resolves only below 0.624 s, which polls each 0.250 s"
        ));
        settings.poll.min_interval = Span::from_millis(200);
        assert_eq!(settings.warnings(), [] as [&str; 0]);
    }
}
