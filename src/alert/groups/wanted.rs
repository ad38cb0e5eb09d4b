//! Which alerts a receiver is notified of, by its settings alone.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use crate::alert::{AlertSnapshot, AlertStatus, Rule};
use crate::config::ReceiverSettings;

/// Whether a receiver with these settings is to be notified that the alert fires.
pub fn wants(receiver: &ReceiverSettings, alert: &AlertSnapshot) -> bool {
    alert.status == AlertStatus::Firing
        && alert.severity >= receiver.min_severity
        && fits(&receiver.name, &receiver.matchers, alert)
}

/// Whether the labels of the alert fit a receiver's matchers. A receiver is not notified of its own
/// failures: the others are.
pub(super) fn fits(
    receiver: &str,
    matchers: &BTreeMap<String, WildMatch>,
    alert: &AlertSnapshot,
) -> bool {
    let is_failure = alert.identity.rule == Rule::ReceiverFailing;
    if is_failure && alert.label("receiver") == receiver {
        return false;
    }
    let mut matchers = matchers.iter();
    matchers.all(|(label, glob)| glob.matches(alert.label(label)))
}
