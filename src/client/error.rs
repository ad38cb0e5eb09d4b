//! Maps the `redis` crate's errors to the closed set of reasons: by kind and code, and by text only
//! where Redis has no code.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::model::PollError;

/// The beginning of the one error without a specific code (`rejectedConnection`, networking.c).
/// Redis Cluster nodes write `max number of clients + cluster connections reached`.
const MAX_CLIENTS: &str = "max number of clients";

/// How the error begins that has the code of every other one: the command was renamed
/// (`rename-command`), or a managed service or a proxy blocks it. Redis 5 and later, Envoy.
const UNKNOWN_COMMANDS: [&str; 2] = ["unknown command", "unsupported command"];

/// The code with which a server refused a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `WRONGPASS`: the password is wrong, or there is no such user.
    WrongPassword,
    /// `NOAUTH`: a login is required.
    NoLogin,
    /// `NOPERM`: the user may not call the command.
    NoPermission,
    /// `DENIED`: protected mode.
    ProtectedMode,
    /// `ERR unknown command 'INFO'`.
    UnknownInfo,
    /// `ERR`, as an answer to AUTH: older servers, and those without a password.
    Other,
}

impl Refusal {
    /// The refusal in `error`; `None` when it does not come from the server.
    pub(super) fn from_error(error: &RedisError) -> Option<Self> {
        match error.code()? {
            "WRONGPASS" => Some(Self::WrongPassword),
            "NOAUTH" => Some(Self::NoLogin),
            "NOPERM" => Some(Self::NoPermission),
            "DENIED" => Some(Self::ProtectedMode),
            _ if is_about_unknown_info(error) => Some(Self::UnknownInfo),
            _ => Some(Self::Other),
        }
    }

    /// What the server did to `user` (`user monitor`, `the default user`), as a continuation of the
    /// server's name.
    pub(super) fn detail(self, user: &str, logged_in: bool) -> String {
        match self {
            Self::WrongPassword => format!(
                "refused the login of {user} (WRONGPASS): check redis.username and redis.password"
            ),
            Self::NoLogin if !logged_in => {
                "requires a login (NOAUTH): set redis.username and redis.password".to_owned()
            }
            Self::NoLogin => {
                format!("no longer accepts the login of {user} (NOAUTH): check redis.password")
            }
            Self::NoPermission => {
                format!("does not let {user} call INFO (NOPERM): give it the ACL rule +info")
            }
            Self::ProtectedMode => {
                "is in protected mode (DENIED): it accepts only clients of its own machine until \
                 it has a password or protected-mode is off"
                    .to_owned()
            }
            Self::UnknownInfo => {
                "does not know INFO, without which nothing can be observed: the command was renamed, or the service or a \
                 proxy in between blocks it"
                    .to_owned()
            }
            Self::Other => {
                format!("refused the login of {user}: check redis.username and redis.password")
            }
        }
    }
}

/// Why the server answered a request with an error.
pub(super) fn reason_of(error: &RedisError) -> PollError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::BusyLoading) => PollError::Loading,
        ErrorKind::Server(ServerErrorKind::NoPerm) => PollError::Denied,
        ErrorKind::Server(_) if is_about_clients(error) => PollError::MaxClients,
        ErrorKind::Server(_) if is_about_unknown_info(error) => PollError::Denied,
        ErrorKind::AuthenticationFailed => PollError::Auth,
        ErrorKind::Extension => reason_of_code(error.code()),
        ErrorKind::Io => PollError::Reset,
        _ => PollError::Protocol,
    }
}

/// Why AUTH failed. An error reply without a more specific reason is about the credentials: Redis 5
/// answers `ERR invalid password`, a server without a password `ERR AUTH <password> called without
/// any password configured`.
pub(super) fn reason_of_login(error: &RedisError) -> PollError {
    let reason = reason_of(error);
    if reason == PollError::Protocol && matches!(error.kind(), ErrorKind::Server(_)) {
        return PollError::Auth;
    }
    reason
}

/// Whether the server refused the request as unknown, because it is older than its version claims,
/// or another program.
pub(super) fn is_plain_error(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) && !is_about_clients(error)
}

