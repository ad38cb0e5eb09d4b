//! The rules exist twice, in Rust and in Lua: random requests through the model and through real
//! servers, whose replies and data have to be the same. `AA_PAIRS=100000` tries as many.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use redis_cross_dc_exporter::active_active::{
    Acknowledged, Amount, ApplyLimits, Counter, Draft, Envelope, Reply, Request, Site, SiteError,
};

use crate::model::{Server, Value};
use crate::random::{Random, setting};
use crate::servers::RealServer;

/// Pairs that are tried at once.
const BATCH: usize = 500;

const DATACENTERS: &[&str] = &[
    "dc1", "DC1", "dc2", "dc10", "dc-2", "dc_a", "dcB", "d", "", "é", "e", "z", "ß", "dc1\u{1}",
    "\"", "日",
];

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

/// Text of a timestamp that is far from every limit.
fn timestamp(random: &mut Random) -> String {
    let whole = 1_732_262_769 + random.below(3);
    match random.below(12) {
        0 => format!("{whole}"),
        1 => format!("{whole}.0"),
        2 => format!("{whole}e0"),
        3 => format!("-{}", random.below(3)),
        4 => "1e15".to_owned(),
        5 => ["NaN", "Infinity", "-inf", "1e999", "\"1\"", "null"][random.below(6)].to_owned(),
        6 => format!("{}", 9_000_000_000_u64 + random.next() % 3),
        7 => format!("{whole}.{:07}", random.below(10_000_000)),
        8 => format!("{whole}.12345678901234567890{}", random.below(10)),
        _ => format!("{whole}.{}", random.below(4)),
    }
}

fn value(random: &mut Random) -> String {
    let values = [
        "1",
        "\"a\"",
        "null",
        "NaN",
        "{\"timestamp\": 5, \"dc\": \"x\"}",
        "[1, [2, {}], \"]\"]",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "tru",
        "-Infinity",
        "01",
        "\"é\"",
        "[1,]",
        "\"\\/\"",
    ];
    if random.one_in(3) {
        return format!("{}", random.below(4));
    }
    (*random.pick(&values)).to_owned()
}

fn dc(random: &mut Random) -> String {
    let dc = *random.pick(DATACENTERS);
    serde_json::to_string(dc).unwrap()
}

/// Text that is mostly an envelope.
fn envelope(random: &mut Random) -> Vec<u8> {
    let stamp = timestamp(random);
    let dc = dc(random);
    let value = value(random);
    let mut members = vec![
        format!("\"value\": {value}"),
        format!("\"timestamp\": {stamp}"),
        format!("\"dc\": {dc}"),
        "\"version\": \"x\"".to_owned(),
    ];
    if random.one_in(8) {
        members.remove(random.below(members.len()));
    }
    if random.one_in(8) {
        let again = timestamp(random);
        members.push(format!("\"\\u0074imestamp\" : {again}"));
    }
    if random.one_in(8) {
        members.reverse();
    }
    let separator = [", ", ",", " ,\n"][random.below(3)];
    let mut text = format!("{{{}}}", members.join(separator)).into_bytes();
    if random.one_in(4) {
        mutate(&mut text, random);
    }
    text
}

/// Changes a byte or two.
fn mutate(text: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(2) {
        let place = random.below(text.len());
        let byte = *random.pick(b"\"\\{}[],:0129.eE+-nNiIuax \t\n\0\xff");
        match random.below(3) {
            0 => text[place] = byte,
            1 => text.insert(place, byte),
            _ => drop(text.remove(place)),
        }
    }
}

/// Forms that C's `strtod` reads and this program does not: no writer of JSON makes them.
fn is_beyond_us(text: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(text).to_lowercase();
    lower.contains("0x") || lower.contains("nan(")
}

fn set(key: &str, text: &[u8]) -> Request {
    Request::Command(vec![
        b"SET".to_vec(),
        key.as_bytes().to_vec(),
        text.to_vec(),
    ])
}

/// What a real server replies, and what the model does.
async fn both(
    real: &impl Site,
    model: &mut Server,
    requests: Vec<Request>,
) -> [Vec<Result<Reply, SiteError>>; 2] {
    let modelled = requests
        .iter()
        .map(|request| model.execute(request, now()))
        .collect();
    [real.send(requests).await.unwrap(), modelled]
}

