//! Which `slaveN` line of a master's reply belongs to a replica.
//!
//! The line tells "stopped" from "I cannot reach it": while the replica is silent, the offset that it still ACKs to its
//! master proves that it is alive. A line taken for the wrong replica would prove nonsense, so where several fit, none does.

use crate::info::{Observation, ReplicaConnState, ReplicaLine};
use crate::model::{ReplicationOffset, ServerAddr, Span};

/// What a master says about one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The last position that the replica ACKed; `None` when it has not yet.
    pub offset: Option<ReplicationOffset>,
    /// Age of the last ACK, in whole seconds.
    pub age: Option<Span>,
    /// The connection's state.
    pub state: ReplicaConnState,
}

/// Who a replica is, as far as its line can be recognised by it.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaIdentity<'a> {
    /// The address that the configuration knows.
    pub addr: &'a ServerAddr,
    /// The port that the replica listens on by its own account; differs from the address behind a port mapping.
    pub own_port: Option<u16>,
    /// Whether the configuration knows no other replica of this master.
    pub only_one: bool,
}

/// The replica's line in the master's reply, if exactly one can be meant.
fn find_line<'a>(lines: &'a [ReplicaLine], who: ReplicaIdentity<'_>) -> Option<&'a ReplicaLine> {
    let real = || lines.iter().filter(|l| l.port.value() != Some(0));
    let port = who.own_port.unwrap_or(who.addr.port());
    let same_port = || real().filter(|l| l.port.value() == Some(port));
    let same_both = same_port().filter(|l| l.ip.eq_ignore_ascii_case(who.addr.host()));
    only(same_both).or_else(|| only(same_port())).or_else(|| only(real()).filter(|_| who.only_one))
}

/// What the master's reply says about the replica.
pub fn ack_of(master: &Observation, who: ReplicaIdentity<'_>) -> Option<Ack> {
    let line = find_line(&master.replication.replicas, who)?;
    Some(Ack { offset: line.offset.value(), age: line.ack_age.value(), state: line.state })
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;

    fn check(lines: &[(&str, u16)], addr: &str, own_port: Option<u16>, only_one: bool, expected: Option<usize>) {
        let lines: Vec<_> = lines
            .iter()
            .map(|(ip, port)| ReplicaLine {
                ip: (*ip).to_owned(),
                port: Field::Value(*port),
                state: ReplicaConnState::Online,
                offset: Field::Missing,
                ack_age: Field::Missing,
            })
            .collect();
        let addr = ServerAddr::parse(addr).unwrap();
        let found = find_line(&lines, ReplicaIdentity { addr: &addr, own_port, only_one });
        let index = found.map(|line| lines.iter().position(|l| std::ptr::eq(l, line)).unwrap());
        assert_eq!(index, expected);
    }

    #[test]
    fn a_line_is_taken_only_where_one_can_be_meant() {
        let two = [("10.0.0.1", 6379), ("10.0.0.2", 6379)];
        check(&two, "10.0.0.2:6379", Some(6379), false, Some(1));
        check(&two, "replica.example.com:6379", Some(6379), false, None);
        check(&[("10.0.0.1", 6379), ("10.0.0.1", 6380)], "x:6380", Some(6380), false, Some(1));
        check(&[("10.0.0.1", 6379)], "127.0.0.1:7000", Some(6379), false, Some(0));
        check(&[("10.0.0.1", 6379)], "127.0.0.1:7000", None, true, Some(0));
        check(&[("10.0.0.1", 6379)], "127.0.0.1:7000", None, false, None);
        check(&[("10.0.0.1", 6379), ("10.0.0.9", 0)], "127.0.0.1:7000", None, true, Some(0));
        check(&[("10.0.0.1", 6379), ("10.0.0.1", 6379)], "10.0.0.1:6379", Some(6379), false, None);
        check(&[], "10.0.0.1:6379", Some(6379), true, None);
    }
}
