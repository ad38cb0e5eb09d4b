//! Chapter A, continued: whether the two sides understand each other after a switch: addresses,
//! TLS, programs and clocks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::directive::Directive;
use super::super::facts::{ClockReading, Gap, ServerFacts, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use super::super::version::Version;
use crate::model::{ServerAddr, Span};

/// A7: the old master could not connect to the new one.
pub(in crate::doctor) fn listening(subject: &Subject<'_>) -> Verdict {
    let mut found = Vec::new();
    found.extend(replication_port(subject)?);
    if !share_machine(&subject.server.addr, &subject.entry.master.addr) {
        found.extend(loopback_only(subject)?);
        found.extend(protected(subject)?);
    }
    Ok(found)
}

/// Whether the replica has a port of the kind that the master's own link would use.
fn replication_port(subject: &Subject<'_>) -> Result<Option<Problem>, Gap> {
    let master = subject.master()?;
    let by_tls = master.is_on_or_lacking(Directive::TlsReplication)?;
    let own_by_tls = subject.facts.is_on_or_lacking(Directive::TlsReplication)?;
    let (directive, kind) = if by_tls {
        (Directive::TlsPort, "TLS")
    } else {
        (Directive::Port, "plain text")
    };
    let port = match subject.facts.number(directive) {
        Err(Gap::NotApplicable) => 0,
        known => known?,
    };
    let server = &subject.server.addr;
    let name = directive.label();
    if port == 0 {
        return Ok(Some(Problem::new(
            FindingSeverity::Critical,
            format!("it has no port for {kind}, which its master would use to follow it"),
            Evidence::new(
                format!("{name} 0"),
                format!(
                    "a port, because the master's tls-replication is {}",
                    word(by_tls)
                ),
                subject.on_both("CONFIG GET"),
            ),
            Fix::line(
                server,
                format!("{name} PORT"),
                "in the server's file, then restart it",
            ),
        )));
    }
    if by_tls == own_by_tls {
        return Ok(None);
    }
    let master_addr = &subject.entry.master.addr;
    Ok(Some(Problem::new(
        FindingSeverity::Warning,
        "the two sides replicate differently, one with TLS and one without".to_owned(),
        Evidence::new(
            format!("tls-replication {}", word(own_by_tls)),
            format!("as the master's: {}", word(by_tls)),
            subject.on_both("CONFIG GET"),
        ),
        Fix::set(
            server,
            subject.facts,
            Directive::TlsReplication,
            word(by_tls),
        )
        .noting(&format!(
            "or the other way on {master_addr}; each then needs the other's kind of port"
        )),
    )))
}

fn word(is_on: bool) -> &'static str {
    if is_on { "yes" } else { "no" }
}

fn loopback_only(subject: &Subject<'_>) -> Result<Option<Problem>, Gap> {
    let bind = subject.facts.setting(Directive::Bind)?;
    let addresses: Vec<&str> = bind.split_ascii_whitespace().collect();
    let is_closed = !addresses.is_empty() && addresses.iter().all(|address| is_loopback(address));
    if !is_closed {
        return Ok(None);
    }
    Ok(Some(Problem::new(
        FindingSeverity::Critical,
        "it listens on its own machine only, so its master could not follow it".to_owned(),
        Evidence::new(
            format!("bind {bind}"),
            format!("an address that {} reaches", subject.entry.master.addr),
            subject.on_server("CONFIG GET"),
        ),
        Fix::line(
            &subject.server.addr,
            "bind ADDRESS".to_owned(),
            "in the server's file, then restart it",
        )
        .noting("a proxy in front of it may make this right: ignore A7 then"),
    )))
}

/// Whether protected mode would refuse the master.
fn protected(subject: &Subject<'_>) -> Result<Option<Problem>, Gap> {
    let facts = subject.facts;
    if facts.logged_in || !facts.is_on(Directive::ProtectedMode)? {
        return Ok(None);
    }
    // Before 7.0 a `bind` line switches it off (`protectedModeEnabled`, networking.c).
    let is_bound = !facts.setting(Directive::Bind)?.is_empty();
    if facts.redis_version()?.major < 7 && is_bound {
        return Ok(None);
    }
    Ok(Some(Problem::new(
        FindingSeverity::Critical,
        "protected mode is on and it has no password: it refuses clients of other machines, its \
         master among them"
            .to_owned(),
        Evidence::new(
            "protected-mode yes, the default user has no password".to_owned(),
            "a password, or protected-mode no".to_owned(),
            subject.on_server("CONFIG GET, and a connection without a login"),
        ),
        Fix::set(&subject.server.addr, facts, Directive::ProtectedMode, "no")
            .noting("better: give it a password, and its master the same masterauth"),
    )))
}

/// Whether both servers are on this machine, so that loopback addresses are right.
pub(super) fn share_machine(one: &ServerAddr, other: &ServerAddr) -> bool {
    let is_here = |addr: &ServerAddr| addr.host().is_none_or(is_loopback);
    is_here(one) && is_here(other)
}

