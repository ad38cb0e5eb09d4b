//! `--shard`: which share of the fleet this exporter watches.

use crate::app;
use crate::model::FleetShard;

/// Stands for the number at the end of the host name.
const BY_HOST_NAME: &str = "hostname";

/// Reads `INDEX/COUNT`, or `hostname/COUNT`.
pub(super) fn parse(text: &str) -> Result<FleetShard, String> {
    match text.split_once('/') {
        Some((BY_HOST_NAME, count)) => of_this_host(count),
        _ => text.parse(),
    }
}

fn of_this_host(count: &str) -> Result<FleetShard, String> {
    let count = count
        .parse()
        .map_err(|_| format!("{count:?} is not the number of shards"))?;
    FleetShard::of_host(&app::host_name(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_the_host_name_names_the_shard() {
        assert_eq!(parse("1/3").unwrap().to_string(), "1/3");
        assert!(parse("hostname/many").unwrap_err().contains("\"many\""));
        let expected = FleetShard::of_host(&app::host_name(), 1000);
        assert_eq!(parse("hostname/1000"), expected);
    }
}
