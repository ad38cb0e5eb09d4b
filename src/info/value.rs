//! Parses one raw value into one typed field. Missing, none, malformed and zero stay distinct.

use super::table::RawValue;
use super::{Field, LinkStatus, Role, ServerMode};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, Span};

/// The longest host, address or version, in bytes: a host name has at most 253.
const MAX_TEXT: usize = 256;

/// The most seconds that fit a [`Span`] (292 years).
const MAX_SECONDS: i128 = (i64::MAX / 1_000_000_000) as i128;

/// A link that has been down for more than ten years was never up: before 6.2, a replica that never
/// connected prints the seconds since the Unix epoch (`unixtime - repl_down_since`, with
/// `repl_down_since` 0; `replication.c`).
const NEVER_CONNECTED_SECONDS: i128 = 10 * 365 * 86_400;

/// As many digits and a sign fit 64 bits in any case.
const SHORT_NUMBER: usize = 18;

/// How a server prints "none" instead of a number.
const NONE: i128 = -1;

/// Parses `raw` with `parse`, which is called for usable texts.
fn field<T>(raw: RawValue<'_>, parse: impl FnOnce(&str) -> Field<T>) -> Field<T> {
    match raw {
        RawValue::Absent => Field::Missing,
        RawValue::Text(text) => parse(text),
        RawValue::Unusable => Field::Malformed,
    }
}

fn value_or_malformed<T>(value: Option<T>) -> Field<T> {
    match value {
        Some(value) => Field::Value(value),
        None => Field::Malformed,
    }
}

/// Parses a decimal number as servers print it: no sign but `-`, no space. 128 bits, because forks
/// print 64-bit underflows.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if text.len() <= SHORT_NUMBER {
        // Nearly all of them, and read three times as fast.
        return text.parse::<i64>().ok().map(i128::from);
    }
    text.parse().ok()
}

/// Parses a field that is a number. `is_none` says which numbers stand for no value, and `convert`
/// returns `None` for those that are out of range.
fn number<T>(
    raw: RawValue<'_>,
    is_none: impl Fn(i128) -> bool,
    convert: impl Fn(i128) -> Option<T>,
) -> Field<T> {
    field(raw, |text| match integer(text) {
        Some(n) if is_none(n) => Field::None,
        Some(n) => value_or_malformed(convert(n)),
        None => Field::Malformed,
    })
}

fn never(_: i128) -> bool {
    false
}

fn is_minus_one(n: i128) -> bool {
    n == NONE
}

fn is_minus_one_or_zero(n: i128) -> bool {
    n == NONE || n == 0
}

/// Servers count bytes in a signed 64-bit integer (`long long`) or in a `size_t`; a number of 2^63
/// or more is an underflow.
fn to_byte_count(n: i128) -> Option<u64> {
    let n = i64::try_from(n).ok()?;
    u64::try_from(n).ok()
}

fn to_offset(n: i128) -> Option<ReplicationOffset> {
    to_byte_count(n).map(ReplicationOffset::new)
}

fn to_bytes(n: i128) -> Option<Bytes> {
    to_byte_count(n).map(Bytes::new)
}

fn to_seconds(n: i128) -> Option<Span> {
    if !(0..=MAX_SECONDS).contains(&n) {
        return None;
    }
    i64::try_from(n).ok().map(Span::from_secs)
}

fn to_port(n: i128) -> Option<u16> {
    u16::try_from(n).ok()
}

/// A replication offset; -1 is none.
pub(super) fn offset(raw: RawValue<'_>) -> Field<ReplicationOffset> {
    number(raw, is_minus_one, to_offset)
}

/// The offset in a `slaveN` line; 0 is none, because it only says that the replica has not
/// acknowledged any.
pub(super) fn acked_offset(raw: RawValue<'_>) -> Field<ReplicationOffset> {
    number(raw, is_minus_one_or_zero, to_offset)
}

/// A size.
pub(super) fn bytes(raw: RawValue<'_>) -> Field<Bytes> {
    number(raw, never, to_bytes)
}

/// The size of a dump; none when 0 (diskless) or -1 (not announced yet).
pub(super) fn dump_size(raw: RawValue<'_>) -> Field<Bytes> {
    number(raw, is_minus_one_or_zero, to_bytes)
}

/// A count or a priority.
pub(super) fn count(raw: RawValue<'_>) -> Field<u64> {
    number(raw, never, |n| u64::try_from(n).ok())
}

/// A count of which 0 is none.
pub(super) fn count_above_zero(raw: RawValue<'_>) -> Field<u64> {
    number(raw, is_minus_one_or_zero, |n| u64::try_from(n).ok())
}

/// Whole seconds; -1 is none.
pub(super) fn seconds(raw: RawValue<'_>) -> Field<Span> {
    number(raw, is_minus_one, to_seconds)
}

/// How long a link has been down; -1 and [more than ten years](NEVER_CONNECTED_SECONDS) are none.
pub(super) fn link_down_seconds(raw: RawValue<'_>) -> Field<Span> {
    let was_never_connected =
        |n| is_minus_one(n) || (NEVER_CONNECTED_SECONDS..=MAX_SECONDS).contains(&n);
    number(raw, was_never_connected, to_seconds)
}

