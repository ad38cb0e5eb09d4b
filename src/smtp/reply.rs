//! A mail server's replies (RFC 5321, section 4.2). Pure.

/// A reply: its code and the texts of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// The text of each line.
    pub(super) lines: Vec<String>,
}

/// What the first bytes that came are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A whole reply, and how many bytes it takes.
    Whole(Reply, usize),
    /// The beginning of one.
    Partial,
    /// No reply at all.
    Malformed,
}

/// Reads the first reply in `bytes`. Every line ends with LF, as some servers leave CR out.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut lines = Vec::new();
    let mut end = 0;
    let mut first_code = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line_text) = line.strip_suffix(b"\n") else {
            return Parsed::Partial;
        };
        end += line.len();
        let Some((code, is_last, text)) = parse_line(line_text) else {
            return Parsed::Malformed;
        };
        if *first_code.get_or_insert(code) != code {
            return Parsed::Malformed;
        }
        lines.push(text);
        if is_last {
            return Parsed::Whole(Reply { code, lines }, end);
        }
    }
    Parsed::Partial
}

/// The code of a line, whether it is the reply's last, and its text.
fn parse_line(line: &[u8]) -> Option<(u16, bool, String)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if !(200..600).contains(&code) {
        return None;
    }
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    Some((code, is_last, String::from_utf8_lossy(text).into_owned()))
}

/// What a server can do, from its reply to EHLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// STARTTLS.
    pub(super) start_tls: bool,
    /// AUTH PLAIN.
    pub(super) plain: bool,
    /// AUTH LOGIN.
    pub(super) login: bool,
}

impl Extensions {
    /// Reads them from the lines of a reply, the first of which is the server's name.
    pub(super) fn from_reply(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => found.start_tls = true,
                Some("AUTH") => {
                    for mechanism in words {
                        found.plain |= mechanism == "PLAIN";
                        found.login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Reply {
        match parse(text.as_bytes()) {
            Parsed::Whole(reply, length) => {
                assert_eq!(length, text.len());
                reply
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn replies_have_one_line_or_several() {
        assert_eq!(whole("250 OK\r\n").lines, ["OK"]);
        assert_eq!(
            (whole("354\n").code, whole("354\n").lines),
            (354, vec![String::new()])
        );
        let hello = whole("250-mx.example.com\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n");
        assert_eq!(hello.lines.len(), 3);
        let all = Extensions {
            start_tls: true,
            plain: true,
            login: true,
        };
        assert_eq!(Extensions::from_reply(&hello), all);
        let old = whole("250-auth.example.com\r\n250-auth=login\r\n250 X-STARTTLS\r\n");
        let login = Extensions {
            login: true,
            ..Extensions::default()
        };
        assert_eq!(Extensions::from_reply(&old), login);
    }

    #[test]
    fn what_is_no_reply_is_malformed_and_a_beginning_is_partial() {
        for text in ["", "2", "250-a\r\n", "250-a\r\n250 b"] {
            assert_eq!(parse(text.as_bytes()), Parsed::Partial, "{text:?}");
        }
        for text in [
            "HTTP/1.1 400\r\n",
            "25\n",
            "250_x\n",
            "250-a\n251 b\n",
            "199 x\n",
            "600 x\n",
            "+OK\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Malformed, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Parsed::Whole(reply, length) = parse(&bytes) {
                prop_assert!(length <= bytes.len() && (200..600).contains(&reply.code));
            }
        }
    }
}
