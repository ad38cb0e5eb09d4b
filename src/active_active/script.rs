//! The scripts that run on the servers. Each does one thing atomically, on one key or on the queue.

use std::fmt;

/// A script. Its text is constant, so that its hash is, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// Writes an envelope unless the stored one is the same or newer.
    Apply,
    /// Writes a new version and queues it.
    Set,
    /// Takes what was worked off from the queue.
    Acknowledge,
    /// Counts.
    Increment,
    /// Raises the fields of a counter.
    Merge,
}

impl Script {
    /// Every script.
    pub const ALL: [Self; 5] = [
        Self::Apply,
        Self::Set,
        Self::Acknowledge,
        Self::Increment,
        Self::Merge,
    ];

    /// Its text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Apply => concat!(
                include_str!("scripts/version.lua"),
                include_str!("scripts/apply.lua")
            ),
            Self::Set => concat!(
                include_str!("scripts/version.lua"),
                include_str!("scripts/set.lua")
            ),
            Self::Acknowledge => include_str!("scripts/acknowledge.lua"),
            Self::Increment => include_str!("scripts/increment.lua"),
            Self::Merge => include_str!("scripts/merge.lua"),
        }
    }

    /// The SHA-1 hash of its text, by which servers know it; a test of the room `multi_site`
    /// computes it again.
    pub const fn hash(self) -> &'static str {
        match self {
            Self::Apply => "821f2867f51dff9d478390629f476c575792ff95",
            Self::Set => "fe97ae7b762529ddd06ada3ca85bc555044cbb81",
            Self::Acknowledge => "dc7aff5728aa59a32a3e092645a227dc656c7e59",
            Self::Increment => "286e538e4d7c705f2854ac1d895ed825f75a2540",
            Self::Merge => "b85a629b81f845f16fbc2021261f83bf89e600e0",
        }
    }
}

/// A call of a script.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptCall {
    /// The script.
    pub script: Script,
    /// `KEYS`.
    pub keys: Vec<Vec<u8>>,
    /// `ARGV`.
    pub arguments: Vec<Vec<u8>>,
}

impl fmt::Debug for ScriptCall {
    /// Without the contents, which are the users' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptCall")
            .field("script", &self.script)
            .field("keys", &self.keys.len())
            .field("arguments", &self.arguments.len())
            .finish()
    }
}

impl ScriptCall {
    /// The words of the call.
    pub fn words(&self, form: ScriptForm) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = match form {
            ScriptForm::Hash => {
                vec![b"EVALSHA".to_vec(), self.script.hash().as_bytes().to_vec()]
            }
            ScriptForm::Text => vec![b"EVAL".to_vec(), self.script.text().as_bytes().to_vec()],
        };
        words.push(self.keys.len().to_string().into_bytes());
        words.extend(self.keys.iter().cloned());
        words.extend(self.arguments.iter().cloned());
        words
    }
}

/// How a script is named in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptForm {
    /// By its hash, with EVALSHA: the server has to have seen its text.
    Hash,
    /// By its text, with EVAL: the server remembers it.
    Text,
}
