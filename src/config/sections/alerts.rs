//! `alerts`: the levels of the rules, merged from the defaults, the global section and a pair's
//! own.

use std::ops::RangeInclusive;

use crate::config::cursor::{Cursor, Section};
use crate::config::schema::Keys;
use crate::config::table::{FAILOVER, FULL_SYNC};
use crate::config::value::span_text;
use crate::config::{AlertSettings, CountRule, LevelRule, LevelThreshold};
use crate::model::{Bytes, Share, Span, TimeLeft};

/// Levels of time: from the smallest difference that polls can see to a month.
const SPAN_LEVELS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(30 * 86_400);

/// Levels of bytes: up to what the number of a metric represents exactly.
const BYTE_LEVELS: RangeInclusive<Bytes> = Bytes::new(1)..=Bytes::new(1 << 53);

/// The rules about servers.
const PER_SERVER: [&str; 2] = ["unreachable", "full_sync"];

/// The rules about Sentinels and active-active sites.
const NOT_OF_PAIRS: [&str; 4] = [
    "sentinel_quorum",
    "cluster_down",
    "sync_queue",
    "clock_skew",
];

/// Levels of a part of a limit.
const SHARE_LEVELS: RangeInclusive<Share> =
    Share::from_thousandths(10)..=Share::from_thousandths(1000);

/// Levels of counts.
const COUNT_LEVELS: RangeInclusive<u32> = 1..=1_000;

/// Levels of items in a queue.
const ITEM_LEVELS: RangeInclusive<u32> = 1..=1_000_000_000;

/// A quantity that levels are thresholds of.
pub(super) trait Level: Copy + Ord {
    /// Reads a level, or a clear threshold.
    fn read(cursor: &Cursor<'_>) -> Option<Self>;
    /// 0.8 of the level, in the resolution of the configuration, and never zero; for a quantity
    /// that is worse the smaller it is, 1.25 of it.
    fn eight_tenths(self) -> Self;
    /// Where a level is that is less bad, in the number that is written.
    const BETTER: &str = "below";
    /// How far a clear threshold may go, likewise.
    const CLEAR_UP_TO: &str = "at most";
    /// The level as it is written in a configuration.
    fn text(self) -> String;
}

impl Level for Span {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.span(&SPAN_LEVELS)
    }

    fn eight_tenths(self) -> Self {
        Self::from_millis(self.as_nanos() / 1_000_000 * 8 / 10).max(*SPAN_LEVELS.start())
    }

    fn text(self) -> String {
        span_text(self)
    }
}

impl Level for Bytes {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.bytes(&BYTE_LEVELS)
    }

    fn eight_tenths(self) -> Self {
        Self::new(self.get() * 8 / 10).max(*BYTE_LEVELS.start())
    }

    fn text(self) -> String {
        format!("{}B", self.get())
    }
}

impl Level for u64 {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.whole_number(&COUNT_LEVELS).map(Self::from)
    }

    fn eight_tenths(self) -> Self {
        (self * 8 / 10).max(1)
    }

    fn text(self) -> String {
        self.to_string()
    }
}

impl Level for TimeLeft {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.span(&SPAN_LEVELS).map(Self)
    }

    fn eight_tenths(self) -> Self {
        let millis = self.0.as_nanos() / 1_000_000;
        Self(Span::from_millis(millis.saturating_mul(5) / 4))
    }

    const BETTER: &str = "above";
    const CLEAR_UP_TO: &str = "at least";

    fn text(self) -> String {
        span_text(self.0)
    }
}

impl Level for Share {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.share(&SHARE_LEVELS)
    }

    fn eight_tenths(self) -> Self {
        Self::from_thousandths((self.thousandths() * 8 / 10).max(1))
    }

    fn text(self) -> String {
        self.as_f64().to_string()
    }
}

/// A time for which `0s` is allowed and means the smallest level, because the alert has to fire at
/// once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FromNow(Span);

