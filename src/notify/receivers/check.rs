//! Checks of receivers' secrets and files before they are needed.

use super::kinds::secrets_of;
use super::secrets::{read_authorities, read_secret};
use crate::config::{NotifySettings, ReceiverSettings, SecretSource};
use crate::model::Secret;

/// What is wrong with the secrets and files of receivers at this moment: the receiver's name and a
/// sentence for the log. A secret may appear later, so nothing here is final. No receiver is
/// contacted, because a request would be a message that nobody expects.
///
/// Blocks while it reads small files.
pub fn check(settings: &NotifySettings) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for receiver in &settings.receivers {
        if let Err(problem) = check_receiver(receiver) {
            problems.push((receiver.name.clone(), problem));
        }
    }
    problems
}

fn check_receiver(receiver: &ReceiverSettings) -> Result<(), String> {
    for source in all_sources(receiver) {
        read_secret(source)?;
    }
    secrets_of(&receiver.kind).check()?;
    if let Some(path) = &receiver.http.ca_file {
        read_authorities(path)?;
    }
    Ok(())
}

/// The sources of all secrets of a receiver, its proxy's included.
fn all_sources(receiver: &ReceiverSettings) -> Vec<&SecretSource> {
    let mut sources = secrets_of(&receiver.kind).secrets();
    sources.extend(&receiver.http.proxy);
    sources
}

/// The secrets of a receiver, as far as they can be read: what must not be shown.
pub(in crate::notify) fn readable_secrets(receiver: &ReceiverSettings) -> Vec<Secret> {
    let sources = all_sources(receiver).into_iter();
    sources.filter_map(|source| source.read().ok()).collect()
}
