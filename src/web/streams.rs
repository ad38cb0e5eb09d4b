//! The server on streams that somebody else has made: what it says can be tested and fuzzed without a socket.

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connection;
use super::limits::Limits;
use super::routes;
use super::server::Server;
use super::state::WebState;

/// The HTTP server without a listener. Paths and limits are those of the listening one, but for the number of
/// connections, which is its caller's affair.
#[derive(Clone)]
pub struct StreamServer {
    app: Router,
    limits: Limits,
}

impl Server {
    /// The same server for streams that are handed to it one by one.
    pub fn over_streams(self, state: WebState) -> StreamServer {
        let limits = self.limits();
        StreamServer { app: routes::router(state, limits), limits }
    }
}

impl StreamServer {
    /// Speaks HTTP on `stream` until the client leaves or a limit ends the connection.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let draining = watch::Sender::new(false);
        connection::serve(stream, self.app.clone(), self.limits, draining.subscribe()).await;
        // Until here, or the connection would take the lost sender for the order to drain.
        drop(draining);
    }
}
