//! The limits of the HTTP server, each with the reason for its value.

use std::time::Duration;

/// What a client may use, in time, memory and connections. [`Limits::default`] is for production;
/// tests take less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for a TLS handshake, from the accepted connection on.
    ///
    /// Ten seconds, as for a head: three round trips and some processor time, with packets lost on
    /// the way.
    pub handshake: Duration,
    /// How often the web configuration's files are read. Prometheus' toolkit does so at each
    /// request; a second is as good to a person and costs the same however many requests come.
    pub reread: Duration,
    /// Time for a request's whole head; an idle connection is closed after it, too.
    ///
    /// Ten seconds: a packet may be lost and sent again several times; a client that takes longer
    /// is stuck or hostile. Prometheus opens a new connection without complaint when it finds the
    /// old one closed.
    pub head: Duration,
    /// Size of a request's head, its first line included. A browser with large cookies sends about
    /// 8 KiB.
    pub head_bytes: usize,
    /// Size of a request's path and query. Every path here is short, and every query.
    pub uri_bytes: usize,
    /// Announced size of a request's body. No route reads one; a small one is tolerated and thrown
    /// away.
    pub body_bytes: u64,
    /// Time to make a response. Prometheus' default scrape timeout: nobody waits longer.
    pub request: Duration,
    /// Time for a client to take a whole response.
    ///
    /// Thirty seconds: the metrics of 10000 pairs over 1 Mbit/s, compressed.
    pub response: Duration,
    /// Memory of all answers together while their clients take them, in bytes; a larger answer is
    /// held alone.
    ///
    /// The metrics of 10000 pairs are some 40 MB, and one rendering is shared by whoever asked
    /// before it began.
    pub answer_bytes: usize,
    /// Bytes that the kernel keeps for each client that does not read (it takes twice as much for
    /// itself).
    ///
    /// A quarter of a megabyte: 2.5 MB a second over a link with a round trip of 100 ms. By default
    /// it would be 4 MB.
    pub send_buffer: u32,
    /// How long a client may take nothing of its answer once another client needs its connection or
    /// its memory.
    ///
    /// A second: several round trips around the world. The limit does not apply while there is
    /// room.
    pub patience: Duration,
    /// Connections at once. Some Prometheus servers, some browsers: a dozen; a hundred that scrape
    /// at the same moment several times over. Each costs up to some 100 KiB. Beyond it the one that
    /// is idle for longest is closed.
    pub connections: usize,
    /// How long a connection may be idle before another one takes its place.
    ///
    /// A quarter of a second: a round trip around the world. Until then new connections wait in the
    /// kernel.
    pub min_age_before_eviction: Duration,
    /// Connections at once for which there is no room because all others are being answered: they
    /// get a 503; more are closed without an answer.
    pub refusals: usize,
    /// Time for such a connection to take its refusal.
    pub refusal: Duration,
    /// Responses that are rendered at once. Rendering is work for the processor, which polling
    /// needs first.
    pub renderers: usize,
    /// Clients of the live stream at once: a team's browsers. Each holds a connection and takes
    /// some KB a second.
    pub listeners: usize,
    /// Time for running requests to end once the server has to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            reread: Duration::from_secs(1),
            head: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            uri_bytes: 8 * 1024,
            body_bytes: 64 * 1024,
            request: Duration::from_secs(10),
            response: Duration::from_secs(30),
            answer_bytes: 64 * 1024 * 1024,
            send_buffer: 256 * 1024,
            patience: Duration::from_secs(1),
            connections: 1024,
            min_age_before_eviction: Duration::from_millis(250),
            refusals: 64,
            refusal: Duration::from_secs(1),
            renderers: 2,
            listeners: 64,
            grace: Duration::from_secs(5),
        }
    }
}
