//! Escaping of text for URLs and shells, and checks of characters and label names.

use std::fmt::Write as _;

/// The longest name of a label, in bytes.
const MAX_LABEL_NAME: usize = 128;

/// `text` percent-encoded for the query or one segment of the path of a URL: all but the
/// unreserved characters of RFC 3986.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `text` as one word of a POSIX shell, in single quotes unless it needs none.
pub fn shell_quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-=./:@,+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a terminal shows `c` as a visible character. Control characters, which it would obey,
/// and characters that reverse the direction of writing are not printable.
pub fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// Whether `text` is the name of a label in Prometheus, of at most 128 bytes.
/// <https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels>
pub fn is_label_name(text: &str) -> bool {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_LABEL_NAME
        && text.bytes().all(is_legal)
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_only_unreserved_characters() {
        assert_eq!(percent_encode("a-z.A_Z~09"), "a-z.A_Z~09");
        assert_eq!(percent_encode("a b/ü&\n"), "a%20b%2F%C3%BC%26%0A");
    }

    #[test]
    fn a_quoted_text_is_one_word_for_a_shell() {
        let cases = [
            ("pair=orders/eu", "pair=orders/eu"),
            ("it's", r"'it'\''s'"),
            ("a b", "'a b'"),
            ("$(id)", "'$(id)'"),
            ("", "''"),
        ];
        for (text, word) in cases {
            assert_eq!(shell_quote(text), word);
        }
    }

    #[test]
    fn control_characters_are_not_printable() {
        assert!("aü\"'\\ €".chars().all(is_printable));
        assert!(!"\n\u{1b}\u{7f}\u{202e}\u{200f}".chars().any(is_printable));
    }

    #[test]
    fn labels_have_the_names_that_prometheus_allows() {
        for name in ["pair", "_", "A9", &"a".repeat(128)] {
            assert!(is_label_name(name), "{name}");
        }
        for name in ["", "9a", "a-b", "ä", &"a".repeat(129)] {
            assert!(!is_label_name(name), "{name}");
        }
    }
}
