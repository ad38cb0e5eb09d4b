//! JSON as the servers read it: bytes in, slices of these bytes out, nothing is rounded or
//! rewritten.
//!
//! The scripts read envelopes with Redis's cjson, which takes more than JSON: `NaN`, `Infinity`,
//! a leading zero or plus sign. Python writes the first two, so they have to be read here as well.
//! The one form that cjson takes and this does not is a hexadecimal number.

/// How deeply cjson nests (`DEFAULT_DECODE_MAX_DEPTH` in `lua_cjson.c`).
const MAX_DEPTH: usize = 1000;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// Its name, unescaped.
    pub(super) name: Vec<u8>,
    /// Its value as it is written.
    pub(super) raw: &'a [u8],
}

/// The members of the object that `text` is; `None` for everything else.
pub(super) fn members(text: &[u8]) -> Option<Vec<Member<'_>>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = Vec::new();
    scanner.skip_space();
    scanner.take(b'{')?;
    scanner.skip_space();
    if scanner.take(b'}').is_none() {
        loop {
            let name = unescape(scanner.name()?)?;
            let start = scanner.at;
            scanner.skip_value()?;
            let raw = text.get(start..scanner.at)?;
            found.push(Member { name, raw });
            scanner.skip_space();
            if scanner.take(b',').is_none() {
                break;
            }
        }
        scanner.take(b'}')?;
    }
    scanner.skip_space();
    (scanner.at == text.len()).then_some(found)
}

/// The last member of that name, as cjson and Python take it.
pub(super) fn last<'a>(members: &[Member<'a>], name: &str) -> Option<&'a [u8]> {
    let named = members.iter().rev().find(|m| m.name == name.as_bytes())?;
    Some(named.raw)
}

/// The number that `raw` is, rounded correctly; `None` for everything else.
pub(super) fn number(raw: &[u8]) -> Option<f64> {
    if number_length(raw)? != raw.len() {
        return None;
    }
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// The bytes that the quoted string `raw` stands for; `None` for everything else.
pub(super) fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut rest = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let escape = Escape::read(rest)?;
        let mut buffer = [0; 4];
        bytes.extend_from_slice(escape.character.encode_utf8(&mut buffer).as_bytes());
        rest = rest.get(escape.length..)?;
    }
    Some(bytes)
}

/// What a backslash begins.
struct Escape {
    character: char,
    /// In bytes, the backslash included.
    length: usize,
}

impl Escape {
    /// Reads the escape that `text` begins with; `None` for an unknown one, and for half of a
    /// surrogate pair, which stands for no character.
    fn read(text: &[u8]) -> Option<Self> {
        let short = |character| {
            Some(Self {
                character,
                length: 2,
            })
        };
        match text.get(1)? {
            b'"' => short('"'),
            b'\\' => short('\\'),
            b'/' => short('/'),
            b'b' => short('\u{8}'),
            b'f' => short('\u{c}'),
            b'n' => short('\n'),
            b'r' => short('\r'),
            b't' => short('\t'),
            b'u' => Self::read_unicode(text),
            _ => None,
        }
    }

    fn read_unicode(text: &[u8]) -> Option<Self> {
        let high = code_unit(text, 0)?;
        if let Some(character) = char::from_u32(high) {
            return Some(Self {
                character,
                length: 6,
            });
        }
        let low = code_unit(text, 6)?;
        let is_pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
        let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
        let character = char::from_u32(code).filter(|_| is_pair)?;
        Some(Self {
            character,
            length: 12,
        })
    }
}

/// The number of the `\uXXXX` at `at`.
fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let escape = text.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    // The parser would take a sign.
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

/// How long the number is that `text` begins with, as C's `strtod` reads it but for hexadecimal
/// ones.
fn number_length(text: &[u8]) -> Option<usize> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let unsigned = text.get(sign..)?;
    for word in ["infinity", "inf", "nan"] {
        let head = unsigned.get(..word.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes())) {
            return Some(sign + word.len());
        }
    }
    let whole = digits(unsigned);
    // cjson takes a point at the beginning behind a sign only.
    if whole == 0 && sign == 0 {
        return None;
    }
    let mut length = whole;
    let mut fraction = 0;
    if unsigned.get(length) == Some(&b'.') {
        fraction = digits(unsigned.get(length + 1..)?);
        length += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    Some(sign + length + exponent_length(unsigned.get(length..)?))
}

