//! How large a full sync will be of which Redis does not tell the size: a diskless one. The master
//! tells how many of its keys it has sent.

use crate::info::PersistenceInfo;
use crate::model::Bytes;

/// With less than this part of the keys the first few decide too much.
const SMALLEST_PART: f64 = 0.02;

/// The expected size of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SyncSize {
    /// The part of the keys that the master's child process has written.
    part: Option<f64>,
    expected: Option<Bytes>,
}

impl SyncSize {
    /// Records how many keys the master's child process has written.
    pub(super) fn master_saves(&mut self, master: &PersistenceInfo) {
        let processed = master.save_keys_processed.value();
        let total = master.save_keys_total.value();
        self.part = match (processed, total) {
            (Some(processed), Some(total)) => Some((processed as f64 / total as f64).min(1.0)),
            _ => None,
        };
    }

    /// Records how much of a transfer without a known size was read; `None` outside of one.
    pub(super) fn observe(&mut self, read: Option<Bytes>) {
        let Some(read) = read else {
            self.expected = None;
            return;
        };
        if let Some(part) = self.part.filter(|part| *part >= SMALLEST_PART) {
            // `as` saturates, and neither has a sign.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let whole = (read.as_f64() / part) as u64;
            self.expected = Some(Bytes::new(whole));
        }
        // The last bytes are on their way when the child process has ended.
        self.expected = self.expected.map(|expected| expected.max(read));
    }

    /// How large the transfer will be.
    pub(super) const fn expected(&self) -> Option<Bytes> {
        self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;

    #[test]
    fn the_part_of_the_keys_gives_the_size() {
        let mut size = SyncSize::default();
        let mut expected = |keys: Option<(u64, u64)>, read: Option<u64>| {
            let mut master = PersistenceInfo::default();
            if let Some((processed, total)) = keys {
                master.save_keys_processed = Field::Value(processed);
                master.save_keys_total = Field::Value(total);
            }
            size.master_saves(&master);
            size.observe(read.map(Bytes::new));
            size.expected().map(Bytes::get)
        };
        assert_eq!(expected(Some((1, 1000)), Some(5)), None, "too few keys");
        assert_eq!(expected(Some((250, 1000)), Some(500)), Some(2000));
        assert_eq!(
            expected(None, Some(1900)),
            Some(2000),
            "the child has ended"
        );
        assert_eq!(expected(None, Some(2100)), Some(2100));
        assert_eq!(expected(None, None), None, "it was cut off");
    }
}
