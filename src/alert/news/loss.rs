//! Sentences about lost writes: what was lost, and what would be lost now.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, bytes, span};
use crate::alert::{AtRisk, WriteLoss};
use crate::model::{Bytes, Span, Timestamp};

/// An estimate is printed without its bound where the bound is as close as this.
const CLOSE: Span = Span::from_millis(300);

/// The same, as a part of the estimate.
const CLOSE_PART: f64 = 0.05;

/// An estimate counts as proven where the lower bound is no further from it than this.
const PROVEN: Span = Span::from_secs(1);

/// The same, as a part of the estimate.
const PROVEN_PART: f64 = 0.1;

/// Less than this is printed as nothing.
const NOTHING: Span = Span::from_millis(1);

/// In place of a statement that nothing is lost, while the master's lost history is reported.
pub(super) const SEE_HISTORY_LOST: &str = "what was lost is in RedisCrossDcHistoryLost";

/// What may be claimed about a risk: not that it is nothing, while the master's history is lost.
pub(super) fn claimable(risk: Option<&AtRisk>, history_lost: bool) -> Option<&AtRisk> {
    let risk = risk?;
    if history_lost && is_nothing(risk) {
        return None;
    }
    Some(risk)
}

/// Whether the replica certainly lacks nothing.
fn is_nothing(risk: &AtRisk) -> bool {
    risk.lag.upper.is_some_and(|upper| upper < NOTHING)
}

/// ` If dc1 died now: the last 60 s of writes, 1.0 MiB, would be lost.`, after another sentence.
pub(super) fn if_died(who: &str, risk: Option<&AtRisk>, clock: Clock<'_>) -> Sentence {
    let Some((risk, amount)) = with_amount(risk) else {
        return Sentence::default();
    };
    let line = Sentence::words(format!(" If {who} died now: "));
    if let Some(at) = had_everything_at(risk) {
        let line = line.and("nothing that was written by ").at(at, clock);
        return line.and(" would be lost.");
    }
    let comma = closing_comma(&amount);
    let line = line.and(format!("{amount}{comma} would be lost"));
    as_of(line, risk, clock).and(".")
}

/// ` Failing over to dc2 now loses at most the last 0.03 s of writes, 335 B (certain as of 06:51:11
/// UTC).`
pub(super) fn by_failover(to: &str, risk: Option<&AtRisk>, clock: Clock<'_>) -> Sentence {
    let Some((risk, amount)) = with_amount(risk) else {
        let text = format!(" What failing over to {to} now would lose is not known.");
        return Sentence::words(text);
    };
    let line = Sentence::words(format!(" Failing over to {to} now loses "));
    if let Some(at) = had_everything_at(risk) {
        let line = line.and("nothing that was written by ");
        return line.at(at, clock).and(".");
    }
    as_of(line.and(amount), risk, clock).and(".")
}

/// The risk with its amount in words, where anything is known.
fn with_amount(risk: Option<&AtRisk>) -> Option<(&AtRisk, String)> {
    let risk = risk?;
    let amount = amount(risk)?;
    Some((risk, amount))
}

/// When the replica last certainly had everything, if nothing newer is known. Writes since then may
/// be missing.
fn had_everything_at(risk: &AtRisk) -> Option<Timestamp> {
    if is_nothing(risk) { risk.as_of } else { None }
}

fn as_of(line: Sentence, risk: &AtRisk, clock: Clock<'_>) -> Sentence {
    match risk.as_of {
        Some(at) => line.and(" (certain as of ").at(at, clock).and(")"),
        None => line,
    }
}

/// `the last 60 s of writes, 1.0 MiB`; `None` where nothing is known.
fn amount(risk: &AtRisk) -> Option<String> {
    let lag = risk.lag;
    if is_nothing(risk) {
        return Some("nothing".to_owned());
    }
    match (lag.estimate, lag.upper) {
        (Some(estimate), Some(upper)) if estimate < NOTHING => Some(at_most(upper, None)),
        (Some(estimate), Some(upper)) if is_only_bounded(lag.lower, estimate, upper) => {
            Some(at_most(upper, risk.bytes.upper))
        }
        (Some(estimate), Some(upper)) => Some(about(estimate, upper, risk.bytes.estimate)),
        (Some(estimate), None) => Some(unbounded(risk, estimate)),
        (None, Some(upper)) if risk.as_of.is_some() => Some(at_most(upper, risk.bytes.upper)),
        (None, Some(upper)) => Some(at_most(upper, None)),
        (None, None) => at_least(risk),
    }
}

