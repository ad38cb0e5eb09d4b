//! What works but should not stay as it is.

use super::{PairSettings, SentinelSettings, ServerSettings, Settings};

impl Settings {
    /// Sentences about settings that are valid and dangerous, for the log and for `check-config`. Hold no secret.
    pub fn warnings(&self) -> Vec<String> {
        let named = unverified_tls(&self.pairs, &self.sentinels);
        named.into_iter().chain(self.sentinels.iter().filter_map(unverified_discovery)).collect()
    }
}

fn unverified_tls(pairs: &[PairSettings], sentinels: &[SentinelSettings]) -> Option<String> {
    let servers = pairs.iter().flat_map(|pair| std::iter::once(&pair.master).chain(&pair.replicas));
    let servers = servers.chain(sentinels.iter().flat_map(|entry| &entry.sentinels));
    let unverified = |server: &&ServerSettings| server.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify);
    let mut addrs: Vec<_> = servers.filter(unverified).map(|server| &server.addr).collect();
    addrs.sort_unstable();
    addrs.dedup();
    let first = addrs.first()?;
    let which = if addrs.len() == 1 { first.to_string() } else { format!("{} servers, such as {first}", addrs.len()) };
    Some(format!(
        "tls.insecure_skip_verify is on for {which}: certificates are not verified, so anybody on the way can pose as the \
         server and read the password; give ca_file instead"
    ))
}

/// Whether a certificate of the servers that Sentinels name is taken unseen.
fn unverified_discovery(entry: &SentinelSettings) -> Option<String> {
    entry.servers.tls.as_ref().filter(|tls| tls.insecure_skip_verify)?;
    let name = &entry.name;
    Some(format!(
        "tls.insecure_skip_verify is on for the servers that the Sentinels of {name} find: certificates are not verified, \
         so anybody on the way can pose as a server and read the password; give ca_file instead"
    ))
}

#[cfg(test)]
mod tests {
    use crate::config::TlsSettings;
    use crate::config::tests_support::settings_of;

    #[test]
    fn every_server_without_verification_is_counted_once() {
        let mut settings = settings_of(&[("x", "a:1", &["b:1"]), ("y", "a:1", &["c:1"])]);
        assert_eq!(settings.warnings(), [] as [&str; 0]);
        let insecure = Some(TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() });
        settings.pairs[0].master.tls.clone_from(&insecure);
        settings.pairs[1].master.tls.clone_from(&insecure);
        assert!(settings.warnings()[0].starts_with("tls.insecure_skip_verify is on for a:1: certificates are not"));
        settings.pairs[1].replicas[0].tls = insecure;
        assert!(settings.warnings()[0].contains("is on for 2 servers, such as a:1: "));
    }
}
