//! Configuration: a file, flags and the environment become [`Settings`], or a sentence that says what to change.

mod settings;
#[cfg(test)]
pub(crate) mod tests_support;

pub use settings::*;