/// `about the last 7 s of writes, 1.0 MiB (at least 5 s)`: an estimate without an upper bound.
fn unbounded(risk: &AtRisk, estimate: Span) -> String {
    let shown = span(estimate, Rounding::Nearest);
    let size = size(risk.bytes.estimate, Rounding::Nearest);
    match risk.lag.lower {
        Some(lower) if lower >= NOTHING => {
            let least = span(lower, Rounding::Down);
            format!("about the last {shown} of writes{size} (at least {least})")
        }
        _ => format!("about the last {shown} of writes{size}"),
    }
}

/// `at least the last 5.9 s of writes, 1.9 KiB`; `None` where the lower bound is nothing.
fn at_least(risk: &AtRisk) -> Option<String> {
    let lower = risk.lag.lower?;
    if lower < NOTHING {
        return None;
    }
    let least = span(lower, Rounding::Down);
    let size = size(risk.bytes.lower, Rounding::Down);
    Some(format!("at least the last {least} of writes{size}"))
}

/// Whether the estimate is hardly more than the upper bound itself, as for a replica that does not
/// answer: it may have received more than is known.
fn is_only_bounded(lower: Option<Span>, estimate: Span, upper: Span) -> bool {
    let proven = lower.unwrap_or(Span::ZERO);
    estimate - proven > PROVEN.max(estimate.mul_f64(PROVEN_PART)) && is_close(estimate, upper)
}

fn is_close(estimate: Span, upper: Span) -> bool {
    upper - estimate <= CLOSE.max(estimate.mul_f64(CLOSE_PART))
}

fn at_most(upper: Span, size_at_most: Option<Bytes>) -> String {
    let most = span(upper, Rounding::Up);
    let size = size(size_at_most, Rounding::Up);
    format!("at most the last {most} of writes{size}")
}

fn about(estimate: Span, upper: Span, size_about: Option<Bytes>) -> String {
    let shown = span(estimate, Rounding::Nearest);
    let size = size(size_about, Rounding::Nearest);
    if is_close(estimate, upper) {
        return format!("the last {shown} of writes{size}");
    }
    let most = span(upper, Rounding::Up);
    format!("about the last {shown} of writes{size} (at most {most})")
}

/// The comma that closes an insertion, if the amount contains one.
fn closing_comma(amount: &str) -> &'static str {
    if amount.contains(", ") { "," } else { "" }
}

/// `, 335 B`, where it is known and not nothing.
fn size(size: Option<Bytes>, rounding: Rounding) -> String {
    match size {
        None | Some(Bytes::ZERO) => String::new(),
        Some(size) => format!(", {}", bytes(size, rounding)),
    }
}

/// `12 s, 1.0 MiB behind`: how far behind a replica is now, by the estimate.
pub(super) fn behind(risk: Option<&AtRisk>) -> Option<String> {
    let risk = risk?;
    if risk.as_of.is_some() {
        return None;
    }
    let lag = span(risk.lag.estimate?, Rounding::Nearest);
    let size = size(risk.bytes.estimate, Rounding::Nearest);
    Some(format!("{lag}{size} behind"))
}

