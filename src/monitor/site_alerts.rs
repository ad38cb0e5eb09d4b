//! What the rules about active-active sites read, and what their alerts say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::labels::sites_labels;
use super::sites::{ActiveActiveSnapshot, ClockSnapshot, DirectionSnapshot, SiteSnapshot};
use crate::alert::{AlertContext, AlertKey, Reading, Rule, RuleInput};
use crate::config::{AlertSettings, LevelRule, LevelThreshold, Settings};
use crate::model::{Datacenter, PairName, Span, Timestamp};
use crate::sites::{ClockSkew, DirectionStatus, QueueReading};
use crate::topology::monitored_sites;

/// One that differs for good is a warning, once it has for five minutes: a drain may be under way.
const DIVERGED_RULE: LevelRule<u64> = one_is_a_warning(Span::from_secs(300));

/// Lost increments are a warning at once: each further one makes them harder to find.
const REGRESSED_RULE: LevelRule<u64> = one_is_a_warning(Span::ZERO);

/// Sites of which nothing is learned.
const UNKNOWN_RULE: LevelRule<Span> = LevelRule {
    warning: Some(LevelThreshold {
        at: UNKNOWN_AFTER,
        clear_below: UNKNOWN_AFTER,
    }),
    critical: None,
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

const UNKNOWN_AFTER: Span = Span::from_secs(300);

/// An item that has waited for so long is a warning, whatever the queue's length.
const OLD_WARNING: Span = Span::from_secs(300);

/// An item that has waited for so long is critical.
const OLD_CRITICAL: Span = Span::from_secs(3600);

const fn one_is_a_warning(pending_for: Span) -> LevelRule<u64> {
    LevelRule {
        warning: Some(LevelThreshold {
            at: 1,
            clear_below: 1,
        }),
        critical: None,
        pending_for,
        keep_firing_for: Span::ZERO,
    }
}

/// A direction between two sites of an entry.
type Way = (PairName, Datacenter, Datacenter);

/// The keys of the alerts about every direction that is monitored.
#[derive(Debug, Default)]
pub(super) struct SitesKeys(BTreeMap<Way, DirectionKeys>);

/// The keys of the alerts about one direction.
#[derive(Debug)]
struct DirectionKeys {
    queue: AlertKey,
    diverged: AlertKey,
    regressed: AlertKey,
    unknown: AlertKey,
    skew: AlertKey,
}

/// What one rule reads.
pub(super) struct SitesReading {
    pub(super) key: AlertKey,
    pub(super) value: SitesValue,
    /// What is so, as a sentence without its end; `None` where nothing is wrong.
    reason: Option<String>,
    /// Since when, where that is known.
    since: Option<Timestamp>,
}

/// A value with the rule that judges it.
pub(super) enum SitesValue {
    Count(LevelRule<u64>, Reading<u64>),
    Seconds(LevelRule<Span>, Reading<Span>),
}

impl SitesReading {
    pub(super) const fn input(&self) -> RuleInput<'_> {
        match &self.value {
            SitesValue::Count(rule, reading) => RuleInput::Count {
                rule,
                reading: *reading,
            },
            SitesValue::Seconds(rule, reading) => RuleInput::Seconds {
                rule,
                reading: *reading,
            },
        }
    }

    pub(super) fn context(&self) -> Arc<AlertContext> {
        Arc::new(AlertContext {
            reason: self.reason.clone(),
            fault_since: self.since,
            ..AlertContext::default()
        })
    }
}

