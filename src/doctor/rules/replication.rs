//! Chapter B: whether replication survives an interruption and a full sync at today's load.

use super::super::directive::Directive;
use super::super::facts::{Gap, optional, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::round_trip::{Enough, RoundTripBounds};
use super::super::subject::{Subject, Verdict};
use super::super::writes::{WriteRate, scaled};
use crate::info::OutputBufferLimit;
use crate::model::{Bytes, Span};

/// How much larger than what is written a backlog has to be.
const BACKLOG_MARGIN: f64 = 1.2;

/// An interruption that every line has now and then.
const SHORT_CUT: Span = Span::from_secs(60);

/// The shortest time for which lost writes should stay provable: a night's incident.
const SHORTEST_TTL: Span = Span::from_secs(4 * 3600);

/// How fast a full sync goes on a line of 10 Gbit/s, faster than which none between datacenters is
/// assumed to be.
const FASTEST_LINE: f64 = 1.25e9;
/// The same for 1 Gbit/s.
const USUAL_LINE: f64 = 1.25e8;

/// How many bytes a server with this much memory in use needs for a fork: the pages that writes
/// copy meanwhile, and its own.
const FORK_FACTOR: f64 = 1.5;

/// From this many seconds on a link that is dead is noticed late.
const LATE_TIMEOUT: u64 = 300;

/// B1: the backlog does not hold what is written during an interruption.
pub(in crate::doctor) fn backlog_size(subject: &Subject<'_>) -> Verdict {
    let rate = subject.master()?.write_rate.clone()?;
    let size = *reported(
        &subject.facts.observation.replication.backlog.size,
        "repl_backlog_size",
    )?;
    let survive = subject.options.survive;
    let needed = scaled(rate.within(survive), BACKLOG_MARGIN);
    if size >= needed {
        return Ok(Vec::new());
    }
    let severity = if size < rate.within(SHORT_CUT) {
        FindingSeverity::Critical
    } else {
        FindingSeverity::Warning
    };
    let rounded = round_up(needed);
    let fix = Fix::set_named(
        &subject.server.addr,
        subject.facts,
        "repl-backlog-size",
        &rounded.get().to_string(),
    )
    .noting(&format!("that is {rounded} of memory, allocated at once"));
    let lasts = rate.lasts(size);
    Ok(vec![Problem::new(
        severity,
        format!("its backlog of {size} lasts {lasts} at today's writes, not {survive}"),
        Evidence::new(
            format!("repl_backlog_size {size}"),
            format!(
                "{needed} for {survive} and a fifth more: {rate} on {}",
                subject.entry.master.addr
            ),
            subject.on_server("INFO replication"),
        ),
        fix,
    )])
}

/// The next power of two: a size that people recognise.
fn round_up(bytes: Bytes) -> Bytes {
    Bytes::new(bytes.get().checked_next_power_of_two().unwrap_or(u64::MAX))
}

/// B2: a master without replicas drops its backlog, and with it the proof of what was lost.
pub(in crate::doctor) fn backlog_ttl(subject: &Subject<'_>) -> Verdict {
    let seconds = subject.facts.number(Directive::ReplBacklogTtl)?;
    let ttl = Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let needed = subject.options.survive.max(SHORTEST_TTL);
    if seconds == 0 || ttl >= needed {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!("it drops its backlog {ttl} after its last replica has left"),
        Evidence::new(
            format!("repl-backlog-ttl {seconds}"),
            format!("0 (never), or at least {needed}"),
            subject.on_server("CONFIG GET"),
        ),
        Fix::set(
            &subject.server.addr,
            subject.facts,
            Directive::ReplBacklogTtl,
            "0",
        )
        .noting("a lone server then keeps the memory of its backlog"),
    )])
}

