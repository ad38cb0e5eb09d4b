//! A batch of the queue: what of it is to be applied, and what may be taken from the queue
//! afterwards.

use std::collections::HashMap;

use super::item::{QueueItem, Rejection, rejected_record};
use super::stamp::Stamp;

/// The oldest items of a queue, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    items: Vec<Vec<u8>>,
    plan: Vec<Plan>,
    /// What is to be applied: the newest version of each key.
    newest: Vec<QueueItem>,
}

/// What is to be done about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Reject(Rejection),
    /// The place of its key's newest version.
    Apply(usize),
}

/// What became of a version at the other site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The other site has it, or a newer one that is at this site as well.
    Settled,
    /// It is set aside.
    Rejected(Rejection),
    /// It could not be settled now; nothing behind it is taken from the queue.
    Open,
}

impl Batch {
    /// Plans the work on `items`, oldest first. Of several versions of a key only the newest is
    /// applied: the others are older everywhere afterwards.
    pub fn new(items: Vec<Vec<u8>>) -> Self {
        let mut batch = Self::default();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        for text in items {
            let plan = match QueueItem::parse(&text) {
                Err(malformed) => Plan::Reject(Rejection::Malformed(malformed)),
                Ok(item) => Plan::Apply(batch.place(&mut places, item)),
            };
            batch.plan.push(plan);
            batch.items.push(text);
        }
        batch
    }

    fn place(&mut self, places: &mut HashMap<Vec<u8>, usize>, item: QueueItem) -> usize {
        if let Some(place) = places.get(&item.key) {
            if let Some(newest) = self.newest.get_mut(*place)
                && item.envelope > newest.envelope
            {
                *newest = item;
            }
            return *place;
        }
        let place = self.newest.len();
        places.insert(item.key.clone(), place);
        self.newest.push(item);
        place
    }

    /// The newest version of each key.
    pub fn newest(&self) -> &[QueueItem] {
        &self.newest
    }

    /// How many items it has.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes the items have together.
    pub fn bytes(&self) -> usize {
        self.items.iter().map(Vec::len).sum()
    }

    /// Whether `item` is the oldest of its items.
    pub fn begins_with(&self, item: &[u8]) -> bool {
        self.items.first().is_some_and(|oldest| oldest == item)
    }

    /// What may be taken from the queue, oldest first, when this became of each of
    /// [`Self::newest`]: everything before the first item that is open. `now` is the time that the
    /// records of rejected items get.
    pub fn acknowledge(&self, fates: &[Fate], now: Option<Stamp>) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        for (text, plan) in self.items.iter().zip(&self.plan) {
            let fate = match plan {
                Plan::Reject(rejection) => Fate::Rejected(*rejection),
                Plan::Apply(place) => fates.get(*place).copied().unwrap_or(Fate::Open),
            };
            let record = match fate {
                Fate::Open => break,
                Fate::Settled => Vec::new(),
                Fate::Rejected(rejection) => rejected_record(text, rejection, now),
            };
            acknowledged.push(Acknowledged {
                item: text.clone(),
                record,
                rejection: match fate {
                    Fate::Rejected(rejection) => Some(rejection),
                    _ => None,
                },
            });
        }
        acknowledged
    }
}

/// An item that may be taken from the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The item.
    pub item: Vec<u8>,
    /// What is kept of it among the rejected; empty for one that was not rejected.
    pub record: Vec<u8>,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active_active::Malformed;

    fn item(key: &str, stamp: u32) -> Vec<u8> {
        let text =
            format!(r#"{{"key":"{key}","data":{{"value":0,"timestamp":{stamp},"dc":"a"}}}}"#);
        text.into_bytes()
    }

    fn batch() -> Batch {
        Batch::new(vec![
            item("x", 1),
            item("y", 9),
            b"?".to_vec(),
            item("x", 3),
            item("x", 2),
        ])
    }

    #[test]
    fn the_newest_version_of_each_key_is_applied() {
        let batch = batch();
        let stamps: Vec<f64> = batch
            .newest()
            .iter()
            .map(|item| item.envelope.version().stamp.seconds())
            .collect();
        assert_eq!(stamps, [3.0, 9.0]);
        assert_eq!(batch.len(), 5);
    }

    #[test]
    fn nothing_behind_an_open_item_is_taken() {
        let batch = batch();
        let all = batch.acknowledge(&[Fate::Settled, Fate::Rejected(Rejection::Future)], None);
        let reasons: Vec<_> = all.iter().map(|a| a.rejection).collect();
        let malformed = Some(Rejection::Malformed(Malformed::NotAnObject));
        assert_eq!(
            reasons,
            [None, Some(Rejection::Future), malformed, None, None]
        );
        assert!(all[0].record.is_empty() && !all[1].record.is_empty());
        assert_eq!(
            batch.acknowledge(&[Fate::Settled, Fate::Open], None).len(),
            1
        );
        assert_eq!(
            batch.acknowledge(&[Fate::Open, Fate::Settled], None).len(),
            0
        );
        assert_eq!(batch.acknowledge(&[], None).len(), 0);
    }
}
