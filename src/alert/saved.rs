//! What of the alerts outlives the process: each alert's clocks, and what each receiver was told of
//! each group.
//!
//! Records are the types of this room as JSON; an instant stands as it was on the clock of its
//! time, and is read through a [`ClockShift`]. A record that makes no sense is left out, with a
//! sentence, and monitoring goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::engine::Live;
use super::group::{Group, Member, Told};
use super::{
    AlertContext, AlertEngine, AlertGroups, AlertIdentity, AlertKey, AlertSnapshot, AlertState,
    AlertStatus, Decision, Fingerprint, GroupKey, Instance, Measured, MutedBy, Quantity,
};
use crate::config::Severity;
use crate::model::{ClockShift, Document, DocumentTable, SavedDocument, Span, Timestamp};

/// A pending clock goes on over a gap of this length at most: nobody knows what was in it.
const PENDING_GAP: Span = Span::from_secs(3600);

/// One alert.
#[derive(Debug, Serialize, Deserialize)]
struct AlertRecord {
    identity: AlertIdentity,
    instance: Instance,
    value: Measured,
    threshold: Quantity,
    peak: Option<Quantity>,
    context: AlertContext,
    decision: Option<Decision>,
    /// What kept an alert that is over from being told.
    #[serde(default, rename = "hold")]
    muted_by: Option<MutedBy>,
    /// What explained it, as long as nobody was notified.
    #[serde(default)]
    cause: Option<AlertKey>,
    /// Whether anybody was notified of it.
    #[serde(default)]
    notified: bool,
    /// When the value was read.
    as_of: Timestamp,
}

/// What one receiver was told of one group.
#[derive(Debug, Serialize, Deserialize)]
struct GroupRecord {
    receiver: String,
    group: GroupKey,
    told: Option<Told>,
    changed_at: Option<Timestamp>,
    generation: u32,
    members: Vec<MemberRecord>,
}

/// One alert of a group. As long as it fires the alert's own record says the rest.
#[derive(Debug, Serialize, Deserialize)]
struct MemberRecord {
    fingerprint: Fingerprint,
    told: Option<Severity>,
    told_flapping: bool,
    #[serde(default)]
    happened_again: bool,
    #[serde(default)]
    told_critical: bool,
    over: Option<AlertSnapshot>,
}

/// Which groups the disk knows.
#[derive(Debug, Default)]
pub(super) struct GroupsKept {
    /// Whether anything may have changed since they were last written.
    pub(super) touched: bool,
    keys: BTreeSet<String>,
}

/// An alert that was restored, and what it looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredAlert {
    /// The alert.
    pub key: AlertKey,
    /// Where it stood. Nothing of an alert that is over says anything about the present.
    pub state: AlertState,
    /// Its last value; `None` when it had none.
    pub value: Option<Quantity>,
    /// When that was read.
    pub as_of: Timestamp,
}

/// What was taken in of saved documents.
#[derive(Debug, Default, PartialEq)]
pub struct RestoredAlerts {
    /// The alerts, by key.
    pub alerts: Vec<RestoredAlert>,
    /// Sentences about documents that make no sense.
    pub refused: Vec<String>,
}

impl AlertEngine {
    /// Whether the disk knows less than this.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// What the disk has to be told: what changed since this was last asked, or everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        let changed = std::mem::take(&mut self.unsaved);
        let gone = changed
            .iter()
            .filter(|key| !all && !self.live.contains_key(key));
        let gone = gone.map(|key| Document::delete(DocumentTable::Alerts, document_key(key)));
        let kept = self
            .live
            .iter()
            .filter(|(key, _)| all || changed.contains(key));
        kept.map(|(key, live)| live.document(key))
            .chain(gone)
            .collect()
    }

    /// Takes in what was kept, except where an alert is known already: that is newer.
    pub fn restore(&mut self, documents: &[SavedDocument]) -> RestoredAlerts {
        let mut restored = RestoredAlerts::default();
        for document in documents {
            match serde_json::from_str::<AlertRecord>(&document.body) {
                Ok(record) => restored
                    .alerts
                    .extend(self.restore_one(record, &document.shift)),
                Err(why) => restored.refused.push(format!("an alert: {why}")),
            }
        }
        restored
    }

    fn restore_one(&mut self, record: AlertRecord, shift: &ClockShift) -> Option<RestoredAlert> {
        let AlertRecord {
            identity,
            mut instance,
            value,
            threshold,
            peak,
            mut context,
            decision,
            muted_by,
            cause,
            notified,
            as_of,
        } = record;
        let key = AlertKey::new(identity.rule, identity.labels);
        if self.live.contains_key(&key) {
            return None;
        }
        instance.shift(shift);
        if shift.ago > PENDING_GAP {
            instance.forget_pending();
        }
        let state = instance.standing()?.state;
        let is_over = state == AlertState::Resolved;
        context.shift(shift);
        let decision = decision.map(|decision| Decision {
            at: shift.past(decision.at),
            ..decision
        });
        // What keeps an open one quiet is asked anew.
        let muted_by = muted_by.filter(|_| is_over);
        let live = Live {
            instance,
            value,
            threshold,
            peak,
            context: Arc::new(context),
            muted_by,
            decision,
            read_at: shift.past(as_of),
            is_confirmed: false,
            cause,
            notified,
        };
        self.live.insert(key.clone(), live);
        self.unsaved.insert(key.clone());
        Some(RestoredAlert {
            key,
            state,
            value: value.best(),
            as_of: shift.past(as_of),
        })
    }
}

