//! Versions of servers, and which of them read each other's data.

use std::fmt;

use crate::info::Engine;

/// A version's first three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third; 0 where there is none.
    pub patch: u32,
}

impl Version {
    /// Reads `7.0.15`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = match numbers.next() {
            Some(number) => number.parse().ok()?,
            None => 0,
        };
        Some(Self {
            major,
            minor,
            patch,
        })
    }

    /// Whether both are of one release line, in which only mistakes are corrected.
    pub fn is_same_line(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }

    /// The version of the RDB format that a full sync from `engine` has (`RDB_VERSION` in rdb.h); a
    /// server refuses a newer one than its own. `None` for releases that are not known here.
    pub fn rdb_format(self, engine: Engine) -> Option<u32> {
        match (engine, self.major, self.minor) {
            (Engine::Redis, 5 | 6, _) => Some(9),
            (Engine::Redis, 7, 0) => Some(10),
            (Engine::Redis | Engine::Valkey, 7, 2) | (Engine::Valkey, 8, _) => Some(11),
            (Engine::Redis, 7, 4) | (Engine::Redis, 8, 0..=2) => Some(12),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let parse = |text| Version::parse(text).unwrap();
        assert!(parse("7.0.9") < parse("7.0.15"));
        assert!(parse("7.0.15").is_same_line(parse("7.0.2")));
        assert!(!parse("7.2.0").is_same_line(parse("7.0.2")));
        assert_eq!(parse("8.1").to_string(), "8.1.0");
        for text in ["", "7", "x.1.2", "7.0.15-rc1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn releases_share_a_format_or_not() {
        let format = |engine, text| Version::parse(text).unwrap().rdb_format(engine);
        assert_eq!(
            format(Engine::Redis, "6.2.5"),
            format(Engine::Redis, "5.0.0")
        );
        assert_eq!(
            format(Engine::Redis, "7.2.0"),
            format(Engine::Valkey, "8.1.0")
        );
        assert_eq!(format(Engine::Redis, "9.0.0"), None);
    }
}
