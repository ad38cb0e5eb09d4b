use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use super::testing::{Reply, TestServer};
use super::*;

const QUICK: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    total: Duration::from_millis(300),
};

fn receivers() -> HttpClient {
    // Long enough for a busy machine; the tests of timeouts use QUICK.
    let timeouts = HttpTimeouts {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(10),
    };
    HttpClient::for_receivers(timeouts).unwrap()
}

#[tokio::test]
async fn a_post_carries_the_body_the_headers_and_our_name() {
    let server = TestServer::replying(vec![Reply::body(200, "ok")]).await;
    let headers = [("webhook-id".to_owned(), "msg_1".to_owned())];
    let response = receivers()
        .post_json(&server.url, &headers, b"{\"a\":1}".to_vec())
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.body.as_str(), response.complete),
        (200, "ok", true)
    );
    let request = server.requests().remove(0);
    assert_eq!(request.line, "POST /services/hunter2 HTTP/1.1");
    assert_eq!(request.json(), serde_json::json!({"a": 1}));
    let header = |name: &str| request.headers[name].clone();
    assert_eq!(header("webhook-id"), "msg_1");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), USER_AGENT);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let elsewhere = TestServer::replying(vec![Reply::status(200)]).await;
    let server = TestServer::replying(vec![Reply::header(
        302,
        &format!("Location: {}", elsewhere.url),
    )])
    .await;
    let response = receivers()
        .post_json(&server.url, &[], Vec::new())
        .await
        .unwrap();
    assert_eq!(response.status, 302);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn retry_after_and_date_are_returned() {
    let headers = "Retry-After: 17\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let server =
        TestServer::replying(vec![Reply::Full(429, headers.to_owned(), String::new())]).await;
    let response = receivers()
        .post_json(&server.url, &[], Vec::new())
        .await
        .unwrap();
    assert_eq!(response.retry_after.as_deref(), Some("17"));
    assert_eq!(
        response.date.as_deref(),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    for (size, complete) in [(MAX_RECEIVER_BODY, true), (MAX_RECEIVER_BODY + 1, false)] {
        let server = TestServer::replying(vec![Reply::body(200, &"x".repeat(size))]).await;
        let response = receivers()
            .post_json(&server.url, &[], Vec::new())
            .await
            .unwrap();
        assert_eq!(
            (response.body.len(), response.complete),
            (MAX_RECEIVER_BODY, complete)
        );
    }
}

#[tokio::test]
async fn a_silent_or_dripping_server_ends_at_the_timeout() {
    let client = HttpClient::for_receivers(QUICK).unwrap();
    for reply in [Reply::Never, Reply::Drip] {
        let server = TestServer::replying(vec![reply]).await;
        let began = Instant::now();
        let error = client
            .post_json(&server.url, &[], Vec::new())
            .await
            .unwrap_err();
        assert_eq!(error, HttpError::Timeout);
        assert!(began.elapsed() >= QUICK.total);
    }
}

#[tokio::test]
async fn a_status_is_returned_although_its_body_never_ends() {
    let client = HttpClient::for_receivers(QUICK).unwrap();
    let server = TestServer::replying(vec![Reply::DripBody]).await;
    let response = client
        .post_json(&server.url, &[], Vec::new())
        .await
        .unwrap();
    assert_eq!((response.status, response.complete), (200, false));
    assert!(!response.body.is_empty() && response.body.len() < 60_000);
    assert_eq!(
        client.get_json::<String>(&server.url).await,
        Err(GetError::Incomplete)
    );
}

/// The proxy is set in the environment of a process, so the test below runs in a separate one.
#[tokio::test]
async fn only_requests_to_receivers_use_the_proxy_of_the_environment() {
    let proxy = TestServer::replying(vec![Reply::body(200, "from the proxy")]).await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "http_client::tests::behind_a_proxy", "--ignored"])
        .env("HTTP_PROXY", &proxy.url)
        .env("http_proxy", &proxy.url)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .await
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    let lines: Vec<_> = proxy
        .requests()
        .into_iter()
        .map(|request| request.line)
        .collect();
    assert_eq!(lines, ["POST http://receiver.invalid/path HTTP/1.1"]);
}

#[tokio::test]
#[ignore = "run by the test above, in a process behind a proxy"]
async fn behind_a_proxy() {
    let url = "http://receiver.invalid/path";
    assert_eq!(
        receivers()
            .post_json(url, &[], Vec::new())
            .await
            .unwrap()
            .body,
        "from the proxy"
    );
    let exporter = HttpClient::for_exporter(HttpTimeouts {
        total: Duration::from_secs(10),
        ..QUICK
    })
    .unwrap();
    assert_eq!(
        exporter.get(url).await,
        Err(HttpError::Connect("the host's name cannot be resolved"))
    );
}

#[tokio::test]
async fn failure_reasons_contain_nothing_of_the_url() {
    let closing = TestServer::replying(vec![Reply::Close]).await;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let cases = [
        (closing.url.clone(), HttpError::Broken),
        (
            format!("http://127.0.0.1:{port}/hunter2"),
            HttpError::Connect("the server refused it"),
        ),
        (
            "http://hunter2.invalid/".to_owned(),
            HttpError::Connect("the host's name cannot be resolved"),
        ),
        ("not a url hunter2".to_owned(), HttpError::Invalid),
    ];
    for (url, expected) in cases {
        // No proxy: where this test runs behind one, the proxy would answer for names that do not
        // exist.
        let client = HttpClient::for_exporter(HttpTimeouts {
            total: Duration::from_secs(10),
            ..QUICK
        })
        .unwrap();
        let error = client.post_json(&url, &[], Vec::new()).await.unwrap_err();
        assert_eq!(error, expected);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    let bad_header = [("x".to_owned(), "hunter2\n".to_owned())];
    let error = receivers()
        .post_json(&closing.url, &bad_header, Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error, HttpError::Invalid);
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_with_its_reason() {
    let port = self_signed_server();
    let error = receivers()
        .post_json(&format!("https://127.0.0.1:{port}/"), &[], Vec::new())
        .await
        .unwrap_err();
    let reason = "the server's certificate is not signed by an authority that this system trusts";
    assert_eq!(error, HttpError::Tls(reason));
}

#[tokio::test]
async fn json_of_a_running_exporter_is_parsed_or_the_failure_named() {
    let client = HttpClient::for_exporter(HttpTimeouts {
        total: Duration::from_secs(10),
        ..QUICK
    })
    .unwrap();
    let replies = vec![
        Reply::body(200, "[1,2]"),
        Reply::body(503, "[]"),
        Reply::body(200, "<html>"),
    ];
    let server = TestServer::replying(replies).await;
    assert_eq!(
        client.get_json::<Vec<u8>>(&server.url).await,
        Ok(vec![1, 2])
    );
    assert_eq!(
        client.get_json::<Vec<u8>>(&server.url).await,
        Err(GetError::Status(503))
    );
    assert!(matches!(
        client.get_json::<Vec<u8>>(&server.url).await,
        Err(GetError::Json(_))
    ));
}

/// A TLS server with a self-signed certificate. Serves one connection on a separate thread.
fn self_signed_server() -> u16 {
    let cert = include_bytes!("testdata/localhost.cert.der")
        .to_vec()
        .into();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(
        include_bytes!("testdata/localhost.key.der").to_vec(),
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        // The client aborts the handshake; the test checks that on its side.
        let _ = stream
            .read(&mut [0; 1024])
            .and_then(|_| stream.write(b"HTTP/1.1 200 x\r\n\r\n"));
    });
    port
}