impl Level for FromNow {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let span = cursor.span(&(Span::ZERO..=*SPAN_LEVELS.end()))?;
        Some(Self(span.max(*SPAN_LEVELS.start())))
    }

    fn eight_tenths(self) -> Self {
        Self(self.0.eight_tenths())
    }

    fn text(self) -> String {
        self.0.text()
    }
}

/// Where a rule's clear threshold is when nothing gives it.
#[derive(Clone, Copy)]
enum DefaultClear {
    /// At 0.8 times the level, for quantities that move up and down.
    EightTenths,
    /// At the level, for quantities that only grow and then end.
    AtLevel,
}

/// A number of items, of which there may be more than of events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Items(u64);

impl Level for Items {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor.whole_number(&ITEM_LEVELS).map(u64::from).map(Self)
    }

    fn eight_tenths(self) -> Self {
        Self(self.0.eight_tenths())
    }

    fn text(self) -> String {
        self.0.text()
    }
}

/// What one place of the configuration gives for a level.
#[derive(Clone, Copy)]
enum LevelKey<T> {
    Absent,
    Off,
    At(T),
}

/// What one place of the configuration gives for one rule; `None` where it gives nothing.
#[derive(Clone, Copy)]
struct RuleKeys<T> {
    warning: LevelKey<T>,
    critical: LevelKey<T>,
    pending_for: Option<Span>,
    keep_firing_for: Option<Span>,
    clear_warning: Option<T>,
    clear_critical: Option<T>,
    /// Of rules that count.
    window: Option<Span>,
}

/// One rule of the global section: its keys, over the defaults, and the rule that they make.
struct GlobalRule<T> {
    keys: RuleKeys<T>,
    default_clear: DefaultClear,
    rule: LevelRule<T>,
}

/// The global `alerts` section, which pairs start from.
pub(super) struct Global {
    lag_seconds: GlobalRule<Span>,
    lag_bytes: GlobalRule<Bytes>,
    link_down: GlobalRule<Span>,
    unreachable: GlobalRule<Span>,
    unknown: GlobalRule<Span>,
    full_sync: GlobalRule<u64>,
    diverged: GlobalRule<FromNow>,
    sentinel_quorum: GlobalRule<Span>,
    cluster_down: GlobalRule<Span>,
    failover: GlobalRule<u64>,
    backlog_headroom: GlobalRule<TimeLeft>,
    output_buffer: GlobalRule<Share>,
    sync_queue: GlobalRule<Items>,
    clock_skew: GlobalRule<Span>,
}

impl Global {
    /// The rules of the file over the defaults, which docs/configuration.md lists.
    pub(super) fn read(root: &Section<'_>) -> Self {
        use DefaultClear::{AtLevel, EightTenths};

        let section = root.section("alerts");
        let off = RuleKeys::levels(LevelKey::Off, LevelKey::Off);
        let quorum = RuleKeys::seconds(10, 60);
        let down = RuleKeys::seconds(10, 60);
        Self {
            lag_seconds: GlobalRule::read(&section, "lag_seconds", default_lag(), EightTenths),
            lag_bytes: GlobalRule::read(&section, "lag_bytes", off, EightTenths),
            link_down: GlobalRule::read(&section, "link_down", RuleKeys::seconds(10, 60), AtLevel),
            unreachable: GlobalRule::read(
                &section,
                "unreachable",
                RuleKeys::seconds(15, 60),
                AtLevel,
            ),
            unknown: GlobalRule::read(&section, "unknown", RuleKeys::seconds(90, 300), AtLevel),
            full_sync: GlobalRule::read(&section, "full_sync", default_full_sync(), AtLevel),
            diverged: GlobalRule::read(&section, "diverged", default_diverged(), AtLevel),
            sentinel_quorum: GlobalRule::read(&section, "sentinel_quorum", quorum, AtLevel),
            cluster_down: GlobalRule::read(&section, "cluster_down", down, AtLevel),
            failover: GlobalRule::read(&section, "failover", default_failover(), AtLevel),
            backlog_headroom: GlobalRule::read(
                &section,
                "backlog_headroom",
                default_headroom(),
                EightTenths,
            ),
            output_buffer: GlobalRule::read(
                &section,
                "output_buffer",
                default_output_buffer(),
                EightTenths,
            ),
            sync_queue: GlobalRule::read(&section, "sync_queue", default_sync_queue(), EightTenths),
            clock_skew: GlobalRule::read(&section, "clock_skew", default_clock_skew(), EightTenths),
        }
    }

