//! The table of all keys of the configuration. A new key is a row here and a field in `settings`.
//!
//! A row is `key FIELD = KEY` where a field of the settings has the key's value: it is then read,
//! defaulted and printed without further code. A row with `_`, or in a mapping without `for`, is
//! read by its section and printed by `redact`, with the row's range and default. The comment over
//! a row is its meaning in docs/configuration.md, word for word (`make docs-update`).

use super::fields::{Fields, Visitor};
use super::inherited::TlsKeys;
use super::schema::{Key, Keys};
use super::value::{any_secret, check_secret_url};
use super::{HeartbeatSettings, MetricsSettings, PollSettings, SiteMonitorSettings, StateSettings};
use crate::model::Span;

const fn ms(millis: i64) -> Span {
    Span::from_millis(millis)
}

const fn secs(secs: i64) -> Span {
    Span::from_secs(secs)
}

const fn mins(mins: i64) -> Span {
    secs(mins * 60)
}

const fn hours(hours: i64) -> Span {
    mins(hours * 60)
}

const fn days(days: i64) -> Span {
    hours(days * 24)
}

/// Declares the keys of one mapping and, with `for`, the fields that they are the values of.
macro_rules! keys {
    ($name:ident $(over $base:ident)? {
        $($(#[doc = $doc:literal])* key $key:expr;)*
    }) => {
        pub(in crate::config) static $name: Keys = Keys {
            base: keys!(@base $($base)?),
            own: &[$($key.meaning(concat!($($doc),*))),*],
        };
    };
    ($name:ident for $settings:ty {
        $($(#[doc = $doc:literal])* key $field:tt = $key:expr;)*
    }) => {
        keys! { $name { $($(#[doc = $doc])* key $key;)* } }

        impl Fields for $settings {
            fn visit(&mut self, visitor: &mut impl Visitor) {
                $(keys!(@visit self visitor $field $key);)*
            }
        }
    };
    (@base) => { None };
    (@base $base:ident) => { Some(&$base) };
    (@visit $self:ident $visitor:ident _ $key:expr) => {};
    (@visit $self:ident $visitor:ident $field:ident $key:expr) => {
        $visitor.field(const { &$key }, &mut $self.$field);
    };
}

mod notify;

use notify::NOTIFY;
pub(super) use notify::{MAINTENANCE, RECEIVER};

keys! {
    ROOT {
        /// the version of the file format: a program that does not know it refuses the file
        /// ([upgrading.md](upgrading.md)); cannot be overridden by a variable
        key Key::scalar("version", "number").default("`1`").range("only `1`");
        /// the datacenters
        key Key::list("datacenters", &DATACENTER).default("empty");
        /// credentials and TLS for every server
        key Key::section("redis", &REDIS);
        /// how servers are polled
        key Key::section("poll", &POLL);
        /// the pairs
        key Key::list("pairs", &PAIR)
            .default("*required* without `sentinels`, `clusters`, `discovery` or `active_active`")
            .range("at least one, where there is none of those");
        /// groups of Sentinels
        key Key::list("sentinels", &SENTINEL).default("empty");
        /// Redis Clusters, whose nodes find the pairs
        key Key::list("clusters", &CLUSTER).default("empty");
        /// pairs that come and go without a reload
        /// ([topologies.md](topologies.md#fleets-that-change))
        key Key::section("discovery", &DISCOVERY);
        /// sites that applications write to side by side, for the commands `active-active verify`
        /// and `active-active sync` ([active-active.md](active-active.md)); the exporter polls only
        /// those with `monitor`
        key Key::list("active_active", &ACTIVE_ACTIVE).default("empty");
        /// the rules
        key Key::section("alerts", &ALERTS);
        /// notifications, and who receives them
        key Key::section("notify", &NOTIFY);
        /// where state is kept
        key Key::section("state", &STATE);
        /// which series `/metrics` has ([metrics.md](metrics.md#how-many-series))
        key Key::section("metrics", &METRICS);
        /// how the exporter is reached
        key Key::section("web", &WEB);
        /// the audit for disaster recovery, [doctor](doctor.md)
        key Key::section("doctor", &DOCTOR);
        /// the writes that only a deposed master has, [lost writes](lost-writes.md)
        key Key::section("recover", &RECOVER);
        /// how the commands that change something log in to Redis servers
        /// ([disaster-recovery.md](disaster-recovery.md#the-operators-user))
        key Key::section("operator", &OPERATOR);
        /// exporters in other places: what they see of a dead master counts as evidence
        key Key::collection("observers", "list of text")
            .default("empty")
            .range("at most 16 URLs, such as `http://exporter.dc2:10121`");
        /// what is done beside the servers when `failover` or `failback` changes a master
        /// ([disaster-recovery.md](disaster-recovery.md#hooks))
        key Key::section("hooks", &HOOKS);
    }
}

keys! {
    HOOKS {
        /// before clients notice anything, one after the other: one that fails ends the operation,
        /// and nothing was done
        key Key::list("before", &HOOK).default("empty").range("at most 16");
        /// as soon as the new master takes writes, one after the other: one that fails is left to a
        /// person, and the operation is incomplete
        key Key::list("after", &HOOK).default("empty").range("at most 16");
    }
}

keys! {
    HOOK {
        /// what plans, journals and reports call it
        key Key::name("name").required();
        /// a program and its arguments, started without a shell: it has succeeded if it ends with 0
        key Key::collection("command", "list of text")
            .default("none; a hook has either `command` or `url`")
            .range("at most 64 texts, the first of them an absolute path");
        /// a URL that JSON is posted to: it has succeeded if the answer is 2xx
        key Key::secret("url", check_secret_url).default("none");
        /// a file that holds the URL
        key Key::secret_file("url_file").default("none");
        /// how long it may take; a program that takes longer is ended
        key Key::duration("timeout", secs(1)..=mins(10)).default_span(secs(30));
    }
}

keys! {
    DATACENTER {
        /// the datacenter's name, in `source_dc`, `target_dc` and `dc`
        key Key::name("name").required().range("unique; not `unknown`");
        /// an address or range fits hosts that are written as addresses; a glob (`*`, `?`) fits the
        /// host as it is written, upper and lower case alike
        key Key::collection("match", "list of text")
            .default("empty")
            .range(
                "addresses, ranges (`10.1.0.0/16`, `2001:db8::/32`), globs (`*.dc1.example.com`)"
            );
        /// whether this exporter runs there
        key Key::flag("local").default_flag(false).range("true at most once");
    }
}

keys! {
    REDIS {
        /// the ACL user; without it, the default user
        key Key::name("username").default("none").range("needs a password");
        /// the password; without it, no AUTH is sent
        key Key::secret("password", any_secret).default("none");
        /// a file that holds the password
        key Key::secret_file("password_file").default("none");
        /// TLS; `{}`, or any key in it, turns it on. `tls` on a pair or a server has the same keys
        key Key::section("tls", &TLS).default("plain text");
    }
}

keys! {
    TLS for TlsKeys {
        /// `false` turns it off again, for one pair or server; the keys stay, for `rediss://`
        /// addresses
        key enabled = Key::flag("enabled").default("`true` where there is a `tls`");
        /// the certificate authorities to trust, and no others
        key ca_file = Key::pem_file("ca_file")
            .default("the system's authorities")
            .range("PEM, up to 1 MiB");
        /// the client certificate for servers that require one (mutual TLS), followed by its
        /// intermediate certificates
        key cert_file = Key::pem_file("cert_file")
            .default("none")
            .range("PEM, up to 1 MiB; goes with `key_file`");
        /// its key
        key key_file = Key::pem_file("key_file")
            .default("none")
            .range("PEM, not encrypted, up to 1 MiB; goes with `cert_file`");
        /// the name that the server's certificate must have
        key server_name = Key::host_name("server_name")
            .default("the address's host")
            .range("a host name or an IP address");
        /// accepts any certificate, so that anybody on the network path can pose as the server. The
        /// log and `check-config` warn of it
        key insecure_skip_verify = Key::flag("insecure_skip_verify").default_flag(false);
    }
}

keys! {
    POLL for PollSettings {
        /// how often each replication tree (a master and its replicas) is polled
        key interval = Key::duration("interval", ms(100)..=hours(1)).default_span(secs(1));
        /// how often it is polled while lag moves, nears a threshold or something is wrong
        /// ([lag.md](lag.md#how-often-servers-are-polled))
        key min_interval = Key::duration("min_interval", ms(50)..=hours(1))
            .default_span(ms(250))
            .default("`250ms`, or `poll.interval` where that is shorter")
            .range("`50ms` to `poll.interval`");
        /// the budget of the whole exporter: when a datacenter is cut, not everything may speed up
        /// at once. A healthy pair takes 5, one in trouble 12
        key max_polls_per_second = Key::number("max_polls_per_second", 1..=1_000_000)
            .default_number(30_000);
        /// how long a server may take to answer
        key _ = Key::section("timeout", &TIMEOUT);
        /// whether a scrape that finds samples older than 100 ms polls first and waits for that, at
        /// most 150 ms: one more round of polls a scrape ([lag.md](lag.md#scrapes-that-poll-first))
        key refresh_on_scrape = Key::flag("refresh_on_scrape").default_flag(false);
        /// whether masters are also asked, once every `poll.interval`, how full their output
        /// buffers for the replicas are (`CLIENT LIST TYPE REPLICA` and `CONFIG GET`)
        /// ([foresight.md](foresight.md#output-buffers)). Needs the rights `+client|list` and
        /// `+config|get`
        key output_buffers = Key::flag("output_buffers").default_flag(false);
        /// [heartbeats](#heartbeats): numbered messages from a master to its replicas
        key _ = Key::section("heartbeat", &HEARTBEAT);
    }
}

keys! {
    TIMEOUT {
        /// a server in the local datacenter
        key Key::duration("local", ms(10)..=secs(60)).default_span(ms(500));
        /// every other server
        key Key::duration("remote", ms(10)..=secs(60)).default_span(secs(2));
    }
}

keys! {
    HEARTBEAT for HeartbeatSettings {
        /// whether they are sent
        key enabled = Key::flag("enabled").default_flag(false);
        /// how often; where pairs with one master differ, the shortest counts
        key interval = Key::duration("interval", ms(100)..=hours(1)).default_span(secs(1));
    }
}

keys! {
    PAIR {
        /// the label `pair`
        key Key::name("name").required().range("unique");
        /// the master to begin with; the roles themselves are observed
        key Key::section("master", &SERVER).required();
        /// the replicas
        key Key::list("replicas", &SERVER)
            .required()
            .range("at least one; distinct, and not the master");
        /// the ACL user on every server of the entry
        key Key::name("username").default("`redis.username`").range("needs a password");
        /// the password on every server of the entry
        key Key::secret("password", any_secret).default("`redis.password`");
        /// a file that holds the password
        key Key::secret_file("password_file").default("`redis.password_file`");
        /// as `redis.tls`, merged over it key by key
        key Key::same_section("tls", &TLS).default("`redis.tls`");
        /// labels for alerts and for `redis_cross_dc_pair_info`; no part of an alert's identity
        key Key::collection("labels", "mapping of text")
            .default("empty")
            .range(
                "at most 32; values up to 1024 characters; names as Prometheus allows, not `pair`, \
                 `source_dc`, `target_dc`, `replica`, `master`, `alertname`, `severity` or `__...`"
            );
        /// as `alerts`, merged over it key by key
        key Key::same_section("alerts", &ALERTS)
            .range(
                "not `unreachable`, `full_sync`, `sentinel_quorum`, `cluster_down`, `sync_queue` or \
                 `clock_skew`"
            );
        /// as `poll.heartbeat`, merged over it key by key
        key Key::same_section("heartbeat", &HEARTBEAT).default("`poll.heartbeat`");
    }
}

keys! {
    SERVER {
        /// where it listens
        key Key::text("address")
            .required()
            .range(
                "`host:port`, `[v6]:port`, `redis://host:port` (plain text), `rediss://host:port` \
                 (TLS), `unix:///path`"
            );
        /// its datacenter
        key Key::name("dc").default("by `datacenters`").range("not `unknown`");
        /// the ACL user
        key Key::name("username").default("the pair's").range("needs a password");
        /// the password
        key Key::secret("password", any_secret).default("the pair's");
        /// a file that holds the password
        key Key::secret_file("password_file").default("the pair's");
        /// as `redis.tls`, merged over it key by key
        key Key::same_section("tls", &TLS).default("the pair's");
    }
}

keys! {
    SENTINEL {
        /// the label `pair`, or what it begins with
        key Key::name("name").required().range("unique, also among `pairs`");
        /// which of the masters that the Sentinels list are monitored
        key Key::text("master_name")
            .default("every master")
            .range("up to 256 bytes; a glob with `*` and `?`");
        /// the Sentinels, ideally all of them
        key Key::collection("addresses", "list of text")
            .required()
            .range("1 to 64, distinct, as the address of a server");
        /// how to log in to the Sentinels, which have passwords of their own
        key Key::section("sentinel_auth", &SENTINEL_AUTH).default("no login");
        /// the ACL user on every server that is found
        key Key::name("username").default("`redis.username`").range("needs a password");
        /// the password on every server that is found
        key Key::secret("password", any_secret).default("`redis.password`");
        /// a file that holds the password
        key Key::secret_file("password_file").default("`redis.password_file`");
        /// as `redis.tls`, merged over it key by key
        key Key::same_section("tls", &TLS).default("`redis.tls`");
        /// labels of every pair
        key Key::collection("labels", "mapping of text").default("empty").range("as a pair's");
        /// as `alerts`, merged over it key by key
        key Key::same_section("alerts", &ALERTS).range("as a pair's");
        /// as `poll.heartbeat`, merged over it key by key
        key Key::same_section("heartbeat", &HEARTBEAT).default("`poll.heartbeat`");
    }
}

keys! {
    CLUSTER {
        /// what the label `pair` begins with: `NAME/slot-0` is the shard whose lowest slot is 0
        key Key::name("name").required().range("unique, also among `pairs` and `sentinels`");
        /// some nodes, ideally a few in each datacenter; the others are learned from them
        key Key::collection("addresses", "list of text")
            .required()
            .range("1 to 64, distinct, as the address of a server");
        /// the ACL user on every node
        key Key::name("username").default("`redis.username`").range("needs a password");
        /// the password on every node
        key Key::secret("password", any_secret).default("`redis.password`");
        /// a file that holds the password
        key Key::secret_file("password_file").default("`redis.password_file`");
        /// as `redis.tls`, merged over it key by key
        key Key::same_section("tls", &TLS).default("`redis.tls`");
        /// labels of every pair, in addition to `slots` (those of the shard)
        key Key::collection("labels", "mapping of text").default("empty").range("as a pair's");
        /// as `alerts`, merged over it key by key
        key Key::same_section("alerts", &ALERTS).range("as a pair's");
    }
}

keys! {
    DISCOVERY {
        /// files that list pairs, each a list as at `pairs` in YAML or JSON with the same keys, but
        /// for passwords in plain text; read again when they change
        key Key::collection("files", "list of text")
            .default("empty")
            .range("at most 64 paths that end in `.yml`, `.yaml` or `.json`; the last part may have `*`");
        /// pairs whose servers are what DNS names resolve to
        key Key::list("dns", &DNS).default("empty");
    }
}

keys! {
    DNS {
        /// the label `pair`
        key Key::name("name").required().range("unique, also among the other entries");
        /// the DNS names of the servers, master and replicas alike
        key Key::collection("names", "list of text").required().range("1 to 16, distinct");
        /// which records the names have: `address` (A and AAAA) or `srv`
        key Key::text("record").default("`address`").range("`address`, `srv`");
        /// the port of the servers; SRV records have their own
        key Key::number("port", 1..=65535).default_number(6379);
        /// the time between two resolutions, and between two questions for the servers' roles
        key Key::duration("interval", secs(1)..=hours(1)).default_span(secs(5));
        /// how long one resolution may take
        key Key::duration("timeout", ms(100)..=secs(10)).default_span(secs(2));
        /// the name servers
        key Key::collection("nameservers", "list of text")
            .default("the system's")
            .range("at most 8, `address:port`");
        /// the ACL user on every server
        key Key::name("username").default("`redis.username`").range("needs a password");
        /// the password on every server
        key Key::secret("password", any_secret).default("`redis.password`");
        /// a file that holds the password
        key Key::secret_file("password_file").default("`redis.password_file`");
        /// as `redis.tls`, merged over it key by key
        key Key::same_section("tls", &TLS).default("`redis.tls`");
        /// labels of every pair
        key Key::collection("labels", "mapping of text").default("empty").range("as a pair's");
        /// as `alerts`, merged over it key by key
        key Key::same_section("alerts", &ALERTS).range("as a pair's");
        /// as `poll.heartbeat`, merged over it key by key
        key Key::same_section("heartbeat", &HEARTBEAT).default("`poll.heartbeat`");
    }
}

keys! {
    ACTIVE_ACTIVE for SiteMonitorSettings {
        /// what the commands call it
        key _ = Key::name("name").required().range("unique among `active_active`");
        /// the sites, each with the `dc` that its clients write with
        key _ = Key::list("sites", &SERVER)
            .required()
            .range("2 to 16; distinct addresses and datacenters; exactly 2 with a `sync_queue`");
        /// the ACL user on every site
        key _ = Key::name("username").default("`redis.username`").range("needs a password");
        /// the password on every site
        key _ = Key::secret("password", any_secret).default("`redis.password`");
        /// a file that holds the password
        key _ = Key::secret_file("password_file").default("`redis.password_file`");
        /// as `redis.tls`, merged over it key by key
        key _ = Key::same_section("tls", &TLS).default("`redis.tls`");
        /// the list at each site in which its writes wait for the other one
        key _ = Key::text("sync_queue").default("none").range("up to 512 bytes");
        /// the keys of registers
        key _ = Key::collection("keys", "list of text")
            .default("empty")
            .range("up to 100 patterns as of Redis's SCAN, each up to 512 bytes");
        /// the keys of counters
        key _ = Key::collection("counters", "list of text")
            .default("empty")
            .range("as `keys`; at least one of the two");
        /// whether the exporter monitors the sites: their queues, clocks and differences. It reads
        /// keys, and needs the rights for that
        /// ([active-active.md](active-active.md#monitoring))
        key enabled = Key::flag("monitor").default_flag(false);
        /// how many keys of each site the monitoring compares with each other site
        key keys_per_second = Key::number("keys_per_second", 1..=100_000).default_number(200);
        /// how long a difference has to last to be settled
        key settle = Key::duration("settle", secs(1)..=hours(1)).default_span(secs(10));
        /// whether the exporter also writes, to see how long that takes to the other site: two keys
        /// of its own and an item of the queue every 10 s in each direction. It needs the rights
        /// for that ([active-active.md](active-active.md#probes))
        key probe = Key::flag("probe").default_flag(false).range("`true` only with `monitor: true`");
    }
}

keys! {
    SENTINEL_AUTH {
        /// the ACL user
        key Key::name("username").default("none").range("needs a password");
        /// the password
        key Key::secret("password", any_secret).default("none");
        /// a file that holds the password
        key Key::secret_file("password_file").default("none");
        /// as `redis.tls`, merged over the entry's key by key; `{enabled: false}` for Sentinels
        /// without TLS beside servers with it
        key Key::same_section("tls", &TLS).default("the entry's `tls`");
    }
}

keys! {
    ALERTS {
        /// seconds of lag: warning at the estimate, critical at the certified lower bound
        key Key::same_section("lag_seconds", &RULE);
        /// bytes of lag, likewise
        key Key::same_section("lag_bytes", &RULE);
        /// how long the link has been down or stalled
        key Key::same_section("link_down", &RULE);
        /// how long a server has not answered
        key Key::same_section("unreachable", &RULE);
        /// how long there has been no comparable sample of a pair
        key Key::same_section("unknown", &RULE);
        /// how many full syncs a server gave within `window`
        key Key::same_section("full_sync", &FULL_SYNC);
        /// how long two servers of a tree have each had writes that the other lacks, or could have
        /// (two masters)
        key Key::same_section("diverged", &RULE);
        /// how long the Sentinels of a datacenter have seen no quorum
        key Key::same_section("sentinel_quorum", &RULE);
        /// how long no node of a Redis Cluster has answered, or the cluster has served no queries,
        /// or slots have had no living master
        key Key::same_section("cluster_down", &RULE);
        /// how often another server became the pair's master, within `window`
        key Key::same_section("failover", &FAILOVER);
        /// how long the link may be cut before the replica needs a full resync, by the writes of
        /// the last five minutes: fires at or below the level
        key Key::same_section("backlog_headroom", &RULE);
        /// how full the master's output buffer for the replica is, as a part of the smaller of its
        /// limits; needs `poll.output_buffers`
        key Key::same_section("output_buffer", &RULE);
        /// how many items wait in the queue of an active-active site. An item that has waited for
        /// five minutes, one that was set aside and a queue that was full are warnings whatever the
        /// number; one that has waited for an hour is critical
        key Key::same_section("sync_queue", &RULE);
        /// how far the clocks of two active-active sites' servers are apart for certain, or a
        /// version is ahead of its server's clock
        key Key::same_section("clock_skew", &RULE);
    }
}

/// The row that stands for every rule in the documentation.
#[cfg(test)]
pub(super) static ANY_RULE: Key = Key::section("RULE", &RULE)
    .default("as above")
    .meaning("one rule; `null` is an error, switch its levels off instead");

keys! {
    RULE {
        /// the warning level: reached at or above this; null is off
        key Key::scalar(
            "warning",
            "duration (`lag_bytes`: size; `full_sync`, `failover` and `sync_queue`: number; `output_buffer`: part) or null",
        )
            .default("as above")
            .range(
                "`1ms` to `30d` (1 B to 2^53 B; 1 to 1000, `sync_queue` to 10^9; 0.01 to 1); `diverged` \
                 takes `0s` for the smallest, 1 ms: at once"
            );
        /// the critical level
        key Key::scalar("critical", "as warning")
            .default("as above")
            .range("as warning; at least the warning level (`backlog_headroom`: at most)");
        /// how long a level has to be reached before the alert fires
        key Key::duration("for", secs(0)..=days(1)).default("as above");
        /// how long the value has to be clear before the alert resolves
        key Key::duration("keep_firing_for", secs(0)..=days(1)).default_span(secs(0));
        /// the value is clear below this; a single value applies to both levels
        key Key::scalar_or_section("clear", &CLEAR)
            .kind("as warning (not null), or a mapping")
            .default(
                "0.8 of the level for `lag_seconds` (in whole milliseconds), `lag_bytes`, \
                 `output_buffer`, `sync_queue` and `clock_skew`, 1.25 of it for `backlog_headroom`, which is clear above it; the \
                 level itself for the others"
            )
            .range("above 0, at most each level (`backlog_headroom`: at least)");
    }
}

keys! {
    CLEAR {
        /// the warning level's
        key Key::scalar("warning", "as warning, not null")
            .default("as above")
            .range("at most the warning level (`backlog_headroom`: at least)");
        /// the critical level's
        key Key::scalar("critical", "as warning, not null")
            .default("as above")
            .range("at most the critical level (`backlog_headroom`: at least)");
    }
}

keys! {
    FULL_SYNC over RULE {
        /// full syncs longer ago than this no longer count
        key Key::duration("window", secs(1)..=days(1)).default_span(mins(10));
    }
}

keys! {
    FAILOVER over RULE {
        /// over how long failovers are counted; the alert resolves when the window has passed
        key Key::duration("window", secs(1)..=days(1)).default_span(mins(10));
    }
}

keys! {
    STATE for StateSettings {
        /// the folder of the database (`state.redb`), created if it is missing: it keeps the lag
        /// history, alerts and notifications over a restart
        /// ([lag.md](lag.md#after-a-restart-of-the-exporter)). Each exporter needs a folder of its
        /// own. A change takes effect at the next start. If the folder cannot be written,
        /// monitoring goes on from memory
        key path = Key::scalar("path", "path").default("`./data`");
    }
}

keys! {
    METRICS for MetricsSettings {
        /// whether the raw signals are exported, none of which is the lag: seconds since the
        /// replica heard from its master, the age of its last ACK, bytes not acknowledged and not
        /// applied. The page of a pair always shows them
        key raw_signals = Key::flag("raw_signals").default_flag(false);
        /// `current`: only the state that a pair is in, and the role that a server claims; `all`:
        /// also the others, as 0, for systems that do not notice the end of a series
        key states = Key::text("states").default("`current`").range("`current`, `all`");
        /// `overrides`: the default thresholds once, and those of a pair where they differ; `on`:
        /// all thresholds of every pair; `off`: none, and the dashboards have neither colours nor
        /// lines of thresholds
        key thresholds = Key::text("thresholds")
            .default("`overrides`")
            .range("`on`, `overrides`, `off`");
        /// whether skipped polls and the size of the offset history are exported
        key diagnostics = Key::flag("diagnostics").default_flag(false);
    }
}

keys! {
    WEB {
        /// where the exporter listens; `:PORT` is every IPv4 address of this machine, and a host
        /// name is resolved at the start. `--web.listen-address` overrides it. `check`,
        /// `healthcheck` and `silence` look for the running exporter here, on the loopback address
        /// where it is one for all interfaces, unless `--exporter.url` or the flag says otherwise.
        /// A change takes effect at the next start
        key Key::text("listen_address")
            .default("`0.0.0.0:10121`")
            .range("`HOST:PORT`, `[IPV6]:PORT` or `:PORT`; one address");
    }
}

keys! {
    DOCTOR {
        /// the interruption between the datacenters that replication has to survive without a full
        /// sync; `doctor --survive` overrides it
        key Key::duration("survive", secs(1)..=days(30)).default_span(mins(10));
        /// how often the exporter runs the audit by itself, beside polling; needs
        /// [more rights](doctor.md#rights) than polling does
        key Key::duration("every", mins(1)..=days(30))
            .kind("duration or null")
            .default("null: never");
        /// findings that are known and accepted: listed with their reason, and not counted
        key Key::list("ignore", &DOCTOR_EXCEPTION).default("empty").range("at most 1000");
    }
}

keys! {
    RECOVER {
        /// whether the exporter saves the writes that only a deposed master has by itself, as soon
        /// as it sees them: within the ten seconds that Sentinel leaves. Needs the rights of
        /// [lost writes](lost-writes.md#the-rights-that-it-needs)
        key Key::scalar("capture", "`on` or `off`").default("`off`");
        /// the folder of the files, created if it is missing, for this program's user alone
        key Key::scalar("dir", "path").default("`./data/lost-writes`");
        /// the most that is read from one server
        key Key::scalar("max_bytes", "size").default("`1GiB`").range("`1MiB` to `1TiB`");
    }
}

keys! {
    DOCTOR_EXCEPTION {
        /// the check
        key Key::text("check")
            .required()
            .range("the name of a check, such as `B6` ([doctor.md](doctor.md#the-checks))");
        /// the pairs
        key Key::text("pair")
            .default("every pair")
            .range("a name, or a glob with `*` and `?`");
        /// why it is accepted
        key Key::text("reason").required().range("1 to 400 characters");
        /// the last day on which it is accepted (UTC); afterwards the finding counts again
        key Key::text("until").default("no end").range("a date, such as `2027-01-31`");
    }
}

keys! {
    OPERATOR {
        /// the ACL user of `failover`, `failback` and `lost-writes`, and of the exporter where it
        /// saves [lost writes](lost-writes.md) by itself, on every server of a pair
        key Key::name("username").default("none").range("needs a password");
        /// the password; without it, these commands log in as polls do
        key Key::secret("password", any_secret).default("none");
        /// a file that holds the password
        key Key::secret_file("password_file").default("none");
    }
}
