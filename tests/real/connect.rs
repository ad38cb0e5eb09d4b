//! Ways to a server: what the client needs for them, IPv6, Unix sockets.

use redis_cross_dc_exporter::client::{Connection, InfoReply};
use redis_cross_dc_exporter::config::{Credentials, TlsSettings};
use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::model::{Datacenter, PollError, ServerAddr, Span};
use redis_cross_dc_exporter::topology::Server;

/// Long enough for a busy machine: no test waits for it.
const WITHIN: Span = Span::from_secs(20);

/// Connects as the exporter does.
pub(crate) async fn connect(
    addr: &ServerAddr,
    tls: Option<TlsSettings>,
) -> Result<Connection, PollError> {
    connect_within(addr, tls, WITHIN).await
}

/// Connects in time, or not at all.
pub(crate) async fn connect_within(
    addr: &ServerAddr,
    tls: Option<TlsSettings>,
    within: Span,
) -> Result<Connection, PollError> {
    let addr = addr.clone();
    let server = Server {
        addr,
        dc: Datacenter::unknown(),
        local: true,
        credentials: Credentials::default(),
        tls,
    };
    Connection::connect(&server, within)
        .await
        .map_err(PollError::from)
}

/// Connects and asks once.
pub(crate) async fn ask(
    addr: &ServerAddr,
    tls: Option<TlsSettings>,
) -> Result<InfoReply, PollError> {
    connect(addr, tls).await?.fetch_info().await
}

#[tokio::test]
async fn an_ipv6_address_is_reached() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: nothing to test");
        return;
    }
    let server = RedisServer::builder()
        .config("bind 127.0.0.1 ::1")
        .start()
        .await
        .unwrap();
    let addr = ServerAddr::parse(&format!("[::1]:{}", server.addr().port().unwrap())).unwrap();
    assert!(ask(&addr, None).await.unwrap().text.contains("role:master"));
}

#[tokio::test]
async fn a_unix_socket_is_reached_and_a_missing_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let addr = ServerAddr::parse(&format!("unix://{}", path.display())).unwrap();
    assert_eq!(ask(&addr, None).await, Err(PollError::Refused));
    let line = format!("unixsocket {}", path.display());
    let mut server = RedisServer::builder().config(&line).start().await.unwrap();
    let mut connection = connect(&addr, None).await.unwrap();
    let reply = connection.fetch_info().await.unwrap();
    assert!(reply.text.contains("role:master") && reply.sent <= reply.received);
    server.kill();
    assert_eq!(connection.fetch_info().await, Err(PollError::Reset));
}