    /// The rules without any pair's overrides.
    pub(super) fn settings(&self) -> AlertSettings {
        AlertSettings {
            lag_seconds: self.lag_seconds.rule,
            lag_bytes: self.lag_bytes.rule,
            link_down: self.link_down.rule,
            unreachable: self.unreachable.rule,
            unknown: self.unknown.rule,
            full_sync: self.full_sync.count_rule(),
            diverged: self.diverged.rule.map(|level| level.0),
            sentinel_quorum: self.sentinel_quorum.rule,
            cluster_down: self.cluster_down.rule,
            failover: self.failover.count_rule(),
            backlog_headroom: self.backlog_headroom.rule,
            output_buffer: self.output_buffer.rule,
            sync_queue: self.sync_queue.rule.map(|level| level.0),
            clock_skew: self.clock_skew.rule,
        }
    }

    /// The rules of the pair at `pair`, its own `alerts` merged over the global ones.
    pub(super) fn for_pair(&self, pair: &Section<'_>) -> AlertSettings {
        let section = pair.section("alerts");
        refuse_global_rules(&section);
        let diverged = self.diverged.overridden(&section, "diverged");
        let headroom = self
            .backlog_headroom
            .overridden(&section, "backlog_headroom");
        let output_buffer = self.output_buffer.overridden(&section, "output_buffer");
        AlertSettings {
            lag_seconds: self.lag_seconds.overridden(&section, "lag_seconds").rule,
            lag_bytes: self.lag_bytes.overridden(&section, "lag_bytes").rule,
            link_down: self.link_down.overridden(&section, "link_down").rule,
            unreachable: self.unreachable.rule,
            unknown: self.unknown.overridden(&section, "unknown").rule,
            full_sync: self.full_sync.count_rule(),
            diverged: diverged.rule.map(|level| level.0),
            sentinel_quorum: self.sentinel_quorum.rule,
            cluster_down: self.cluster_down.rule,
            failover: self.failover.overridden(&section, "failover").count_rule(),
            backlog_headroom: headroom.rule,
            output_buffer: output_buffer.rule,
            sync_queue: self.sync_queue.rule.map(|level| level.0),
            clock_skew: self.clock_skew.rule,
        }
    }
}

/// Refuses the rules that a pair's `alerts` cannot have.
fn refuse_global_rules(alerts: &Section<'_>) {
    for rule in PER_SERVER {
        if let Some(cursor) = alerts.get(rule) {
            cursor.add_problem(
                "cannot be set for a pair, because pairs may share servers: set it in the \
                 global alerts",
            );
        }
    }
    for rule in NOT_OF_PAIRS {
        if let Some(cursor) = alerts.get(rule) {
            cursor.add_problem("cannot be set for a pair: set it in the global alerts");
        }
    }
}

fn default_lag() -> RuleKeys<Span> {
    RuleKeys {
        pending_for: Some(Span::from_secs(10)),
        ..RuleKeys::seconds(30, 120)
    }
}

/// A warning at once, and a critical alert after 30 s.
const fn default_diverged() -> RuleKeys<FromNow> {
    RuleKeys::levels(
        LevelKey::At(FromNow(*SPAN_LEVELS.start())),
        LevelKey::At(FromNow(Span::from_secs(30))),
    )
}

