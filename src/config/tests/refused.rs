//! What is refused, each with its exact sentence.

use super::*;

/// Checks that one plain pair and `sections` give exactly the problem `sentence`.
pub(super) fn bad(sections: &str, sentence: &str) {
    bad_whole(&format!("{PAIR}\n{sections}"), sentence);
}

/// Like [`bad_whole`], for a pair with the given further keys.
fn bad_pair(keys: &str, sentence: &str) {
    let yaml = format!(
        r#"pairs: [{{name: p, master: {{address: "a:1"}}, replicas: [{{address: "b:1"}}], {keys}}}]"#
    );
    bad_whole(&yaml, sentence);
}

pub(super) fn bad_receiver(keys: &str, sentence: &str) {
    bad(
        &format!("notify: {{receivers: [{{name: r, {keys}}}]}}"),
        sentence,
    );
}

#[test]
fn a_bad_override_names_the_variable_or_the_key() {
    let cases = [
        (
            "REDIS_CROSS_DC__POLL__INTERVALL",
            "5s",
            "REDIS_CROSS_DC__POLL__INTERVALL: overrides no key of the configuration; \
             did you mean REDIS_CROSS_DC__POLL__INTERVAL?",
        ),
        (
            "REDIS_CROSS_DC__PAIRS__0__NAME",
            "x",
            "REDIS_CROSS_DC__PAIRS__0__NAME: overrides no key of the configuration; only single values outside lists \
             can be overridden, such as REDIS_CROSS_DC__POLL__INTERVAL",
        ),
        (
            "REDIS_CROSS_DC__POLL__MAX_POLLS_PER_SECOND",
            "many",
            "poll.max_polls_per_second: \"many\" is not a whole number (without quotes)",
        ),
        (
            "REDIS_CROSS_DC__POLL__INTERVAL",
            "5",
            "poll.interval: \"5\" has no unit; write 5s or 5ms",
        ),
        (
            "REDIS_CROSS_DC__REDIS__PASSWORD",
            "",
            "redis.password: the value is empty; remove the key if there is none",
        ),
    ];
    for (variable, value, sentence) in cases {
        let errors = read_with(PAIR, &[(variable, value)]).unwrap_err();
        assert_eq!(errors.to_string(), sentence);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let yaml = "
poll: {interval: 5ms, timeout: {local: soon}}
nofity: {}
pairs:
  - {name: p, master: {address: a}, replicas: []}
  - {name: p, master: {address: 'a:1'}, replicas: [{address: 'b:1', dc: ''}]}
";
    let errors = read(yaml).unwrap_err();
    let places: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| problem.place.as_str())
        .collect();
    let expected = [
        "nofity",
        "poll.interval",
        "poll.timeout.local",
        "pairs[0].master.address",
        "pairs[0].replicas",
        "pairs[1].name",
        "pairs[1].replicas[0].dc",
    ];
    assert_eq!(places, expected, "{errors}");
    assert_eq!(errors.to_string().lines().count(), expected.len());
}

#[test]
fn unknown_keys_are_refused_with_a_hint() {
    bad(
        "redis: {pasword: hunter2}",
        "redis.pasword: is not a known key (did you mean password?); allowed here: username, password, password_file, \
         tls",
    );
    bad(
        "state: {dir: x}",
        "state.dir: is not a known key; allowed here: path",
    );
    let no_word = "has an unknown key that is no word or has no value (is there a space behind every colon?); \
                   allowed here: path";
    bad("state: {\"a b\\n\": x}", &format!("state: {no_word}"));
    bad("state: {path:hunter2}", &format!("state: {no_word}"));
    bad("state: {hunter2}", &format!("state: {no_word}"));
    bad(
        "state: {paht}",
        "state.paht: is not a known key (did you mean path?); allowed here: path",
    );
    bad(
        "state: {path: x, <<: {a: b}}",
        "state[\"<<\"]: is not a known key; allowed here: path",
    );
    bad_whole(
        r#"pairs: [{name: p, mastre: {address: "a:1"}, replicas: [{address: "b:1"}]}]"#,
        "pairs[0].mastre: is not a known key (did you mean master?); allowed here: name, master, replicas, \
         username, password, password_file, tls, labels, alerts, heartbeat",
    );
}

