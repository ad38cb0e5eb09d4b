//! Endurance: an hour of churn on real servers leaves memory, open files and tasks as they were.

mod footprint;

use std::time::{Duration, Instant};

use fastrand::Rng;
use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::lab::{
    Answer, Response, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use redis_cross_dc_exporter::report::PairReport;

use crate::exporter::Exporter;
use crate::failover::replicaof;
use crate::receiver::Receiver;
use crate::reload::reload;
use crate::stage::{LIMIT, Stage, entry};
use footprint::Footprints;

const QUICK: &str = "\
poll: {interval: 500ms, min_interval: 200ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {unreachable: {warning: 1s, critical: 5s}, link_down: {warning: 1s}, unknown: {warning: 10s}}
";

const LOAD: WriteLoad = WriteLoad {
    per_second: 50,
    value_bytes: 100,
};

/// What happens to the fleet, one at a time, and is healed again.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// The line between master and replica is cut.
    Cut,
    /// The replica's process is killed and started again.
    KilledReplica,
    /// The replica takes over, and then the old master again.
    Failover,
    /// The configuration loses a pair and gets it back.
    Reload,
    /// The receiver refuses, hangs or closes while a line is cut.
    DeafReceiver,
}

impl Trouble {
    const ALL: [Self; 5] = [
        Self::Cut,
        Self::KilledReplica,
        Self::Failover,
        Self::Reload,
        Self::DeafReceiver,
    ];
}

struct Scene {
    /// The pair that failovers happen to.
    turning: Stage,
    /// The pair whose link is cut and whose replica is killed.
    master: RedisServer,
    wan: WanProxy,
    replica: RedisServer,
    receiver: Receiver,
    _writers: [SteadyWriter; 2],
}

impl Scene {
    async fn set() -> Self {
        let turning = Stage::set().await;
        let master = RedisServer::builder().start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(wan.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let writers =
            [&turning.master, &master].map(|server| SteadyWriter::start(server.addr(), None, LOAD));
        Self {
            turning,
            master,
            wan,
            replica,
            receiver: Receiver::start([]).await.unwrap(),
            _writers: writers,
        }
    }

    fn config(&self, with_both: bool) -> String {
        let cut = entry(
            "cut",
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        );
        let mut entries = vec![cut];
        if with_both {
            entries.push(self.turning.entry("turning"));
        }
        format!(
            "{QUICK}pairs: [{}]\nnotify: {{group_wait: 0s, group_interval: 1s, repeat_interval: 1m, \
             receivers: [{{name: hook, webhook: {{url: '{}'}}}}]}}\n",
            entries.join(", "),
            self.receiver.url("/")
        )
    }

    /// Makes this trouble, waits until the exporter shows it, heals it and waits for that.
    async fn suffer(&mut self, trouble: Trouble, exporter: &Exporter, rng: &mut Rng) {
        match trouble {
            Trouble::Cut => self.cut_and_heal(exporter).await,
            Trouble::KilledReplica => self.kill_and_restart(exporter).await,
            Trouble::Failover => self.fail_over_and_back(exporter).await,
            Trouble::Reload => self.drop_and_add(exporter).await,
            Trouble::DeafReceiver => {
                let refusals = [
                    Answer::Respond(Response::new(500)),
                    Answer::Hang,
                    Answer::Close,
                ];
                let refusal = refusals[rng.usize(..refusals.len())].clone();
                self.receiver.always(refusal);
                self.cut_and_heal(exporter).await;
                self.receiver.always(Answer::Accept);
            }
        }
    }

    async fn cut_and_heal(&self, exporter: &Exporter) {
        self.wan.cut().await;
        until(exporter, "cut", "the cut", |pair| !pair.link_up).await;
        self.wan.heal().await.unwrap();
        until(exporter, "cut", "the link again", |pair| pair.link_up).await;
    }

    async fn kill_and_restart(&mut self, exporter: &Exporter) {
        self.replica.kill();
        until(exporter, "cut", "the replica's end", |pair| !pair.link_up).await;
        self.replica.restart().await.unwrap();
        until(exporter, "cut", "the replica again", |pair| pair.link_up).await;
    }

    async fn fail_over_and_back(&self, exporter: &Exporter) {
        let Stage { master, replica } = &self.turning;
        for (old, new) in [(master, replica), (replica, master)] {
            replicaof(new, None).await;
            replicaof(old, Some(new.addr())).await;
            let wanted = new.addr().to_string();
            let turned = |pair: &PairReport| pair.link_up && pair.master == wanted;
            until(exporter, "turning", "the failover", turned).await;
        }
    }

    async fn drop_and_add(&self, exporter: &Exporter) {
        reload(exporter, &self.config(false)).await;
        reload(exporter, &self.config(true)).await;
        until(exporter, "turning", "the pair again", |pair| pair.link_up).await;
    }
}

async fn until(exporter: &Exporter, pair: &str, what: &str, reached: impl Fn(&PairReport) -> bool) {
    exporter.wait_for(pair, what, LIMIT, reached).await;
}

async fn soak(length: Duration, seed: u64) {
    let minutes = length.as_secs() / 60;
    eprintln!("replay: SOAK_SEED={seed} SOAK_MINUTES={minutes} make soak");
    let mut rng = Rng::with_seed(seed);
    let mut scene = Scene::set().await;
    let exporter = Exporter::start_with_log(&scene.config(true), "error").await;
    until(&exporter, "turning", "the first lag", |pair| pair.link_up).await;
    let mut footprints = Footprints::default();
    let began = Instant::now();
    let mut troubles = 0;
    while began.elapsed() < length {
        let trouble = Trouble::ALL[rng.usize(..Trouble::ALL.len())];
        scene.suffer(trouble, &exporter, &mut rng).await;
        troubles += 1;
        let footprint = footprints.measure(&exporter).await;
        eprintln!(
            "[{:4} s] {trouble:?}: {footprint}",
            began.elapsed().as_secs()
        );
    }
    eprintln!("{troubles} troubles in {minutes} minutes: {footprints}");
    footprints.assert_flat();
}

/// `make soak`.
#[tokio::test]
#[ignore = "an hour"]
async fn churn_leaves_nothing_behind() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let minutes = number("SOAK_MINUTES").unwrap_or(60);
    let seed = number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    soak(Duration::from_mins(minutes), seed).await;
}
