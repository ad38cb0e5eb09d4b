//! Free TCP ports on 127.0.0.1 for servers that cannot bind port 0 (Redis) or must come back on the
//! same port.
//!
//! The ports lie below 32768, where Linux starts to hand out ports to outgoing connections: a port
//! from that range can be lost to a client between the moment it is found and the moment the server
//! binds it. A Redis Cluster node also binds its port plus 10000, so the lab's range is 10000-19999
//! and its cluster buses are 20000-29999: no bus ever meets another server's port.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

use super::LabError;

const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
/// How far a Redis Cluster node's bus lies above its port (redis.conf, `cluster-port`).
const BUS_OFFSET: u16 = 10_000;
/// Processes with neighbouring pids start this many ports apart. A prime that does not divide
/// [`COUNT`], so that 10000 consecutive pids all start at different ports.
const STRIDE: u32 = 211;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing on 127.0.0.1 listens on, nor on its cluster bus. No two calls in one process
/// return the same.
///
/// Another process may still take the port before it is bound; [`super::RedisServer`] tries again
/// when that happens.
///
/// # Errors
/// [`LabError::NoFreePort`] when the range is used up.
pub fn free() -> Result<u16, LabError> {
    let take = |next: u16| (next < COUNT).then_some(next + 1);
    while let Ok(index) = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let port = port_at(std::process::id(), index);
        if is_free(port) && is_free(port + BUS_OFFSET) {
            return Ok(port);
        }
    }
    Err(LabError::NoFreePort {
        first: FIRST,
        last: FIRST + COUNT - 1,
    })
}

/// The port that process `pid` tries as its `index`th. Each process walks through the whole range,
/// from a different start.
fn port_at(pid: u32, index: u16) -> u16 {
    let start = u64::from(pid) * u64::from(STRIDE);
    let offset = (start + u64::from(index)) % u64::from(COUNT);
    FIRST + u16::try_from(offset).unwrap_or(0)
}

/// Whether the port can be bound.
///
/// It is bound without listening on it. A listener would live on for moments in a child that
/// another thread is just starting, which has its descriptors until it runs its program, and would
/// keep the server from the port: one run in hundreds of the laboratory ended so. A socket that is
/// only bound, with `SO_REUSEADDR`, keeps the port free for others.
fn is_free(port: u16) -> bool {
    try_bind(port).is_ok()
}

fn try_bind(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::TcpListener;
    use std::process::Command;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 50);
        assert!(
            ports
                .iter()
                .all(|port| (FIRST..FIRST + COUNT).contains(port)),
            "{ports:?}"
        );
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }

    #[test]
    fn a_child_that_starts_in_between_keeps_no_port_in_use() {
        let over = AtomicBool::new(false);
        let start_children = || {
            while !over.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        };
        let taken = std::thread::scope(|scope| {
            scope.spawn(start_children);
            let port = free().unwrap();
            let taken = (0..2_000)
                .filter(|_| !is_free(port) || !is_free(port))
                .count();
            over.store(true, Ordering::Relaxed);
            taken
        });
        assert_eq!(taken, 0);
    }

    #[test]
    fn every_process_walks_the_whole_range_from_a_different_start() {
        let walk: HashSet<u16> = (0..COUNT).map(|index| port_at(4711, index)).collect();
        assert_eq!(walk.len(), usize::from(COUNT));
        let starts: HashSet<u16> = (0..10_000).map(|pid| port_at(pid, 0)).collect();
        assert_eq!(starts.len(), 10_000);
    }
}
