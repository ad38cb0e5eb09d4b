//! Which `slaveN` line of a master's reply belongs to a replica.
//!
//! The line tells "stopped" from "I cannot reach it": while the replica is silent, the offset that
//! it still ACKs to its master proves that it is alive. A line taken for the wrong replica would
//! prove nonsense, so where several fit, none does.

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

impl Ack {
    /// Whether the master is preparing or sending a full sync.
    pub(super) fn is_full_sync(&self) -> bool {
        matches!(
            self.state,
            ReplicaConnState::WaitBgsave | ReplicaConnState::Transfer
        )
    }
}

/// Who a replica is, as far as its line can be recognised by it.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaIdentity<'a> {
    /// The address that the configuration knows.
    pub addr: &'a ServerAddr,
    /// The port that the replica listens on by its own account; differs from the address behind a
    /// port mapping.
    pub own_port: Option<u16>,
    /// Whether the configuration knows no other replica of this master.
    pub only_one: bool,
}

/// The replica's line in the master's reply, if exactly one can be meant.
fn find_line<'a>(lines: &'a [ReplicaLine], who: ReplicaIdentity<'_>) -> Option<&'a ReplicaLine> {
    let real = || lines.iter().filter(|l| l.port.value() != Some(0));
    let with = |port: Option<u16>| real().filter(move |l| port.is_some() && l.port.value() == port);
    let at_host = |l: &&ReplicaLine| {
        who.addr
            .host()
            .is_some_and(|host| l.ip.eq_ignore_ascii_case(host))
    };
    let own = || with(who.own_port.or(who.addr.port()));
    // A replica that replicates over TLS announces its TLS port (`tls-replication`), while its own
    // INFO names the plain one. Behind a port mapping another replica may have that port, so the
    // host has to fit as well.
    let announced = || with(who.addr.port()).filter(at_host);
    let any = || only(real()).filter(|_| who.only_one);
    only(own().filter(at_host))
        .or_else(|| only(own()))
        .or_else(|| only(announced()))
        .or_else(any)
}

/// What the master's reply says about the replica.
pub fn find_ack(master: &Observation, who: ReplicaIdentity<'_>) -> Option<Ack> {
    let line = find_line(&master.replication.replicas, who)?;
    Some(Ack {
        offset: line.offset.value(),
        age: line.ack_age.value(),
        state: line.state,
    })
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;

    fn check(
        lines: &[(&str, u16)],
        addr: &str,
        own_port: Option<u16>,
        only_one: bool,
        expected: Option<usize>,
    ) {
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
        let found = find_line(
            &lines,
            ReplicaIdentity {
                addr: &addr,
                own_port,
                only_one,
            },
        );
        let index = found.map(|line| lines.iter().position(|l| std::ptr::eq(l, line)).unwrap());
        assert_eq!(index, expected);
    }

    #[test]
    fn a_line_is_taken_only_where_one_can_be_meant() {
        let two = [("10.0.0.1", 6379), ("10.0.0.2", 6379)];
        check(&two, "10.0.0.2:6379", Some(6379), false, Some(1));
        check(&two, "replica.example.com:6379", Some(6379), false, None);
        check(
            &[("10.0.0.1", 6379), ("10.0.0.1", 6380)],
            "x:6380",
            Some(6380),
            false,
            Some(1),
        );
        check(
            &[("10.0.0.1", 6379)],
            "127.0.0.1:7000",
            Some(6379),
            false,
            Some(0),
        );
        check(&[("10.0.0.1", 6379)], "127.0.0.1:7000", None, true, Some(0));
        check(&[("10.0.0.1", 6379)], "127.0.0.1:7000", None, false, None);
        check(
            &[("10.0.0.1", 6379), ("10.0.0.9", 0)],
            "127.0.0.1:7000",
            None,
            true,
            Some(0),
        );
        check(
            &[("10.0.0.1", 6379), ("10.0.0.1", 6379)],
            "10.0.0.1:6379",
            Some(6379),
            false,
            None,
        );
        check(&[], "10.0.0.1:6379", Some(6379), true, None);
        check(
            &[("10.0.0.1", 6380), ("10.0.0.2", 6380)],
            "10.0.0.2:6380",
            Some(6379),
            false,
            Some(1),
        );
        check(
            &[("10.0.0.1", 6380), ("10.0.0.2", 6380)],
            "replica:6380",
            Some(6379),
            false,
            None,
        );
        check(
            &[("10.0.0.1", 6379)],
            "unix:///r.sock",
            Some(6379),
            false,
            Some(0),
        );
        check(&[("10.0.0.1", 6379)], "unix:///r.sock", None, false, None);
    }
}
