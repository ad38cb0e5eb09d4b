//! The return of an old master: nothing that only it has is overwritten by accident.

use redis_cross_dc_exporter::lab::{Direction, Reply};

use super::disaster::Apart;
use super::writer::Writer;
use super::{failback, failover, ids, last_line, replication, until_follows};
use crate::command::run;

/// The flags of a disaster in which the old master lives, fenced as somebody says.
const FENCED: [&str; 5] = [
    "--disaster",
    "--old-master-is-fenced",
    "its network is cut",
    "--accept-unknown-loss",
    "--execute",
];

#[tokio::test]
async fn writes_that_only_the_returning_master_has_are_counted_and_not_overwritten() {
    let apart = Apart::start().await;
    let before = failback(apart.folder.path(), &[]).await.ended_with(64);
    assert!(
        before.stderr.contains("nothing to bring back"),
        "{before:#?}"
    );
    apart.proxy.stall(Direction::Both);
    let done = failover(apart.folder.path(), &FENCED).await.ended_with(30);
    assert!(
        done.stdout.contains("overridden: master-alive: "),
        "{done:#?}"
    );
    assert!(done.stdout.contains("its network is cut"), "{done:#?}");
    apart.lose_its_replica().await;
    // The old master took writes that nobody else has.
    let writer = Writer::start(vec![apart.master.addr().clone()]);
    writer.after(50).await;
    let written = writer.stop().await;
    let second: u64 = replication(&apart.replica, "second_repl_offset")
        .await
        .parse()
        .unwrap();
    let end: u64 = replication(&apart.master, "master_repl_offset")
        .await
        .parse()
        .unwrap();
    let bytes = end + 1 - second;
    let refused = failback(apart.folder.path(), &["--execute"])
        .await
        .ended_with(20);
    assert!(
        refused.stdout.contains("refused: unsaved-writes: "),
        "{refused:#?}"
    );
    assert!(
        refused.stdout.contains(&format!("--discard {bytes}")),
        "{refused:#?}"
    );
    for wrong in [(bytes - 1).to_string(), "unknown".to_owned()] {
        let args = ["--execute", "--discard", &wrong];
        failback(apart.folder.path(), &args).await.ended_with(20);
    }
    assert_eq!(
        ids(&apart.master).await.len(),
        written.acked.len(),
        "all are still there"
    );
    let right = bytes.to_string();
    let args = ["--only-rejoin", "--execute", "--discard", &right];
    let done = failback(apart.folder.path(), &args).await.ended_with(0);
    assert!(
        last_line(&done).contains("(dc2) is the master. Nothing is open."),
        "{done:#?}"
    );
    until_follows(&apart.master, &apart.replica).await;
    let nothing = failback(apart.folder.path(), &["--only-rejoin"])
        .await
        .ended_with(0);
    assert!(nothing.stdout.starts_with("Nothing to do"), "{nothing:#?}");
    // What is left is the switch-over.
    let back = failback(apart.folder.path(), &["--execute"])
        .await
        .ended_with(0);
    let expected = format!(
        "{} (dc1) is the master. Nothing is open.",
        apart.master.addr()
    );
    assert!(last_line(&back).ends_with(&expected), "{back:#?}");
    until_follows(&apart.replica, &apart.master).await;
}

#[tokio::test]
async fn what_a_complete_file_holds_may_be_overwritten_and_no_more() {
    let apart = Apart::start().await;
    apart.proxy.stall(Direction::Both);
    failover(apart.folder.path(), &FENCED).await.ended_with(30);
    apart.lose_its_replica().await;
    let set = |value: &'static str| async {
        apart.master.command(&["SET", "only", value]).await.unwrap();
    };
    let save = || async {
        let args = [
            "lost-writes",
            "--config.file",
            "config.yml",
            "--pair",
            "orders",
        ];
        run(apart.folder.path(), &args).await.ended_with(10);
    };
    set("here").await;
    save().await;
    set("longer than the file").await;
    let args = ["--only-rejoin", "--execute"];
    let refused = failback(apart.folder.path(), &args).await.ended_with(20);
    assert!(
        refused.stdout.contains("refused: unsaved-writes: "),
        "{refused:#?}"
    );
    save().await;
    let folder = apart.folder.path().join("data/lost-writes");
    let files = std::fs::read_dir(&folder).unwrap().flatten();
    let mut files = files.map(|entry| entry.path());
    let file = files.find(|path| path.extension() == Some("aof".as_ref()));
    let file = file.expect("a file of lost writes");
    // One that was changed since does not count.
    let content = std::fs::read(&file).unwrap();
    std::fs::write(&file, b"something else").unwrap();
    let damaged = failback(apart.folder.path(), &args).await.ended_with(20);
    assert!(damaged.stdout.contains("sha256"), "{damaged:#?}");
    std::fs::write(&file, &content).unwrap();
    let done = failback(apart.folder.path(), &args).await.ended_with(0);
    assert!(
        done.stdout
            .contains("lost: nothing: what only the returning server had is in "),
        "{done:#?}"
    );
    until_follows(&apart.master, &apart.replica).await;
    let gone = apart.master.command(&["EXISTS", "only"]).await.unwrap();
    assert!(matches!(gone, Reply::Integer(0)), "{gone:?}");
    assert!(String::from_utf8_lossy(&content).contains("longer than the file"));
}

#[tokio::test]
async fn a_master_that_comes_back_empty_rejoins_and_takes_over() {
    let mut apart = Apart::start().await;
    apart
        .master
        .command(&["SET", "key", "value"])
        .await
        .unwrap();
    let arrived = || async {
        let text = apart.replica.command(&["GET", "key"]).await.unwrap().text();
        (text.as_deref() == Some("value")).then_some(())
    };
    redis_cross_dc_exporter::lab::eventually("the write", crate::stage::LIMIT, arrived)
        .await
        .unwrap();
    apart.master.kill();
    let args = [
        "--disaster",
        "--accept-unknown-loss",
        "--accept-single-view",
        "--execute",
    ];
    failover(apart.folder.path(), &args).await.ended_with(0);
    let silent = failback(apart.folder.path(), &[]).await.ended_with(20);
    assert!(
        silent.stdout.contains("refused: target-silent: "),
        "{silent:#?}"
    );
    apart.master.restart().await.unwrap();
    let done = failback(apart.folder.path(), &["--execute"])
        .await
        .ended_with(0);
    let expected = format!(
        "{} (dc1) is the master. Nothing is open.",
        apart.master.addr()
    );
    assert!(last_line(&done).ends_with(&expected), "{done:#?}");
    let value = apart.master.command(&["GET", "key"]).await.unwrap();
    assert_eq!(value.text().as_deref(), Some("value"));
    until_follows(&apart.replica, &apart.master).await;
}
