//! Chapter E: the Sentinels that watch the master.

use super::super::facts::Gap;
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{SentinelAudit, Subject, Verdict};
use crate::info::SentinelWatch;
use crate::model::Span;

/// E1: Sentinels of one datacenter can act on their own.
pub(super) fn sentinel_placement(subject: &Subject<'_>) -> Verdict {
    let Some(risks) = &subject.entry.placement_risks else {
        return Err(Gap::because(
            "where the Sentinels run is not known: too few of them answered",
        ));
    };
    let mut found = Vec::new();
    for risk in risks {
        found.push(Problem::new(
            FindingSeverity::Warning,
            risk.clone(),
            Evidence::new(
                format!("{} Sentinels asked", subject.entry.sentinels.len()),
                "no majority in one datacenter, best a third place".to_owned(),
                "SENTINEL SENTINELS and SENTINEL MASTERS of each".to_owned(),
            ),
            Fix::by_hand(
                &subject.server.addr,
                "docs/topologies.md has placements that work; with two datacenters only there is \
                 none that survives the loss of either",
            ),
        ));
    }
    Ok(found)
}

/// From this time on a failover begins late.
const LATE_DOWN_AFTER: Span = Span::from_secs(60);

/// How long a server that a Sentinel remembers may be down before it counts as gone.
const GONE_AFTER: Span = Span::from_secs(24 * 3600);

/// E2: a failover begins late.
pub(super) fn down_after(subject: &Subject<'_>) -> Verdict {
    each_sentinel(subject, |sentinel| {
        let Some(down_after) = sentinel.watch.settings.down_after else {
            return Err(Gap::because(
                "SENTINEL MASTER has no down-after-milliseconds",
            ));
        };
        if down_after <= LATE_DOWN_AFTER {
            return Ok(Vec::new());
        }
        Ok(vec![sentinel.problem(
            FindingSeverity::Warning,
            format!("it takes a server for down only after {down_after}"),
            format!(
                "down-after-milliseconds {}",
                down_after.as_nanos() / 1_000_000
            ),
            "at most a minute".to_owned(),
            "down-after-milliseconds 30000",
        )])
    })
}

/// E3: Sentinels watch the master with different settings.
pub(super) fn differing(subject: &Subject<'_>) -> Verdict {
    let mut first = None;
    each_sentinel(subject, |sentinel| {
        let settings = sentinel.watch.settings;
        let Some((reference, addr)) = &first else {
            first = Some((settings, sentinel.sentinel.addr.clone()));
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let millis = |span: Option<Span>| span.map(|span| span.as_nanos() / 1_000_000);
        let count = |number: Option<u64>| number.and_then(|n| i64::try_from(n).ok());
        let pairs = [
            ("quorum", count(settings.quorum), count(reference.quorum)),
            (
                "down-after-milliseconds",
                millis(settings.down_after),
                millis(reference.down_after),
            ),
            (
                "failover-timeout",
                millis(settings.failover_timeout),
                millis(reference.failover_timeout),
            ),
        ];
        for (name, own, other) in pairs {
            if let (Some(own), Some(other)) = (own, other)
                && own != other
            {
                found.push(sentinel.problem(
                    FindingSeverity::Warning,
                    format!("its {name} is {own}, that of {addr} is {other}"),
                    format!("{name} {own}"),
                    "the same on every Sentinel".to_owned(),
                    &format!("{name} {other}"),
                ));
            }
        }
        Ok(found)
    })
}

/// E4: Sentinels remember replicas and other Sentinels that do not exist.
pub(super) fn phantoms(subject: &Subject<'_>) -> Verdict {
    each_sentinel(subject, |sentinel| {
        let remembered = sentinel
            .watch
            .replicas
            .iter()
            .chain(&sentinel.watch.sentinels);
        let is_gone = |down: Option<Span>| down.is_some_and(|down| down > GONE_AFTER);
        let mut names = Vec::new();
        for server in remembered {
            if !server.has_address || is_gone(server.down_for) {
                names.push(server.name.as_str());
            }
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names = names.join(", ");
        let mut problem = sentinel.problem(
            FindingSeverity::Warning,
            format!("it remembers servers that have been gone for a day or have no port: {names}"),
            names.clone(),
            "servers that exist: a majority counts Sentinels that are gone, too".to_owned(),
            "",
        );
        problem.fix = Fix::commands(
            &sentinel.sentinel.addr,
            vec![format!("SENTINEL RESET {}", sentinel.sentinel.master_name)],
            "on one Sentinel after another, half a minute apart, while the master is up",
        );
        Ok(vec![problem])
    })
}

/// E5: all replicas sync with a new master at once.
pub(super) fn parallel_syncs(subject: &Subject<'_>) -> Verdict {
    each_sentinel(subject, |sentinel| {
        let Some(parallel) = sentinel.watch.settings.parallel_syncs else {
            return Err(Gap::because("SENTINEL MASTER has no parallel-syncs"));
        };
        if parallel <= 1 {
            return Ok(Vec::new());
        }
        Ok(vec![sentinel.problem(
            FindingSeverity::Advice,
            format!("after a failover up to {parallel} replicas sync at once, and serve nothing meanwhile"),
            format!("parallel-syncs {parallel}"),
            "1".to_owned(),
            "parallel-syncs 1",
        )])
    })
}

/// A Sentinel that answered.
struct Watching<'a> {
    sentinel: &'a SentinelAudit,
    watch: &'a SentinelWatch,
}

impl Watching<'_> {
    fn problem(
        &self,
        severity: FindingSeverity,
        what: String,
        value: String,
        need: String,
        setting: &str,
    ) -> Problem {
        let fix = Fix::commands(
            &self.sentinel.addr,
            vec![format!(
                "SENTINEL SET {} {setting}",
                self.sentinel.master_name
            )],
            "the Sentinel keeps it in its own file",
        );
        let addr = &self.sentinel.addr;
        let measured = format!("SENTINEL MASTER, REPLICAS and SENTINELS on {addr}");
        Problem::new(severity, what, Evidence::new(value, need, measured), fix).on(addr)
    }
}

/// What `rule` finds on each Sentinel that answered.
fn each_sentinel(subject: &Subject<'_>, mut rule: impl FnMut(&Watching<'_>) -> Verdict) -> Verdict {
    let mut found = Vec::new();
    for sentinel in &subject.entry.sentinels {
        // Those that did not answer are listed as not checked, whatever the others said.
        if let Ok(watch) = &sentinel.watch {
            found.extend(rule(&Watching { sentinel, watch })?);
        }
    }
    Ok(found)
}
