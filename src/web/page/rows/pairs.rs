//! The row of a pair.

use crate::report::{
    LastKnownReport, PairReport, at_least_bytes_text, at_most_bytes_text, at_most_text, bytes_text,
    lag_text, utc_text,
};
use crate::web::page::links::way;
use crate::web::page::plot::Spark;
use crate::web::page::query::pair_address;

/// A pair: its state, its lag and why.
pub(in crate::web::page) struct PairRow {
    pub(in crate::web::page) name: String,
    pub(in crate::web::page) address: String,
    /// The datacenters of master and replica.
    pub(in crate::web::page) way: String,
    pub(in crate::web::page) master: String,
    pub(in crate::web::page) replica: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) state: &'static str,
    /// The estimate, or the bound where there is no estimate.
    pub(in crate::web::page) lag: String,
    /// The interval that certainly contains it; empty where `lag` has all of that.
    pub(in crate::web::page) certain: String,
    pub(in crate::web::page) spark: Option<Spark>,
    pub(in crate::web::page) bytes: String,
    pub(in crate::web::page) headroom: String,
    pub(in crate::web::page) reason: String,
}

impl PairRow {
    pub(in crate::web::page) fn new(pair: &PairReport, spark: Option<Spark>) -> Self {
        let lag = lag_text(
            pair.lag_lower_seconds,
            pair.lag_seconds,
            pair.lag_upper_seconds,
        );
        let (lag, certain) = match lag.split_once(" (") {
            Some((lag, certain)) => (lag.to_owned(), certain.trim_end_matches(')').to_owned()),
            None => (lag, String::new()),
        };
        Self {
            name: pair.pair.clone(),
            address: pair_address(&pair.pair, &pair.replica),
            way: way(&pair.source_dc, &pair.target_dc),
            master: pair.master.clone(),
            replica: pair.replica.clone(),
            level: pair.level().label(),
            state: pair.state.label(),
            lag,
            certain,
            spark,
            bytes: lag_bytes(pair),
            headroom: bytes_text(pair.backlog_headroom_bytes),
            reason: reason(pair),
        }
    }
}

/// How many bytes the replica is behind, as text.
pub(in crate::web::page) fn lag_bytes(pair: &PairReport) -> String {
    match (pair.lag_bytes, pair.lag_lower_bytes) {
        (None, Some(lower)) if lower > 0 => format!("at least {}", at_least_bytes_text(lower)),
        (estimate, _) => bytes_text(estimate),
    }
}

/// The reason for the pair's level, with what else a person must know: that the lag is an
/// assumption, or what the last certain lag was.
pub(in crate::web::page) fn reason(pair: &PairReport) -> String {
    let mut parts = vec![pair.why()];
    if pair.stale {
        let assumption =
            "the lag assumes that the silent replica applies nothing but what it acknowledges";
        parts.push(assumption.to_owned());
    }
    if pair.lag_seconds.is_none() {
        parts.extend(pair.last_known.map(last_certain));
    }
    parts.join("; ")
}

fn last_certain(known: LastKnownReport) -> String {
    let upper = at_most_text(known.lag_upper_seconds);
    let bytes = at_most_bytes_text(known.lag_upper_bytes);
    let when = utc_text(known.timestamp);
    format!("last certain: at most {upper} ({bytes}) at {when}")
}
