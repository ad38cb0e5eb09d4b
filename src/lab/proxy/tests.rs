//! On real sockets and real servers. Delays and rates are measured exactly in `relay`, on paused
//! time.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::lab::loopback::Loopback;
use crate::lab::{RedisServer, eventually};

const LIMIT: Duration = Duration::from_secs(30);

/// A master that sends back what it receives.
async fn echo() -> Loopback {
    let echo = |mut stream: TcpStream| async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    };
    Loopback::start(echo).await.unwrap()
}

async fn proxy_to(target: &ServerAddr, conditions: WanConditions) -> WanProxy {
    WanProxy::start(None, target, conditions).await.unwrap()
}

async fn connect(addr: &ServerAddr) -> io::Result<TcpStream> {
    TcpStream::connect(addr.to_string()).await
}

async fn round_trip(stream: &mut TcpStream) -> io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(b"ping").await?;
    stream.read_exact(&mut [0; 4]).await?;
    Ok(start.elapsed())
}

#[tokio::test]
async fn a_round_trip_takes_twice_the_delay_and_is_counted() {
    let (echo, delay) = (echo().await, Duration::from_millis(100));
    let proxy = proxy_to(
        echo.addr(),
        WanConditions {
            delay,
            ..WanConditions::default()
        },
    )
    .await;
    let mut stream = connect(proxy.addr()).await.unwrap();
    assert!(round_trip(&mut stream).await.unwrap() >= 2 * delay);
    proxy.set_delay(Duration::ZERO);
    assert_eq!(proxy.conditions(), WanConditions::default());
    round_trip(&mut stream).await.unwrap();
    let eight = Bytes::new(8);
    let expected = ProxyStats {
        to_replica: eight,
        to_master: eight,
        accepted: 1,
        open: 1,
    };
    assert_eq!(proxy.stats(), expected);
}

#[tokio::test]
async fn an_orderly_close_passes_through() {
    let echo = echo().await;
    let proxy = proxy_to(echo.addr(), WanConditions::default()).await;
    let mut stream = connect(proxy.addr()).await.unwrap();
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"last words");
    eventually("the end of the connection", LIMIT, || async {
        proxy.stats().open == 0
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_cut_resets_refuses_and_heals() {
    let echo = echo().await;
    let proxy = proxy_to(echo.addr(), WanConditions::default()).await;
    let mut stream = connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();
    proxy.cut().await;
    assert_eq!(proxy.stats().open, 0);
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        connect(proxy.addr()).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    proxy.cut().await; // a second cut changes nothing
    proxy.heal().await.unwrap();
    proxy.heal().await.unwrap();
    round_trip(&mut connect(proxy.addr()).await.unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cut_ends_stalled_connections_too() {
    let echo = echo().await;
    let stalled = WanConditions {
        stalled: Some(Direction::Both),
        ..WanConditions::default()
    };
    let proxy = proxy_to(echo.addr(), stalled).await;
    let mut waiting = connect(proxy.addr()).await.unwrap();
    waiting.write_all(b"x").await.unwrap();
    eventually("the connection", LIMIT, || async {
        proxy.stats().open == 1
    })
    .await
    .unwrap();
    assert_eq!(
        echo.accepted(),
        0,
        "a stall holds the handshake with the master"
    );
    proxy.cut().await;
    assert!(waiting.read(&mut [0]).await.is_err());
}

#[tokio::test]
async fn a_drop_closes_everything() {
    let echo = echo().await;
    let proxy = proxy_to(echo.addr(), WanConditions::default()).await;
    let mut stream = connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();
    let addr = proxy.addr().clone();
    drop(proxy);
    assert!(stream.read(&mut [0]).await.is_err());
    eventually("the end of the listener", LIMIT, || async {
        connect(&addr).await.is_err()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_master_that_is_not_there_resets_the_replica() {
    let nobody = ServerAddr::new("127.0.0.1", ports::free().unwrap());
    let proxy = proxy_to(&nobody, WanConditions::default()).await;
    let mut stream = connect(proxy.addr()).await.unwrap();
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn a_replica_syncs_stalls_and_catches_up_through_the_proxy() {
    let master = RedisServer::builder().start().await.unwrap();
    let delay = Duration::from_millis(20);
    let proxy = proxy_to(
        master.addr(),
        WanConditions {
            delay,
            ..WanConditions::default()
        },
    )
    .await;
    let replica = RedisServer::builder()
        .replicaof(proxy.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();

    proxy.stall(Direction::ToReplica);
    let mut to_master = master.connect().await.unwrap();
    to_master.command(&["SET", "k", "v"]).await.unwrap();
    let behind = || async {
        let [ours, theirs] =
            [&master, &replica].map(|s| s.info_field("replication", "master_repl_offset"));
        Ok::<_, LabError>((ours.await?, theirs.await?))
    };
    let (ahead, stuck) = behind().await.unwrap();
    assert_ne!(ahead, stuck);
    assert_eq!(
        replica
            .info_field("replication", "master_link_status")
            .await
            .unwrap()
            .as_deref(),
        Some("up")
    );

    proxy.heal().await.unwrap();
    let caught_up = || async {
        replica
            .command(&["GET", "k"])
            .await
            .is_ok_and(|reply| reply.text().is_some())
    };
    eventually("the replica's catch-up", LIMIT, caught_up)
        .await
        .unwrap();

    proxy.cut().await;
    let down = || async {
        replica
            .info_field("replication", "master_link_status")
            .await
            .ok()
            .flatten()
            .filter(|s| s == "down")
    };
    eventually("the link's fall", LIMIT, down).await.unwrap();
    proxy.heal().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
}
