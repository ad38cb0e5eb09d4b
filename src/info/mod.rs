//! INFO and ROLE replies become typed observations.

mod types;

pub use types::*;
