//! Parses and checks single values: durations, sizes, names, URLs, labels. Every error is the end
//! of a sentence that begins with the value.

use std::fmt;
use std::ops::RangeInclusive;

use super::signing::signing_key;
use crate::model::{self, Bytes, Span};

/// Checks a secret that is written in the configuration. An error is the end of a sentence that
/// begins with "the value", and shows nothing of it.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// The maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 128;

/// The maximum length of a label's value, in characters.
pub(super) const MAX_LABEL_CHARS: usize = 1024;

/// The maximum length of a URL, in bytes.
const MAX_URL_BYTES: usize = 4096;

/// Units of time, longest first, in milliseconds.
const TIME_UNITS: [(&str, i64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, in bytes: decimal and binary.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const NOT_A_DURATION: &str = "is not a duration; write it like 250ms, 30s, 1m30s or 4h";

/// Parses `250ms`, `30s`, `1m30s`, `4h`, `1d` or `0`: whole numbers, each with its unit, largest
/// unit first.
pub(super) fn parse_span(text: &str) -> Result<Span, String> {
    if text == "0" {
        return Ok(Span::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("has no unit; write {}", unit_examples(text)));
    }
    let mut rest = text;
    // Each unit is searched for behind the one before: so they come largest first, and once.
    let mut units = TIME_UNITS.iter();
    let mut millis: i64 = 0;
    while !rest.is_empty() {
        let (number, unit, tail) = leading_quantity(rest).ok_or(NOT_A_DURATION)?;
        let unit = units.find(|(name, _)| *name == unit);
        let (_, factor) = unit.ok_or(NOT_A_DURATION)?;
        millis = add_product(millis, number, *factor).ok_or("is too long a duration")?;
        rest = tail;
    }
    if text.is_empty() {
        Err(NOT_A_DURATION.to_owned())
    } else {
        Ok(Span::from_millis(millis))
    }
}

/// `sum + number * factor`; `None` if it does not fit.
fn add_product(sum: i64, number: &str, factor: i64) -> Option<i64> {
    let number: i64 = number.parse().ok()?;
    sum.checked_add(number.checked_mul(factor)?)
}

/// Suggests units for the bare number `text`.
pub(super) fn unit_examples(text: &str) -> String {
    if text.len() > 9 {
        "30s or 250ms".to_owned()
    } else {
        format!("{text}s or {text}ms")
    }
}

/// Splits `90sREST` into `90`, `s` and `REST`.
fn leading_quantity(text: &str) -> Option<(&str, &str, &str)> {
    let after_digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let tail = after_digits.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let number = text.strip_suffix(after_digits)?;
    let unit = after_digits.strip_suffix(tail)?;
    if number.is_empty() {
        return None;
    }
    Some((number, unit, tail))
}

/// Formats a duration as [`parse_span`] reads it, in whole milliseconds.
pub(super) fn span_text(span: Span) -> String {
    let mut millis = span.or_zero().as_nanos() / 1_000_000;
    let mut parts = Vec::new();
    for (unit, factor) in TIME_UNITS {
        if millis >= factor {
            parts.push(format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.concat()
    }
}

/// Parses `64MiB` or `1GB`.
pub(super) fn parse_bytes(text: &str) -> Result<Bytes, String> {
    let wrong =
        "is not a size; write it like 64MiB, 1GB, or as a bare number of bytes without quotes";
    let Some((number, unit, "")) = leading_quantity(text) else {
        return Err(wrong.to_owned());
    };
    let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = unit.ok_or(wrong)?;
    let too_large = "is too large a size";
    let number: u64 = number.parse().map_err(|_| too_large)?;
    let bytes = number.checked_mul(*factor).ok_or(too_large)?;
    Ok(Bytes::new(bytes))
}

/// `value` if it is in `range`.
pub(super) fn in_range<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    text: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "is out of range; allowed: {} to {}",
        text(range.start()),
        text(range.end())
    ))
}

/// Checks a name: of a datacenter, pair, receiver or user.
pub(super) fn check_name(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    let fits = (1..=MAX_NAME_CHARS).contains(&length);
    if !fits || text.contains(char::is_control) || text.trim() != text {
        return Err(format!(
            "is not a name; allowed: 1 to {MAX_NAME_CHARS} characters, no control characters, no space around it"
        ));
    }
    Ok(())
}

/// Whether `text` may name a label of a pair: as Prometheus allows it, without the names that it
/// keeps for itself.
pub(super) fn is_label_name(text: &str) -> bool {
    model::is_label_name(text) && !text.starts_with("__")
}

/// Whether `text` is a valid name of an HTTP header (a token of RFC 9110, 5.6.2).
pub(super) fn is_header_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= MAX_NAME_CHARS && text.bytes().all(legal)
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlError {
    /// Not `http://` or `https://` with a host.
    NotHttp,
    /// White space, control characters or characters that a URL must encode; or too long.
    Illegal,
    /// A user or password before the host.
    UserInfo,
}

/// Checks that `text` is an absolute HTTP URL without credentials.
pub(super) fn check_url(text: &str) -> Result<(), UrlError> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::NotHttp)?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_http {
        return Err(UrlError::NotHttp);
    }
    if text.len() > MAX_URL_BYTES || !text.bytes().all(is_url_byte) {
        return Err(UrlError::Illegal);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if authority.is_empty() || authority.starts_with(':') {
        Err(UrlError::NotHttp)
    } else {
        Ok(())
    }
}