/// A warning where a cut of ten minutes would end in a full resync. A burst of less than a minute
/// is no reason.
fn default_headroom() -> RuleKeys<TimeLeft> {
    RuleKeys {
        pending_for: Some(Span::from_secs(60)),
        ..RuleKeys::levels(LevelKey::At(TimeLeft(Span::from_secs(600))), LevelKey::Off)
    }
}

const fn default_output_buffer() -> RuleKeys<Share> {
    RuleKeys::levels(
        LevelKey::At(Share::from_thousandths(500)),
        LevelKey::At(Share::from_thousandths(800)),
    )
}

const fn default_sync_queue() -> RuleKeys<Items> {
    RuleKeys::levels(LevelKey::At(Items(1000)), LevelKey::At(Items(100_000)))
}

const fn default_clock_skew() -> RuleKeys<Span> {
    RuleKeys::levels(
        LevelKey::At(Span::from_millis(500)),
        LevelKey::At(Span::from_secs(5)),
    )
}

fn default_full_sync() -> RuleKeys<u64> {
    RuleKeys {
        window: default_window(&FULL_SYNC),
        ..RuleKeys::levels(LevelKey::At(1), LevelKey::At(3))
    }
}

fn default_failover() -> RuleKeys<u64> {
    RuleKeys {
        window: default_window(&FAILOVER),
        ..RuleKeys::levels(LevelKey::At(1), LevelKey::Off)
    }
}

fn default_window(keys: &Keys) -> Option<Span> {
    keys.get("window")?.default_duration()
}

impl<T: Level> GlobalRule<T> {
    fn read(
        alerts: &Section<'_>,
        name: &str,
        defaults: RuleKeys<T>,
        default_clear: DefaultClear,
    ) -> Self {
        let Some(section) = rule_section(alerts, name) else {
            return Self {
                keys: defaults,
                default_clear,
                rule: defaults.resolve(None, default_clear),
            };
        };
        let keys = RuleKeys::read(&section).over(defaults);
        Self {
            keys,
            default_clear,
            rule: keys.resolve(Some(&section), default_clear),
        }
    }

    /// The same with the keys that `alerts`, which is a pair's, has for it.
    fn overridden(&self, alerts: &Section<'_>, name: &str) -> Self {
        let Some(section) = rule_section(alerts, name) else {
            return Self { ..*self };
        };
        let keys = RuleKeys::read(&section).over(self.keys);
        Self {
            keys,
            default_clear: self.default_clear,
            rule: keys.resolve(Some(&section), self.default_clear),
        }
    }
}

impl GlobalRule<u64> {
    fn count_rule(&self) -> CountRule {
        CountRule {
            levels: self.rule,
            window: self.keys.window.unwrap_or(Span::ZERO),
        }
    }
}

/// The rule `name`, where `alerts` has it.
fn rule_section<'a>(alerts: &Section<'a>, name: &str) -> Option<Section<'a>> {
    let cursor = alerts.get(name)?;
    if cursor.is_null() {
        cursor.refuse("is not a rule; to switch it off, write {warning: null, critical: null}");
        return None;
    }
    alerts.given_section(name)
}

impl RuleKeys<Span> {
    /// A rule with these levels in seconds and nothing else.
    const fn seconds(warning: i64, critical: i64) -> Self {
        Self::levels(
            LevelKey::At(Span::from_secs(warning)),
            LevelKey::At(Span::from_secs(critical)),
        )
    }
}

impl<T: Level> RuleKeys<T> {
    /// A rule with these levels and nothing else.
    const fn levels(warning: LevelKey<T>, critical: LevelKey<T>) -> Self {
        Self {
            warning,
            critical,
            pending_for: None,
            keep_firing_for: None,
            clear_warning: None,
            clear_critical: None,
            window: None,
        }
    }

    fn read(section: &Section<'_>) -> Self {
        let [clear_warning, clear_critical] = clear(section);
        Self {
            warning: LevelKey::read(section, "warning"),
            critical: LevelKey::read(section, "critical"),
            pending_for: section.span("for"),
            keep_firing_for: section.span("keep_firing_for"),
            clear_warning,
            clear_critical,
            window: section.span("window"),
        }
    }