impl SitesKeys {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut keys = BTreeMap::new();
        for entry in monitored_sites(settings) {
            let dcs: Vec<_> = entry.sites.iter().filter_map(|s| s.dc.clone()).collect();
            for source in &dcs {
                for target in dcs.iter().filter(|target| *target != source) {
                    let way = (entry.name.clone(), source.clone(), target.clone());
                    let own = DirectionKeys::new(&way);
                    keys.insert(way, own);
                }
            }
        }
        Self(keys)
    }

    /// Every key.
    pub(super) fn all(&self) -> impl Iterator<Item = &AlertKey> {
        self.0.values().flat_map(DirectionKeys::all)
    }

    /// One key of each direction: its labels are those of the others.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &AlertKey> {
        self.0.values().map(|keys| &keys.unknown)
    }

    /// What every rule about the sites of `entry` reads at `now`.
    pub(super) fn readings(
        &self,
        entry: &ActiveActiveSnapshot,
        rules: &AlertSettings,
        now: Timestamp,
    ) -> Vec<SitesReading> {
        let mut readings = Vec::new();
        for direction in &entry.directions {
            let source = &direction.source;
            let target = &direction.target;
            let way = (entry.name.clone(), source.clone(), target.clone());
            let Some(keys) = self.0.get(&way) else {
                continue;
            };
            let site = entry.sites.iter().find(|site| site.dc == *source);
            let site = site.filter(|site| site.queue_to.as_ref() == Some(target));
            readings.push(diverged(keys, direction, now));
            readings.push(regressed(keys, direction, now));
            readings.push(unknown(keys, direction, site, entry.since, now));
            if let Some(site) = site {
                readings.push(queue(keys, site, rules, now));
            }
            let clocks = entry.clocks.iter();
            let clock = clocks
                .clone()
                .find(|clock| clock.source == *source && clock.target == *target);
            if let Some(clock) = clock {
                readings.push(skew(keys, entry, clock, rules, now));
            }
        }
        readings
    }
}

impl DirectionKeys {
    fn new((name, source, target): &Way) -> Self {
        let labels = Arc::new(sites_labels(name, source, target));
        let key = |rule| AlertKey::new(rule, Arc::clone(&labels));
        Self {
            queue: key(Rule::SyncQueue),
            diverged: key(Rule::SitesDiverged),
            regressed: key(Rule::CounterRegressed),
            unknown: key(Rule::SitesUnknown),
            skew: key(Rule::ClockSkew),
        }
    }

    fn all(&self) -> [&AlertKey; 5] {
        [
            &self.queue,
            &self.diverged,
            &self.regressed,
            &self.unknown,
            &self.skew,
        ]
    }
}

/// Keys and counters that differ for good: those that were seen, not an estimate.
fn diverged(keys: &DirectionKeys, direction: &DirectionSnapshot, now: Timestamp) -> SitesReading {
    let status = direction.fresh(now);
    let seen = status.map(|status| status.keys.seen + status.counters.seen);
    let reason = status.filter(|_| seen > Some(0)).map(|status| {
        let DirectionSnapshot { source, target, .. } = direction;
        let parts = parts(status);
        format!("{source} has versions that {target} lacks for good: {parts}")
    });
    SitesReading {
        key: keys.diverged.clone(),
        value: SitesValue::Count(DIVERGED_RULE, count_if_known(seen)),
        reason,
        since: None,
    }
}

/// What differs: `12 newer, 3 missing`.
fn parts(status: &DirectionStatus) -> String {
    let mut parts = Vec::new();
    for (class, count) in &status.settled {
        parts.push(format!("{count} {class}"));
    }
    parts.join(", ")
}

fn regressed(keys: &DirectionKeys, direction: &DirectionSnapshot, now: Timestamp) -> SitesReading {
    let status = direction.fresh(now);
    // None found is nothing known before all were looked at.
    let known = status.filter(|status| status.regressed > 0 || status.counters.counted.is_some());
    let count = known.map(|status| status.regressed);
    let reason = count.filter(|count| *count > 0).map(|count| {
        let DirectionSnapshot { source, target, .. } = direction;
        format!(
            "{target} has less in its own field of {count} counters than {source} remembers: it has lost increments"
        )
    });
    SitesReading {
        key: keys.regressed.clone(),
        value: SitesValue::Count(REGRESSED_RULE, count_if_known(count)),
        reason,
        since: None,
    }
}

/// For how long nothing has been learned of a direction or of the queue that leads along it.
fn unknown(
    keys: &DirectionKeys,
    direction: &DirectionSnapshot,
    site: Option<&SiteSnapshot>,
    watched_since: Timestamp,
    now: Timestamp,
) -> SitesReading {
    let looked = direction.status.as_ref().map(|(at, _)| *at);
    let read = site.map(|site| site.reading.as_ref().map(|(at, _)| *at));
    let is_fresh =
        direction.fresh(now).is_some() && site.is_none_or(|site| site.fresh(now).is_some());
    let oldest = match read {
        Some(read) => looked.min(read),
        None => looked,
    };
    let since = oldest.unwrap_or(watched_since).max(watched_since);
    let lasts = (now - since).or_zero();
    let reading = match oldest {
        _ if is_fresh => Reading::exact(Span::ZERO),
        Some(_) => Reading::exact(lasts),
        // What was so before this process is not over.
        None => Reading {
            lower: Some(lasts),
            ..Reading::NO_DATA
        },
    };
    let why = direction.why_unknown(now);
    let why = why.or_else(|| site.and_then(|site| site.why_unknown(now)));
    SitesReading {
        key: keys.unknown.clone(),
        value: SitesValue::Seconds(UNKNOWN_RULE, reading),
        reason: why.map(|why| format!("nothing is known of what differs or waits: {why}")),
        since: (!is_fresh).then_some(since),
    }
}