/// How long the exponent is that `text` begins with; 0 without one.
fn exponent_length(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    match text.get(1 + sign..).map(digits) {
        None | Some(0) => 0,
        Some(count) => 1 + sign + count,
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// What is open around the place that is being read.
#[derive(Clone, Copy, PartialEq)]
enum Container {
    Object,
    Array,
}

impl Container {
    const fn end(self) -> u8 {
        match self {
            Self::Object => b'}',
            Self::Array => b']',
        }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let space = self.rest().iter();
        self.at += space
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at += 1)
    }

    /// Reads `"name":` and the space around it; returns the name with its quotes.
    fn name(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let start = self.at;
        self.skip_string()?;
        let name = self.text.get(start..self.at)?;
        self.skip_space();
        self.take(b':')?;
        self.skip_space();
        Some(name)
    }

    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            match self.rest().first()? {
                b'"' => return self.take(b'"'),
                // cjson reads text that ends with NUL.
                0 => return None,
                b'\\' => self.at += Escape::read(self.rest())?.length,
                _ => self.at += 1,
            }
        }
    }

    /// Goes behind the value that begins here, inside one object.
    fn skip_value(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            if self.skip_start(&mut open)? {
                continue;
            }
            // A value has ended, and with it whatever it was the last one of.
            loop {
                let Some(container) = open.last().copied() else {
                    return Some(());
                };
                self.skip_space();
                if self.take(b',').is_some() {
                    if container == Container::Object {
                        self.name()?;
                    }
                    break;
                }
                self.take(container.end())?;
                open.pop();
            }
        }
    }

    /// Goes behind a scalar or an empty container, or into a container. Whether it went into one.
    fn skip_start(&mut self, open: &mut Vec<Container>) -> Option<bool> {
        self.skip_space();
        let container = match self.rest().first()? {
            b'{' => Container::Object,
            b'[' => Container::Array,
            b'"' => return self.skip_string().map(|()| false),
            _ => return self.skip_scalar().map(|()| false),
        };
        // The object around all of it is open as well.
        if open.len() + 2 > MAX_DEPTH {
            return None;
        }
        self.at += 1;
        self.skip_space();
        if self.take(container.end()).is_some() {
            return Some(false);
        }
        open.push(container);
        if container == Container::Object {
            self.name()?;
        }
        Some(true)
    }

    fn skip_scalar(&mut self) -> Option<()> {
        for word in ["true", "false", "null"] {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                return Some(());
            }
        }
        self.at += number_length(self.rest())?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str, name: &str) -> Option<String> {
        let members = members(text.as_bytes())?;
        last(&members, name).map(|raw| String::from_utf8_lossy(raw).into_owned())
    }

    #[test]
    fn values_are_returned_as_they_are_written() {
        let text = r#" {"a" : {"b": [1, "]}", {}], "c": NaN}, "d":-1.50e+2 , "e":[],"f": null} "#;
        assert_eq!(raw(text, "a").unwrap(), r#"{"b": [1, "]}", {}], "c": NaN}"#);
        assert_eq!(raw(text, "d").unwrap(), "-1.50e+2");
        assert_eq!(raw(text, "e").unwrap(), "[]");
        assert_eq!(raw(text, "f").unwrap(), "null");
        assert_eq!(raw(text, "g"), None);
    }

    #[test]
    fn the_last_of_equal_names_counts_however_it_is_written() {
        let text = r#"{"timestamp": 1, "\u0074imestamp": 2}"#;
        assert_eq!(raw(text, "timestamp").unwrap(), "2");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let cases = [
            "",
            "1",
            "[]",
            "null",
            "{",
            "}",
            "{}}",
            "{} x",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            "{a:1}",
            r#"{"a":[1,]}"#,
            r#"{"a":[1}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":1e}"#,
            r#"{"a":0x10}"#,
            r#"{"a":.}"#,
            "{\"a\":\"\0\"}",
            "{}\0",
        ];
        for text in cases {
            assert_eq!(members(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn depth_is_limited_as_in_cjson() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(members(nested(999).as_bytes()).is_some());
        assert!(members(nested(1000).as_bytes()).is_none());
    }

    #[test]
    fn strings_are_unescaped() {
        let text = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#;
        let expected = "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}";
        assert_eq!(unescape(text.as_bytes()).unwrap(), expected.as_bytes());
        assert_eq!(unescape(b"abc"), None);
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let cases = [
            ("1", Some(1.0)),
            ("-0.5", Some(-0.5)),
            ("1.", Some(1.0)),
            ("01", Some(1.0)),
            ("+1e2", Some(100.0)),
            ("1e999", Some(f64::INFINITY)),
            ("1732262769.1234567", Some(1_732_262_769.123_456_7)),
            ("-.5", Some(-0.5)),
            (".5", None),
            ("1e", None),
            ("0x10", None),
            ("\"1\"", None),
            ("", None),
            ("-", None),
            ("null", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert!(number(b"NaN").unwrap().is_nan());
    }
}
