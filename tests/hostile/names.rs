//! Names as far as the configuration allows them, and servers' words as far as INFO carries them,
//! in all output of the program: metrics, JSON, the page and messages.

use redis_cross_dc_exporter::model::Span;
use serde_json::{Value, json};

use crate::entries::exposition;
use crate::watched::{MASTER_REPLY, REPLICA_REPLY, Watched, settings};

/// 128 characters each, the most that a name may have.
fn names() -> Vec<String> {
    let seeds = [
        "<script>alert(1)</script>\"&'\\{}",
        "\u{202e}\u{2066}\u{200f}evil",
        "😀注é",
        "<!channel> *_~`|",
        "\\n\\\"},x=\"",
    ];
    let full = |seed: &&str| seed.chars().cycle().take(128).collect();
    seeds.iter().map(full).collect()
}

fn watched(name: &str) -> Watched {
    let dc = |n: u8| format!("{n}{}", name.chars().take(127).collect::<String>());
    let pair = json!({
        "name": name,
        "master": {"address": "m:1", "dc": dc(1)},
        "replicas": [{"address": "r:1", "dc": dc(2)}],
        "labels": {"note": name},
    });
    let alerts = json!({"link_down": {"warning": "1s", "critical": "2s"}});
    let receiver = json!({"name": name, "webhook": {"url": "https://localhost/"}});
    let notify = json!({"identity": name, "group_wait": "0s", "group_interval": "1s", "receivers": [receiver]});
    Watched::begin(&settings(
        &json!({"pairs": [pair], "alerts": alerts, "notify": notify}),
    ))
}

/// The value of `label` in the first series of `metric`, unescaped.
fn label(scrape: &str, metric: &str, label: &str) -> String {
    let line = scrape
        .lines()
        .find(|line| line.starts_with(&format!("{metric}{{")))
        .unwrap();
    let value = line.split_once(&format!("{label}=\"")).unwrap().1;
    let mut text = String::new();
    let mut chars = value.chars();
    loop {
        match chars.next().unwrap() {
            '"' => return text,
            '\\' => match chars.next().unwrap() {
                'n' => text.push('\n'),
                escaped @ ('"' | '\\') => text.push(escaped),
                other => panic!("no such escape: {other:?} in {line}"),
            },
            c => text.push(c),
        }
    }
}

fn link_down(reply: &str) -> String {
    let down = reply.replace(
        "master_link_status:up",
        "master_link_status:down\r\nmaster_link_down_since_seconds:5",
    );
    assert_ne!(down, reply, "the reply had a link that is up");
    down
}

#[tokio::test]
async fn names_arrive_escaped_in_metrics_json_and_page() {
    for name in names() {
        let mut watched = watched(&name);
        watched.rounds(3, MASTER_REPLY, &link_down(REPLICA_REPLY));
        let scrape = watched.get("/metrics").await;
        exposition::check(&scrape);
        assert_eq!(label(&scrape, "redis_cross_dc_pair_info", "pair"), name);
        assert_eq!(label(&scrape, "redis_cross_dc_pair_info", "note"), name);
        let pairs: Value = serde_json::from_str(&watched.get("/api/v1/pairs").await).unwrap();
        assert_eq!(
            (
                &pairs["pairs"][0]["pair"],
                &pairs["pairs"][0]["labels"]["note"]
            ),
            (&json!(name), &json!(name))
        );
        let alerts: Value = serde_json::from_str(&watched.get("/api/v1/alerts").await).unwrap();
        assert_eq!(
            alerts["alerts"][0]["labels"]["pair"],
            json!(name),
            "{alerts}"
        );
        let page = watched.get("/").await;
        assert_eq!(page.matches("<script").count(), 1, "the page's own: {page}");
        assert!(
            page.contains("<script src=\"/script.js\" defer></script>")
                && !page.contains("<!channel"),
            "{page}"
        );
        assert!(
            !page.contains(|c: char| c.is_control() && c != '\n'),
            "{page}"
        );
    }
}

#[test]
fn names_arrive_escaped_and_bounded_in_messages() {
    for name in names() {
        let mut watched = watched(&name);
        watched.rounds(4, MASTER_REPLY, &link_down(REPLICA_REPLY));
        watched.pass(Span::from_secs(2));
        assert!(!watched.notifications.is_empty(), "an alert was announced");
        for notification in &watched.notifications {
            let [rich, plain, webhook, event] = watched.bodies(notification);
            for slack in [&rich, &plain] {
                let text = slack.to_string();
                assert!(
                    !text.contains("<script") && !text.contains("<!channel"),
                    "{text}"
                );
            }
            assert_eq!(webhook["alerts"][0]["labels"]["pair"], json!(name));
            assert!(event["dedup_key"].as_str().unwrap().len() <= 255);
            assert!(
                event["payload"]["summary"]
                    .as_str()
                    .unwrap()
                    .chars()
                    .count()
                    <= 1024
            );
            for body in [&rich, &plain, &webhook, &event] {
                visible(body);
                assert!(body.to_string().len() < 50_000);
            }
        }
    }
}

/// No text of `body` holds a control character other than a line's end.
fn visible(body: &Value) {
    match body {
        Value::String(text) => assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        ),
        Value::Array(items) => items.iter().for_each(visible),
        Value::Object(members) => members.values().for_each(visible),
        _ => {}
    }
}

/// The reply, with these words in every place that holds a server's own.
fn worded(reply: &str, word: &str) -> String {
    let version = format!("redis_version:{word}\r\n");
    let (before, after) = reply.split_once("redis_version:").unwrap();
    let after = after.split_once("\r\n").unwrap().1;
    let reply =
        format!("{before}{version}{after}").replace("master_host:", &format!("master_host:{word}"));
    format!(
        "{reply}slave7:ip={word},port=1,state={word},offset=1,lag=0\r\nrun_id:{word}\r\nrole_of:{word}\r\n"
    )
}

#[tokio::test]
async fn a_servers_words_are_escaped_where_they_are_visible_and_dropped_where_they_are_not() {
    let shown = "\"<script>alert('x')</script>&\\n{}";
    let dropped = [
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "\u{202e}x",
        "a b",
        &"x".repeat(10_240),
        "\u{9b}31m",
    ];
    for (word, version) in [(shown, shown)]
        .into_iter()
        .chain(dropped.map(|word| (word, "unknown")))
    {
        let mut watched = watched("orders");
        watched.rounds(3, &worded(MASTER_REPLY, word), &worded(REPLICA_REPLY, word));
        let scrape = watched.get("/metrics").await;
        exposition::check(&scrape);
        assert_eq!(
            label(&scrape, "redis_cross_dc_server_info", "version"),
            version
        );
        let all = [
            scrape,
            watched.get("/").await,
            watched.get("/api/v1/pairs").await,
            watched.get("/api/v1/alerts").await,
        ];
        for text in &all {
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'),
                "{text}"
            );
            assert!(!text.contains(&"x".repeat(300)), "10 KB are shown");
        }
        assert_eq!(
            all[1].matches("<script").count(),
            1,
            "the page's own: {}",
            all[1]
        );
        let json: Value = serde_json::from_str(&all[2]).unwrap();
        let known = json["servers"][0]["version"].as_str();
        assert_eq!(known, (version != "unknown").then_some(version));
    }
}
