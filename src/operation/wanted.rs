//! Which failover is asked for.

use super::intent::OperationKind;
use super::token::Token;

/// Which failover is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A healthy master and its replica change places.
    SwitchOver,
    /// The master is lost.
    Disaster,
    /// The first half of a switch-over, at the old master's site.
    HandOver,
    /// The second half, at the new master's site.
    TakeOver(Token),
}

impl Wanted {
    /// The kind of operation that it is.
    pub const fn kind(&self) -> OperationKind {
        match self {
            Self::SwitchOver => OperationKind::SwitchOver,
            Self::Disaster => OperationKind::Disaster,
            Self::HandOver => OperationKind::HandOver,
            Self::TakeOver(_) => OperationKind::TakeOver,
        }
    }

    /// What the target has to have; of a take-over only.
    pub const fn token(&self) -> Option<&Token> {
        match self {
            Self::TakeOver(token) => Some(token),
            Self::SwitchOver | Self::Disaster | Self::HandOver => None,
        }
    }
}
