//! Which changes of the outbox are on the disk.

/// The number of a change. Numbers only grow while the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(u64);

impl Revision {
    /// The state that the program started with, before its first change. It is always durable:
    /// what it holds was read from the disk.
    pub const START: Self = Self(0);

    /// The number of the `number`th change.
    #[cfg(test)]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Counts one change more, and returns its number.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the revision itself has advanced, too"
    )]
    pub const fn advance(&mut self) -> Self {
        self.0 += 1;
        *self
    }
}

/// Which changes may be acted upon, because they would survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// The changes up to this one are on the disk.
    UpTo(Revision),
    /// There is no disk to wait for: no file, or one that hangs.
    Everything,
}

impl Durable {
    /// Whether the change `revision` may be acted upon.
    pub fn includes(self, revision: Revision) -> bool {
        match self {
            Self::UpTo(last) => revision <= last,
            Self::Everything => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_state_is_durable_and_a_change_is_once_it_is_written() {
        let mut revision = Revision::START;
        let first = revision.advance();
        let second = revision.advance();
        assert_eq!(revision, second);
        let durable = Durable::UpTo(first);
        assert!(durable.includes(Revision::START));
        assert!(durable.includes(first));
        assert!(!durable.includes(second));
        assert!(Durable::Everything.includes(second));
    }
}
