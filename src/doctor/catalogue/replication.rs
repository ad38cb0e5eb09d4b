//! Chapter B: buffers and timeouts of replication.

use super::super::rules::{directives, replication};
use super::CheckRow;
use super::CheckScope::Each;

pub(super) const B1: CheckRow = CheckRow {
    title: "repl-backlog-size",
    looks_at: "`INFO replication`; how much the master writes, best from the history of a running exporter",
    versions: "5.0",
    finds: "warning: less than is written in `--survive` and a fifth; critical: less than in a minute",
    consequence: "An interruption that long ends with a full sync, during which the replica is of no use.",
    may_be_wrong: "the rate was measured at a quiet or a busy time: the finding says over how long",
    source: "redis.conf, repl-backlog-size",
    scope: Each,
    rule: replication::backlog_size,
};

pub(super) const B2: CheckRow = CheckRow {
    title: "repl-backlog-ttl",
    looks_at: "`CONFIG GET`",
    versions: "5.0",
    finds: "warning: not 0 and less than `--survive` or 4 h",
    consequence: "Writes that only a lost master has can then be neither proved nor recovered.",
    may_be_wrong: "the memory of a lone server matters more",
    source: "redis.conf, repl-backlog-ttl; tried on 7.0.15",
    scope: Each,
    rule: replication::backlog_ttl,
};

pub(super) const B3: CheckRow = CheckRow {
    title: "client-output-buffer-limit of replicas",
    looks_at: "`CONFIG GET`, `INFO memory`; how much the master writes, best from the history of a running exporter",
    versions: "5.0",
    finds: "critical: used up before the data went over 10 Gbit/s; warning: over 1 Gbit/s",
    consequence: "A full sync is cut off before its end and begins again, without end.",
    may_be_wrong: "the line or the load of the sync is not as assumed; Redis 8 and Valkey 8 can buffer on the replica",
    source: "redis.conf, client-output-buffer-limit; issues 4697 and 11534 of redis",
    scope: Each,
    rule: replication::output_buffer,
};

pub(super) const B4: CheckRow = CheckRow {
    title: "repl-timeout and repl-ping-replica-period",
    looks_at: "`CONFIG GET`; round trips to both",
    versions: "5.0",
    finds: "warning: not above three pings, not above ten round trips, or above 300 s",
    consequence: "Short stalls cut the link, or a dead one is noticed late.",
    may_be_wrong: "the round trip between the servers is not as the two from here to them suggest",
    source: "redis.conf, repl-timeout",
    scope: Each,
    rule: replication::timeout,
};

pub(super) const B5: CheckRow = CheckRow {
    title: "diskless replication",
    looks_at: "`CONFIG GET`, `INFO memory`",
    versions: "5.0; load 6.0",
    finds: "advice: repl-diskless-sync no; swapdb without the memory for two data sets",
    consequence: "A full sync takes longer, or ends the replica for want of memory.",
    may_be_wrong: "the disk is fast and the line is slow",
    source: "redis.conf, repl-diskless-sync and repl-diskless-load",
    scope: Each,
    rule: replication::diskless,
};

pub(super) const B6: CheckRow = CheckRow {
    title: "repl-disable-tcp-nodelay",
    looks_at: "`CONFIG GET`",
    versions: "5.0",
    finds: "advice: yes",
    consequence: "Every write arrives up to 40 ms later.",
    may_be_wrong: "wanted, for bandwidth",
    source: "redis.conf, repl-disable-tcp-nodelay",
    scope: Each,
    rule: replication::nodelay,
};

pub(super) const B7: CheckRow = CheckRow {
    title: "repl-compression and other directives that somebody asks for",
    looks_at: "`CONFIG GET` of each `--directive`",
    versions: "5.0",
    finds: "advice: the server does not know a directive that `--directive` asks for, or that the other side has switched on",
    consequence: "A server does not start with a line that it does not know.",
    may_be_wrong: "the server hides the directive",
    source: "`repl-compression`: Redis 8.10 (a number), Valkey 9.2 (a word)",
    scope: Each,
    rule: directives::asked_for,
};

pub(super) const B8: CheckRow = CheckRow {
    title: "room for a fork",
    looks_at: "`INFO memory`",
    versions: "5.0",
    finds: "warning: used_memory and a half exceed the machine's memory",
    consequence: "A full sync or a save fails, or the kernel ends the server.",
    may_be_wrong: "a container has less than the machine: that is not seen",
    source: "redis.io, administration: overcommit and copy on write",
    scope: Each,
    rule: replication::fork_room,
};
