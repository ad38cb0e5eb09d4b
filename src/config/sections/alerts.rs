//! `alerts`: the rules' levels, merged from the defaults, the global section and a pair's own.

use std::ops::RangeInclusive;

use crate::config::cursor::{Cursor, Section};
use crate::config::schema::{ALERTS, CLEAR, COUNT_RULE, Keys, RULE};
use crate::config::value::span_text;
use crate::config::{AlertSettings, CountRule, LevelRule, LevelThreshold};
use crate::model::{Bytes, Span};

/// Levels of time: what polls can tell apart, to a month.
const SPAN_LEVELS: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_secs(30 * 86_400);

/// Levels of bytes: what a metric's number still shows exactly.
const BYTE_LEVELS: RangeInclusive<Bytes> = Bytes::new(1)..=Bytes::new(1 << 53);

/// The rules about servers.
const PER_SERVER: [&str; 2] = ["unreachable", "full_sync"];

/// The windows of `full_sync` and `failover` where none is given.
const WINDOW: Span = Span::from_secs(600);

/// `for` and `keep_firing_for`.
const HOLDS: RangeInclusive<Span> = Span::ZERO..=Span::from_secs(86_400);

/// Levels of how many times something happened: more than a person would tell apart.
const COUNT_LEVELS: RangeInclusive<u32> = 1..=1_000;

/// Windows in which events are counted: from what polls can tell apart to a day.
const WINDOWS: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(86_400);

/// A quantity that a level can stand at.
pub(super) trait Level: Copy + Ord {
    /// The keys of its rules.
    const KEYS: &Keys = &RULE;
    /// Reads a level, or a clear threshold.
    fn read(cursor: &Cursor<'_>) -> Option<Self>;
    /// Eight tenths of the level, in the configuration's own resolution and never nothing.
    fn eight_tenths(self) -> Self;
    /// The level as it would be written.
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
    const KEYS: &Keys = &COUNT_RULE;

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

/// How long something lasts that is worth a word from its first moment on: `0s` is the smallest
/// level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FromNow(Span);

impl Level for FromNow {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        cursor
            .span(&(Span::ZERO..=*SPAN_LEVELS.end()))
            .map(|span| Self(span.max(*SPAN_LEVELS.start())))
    }

    fn eight_tenths(self) -> Self {
        Self(self.0.eight_tenths())
    }

    fn text(self) -> String {
        self.0.text()
    }
}

/// Where a rule's clear threshold stands when nothing gives it.
#[derive(Clone, Copy)]
enum DefaultClear {
    /// At 0.8 times the level, for quantities that move up and down.
    EightTenths,
    /// At the level, for quantities that only grow and then end.
    AtLevel,
}

/// What one place of the configuration says about a level.
#[derive(Clone, Copy)]
enum LevelKey<T> {
    Unsaid,
    Off,
    At(T),
}

/// What one place of the configuration says about one rule; `None` where it says nothing.
#[derive(Clone, Copy)]
struct RuleKeys<T> {
    warning: LevelKey<T>,
    critical: LevelKey<T>,
    pending_for: Option<Span>,
    keep_firing_for: Option<Span>,
    clear_warning: Option<T>,
    clear_critical: Option<T>,
}

/// One rule of the global section: what it says (over the defaults), and what comes of it.
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
    full_sync_window: Span,
    diverged: GlobalRule<FromNow>,
    sentinel_quorum: GlobalRule<Span>,
    failover: GlobalRule<u64>,
    failover_window: Span,
}

