use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::lab::guard::{has_ended, is_alive};

const LIMIT: Duration = Duration::from_secs(30);

async fn start() -> RedisServer {
    RedisServer::builder().start().await.unwrap()
}

#[tokio::test]
async fn a_server_answers_and_leaves_nothing_behind() {
    let server = start().await;
    assert_eq!(
        server.command(&["PING"]).await.unwrap(),
        Reply::Simple("PONG".into())
    );
    let (pid, directory) = (
        server.pid().unwrap(),
        server.spec.directory.path().to_owned(),
    );
    assert!(is_alive(pid) && directory.exists());
    drop(server);
    assert!(!is_alive(pid) && !directory.exists());
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_as_another_run() {
    let mut server = start().await;
    let first_run = server.info_field("server", "run_id").await.unwrap();
    let first_pid = server.pid().unwrap();
    server.kill();
    assert!(!is_alive(first_pid) && !server.is_running());
    assert!(server.command(&["PING"]).await.is_err());
    assert!(matches!(server.stop(), Err(LabError::NotRunning { .. })));
    server.restart().await.unwrap();
    assert!(server.is_running());
    assert_ne!(
        server.info_field("server", "run_id").await.unwrap(),
        first_run
    );
}

#[tokio::test]
async fn a_stopped_server_hangs_until_it_is_continued() {
    let mut server = start().await;
    let mut connection = server
        .connect()
        .await
        .unwrap()
        .within(Duration::from_millis(100));
    server.stop().unwrap();
    assert!(server.is_running());
    let error = connection.command(&["PING"]).await.unwrap_err();
    assert!(
        error.to_string().contains("no answer within 0.1 s"),
        "{error}"
    );
    server.cont().unwrap();
    server.command(&["PING"]).await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_even_a_stopped_server_in_order() {
    let mut server = start().await;
    server.stop().unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(server.pid(), None);
    assert!(
        server.log_tail().contains("bye bye"),
        "{}",
        server.log_tail()
    );
}

#[tokio::test]
async fn a_password_is_required_and_a_refusal_names_no_argument() {
    let server = RedisServer::builder()
        .password("se\"cret")
        .user("monitor on >pw -@all +info")
        .start()
        .await
        .unwrap();
    server.command(&["PING"]).await.unwrap();
    let denied = Connection::open(server.addr(), None)
        .await
        .unwrap()
        .command(&["PING"])
        .await
        .unwrap_err();
    assert!(
        denied
            .to_string()
            .contains("answered PING with an error: NOAUTH"),
        "{denied}"
    );
    let wrong = Connection::open(server.addr(), Some(&Secret::new("hunter2")))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("WRONGPASS") && !wrong.contains("hunter2"),
        "{wrong}"
    );
    let mut monitor = Connection::open(server.addr(), None).await.unwrap();
    monitor.command(&["AUTH", "monitor", "pw"]).await.unwrap();
    monitor.command(&["INFO"]).await.unwrap();
    assert!(
        monitor
            .command(&["GET", "k"])
            .await
            .unwrap_err()
            .to_string()
            .contains("NOPERM")
    );
}

#[tokio::test]
async fn a_replica_syncs_with_a_master_that_has_a_password() {
    let master = RedisServer::builder().password("pw").start().await.unwrap();
    let replica = RedisServer::builder()
        .password("pw")
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    assert_eq!(
        master
            .info_field("replication", "connected_slaves")
            .await
            .unwrap()
            .as_deref(),
        Some("1")
    );
    assert_eq!(
        master
            .info_field("replication", "no_such_field")
            .await
            .unwrap(),
        None
    );
    let never = master
        .wait_until_in_sync(Duration::from_millis(300))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        never.contains("last seen: master_link_status None"),
        "{never}"
    );
}

#[tokio::test]
async fn a_missing_program_says_how_to_install_it() {
    for program in ["no-such-redis-server", "/nowhere/redis-server"] {
        let error = RedisServer::builder()
            .program(program)
            .start()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(program) && error.contains("apt-get install redis-server"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_failed_start_shows_the_end_of_the_log() {
    let error = RedisServer::builder()
        .config("no-such-directive yes")
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, LabError::ServerStart { .. }));
    assert!(error.to_string().contains("no-such-directive"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_only_when_it_was_requested() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let error = RedisServer::builder()
        .port(port)
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("Address already in use"), "{error}");
}

#[tokio::test]
async fn debug_is_allowed_when_requested() {
    let server = RedisServer::builder().allow_debug().start().await.unwrap();
    assert_eq!(
        server.command(&["DEBUG", "SLEEP", "0"]).await.unwrap(),
        Reply::Simple("OK".into())
    );
}

#[tokio::test]
async fn a_sentinel_starts_too() {
    let master = start().await;
    let monitor = format!(
        "sentinel monitor lab 127.0.0.1 {} 1",
        master.addr().port().unwrap()
    );
    let sentinel = RedisServer::builder()
        .config(&monitor)
        .arg("--sentinel")
        .start()
        .await
        .unwrap();
    let reply = sentinel
        .command(&["SENTINEL", "get-master-addr-by-name", "lab"])
        .await
        .unwrap();
    let port = master.addr().port().unwrap().to_string();
    assert_eq!(
        reply,
        Reply::Array(vec![
            Reply::Bulk(b"127.0.0.1".to_vec()),
            Reply::Bulk(port.into())
        ])
    );
}

/// Set for the process that [`servers_end_with_a_process_that_is_killed`] starts and kills.
const VICTIM: &str = "REDIS_LAB_TEST_VICTIM";

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "lab::server::tests::the_victim",
        ])
        .env(VICTIM, "1");
    let mut victim = victim.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let server = lines
        .find_map(|line| {
            line.split_once("victim's server: ")
                .map(|(_, server)| server.to_owned())
        })
        .unwrap();
    let (pid, directory) = server.split_once(' ').unwrap();
    let pid: u32 = pid.parse().unwrap();
    assert!(is_alive(pid) && Path::new(directory).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    let gone = || async { has_ended(pid) && !Path::new(directory).exists() };
    eventually("the server's end", LIMIT, gone).await.unwrap();
}

#[tokio::test]
#[ignore = "it is one half of the test above, and runs until it is killed"]
async fn the_victim() {
    if std::env::var_os(VICTIM).is_some() {
        let server = start().await;
        println!(
            "victim's server: {} {}",
            server.pid().unwrap(),
            server.spec.directory.path().display()
        );
        std::future::pending::<()>().await;
    }
}
