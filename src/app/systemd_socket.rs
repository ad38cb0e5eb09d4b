//! The sockets that systemd passes to a service that has a `.socket` unit (`sd_listen_fds(3)`).

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use rustix::net::sockopt::set_socket_send_buffer_size;

/// Why there is nothing to accept connections on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No socket was passed.
    #[error(
        "systemd has passed no socket (LISTEN_FDS is not set for this process): start the program by its \
         .socket unit, or leave out --web.systemd-socket"
    )]
    NonePassed,
    /// A socket was passed that no HTTP client can connect to.
    #[error(
        "a socket that systemd has passed cannot be used: {0}; the .socket unit needs ListenStream=PORT or \
         ListenStream=ADDRESS:PORT"
    )]
    Unusable(#[source] io::Error),
}

/// All sockets that were passed, with this bound on what the kernel keeps for each client that does
/// not read.
///
/// # Errors
/// When there is none, or one is no TCP socket that listens.
pub(super) fn passed_sockets(send_buffer: u32) -> Result<Vec<TcpListener>, SocketError> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index);
        if let Some(socket) = socket.map_err(SocketError::Unusable)? {
            prepare(&socket, send_buffer).map_err(SocketError::Unusable)?;
            sockets.push(socket);
        }
    }
    if sockets.is_empty() {
        return Err(SocketError::NonePassed);
    }
    Ok(sockets)
}

fn prepare(socket: &TcpListener, send_buffer: u32) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let size = usize::try_from(send_buffer).unwrap_or(usize::MAX);
    set_socket_send_buffer_size(socket, size)?;
    Ok(())
}
