//! The hostile clients, all at once, of an exporter whose metrics are long.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::report::PairReport;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::configuration;
use super::servers::healthy;
use super::unauthorised_clients::{Act, HostileClients, Kind};
use super::web::{Answer, addr_of, connect, read_all, whole};
use super::window::{Comparison, DCS, HEALTHY};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// Pairs beside the healthy one, each with labels of 5 kB: a scrape has more than a megabyte.
const PAIRS: usize = 100;

/// Scrapes at the same moment, all of which are answered.
const SCRAPES: usize = 500;

/// Connections that send nothing: about twice as many as the exporter takes.
const IDLE: usize = 2000;

/// A request; `headers` are whole lines.
fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
        .into_bytes()
}

fn kinds() -> Vec<Kind> {
    let get = |path: &str, headers: &str| Act::Send(request("GET", path, headers));
    let kind = |name, clients, act, expected| Kind {
        name,
        clients,
        act,
        expected,
    };
    let chunked = "transfer-encoding: chunked\r\n";
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let pipelined = [
        b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n".as_slice(),
        &[0, 255, 13, 10, 32],
        &[b'x'; 100],
    ];
    let unread = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    let many = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect::<Vec<_>>()
        .concat();
    vec![
        kind("says nothing", IDLE, Act::Send(Vec::new()), &["closed"]),
        kind(
            "sends its head byte by byte",
            100,
            Act::Drip(get_bytes("/metrics")),
            &["closed", "408"],
        ),
        kind(
            "never reads its answer",
            100,
            Act::NeverRead(unread),
            &["stuck", "closed"],
        ),
        kind(
            "body without end",
            2,
            Act::Endless(request("GET", "/-/healthy", chunked), chunk.clone()),
            &["200", "closed"],
        ),
        kind(
            "posts without end",
            2,
            Act::Endless(request("POST", "/-/reload", chunked), chunk),
            &["403", "closed"],
        ),
        kind(
            "announces a terabyte",
            2,
            get("/metrics", "content-length: 1000000000000\r\n"),
            &["413"],
        ),
        kind(
            "line of 100 KB",
            2,
            get(&format!("/{}", "x".repeat(100_000)), ""),
            &["431", "414", "closed"],
        ),
        kind(
            "path of 10 KB",
            2,
            get(&format!("/{}", "x".repeat(10_000)), ""),
            &["414"],
        ),
        kind(
            "header of 40 KB",
            2,
            get("/", &format!("x: {}\r\n", "y".repeat(40_000))),
            &["431"],
        ),
        kind("200 headers", 2, get("/", &many), &["431"]),
        kind(
            "garbage after a request",
            2,
            Act::Send(pipelined.concat()),
            &["200"],
        ),
        kind("garbage", 2, Act::Send(vec![0; 200]), &["400"]),
        kind(
            "preface of HTTP/2",
            2,
            Act::Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            &["closed"],
        ),
        kind(
            "ClientHello",
            2,
            Act::Send([&[22, 3, 1, 2, 0, 1, 0, 1, 252], [0; 500].as_slice()].concat()),
            &["400"],
        ),
        kind(
            "path out of the tree",
            2,
            get("/../../etc/passwd", ""),
            &["404"],
        ),
        kind(
            "the same, encoded",
            2,
            get("/%2e%2e/%2e%2e/etc/passwd%00", ""),
            &["404"],
        ),
        kind(
            "POST /-/reload without rights",
            4,
            Act::Send(request("POST", "/-/reload", "content-length: 0\r\n")),
            &["403"],
        ),
        kind("GET /-/reload", 2, get("/-/reload", ""), &["405"]),
        kind(
            "scrapes as fast as it can",
            4,
            get("/metrics", "accept-encoding: gzip\r\n"),
            &["200"],
        ),
    ]
}

fn get_bytes(path: &str) -> Vec<u8> {
    request("GET", path, &format!("x: {}\r\n", "y".repeat(1000)))
}