/// Checks what is appended to a URL: nothing, a further part of its path, or its query. Nothing
/// else could follow a host without changing it.
///
/// # Errors
/// What is wrong, as a sentence about it.
pub fn check_url_end(text: &str) -> Result<(), String> {
    let begins_well = text.is_empty() || text.starts_with(['/', '?', '&']);
    if !begins_well || text.contains('#') {
        return Err("what is appended to a URL begins with /, ? or &, and has no #".to_owned());
    }
    if text.len() > MAX_URL_BYTES || !text.bytes().all(is_url_byte) {
        return Err(format!(
            "it is longer than {MAX_URL_BYTES} characters or holds some that a URL has to \
             percent-encode; write names as {{{{ key | percent_encode }}}}"
        ));
    }
    Ok(())
}

/// Bytes of a mail address (RFC 5321, section 4.5.3.1.3, without the angle brackets), and of the
/// part before the @.
const MAX_MAIL_ADDRESS: usize = 254;
const MAX_MAIL_USER: usize = 64;

/// Whether `text` is a mail address in ASCII, without quotation marks or a name: nothing in it can
/// end a command of SMTP or a header.
pub(super) fn is_mail_address(text: &str) -> bool {
    let Some((user, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_user_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let has_empty_part = |text: &str| text.split('.').any(str::is_empty);
    text.len() <= MAX_MAIL_ADDRESS
        && user.len() <= MAX_MAIL_USER
        && user.bytes().all(is_user_byte)
        && domain.bytes().all(is_domain_byte)
        && !has_empty_part(user)
        && !has_empty_part(domain)
}

/// Whether a URL may have this byte as it is, without percent-encoding.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "is not a URL that begins with http:// or https:// and a host",
            Self::Illegal => "is longer than 4096 characters or holds characters that a URL has to percent-encode",
            Self::UserInfo => "has a user or password before its host, which is not supported",
        })
    }
}

/// Accepts every secret.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where the checks of other secrets stand"
)]
pub(super) const fn any_secret(_: &str) -> Result<(), String> {
    Ok(())
}

/// Checks a URL that is a secret.
pub(super) fn check_secret_url(text: &str) -> Result<(), String> {
    check_url(text).map_err(|error| error.to_string())
}