/// Whether `address`, as `bind` has it, is of the loopback network. A dash means that it may be
/// missing.
fn is_loopback(address: &str) -> bool {
    let address = address.strip_prefix('-').unwrap_or(address);
    address == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A9: the replica runs another program, an older version, or lacks a module.
pub(in crate::doctor) fn programs(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let mut found = Vec::new();
    found.extend(engines(subject, master)?);
    found.extend(modules(subject, master)?);
    Ok(found)
}

fn engines(subject: &Subject<'_>, master: &ServerFacts) -> Result<Option<Problem>, Gap> {
    let here = Program::from_facts(subject.facts)?;
    let there = Program::from_facts(master)?;
    if here == there {
        return Ok(None);
    }
    let addr = &subject.entry.master.addr;
    let (severity, what) = match (here.format(), there.format()) {
        (Some(own), Some(of_master)) if own < of_master => (
            FindingSeverity::Critical,
            format!("it runs {here}, which cannot read a full sync from {there}"),
        ),
        (Some(own), Some(of_master)) if own > of_master => (
            FindingSeverity::Warning,
            format!(
                "it runs {here}, and a full sync from it cannot be read by {there} on {addr}: after a \
                 switch there is no way back"
            ),
        ),
        (Some(_), Some(_)) if here.is_same_line(&there) => (
            FindingSeverity::Advice,
            format!("it runs {here}, its master {there}"),
        ),
        _ => (
            FindingSeverity::Warning,
            format!("it runs {here}, its master {there}: another release"),
        ),
    };
    let problem = Problem::new(
        severity,
        what,
        Evidence::new(
            here.to_string(),
            format!("as the master: {there}"),
            subject.on_both("INFO server"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "bring both to one version, the replica first",
        ),
    );
    // Where the formats are the same, a full sync works both ways.
    if here.format() == there.format() {
        let consequence = "Commands, defaults and faults may be others after a switch.";
        return Ok(Some(problem.then(consequence)));
    }
    Ok(Some(problem))
}

/// A program and its own version.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Program {
    engine: crate::info::Engine,
    version: Version,
}

impl Program {
    fn from_facts(facts: &ServerFacts) -> Result<Self, Gap> {
        let server = &facts.observation.server;
        let text = reported(&server.version, "its version")?;
        let Some(version) = Version::parse(text) else {
            return Err(Gap::because(format!(
                "its version {text} is not understood"
            )));
        };
        Ok(Self {
            engine: server.engine,
            version,
        })
    }

    fn format(self) -> Option<u32> {
        self.version.rdb_format(self.engine)
    }

    fn is_same_line(&self, other: &Self) -> bool {
        self.engine == other.engine && self.version.is_same_line(other.version)
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.engine, self.version)
    }
}

fn modules(subject: &Subject<'_>, master: &ServerFacts) -> Result<Option<Problem>, Gap> {
    let section = "the section Modules";
    let own = reported(&subject.facts.details.modules, section)?;
    let needed = reported(&master.details.modules, section)?;
    let missing: BTreeSet<&String> = needed.difference(own).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
    let names = names.join(", ");
    Ok(Some(Problem::new(
        FindingSeverity::Critical,
        format!("it lacks modules of the master: {names}"),
        Evidence::new(
            format!("{} modules", own.len()),
            format!("also {names}"),
            subject.on_both("INFO modules"),
        ),
        Fix::line(
            &subject.server.addr,
            "loadmodule /path/MODULE.so".to_owned(),
            "a line for each of them in the server's file, then restart it",
        ),
    )))
}

/// From this difference on, a clock is wrong beyond what time synchronisation leaves.
const CLOCK_WARNING: Span = Span::from_secs(1);
/// From this difference on, keys with short lives expire too early or live on.
const CLOCK_CRITICAL: Span = Span::from_secs(10);

/// A14: the clocks of the two sides differ.
pub(in crate::doctor) fn clocks(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?.clock.clone()?;
    let own = subject.facts.clock.clone()?;
    let (difference, is_ahead) = certain_difference(own, master);
    if difference < CLOCK_WARNING {
        return Ok(Vec::new());
    }
    let severity = if difference < CLOCK_CRITICAL {
        FindingSeverity::Warning
    } else {
        FindingSeverity::Critical
    };
    let (direction, effect) = if is_ahead {
        ("ahead of", "keys expire too early after a promotion")
    } else {
        ("behind", "keys live on after their time after a promotion")
    };
    Ok(vec![Problem::new(
        severity,
        format!("its clock is at least {difference} {direction} the master's: {effect}"),
        Evidence::new(
            format!("{difference} {direction} the master's, the round trips subtracted"),
            format!("less than {CLOCK_WARNING}"),
            subject.on_both("TIME"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "synchronise the clocks of both machines (chrony or systemd-timesyncd)",
        ),
    )])
}

/// The difference of the clocks that the round trips leave certain, and whether `own` is ahead.
pub(super) fn certain_difference(own: ClockReading, master: ClockReading) -> (Span, bool) {
    // Each reading was true at some instant between sent and received, so the wall time of the
    // monitor's instant zero lies between these two.
    let earliest = |clock: ClockReading| clock.wall.as_nanos() - clock.received.as_nanos();
    let latest = |clock: ClockReading| clock.wall.as_nanos() - clock.sent.as_nanos();
    let ahead = earliest(own).saturating_sub(latest(master));
    let behind = earliest(master).saturating_sub(latest(own));
    if ahead > 0 {
        (Span::from_nanos(ahead), true)
    } else {
        (Span::from_nanos(behind).or_zero(), false)
    }
}
