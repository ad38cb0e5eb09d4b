//! `clusters`: what reads, what comes of it, and what is refused.

use super::*;

fn with_entries(entries: &str) -> Result<Settings, ConfigErrors> {
    read(&format!(
        "redis: {{username: u, password_file: f}}\nclusters: [{entries}]"
    ))
}

/// The only entry of `clusters: [{name: c, KEYS}]`.
fn entry(keys: &str) -> ClusterSettings {
    let mut settings = with_entries(&format!("{{name: c, {keys}}}"))
        .unwrap_or_else(|errors| panic!("{keys}\n{errors}"));
    settings.clusters.remove(0)
}

fn bad_keys(keys: &str, sentence: &str) {
    assert_eq!(
        with_entries(&format!("{{name: c, {keys}}}")).map_err(|errors| errors.to_string()),
        Err(sentence.to_owned()),
        "{keys}"
    );
}

#[test]
fn nodes_and_the_servers_that_they_find_are_connected_to_alike() {
    let plain = entry("addresses: ['a:1', 'b:1']");
    assert_eq!(plain.nodes.len(), 2);
    assert_eq!(plain.servers.credentials.username.as_deref(), Some("u"));
    assert_eq!(plain.nodes[1].credentials, plain.servers.credentials);
    assert_eq!(plain.servers.tls, None);
    for keys in [
        "addresses: ['rediss://a:1', 'rediss://b:1']",
        "addresses: ['a:1', 'b:1'], tls: {}",
        "addresses: ['rediss://a:1', 'b:1'], tls: {}",
    ] {
        let secure = entry(keys);
        assert!(secure.servers.tls.is_some(), "{keys}");
        assert_eq!(secure.nodes[1].tls, secure.servers.tls, "{keys}");
    }
    let own = entry("addresses: ['a:1'], username: v, labels: {team: x}");
    assert_eq!(own.servers.credentials.username.as_deref(), Some("v"));
    assert!(own.labels["team"] == "x");
}

#[test]
fn clusters_that_cannot_work_are_refused() {
    bad_keys(
        "addresses: []",
        "clusters[0].addresses: is empty: give some nodes in each datacenter, such as [\"dc1-node:6379\", \"dc2-node:6379\"]",
    );
    bad_keys(
        "addresses: ['a:1', 'a:1']",
        "clusters[0].addresses[1]: \"a:1\" is given twice among the nodes of the entry",
    );
    bad_keys(
        "addresses: ['a:1', 'rediss://b:1']",
        "clusters[0]: some of its addresses say rediss:// and others do not: its nodes are all connected to in the same \
         way, also those that are found",
    );
    bad_keys(
        "addresses: ['unix:///run/a.sock']",
        "clusters[0]: it names a Unix socket: the nodes of a cluster are reached over TCP",
    );
    bad_keys(
        "addresses: ['a:1'], labels: {slots: x}",
        "clusters[0]: the exporter gives every pair of a cluster the label slots itself; choose another name",
    );
    let many: Vec<_> = (0..65).map(|n| format!("'a:{}'", n + 1)).collect();
    bad_keys(
        &format!("addresses: [{}]", many.join(", ")),
        "clusters[0]: it has 65 addresses; at most 64 nodes can be asked",
    );
}

#[test]
fn names_do_not_clash_with_those_of_pairs_and_other_sources() {
    let clusters = "clusters: [{name: c, addresses: ['a:1']}]";
    let sentinels = |name: &str| format!("sentinels: [{{name: {name}, addresses: ['a:1']}}]");
    bad_whole(
        &format!("{clusters}\n{}", sentinels("c")),
        "clusters[0].name: \"c\" is given twice: sentinels[0].name has it already",
    );
    bad_whole(
        &format!("{clusters}\n{}", sentinels("c/slot-0")),
        "clusters: the pairs of c are called c/ and slot- and a number, and c/slot-0 is a name of this file as well: \
         rename one of them",
    );
    assert!(read(clusters).is_ok(), "pairs are not required");
}

#[test]
fn unverified_tls_causes_a_warning() {
    let insecure = "tls: {insecure_skip_verify: true}";
    let settings = with_entries(&format!("{{name: c, addresses: ['a:1'], {insecure}}}")).unwrap();
    assert!(settings.warnings()[0].contains("is on for a:1:"));
}
