//! What a scrape says of Sentinels.

use super::catalogue as c;
use super::sheet::{Sheet, label};
use crate::info::QuorumCheck;
use crate::topology::{SentinelGroup, SentinelState};

pub(super) fn of_group(sheet: &mut Sheet, group: &SentinelGroup) {
    group
        .sentinels
        .iter()
        .for_each(|sentinel| of_sentinel(sheet, group, sentinel));
}

fn of_sentinel(sheet: &mut Sheet, group: &SentinelGroup, sentinel: &SentinelState) {
    let labels = vec![
        label("pair", group.pair.as_str()),
        label("dc", sentinel.dc.as_str()),
        label("server", &sentinel.addr.to_string()),
    ];
    let values = [
        (&c::SENTINEL_UP, sentinel.answer.as_ref().map(Result::is_ok)),
        (
            &c::SENTINEL_QUORUM_OK,
            sentinel.quorum.map(|quorum| quorum == QuorumCheck::Reached),
        ),
        (&c::SENTINEL_AGREES, sentinel.agrees),
        (&c::SENTINEL_TILT, sentinel.tilted),
    ];
    for (metric, value) in values {
        sheet.value(
            metric,
            &labels,
            value.map(|value| f64::from(u8::from(value))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datacenter, PairName, PollError, ServerAddr};

    fn check(sentinel: SentinelState, expected: &[&str]) {
        let group = SentinelGroup {
            pair: PairName::new("p"),
            master: None,
            sentinels: vec![sentinel],
            risks: Vec::new(),
            placement_known: false,
        };
        let mut sheet = Sheet::default();
        of_group(&mut sheet, &group);
        let text = super::super::encode(&sheet.into_families()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|one| {
                let (name, value) = one.split_once(' ').unwrap();
                format!(r#"redis_cross_dc_sentinel_{name}{{pair="p",dc="a",server="s:1"}} {value}"#)
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_a_sentinel_does_not_say_is_absent() {
        let fresh = SentinelState {
            addr: ServerAddr::new("s", 1),
            dc: Datacenter::new("a"),
            answer: None,
            quorum: None,
            agrees: None,
            tilted: None,
        };
        check(fresh.clone(), &[]);
        check(
            SentinelState {
                answer: Some(Err(PollError::Timeout.into())),
                ..fresh.clone()
            },
            &["up 0"],
        );
        check(
            SentinelState {
                answer: Some(Ok(())),
                tilted: Some(true),
                ..fresh.clone()
            },
            &["tilt 1", "up 1"],
        );
        let (quorum, agrees) = (Some(QuorumCheck::NotReached), Some(true));
        check(
            SentinelState {
                answer: Some(Ok(())),
                quorum,
                agrees,
                ..fresh
            },
            &["agrees 1", "quorum_ok 0", "up 1"],
        );
    }
}
