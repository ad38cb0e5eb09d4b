//! Lines of a screen: text that is wrapped between words and indented.

use crate::report::visible_line;

/// Width of the screen in columns; a single long word may exceed it.
const WIDTH: usize = 100;

/// `text` in lines of at most [`WIDTH`] columns, the first behind `head` and the others below its
/// text. Control characters are escaped: much of it comes from servers.
pub(in crate::cli) fn wrapped(indent: usize, head: &str, text: &str) -> String {
    let text = visible_line(text);
    let below = indent + head.chars().count();
    let mut lines = String::new();
    let mut line = " ".repeat(indent) + head;
    let mut is_empty = true;
    for word in text.split(' ') {
        let needed = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && needed > WIDTH {
            lines += line.trim_end();
            lines.push('\n');
            line = " ".repeat(below);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    lines += line.trim_end();
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_stay_below_their_head() {
        let text = "word ".repeat(40);
        let lines = wrapped(2, "fix: ", text.trim());
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(lines.starts_with("  fix: word word"));
        assert!(
            lines
                .lines()
                .skip(1)
                .all(|line| line.starts_with("       word"))
        );
        assert_eq!(wrapped(0, "", "a\u{1b}b"), "a\\u{1b}b\n");
        let long = "x".repeat(150);
        assert_eq!(wrapped(4, "- ", &long), format!("    - {long}\n"));
    }
}
