//! What clients were told is written, and whether it is still there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use redis_cross_dc_exporter::active_active::{Counter, Envelope, Version};
use redis_cross_dc_exporter::lab::{RedisServer, Reply};

use super::super::Sites;

/// The counter that storms raise.
pub(super) const COUNTER: &str = "visits";

/// What clients were told. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// The newest version of each key of which a client was told that it is written.
    newest: HashMap<String, Version>,
    writes: u64,
    /// What was counted for certain.
    counted: u64,
    /// The same with what may have been counted.
    attempted: u64,
}

impl Ledger {
    pub(super) fn wrote(&self, key: &str, version: Version) {
        let mut told = self.0.lock().unwrap();
        told.writes += 1;
        match told.newest.get_mut(key) {
            Some(newest) if *newest >= version => {}
            Some(newest) => *newest = version,
            None => drop(told.newest.insert(key.to_owned(), version)),
        }
    }

    pub(super) fn counted(&self, amount: u64, is_certain: bool) {
        let mut told = self.0.lock().unwrap();
        told.attempted += amount;
        told.counted += if is_certain { amount } else { 0 };
    }

    pub(super) fn writes(&self) -> u64 {
        self.0.lock().unwrap().writes
    }

    pub(super) fn increments(&self) -> u64 {
        self.0.lock().unwrap().counted
    }

    /// How many keys have, at one of the sites, an older version than a client was told, or none.
    pub(super) async fn lost(&self, sites: &Sites) -> usize {
        let newest = self.0.lock().unwrap().newest.clone();
        let keys: Vec<&String> = newest.keys().collect();
        let mut lost = 0;
        for server in [&sites.dc1, &sites.dc2] {
            for some in keys.chunks(1_000) {
                for (key, text) in some.iter().zip(values(server, some).await) {
                    let kept = text.and_then(|text| Envelope::parse(text).ok());
                    let is_there = kept.is_some_and(|kept| *kept.version() >= newest[*key]);
                    if !is_there {
                        println!("lost at {}: {key}, {}", server.addr(), newest[*key]);
                    }
                    lost += usize::from(!is_there);
                }
            }
        }
        lost
    }

    /// Both sites have counted all that clients were told, and nothing that nobody counted.
    pub(super) async fn counters_are_right(&self, sites: &Sites, seed: u64) {
        let (counted, attempted) = {
            let told = self.0.lock().unwrap();
            (i128::from(told.counted), i128::from(told.attempted))
        };
        for server in [&sites.dc1, &sites.dc2] {
            let key = format!("counter:{COUNTER}");
            let Reply::Array(words) = server.command(&["HGETALL", &key]).await.unwrap() else {
                panic!("{key} is no hash");
            };
            let texts: Vec<Vec<u8>> = words
                .iter()
                .map(|word| word.text().unwrap().into_bytes())
                .collect();
            let fields = texts
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()));
            let value = Counter::from_fields(fields).unwrap().value();
            assert!(
                (counted..=attempted).contains(&value),
                "AA_STORM_SEED={seed}: {value} is not between {counted} and {attempted}"
            );
        }
    }
}

async fn values(server: &RedisServer, keys: &[&String]) -> Vec<Option<Vec<u8>>> {
    let mut connection = server.connect().await.unwrap();
    let commands: Vec<Vec<&str>> = keys.iter().map(|key| vec!["GET", key.as_str()]).collect();
    let replies = connection.commands(&commands).await.unwrap();
    let texts = replies.into_iter().map(|reply| match reply {
        Reply::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    texts.collect()
}
