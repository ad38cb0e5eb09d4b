//! The file in alerts/ is what the program prints; and overrides become rules of their own.

use super::*;
use crate::config::LevelThreshold;
use crate::config::tests_support::settings_of;
use crate::model::Span;

/// What the links of the file in alerts/ begin with.
const EXAMPLE_URL: &str = "http://redis-cross-dc-exporter:10121";

#[test]
fn the_file_in_alerts_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/alerts/redis-cross-dc-exporter.rules.yml"
    );
    let made = rule_file(&settings_of(&[]), EXAMPLE_URL);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        made,
        "run: make docs-update"
    );
}

#[test]
fn every_alert_has_its_runbook() {
    let rules = [
        pairs::rules(&settings_of(&[])),
        servers::rules(&settings_of(&[])),
        exporter::rules(),
    ]
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
    let file = rule_file(&settings, EXAMPLE_URL);
    assert!(
        file.contains(r#"redis_cross_dc_replication_lag_seconds{pair!~"orders"}) >= 30'"#),
        "{file}"
    );
    assert!(
        file.contains(r#"redis_cross_dc_replication_lag_seconds{pair=~"orders"}) >= 7'"#),
        "{file}"
    );
}

#[test]
fn a_level_that_is_off_has_no_rule() {
    let mut settings = settings_of(&[]);
    settings.alerts.link_down.warning = None;
    settings.alerts.link_down.critical = None;
    assert!(!rule_file(&settings, EXAMPLE_URL).contains("RedisCrossDcLinkDown"));
}
