//! What most tests start from: a master, its replica, and the configuration that names them.

use std::time::Duration;

use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::model::ServerAddr;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A master with a replica that is in sync with it.
pub(crate) struct Stage {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
}

impl Stage {
    /// Starts both servers.
    pub(crate) async fn set() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let replica = RedisServer::builder()
            .replicaof(master.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        Self { master, replica }
    }

    /// The pair as an entry of `pairs`, from dc1 to dc2.
    pub(crate) fn entry(&self, name: &str) -> String {
        entry(
            name,
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        )
    }
}

/// An entry of `pairs` with one replica.
pub(crate) fn entry(
    name: &str,
    master: (&str, &ServerAddr),
    replica: (&str, &ServerAddr),
) -> String {
    let server = |(dc, addr): (&str, &ServerAddr)| format!("{{address: '{addr}', dc: {dc}}}");
    format!(
        "{{name: {name}, master: {}, replicas: [{}]}}",
        server(master),
        server(replica)
    )
}
