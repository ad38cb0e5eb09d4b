//! Whether a master is dead: who says what, and what that proves.

use serde::{Deserialize, Serialize};

use super::view::{Said, ServerView};
use super::watch::SentinelView;
use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// What one vantage point says about a master.
    pub enum Verdict {
        /// It hears it.
        Alive => "alive",
        /// It tried and does not hear it.
        Dead => "dead",
        /// It cannot tell.
        Unclear => "unclear",
    }
}

serde_as_label!(Verdict);

/// One vantage point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Who.
    pub who: String,
    /// What it says, as a sentence without a full stop.
    pub what: String,
    /// What that means.
    pub verdict: Verdict,
}

/// What all vantage points say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathEvidence {
    /// One by one.
    pub witnesses: Vec<Witness>,
}

/// How many have to see that it is dead.
const ENOUGH: usize = 2;

impl Witness {
    /// A replica of the master, asked twice with some time in between: its link, and whether
    /// anything arrived meanwhile. A link that is up proves nothing for `repl-timeout`.
    pub fn replica(first: &ServerView, second: &ServerView) -> Option<Self> {
        let who = format!("replica {}", second.name());
        let earlier = first.said()?;
        let now = second.said()?;
        let link = now.upstream.as_ref()?;
        let received = earlier
            .upstream
            .as_ref()
            .map(|link| (link.last_io, link.applied));
        let has_moved = earlier.applied() < now.applied();
        let sync_read = |said: &Said| said.upstream.as_ref().and_then(|link| link.sync_read);
        let (verdict, what) = if link.syncing && sync_read(now) > sync_read(earlier) {
            // Until it is loaded, INFO says that the link is down.
            let what = "it receives a full sync from the master, which arrives just now";
            (Verdict::Alive, what.to_owned())
        } else if link.syncing {
            let what = "it receives a full sync, of which nothing arrived just now";
            (Verdict::Unclear, what.to_owned())
        } else if !link.is_up {
            (Verdict::Dead, "its link to the master is down".to_owned())
        } else if has_moved {
            let bytes = now.applied() - earlier.applied();
            (
                Verdict::Alive,
                format!("{bytes} bytes of the master's stream arrived just now"),
            )
        } else {
            let idle = received.and_then(|(idle, _)| idle);
            let idle =
                idle.map_or_else(String::new, |idle| format!(", and nothing came for {idle}"));
            (
                Verdict::Unclear,
                format!("its link is open{idle}: that proves nothing"),
            )
        };
        Some(Self { who, what, verdict })
    }
}

impl Witness {
    /// A Sentinel that watches the master.
    pub fn sentinel(view: &SentinelView) -> Self {
        let (verdict, what) = match &view.said {
            Err(why) => (Verdict::Unclear, format!("it does not answer: {why}")),
            Ok(said) if said.tilted == Some(true) => {
                (Verdict::Unclear, "it is in TILT mode".to_owned())
            }
            Ok(said) if said.is_down => (Verdict::Dead, "it takes the master for down".to_owned()),
            Ok(said) => {
                let after = said.down_after.map_or_else(String::new, |after| {
                    format!(", which it would after {after} of silence")
                });
                (
                    Verdict::Alive,
                    format!("it does not take the master for down{after}"),
                )
            }
        };
        Self {
            who: format!("the Sentinel {}", view.addr),
            what,
            verdict,
        }
    }
}

impl DeathEvidence {
    /// Who hears the master.
    pub fn alive(&self) -> Vec<&Witness> {
        let hears = |witness: &&Witness| witness.verdict == Verdict::Alive;
        self.witnesses.iter().filter(hears).collect()
    }

    /// Whether enough vantage points see that it is dead, and none hears it.
    pub fn is_proof(&self) -> bool {
        let dead = |witness: &&Witness| witness.verdict == Verdict::Dead;
        self.alive().is_empty() && self.witnesses.iter().filter(dead).count() >= ENOUGH
    }

    /// All of them in one line.
    pub fn line(&self) -> String {
        let each =
            |witness: &Witness| format!("{}: {} ({})", witness.who, witness.verdict, witness.what);
        let lines: Vec<_> = self.witnesses.iter().map(each).collect();
        lines.join("; ")
    }
}
