//! Why the server cannot run.

use std::io;
use std::net::SocketAddr;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {}", bind_sentence(.source))]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A socket that was passed cannot be used.
    #[error("a socket that was passed to the program cannot be used: {0}")]
    Socket(#[source] io::Error),
    /// There is nothing to listen on.
    #[error("there is no address to listen on; set --web.listen-address")]
    NoAddress,
}

fn bind_sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another process (another exporter?); stop it or set --web.listen-address".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "no network interface of this machine has that address; check --web.listen-address".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there (ports below 1024 need a privilege); check --web.listen-address".to_owned()
        }
        _ => format!("{error}; check --web.listen-address"),
    }
}
