//! A short run of what `make fuzz` runs for long. A failure of either is replayed by giving its
//! bytes to `run`.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::entries::{config, framing, http, info, info_to_metrics, lost_writes, web_config};

/// One change to a seed.
#[derive(Clone, Debug)]
enum Edit {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let any_bytes = prop_oneof![
        vec(any::<u8>(), 1..8),
        Just(b"18446744073709551607".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b": \"{[&*".to_vec()),
        Just(b"$3\r\nabc\r\n".to_vec()),
        Just(vec![b'9'; 400]),
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (any::<prop::sample::Index>(), any_bytes).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<prop::sample::Index>(), 1_usize..200).prop_map(|(at, length)| Edit::Cut(at, length)),
    ]
}

/// Seeds with a few changes.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(seeds), vec(edit(), 0..6)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            apply(&mut bytes, edit);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, edit: Edit) {
    if bytes.is_empty() {
        return;
    }
    match edit {
        Edit::Replace(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        Edit::Insert(at, new) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, new);
        }
        Edit::Cut(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + length));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captured replies by path, in order.
fn replies() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = std::fs::read_dir(root().join("tests/fixtures/info"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut replies: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    replies.sort();
    assert!(
        replies.len() > 40,
        "the captured replies are where they were"
    );
    replies
}

/// A master, another reply and the master again, for every reply.
fn stories() -> Vec<Vec<u8>> {
    let all = replies();
    let masters: Vec<_> = all
        .iter()
        .filter(|(path, _)| path.ends_with("master.txt"))
        .collect();
    let story = |(path, reply): &(PathBuf, Vec<u8>)| {
        let (_, master) = masters
            .iter()
            .find(|(other, _)| other.parent() == path.parent())?;
        let parts = [(3, master), (4, reply), (6, master), (7, reply)];
        let told = parts.map(|(who, reply)| [&[who], reply.as_slice()].concat());
        Some(told.join(&info_to_metrics::SEPARATOR))
    };
    all.iter().filter_map(story).collect()
}

fn configurations() -> Vec<Vec<u8>> {
    let yaml = std::fs::read(root().join("config.example.yml")).unwrap();
    let toml = b"\x01[[pairs]]\nname = \"p\"\nmaster = {address = \"a:1\"}\nreplicas = [{address = \"b:1\"}]\n";
    let json = b"\x02{\"pairs\": [{\"name\": \"p\", \"master\": {\"address\": \"a:1\"}, \"replicas\": []}]}";
    vec![
        [&[0], yaml.as_slice()].concat(),
        toml.to_vec(),
        json.to_vec(),
    ]
}

fn web_configurations() -> Vec<Vec<u8>> {
    let hash = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";
    let texts = [
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: VerifyClientCertIfGiven, client_ca_file: c}",
        "tls_server_config: {cert_file: a, key_file: /b, min_version: TLS13, cipher_suites: []}",
        &format!("basic_auth_users:\n  alice: {hash}\n  \"bob\": '{hash}'\n"),
        "http_server_config: {http2: true, headers: {X-Frame-Options: deny, Content-Security-Policy: \"a 'b'\"}}",
        "# nothing\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// Replies of servers, behind the four bytes that choose limit and shape, the restart and the cuts.
fn streams() -> Vec<Vec<u8>> {
    let texts = [
        "+OK\r\n$12\r\nrole:master\n\r\n",
        "-NOAUTH Authentication required.\r\n:7\r\n$-1\r\n$0\r\n\r\n",
        "+OK\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*2\r\n*4\r\n$4\r\nname\r\n$1\r\nm\r\n+port\r\n:1\r\n%1\r\n+a\r\n$1\r\nb\r\n*0\r\n",
        "*-1\r\n*1\r\n-ERR no\r\n-NOQUORUM 1 usable Sentinels.\r\n*3\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n>3\r\n+message\r\n$2\r\nch\r\n$1\r\n7\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\u{15}\u{3}\u{3}\0\u{2}",
    ];
    let all: Vec<_> = (0..12)
        .flat_map(|kind| texts.map(|text| [&[kind, 64, 1, 6], text.as_bytes()].concat()))
        .collect();
    all.into_iter()
        .chain([[
            &[2, 128, 50, 63],
            b"$2000\r\n".as_slice(),
            &[b'x'; 2000],
            b"\r\n",
        ]
        .concat()])
        .collect()
}

/// Tails of deposed masters, behind the bytes that choose the limit and the cuts.
fn tails() -> Vec<Vec<u8>> {
    let words: [&[&str]; 8] = [
        &["SELECT", "5"],
        &["SET", "k", "v"],
        &["MULTI"],
        &["DEL", "a", "b"],
        &["EXEC"],
        &["PING"],
        &["PUBLISH", "__sentinel__:hello", "x"],
        &["EVAL", "s", "1", "k"],
    ];
    let command = |words: &&[&str]| {
        let arguments = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        format!("*{}\r\n{}", words.len(), arguments.collect::<String>())
    };
    let stream: String = words.iter().map(command).collect();
    let kinds = 0..4;
    kinds
        .map(|kind| [&[kind, 6], stream.as_bytes()].concat())
        .collect()
}

fn requests() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n\r\nGET /api/v1/pairs HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

#[test]
fn the_seeds_themselves_hold() {
    for (_, reply) in &replies() {
        info::run(reply);
    }
    for story in &stories() {
        info_to_metrics::run(story);
    }
    for text in &configurations() {
        config::run(text);
    }
    for text in &web_configurations() {
        web_config::run(text);
    }
    for stream in &streams() {
        framing::run(stream);
    }
    for request in &requests() {
        http::run(request);
    }
    for tail in &tails() {
        lost_writes::run(tail);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_reply(reply in changed(replies().into_iter().map(|(_, reply)| reply).collect())) {
        info::run(&reply);
    }

    #[test]
    fn any_story(story in changed(stories())) {
        info_to_metrics::run(&story);
    }

    #[test]
    fn any_configuration(text in changed(configurations())) {
        config::run(&text);
    }

    #[test]
    fn any_web_configuration(text in changed(web_configurations())) {
        web_config::run(&text);
    }

    #[test]
    fn any_stream(stream in changed(streams())) {
        framing::run(&stream);
    }

    #[test]
    fn any_tail(tail in changed(tails())) {
        lost_writes::run(&tail);
    }

    #[test]
    fn any_request(request in changed(requests())) {
        http::run(&request);
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        info::run(&bytes);
        info_to_metrics::run(&bytes);
        lost_writes::run(&bytes);
        config::run(&bytes);
        web_config::run(&bytes);
        framing::run(&bytes);
        http::run(&bytes);
    }
}
