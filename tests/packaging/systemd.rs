//! The real program as a service of Type=notify: what it sends to the socket that systemd would
//! listen on.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::ports;
use rustix::process::{Pid, Signal, kill_process};

/// How long one message may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// As short as a test wants it: the program gives two signs of life in this time.
const WATCHDOG: Duration = Duration::from_millis(400);

/// Nothing listens on its port, and nothing has to: systemd is notified by this program, not of its
/// servers.
const CONFIG: &str = "redis: {username: monitor, password: planted-secret-redis-password}\npairs: [{name: a, master: {address: '127.0.0.1:1', dc: dc1}, replicas: [{address: '127.0.0.2:1', dc: dc2}]}]";

struct Service {
    child: Child,
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(environment: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yml"), CONFIG).unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let listen = format!("127.0.0.1:{}", ports::free().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_redis-cross-dc-exporter"))
            .args([
                "--config.file",
                "config.yml",
                "--web.listen-address",
                &listen,
            ])
            .current_dir(folder.path())
            .env("NOTIFY_SOCKET", &path)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            socket,
            folder,
        }
    }

    /// The next message, whatever it is.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self
            .socket
            .recv(&mut buffer)
            .expect("systemd would wait for this message in vain");
        let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
        assert!(
            !message.contains("planted-secret-"),
            "systemd shows what it is told to everybody"
        );
        message
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether there is no notification for as long as would end the service.
    fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(false).unwrap();
        self.socket.set_read_timeout(Some(WATCHDOG * 2)).unwrap();
        self.socket.recv(&mut [0; 16]).is_err()
    }

    /// Waits until the kernel has stopped every thread after SIGSTOP (state T in proc(5)).
    fn wait_until_stopped(&self) {
        let deadline = Instant::now() + LIMIT;
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T')
        };
        while !std::fs::read_dir(&threads)
            .unwrap()
            .all(|thread| is_stopped(thread.unwrap()))
        {
            assert!(Instant::now() < deadline, "it goes on after SIGSTOP");
            std::thread::yield_now();
        }
    }

    fn expect_reload(&self) {
        self.signal(Signal::HUP);
        let message = self.next();
        let micros = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .expect(&message);
        assert!(micros.parse::<u64>().unwrap() > 0);
        assert_eq!(self.next(), "READY=1");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn systemd_is_notified_of_readiness_reload_and_stop() {
    let mut service = Service::start(&[]);
    assert_eq!(service.next(), "READY=1");
    service.expect_reload();
    // One that is refused ends, too: systemctl reload would wait forever otherwise.
    std::fs::write(service.folder.path().join("config.yml"), "pairs: 7").unwrap();
    service.expect_reload();
    service.signal(Signal::TERM);
    assert_eq!(service.next(), "STOPPING=1\nSTATUS=draining");
    assert!(service.child.wait().unwrap().success());
    // Without a watchdog there are no pings.
    service.socket.set_nonblocking(true).unwrap();
    assert!(service.socket.recv(&mut [0; 16]).is_err());
}

#[test]
fn the_watchdog_is_pinged_unless_the_process_is_stopped() {
    let began = Instant::now();
    let service = Service::start(&[("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())]);
    assert_eq!(service.next(), "READY=1");
    for _ in 0..6 {
        assert_eq!(service.next(), "WATCHDOG=1");
    }
    // The first is due at once, so there are five waits between six.
    assert!(
        began.elapsed() >= WATCHDOG.mul_f64(5.0 / 2.0),
        "{:?}",
        began.elapsed()
    );
    service.signal(Signal::STOP);
    service.wait_until_stopped();
    service.socket.set_nonblocking(true).unwrap();
    while service.socket.recv(&mut [0; 16]).is_ok() {}
    assert!(service.is_silent());
}

#[test]
fn a_watchdog_of_another_process_is_ignored() {
    let watchdog = ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let service = Service::start(&[watchdog, ("WATCHDOG_PID", "1".to_owned())]);
    assert_eq!(service.next(), "READY=1");
    assert!(service.is_silent());
}