/// Checks a proxy's URL, which may have a user and a password in it.
pub(super) fn check_proxy_url(text: &str) -> Result<(), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return check_secret_url(text);
    };
    match rest.split_once('@') {
        Some((_, host)) => check_secret_url(&format!("{scheme}://{host}")),
        None => check_secret_url(text),
    }
}

/// Checks the secret that webhooks are signed with.
pub(super) fn check_signing_key(text: &str) -> Result<(), String> {
    signing_key(text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("4h", 14_400_000),
            ("1d2h3m4s5ms", 93_784_005),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_span(text), Ok(Span::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn bad_durations_say_how_to_write_one() {
        let cases = [
            ("", "not a duration"),
            ("30", "write 30s or 30ms"),
            ("12345678901234567890", "write 30s or 250ms"),
            ("-5s", "not a duration"),
            ("1.5s", "not a duration"),
            ("5 s", "not a duration"),
            ("30s1m", "not a duration"),
            ("1s1s", "not a duration"),
            ("1m30", "not a duration"),
            ("1M", "not a duration"),
            ("10us", "not a duration"),
            ("9999999999999999999s", "too long"),
            ("9223372036854775807d", "too long"),
        ];
        for (text, part) in cases {
            let error = parse_span(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_read() {
        let cases = [
            ("0B", 0),
            ("1KB", 1000),
            ("1KiB", 1024),
            ("64MiB", 67_108_864),
            ("1GB", 1_000_000_000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(Bytes::new(bytes)), "{text}");
        }
        for text in [
            "",
            "64",
            "64M",
            "64mib",
            "-1B",
            "1.5GB",
            "1GB1MB",
            "B",
            "99999999999999999999B",
            "99999999TiB",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_that_is_appended_to_a_url_changes_its_host() {
        for good in ["", "/a%20b/close?x=y", "?text=a", "&text=a"] {
            assert_eq!(check_url_end(good), Ok(()), "{good}");
        }
        for bad in [".evil.example/", "@evil/", ":1/", "/a b", "/\n", "/#x"] {
            assert!(check_url_end(bad).is_err(), "{bad}");
        }
        assert!(check_url_end(&format!("/{}", "x".repeat(MAX_URL_BYTES))).is_err());
    }

    #[test]
    fn mail_addresses_cannot_end_a_command_or_a_header() {
        for good in ["a@b", "on.call+redis@mail.example.com", "x@localhost"] {
            assert!(is_mail_address(good), "{good}");
        }
        let long = format!("{}@b", "a".repeat(65));
        let longer = format!("a@{}.example", "b".repeat(245));
        let bad = [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b>",
            "<a@b>",
            "A <a@b>",
            "a@b\r\nRCPT TO:<c@d>",
            "\"a\"@b",
            "a@b,c@d",
            "ä@b",
            "a..b@c",
            "a@b.",
            &long,
            &longer,
        ];
        for text in bad {
            assert!(!is_mail_address(text), "{text}");
        }
    }

    #[test]
    fn urls_are_http_with_a_host_and_no_credentials() {
        let cases = [
            ("https://hooks.slack.com/services/T/B/x", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("HTTPS://[::1]:443/?q=a@b", Ok(())),
            ("ftp://x", Err(UrlError::NotHttp)),
            ("hooks.slack.com", Err(UrlError::NotHttp)),
            ("https:///x", Err(UrlError::NotHttp)),
            ("https://:443/", Err(UrlError::NotHttp)),
            ("https://a b/", Err(UrlError::Illegal)),
            ("https://a/\n", Err(UrlError::Illegal)),
            ("https://user:pass@host/", Err(UrlError::UserInfo)),
        ];
        for (text, result) in cases {
            assert_eq!(check_url(text), result, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(millis in 0_i64..i64::MAX / 1_000_000) {
            let span = Span::from_millis(millis);
            prop_assert_eq!(parse_span(&span_text(span)), Ok(span));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in ".{0,40}") {
            let _ = (parse_span(&text), parse_bytes(&text), check_url(&text), check_name(&text));
        }
    }
}
