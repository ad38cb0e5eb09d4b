//! Real servers in trouble: busy with a script, paused, full, closed to this user; and out of it
//! again.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{Connection, RedisServer};
use rustix::process::{Pid, setpriority_process};
use tokio::task::JoinHandle;

use super::hostile_peers::HostilePeer;
use crate::stage::{LIMIT, Stage};

/// What is wrong with a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It runs a script for longer than `lua-time-limit`.
    Busy,
    /// It answers no client (`CLIENT PAUSE ... ALL`).
    Paused,
    /// It has as many clients as it may have.
    Full,
    /// The user may not call INFO any more.
    Denied,
}

/// Longer than any test: nothing can end a pause before its time, not even `CLIENT UNPAUSE`, which
/// has to wait as well.
const HOUR_MS: &str = "3600000";

/// A master in trouble, with its replica.
pub(super) struct FaultyServer {
    pub(super) trouble: Fault,
    pub(super) stage: Stage,
    admin: Connection,
    script: Option<JoinHandle<()>>,
}

impl Fault {
    pub(super) const ALL: [Self; 4] = [Self::Busy, Self::Paused, Self::Full, Self::Denied];

    /// The pair's name.
    pub(super) fn pair(self) -> String {
        format!("real-{self:?}").to_lowercase()
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Paused => "timeout",
            Self::Full => "max_clients",
            Self::Denied => "denied",
        }
    }
}

impl FaultyServer {
    /// A master that is well still, and its replica.
    pub(super) async fn well(trouble: Fault) -> Self {
        let master = RedisServer::builder()
            .config("lua-time-limit 50")
            .start()
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(master.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let admin = master.connect().await.unwrap();
        Self {
            trouble,
            stage: Stage { master, replica },
            admin,
            script: None,
        }
    }

    pub(super) fn entry(&self) -> String {
        let Stage { master, replica } = &self.stage;
        let server = |server: &RedisServer| format!("{{address: '{}', dc: faulty}}", server.addr());
        format!(
            "{{name: {}, master: {}, replicas: [{}]}}",
            self.trouble.pair(),
            server(master),
            server(replica)
        )
    }

    /// The master as a peer.
    pub(super) fn peer(&self) -> HostilePeer {
        HostilePeer::known(
            &format!("real server, {:?}", self.trouble),
            self.stage.master.addr(),
            self.trouble.reason(),
        )
    }

    /// The trouble begins.
    pub(super) async fn begin(&mut self) {
        match self.trouble {
            Fault::Busy => self.run_a_script_without_end().await,
            Fault::Paused => self.order(&["CLIENT", "PAUSE", HOUR_MS, "ALL"]).await,
            Fault::Full => {
                self.order(&["CONFIG", "SET", "maxclients", "1"]).await;
                self.order(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
            Fault::Denied => self.order(&["ACL", "SETUSER", "default", "-info"]).await,
        }
    }

    /// The trouble ends; whether it can.
    pub(super) async fn end(&mut self) -> bool {
        match self.trouble {
            Fault::Busy => self.order(&["SCRIPT", "KILL"]).await,
            Fault::Paused => return false,
            Fault::Full => self.order(&["CONFIG", "SET", "maxclients", "1000"]).await,
            Fault::Denied => self.order(&["ACL", "SETUSER", "default", "+info"]).await,
        }
        true
    }

    async fn order(&mut self, words: &[&str]) {
        self.admin.command(words).await.unwrap();
    }

    /// The script takes all of a processor that it can get. The lowest priority leaves the exporter
    /// as much of this machine as it would have where the server is another one.
    async fn run_a_script_without_end(&mut self) {
        let pid = i32::try_from(self.stage.master.pid().unwrap()).unwrap();
        setpriority_process(Pid::from_raw(pid), 19).unwrap();
        let mut connection = self
            .stage
            .master
            .connect()
            .await
            .unwrap()
            .within(Duration::from_hours(1));
        self.script = Some(tokio::spawn(async move {
            // It ends by SCRIPT KILL or with the server.
            drop(
                connection
                    .command(&["EVAL", "while true do end", "0"])
                    .await,
            );
        }));
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        if let Some(script) = &self.script {
            script.abort();
        }
    }
}