#[test]
fn active_active_sites_that_cannot_work_are_refused() {
    let sites = "[{address: 'a:1', dc: dc1}, {address: 'b:1', dc: dc2}]";
    let entry = |keys: &str| format!("active_active: [{{name: x, {keys}}}]");
    bad(
        &entry(&format!("sites: {sites}")),
        "active_active[0]: it compares nothing: give keys, such as [\"user:*\"], or counters",
    );
    bad(
        &entry("keys: ['u:*'], sites: [{address: 'a:1', dc: dc1}]"),
        "active_active[0]: it has 1 sites; allowed: 2 to 16",
    );
    bad(
        &entry("keys: ['u:*'], sites: [{address: 'a:1', dc: dc1}, {address: 'b:1'}]"),
        "active_active[0].sites[1]: has no dc: give the name that the site's clients write with",
    );
    bad(
        &entry("keys: ['u:*'], sites: [{address: 'a:1', dc: dc1}, {address: 'b:1', dc: dc1}]"),
        "active_active[0].sites[1]: has the address or the dc of another site of the entry",
    );
    bad(
        &entry(&format!("keys: ['u:*'], probe: true, sites: {sites}")),
        "active_active[0].probe: nobody would look at the probes without monitor: true: write that, or probe: false",
    );
    let three = sites.replace(']', ", {address: 'c:1', dc: dc3}]");
    bad(
        &entry(&format!("keys: ['u:*'], sync_queue: q, sites: {three}")),
        "active_active[0]: it has a sync_queue and 3 sites; an item of the queue names no target, so a queue \
         is for 2 sites: remove sync_queue, or give each two of the sites an entry",
    );
}

#[test]
fn active_active_patterns_are_limited() {
    let entry = |keys: &str| {
        let sites = "[{address: 'a:1', dc: dc1}, {address: 'b:1', dc: dc2}]";
        format!("active_active: [{{name: x, sites: {sites}, {keys}}}]")
    };
    let many = vec!["a"; 101].join(", ");
    bad(
        &entry(&format!("keys: [{many}]")),
        "active_active[0]: it has 101 keys; allowed: at most 100",
    );
    let long = "a".repeat(513);
    let problem = "is not a key or pattern; allowed: 1 to 512 bytes";
    for keys in [
        format!("keys: ['{long}']"),
        format!("keys: [a], sync_queue: '{long}'"),
    ] {
        let errors = read(&format!("{PAIR}\n{}", entry(&keys)))
            .unwrap_err()
            .to_string();
        assert!(errors.contains(problem), "{errors}");
    }
    good(&entry(&format!("keys: ['{}']", "a".repeat(512))));
}

#[test]
fn addresses_that_cannot_be_reached_are_refused() {
    let unix = "is the path of a Unix socket; write it like unix:///run/redis.sock";
    let (unix, redis_unix) = (
        format!("\"/r.sock\" {unix}"),
        format!("\"redis+unix:///r.sock\" {unix}"),
    );
    let cases = [
        ("/r.sock", unix.as_str()),
        ("redis+unix:///r.sock", redis_unix.as_str()),
        (
            "unix://r.sock",
            "\"unix://r.sock\" is not a server's address: its path is not absolute, longer than 107 bytes, or holds \
             control characters: write unix:///run/redis.sock",
        ),
        (
            "rediss://unix:///r.sock",
            "\"rediss://unix:///r.sock\" is not a server's address: its port is not a number from 1 to 65535",
        ),
        (
            "rediss://u:hunter2@a:1",
            "the value has credentials in it; use username and password_file instead, and write only host:port",
        ),
        (
            "unix://u:hunter2@/r.sock",
            "the value has credentials in it; use username and password_file instead, and write only host:port",
        ),
        (
            "redis://u:hunter2@a:1",
            "the value has credentials in it; use username and password_file instead, and write only host:port",
        ),
        (
            "a:x",
            "\"a:x\" is not a server's address: its port is not a number from 1 to 65535",
        ),
    ];
    for (address, sentence) in cases {
        let yaml = format!(
            r#"pairs: [{{name: p, master: {{address: "{address}"}}, replicas: [{{address: "b:1"}}]}}]"#
        );
        bad_whole(&yaml, &format!("pairs[0].master.address: {sentence}"));
    }
}

