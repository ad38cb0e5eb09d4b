//! Whole replies: captured ones, hostile ones, and what holds for every text.

mod captured;
mod hostile;
mod properties;
