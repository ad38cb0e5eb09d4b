//! One run of the server's process: start, readiness, log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::LabError;
use super::spec::Spec;
use crate::lab::guard::GuardedChild;
use crate::lab::{Connection, Reply, eventually};

/// What to do about a missing program.
const INSTALL: &str =
    "install it with `apt-get install redis-server`, or give the path of another redis-server";
const LOG: &str = "server.log";
/// How much of the log an error shows: the lines that say why a start failed are its last.
const LOG_TAIL_BYTES: u64 = 2048;
/// How long a server may take to answer: it does in some 20 ms, but a busy machine may give it no
/// processor time.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The pause between two probes of a server that starts.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one probe may take: a server that has bound its port but not entered its event loop
/// does not answer.
const PROBE_LIMIT: Duration = Duration::from_millis(500);
/// What Redis logs when another process holds the port.
const PORT_TAKEN: &str = "Address already in use";

/// Why a start failed; one reason is worth another attempt.
pub(super) enum StartError {
    PortTaken(LabError),
    Other(LabError),
}

impl From<LabError> for StartError {
    fn from(error: LabError) -> Self {
        Self::Other(error)
    }
}

impl From<StartError> for LabError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::PortTaken(error) | StartError::Other(error) => error,
        }
    }
}

/// A process that has answered at least once. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process(GuardedChild);

impl Process {
    /// Runs what `spec` says and waits until it answers, for at most [`START_LIMIT`].
    pub(super) async fn start(spec: &Spec) -> Result<Self, StartError> {
        let mut process = Self::spawn(spec)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = process.ended() {
                return Err(failure(spec, &format!("it ended with {status}")));
            }
            if process.answers(spec).await {
                return Ok(process);
            }
            if Instant::now() >= deadline {
                let limit = START_LIMIT.as_secs();
                return Err(failure(
                    spec,
                    &format!("it did not answer within {limit} s"),
                ));
            }
            sleep(PAUSE).await;
        }
    }

    fn spawn(spec: &Spec) -> Result<Self, LabError> {
        let directory = spec.directory.path();
        require_program(&spec.program)?;
        let log = File::create(directory.join(LOG));
        let log = log.map_err(LabError::io("make the server's log file"))?;
        let errors = log.try_clone();
        let errors = errors.map_err(LabError::io("share the server's log file"))?;
        let mut command = Command::new(&spec.program);
        command.arg(directory.join("redis.conf")).args(&spec.args);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Ok(Self(GuardedChild::spawn(&mut command, directory)?))
    }

    /// Whether this very process answers on the port, and has loaded its data. Another process may
    /// hold the port while this one is about to fail, so the process id in INFO decides. A server
    /// that denies INFO (an ACL without it) is ready.
    async fn answers(&self, spec: &Spec) -> bool {
        let Ok(connection) = Connection::open(&spec.addr, spec.password.as_ref()).await else {
            return false;
        };
        let mut connection = connection.within(PROBE_LIMIT);
        match connection.command(&["INFO", "server"]).await {
            Ok(Reply::Bulk(info)) => names_process(&String::from_utf8_lossy(&info), self.pid()),
            Err(LabError::CommandRefused { reply, .. }) => !reply.starts_with("LOADING"),
            _ => false,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.ended()
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        self.0.signal(signal)
    }

    pub(super) async fn wait_for_end(&mut self, limit: Duration) -> Result<(), LabError> {
        let what = format!("the end of process {}", self.pid());
        eventually(&what, limit, || std::future::ready(self.ended())).await?;
        Ok(())
    }
}

/// Checks that a program is there before anything is made for it, so that the error says how to
/// install it.
fn require_program(program: &Path) -> Result<(), LabError> {
    if is_installed(program) {
        return Ok(());
    }
    Err(LabError::MissingProgram {
        program: program.display().to_string(),
        advice: INSTALL,
    })
}

fn is_installed(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn names_process(info: &str, pid: u32) -> bool {
    let line = format!("process_id:{pid}");
    info.lines().any(|l| l.trim_end() == line)
}

fn failure(spec: &Spec, problem: &str) -> StartError {
    let log = log_tail(spec.directory.path());
    let taken = log.contains(PORT_TAKEN);
    let program = spec.program.display().to_string();
    let error = LabError::ServerStart {
        program,
        port: spec.port,
        problem: problem.to_owned(),
        log,
    };
    if taken {
        StartError::PortTaken(error)
    } else {
        StartError::Other(error)
    }
}

/// The end of the log in `directory`; empty when it cannot be read.
pub(super) fn log_tail(directory: &Path) -> String {
    read_tail(&directory.join(LOG)).unwrap_or_default()
}

fn read_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).trim_end().to_owned())
}
