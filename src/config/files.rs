//! The files that a configuration names: secrets, certificates and keys. They are read at the
//! moment of their use, so a missing one is no error of the configuration; but a check or a load
//! reports it at once.

use std::cell::RefCell;
use std::path::PathBuf;

use super::SecretSource;
use super::error::{ConfigErrors, Problems};
use super::small_file::{MAX_PEM_BYTES, read_small_file};

/// What a named file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A password, token, key or URL.
    Secret,
    /// Certificates or a private key.
    Pem,
}

/// A file and the key that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedFile {
    key: String,
    path: PathBuf,
    kind: FileKind,
}

/// The files that a configuration names, in the order in which its sections are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles(Vec<NamedFile>);

/// A file that cannot be used as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableFile {
    /// The path of the key that names it, such as `redis.password_file`.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do, as a sentence that names the file. Nothing of its content.
    pub problem: String,
}

impl NamedFiles {
    /// Reads every file and returns those that cannot be used as they are now. Blocks for the
    /// length of the reads.
    pub fn unusable(&self) -> Vec<UnusableFile> {
        self.0.iter().filter_map(NamedFile::check).collect()
    }

    /// Like [`Self::unusable`], as the problems of a configuration.
    ///
    /// # Errors
    /// A sentence for each file that cannot be used, after the path of its key.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let problems = Problems::default();
        for file in self.unusable() {
            problems.add(&file.key, file.problem);
        }
        problems.or(())
    }
}

impl UnusableFile {
    /// Whether a receiver needs the file: `notify` warns of those by the receiver's name.
    pub fn is_for_receiver(&self) -> bool {
        self.key.starts_with("notify.")
    }
}

impl NamedFile {
    fn check(&self) -> Option<UnusableFile> {
        let reason = match self.kind {
            FileKind::Secret => {
                let secret = SecretSource::File(self.path.clone());
                secret.read().err()?.to_string()
            }
            FileKind::Pem => {
                let error = read_small_file(&self.path, MAX_PEM_BYTES).err()?;
                format!("{} {error}", self.path.display())
            }
        };
        Some(UnusableFile {
            key: self.key.clone(),
            path: self.path.clone(),
            problem: format!(
                "{reason}; create the file or correct its path, and let the user that runs this \
                 program read it"
            ),
        })
    }
}

/// Collects the named files while a configuration is read.
#[derive(Default)]
pub(super) struct FileCollector(RefCell<Vec<NamedFile>>);

impl FileCollector {
    pub(super) fn add(&self, key: &str, path: PathBuf, kind: FileKind) {
        self.0.borrow_mut().push(NamedFile {
            key: key.to_owned(),
            path,
            kind,
        });
    }

    pub(super) fn finish(self) -> NamedFiles {
        NamedFiles(self.0.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, load};

    const TEXT: &str = "
redis: {username: u, password_file: password, tls: {ca_file: ca.pem}}
pairs: [{name: p, master: {address: 'a:1', password_file: absent}, replicas: [{address: 'b:1'}]}]
notify:
  receivers:
    - {name: w, webhook: {url_file: empty, headers: {X-A_file: folder}}, http: {ca_file: no.pem}}
state: {path: nowhere}
";

    fn files_in(folder: &Path) -> NamedFiles {
        std::fs::write(folder.join("config.yml"), TEXT).unwrap();
        std::fs::write(folder.join("password"), "hunter2").unwrap();
        std::fs::write(folder.join("ca.pem"), "hunter2").unwrap();
        std::fs::write(folder.join("empty"), " ").unwrap();
        std::fs::create_dir(folder.join("folder")).unwrap();
        let loaded = load(&folder.join("config.yml"), &Environment::default());
        loaded.unwrap_or_else(|errors| panic!("{errors}")).files
    }

    #[test]
    fn every_file_that_cannot_be_used_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = files_in(folder.path());
        let errors = files.check().unwrap_err().to_string();
        let expected = [
            (
                "pairs[0].master.password_file",
                "cannot read the secret file",
                "absent: No such file",
            ),
            (
                "notify.receivers[0].webhook.headers.X-A_file",
                "the secret file",
                "is not a regular file",
            ),
            (
                "notify.receivers[0].webhook.url_file",
                "the secret file",
                "empty is empty",
            ),
            (
                "notify.receivers[0].http.ca_file",
                "no.pem cannot be read",
                "No such file",
            ),
        ];
        for (key, start, end) in expected {
            let line = errors.lines().find(|line| line.starts_with(key));
            let line = line.unwrap_or_else(|| panic!("{key}:\n{errors}"));
            assert!(line.contains(start) && line.contains(end), "{line}");
            assert!(
                line.contains("; create the file or correct its path"),
                "{line}"
            );
        }
        assert_eq!(errors.lines().count(), expected.len(), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }

    #[test]
    fn files_of_receivers_are_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let unusable = files_in(folder.path()).unusable();
        let of_servers = unusable.iter().filter(|file| !file.is_for_receiver());
        let keys: Vec<_> = of_servers.map(|file| file.key.as_str()).collect();
        assert_eq!(keys, ["pairs[0].master.password_file"]);
    }
}