/// The items that wait. An old one, one that was set aside and a queue that was full are alerts
/// whatever the length: then every length is at the level.
fn queue(
    keys: &DirectionKeys,
    site: &SiteSnapshot,
    rules: &AlertSettings,
    now: Timestamp,
) -> SitesReading {
    let queue = site.fresh(now).and_then(|reading| reading.queue);
    let rule = queue.map_or(rules.sync_queue, |queue| {
        queue_rule(queue, rules.sync_queue)
    });
    let length = queue.map(|queue| queue.length);
    SitesReading {
        key: keys.queue.clone(),
        value: SitesValue::Count(rule, count_if_known(length)),
        reason: queue.map(|queue| queue_words(&site.dc, queue)),
        since: queue.and_then(|queue| Some(now - queue.oldest.ok()?)),
    }
}

/// The rule that a queue like this is judged by. A level that is off stays off.
fn queue_rule(queue: QueueReading, mut rule: LevelRule<u64>) -> LevelRule<u64> {
    let any = LevelThreshold {
        at: 0,
        clear_below: 0,
    };
    let age = queue.oldest.unwrap_or(Span::ZERO);
    if age >= OLD_WARNING || queue.rejected > 0 || queue.has_overflowed {
        rule.warning = rule.warning.map(|_| any);
    }
    if age >= OLD_CRITICAL {
        rule.critical = rule.critical.map(|_| any);
    }
    rule
}

fn queue_words(dc: &Datacenter, queue: QueueReading) -> String {
    let mut parts = vec![format!("{} items wait in the queue of {dc}", queue.length)];
    match queue.oldest {
        Ok(age) if queue.length > 0 => {
            let least = age.shown_at_least();
            parts.push(format!("the oldest for at least {least}"));
        }
        Ok(_) => {}
        Err(why) => parts.push(why.sentence().to_owned()),
    }
    if queue.rejected > 0 {
        parts.push(format!("{} were set aside", queue.rejected));
    }
    if queue.has_overflowed {
        parts.push("it was full, and not every write was queued".to_owned());
    }
    parts.join("; ")
}

/// How far the clocks are apart for certain, or versions ahead of the clock of a server.
fn skew(
    keys: &DirectionKeys,
    entry: &ActiveActiveSnapshot,
    clock: &ClockSnapshot,
    rules: &AlertSettings,
    now: Timestamp,
) -> SitesReading {
    let apart = clock.skew.map(ClockSkew::certain);
    let mut parts = Vec::new();
    if let Some(skew) = clock.skew
        && skew.certain() > Span::ZERO
    {
        let least = skew.certain();
        let most = skew.at_most();
        let ahead = if skew.estimate > Span::ZERO {
            &clock.target
        } else {
            &clock.source
        };
        parts.push(format!(
            "the clock of {ahead}'s server is ahead of the other one by {least} to {most}"
        ));
    }
    let mut ahead: Option<Span> = None;
    for direction in &entry.directions {
        let is_of_pair = [&clock.source, &clock.target].contains(&&direction.source)
            && [&clock.source, &clock.target].contains(&&direction.target);
        let stamps = direction.fresh(now).and_then(|status| status.ahead);
        if let Some(stamps) = stamps.filter(|stamps| is_of_pair && *stamps > Span::ZERO) {
            let dc = &direction.source;
            parts.push(format!(
                "versions at {dc} are up to {stamps} ahead of its server's clock"
            ));
            ahead = ahead.max(Some(stamps));
        }
    }
    let value = apart.max(ahead);
    let reading = match value {
        Some(value) => Reading::exact(value),
        None => Reading::NO_DATA,
    };
    SitesReading {
        key: keys.skew.clone(),
        value: SitesValue::Seconds(rules.clock_skew, reading),
        reason: (!parts.is_empty()).then(|| parts.join("; ")),
        since: None,
    }
}

const fn count_if_known(count: Option<u64>) -> Reading<u64> {
    match count {
        Some(count) => Reading::exact(count),
        None => Reading::NO_DATA,
    }
}
