//! The program is killed after a line of its journal, and a supervisor restarts a server before it
//! is resumed: with its data, or without, as a server does that has no persistence.

use super::killed::{End, LINES, kill_at};
use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, failover_without_pair, ids, last_line, replication, server};

/// What a restart leaves of a server's data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    Kept,
    Gone,
}

/// Kills the program after `line`, restarts one server, and resumes. Whoever is the master then has
/// every acknowledged write; where nobody is, a server still has them, and the last line says so.
async fn restart_between(line: usize, place: usize, data: Data) {
    let builder = || match data {
        Data::Kept => server().config("save 3600 1"),
        Data::Gone => server(),
    };
    let mut duo = Duo::start_with(builder(), builder()).await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(50).await;
    let folder = duo.folder.path().to_owned();
    let end = tokio::task::spawn_blocking(move || kill_at(&folder, line))
        .await
        .unwrap();
    let written = writer.stop().await;
    let was_master = replication(&duo.servers[place], "role").await == "master";
    let context = format!("line {line}, {end:?}, server {place}, {data:?}");
    if data == Data::Gone && was_master {
        // Whatever follows a master that comes back empty becomes empty, too, with or without us.
        watcher.never_two().await;
        return;
    }
    if data == Data::Kept {
        duo.servers[place].shutdown().await.unwrap();
    }
    duo.servers[place].restart().await.unwrap();
    if let End::Killed(_) = end {
        let resumed = failover_without_pair(duo.folder.path(), &["--resume"]).await;
        let context = format!("{context}: {resumed:#?}");
        match resumed.code {
            // Done; as before; or it had written its last line before it was killed.
            Some(0 | 1 | 64) => {}
            Some(30) => assert!(
                !last_line(&resumed).contains("Nothing is open"),
                "{context}"
            ),
            _ => panic!("{context}"),
        }
    }
    watcher.never_two().await;
    let mut holders = Vec::new();
    for server in &duo.servers {
        let found = ids(server).await;
        if written.lost_from(&found).is_empty() {
            written.check_against(&found);
            holders.push(server.addr().clone());
        }
        if replication(server, "role").await == "master" {
            let lost = written.lost_from(&found);
            assert!(
                lost.is_empty(),
                "{context}: {} has not {lost:?}",
                server.addr()
            );
        }
    }
    assert!(!holders.is_empty(), "{context}");
}

#[tokio::test]
async fn a_restart_between_two_steps_loses_nothing() {
    // The demotion is around these lines.
    for line in [6, 8, 10] {
        restart_between(line, 0, Data::Gone).await;
        restart_between(line, 1, Data::Kept).await;
    }
}

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn a_restart_between_any_two_steps_loses_nothing() {
    for line in 1..=LINES {
        for place in [0, 1] {
            for data in [Data::Kept, Data::Gone] {
                restart_between(line, place, data).await;
            }
        }
    }
    println!(
        "{LINES} lines, each with a restart of either server, with its data and without: nothing lost"
    );
}