/// What a failover cost: `at most the last 0.03 s of writes, 335 B, lost (certain as of ...)`.
pub(super) fn by(lost: WriteLoss, from: &str, history_lost: bool, clock: Clock<'_>) -> Sentence {
    let is_nothing = match lost {
        WriteLoss::Exactly(size) => size == Bytes::ZERO,
        WriteLoss::AtMost { lag, at_least, .. } => lag < NOTHING && at_least.is_none(),
        _ => false,
    };
    if is_nothing && history_lost {
        return Sentence::words(SEE_HISTORY_LOST);
    }
    match lost {
        WriteLoss::Exactly(Bytes::ZERO) => Sentence::words("nothing lost"),
        WriteLoss::Exactly(size) => Sentence::words(format!(
            "{} that {from} had written are not on the new master",
            bytes(size, Rounding::Nearest)
        )),
        WriteLoss::AtLeast(size) => Sentence::words(format!(
            "at least {} lost; the rest is not known until {from} answers",
            bytes(size, Rounding::Down)
        )),
        WriteLoss::AtMost { as_of, .. } if is_nothing => {
            let line = Sentence::words("nothing lost that was written by ").at(as_of, clock);
            line.and(format!("; what {from} wrote after that is not known"))
        }
        WriteLoss::AtMost {
            lag,
            bytes,
            as_of,
            at_least,
        } => {
            let most = at_most(lag, bytes);
            let amount = format!("{most}{}", and_at_least(at_least));
            let comma = closing_comma(&amount);
            let line = Sentence::words(format!("{amount}{comma} lost (certain as of "));
            line.at(as_of, clock).and(")")
        }
        WriteLoss::Within { lag, at_least } => {
            let least = and_at_least(at_least);
            let most = span(lag, Rounding::Up);
            Sentence::words(format!(
                "lost is what {from} wrote in its last {most}{least} and the new master lacked"
            ))
        }
        WriteLoss::Unknown => {
            Sentence::words(format!("what was lost is not known until {from} answers"))
        }
    }
}

/// `, at least 335 B`, where that is known.
fn and_at_least(size: Option<Bytes>) -> String {
    match size {
        Some(size) => format!(", at least {}", bytes(size, Rounding::Down)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Bounds;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "known and unknown values share an array"
    )]
    const fn millis(millis: i64) -> Option<Span> {
        Some(Span::from_millis(millis))
    }

    fn risk(lag: [Option<Span>; 3], bytes: Option<u64>, as_of: Option<i64>) -> AtRisk {
        let [lower, estimate, upper] = lag;
        let bytes = bytes.map(Bytes::new);
        AtRisk {
            lag: Bounds {
                lower,
                estimate,
                upper,
            },
            bytes: Bounds {
                lower: bytes,
                estimate: bytes,
                upper: bytes,
            },
            as_of: as_of.map(Timestamp::from_nanos),
        }
    }

    #[test]
    fn amounts_claim_no_more_than_what_is_certain() {
        let (none, size) = (None, Some(1_048_576));
        let cases = [
            (
                risk([millis(59_400), millis(60_100), millis(61_000)], size, None),
                "the last 60 s of writes, 1.0 MiB",
            ),
            (
                risk([millis(0), millis(5_000), millis(61_000)], size, None),
                "about the last 5 s of writes, 1.0 MiB (at most 61 s)",
            ),
            (
                risk([millis(0), millis(0), millis(870)], size, None),
                "at most the last 0.87 s of writes",
            ),
            (
                risk([millis(5_000), millis(7_000), none], size, None),
                "about the last 7 s of writes, 1.0 MiB (at least 5 s)",
            ),
            (
                risk([millis(0), millis(7_000), none], None, None),
                "about the last 7 s of writes",
            ),
            (
                risk([none, none, millis(24)], Some(335), Some(5)),
                "at most the last 0.03 s of writes, 335 B",
            ),
            (
                risk([millis(5_990), none, none], Some(2_047), None),
                "at least the last 5.9 s of writes, 1.9 KiB",
            ),
        ];
        for (risk, text) in cases {
            assert_eq!(amount(&risk).as_deref(), Some(text));
        }
        let silent = risk([millis(0), millis(60_000), millis(60_300)], size, None);
        let text = "at most the last 61 s of writes, 1.0 MiB";
        assert_eq!(
            amount(&silent).as_deref(),
            Some(text),
            "a replica that is silent"
        );
        let all = risk([none, none, millis(0)], Some(0), Some(5));
        assert_eq!(amount(&all).as_deref(), Some("nothing"));
        let nothing = risk([millis(0), none, none], None, None);
        assert_eq!(
            amount(&nothing),
            None,
            "a lower bound of nothing is no amount"
        );
    }
}
