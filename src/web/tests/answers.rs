//! What each path answers, and in which form.

use std::sync::Arc;

use crate::model::Timestamp;
use crate::report::testing::{Scene, fleet_named};
use crate::report::{AlertsReport, DeliveriesReport, PairsReport};
use crate::web::Limits;
use crate::web::testing::{Gate, METRICS_TEXT, Running, small_limits};

#[tokio::test]
async fn every_path_answers_in_its_form() {
    let server = Running::start(small_limits()).await;
    let cases = [
        (
            "/",
            "text/html; charset=utf-8",
            "Pairs, worst first</caption>",
        ),
        (
            "/?q=%FF&q=2&page=x",
            "text/html; charset=utf-8",
            "Pairs, worst first</caption>",
        ),
        (
            "/pairs/orders",
            "text/html; charset=utf-8",
            "<h2 id=\"past-title\">The last ",
        ),
        (
            "/pairs/orders?replica=r.example.com:6379&range=2h",
            "text/html; charset=utf-8",
            "aria-current=\"true\">2 hours</a>",
        ),
        ("/style.css", "text/css; charset=utf-8", "color-scheme"),
        (
            "/script.js",
            "text/javascript; charset=utf-8",
            "EventSource",
        ),
        ("/icon.svg", "image/svg+xml", "<svg "),
        (
            "/api/v1/pairs/orders/history",
            "application/json",
            "\"step_seconds\":5.0",
        ),
        (
            "/api/v1/openapi.json",
            "application/json",
            "\"openapi\": \"3.1.0\"",
        ),
        (
            "/metrics",
            "text/plain; version=0.0.4; charset=utf-8",
            METRICS_TEXT,
        ),
        ("/-/healthy", "text/plain; charset=utf-8", "healthy\n"),
        ("/-/ready", "text/plain; charset=utf-8", "ready\n"),
        (
            "/api/v1/pairs",
            "application/json",
            "\"state\":\"streaming\"",
        ),
        ("/api/v1/alerts", "application/json", "\"alerts\":[]"),
    ];
    for (path, kind, part) in cases {
        let reply = server.get(path).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, kind),
            "{path}"
        );
        assert!(reply.text().contains(part), "{path}: {}", reply.text());
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert!(
            reply
                .header("content-security-policy")
                .starts_with("default-src 'none'; style-src 'self'"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let server = Running::start(small_limits()).await;
    for path in ["/", "/metrics", "/-/ready", "/api/v1/pairs"] {
        let (get, head) = (server.get(path).await, server.ask("HEAD", path, "").await);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert_eq!(
            get.header("content-length"),
            get.body.len().to_string(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn metrics_are_compressed_for_clients_that_accept_it() {
    let server = Running::start(small_limits()).await;
    let plain = server.get("/metrics").await;
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        ("", "accept-encoding")
    );
    let packed = server
        .ask("GET", "/metrics", "accept-encoding: gzip\r\n")
        .await;
    assert_eq!(
        (packed.header("content-encoding"), packed.header("vary")),
        ("gzip", "accept-encoding")
    );
    assert!(packed.body.len() < plain.body.len() / 10);
    assert_eq!(packed.gunzip(), plain.text());
    let small = server
        .ask("GET", "/-/healthy", "accept-encoding: gzip\r\n")
        .await;
    assert_eq!(small.text(), "healthy\n", "not worth compressing");
}

#[tokio::test]
async fn unknown_paths_and_methods_get_a_sentence_in_their_readers_form() {
    let server = Running::start(small_limits()).await;
    let cases = [
        ("GET", "/nowhere", 404, "", "no such path"),
        ("GET", "/api/v1/nowhere", 404, "", "no such path"),
        ("GET", "/metrics/", 404, "", "no such path"),
        (
            "POST",
            "/metrics",
            405,
            "GET,HEAD",
            "this path can only be read",
        ),
        (
            "DELETE",
            "/api/v1/pairs",
            405,
            "GET,HEAD",
            "this path can only be read",
        ),
        ("GET", "/pairs/nobody", 404, "", "there is no such pair"),
        (
            "GET",
            "/pairs/orders?replica=nobody:1",
            404,
            "",
            "there is no such pair",
        ),
        (
            "GET",
            "/api/v1/pairs/nobody/history",
            404,
            "",
            "there is no such pair",
        ),
        (
            "GET",
            "/api/v1/pairs/orders/history?since=x",
            400,
            "",
            "since is a Unix time",
        ),
        (
            "GET",
            "/api/v1/pairs/orders/history?since=1m&since=2m",
            400,
            "",
            "the path is not UTF-8 text, or the query has a parameter twice",
        ),
        ("GET", "/-/reload", 405, "POST", "this path takes POST only"),
        ("POST", "/-/reload", 403, "", "not enabled: configure "),
        (
            "GET",
            "/api/v1/deliveries/msg_1/replay",
            405,
            "POST",
            "this path takes POST only",
        ),
        (
            "POST",
            "/api/v1/deliveries/msg_1/replay",
            403,
            "",
            "not enabled: configure ",
        ),
        (
            "POST",
            "/api/v1/silences",
            403,
            "",
            "not enabled: configure ",
        ),
        (
            "DELETE",
            "/api/v1/silences/0123456789abcdef",
            403,
            "",
            "not enabled: configure ",
        ),
        (
            "DELETE",
            "/api/v1/silences",
            405,
            "GET,HEAD,POST",
            "this path takes GET, HEAD and POST only",
        ),
        (
            "GET",
            "/api/v1/silences/0123456789abcdef",
            405,
            "DELETE",
            "this path takes DELETE only",
        ),
    ];
    for (method, path, status, allow, sentence) in cases {
        let reply = server.ask(method, path, "content-length: 0\r\n").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (status, allow),
            "{method} {path}"
        );
        let said = if path.starts_with("/api/") {
            reply.json()["error"].clone()
        } else {
            reply.text().into()
        };
        assert!(
            said.as_str().unwrap().starts_with(sentence),
            "{method} {path}: {said}"
        );
        assert_eq!(
            reply.header("x-content-type-options"),
            "nosniff",
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn ready_names_what_is_missing() {
    let server = Running::start(small_limits()).await;
    server.show(Scene::NothingYet);
    let reply = server.get("/-/ready").await;
    let sentence = "not ready: 2 of 2 servers have not been polled yet: m.example.com:6379, r.example.com:6379\n";
    assert_eq!((reply.status, reply.text()), (503, sentence));
    server.show(Scene::MasterLost);
    assert_eq!(
        server.get("/-/ready").await.status,
        200,
        "a server that was asked and is silent is no reason"
    );
}

#[tokio::test]
async fn a_core_that_does_nothing_is_not_healthy_until_it_goes_on() {
    let server = Running::start(small_limits()).await;
    for _ in 0..15 {
        server.pulse.pass_second();
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
    for _ in 0..30 {
        server.pulse.pass_second();
    }
    let reply = server.get("/-/healthy").await;
    assert_eq!(reply.status, 503);
    let text = reply.text();
    assert!(
        text.starts_with("not healthy: the core has done nothing for "),
        "{text}"
    );
    assert_eq!(
        server.get("/-/ready").await.status,
        200,
        "the snapshot is of now"
    );
    server.pulse.beat();
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn a_stuck_monitor_is_not_ready_and_its_page_is_marked_stale() {
    let server = Running::with_clock(small_limits(), Gate::default().encoder(), || {
        Timestamp::from_nanos(1_000_000_000_000)
    });
    let server = server.await;
    let reply = server.get("/-/ready").await;
    assert_eq!(reply.status, 503);
    assert!(
        reply
            .text()
            .starts_with("not ready: the monitor has published nothing for 14m"),
        "{}",
        reply.text()
    );
    assert!(
        server
            .get("/")
            .await
            .text()
            .contains("This page is stale: the monitor inside the exporter has stopped since ")
    );
    let pairs: PairsReport =
        serde_json::from_slice(&server.get("/api/v1/pairs").await.body).unwrap();
    assert!(
        !pairs.pairs[0].link_up,
        "no pair streams on the word of an old snapshot"
    );
}

#[tokio::test]
async fn json_reads_back_as_reports_also_with_hostile_names() {
    let server = Running::start(small_limits()).await;
    let name = "\"},{\u{0}</script>\u{202e}\\ä";
    let (fleet, now) = fleet_named(name, Scene::MasterLost);
    server.snapshots.send_replace(Arc::new(fleet.clone()));
    let pairs: PairsReport =
        serde_json::from_slice(&server.get("/api/v1/pairs").await.body).unwrap();
    assert_eq!(pairs, PairsReport::new(&fleet, now));
    assert_eq!(
        (
            pairs.pairs[0].pair.as_str(),
            pairs.pairs[0].labels["note"].as_str()
        ),
        (name, name)
    );
    let alerts: AlertsReport =
        serde_json::from_slice(&server.get("/api/v1/alerts").await.body).unwrap();
    assert_eq!(alerts, AlertsReport::new(&fleet, now));
    let deliveries: DeliveriesReport =
        serde_json::from_slice(&server.get("/api/v1/deliveries").await.body).unwrap();
    assert_eq!(deliveries, DeliveriesReport::new(&fleet, now));
}

#[tokio::test]
async fn an_encoder_that_fails_or_panics_costs_one_answer_and_shows_no_secret() {
    let failing = Running::with(
        small_limits(),
        Arc::new(|_, _| Err("password hunter2".into())),
    )
    .await;
    let panicking =
        Running::with(small_limits(), Arc::new(|_, _| panic!("password hunter2"))).await;
    for server in [failing, panicking] {
        let reply = server.get("/metrics").await;
        assert_eq!(reply.status, 500);
        assert_eq!(
            reply.text(),
            "this answer could not be made; the exporter's log says why\n"
        );
        assert_eq!(server.get("/").await.status, 200, "the server goes on");
    }
}

#[tokio::test]
async fn scrapes_poll_first_and_other_requests_do_not() {
    let server = Running::start(Limits::default()).await;
    let count = || server.refreshes.load(std::sync::atomic::Ordering::SeqCst);
    for path in [
        "/",
        "/style.css",
        "/-/healthy",
        "/-/ready",
        "/api/v1/alerts",
        "/nowhere",
    ] {
        server.get(path).await;
    }
    assert_eq!(count(), 0);
    for (scrapes, path) in ["/metrics", "/api/v1/pairs"].into_iter().enumerate() {
        server.get(path).await;
        assert_eq!(count(), scrapes + 1, "{path}");
    }
}
