//! deny.toml's licences, without cargo-deny and without a network: each crate in the lock file has
//! one that is allowed.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// What `[licenses] allow` of deny.toml lists.
fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string("deny.toml").unwrap();
    let (_, rest) = text.split_once("\n[licenses]\n").unwrap();
    let (_, rest) = rest.split_once("allow = [").unwrap();
    let (list, _) = rest.split_once(']').unwrap();
    list.split(',')
        .map(|item| item.trim().trim_matches('"').to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// The packages of the lock file that are built on this platform, as cargo knows them.
fn packages() -> Vec<Value> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            &target,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether the SPDX `expression` can be satisfied by licences that are `allowed`. AND binds closer
/// than OR; "/" is an old way to write OR; an exception grants more than its licence does.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let result = any_of(&mut words, allowed);
    assert!(words.peek().is_none(), "{expression} is no SPDX expression");
    result
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        result |= all_of(words, allowed);
    }
    result
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let word = words.next().unwrap();
    if word == "(" {
        let result = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return result;
    }
    if words.next_if_eq(&"WITH").is_some() {
        words.next().unwrap();
    }
    allowed.contains(word)
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let (allowed, packages) = (allowed(), packages());
    assert!(
        packages.len() > 100,
        "only {} packages: cargo metadata has changed",
        packages.len()
    );
    for package in packages {
        let (name, licence) = (
            &package["name"],
            package["license"].as_str().unwrap_or_default(),
        );
        assert!(!licence.is_empty(), "{name} names no licence");
        assert!(
            satisfied(licence, &allowed),
            "{name} is under {licence}, which deny.toml does not allow"
        );
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    for package in packages() {
        let own = package["name"] == env!("CARGO_PKG_NAME");
        let source = package["source"].as_str();
        assert!(
            own || source.is_some_and(|source| source.starts_with("registry+")),
            "{}: {source:?}",
            package["name"]
        );
    }
}

#[test]
fn licence_expressions_are_read_as_in_spdx() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let cases = [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT AND ISC", true),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("MIT OR GPL-3.0-only AND BSD-2-Clause", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("MIT WITH LLVM-exception", true),
    ];
    for (expression, expected) in cases {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}
