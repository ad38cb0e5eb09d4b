//! What holds of the table for any master and any polls: the invariants of docs/lag.md, by number.
//!
//! A failing case is printed whole, and written to `proptest-regressions/`, from where the next run
//! replays it first.

use proptest::prelude::*;

use super::*;

/// One poll: when it was sent, when it was answered, and the offset that it showed.
type Poll = (Timestamp, Timestamp, ReplicationOffset);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

fn offset(bytes: u64) -> ReplicationOffset {
    ReplicationOffset::new(bytes)
}

/// A table so small that it is thinned again and again.
const SMALL: HistoryLimits = HistoryLimits {
    capacity: 40,
    batch: 8,
    grain: Span::from_millis(250),
    epsilon: 0.01,
    horizon: Span::from_secs(48 * 3600),
};

/// A table that forgets nothing.
const WHOLE: HistoryLimits = HistoryLimits {
    capacity: 100_000,
    batch: 100_000,
    ..SMALL
};

/// A random writer, polled one poll after the other with random delays.
fn polls() -> impl Strategy<Value = Vec<Poll>> {
    let step = (
        1_i64..3000,
        0_i64..400,
        prop_oneof![Just(0_u64), 1_u64..200, 1_u64..100_000],
    );
    proptest::collection::vec(step, 1..400).prop_map(|steps| {
        let (mut clock, mut m) = (0, 0);
        let mut polls = Vec::new();
        for (gap, takes, bytes) in steps {
            let sent = clock + gap;
            m += bytes;
            clock = sent + takes;
            polls.push((at(sent), at(clock), offset(m)));
        }
        polls
    })
}

fn table(limits: HistoryLimits, polls: &[Poll]) -> OffsetHistory {
    let mut table = OffsetHistory::new(limits);
    for (sent, received, m) in polls {
        table.insert(*sent, *received, *m);
    }
    table
}

/// The offsets around which anything can go wrong: those that polls showed, and the bytes before
/// and after them.
fn interesting(polls: &[Poll]) -> impl Iterator<Item = ReplicationOffset> {
    polls
        .iter()
        .flat_map(|(_, _, m)| [m.get().saturating_sub(1), m.get(), m.get() + 1].map(offset))
}

fn contains(wide: Bracket, tight: Bracket) -> bool {
    let lo = wide.lo <= tight.lo; // none is the widest
    lo && wide
        .hi
        .is_none_or(|hi| tight.hi.is_some_and(|tight| hi >= tight))
}

fn is_in_order(table: &OffsetHistory) -> bool {
    table.plateaus.windows(2).all(|w| {
        w[0].offset < w[1].offset
            && w[0].first_seen <= w[1].first_seen
            && w[0].last_sent <= w[1].last_sent
            && w[0].last_sent <= w[1].first_seen
    })
}

