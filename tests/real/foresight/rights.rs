//! The rights for output buffers: those that docs/configuration.md names, and what is shown without
//! them.

use redis_cross_dc_exporter::lab::eventually;

use crate::exporter::Exporter;
use crate::planted;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

const USER: &str = "monitor";

/// What the API says of the output buffer of a pair whose exporter logs in with these rights.
async fn reason_with(rules: &[&str], expected: &str) -> (Stage, Exporter) {
    let stage = Stage::set().await;
    for server in [&stage.master, &stage.replica] {
        let password = format!(">{}", planted::REDIS);
        let mut words = vec!["ACL", "SETUSER", USER, "on", &password, "-@all", "+info"];
        words.extend(rules);
        server.command(&words).await.unwrap();
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    let yaml = format!(
        "redis: {{username: {USER}, password: {}}}\npoll: {{output_buffers: true}}\npairs:\n  - {}\n",
        planted::REDIS,
        stage.entry("orders"),
    );
    let exporter = Exporter::start(&yaml).await;
    let shown = || async {
        let buffer = exporter.pair("orders").await.forecast.output_buffer;
        let is_expected = buffer
            .reason
            .as_deref()
            .unwrap_or_default()
            .contains(expected);
        if is_expected {
            Ok(())
        } else {
            Err(format!("{buffer:?}"))
        }
    };
    eventually(&format!("the reason {expected:?}"), LIMIT, shown)
        .await
        .unwrap();
    (stage, exporter)
}

#[tokio::test]
async fn the_documented_rights_suffice() {
    let rules = ["+client|setname", "+client|list", "+config|get"];
    let (stage, exporter) = reason_with(&rules, "does not grow").await;
    let scrape = Scrape::of(&exporter).await;
    let pair = [("pair", "orders")];
    assert!(
        scrape
            .value("redis_cross_dc_output_buffer_bytes", &pair)
            .is_some()
    );
    let hard = [("pair", "orders"), ("limit", "hard")];
    let limit = scrape.value("redis_cross_dc_output_buffer_limit_bytes", &hard);
    assert_eq!(limit, Some(f64::from(256 << 20)));
    let log = stage.master.command(&["ACL", "LOG"]).await.unwrap();
    assert!(!format!("{log:?}").contains(USER), "{log:?}");
}

#[tokio::test]
async fn without_a_right_the_reason_names_the_commands_and_nothing_is_shown() {
    let (_stage, exporter) = reason_with(&["+client|setname"], "does not let the exporter").await;
    let scrape = Scrape::of(&exporter).await;
    let pair = [("pair", "orders")];
    assert_eq!(
        scrape.value("redis_cross_dc_output_buffer_bytes", &pair),
        None
    );
    let report = exporter.pair("orders").await;
    assert!(report.lag_seconds.is_some(), "the rest is not affected");
    assert!(
        exporter.log().contains("poll.output_buffers"),
        "{}",
        exporter.log()
    );
}
