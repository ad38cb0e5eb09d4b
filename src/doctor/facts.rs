//! What was collected of one server, and why a fact is missing.

use std::collections::BTreeMap;

use super::acl::AclUsers;
use super::commands::KnownCommands;
use super::directive::{Directive, NOT_SET, SET};
use super::rights::{OperatorRights, SentinelUsers};
use super::version::Version;
use super::writes::WriteRate;
use crate::info::{Field, Observation, OutputBufferLimit, Role, ServerDetails};
use crate::model::{Datacenter, ServerAddr, Span, Timestamp, WallTime};

/// Why a check has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The check has no object here: the server's version does not have what it looks at.
    NotApplicable,
    /// Why the fact is not known, as a sentence without a full stop.
    NotChecked(String),
}

impl Gap {
    /// A fact that is not known because of `why`.
    pub fn because(why: impl Into<String>) -> Self {
        Self::NotChecked(why.into())
    }
}

/// What a server answered when it was asked for one directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Its value; of a secret only whether there is one.
    Known(String),
    /// The user may not ask.
    Denied,
    /// The server does not know the directive.
    Absent,
    /// Why there is no answer, as a sentence without a full stop.
    Failed(String),
}

impl Setting {
    /// The value of `directive`. A secret is dropped here; what stays is whether there is one.
    pub fn known(directive: Directive, value: String) -> Self {
        if !directive.is_secret() {
            return Self::Known(value);
        }
        let word = if value.is_empty() { NOT_SET } else { SET };
        Self::Known(word.to_owned())
    }
}

/// The server's wall clock, and between which instants of the monitor's clock it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// What the server's TIME returned.
    pub wall: WallTime,
    /// Just before it was asked.
    pub sent: Timestamp,
    /// Just after it had answered.
    pub received: Timestamp,
}

/// What was collected of one server. Holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFacts {
    /// INFO, as polls read it.
    pub observation: Observation,
    /// INFO, what only an audit reads.
    pub details: ServerDetails,
    /// What CONFIG GET returned.
    pub settings: BTreeMap<Directive, Setting>,
    /// What ACL LIST returned.
    pub users: Result<AclUsers, Gap>,
    /// What TIME returned.
    pub clock: Result<ClockReading, Gap>,
    /// How fast it writes; only a master is measured.
    pub write_rate: Result<WriteRate, Gap>,
    /// Which commands it knows.
    pub commands: Result<KnownCommands, Gap>,
    /// Which of the directives that somebody asks for it has. No value is kept.
    pub asked_for: BTreeMap<String, Setting>,
    /// What the user of failovers may do.
    pub operator: Result<OperatorRights, Gap>,
    /// What the users of Sentinels may do.
    pub sentinel_users: Result<SentinelUsers, Gap>,
    /// The shortest time in which it answered.
    pub round_trip: Option<Span>,
    /// Whether this program logged in: without a login the server asks for no password.
    pub logged_in: bool,
}

/// One server, asked or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerAudit {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// What was collected, or why nothing was, as a sentence without a full stop.
    pub facts: Result<ServerFacts, String>,
}

impl ServerAudit {
    /// Its facts.
    ///
    /// # Errors
    /// The gap that the server's silence is.
    pub fn facts(&self) -> Result<&ServerFacts, Gap> {
        match &self.facts {
            Ok(facts) => Ok(facts),
            Err(why) => Err(Gap::because(format!(
                "{} could not be asked: {why}",
                self.addr
            ))),
        }
    }

    /// Its role, where it is known.
    pub fn role(&self) -> Option<Role> {
        let facts = self.facts.as_ref().ok()?;
        facts.observation.replication.role.value()
    }
}

