//! Bytes that come over an HTTP connection.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis_cross_dc_exporter::admin::{self, AdminRequest};
use redis_cross_dc_exporter::config::{Environment, Format, parse};
use redis_cross_dc_exporter::metrics::{self, Exposition};
use redis_cross_dc_exporter::model::{ClockAnchor, Timestamp, WallTime};
use redis_cross_dc_exporter::monitor::Monitor;
use redis_cross_dc_exporter::topology::Topology;
use redis_cross_dc_exporter::web::{Awaited, CorePulse, Limits, Server, StreamServer, WebState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

const CONFIG: &str = "
pairs:
  - {name: orders, master: {address: 'm:1', dc: dc1}, replicas: [{address: 'r:1', dc: dc2}], labels: {team: '\"<x>'}}
";

/// A client on another machine, which has no write access.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What a connection may hold before its reader must take it.
const PIPE: usize = 64 * 1024;

/// Virtual time within which every connection must have ended: longer than all limits together.
const PATIENCE: Duration = Duration::from_hours(1);

/// The statuses that the server may answer whatever it is sent; 500 is none of them.
const STATUSES: [&str; 13] = [
    "100", "200", "400", "403", "404", "405", "408", "413", "414", "417", "431", "501", "503",
];

thread_local! {
    /// Made once a thread: a runtime costs more than a request.
    static HOST: Host = host();
}

struct Host {
    runtime: Runtime,
    server: StreamServer,
    /// The queue of the core that is not there.
    commands: RefCell<mpsc::Receiver<AdminRequest>>,
}

/// Sends `request` on one connection, then nothing more. The server answers in order or closes,
/// within its limits.
pub fn run(request: &[u8]) {
    let answer = HOST.with(|host| {
        let answer = host.runtime.block_on(exchange(&host.server, request));
        let command = host.commands.borrow_mut().try_recv();
        assert!(command.is_err(), "without write access: {command:?}");
        answer
    });
    if answer.is_empty() {
        return;
    }
    let head = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| head.strip_prefix("HTTP/1.0 "));
    assert!(
        status.is_some_and(|status| STATUSES.contains(&status)),
        "{head:?}"
    );
}

async fn exchange(server: &StreamServer, request: &[u8]) -> Vec<u8> {
    let (theirs, ours) = duplex(PIPE);
    let (mut from_server, mut to_server) = tokio::io::split(ours);
    let ask = async {
        // The server may close before it has read everything.
        let _ = to_server.write_all(request).await;
        let _ = to_server.shutdown().await;
    };
    let mut answer = Vec::new();
    let take = async {
        from_server
            .read_to_end(&mut answer)
            .await
            .expect("memory does not fail")
    };
    let all = async { tokio::join!(server.serve(theirs, CLIENT), ask, take) };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("every connection ends within its limits");
    answer
}

fn host() -> Host {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build();
    let settings = parse(
        CONFIG,
        Format::Yaml,
        Path::new("/etc"),
        &Environment::default(),
    );
    let settings = settings.expect("the configuration above");
    let anchor = ClockAnchor {
        mono: Timestamp::from_nanos(0),
        wall: WallTime::from_nanos(1_700_000_000_000_000_000),
    };
    let monitor = Monitor::new(&settings, &Topology::from_settings(&settings), anchor);
    let (_, snapshots) = watch::channel(Arc::new(monitor.snapshot(anchor)));
    let encode_metrics = Arc::new(|fleet: &_, now| {
        let families = metrics::collect(fleet, now, &Exposition::default());
        Ok(families.to_text().into_bytes())
    });
    let nothing: Awaited = Arc::new(|| Box::pin(std::future::ready(())));
    let (admin, commands) = admin::channel();
    let state = WebState {
        snapshots,
        clock: Timestamp::default,
        encode_metrics,
        refresh: Arc::clone(&nothing),
        newest: nothing,
        pulse: CorePulse::default(),
        admin,
    };
    Host {
        runtime: runtime.expect("a runtime"),
        server: Server::new(Limits::default()).over_streams(state),
        commands: RefCell::new(commands),
    }
}
