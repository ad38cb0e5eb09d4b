//! What users may do who act in a failover, as `ACL DRYRUN` says, which runs nothing.

use std::collections::BTreeSet;

use super::OPERATOR;
use super::reply::{command, gap, text};
use super::server::Question;
use crate::client::{Command, Connection, MAX_REPLY, ReplyShape, Value};
use crate::doctor::{FAILOVER_RIGHTS, Gap, OperatorRights, SentinelUsers, ServerFacts};
use crate::info::{Engine, Field};
use crate::model::{Bytes, PollError};

/// The first major version of Redis that has ACL DRYRUN.
const DRYRUN_SINCE: u32 = 7;

/// The longest answer of ACL DRYRUN: a sentence for each command.
const SENTENCES: Bytes = Bytes::new(64 * 1024);

/// The most users of Sentinels that are tried.
const MOST_USERS: usize = 16;

impl Question {
    /// What the user of failovers may do, where the server has it.
    pub(super) async fn operator(
        &self,
        connection: &mut Connection,
        facts: &ServerFacts,
    ) -> Result<OperatorRights, Gap> {
        let user = self.operator_user.as_deref().unwrap_or(OPERATOR);
        let users = facts.users.as_ref().map_err(Clone::clone)?;
        let mut rights = OperatorRights {
            user: user.to_owned(),
            is_configured: self.operator_user.is_some(),
            missing: None,
        };
        if !users.has(user) {
            return Ok(rights);
        }
        if facts.redis_version()?.major < DRYRUN_SINCE {
            return Err(Gap::because(format!(
                "what its user {user} may do cannot be tried: ACL DRYRUN is there from 7.0 on"
            )));
        }
        let commands = FAILOVER_RIGHTS.map(|(_, words)| words);
        let permitted = self.may(connection, user, &commands).await?;
        let rules = FAILOVER_RIGHTS.iter().zip(permitted);
        let missing = rules.filter(|(_, is_permitted)| !is_permitted);
        rights.missing = Some(missing.map(|((rule, _), _)| *rule).collect());
        Ok(rights)
    }

    /// Whether the users of the Sentinels that are connected may call FAILOVER.
    pub(super) async fn sentinel_users(
        &self,
        connection: &mut Connection,
        facts: &ServerFacts,
    ) -> Result<SentinelUsers, Gap> {
        let server = &facts.observation.server;
        let is_new = match &server.version {
            Field::Value(version) => is_from_9(version),
            _ => false,
        };
        if !self.has_sentinels || server.engine != Engine::Valkey || !is_new {
            return Err(Gap::NotApplicable);
        }
        let list = command("CLIENT", &["LIST"]);
        let reply = self
            .request(connection, &list, ReplyShape::Scalar, MAX_REPLY)
            .await;
        let reply = reply.map_err(|reason| gap("CLIENT LIST", "+client|list", reason))?;
        let Some(lines) = text(reply) else {
            return Err(Gap::because("the answer to CLIENT LIST is not understood"));
        };
        let mut found = SentinelUsers::new();
        for user in users_of_sentinels(&lines) {
            let may = self.may(connection, user, &[&["FAILOVER"]]).await?;
            found.insert(user.to_owned(), may == [true]);
        }
        Ok(found)
    }

    /// Whether `user` may call each of the commands of these words, in one round trip.
    async fn may(
        &self,
        connection: &mut Connection,
        user: &str,
        commands: &[&[&str]],
    ) -> Result<Vec<bool>, Gap> {
        let mut dry_runs = Vec::with_capacity(commands.len());
        for words in commands {
            let mut dry_run: Command = command("ACL", &["DRYRUN", user]);
            dry_run.arg(words);
            dry_runs.push(dry_run);
        }
        let request = connection.request_all(&dry_runs, ReplyShape::Scalar, SENTENCES);
        let replies = match tokio::time::timeout(self.timeout.to_duration(), request).await {
            Ok(Ok(replies)) => replies,
            Ok(Err(reason)) => return Err(dryrun_gap(reason)),
            Err(_) => return Err(dryrun_gap(PollError::Timeout)),
        };
        replies.into_iter().map(is_permitted).collect()
    }
}

/// What ACL DRYRUN says of one command. What is denied is a sentence, and no error.
fn is_permitted(reply: Value) -> Result<bool, Gap> {
    match reply.extract_error() {
        Ok(Value::Okay) => Ok(true),
        Ok(reply) => match text(reply) {
            Some(text) => Ok(text == "OK"),
            None => Err(dryrun_unclear()),
        },
        Err(error) if error.code() == Some("NOPERM") => Err(dryrun_gap(PollError::Denied)),
        // "Command 'x' not found": A13 says so where that matters.
        Err(error)
            if error
                .detail()
                .is_some_and(|text| text.starts_with("Command ")) =>
        {
            Ok(true)
        }
        // Such as a user that is gone since it was listed.
        Err(_) => Err(dryrun_unclear()),
    }
}

fn dryrun_unclear() -> Gap {
    Gap::because("the answer to ACL DRYRUN is not understood")
}

fn dryrun_gap(reason: PollError) -> Gap {
    gap("ACL DRYRUN", "+acl|dryrun", reason)
}

/// Whether `version` of Valkey is 9.0 or later.
fn is_from_9(version: &str) -> bool {
    let major = version.split('.').next().and_then(|word| word.parse().ok());
    major.is_some_and(|major: u32| major >= 9)
}

/// The users in an answer of CLIENT LIST that are those of Sentinels.
fn users_of_sentinels(lines: &str) -> Vec<&str> {
    let users: BTreeSet<&str> = lines.lines().filter_map(sentinel_user).collect();
    users.into_iter().take(MOST_USERS).collect()
}

/// The user of a line of CLIENT LIST, where it is a Sentinel's connection for commands: Sentinels
/// name it `sentinel-ID-cmd` (`sentinelSetClientName`, sentinel.c).
fn sentinel_user(line: &str) -> Option<&str> {
    let word = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
    let name = word("name=")?;
    if name.starts_with("sentinel-") && name.ends_with("-cmd") {
        return word("user=");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_not_permitted() {
        assert_eq!(is_permitted(Value::Okay), Ok(true));
        let denied = "User x has no permissions to run the 'failover' command";
        let denied = Value::SimpleString(denied.to_owned());
        assert_eq!(is_permitted(denied), Ok(false));
        assert!(is_permitted(Value::Nil).is_err());
    }

    #[test]
    fn the_user_of_a_sentinel_is_in_its_line() {
        let line = "id=3 addr=1.2.3.4:5 name=sentinel-ab12-cmd age=3 user=watcher lib-name=";
        assert_eq!(sentinel_user(line), Some("watcher"));
        assert_eq!(sentinel_user(&line.replace("-cmd", "-pubsub")), None);
        assert_eq!(sentinel_user("id=3 name= user=default"), None);
    }

    #[test]
    fn the_users_of_sentinels_are_bounded() {
        let line = |user: usize| format!("name=sentinel-a-cmd user=u{user}\n");
        let twice = line(1) + &line(1) + "name= user=x\n";
        assert_eq!(users_of_sentinels(&twice), ["u1"]);
        let many: String = (0..100).map(line).collect();
        assert_eq!(users_of_sentinels(&many).len(), MOST_USERS);
    }

    #[test]
    fn versions_are_compared_by_their_major_number() {
        assert!(is_from_9("9.0.0") && is_from_9("10.1"));
        assert!(!is_from_9("8.1.9") && !is_from_9(""));
    }
}
