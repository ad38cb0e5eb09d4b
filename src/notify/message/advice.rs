//! What to do first: the advice of messages.

use std::collections::BTreeSet;

use crate::alert::{AlertStatus, Notification, Rule};

/// What to do about a test.
pub(super) const TEST_ADVICE: &str = "Nothing is wrong: somebody ran test-notify to see whether messages arrive. The firing and its end \
                           follow each other at once.";

/// The advice for the rules that fire, each once.
pub(super) fn advice(notification: &Notification) -> Vec<&'static str> {
    let mut rules = BTreeSet::new();
    for alert in &notification.alerts {
        if alert.status == AlertStatus::Firing {
            rules.insert(alert.identity.rule);
        }
    }
    rules.into_iter().map(advice_for).collect()
}

/// What to do first when `rule` fires.
pub fn advice_for(rule: Rule) -> &'static str {
    match rule {
        Rule::LagSeconds => LAG_SECONDS,
        Rule::LagBytes => LAG_BYTES,
        Rule::LinkDown => LINK_DOWN,
        Rule::Unreachable => UNREACHABLE,
        Rule::Unknown => UNKNOWN,
        Rule::SentinelQuorum => SENTINEL_QUORUM,
        Rule::ClusterDown => CLUSTER_DOWN,
        Rule::FullSync => FULL_SYNC,
        Rule::ReceiverFailing => RECEIVER_FAILING,
        Rule::MonitorIsolated => MONITOR_ISOLATED,
        Rule::Diverged => DIVERGED,
        Rule::HistoryLost => HISTORY_LOST,
        Rule::Failover => FAILOVER,
        Rule::ExporterFault => EXPORTER_FAULT,
        Rule::ConfigReloadFailed => CONFIG_RELOAD_FAILED,
        Rule::BacklogHeadroom => BACKLOG_HEADROOM,
        Rule::OutputBuffer => OUTPUT_BUFFER,
        Rule::ExporterOverloaded => EXPORTER_OVERLOADED,
        Rule::SyncQueue => SYNC_QUEUE,
        Rule::SitesDiverged => SITES_DIVERGED,
        Rule::ClockSkew => CLOCK_SKEW,
        Rule::CounterRegressed => COUNTER_REGRESSED,
        Rule::SitesUnknown => SITES_UNKNOWN,
    }
}

const LAG_SECONDS: &str = "\
    Do not fail over now: the replica lacks that much. Compare the master's write rate with the \
    bandwidth between the datacenters, then look at the replica for slow commands, CPU and disk.";

const LAG_BYTES: &str = "\
    Do not fail over now: the replica lacks that much. Compare the master's write rate with the \
    bandwidth, and the replica's output buffer on the master with its limit: beyond it the \
    master cuts the link.";

const LINK_DOWN: &str = "Check the network between master and replica, and the replica's log.";

const UNREACHABLE: &str = "\
    Check that the server runs, and the network path from this exporter to it. If others reach \
    it, the path is at fault.";

const UNKNOWN: &str = "\
    Treat the replica as unsafe for a failover until the lag is known again. The state and its \
    reason say what is missing; check that this exporter reaches both servers.";

const SENTINEL_QUORUM: &str = "\
    Check that the Sentinels run and reach each other across the datacenters.";

const CLUSTER_DOWN: &str = "\
    Check which nodes run and reach each other, also on the bus port. If most of the masters \
    were lost with a datacenter, no replica is promoted until somebody orders CLUSTER FAILOVER \
    TAKEOVER on one of each lost master.";

const FULL_SYNC: &str = "\
    Each full sync sends the whole data set. Several in a row are a loop: raise the master's \
    replica output buffer limit and its backlog, or repl-timeout, before the next one is cut as \
    well.";

const RECEIVER_FAILING: &str = "\
    Run test-notify for the receiver: it prints the answer. Then check its URL, key and network \
    path.";

const MONITOR_ISOLATED: &str = "\
    Check the datacenters from elsewhere before you act: probably only the exporter's own \
    network has failed.";

const DIVERGED: &str = "\
    Find out which of the two clients write to, and stop writes to the other. What only the one \
    of them has that becomes the replica is lost when it follows the other: the state says how \
    much that is. Save it first: redis-cross-dc-exporter lost-writes.";

const HISTORY_LOST: &str = "\
    If the replica still has the data, keep it: run REPLICAOF NO ONE on the replica now, before \
    its full sync is loaded. Then find out what the master loaded at its start, and which of the \
    two has the data that you want.";

const FAILOVER: &str = "\
    Check that clients write to the new master and that the old one has come back as its \
    replica. What is not in the new master's history is lost unless it is copied from the old \
    one before that follows.";

const EXPORTER_FAULT: &str = "\
    The exporter cannot see this server, and nothing says that the server itself has a fault. \
    Fix what the reason names: a secret or certificate file of the exporter, its TLS settings, \
    its DNS, or the login that the server refuses. Files are read again at each attempt, so no \
    restart is needed.";

const CONFIG_RELOAD_FAILED: &str = "\
    Run check-config on the file that was refused and fix what it names, then reload. Do not \
    restart before: the exporter would not start.";

const BACKLOG_HEADROOM: &str = "\
    Nothing is broken yet. Enlarge the master's backlog (CONFIG SET repl-backlog-size, then \
    CONFIG REWRITE) so that it holds the writes of the longest cut that you expect: it takes \
    effect at once and costs that much memory.";

const OUTPUT_BUFFER: &str = "\
    Raise the limit before the master drops the replica: CONFIG SET client-output-buffer-limit \
    \"replica HARD SOFT SECONDS\" on the master, if it has the memory. Then find out why the \
    replica does not keep up: the line, or the replica itself.";

const EXPORTER_OVERLOADED: &str = "\
    Give the exporter's machine or container more CPU (is its limit reached? is CPU time \
    stolen?), or poll less: a larger poll.interval or a smaller poll.max_polls_per_second. No \
    server is at fault.";

const SYNC_QUEUE: &str = "\
    Check that the sites reach each other and that the worker that drains the queue runs. Then \
    drain it: active-active sync, with --execute once its dry run shows what you expect.";

const SITES_DIVERGED: &str = "\
    Nothing brings these versions over by itself. Look at what differs (/api/v1/active-active \
    has examples), then run active-active sync, with --execute once its dry run shows what you \
    expect.";

const CLOCK_SKEW: &str = "\
    Check NTP on the servers, and on the hosts of the applications where versions are ahead of a \
    server's clock: the later clock wins over the later write.";

const COUNTER_REGRESSED: &str = "\
    Look for a failover or a restore of that site. Let no client of the tutorial count there \
    before active-active sync --execute has raised the counters: what it counts until then is \
    lost, too.";

const SITES_UNKNOWN: &str = "\
    Check that the exporter reaches both sites and that its user has the rights of \
    docs/active-active.md. Until then nobody knows whether the sites differ.";
