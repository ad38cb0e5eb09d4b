//! The drainer, which is killed while it drains.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use redis_cross_dc_exporter::lab::{RedisServer, Reply};

use super::super::Sites;
use crate::command::folder_with;
use crate::exporter::program;
use crate::planted;
use crate::stage::LIMIT;

/// Kills of the drainer.
pub(super) struct Kills<'a> {
    pub(super) sites: &'a Sites,
    /// So many, unless the queues are empty before.
    pub(super) wanted: u64,
}

impl Kills<'_> {
    /// Starts a drainer, waits until it works, kills it with SIGKILL some milliseconds later, and
    /// so on. Only kills of a drainer that had begun to apply count.
    pub(super) async fn run(&self, random: &mut Rng) -> u64 {
        let folder = folder_with(&self.sites.configuration(""));
        let mut kills = 0;
        while kills < self.wanted && self.sites.queued().await > 0 {
            let rate = [200, 500, 2_000, 1_000_000][random.usize(..4)];
            let before = calls(self.sites).await;
            let mut drainer = start(folder.path(), rate);
            if self.is_ready(&mut drainer, before).await {
                tokio::time::sleep(Duration::from_micros(random.u64(..100_000))).await;
                // One that has ended by itself by now was not killed.
                kills += u64::from(drainer.try_wait().unwrap().is_none());
            }
            // Fails only where it has ended.
            let _ = drainer.kill();
            drainer.wait().unwrap();
        }
        kills
    }

    /// Waits until the drainer has called a script; false if it has ended before.
    async fn is_ready(&self, drainer: &mut Child, before: i64) -> bool {
        let deadline = Instant::now() + LIMIT;
        loop {
            if calls(self.sites).await > before {
                return true;
            }
            if drainer.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the drainer does not begin");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn start(folder: &std::path::Path, rate: u32) -> Child {
    let rate = rate.to_string();
    Command::new(program())
        .envs(planted::ENVIRONMENT)
        .args(["active-active", "sync", "--execute", "--settle", "1s"])
        .args(["--missing", "copy", "--config.file", "config.yml"])
        .args(["--items-per-second", &rate])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// How often scripts were called at both sites.
async fn calls(sites: &Sites) -> i64 {
    calls_at(&sites.dc1).await + calls_at(&sites.dc2).await
}

async fn calls_at(server: &RedisServer) -> i64 {
    let Reply::Bulk(info) = server.command(&["INFO", "commandstats"]).await.unwrap() else {
        panic!("INFO commandstats is no text");
    };
    let mut calls = 0;
    for line in String::from_utf8_lossy(&info).lines() {
        let Some(rest) = line.strip_prefix("cmdstat_eval") else {
            continue;
        };
        let count = rest
            .split_once("calls=")
            .unwrap()
            .1
            .split_once(',')
            .unwrap();
        calls += count.0.parse::<i64>().unwrap();
    }
    calls
}
