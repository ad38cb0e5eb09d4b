//! Secrets and certificate authorities of receivers. They are read at each use, so that a rotation
//! needs no restart.

use std::path::Path;

use tracing::warn;

use crate::config::{HttpSettings, SecretSource, read_small_file};
use crate::http_client::{HttpClient, HttpRoute};
use crate::model::Secret;
use crate::notify::retry::AttemptResult;

/// The largest file of certificate authorities; the system's own have some 200 KiB.
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// Runs `work` on a thread that may block, because a secret's file may lie on a network. An error
/// is logged.
pub(in crate::notify) async fn blocking<T: Send + 'static>(
    receiver: &str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, AttemptResult> {
    let done = match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err("the program is stopping".to_owned()),
    };
    done.map_err(|problem| {
        warn!(
            receiver,
            problem, "a secret of this receiver cannot be read"
        );
        AttemptResult::SecretUnreadable
    })
}

/// A client with the receiver's own certificate authorities and proxy.
pub(in crate::notify) fn client_for(
    client: &HttpClient,
    http: &HttpSettings,
) -> Result<HttpClient, String> {
    let authorities = match &http.ca_file {
        Some(path) => Some(read_authorities(path)?),
        None => None,
    };
    let proxy = http.proxy.as_ref().map(read_secret).transpose()?;
    let route = HttpRoute { authorities, proxy };
    client.via(&route).map_err(|error| error.to_string())
}

/// The certificate authorities in a PEM file.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<u8>, String> {
    read_small_file(path, MAX_CA_BYTES).map_err(|error| format!("{}: {error}", path.display()))
}

/// The secret of `source`, as it is now.
pub(in crate::notify) fn read_secret(source: &SecretSource) -> Result<Secret, String> {
    source.read().map_err(|error| error.to_string())
}

/// The values of configured headers, as they are now.
pub(in crate::notify) fn read_headers<'a>(
    headers: impl IntoIterator<Item = (&'a String, &'a SecretSource)>,
) -> Result<Vec<(String, String)>, String> {
    let mut read = Vec::new();
    for (name, value) in headers {
        let value = read_secret(value)?;
        read.push((name.clone(), value.reveal().to_owned()));
    }
    Ok(read)
}
