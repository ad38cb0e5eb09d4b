//! Compression, where the client takes it.

use std::io::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Below this a compressed response is hardly smaller than one packet, so nothing is won.
pub(super) const WORTH_COMPRESSING: usize = 1024;

/// Whether `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3): named, or covered by `*`, and
/// not with weight 0.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut any = false;
    for (name, wanted) in lines.flat_map(|line| line.split(',')).map(coding) {
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

/// A coding's name and whether its weight is above zero. A weight that cannot be read is no weight.
fn coding(item: &str) -> (&str, bool) {
    let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
    let weight = parameters
        .trim()
        .strip_prefix(['q', 'Q'])
        .map(str::trim_start)
        .and_then(|q| q.strip_prefix('='));
    let wanted = weight
        .and_then(|q| q.trim().parse::<f32>().ok())
        .is_none_or(|q| q > 0.0);
    (name.trim(), wanted)
}

/// The text compressed at the fastest level: metrics are so repetitive that the best one saves
/// little more, and the processor has polls to make.
pub(super) fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&'static str], expected: bool) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, line.parse().unwrap());
        }
        assert_eq!(accepts_gzip(&headers), expected, "{lines:?}");
    }

    #[test]
    fn gzip_is_sent_only_to_who_takes_it() {
        check(&[], false);
        check(&["gzip"], true);
        check(&["deflate, GZIP;q=0.5"], true);
        check(&["br", "gzip"], true);
        check(&["gzip;q=0"], false);
        check(&["gzip; q=0.000, *"], false);
        check(&["*"], true);
        check(&["*;q=0"], false);
        check(&["identity"], false);
        check(&["gzipped"], false);
        check(&["gzip;q=nonsense"], true);
    }
}
