//! What reads, and what comes of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::model::{Bytes, Datacenter, Secret};

#[test]
fn the_defaults_are_as_documented() {
    let settings = good("");
    let plain = |warning, critical| LevelRule {
        warning: level(secs(warning), secs(warning)),
        critical: level(secs(critical), secs(critical)),
        pending_for: Span::ZERO,
        keep_firing_for: Span::ZERO,
    };
    assert_eq!(
        settings.poll,
        PollSettings {
            interval: secs(1),
            min_interval: Span::from_millis(250),
            max_polls_per_second: 30_000,
            timeout_local: Span::from_millis(500),
            timeout_remote: secs(2),
            heartbeat: HeartbeatSettings {
                enabled: false,
                interval: secs(1)
            },
            refresh_on_scrape: false,
            output_buffers: false,
        }
    );
    let alerts = settings.alerts;
    let lag = LevelRule {
        warning: level(secs(30), secs(24)),
        critical: level(secs(120), secs(96)),
        pending_for: secs(10),
        keep_firing_for: Span::ZERO,
    };
    assert_eq!(alerts.lag_seconds, lag);
    assert_eq!(
        (alerts.lag_bytes.warning, alerts.lag_bytes.critical),
        (None, None)
    );
    assert_eq!(alerts.link_down, plain(10, 60));
    assert_eq!(alerts.unreachable, plain(15, 60));
    assert_eq!(alerts.unknown, plain(90, 300));
    assert_eq!(alerts.sentinel_quorum, plain(10, 60));
    assert_eq!(alerts.cluster_down, plain(10, 60));
    let at_once = level(Span::from_millis(1), Span::from_millis(1));
    assert_eq!(
        alerts.diverged,
        LevelRule {
            warning: at_once,
            ..plain(1, 30)
        }
    );
    let once = Some(LevelThreshold {
        at: 1,
        clear_below: 1,
    });
    let levels = LevelRule {
        warning: once,
        critical: None,
        pending_for: Span::ZERO,
        keep_firing_for: Span::ZERO,
    };
    assert_eq!(
        alerts.failover,
        CountRule {
            levels,
            window: secs(600)
        }
    );
    assert_eq!(settings.pairs[0].alerts, alerts);
    let notify = settings.notify;
    assert_eq!(
        (
            notify.group_wait,
            notify.group_interval,
            notify.repeat_interval
        ),
        (secs(5), secs(60), secs(14_400))
    );
    assert!(
        notify.identity.is_empty()
            && notify.receivers.is_empty()
            && settings.datacenters.is_empty()
    );
    assert_eq!(settings.state.path, PathBuf::from("/etc/exporter/data"));
    assert_eq!(settings.pairs[0].master.credentials, Credentials::default());
}

#[test]
fn a_shorter_interval_lowers_the_default_minimal_interval() {
    assert_eq!(
        good("poll: {interval: 100ms}").poll.min_interval,
        Span::from_millis(100)
    );
}

#[test]
fn yaml_toml_and_json_give_equal_settings() {
    let toml = r#"
        [poll]
        interval = "2s"
        [[pairs]]
        name = "p"
        master = { address = "a:1", dc = "DC-One" }
        replicas = [{ address = "b:1" }]
        labels = { TeamName = "Payments" }
        alerts = { lag_bytes = { warning = 1024 } }
    "#;
    let json = r#"{"poll": {"interval": "2s"}, "pairs": [{"name": "p", "master": {"address": "a:1", "dc": "DC-One"},
        "replicas": [{"address": "b:1"}], "labels": {"TeamName": "Payments"}, "alerts": {"lag_bytes": {"warning": 1024}}}]}"#;
    let yaml = "\
poll: {interval: 2s}
pairs:
  - name: p
    master: {address: 'a:1', dc: DC-One}
    replicas: [{address: 'b:1'}]
    labels: {TeamName: Payments}
    alerts: {lag_bytes: {warning: 1024}}
