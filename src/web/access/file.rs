//! The web configuration's file: read at the start, and reloaded whenever it or a file that it names
//! changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::ActiveConfig;
use super::tls::{self, TlsFiles};
use crate::config::{
    ClientAuth, ConfigErrors, WebSettings, WebTlsSettings, parse_web, read_small_file,
};

/// The largest file that is read. A bundle of every public authority has a quarter of that.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Follows the active web configuration.
pub(in crate::web) type ActiveConfigWatch = watch::Receiver<Arc<ActiveConfig>>;

/// The web configuration's file, and its last contents.
pub struct WebConfig {
    path: PathBuf,
    /// The contents that were last acted on.
    seen: Result<Source, ConfigErrors>,
    /// The contents that were last read, if they differ: they count once they are read again.
    unsettled: Option<Result<Source, ConfigErrors>>,
    publish: watch::Sender<Arc<ActiveConfig>>,
    status: WebConfigStatus,
}

/// Whether the file, as it is now, is active. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WebConfigStatus(Arc<AtomicBool>);

/// The contents of all files. Contents are compared, not modification times: those are coarse, and
/// do not change when a link is pointed at another file, which is how certificates are replaced in
/// containers.
#[derive(PartialEq, Eq)]
struct Source {
    settings: WebSettings,
    tls: Option<TlsFiles>,
}

impl WebConfigStatus {
    /// Whether the file, as it was last read, is active; otherwise the configuration before it
    /// stays active.
    pub fn successful(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebConfig")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl WebConfig {
    /// Reads the file at `path` and the certificates and keys that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it: one sentence a line, each with its key path or file.
    pub fn load(path: PathBuf) -> Result<Self, ConfigErrors> {
        let source = Source::read(&path)?;
        let publish = watch::Sender::new(Arc::new(source.build()?));
        Ok(Self {
            path,
            seen: Ok(source),
            unsettled: None,
            publish,
            status: WebConfigStatus(Arc::new(AtomicBool::new(true))),
        })
    }

    /// Whether the file's contents are active, now and later.
    pub fn status(&self) -> WebConfigStatus {
        self.status.clone()
    }

    /// The active configuration, now and later.
    pub(in crate::web) fn watch_active(&self) -> ActiveConfigWatch {
        self.publish.subscribe()
    }

    /// Reads the files at every interval. Never ends.
    pub(in crate::web) async fn follow(mut self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.reread().await;
        }
    }

    /// Reads the files once more.
    pub(in crate::web) async fn reread(&mut self) {
        let path = self.path.clone();
        // Away from the threads that poll: a file may lie on a network.
        match tokio::task::spawn_blocking(move || Source::read(&path)).await {
            Ok(read) => self.apply(read),
            Err(error) => {
                tracing::error!(%error, "reading the web configuration panicked; it is tried again");
            }
        }
    }

    /// Activates what was read, if it is new, settled and valid. Invalid contents are logged once,
    /// and the old configuration stays active.
    ///
    /// Contents are settled once they were read twice. While an editor writes, a file may be empty
    /// or end in the middle for a moment, and the first half of a valid file may be a valid file
    /// without passwords.
    fn apply(&mut self, read: Result<Source, ConfigErrors>) {
        if read == self.seen {
            self.unsettled = None;
            return;
        }
        if self.unsettled.as_ref() != Some(&read) {
            self.unsettled = Some(read);
            return;
        }
        self.unsettled = None;
        let built = read.as_ref().map_err(Clone::clone).and_then(Source::build);
        self.seen = read;
        self.status.0.store(built.is_ok(), Ordering::Relaxed);
        match built {
            Ok(active) => {
                tracing::info!(file = %self.path.display(), "the web configuration was reloaded");
                self.publish.send_replace(Arc::new(active));
            }
            Err(errors) => {
                let file = self.path.display();
                tracing::error!(%file, %errors, "the new web configuration is refused; the old one stays in force");
            }
        }
    }
}

impl Source {
    fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let place = || path.display().to_string();
        let bytes = read_small_file(path, MAX_FILE_BYTES)
            .map_err(|error| ConfigErrors::one(place(), error.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| ConfigErrors::one(place(), "is not UTF-8 text"))?;
        let settings = parse_web(&text, path.parent().unwrap_or_else(|| Path::new("")))?;
        let tls = settings.tls.as_ref().map(TlsFiles::read).transpose()?;
        Ok(Self { settings, tls })
    }

    fn build(&self) -> Result<ActiveConfig, ConfigErrors> {
        let tls = match (&self.settings.tls, &self.tls) {
            (Some(settings), Some(files)) => Some(tls::build(settings, files)?),
            _ => None,
        };
        ActiveConfig::new(self.settings.clone(), tls)
    }
}

impl TlsFiles {
    fn read(settings: &WebTlsSettings) -> Result<Self, ConfigErrors> {
        let read = |key: &str, path: &Path| {
            read_small_file(path, MAX_FILE_BYTES).map_err(|error| {
                let place = format!("tls_server_config.{key}");
                ConfigErrors::one(place, format!("{} {error}", path.display()))
            })
        };
        Ok(Self {
            cert: read("cert_file", &settings.cert_file)?,
            key: read("key_file", &settings.key_file)?,
            client_ca: match &settings.client_auth {
                ClientAuth::None => None,
                ClientAuth::IfGiven(path) | ClientAuth::Required(path) => {
                    Some(read("client_ca_file", path)?)
                }
            },
        })
    }
}
