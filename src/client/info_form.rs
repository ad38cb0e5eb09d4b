//! The two forms of requesting several sections of INFO, and which of them a server understands.

use std::sync::LazyLock;

use redis::{Cmd, Value};

use super::error;

/// The sections that are read: who answers, replication, resync counters, loading, how many keys.
pub(super) const SECTIONS: [&str; 5] =
    ["server", "replication", "stats", "persistence", "keyspace"];

/// The first major version whose INFO takes several sections in one call; before it that is a
/// syntax error.
const SECTIONS_IN_ONE_CALL_SINCE: u32 = 7;

/// Which form of INFO a server understands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum InfoForm {
    /// Not known yet: use the form that every version takes, and learn from the reply.
    Unknown,
    /// One call, one reply.
    OneCall,
    /// A call for each section, written and executed back to back.
    CallEach,
}

impl InfoForm {
    /// The form to use after a server answered a call for each section with `text`. A server that
    /// refused the one call once does not get it again.
    pub(super) fn learn(self, text: &str) -> Self {
        if self != Self::Unknown {
            return Self::CallEach;
        }
        match major_version(text) {
            Some(major) if major >= SECTIONS_IN_ONE_CALL_SINCE => Self::OneCall,
            Some(_) => Self::CallEach,
            None => Self::Unknown,
        }
    }
}

/// The request of all sections in one call, as it is sent.
pub(super) static ONE_CALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut info = redis::cmd("INFO");
    info.arg(&SECTIONS);
    info.get_packed_command()
});

/// A call for each section.
pub(super) fn call_each() -> [Cmd; SECTIONS.len()] {
    SECTIONS.map(|section| {
        let mut info = redis::cmd("INFO");
        info.arg(section);
        info
    })
}

/// Whether the server refused the request as unknown with `reply`.
pub(super) fn is_unknown_request(reply: &Value) -> bool {
    match reply {
        Value::ServerError(error) => error::is_plain_error(&error.clone().into()),
        _ => false,
    }
}

/// The major version that an INFO text claims. Valkey claims the Redis version that it is
/// compatible with, which is what matters here.
fn major_version(text: &str) -> Option<u32> {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_text() {
        assert_eq!(
            major_version("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\n"),
            Some(7)
        );
        assert_eq!(major_version("redis_version:10.0\n"), Some(10));
        assert_eq!(major_version("redis_version:x\n"), None);
        assert_eq!(major_version(""), None);
    }

    #[test]
    fn the_form_is_learnt_from_the_version_and_never_again_from_one_that_refused_it() {
        let learn =
            |form: InfoForm, version: &str| form.learn(&format!("redis_version:{version}\r\n"));
        assert_eq!(learn(InfoForm::Unknown, "7.0.15"), InfoForm::OneCall);
        assert_eq!(learn(InfoForm::Unknown, "6.2.5"), InfoForm::CallEach);
        assert_eq!(learn(InfoForm::Unknown, "x"), InfoForm::Unknown);
        assert_eq!(learn(InfoForm::OneCall, "7.0.15"), InfoForm::CallEach);
        assert_eq!(learn(InfoForm::CallEach, "7.0.15"), InfoForm::CallEach);
    }
}