impl ServerFacts {
    /// The value of `directive`.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn setting(&self, directive: Directive) -> Result<&str, Gap> {
        let name = directive.label();
        match self.settings.get(&directive) {
            Some(Setting::Known(value)) => Ok(value),
            Some(Setting::Denied) => Err(Gap::because(
                "CONFIG GET is not permitted: give the user +config|get",
            )),
            Some(Setting::Failed(why)) => Err(Gap::because(format!("CONFIG GET failed: {why}"))),
            Some(Setting::Absent) if self.lacks(directive) => Err(Gap::NotApplicable),
            Some(Setting::Absent) | None => {
                Err(Gap::because(format!("the server does not report {name}")))
            }
        }
    }

    /// Whether the server cannot have `directive`.
    fn lacks(&self, directive: Directive) -> bool {
        let is_older = self
            .redis_version()
            .is_ok_and(|version| (version.major, version.minor) < directive.since());
        is_older || directive.is_optional()
    }

    /// The number that `directive` is set to.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn number(&self, directive: Directive) -> Result<u64, Gap> {
        let value = self.setting(directive)?;
        value.parse().map_err(|_| unreadable(directive.label()))
    }

    /// Whether `directive` is `yes`.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn is_on(&self, directive: Directive) -> Result<bool, Gap> {
        match self.setting(directive)? {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(unreadable(directive.label())),
        }
    }

    /// Like [`Self::is_on`]; false where the server cannot have the directive.
    ///
    /// # Errors
    /// As of [`Self::is_on`].
    pub fn is_on_or_lacking(&self, directive: Directive) -> Result<bool, Gap> {
        match self.is_on(directive) {
            Err(Gap::NotApplicable) => Ok(false),
            known => known,
        }
    }

    /// Whether the secret of `directive` is set.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn has_secret(&self, directive: Directive) -> Result<bool, Gap> {
        Ok(self.setting(directive)? == SET)
    }

    /// The limit on the output buffers of replicas.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn output_buffer_limit(&self) -> Result<OutputBufferLimit, Gap> {
        let directive = Directive::ClientOutputBufferLimit;
        let value = self.setting(directive)?;
        OutputBufferLimit::parse(value).ok_or_else(|| unreadable(directive.label()))
    }

    /// The Redis version that it is compatible with.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn redis_version(&self) -> Result<Version, Gap> {
        let text = reported(&self.details.redis_version, "redis_version")?;
        Version::parse(text).ok_or_else(|| unreadable("redis_version"))
    }

    /// Whether a new RDB file is saved from time to time.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn saves(&self) -> Result<bool, Gap> {
        Ok(!self.setting(Directive::Save)?.is_empty())
    }

    /// Whether it keeps an append-only file.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn has_aof(&self) -> Result<bool, Gap> {
        let aof = &self.observation.persistence.aof_enabled;
        reported(aof, "aof_enabled").copied()
    }

    /// Where the server's own file is; `None` where it was started without one.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn config_file(&self) -> Result<Option<&str>, Gap> {
        optional(&self.details.config_file, "config_file").map(|path| path.map(String::as_str))
    }
}

/// The value of a field of INFO, called `name`.
///
/// # Errors
/// That the server does not report it, or not in a form that is understood.
pub(super) fn reported<'a, T>(field: &'a Field<T>, name: &str) -> Result<&'a T, Gap> {
    match optional(field, name)? {
        Some(value) => Ok(value),
        None => Err(Gap::because(format!("the server has no {name}"))),
    }
}

/// Like [`reported`], for a field that may say that there is no value.
///
/// # Errors
/// As of [`reported`].
pub(super) fn optional<'a, T>(field: &'a Field<T>, name: &str) -> Result<Option<&'a T>, Gap> {
    match field {
        Field::Value(value) => Ok(Some(value)),
        Field::None => Ok(None),
        Field::Missing => Err(Gap::because(format!("INFO does not have {name}"))),
        Field::Malformed => Err(unreadable(name)),
    }
}

fn unreadable(name: &str) -> Gap {
    Gap::because(format!("the value of {name} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;

    #[test]
    fn a_secret_is_reduced_to_whether_it_is_set() {
        let secret = |text: &str| Setting::known(Directive::Masterauth, text.to_owned());
        assert_eq!(secret("hunter2"), Setting::Known("set".to_owned()));
        assert_eq!(secret(""), Setting::Known("not set".to_owned()));
        let open = Setting::known(Directive::Save, "60 1".to_owned());
        assert_eq!(open, Setting::Known("60 1".to_owned()));
    }

    #[test]
    fn a_directive_that_the_version_lacks_is_no_gap_in_the_audit() {
        let mut facts = facts();
        let directive = Directive::AofTimestampEnabled;
        facts.settings.insert(directive, Setting::Absent);
        assert!(matches!(facts.setting(directive), Err(Gap::NotChecked(_)),));
        facts.details.redis_version = Field::Value("6.2.5".to_owned());
        assert_eq!(facts.setting(directive), Err(Gap::NotApplicable));
        facts.settings.insert(directive, Setting::Denied);
        assert_eq!(
            facts.setting(directive),
            Err(Gap::because(
                "CONFIG GET is not permitted: give the user +config|get"
            ))
        );
    }
}
