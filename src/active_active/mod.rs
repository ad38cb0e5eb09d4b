//! The rules of active-active sites: what every site agrees on without asking the others. Pure; the
//! room `multi_site` carries them out.
//!
//! * A register is an [`Envelope`] under its key. Of two, the newer one by their order stays:
//!   stamp, then datacenter, then all bytes. Stamps are taken from the clock of the site's server,
//!   and never before what is stored ([`Stamp::of_write`]).
//! * A counter is a hash with two fields a datacenter ([`Counter`]).
//! * What a site has written waits in a queue ([`QueueItem`]) until the other site has it; a
//!   [`Batch`] of it is peeked, applied and only then taken from the queue.
//! * Two sites differ for good when one still lacks a version that the other one had a while ago
//!   ([`compare`], [`Sighting`]).
//!
//! The format is that of a tutorial for active-active on open-source Redis, to the byte;
//! docs/active-active.md has it.

mod batch;
mod bound;
mod counter;
mod difference;
mod envelope;
mod error;
mod exchange;
mod item;
mod json;
mod python;
mod script;
mod site;
mod stamp;

pub use batch::{Acknowledged, Batch, Fate};
pub use bound::{lower_share, upper_share, upper_share_at};
pub use counter::{CountSign, Counter, LARGEST_COUNT, MAX_FIELDS, own_field};
pub use difference::{Difference, Direction, Finding, Judgement, Sighting, Stored, compare};
pub use envelope::{Draft, Envelope, MAX_ENVELOPE, Version};
pub use error::{Malformed, SiteError};
pub use exchange::{Exchange, WireReply};
pub use item::{QueueItem, Rejection, overflow_key, rejected_list, rejected_record};
pub use script::{Script, ScriptCall, ScriptForm};
pub use site::{
    Amount, ApplyLimits, ApplyOutcome, IncrementOutcome, Page, Reply, Request, SetOutcome, Site,
};
pub use stamp::Stamp;
