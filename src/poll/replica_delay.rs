//! How long to delay a replica's poll after its master's, so that the master's sample covers the
//! write that the replica reports. Pure.
//!
//! Over a link that takes `D` one way, an answer made at `x` shows what the master had written by
//! `x - D`. The first write that the replica lacks is dated by the master's polls around `x - D`:
//! if the master was polled after that, the poll before is that of the last round, a whole period
//! earlier. So the replica is polled when `x - D` lies just after the master's poll:
//!
//! ```text
//! master   polled --- read ---- answered                         polled again
//!                      |- margin -|                                 |
//!                                 x - D  <-------- D --------> x    |
//! replica                              delay    polled ------ read -- answered
//! ```

use crate::model::Span;

/// The longest delay. Links that take longer are rare, and the round has to end.
const LONGEST: Span = Span::from_millis(500);

/// The longest delay as a part of the period: the round has to end within it even if answers are
/// slow.
const LONGEST_PART: f64 = 0.5;

/// By how much the master's poll has to precede `x - D`, because link delays and round trips vary.
const MARGIN: Span = Span::from_millis(5);

/// The same, as a part of the link's delay.
const MARGIN_PART: f64 = 0.1;

/// How long after the master's answer the replica is polled, if the link takes `link_delay` one
/// way and the two smallest round trips are `master` and `replica`; the tree is polled each
/// `period`.
///
/// Zero if the round trips themselves take as long, and if the delay would be too long: half a
/// delay gains nothing.
pub(super) fn replica_delay(link_delay: Span, master: Span, replica: Span, period: Span) -> Span {
    let wanted = link_delay + link_delay.mul_f64(MARGIN_PART) + MARGIN;
    let delay = (wanted - master.half() - replica.half()).or_zero();
    if delay <= LONGEST.min(period.mul_f64(LONGEST_PART)) {
        delay
    } else {
        Span::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(delay: i64, round_trips: (i64, i64), expected: i64) {
        let [delay, master, replica] = [delay, round_trips.0, round_trips.1].map(Span::from_millis);
        assert_eq!(
            replica_delay(delay, master, replica, Span::from_secs(1)),
            Span::from_millis(expected)
        );
    }

    #[test]
    fn the_delay_is_the_links_minus_half_of_both_round_trips() {
        check(150, (2, 100), 150 + 15 + 5 - 1 - 50);
        check(150, (0, 0), 170);
        check(40, (2, 80), 40 + 4 + 5 - 1 - 40);
        check(40, (0, 200), 0);
        check(0, (2, 80), 0);
        check(440, (0, 0), 489);
        check(480, (0, 0), 0);
    }

    #[test]
    fn a_short_period_allows_no_long_delay() {
        let millis = Span::from_millis;
        assert_eq!(
            replica_delay(millis(150), millis(0), millis(0), millis(200)),
            Span::ZERO
        );
    }

    proptest! {
        /// `x - D` comes after the instant at which the master read its offset, by at least
        /// the margin.
        #[test]
        fn the_masters_poll_comes_first(delay in 0_i64..400, master in 0_i64..300, replica in 0_i64..300) {
            let [delay, master, replica] = [delay, master, replica].map(Span::from_millis);
            let added = replica_delay(delay, master, replica, Span::from_secs(10));
            // From the master's reading to the replica's.
            let between = master.half() + added + replica.half();
            prop_assert!(between - delay >= MARGIN);
            prop_assert!(added == Span::ZERO || between - delay <= MARGIN + delay.mul_f64(MARGIN_PART));
        }
    }
}
