//! The thread of the core.

use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tracing::warn;

use super::{Core, Inputs};

/// Runs the core's loop until it has drained, on a thread of its own: no rule waits for what the
/// rest of the program does, and the end of a poll wakes this thread and no other. (Among several
/// threads of one runtime, each that is woken wakes the next one to look for more work.) And a core
/// that is stuck does not keep the web server from its sockets, which can say so. Where the system
/// gives none, on the current runtime, with a line in the log.
///
/// What the core starts belongs on the program's runtime ([`Core::runtime`]); its own one could run
/// it, too, as its last resort.
pub(crate) fn spawn(core: Core, inputs: Inputs) -> JoinHandle<()> {
    match Builder::new_current_thread().enable_all().build() {
        Ok(own) => tokio::task::spawn_blocking(move || own.block_on(core.run(inputs))),
        Err(error) => {
            warn!(%error, "there is no thread for the core alone: it shares those of the rest");
            tokio::spawn(core.run(inputs))
        }
    }
}
