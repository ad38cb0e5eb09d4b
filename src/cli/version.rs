//! What `--version` prints: which commit this is, when it was made and what it was built for.

/// As Prometheus' programs print it, from its second line on.
pub(super) const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\n  revision:  ",
    env!("BUILD_REVISION"),
    "\n  date:      ",
    env!("BUILD_DATE"),
    "\n  target:    ",
    env!("BUILD_TARGET"),
    "\n  rustc:     ",
    env!("RUSTC_VERSION"),
);