";
    let parse =
        |text, format| parse(text, format, Path::new("/x"), &Environment::default()).unwrap();
    let settings = parse(yaml, Format::Yaml);
    assert_eq!(settings, parse(toml, Format::Toml));
    assert_eq!(settings, parse(json, Format::Json));
    assert_eq!(
        settings.pairs[0].labels,
        BTreeMap::from([("TeamName".to_owned(), "Payments".to_owned())])
    );
}

#[test]
fn a_pairs_rules_merge_key_by_key() {
    let settings = read(
        "
alerts: {lag_seconds: {critical: 60s, for: 7s, clear: {critical: 40s}}}
pairs:
  - name: p
    master: {address: 'a:1'}
    replicas: [{address: 'b:1'}]
    alerts: {lag_seconds: {warning: 10s}, lag_bytes: {warning: 64MiB}, link_down: {critical: null}}
",
    )
    .unwrap();
    let own = &settings.pairs[0].alerts;
    assert_eq!(own.lag_seconds.warning, level(secs(10), secs(8)));
    assert_eq!(own.lag_seconds.critical, level(secs(60), secs(40)));
    assert_eq!(own.lag_seconds.pending_for, secs(7));
    assert_eq!(
        own.lag_bytes.warning,
        level(Bytes::new(67_108_864), Bytes::new(53_687_091))
    );
    assert_eq!(
        (own.link_down.warning, own.link_down.critical),
        (level(secs(10), secs(10)), None)
    );
    assert_eq!(
        settings.alerts.lag_seconds.warning,
        level(secs(30), secs(24))
    );
}

#[test]
fn credentials_come_from_the_nearest_level_key_by_key() {
    let settings = read(
        "
redis: {username: u, password: one}
pairs:
  - name: p
    password: two
    master: {address: 'a:1', username: m}
    replicas: [{address: 'b:1'}, {address: 'c:1', password_file: three}]
",
    )
    .unwrap();
    let inline = |text: &str| Some(SecretSource::Inline(Secret::new(text)));
    let named = |name: &str, password| Credentials {
        username: Some(name.to_owned()),
        password,
    };
    let pair = &settings.pairs[0];
    assert_eq!(pair.master.credentials, named("m", inline("two")));
    assert_eq!(pair.replicas[0].credentials, named("u", inline("two")));
    let file = Some(SecretSource::File(PathBuf::from("/etc/exporter/three")));
    assert_eq!(pair.replicas[1].credentials, named("u", file));
}

#[test]
fn tls_is_merged_key_by_key_and_switched_on_by_a_key_or_the_address() {
    let settings = read(
        "
redis: {tls: {ca_file: ca.crt, cert_file: /c.crt, key_file: /c.key}}
pairs:
  - name: p
    tls: {server_name: redis.example.com, key_file: /new.key}
    master: {address: 'a:1', tls: {insecure_skip_verify: true}}
    replicas: [{address: 'b:1', tls: {enabled: false}}, {address: 'unix:///r@1.sock'}, {address: 'c:1', tls: }]
",
    )
    .unwrap();
    let shared = TlsSettings {
        ca_file: Some("/etc/exporter/ca.crt".into()),
        client_certificate: Some(ClientCertificate {
            cert_file: "/c.crt".into(),
            key_file: "/new.key".into(),
        }),
        server_name: Some("redis.example.com".to_owned()),
        insecure_skip_verify: false,
    };
    let pair = &settings.pairs[0];
    assert_eq!(
        pair.master.tls,
        Some(TlsSettings {
            insecure_skip_verify: true,
            ..shared.clone()
        })
    );
    let replicas: Vec<_> = pair
        .replicas
        .iter()
        .map(|replica| replica.tls.clone())
        .collect();
    assert_eq!(replicas, [None, None, Some(shared)]);
    assert_eq!(
        pair.replicas[1].addr.unix_path(),
        Some(Path::new("/r@1.sock"))
    );
}

