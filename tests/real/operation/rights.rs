//! The rights of the operator's user: those of docs/disaster-recovery.md are enough for everything
//! and not one too many, and without them nothing is begun.

use redis_cross_dc_exporter::lab::{RedisServer, Reply};

use super::{Duo, failover, last_line, replication, server};
use crate::command::folder_with;
use crate::planted;

/// The rules in the documentation: those that an operation needs, and those of the audit.
fn documented() -> (Vec<&'static str>, Vec<&'static str>) {
    let text = include_str!("../../../docs/disaster-recovery.md");
    let (_, rest) = text
        .split_once("ACL SETUSER operator on >PASSWORD ")
        .expect("the rules");
    let operation = rest.lines().next().expect("a line").split(' ').collect();
    let (_, rest) = rest
        .split_once("ACL SETUSER operator ")
        .expect("the rules of the audit");
    (
        operation,
        rest.lines().next().expect("a line").split(' ').collect(),
    )
}

/// A pair with the user `operator`, and a monitor's user that may do next to nothing.
async fn pair_with(rules: &[&str]) -> (Duo, tempfile::TempDir) {
    let operator = format!("operator on >{} {}", planted::REDIS, rules.join(" "));
    let monitor = format!("monitor on >{} -@all +info", planted::REDIS);
    let build = || server().user(&operator).user(&monitor);
    let duo = Duo::start_with(build(), build()).await;
    let login = |name: &str| format!("{{username: {name}, password: {}}}", planted::REDIS);
    let entry = crate::stage::entry("orders", ("dc1", duo.addr(0)), ("dc2", duo.addr(1)));
    let yaml = format!(
        "redis: {}\noperator: {}\n{}",
        login("monitor"),
        login("operator"),
        crate::command::configuration(&[entry])
    );
    for server in &duo.servers {
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    (duo, folder_with(&yaml))
}

async fn denials(server: &RedisServer) -> usize {
    match server.command(&["ACL", "LOG"]).await.unwrap() {
        Reply::Array(entries) => entries.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_documented_rights_are_enough() {
    let (operation, audit) = documented();
    let (duo, folder) = pair_with(&[operation, audit].concat()).await;
    for _ in 0..2 {
        failover(folder.path(), &["--execute"]).await.ended_with(0);
    }
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    for server in &duo.servers {
        assert_eq!(denials(server).await, 0);
        let mut operator = server.connect().await.unwrap();
        operator
            .command(&["AUTH", "operator", planted::REDIS])
            .await
            .unwrap();
        let write = operator.command(&["SET", "key", "value"]).await;
        assert!(write.is_err(), "it can write no key");
    }
}

#[tokio::test]
async fn without_one_of_the_rights_nothing_is_changed() {
    let (operation, audit) = documented();
    let needed: Vec<&str> = operation
        .iter()
        .copied()
        .filter(|right| right.starts_with('+'))
        .collect();
    // Without the audit's rights it works, and says what was not looked at.
    let (duo, folder) = pair_with(&operation).await;
    failover(folder.path(), &["--execute"]).await.ended_with(0);
    assert_eq!(replication(&duo.servers[1], "role").await, "master");
    assert!(!audit.is_empty());
    for missing in needed {
        let kept: Vec<&str> = operation
            .iter()
            .copied()
            .filter(|right| *right != missing)
            .collect();
        let (duo, folder) = pair_with(&kept).await;
        let outcome = failover(folder.path(), &["--execute"]).await;
        let role = replication(&duo.servers[0], "role").await;
        assert_eq!(role, "master", "without {missing}: {outcome:#?}");
        match (missing, outcome.code) {
            // Before EXEC nothing is done, and that it is denied shows only then.
            ("+exec", Some(1)) => {
                assert!(last_line(&outcome).contains("as before"), "{outcome:#?}");
            }
            (_, Some(20)) => {
                let named = outcome.stdout.contains("rights-missing") || missing == "+info";
                assert!(named, "without {missing}: {outcome:#?}");
            }
            _ => panic!("without {missing}: {outcome:#?}"),
        }
    }
}
