//! The path under which metrics are served.

use std::fmt;
use std::str::FromStr;

/// The longest path.
const MAX_CHARS: usize = 200;

/// What the exporter serves itself, and everything below it.
const RESERVED: [&str; 7] = [
    "/-",
    "/api",
    "/pairs",
    "/runbooks",
    "/style.css",
    "/script.js",
    "/icon.svg",
];

/// The end of a sentence that begins with the refused value.
const ALLOWED: &str = "is not a path for metrics; it begins with a slash and has letters, digits, slashes and any of \
     -._~ behind it, at most 200 characters, such as /metrics";

/// The path under which metrics are served: `/metrics`, unless it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// The path, with its slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one where Prometheus looks without being told.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TelemetryPath {
    fn default() -> Self {
        Self("/metrics".to_owned())
    }
}

impl FromStr for TelemetryPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_legal = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        let fits = text.starts_with('/') && text.len() <= MAX_CHARS;
        if !fits || !text.bytes().all(is_legal) {
            return Err(ALLOWED.to_owned());
        }
        if is_reserved(text) {
            return Err(
                "is a path that the exporter serves something else under; take another one"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_reserved(path: &str) -> bool {
    let is_at_or_below = |reserved: &str| match path.strip_prefix(reserved) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    path == "/" || RESERVED.iter().any(|reserved| is_at_or_below(reserved))
}

impl fmt::Display for TelemetryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_that_nothing_else_is_served_under() {
        for text in [
            "/metrics",
            "/redis/metrics",
            "/a-b_c.d~e",
            "/apis",
            "/metrics/",
        ] {
            let path: TelemetryPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
        }
        let wrong = [
            "",
            "metrics",
            "/",
            "/-/ready",
            "/api/v1/x",
            "/pairs",
            "/{a}",
            "/a b",
            "/a?b",
            "/*a",
            "/style.css",
        ];
        for text in wrong {
            assert!(text.parse::<TelemetryPath>().is_err(), "{text}");
        }
        assert!(
            format!("/{}", "x".repeat(200))
                .parse::<TelemetryPath>()
                .is_err()
        );
        assert!("/metrics".parse::<TelemetryPath>().unwrap().is_default());
    }
}