/// The port of a link; port 0 is malformed, because nothing can be connected to it.
pub(super) fn port(raw: RawValue<'_>) -> Field<u16> {
    number(raw, never, |n| to_port(n).filter(|port| *port > 0))
}

/// The port that a server listens on; none when 0 (a Unix socket only).
pub(super) fn listening_port(raw: RawValue<'_>) -> Field<u16> {
    number(raw, |n| n == 0, to_port)
}

/// The port of a `slaveN` line, where 0 has a meaning: a tool, not a replica.
pub(super) fn announced_port(raw: RawValue<'_>) -> Field<u16> {
    number(raw, never, to_port)
}

/// A switch, `0` or `1`.
pub(super) fn flag(raw: RawValue<'_>) -> Field<bool> {
    field(raw, |text| match text {
        "0" => Field::Value(false),
        "1" => Field::Value(true),
        _ => Field::Malformed,
    })
}

/// A replication ID; 40 zeros are none.
pub(super) fn replication_id(raw: RawValue<'_>) -> Field<ReplicationId> {
    field(raw, |text| match ReplicationId::parse(text) {
        Some(id) => Field::Value(id),
        None if text.len() == 40 && text.bytes().all(|b| b == b'0') => Field::None,
        None => Field::Malformed,
    })
}

/// A run ID.
pub(super) fn run_id(raw: RawValue<'_>) -> Field<RunId> {
    field(raw, |text| {
        let id = visible(text).and_then(RunId::parse);
        value_or_malformed(id)
    })
}

/// A host, address or version.
pub(super) fn word(raw: RawValue<'_>) -> Field<String> {
    field(raw, |text| {
        value_or_malformed(visible(text).map(str::to_owned))
    })
}

/// `text`, if it is short and all of it is visible ASCII: it will be shown in labels, pages and
/// messages.
fn visible(text: &str) -> Option<&str> {
    let is_short = (1..=MAX_TEXT).contains(&text.len());
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
    if is_short && is_visible {
        Some(text)
    } else {
        None
    }
}

/// `master`, or one of the words for a replica: `slave` (Redis, Valkey, Kvrocks, Garnet), `replica`
/// (Dragonfly), `active-replica` (`KeyDB`).
pub(super) fn role(raw: RawValue<'_>) -> Field<Role> {
    field(raw, |text| match text {
        "master" => Field::Value(Role::Master),
        "slave" | "replica" | "active-replica" => Field::Value(Role::Replica),
        _ => Field::Malformed,
    })
}

/// `up` or `down`.
pub(super) fn link(raw: RawValue<'_>) -> Field<LinkStatus> {
    field(raw, |text| match text {
        "up" => Field::Value(LinkStatus::Up),
        "down" => Field::Value(LinkStatus::Down),
        _ => Field::Malformed,
    })
}

