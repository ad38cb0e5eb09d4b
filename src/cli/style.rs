//! Colour, on a terminal only.

use anstyle::{AnsiColor, Style};

use crate::report::Level;

/// The style of a level. The word is always printed with it, for readers without colour.
pub(super) fn for_level(level: Level) -> Style {
    match level {
        Level::Ok => AnsiColor::Green.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Critical => AnsiColor::Red.on_default().bold(),
        Level::Unknown => AnsiColor::Magenta.on_default(),
    }
}
