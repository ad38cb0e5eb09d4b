//! The web configuration's file: read at the start, and reloaded whenever it or a file that it
//! names changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::ActiveConfig;
use super::tls::{self, TlsFiles};
use crate::config::{
    ConfigErrors, PemSource, WebSettings, WebTlsSettings, parse_web, read_small_file,
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
    /// Whether the file has no characters but white space.
    is_empty: bool,
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
        self.publish.borrow().warn();
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
            Ok(read) => {
                let read = read.and_then(|source| self.refuse_emptied(source));
                self.apply(read);
            }
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
                active.warn();
                self.publish.send_replace(Arc::new(active));
            }
            Err(errors) => {
                let file = self.path.display();
                tracing::error!(%file, %errors, "the new web configuration is refused; the old one stays in force");
            }
        }
    }

    /// Refuses a file that has become empty: it is more likely one that was cut short, by a full
    /// disk or a tool that failed, than the wish to ask for passwords no longer. At the start an
    /// empty file is as good as none.
    fn refuse_emptied(&self, source: Source) -> Result<Source, ConfigErrors> {
        if source.is_empty && !self.publish.borrow().is_default() {
            let place = self.path.display().to_string();
            let sentence = "has become empty; write {} into it to switch everything off";
            return Err(ConfigErrors::one(place, sentence));
        }
        Ok(source)
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
        Ok(Self {
            is_empty: text.trim().is_empty(),
            settings,
            tls,
        })
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
        let client_ca = settings.client_ca.as_ref();
        Ok(Self {
            cert: read_pem("cert_file", &settings.cert)?,
            key: read_pem("key_file", &settings.key)?,
            client_ca: client_ca
                .map(|source| read_pem("client_ca_file", source))
                .transpose()?,
        })
    }
}

/// The text of `source`; `key` is the key of its file.
fn read_pem(key: &str, source: &PemSource) -> Result<Vec<u8>, ConfigErrors> {
    match source {
        PemSource::Inline(text) => Ok(text.reveal().as_bytes().to_vec()),
        PemSource::File(path) => read_small_file(path, MAX_FILE_BYTES).map_err(|error| {
            let place = format!("tls_server_config.{key}");
            ConfigErrors::one(place, format!("{} {error}", path.display()))
        }),
    }
}
