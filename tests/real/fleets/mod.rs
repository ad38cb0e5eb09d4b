//! Fleets that change: pair files, DNS names, and what they tell other programs of the servers.

#[path = "../../../src/discovery/names/testing.rs"]
mod dns;
mod files;
mod names;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis_cross_dc_exporter::lab::eventually;

use crate::command::run;
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

const POLL: &str =
    "poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}\n";

/// A folder for an exporter, with a folder `pairs.d` in it.
struct Folder(Arc<tempfile::TempDir>);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pairs.d")).unwrap();
        Self(Arc::new(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("pairs.d").join(name)
    }

    /// Writes a pair file beside its place and renames it, as a program should.
    fn put(&self, name: &str, text: &str) {
        let draft = self.0.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.path(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }
}

/// The names of the pairs that are watched, sorted.
async fn watched(exporter: &Exporter) -> Vec<String> {
    let pairs = exporter.pairs().await.pairs;
    let mut names: Vec<_> = pairs.into_iter().map(|pair| pair.pair).collect();
    names.sort();
    names
}

/// Waits until these pairs are watched and no others.
async fn until_watched(exporter: &Exporter, expected: &[&str]) {
    let same = || async {
        let names = watched(exporter).await;
        if names == expected {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    };
    eventually(&format!("{expected:?} to be watched"), LIMIT, same)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

/// Waits until the metric with these labels has this value.
async fn until_metric(exporter: &Exporter, name: &str, labels: &[(&str, &str)], expected: f64) {
    let same = || async {
        let found = Scrape::of(exporter).await.value(name, labels);
        if found == Some(expected) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    };
    eventually(&format!("{name}{labels:?} {expected}"), LIMIT, same)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

/// What `check` prints of the running exporter.
async fn check(folder: &Path, exporter: &Exporter) -> String {
    let config = exporter.config();
    let arguments = [
        "check",
        "--config.file",
        config.to_str().unwrap(),
        "--exporter.url",
        exporter.url(),
    ];
    run(folder, &arguments).await.stdout
}

/// Checks that the API, `check` and the page name the same trouble. The log does, too, unless a
/// pair had so many other lines that it is held back.
async fn every_surface_says(folder: &Path, exporter: &Exporter, trouble: &str) {
    let discovery = exporter.pairs().await.discovery;
    let troubles = discovery.troubles();
    let line = troubles.iter().find(|(_, reason)| reason.contains(trouble));
    let (subject, reason) = line.unwrap_or_else(|| panic!("{trouble:?} is not in {troubles:?}"));
    let printed = check(folder, exporter).await;
    assert!(
        printed.contains(&format!("{subject}: {reason}")),
        "{printed}"
    );
    let escaped = reason
        .replace('&', "&#38;")
        .replace('\'', "&#39;")
        .replace('"', "&#34;");
    let page = exporter.get("/").await;
    assert!(page.contains(&*escaped), "{reason:?} is not in {page}");
}
