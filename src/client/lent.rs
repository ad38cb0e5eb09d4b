//! A stream that one owner lends to another and takes back.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One of the handles to a stream. Only one of them may be used at a time; none of them closes it
/// for writing.
pub(super) struct Lent<S>(Arc<Mutex<S>>);

impl<S> Lent<S> {
    /// Two handles to `stream`: one to lend, one to take it back with.
    pub(super) fn new(stream: S) -> (Self, Self) {
        let shared = Arc::new(Mutex::new(stream));
        (Self(Arc::clone(&shared)), Self(shared))
    }

    /// The stream; `None` while the other handle is still held.
    pub(super) fn take_back(self) -> Option<S> {
        Arc::into_inner(self.0)?.into_inner().ok()
    }

    fn stream(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever borrows it closes it when done; the stream itself goes on.
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_taken_back_is_still_open() {
        let (near, mut far) = duplex(64);
        let (mut lent, kept) = Lent::new(near);
        lent.write_all(b"a").await.unwrap();
        lent.shutdown().await.unwrap();
        drop(lent);
        let mut near = kept.take_back().expect("nobody holds it any more");
        near.write_all(b"b").await.unwrap();
        let mut heard = [0; 2];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ab");
    }

    #[tokio::test]
    async fn what_is_still_lent_cannot_be_taken_back() {
        let (_lent, kept) = Lent::new(duplex(64).0);
        assert!(kept.take_back().is_none());
    }
}
