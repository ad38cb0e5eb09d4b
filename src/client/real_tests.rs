//! The client against a real redis-server: what no fake can prove.

use std::process::Stdio;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::Connection;
use crate::config::{Credentials, SecretSource};
use crate::model::{Datacenter, PollError, Secret, ServerAddr, Span};
use crate::topology::Server;

const PROGRAM: &str = "redis-server";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// How long a login may take on a busy machine.
const CONNECT: Span = Span::from_secs(20);

/// A server of its own, which ends with the test.
struct RealServer {
    addr: ServerAddr,
    admin: MultiplexedConnection,
    _process: Child,
    _directory: TempDir,
}

impl RealServer {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Command::new(PROGRAM)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("this test needs redis-server: apt-get install redis-server");
        let addr = ServerAddr::new("127.0.0.1", port);
        let admin = tokio::time::timeout(START, admin_of(&addr))
            .await
            .expect("the server starts");
        Self {
            addr,
            admin,
            _process: process,
            _directory: directory,
        }
    }

    async fn run(&mut self, command: &[&str]) -> redis::Value {
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name)
            .arg(arguments)
            .query_async(&mut self.admin)
            .await
            .unwrap()
    }

    /// The least privileged user of docs/configuration.md.
    async fn add_monitor(&mut self) {
        let rules = ["on", ">hunter2", "-@all", "+info", "+client|setname"];
        self.run(&[&["ACL", "SETUSER", "monitor"], &rules[..]].concat())
            .await;
    }

    async fn connect(
        &self,
        username: Option<&str>,
        password: Option<&str>,
    ) -> Result<Connection, PollError> {
        let password = password.map(|text| SecretSource::Inline(Secret::new(text)));
        let credentials = Credentials {
            username: username.map(Into::into),
            password,
        };
        let server = Server {
            addr: self.addr.clone(),
            dc: Datacenter::unknown(),
            local: true,
            credentials,
            tls: None,
        };
        Connection::connect(&server, CONNECT)
            .await
            .map_err(PollError::from)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn admin_of(addr: &ServerAddr) -> MultiplexedConnection {
    let client = redis::Client::open(addr.tcp().unwrap()).unwrap();
    loop {
        if let Ok(connection) = client.get_multiplexed_async_connection().await {
            return connection;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_least_privileged_user_reads_info_and_leaves_no_trace_in_the_acl_log() {
    let mut server = RealServer::start().await;
    server.add_monitor().await;
    server.run(&["ACL", "LOG", "RESET"]).await;
    let mut connection = server
        .connect(Some("monitor"), Some("hunter2"))
        .await
        .unwrap();
    for _ in 0..2 {
        let reply = connection.fetch_info().await.unwrap();
        let observation = crate::info::parse(&reply.text).unwrap();
        assert_eq!(observation.server.tcp_port.value(), server.addr.port());
        assert!(
            observation.replication.replid.get().is_some()
                && observation.persistence.loading.get().is_some()
        );
        assert!(reply.sent <= reply.received);
    }
    let clients: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query_async(&mut server.admin)
        .await
        .unwrap();
    assert!(
        clients.contains("name=redis-cross-dc-exporter") && clients.contains("user=monitor"),
        "{clients}"
    );
    let log: Vec<redis::Value> = redis::cmd("ACL")
        .arg("LOG")
        .query_async(&mut server.admin)
        .await
        .unwrap();
    assert_eq!(log, []);
}

#[tokio::test]
async fn refusals_have_their_reason() {
    let mut server = RealServer::start().await;
    server.add_monitor().await;
    assert_eq!(
        server.connect(Some("monitor"), Some("wrong")).await.err(),
        Some(PollError::Auth)
    );
    assert_eq!(
        server.connect(None, Some("needless")).await.err(),
        Some(PollError::Auth)
    );
    server.run(&["ACL", "SETUSER", "monitor", "-info"]).await;
    let mut denied = server
        .connect(Some("monitor"), Some("hunter2"))
        .await
        .unwrap();
    assert_eq!(denied.fetch_info().await, Err(PollError::Denied));
    assert!(denied.is_open());
    server
        .run(&["CONFIG", "SET", "requirepass", "secret"])
        .await;
    assert_eq!(
        server.connect(None, None).await.err(),
        Some(PollError::Auth)
    );
    assert!(server.connect(None, Some("secret")).await.is_ok());
    server.run(&["CONFIG", "SET", "maxclients", "1"]).await;
    assert_eq!(
        server.connect(None, Some("secret")).await.err(),
        Some(PollError::MaxClients)
    );
}

#[tokio::test]
async fn a_script_that_does_not_end_is_busy_and_a_killed_connection_a_reset() {
    let mut server = RealServer::start().await;
    let mut connection = server.connect(None, None).await.unwrap();
    connection.fetch_info().await.unwrap();
    server
        .run(&["CONFIG", "SET", "busy-reply-threshold", "1"])
        .await;
    let mut admin = server.admin.clone();
    let script = tokio::spawn(async move {
        let _: Result<(), _> = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query_async(&mut admin)
            .await;
    });
    let busy = async {
        while connection.fetch_info().await != Err(PollError::Busy) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(START, busy)
        .await
        .expect("the script runs");
    let mut killer = admin_of(&server.addr).await;
    redis::cmd("SCRIPT")
        .arg("KILL")
        .exec_async(&mut killer)
        .await
        .unwrap();
    script.await.unwrap();
    connection
        .fetch_info()
        .await
        .expect("the connection outlived the script");
    let _: redis::Value = redis::cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .query_async(&mut killer)
        .await
        .unwrap();
    assert_eq!(connection.fetch_info().await, Err(PollError::Reset));
    assert!(!connection.is_open());
}
