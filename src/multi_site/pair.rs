//! Two sites, and which of them a direction begins and ends at.

use crate::active_active::Direction;

/// Two sites.
#[derive(Debug)]
pub(super) struct SitePair<'a, S> {
    pub(super) first: &'a S,
    pub(super) second: &'a S,
}

impl<S> Clone for SitePair<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for SitePair<'_, S> {}

impl<'a, S> SitePair<'a, S> {
    pub(super) const fn source(self, direction: Direction) -> &'a S {
        match direction {
            Direction::FirstToSecond => self.first,
            Direction::SecondToFirst => self.second,
        }
    }

    pub(super) const fn target(self, direction: Direction) -> &'a S {
        match direction {
            Direction::FirstToSecond => self.second,
            Direction::SecondToFirst => self.first,
        }
    }
}
