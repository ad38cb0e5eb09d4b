//! The client against a real redis-server: what no fake can prove.

use std::process::Stdio;
use std::time::Duration;

use redis::{Cmd, Value};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Connection, MAX_REPLY, ReplyShape};
use crate::config::{Credentials, SecretSource};
use crate::model::{Datacenter, PollError, Secret, ServerAddr, Span};
use crate::topology::Server;

const PROGRAM: &str = "redis-server";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// How long a login may take on a busy machine.
const CONNECT: Span = Span::from_secs(20);

/// A server for this test alone, which ends with it.
struct RealServer {
    addr: ServerAddr,
    admin: Connection,
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

    async fn run(&mut self, command: &[&str]) -> Value {
        run(&mut self.admin, command).await.unwrap()
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
        let server = server_at(&self.addr, credentials);
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

/// A connection as the default user.
async fn admin_of(addr: &ServerAddr) -> Connection {
    let server = server_at(addr, Credentials::default());
    loop {
        if let Ok(connection) = Connection::connect(&server, CONNECT).await {
            return connection;
        }
        tokio::task::yield_now().await;
    }
}

async fn run(connection: &mut Connection, command: &[&str]) -> Result<Value, PollError> {
    let mut words = Cmd::new();
    words.arg(command);
    connection
        .request(&words, ReplyShape::Records, MAX_REPLY)
        .await
}

fn server_at(addr: &ServerAddr, credentials: Credentials) -> Server {
    Server {
        addr: addr.clone(),
        dc: Datacenter::unknown(),
        local: true,
        credentials,
        tls: None,
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
    let Value::BulkString(clients) = server.run(&["CLIENT", "LIST"]).await else {
        panic!("CLIENT LIST is one text");
    };
    let clients = String::from_utf8_lossy(&clients);
    let monitor = clients.lines().find(|line| line.contains("user=monitor"));
    assert!(
        monitor.is_some_and(|line| line.contains("name=redis-cross-dc-exporter")),
        "{clients}"
    );
    assert_eq!(server.run(&["ACL", "LOG"]).await, Value::Array(Vec::new()));
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
    let mut caller = admin_of(&server.addr).await;
    let script = tokio::spawn(async move {
        // Killed, or the server ended: either is an error here.
        let _ = run(&mut caller, &["EVAL", "while true do end", "0"]).await;
    });
    let busy = async {
        while connection.fetch_info().await != Err(PollError::Busy) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(START, busy)
        .await
        .expect("the script runs");
    // A busy server lets no new client in by CLIENT SETNAME, but kills the script for a known one.
    server.run(&["SCRIPT", "KILL"]).await;
    script.await.unwrap();
    connection
        .fetch_info()
        .await
        .expect("the connection outlived the script");
    server.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert_eq!(connection.fetch_info().await, Err(PollError::Reset));
    assert!(!connection.is_open());
}
