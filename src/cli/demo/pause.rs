//! The pauses between the acts: on a terminal the demo waits for Enter, so that there is time to
//! look at the page; in a pipe it goes on by itself.

use std::io::{self, BufRead, IsTerminal};

use tokio::sync::{Mutex, mpsc};

use super::narrator::Narrator;

/// Waits for Enter, or for nothing.
#[derive(Debug)]
pub(super) struct Pause {
    /// One message for each line that was typed; absent where nobody is waited for.
    lines: Option<Mutex<mpsc::Receiver<()>>>,
}

impl Pause {
    /// Waits for the person at the terminal, if there is one.
    pub(super) fn at_terminal() -> Self {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Self::none();
        }
        let (sender, lines) = mpsc::channel(1);
        // A thread, not a task: it may wait for a line forever, and the program ends nevertheless.
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                if line.is_err() || sender.blocking_send(()).is_err() {
                    break;
                }
            }
        });
        Self {
            lines: Some(Mutex::new(lines)),
        }
    }

    /// Waits for nobody.
    pub(super) const fn none() -> Self {
        Self { lines: None }
    }

    /// Whether anybody is waited for.
    pub(super) const fn is_interactive(&self) -> bool {
        self.lines.is_some()
    }

    /// Says what comes next, and returns when the person wants it. Ends at once when the terminal
    /// is gone.
    pub(super) async fn before(&self, next: &str) {
        let Some(lines) = &self.lines else {
            return;
        };
        Narrator::say(&format!("         [Enter] {next}"));
        let mut lines = lines.lock().await;
        // Enter may have been pressed too early.
        while lines.try_recv().is_ok() {}
        lines.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_waits_for_a_line_but_not_for_an_earlier_one() {
        let (sender, lines) = mpsc::channel(4);
        let pause = Pause {
            lines: Some(Mutex::new(lines)),
        };
        assert!(pause.is_interactive());
        sender.send(()).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(20), pause.before("next"));
        assert!(waiting.await.is_err(), "the line came before the question");
        let ((), sent) = tokio::join!(pause.before("next"), async {
            tokio::task::yield_now().await;
            sender.send(()).await
        });
        assert!(sent.is_ok());
    }

    #[tokio::test]
    async fn without_a_terminal_it_goes_on() {
        Pause::none().before("next").await;
        let (sender, lines) = mpsc::channel(1);
        drop(sender);
        let gone = Pause {
            lines: Some(Mutex::new(lines)),
        };
        gone.before("next").await;
    }
}
