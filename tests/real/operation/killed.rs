//! The program is killed (SIGKILL) after each line of its journal; then the operation is resumed,
//! or rolled back.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, failover_without_pair, ids, last_line, newest_operation, replication};
use crate::command::no_exporter;
use crate::exporter::program;
use crate::guard::Guard;
use crate::planted;
use crate::stage::LIMIT;

/// How the program ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// It was killed when its journal had this many lines.
    Killed(usize),
    /// It was faster.
    ByItself(Option<i32>),
}

/// Lines of the journal of the newest operation; of `known` there are none.
fn lines(folder: &Path, known: Option<&Path>) -> usize {
    let Some(newest) = newest_operation(folder) else {
        return 0;
    };
    if known == Some(&*newest) {
        return 0;
    }
    let text = std::fs::read_to_string(newest.join("journal.jsonl")).unwrap_or_default();
    text.matches('\n').count()
}

/// Runs `failover --execute`, and kills it as soon as its journal has `line` lines.
pub(crate) fn kill_at(folder: &Path, line: usize) -> End {
    kill_at_with(folder, line, &[])
}

/// The same with further flags.
pub(crate) fn kill_at_with(folder: &Path, line: usize, flags: &[&str]) -> End {
    let known = newest_operation(folder);
    let url = no_exporter();
    let mut child = Command::new(program())
        .args([
            "failover",
            "--config.file",
            "config.yml",
            "--exporter.url",
            &url,
        ])
        .args(["--pair", "orders", "--execute"])
        .args(flags)
        .envs(planted::ENVIRONMENT)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _guard = Guard::of_child(&child);
    let deadline = Instant::now() + LIMIT;
    loop {
        let has_ended = child.try_wait().unwrap();
        if let Some(status) = has_ended {
            return End::ByItself(status.code());
        }
        let count = lines(folder, known.as_deref());
        if count >= line {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            return match status.code() {
                Some(code) => End::ByItself(Some(code)),
                None => End::Killed(lines(folder, known.as_deref())),
            };
        }
        assert!(Instant::now() < deadline, "{count} of {line} lines");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// The most lines that a journal of a switch-over of two servers has.
pub(crate) const LINES: usize = 16;

/// Kills at `line`, resumes or rolls back, and checks that the pair is whole: the number of the
/// master.
pub(crate) async fn kill_and_recover(duo: &Duo, line: usize, back: bool) -> usize {
    let before = usize::from(replication(&duo.servers[1], "role").await == "master");
    let folder = duo.folder.path().to_owned();
    let end = tokio::task::spawn_blocking(move || kill_at(&folder, line))
        .await
        .unwrap();
    let after = 1 - before;
    let expected = match end {
        End::ByItself(code) => {
            assert_eq!(code, Some(0), "line {line}");
            after
        }
        End::Killed(_) => {
            recover(
                duo,
                back,
                before,
                &format!("{end:?}, line {line}, back {back}"),
            )
            .await
        }
    };
    assert_eq!(
        replication(&duo.servers[expected], "role").await,
        "master",
        "line {line}"
    );
    super::until_follows(&duo.servers[1 - expected], &duo.servers[expected]).await;
    expected
}

async fn recover(duo: &Duo, back: bool, before: usize, context: &str) -> usize {
    let flag = if back { "--rollback" } else { "--resume" };
    let outcome = failover_without_pair(duo.folder.path(), &[flag]).await;
    let after = 1 - before;
    let last = last_line(&outcome).to_owned();
    match outcome.code {
        // It had written its last line before it was killed.
        Some(64) => {
            assert!(
                outcome.stderr.contains("is unfinished"),
                "{context}: {outcome:#?}"
            );
            after
        }
        Some(0) => after,
        Some(1) => {
            assert!(
                back && last.contains("as before"),
                "{context}: {outcome:#?}"
            );
            before
        }
        Some(30) => {
            assert!(
                back && last.contains("switch back"),
                "{context}: {outcome:#?}"
            );
            // What cannot be rolled back is finished.
            let resumed = failover_without_pair(duo.folder.path(), &["--resume"]).await;
            resumed.ended_with(0);
            after
        }
        _ => panic!("{context}: {outcome:#?}"),
    }
}

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn a_kill_after_each_line_is_resumed_and_separately_rolled_back() {
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(50).await;
    let mut master = 0;
    for line in 1..=LINES {
        for back in [false, true] {
            master = kill_and_recover(&duo, line, back).await;
            writer.after(20).await;
        }
    }
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    written.check_against(&ids(&duo.servers[master]).await);
    println!(
        "{LINES} lines, each resumed and rolled back: {} writes, 0 lost, 0 twice; {samples} samples, never \
         two masters",
        written.acked.len()
    );
}

#[tokio::test]
async fn a_kill_after_any_line_of_the_journal_leaves_one_master_or_none_and_loses_nothing() {
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(50).await;
    let mut master = 0;
    for line in 1..=LINES {
        // Each line once, by turns: `make drill` has both for each.
        master = kill_and_recover(&duo, line, line % 2 == 0).await;
        writer.after(20).await;
    }
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    written.check_against(&ids(&duo.servers[master]).await);
    println!("{} writes, {samples} samples", written.acked.len());
}
