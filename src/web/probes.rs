//! The paths that supervisors and load balancers ask for.

/// Whether the process works.
pub(super) const HEALTHY: &str = "/-/healthy";

/// Whether what it shows is complete.
pub(super) const READY: &str = "/-/ready";

/// Whether `path` is one of them.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, HEALTHY | READY)
}
