//! HTTP by hand: what no client library would send, and what comes back.

use std::io::Read as _;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::exporter::Exporter;

/// An answer in full.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) gzipped: bool,
    pub(super) body: Vec<u8>,
}

/// Where `exporter` listens.
pub(super) fn addr_of(exporter: &Exporter) -> SocketAddr {
    exporter.url().split_once("://").unwrap().1.parse().unwrap()
}

pub(super) async fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(addr).await
}

/// A connection on which next to nothing fits that is not read.
pub(super) async fn connect_narrow(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(addr).await
}

/// Everything until the other side closes; a reset ends it like a close.
pub(super) async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while stream
        .read_buf(&mut bytes)
        .await
        .is_ok_and(|count| count > 0)
    {}
    bytes
}

/// The meaning of an answer's first line: its status, `alert` for TLS, `closed` for nothing.
pub(super) fn outcome(bytes: &[u8]) -> String {
    let status = |rest: &[u8]| String::from_utf8_lossy(rest.get(..3).unwrap_or(rest)).into_owned();
    match bytes {
        [] => "closed".to_owned(),
        [21, ..] => "alert".to_owned(),
        _ => bytes
            .strip_prefix(b"HTTP/1.1 ")
            .map_or_else(|| "nonsense".to_owned(), status),
    }
}

/// An answer with exactly the body that its head announces; otherwise why it is none.
pub(super) fn whole(bytes: &[u8]) -> Result<Answer, String> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or(format!("{} bytes", bytes.len()))?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")))
    };
    let body = bytes[end + 4..].to_vec();
    if header("content-length").and_then(|length| length.parse().ok()) != Some(body.len()) {
        return Err(format!("{} bytes of body after {head}", body.len()));
    }
    let status = outcome(bytes).parse().map_err(|_| head.clone())?;
    Ok(Answer {
        status,
        gzipped: header("content-encoding") == Some("gzip"),
        body,
    })
}

impl Answer {
    /// The body as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.gzipped {
            flate2::read::GzDecoder::new(self.body.as_slice())
                .read_to_string(&mut text)
                .unwrap();
        } else {
            text.push_str(std::str::from_utf8(&self.body).unwrap());
        }
        text
    }
}
