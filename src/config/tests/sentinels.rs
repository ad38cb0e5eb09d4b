//! `sentinels`: what reads, what comes of it, and what is refused.

use super::*;
use crate::model::PairName;

/// The only entry of `sentinels: [{name: s, KEYS}]`.
fn entry(keys: &str) -> SentinelSettings {
    let mut settings = with_entries(&format!("{{name: s, {keys}}}"))
        .unwrap_or_else(|errors| panic!("{keys}\n{errors}"));
    settings.sentinels.remove(0)
}

fn with_entries(entries: &str) -> Result<Settings, ConfigErrors> {
    read(&format!(
        "redis: {{username: u, password_file: f}}\nsentinels: [{entries}]"
    ))
}

/// Checks that the entries give exactly this problem.
fn bad(entries: &str, sentence: &str) {
    assert_eq!(
        with_entries(entries).map_err(|errors| errors.to_string()),
        Err(sentence.to_owned()),
        "{entries}"
    );
}

fn bad_keys(keys: &str, sentence: &str) {
    bad(&format!("{{name: s, {keys}}}"), sentence);
}

/// The Sentinels of an entry: address, whether it has a password, whether it speaks TLS.
fn shown(entry: &SentinelSettings) -> Vec<String> {
    let sentinel = |s: &ServerSettings| {
        let (login, tls) = (s.credentials.password.is_some(), s.tls.is_some());
        format!(
            "{}{}{}",
            s.addr,
            if login { " login" } else { "" },
            if tls { " tls" } else { "" }
        )
    };
    entry.sentinels.iter().map(sentinel).collect()
}

#[test]
fn sentinels_may_be_configured_with_and_without_pairs() {
    let settings = with_entries("{name: s, addresses: ['a:1', 'b:1']}").unwrap();
    assert!(settings.pairs.is_empty());
    assert_eq!(
        good("sentinels: [{name: s, addresses: ['a:1']}]")
            .sentinels
            .len(),
        1
    );
    assert_eq!(good("sentinels:").sentinels, []);
}

#[test]
fn a_pair_is_named_after_its_master_unless_there_is_only_one() {
    let name =
        |keys: &str, master: &str| entry(&format!("{keys}addresses: ['a:1']")).pair_name(master);
    let cases = [
        ("", "mymaster", Some("s/mymaster")),
        ("master_name: mymaster, ", "mymaster", Some("s")),
        ("master_name: mymaster, ", "other", None),
        ("master_name: 'my*', ", "mymaster", Some("s/mymaster")),
        ("master_name: 'my*', ", "other", None),
        ("master_name: 'm?', ", "m1", Some("s/m1")),
    ];
    for (keys, master, expected) in cases {
        let found = name(keys, master);
        assert_eq!(
            found.as_ref().map(PairName::as_str),
            expected,
            "{keys} {master}"
        );
    }
}

