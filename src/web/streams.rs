//! The server on streams that its caller provides: tests and fuzzers need no socket.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::access::Peer;
use super::connection::{self, Client, HttpService};
use super::connection_table::ConnectionTable;
use super::server::Server;
use super::state::WebState;

/// The HTTP server without a listener. Paths, limits and passwords are those of the listening one;
/// it does not count connections and does not speak HTTPS.
#[derive(Clone)]
pub struct StreamServer(HttpService);

impl Server {
    /// The same server for streams that are handed to it one by one.
    pub fn over_streams(self, state: WebState) -> StreamServer {
        let parts = self.into_parts(state, &ConnectionTable::default());
        StreamServer(parts.service)
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
            state: Arc::default(),
        };
        connection::serve(stream, client, self.0.clone(), pending()).await;
    }
}