/// B3: a full sync takes longer than the buffer for the writes meanwhile lasts.
pub(in crate::doctor) fn output_buffer(subject: &Subject<'_>) -> Verdict {
    let rate = subject.master()?.write_rate.clone()?;
    let limit = subject.facts.output_buffer_limit()?;
    let data = *reported(&subject.facts.details.used_memory, "used_memory")?;
    let backlog = subject.facts.observation.replication.backlog.size.value();
    // Since 7.0 a hard limit below the backlog's size counts as that size
    // (`checkClientOutputBufferLimits`, networking.c).
    let is_raised = subject.facts.redis_version()?.major >= 7;
    let floor = if is_raised { backlog } else { None };
    let Some(longest) = longest_sync(limit, floor, &rate) else {
        return Ok(Vec::new());
    };
    let fastest = Span::from_secs_f64(data.as_f64() / FASTEST_LINE);
    let usual = Span::from_secs_f64(data.as_f64() / USUAL_LINE);
    let severity = if longest < fastest {
        FindingSeverity::Critical
    } else if longest < usual {
        FindingSeverity::Warning
    } else {
        return Ok(Vec::new());
    };
    let needed = round_up(scaled(rate.within(usual), 2.0));
    let value = format!("replica {} {} 60", needed.get(), needed.get() / 2);
    Ok(vec![Problem::new(
        severity,
        format!(
            "a full sync of its {data} may take {longest} at today's writes before it is cut off, and \
             begins again without end"
        ),
        Evidence::new(
            format!(
                "client-output-buffer-limit replica {} {} {}",
                limit.hard.get(),
                limit.soft.get(),
                limit.soft_for.as_nanos() / 1_000_000_000
            ),
            format!(
                "room for the writes of {usual} (the data over 1 Gbit/s; {fastest} over 10 Gbit/s, \
                 both assumed): {rate}"
            ),
            subject.on_server("CONFIG GET, INFO"),
        ),
        Fix::set(
            &subject.server.addr,
            subject.facts,
            Directive::ClientOutputBufferLimit,
            &value,
        )
        .noting("the memory is only used while a replica syncs"),
    )])
}

/// How long a full sync may take before the limit ends it; `None` where no limit does. A hard limit
/// is at least `floor`.
fn longest_sync(limit: OutputBufferLimit, floor: Option<Bytes>, rate: &WriteRate) -> Option<Span> {
    if rate.per_second() <= 0.0 {
        return None;
    }
    let mut longest = None;
    if limit.hard > Bytes::ZERO {
        let hard = limit.hard.max(floor.unwrap_or(Bytes::ZERO));
        longest = Some(rate.lasts(hard));
    }
    if limit.soft > Bytes::ZERO && limit.soft_for > Span::ZERO {
        let soft = rate.lasts(limit.soft) + limit.soft_for;
        longest = Some(longest.map_or(soft, |hard: Span| hard.min(soft)));
    }
    longest
}

/// What follows from a timeout that is too short.
const CUT_BY_STALLS: &str = "Short stalls of the line, or of a server, cut the link.";

/// B4: a link is declared dead too early, or too late.
pub(in crate::doctor) fn timeout(subject: &Subject<'_>) -> Verdict {
    let timeout = subject.facts.number(Directive::ReplTimeout)?;
    let period = subject.facts.number(Directive::ReplPingReplicaPeriod)?;
    let shortest = period.saturating_mul(3);
    if timeout <= shortest {
        let what = format!(
            "its repl-timeout of {timeout} s is not more than three of its pings ({period} s apart): \
             a short stall cuts the link"
        );
        let need = format!("above {shortest} s, at most {LATE_TIMEOUT} s");
        let mut problem = timeout_problem(subject, what, need).then(CUT_BY_STALLS);
        if shortest >= 60 {
            let pings = Directive::ReplPingReplicaPeriod.label();
            let command = format!("CONFIG SET {pings} 10");
            problem.fix.commands.insert(0, command);
        }
        return Ok(vec![problem]);
    }
    if timeout > LATE_TIMEOUT {
        let what = format!("its repl-timeout of {timeout} s hides a dead link for that long");
        let need = format!("above {shortest} s, at most {LATE_TIMEOUT} s");
        let problem = timeout_problem(subject, what, need);
        return Ok(vec![problem.then("A dead link is noticed that late.")]);
    }
    let problem = slow_line(subject, timeout)?;
    Ok(problem.into_iter().collect())
}

fn timeout_problem(subject: &Subject<'_>, what: String, need: String) -> Problem {
    let facts = subject.facts;
    let shown = |directive: Directive| facts.setting(directive).unwrap_or_default();
    let value = format!(
        "repl-timeout {}, repl-ping-replica-period {}",
        shown(Directive::ReplTimeout),
        shown(Directive::ReplPingReplicaPeriod)
    );
    Problem::new(
        FindingSeverity::Warning,
        what,
        Evidence::new(value, need, subject.on_server("CONFIG GET")),
        Fix::set(&subject.server.addr, facts, Directive::ReplTimeout, "60"),
    )
}

/// How many round trips a link's timeout needs: a handshake takes seven.
const LINK_ROUND_TRIPS: f64 = 10.0;