    /// These keys, and those of `base` where they give nothing.
    fn over(self, base: Self) -> Self {
        Self {
            warning: self.warning.or(base.warning),
            critical: self.critical.or(base.critical),
            pending_for: self.pending_for.or(base.pending_for),
            keep_firing_for: self.keep_firing_for.or(base.keep_firing_for),
            clear_warning: self.clear_warning.or(base.clear_warning),
            clear_critical: self.clear_critical.or(base.clear_critical),
            window: self.window.or(base.window),
        }
    }

    /// The rule that the keys make. Problems are noted at `section`, the innermost place with keys
    /// for it.
    fn resolve(self, section: Option<&Section<'_>>, default_clear: DefaultClear) -> LevelRule<T> {
        let warning = self.warning.level();
        let critical = self.critical.level();
        let rule = LevelRule {
            warning: warning.map(|at| default_clear.threshold(at, self.clear_warning)),
            critical: critical.map(|at| default_clear.threshold(at, self.clear_critical)),
            pending_for: self.pending_for.unwrap_or(Span::ZERO),
            keep_firing_for: self.keep_firing_for.unwrap_or(Span::ZERO),
        };
        if let Some(section) = section {
            check_order(section, warning, critical);
            check_clear(section, "warning", rule.warning);
            check_clear(section, "critical", rule.critical);
        }
        rule
    }
}

fn check_order<T: Level>(section: &Section<'_>, warning: Option<T>, critical: Option<T>) {
    if let (Some(warning), Some(critical)) = (warning, critical)
        && critical < warning
    {
        section.refuse(format!(
            "the critical level {} is {} the warning level {}",
            critical.text(),
            T::BETTER,
            warning.text()
        ));
    }
}

fn check_clear<T: Level>(section: &Section<'_>, level: &str, threshold: Option<LevelThreshold<T>>) {
    if let Some(LevelThreshold { at, clear_below }) = threshold
        && clear_below > at
    {
        let at = at.text();
        section.refuse(format!(
            "the {level} level {at} is {} its clear threshold {}; give a clear of {} {at} here",
            T::BETTER,
            clear_below.text(),
            T::CLEAR_UP_TO
        ));
    }
}

impl DefaultClear {
    /// The threshold at `at`, which is clear below `clear` where that is given.
    fn threshold<T: Level>(self, at: T, clear: Option<T>) -> LevelThreshold<T> {
        let clear_below = match (clear, self) {
            (Some(clear), _) => clear,
            (None, Self::EightTenths) => at.eight_tenths(),
            (None, Self::AtLevel) => at,
        };
        LevelThreshold { at, clear_below }
    }
}

impl<T: Level> LevelKey<T> {
    /// Reads a level: a value, or null for off.
    fn read(section: &Section<'_>, key: &str) -> Self {
        let Some(cursor) = section.get(key) else {
            return Self::Absent;
        };
        if cursor.is_off() {
            return Self::Off;
        }
        match T::read(&cursor) {
            Some(level) => Self::At(level),
            None => Self::Absent,
        }
    }

    const fn or(self, base: Self) -> Self {
        match self {
            Self::Absent => base,
            Self::Off | Self::At(_) => self,
        }
    }

    const fn level(self) -> Option<T> {
        match self {
            Self::At(level) => Some(level),
            Self::Absent | Self::Off => None,
        }
    }
}

/// Reads `clear`: one value for both levels, or a mapping with a value per level.
fn clear<T: Level>(section: &Section<'_>) -> [Option<T>; 2] {
    let Some(cursor) = section.get("clear") else {
        return [None, None];
    };
    if !cursor.is_mapping() {
        return [T::read(&cursor); 2];
    }
    let Some(per_level) = section.given_section("clear") else {
        return [None, None];
    };
    ["warning", "critical"].map(|key| per_level.read(key, T::read))
}
