//! The file in alerts/ is what the program prints; and overrides become rules of their own.

use std::path::Path;

use super::*;
use crate::config::testing::settings_of;
use crate::config::{Environment, LevelThreshold, load};
use crate::model::Span;

/// What the links of the file in alerts/ begin with.
const EXAMPLE_URL: &str = "http://redis-cross-dc-exporter:10121";

/// All groups, as a file of Prometheus.
fn printed(settings: &Settings) -> String {
    let links = Links::new(settings, Some(EXAMPLE_URL));
    rule_file(settings, &links, &Group::ALL, Format::Rules)
}

#[test]
fn the_file_in_alerts_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/alerts/redis-cross-dc-exporter.rules.yml"
    );
    check_file(path, &printed(&settings_of(&[])));
}

#[test]
fn the_rules_of_the_compose_file_are_those_about_the_exporter() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/compose");
    let config = Path::new(folder).join("exporter.yml");
    let loaded = load(&config, &Environment::default());
    let settings = loaded.unwrap_or_else(|errors| panic!("{errors}")).settings;
    let links = Links::new(&settings, None);
    let made = rule_file(&settings, &links, &[Group::Exporter], Format::Rules);
    check_file(&format!("{folder}/exporter.rules.yml"), &made);
}

/// Compares a file with what it has to be; `make docs-update` writes it.
fn check_file(path: &str, made: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        made,
        "run: make docs-update"
    );
}

#[test]
fn every_alert_has_its_runbook() {
    let rules = Group::ALL
        .map(|group| group.rules(&settings_of(&[])))
        .concat();
    let built_in = crate::alert::Rule::ALL
        .into_iter()
        .map(crate::alert::Rule::alert_name);
    for name in rules.iter().map(|rule| rule.name).chain(built_in) {
        let path = format!("{}/docs/runbooks/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        for part in ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
            assert!(text.contains(part), "{path} has no part {part}");
        }
    }
}

#[test]
fn a_pair_with_its_own_thresholds_has_its_own_rules() {
    let mut settings = settings_of(&[("orders", "a:1", &["b:1"]), ("carts", "a:2", &["b:2"])]);
    settings.pairs[0].alerts.lag_seconds.warning = Some(LevelThreshold {
        at: Span::from_secs(7),
        clear_below: Span::from_secs(5),
    });
    let file = printed(&settings);
    assert!(
        file.contains(r#"redis_cross_dc_replication_lag_seconds{pair!~"orders"}) >= 30 "#),
        "{file}"
    );
    assert!(
        file.contains(r#"redis_cross_dc_replication_lag_seconds{pair=~"orders"}) >= 7 "#),
        "{file}"
    );
}

#[test]
fn a_level_that_is_off_has_no_rule() {
    let mut settings = settings_of(&[]);
    settings.alerts.link_down.warning = None;
    settings.alerts.link_down.critical = None;
    assert!(!printed(&settings).contains("RedisCrossDcLinkDown"));
}

/// Lines of the rule `name` that begin with `key`.
fn lines_of<'a>(file: &'a str, name: &str, key: &str) -> Vec<&'a str> {
    let rules = file
        .split("- alert: ")
        .filter(|rule| rule.starts_with(name));
    let lines = rules.flat_map(str::lines).map(str::trim);
    lines.filter(|line| line.starts_with(key)).collect()
}

#[test]
fn r5_isolation_follows_the_levels_of_unreachable() {
    let mut settings = settings_of(&[]);
    settings.alerts.unreachable.warning = None;
    settings.alerts.unreachable.critical = Some(LevelThreshold {
        at: Span::from_secs(7),
        clear_below: Span::from_secs(7),
    });
    let file = printed(&settings);
    assert_eq!(
        lines_of(&file, "RedisCrossDcMonitorIsolated", "for:"),
        ["for: 7s"]
    );
    let explains = lines_of(&file, "RedisCrossDcInhibitor", "explains:");
    assert_eq!(explains, ["explains: critical"; 4]);
}

#[test]
fn r5_links_follow_the_configuration_and_the_flag_wins() {
    let mut settings = settings_of(&[("orders", "a:1", &["b:1"])]);
    let link = |settings: &Settings, flag: Option<&str>, key: &str| {
        let file = rule_file(
            settings,
            &Links::new(settings, flag),
            &Group::ALL,
            Format::Rules,
        );
        let lines = lines_of(&file, "RedisCrossDcLinkDown", key);
        lines.first().copied().unwrap_or_default().to_owned()
    };
    let runbook = "/runbooks/RedisCrossDcLinkDown'";
    assert_eq!(
        link(&settings, None, "runbook_url"),
        format!("runbook_url: 'http://localhost:10121{runbook}")
    );
    settings.listen_address = "127.0.0.1:7777".parse().unwrap();
    assert_eq!(
        link(&settings, None, "runbook_url"),
        format!("runbook_url: 'http://localhost:7777{runbook}")
    );
    settings.notify.external_url = Some("https://dr.example.com/".to_owned());
    settings.notify.dashboard_url =
        Some("https://grafana/d/redis-cross-dc-pair?orgId=1".to_owned());
    assert_eq!(
        link(&settings, None, "runbook_url"),
        format!("runbook_url: 'https://dr.example.com{runbook}")
    );
    assert_eq!(
        link(&settings, Some("http://flag/"), "runbook_url"),
        format!("runbook_url: 'http://flag{runbook}")
    );
    assert!(
        link(&settings, None, "dashboard_url").starts_with(
            "dashboard_url: 'https://grafana/d/redis-cross-dc-pair?orgId=1&var-pair={{"
        )
    );
}

#[test]
fn one_group_is_printed_alone() {
    let settings = settings_of(&[]);
    let links = Links::new(&settings, None);
    let file = rule_file(&settings, &links, &[Group::Exporter], Format::Rules);
    assert!(file.contains("RedisCrossDcExporterDown"));
    assert!(!file.contains("RedisCrossDcLagHigh"));
}

#[test]
fn the_resource_of_the_operator_holds_the_same_groups() {
    let settings = settings_of(&[]);
    let links = Links::new(&settings, None);
    let print = |format| rule_file(&settings, &links, &Group::ALL, format);
    let file = print(Format::Rules);
    let (_, groups) = file.split_once("groups:\n").unwrap();
    let resource = print(Format::PrometheusRule);
    let (head, spec) = resource.split_once("spec:\n  groups:\n").unwrap();
    assert!(head.contains("kind: PrometheusRule"), "{head}");
    let outdented = spec.lines().map(|line| line.strip_prefix("  ").unwrap());
    assert!(outdented.eq(groups.lines()));
}
