//! Text as Python's `json.dumps` writes it, to the byte, so that an envelope stays the same when a
//! Python client reads it and writes it back.

use serde_core::Serialize;

/// `value` as `json.dumps` writes it: a space behind `,` and `:`, all but printable ASCII escaped.
///
/// # Errors
/// Where `value` has no JSON form, such as a map whose keys are no strings.
pub(super) fn dumps<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let compact = serde_json::to_string(value)?;
    let mut text = String::with_capacity(compact.len() + compact.len() / 8);
    let mut rest = compact.as_str();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => rest.find([',', ']', '}']).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let Some((token, after)) = rest.split_at_checked(length) else {
            break;
        };
        match first {
            '"' => push_ascii(&mut text, token),
            '-' | '0'..='9' => push_number(&mut text, token),
            ',' | ':' => {
                text.push(first);
                text.push(' ');
            }
            _ => text.push_str(token),
        }
        rest = after;
    }
    Ok(text)
}

/// How long the string is that `text` begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

fn push_ascii(text: &mut String, token: &str) {
    for character in token.chars() {
        if matches!(character, ' '..='~') {
            text.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

fn push_number(text: &mut String, token: &str) {
    match token.parse() {
        Ok(number) if token.contains(['.', 'e', 'E']) => text.push_str(&float(number)),
        _ => text.push_str(token),
    }
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    push_ascii(&mut quoted, &serde_json::Value::from(text).to_string());
    quoted
}

/// `value` as Python's `repr` writes it: the fewest digits that read back, with an exponent below
/// 10^-4 and from 10^16 on.
pub(super) fn float(value: f64) -> String {
    let Some(digits) = Digits::from_f64(value) else {
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
    fn from_f64(value: f64) -> Option<Self> {
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

#[cfg(test)]
#[allow(
    clippy::excessive_precision,
    reason = "the digits as they are written, more than are kept"
)]
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
