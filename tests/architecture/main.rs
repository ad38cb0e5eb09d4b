//! The invariants of ARCHITECTURE.md, checked over every import and path of the code: rooms import
//! downwards only, no files need each other in a circle, outside crates stay in their rooms, and
//! pure code does no IO.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read the sources has to fail"
)]

mod circles;
mod paths;
mod sources;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;

use sources::{rust_files, sources};

/// The floors, from the bottom. A room may use rooms of lower floors only.
const FLOORS: &[&[&str]] = &[
    &["active_active", "model", "template"],
    &["clock", "config", "info", "multi_site"],
    &["topology", "replication", "http_client", "lost_writes"],
    &["alert", "chart", "client", "doctor"],
    &["delivery", "journal", "operation", "sites", "smtp"],
    &["monitor", "store"],
    &["report"],
    &[
        "metrics",
        "poll",
        "notify",
        "discovery",
        "capture",
        "site_watch",
    ],
    &["admin"],
    &["web", "rules"],
    &["app"],
    &["lab"],
    &["cli"],
];

/// Outside crates and the only rooms that may name them.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("redis", &["client", "multi_site"]),
    ("reqwest", &["http_client"]),
    ("rustls", &["http_client", "client", "web"]),
    ("tokio_rustls", &["client", "web"]),
    ("rustls_native_certs", &["web"]),
    ("rustls_platform_verifier", &["client"]),
    ("x509_parser", &["web"]),
    ("bcrypt", &["config", "web"]),
    ("base64", &["chart", "config", "notify", "smtp", "web"]),
    ("mail_builder", &["notify"]),
    ("ring", &["notify", "web", "capture"]),
    ("minijinja", &["template"]),
    ("hickory_resolver", &["discovery"]),
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
    ("crc32fast", &["operation", "store"]),
    ("listenfd", &["app"]),
    ("rustix", &["clock", "client", "app", "lab"]),
];

/// Rooms without clock, randomness and IO, as a whole.
const PURE_ROOMS: &[&str] = &[
    "active_active",
    "model",
    "template",
    "info",
    "topology",
    "replication",
    "alert",
    "chart",
    "delivery",
    "doctor",
    "journal",
    "lost_writes",
    "monitor",
    "operation",
    "report",
    "metrics",
    "rules",
    "sites",
];

/// Pure files in rooms that also do IO.
const PURE_FILES: &[&str] = &[
    "smtp/reply.rs",
    "poll/schedule/mod.rs",
    "poll/round_timer.rs",
    "poll/replica_delay.rs",
    "poll/backoff.rs",
    "poll/budget.rs",
    "poll/pace.rs",
    "discovery/files/settling.rs",
    "discovery/query_pace.rs",
    "capture/board.rs",
    "poll/heartbeat/plan.rs",
    "poll/heartbeat/sent.rs",
    "notify/attempt.rs",
    "notify/context.rs",
    "notify/facts.rs",
    "notify/incident.rs",
    "notify/receivers/alertmanager.rs",
    "notify/links.rs",
    "notify/message/advice.rs",
    "notify/message/mod.rs",
    "notify/message/summary.rs",
    "notify/message/plain.rs",
    "notify/receivers/email_html.rs",
    "notify/receivers/msteams.rs",
    "notify/receivers/signature.rs",
    "notify/receivers/slack_bot.rs",
    "notify/receivers/slack.rs",
    "notify/receivers/slack_webhook.rs",
    "notify/receivers/pagerduty.rs",
    "notify/receivers/webhook.rs",
    "notify/templates.rs",
    "notify/retry/answer.rs",
    "notify/retry/mail.rs",
    "notify/retry/mod.rs",
    "notify/queue/mod.rs",
    "notify/outbox/mod.rs",
    "notify/queue/dead.rs",
    "notify/queue/group.rs",
    "notify/queue/letters.rs",
    "notify/queue/unsaved.rs",
    "notify/queue/saved.rs",
    "config/web/mod.rs",
    "config/web/password.rs",
    "config/web/read.rs",
    "web/access/writes.rs",
    "store/codec.rs",
    "store/rows/documents.rs",
    "store/rows/mod.rs",
    "store/rows/history.rs",
    "store/rows/pairs.rs",
    "store/rows/servers.rs",
    "store/clock_mapping.rs",
    "store/save_planner.rs",
];

