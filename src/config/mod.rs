//! The configuration: turns a file and the environment into [`Settings`], or into errors that say
//! what to change.
//!
//! text -> tree (`format`) -> variables expanded and overridden (`environment`) -> typed and
//! checked (`sections`, through `cursor`, with the keys of `table`). A key that is not in the table
//! is an error.
//!
//! **Invariants:** The only IO is the read of a configuration file ([`load`], [`load_web`]), of a
//! secret's file ([`SecretSource::read`]) and of a certificate's ([`read_small_file`]). No message,
//! `Debug` output or printed configuration contains a secret.

mod cursor;
mod discovery_settings;
mod environment;
mod error;
mod fields;
mod file_pattern;
mod files;
mod format;
mod inherited;
mod listen;
mod node;
mod receiver;
mod redact;
mod sample;
mod schema;
mod secret;
mod sections;
mod settings;
mod signing;
mod small_file;
mod table;
mod telemetry_path;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod value;
mod version;
mod warnings;
mod web;
mod yaml;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use discovery_settings::{
    DiscoverySettings, DnsRecord, DnsSettings, FilePair, PairFileReader, ParsePairFile,
};
pub use environment::Environment;
pub use error::{ConfigErrors, ConfigProblem};
pub use file_pattern::FilePattern;
pub use files::{NamedFiles, UnusableFile};
pub use format::Format;
pub use listen::ListenAddress;
pub use receiver::{
    AlertmanagerSettings, DeadMansSwitchSettings, EmailSettings, GroupReceiver, MailSecurity,
    MsTeamsSettings, PagerDutySettings, PeriodicReceiver, ReceiverKind, SlackBotSettings,
    SlackMention, SlackWebhookSettings, WebhookMethod, WebhookSettings,
};
pub use sample::sample_messages;
pub use schema::suggestion;
pub use secret::SecretError;
pub use settings::*;
pub use signing::signing_key;
pub use small_file::{MAX_PEM_BYTES, SmallFileError, read_small_file};
pub use telemetry_path::TelemetryPath;
pub use value::check_url_end;
pub use web::{
    CipherSuite, ClientAuth, Curve, PasswordHash, PemSource, RateLimit, TlsVersion, WebHeader,
    WebSettings, WebTlsSettings, load_web, parse_web,
};

/// Parses a duration in the configuration's syntax: `250ms`, `30s`, `1m30s`, `4h`.
///
/// # Errors
/// The end of a sentence whose subject is the text.
pub fn parse_duration(text: &str) -> Result<crate::model::Span, String> {
    value::parse_span(text)
}

/// A configuration that was read from a file.
#[derive(Debug)]
pub struct Loaded {
    /// The settings in it.
    pub settings: Settings,
    /// The files of secrets and certificates that it names; none of them has been read.
    pub files: NamedFiles,
}

/// Reads and checks the configuration file at `path`, in the format of its extension (`.yml`,
/// `.yaml`, `.toml`, `.json`).
///
/// # Errors
/// All problems at once; after a syntax error only that one.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, ConfigErrors> {
    let file = path.display().to_string();
    let root = read_tree(path).map_err(|sentence| ConfigErrors::one(&file, sentence))?;
    version::check(&root, &file)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    resolve(root, folder, environment)
}

/// The file's text as a tree. An error is a sentence without a subject, which is the file.
fn read_tree(path: &Path) -> Result<node::Table, String> {
    let Some(format) = Format::from_path(path) else {
        return Err(
            "the file's name must end in .yml, .yaml, .toml or .json, which tells its language"
                .to_owned(),
        );
    };
    let text = read_text(path).map_err(|error| format!("cannot be read: {error}"))?;
    format::read(&text, format)
}

/// The address that an exporter with the configuration file at `path` listens on, if the file has
/// one. Mistakes in other keys are ignored, because the commands that look for a running exporter
/// have to work in spite of them.
pub fn listen_address(path: &Path, environment: &Environment) -> Option<ListenAddress> {
    let mut root = read_tree(path).ok()?;
    let problems = error::Problems::default();
    environment.expand(&mut root, &problems);
    environment.override_scalars(&mut root, &problems);
    let folder = Path::new("");
    let files = files::FileCollector::default();
    let context = cursor::Context {
        problems: &problems,
        files: &files,
        folder,
    };
    sections::listen_address(&root, context)
}

/// Checks the configuration `text`; relative paths in it start from `folder`. Reads nothing else.
///
/// # Errors
/// As [`load`]: at a syntax error only that one, otherwise every problem.
pub fn parse(
    text: &str,
    format: Format,
    folder: &Path,
    environment: &Environment,
) -> Result<Settings, ConfigErrors> {
    let root = format::read(text, format)
        .map_err(|sentence| ConfigErrors::one("configuration", sentence))?;
    version::check(&root, "the configuration")?;
    let loaded = resolve(root, folder, environment)?;
    Ok(loaded.settings)
}

fn resolve(
    mut root: node::Table,
    folder: &Path,
    environment: &Environment,
) -> Result<Loaded, ConfigErrors> {
    let problems = error::Problems::default();
    let files = files::FileCollector::default();
    environment.expand(&mut root, &problems);
    environment.override_scalars(&mut root, &problems);
    let context = cursor::Context {
        problems: &problems,
        files: &files,
        folder,
    };
    let settings = sections::read(&root, context, environment);
    problems.or(Loaded {
        settings,
        files: files.finish(),
    })
}

/// The file's text.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(format::MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > format::MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is longer than 16 MiB",
        ));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}
