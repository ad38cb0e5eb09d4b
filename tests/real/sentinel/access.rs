//! Sentinels with a login, with TLS, with a user of few rights.

use redis_cross_dc_exporter::lab::{Reply, eventually};

use super::{
    AGREES, DC1, DC2, LIMIT, QUORUM, UP, configuration, entry, server, wait_for_series,
    wait_until_it_knows,
};
use crate::certificates::Authority;
use crate::command::{Outcome, folder_with, run};
use crate::exporter::Exporter;

#[tokio::test]
async fn sentinels_and_servers_may_have_different_passwords_and_tls() {
    let authority = Authority::new();
    let master = server(DC1).password("of-servers").start().await.unwrap();
    let replica = server(DC2)
        .password("of-servers")
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let sentinel = server(DC1)
        .sentinel()
        .password("of-sentinels")
        .tls(authority.server(&[DC1]));
    let sentinel = sentinel
        .watches("m", master.addr(), 1)
        .config("sentinel auth-pass m of-servers")
        .start()
        .await
        .unwrap();
    wait_until_it_knows(&sentinel, "m", 1, 0).await;
    let auth = format!(
        "{{password: of-sentinels, tls: {{ca_file: '{}'}}}}",
        authority.ca_file().display()
    );
    let keys = format!("master_name: m, password: of-servers, sentinel_auth: {auth}");
    let secured = entry("secured", [sentinel.tls_addr().unwrap()].into_iter(), &keys);
    let wrong = entry(
        "wrong",
        [sentinel.addr()].into_iter(),
        "sentinel_auth: {password: guessed}",
    );
    let exporter = Exporter::start(&configuration(&format!("{secured}, {wrong}"))).await;
    exporter
        .wait_for("secured", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    wait_for_series(&exporter, UP, sentinel.tls_addr().unwrap(), Some(1.0)).await;
    wait_for_series(&exporter, UP, sentinel.addr(), Some(0.0)).await;
    let report = exporter.pairs().await;
    let refused = report
        .sentinels
        .iter()
        .find(|group| group.pair == "wrong")
        .unwrap();
    let reason = refused.sentinels[0].reason.clone().unwrap();
    assert!(
        reason.contains("password") || reason.contains("credentials"),
        "{reason}"
    );
}

#[tokio::test]
async fn the_documented_sentinel_user_is_enough_and_a_lesser_one_misses_only_what_it_may_not_query()
{
    let master = server(DC1).start().await.unwrap();
    let replica = server(DC2).replicaof(master.addr()).start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let documented = documented_rights();
    let sentinel = server(DC1).sentinel().watches("m", master.addr(), 1);
    let sentinel = sentinel
        .user(&format!("monitor on >pw {documented}"))
        .user("lesser on >pw resetchannels -@all +sentinel|masters +sentinel|replicas +client|setname")
        .start()
        .await
        .unwrap();
    wait_until_it_knows(&sentinel, "m", 1, 0).await;
    let of = |user: &str| {
        let keys = format!("master_name: m, sentinel_auth: {{username: {user}, password: pw}}");
        entry(user, [sentinel.addr()].into_iter(), &keys)
    };
    let exporter = Exporter::start(&configuration(&of("monitor"))).await;
    exporter
        .wait_for("monitor", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    wait_for_series(&exporter, QUORUM, sentinel.addr(), Some(1.0)).await;
    let log = sentinel.command(&["ACL", "LOG"]).await.unwrap();
    assert_eq!(log, Reply::Array(Vec::new()), "nothing was denied");
    let tried = try_access(&configuration(&of("monitor")))
        .await
        .ended_with(0);
    assert!(
        tried.stdout.contains("logged in to all 3"),
        "the servers that the Sentinel reports, too: {tried:?}"
    );

    let exporter = Exporter::start(&configuration(&of("lesser"))).await;
    exporter
        .wait_for("lesser", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    wait_for_series(&exporter, AGREES, sentinel.addr(), Some(1.0)).await;
    wait_for_series(&exporter, QUORUM, sentinel.addr(), None).await;
    let told = || async {
        exporter
            .log()
            .contains("failovers are seen by polling only")
    };
    eventually("the warning", LIMIT, told).await.unwrap();
    let tried = try_access(&configuration(&of("lesser")))
        .await
        .ended_with(1);
    let rules = "+sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|ckquorum +info \
                 +subscribe resetchannels &+* &-*";
    let what_to_do = format!("ACL SETUSER lesser {rules}");
    assert!(tried.stdout.contains(&what_to_do), "{tried:?}");
}

/// A plain server, which answers INFO and refuses SENTINEL, was reported as a Sentinel in order.
#[tokio::test]
async fn a_server_in_the_place_of_a_sentinel_is_no_sentinel() {
    let master = server(DC1).start().await.unwrap();
    let keys = "master_name: m";
    let tried = try_access(&configuration(&entry(
        "m",
        [master.addr()].into_iter(),
        keys,
    )))
    .await
    .ended_with(1);
    assert!(tried.stdout.contains("it is no Sentinel"), "{tried:?}");
}

/// What `check-config --connect` says of the configuration.
async fn try_access(yaml: &str) -> Outcome {
    let folder = folder_with(yaml);
    let line = ["check-config", "--connect", "--config.file", "config.yml"];
    run(folder.path(), &line).await
}

/// What docs/topologies.md gives the user at a Sentinel.
fn documented_rights() -> String {
    let text = include_str!("../../../docs/topologies.md");
    let (_, rest) = text
        .split_once("ACL SETUSER monitor on >PASSWORD ")
        .expect("the document names the rights");
    rest.split_once('`')
        .map(|(rights, _)| rights.to_owned())
        .expect("in code")
}
