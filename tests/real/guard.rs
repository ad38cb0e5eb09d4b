//! What ends a child when the test process dies without dropping it, also by SIGKILL.

use std::process::{Child, Command, Stdio};

/// `read` returns when this process is gone: no other process holds the other end of the pipe.
const SCRIPT: &str = r#"read -r _; kill -9 "$1""#;

/// A small shell that waits for the end of this process and then kills one child. On drop it ends
/// and kills nobody; drop it before the child is reaped, for then its pid may be another process's.
pub(crate) struct Guard(Child);

impl Guard {
    /// Guards `child`.
    pub(crate) fn of_child(child: &Child) -> Self {
        let guard = Command::new("sh")
            .args(["-c", SCRIPT, "test-guard", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        Self(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
