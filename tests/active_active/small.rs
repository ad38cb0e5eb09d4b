//! The library is small: services that take it do not take the exporter.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that the library brings along, at most.
const MAX_CRATES: usize = 60;

#[test]
fn the_library_brings_few_crates() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--no-default-features", "--features", "active-active"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    let crates: BTreeSet<&str> = names
        .filter(|name| *name != env!("CARGO_PKG_NAME"))
        .collect();
    assert!(crates.contains("redis"), "{crates:?}");
    assert!(
        crates.len() <= MAX_CRATES,
        "{} crates: {crates:?}",
        crates.len()
    );
}
