//! File descriptors: raises the limit, and reserves half of them for connections to servers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::web::Limits;

/// Raises the soft limit on open files to the hard one, as Go programs do: many systems start
/// processes with room for 1024 and leave it to them to ask for more.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        debug!(%error, "the limit on open files stays as it is");
    }
}

/// The limits of the web server on this machine.
pub(super) fn web_limits() -> Limits {
    within(Limits::default(), getrlimit(Resource::Nofile).current)
}

/// `limits` with at most half of `files` for the web server's clients: their connections must leave
/// descriptors for those to Redis servers.
fn within(limits: Limits, files: Option<u64>) -> Limits {
    let half = match files {
        Some(files) => usize::try_from(files / 2).unwrap_or(usize::MAX).max(1),
        None => usize::MAX,
    };
    if half < limits.connections {
        warn!(
            connections = half,
            "few files may be open (ulimit -n): taking fewer HTTP connections at once"
        );
    }
    Limits {
        connections: limits.connections.min(half),
        ..limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_reserved_for_redis_servers() {
        let most = Limits::default().connections;
        let cases = [
            (Some(65_536), most),
            (Some(1024), 512),
            (Some(1), 1),
            (None, most),
        ];
        for (files, expected) in cases {
            assert_eq!(
                within(Limits::default(), files).connections,
                expected,
                "{files:?}"
            );
        }
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
