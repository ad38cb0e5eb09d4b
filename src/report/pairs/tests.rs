//! The pairs of each scene in a report.

use serde_json::Value;

use super::*;
use crate::report::testing::{Scene, fleet};

fn json(scene: Scene) -> Value {
    let (fleet, now) = fleet(scene);
    serde_json::to_value(PairsReport::new(&fleet, now)).unwrap()
}

#[test]
fn a_healthy_pair_is_reported_with_its_lag() {
    let json = json(Scene::Streaming);
    let pair = &json["pairs"][0];
    assert_eq!(
        (&pair["state"], &pair["reason"]),
        (&"streaming".into(), &"the link is up".into())
    );
    assert_eq!(
        (&pair["lag_seconds"], &pair["lag_bytes"]),
        (&0.0.into(), &0.into())
    );
    assert!(pair["lag_upper_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        pair["thresholds"]["lag_seconds"],
        serde_json::json!({"warning": 30.0, "critical": 120.0})
    );
    assert_eq!(
        pair["thresholds"]["lag_bytes"],
        serde_json::json!({"warning": null, "critical": null})
    );
    assert_eq!(json["servers"][0]["up"], true);
}

#[test]
fn what_is_not_known_is_null_and_never_a_number() {
    let json = json(Scene::NothingYet);
    let pair = json["pairs"][0].as_object().unwrap();
    let unknown = [
        "lag_seconds",
        "lag_lower_seconds",
        "lag_upper_seconds",
        "lag_max_seconds",
        "lag_bytes",
        "lag_lower_bytes",
        "lag_upper_bytes",
        "sample_timestamp",
        "last_known",
        "link_down_seconds",
        "last_io_seconds",
        "ack_age_seconds",
        "ack_lag_bytes",
        "unapplied_bytes",
        "diverged_bytes",
        "diverged_master_bytes",
        "diverged_replica_bytes",
        "backlog_headroom_bytes",
        "applied_bytes_total",
    ];
    for key in unknown {
        assert_eq!(
            pair.get(key),
            Some(&Value::Null),
            "{key} is there, and is null"
        );
    }
    assert_eq!(pair["reason"], "the first polls are under way");
    assert_eq!(
        json["servers"][0]["up"],
        Value::Null,
        "a server that was not asked is neither up nor down"
    );
}

#[test]
fn a_lost_master_leaves_a_lower_bound_and_the_last_certified_statement() {
    let json = json(Scene::MasterLost);
    let pair = &json["pairs"][0];
    assert_eq!(pair["state"], "master_unreachable");
    assert_eq!(
        (&pair["lag_seconds"], &pair["lag_upper_seconds"]),
        (&Value::Null, &Value::Null)
    );
    assert!(pair["lag_lower_seconds"].is_f64() && pair["last_known"]["lag_upper_seconds"].is_f64());
    assert_eq!(
        pair["ack_lag_bytes"],
        Value::Null,
        "what only the master reports is not known while it is silent"
    );
    let alerts = pair["alerts"].as_array().unwrap();
    assert!(
        alerts
            .iter()
            .any(|a| a["alertname"] == "RedisCrossDcServerUnreachable" && a["state"] == "firing")
    );
    let master = json["servers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["up"] == false)
        .unwrap();
    assert_eq!(
        (&master["server"], &master["last_error"]),
        (&"m.example.com:6379".into(), &"timeout".into())
    );
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    for scene in Scene::ALL {
        let (fleet, now) = fleet(scene);
        let report = PairsReport::new(&fleet, now);
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(serde_json::from_str::<PairsReport>(&text).unwrap(), report);
    }
}

#[test]
fn a_state_of_a_later_version_reads_as_unknown() {
    let mut json = json(Scene::Streaming);
    json["pairs"][0]["state"] = "time_travelling".into();
    let report: PairsReport = serde_json::from_value(json).unwrap();
    assert_eq!(report.pairs[0].state, PairState::Unknown);
}
