//! Secrets that every test plants, and the search for them in all output of the program.
//!
//! What the program writes, logs, answers and sends is kept in a folder of this run: each helper
//! that starts the program searches its own part when it is dropped, and `.ci/check-secrets`
//! through all of it when all tests are over (docs/testing.md, "Secrets").

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use yaml_rust2::{Yaml, YamlEmitter, YamlLoader};

/// What every secret below begins with; letters and dashes pass every encoding unchanged.
pub(crate) const MARK: &str = "planted-secret-";

pub(crate) const REDIS: &str = "planted-secret-redis-password";
pub(crate) const ROTATED: &str = "planted-secret-rotated-password";
pub(crate) const SLACK: &str = "planted-secret-slack-token";
pub(crate) const ROUTING_KEY: &str = "planted-secret-routing-key";
pub(crate) const WEBHOOK: &str = "planted-secret-webhook-token";
pub(crate) const BOT_TOKEN: &str = "planted-secret-bot-token";
pub(crate) const PROXY: &str = "planted-secret-receivers-proxy";
/// `whsec_` and the base64 of `planted-secret-signing-key`.
pub(crate) const SIGNING: &str = "whsec_cGxhbnRlZC1zZWNyZXQtc2lnbmluZy1rZXk=";
pub(crate) const HEADER: &str = "planted-secret-header";
pub(crate) const MAIL: &str = "planted-secret-mail-password";
pub(crate) const FILE: &str = "planted-secret-file";
pub(crate) const BASIC_AUTH: &str = "planted-secret-basic-auth";

/// The environment of every program that is started: what is used of it, and what is only there.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    ("PLANTED_KEY", "planted-secret-environment-key"),
    ("PLANTED_UNUSED", "planted-secret-environment-unused"),
    // Receivers of tests have http URLs: no test goes through it but the one that means to.
    (
        "HTTPS_PROXY",
        "http://operator:planted-secret-proxy@127.0.0.1:1",
    ),
];

/// Where this run keeps all output. `make real` gives a folder; without it, it lies beside what
/// is built.
static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let all = given_folder().unwrap_or_else(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outputs");
        forget_ended(&folder);
        folder
    });
    let run = all.join(std::process::id().to_string());
    fs::create_dir_all(run.join("said")).unwrap();
    fs::write(run.join("secrets"), format!("{MARK}\nPRIVATE KEY\n")).unwrap();
    run
});

/// Secrets that are made while tests run, such as keys.
static REMEMBERED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The folder that is looked through when all tests are over.
fn given_folder() -> Option<PathBuf> {
    let given = std::env::var_os("TEST_OUTPUTS")?;
    (!given.is_empty()).then(|| PathBuf::from(given))
}

/// Removes what runs of processes that have ended left behind.
fn forget_ended(all: &Path) {
    let runs = fs::read_dir(all).into_iter().flatten().flatten();
    for run in runs.filter(|run| !Path::new("/proc").join(run.file_name()).exists()) {
        // Another test process may just be removing it, too.
        let _ = fs::remove_dir_all(run.path());
    }
}

