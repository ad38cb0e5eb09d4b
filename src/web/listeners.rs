//! The sockets that connections are accepted on: several addresses, or what systemd has passed.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::error::WebError;

/// Connections that the kernel keeps until they are accepted: as many as it allows by default
/// (`net.core.somaxconn`). They wait there while nothing may be evicted yet; beyond it, a client
/// tries again only after a second.
const BACKLOG: u32 = 4096;

/// Sockets that listen; at least one.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    /// Where the first one listens.
    first_addr: SocketAddr,
    /// The socket that is looked at first next time, so that none of them starves.
    next: usize,
}

impl Listeners {
    /// Listens on every address; port 0 takes any free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`WebError`] when an address cannot be listened on, or there is none.
    pub(super) fn bind(addresses: &[SocketAddr], send_buffer: u32) -> Result<Self, WebError> {
        let mut sockets = Vec::new();
        for addr in addresses {
            let failed = |source| WebError::Bind {
                addr: *addr,
                source,
            };
            sockets.push(listen(*addr, send_buffer).map_err(failed)?);
        }
        Self::new(sockets)
    }

    /// Takes sockets that listen already and do not block. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`WebError`] when one of them cannot be used, or there is none.
    pub(super) fn passed(sockets: Vec<std::net::TcpListener>) -> Result<Self, WebError> {
        let sockets = sockets.into_iter().map(TcpListener::from_std);
        let sockets: io::Result<Vec<_>> = sockets.collect();
        Self::new(sockets.map_err(WebError::Socket)?)
    }

    fn new(sockets: Vec<TcpListener>) -> Result<Self, WebError> {
        let Some(first) = sockets.first() else {
            return Err(WebError::NoAddress);
        };
        let first_addr = first.local_addr().map_err(WebError::Socket)?;
        Ok(Self {
            sockets,
            first_addr,
            next: 0,
        })
    }

    /// Where the first of them listens.
    pub(super) const fn first_addr(&self) -> SocketAddr {
        self.first_addr
    }

    /// Where all of them listen.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        let addrs = self.sockets.iter().map(TcpListener::local_addr);
        addrs.filter_map(Result::ok).collect()
    }

    /// The next connection on any of them.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            let count = self.sockets.len();
            for _ in 0..count {
                let place = self.next % count;
                self.next = place + 1;
                if let Some(socket) = self.sockets.get(place)
                    && let Poll::Ready(accepted) = socket.poll_accept(context)
                {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Listens as `TcpListener::bind` does, with a bound on what the kernel buffers for each client
/// that does not read.
fn listen(addr: SocketAddr, send_buffer: u32) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(send_buffer)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[tokio::test]
    async fn connections_are_accepted_on_every_address() {
        let any = ANY.parse().unwrap();
        let mut listeners = Listeners::bind(&[any, any, any], 64 * 1024).unwrap();
        let addrs = listeners.addrs();
        assert_eq!(addrs.first(), Some(&listeners.first_addr()));
        for addr in addrs.iter().rev() {
            let client = TcpStream::connect(addr).await.unwrap();
            let (_, peer) = listeners.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_passed_socket_is_used_as_it_is() {
        let socket = std::net::TcpListener::bind(ANY).unwrap();
        socket.set_nonblocking(true).unwrap();
        let addr = socket.local_addr().unwrap();
        let listeners = Listeners::passed(vec![socket]).unwrap();
        assert_eq!(listeners.first_addr(), addr);
        assert!(matches!(
            Listeners::passed(Vec::new()),
            Err(WebError::NoAddress)
        ));
    }
}
