//! One entry of the configuration as a failover leaves it.

use crate::config::PairSettings;
use crate::model::ServerAddr;

/// `entry` with its server `master` as the master, and the former master in that one's place among the replicas. An
/// address that is no replica of the entry changes nothing.
pub(super) fn with_master(entry: &PairSettings, master: &ServerAddr) -> PairSettings {
    let mut turned = entry.clone();
    if let Some(promoted) = turned.replicas.iter_mut().find(|replica| replica.addr == *master) {
        std::mem::swap(promoted, &mut turned.master);
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests_support::settings_of;

    fn check(master: &str, expected: &str) {
        let entry = settings_of(&[("orders", "a:1", &["b:1", "c:1"])]).pairs.remove(0);
        let turned = with_master(&entry, &ServerAddr::parse(master).unwrap());
        let replicas: Vec<_> = turned.replicas.iter().map(|replica| replica.addr.to_string()).collect();
        assert_eq!(format!("{}<{}", turned.master.addr, replicas.join(",")), expected);
    }

    #[test]
    fn a_promoted_replica_changes_places_with_its_master() {
        check("b:1", "b:1<a:1,c:1");
        check("c:1", "c:1<b:1,a:1");
    }

    #[test]
    fn who_is_no_replica_is_not_promoted() {
        check("a:1", "a:1<b:1,c:1");
        check("z:1", "a:1<b:1,c:1");
    }
}