async fn compare_applies(real: &RealServer, seed: u64, pairs: usize) -> usize {
    let site = real.prepared_site().await;
    let mut random = Random::new(seed);
    let mut decided = BTreeMap::new();
    let mut done = 0;
    while done < pairs {
        let mut model = Server::new("0");
        let mut requests = Vec::new();
        real.query::<()>(&["FLUSHALL"]).await;
        let mut count = 0;
        while count < BATCH {
            let stored = envelope(&mut random);
            let sent = if random.one_in(20) {
                stored.clone()
            } else {
                envelope(&mut random)
            };
            let Ok(candidate) = Envelope::parse(sent) else {
                continue;
            };
            if is_beyond_us(&stored) {
                continue;
            }
            let key = format!("k{count}");
            if !random.one_in(10) {
                requests.push(set(&key, &stored));
            }
            requests.push(Request::apply(
                key.as_bytes(),
                &candidate,
                ApplyLimits::default(),
            ));
            requests.push(Request::get(key.as_bytes()));
            count += 1;
        }
        let [replies, modelled] = both(&site, &mut model, requests.clone()).await;
        for ((request, reply), expected) in requests.iter().zip(&replies).zip(&modelled) {
            assert_eq!(reply, expected, "seed {seed}: {request:?}");
            if let (Request::Script(_), Ok(Reply::List(words))) = (request, reply) {
                *decided.entry(format!("{:?}", words[0])).or_insert(0) += 1;
            }
        }
        done += BATCH;
    }
    decided.len()
}

fn pairs() -> usize {
    usize::try_from(setting("AA_PAIRS", 4_000)).unwrap()
}

#[tokio::test]
async fn applies_in_lua_and_in_rust_are_the_same() {
    let real = RealServer::start(&[]);
    let outcomes = compare_applies(&real, 1, pairs()).await;
    // applied, applied_tie, same, older, older_tie, future, malformed, expired_tombstone
    assert_eq!(outcomes, 8, "the pairs are too much alike");
}

#[tokio::test]
async fn applies_are_the_same_where_the_servers_locale_sorts_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let real = RealServer::start_in(&[], english(folder.path()));
    let script = "return tostring(ARGV[1] > ARGV[2])";
    let sorted: String = real.query(&["EVAL", script, "0", "dc-2", "dc10"]).await;
    assert_eq!(sorted, "true", "this server does not sort as en_US.UTF-8");
    assert_eq!(compare_applies(&real, 2, pairs()).await, 8);
}

/// The environment of a server in American English, whose locale is made in `folder`: few machines
/// have it.
fn english(folder: &Path) -> Vec<(String, String)> {
    let locale = folder.join("en_US.UTF-8");
    let made = Command::new("localedef")
        .args(["-i", "en_US", "-f", "UTF-8"])
        .arg(&locale)
        .output();
    assert!(
        locale.join("LC_COLLATE").exists(),
        "the locale en_US.UTF-8 cannot be made: `make tools`, or apt-get install locales; {made:?}"
    );
    let folder = folder.to_string_lossy().into_owned();
    vec![
        ("LOCPATH".to_owned(), folder),
        ("LC_ALL".to_owned(), "en_US.UTF-8".to_owned()),
    ]
}

#[tokio::test]
async fn local_writes_in_lua_and_in_rust_are_the_same() {
    let real = RealServer::start(&[]);
    let site = real.prepared_site().await;
    let mut random = Random::new(3);
    let mut model = Server::new("0");
    for round in 0..pairs() / 5 {
        let key = format!("kä\"{}", random.below(200));
        let dc = *random.pick(DATACENTERS);
        let value = serde_json::json!([random.below(9), "ü\n\u{7f}", 1e16]);
        let mut draft = Draft::of_value(dc, &value).unwrap();
        if random.one_in(4) {
            draft = Draft::of_deletion(dc);
        }
        if random.one_in(4) {
            draft = draft.living(1_000_000 + random.next() % 1_000_000);
        }
        let mut requests = Vec::new();
        let stored = envelope(&mut random);
        if random.one_in(2) && !is_beyond_us(&stored) {
            requests.push(set(&key, &stored));
        }
        requests.push(Request::set(&key, &draft, "queue", 300));
        requests.push(Request::get(key.as_bytes()));
        requests.push(Request::length(b"queue"));
        let replies = site.send(requests.clone()).await.unwrap();
        for (request, reply) in requests.iter().zip(replies) {
            // The model's clock shows what the server's did.
            let mut clock = now();
            if let (Request::Script(_), Ok(Reply::List(words))) = (request, &reply)
                && let Some(Reply::Bytes(text)) = words.last()
            {
                clock = std::str::from_utf8(text).unwrap().parse().unwrap();
            }
            assert_eq!(
                model.execute(request, clock),
                reply,
                "round {round}: {request:?}"
            );
        }
    }
    let overflow = model.data.values.get(b"{queue}:overflow".as_slice());
    assert!(
        matches!(overflow, Some(Value::Text(_))),
        "the queue never was full"
    );
}

