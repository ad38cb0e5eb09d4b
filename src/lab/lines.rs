//! Reading one line of bounded length, which both RESP and HTTP need.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Reads up to the next line feed and returns the line without its line end; `None` when the stream
/// ended before the line began.
///
/// # Errors
/// `InvalidData` when the line is longer than `limit` bytes, `UnexpectedEof` when the stream ends
/// within it.
pub(super) async fn read_line<R>(reader: &mut R, limit: usize) -> io::Result<Option<Vec<u8>>>
where
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX);
    reader.take(allowed).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        // Without the last byte, which was popped.
        let is_too_long = line.len() + 1 >= limit;
        return Err(broken_line(is_too_long, limit));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

fn broken_line(is_too_long: bool, limit: usize) -> io::Error {
    if is_too_long {
        let sentence = format!("a line is longer than {limit} bytes");
        io::Error::new(io::ErrorKind::InvalidData, sentence)
    } else {
        let sentence = "the connection closed within a line";
        io::Error::new(io::ErrorKind::UnexpectedEof, sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(mut input: &[u8], expected: Result<Option<&str>, io::ErrorKind>) {
        let line = read_line(&mut input, 8).await.map_err(|e| e.kind());
        let line = line.map(|l| l.map(|bytes| String::from_utf8(bytes).unwrap()));
        assert_eq!(line, expected.map(|l| l.map(str::to_owned)), "{input:?}");
    }

    #[tokio::test]
    async fn lines_are_bounded() {
        check(b"+OK\r\nnext", Ok(Some("+OK"))).await;
        check(b"+OK\n", Ok(Some("+OK"))).await;
        check(b"\r\n", Ok(Some(""))).await;
        check(b"", Ok(None)).await;
        check(b"cut", Err(io::ErrorKind::UnexpectedEof)).await;
        check(b"123456\r\n", Ok(Some("123456"))).await;
        check(b"1234567\r\n", Err(io::ErrorKind::InvalidData)).await;
    }
}
