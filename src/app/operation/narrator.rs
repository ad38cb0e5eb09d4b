//! Who shows a person what happens.

/// Shows a person what happens, one line a step.
pub trait Narrator: Send {
    /// A step is complete, or something is waited for.
    fn line(&mut self, text: &str);
}
