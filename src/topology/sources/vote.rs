//! What most of several reporters say.

use std::collections::BTreeMap;

/// The item that occurs most often; of several the first in order, so that every exporter chooses
/// alike.
pub(super) fn most_named<'a, T: Ord>(items: impl Iterator<Item = &'a T>) -> Option<&'a T> {
    let mut votes: BTreeMap<&T, usize> = BTreeMap::new();
    for item in items {
        *votes.entry(item).or_default() += 1;
    }
    let most = *votes.values().max()?;
    let (item, _) = votes.into_iter().find(|(_, count)| *count == most)?;
    Some(item)
}