impl Global {
    pub(super) fn read(root: &Section<'_>) -> Self {
        let section = root.section("alerts", &ALERTS);
        let at = |secs| LevelKey::At(Span::from_secs(secs));
        let lag = RuleKeys {
            pending_for: Some(Span::from_secs(10)),
            ..RuleKeys::levels(at(30), at(120))
        };
        let plain = |warning, critical| RuleKeys::levels(at(warning), at(critical));
        let off = RuleKeys::levels(LevelKey::Off, LevelKey::Off);
        let from_now = |span| LevelKey::At(FromNow(span));
        let at_once = RuleKeys::levels(
            from_now(*SPAN_LEVELS.start()),
            from_now(Span::from_secs(30)),
        );
        let once = RuleKeys::levels(LevelKey::At(1), LevelKey::Off);
        let several = RuleKeys::levels(LevelKey::At(1), LevelKey::At(3));
        Self {
            lag_seconds: GlobalRule::read(&section, "lag_seconds", lag, DefaultClear::EightTenths),
            lag_bytes: GlobalRule::read(&section, "lag_bytes", off, DefaultClear::EightTenths),
            link_down: GlobalRule::read(
                &section,
                "link_down",
                plain(10, 60),
                DefaultClear::AtLevel,
            ),
            unreachable: GlobalRule::read(
                &section,
                "unreachable",
                plain(15, 60),
                DefaultClear::AtLevel,
            ),
            unknown: GlobalRule::read(&section, "unknown", plain(90, 300), DefaultClear::AtLevel),
            full_sync: GlobalRule::read(&section, "full_sync", several, DefaultClear::AtLevel),
            full_sync_window: window(&section, "full_sync").unwrap_or(WINDOW),
            diverged: GlobalRule::read(&section, "diverged", at_once, DefaultClear::AtLevel),
            sentinel_quorum: GlobalRule::read(
                &section,
                "sentinel_quorum",
                plain(10, 60),
                DefaultClear::AtLevel,
            ),
            failover: GlobalRule::read(&section, "failover", once, DefaultClear::AtLevel),
            failover_window: window(&section, "failover").unwrap_or(WINDOW),
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
            full_sync: self.full_sync(),
            diverged: self.diverged.rule.map(|level| level.0),
            sentinel_quorum: self.sentinel_quorum.rule,
            failover: CountRule {
                levels: self.failover.rule,
                window: self.failover_window,
            },
        }
    }

    const fn full_sync(&self) -> CountRule {
        CountRule {
            levels: self.full_sync.rule,
            window: self.full_sync_window,
        }
    }

    /// The rules of the pair at `pair`, its own `alerts` merged over the global ones.
    pub(super) fn for_pair(&self, pair: &Section<'_>) -> AlertSettings {
        let section = pair.section("alerts", &ALERTS);
        for cursor in PER_SERVER.iter().filter_map(|rule| section.get(rule)) {
            cursor.note("cannot be set for a pair, because pairs may share servers: set it in the global alerts");
        }
        if let Some(cursor) = section.get("sentinel_quorum") {
            cursor.note("cannot be set for a pair: set it in the global alerts");
        }
        AlertSettings {
            lag_seconds: self.lag_seconds.overridden(&section, "lag_seconds"),
            lag_bytes: self.lag_bytes.overridden(&section, "lag_bytes"),
            link_down: self.link_down.overridden(&section, "link_down"),
            unreachable: self.unreachable.rule,
            unknown: self.unknown.overridden(&section, "unknown"),
            full_sync: self.full_sync(),
            diverged: self
                .diverged
                .overridden(&section, "diverged")
                .map(|level| level.0),
            sentinel_quorum: self.sentinel_quorum.rule,
            failover: CountRule {
                levels: self.failover.overridden(&section, "failover"),
                window: window(&section, "failover").unwrap_or(self.failover_window),
            },
        }
    }
}

impl<T: Level> GlobalRule<T> {
    fn read(
        alerts: &Section<'_>,
        name: &str,
        defaults: RuleKeys<T>,
        default_clear: DefaultClear,
    ) -> Self {
        let given = alerts
            .get(name)
            .and_then(|cursor| rule_section(&cursor, T::KEYS));
        let keys = given
            .as_ref()
            .map_or(defaults, |section| RuleKeys::read(section).over(defaults));
        let rule = keys.resolve(given.as_ref(), default_clear);
        Self {
            keys,
            default_clear,
            rule,
        }
    }

    fn overridden(&self, alerts: &Section<'_>, name: &str) -> LevelRule<T> {
        let given = alerts
            .get(name)
            .and_then(|cursor| rule_section(&cursor, T::KEYS));
        let Some(section) = given else {
            return self.rule;
        };
        RuleKeys::read(&section)
            .over(self.keys)
            .resolve(Some(&section), self.default_clear)
    }
}

