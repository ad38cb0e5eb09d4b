//! What a client may take of the server, and what happens beyond that.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::web::testing::{Gate, METRICS_TEXT, PATIENCE, Reply, Running, read_all, small_limits};
use crate::web::{Drained, Limits, MetricsEncoder, Server};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Running::start(small_limits()).await;
    let head = server
        .ask("GET", "/", &format!("x: {}\r\n", "y".repeat(40_000)))
        .await;
    assert_eq!(head.status, 431);
    let uri = server.get(&format!("/api/{}", "u".repeat(9_000))).await;
    assert_eq!(
        (uri.status, uri.json()["error"].as_str()),
        (414, Some("the path and query are too long"))
    );
    for path in ["/-/reload", "/metrics"] {
        let body = server.ask("POST", path, "content-length: 65537\r\n").await;
        assert_eq!(
            (body.status, body.header("connection")),
            (413, "close"),
            "{path}"
        );
        assert!(
            body.text().starts_with("the body is too large"),
            "{}",
            body.text()
        );
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let server = Running::start(small_limits()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let endless = async { while stream.write_all(&chunk).await.is_ok() {} };
    timeout(PATIENCE, endless)
        .await
        .expect("the server closes the connection");
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn a_head_that_does_not_end_and_an_idle_connection_are_closed_in_time() {
    let server = Running::start(Limits {
        head: SHORT,
        ..small_limits()
    })
    .await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nx-slow").await.unwrap();
    let mut silent = server.connect().await;
    let mut idle = server.idle_connection().await;
    for stream in [&mut slow, &mut silent, &mut idle] {
        let rest = read_all(stream).await;
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_blocks_nobody() {
    const BODY: usize = 64 << 20; // more than both sockets' buffers can ever hold
    let limits = Limits {
        connections: 1,
        response: SHORT,
        ..small_limits()
    };
    let server = Running::with(limits, Arc::new(|_, _| Ok(vec![b'x'; BODY]))).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    slow.readable().await.unwrap();
    server.wait_for("/-/healthy", 200).await;
    assert!(read_all(&mut slow).await.len() < BODY, "it was cut");
}

#[tokio::test]
async fn the_kernel_keeps_little_for_a_client_that_does_not_read() {
    const BODY: usize = 64 << 20;
    const SMALL: u32 = 16 * 1024; // by default it is some megabytes
    let limits = Limits {
        response: SHORT,
        send_buffer: SMALL,
        ..small_limits()
    };
    let server = Running::with(limits, Arc::new(|_, _| Ok(vec![b'x'; BODY]))).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL).unwrap();
    let mut slow = socket.connect(server.addr).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        server.stop().await.unwrap(),
        Drained { cut: 0 },
        "its connection ended by itself"
    );
    let kept = read_all(&mut slow).await.len();
    assert!(kept < 400_000, "{kept} bytes");
}

#[tokio::test]
async fn stuck_clients_do_not_keep_others_from_their_metrics() {
    let server = Running::with(small_limits(), Arc::new(|_, _| Ok(METRICS_TEXT.into()))).await;
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nx-")
            .await
            .unwrap();
        stuck.push(stream);
    }
    assert_eq!(server.get("/metrics").await.text(), METRICS_TEXT);
}

#[tokio::test]
async fn over_the_limit_a_client_gets_a_503_while_all_others_are_being_answered() {
    let gate = Gate::default();
    let server = Running::with(
        Limits {
            connections: 2,
            ..small_limits()
        },
        gate.encoder(),
    )
    .await;
    let mut answered = [server.connect().await, server.connect().await];
    for stream in &mut answered {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
    }
    let refused = server.wait_for("/-/healthy", 503).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(
        refused.text(),
        "too many connections are open; try again later"
    );
    gate.open();
    for stream in &mut answered {
        assert_eq!(Reply::parse(&read_all(stream).await).text(), METRICS_TEXT);
    }
    server.wait_for("/metrics", 200).await;
}

#[tokio::test]
async fn beyond_the_refusals_a_connection_is_closed_without_a_word() {
    let gate = Gate::default();
    let limits = Limits {
        connections: 1,
        refusals: 1,
        refusal: PATIENCE,
        ..small_limits()
    };
    let server = Running::with(limits, gate.encoder()).await;
    let mut answered = server.connect().await;
    answered
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    gate.entered().await;
    let (mut refused, mut closed) = (server.connect().await, server.connect().await);
    assert!(read_all(&mut closed).await.is_empty());
    assert_eq!(Reply::parse(&read_all(&mut refused).await).status, 503);
    gate.open();
    assert_eq!(Reply::parse(&read_all(&mut answered).await).status, 200);
}

#[tokio::test]
async fn over_the_limit_the_connection_that_is_idle_for_longest_is_evicted() {
    let server = Running::start(Limits {
        connections: 2,
        ..small_limits()
    })
    .await;
    let mut oldest = server.idle_connection().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nx-slow").await.unwrap();
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert!(read_all(&mut oldest).await.is_empty());
    let _idle = server.idle_connection().await;
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert!(read_all(&mut slow).await.is_empty());
}

#[tokio::test]
async fn a_waiting_request_shares_a_rendering_that_has_not_begun() {
    let (gate, count) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (encode, counted) = (gate.encoder(), Arc::clone(&count));
    let encode: MetricsEncoder = Arc::new(move |fleet, now| {
        counted.fetch_add(1, Ordering::SeqCst);
        encode(fleet, now)
    });
    let server = Running::with(
        Limits {
            renderers: 1,
            ..small_limits()
        },
        encode,
    )
    .await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    gate.entered().await;
    let mut others = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        others.push(stream);
    }
    // An answer to a later connection shows that those before it were accepted, and read in their
    // turn.
    assert_eq!(server.get("/-/healthy").await.status, 200);
    gate.open();
    for stream in std::iter::once(&mut first).chain(&mut others) {
        assert_eq!(Reply::parse(&read_all(stream).await).text(), METRICS_TEXT);
    }
    let renderings = count.load(Ordering::SeqCst);
    assert!((2..100).contains(&renderings), "{renderings} renderings");
}