#[test]
fn a_rediss_address_turns_tls_on() {
    let yaml = |redis: &str| {
        let pair = "{name: p, master: {address: 'rediss://[::1]:6380'}, replicas: [{address: 'redis://b:1'}]}";
        read(&format!("redis: {{{redis}}}\npairs: [{pair}]"))
            .unwrap()
            .pairs
            .remove(0)
    };
    let pair = yaml("");
    assert_eq!(
        (pair.master.addr.to_string().as_str(), pair.master.tls),
        ("[::1]:6380", Some(TlsSettings::default()))
    );
    assert_eq!(
        (
            pair.replicas[0].addr.to_string().as_str(),
            &pair.replicas[0].tls
        ),
        ("b:1", &None)
    );
    let pair = yaml("tls: {enabled: false, ca_file: /ca.crt}");
    assert_eq!(
        pair.master.tls.unwrap().ca_file,
        Some(PathBuf::from("/ca.crt"))
    );
    assert_eq!(pair.replicas[0].tls, None);
}

#[test]
fn one_mention_of_a_servers_datacenter_applies_to_all() {
    let settings = read(
        "
pairs:
  - {name: p, master: {address: 'a:1'}, replicas: [{address: 'b:1'}]}
  - {name: q, master: {address: 'a:1', dc: dc1}, replicas: [{address: 'c:1'}]}
",
    )
    .unwrap();
    assert_eq!(settings.pairs[0].master.dc, Some(Datacenter::new("dc1")));
    assert_eq!(settings.pairs[0].replicas[0].dc, None);
}

#[test]
fn hosts_fit_patterns() {
    let settings =
        good("datacenters: [{name: d, match: [10.1.0.0/16, '2001:db8::1', '*.DC1.example.com']}]");
    let fits = |host| {
        settings.datacenters[0]
            .patterns
            .iter()
            .any(|pattern| pattern.matches(host))
    };
    for host in [
        "10.1.2.3",
        "2001:db8::1",
        "a.dc1.example.com",
        "A.DC1.EXAMPLE.COM",
    ] {
        assert!(fits(host), "{host}");
    }
    for host in [
        "10.2.0.1",
        "2001:db8::2",
        "dc1.example.com",
        "a.dc1.example.com.evil",
    ] {
        assert!(!fits(host), "{host}");
    }
}

#[test]
fn full_syncs_are_counted_over_a_window() {
    let rule = |text: &str| {
        good(&format!("alerts: {{full_sync: {text}}}"))
            .alerts
            .full_sync
    };
    let CountRule { levels, window } = rule("{}");
    assert_eq!(
        (levels.warning, levels.critical, window),
        (level(1, 1), level(3, 3), secs(600))
    );
    let CountRule { levels, window } = rule("{warning: null, critical: 5, window: 1m, for: 2s}");
    assert_eq!(
        (levels.warning, levels.critical, levels.pending_for, window),
        (None, level(5, 5), secs(2), secs(60))
    );
}

#[test]
fn refresh_on_scrape_is_read() {
    for (value, on) in [
        ("", false),
        ("refresh_on_scrape: false", false),
        ("refresh_on_scrape: true", true),
    ] {
        assert_eq!(
            good(&format!("poll: {{{value}}}")).poll.refresh_on_scrape,
            on,
            "{value}"
        );
    }
}

#[test]
fn empty_sections_and_values_that_are_off_are_accepted() {
    good("poll: {heartbeat: {enabled: false, interval: 1s}}");
    assert_eq!(
        good("notify: {group_by: [alertname, source_dc, target_dc, dc]}"),
        good("")
    );
    good("poll:\nnotify:\nredis:\nalerts:\nstate:\ndatacenters:");
}