#[test]
fn sentinels_have_a_separate_login_and_the_servers_tls() {
    let plain = entry("addresses: ['a:1']");
    assert_eq!(shown(&plain), ["a:1"]);
    assert_eq!(
        plain.servers.credentials.username.as_deref(),
        Some("u"),
        "the servers get that of `redis`"
    );
    let cases: [(&str, &[&str]); 6] = [
        (
            "addresses: ['a:1'], sentinel_auth: {password_file: g}",
            &["a:1 login"],
        ),
        ("addresses: ['a:1'], tls: {}", &["a:1 tls"]),
        (
            "addresses: ['a:1'], tls: {}, sentinel_auth: {tls: {enabled: false}}",
            &["a:1"],
        ),
        ("addresses: ['a:1'], sentinel_auth: {tls: {}}", &["a:1 tls"]),
        (
            "addresses: ['rediss://a:1', 'b:1', 'redis://c:1']",
            &["a:1 tls", "b:1", "c:1"],
        ),
        (
            "addresses: ['unix:///run/s.sock'], tls: {}",
            &["unix:///run/s.sock"],
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(shown(&entry(keys)), expected, "{keys}");
    }
    let nearest = entry(
        "addresses: ['a:1'], tls: {ca_file: x, server_name: n}, sentinel_auth: {tls: {ca_file: y}}",
    );
    let tls = nearest.sentinels[0].tls.clone().unwrap();
    assert_eq!(
        (
            tls.ca_file.unwrap().ends_with("y"),
            tls.server_name.as_deref()
        ),
        (true, Some("n"))
    );
    assert!(nearest.servers.tls.unwrap().ca_file.unwrap().ends_with("x"));
}

#[test]
fn an_entry_has_the_keys_of_a_pair() {
    let found = entry(
        "addresses: ['a:1'], username: v, labels: {team: x}, alerts: {lag_seconds: {warning: 1s}}, heartbeat: {enabled: true}",
    );
    assert_eq!(
        (
            found.servers.credentials.username.as_deref(),
            found.labels["team"].as_str()
        ),
        (Some("v"), "x")
    );
    assert_eq!(
        found.alerts.lag_seconds.warning.map(|level| level.at),
        Some(secs(1))
    );
    assert!(found.heartbeat.enabled);
}

#[test]
fn entries_that_cannot_work_are_refused() {
    bad_keys(
        "addresses: []",
        "sentinels[0].addresses: is empty: give the Sentinels, such as [\"dc1-sentinel:26379\", \"dc2-sentinel:26379\"]",
    );
    bad(
        "{addresses: ['a:1']}",
        "sentinels[0].name: is missing: give the name of its pairs",
    );
    bad_keys(
        "addresses: ['a:1', 'a:1']",
        "sentinels[0].addresses[1]: \"a:1\" is given twice among the Sentinels of the entry",
    );
    bad_keys(
        "addresses: [a]",
        "sentinels[0].addresses[0]: \"a\" is not a server's address: it has no port: write host:port, such as \
         redis.example.com:6379 or [2001:db8::1]:6379",
    );
    bad_keys(
        "master_name: 'a b', addresses: ['a:1']",
        "sentinels[0].master_name: \"a b\" is not a master's name; allowed: 1 to 256 bytes without spaces and control \
         characters, with * and ? as a glob; leave it out for every master",
    );
    bad_keys(
        "sentinel_auth: {username: x}, addresses: ['a:1']",
        "sentinels[0].sentinel_auth: the username \"x\" has no password: give password or password_file with it",
    );
    bad_keys(
        "tls: {}, addresses: ['redis://a:1', 'redis://b:1']",
        "sentinels[0].sentinel_auth: an address says redis://, which is plain text, but tls is on: write host:port or \
         rediss://host:port",
    );
    bad_keys(
        "addresses: ['rediss://a:1', 'rediss://b:1'], sentinel_auth: {tls: {cert_file: c}}",
        "sentinels[0].sentinel_auth: tls has a cert_file but no key_file: they go together",
    );
    let many: Vec<_> = (0..65).map(|n| format!("'a:{}'", n + 1)).collect();
    bad_keys(
        &format!("addresses: [{}]", many.join(", ")),
        "sentinels[0]: it has 65 addresses; at most 64 Sentinels can be asked",
    );
}

#[test]
fn names_do_not_clash_with_those_of_pairs_or_of_other_entries() {
    let pair = |name: &str| {
        format!(
            r#"pairs: [{{name: {name}, master: {{address: "a:1"}}, replicas: [{{address: "b:1"}}]}}]"#
        )
    };
    let sentinels =
        "sentinels: [{name: s, addresses: ['a:1']}, {name: t, master_name: m, addresses: ['a:1']}]";
    bad_whole(
        &format!("{}\n{sentinels}", pair("t")),
        "sentinels[1].name: \"t\" is given twice: pairs[0].name has it already",
    );
    bad_whole(
        &format!("{}\n{sentinels}", pair("s/m")),
        "sentinels: the pairs of s are called s/ and the master's name, and s/m is a name of this file as well: rename one \
         of them",
    );
    assert!(
        read(&format!("{}\n{sentinels}", pair("t/m"))).is_ok(),
        "t names one master: its pair is t"
    );
}

#[test]
fn unverified_tls_causes_a_warning() {
    let insecure = "tls: {insecure_skip_verify: true}";
    let settings = with_entries(&format!("{{name: s, addresses: ['a:1'], {insecure}}}")).unwrap();
    let warnings = settings.warnings();
    assert!(warnings[0].contains("is on for a:1:"), "{warnings:?}");
    assert!(
        warnings[1].contains("the servers that the Sentinels of s find"),
        "{warnings:?}"
    );
}
