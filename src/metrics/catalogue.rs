//! The declared table of every metric: name, type, labels, help. docs/metrics.md is made from it.

use crate::model::closed_set;

closed_set! {
    /// A metric's type, as the exposition format spells it.
    pub enum Kind {
        /// May go up and down.
        Gauge => "gauge",
        /// Only goes up, even over reconnects and restarts of what it counts.
        Counter => "counter",
        /// Buckets, sum and count.
        Histogram => "histogram",
    }
}

/// A metric's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, in order; some metrics add the labels that the configuration gives.
    pub labels: &'static [&'static str],
    /// What it is, with its unit. An unknown value is an absent series.
    pub help: &'static str,
    /// Its place in [`ALL`].
    pub(super) place: usize,
}

/// The labels of metrics of a pair.
pub const PAIR: &[&str] = &["pair", "source_dc", "target_dc", "replica"];
/// The labels of metrics of a server. Never `instance`: Prometheus would rename it.
pub const SERVER: &[&str] = &["dc", "server"];

/// The labels of metrics of one Sentinel that watches one pair's master; `pair` is the name of the
/// configuration's entry while no master is known.
pub const SENTINEL: &[&str] = &["pair", "dc", "server"];

/// The labels of metrics of a Redis Cluster: the name of the configuration's entry.
pub const CLUSTER: &[&str] = &["cluster"];

/// The labels of metrics of one node of a Redis Cluster.
pub const CLUSTER_NODE: &[&str] = &["cluster", "dc", "server"];

/// The labels of metrics of a pair file.
pub const PAIR_FILE: &[&str] = &["file"];

/// The labels of metrics of a DNS name of a pair's servers.
pub const DNS_NAME: &[&str] = &["pair", "name"];

/// The labels of metrics of a direction between two active-active sites; `name` is the entry's.
pub const SITES: &[&str] = &["name", "source_dc", "target_dc"];

