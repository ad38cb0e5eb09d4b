//! Which `slaveN` line of a master's reply belongs to a replica.
//!
//! The line distinguishes a replica that has stopped from one that this exporter cannot reach:
//! while the replica is silent, the offset that it still ACKs to its master proves that it is
//! alive. The line of another replica would prove nonsense, so where several lines fit, none is
//! used.

use crate::info::{Observation, ReplicaConnState, ReplicaLine};
use crate::model::{ReplicationOffset, ServerAddr, Span};

/// What a master reports about one replica.
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

/// What a replica's line can be recognised by.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaIdentity<'a> {
    /// The address in the configuration.
    pub addr: &'a ServerAddr,
    /// The port on which the replica reports that it listens; differs from the address behind a
    /// port mapping.
    pub own_port: Option<u16>,
    /// Whether it is the only configured replica of this master.
    pub only_one: bool,
}

/// The replica's line in the master's reply, if exactly one can be meant.
fn find_line<'a>(lines: &'a [ReplicaLine], who: ReplicaIdentity<'_>) -> Option<&'a ReplicaLine> {
    let own_port = who.own_port.or(who.addr.port());
    if let Some(line) = only(lines, |line| {
        has_port(line, own_port) && who.has_host_of(line)
    }) {
        return Some(line);
    }
    if let Some(line) = only(lines, |line| has_port(line, own_port)) {
        return Some(line);
    }
    // A replica that replicates over TLS announces its TLS port (`tls-replication`), while its own
    // INFO names the plain one. Behind a port mapping another replica may have that port, so the
    // host has to fit as well.
    let tls_port = who.addr.port();
    if let Some(line) = only(lines, |line| {
        has_port(line, tls_port) && who.has_host_of(line)
    }) {
        return Some(line);
    }
    if who.only_one {
        return only(lines, is_replica);
    }
    None
}

impl ReplicaIdentity<'_> {
    fn has_host_of(&self, line: &ReplicaLine) -> bool {
        match self.addr.host() {
            Some(host) => line.ip.eq_ignore_ascii_case(host),
            None => false,
        }
    }
}

/// Whether the line is that of a replica, and not of a tool that only reads the stream.
fn is_replica(line: &ReplicaLine) -> bool {
    line.port.value() != Some(0)
}

fn has_port(line: &ReplicaLine, port: Option<u16>) -> bool {
    is_replica(line) && port.is_some() && line.port.value() == port
}

/// The line that fits, if exactly one does.
fn only(lines: &[ReplicaLine], fits: impl Fn(&ReplicaLine) -> bool) -> Option<&ReplicaLine> {
    let mut fitting = None;
    for line in lines {
        if !fits(line) {
            continue;
        }
        if fitting.is_some() {
            return None;
        }
        fitting = Some(line);
    }
    fitting
}

/// The address from which the replica connects, as its master lists it.
pub(super) fn find_address<'a>(
    master: &'a Observation,
    who: ReplicaIdentity<'_>,
) -> Option<&'a str> {
    let line = find_line(&master.replication.replicas, who)?;
    Some(&line.ip)
}

/// What the master's reply shows of the replica.
pub fn find_ack(master: &Observation, who: ReplicaIdentity<'_>) -> Option<Ack> {
    let line = find_line(&master.replication.replicas, who)?;
    Some(Ack {
        offset: line.offset.value(),
        age: line.ack_age.value(),
        state: line.state,
    })
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
    fn a_line_is_used_only_if_no_other_can_be_meant() {
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
