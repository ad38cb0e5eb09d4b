//! The server on streams that somebody else has made: what it says can be tested and fuzzed without
//! a socket.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::access::Peer;
use super::connection::{self, Client, Host};
use super::connection_table::ConnectionTable;
use super::server::Server;
use super::state::WebState;

/// The HTTP server without a listener. Paths, limits and passwords are those of the listening one,
/// but for the number of connections, which is its caller's affair, and for HTTPS, which it does
/// not speak.
#[derive(Clone)]
pub struct StreamServer(Host);

impl Server {
    /// The same server for streams that are handed to it one by one.
    pub fn over_streams(self, state: WebState) -> StreamServer {
        let (host, ..) = self.host(state, &ConnectionTable::default());
        StreamServer(host)
    }
}

impl StreamServer {
    /// Speaks HTTP on `stream`, as with a client at `ip`, until the client leaves or a limit ends
    /// the connection.
    pub async fn serve<S>(&self, stream: S, ip: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer {
            ip,
            https: false,
            certified: false,
        };
        let client = Client {
            peer,
            activity: Arc::default(),
        };
        connection::serve(stream, client, self.0.clone(), pending()).await;
    }
}
