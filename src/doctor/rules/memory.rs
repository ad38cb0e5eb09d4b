//! A2: whether the replica has the memory for what its master has.

use super::super::facts::{Gap, ServerFacts, optional, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use crate::model::Bytes;

/// How much room the replica needs above the data that the master has today.
const MEMORY_MARGIN: f64 = 1.1;

/// A2: the replica has less memory than the master's data needs, or evicts by another policy.
pub(in crate::doctor) fn memory(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let own_limit = optional(&subject.facts.details.max_memory, "maxmemory")?.copied();
    let limit = optional(&master.details.max_memory, "maxmemory")?.copied();
    let used = *reported(&master.details.used_memory, "used_memory")?;
    let mut found = Vec::new();
    found.extend(memory_limit(subject, own_limit, limit, used));
    found.extend(eviction_policy(subject, master)?);
    Ok(found)
}

fn memory_limit(
    subject: &Subject<'_>,
    own_limit: Option<Bytes>,
    limit: Option<Bytes>,
    used: Bytes,
) -> Option<Problem> {
    if own_limit == limit {
        return None;
    }
    let needed = times(used, MEMORY_MARGIN);
    let shown = |limit: Option<Bytes>| match limit {
        Some(bytes) => format!("maxmemory {} ({bytes})", bytes.get()),
        None => "maxmemory 0 (no limit)".to_owned(),
    };
    let (severity, consequence, what, need) = match own_limit {
        Some(own) if own < needed => (
            FindingSeverity::Critical,
            None,
            format!(
                "its maxmemory of {own} is too small for the master's {used} of data: after a \
                 promotion it evicts keys, or refuses writes"
            ),
            format!("at least {needed}, the master's used_memory and a tenth"),
        ),
        Some(own) if limit.is_none_or(|limit| own < limit) => (
            FindingSeverity::Warning,
            Some(
                "After a promotion it is full sooner: it evicts keys, or refuses writes, that the \
                 master has room for.",
            ),
            format!("its maxmemory of {own} is smaller than the master's"),
            format!("the master's: {}", shown(limit)),
        ),
        _ => (
            FindingSeverity::Advice,
            Some(
                "Data that grows after a promotion does not fit into the old master when that is \
                 promoted again.",
            ),
            "its maxmemory is larger than the master's".to_owned(),
            format!("the master's: {}", shown(limit)),
        ),
    };
    let value = limit.map_or(0, Bytes::get).to_string();
    let server = &subject.server.addr;
    let mut fix = Fix::set_named(server, subject.facts, "maxmemory", &value);
    let total = subject.facts.details.total_memory.value();
    if let (Some(limit), Some(total)) = (limit, total)
        && total < limit
    {
        fix = fix.noting(&format!(
            "the machine has only {total} of memory: it needs more first"
        ));
    }
    let evidence = Evidence::new(shown(own_limit), need, subject.on_both("INFO memory"));
    Some(Problem {
        consequence,
        ..Problem::new(severity, what, evidence, fix)
    })
}

fn eviction_policy(subject: &Subject<'_>, master: &ServerFacts) -> Result<Option<Problem>, Gap> {
    let own = reported(&subject.facts.details.eviction_policy, "maxmemory_policy")?;
    let wanted = reported(&master.details.eviction_policy, "maxmemory_policy")?;
    if own == wanted {
        return Ok(None);
    }
    let server = &subject.server.addr;
    let problem = Problem::new(
        FindingSeverity::Warning,
        format!("its eviction policy is {own}, the master's is {wanted}"),
        Evidence::new(
            format!("maxmemory-policy {own}"),
            format!("the master's: {wanted}"),
            subject.on_both("INFO memory"),
        ),
        Fix::set_named(server, subject.facts, "maxmemory-policy", wanted),
    );
    Ok(Some(problem.then(
        "When its memory is full after a promotion it evicts other keys than the master would, or \
         refuses writes instead.",
    )))
}

/// `bytes` times `factor`, rounded up.
fn times(bytes: Bytes, factor: f64) -> Bytes {
    // `as` saturates, and neither has a sign.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let product = (bytes.as_f64() * factor).ceil() as u64;
    Bytes::new(product)
}
