//! Active-active sites: a reference without a finding, and what a site may lose.

use redis_cross_dc_exporter::doctor::FindingSeverity::{Critical, Warning};
use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::model::DoctorCheck;

use super::machine::Machine;
use super::{expect_one, found, reference, report};

/// The configuration of two sites with a queue, and nothing else.
fn sites(first: &RedisServer, second: &RedisServer) -> String {
    format!(
        "active_active:\n  - name: profiles\n    sites:\n      - {{address: \"{}\", dc: dc1}}\n      - {{address: \
         \"{}\", dc: dc2}}\n    sync_queue: sync_queue\n    keys: [\"user:*\"]\n",
        first.addr(),
        second.addr()
    )
}

async fn set(server: &RedisServer, name: &str, value: &str) {
    let answer = server.command(&["CONFIG", "SET", name, value]).await;
    assert_eq!(answer.unwrap().text().as_deref(), Some("OK"));
}

#[tokio::test]
async fn what_a_site_may_lose_is_found_and_nothing_on_sites_that_lose_nothing() {
    let machine = Machine::new(None);
    let first = reference().config("appendonly yes").start().await.unwrap();
    let second = machine.run(reference().config("appendonly yes"));
    let second = second.start().await.unwrap();
    let configuration = sites(&first, &second);
    let audit = || report(&configuration);
    assert_eq!(found(&audit().await), [], "a reference");

    set(&first, "maxmemory-policy", "allkeys-lru").await;
    assert_eq!(found(&audit().await), [], "without a limit it is advice");
    set(&first, "maxmemory", "100mb").await;
    expect_one(&audit().await, DoctorCheck::G1, Critical, first.addr());
    set(&first, "maxmemory-policy", "noeviction").await;
    assert_eq!(found(&audit().await), [], "repaired");

    set(&second, "appendonly", "no").await;
    expect_one(&audit().await, DoctorCheck::G2, Warning, second.addr());
    set(&second, "save", "").await;
    expect_one(&audit().await, DoctorCheck::G2, Critical, second.addr());
    set(&second, "appendonly", "yes").await;
    assert_eq!(found(&audit().await), [], "repaired");

    machine.set_clock(2);
    expect_one(&audit().await, DoctorCheck::G3, Warning, second.addr());
    machine.set_clock(60);
    expect_one(&audit().await, DoctorCheck::G3, Critical, second.addr());
    machine.set_clock(0);
    assert_eq!(found(&audit().await), [], "repaired");
}
