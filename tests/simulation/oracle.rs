//! What must hold at any instant, whatever happens: the monitor's claims against the truth.
//!
//! * `upper` is at least the lag at that very instant, as long as the replica never steps back.
//! * `lower` is at most the lag when the replica last read its offset for an answer (or, while the
//!   replica is silent, zero): between two polls a replica may catch up unseen.
//! * `0 <= lower <= estimate <= upper`, in seconds and in bytes.
//! * The interval of the last sample holds the truth at the instant at which the sample was taken.

use redis_cross_dc_exporter::model::Span;
use redis_cross_dc_exporter::replication::{LagBytes, LagInterval};

use crate::driver::Look;
use crate::world::{Nanos, Truth};

/// Checks one look.
pub(crate) fn check(look: &Look<'_>) {
    in_order(look);
    match look.world.truth(look.now) {
        Truth::Comparable { lag, .. } | Truth::Closed { lag: Some(lag) } => {
            at_most_upper(look, lag);
        }
        Truth::Closed { lag: None } | Truth::None => {}
    }
    sample_holds_the_truth(look);
}

fn in_order(look: &Look<'_>) {
    let LagInterval {
        lower,
        estimate,
        upper,
    } = look.seen.lag;
    let spans: Vec<_> = [Some(Span::ZERO), lower, estimate, upper]
        .into_iter()
        .flatten()
        .collect();
    assert!(
        spans.windows(2).all(|w| w[0] <= w[1]),
        "{}",
        told(look, "the interval is out of order")
    );
    let LagBytes {
        lower,
        estimate,
        upper,
    } = look.seen.bytes;
    let bytes: Vec<_> = [lower, estimate, upper].into_iter().flatten().collect();
    assert!(
        bytes.windows(2).all(|w| w[0] <= w[1]),
        "{}",
        told(look, "the bytes are out of order")
    );
}

fn at_most_upper(look: &Look<'_>, lag: Nanos) {
    if let Some(upper) = look.seen.lag.upper {
        assert!(
            lag <= upper.as_nanos(),
            "{}",
            told(look, "the truth is above the upper bound")
        );
    }
}

/// The replica's last located answer, checked at the instant at which it was made.
fn sample_holds_the_truth(look: &Look<'_>) {
    let Some(located) = &look.pair.facts.located else {
        return;
    };
    let Some(served) = look.served.get(&look.world_time(located.sent())) else {
        return;
    };
    let Truth::Comparable { lag, bytes } = look.world.truth(*served) else {
        return;
    };
    let LagInterval { lower, upper, .. } = located.at_sample;
    let at_least = lower.is_none_or(|lower| lower.as_nanos() <= lag);
    let at_most = upper.is_none_or(|upper| lag <= upper.as_nanos());
    assert!(
        at_least && at_most,
        "{}",
        told(
            look,
            &format!("the sample's interval misses the truth {lag}")
        )
    );
    let now_lower = look
        .seen
        .lag
        .lower
        .is_none_or(|lower| lower.as_nanos() <= lag);
    assert!(
        now_lower,
        "{}",
        told(
            look,
            &format!("the lower bound is above the truth at the sample, {lag}")
        )
    );
    let LagBytes { lower, upper, .. } = located.bytes;
    let at_least = lower.is_none_or(|lower| lower.get() <= bytes);
    let at_most = upper.is_none_or(|upper| bytes <= upper.get());
    assert!(
        at_least && at_most,
        "{}",
        told(look, &format!("the sample's bytes miss the truth {bytes}"))
    );
}

/// Everything that helps to understand a broken promise.
pub(crate) fn told(look: &Look<'_>, what: &str) -> String {
    format!(
        "{what}\nat {:.3} s\ntruth {:?}\nseen {:?}\nlocated {:?}\noutages {:?}",
        look.now as f64 / 1e9,
        look.world.truth(look.now),
        look.seen,
        look.pair.facts.located,
        look.world.outages
    )
}
