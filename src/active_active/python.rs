//! Text as Python's `json.dumps` writes it, to the byte, so that an envelope stays the same when a
//! Python client reads it and writes it back.

use std::io::{self, Write};

use serde_core::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// `value` as `json.dumps` writes it: a space behind `,` and `:`, all but printable ASCII escaped.
///
/// # Errors
/// Where `value` has no JSON form, such as a map whose keys are no strings.
pub(super) fn dumps<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Python))?;
    // The formatter writes ASCII alone.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    // Text always has a JSON form.
    dumps(text).unwrap_or_default()
}

/// `value` as Python's `repr` writes it: the fewest digits that read back, with an exponent below
/// 10^-4 and from 10^16 on.
pub(super) fn float(value: f64) -> String {
    let Some(digits) = Digits::of(value) else {
        // Infinity or NaN, which have no JSON form; callers exclude them.
        return value.to_string();
    };
    if (-4..16).contains(&digits.exponent) {
        let decimals = (digits.count - 1 - digits.exponent).max(1);
        return format!("{value:.*}", usize::try_from(decimals).unwrap_or(1));
    }
    let sign = if digits.exponent < 0 { '-' } else { '+' };
    let mantissa = digits.mantissa;
    format!("{mantissa}e{sign}{:02}", digits.exponent.abs())
}

/// The fewest significant digits that read back.
struct Digits {
    mantissa: String,
    count: i32,
    exponent: i32,
}

impl Digits {
    fn of(value: f64) -> Option<Self> {
        let shortest = format!("{value:e}");
        let digits = shortest.split_once('e')?.0.bytes();
        let count = digits.filter(u8::is_ascii_digit).count();
        // Of two that are equally near, Rust takes the upper one and Python the even one, as C's
        // printf does, and this.
        let exact = format!("{value:.*e}", count.saturating_sub(1));
        let reads_back = exact.parse() == Ok(value);
        let text = if reads_back { exact } else { shortest };
        let (mantissa, exponent) = text.split_once('e')?;
        Some(Self {
            mantissa: mantissa.to_owned(),
            count: i32::try_from(count).ok()?,
            exponent: exponent.parse().ok()?,
        })
    }
}

struct Python;

impl Formatter for Python {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        // Python has no such numbers: what it is in double precision would be more digits, not
        // more truth.
        let value = value.to_string().parse().unwrap_or(f64::from(value));
        self.write_f64(writer, value)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|character| !matches!(character, ' '..='~')) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                write_escaped(writer, character)?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn write_escaped<W: ?Sized + Write>(writer: &mut W, character: char) -> io::Result<()> {
    let mut units = [0; 2];
    for unit in character.encode_utf16(&mut units) {
        write!(writer, "\\u{unit:04x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        // Python 3: [repr(x) for x in ...]
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (1_732_262_769.123_456_7, "1732262769.1234567"),
            (-2.5, "-2.5"),
            (-944_050_031_832_315.25, "-944050031832315.2"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = serde_json::json!({
            "a": [1, 2.0, null, true],
            "é\u{7f}": "\u{1f600} \"\\/\n\u{1}",
            "empty": [[], {}],
        });
        // json.dumps(value), with the keys in this order.
        let expected = "{\"a\": [1, 2.0, null, true], \"empty\": [[], {}], \
                        \"\\u00e9\\u007f\": \"\\ud83d\\ude00 \\\"\\\\/\\n\\u0001\"}";
        assert_eq!(dumps(&value).unwrap(), expected);
        assert_eq!(dumps(&0.1_f32).unwrap(), "0.1");
    }
}
