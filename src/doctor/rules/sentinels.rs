//! Chapter E: the Sentinels that watch the master.

use super::super::facts::Gap;
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::round_trip::{Enough, RoundTripBounds};
use super::super::subject::{SentinelAudit, Subject, Verdict};
use crate::info::SentinelWatch;
use crate::model::Span;

/// E1: Sentinels of one datacenter can act on their own.
pub(in crate::doctor) fn sentinel_placement(subject: &Subject<'_>) -> Verdict {
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

/// How many round trips without an answer count as down at the earliest.
const DOWN_ROUND_TRIPS: f64 = 5.0;

/// E2: a failover begins late, or without need.
pub(in crate::doctor) fn down_after(subject: &Subject<'_>) -> Verdict {
    each_sentinel(subject, |sentinel| {
        let Some(down_after) = sentinel.watch.settings.down_after else {
            return Err(Gap::because(
                "SENTINEL MASTER has no down-after-milliseconds",
            ));
        };
        let value = format!(
            "down-after-milliseconds {}",
            down_after.as_nanos() / 1_000_000
        );
        if down_after > LATE_DOWN_AFTER {
            let problem = sentinel.problem(
                FindingSeverity::Warning,
                format!("it takes a server for down only after {down_after}"),
                value,
                "at most a minute".to_owned(),
                "down-after-milliseconds 30000",
            );
            return Ok(vec![problem.then("A failover begins that late.")]);
        }
        let Some(farthest) = farthest(subject, sentinel) else {
            return Ok(Vec::new());
        };
        let RoundTripBounds { at_least, at_most } = farthest;
        match farthest.compare(down_after, DOWN_ROUND_TRIPS) {
            Enough::Yes => Ok(Vec::new()),
            Enough::Unknown => Err(Gap::because(format!(
                "the longest round trip between the Sentinel {} and a server is between {at_least} \
                 and {at_most} as seen from here: run doctor beside it",
                sentinel.sentinel.addr
            ))),
            Enough::No => {
                let problem = sentinel.problem(
                    FindingSeverity::Warning,
                    format!(
                        "it takes a server for down after {down_after}, less than five round trips \
                         to the farthest one"
                    ),
                    value,
                    format!("above five round trips of {at_least}, as seen from here"),
                    "down-after-milliseconds 30000",
                );
                Ok(vec![
                    problem.then("A slow line begins failovers without need."),
                ])
            }
        }
    })
}

/// The longest round trip between the Sentinel and a server of the entry.
fn farthest(subject: &Subject<'_>, sentinel: &Watching<'_>) -> Option<RoundTripBounds> {
    let to_sentinel = sentinel.sentinel.round_trip?;
    let servers = std::iter::once(&subject.entry.master).chain(&subject.entry.replicas);
    let mut farthest: Option<RoundTripBounds> = None;
    for server in servers {
        let Some(to_server) = server
            .facts
            .as_ref()
            .ok()
            .and_then(|facts| facts.round_trip)
        else {
            continue;
        };
        let bounds = RoundTripBounds::between(to_sentinel, to_server);
        farthest = Some(match farthest {
            Some(known) => RoundTripBounds {
                at_least: known.at_least.max(bounds.at_least),
                at_most: known.at_most.max(bounds.at_most),
            },
            None => bounds,
        });
    }
    farthest
}

/// E3: Sentinels watch the master with different settings.
pub(in crate::doctor) fn differing(subject: &Subject<'_>) -> Verdict {
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
pub(in crate::doctor) fn phantoms(subject: &Subject<'_>) -> Verdict {
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
pub(in crate::doctor) fn parallel_syncs(subject: &Subject<'_>) -> Verdict {
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

/// E6: a Sentinel cannot log in to the master, or would call other scripts than the others.
pub(in crate::doctor) fn logins(subject: &Subject<'_>) -> Verdict {
    let master_answers = subject.entry.master.facts.is_ok();
    let mut first: Option<(Vec<String>, String)> = None;
    each_sentinel(subject, |sentinel| {
        let mut found = Vec::new();
        if let Some(down_for) = sentinel.watch.master.down_for
            && master_answers
        {
            found.push(login_problem(subject, sentinel, down_for));
        }
        let scripts = &sentinel.watch.scripts;
        match &first {
            Some((reference, addr)) if reference != scripts => {
                found.push(scripts_problem(sentinel, reference, addr));
            }
            Some(_) => {}
            None => first = Some((scripts.clone(), sentinel.sentinel.addr.to_string())),
        }
        Ok(found)
    })
}

fn login_problem(subject: &Subject<'_>, sentinel: &Watching<'_>, down_for: Span) -> Problem {
    let master = &subject.entry.master.addr;
    let mut problem = sentinel.problem(
        FindingSeverity::Warning,
        format!(
            "it has taken the master for down for {down_for}, and {master} answers here: its \
             password for it is wrong, or the way to it is cut"
        ),
        format!("s_down for {down_for}"),
        "a Sentinel that sees the master, as this program does".to_owned(),
        "auth-pass PASSWORD",
    );
    problem.fix = problem.fix.noting(
        "with a user of its own also auth-user; where the password is right, look at the network",
    );
    problem.then("That Sentinel takes part in no decision.")
}

fn scripts_problem(sentinel: &Watching<'_>, reference: &[String], addr: &str) -> Problem {
    let listed = |scripts: &[String]| match scripts {
        [] => "no script".to_owned(),
        some => some.join(", "),
    };
    let mut problem = sentinel.problem(
        FindingSeverity::Warning,
        format!("its scripts are not those of {addr}: only the Sentinel that leads calls them"),
        listed(&sentinel.watch.scripts),
        format!("as on {addr}: {}", listed(reference)),
        "client-reconfig-script PATH",
    );
    problem.fix = problem.fix.noting(
        "from Redis 7.0 on only where sentinel deny-scripts-reconfig is no, else in its file",
    );
    problem.then("Clients are not redirected after a failover that this Sentinel leads.")
}

/// E7: Sentinels call the master by different names.
pub(in crate::doctor) fn names(subject: &Subject<'_>) -> Verdict {
    let mut first: Option<(String, String)> = None;
    each_sentinel(subject, |sentinel| {
        let name = &sentinel.watch.master.name;
        let addr = sentinel.sentinel.addr.to_string();
        let Some((reference, other)) = &first else {
            first = Some((name.clone(), addr));
            return Ok(Vec::new());
        };
        if reference == name {
            return Ok(Vec::new());
        }
        let mut problem = sentinel.problem(
            FindingSeverity::Advice,
            format!("it sends clients to {name}, and {other} sends them to {reference}"),
            name.clone(),
            "the same name or address on every Sentinel".to_owned(),
            "",
        );
        problem.fix = Fix::commands(
            &sentinel.sentinel.addr,
            vec![
                "SENTINEL CONFIG SET resolve-hostnames yes".to_owned(),
                "SENTINEL CONFIG SET announce-hostnames yes".to_owned(),
            ],
            "or no, but the same on all of them; during a failover they differ for a moment",
        );
        Ok(vec![problem])
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