#[tokio::test]
async fn counters_in_lua_and_in_rust_are_the_same() {
    let real = RealServer::start(&[]);
    let site = real.prepared_site().await;
    let run_id = site
        .request(Request::server_info())
        .await
        .unwrap()
        .run_id()
        .unwrap();
    let mut random = Random::new(4);
    let mut model = Server::new(&run_id);
    let counts = [
        "0",
        "1",
        "5",
        "9",
        "10",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775806",
        "9223372036854775807",
        "-5",
        "05",
        "x",
        "99999999999999999999",
    ];
    let fields = ["p:dc1", "n:dc1", "p:dc2#0a1b2c3d"];
    for round in 0..pairs() / 10 {
        let key = format!("counter:{}", random.below(50)).into_bytes();
        let field = *random.pick(&fields);
        let mut other = Vec::new();
        for field in fields {
            if random.one_in(2) {
                let count = *random.pick(&counts);
                other.push((field.as_bytes().to_vec(), count.as_bytes().to_vec()));
            }
        }
        let other = Counter::from_fields(other).unwrap();
        let run = if random.one_in(9) { "another" } else { &run_id };
        let amount = Amount::new(1 + random.next() % 4).unwrap();
        let mut requests = vec![
            Request::increment(&key, run, field, amount),
            Request::merge(&key, &other),
        ];
        if random.one_in(3) {
            let text = *random.pick(&counts);
            let words = ["HSET".as_bytes(), &key, field.as_bytes(), text.as_bytes()];
            let words: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).to_vec();
            site.request(Request::Command(words)).await.unwrap();
            let mut hash = match model.data.values.remove(&key) {
                Some(Value::Hash(hash)) => hash,
                _ => BTreeMap::default(),
            };
            hash.insert(field.as_bytes().to_vec(), text.as_bytes().to_vec());
            model.data.values.insert(key.clone(), Value::Hash(hash));
        }
        requests.push(Request::counter(&key));
        let [replies, modelled] = both(&site, &mut model, requests).await;
        for (reply, expected) in replies.into_iter().zip(modelled) {
            assert_eq!(in_order(reply), in_order(expected), "round {round}");
        }
    }
}

/// The fields of a hash come in any order.
fn in_order(reply: Result<Reply, SiteError>) -> Result<Vec<Vec<Vec<u8>>>, SiteError> {
    let words = reply?.strings().unwrap();
    let mut pairs: Vec<Vec<Vec<u8>>> = words.chunks(2).map(<[_]>::to_vec).collect();
    pairs.sort();
    Ok(pairs)
}

#[tokio::test]
async fn queues_are_acknowledged_the_same() {
    let real = RealServer::start(&[]);
    let site = real.prepared_site().await;
    let mut random = Random::new(5);
    let mut model = Server::new("0");
    for round in 0..pairs() / 20 {
        let mut requests = Vec::new();
        for _ in 0..random.below(6) {
            let item = [b'a' + u8::try_from(random.below(4)).unwrap()];
            let words: [&[u8]; 3] = [b"LPUSH", b"queue", &item];
            requests.push(Request::Command(words.map(<[u8]>::to_vec).to_vec()));
        }
        let count = 1 + random.below(5);
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(Acknowledged {
                item: vec![b'a' + u8::try_from(random.below(4)).unwrap()],
                record: if random.one_in(3) {
                    b"why".to_vec()
                } else {
                    Vec::new()
                },
                rejection: None,
            });
        }
        requests.push(Request::peek(b"queue", count));
        requests.push(Request::acknowledge("queue", &items));
        requests.push(Request::length(b"queue"));
        requests.push(Request::length(b"{queue}:rejected"));
        requests.push(Request::remove(b"queue", b"b"));
        requests.push(Request::peek(b"queue", 100));
        let [replies, modelled] = both(&site, &mut model, requests).await;
        assert_eq!(replies, modelled, "round {round}");
    }
}
