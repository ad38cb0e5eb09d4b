//! A dead man's switch: a URL that is requested while the exporter is healthy.

use super::protocol::ReceiverSecrets;
use super::secrets::{read_headers, read_secret};
use crate::config::{DeadMansSwitchSettings, SecretSource};
use crate::model::Secret;

impl ReceiverSecrets for DeadMansSwitchSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        let mut secrets = vec![&self.url];
        secrets.extend(self.headers.values());
        secrets
    }
}

/// The URL and the headers of a GET request. Blocks while it reads secrets from files.
pub(in crate::notify) fn request(
    settings: &DeadMansSwitchSettings,
) -> Result<(Secret, Vec<(String, String)>), String> {
    Ok((
        read_secret(&settings.url)?,
        read_headers(&settings.headers)?,
    ))
}
