//! The exporter as a child process, as a user starts it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::ports;

use crate::guard::Guard;
use crate::scrape::get;

/// How long a start may take. What takes longer is measured all the same, and said.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// How often it is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(10);

/// A running exporter. When it is dropped it is killed.
pub(crate) struct Exporter {
    /// Ends the child when this process dies; `None` while there is no child.
    guard: Option<Guard>,
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
    began: Instant,
}

impl Exporter {
    /// Starts it with the configuration `yaml`, in a folder of its own.
    pub(crate) fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the exporter");
        std::fs::write(folder.path().join("config.yml"), yaml).expect("its configuration");
        let log = std::fs::File::create(folder.path().join("log")).expect("its log");
        let port = ports::free().expect("a free port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_redis-cross-dc-exporter"))
            .args(["--config.file", "config.yml"])
            .args(["--web.listen-address", &address.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("its log"))
            .stderr(log)
            .spawn()
            .expect("the exporter starts");
        Self {
            guard: Some(Guard::of_child(&child)),
            child,
            address,
            folder,
            began,
        }
    }

    /// Waits until every server has been polled, and returns how long that took from the start;
    /// `None` when it takes too long.
    pub(crate) fn ready(&mut self) -> Option<Duration> {
        while self.began.elapsed() < READY_LIMIT {
            if get(self.address, "/-/ready").is_ok_and(|answer| answer.status == 200) {
                return Some(self.began.elapsed());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the exporter ended ({status}):\n{}", self.log());
            }
            std::thread::sleep(READY_POLL);
        }
        None
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it answers HTTP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.guard = None;
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