proptest! {
    #[test]
    fn i2_offsets_rise_and_times_never_fall(polls in polls()) {
        let mut table = OffsetHistory::new(SMALL);
        for (sent, received, m) in &polls {
            table.insert(*sent, *received, *m);
            prop_assert!(is_in_order(&table));
        }
    }

    #[test]
    fn i3_a_bracket_after_thinning_contains_the_one_before(polls in polls()) {
        let (thin, whole) = (table(SMALL, &polls), table(WHOLE, &polls));
        for r in interesting(&polls) {
            prop_assert!(contains(thin.bracket(r), whole.bracket(r)), "{r}: {:?} {:?}", thin.bracket(r), whole.bracket(r));
        }
    }

    /// Beyond the raw width, a bracket is as wide as the grain, or as the used part of its age.
    #[test]
    fn i4_a_bracket_is_as_tight_as_its_age_demands(polls in polls()) {
        let (thin, whole) = (table(SMALL, &polls), table(WHOLE, &polls));
        let now = polls.last().expect("at least one").1;
        for r in interesting(&polls) {
            let (wide, raw) = (thin.bracket(r), whole.bracket(r));
            let (Some(lo), Some(hi)) = (wide.lo, wide.hi) else { continue };
            let width = |b: Bracket| b.hi.zip(b.lo).map_or(Span::ZERO, |(hi, lo)| hi - lo);
            let allowed = SMALL.grain.max((now - hi).mul_f64(thin.epsilon_used())).max(width(raw));
            prop_assert!(hi - lo <= allowed, "{r}: {} wide, {allowed} allowed", hi - lo);
        }
    }

    #[test]
    fn i5_the_table_never_exceeds_its_capacity_and_idling_costs_nothing(polls in polls(), idle in 1_i64..100) {
        let mut table = OffsetHistory::new(SMALL);
        for (sent, received, m) in &polls {
            table.insert(*sent, *received, *m);
            prop_assert!(table.len() <= SMALL.capacity);
        }
        let (before, (_, last, m)) = (table.len(), *polls.last().expect("at least one"));
        for second in 1..=idle {
            let sent = last + Span::from_secs(second);
            prop_assert_eq!(table.insert(sent, sent, m), Inserted::Merged);
        }
        prop_assert_eq!(table.len(), before);
    }

    /// Replies that come late, twice or in another order are left out; what is left says what it
    /// would say without them.
    #[test]
    fn i6_overlapping_replies_never_corrupt_the_table(polls in polls(), back in proptest::collection::vec(1_usize..30, 1..400)) {
        let mut disturbed = OffsetHistory::new(SMALL);
        for (i, (sent, received, m)) in polls.iter().enumerate() {
            disturbed.insert(*sent, *received, *m);
            let (late_sent, _, late) = polls[i.saturating_sub(back[i % back.len()])];
            if late_sent < *received {
                prop_assert_eq!(disturbed.insert(late_sent, *received + Span::from_millis(1), late), Inserted::Reordered);
            }
        }
        prop_assert!(!disturbed.is_empty() && is_in_order(&disturbed));
        prop_assert_eq!(&disturbed.plateaus, &table(SMALL, &polls).plateaus);
    }

    #[test]
    fn i9_a_cut_makes_no_bracket_below_it_wrong(polls in polls(), part in 0.0_f64..1.0) {
        let mut cut_off = table(WHOLE, &polls);
        let newest = cut_off.newest().expect("at least one").0.get();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a part of what was an offset
        let cut = offset((newest as f64 * part) as u64);
        let before = cut_off.clone();
        cut_off.truncate(cut, None);
        prop_assert!(cut_off.newest().is_none_or(|(m, _)| m <= cut), "no record above the cut");
        for r in interesting(&polls).filter(|r| *r < cut && !cut_off.is_empty()) {
            prop_assert_eq!(cut_off.bracket(r), before.bracket(r));
        }
    }

    #[test]
    fn i10_only_differences_matter(polls in polls(), shift in 0_i64..1_000_000, more in 0_u64..1_000_000) {
        let moved = Span::from_millis(shift);
        let shifted: Vec<Poll> =
            polls.iter().map(|(sent, received, m)| (*sent + moved, *received + moved, offset(m.get() + more))).collect();
        let (a, b) = (table(SMALL, &polls), table(SMALL, &shifted));
        for r in interesting(&polls) {
            let other = offset(r.get() + more);
            let (x, y) = (a.bracket(r), b.bracket(other));
            prop_assert_eq!((x.lo.map(|t| t + moved), x.hi.map(|t| t + moved)), (y.lo, y.hi));
            let point = |table: &OffsetHistory, r| table.point(r, table.bracket(r));
            prop_assert_eq!(point(&a, r).map(|p| (p.at + moved, p.spread)), point(&b, other).map(|p| (p.at, p.spread)));
        }
    }

    /// Asking changes nothing, and what is asked later is never tighter than the same polls said
    /// earlier.
    #[test]
    fn i11_an_answer_does_not_depend_on_who_asked_before(polls in polls(), asked in 0_usize..400) {
        let (mut asked_often, quiet) = (OffsetHistory::new(SMALL), table(SMALL, &polls));
        let early = table(SMALL, &polls[..asked.min(polls.len())]);
        for (sent, received, m) in &polls {
            asked_often.insert(*sent, *received, *m);
            let bracket = asked_often.bracket(*m);
            asked_often.point(*m, bracket);
        }
        for r in interesting(&polls) {
            prop_assert_eq!(asked_often.bracket(r), quiet.bracket(r));
            let before = early.bracket(r);
            if before.hi.is_some() {
                prop_assert!(contains(quiet.bracket(r), before));
            }
        }
    }

    #[test]
    fn the_likeliest_instant_lies_in_the_bracket(polls in polls()) {
        let table = table(SMALL, &polls);
        for r in interesting(&polls) {
            let bracket = table.bracket(r);
            if let Some(point) = table.point(r, bracket) {
                let (lo, hi) = (bracket.lo.expect("known"), bracket.hi.expect("known"));
                prop_assert!((lo..=hi).contains(&point.at) && point.spread >= Span::ZERO && point.spread <= hi - lo);
            }
        }
    }
}