#[tokio::test]
async fn clients_that_do_not_read_share_a_bounded_memory_and_lose_it_to_one_that_does() {
    const BODY: usize = 16 << 20; // more than both sockets' buffers can ever hold
    let limits = Limits {
        answer_bytes: 3 * BODY,
        patience: SHORT,
        ..small_limits()
    };
    let server = Running::with(limits, Arc::new(|_, _| Ok(vec![b'x'; BODY]))).await;
    let mut stuck = Vec::new();
    for _ in 0..12 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        timeout(PATIENCE, stream.readable())
            .await
            .expect("an answer begins")
            .unwrap();
        stuck.push(stream);
    }
    assert_eq!(server.get("/metrics").await.body.len(), BODY);
    let mut cut = 0;
    for mut stream in stuck {
        cut += usize::from(read_all(&mut stream).await.len() < BODY);
    }
    assert!(cut >= 10, "{cut} were cut: only three fit");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let gate = Gate::default();
    let server = Running::with(
        Limits {
            request: SHORT,
            ..small_limits()
        },
        gate.encoder(),
    )
    .await;
    let reply = server.get("/metrics").await;
    assert_eq!(
        (reply.status, reply.text()),
        (503, "the answer took too long to make: try again\n")
    );
    assert_eq!(server.get("/-/healthy").await.status, 200);
    gate.open();
}

#[tokio::test]
async fn a_drain_waits_for_running_requests_and_not_for_idle_connections() {
    let gate = Gate::default();
    let server = Running::with(small_limits(), gate.encoder()).await;
    let addr = server.addr;
    let mut idle = server.idle_connection().await;
    let mut fresh = server.connect().await;
    let mut running = server.connect().await;
    running
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    gate.entered().await;
    let stopped = server.stop();
    assert!(
        read_all(&mut idle).await.is_empty() && read_all(&mut fresh).await.is_empty(),
        "both are closed"
    );
    assert!(
        TcpStream::connect(addr).await.is_err(),
        "nobody new is let in"
    );
    assert!(!stopped.is_finished(), "a request runs");
    gate.open();
    let reply = Reply::parse(&read_all(&mut running).await);
    assert_eq!((reply.status, reply.text()), (200, METRICS_TEXT));
    assert_eq!(stopped.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_drain_ends_with_its_grace() {
    let gate = Gate::default();
    let server = Running::with(
        Limits {
            grace: SHORT,
            ..small_limits()
        },
        gate.encoder(),
    )
    .await;
    let mut running = server.connect().await;
    running
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    gate.entered().await;
    let drained = timeout(PATIENCE, server.stop())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(drained, Drained { cut: 1 });
    assert!(read_all(&mut running).await.is_empty());
    gate.open();
}

#[tokio::test]
async fn a_port_in_use_is_a_sentence_with_the_address_and_what_to_do() {
    let server = Running::start(small_limits()).await;
    let addr = server.addr;
    let error = Server::default().bind(addr).unwrap_err();
    let cause = "the port is in use by another process (another exporter?); stop it or set --web.listen-address";
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {addr}: {cause}")
    );
    // TEST-NET-1 (RFC 5737): no machine has this address.
    let nowhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = Server::default().bind(nowhere).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no network interface of this machine has that address"),
        "{error}"
    );
}
