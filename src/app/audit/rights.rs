//! What users may do who act in a failover, as `ACL DRYRUN` says, which runs nothing.

use std::collections::BTreeSet;

use super::reply::{command, gap, text};
use super::server::Question;
use crate::client::{Command, Connection, MAX_REPLY, ReplyShape, Value};
use crate::doctor::{FAILOVER_RIGHTS, Gap, OperatorRights, SentinelUsers, ServerFacts};
use crate::info::{Engine, Field};
use crate::model::{Bytes, PollError};

/// The first major version of Redis that has ACL DRYRUN.
const DRYRUN_SINCE: u32 = 7;

/// The longest answer of ACL DRYRUN: a sentence.
const SENTENCE: Bytes = Bytes::new(64 * 1024);

/// The most users of Sentinels that are tried.
const MOST_USERS: usize = 16;

impl Question {
    /// What the user of failovers may do, where the server has it.
    pub(super) async fn operator(
        &self,
        connection: &mut Connection,
        facts: &ServerFacts,
        user: &str,
    ) -> Result<OperatorRights, Gap> {
        let users = facts.users.as_ref().map_err(Clone::clone)?;
        let mut rights = OperatorRights {
            user: user.to_owned(),
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
        let mut missing = Vec::new();
        for (rule, words) in FAILOVER_RIGHTS {
            if !self.may(connection, user, words).await? {
                missing.push(rule);
            }
        }
        rights.missing = Some(missing);
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
        let lines = text(reply).unwrap_or_default();
        let users: BTreeSet<&str> = lines.lines().filter_map(sentinel_user).collect();
        let mut found = SentinelUsers::new();
        for user in users.into_iter().take(MOST_USERS) {
            let may = self.may(connection, user, &["FAILOVER"]).await?;
            found.insert(user.to_owned(), may);
        }
        Ok(found)
    }

    /// Whether `user` may call the command of these words.
    async fn may(
        &self,
        connection: &mut Connection,
        user: &str,
        words: &[&str],
    ) -> Result<bool, Gap> {
        let mut dry_run: Command = command("ACL", &["DRYRUN", user]);
        dry_run.arg(words);
        let reply = self
            .request(connection, &dry_run, ReplyShape::Scalar, SENTENCE)
            .await;
        match reply {
            // What is denied is a sentence, and no error.
            Ok(Value::Okay) => Ok(true),
            Ok(reply) => Ok(text(reply).is_some_and(|text| text == "OK")),
            // A command that the server does not have; A13 says so where that matters.
            Err(PollError::Protocol) => Ok(true),
            Err(reason) => Err(gap("ACL DRYRUN", "+acl|dryrun", reason)),
        }
    }
}

/// Whether `version` of Valkey is 9.0 or later.
fn is_from_9(version: &str) -> bool {
    let major = version.split('.').next().and_then(|word| word.parse().ok());
    major.is_some_and(|major: u32| major >= 9)
}

/// The user of a line of CLIENT LIST, where it is a Sentinel's connection for commands: Sentinels name
/// it `sentinel-ID-cmd` (`sentinelSetClientName`, sentinel.c).
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
    fn the_user_of_a_sentinel_is_in_its_line() {
        let line = "id=3 addr=1.2.3.4:5 name=sentinel-ab12-cmd age=3 user=watcher lib-name=";
        assert_eq!(sentinel_user(line), Some("watcher"));
        assert_eq!(sentinel_user(&line.replace("-cmd", "-pubsub")), None);
        assert_eq!(sentinel_user("id=3 name= user=default"), None);
    }

    #[test]
    fn versions_are_compared_by_their_major_number() {
        assert!(is_from_9("9.0.0") && is_from_9("10.1"));
        assert!(!is_from_9("8.1.9") && !is_from_9(""));
    }
}