#[test]
fn a_pairs_heartbeat_overrides_the_global_one_key_by_key() {
    let heartbeat = |global: &str, own: &str| {
        let pair = PAIR.replace("{name: p,", &format!("{{name: p, heartbeat: {own},"));
        let HeartbeatSettings { enabled, interval } =
            read(&format!("{pair}\npoll: {{heartbeat: {global}}}"))
                .unwrap()
                .pairs[0]
                .heartbeat;
        (enabled, interval)
    };
    assert_eq!(heartbeat("{}", "{}"), (false, secs(1)));
    assert_eq!(heartbeat("{enabled: true}", "{}"), (true, secs(1)));
    assert_eq!(
        heartbeat("{enabled: true, interval: 5s}", "{enabled: false}"),
        (false, secs(5))
    );
    assert_eq!(
        heartbeat("{interval: 5s}", "{enabled: true, interval: 100ms}"),
        (true, Span::from_millis(100))
    );
    let settings = good("poll: {heartbeat: {enabled: true}}");
    assert_eq!(settings.pairs[0].heartbeat, settings.poll.heartbeat);
}

#[test]
fn the_environment_overrides_single_values() {
    let yaml = format!("{PAIR}\nredis: {{password_file: f}}\npoll: {{interval: 3s}}");
    let vars = [
        ("REDIS_CROSS_DC__POLL__INTERVAL", "5s"),
        ("REDIS_CROSS_DC__POLL__MAX_POLLS_PER_SECOND", "77"),
        ("REDIS_CROSS_DC__POLL__TIMEOUT__REMOTE", "9s"),
        ("REDIS_CROSS_DC__POLL__HEARTBEAT__ENABLED", "true"),
        ("REDIS_CROSS_DC__ALERTS__LAG_SECONDS__WARNING", "null"),
        ("REDIS_CROSS_DC__ALERTS__LAG_BYTES__WARNING", "1000"),
        ("REDIS_CROSS_DC__NOTIFY__IDENTITY", "a${b"),
        ("REDIS_CROSS_DC__REDIS__PASSWORD", "new"),
        ("REDIS_CROSS_DC__STATE__PATH", "/var/lib/x"),
        ("REDIS_CROSS_DC__REDIS__TLS__CA_FILE", "/ca.crt"),
        ("REDIS_CROSS_DC__REDIS__TLS__INSECURE_SKIP_VERIFY", "true"),
        ("REDIS_CROSS_DC_OTHER", "no override"),
    ];
    let settings = read_with(&yaml, &vars).unwrap();
    assert_eq!(
        (settings.poll.interval, settings.poll.max_polls_per_second),
        (secs(5), 77)
    );
    assert_eq!(settings.poll.timeout_remote, secs(9));
    assert!(settings.pairs[0].heartbeat.enabled);
    assert_eq!(settings.alerts.lag_seconds.warning, None);
    assert_eq!(
        settings.alerts.lag_bytes.warning,
        level(Bytes::new(1000), Bytes::new(800))
    );
    assert_eq!(settings.notify.identity, "a${b");
    assert_eq!(settings.state.path, PathBuf::from("/var/lib/x"));
    let password = settings.pairs[0]
        .master
        .credentials
        .password
        .as_ref()
        .unwrap();
    assert_eq!(password.read().unwrap().reveal(), "new");
    let tls = settings.pairs[0].master.tls.as_ref().unwrap();
    assert_eq!(
        (tls.ca_file.as_deref(), tls.insecure_skip_verify),
        (Some(Path::new("/ca.crt")), true)
    );
}

#[test]
fn variables_expand_in_every_text_and_may_be_numbers() {
    let yaml = format!(
        "{PAIR}\nnotify: {{identity: '${{A}}-$$'}}\npoll: {{max_polls_per_second: '${{N}}'}}"
    );
    let settings = read_with(&yaml, &[("A", "x"), ("N", "12")]).unwrap();
    assert_eq!(
        (
            settings.notify.identity.as_str(),
            settings.poll.max_polls_per_second
        ),
        ("x-$", 12)
    );
    let yaml =
        r#"pairs: [{name: p, master: {address: "${HOST}:1"}, replicas: [{address: "b:1"}]}]"#;
    assert_eq!(
        read_with(yaml, &[("HOST", "h")]).unwrap().pairs[0]
            .master
            .addr
            .host(),
        Some("h")
    );
    bad_whole(
        yaml,
        "pairs[0].master.address: the environment variable HOST is not set",
    );
    let errors = read_with(yaml, &[("HOST", "hunter2 x")])
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with("pairs[0].master.address: \"${HOST}:1\" is not a server's address"),
        "{errors}"
    );
}

