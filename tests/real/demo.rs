//! `demo --once`: the story holds, and nothing is left behind.

use std::path::Path;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{eventually, ports};

use crate::exporter::program;
use crate::planted;

/// The story takes a minute on an idle machine, and waits for the servers' own timeouts on any.
const STORY: Duration = Duration::from_mins(3);

/// The processes whose working directory lies in `folder`: the demo's servers, each in a directory
/// of its own.
fn processes_in(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let inside = |process: &Path| {
        std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    let of_interest = processes
        .map(|entry| entry.path())
        .filter(|process| inside(process));
    of_interest
        .map(|process| std::fs::read_to_string(process.join("comm")).unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn the_demo_plays_to_its_end_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let servers = folder.path().join("servers").canonicalize();
    assert!(servers.is_err(), "nothing is there yet");
    std::fs::create_dir(folder.path().join("servers")).unwrap();
    let servers = folder.path().join("servers").canonicalize().unwrap();
    let mut demo = tokio::process::Command::new(program())
        .envs(planted::ENVIRONMENT)
        .args([
            "demo",
            "--once",
            "--web.listen-address",
            &format!("127.0.0.1:{}", ports::free().unwrap()),
        ])
        .env("TMPDIR", &servers)
        .current_dir("/")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    let five = || async {
        processes_in(&servers)
            .iter()
            .filter(|name| name.starts_with("redis-server"))
            .count()
            == 5
    };
    eventually("five servers of the demo", STORY, five)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", said()));
    let ended = tokio::time::timeout(STORY, demo.wait()).await;
    let status = ended
        .unwrap_or_else(|_| panic!("the demo did not end:\n{}", said()))
        .unwrap();
    assert_eq!(status.code(), Some(0), "{}", said());
    planted::said("demo", &said());
    assert!(
        !said().contains('\x1b'),
        "colour codes in a file:\n{}",
        said()
    );
    assert_eq!(
        processes_in(&servers),
        Vec::<String>::new(),
        "processes left behind"
    );
    assert_eq!(
        std::fs::read_dir(&servers).unwrap().count(),
        0,
        "directories left behind"
    );
}