/// Whether the server says that it does not know INFO. Another command that it does not know is
/// another program's: SENTINEL of an ordinary server.
fn is_about_unknown_info(error: &RedisError) -> bool {
    let text = error.detail().unwrap_or_default().to_ascii_lowercase();
    let is_unknown = UNKNOWN_COMMANDS.iter().any(|start| text.starts_with(start));
    is_unknown && text.contains("info")
}

fn is_about_clients(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|text| text.starts_with(MAX_CLIENTS))
}

fn reason_of_code(code: Option<&str>) -> PollError {
    match code {
        Some("NOAUTH" | "WRONGPASS") => PollError::Auth,
        Some("BUSY") => PollError::Busy,
        // Protected mode: only clients on the server's own machine are accepted.
        Some("DENIED") => PollError::Denied,
        _ => PollError::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reply: &str) -> RedisError {
        redis::parse_redis_value(format!("-{reply}\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err()
    }

    fn check(reply: &str, expected: PollError) {
        assert_eq!(reason_of(&error(reply)), expected, "{reply}");
    }

    #[test]
    fn every_error_reply_has_its_reason() {
        check(
            "LOADING Redis is loading the dataset in memory",
            PollError::Loading,
        );
        check(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
            PollError::Busy,
        );
        check(
            "NOPERM User monitor has no permissions to run the 'info' command",
            PollError::Denied,
        );
        check(
            "DENIED Redis is running in protected mode because ...",
            PollError::Denied,
        );
        check("NOAUTH Authentication required.", PollError::Auth);
        check(
            "WRONGPASS invalid username-password pair or user is disabled.",
            PollError::Auth,
        );
        check("ERR max number of clients reached", PollError::MaxClients);
        check(
            "ERR max number of clients + cluster connections reached",
            PollError::MaxClients,
        );
        check("ERR unknown command 'INFO'", PollError::Denied);
        check("ERR Unsupported command: info", PollError::Denied);
        check("ERR unknown command 'SENTINEL'", PollError::Protocol);
        check("ERR unknown", PollError::Protocol);
        check("MASTERDOWN Link with MASTER is down", PollError::Protocol);
        check("WHATEVER", PollError::Protocol);
    }

    #[test]
    fn an_error_reply_to_auth_is_about_the_credentials() {
        let cases = [
            ("ERR invalid password", PollError::Auth),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                PollError::Auth,
            ),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                PollError::Auth,
            ),
            ("ERR max number of clients reached", PollError::MaxClients),
            (
                "LOADING Redis is loading the dataset in memory",
                PollError::Loading,
            ),
        ];
        for (reply, expected) in cases {
            assert_eq!(reason_of_login(&error(reply)), expected, "{reply}");
        }
    }

    #[test]
    fn a_refusal_names_the_user_and_the_code() {
        let detail = |reply, user, logged_in| {
            Refusal::from_error(&error(reply)).map(|refusal| refusal.detail(user, logged_in))
        };
        assert_eq!(
            detail(
                "WRONGPASS invalid username-password pair",
                "user monitor",
                true
            )
            .as_deref(),
            Some(
                "refused the login of user monitor (WRONGPASS): check redis.username and \
                 redis.password"
            )
        );
        assert_eq!(
            detail("NOAUTH Authentication required.", "the default user", false).as_deref(),
            Some("requires a login (NOAUTH): set redis.username and redis.password")
        );
        assert_eq!(
            detail("NOPERM this user has no permissions", "user monitor", true).as_deref(),
            Some("does not let user monitor call INFO (NOPERM): give it the ACL rule +info")
        );
        assert_eq!(
            detail("ERR invalid password", "the default user", true).as_deref(),
            Some("refused the login of the default user: check redis.username and redis.password")
        );
    }

    #[test]
    fn only_a_plain_error_means_that_a_request_is_unknown() {
        assert!(is_plain_error(&error("ERR syntax error")));
        assert!(!is_plain_error(&error("ERR max number of clients reached")));
        assert!(!is_plain_error(&error(
            "LOADING Redis is loading the dataset in memory"
        )));
    }
}