impl Live {
    fn document(&self, key: &AlertKey) -> Document {
        let Self {
            instance,
            value,
            threshold,
            peak,
            context,
            muted_by,
            decision,
            read_at,
            is_confirmed: _,
            cause,
            notified,
        } = self;
        let record = AlertRecord {
            identity: key.identity().clone(),
            instance: instance.clone(),
            value: *value,
            threshold: *threshold,
            peak: *peak,
            context: AlertContext::clone(context),
            decision: *decision,
            muted_by: muted_by.clone(),
            cause: cause.clone(),
            notified: *notified,
            as_of: *read_at,
        };
        Document::record(DocumentTable::Alerts, document_key(key), &record)
    }
}

impl AlertGroups {
    /// Whether the disk may know less than this.
    pub fn has_unsaved(&self) -> bool {
        self.kept.touched
    }

    /// Whether a receiver is told of this group, also when it is no longer configured.
    pub fn knows(&self, receiver: &str, group: &GroupKey) -> bool {
        self.receivers
            .iter()
            .any(|known| &*known.name == receiver && known.groups.contains_key(group))
    }

    /// What the disk has to be told: what changed since this was last asked, or everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        if !all && !std::mem::take(&mut self.kept.touched) {
            return Vec::new();
        }
        self.kept.touched = false;
        let mut documents = Vec::new();
        let mut gone = std::mem::take(&mut self.kept.keys);
        for receiver in &mut self.receivers {
            for (key, group) in &mut receiver.groups {
                let name = group_key(&receiver.name, key);
                gone.remove(&name);
                if std::mem::take(&mut group.unsaved) || all {
                    documents.push(Document::record(
                        DocumentTable::Groups,
                        &*name,
                        &group.record(&receiver.name, key),
                    ));
                }
                self.kept.keys.insert(name);
            }
        }
        documents.extend(
            gone.into_iter()
                .map(|name| Document::delete(DocumentTable::Groups, name)),
        );
        documents
    }

    /// Takes in what was kept of the groups of these receivers, and of those that are no longer
    /// configured, except where a group is known already. `known` are the alerts that fire or are
    /// recently resolved. Returns sentences about what makes no sense.
    pub fn restore(
        &mut self,
        now: Timestamp,
        documents: &[SavedDocument],
        known: &[Arc<AlertSnapshot>],
    ) -> Vec<String> {
        let alerts: BTreeMap<_, _> = known
            .iter()
            .map(|alert| (alert.fingerprint, alert))
            .collect();
        let mut refused = Vec::new();
        for document in documents {
            match serde_json::from_str::<GroupRecord>(&document.body) {
                Ok(record) => self.restore_one(record, &document.shift, &alerts),
                Err(why) => refused.push(format!("what a receiver was told: {why}")),
            }
            // Whatever becomes of it, it stands on the disk.
            self.kept.keys.insert(document.key.clone());
        }
        // A receiver that is new hears of what fires, and what explains other alerts is known
        // again.
        for alert in known
            .iter()
            .filter(|alert| alert.status == AlertStatus::Firing)
        {
            self.record(now, alert);
        }
        refused
    }

    fn restore_one(
        &mut self,
        record: GroupRecord,
        shift: &ClockShift,
        alerts: &BTreeMap<Fingerprint, &Arc<AlertSnapshot>>,
    ) {
        let (receiver, key) = (record.receiver.clone(), record.group.clone());
        let Some(mut group) = Group::restored(record, shift, alerts) else {
            return;
        };
        let receiver = self.receiver_or_retired(&receiver);
        if receiver.retired {
            group.forget_untold();
        }
        if (!receiver.retired || group.was_told()) && !receiver.groups.contains_key(&key) {
            receiver
                .member_of
                .extend(group.keys().map(|alert| (alert.clone(), key.clone())));
            receiver.groups.insert(key, group);
        }
    }
}

