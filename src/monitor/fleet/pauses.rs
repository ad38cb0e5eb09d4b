//! What a pause of the exporter leaves open.

use super::Fleet;
use crate::replication::Pause;

impl Fleet {
    /// Takes in that the exporter was paused: nothing is known until the next polls, and no time of
    /// the pause counts for anything.
    pub(in crate::monitor) fn note_pause(&mut self, pause: Pause) {
        for server in self.servers.values_mut() {
            server.facts.note_pause(pause);
        }
        for pair in &mut self.pairs {
            // What was unknown for so long before is unknown for as long after it.
            let known = pair.since().known;
            let reason = format!("the exporter was paused for {}", pause.length());
            pair.chart.note_absence(pause.from, &reason);
            pair.watched_since = pair.watched_since.max(known + pause.after(known));
        }
    }
}
