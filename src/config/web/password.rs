//! Hashes of passwords, as the web configuration has them.

use crate::model::Secret;

/// The most expensive hash that is accepted, as bcrypt's cost: each step doubles the work. At 18,
/// which Prometheus' toolkit takes as its example, one check keeps a processor busy for some ten
/// seconds.
const MAX_COST: u32 = 18;

/// bcrypt's own smallest cost.
const MIN_COST: u32 = 4;

/// A bcrypt hash of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash {
    text: Secret,
    cost: u32,
}

impl PasswordHash {
    /// Reads `$2a$`, `$2b$` or `$2y$` with a cost of 4 to 18.
    ///
    /// # Errors
    /// A sentence's end, without anything of the hash.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_known = ["$2a$", "$2b$", "$2y$"].contains(&text.get(..4).unwrap_or_default());
        // The parts are private, but this is the reader that a check of a password begins with.
        if !is_known || text.parse::<bcrypt::HashParts>().is_err() {
            return Err("is not a bcrypt hash, which begins with $2y$ and has 60 characters; make one with \
                        htpasswd -nBC 10 NAME"
                .to_owned());
        }
        let digits = text.get(4..6).unwrap_or_default();
        match digits.parse() {
            Ok(cost) if (MIN_COST..=MAX_COST).contains(&cost) => Ok(Self {
                text: Secret::new(text),
                cost,
            }),
            _ => Err(format!(
                "is a bcrypt hash of another cost than {MIN_COST} to {MAX_COST}"
            )),
        }
    }

    /// The hash, for the one place that compares a password with it.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// The work of one check, as bcrypt's cost: 4 to 18.
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}
