//! A child process that cannot outlive the process that started it.
//!
//! On Linux `PR_SET_PDEATHSIG` would do this, but it must be set in the child between fork and
//! exec, which needs `unsafe`; and it fires when the *thread* that forked ends, which in a thread
//! pool means at any time. So a guard, one small shell, waits on a pipe whose other end only this
//! process holds: the kernel closes that end however this process dies, SIGKILL included, and the
//! shell then kills the child and removes its directory.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::LabError;

/// `read` returns at the end of the pipe, never before: nothing is written to it.
const SCRIPT: &str = r#"read -r _; kill -9 "$1"; rm -rf -- "$2""#;

/// A running child and its guard. Dropping it kills the child with SIGKILL and reaps it.
#[derive(Debug)]
pub(super) struct GuardedChild {
    child: Child,
    guard: Child,
}

impl GuardedChild {
    /// Starts `command` in a new process group, so that Ctrl-C in a terminal reaches only
    /// this process, which then ends its children in order. `directory` is what the guard removes
    /// if this process dies.
    pub(super) fn spawn(command: &mut Command, directory: &Path) -> Result<Self, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .process_group(0)
            .spawn()
            .map_err(LabError::io(format!("run {program}")))?;
        match spawn_guard(&child, directory) {
            Ok(guard) => Ok(Self { child, guard }),
            Err(source) => {
                end(&mut child);
                Err(LabError::Io {
                    action: "run sh, which guards the servers of the lab".to_owned(),
                    source,
                })
            }
        }
    }

    /// The child's process id, which stays its own until this value is dropped: the child is not
    /// reaped before.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the child ended; `None` while it runs (a stopped child runs).
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends the child a signal. A child that has ended is no error: it may do so at any time.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        if self.ended().is_some() {
            return Ok(());
        }
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.map_err(|error| LabError::Io {
            action: format!("signal process {}", self.pid()),
            source: error.into(),
        })
    }
}

impl Drop for GuardedChild {
    fn drop(&mut self) {
        // The guard ends first: once the child is reaped, its pid may belong to another process.
        end(&mut self.guard);
        end(&mut self.child);
    }
}

fn spawn_guard(child: &Child, directory: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", SCRIPT, "redis-lab-guard", &child.id().to_string()])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Kills a process and reaps it.
fn end(process: &mut Child) {
    // Both calls fail only when the process has been reaped already.
    let _ = process.kill();
    let _ = process.wait();
}

/// Whether a process with this id exists, a zombie included.
#[cfg(test)]
pub(super) fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

/// Whether the process has ended, reaped or not.
#[cfg(test)]
pub(super) fn has_ended(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        || !is_alive(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::eventually;
    use std::time::Duration;

    fn sleeper(directory: &Path) -> GuardedChild {
        GuardedChild::spawn(Command::new("sleep").arg("600"), directory).unwrap()
    }

    #[test]
    fn drop_ends_the_child_and_its_guard_but_leaves_the_directory_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let child = sleeper(directory.path());
        let pids = [child.pid(), child.guard.id()];
        assert!(pids.into_iter().all(is_alive));
        drop(child);
        assert!(!pids.into_iter().any(is_alive));
        assert!(directory.path().exists());
    }

    #[tokio::test]
    async fn when_the_pipe_closes_the_guard_kills_a_stopped_child_and_removes_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = sleeper(directory.path());
        child.signal(Signal::STOP).unwrap();
        drop(child.guard.stdin.take()); // what the kernel does when this process dies
        let killed = eventually("the child's end", Duration::from_secs(20), || async {
            !directory.path().exists() && has_ended(child.pid())
        });
        killed.await.unwrap();
        assert!(child.ended().is_some_and(|status| !status.success()));
    }
}
