//! Operations: a planned switch-over, in one place or in two halves, a failover after a disaster,
//! and the return of the old datacenter. What is *done*, as opposed to the failovers that the
//! monitor *observes*.
//!
//! **Invariant:** pure. The executor (`app/operation`) asks the servers, hands the answers in as a
//! [`World`], and asks [`Run::next`] what to do; every order goes through it, in the first run,
//! after `--resume` and during a rollback alike. It judges by what the servers say now. The journal
//! gives the intent and what was proved before, never the state.
//!
//! The order of a planned switch-over is what makes it safe: the old master is demoted first, and
//! only then is the target promoted. So a controller that dies leaves one master or none, never
//! two.

mod addr_text;
mod disaster;
mod drill;
mod ending;
mod evidence;
mod goal;
mod hand_over;
mod hook_names;
mod hooks;
mod intent;
mod journal;
mod loss;
mod next;
mod notice;
mod order;
mod overrides;
mod plan;
mod preflight;
mod progress;
mod refusal;
mod rejoin;
mod report;
mod run;
mod sentinel;
mod sentinel_proofs;
mod settle;
mod situation;
mod switch_over;
mod take_over;
#[allow(
    clippy::semicolon_if_nothing_returned,
    reason = "tables of closures with one assignment"
)]
#[cfg(test)]
mod tests;
mod token;
mod unshared;
mod view;
mod wanted;
mod watch;

pub use drill::{DrillKind, DrillPart, DrillReport};
pub use ending::{Ending, Outcome};
pub use evidence::{DeathEvidence, Verdict, Witness};
pub use goal::Goal;
pub use hook_names::{HookNames, HookStage};
pub use intent::{Intent, Limits, OperationKind, Party};
pub use journal::{Entry, Journal, JournalError, Record, decode, encode};
pub use loss::{ExporterKnows, Loss};
pub use notice::{
    MAX_NOTICE_ID, MAX_NOTICE_TEXT, NOTICE_EVERY, NOTICE_LEASE, NoticeState, OperationNotice,
};
pub use order::{Order, OrderError, OrderResult};
pub use overrides::{Discard, Overrides};
pub use plan::{Plan, fingerprint};
pub use preflight::{Assessment, Preflight, TOO_SOON, choose_target};
pub use refusal::{Refusal, RefusalName};
pub use report::{Measured, OperationReport, StepReport};
pub use run::{Act, Run};
pub use sentinel::{over_sentinels, without_priority};
pub use situation::Situation;
pub use token::Token;
pub use unshared::{Copied, SavedWrites, UNKNOWN_BYTES, Unshared};
pub use view::{EqualOffsets, ListedReplica, Load, Said, ServerView, UpstreamView, World};
pub use wanted::Wanted;
pub use watch::{PriorityChange, SentinelIntent, SentinelSaid, SentinelView};
