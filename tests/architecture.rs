//! The house's invariants, checked over `use` lines and paths: rooms import downwards only, outside
//! crates stay in their rooms, and pure rooms read no clock.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has to fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The floors, from the bottom. A room may use rooms of lower floors only.
const FLOORS: &[&[&str]] = &[
    &["model", "template"],
    &["clock", "config", "info"],
    &["topology", "replication", "http_client"],
    &["alert", "client"],
    &["monitor", "store"],
    &["report"],
    &["metrics", "poll", "notify", "discovery"],
    &["web", "rules"],
    &["app"],
    &["lab"],
    &["cli"],
];

/// Outside crates and the only rooms that may name them.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("redis", &["client"]),
    ("reqwest", &["http_client"]),
    ("rustls", &["http_client", "client", "web"]),
    ("tokio_rustls", &["client", "web"]),
    ("rustls_platform_verifier", &["client"]),
    ("bcrypt", &["config", "web"]),
    ("base64", &["config", "monitor", "notify", "web"]),
    ("ring", &["notify", "web"]),
    ("minijinja", &["template"]),
    ("hyper", &["web"]),
    ("hyper_util", &["web"]),
    ("axum", &["web"]),
    ("askama", &["web"]),
    ("flate2", &["web"]),
    ("pulldown_cmark", &["web"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("prometheus", &["metrics", "app"]),
    ("redb", &["store"]),
    ("crc32fast", &["store"]),
    ("rustix", &["clock", "client", "app", "lab"]),
];

/// Rooms without clock, randomness and IO, as a whole.
const PURE_ROOMS: &[&str] = &[
    "model",
    "template",
    "info",
    "topology",
    "replication",
    "alert",
    "monitor",
    "report",
    "metrics",
    "rules",
];

/// Pure files in rooms that also do IO.
const PURE_FILES: &[&str] = &[
    "poll/schedule.rs",
    "poll/pace.rs",
    "poll/lead.rs",
    "poll/backoff.rs",
    "poll/budget.rs",
    "discovery/pace.rs",
    "poll/heartbeat/plan.rs",
    "poll/heartbeat/beats.rs",
    "notify/facts.rs",
    "notify/alertmanager.rs",
    "notify/links.rs",
    "notify/message.rs",
    "notify/signature.rs",
    "notify/slack_bot.rs",
    "notify/slack.rs",
    "notify/pagerduty.rs",
    "notify/webhook.rs",
    "notify/words.rs",
    "notify/retry/mod.rs",
    "notify/queue/mod.rs",
    "notify/outbox.rs",
    "notify/queue/dead.rs",
    "notify/queue/group.rs",
    "notify/queue/saved.rs",
    "config/web.rs",
    "web/access/writes.rs",
    "store/codec.rs",
    "store/rows/documents.rs",
    "store/rows/mod.rs",
    "store/rows/history.rs",
    "store/rows/pairs.rs",
    "store/rows/servers.rs",
    "store/frame.rs",
    "store/ledger.rs",
];

/// What pure code must not name.
const IMPURE: &[&str] = &[
    "crate::clock",
    "SystemTime",
    "Instant::now",
    "std::time::Instant",
    "tokio::",
    "std::net::Tcp",
    "std::fs",
    "std::env::var",
    "Rng::new()",
    "fastrand::f64",
    "thread_rng",
];

struct Source {
    room: String,
    path: String,
    /// The lines before the tests, without comments.
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let only_tests: BTreeSet<PathBuf> = files.iter().flat_map(|file| test_modules(file)).collect();
    let is_test = |file: &&PathBuf| {
        only_tests
            .iter()
            .any(|module| file.with_extension("").starts_with(module))
    };
    files
        .iter()
        .filter(|file| !is_test(file))
        .map(|file| source(&root, file))
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The modules that `file` declares for tests only, as paths without an ending.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap();
    let is_root = ["mod", "lib", "main"]
        .iter()
        .any(|stem| file.file_stem().unwrap() == *stem);
    let folder = if is_root {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    let lines: Vec<&str> = text.lines().collect();
    let declared = |pair: &[&str]| {
        let name = pair[1]
            .trim_start_matches("pub(crate) ")
            .strip_prefix("mod ")?
            .strip_suffix(';')?;
        (pair[0] == "#[cfg(test)]").then(|| folder.join(name))
    };
    lines.windows(2).filter_map(declared).collect()
}

fn source(root: &Path, file: &Path) -> Source {
    let path = file
        .strip_prefix(root)
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let first_part = path
        .split('/')
        .next()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = before_tests.lines().enumerate();
    let code = lines
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap().to_owned()))
        .collect();
    Source {
        room: first_part,
        path,
        code,
    }
}

fn floor_of() -> BTreeMap<&'static str, usize> {
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect()
}

/// The rooms that a line of code names by `crate::room`.
fn rooms_named(line: &str) -> Vec<String> {
    let ident = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    line.split("crate::")
        .skip(1)
        .map(ident)
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn every_import_points_down() {
    let floors = floor_of();
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| !["main", "lib"].contains(&s.room.as_str()))
    {
        let own = *floors
            .get(source.room.as_str())
            .unwrap_or_else(|| panic!("{} has no floor", source.room));
        for (line, text) in &source.code {
            for room in rooms_named(text)
                .into_iter()
                .filter(|room| *room != source.room)
            {
                if floors.get(room.as_str()).is_some_and(|floor| *floor >= own) {
                    wrong.push(format!("{}:{line} uses {room}", source.path));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that do not point down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (line, text) in &source.code {
            for (name, rooms) in OWNED_CRATES
                .iter()
                .filter(|(_, rooms)| !rooms.contains(&source.room.as_str()))
            {
                let path = format!("{name}::");
                let named = text.match_indices(&path).any(|(at, _)| {
                    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                if named {
                    wrong.push(format!(
                        "{}:{line} names {name}, which belongs to {rooms:?}",
                        source.path
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_tls_provider_is_built() {
    let lock =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let has = |name: &str| lock.contains(&format!("\nname = \"{name}\"\n"));
    assert!(
        has("ring") && !has("aws-lc-rs") && !has("openssl"),
        "ring is the program's only cryptography"
    );
}

#[test]
fn pure_code_reads_no_clock_and_does_no_io() {
    let mut wrong = Vec::new();
    for source in sources() {
        let pure = PURE_ROOMS.contains(&source.room.as_str())
            || PURE_FILES.contains(&source.path.as_str());
        for (line, text) in source.code.iter().filter(|_| pure) {
            for name in IMPURE.iter().filter(|name| text.contains(**name)) {
                wrong.push(format!("{}:{line} names {name}", source.path));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "pure code that is not:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_lists_above_name_what_exists() {
    let sources = sources();
    for room in FLOORS.iter().flat_map(|rooms| rooms.iter()) {
        assert!(
            sources.iter().any(|s| s.room == *room),
            "no room is called {room}"
        );
    }
    for file in PURE_FILES {
        assert!(
            sources.iter().any(|s| s.path == *file),
            "no file is called {file}"
        );
    }
}

#[test]
fn no_file_is_too_large_to_see() {
    // Of 100 columns: 600 lines of 120 columns take as many.
    for source in sources() {
        assert!(
            source.code.len() <= 800,
            "{} has {} lines: draw a wall",
            source.path,
            source.code.len()
        );
    }
}
