//! Real servers for these tests, and connections to them.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis_cross_dc_exporter::active_active::Script;
use redis_cross_dc_exporter::multi_site::RedisSite;

use crate::guard::Guard;

/// How long anything may take here.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A `redis-server` on a free port of this machine; ends with this value.
pub(crate) struct RealServer {
    process: Option<Child>,
    guard: Option<Guard>,
    port: u16,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RealServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, Vec::new())
    }

    /// Starts it with further environment variables.
    pub(crate) fn start_in(arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let mut server = Self {
            process: None,
            guard: None,
            port: free_port(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment,
        };
        server.launch();
        server
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// The same with further arguments.
    pub(crate) fn restart_with(&mut self, arguments: &[&str]) {
        let more = arguments.iter().map(|word| (*word).to_owned());
        self.arguments.extend(more);
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        self.guard = None;
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn launch(&mut self) {
        let program = std::env::var_os("REDIS_SERVER");
        let process = Command::new(program.unwrap_or_else(|| "redis-server".into()))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: apt-get install redis-server");
        self.guard = Some(Guard::of_child(&process));
        self.process = Some(process);
        wait_until("redis-server answers", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        self.connect_as("").await
    }

    /// Connects as a user: `name:password@`.
    pub(crate) async fn connect_as(&self, user: &str) -> MultiplexedConnection {
        let url = format!("redis://{user}127.0.0.1:{}/", self.port);
        let client = redis::Client::open(url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) async fn site(&self) -> RedisSite<MultiplexedConnection> {
        RedisSite::new(self.connect().await, LIMIT)
    }

    /// A site that knows the scripts: otherwise the first calls of a pipeline are repeated behind
    /// its other requests.
    pub(crate) async fn prepared_site(&self) -> RedisSite<MultiplexedConnection> {
        for script in Script::ALL {
            self.query::<String>(&["SCRIPT", "LOAD", script.text()])
                .await;
        }
        self.site().await
    }

    /// Sends a command and returns its reply.
    pub(crate) async fn query<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let mut connection = self.connect().await;
        command.query_async(&mut connection).await.unwrap()
    }
}

pub(crate) fn free_port() -> u16 {
    // Below the range of ports that the system gives to clients.
    for _ in 0..1000 {
        let seed = std::collections::hash_map::RandomState::new();
        let random = std::hash::BuildHasher::hash_one(&seed, std::process::id());
        let port = 20_000 + u16::try_from(random % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
