//! `doctor` on a terminal: how far it is stands there, and the result alone on standard output.

use std::path::Path;
use std::process::{Command, Stdio};

use redis_cross_dc_exporter::doctor::DoctorReport;

use super::{Pair, reference};
use crate::command::{folder_with, no_exporter};
use crate::exporter::program;
use crate::planted;

/// What doctor reported, and what it showed meanwhile on the terminal that was its standard error.
pub(super) async fn doctor_on_a_terminal(yaml: &str) -> (DoctorReport, String) {
    let folder = folder_with(yaml);
    let words = format!(
        "{} doctor --config.file config.yml --measure 1s --exporter.url {} --output json >report",
        program().display(),
        no_exporter()
    );
    let screen = on_a_terminal(folder.path(), words).await;
    let text = std::fs::read_to_string(folder.path().join("report")).unwrap();
    planted::said("doctor", &format!("{text}{screen}"));
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {screen}"));
    (report, screen)
}

/// Runs a line of the shell on a terminal of its own, and returns what it showed there.
async fn on_a_terminal(folder: &Path, line: String) -> String {
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &line, "/dev/null"])
        .envs(planted::ENVIRONMENT)
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || terminal.output());
    let output = output
        .await
        .unwrap()
        .expect("`script`, of Debian's bsdutils");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_terminal_shows_how_far_it_is_and_is_clean_at_the_end() {
    let pair = Pair::start(reference(), reference()).await;
    let (report, screen) = doctor_on_a_terminal(&pair.configuration()).await;
    assert_eq!(report.pairs.len(), 1);
    assert!(screen.contains("asked 0 of 2 servers"), "{screen:?}");
    assert!(screen.ends_with("\r\x1b[K"), "{screen:?}");
}
