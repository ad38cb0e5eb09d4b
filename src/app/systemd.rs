//! Notifications to systemd by the protocol of `sd_notify(3)`: ready, reloading, stopping, alive.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is sent. The socket never blocks, so that a
//! systemd that does not read cannot delay the core.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

use crate::model::{Span, Timestamp};

/// Where systemd listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// How long systemd waits for a keep-alive message, in microseconds, ...
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";

/// ... and the process that it must come from; any process if it is not set.
const WATCHDOG_PROCESS_VARIABLE: &str = "WATCHDOG_PID";

/// Keep-alive messages within the time that systemd waits for one: `sd_watchdog_enabled(3)`
/// recommends two.
const MESSAGES_PER_INTERVAL: f64 = 2.0;

/// Attempts within that time after a message that could not be sent: sooner than usual.
const RETRIES_PER_INTERVAL: f64 = 10.0;

/// Notifies systemd. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Notifier {
    target: Option<Arc<Target>>,
}

#[derive(Debug)]
struct Target {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// The notifier for the socket of the environment.
    pub(super) fn from_environment() -> Self {
        let Some(name) = std::env::var_os(SOCKET_VARIABLE) else {
            return Self::default();
        };
        Self::to(&name).unwrap_or_else(|error| {
            warn!(%error, "systemd cannot be notified: {SOCKET_VARIABLE} names no usable socket");
            Self::default()
        })
    }

    /// A notifier for the socket called `name`: a path, or an abstract name behind an `@`.
    fn to(name: &OsStr) -> std::io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            target: Some(Arc::new(Target { socket, address })),
        })
    }

    /// The service has started.
    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload begins; it ends, successful or not, when the guard is dropped. systemd wants the
    /// time of the beginning on the monotonic clock, in microseconds.
    pub(super) fn reloading(&self) -> Reloading {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now
            .tv_sec
            .saturating_mul(1_000_000)
            .saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        Reloading {
            notifier: self.clone(),
        }
    }

    /// The service is stopping.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// The keep-alive message. Returns whether it was sent.
    fn alive(&self) -> bool {
        self.send("WATCHDOG=1")
    }

    /// Returns whether the message was sent; never without a socket.
    fn send(&self, message: &str) -> bool {
        let Some(target) = &self.target else {
            return false;
        };
        target
            .socket
            .send_to_addr(message.as_bytes(), &target.address)
            .is_ok()
    }
}

/// A reload in progress.
#[derive(Debug)]
pub(super) struct Reloading {
    notifier: Notifier,
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.notifier.ready();
    }
}

/// Sends keep-alive messages for the loop that calls it: a loop that is stuck sends none, and
/// systemd restarts the service.
#[derive(Debug)]
pub(super) struct Watchdog {
    notifier: Notifier,
    /// None when systemd does not watch.
    interval: Option<Span>,
    due: Timestamp,
}

impl Watchdog {
    /// The watchdog by the environment; its first message is due at once.
    pub(super) fn from_environment(notifier: Notifier) -> Self {
        let micros = std::env::var(WATCHDOG_VARIABLE).ok();
        let process = std::env::var(WATCHDOG_PROCESS_VARIABLE).ok();
        let interval = interval(micros.as_deref(), process.as_deref(), std::process::id());
        Self {
            notifier,
            interval,
            due: Timestamp::from_nanos(0),
        }
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.interval.map(|_| self.due)
    }

    /// Sends a message if one is due.
    pub(super) fn alive(&mut self, now: Timestamp) {
        let Some(interval) = self.interval else {
            return;
        };
        if now < self.due {
            return;
        }
        let parts = if self.notifier.alive() {
            MESSAGES_PER_INTERVAL
        } else {
            RETRIES_PER_INTERVAL
        };
        self.due = now + interval.mul_f64(1.0 / parts);
    }
}

/// How long systemd waits for a message of the process `own`; `None` when it does not.
fn interval(micros: Option<&str>, process: Option<&str>, own: u32) -> Option<Span> {
    if let Some(process) = process
        && process.parse() != Ok(own)
    {
        return None;
    }
    let nanos = micros?.parse::<i64>().ok()?.checked_mul(1000)?;
    if nanos <= 0 {
        return None;
    }
    Some(Span::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Listener {
        socket: UnixDatagram,
        notifier: Notifier,
        _folder: tempfile::TempDir,
    }

    fn listener() -> Listener {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Listener {
            socket,
            notifier: Notifier::to(path.as_os_str()).unwrap(),
            _folder: folder,
        }
    }

    impl Listener {
        fn received(&self) -> Option<String> {
            let mut buffer = [0; 256];
            let length = self.socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        }
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn each_message_is_one_datagram() {
        let listener = listener();
        listener.notifier.ready();
        assert_eq!(listener.received().unwrap(), "READY=1");
        let reloading = listener.notifier.reloading();
        let text = listener.received().unwrap();
        assert!(
            text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 0
        );
        assert_eq!(listener.received(), None);
        drop(reloading);
        assert_eq!(listener.received().unwrap(), "READY=1");
        listener.notifier.stopping();
        assert_eq!(listener.received().unwrap(), "STOPPING=1\nSTATUS=draining");
    }

    #[test]
    fn an_abstract_socket_name_begins_with_an_at_sign() {
        let name = format!("redis-cross-dc-exporter-test-{}", std::process::id());
        let socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(
            Notifier::to(OsStr::new(&format!("@{name}")))
                .unwrap()
                .alive()
        );
        let mut buffer = [0; 32];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG=1");
    }

    #[test]
    fn a_keep_alive_message_is_sent_twice_in_the_interval() {
        let listener = listener();
        let interval = Some(Span::from_secs(30));
        let mut watchdog = Watchdog {
            notifier: listener.notifier.clone(),
            interval,
            due: seconds(0),
        };
        let sent_at: Vec<i64> = (100..160)
            .filter(|at| {
                watchdog.alive(seconds(*at));
                listener.received().is_some()
            })
            .collect();
        assert_eq!(sent_at, [100, 115, 130, 145]);
    }

    #[test]
    fn a_keep_alive_message_that_fails_is_repeated_soon() {
        let Listener {
            socket, notifier, ..
        } = listener();
        drop(socket);
        let mut watchdog = Watchdog {
            notifier,
            interval: Some(Span::from_secs(30)),
            due: seconds(0),
        };
        watchdog.alive(seconds(100));
        assert_eq!(watchdog.due(), Some(seconds(103)));
    }

    #[test]
    fn the_watchdog_interval_comes_from_the_environment() {
        let cases = [
            (Some("30000000"), None, Some(Span::from_secs(30))),
            (Some("30000000"), Some("7"), Some(Span::from_secs(30))),
            (Some("30000000"), Some("8"), None),
            (Some("30000000"), Some("seven"), None),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (Some("9223372036854775807"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ];
        for (micros, process, expected) in cases {
            assert_eq!(
                interval(micros, process, 7),
                expected,
                "{micros:?} {process:?}"
            );
        }
    }
}
