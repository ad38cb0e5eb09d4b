//! User trial, section 7: `check` took 190 to 250 columns, had no "since", named no alert that sets
//! the level or is pending, and did not say who was notified.

use redis_cross_dc_exporter::alert::Rule;
use redis_cross_dc_exporter::lab::{Direction, eventually};
use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad};

use crate::command::{folder_with, run};
use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

const WIDTH: usize = 100;

const LOAD: WriteLoad = WriteLoad {
    per_second: 50,
    value_bytes: 200,
};

#[tokio::test]
async fn check_screen_shows_start_alert_and_receivers_within_a_hundred_columns() {
    let hook = Receiver::start([]).await.unwrap();
    let master = RedisServer::builder().start().await.unwrap();
    let line = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .replicaof(line.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let stage = Stage { master, replica };
    let calm = Stage::set().await;
    let yaml = format!(
        "alerts: {{link_down: {{warning: 1s, critical: 2s}}}}\n\
         notify: {{group_wait: 0s, receivers: [{{name: hook, webhook: {{url: '{}'}}}}]}}\n\
         pairs: [{}, {}]\n",
        hook.url("/hook"),
        stage.entry("orders"),
        calm.entry("carts"),
    );
    let exporter = Exporter::start(&yaml).await;
    let _writer = SteadyWriter::start(stage.master.addr(), None, LOAD);
    for name in ["orders", "carts"] {
        exporter
            .wait_for(name, "a bound", LIMIT, |pair| {
                pair.lag_upper_seconds.is_some()
            })
            .await;
    }
    line.stall(Direction::Both);

    let folder = folder_with(&yaml);
    let link_down = Rule::LinkDown.alert_name();
    let screen = || async {
        let args = [
            "check",
            "--config.file",
            "config.yml",
            "--exporter.url",
            exporter.url(),
        ];
        let screen = run(folder.path(), &args).await.stdout;
        let firing = format!("{link_down} firing: critical, since ");
        if screen.contains(&firing) && screen.contains("notified: hook ") {
            Ok(screen)
        } else {
            Err(screen)
        }
    };
    let screen = eventually("the alert and its notification", LIMIT, screen)
        .await
        .unwrap();
    let widest = screen.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(WIDTH), "{screen}");
    assert!(screen.contains("stalled"), "{screen}");
    let in_one_line = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(in_one_line.contains("would be lost"), "{screen}");
    let healthy: Vec<_> = screen
        .lines()
        .filter(|line| line.contains(" carts "))
        .collect();
    assert_eq!(
        healthy.len(),
        1,
        "all is well, and one line says so: {screen}"
    );
}
