//! Configuration: a file, flags and the environment become [`Settings`], or a sentence that says what to change.

mod settings;

pub use settings::*;
