//! A line of text below a row of a table, within the width of the screen.

/// Width of the screen in columns; long names and addresses may exceed it.
pub(super) const WIDTH: usize = 100;

/// The indentation of a line below a row.
const INDENT: &str = "    ";

/// The line below a row, broken between words where it is too wide; what follows is indented twice.
pub(super) fn wrapped(line: &str) -> String {
    let mut text = String::from(INDENT);
    let mut width = INDENT.len();
    let mut is_first_word = true;
    for word in line.split(' ') {
        let length = word.chars().count();
        if is_first_word {
            is_first_word = false;
        } else if width + 1 + length > WIDTH {
            text += &format!("\n{INDENT}{INDENT}");
            width = 2 * INDENT.len();
        } else {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += length;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_between_words() {
        let text = wrapped(&"word ".repeat(30));
        assert!(text.lines().count() == 2 && text.lines().all(|line| line.len() <= WIDTH));
    }
}
