//! The TLS keys of one level of the configuration and those around it, before it is known for which
//! server.

use std::path::PathBuf;

use super::TlsSettings;

/// The keys of `tls`, each from the nearest level that has it.
#[derive(Clone, Default, PartialEq)]
pub(super) struct TlsKeys {
    pub(super) enabled: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) server_name: Option<String>,
    pub(super) insecure_skip_verify: bool,
}

impl TlsKeys {
    /// The keys that give `settings`, for printing them.
    pub(super) fn from_settings(settings: &TlsSettings, enabled: bool) -> Self {
        let certificate = settings.client_certificate.as_ref();
        Self {
            enabled,
            ca_file: settings.ca_file.clone(),
            cert_file: certificate.map(|files| files.cert_file.clone()),
            key_file: certificate.map(|files| files.key_file.clone()),
            server_name: settings.server_name.clone(),
            insecure_skip_verify: settings.insecure_skip_verify,
        }
    }
}
