//! What must hold for everything that receivers were sent over all lives of the program.

use std::collections::{BTreeMap, BTreeSet};

use redis_cross_dc_exporter::lab::Answer;
use redis_cross_dc_exporter::model::Timestamp;

use super::receivers::{Kind, Receivers, Told};

/// What was counted, for the documentation.
#[derive(Debug, Default)]
struct Count {
    requests: usize,
    notifications: usize,
    retries: usize,
    doubles: usize,
}

pub(crate) fn check(receivers: &Receivers, kills: &[Timestamp], episodes: usize) {
    let mut count = Count::default();
    for told in &receivers.all {
        count.requests += told.requests().len();
        match told.kind {
            Kind::Hook => {
                one_name_says_one_thing(told, kills, &mut count);
                nobody_is_paged_twice(told);
            }
            Kind::Pager => nothing_stays_open(told),
            Kind::Chat => {}
        }
    }
    eprintln!(
        "{} kills, {episodes} episodes: {count:?}; 0 lost, 0 left open",
        kills.len()
    );
}

/// Every attempt under one id is the same message. One that was taken twice was taken before and
/// after a kill.
fn one_name_says_one_thing(told: &Told, kills: &[Timestamp], count: &mut Count) {
    let mut by_id: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (request, answer) in told.requests() {
        by_id
            .entry(request.header("webhook-id").expect("an id").to_owned())
            .or_default()
            .push((request, answer));
    }
    count.notifications += by_id.len();
    for (id, attempts) in by_id {
        count.retries += attempts.len() - 1;
        assert!(
            attempts
                .iter()
                .all(|(request, _)| request.body == attempts[0].0.body),
            "{}: {id}: {attempts:?}",
            told.name
        );
        let taken: Vec<_> = attempts
            .iter()
            .filter(|(_, answer)| *answer == Answer::Accept)
            .map(|(r, _)| r.at)
            .collect();
        count.doubles += taken.len().saturating_sub(1);
        for twice in taken.windows(2) {
            let killed_between = kills.iter().any(|kill| (twice[0]..twice[1]).contains(kill));
            assert!(
                killed_between,
                "{}: {id} was taken twice in one life",
                told.name
            );
        }
    }
}

/// Between two ends of a group it is announced as new under one name only, and it never ends
/// without having begun.
fn nobody_is_paged_twice(told: &Told) {
    let mut open: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ended: BTreeSet<String> = BTreeSet::new();
    for request in told.taken() {
        let body = request.json().unwrap();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (group, id) = (
            text("groupKey"),
            request.header("webhook-id").expect("an id").to_owned(),
        );
        if text("status") == "resolved" {
            open.remove(&group);
            ended.insert(id);
        } else if text("reason") == "first" {
            let names = open.entry(group.clone()).or_default();
            names.insert(id);
            assert!(
                names.len() == 1,
                "{}: {group} was announced again: {names:?}",
                told.name
            );
        }
    }
    assert!(open.is_empty(), "{}: {open:?} were never over", told.name);
    assert!(!ended.is_empty());
}

/// Whatever may have opened an incident is followed by a resolve that was taken, with the key that
/// opened it.
fn nothing_stays_open(told: &Told) {
    let mut open: BTreeSet<(String, String)> = BTreeSet::new();
    let mut opened = 0;
    for (request, answer) in told.requests() {
        let event = request.json().unwrap();
        let text = |key: &str| event[key].as_str().expect("a text").to_owned();
        let incident = (text("routing_key"), text("dedup_key"));
        // An answer that says that it failed means that nothing was done; no answer may mean
        // anything.
        let refused = matches!(answer, Answer::Respond(_));
        match text("event_action").as_str() {
            "trigger" if !refused => {
                opened += usize::from(open.insert(incident));
            }
            "resolve" if answer == Answer::Accept => {
                open.remove(&incident);
            }
            _ => {}
        }
    }
    assert!(
        opened > 0 && open.is_empty(),
        "{}: of {opened} incidents these stay open: {open:?}",
        told.name
    );
}
