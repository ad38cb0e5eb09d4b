//! `slaveN` lines: replicas as their master sees them.

use super::table::{InfoLine, InfoTable, parts};
use super::value;
use super::{Field, ReplicaConnState, ReplicaLine};

/// Whether `key` is `slave` followed by a number.
pub(super) fn is_replica_key(key: &str) -> bool {
    let number = key.strip_prefix("slave").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// Parses a `slaveN` line; `None` when it is truncated or has no address (`ip=`), so that it cannot
/// be attributed to a replica. Unknown sub-fields are ignored, contradictory ones are malformed.
pub(super) fn parse_replica_line(line: &InfoLine<'_>) -> Option<ReplicaLine> {
    let table = InfoTable::collect(parts(line.value?));
    let Field::Value(ip) = value::word(table.get("ip")) else {
        return None;
    };
    Some(ReplicaLine {
        ip,
        port: value::announced_port(table.get("port")),
        state: state(table.text("state")),
        offset: value::acked_offset(table.get("offset")),
        ack_age: value::seconds(table.get("lag")),
    })
}

/// `send_bulk_and_stream` is Redis 8.0's, `bg_transfer` Valkey 8.0's, `rdb_transmitted` Valkey
/// 9.1's.
fn state(text: Option<&str>) -> ReplicaConnState {
    match text {
        Some("wait_bgsave") => ReplicaConnState::WaitBgsave,
        Some("send_bulk" | "send_bulk_and_stream" | "bg_transfer" | "rdb_transmitted") => {
            ReplicaConnState::Transfer
        }
        Some("online") => ReplicaConnState::Online,
        Some(_) | None => ReplicaConnState::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReplicationOffset, Span};

    fn parse(value: &str) -> Option<ReplicaLine> {
        parse_replica_line(&InfoLine {
            key: "slave0",
            value: Some(value),
        })
    }

    fn shown(value: &str) -> String {
        parse(value).map_or("dropped".to_owned(), |line| {
            let port = line
                .port
                .value()
                .map_or("-".to_owned(), |port| port.to_string());
            let offset = line
                .offset
                .value()
                .map_or("-".to_owned(), |offset| offset.to_string());
            let age = line
                .ack_age
                .value()
                .map_or("-".to_owned(), |age| age.to_string());
            format!("{} {port} {:?} {offset} {age}", line.ip, line.state)
        })
    }

    #[test]
    fn a_healthy_line_is_read_in_full() {
        let line = parse("ip=10.0.0.2,port=6379,state=online,offset=78,lag=1").unwrap();
        let expected = ReplicaLine {
            ip: "10.0.0.2".into(),
            port: Field::Value(6379),
            state: ReplicaConnState::Online,
            offset: Field::Value(ReplicationOffset::new(78)),
            ack_age: Field::Value(Span::from_secs(1)),
        };
        assert_eq!(line, expected);
    }

    #[test]
    fn lines_of_every_kind_are_read_or_dropped() {
        let cases = [
            (
                "ip=::1,port=1,state=online,offset=5,lag=0,type=replica,io-thread=2",
                "::1 1 Online 5 0.000 s",
            ),
            ("ip=a,port=0,state=online,offset=0,lag=-1", "a 0 Online - -"),
            (
                "lag=0,offset=9,state=wait_bgsave,port=2,ip=a",
                "a 2 WaitBgsave 9 0.000 s",
            ),
            (
                "ip=a=b,port=3,state=send_bulk,offset=-7,lag=x",
                "a=b 3 Transfer - -",
            ),
            (
                "ip=a,port=4,state=rdb_transmitted,offset=18446744073709551607,lag=0",
                "a 4 Transfer - 0.000 s",
            ),
            (
                "ip=a,port=99999,state=stable_sync,lag=12",
                "a - Other - 12.0 s",
            ),
            ("ip=a", "a - Other - -"),
            ("ip=a,state=send_bulk_and_stream,,=,x", "a - Transfer - -"),
            ("ip=a,state=bg_transfer", "a - Transfer - -"),
            ("", "dropped"),
            ("ip=,port=1,state=online,offset=1,lag=0", "dropped"),
            ("port=1,state=online,offset=1,lag=0", "dropped"),
            ("10.0.0.2,6379,online", "dropped"), // Redis 2.6, which has no offsets
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value), expected, "{value:?}");
        }
    }

    #[test]
    fn an_announced_address_cannot_forge_an_offset() {
        let forged = "ip=10.0.0.2,state=online,offset=999,port=6379,state=online,offset=78,lag=0";
        assert_eq!(shown(forged), "10.0.0.2 6379 Online - 0.000 s");
        assert_eq!(parse(forged).unwrap().offset, Field::Malformed);
    }

    #[test]
    fn only_slave_and_a_number_is_a_replica_key() {
        assert!(["slave0", "slave17"].into_iter().all(is_replica_key));
        assert!(
            ![
                "slave",
                "slave_priority",
                "slaves0",
                "slave0x",
                "Slave0",
                ""
            ]
            .into_iter()
            .any(is_replica_key)
        );
    }
}
