//! What is known of active-active sites: their queues and clocks, and which keys differ between
//! two of them. Pure; the room `site_watch` asks the sites, and the monitor owns what comes of it.
//!
//! * [`DirectionScan`] says which keys to read next, and what their difference means: a rolling
//!   scan that begins again at its end, with a second look at whatever differs.
//! * [`ClockTracker`] bounds how far a server's clock is from ours, and so two servers' from each
//!   other.
//! * [`ProbeRecord`] is how long writes took.
//! * [`QueueReading`] is what waits in a site's queue, and since when.
//!
//! docs/active-active.md says what each of it proves, and what it does not.

mod class;
mod clock_skew;
mod event;
mod fault;
mod pace;
mod probe;
mod reading;
mod scan;
mod status;

pub use class::CheckedClass;
pub use clock_skew::{ClockSample, ClockSkew, ClockTracker, OffsetInterval};
pub use event::{SiteEvent, SiteEventKind};
pub use fault::{SiteFault, SiteFaultReason};
pub use pace::Pace;
pub use probe::{
    GIVEN_UP_AFTER, KeyUnderWay, LONGEST_QUEUE, PROBE_EVERY, PROBE_LIVES, ProbeBackoff, ProbeNews,
    ProbePath, ProbeRecord, probe_key,
};
pub use reading::{NoAge, QueueReading, ServerWords, SiteReading, SiteRisk, queue_age};
pub use scan::{
    BATCH, CounterLook, DirectionScan, KeyKind, LookStep, RegisterLook, ScanPlan, ScanStep,
    Scanned, Step,
};
pub use status::{Counted, DifferingKey, DirectionStatus, LastPass, PassProgress};