/// `yaml` with receivers of every kind that get no message, their secrets written or in the
/// environment. What is no configuration stays as it is.
pub(crate) fn in_configuration(yaml: &str) -> String {
    // The signing secret has nothing of the others in it that a search could find.
    static SIGNED: std::sync::Once = std::sync::Once::new();
    let Some(Yaml::Hash(mut root)) = YamlLoader::load_from_str(yaml)
        .ok()
        .and_then(|all| all.into_iter().next())
    else {
        return yaml.to_owned();
    };
    let (notify, receivers) = (
        Yaml::String("notify".into()),
        Yaml::String("receivers".into()),
    );
    let entry = root
        .entry(notify)
        .or_insert(Yaml::Hash(yaml_rust2::yaml::Hash::new()));
    let Yaml::Hash(section) = entry else {
        return yaml.to_owned();
    };
    let Yaml::Array(list) = section.entry(receivers).or_insert(Yaml::Array(Vec::new())) else {
        return yaml.to_owned();
    };
    let nobody = format!(
        "- {{name: planted slack, match: {{pair: nobodys}}, slack: {{webhook_url: 'https://127.0.0.1:9/{SLACK}'}}}}\n\
         - {{name: planted pager, match: {{pair: nobodys}}, pagerduty: {{routing_key: '${{PLANTED_KEY}}'}}}}\n\
         - {{name: planted hook, match: {{pair: nobodys}}, webhook: \
           {{url: 'https://127.0.0.1:9/?t={WEBHOOK}', secret: '{SIGNING}', headers: {{Authorization: Bearer {HEADER}}}}}}}\n\
         - {{name: planted teams, match: {{pair: nobodys}}, msteams: {{webhook_url: 'https://127.0.0.1:9/{WEBHOOK}'}}}}\n\
         - {{name: planted mail, match: {{pair: nobodys}}, email: {{smarthost: '127.0.0.1:9', username: u, \
           password: {MAIL}, from: a@example.com, to: [b@example.com]}}}}\n\
         - {{name: planted bot, match: {{pair: nobodys}}, slack: {{bot_token: {BOT_TOKEN}, channel: C}}, \
           http: {{proxy_url: 'http://u:{PROXY}@127.0.0.1:9'}}}}\n"
    );
    SIGNED.call_once(|| remember(SIGNING));
    let Some(Yaml::Array(planted)) = YamlLoader::load_from_str(&nobody)
        .unwrap()
        .into_iter()
        .next()
    else {
        return nobody;
    };
    list.extend(planted);
    let mut text = String::new();
    YamlEmitter::new(&mut text).dump(&Yaml::Hash(root)).unwrap();
    text
}

/// Lets a secret that was made a moment ago be searched for: as it is, line by line, and as base64
/// has it.
pub(crate) fn remember(secret: &str) {
    // A short line or the frame of a PEM file is no secret.
    let lines = secret
        .lines()
        .filter(|line| line.len() >= 16 && !line.starts_with("-----"));
    let new: Vec<String> = lines
        .flat_map(|line| [line.to_owned(), BASE64_STANDARD.encode(line)])
        .collect();
    if new.is_empty() {
        return; // an empty line in the list would be found everywhere
    }
    append(&RUN.join("secrets"), &format!("{}\n", new.join("\n")));
    REMEMBERED.lock().unwrap().extend(new);
}

/// The first secret in `text`, whatever its case.
pub(crate) fn found_in(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let remembered = REMEMBERED.lock().unwrap();
    let words = [MARK, "PRIVATE KEY"]
        .into_iter()
        .chain(remembered.iter().map(String::as_str));
    words
        .filter(|word| lower.contains(&word.to_ascii_lowercase()))
        .map(ToOwned::to_owned)
        .next()
}

/// Panics when `text` shows a secret.
pub(crate) fn assert_absent(place: &str, text: &str) {
    // Without the rest of the text: a test's output is searched, too.
    assert_eq!(
        found_in(text).map(|word| word.len()),
        None,
        "{place} shows a secret; see {}",
        RUN.display()
    );
}

/// All output of one program, client or receiver, in separate files.
pub(crate) struct Transcript {
    folder: PathBuf,
}

impl Transcript {
    /// A new one; `what` names it for people.
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let folder = RUN.join("said").join(format!(
            "{:04}-{what}",
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// The file called `name`, for a program to write to.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Adds `text` to the file called `name`.
    pub(crate) fn add(&self, name: &str, text: &str) {
        append(&self.path(name), &format!("{text}\n"));
    }

    /// Panics when it contains a secret.
    pub(crate) fn assert_clean(&self) {
        for (name, text) in files_in(&self.folder) {
            assert_absent(&name, &text);
        }
    }
}

/// Keeps `text`, which was output once, and searches it at once.
pub(crate) fn said(what: &str, text: &str) {
    let transcript = Transcript::new(what);
    transcript.add("said", text);
    transcript.assert_clean();
}

/// The files in `folder` and the folders in it, by their names, bytes that are no text replaced.
pub(crate) fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            files.insert(
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            );
        }
    }
    files
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