/// How the server runs.
pub(super) fn mode(raw: RawValue<'_>) -> Field<ServerMode> {
    field(raw, |text| match text {
        "standalone" => Field::Value(ServerMode::Standalone),
        "cluster" => Field::Value(ServerMode::Cluster),
        "sentinel" => Field::Value(ServerMode::Sentinel),
        _ => Field::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: PartialEq + Debug>(
        read: impl Fn(RawValue<'_>) -> Field<T>,
        cases: &[(&str, Field<T>)],
    ) {
        assert_eq!(read(RawValue::Absent), Field::Missing);
        assert_eq!(read(RawValue::Unusable), Field::Malformed);
        for text in [
            "", " ", "x", "1 ", " 1", "+1", "0x1", "1.0", "--1", "-", "1,2", "N/A", "\u{fffd}",
            "１",
        ] {
            if !cases.iter().any(|(case, _)| *case == text) {
                assert_eq!(read(RawValue::Text(text)), Field::Malformed, "{text:?}");
            }
        }
        for (text, expected) in cases {
            assert_eq!(read(RawValue::Text(text)), *expected, "{text:?}");
        }
    }

    #[test]
    fn an_offset_is_a_nonnegative_signed_number() {
        let at = |n| Field::Value(ReplicationOffset::new(n));
        let cases = [
            ("0", at(0)),
            ("62149334", at(62_149_334)),
            ("007", at(7)),
            ("9223372036854775807", at(9_223_372_036_854_775_807)),
            ("-1", Field::None),
            ("-2", Field::Malformed),
            ("9223372036854775808", Field::Malformed),
            ("18446744073709551607", Field::Malformed),
            ("340282366920938463463374607431768211456", Field::Malformed),
            ("64,128", Field::Malformed), // Garnet's address vectors
        ];
        check(offset, &cases);
    }

    #[test]
    fn an_acked_offset_of_zero_is_no_evidence() {
        let one = Field::Value(ReplicationOffset::new(1));
        check(
            acked_offset,
            &[
                ("0", Field::None),
                ("-1", Field::None),
                ("1", one),
                ("-5", Field::Malformed),
            ],
        );
    }

    #[test]
    fn a_size_is_zero_only_where_zero_is_a_size() {
        check(
            bytes,
            &[("0", Field::Value(Bytes::new(0))), ("-1", Field::Malformed)],
        );
        check(
            dump_size,
            &[
                ("0", Field::None),
                ("-1", Field::None),
                ("5", Field::Value(Bytes::new(5))),
            ],
        );
        check(dump_size, &[("-221724", Field::Malformed)]);
    }

    #[test]
    fn seconds_fit_a_span_or_are_malformed() {
        let s = |n| Field::Value(Span::from_secs(n));
        check(
            seconds,
            &[
                ("0", s(0)),
                ("10", s(10)),
                ("-1", Field::None),
                ("-2", Field::Malformed),
            ],
        );
        check(
            seconds,
            &[
                ("9223372036", s(9_223_372_036)),
                ("9223372037", Field::Malformed),
            ],
        );
    }

    #[test]
    fn a_link_that_was_down_since_the_epoch_was_never_up() {
        let s = |n| Field::Value(Span::from_secs(n));
        check(
            link_down_seconds,
            &[
                ("3", s(3)),
                ("315359999", s(315_359_999)),
                ("315360000", Field::None),
            ],
        );
        check(
            link_down_seconds,
            &[
                ("1795352691", Field::None),
                ("-1", Field::None),
                ("-2", Field::Malformed),
            ],
        );
        check(link_down_seconds, &[("9223372037", Field::Malformed)]);
    }

    #[test]
    fn what_port_zero_means_depends_on_whose_it_is() {
        check(
            port,
            &[
                ("0", Field::Malformed),
                ("6379", Field::Value(6379)),
                ("65536", Field::Malformed),
            ],
        );
        check(
            listening_port,
            &[
                ("0", Field::None),
                ("65535", Field::Value(65535)),
                ("-1", Field::Malformed),
            ],
        );
        check(
            announced_port,
            &[
                ("0", Field::Value(0)),
                ("-1", Field::Malformed),
                ("70000", Field::Malformed),
            ],
        );
    }

    #[test]
    fn counts_and_flags_have_no_none() {
        check(
            count,
            &[
                ("0", Field::Value(0)),
                ("100", Field::Value(100)),
                ("-1", Field::Malformed),
            ],
        );
        check(
            count,
            &[
                ("18446744073709551615", Field::Value(u64::MAX)),
                ("18446744073709551616", Field::Malformed),
            ],
        );
        check(
            flag,
            &[
                ("0", Field::Value(false)),
                ("1", Field::Value(true)),
                ("2", Field::Malformed),
            ],
        );
        check(
            flag,
            &[
                ("yes", Field::Malformed),
                ("-1", Field::Malformed),
                ("01", Field::Malformed),
            ],
        );
    }

    #[test]
    fn identities_are_recognised_by_their_form() {
        let id = "5a7b2955008893dda53e17acf9f8dbd20ae6479f";
        let zeros = "0".repeat(40);
        let cases = [
            (id, Field::Value(ReplicationId::parse(id).unwrap())),
            (zeros.as_str(), Field::None),
            (&zeros[..39], Field::Malformed),
            (&id[..39], Field::Malformed),
            ("?", Field::Malformed),
        ];
        check(replication_id, &cases);
        assert_eq!(
            run_id(RawValue::Text(id)),
            Field::Value(RunId::parse(id).unwrap())
        );
        for bad in ["", "a b", "\u{1b}[2J", &"a".repeat(65)] {
            assert_eq!(run_id(RawValue::Text(bad)), Field::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn a_word_is_short_and_visible() {
        for good in [
            "::1",
            "redis.example.com",
            "7.4.1",
            "df-v1.40.1",
            "a=b,c",
            &"h".repeat(256),
        ] {
            assert_eq!(word(RawValue::Text(good)), Field::Value(good.to_owned()));
        }
        for bad in [
            "",
            "a b",
            "a\tb",
            "\0",
            "\u{7f}",
            "caf\u{e9}",
            "\u{fffd}",
            &"h".repeat(257),
        ] {
            assert_eq!(word(RawValue::Text(bad)), Field::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn closed_vocabularies_refuse_every_other_word() {
        let replica = || Field::Value(Role::Replica);
        check(
            role,
            &[
                ("master", Field::Value(Role::Master)),
                ("slave", replica()),
                ("replica", replica()),
            ],
        );
        check(
            role,
            &[
                ("active-replica", replica()),
                ("Master", Field::Malformed),
                ("slave ", Field::Malformed),
            ],
        );
        check(
            link,
            &[
                ("up", Field::Value(LinkStatus::Up)),
                ("down", Field::Value(LinkStatus::Down)),
            ],
        );
        check(
            mode,
            &[
                ("standalone", Field::Value(ServerMode::Standalone)),
                ("emulated", Field::Malformed),
            ],
        );
        check(
            mode,
            &[
                ("cluster", Field::Value(ServerMode::Cluster)),
                ("sentinel", Field::Value(ServerMode::Sentinel)),
            ],
        );
    }
}