/// The healthy pair, and many more entries for the same two servers.
fn many_pairs(stage: &Stage) -> String {
    let note = |number: usize| format!("note{number}: '{}'", "n".repeat(1000));
    let labels = (0..5).map(note).collect::<Vec<_>>().join(", ");
    let another = |number: usize| {
        let entry = entry(
            &format!("p{number}"),
            (DCS[0], stage.master.addr()),
            (DCS[1], stage.replica.addr()),
        );
        entry.replacen('{', &format!("{{labels: {{{labels}}}, "), 1)
    };
    configuration(
        &std::iter::once(healthy(stage))
            .chain((0..PAIRS).map(another))
            .collect::<Vec<_>>(),
    )
}

/// Makes many scrapes at once and gives every different text that came back, with how often it did.
async fn burst(addr: SocketAddr) -> BTreeMap<Vec<u8>, usize> {
    let mut scrapes = JoinSet::new();
    for _ in 0..SCRAPES {
        scrapes.spawn(async move {
            let mut stream = connect(addr).await.map_err(|error| error.to_string())?;
            let scrape = request("GET", "/metrics", "accept-encoding: gzip\r\n");
            stream
                .write_all(&scrape)
                .await
                .map_err(|error| error.to_string())?;
            whole(&read_all(&mut stream).await)
        });
    }
    let mut bodies = BTreeMap::new();
    while let Some(answer) = scrapes.join_next().await {
        let answer = answer
            .unwrap()
            .unwrap_or_else(|problem| panic!("one of {SCRAPES} scrapes: {problem}"));
        assert_eq!((answer.status, answer.gzipped), (200, true));
        *bodies.entry(answer.body).or_default() += 1;
    }
    bodies
}

/// Checks that every one of many scrapes at once is a whole exposition.
async fn all_scrapes_are_whole(addr: SocketAddr, when: &str) {
    let began = std::time::Instant::now();
    let bodies = burst(addr).await;
    let took = began.elapsed();
    let texts: Vec<_> = bodies
        .into_keys()
        .map(|body| {
            Answer {
                status: 200,
                gzipped: true,
                body,
            }
            .text()
        })
        .collect();
    let (count, size) = (texts.len(), texts[0].len() as f64 / 1e6);
    eprintln!(
        "{SCRAPES} scrapes of {size:.1} MB at once {when}: all whole, {count} renderings, {took:.2?}"
    );
    for scrape in texts.into_iter().map(Scrape::from_text) {
        let pairs = scrape
            .label_values("redis_cross_dc_link_up", &[], "pair")
            .len();
        assert!(
            scrape.text().ends_with('\n') && pairs == PAIRS + 1,
            "{pairs} pairs"
        );
        assert!(
            scrape.families().contains("process_open_fds"),
            "the last families are there"
        );
    }
}

/// Each connection takes a file descriptor of this process.
pub(super) fn allow_many_connections() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_get_their_answers_and_disturb_no_other_client() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    allow_many_connections();
    let stage = Stage::set().await;
    let exporter = Exporter::start(&many_pairs(&stage)).await;
    let spared = Exporter::start(&many_pairs(&stage)).await;
    for exporter in [&exporter, &spared] {
        let streams = |pair: &PairReport| pair.link_up && pair.lag_seconds.is_some();
        exporter
            .wait_for(HEALTHY, "it streams", LIMIT, streams)
            .await;
    }
    let addr = addr_of(&exporter);
    let scrape = async || Scrape::from_text(exporter.get_anew("/metrics").await);
    let scrape_spared = async || Scrape::from_text(spared.get_anew("/metrics").await);
    all_scrapes_are_whole(addr, "without hostile clients").await;

    let clients = HostileClients::at_work(addr, kinds());
    let seen = Comparison::observe("with hostile clients", scrape, scrape_spared).await;
    all_scrapes_are_whole(addr, "with hostile clients").await;
    let finished = || async { clients.unfinished().map_or(Ok(()), Err) };
    eventually("what each hostile client comes to", LIMIT, finished)
        .await
        .unwrap();
    clients.check();

    drop(clients);
    seen.memory_stays_small(&scrape().await);
    assert!(!exporter.log().contains("panicked"), "{}", exporter.log());
}
