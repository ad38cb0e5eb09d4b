//! What a person has decided beforehand: each flag overrides one refusal, and is recorded.

use super::refusal::{Refusal, RefusalName};
use super::unshared::UNKNOWN_BYTES;
use crate::model::DoctorCheck;

/// How much of what only the returning server has is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Exactly this many bytes.
    Bytes(u64),
    /// However much it is, because nobody can know.
    Unknown,
}

/// The flags.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--accept-unknown-loss`.
    pub unknown_loss: bool,
    /// `--accept-single-view`.
    pub single_view: bool,
    /// `--accept-behind`.
    pub behind: bool,
    /// `--accept-version`.
    pub version: bool,
    /// `--again`.
    pub again: bool,
    /// `--unfenced`.
    pub unfenced: bool,
    /// `--sentinels-are-stopped`.
    pub sentinels_stopped: bool,
    /// `--old-master-is-fenced TEXT`: how it was fenced.
    pub old_master_fenced: Option<String>,
    /// `--accept TRAP`.
    pub traps: Vec<DoctorCheck>,
    /// `--discard BYTES`.
    pub discard: Option<Discard>,
}

impl Discard {
    /// What a journal keeps of it.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unknown => UNKNOWN_BYTES,
        }
    }
}

impl Overrides {
    /// Why `refusal` does not count, in words for the record; `None` where it does. `trap` is the
    /// check of a promotion trap.
    pub fn allow(&self, refusal: &Refusal, trap: Option<DoctorCheck>) -> Option<String> {
        let is_allowed = match refusal.name {
            RefusalName::UnknownLag => self.unknown_loss,
            RefusalName::NoProof => self.single_view,
            RefusalName::AnotherIsAhead => self.behind,
            RefusalName::VersionSkew => self.version,
            RefusalName::TooSoon => self.again,
            RefusalName::FenceUnavailable => self.unfenced,
            RefusalName::SentinelWouldUndo => self.sentinels_stopped,
            RefusalName::MasterAlive => self.old_master_fenced.is_some(),
            RefusalName::PromotionTrap => trap.is_some_and(|check| self.traps.contains(&check)),
            _ => false,
        };
        if !is_allowed || refusal.flag.is_none() {
            return None;
        }
        let name = refusal.name;
        let evidence = &refusal.evidence;
        match (&self.old_master_fenced, name) {
            (Some(how), RefusalName::MasterAlive) => {
                Some(format!("{name}: {evidence}; fenced, as stated: {how}"))
            }
            _ => Some(format!("{name}: {evidence}")),
        }
    }
}
