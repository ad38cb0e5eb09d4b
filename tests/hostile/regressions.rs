//! Inputs that are tried again in every run: those that fuzzing has found, and those of kinds that
//! have broken parsers elsewhere. `fuzz/regressions/TARGET/NAME`, the bytes as the target gets
//! them.

use std::fs::{read, read_dir};
use std::path::{Path, PathBuf};

use crate::entries::{config, framing, http, info, info_to_metrics, lost_writes, web_config};

/// The inputs that are kept for `target`.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/regressions")
        .join(target);
    let mut files: Vec<PathBuf> = read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn replay(target: &str, run: fn(&[u8])) {
    for input in inputs(target) {
        // A failure names which one it was.
        eprintln!("{}", input.display());
        run(&read(&input).unwrap());
    }
}

#[test]
fn replies() {
    replay("info", info::run);
}

#[test]
fn stories() {
    replay("info_to_metrics", info_to_metrics::run);
}

#[test]
fn configurations() {
    replay("config", config::run);
}

#[test]
fn web_configurations() {
    replay("web_config", web_config::run);
}

#[test]
fn streams() {
    replay("framing", framing::run);
}

#[test]
fn tails() {
    replay("lost_writes", lost_writes::run);
}

#[test]
fn requests() {
    replay("http", http::run);
}
