//! For this room's tests: a running server and a client that speaks HTTP by hand.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Awaited, Awaiting, CorePulse, Drained, Limits, MetricsEncoder, Server, WebState};
use crate::admin::{self, Admin, AdminAnswer, AdminCommand, AdminError, AdminReply};
use crate::alert::{SilenceError, SilenceId};
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::monitor::OperationError;
use crate::notify::ReplayError;
use crate::operation::OperationNotice;
use crate::report::testing::{Scene, fleet};
use crate::report::{ReloadReport, ReplayReport};

/// Long enough for a busy machine; reaching it fails a test.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const METRICS_TEXT: &str =
    "# HELP redis_cross_dc_link_up whether\nredis_cross_dc_link_up{pair=\"a\"} 1\n";

/// Limits that no test waits long for.
pub(super) fn small_limits() -> Limits {
    Limits {
        request: PATIENCE,
        response: PATIENCE,
        head: PATIENCE,
        grace: PATIENCE,
        ..Limits::default()
    }
}

/// A server that runs.
pub(super) struct Running {
    pub(super) addr: SocketAddr,
    pub(super) snapshots: watch::Sender<Arc<FleetSnapshot>>,
    /// What the core was asked, and what it answers.
    pub(super) core: FakeCore,
    /// The pulse of the core, which never beats by itself.
    pub(super) pulse: CorePulse,
    /// How often a scrape had somebody poll first.
    pub(super) refreshes: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Running {
    /// A server of a healthy fleet, whose metrics are [`METRICS_TEXT`] a hundred times.
    pub(super) async fn start(limits: Limits) -> Self {
        Self::with(
            limits,
            Arc::new(|_, _| Ok(METRICS_TEXT.repeat(100).into_bytes())),
        )
        .await
    }

    /// One whose metrics come from `encode_metrics`.
    pub(super) async fn with(limits: Limits, encode_metrics: MetricsEncoder) -> Self {
        Self::with_clock(limits, encode_metrics, Timestamp::default).await
    }

    /// One that takes the time from `clock`; a clock that stands at 0 means the snapshot's own
    /// time.
    pub(super) async fn with_clock(
        limits: Limits,
        encode_metrics: MetricsEncoder,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self::serving(Server::new(limits), encode_metrics, clock).await
    }

    /// One that is set up already.
    #[allow(
        clippy::unused_async,
        reason = "it needs a runtime, as the other ways to start one do"
    )]
    pub(super) async fn serving(
        server: Server,
        encode_metrics: MetricsEncoder,
        clock: fn() -> Timestamp,
    ) -> Self {
        let snapshots = watch::Sender::new(Arc::new(fleet(Scene::Streaming).0));
        let (refreshes, refresh) = counted_refresh();
        let core = FakeCore::default();
        let pulse = CorePulse::default();
        let state = WebState {
            snapshots: snapshots.subscribe(),
            clock,
            encode_metrics,
            refresh,
            newest: Arc::new(|| Box::pin(std::future::ready(()))),
            pulse: pulse.clone(),
            admin: core.start(),
        };
        let bound = server.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let addr = bound.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.serve(state, async { drop(stopped.await) }));
        Self {
            addr,
            snapshots,
            core,
            pulse,
            refreshes,
            stop,
            task,
        }
    }

    pub(super) fn show(&self, scene: Scene) {
        self.snapshots.send_replace(Arc::new(fleet(scene).0));
    }

    /// Tells the server to stop, and gives the task that ends with it.
    pub(super) fn stop(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.task
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "").await
    }

    /// Sends a request on a new connection; `headers` are whole lines.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> Reply {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await
    }

    /// Sends `text` as it stands and reads all that comes back.
    pub(super) async fn send(&self, text: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        Reply::parse(&read_all(&mut stream).await)
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection that was served once and stays open.
    pub(super) async fn idle_connection(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream
            .write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhealthy\n") {
            assert!(
                stream.read_buf(&mut answer).await.unwrap() > 0,
                "it stays open"
            );
        }
        stream
    }

    /// Asks again and again until the status is that.
    pub(super) async fn wait_for(&self, path: &str, status: u16) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.get(path).await;
            if reply.status == status {
                return reply;
            }
            assert!(Instant::now() < deadline, "still {reply:?}");
        }
    }
}

/// A refresh that takes no time, and how often one was asked for.
fn counted_refresh() -> (Arc<AtomicUsize>, Awaited) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let refresh = move || -> Awaiting {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    };
    (count, Arc::new(refresh))
}