macro_rules! catalogue {
    ($($id:ident = $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        /// The metrics by their names here, which gives each its place.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the constants' names")]
        enum Place { $($id),* }
        $(#[doc = $help] pub const $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: $labels,
            help: $help,
            place: Place::$id as usize,
        };)*
        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

catalogue! {
    PAIR_INFO = Gauge "redis_cross_dc_pair_info" &["pair", "source_dc", "target_dc", "replica", "master"],
        "Always 1, for every configured pair, with its master and the labels that the configuration gives; `pair_info unless lag` finds what is unknown.";
    LAG_SECONDS = Gauge "redis_cross_dc_replication_lag_seconds" PAIR,
        "Age in seconds of the oldest write that the replica lacks, now; 0 when it lacks none. The best estimate.";
    LAG_LOWER_SECONDS = Gauge "redis_cross_dc_replication_lag_lower_seconds" PAIR,
        "The lag was certainly at least this many seconds when the replica last answered.";
    LAG_UPPER_SECONDS = Gauge "redis_cross_dc_replication_lag_upper_seconds" PAIR,
        "The lag is certainly at most this many seconds, now.";
    LAG_MAX_SECONDS = Gauge "redis_cross_dc_replication_lag_max_seconds" PAIR,
        "Highest estimate of the lag in the last 60 seconds, which scrapes may have missed.";
    LAG_SAMPLE_TIMESTAMP = Gauge "redis_cross_dc_replication_lag_sample_timestamp_seconds" PAIR,
        "Unix time at which the replica's offset was last learned.";
    LAG_BYTES = Gauge "redis_cross_dc_replication_lag_bytes" PAIR,
        "Bytes that the master has written and the replica has not applied. The best estimate.";
    LAG_LOWER_BYTES = Gauge "redis_cross_dc_replication_lag_lower_bytes" PAIR,
        "Certified lower bound of the lag in bytes, when the replica was last asked.";
    LAG_UPPER_BYTES = Gauge "redis_cross_dc_replication_lag_upper_bytes" PAIR,
        "Certified upper bound of the lag in bytes, when the replica was last asked.";
    LAST_KNOWN_SECONDS = Gauge "redis_cross_dc_last_known_lag_upper_seconds" PAIR,
        "Upper bound of the lag in seconds in the last certified statement; stays when the master is lost.";
    LAST_KNOWN_BYTES = Gauge "redis_cross_dc_last_known_lag_upper_bytes" PAIR,
        "Upper bound of the lag in bytes in the last certified statement; stays when the master is lost.";
    LAST_KNOWN_TIMESTAMP = Gauge "redis_cross_dc_last_known_timestamp_seconds" PAIR,
        "Unix time of the last certified statement about the pair.";
    REPLICATION_BYTES = Counter "redis_cross_dc_replication_bytes_total" PAIR,
        "Bytes of the replication stream that the replica applied; survives reconnects, restarts and offset resets.";
    LAG_DISTRIBUTION = Histogram "redis_cross_dc_replication_lag_distribution_seconds" &["source_dc", "target_dc"],
        "Lag in seconds, observed once a second for every pair whose lag is known.";
    LINK_UP = Gauge "redis_cross_dc_link_up" PAIR,
        "1 when the pair is in the state streaming, else 0; always present.";
    LINK_STATE = Gauge "redis_cross_dc_link_state" &["pair", "source_dc", "target_dc", "replica", "state"],
        "The pair's state: exactly one of the states is 1. The others have no series, or 0 with `metrics.states: all`.";
    LINK_DOWN_SECONDS = Gauge "redis_cross_dc_link_down_seconds" PAIR,
        "Seconds for which the link has been down or stalled, the full sync that ends it included; absent otherwise, and during the first full sync.";
    SYNC_PROGRESS_AGE = Gauge "redis_cross_dc_sync_progress_age_seconds" PAIR,
        "Seconds since a full sync of the replica last made progress, while one is under way, its first one included; absent otherwise, and before any progress.";
    LAST_IO_SECONDS = Gauge "redis_cross_dc_last_io_seconds" PAIR,
        "Raw: seconds since the replica last heard from its master (`master_last_io_seconds_ago`). Not a lag.";
    ACK_AGE_SECONDS = Gauge "redis_cross_dc_ack_age_seconds" PAIR,
        "Raw: age in whole seconds of the replica's last ACK (the `lag` of the `slaveN` line of its master). Not a lag.";
    ACK_LAG_BYTES = Gauge "redis_cross_dc_ack_lag_bytes" PAIR,
        "Raw: bytes that the master has written and the replica has not acknowledged. Up to a second of writes on a healthy replica.";
    UNAPPLIED_BYTES = Gauge "redis_cross_dc_unapplied_bytes" PAIR,
        "Raw: bytes that the replica has received and not applied yet.";
    DIVERGED_BYTES = Gauge "redis_cross_dc_diverged_bytes" PAIR,
        "Bytes of the older of two histories that the other side does not have, while the pair is diverged and where that is known: what is lost when the server that was promoted stays the master.";
    DIVERGED_SIDE_BYTES = Gauge "redis_cross_dc_diverged_side_bytes" &["pair", "source_dc", "target_dc", "replica", "side"],
        "Bytes of history that only this side of the pair has (master or replica), while the pair is diverged and where that is known.";
    DOCTOR_FINDINGS = Gauge "redis_cross_dc_doctor_findings" &["pair", "severity"],
        "Findings of the exporter's last audit for disaster recovery, by severity (`critical`, `warning`, `advice`); absent until an audit has ended. docs/doctor.md";
    DOCTOR_NOT_CHECKED = Gauge "redis_cross_dc_doctor_not_checked" &["pair"],
        "Checks of that audit without a result: a server did not answer, or a right is missing. Not checked is not clean.";
    DOCTOR_LAST_RUN = Gauge "redis_cross_dc_doctor_last_run_timestamp_seconds" &["pair"],
        "Unix time at which that audit ended.";
    FAILOVERS = Counter "redis_cross_dc_failovers_total" &["pair"],
        "Times that another server became the master of the configuration's entry while the exporter watched.";
    FAILOVER_LOST_BYTES = Gauge "redis_cross_dc_failover_lost_bytes" &["pair"],
        "Bytes of the old master's stream that the new one does not have, after the last failover; absent until the old master has answered with its own history.";
    LOST_WRITES = Gauge "redis_cross_dc_lost_writes" &["pair", "server", "state"],
        "Captures of the writes that only this deposed master has, or had: `running`; `saved` counts the files that wait for a person; `nothing` where no client wrote; `failed` is tried again; `gone` can no longer be had. Absent once the files are gone or marked as done.";
    OPERATION_INFO = Gauge "redis_cross_dc_operation_info" &["pair", "id", "kind", "state"],
        "Always 1: the newest operation of the pair that its controller reported (`switch-over`, `disaster`, `rejoin`, `hand-over`, `take-over`), and where it is: `running`; `lapsed` when its controller has stopped reporting; `done`, `as-before` and `refused` for ten minutes; `incomplete` until the next one. docs/disaster-recovery.md";
    DRILL_LAST_SUCCESS = Gauge "redis_cross_dc_drill_last_success_timestamp_seconds" &["pair"],
        "Unix time at which the last drill of the pair passed (`failover --drill`), as far as this machine has its report; absent where there was none.";
    SITES_UP = Gauge "redis_cross_dc_active_active_up" SITES,
        "1 while both sites answer the comparison, else 0: then the other series of the direction are absent after half a minute. Always present for every entry of `active_active` with `monitor`.";
    SITE_ERRORS = Counter "redis_cross_dc_active_active_errors_total" &["name", "source_dc", "target_dc", "reason"],
        "Times that the comparison of the direction failed, or the reading of the source's clock and queue, by reason: `timeout`, `disconnected`, `loading`, `master_down`, `busy`, `cluster`, `auth`, `denied`, `wrong_type`, `too_large`, `unexpected`. A reason is absent until it first occurs; the API's `reason` says which server it was.";
    QUEUE_LENGTH = Gauge "redis_cross_dc_active_active_queue_length" SITES,
        "Items that wait in the source's queue for the target.";
    QUEUE_OLDEST = Gauge "redis_cross_dc_active_active_queue_oldest_seconds" SITES,
        "For how long the oldest of them has waited, at least, by the source's clock: the older one of the items at both ends. 0 for an empty queue; absent where neither of the two can be read, or where they are stamped ahead of the clock.";
    QUEUE_REJECTED = Gauge "redis_cross_dc_active_active_queue_rejected_length" SITES,
        "Items of the source that were set aside, since they can be applied nowhere.";
    QUEUE_OVERFLOW = Gauge "redis_cross_dc_active_active_queue_overflow" SITES,
        "1 once the source's queue was full and writes were not queued, until somebody deletes the key `{queue}:overflow`: only a comparison finds those writes. Else 0.";
    DIVERGENT_KEYS = Gauge "redis_cross_dc_active_active_divergent_keys" SITES,
        "Registers of which the target lacks, for good, the version that the source has. Absent until a pass has looked at every key since either server was restarted; the metrics `_lower` and `_upper` say what is known until then.";
    DIVERGENT_KEYS_LOWER = Gauge "redis_cross_dc_active_active_divergent_keys_lower" SITES,
        "Registers that are known to differ so: at least these.";
    DIVERGENT_KEYS_UPPER = Gauge "redis_cross_dc_active_active_divergent_keys_upper" SITES,
        "Registers that differ so, at most: with 95 % confidence (Clopper and Pearson) while a pass has not looked at every key.";
    IN_FLIGHT_KEYS = Gauge "redis_cross_dc_active_active_in_flight_keys" SITES,
        "Keys that differed at their first look and wait for the second one, which tells whether they differ for good.";
    KEYS_CHECKED = Counter "redis_cross_dc_active_active_keys_checked_total" &["name", "source_dc", "target_dc", "class"],
        "Looks at keys of the source, by what came of them: `equal`; `in_flight`; `expiring`; for good `newer`, `missing`, `tie`, `malformed`, `wrong_type`, `future`, `too_large`, `counter`, `regressed_counter`; `unknown` where too many others differ. A key that differs for good is looked at every ten seconds.";
    UNPROPAGATED = Gauge "redis_cross_dc_active_active_unpropagated_seconds" SITES,
        "Age of the oldest version that the source has and that the target had not when it was last looked at: lag without a probe. 0 once a pass has found none; absent before.";
    COUNTER_DIVERGENCE = Gauge "redis_cross_dc_active_active_counter_divergence" SITES,
        "Counters of which the target has less than the source in some field, for good. Absent until a pass has looked at every key since either server was restarted.";
    COUNTER_REGRESSED = Gauge "redis_cross_dc_active_active_counter_regressed" SITES,
        "Counters of which the target has less than the source in a field of the target's own: the target has lost increments, by a failover or a restore. Looked for right after each restart and failover of either site. Absent until one is found or a pass has ended.";
    TIMESTAMP_AHEAD = Gauge "redis_cross_dc_active_active_timestamp_ahead_seconds" SITES,
        "How far the source's versions are ahead of its server's clock, at most, in this pass and the last one: somebody writes with a fast clock. 0 once a pass has found none; absent before.";
    CONVERGENCE = Histogram "redis_cross_dc_active_active_convergence_seconds" &["name", "source_dc", "target_dc", "path"],
        "How long writes took from the source to the target, by path: `queue` a probe that the applications' worker brings over, `direct` a probe that this exporter applies itself, `keys` keys of the applications that the scan found under way (slow ones are found more often). What has not arrived after ten minutes is above every bucket.";
    PROBE_WRITES = Counter "redis_cross_dc_active_active_probe_writes_total" &["name", "source_dc", "target_dc", "result"],
        "Probes by result: `written`, `failed`. Only with `active_active[].probe`.";
    CLOCK_SKEW = Gauge "redis_cross_dc_active_active_clock_skew_seconds" SITES,
        "By how much the clock of the target's server is ahead of that of the source's server, by estimate; negative where it is behind. One series for every two sites.";
    CLOCK_SKEW_LOWER = Gauge "redis_cross_dc_active_active_clock_skew_lower_seconds" SITES,
        "The same, certainly at least.";
    CLOCK_SKEW_UPPER = Gauge "redis_cross_dc_active_active_clock_skew_upper_seconds" SITES,
        "The same, certainly at most.";
    PASS_SECONDS = Gauge "redis_cross_dc_active_active_pass_seconds" SITES,
        "How long the last pass over all keys of the source took; absent before the first one has ended.";
    PASS_LAST_SUCCESS = Gauge "redis_cross_dc_active_active_pass_last_success_timestamp_seconds" SITES,
        "Unix time at which the last pass over all keys of the source ended.";
    HISTORY_LOST = Gauge "redis_cross_dc_history_lost" PAIR,
        "1 while the pair's master is without the replication history that it had before it came back, until the pair has streamed in the new one for ten minutes; absent otherwise.";
    BACKLOG_HEADROOM_BYTES = Gauge "redis_cross_dc_backlog_headroom_bytes" PAIR,
        "Bytes that the master may write during a cut before the replica needs a full resync.";
    BACKLOG_HEADROOM_SECONDS = Gauge "redis_cross_dc_backlog_headroom_seconds" &["pair", "source_dc", "target_dc", "replica", "estimate"],
        "Seconds for which the link may be cut before the replica needs a full resync: expected by the writes of the last five minutes, worst by the fastest writes of the history that is kept (two days at most). Absent beyond 30 days.";
    CATCH_UP_SECONDS = Gauge "redis_cross_dc_catch_up_seconds" PAIR,
        "Seconds until the replica has everything, if its master goes on as in the last five minutes; only while it streams, is more than a second behind and comes closer, and while the master writes evenly enough for a number that is right to within a quarter (docs/foresight.md).";
    OUTPUT_BUFFER_BYTES = Gauge "redis_cross_dc_output_buffer_bytes" PAIR,
        "Bytes of the master's output buffer for the replica, as its limits count them; only with `poll.output_buffers`.";
    OUTPUT_BUFFER_LIMIT_BYTES = Gauge "redis_cross_dc_output_buffer_limit_bytes" &["pair", "source_dc", "target_dc", "replica", "limit"],
        "The limits in force on that buffer: at the hard one the master drops the link, at the soft one after a while; a limit of 0 is none and absent.";
    OUTPUT_BUFFER_DISCONNECT_SECONDS = Gauge "redis_cross_dc_output_buffer_disconnect_seconds" PAIR,
        "Seconds until the master drops the link because of that buffer, at its present growth; absent while it does not grow towards a limit.";
    SYNC_LEFT_SECONDS = Gauge "redis_cross_dc_sync_left_seconds" PAIR,
        "Seconds until the full sync that is under way is transferred, at its present rate; the replica loads it after that. Absent before its size is known: in a diskless sync estimated from the share of keys that the master has sent.";
    SYNC_ATTEMPTS = Gauge "redis_cross_dc_sync_attempts" PAIR,
        "Full syncs that have begun since the replica last streamed for a minute; more than one is a loop. Absent where there was none.";
    LINK_FLAPS = Counter "redis_cross_dc_link_flaps_total" PAIR,
        "Times that the link was lost and back between two polls of its master, which both showed it up. Absent before the first, and not counted for masters with several replicas.";
    EVIDENCE_EXPIRES_SECONDS = Gauge "redis_cross_dc_evidence_expires_seconds" PAIR,
        "While the pair is diverged: seconds for which the backlog of the deposed master still proves its unshared writes, by its room and by `repl-backlog-ttl` (its default where `poll.output_buffers` is off).";
    SERVER_UP = Gauge "redis_cross_dc_server_up" SERVER,
        "1 when the server answered the last poll, else 0.";
    SERVER_ROLE = Gauge "redis_cross_dc_server_role" &["dc", "server", "role"],
        "The role that the server claims: exactly one of master and replica is 1. The other has no series, or 0 with `metrics.states: all`.";
    SERVER_INFO = Gauge "redis_cross_dc_server_info" &["dc", "server", "engine", "version"],
        "Always 1, with the server's program and version.";
    FULL_SYNCS = Counter "redis_cross_dc_full_syncs_total" SERVER,
        "Full resyncs that the server gave to replicas, over its restarts.";
    PARTIAL_SYNCS = Counter "redis_cross_dc_partial_syncs_total" &["dc", "server", "result"],
        "Partial resyncs that replicas asked the server for, by result, over its restarts.";
    POLL_ERRORS = Counter "redis_cross_dc_poll_errors_total" &["dc", "server", "reason"],
        "Failed polls, by reason; a reason is absent until it first occurs.";
    EXPORTER_FAULT = Gauge "redis_cross_dc_exporter_fault" &["dc", "server", "reason"],
        "1 while the exporter has no access to the server, by a fault of its own (a secret or certificate file, TLS settings, its DNS) or because the server refuses its login; absent otherwise. Says nothing about the server.";
    POLLS = Counter "redis_cross_dc_polls_total" SERVER,
        "Polls of the server, answered or not.";
    POLLS_SKIPPED = Counter "redis_cross_dc_polls_skipped_total" SERVER,
        "Polls that were not sent because the one before was still unanswered.";
    POLL_LAST_SUCCESS = Gauge "redis_cross_dc_poll_last_success_timestamp_seconds" SERVER,
        "Unix time of the server's last answer.";
    HISTORY_RECORDS = Gauge "redis_cross_dc_offset_history_records" SERVER,
        "Records of the table from the offsets of this master to time; 24 bytes each, never more than 2048.";
    HISTORY_EPSILON = Gauge "redis_cross_dc_offset_history_epsilon" SERVER,
        "The part of its age to which an old entry of that table is certain: 0.01, or more once the table was full.";
    POLL_LATENESS = Histogram "redis_cross_dc_poll_lateness_seconds" &["dc"],
        "Seconds by which polls were sent later than planned: high when the exporter's machine is overloaded.";
    POLL_EVENTS_DROPPED = Counter "redis_cross_dc_poll_events_dropped_total" &[],
        "Answers and failures of polls that found the monitor's queue full; anything but 0 means that the exporter's machine is overloaded.";
    POLL_ROUNDS_MISSED = Counter "redis_cross_dc_poll_rounds_missed_total" &[],
        "Polling rounds that were skipped because their time had passed before they could begin.";
    EFFECTIVE_INTERVAL = Gauge "redis_cross_dc_effective_interval_seconds" &[],
        "Average seconds between two rounds of polls of a master and its replicas within the last half minute; more than `poll.interval` when the machine or the polling budget is too small. Absent while no round begins.";
    OVERLOADED = Gauge "redis_cross_dc_exporter_overloaded" &[],
        "1 while the exporter cannot keep its polling intervals because its own tasks wait for the CPU, else 0: bounds are wider then, but still true. Absent in the first second after a start or a pause.";
    TASKS = Gauge "redis_cross_dc_exporter_tasks" &[],
        "Tasks of the exporter that run or wait: some for each server, Sentinel, receiver and open HTTP connection. A number that grows with reloads or failovers would be a leak.";
    LATENCY = Histogram "redis_cross_dc_latency_seconds" &["operation", "dc"],
        "Round trips of the monitor in seconds: connect (handshake and AUTH included) and info.";
    HEARTBEATS = Counter "redis_cross_dc_heartbeats_total" PAIR,
        "Heartbeats that came out of the replica; only for pairs with heartbeats.";
    HEARTBEAT_UP = Gauge "redis_cross_dc_heartbeat_up" PAIR,
        "1 when a heartbeat came out of the replica within the last three periods (three seconds at least), else 0; only for pairs with heartbeats.";
    HEARTBEAT_DELAY = Gauge "redis_cross_dc_heartbeat_delay_seconds" PAIR,
        "Seconds that the newest heartbeat took from the exporter over master and replica back to the exporter; absent while `redis_cross_dc_heartbeat_up` is not 1.";
    HEARTBEAT_ERRORS = Counter "redis_cross_dc_heartbeat_errors_total" &["dc", "server", "reason"],
        "Times that heartbeats failed because of the server, by reason; a reason is absent until it first occurs.";
    SENTINEL_UP = Gauge "redis_cross_dc_sentinel_up" SENTINEL,
        "1 when the Sentinel answered the last query, else 0.";
    SENTINEL_QUORUM_OK = Gauge "redis_cross_dc_sentinel_quorum_ok" SENTINEL,
        "1 when the Sentinel says that enough Sentinels are reachable for a failover of the pair's master, 0 when it says NOQUORUM.";
    SENTINEL_AGREES = Gauge "redis_cross_dc_sentinel_agrees" SENTINEL,
        "1 when the Sentinel names the same master as the newest view (highest epoch), else 0.";
    SENTINEL_TILT = Gauge "redis_cross_dc_sentinel_tilt" SENTINEL,
        "1 while the Sentinel is in TILT, in which it decides nothing, else 0.";
    CLUSTER_REACHABLE = Gauge "redis_cross_dc_cluster_reachable" CLUSTER,
        "1 when at least one node of the cluster answered the last query, else 0.";
    CLUSTER_STATE_OK = Gauge "redis_cross_dc_cluster_state_ok" CLUSTER,
        "1 when most of the nodes that share the prevailing view serve queries (`cluster_state:ok`), else 0; absent while none of them answers.";
    CLUSTER_SLOTS_UNCOVERED = Gauge "redis_cross_dc_cluster_slots_uncovered" CLUSTER,
        "Slots that no living master serves, of 16384; absent while no node answers.";
    CLUSTER_NODES_DISAGREEING = Gauge "redis_cross_dc_cluster_nodes_disagreeing" CLUSTER,
        "Nodes that answer but disagree with the prevailing view; absent while no node answers.";
    CLUSTER_SHARDS_AT_RISK = Gauge "redis_cross_dc_cluster_shards_at_risk" CLUSTER,
        "Shards whose nodes are placed badly: without a replica, with none outside the master's datacenter, or with several that are all in one other datacenter. The page, `check` and the API name each; absent before a node has answered.";
    CLUSTER_NODE_UP = Gauge "redis_cross_dc_cluster_node_up" CLUSTER_NODE,
        "1 when the node answered the last query about the cluster, else 0.";
    CLUSTER_NODE_AGREES = Gauge "redis_cross_dc_cluster_node_agrees" CLUSTER_NODE,
        "1 when the node shares the prevailing view, else 0; absent while it does not answer.";
    DISCOVERY_FILE_OK = Gauge "redis_cross_dc_discovery_file_ok" PAIR_FILE,
        "1 when the present content of the pair file is in force as a whole, else 0.";
    DISCOVERY_FILE_FAULT = Gauge "redis_cross_dc_discovery_file_fault" &["file", "reason"],
        "Always 1, while the content of the pair file or a part of it is not in force, with the reason.";
    DISCOVERY_FILE_PAIRS = Gauge "redis_cross_dc_discovery_file_pairs" PAIR_FILE,
        "Entries of the pair file that are watched: of a file that cannot be used those of its last good content.";
    DISCOVERY_FILE_FAILURES = Counter "redis_cross_dc_discovery_file_failures_total" PAIR_FILE,
        "Times that the content of the pair file turned out to be of no use.";
    DISCOVERY_NAME_OK = Gauge "redis_cross_dc_discovery_name_ok" DNS_NAME,
        "1 when the last resolution of the DNS name succeeded, else 0; absent before the first.";
    DISCOVERY_NAME_ADDRESSES = Gauge "redis_cross_dc_discovery_name_addresses" DNS_NAME,
        "Servers in the last good answer for the DNS name.";
    DISCOVERY_NAME_FAILURES = Counter "redis_cross_dc_discovery_name_failures_total" DNS_NAME,
        "Resolutions of the DNS name that failed.";
    ALERTS = Gauge "redis_cross_dc_alerts" &["alertname", "severity", "state"],
        "Always 1, for every alert that is pending or firing, with the alert's identity labels.";
    ALERT_THRESHOLD = Gauge "redis_cross_dc_alert_threshold" &["rule", "severity", "pair", "source_dc", "target_dc", "replica"],
        "The configured threshold of a rule for the pair, in the rule's unit (seconds, bytes or a number), where it is not the default one; `+Inf` where the default has the level and the pair does not. Of every pair with `metrics.thresholds: on`.";
    ALERT_DEFAULT_THRESHOLD = Gauge "redis_cross_dc_alert_default_threshold" &["rule", "severity"],
        "The threshold of a rule for every pair that has no `redis_cross_dc_alert_threshold` of that rule and severity.";
    NOTIFICATIONS = Counter "redis_cross_dc_notifications_total" &["receiver"],
        "Attempts to deliver a notification, those that failed included.";
    NOTIFICATIONS_FAILED = Counter "redis_cross_dc_notifications_failed_total" &["receiver", "reason"],
        "Attempts to deliver a notification that failed, by reason.";
    NOTIFICATIONS_SUPPRESSED = Counter "redis_cross_dc_notifications_suppressed_total" &["receiver", "reason"],
        "Notifications that were not sent on purpose, by reason.";
    NOTIFICATION_LATENCY = Histogram "redis_cross_dc_notification_latency_seconds" &["receiver"],
        "Seconds from the decision to notify to the receiver's answer, retries included.";
    NOTIFICATION_LAST_SUCCESS = Gauge "redis_cross_dc_notification_last_success_timestamp_seconds" &["receiver"],
        "Unix time at which the receiver last accepted a notification; absent before the first.";
    OUTBOX_DEPTH = Gauge "redis_cross_dc_notification_outbox_depth" &["receiver"],
        "Notifications that are waiting or being sent.";
    OUTBOX_OLDEST = Gauge "redis_cross_dc_notification_outbox_oldest_seconds" &["receiver"],
        "Age in seconds of the oldest waiting notification; absent when there is none.";
    CIRCUIT_OPEN = Gauge "redis_cross_dc_notification_circuit_open" &["receiver"],
        "1 while nothing is sent to the receiver because it answered that it is gone (410), else 0; it is tried again after 15 minutes.";
    DEAD_LETTERS = Counter "redis_cross_dc_notification_dead_letters_total" &["receiver"],
        "Notifications that were given up.";
    MONITOR_ISOLATED = Gauge "redis_cross_dc_monitor_isolated" &[],
        "1 while none of the servers outside the exporter's own datacenter answers it, else 0; absent with fewer than two of them and before all were asked.";
    BUILD_INFO = Gauge "redis_cross_dc_exporter_build_info" &["version", "revision", "rustc"],
        "Always 1, with the exporter's version, the git commit (`unknown` where the build had none) and the compiler it was built with.";
    SHARD_INFO = Gauge "redis_cross_dc_shard_info" &["index", "count"],
        "Always 1, with the share of the fleet that this exporter watches, counted from 0. Absent where it watches all of it.";
    RELOAD_SUCCESSFUL = Gauge "redis_cross_dc_exporter_config_last_reload_successful" &[],
        "1 when the last load of the configuration succeeded, else 0: the old one stays in effect.";
    RELOAD_TIMESTAMP = Gauge "redis_cross_dc_exporter_config_last_reload_success_timestamp_seconds" &[],
        "Unix time at which the configuration was last loaded.";
    STATE_STORE_UP = Gauge "redis_cross_dc_state_store_up" &[],
        "1 when the state is kept in the folder of state.path, else 0: monitoring continues from memory, and the next restart forgets.";
    STATE_STORE_ERRORS = Counter "redis_cross_dc_state_store_errors_total" &["operation"],
        "Failures of keeping the state since the start, by operation: open, read (rows that were not taken) and write.";
    STATE_STORE_LAST_COMMIT = Gauge "redis_cross_dc_state_store_last_commit_timestamp_seconds" &[],
        "Unix time at which the state was last written; absent before the first time.";
    STATE_STORE_WRITTEN = Counter "redis_cross_dc_state_store_written_bytes_total" &[],
        "Bytes of state written since the start, before what the file system adds.";
    WEB_CONFIG_SUCCESSFUL = Gauge "redis_cross_dc_exporter_web_config_last_reload_successful" &[],
        "1 when the file of --web.config.file, as it is now, is in effect, else 0: the old one stays in effect. Absent without such a file.";
}

impl Metric {
    /// Every metric, in the order of their names: that of the exposition.
    pub(super) fn by_name() -> Vec<Self> {
        let mut all = ALL.to_vec();
        all.sort_unstable_by_key(|metric| metric.name);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names: Vec<_> = ALL.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "no name stands twice");
        for metric in ALL {
            assert!(
                metric.name.starts_with("redis_cross_dc_"),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(
                metric.kind != Kind::Histogram || metric.name.ends_with("_seconds"),
                "{}",
                metric.name
            );
        }
    }
}
