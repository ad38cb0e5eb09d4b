//! `failover --drill`: on throwaway servers, and on the pair itself.

use serde_json::Value;

use super::writer::Writer;
use super::{Duo, ids, last_line, replication};

/// The only report of a drill.
fn report(duo: &Duo) -> Value {
    let drills = std::fs::read_dir(duo.folder.path().join("data/drills")).unwrap();
    let drills: Vec<_> = drills.flatten().map(|entry| entry.path()).collect();
    let [drill] = &drills[..] else {
        panic!("{drills:?}")
    };
    let text = std::fs::read_to_string(drill.join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
#[ignore = "takes half a minute: make drill"]
async fn a_drill_on_throwaway_servers_practises_everything_and_leaves_the_pair_alone() {
    let duo = Duo::start().await;
    let offset = replication(&duo.servers[0], "master_repl_offset").await;
    let done = duo.failover(&["--drill"]).await.ended_with(0);
    println!("{}", done.stdout);
    assert!(last_line(&done).starts_with("Passed: "), "{done:#?}");
    let report = report(&duo);
    assert_eq!(report["passed"], true);
    let parts = report["parts"].as_array().unwrap();
    let names: Vec<_> = parts
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    let expected = [
        "switch-over",
        "the way back",
        "disaster",
        "capture",
        "failback: rejoin",
        "failback: take over",
    ];
    assert_eq!(names, expected);
    assert!(parts[2]["lost_writes"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(parts[3]["captured_writes"], parts[3]["lost_writes"]);
    assert!(parts[2]["rpo_stated"].is_string(), "{report:#}");
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    // PINGs aside, the pair has taken nothing.
    let later = replication(&duo.servers[0], "master_repl_offset").await;
    let grown = later.parse::<u64>().unwrap() - offset.parse::<u64>().unwrap();
    assert_eq!(grown % 14, 0, "{grown}");
}

#[tokio::test]
#[ignore = "takes some seconds: make drill"]
async fn a_drill_on_the_pair_goes_there_and_back() {
    let duo = Duo::start().await;
    let addrs = vec![duo.addr(0).clone(), duo.addr(1).clone()];
    let writer = Writer::start(addrs);
    writer.after(200).await;
    let json = ["--drill", "--real", "--output", "json"];
    let plan = duo.failover(&json).await.ended_with(10);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let fingerprint = plan["plan"]["fingerprint"].as_str().unwrap();
    let blind = ["--drill", "--real", "--execute"];
    duo.failover(&blind).await.ended_with(64);
    let real = ["--drill", "--real", "--execute", "--plan", fingerprint];
    let done = duo.failover(&real).await.ended_with(0);
    assert!(last_line(&done).starts_with("Passed: "), "{done:#?}");
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    assert_eq!(report(&duo)["parts"].as_array().unwrap().len(), 2);
    writer.after(100).await;
    let written = writer.stop().await;
    written.check_against(&ids(&duo.servers[0]).await);
}
