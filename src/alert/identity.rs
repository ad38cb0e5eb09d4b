//! What an alert is about: its rule and the labels of its target.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Rule;
use crate::model::stable_hash;

/// Labels, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// What an alert is about. Neither severity nor value is part of it, so that an alert that becomes
/// critical is still the same alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertIdentity {
    /// The rule that the alert belongs to.
    pub rule: Rule,
    /// The target's identity labels: `pair, source_dc, target_dc, replica`, or `dc, server`, or
    /// `pair, dc`, or `pair`, or `name, source_dc, target_dc`, or `receiver`, or none.
    pub labels: Arc<Labels>,
}

/// An identity with its fingerprint: the key of an alert in evaluations, groups and look-ups.
///
/// Callers build it once per target and rule and keep it, so that no evaluation hashes labels.
/// Ordered by fingerprint, then by identity: most comparisons are those of two numbers, and still
/// exact when two fingerprints collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertKey {
    fingerprint: Fingerprint,
    identity: AlertIdentity,
}

/// A stable hash of an identity: the same after every restart and on every exporter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

impl AlertIdentity {
    /// The stable hash of the alert's name and its sorted labels.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut texts = vec![self.rule.alert_name()];
        for (name, value) in &*self.labels {
            texts.push(name);
            texts.push(value);
        }
        Fingerprint(stable_hash(texts))
    }
}

impl AlertKey {
    /// The key of the alert of `rule` for the target with these identity labels.
    pub fn new(rule: Rule, labels: Arc<Labels>) -> Self {
        Self::from(AlertIdentity { rule, labels })
    }

    /// The key of an identity whose fingerprint is known.
    pub(super) const fn from_parts(fingerprint: Fingerprint, identity: AlertIdentity) -> Self {
        Self {
            fingerprint,
            identity,
        }
    }

    /// The rule and the target's labels.
    pub const fn identity(&self) -> &AlertIdentity {
        &self.identity
    }

    /// The identity's hash.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl From<AlertIdentity> for AlertKey {
    fn from(identity: AlertIdentity) -> Self {
        Self {
            fingerprint: identity.fingerprint(),
            identity,
        }
    }
}

/// The label `name` of a target; empty where it has none. Identity labels take precedence over
/// configured ones.
pub(super) fn label_of<'a>(labels: &'a Labels, extra: &'a Labels, name: &str) -> &'a str {
    let value = labels.get(name).or_else(|| extra.get(name));
    value.map_or("", String::as_str)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
