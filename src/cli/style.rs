//! Colour, on a terminal only.

use anstyle::{AnsiColor, Style};

use crate::report::Level;

/// How a level looks: never by colour alone, the word stands beside it.
pub(super) fn of_level(level: Level) -> Style {
    match level {
        Level::Ok => AnsiColor::Green.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Critical => AnsiColor::Red.on_default().bold(),
        Level::Unknown => AnsiColor::Magenta.on_default(),
    }
}
