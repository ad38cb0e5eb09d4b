//! One exporter's share of a fleet that several exporters divide among themselves.

use std::fmt;
use std::str::FromStr;

use super::stable_hash;

/// The share of the fleet that this exporter watches: shard `index` of `count`.
///
/// Every exporter of the fleet computes the owner of every tree by itself, by rendezvous hashing
/// (Thaler and Ravishankar, 1996): another count moves only the trees that have to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetShard {
    index: u32,
    count: u32,
}

impl FleetShard {
    /// The most shards that a fleet may have.
    pub const MAX_COUNT: u32 = 1000;

    /// Shard `index`, counted from 0, of `count`.
    ///
    /// # Errors
    /// With a sentence that names what is allowed, when there is no such shard.
    pub fn new(index: u32, count: u32) -> Result<Self, String> {
        if count == 0 || count > Self::MAX_COUNT {
            let most = Self::MAX_COUNT;
            return Err(format!("there may be 1 to {most} shards, not {count}"));
        }
        if index >= count {
            let last = count - 1;
            return Err(format!(
                "shards are counted from 0: with {count} the last is {last}, not {index}"
            ));
        }
        Ok(Self { index, count })
    }

    /// The shard whose index is the number at the end of `host`, as in the pods of a
    /// `StatefulSet` (`exporter-2`).
    ///
    /// # Errors
    /// With a sentence, when the name does not end in a dash and a number, or there is no such
    /// shard.
    pub fn of_host(host: &str, count: u32) -> Result<Self, String> {
        let ordinal = host.rsplit_once('-').map(|(_, ordinal)| ordinal);
        match ordinal.map(str::parse) {
            Some(Ok(index)) => Self::new(index, count),
            _ => Err(format!(
                "the host name {host:?} does not end in a dash and a number, as a StatefulSet's do"
            )),
        }
    }

    /// Counted from 0.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Into how many shards the fleet is divided.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Whether this shard watches what `key` names: exactly one of the fleet's shards does.
    pub fn owns(self, key: &str) -> bool {
        let key = stable_hash([key]);
        let mut owner = 0;
        let mut highest = 0;
        for shard in 0..self.count {
            let weight = mix(key ^ mix(u64::from(shard) + 1));
            if weight > highest {
                highest = weight;
                owner = shard;
            }
        }
        owner == self.index
    }
}

/// Spreads `value` over all bits: the end of `splitmix64` (Steele, Lea and Flood, 2014).
const fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl FromStr for FleetShard {
    type Err = String;

    /// Reads `I/N`, such as `0/3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (index, count) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is not INDEX/COUNT, such as 0/3"))?;
        match (index.parse(), count.parse()) {
            (Ok(index), Ok(count)) => Self::new(index, count),
            _ => Err(format!(
                "{text:?} is not INDEX/COUNT with two numbers, such as 0/3"
            )),
        }
    }
}

impl fmt::Display for FleetShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u32) -> Vec<FleetShard> {
        (0..count)
            .map(|index| FleetShard::new(index, count).unwrap())
            .collect()
    }

    fn owner(key: &str, count: u32) -> u32 {
        let owners: Vec<_> = shards(count).into_iter().filter(|s| s.owns(key)).collect();
        assert_eq!(owners.len(), 1, "{key} belongs to exactly one of {count}");
        owners[0].index()
    }

    #[test]
    fn every_tree_has_one_owner_and_the_shards_are_balanced_within_a_tenth() {
        for count in [2, 3, 5, 8] {
            let mut sizes = vec![0_u32; count as usize];
            for tree in 0..10_000 {
                sizes[owner(&format!("pair-{tree}"), count) as usize] += 1;
            }
            let fair = 10_000.0 / f64::from(count);
            for size in &sizes {
                let ratio = f64::from(*size) / fair;
                assert!((0.9..=1.1).contains(&ratio), "{count} shards: {sizes:?}");
            }
        }
    }

    #[test]
    fn another_shard_takes_its_part_from_the_others_and_moves_nothing_else() {
        let mut moved = 0;
        for tree in 0..5_000 {
            let key = format!("pair-{tree}");
            let before = owner(&key, 4);
            let after = owner(&key, 5);
            assert!(after == before || after == 4, "{key}: {before} to {after}");
            moved += u32::from(after != before);
        }
        assert!((850..1150).contains(&moved), "{moved} of 5000 moved");
    }

    #[test]
    fn the_owners_never_change() {
        let owners: Vec<_> = ["orders", "sessions", "carts", "catalog"]
            .map(|key| owner(key, 7))
            .into();
        assert_eq!(owners, OWNERS_OF_SEVEN);
    }

    /// Computed once: exporters of different versions share a fleet while they are being updated.
    const OWNERS_OF_SEVEN: [u32; 4] = [4, 2, 5, 1];

    #[test]
    fn a_shard_is_read_as_it_is_printed_and_others_are_refused_with_a_sentence() {
        let shard: FleetShard = "2/5".parse().unwrap();
        assert_eq!((shard.index(), shard.count()), (2, 5));
        assert_eq!(shard.to_string(), "2/5");
        let refused = |text: &str| text.parse::<FleetShard>().unwrap_err();
        assert!(refused("5/5").contains("the last is 4"));
        assert!(refused("0/0").contains("1 to 1000"));
        assert!(refused("2").contains("such as 0/3"));
        assert!(refused("a/b").contains("two numbers"));
    }

    #[test]
    fn a_stateful_sets_pod_finds_its_shard_in_its_name() {
        let shard = FleetShard::of_host("redis-exporter-2", 3).unwrap();
        assert_eq!(shard.to_string(), "2/3");
        assert!(FleetShard::of_host("exporter", 3).is_err());
        assert!(FleetShard::of_host("exporter-x", 3).is_err());
        let beyond = FleetShard::of_host("exporter-3", 3).unwrap_err();
        assert!(beyond.contains("the last is 2"), "{beyond}");
    }
}
