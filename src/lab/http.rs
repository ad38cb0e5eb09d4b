//! A minimal, bounded reader of HTTP/1.1 requests (RFC 9112) and writer of responses, for the
//! webhook receiver.

use std::io;

use tokio::io::{AsyncBufRead, AsyncReadExt};

use super::lines::read_line;

/// The longest request or header line.
const MAX_LINE: usize = 8 * 1024;
/// Header lines at most.
const MAX_HEADERS: usize = 100;
/// The largest body: Slack and `PagerDuty` refuse far smaller ones (`PagerDuty`: 512 KiB).
const MAX_BODY: usize = 1024 * 1024;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path and query, as sent.
    pub(super) path: String,
    /// Header fields in order, their names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why a request was not read.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The connection broke: no answer can be sent.
    Broken,
    /// The request is refused with this status.
    Refused(u16),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Refused(431),
            _ => Self::Broken,
        }
    }
}

/// Reads the next request of a connection; `None` when the client has closed it between requests.
pub(super) async fn read_request<R>(reader: &mut R) -> Result<Option<Request>, RequestError>
where
    R: AsyncBufRead + Unpin,
{
    let Some(line) = read_text(reader).await? else {
        return Ok(None);
    };
    let mut words = line.split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(RequestError::Refused(400));
    };
    let headers = read_headers(reader).await?;
    let mut body = vec![0; body_length(&headers)?];
    reader.read_exact(&mut body).await?;
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body,
    }))
}

async fn read_headers<R>(reader: &mut R) -> Result<Vec<(String, String)>, RequestError>
where
    R: AsyncBufRead + Unpin,
{
    let mut headers = Vec::new();
    loop {
        // A connection that ends within the headers is broken.
        let line = read_text(reader).await?.ok_or(RequestError::Broken)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or(RequestError::Refused(400))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        if headers.len() > MAX_HEADERS {
            return Err(RequestError::Refused(431));
        }
    }
}

async fn read_text<R: AsyncBufRead + Unpin>(
    reader: &mut R,
) -> Result<Option<String>, RequestError> {
    let Some(line) = read_line(reader, MAX_LINE).await? else {
        return Ok(None);
    };
    match String::from_utf8(line) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(RequestError::Refused(400)),
    }
}

/// The body's length. Only Content-Length is understood: a chunked body is answered with 411,
/// Length Required.
fn body_length(headers: &[(String, String)]) -> Result<usize, RequestError> {
    if header(headers, "transfer-encoding").is_some() {
        return Err(RequestError::Refused(411));
    }
    let Some(length) = header(headers, "content-length") else {
        return Ok(0);
    };
    let length = length.parse().map_err(|_| RequestError::Refused(400))?;
    if length > MAX_BODY {
        Err(RequestError::Refused(413))
    } else {
        Ok(length)
    }
}

/// The first field called `name` (in lower case).
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(field, _)| field == name)?;
    Some(value)
}

/// A response's bytes. The reason phrase is left empty, which RFC 9112 allows.
pub(super) fn encode_response(status: u16, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let mut encoded = format!("HTTP/1.1 {status} \r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        encoded.extend([name, ": ", value, "\r\n"]);
    }
    encoded.extend(["\r\n", body]);
    encoded.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut input: &[u8]) -> Result<Option<Request>, RequestError> {
        read_request(&mut input).await
    }

    #[tokio::test]
    async fn requests_follow_each_other_on_one_connection() {
        let mut input: &[u8] =
            b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\n\r\n";
        let first = read_request(&mut input).await.unwrap().unwrap();
        assert_eq!(
            (first.method.as_str(), first.path.as_str(), &first.body[..]),
            ("POST", "/a?b", &b"hi"[..])
        );
        assert_eq!(header(&first.headers, "host"), Some("x"));
        let second = read_request(&mut input).await.unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.body.len()), ("GET", 0));
        assert!(read_request(&mut input).await.unwrap().is_none());
    }

    async fn check_refused(input: String, status: u16) {
        let result = read(input.as_bytes()).await;
        assert!(
            matches!(result, Err(RequestError::Refused(s)) if s == status),
            "{status}: {result:?}"
        );
    }

    #[tokio::test]
    async fn what_is_malformed_or_too_large_is_refused() {
        check_refused("hello\r\n".into(), 400).await;
        check_refused("GET / HTTP/1.0\r\n\r\n".into(), 400).await;
        check_refused("GET / HTTP/1.1\r\nno colon\r\n\r\n".into(), 400).await;
        check_refused("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".into(), 400).await;
        check_refused(
            format!(
                "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n",
                MAX_BODY + 1
            ),
            413,
        )
        .await;
        check_refused(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            411,
        )
        .await;
        check_refused(
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_LINE)),
            431,
        )
        .await;
        check_refused(
            format!(
                "GET / HTTP/1.1\r\n{}\r\n",
                "a: b\r\n".repeat(MAX_HEADERS + 1)
            ),
            431,
        )
        .await;
    }

    #[tokio::test]
    async fn a_request_that_breaks_off_is_no_request() {
        for input in [
            "GET / HT",
            "GET / HTTP/1.1\r\nhost: x\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhi",
        ] {
            assert!(
                matches!(read(input.as_bytes()).await, Err(RequestError::Broken)),
                "{input}"
            );
        }
    }

    #[test]
    fn a_response_states_its_length() {
        let headers = [("Retry-After".to_owned(), "3".to_owned())];
        let text = String::from_utf8(encode_response(429, &headers, "slow")).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 429 \r\ncontent-length: 4\r\nRetry-After: 3\r\n\r\nslow"
        );
    }
}