/// A core that only writes down what it is asked.
#[derive(Clone, Default)]
pub(super) struct FakeCore(Arc<Mutex<FakeCoreState>>);

#[derive(Default)]
struct FakeCoreState {
    asked: Vec<AdminCommand>,
    /// The answer to every further reload, where it is not a success.
    reload_error: Option<AdminError>,
}

impl FakeCore {
    /// The commands that were received.
    pub(super) fn asked(&self) -> Vec<AdminCommand> {
        self.0.lock().unwrap().asked.clone()
    }

    /// How often a reload was asked for.
    pub(super) fn reloads(&self) -> usize {
        let asked = self.asked();
        let reloads = asked
            .iter()
            .filter(|command| **command == AdminCommand::Reload);
        reloads.count()
    }

    /// Answers every further reload with `error`.
    pub(super) fn refuse_reloads(&self, error: AdminError) {
        self.0.lock().unwrap().reload_error = Some(error);
    }

    fn start(&self) -> Admin {
        let (admin, mut requests) = admin::channel();
        let core = self.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                request.serve(|command| core.execute(command));
            }
        });
        admin
    }

    fn execute(&self, command: AdminCommand) -> AdminAnswer {
        let mut state = self.0.lock().unwrap();
        state.asked.push(command.clone());
        match command {
            AdminCommand::Reload => match &state.reload_error {
                None => Ok(AdminReply::Reloaded(RELOADED)),
                Some(error) => Err(error.clone()),
            },
            AdminCommand::ReplayDelivery { id } => replay(id),
            AdminCommand::AddSilence(_) => Ok(AdminReply::SilenceAdded(silence_id())),
            AdminCommand::ExpireSilence(id) if id == silence_id() => {
                Ok(AdminReply::SilenceExpired(id))
            }
            AdminCommand::ExpireSilence(id) => Err(SilenceError::Unknown(id).into()),
            AdminCommand::RunDoctor => Ok(AdminReply::DoctorBegan),
            AdminCommand::NoteOperation(notice) => note_operation(&notice),
        }
    }
}

/// Has one dead letter, `msg_1`, and one whose group has resolved, `msg_over`.
fn note_operation(notice: &OperationNotice) -> AdminAnswer {
    notice.check().map_err(OperationError::Invalid)?;
    if notice.pair != "orders" {
        return Err(OperationError::UnknownPair(notice.pair.clone()).into());
    }
    Ok(AdminReply::OperationNoted)
}

fn replay(id: String) -> AdminAnswer {
    match id.as_str() {
        "msg_1" => Ok(AdminReply::DeliveryReplayed(ReplayReport {
            id,
            receiver: "oncall".to_owned(),
        })),
        "msg_over" => Err(ReplayError::Over.into()),
        _ => Err(ReplayError::Unknown.into()),
    }
}

/// The id of every silence that the fake core makes.
fn silence_id() -> SilenceId {
    SilenceId::parse("0123456789abcdef").unwrap()
}

const RELOADED: ReloadReport = ReloadReport {
    pairs_added: 1,
    pairs_removed: 2,
    pairs_kept: 3,
    trees_restarted: 4,
    receivers: 5,
};

/// Everything until the other side closes; a reset ends it like a close.
pub(super) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = async { while stream.read_buf(&mut answer).await.is_ok_and(|n| n > 0) {} };
    timeout(PATIENCE, read)
        .await
        .expect("the server closes the connection");
    answer
}

/// A response.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.text()))
    }

    pub(super) fn gunzip(&self) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(self.body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

/// An encoder that waits until the test lets it go.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    entered: usize,
}

impl Gate {
    pub(super) fn encoder(&self) -> MetricsEncoder {
        let gate = self.clone();
        Arc::new(move |_, _| gate.wait())
    }

    fn wait(&self) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.entered += 1;
        changed.notify_all();
        let (state, waited) = changed
            .wait_timeout_while(state, PATIENCE, |state| !state.open)
            .unwrap();
        drop(state);
        if waited.timed_out() {
            Err("the gate was never opened".into())
        } else {
            Ok(METRICS_TEXT.into())
        }
    }

    pub(super) fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().open = true;
        changed.notify_all();
    }

    /// Waits until a request is inside.
    pub(super) async fn entered(&self) {
        let gate = self.clone();
        let wait = move || {
            let (state, changed) = &*gate.0;
            let (_state, waited) = changed
                .wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| state.entered == 0)
                .unwrap();
            assert!(!waited.timed_out(), "no request came");
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}