/// Over how long the section's rule counts, where it says so.
fn window(alerts: &Section<'_>, rule: &str) -> Option<Span> {
    let cursor = alerts.get(rule)?;
    if !cursor.is_mapping() {
        return None; // the levels' reader has said so
    }
    cursor.section(&COUNT_RULE)?.get("window")?.span(&WINDOWS)
}

fn rule_section<'a>(cursor: &Cursor<'a>, keys: &Keys) -> Option<Section<'a>> {
    if cursor.is_null() {
        cursor.refuse("is not a rule; to switch it off, write {warning: null, critical: null}");
        return None;
    }
    cursor.section(keys)
}

impl<T: Level> RuleKeys<T> {
    /// A rule with these levels that says nothing else.
    const fn levels(warning: LevelKey<T>, critical: LevelKey<T>) -> Self {
        Self {
            warning,
            critical,
            pending_for: None,
            keep_firing_for: None,
            clear_warning: None,
            clear_critical: None,
        }
    }

    fn read(section: &Section<'_>) -> Self {
        let duration = |key| section.get(key).and_then(|cursor| cursor.span(&HOLDS));
        let [clear_warning, clear_critical] = clear(section);
        Self {
            warning: LevelKey::read(section, "warning"),
            critical: LevelKey::read(section, "critical"),
            pending_for: duration("for"),
            keep_firing_for: duration("keep_firing_for"),
            clear_warning,
            clear_critical,
        }
    }

    /// These keys, and those of `base` where they say nothing.
    fn over(self, base: Self) -> Self {
        Self {
            warning: self.warning.or(base.warning),
            critical: self.critical.or(base.critical),
            pending_for: self.pending_for.or(base.pending_for),
            keep_firing_for: self.keep_firing_for.or(base.keep_firing_for),
            clear_warning: self.clear_warning.or(base.clear_warning),
            clear_critical: self.clear_critical.or(base.clear_critical),
        }
    }

    /// The rule that comes of the keys; problems are noted at `section`, the last one that had a
    /// say.
    fn resolve(self, section: Option<&Section<'_>>, default_clear: DefaultClear) -> LevelRule<T> {
        let (warning, critical) = (self.warning.level(), self.critical.level());
        if let (Some(warning), Some(critical), Some(section)) = (warning, critical, section)
            && critical < warning
        {
            let (critical, warning) = (critical.text(), warning.text());
            section.refuse(format!(
                "the critical level {critical} is below the warning level {warning}"
            ));
        }
        LevelRule {
            warning: warning
                .map(|at| threshold(at, self.clear_warning, default_clear, "warning", section)),
            critical: critical
                .map(|at| threshold(at, self.clear_critical, default_clear, "critical", section)),
            pending_for: self.pending_for.unwrap_or(Span::ZERO),
            keep_firing_for: self.keep_firing_for.unwrap_or(Span::ZERO),
        }
    }
}

impl<T: Level> LevelKey<T> {
    /// Reads a level: a value, or null for off.
    fn read(section: &Section<'_>, key: &str) -> Self {
        match section.get(key) {
            None => Self::Unsaid,
            Some(cursor) if cursor.is_off() => Self::Off,
            Some(cursor) => T::read(&cursor).map_or(Self::Unsaid, Self::At),
        }
    }

    const fn or(self, base: Self) -> Self {
        if matches!(self, Self::Unsaid) {
            base
        } else {
            self
        }
    }

    const fn level(self) -> Option<T> {
        if let Self::At(level) = self {
            Some(level)
        } else {
            None
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
    let Some(per_level) = cursor.section(&CLEAR) else {
        return [None, None];
    };
    ["warning", "critical"].map(|key| per_level.get(key).and_then(|cursor| T::read(&cursor)))
}

fn threshold<T: Level>(
    at: T,
    clear: Option<T>,
    default: DefaultClear,
    level: &str,
    section: Option<&Section<'_>>,
) -> LevelThreshold<T> {
    let usual = match default {
        DefaultClear::EightTenths => at.eight_tenths(),
        DefaultClear::AtLevel => at,
    };
    let clear_below = clear.unwrap_or(usual);
    if let (true, Some(section)) = (clear_below > at, section) {
        let (clear, at) = (clear_below.text(), at.text());
        section.refuse(format!(
            "the {level} level {at} is below its clear threshold {clear}; give a clear of at most {at} here"
        ));
    }
    LevelThreshold { at, clear_below }
}
