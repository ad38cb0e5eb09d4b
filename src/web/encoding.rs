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
    let mut any_is_wanted = false;
    for line in headers.get_all(ACCEPT_ENCODING) {
        let Ok(line) = line.to_str() else {
            continue;
        };
        for coding in line.split(',').map(Coding::parse) {
            if coding.is_gzip() {
                return coding.is_wanted;
            }
            any_is_wanted |= coding.name == "*" && coding.is_wanted;
        }
    }
    any_is_wanted
}

/// One item of `Accept-Encoding`.
struct Coding<'a> {
    name: &'a str,
    /// Whether its weight is above zero.
    is_wanted: bool,
}

impl<'a> Coding<'a> {
    fn parse(item: &'a str) -> Self {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        Self {
            name: name.trim(),
            is_wanted: weight(parameters) > 0.0,
        }
    }

    fn is_gzip(&self) -> bool {
        self.name.eq_ignore_ascii_case("gzip") || self.name.eq_ignore_ascii_case("x-gzip")
    }
}

/// The weight `q=0.5`; 1 where there is none, or one that cannot be read.
fn weight(parameters: &str) -> f32 {
    let Some((name, value)) = parameters.split_once('=') else {
        return 1.0;
    };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 1.0;
    }
    value.trim().parse().unwrap_or(1.0)
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
    fn gzip_is_sent_only_to_clients_that_accept_it() {
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
