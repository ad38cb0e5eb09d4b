//! Groups in the state file: what each receiver was last notified of, one document per group.
//!
//! A record is JSON. Its instants are those of the clock that wrote it, and are mapped through a
//! [`ClockShift`]. A record that cannot be read is left out with a sentence, and monitoring goes
//! on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AlertGroups;
use super::group::Group;
use super::member::GroupMember;
use super::plan::NotifiedState;
use super::receiver::ReceiverGroups;
use crate::alert::{AlertSnapshot, AlertStatus, Fingerprint, GroupKey};
use crate::config::Severity;
use crate::model::{ClockShift, Document, DocumentTable, SavedDocument, Timestamp};

/// The alerts that are known, by fingerprint.
type KnownAlerts<'a> = BTreeMap<Fingerprint, &'a Arc<AlertSnapshot>>;

/// What one receiver was last notified of one group.
#[derive(Debug, Serialize, Deserialize)]
struct GroupRecord {
    receiver: String,
    group: GroupKey,
    #[serde(rename = "told")]
    last: Option<NotifiedState>,
    changed_at: Option<Timestamp>,
    generation: u32,
    members: Vec<MemberRecord>,
}

/// One alert of a group. While it fires, the alert's own record has the rest.
#[derive(Debug, Serialize, Deserialize)]
struct MemberRecord {
    fingerprint: Fingerprint,
    #[serde(rename = "told")]
    notified: Option<Severity>,
    #[serde(rename = "told_flapping")]
    notified_flapping: bool,
    #[serde(default)]
    happened_again: bool,
    #[serde(default, rename = "told_critical")]
    notified_critical: bool,
    over: Option<AlertSnapshot>,
}

impl AlertGroups {
    /// Whether a group may differ from the state file.
    pub fn has_unsaved(&self) -> bool {
        self.touched
    }

    /// The documents that changed since the last call, or `all` of them.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        let touched = std::mem::take(&mut self.touched);
        if !all && !touched {
            return Vec::new();
        }
        let mut documents = Vec::new();
        let mut keys = BTreeSet::new();
        for receiver in &mut self.receivers {
            for (group_key, group) in &mut receiver.groups {
                let key = document_key(&receiver.name, group_key);
                let unsaved = std::mem::take(&mut group.unsaved);
                if unsaved || all {
                    let record = group.to_record(&receiver.name, group_key);
                    documents.push(Document::record(DocumentTable::Groups, &*key, &record));
                }
                keys.insert(key);
            }
        }
        for gone in self.saved_keys.difference(&keys) {
            documents.push(Document::delete(DocumentTable::Groups, &**gone));
        }
        self.saved_keys = keys;
        documents
    }

    /// Restores the saved groups of the configured receivers, and of those that are no longer
    /// configured, except groups that exist already. `known` are the alerts that fire or resolved
    /// recently. Returns one sentence about each document that could not be read.
    pub fn restore(
        &mut self,
        now: Timestamp,
        documents: &[SavedDocument],
        known: &[Arc<AlertSnapshot>],
    ) -> Vec<String> {
        let mut alerts = KnownAlerts::new();
        for alert in known {
            alerts.insert(alert.fingerprint, alert);
        }
        let mut refused = Vec::new();
        for document in documents {
            match serde_json::from_str::<GroupRecord>(&document.body) {
                Ok(record) => self.restore_one(record, &document.shift, &alerts),
                Err(why) => refused.push(format!("the notifications of a receiver: {why}")),
            }
            // Restored or not, the document is in the file.
            self.saved_keys.insert(document.key.clone());
        }
        // A new receiver is notified of everything that fires, and inhibitors are known again.
        for alert in known {
            if alert.status == AlertStatus::Firing {
                self.record(now, alert);
            }
        }
        refused
    }

    fn restore_one(&mut self, record: GroupRecord, shift: &ClockShift, alerts: &KnownAlerts<'_>) {
        let mut receivers = self.receivers.iter_mut();
        let known = receivers.find(|receiver| *receiver.name == record.receiver);
        if let Some(receiver) = known {
            receiver.restore(record, shift, alerts);
            return;
        }
        let mut retired = ReceiverGroups::retired(&record.receiver);
        retired.restore(record, shift, alerts);
        self.receivers.push(retired);
    }
}

impl ReceiverGroups {
    fn restore(&mut self, record: GroupRecord, shift: &ClockShift, alerts: &KnownAlerts<'_>) {
        let key = record.group.clone();
        let Some(mut group) = Group::from_record(record, shift, alerts) else {
            return;
        };
        if self.retired {
            group.drop_unnotified();
        }
        let is_wanted = !self.retired || group.was_notified();
        if is_wanted && !self.groups.contains_key(&key) {
            self.insert_group(key, group);
        }
    }
}

impl Group {
    fn to_record(&self, receiver: &str, key: &GroupKey) -> GroupRecord {
        let Self {
            members,
            last,
            changed_at,
            plan: _,
            is_planned: _,
            generation,
            unsaved: _,
        } = self;
        let mut records = Vec::new();
        for (key, member) in members {
            let is_over = member.alert.status == AlertStatus::Resolved;
            records.push(MemberRecord {
                fingerprint: key.fingerprint(),
                notified: member.notified,
                notified_flapping: member.notified_flapping,
                notified_critical: member.notified_critical,
                happened_again: member.happened_again,
                over: is_over.then(|| AlertSnapshot::clone(&member.alert)),
            });
        }
        GroupRecord {
            receiver: receiver.to_owned(),
            group: key.clone(),
            last: *last,
            changed_at: *changed_at,
            generation: *generation,
            members: records,
        }
    }

    /// `None` when none of its members is known any more.
    fn from_record(
        record: GroupRecord,
        shift: &ClockShift,
        alerts: &KnownAlerts<'_>,
    ) -> Option<Self> {
        let mut members = BTreeMap::new();
        for member in record.members {
            if let Some(member) = GroupMember::from_record(member, shift, alerts) {
                members.insert(member.alert.key(), member);
            }
        }
        if members.is_empty() {
            return None;
        }
        let mut last = record.last;
        if let Some(last) = &mut last {
            last.at = shift.past(last.at);
            last.critical_at = last.critical_at.map(|at| shift.past(at));
        }
        Some(Self {
            members,
            last,
            changed_at: record.changed_at.map(|at| shift.past(at)),
            plan: None,
            is_planned: false,
            generation: record.generation,
            unsaved: true,
        })
    }
}

impl GroupMember {
    fn from_record(
        record: MemberRecord,
        shift: &ClockShift,
        alerts: &KnownAlerts<'_>,
    ) -> Option<Self> {
        let known = alerts.get(&record.fingerprint);
        let alert = match record.over {
            Some(mut ended) => {
                ended.shift(shift);
                // It has ended for good unless it is still known to flap.
                let flaps = known.is_some_and(|known| known.series.is_some());
                if !flaps {
                    ended.series = None;
                }
                Arc::new(ended)
            }
            None => Arc::clone(known?),
        };
        let was_critical = record.notified == Some(Severity::Critical);
        let mut member = Self::new(&alert);
        member.notified = record.notified;
        member.notified_flapping = record.notified_flapping;
        member.notified_critical = record.notified_critical || was_critical;
        member.happened_again = record.happened_again;
        Some(member)
    }
}

fn document_key(receiver: &str, group: &GroupKey) -> String {
    format!("{receiver:?}/{}", group.text())
}
