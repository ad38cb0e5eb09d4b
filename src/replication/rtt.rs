//! The smallest round trip of the last minutes: the least that the network and an idle server take.

use crate::model::{Span, Timestamp};

/// Sliding minimum of round trips in two buckets. It covers between one and two bucket lengths, in
/// constant memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinRtt {
    current: Option<Span>,
    previous: Option<Span>,
    bucket_began: Option<Timestamp>,
}

impl MinRtt {
    /// A bucket's length. A route that became slower shows after at most two buckets.
    const BUCKET: Span = Span::from_secs(150);

    /// Records a round trip that ended at `received`.
    pub fn observe(&mut self, rtt: Span, received: Timestamp) {
        let began = *self.bucket_began.get_or_insert(received);
        if received - began >= Self::BUCKET {
            self.previous = self.current.take();
            self.bucket_began = Some(received);
        }
        let smallest = self.current.unwrap_or(rtt);
        self.current = Some(smallest.min(rtt));
    }

    /// The smallest round trip; `None` before the first.
    pub fn get(&self) -> Option<Span> {
        match (self.current, self.previous) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_minimum_is_forgotten() {
        let mut min = MinRtt::default();
        assert_eq!(min.get(), None);
        let at = |secs: i64| Timestamp::from_nanos(secs * 1_000_000_000);
        min.observe(Span::from_millis(5), at(0));
        min.observe(Span::from_millis(80), at(100));
        assert_eq!(min.get(), Some(Span::from_millis(5)));
        min.observe(Span::from_millis(80), at(200));
        assert_eq!(
            min.get(),
            Some(Span::from_millis(5)),
            "still in the last bucket"
        );
        min.observe(Span::from_millis(80), at(400));
        assert_eq!(min.get(), Some(Span::from_millis(80)));
    }
}