#[test]
fn contradicting_tls_keys_and_schemes_are_refused() {
    let pair = |redis: &str, master: &str, sentence: &str| {
        let yaml = format!(
            "redis: {{{redis}}}\npairs: [{{name: p, master: {{{master}}}, replicas: [{{address: 'rediss://b:1'}}]}}]"
        );
        bad_whole(&yaml, &format!("pairs[0].master{sentence}"));
    };
    pair(
        "tls: {}",
        "address: 'redis://a:1'",
        ": its address says redis://, which is plain text, but tls is on: write host:port or rediss://host:port",
    );
    pair(
        "",
        "address: 'rediss://a:1', tls: {enabled: false}",
        ": its address says rediss://, which is TLS, but its tls is not enabled: remove one of the two",
    );
    pair(
        "",
        "address: 'unix:///r.sock', tls: {ca_file: f}",
        ": it is a Unix socket, on which Redis speaks no TLS: remove its tls",
    );
    pair(
        "",
        "address: 'a:1', tls: {cert_file: f}",
        ": tls has a cert_file but no key_file: they go together",
    );
    pair(
        "",
        "address: 'a:1', tls: {key_file: f}",
        ": tls has a key_file but no cert_file: they go together",
    );
    let path = "is not a path; allowed: 1 to 4096 characters, no control characters";
    pair(
        "",
        "address: 'a:1', tls: {cert_file: '', key_file: f}",
        &format!(".tls.cert_file: \"\" {path}"),
    );
    pair(
        "",
        "address: 'a:1', tls: {enabled: 1}",
        ".tls.enabled: 1 is not true or false",
    );
    let name =
        "is not a host name or an IP address; write it like redis.example.com, without a port";
    pair(
        "",
        "address: 'a:1', tls: {server_name: 'b:1'}",
        &format!(".tls.server_name: \"b:1\" {name}"),
    );
    pair(
        "",
        "address: 'a:1', tls: {ca: f}",
        ".tls.ca: is not a known key; allowed here: enabled, ca_file, cert_file, key_file, server_name, \
         insecure_skip_verify",
    );
    bad_whole(
        "pairs: [{name: p, master: {address: 'a:1'}, replicas: [{address: 'b:1'}]}, \
         {name: q, master: {address: 'rediss://a:1'}, replicas: [{address: 'c:1'}]}]",
        "pairs[1].master: a:1 is pairs[0].master as well, with other TLS settings; a server is polled once, so give it \
         the same tls everywhere",
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    bad("poll: 5", "poll: a number is not a mapping");
    bad("poll: []", "poll: a list is not a mapping");
    bad(
        "redis: redis://u:hunter2@a:1",
        "redis: a text is not a mapping",
    );
    bad_receiver(
        "slack: 'https://hooks.example/hunter2'",
        "notify.receivers[0].slack: a text is not a mapping",
    );
    bad_receiver(
        "webhook: {url: 'https://x.example/', headers: 'Authorization: hunter2'}",
        "notify.receivers[0].webhook.headers: a text is not a mapping",
    );
    bad(
        "notify: {receivers: hunter2}",
        "notify.receivers: a text is not a list",
    );
    bad(
        "datacenters: {name: x}",
        "datacenters: a mapping is not a list",
    );
    bad(
        "poll: {interval: 1}",
        "poll.interval: 1 has no unit; write 1s or 1ms",
    );
    bad(
        "poll: {interval: 1.5}",
        "poll.interval: 1.5 is not a duration; write it like 250ms, 30s, 1m30s or 4h",
    );
    bad(
        "poll: {interval: null}",
        "poll.interval: null is not a duration; write it like 250ms, 30s, 1m30s or 4h",
    );
    bad(
        "poll: {interval: 0}",
        "poll.interval: 0 is out of range; allowed: 100ms to 1h",
    );
    bad(
        "poll: {heartbeat: {interval: 99ms}}",
        "poll.heartbeat.interval: \"99ms\" is out of range; allowed: 100ms to 1h",
    );
    bad(
        "poll: {heartbeat: {enabled: 1}}",
        "poll.heartbeat.enabled: 1 is not true or false",
    );
    bad(
        "poll: {interval: 2h}",
        "poll.interval: \"2h\" is out of range; allowed: 100ms to 1h",
    );
    bad(
        "poll: {min_interval: 2s}",
        "poll.min_interval: \"2s\" is out of range; allowed: 50ms to 1s",
    );
    let number = "is not a whole number (without quotes)";
    bad(
        "poll: {max_polls_per_second: '5'}",
        &format!("poll.max_polls_per_second: \"5\" {number}"),
    );
    bad(
        "poll: {max_polls_per_second: 5.0}",
        &format!("poll.max_polls_per_second: 5 {number}"),
    );
    bad(
        "poll: {max_polls_per_second: 0}",
        "poll.max_polls_per_second: 0 is out of range; allowed: 1 to 1000000",
    );
    bad(
        "datacenters: [{name: d, local: yes}]",
        "datacenters[0].local: \"yes\" is not true or false",
    );
    bad(
        "datacenters: [{name: d, local: 'true'}]",
        "datacenters[0].local: \"true\" is not true or false",
    );
    bad(
        "datacenters: [{name: 5}]",
        "datacenters[0].name: 5 is not text; put it in quotes",
    );
    bad(
        "datacenters: [5]",
        "datacenters[0]: a number is not a mapping",
    );
    bad(
        "redis: {password: 12345}",
        "redis.password: the value is not text; put it in quotes",
    );
    let size =
        "is not a size; write it like 64MiB, 1GB, or as a bare number of bytes without quotes";
    bad(
        "alerts: {lag_bytes: {warning: '1000'}}",
        &format!("alerts.lag_bytes.warning: \"1000\" {size}"),
    );
    bad(
        "alerts: {lag_bytes: {warning: 9223372036854775807}}",
        "alerts.lag_bytes.warning: 9223372036854775807 is out of range; allowed: 1B to 9007199254740992B",
    );
    bad(
        "alerts: {lag_bytes: {warning: -1}}",
        "alerts.lag_bytes.warning: -1 is less than nothing",
    );
    bad_pair(
        "labels: {tier: 1}",
        "pairs[0].labels.tier: 1 is not text; put it in quotes",
    );
    bad_pair("labels: [a]", "pairs[0].labels: a list is not a mapping");
}

#[test]
fn levels_have_an_order() {
    bad(
        "alerts: {lag_seconds: {warning: 200s}}",
        "alerts.lag_seconds: the critical level 2m is below the warning level 3m20s",
    );
    bad(
        "alerts: {lag_seconds: {clear: 31s}}",
        "alerts.lag_seconds: the warning level 30s is below its clear threshold 31s; give a clear of at most 30s here",
    );
    bad(
        "alerts: {link_down: {clear: 0s}}",
        "alerts.link_down.clear: \"0s\" is out of range; allowed: 1ms to 30d",
    );
    bad(
        "alerts: {link_down: null}",
        "alerts.link_down: null is not a rule; to switch it off, write {warning: null, critical: null}",
    );
    bad_pair(
        "alerts: {unreachable: {warning: 1s}}",
        "pairs[0].alerts.unreachable: cannot be set for a pair, because pairs may share servers: \
         set it in the global alerts",
    );
    bad_pair(
        "alerts: {unknown: {critical: 80s}}",
        "pairs[0].alerts.unknown: the critical level 1m20s is below the warning level 1m30s",
    );
    let rule = good("alerts: {lag_seconds: {warning: null, clear: 100s}}")
        .alerts
        .lag_seconds;
    assert_eq!(
        (rule.warning, rule.critical),
        (None, level(secs(120), secs(100)))
    );
}

#[test]
fn pairs_make_sense() {
    bad_whole(
        "",
        "pairs: is missing: give at least one pair of a master and its replicas",
    );
    bad_whole(
        "pairs: []",
        "pairs: is empty: give at least one pair of a master and its replicas",
    );
    bad_whole("pairs:", "pairs: null is not a list");
    bad_whole(
        "pairs: [{name: p, master: {address: 'a:1'}, replicas: []}]",
        "pairs[0].replicas: is empty: give at least one replica, such as [{address: \"host:port\"}]",
    );
    bad_whole(
        "pairs: [{name: p, master: {address: 'a:1'}, replicas: [{address: 'a:1'}]}]",
        "pairs[0].replicas[0]: a:1 is the pair's master as well",
    );
    bad_whole(
        "pairs: [{name: p, master: {address: 'a:1'}, replicas: [{address: 'b:1'}, {address: 'b:1'}]}]",
        "pairs[0].replicas[1]: b:1 is given twice among the pair's replicas",
    );
    bad_whole(
        "pairs: [{name: p, master: {dc: d}, replicas: [{address: 'b:1'}]}]",
        "pairs[0].master.address: is missing: give host:port",
    );
    let two = |second: &str| format!("{}, {second}]", PAIR.strip_suffix(']').unwrap());
    bad_whole(
        &two("{name: p, master: {address: 'c:1'}, replicas: [{address: 'd:1'}]}"),
        "pairs[1].name: \"p\" is given twice: pairs[0].name has it already",
    );
    bad_whole(
        &two(
            "{name: q, master: {address: 'a:1', password: hunter2}, replicas: [{address: 'd:1'}]}",
        ),
        "pairs[1].master: a:1 is pairs[0].master as well, with other credentials; a server is polled once, so give it \
         the same credentials everywhere",
    );
    bad_whole(
        "pairs: [{name: p, master: {address: 'a:1', dc: x}, replicas: [{address: 'b:1'}]}, \
         {name: q, master: {address: 'c:1'}, replicas: [{address: 'a:1', dc: y}]}]",
        "pairs[1].replicas[0]: a:1 is in y here and in x at pairs[0].master; a server has one datacenter",
    );
}

#[test]
fn values_that_are_too_long_are_refused() {
    let check = |pair: &str, sections: &str, part: &str| {
        let yaml = format!(
            "pairs: [{{name: p, master: {{address: 'a:1'}}, replicas: [{{address: 'b:1'}}]{pair}}}]\n{sections}"
        );
        let refused = parse(&yaml, Format::Yaml, Path::new(""), &Environment::default())
            .unwrap_err()
            .to_string();
        assert!(refused.contains(part), "{refused}");
    };
    let long = |length| "x".repeat(length);
    let labels: Vec<_> = (0..33).map(|number| format!("a{number}: x")).collect();
    check(
        "",
        &format!("notify: {{identity: {}}}", long(129)),
        "allowed: 1 to 128 characters",
    );
    check(
        &format!(", labels: {{{}}}", labels.join(", ")),
        "",
        "pairs[0].labels: a mapping has more than 32 labels",
    );
    check(
        &format!(", labels: {{a: {}}}", long(1025)),
        "",
        "allowed: up to 1024 characters",
    );
    let receiver = format!(
        "notify: {{receivers: [{{name: r, webhook: {{url: 'http://x/{}'}}}}]}}",
        long(4096)
    );
    check("", &receiver, "notify.receivers[0].webhook.url: ");
}

#[test]
fn names_labels_and_patterns_are_checked() {
    for name in [
        "pair",
        "source_dc",
        "target_dc",
        "replica",
        "master",
        "alertname",
        "severity",
    ] {
        let sentence = format!(
            "pairs[0].labels.{name}: the exporter has a label of this name itself; choose another"
        );
        bad_pair(&format!("labels: {{{name}: x}}"), &sentence);
    }
    for (name, path) in [
        ("__x", "labels.__x"),
        ("a-b", "labels.a-b"),
        ("1a", "labels.1a"),
        ("ä", "labels[\"ä\"]"),
    ] {
        let sentence = format!(
            "pairs[0].{path}: is not a label's name; allowed: letters, digits and _, not beginning with a digit or __"
        );
        bad_pair(&format!("labels: {{{name}: x}}"), &sentence);
    }
    let name =
        "is not a name; allowed: 1 to 128 characters, no control characters, no space around it";
    bad(
        "datacenters: [{name: ''}]",
        &format!("datacenters[0].name: \"\" {name}"),
    );
    bad(
        "datacenters: [{name: \"a\\tb\"}]",
        &format!("datacenters[0].name: \"a\\tb\" {name}"),
    );
    bad(
        "notify: {identity: ' x'}",
        &format!("notify.identity: \" x\" {name}"),
    );
    bad(
        "datacenters: [{name: unknown}]",
        "datacenters[0].name: \"unknown\" is kept for servers that no rule places; choose another name",
    );
    bad(
        "datacenters: [{name: a, local: true}, {name: b, local: true}]",
        "datacenters[1].local: only one datacenter can be the local one, and datacenters[0].local is true already",
    );
    bad(
        "datacenters: [{name: a}, {name: a}]",
        "datacenters[1].name: \"a\" is given twice: datacenters[0].name has it already",
    );
    bad(
        "datacenters: [{name: a, match: [10.0.0.0/99]}]",
        "datacenters[0].match[0]: \"10.0.0.0/99\" is not an address range; write it like 10.1.0.0/16 or 2001:db8::/32",
    );
    bad(
        "datacenters: [{name: a, match: ['a b']}]",
        "datacenters[0].match[0]: \"a b\" is not a pattern for hosts; write it like *.dc1.example.com or 10.1.0.0/16",
    );
}

#[test]
fn a_secret_given_twice_is_refused_and_never_shown() {
    bad(
        "redis: {password: hunter2, password_file: f}",
        "redis.password_file: password is given as well; give one of password and password_file",
    );
    bad(
        "redis: {username: u}",
        "pairs[0].master: the username \"u\" has no password: give password or password_file with it\n\
         pairs[0].replicas[0]: the username \"u\" has no password: give password or password_file with it",
    );
    bad(
        "redis: {password: \"hunter2\\n\"}",
        "redis.password: the value has control characters, such as a line break, in it",
    );
    bad(
        "redis: {password_file: ''}",
        "redis.password_file: \"\" is not a path; allowed: 1 to 4096 characters, no control characters",
    );
}

#[test]
fn a_refused_password_is_one_problem_only() {
    bad(
        "redis: {username: u, password: 5}",
        "redis.password: the value is not text; put it in quotes",
    );
    bad(
        "redis: {username: u, password: '${NO}'}",
        "redis.password: the environment variable NO is not set",
    );
}

#[test]
fn the_documentation_shows_real_messages() {
    let text = include_str!("../../../docs/configuration.md");
    let shown = text.split("```").nth(1).unwrap().trim();
    let yaml = "
poll: {intervall: 1s}
pairs: [{name: p, master: {address: 'a:1'}, replicas: [{address: 'b:1'}, {address: redis.dc2.example.com}]}]
";
    bad_whole(yaml, shown);
}

#[test]
fn bad_exceptions_of_doctor_say_what_is_allowed() {
    let exception = |keys: &str| format!("doctor: {{ignore: [{{{keys}}}]}}");
    bad(
        &exception("check: A1"),
        "doctor.ignore[0].reason: is missing: give why the finding is accepted",
    );
    bad(
        &exception("check: A1, reason: ''"),
        "doctor.ignore[0].reason: \"\" is not a reason; allowed: 1 to 400 characters, no control \
         characters",
    );
    bad(
        &exception("check: A1, reason: x, until: tomorrow"),
        "doctor.ignore[0].until: \"tomorrow\" is not a date; write it like 2027-01-31",
    );
    bad(
        &exception("check: A1, reason: x, until: 2027-02-30"),
        "doctor.ignore[0].until: \"2027-02-30\" is not a date; write it like 2027-01-31",
    );
    bad(
        "doctor: {every: 59s}",
        "doctor.every: \"59s\" is out of range; allowed: 1m to 30d",
    );
    let errors = read(&format!("{PAIR}\n{}", exception("check: A15, reason: x"))).unwrap_err();
    let errors = errors.to_string();
    let begin = "doctor.ignore[0].check: \"A15\" is not a check of doctor; allowed: A1, A2, ";
    assert!(errors.starts_with(begin), "{errors}");
}

#[test]
fn exceptions_of_doctor_have_limits() {
    let exceptions = |count: usize, reason: &str| {
        let one = format!("{{check: A1, reason: '{reason}'}}");
        format!("doctor: {{ignore: [{}]}}", vec![one; count].join(", "))
    };
    assert_eq!(good(&exceptions(1000, "x")).doctor.ignore.len(), 1000);
    bad(
        &exceptions(1001, "x"),
        "doctor.ignore: has 1001 exceptions; allowed: at most 1000",
    );
    good(&exceptions(1, &"x".repeat(400)));
    assert!(read(&format!("{PAIR}\n{}", exceptions(1, &"x".repeat(401)))).is_err());
}

#[test]
fn an_operator_needs_a_password_and_observers_have_a_limit() {
    let operator = good("operator: {username: operator, password_file: p}").operator;
    assert_eq!(operator.unwrap().username.as_deref(), Some("operator"));
    assert_eq!(good("operator: {}").operator, None);
    assert_eq!(good("").operator, None);
    assert!(read(&format!("{PAIR}\noperator: {{username: operator}}")).is_err());
    let observers = |count: usize| {
        let one = "'http://exporter.dc2:10121/'";
        format!("observers: [{}]", vec![one; count].join(", "))
    };
    assert_eq!(
        good(&observers(16)).observers[0],
        "http://exporter.dc2:10121"
    );
    bad(
        &observers(17),
        "observers: has 17 exporters; allowed: at most 16",
    );
}

#[test]
fn hooks_do_one_thing_each_and_have_limits() {
    let hook = |rest: &str| format!("hooks: {{after: [{{name: x, {rest}}}]}}");
    let program = good(&hook("command: [/bin/true, now]")).hooks.after;
    assert_eq!(program[0].timeout, crate::model::Span::from_secs(30));
    let words = ["/bin/true", "now"].map(str::to_owned);
    assert_eq!(program[0].action, HookAction::Command(words.to_vec()));
    good(&hook("url: 'https://dns.example.com/x', timeout: 10m"));
    for nothing in ["", "timeout: 5s"] {
        bad(
            &hook(nothing),
            "hooks.after[0]: does nothing: give it a command or a url",
        );
    }
    bad(
        &hook("command: [/bin/true], url: 'https://dns.example.com/x'"),
        "hooks.after[0]: has both a command and a url: give one of them, or make two hooks",
    );
    for relative in ["[]", "[true]", "[./x]"] {
        let refused = read(&format!(
            "{PAIR}\n{}",
            hook(&format!("command: {relative}"))
        ));
        assert!(refused.is_err(), "{relative}");
    }
    let words = |count: usize| format!("command: [/bin/true{}]", ", x".repeat(count - 1));
    good(&hook(&words(64)));
    bad(
        &hook(&words(65)),
        "hooks.after[0].command: has 65 words; allowed: at most 64",
    );
    let word = |length: usize| format!("command: [/bin/true, {}]", "x".repeat(length));
    good(&hook(&word(4096)));
    assert!(read(&format!("{PAIR}\n{}", hook(&word(4097)))).is_err());
    let many = |count: usize| {
        let one = "{name: x, command: [/bin/true]}";
        format!("hooks: {{before: [{}]}}", vec![one; count].join(", "))
    };
    assert_eq!(good(&many(16)).hooks.before.len(), 16);
    bad(&many(17), "hooks.before: has 17 hooks; allowed: at most 16");
}

#[test]
fn an_unknown_word_in_metrics_is_refused_with_those_that_are_known() {
    bad(
        "metrics: {thresholds: some}",
        "metrics.thresholds: \"some\" is not allowed; allowed: on, overrides, off",
    );
    bad(
        "metrics: {states: true}",
        "metrics.states: true is not text; put it in quotes",
    );
    bad(
        "metrics: {raw_signals: some}",
        "metrics.raw_signals: \"some\" is not true or false",
    );
}