/// What pure code must not name.
const IMPURE: &[&str] = &[
    "crate::clock",
    "fastrand::Rng::new",
    "fastrand::f64",
    "fastrand::u64",
    "Rng::new",
    "Instant::now",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];

fn floor_of() -> BTreeMap<&'static str, usize> {
    let mut floors = BTreeMap::new();
    for (floor, rooms) in FLOORS.iter().enumerate() {
        floors.extend(rooms.iter().map(|room| (*room, floor)));
    }
    floors
}

#[test]
fn every_import_points_down() {
    let floors = floor_of();
    let mut wrong = Vec::new();
    for source in sources() {
        if ["main", "lib"].contains(&source.room.as_str()) {
            continue;
        }
        let own = *floors
            .get(source.room.as_str())
            .unwrap_or_else(|| panic!("{} has no floor", source.room));
        for reference in &source.references {
            if reference.path[0] != "crate" {
                continue;
            }
            let Some(room) = reference.path.get(1).filter(|room| **room != source.room) else {
                continue;
            };
            if floors.get(room.as_str()).is_some_and(|floor| *floor >= own) {
                wrong.push(format!("{}:{} uses {room}", source.path, reference.line));
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
fn no_files_import_each_other_in_a_circle() {
    let found: Vec<String> = circles::circles(sources())
        .iter()
        .map(|circle| circle.join(", "))
        .collect();
    assert!(
        found.is_empty(),
        "files that need each other in a circle:\n{}",
        found.join("\n")
    );
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, rooms) in OWNED_CRATES {
            if rooms.contains(&source.room.as_str()) {
                continue;
            }
            for reference in source.references.iter().filter(|r| r.path[0] == *name) {
                wrong.push(format!(
                    "{}:{} names {name}, which belongs to {rooms:?}",
                    source.path, reference.line
                ));
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
        let is_pure = PURE_ROOMS.contains(&source.room.as_str())
            || PURE_FILES.contains(&source.path.as_str());
        if !is_pure {
            continue;
        }
        for reference in &source.references {
            for name in IMPURE.iter().filter(|name| reference.begins_with(name)) {
                wrong.push(format!("{}:{} names {name}", source.path, reference.line));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "pure code that is not:\n{}",
        wrong.join("\n")
    );
}

/// The exporter reads sites of active-active and writes to them in one file, which is off by
/// default. What writes otherwise is the library, and the command that is asked to.
#[test]
fn only_probes_write_to_sites() {
    const WRITES: [&str; 7] = [
        "Request::set(",
        "Request::apply(",
        "Request::increment(",
        "Request::merge(",
        "Request::remove(",
        "Request::acknowledge(",
        "Request::expire(",
    ];
    const MAY_WRITE: [&str; 3] = ["site_watch/probe.rs", "multi_site/", "active_active/"];
    let mut wrong = Vec::new();
    let mut allowed = 0;
    for source in sources() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(&source.path);
        let text = std::fs::read_to_string(path).unwrap();
        let writes = WRITES.iter().any(|write| text.contains(write));
        let may_write = MAY_WRITE.iter().any(|place| source.path.starts_with(place));
        allowed += usize::from(writes && may_write);
        if writes && !may_write {
            wrong.push(source.path.as_str());
        }
    }
    assert!(wrong.is_empty(), "these write to sites: {wrong:?}");
    assert!(allowed >= 3, "the list finds nothing any more");
}

#[test]
fn the_lists_name_only_rooms_and_files_that_exist() {
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

/// rustfmt leaves comments as they are. A link or a path that fits into no line may be longer.
#[test]
fn comments_are_as_narrow_as_the_code() {
    const WIDTH: usize = 100;
    const LONG_WORD: usize = 40;
    let mut wrong = Vec::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (place, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment || line.chars().count() <= WIDTH {
                continue;
            }
            let mut words = line.split_whitespace();
            if words.all(|word| word.len() <= LONG_WORD) {
                wrong.push(format!("{}:{}", path.display(), place + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "comments wider than {WIDTH} columns:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_file_exceeds_the_line_limit() {
    // Of 100 columns: 600 lines of 120 columns take as many.
    for source in sources() {
        assert!(
            source.lines <= 800,
            "{} has {} lines: split it",
            source.path,
            source.lines
        );
    }
}
