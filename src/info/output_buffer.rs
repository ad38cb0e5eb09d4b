//! What a master says of the connections of its replicas: the lines of CLIENT LIST, and the limit
//! on their output buffers in CONFIG GET.

use crate::model::{Bytes, Span};

/// The limits on what a master buffers for one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// At this size the replica is disconnected; zero is no limit.
    pub hard: Bytes,
    /// The size that it may exceed for no longer than `soft_for`; zero is no limit.
    pub soft: Bytes,
    /// See `soft`.
    pub soft_for: Span,
}

impl OutputBufferLimit {
    /// The limit of replicas in a value like `normal 0 0 0 slave 268435456 67108864 60 pubsub ...`.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        // Versions before 5.0 and all replies of later ones use the protocol's old word.
        words.find(|word| matches!(*word, "slave" | "replica"))?;
        let hard = words.next()?.parse().ok()?;
        let soft = words.next()?.parse().ok()?;
        let soft_for = words.next()?.parse().ok()?;
        Some(Self {
            hard: Bytes::new(hard),
            soft: Bytes::new(soft),
            soft_for: Span::from_secs(soft_for),
        })
    }
}

/// One connection of a replica, as its master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConnection {
    /// The address that it comes from, without the port, which is any free one.
    pub ip: String,
    /// `omem`: what the master buffers for it, as its limit counts it.
    pub buffered: Bytes,
}

impl ReplicaConnection {
    /// The most connections that are read from one reply.
    pub const MAX: usize = 1024;

    /// The connections in a reply of CLIENT LIST TYPE REPLICA. Lines that are not understood are
    /// left out.
    pub fn parse_list(reply: &str) -> Vec<Self> {
        let lines = reply.lines().take(Self::MAX);
        lines.filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut ip = None;
        let mut buffered = None;
        for field in line.split_ascii_whitespace() {
            match field.split_once('=')? {
                ("addr", addr) => ip = Some(without_port(addr)?),
                ("omem", bytes) => buffered = Some(Bytes::new(bytes.parse().ok()?)),
                _ => {}
            }
        }
        Some(Self {
            ip: ip?,
            buffered: buffered?,
        })
    }
}

/// The address in `ip:port` or `[ip]:port`; Redis writes IPv6 addresses both with brackets and
/// without.
fn without_port(addr: &str) -> Option<String> {
    let (ip, _) = addr.rsplit_once(':')?;
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    Some(ip.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_replicas_is_found_under_both_words() {
        let expected = OutputBufferLimit {
            hard: Bytes::new(256),
            soft: Bytes::new(64),
            soft_for: Span::from_secs(60),
        };
        for value in [
            "normal 0 0 0 slave 256 64 60 pubsub 33554432 8388608 60",
            "replica 256 64 60",
        ] {
            assert_eq!(OutputBufferLimit::parse(value), Some(expected));
        }
        for value in ["", "normal 0 0 0", "slave 1 2", "slave x 2 3"] {
            assert_eq!(OutputBufferLimit::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn connections_have_an_address_and_a_buffer() {
        let reply = "id=7 addr=127.0.0.1:51234 laddr=127.0.0.1:6379 fd=9 name= age=3 idle=1 flags=S db=0 sub=0 \
                     qbuf=0 obl=0 oll=12 omem=246000 tot-mem=266000 events=rw cmd=replconf user=default\n\
                     id=8 addr=[2001:db8::7]:51235 name=a=b omem=0 flags=S\n\
                     garbage\nid=9 addr=10.0.0.1:1 omem=many\n";
        let seen = ReplicaConnection::parse_list(reply);
        let expected = [("127.0.0.1", 246_000), ("2001:db8::7", 0)];
        let expected = expected.map(|(ip, buffered)| ReplicaConnection {
            ip: ip.to_owned(),
            buffered: Bytes::new(buffered),
        });
        assert_eq!(seen, expected);
        let many = "addr=10.0.0.1:1 omem=1\n".repeat(5000);
        assert_eq!(
            ReplicaConnection::parse_list(&many).len(),
            ReplicaConnection::MAX
        );
    }
}
