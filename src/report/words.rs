//! Closed sets of other rooms, written and read as the words that metrics use.

use serde::{Deserialize, Deserializer, Serializer};

use super::level::Level;
use crate::config::Severity;
use crate::replication::PairState;

/// A pair's state as its label.
pub(super) mod state {
    use super::{Deserialize, Deserializer, PairState, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's `with` asks for a reference
    pub(in crate::report) fn serialize<S: Serializer>(
        state: &PairState,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(state.label())
    }

    /// A word of a later version reads as `unknown`: the reason beside it still says what it means,
    /// and a `check` that is older than its exporter goes on working.
    pub(in crate::report) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<PairState, D::Error> {
        let word = String::deserialize(from)?;
        Ok(PairState::ALL
            .into_iter()
            .find(|state| state.label() == word)
            .unwrap_or(PairState::Unknown))
    }
}

/// A severity as its label.
pub(super) mod severity {
    use super::{Deserialize, Deserializer, Serializer, Severity};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's `with` asks for a reference
    pub(in crate::report) fn serialize<S: Serializer>(
        severity: &Severity,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(severity.label())
    }

    /// A word of a later version reads as `critical`: too loud is safer than too quiet.
    pub(in crate::report) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Severity, D::Error> {
        let word = String::deserialize(from)?;
        Ok(if word == Severity::Warning.label() {
            Severity::Warning
        } else {
            Severity::Critical
        })
    }
}

/// A pair's state as its label, where there was one.
pub(super) mod state_if_any {
    use super::{PairState, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)] // serde's `with` asks for a reference
    pub(in crate::report) fn serialize<S: Serializer>(
        state: &Option<PairState>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match state {
            Some(state) => to.serialize_str(state.label()),
            None => to.serialize_none(),
        }
    }
}

/// A level as its label.
pub(super) mod level {
    use super::{Level, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's `with` asks for a reference
    pub(in crate::report) fn serialize<S: Serializer>(
        level: &Level,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(level.label())
    }
}