/// Whether the line to the master is too slow for `timeout` seconds.
fn slow_line(subject: &Subject<'_>, timeout: u64) -> Result<Option<Problem>, Gap> {
    let master = subject.master()?;
    if subject.server.addr == subject.entry.master.addr {
        return Ok(None);
    }
    let trips = subject.facts.round_trip.zip(master.round_trip);
    let Some((own, of_master)) = trips else {
        return Err(Gap::because(
            "the round trips to it and to its master were not measured",
        ));
    };
    let bounds = RoundTripBounds::between(own, of_master);
    let limit = Span::from_secs(i64::try_from(timeout).unwrap_or(i64::MAX));
    let at_least = bounds.at_least;
    match bounds.compare(limit, LINK_ROUND_TRIPS) {
        Enough::Yes => Ok(None),
        Enough::Unknown => Err(Gap::because(format!(
            "the round trip to its master is between {at_least} and {} as seen from here: run \
             doctor beside one of the two",
            bounds.at_most
        ))),
        Enough::No => {
            let what = format!(
                "its repl-timeout of {timeout} s is not more than ten round trips to its master \
                 ({at_least} each): the link is cut before a handshake ends"
            );
            let needed = at_least.mul_f64(LINK_ROUND_TRIPS);
            let need = format!("above {needed}, ten round trips of {at_least} as seen from here");
            let problem = timeout_problem(subject, what, need);
            Ok(Some(problem.then(CUT_BY_STALLS)))
        }
    }
}

/// B5: a full sync goes by way of the disk, or needs memory that is not there.
pub(in crate::doctor) fn diskless(subject: &Subject<'_>) -> Verdict {
    let mut found = Vec::new();
    let facts = subject.facts;
    if !facts.is_on(Directive::ReplDisklessSync)? {
        let problem = Problem::new(
            FindingSeverity::Advice,
            "it writes a file before it sends a full sync: a slow disk makes that longer"
                .to_owned(),
            Evidence::new(
                "repl-diskless-sync no".to_owned(),
                "yes, the default since 7.0".to_owned(),
                subject.on_server("CONFIG GET"),
            ),
            Fix::set(
                &subject.server.addr,
                facts,
                Directive::ReplDisklessSync,
                "yes",
            ),
        );
        found.push(problem.then("A full sync takes longer."));
    }
    let swaps = matches!(facts.setting(Directive::ReplDisklessLoad), Ok("swapdb"));
    let used = facts.details.used_memory.value();
    let total = facts.details.total_memory.value();
    if let (true, Some(used), Some(total)) = (swaps, used, total)
        && scaled(used, 2.0) > total
    {
        let problem = Problem::new(
            FindingSeverity::Advice,
            format!(
                "it keeps the old data while it loads a full sync, and two times {used} exceed its memory"
            ),
            Evidence::new(
                "repl-diskless-load swapdb".to_owned(),
                format!("twice {used} within {total}"),
                subject.on_server("CONFIG GET, INFO memory"),
            ),
            Fix::set(
                &subject.server.addr,
                facts,
                Directive::ReplDisklessLoad,
                "disabled",
            ),
        );
        found.push(problem.then("A full sync ends the replica for want of memory."));
    }
    Ok(found)
}

/// B6: writes wait for others before they are sent.
pub(in crate::doctor) fn nodelay(subject: &Subject<'_>) -> Verdict {
    if !subject.facts.is_on(Directive::ReplDisableTcpNodelay)? {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Advice,
        "it collects writes for up to 40 ms before it sends them to its replicas".to_owned(),
        Evidence::new(
            "repl-disable-tcp-nodelay yes".to_owned(),
            "no, unless the line is paid by the packet".to_owned(),
            subject.on_server("CONFIG GET"),
        ),
        Fix::set(
            &subject.server.addr,
            subject.facts,
            Directive::ReplDisableTcpNodelay,
            "no",
        ),
    )])
}

/// B8: a full sync needs a fork, and there may be no memory for it.
pub(in crate::doctor) fn fork_room(subject: &Subject<'_>) -> Verdict {
    let details = &subject.facts.details;
    let used = *reported(&details.used_memory, "used_memory")?;
    let total = *reported(&details.total_memory, "total_system_memory")?;
    let needed = scaled(used, FORK_FACTOR);
    if needed <= total {
        return Ok(Vec::new());
    }
    let limit = optional(&details.max_memory, "maxmemory")?;
    let limit = match limit {
        Some(limit) => format!("maxmemory {limit}"),
        None => "no maxmemory".to_owned(),
    };
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!(
            "it uses {used} of {total}: a fork for a full sync or a save may fail, or end the server"
        ),
        Evidence::new(
            format!("used_memory {used}, {limit}"),
            format!("{needed} within the machine's {total} (the limit of a container is not seen)"),
            subject.on_server("INFO memory"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "more memory, or a maxmemory of less than two thirds of it",
        ),
    )])
}
