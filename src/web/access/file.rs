//! The web configuration's file: read at the start, and again whenever it or a file that it names
//! has changed.

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

/// What is in force, for whoever serves.
pub(in crate::web) type ActiveConfigWatch = watch::Receiver<Arc<ActiveConfig>>;

/// The web configuration's file and what it said last.
pub struct WebConfig {
    path: PathBuf,
    /// What was acted on last.
    seen: Result<Source, ConfigErrors>,
    /// What was read last, if it is something else: it counts when it is read again.
    unsettled: Option<Result<Source, ConfigErrors>>,
    publish: watch::Sender<Arc<ActiveConfig>>,
    status: WebConfigStatus,
}

/// Whether the file, as it is now, is in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WebConfigStatus(Arc<AtomicBool>);

/// Everything that was read. Contents are compared, not times of change: those are coarse, and stay
/// behind when a link is turned to another file, which is how certificates are replaced in
/// containers.
#[derive(PartialEq, Eq)]
struct Source {
    settings: WebSettings,
    tls: Option<TlsFiles>,
}

impl WebConfigStatus {
    /// Whether the file, as it was last read, is in force; otherwise what was in force before it
    /// goes on.
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
    /// Everything that is wrong with it: a sentence a line, each with its key path or file.
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

    /// Whether what the file says is in force, now and later.
    pub fn status(&self) -> WebConfigStatus {
        self.status.clone()
    }

    /// What is in force, now and later.
    pub(in crate::web) fn published(&self) -> ActiveConfigWatch {
        self.publish.subscribe()
    }

    /// Reads the files again and again, for ever.
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
        // Away from the threads that poll: a file may lie on a network. A panic is as good as no
        // answer.
        if let Ok(read) = tokio::task::spawn_blocking(move || Source::read(&path)).await {
            self.take(read);
        }
    }

    /// Puts what was read in force, if it is new, settled and sound. What is broken is logged once,
    /// and the old goes on.
    ///
    /// Settled is what was read twice. An editor that is just writing leaves a file that is empty
    /// or ends in the middle for a moment, and the first half of a sound file may be a sound file
    /// without passwords.
    fn take(&mut self, read: Result<Source, ConfigErrors>) {
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
                tracing::info!(file = %self.path.display(), "the web configuration was loaded anew");
                self.publish.send_replace(Arc::new(active));
            }
            Err(errors) => {
                let file = self.path.display();
                tracing::error!(%file, %errors, "the new web configuration is refused; the old one goes on");
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
