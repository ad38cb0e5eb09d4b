//! When changed files are read: once they have stopped changing, so that a set of files that is
//! written one after the other is applied together. Pure: time is an argument.

use super::listing::Listing;
use crate::model::{Span, Timestamp};

/// The time between two looks.
const INTERVAL: Span = Span::from_secs(1);

/// The time between two looks while files change.
const SETTLING: Span = Span::from_millis(250);

/// Files that never stop changing are read after this time all the same.
const LONGEST: Span = Span::from_secs(3);

/// What was seen of the files.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// As they were when they were read the last time; `None` before the first.
    applied: Option<Listing>,
    /// As they were at the last look, if that was different, and since when they are.
    changing: Option<(Listing, Timestamp)>,
}

impl Settling {
    /// Whether the files are to be read now that they are as in `listing`. `has_fresh` says that
    /// one of them may have changed without a sign of it.
    pub(super) fn is_due(&mut self, listing: &Listing, has_fresh: bool, now: Timestamp) -> bool {
        let Some(applied) = &self.applied else {
            // Nothing is watched before the first look.
            self.applied = Some(listing.clone());
            return true;
        };
        if applied == listing && !has_fresh {
            self.changing = None;
            return false;
        }
        let since = match &self.changing {
            Some((last, since)) if last == listing || now - *since >= LONGEST => {
                self.changing = None;
                self.applied = Some(listing.clone());
                return true;
            }
            Some((_, since)) => *since,
            None => now,
        };
        self.changing = Some((listing.clone(), since));
        false
    }

    /// How long to wait before the next look.
    pub(super) fn wait(&self) -> Span {
        if self.changing.is_some() {
            SETTLING
        } else {
            INTERVAL
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::discovery::files::failure;
    use crate::topology::FileFault;

    /// A listing that is the same as another one of the same number.
    fn listing(number: u32) -> Listing {
        let failure = failure(FileFault::Unreadable, number.to_string());
        Listing {
            files: BTreeMap::from([(PathBuf::from("a.yml"), Err(failure))]),
            unlisted: BTreeMap::new(),
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn files_are_read_at_once_at_the_start_and_later_when_they_have_settled() {
        let mut settling = Settling::default();
        assert!(settling.is_due(&listing(1), false, at(0)));
        assert!(!settling.is_due(&listing(1), false, at(1000)));
        assert_eq!(settling.wait(), INTERVAL);
        assert!(!settling.is_due(&listing(2), false, at(2000)));
        assert_eq!(settling.wait(), SETTLING);
        assert!(!settling.is_due(&listing(3), false, at(2250)));
        assert!(settling.is_due(&listing(3), false, at(2500)));
        assert_eq!(settling.wait(), INTERVAL);
    }

    #[test]
    fn files_that_never_settle_are_read_all_the_same() {
        let mut settling = Settling::default();
        settling.is_due(&listing(0), false, at(0));
        let mut read = Vec::new();
        for step in 1..40 {
            if settling.is_due(&listing(step), false, at(i64::from(step) * 250)) {
                read.push(step);
            }
        }
        assert_eq!(read, [13, 26, 39]);
    }

    #[test]
    fn a_file_that_is_as_before_again_was_not_changed() {
        let mut settling = Settling::default();
        settling.is_due(&listing(1), false, at(0));
        assert!(!settling.is_due(&listing(2), false, at(1000)));
        assert!(!settling.is_due(&listing(1), false, at(1250)));
        assert_eq!(settling.wait(), INTERVAL);
    }

    #[test]
    fn a_file_that_was_read_within_the_grain_of_its_time_is_read_again() {
        let mut settling = Settling::default();
        settling.is_due(&listing(1), false, at(0));
        assert!(!settling.is_due(&listing(1), true, at(1000)));
        assert!(settling.is_due(&listing(1), true, at(1250)));
    }
}
