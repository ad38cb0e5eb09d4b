//! The thread of all polls.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread with a runtime of its own. Nothing else that the program does (rules, snapshots,
/// scrapes, messages) takes its time, and an answer wakes no other thread: in a runtime of several
/// threads, each answer makes an idle one look for work, which costs more than the poll itself.
///
/// Dropping it ends every task on it.
#[derive(Debug)]
pub(super) struct PollThread {
    handle: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl PollThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptors for it.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // An error is the end that it waits for: the sender was dropped.
            let _: Result<(), _> = runtime.block_on(stopped);
            // A name that is being resolved must not hold up the end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("polls".to_owned());
        thread.spawn(run)?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Where its tasks are started.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_on_the_thread_and_end_with_it() {
        let thread = PollThread::start().unwrap();
        let (name, names) = std::sync::mpsc::channel();
        let task = thread.handle().spawn(async move {
            let current = std::thread::current();
            name.send(current.name().map(str::to_owned)).unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(names.recv().unwrap().as_deref(), Some("polls"));
        assert!(!task.is_finished());
        drop(thread);
        let ended = Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(task);
        assert!(ended.unwrap_err().is_cancelled());
    }
}
