//! How far the questions are, on a terminal. Standard output has the result alone.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use crate::app::{AuditStage, Progress};

/// Shows the progress where standard error is a terminal.
pub(super) fn progress() -> Progress {
    if !io::stderr().is_terminal() {
        return Arc::new(|_, _, _| {});
    }
    Arc::new(|stage, done, all| {
        // A terminal that is gone needs no progress.
        let _ = write!(io::stderr(), "{}", line(stage, done, all));
    })
}

/// The line that replaces the one before; an empty one once the stage has ended.
fn line(stage: AuditStage, done: usize, all: usize) -> String {
    if done >= all {
        return "\r\x1b[K".to_owned();
    }
    format!("\r\x1b[Kasked {done} of {all} {stage}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_is_shown_and_wiped() {
        assert_eq!(
            line(AuditStage::Discovery, 0, 3),
            "\r\x1b[Kasked 0 of 3 Sentinels for their masters"
        );
        assert_eq!(
            line(AuditStage::Sentinels, 2, 3),
            "\r\x1b[Kasked 2 of 3 Sentinels how they watch"
        );
        assert_eq!(line(AuditStage::Servers, 3, 3), "\r\x1b[K");
    }
}
