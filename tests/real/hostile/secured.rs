//! The hostile clients of an exporter that speaks HTTPS and asks for a password.

use redis_cross_dc_exporter::http_client::{ExporterAccess, HttpClient, HttpTimeouts, ServerTrust};
use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::Secret;
use redis_cross_dc_exporter::report::PairReport;
use tokio::task::JoinSet;

use super::configuration;
use super::servers::healthy;
use super::unauthorised_clients::{Act, HostileClients, Kind};
use super::web::addr_of;
use super::window::{Comparison, HEALTHY};
use crate::certificates::Authority;
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

/// Of the password `hunter2`, as `htpasswd -nBC 5` writes it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.";

/// Handshakes that do not end: more than the exporter takes.
const HANDSHAKES: usize = 1500;

fn kinds() -> Vec<Kind> {
    let kind = |name, clients, bytes: &[u8], expected| Kind {
        name,
        clients,
        act: Act::Send(bytes.to_vec()),
        expected,
    };
    vec![
        // The head of a record that promises 512 bytes of a handshake.
        kind(
            "handshake that does not end",
            HANDSHAKES,
            &[22, 3, 1, 2, 0, 1],
            &["closed"],
        ),
        kind(
            "plain HTTP",
            4,
            b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
            &["400"],
        ),
        kind("garbage", 4, &[0; 200], &["400"]),
        kind(
            "garbage in a record of TLS",
            4,
            &[&[22, 3, 1, 0, 100], [7; 100].as_slice()].concat(),
            &["alert", "closed"],
        ),
        kind(
            "record that is too large",
            4,
            &[&[22, 3, 1, 255, 255], [1; 100].as_slice()].concat(),
            &["alert", "closed"],
        ),
    ]
}

/// An exporter with a password, and a way in.
async fn secured(stage: &Stage, authority: &Authority) -> Exporter {
    let files = authority.server(&["127.0.0.1"]);
    let read = |path| std::fs::read_to_string(path).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{alice: {HASH}}}\n"
    );
    let files = [
        ("web.yml", web),
        ("server.crt", read(&files.cert_file)),
        ("server.key", read(&files.key_file)),
    ];
    Exporter::start_secured(
        &configuration(&[healthy(stage)]),
        &files,
        access(authority, "hunter2"),
    )
    .await
}

fn access(authority: &Authority, password: &str) -> ExporterAccess {
    let trust = ServerTrust::Authorities(std::fs::read(authority.ca_file()).unwrap());
    ExporterAccess {
        login: Some(("alice".to_owned(), Secret::new(password))),
        trust,
        identity: None,
    }
}

/// Somebody who tries one password after the other, and counts the refusals.
async fn guess(
    url: String,
    authority_access: ExporterAccess,
    refusals: tokio::sync::watch::Sender<u64>,
) {
    let second = std::time::Duration::from_secs(1);
    let client = HttpClient::for_exporter_with(
        HttpTimeouts {
            connect: second * 5,
            total: second * 20,
        },
        &authority_access,
    );
    let client = client.unwrap();
    loop {
        // A connection that gave way to another one is no answer.
        if let Ok(answer) = client.get(&url).await {
            assert_eq!(answer.status, 401);
            refusals.send_modify(|refusals| *refusals += 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_https_clients_disturb_no_other_client() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    super::clients::allow_many_connections();
    let (stage, authority) = (Stage::set().await, Authority::new());
    let exporter = secured(&stage, &authority).await;
    let spared = secured(&stage, &authority).await;
    for exporter in [&exporter, &spared] {
        let streams = |pair: &PairReport| pair.link_up && pair.lag_seconds.is_some();
        exporter
            .wait_for(HEALTHY, "it streams", LIMIT, streams)
            .await;
    }
    let scrape = async || Scrape::from_text(exporter.get_anew("/metrics").await);
    let scrape_spared = async || Scrape::from_text(spared.get_anew("/metrics").await);

    let clients = HostileClients::at_work(addr_of(&exporter), kinds());
    let (refusals, refused) = tokio::sync::watch::channel(0);
    let mut guessers = JoinSet::new();
    for path in ["/metrics", "/-/reload"] {
        let url = format!("{}{path}", exporter.url());
        guessers.spawn(guess(url, access(&authority, "hunter3"), refusals.clone()));
    }
    let seen = Comparison::observe("HTTPS with hostile clients", scrape, scrape_spared).await;
    let finished = || async {
        let guessed = *refused.borrow() > 10;
        clients
            .unfinished()
            .or((!guessed).then_some("passwords"))
            .map_or(Ok(()), Err)
    };
    eventually("what each hostile client comes to", LIMIT, finished)
        .await
        .unwrap();
    clients.check();
    eprintln!(
        "  {:4} x {:<40} {} refused",
        guessers.len(),
        "guesses passwords",
        *refused.borrow()
    );
    assert!(
        guessers.try_join_next().is_none(),
        "every guess was refused"
    );
    drop((clients, guessers));
    seen.memory_stays_small(&scrape().await);
    assert!(!exporter.log().contains("panicked"), "{}", exporter.log());
}