#[test]
fn the_example_file_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yml");
    // As it is: a copy of it starts before anything was changed.
    let loaded = load(&path, &Environment::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let settings = loaded.settings;
    let defaults = good("");
    assert_eq!(settings.alerts, defaults.alerts);
    assert_eq!(settings.poll, defaults.poll);
    assert_eq!(
        (
            settings.pairs.len(),
            settings.sentinels.len(),
            settings.notify.receivers.len()
        ),
        (2, 1, 6)
    );
}

#[test]
fn relative_paths_start_from_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let path = folder.path().join("exporter.YAML");
    std::fs::write(&path, format!("{PAIR}\nredis: {{password_file: secret}}")).unwrap();
    let settings = load(&path, &Environment::default()).unwrap().settings;
    let password = settings.pairs[0]
        .master
        .credentials
        .password
        .as_ref()
        .unwrap();
    assert_eq!(password.read().unwrap().reveal(), "hunter2");
}

#[test]
fn a_global_username_is_used_with_each_pairs_password() {
    let settings = read(
        "
redis: {username: u}
pairs: [{name: p, password: x, master: {address: 'a:1'}, replicas: [{address: 'b:1'}]}]
",
    )
    .unwrap();
    assert_eq!(
        settings.pairs[0].master.credentials.username.as_deref(),
        Some("u")
    );
}

#[test]
fn ten_thousand_pairs_read() {
    let pair = |n: usize| {
        format!(
            "- {{name: p{n}, master: {{address: 'a{n}:1'}}, replicas: [{{address: 'b{n}:1'}}]}}\n"
        )
    };
    let yaml = format!("pairs:\n{}", (0..10_000).map(pair).collect::<String>());
    assert_eq!(read(&yaml).unwrap().pairs.len(), 10_000);
}

#[test]
fn doctor_has_its_interruption_and_its_exceptions() {
    let settings = good("").doctor;
    assert_eq!((settings.survive, settings.ignore.len()), (secs(600), 0));
    assert_eq!(settings.every, None);
    assert_eq!(good("doctor: {every: null}").doctor.every, None);
    assert_eq!(
        good("doctor: {every: 6h}").doctor.every,
        Some(secs(6 * 3600))
    );
    let settings = good(
        "doctor: {survive: 30m, ignore: [{check: B6, pair: 'ord*', reason: x, until: 2027-01-31}, \
         {check: A10, reason: y}]}",
    );
    let [first, second] = &settings.doctor.ignore[..] else {
        panic!("{settings:?}")
    };
    assert_eq!(first.check, crate::model::DoctorCheck::B6);
    assert!(
        first
            .pair
            .as_ref()
            .is_some_and(|glob| glob.matches("orders"))
    );
    assert_eq!(first.until, Some(jiff::civil::date(2027, 1, 31)));
    assert_eq!((second.pair.is_none(), second.until), (true, None));
}

#[test]
fn the_series_of_metrics_are_switched_by_words_and_flags() {
    assert_eq!(good("").metrics, MetricsSettings::default());
    let all = good("metrics: {raw_signals: true, states: all, thresholds: on, diagnostics: true}");
    let expected = MetricsSettings {
        raw_signals: true,
        states: ShownStates::All,
        thresholds: ShownThresholds::On,
        diagnostics: true,
    };
    assert_eq!(all.metrics, expected);
    let off = good("metrics: {thresholds: off, states: current}").metrics;
    assert_eq!(off.thresholds, ShownThresholds::Off);
}
