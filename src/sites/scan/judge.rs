//! How one key differs, from the source to the target.

use super::followed::{Differing, Seen};
use super::look::RegisterLook;
use super::plan::KeyKind;
use crate::active_active::{Counter, Difference, Direction, Judgement, Sighting, Stored, compare};
use crate::model::Span;
use crate::sites::class::CheckedClass;

/// How near to its expiry a key is no longer compared, in seconds.
const EXPIRY_MARGIN: f64 = 1.0;

/// How a register differs.
pub(super) struct RegisterVerdict {
    /// The class of one that does not.
    pub(super) class: CheckedClass,
    /// The class of one that does.
    pub(super) difference: Option<CheckedClass>,
}

/// By what the registers of a look are judged: the earlier one of the two clocks.
pub(super) fn judgement(look: &RegisterLook, max_ahead: Span) -> Judgement {
    Judgement {
        now: look.source_now.min(look.target_now),
        expiry_margin: EXPIRY_MARGIN,
        max_ahead: max_ahead.as_secs_f64(),
    }
}

/// Whether the target lacks what the source holds. What the target has more of is the other
/// direction's.
pub(super) fn register_verdict(source: &Stored, target: &Stored, by: Judgement) -> RegisterVerdict {
    let found = compare(source, target, by);
    let found = found.filter(|found| found.direction == Direction::FirstToSecond);
    match found.map(|found| found.difference) {
        None => RegisterVerdict {
            class: CheckedClass::Equal,
            difference: None,
        },
        Some(Difference::Expiring) => RegisterVerdict {
            class: CheckedClass::Expiring,
            difference: None,
        },
        Some(difference) => RegisterVerdict {
            class: difference.into(),
            difference: Some(difference.into()),
        },
    }
}

/// How a counter differs.
pub(super) enum CounterVerdict {
    /// The target has everything that the source has.
    Agrees,
    /// It does not.
    Differs {
        /// How.
        class: CheckedClass,
        /// Whether no second look is needed.
        is_certain: bool,
        /// What the target lacks; `None` if that is too long to be remembered.
        seen: Option<Seen>,
    },
}

/// Whether the target, whose datacenter is `home`, lacks what the source's counter has.
///
/// The source is read first. So a field of the target's own that has less at the target than the
/// source remembered has gone back for certain: only the target counts in it.
pub(super) fn counter_verdict(source: &Counter, target: &Counter, home: &str) -> CounterVerdict {
    if target.regressed_field(home, source).is_some() {
        return CounterVerdict::Differs {
            class: CheckedClass::RegressedCounter,
            is_certain: true,
            seen: Seen::counter(source, target),
        };
    }
    if source.missing_at(target).next().is_some() {
        return CounterVerdict::Differs {
            class: CheckedClass::Counter,
            is_certain: false,
            seen: Seen::counter(source, target),
        };
    }
    if !source.malformed().is_empty() {
        return CounterVerdict::Differs {
            class: CheckedClass::Malformed,
            is_certain: true,
            seen: Some(Seen::Counter(Vec::new())),
        };
    }
    CounterVerdict::Agrees
}

/// A key that is no counter at one of the sites.
pub(super) fn unread_verdict(class: CheckedClass, leg: Option<usize>) -> Differing {
    Differing {
        kind: KeyKind::Counter,
        seen: Seen::Register {
            sighting: Sighting::from_stored(&Stored::WrongType),
            stamp: None,
        },
        class,
        is_settled: false,
        source_now: None,
        leg,
    }
}
