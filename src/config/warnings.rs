//! Warnings about settings that are valid but dangerous.

use std::collections::BTreeSet;

use super::{
    AlertSettings, BOUND_PERIODS, PairSettings, SentinelSettings, ServerSettings, Settings,
};
use crate::model::Span;

impl Settings {
    /// Warnings about these settings, as sentences for the log and for `check-config`. Contain no
    /// secret.
    pub fn warnings(&self) -> Vec<String> {
        let named = unverified_tls(&self.pairs, &self.sentinels).into_iter();
        let found = self.sentinels.iter().filter_map(unverified_discovery);
        named
            .chain(found)
            .chain(unprovable_thresholds(self))
            .collect()
    }
}

/// A warning about the pair with the lowest threshold that polls can hardly prove to be clear.
fn unprovable_thresholds(settings: &Settings) -> Option<String> {
    let interval = settings.poll.min_interval;
    let oldest_bound = interval.mul_f64(BOUND_PERIODS);
    let pairs = settings.pairs.iter();
    let pairs = pairs.map(|pair| (&pair.alerts, &pair.name));
    let entries = settings.sentinels.iter();
    let entries = entries.map(|entry| (&entry.alerts, &entry.name));
    let clear_levels = pairs
        .chain(entries)
        .filter_map(|(alerts, name)| Some((lowest_clear_level(alerts)?, name)));
    let (below, name) = clear_levels.min()?;
    if below >= oldest_bound {
        return None;
    }
    Some(format!(
        "alerts.lag_seconds of {name} resolves only below {below}, which polls each {interval} can \
         hardly prove: the upper bound of the lag becomes up to {oldest_bound} old between them; \
         raise the threshold to clear, or lower poll.min_interval"
    ))
}

fn lowest_clear_level(alerts: &AlertSettings) -> Option<Span> {
    let rule = &alerts.lag_seconds;
    let levels = rule.warning.into_iter().chain(rule.critical);
    levels.map(|level| level.clear_below).min()
}

/// A warning about all servers whose certificates are not verified.
fn unverified_tls(pairs: &[PairSettings], sentinels: &[SentinelSettings]) -> Option<String> {
    let in_pairs = pairs
        .iter()
        .flat_map(|pair| std::iter::once(&pair.master).chain(&pair.replicas));
    let all = in_pairs.chain(sentinels.iter().flat_map(|entry| &entry.sentinels));
    let unverified = all.filter(|server| is_unverified(server));
    let addrs: BTreeSet<_> = unverified.map(|server| &server.addr).collect();
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

fn is_unverified(server: &ServerSettings) -> bool {
    let tls = server.tls.as_ref();
    tls.is_some_and(|tls| tls.insecure_skip_verify)
}

/// A warning if certificates of servers that Sentinels report are not verified.
fn unverified_discovery(entry: &SentinelSettings) -> Option<String> {
    entry
        .servers
        .tls
        .as_ref()
        .filter(|tls| tls.insecure_skip_verify)?;
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
    fn a_threshold_that_polling_cannot_prove_to_be_clear_is_named() {
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
