//! Columns of a terminal's table.

/// How many characters each column takes: its heading or its longest cell.
pub(super) fn widths<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> [usize; N] {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// The text with as many spaces behind it as its column takes.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}
