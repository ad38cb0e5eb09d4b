//! Real Sentinels in two datacenters of one machine: dc1 is 127.0.0.1, dc2 is 127.0.0.2.

mod access;
mod discovery;
mod failover;
mod stories;
mod trouble;

use std::time::Duration;

use redis_cross_dc_exporter::lab::{LabError, RedisServer, RedisServerBuilder, eventually};
use redis_cross_dc_exporter::model::ServerAddr;

use crate::exporter::Exporter;
use crate::scrape::Scrape;

pub(crate) const DC1: &str = "127.0.0.1";
pub(crate) const DC2: &str = "127.0.0.2";

/// How long Sentinels may take to find each other, a new replica (which they look for every ten
/// seconds), or a new master, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

const UP: &str = "redis_cross_dc_sentinel_up";
const QUORUM: &str = "redis_cross_dc_sentinel_quorum_ok";
const AGREES: &str = "redis_cross_dc_sentinel_agrees";

/// The sections that place servers and poll quickly.
const SECTIONS: &str = "\
datacenters:
  - {name: dc1, match: [127.0.0.1], local: true}
  - {name: dc2, match: [127.0.0.2]}
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 1s, remote: 1s}}
";

/// A master in dc1, a replica in dc2, and Sentinels that watch them.
struct Site {
    master: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

/// A server to start at `host`.
fn server(host: &'static str) -> RedisServerBuilder {
    RedisServer::builder().host(host)
}

impl Site {
    /// Starts all of it with one Sentinel at each of `hosts`, and waits until they know each other.
    async fn set(name: &str, hosts: &[&'static str], quorum: u32) -> Self {
        let master = server(DC1).start().await.unwrap();
        let replica = server(DC2).replicaof(master.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let mut sentinels = Vec::new();
        for host in hosts {
            let sentinel = server(host).sentinel().watches(name, master.addr(), quorum);
            sentinels.push(sentinel.start().await.unwrap());
        }
        let site = Self {
            master,
            replica,
            sentinels,
        };
        for sentinel in &site.sentinels {
            wait_until_it_knows(sentinel, name, 1, hosts.len() - 1).await;
        }
        site
    }

    /// An entry of `sentinels` with further keys.
    fn entry(&self, name: &str, keys: &str) -> String {
        entry(name, self.sentinels.iter().map(RedisServer::addr), keys)
    }

    fn configuration(&self, name: &str, keys: &str) -> String {
        configuration(&self.entry(name, keys))
    }
}

fn entry<'a>(name: &str, sentinels: impl Iterator<Item = &'a ServerAddr>, keys: &str) -> String {
    let addresses: Vec<_> = sentinels.map(|addr| format!("'{addr}'")).collect();
    format!(
        "{{name: {name}, addresses: [{}], {keys}}}",
        addresses.join(", ")
    )
}

fn configuration(entries: &str) -> String {
    format!("{SECTIONS}sentinels: [{entries}]\n")
}

impl Site {
    /// Waits until every Sentinel names `master`. The exporter may follow a promotion before the
    /// Sentinels are through with it, and an old master that is back by then may be taken for the
    /// master again.
    async fn all_name(&self, master: &ServerAddr) {
        for sentinel in &self.sentinels {
            let names = || async {
                let text = info_of(sentinel).await.map_err(|error| error.to_string())?;
                if text.contains(&format!(",address={master},")) {
                    Ok(())
                } else {
                    Err(text)
                }
            };
            eventually(
                &format!("{} to name {master}", sentinel.addr()),
                LIMIT,
                names,
            )
            .await
            .unwrap();
        }
    }
}

/// Waits until `sentinel` knows this many replicas of `name` and other Sentinels, and sees a
/// quorum.
pub(crate) async fn wait_until_it_knows(
    sentinel: &RedisServer,
    name: &str,
    replicas: usize,
    others: usize,
) {
    let field = |text: &str, field: &str| {
        let words: Vec<_> = text.split(['\n', ',']).collect();
        words.iter().find_map(|word| {
            word.strip_prefix(field)?
                .strip_prefix('=')?
                .trim()
                .parse::<usize>()
                .ok()
        })
    };
    let knows = || async {
        let text = info_of(sentinel).await.map_err(|error| error.to_string())?;
        let line = text
            .lines()
            .find(|line| line.contains(&format!("name={name},")))
            .unwrap_or_default();
        let ready = line.contains("status=ok")
            && field(line, "slaves") == Some(replicas)
            && field(line, "sentinels") == Some(others + 1);
        if ready { Ok(()) } else { Err(line.to_owned()) }
    };
    let what = format!(
        "{} to know {replicas} replicas and {others} others",
        sentinel.addr()
    );
    eventually(&what, LIMIT, knows).await.unwrap();
}

async fn info_of(sentinel: &RedisServer) -> Result<String, LabError> {
    Ok(sentinel
        .command(&["INFO", "sentinel"])
        .await?
        .text()
        .unwrap_or_default())
}

/// Waits until the series of a Sentinel has this value; `None` is an absent one.
async fn wait_for_series(
    exporter: &Exporter,
    metric: &str,
    sentinel: &ServerAddr,
    value: Option<f64>,
) {
    let server = sentinel.to_string();
    let reached = || async {
        let seen = Scrape::of(exporter)
            .await
            .value(metric, &[("server", &server)]);
        if seen == value {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    };
    let what = format!("{metric} of {sentinel} to be {value:?}");
    eventually(&what, LIMIT, reached)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}