impl Group {
    fn record(&self, receiver: &str, key: &GroupKey) -> GroupRecord {
        let Self {
            members,
            told,
            changed_at,
            plan: _,
            planned: _,
            generation,
            unsaved: _,
        } = self;
        let members = members.iter().map(|(key, member)| {
            let over = (member.alert.status == AlertStatus::Resolved)
                .then(|| AlertSnapshot::clone(&member.alert));
            MemberRecord {
                fingerprint: key.fingerprint(),
                told: member.told,
                told_flapping: member.told_flapping,
                told_critical: member.told_critical,
                happened_again: member.happened_again,
                over,
            }
        });
        GroupRecord {
            receiver: receiver.to_owned(),
            group: key.clone(),
            told: *told,
            changed_at: *changed_at,
            generation: *generation,
            members: members.collect(),
        }
    }

    /// `None` when nobody knows any of its members any more.
    fn restored(
        record: GroupRecord,
        shift: &ClockShift,
        alerts: &BTreeMap<Fingerprint, &Arc<AlertSnapshot>>,
    ) -> Option<Self> {
        let member = |MemberRecord {
                          fingerprint,
                          told,
                          told_flapping,
                          happened_again,
                          told_critical,
                          over,
                      }: MemberRecord| {
            let alert = match over {
                Some(mut over) => {
                    over.shift(shift);
                    // It is over for good where nobody knows any more that it flaps.
                    let known = alerts.get(&fingerprint);
                    over.series = over
                        .series
                        .filter(|_| known.is_some_and(|known| known.series.is_some()));
                    Arc::new(over)
                }
                None => Arc::clone(alerts.get(&fingerprint)?),
            };
            let mut member = Member::new(&alert);
            member.told = told;
            member.told_flapping = told_flapping;
            member.told_critical = told_critical || told == Some(Severity::Critical);
            member.happened_again = happened_again;
            Some((alert.key(), member))
        };
        let members: BTreeMap<_, _> = record.members.into_iter().filter_map(member).collect();
        let told = record.told.map(|told| Told {
            at: shift.past(told.at),
            critical_at: told.critical_at.map(|at| shift.past(at)),
            ..told
        });
        (!members.is_empty()).then(|| Self {
            members,
            told,
            changed_at: record.changed_at.map(|at| shift.past(at)),
            plan: None,
            planned: false,
            generation: record.generation,
            unsaved: true,
        })
    }
}

impl AlertSnapshot {
    /// Reads its instants, which are of another clock.
    pub fn shift(&mut self, shift: &ClockShift) {
        self.started_at = shift.past(self.started_at);
        self.resolved = self.resolved.map(|(at, reason)| (shift.past(at), reason));
        if let Some(series) = &mut self.series {
            series.since = shift.past(series.since);
        }
        self.decision = self.decision.map(|decision| Decision {
            at: shift.past(decision.at),
            ..decision
        });
        Arc::make_mut(&mut self.context).shift(shift);
    }
}

/// The pair's state as a word of the closed set, which is not a copy of the word.
pub(super) mod state_label {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::replication::PairState;

    #[allow(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        clippy::ref_option_ref,
        reason = "the signature that serde asks for"
    )]
    pub(in crate::alert) fn serialize<S: Serializer>(
        label: &Option<super::super::Word>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        label.serialize(serializer)
    }

    pub(in crate::alert) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<&'static str>, D::Error> {
        let label = Option::<String>::deserialize(deserializer)?;
        Ok(label.and_then(|label| {
            PairState::ALL
                .iter()
                .map(|state| state.label())
                .find(|known| *known == label)
        }))
    }
}

/// Why a poll failed, as the word of its metric. A word of another version is unknown.
pub(super) mod poll_error {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::PollError;

    #[allow(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        clippy::ref_option_ref,
        reason = "the signature that serde asks for"
    )]
    pub(in crate::alert) fn serialize<S: Serializer>(
        error: &Option<PollError>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        error.map(PollError::label).serialize(serializer)
    }

    pub(in crate::alert) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PollError>, D::Error> {
        let label = Option::<String>::deserialize(deserializer)?;
        let known = |label: &String| PollError::ALL.into_iter().find(|e| e.label() == label);
        Ok(label.as_ref().and_then(known))
    }
}

/// The alert's key on the disk: its identity in one line, so that two alerts never share one.
fn document_key(key: &AlertKey) -> String {
    let identity = key.identity();
    let labels: Vec<_> = identity
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{}{{{}}}", identity.rule.alert_name(), labels.join(","))
}

fn group_key(receiver: &str, group: &GroupKey) -> String {
    format!("{receiver:?}/{}", group.text())
}
