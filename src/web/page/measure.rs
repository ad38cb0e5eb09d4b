//! How wide a text is at most, without a browser: what is drawn into a picture must fit it in
//! whatever font the reader's system has.

/// The width of a text in the units of `size`, the font's. A bound from above: the advances of
/// `DejaVu` Sans Bold, the widest of the usual system fonts, rounded up.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The widest of some texts.
pub(super) fn widest<'a>(texts: impl IntoIterator<Item = &'a str>, size: f64) -> f64 {
    texts
        .into_iter()
        .map(|text| width(text, size))
        .fold(0.0, f64::max)
}

/// The text, or as much of it as fits, with an ellipsis for the rest.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = advance('…') * size;
    for letter in text.chars() {
        used += advance(letter) * size;
        if used > room {
            break;
        }
        cut.push(letter);
    }
    cut.push('…');
    cut
}

/// The advance of a character, in parts of the font's size.
const fn advance(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | 'I' | ' ' | '.' | ',' | ';' | ':' | '\'' | '|' | '!' | '/' | '\\' => 0.41,
        'f' | 't' | 'r' | 's' | '-' | '(' | ')' | '[' | ']' | '_' | '"' | '*' => 0.6,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '→' => 1.11,
        'a'..='z' | '0'..='9' => 0.72,
        'A'..='Z' => 0.86,
        letter if letter.is_ascii() => 0.84,
        // Letters of other scripts are as wide as the font is high at most, nearly; a picture
        // (emoji) is wider.
        _ => 1.4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_only_when_it_is_too_long() {
        assert_eq!(fitted("dc1", 13.0, 100.0), "dc1");
        let cut = fitted(&"é".repeat(40), 10.0, 100.0);
        assert!(cut.ends_with('…') && cut.chars().count() > 3, "{cut}");
        for room in [0.0, 5.0, 50.0, 116.0] {
            let cut = fitted("ap-southeast-northeast-1", 13.0, room);
            assert!(width(&cut, 13.0) <= room.max(15.0), "{cut}: {room}");
        }
    }
}
