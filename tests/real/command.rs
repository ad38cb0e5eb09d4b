//! The other commands of the program: run to their end, with their output.

use std::path::Path;
use std::process::{Command, Stdio};

use redis_cross_dc_exporter::lab::ports;
use redis_cross_dc_exporter::model::ServerAddr;

use crate::exporter::program;
use crate::planted;

/// Rounds that a test need not wait for.
const POLL: &str =
    "poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}";

/// A configuration with these entries of `pairs`.
pub(crate) fn configuration(pairs: &[String]) -> String {
    format!("{POLL}\npairs: [{}]\n", pairs.join(", "))
}

/// A folder with `yaml` as its config.yml.
pub(crate) fn folder_with(yaml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("config.yml"),
        planted::in_configuration(yaml),
    )
    .unwrap();
    folder
}

/// An address without a listener.
pub(crate) fn nobody() -> ServerAddr {
    ServerAddr::new("127.0.0.1", ports::free().unwrap())
}

/// A URL at which no exporter answers.
pub(crate) fn no_exporter() -> String {
    format!("http://{}", nobody())
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program in `folder` with `args` to its end, its output in pipes.
pub(crate) async fn run(folder: &Path, args: &[&str]) -> Outcome {
    let mut command = Command::new(program());
    command
        .envs(planted::ENVIRONMENT)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    let outcome = Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    planted::said(
        args.first().unwrap_or(&"command"),
        &format!("{}{}", outcome.stdout, outcome.stderr),
    );
    outcome
}

impl Outcome {
    /// Checks the exit code, and that no colour codes went into the pipes.
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(
            !self.stdout.contains('\x1b') && !self.stderr.contains('\x1b'),
            "{self:#?}"
        );
        self
    }
}
