//! The bytes of a row: small numbers take few bytes, instants are in microseconds; a row begins
//! with a version and ends with a checksum.
//!
//! Reading never panics: any bytes give a value or an error, and no more memory is reserved than
//! the bytes can fill.

use super::clock_mapping::{ClockMapping, ClockMappings, ClockRefusal};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, ServerAddr, Span, Timestamp};

/// The version of the encoding of every row.
const VERSION: u8 = 1;

/// Version and checksum.
const ENVELOPE: usize = 5;

const NANOS_PER_MICRO: i64 = 1_000;

/// Why a row is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// It was changed after it was written, or belongs to another key.
    #[error("its checksum is wrong")]
    Checksum,
    /// A newer version wrote it.
    #[error("its encoding has version {0}, which this program does not know")]
    Version(u8),
    /// The checksum is right, but the content is not valid.
    #[error("its {0} makes no sense")]
    Malformed(&'static str),
    /// It has an instant that is still to come.
    #[error("it has an instant in the future")]
    Future,
    /// It was written by a clock that cannot be read now.
    #[error(transparent)]
    BootClock(#[from] ClockRefusal),
}

/// A row that is being written.
#[derive(Debug, Default)]
pub(super) struct RowWriter {
    bytes: Vec<u8>,
}

/// A row that is being read.
#[derive(Debug)]
pub(super) struct RowReader<'a> {
    rest: &'a [u8],
    clock: ClockMapping,
}

fn checksum(key: &[u8], row: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    // The length keeps key and row apart.
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(row);
    hasher.finalize().to_le_bytes()
}

/// The row as it is written under `key`: its checksum covers the key, so that it is valid under no
/// other.
pub(super) fn seal(key: &[u8], body: &RowWriter) -> Vec<u8> {
    let mut row = Vec::with_capacity(body.bytes.len() + ENVELOPE);
    row.push(VERSION);
    row.extend_from_slice(&body.bytes);
    row.extend_from_slice(&checksum(key, &row));
    row
}

impl RowWriter {
    /// A row of the clock with this number.
    pub(super) fn new(clock: u32) -> Self {
        let mut writer = Self::default();
        writer.number(u64::from(clock));
        writer
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// A number in as few groups of seven bits as it needs, the lowest first.
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push((value & 0x7f) as u8);
    }

    /// A number that may be negative: its sign goes into the lowest bit.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    pub(super) fn span(&mut self, span: Span) {
        self.signed(span.as_nanos());
    }

    pub(super) fn offset(&mut self, offset: ReplicationOffset) {
        self.number(offset.get());
    }

    pub(super) fn bytes(&mut self, bytes: Bytes) {
        self.number(bytes.get());
    }

    /// An instant before which something certainly was not: rounded down.
    pub(super) fn not_before(&mut self, at: Timestamp) {
        self.signed(floor_micros(at));
    }

    /// An instant after which something certainly was not: rounded up.
    pub(super) fn not_after(&mut self, at: Timestamp) {
        self.signed(ceil_micros(at));
    }

    /// Forty lower-case hexadecimal digits, as every server writes them, are packed into twenty
    /// bytes; other IDs are written as text.
    pub(super) fn replid(&mut self, replid: &ReplicationId) {
        let digits = replid.as_str().as_bytes();
        let packed = packed_hex(digits);
        self.number(u64::from(packed.is_some()));
        self.bytes
            .extend_from_slice(packed.as_deref().unwrap_or(digits));
    }
}

/// Two lower-case hexadecimal digits a byte; `None` if there are any other characters.
fn packed_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(digits.len() / 2);
    for two in digits.chunks(2) {
        let [high, low] = two else {
            return None;
        };
        packed.push(hex_value(*high)? << 4 | hex_value(*low)?);
    }
    Some(packed)
}

/// The instant in whole microseconds, rounded down.
pub(super) fn floor_micros(at: Timestamp) -> i64 {
    at.as_nanos().div_euclid(NANOS_PER_MICRO)
}

/// The instant in whole microseconds, rounded up.
pub(super) fn ceil_micros(at: Timestamp) -> i64 {
    let micros = at.as_nanos().div_euclid(NANOS_PER_MICRO);
    micros + i64::from(at.as_nanos().rem_euclid(NANOS_PER_MICRO) > 0)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl<'a> RowReader<'a> {
    /// Opens the row that was read under `key`.
    pub(super) fn open(
        key: &[u8],
        row: &'a [u8],
        clocks: &ClockMappings,
    ) -> Result<Self, RowError> {
        let mut reader = Self::open_plain(key, row)?;
        reader.clock = clocks.get(reader.small("clock")?)?;
        Ok(reader)
    }

    /// Opens a row that names no clock: none of its instants is converted.
    pub(super) fn open_plain(key: &[u8], row: &'a [u8]) -> Result<Self, RowError> {
        let (front, sum) = row.split_last_chunk::<4>().ok_or(RowError::Short)?;
        let (version, body) = front.split_first().ok_or(RowError::Short)?;
        if *sum != checksum(key, front) {
            return Err(RowError::Checksum);
        }
        if *version != VERSION {
            return Err(RowError::Version(*version));
        }
        Ok(Self {
            rest: body,
            clock: ClockMapping::default(),
        })
    }

    /// Whether all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Makes sure that all was read.
    pub(super) fn end(&self) -> Result<(), RowError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(RowError::Malformed("end"))
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, RowError> {
        take_number(&mut self.rest)
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, RowError> {
        T::try_from(self.number()?).map_err(|_| RowError::Malformed(what))
    }

    pub(super) fn signed(&mut self) -> Result<i64, RowError> {
        let folded = self.number()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// How many elements follow. Each takes at least a byte, so there cannot be more than bytes.
    pub(super) fn count(&mut self) -> Result<usize, RowError> {
        let count = self.small::<usize>("count")?;
        if count <= self.rest.len() {
            Ok(count)
        } else {
            Err(RowError::Short)
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RowError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RowError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RowError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| RowError::Malformed("text"))
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, RowError>,
    ) -> Result<Option<T>, RowError> {
        match self.number()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(RowError::Malformed("option")),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, RowError> {
        Ok(self.option(|_| Ok(()))?.is_some())
    }

    pub(super) fn span(&mut self) -> Result<Span, RowError> {
        self.signed().map(Span::from_nanos)
    }

    pub(super) fn offset(&mut self) -> Result<ReplicationOffset, RowError> {
        self.number().map(ReplicationOffset::new)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RowError> {
        self.number().map(Bytes::new)
    }

    pub(super) fn not_before(&mut self) -> Result<Timestamp, RowError> {
        let micros = self.signed()?;
        self.not_before_micros(micros)
    }

    pub(super) fn not_after(&mut self) -> Result<Timestamp, RowError> {
        let micros = self.signed()?;
        self.not_after_micros(micros)
    }

    /// The instant on the present clock, at the earliest.
    pub(super) fn not_before_micros(&self, micros: i64) -> Result<Timestamp, RowError> {
        let at = from_micros(micros);
        self.clock.not_before(at).ok_or(RowError::Future)
    }

    /// The instant on the present clock, at the latest.
    pub(super) fn not_after_micros(&self, micros: i64) -> Result<Timestamp, RowError> {
        let at = from_micros(micros);
        if let Some(at) = self.clock.not_after(at) {
            return Ok(at);
        }
        // Rounding up may have passed the present by less than a microsecond.
        let rounded_down = at - Span::from_nanos(NANOS_PER_MICRO);
        self.clock.not_after(rounded_down).ok_or(RowError::Future)
    }

    pub(super) fn replid(&mut self) -> Result<ReplicationId, RowError> {
        let invalid = RowError::Malformed("replid");
        let text = match self.number()? {
            0 => String::from_utf8(self.take(40)?.to_vec()).map_err(|_| invalid)?,
            1 => unpacked_hex(self.take(20)?),
            _ => return Err(invalid),
        };
        ReplicationId::parse(&text).ok_or(invalid)
    }

    pub(super) fn run_id(&mut self) -> Result<RunId, RowError> {
        RunId::parse(self.text()?).ok_or(RowError::Malformed("run_id"))
    }

    pub(super) fn server(&mut self) -> Result<ServerAddr, RowError> {
        ServerAddr::parse(self.text()?).map_err(|_| RowError::Malformed("address"))
    }
}

fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_nanos(micros.saturating_mul(NANOS_PER_MICRO))
}

fn unpacked_hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(hex_digit(byte >> 4));
        digits.push(hex_digit(byte & 15));
    }
    digits
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

fn take_number(rest: &mut &[u8]) -> Result<u64, RowError> {
    let mut value = 0_u64;
    for group in 0..10 {
        let (byte, after) = rest.split_first().ok_or(RowError::Short)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * group;
        if (bits << shift) >> shift != bits {
            return Err(RowError::Malformed("number"));
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(RowError::Malformed("number"))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone has one lifetime, not any"
    )]

    use super::*;
    use crate::store::testing::mappings;
    use proptest::prelude::*;

    fn read<T>(
        writer: &RowWriter,
        read: impl FnOnce(&mut RowReader<'_>) -> Result<T, RowError>,
    ) -> Result<T, RowError> {
        let row = seal(b"k", writer);
        let mappings = mappings();
        let mut reader = RowReader::open(b"k", &row, &mappings)?;
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    proptest! {
        #[test]
        fn numbers_are_decoded_as_they_were_encoded(a in any::<u64>(), b in any::<i64>(), small in 0_u64..200, text in ".{0,40}") {
            let mut writer = RowWriter::new(0);
            writer.number(a);
            writer.signed(b);
            writer.number(small);
            writer.text(&text);
            let back = read(&writer, |r| Ok((r.number()?, r.signed()?, r.number()?, r.text()?.to_owned())));
            prop_assert_eq!(back, Ok((a, b, small, text)));
        }

        #[test]
        fn instants_are_rounded_outwards(nanos in -1_000_000_000_000_000_i64..=0) {
            let at = Timestamp::from_nanos(nanos);
            let mut writer = RowWriter::new(0);
            writer.not_before(at);
            writer.not_after(at);
            let (lo, hi) = read(&writer, |r| Ok((r.not_before()?, r.not_after()?))).unwrap();
            prop_assert!(lo <= at && at <= hi && (hi - lo).as_nanos() <= NANOS_PER_MICRO, "{lo:?} {at:?} {hi:?}");
        }

        /// A row that was changed anywhere, or cut anywhere, is refused.
        #[test]
        fn a_changed_row_is_refused(body in proptest::collection::vec(any::<u8>(), 0..60), bit in any::<usize>(), cut in any::<usize>()) {
            let mut writer = RowWriter::new(0);
            writer.bytes.extend_from_slice(&body);
            let row = seal(b"key", &writer);
            let mappings = mappings();
            prop_assert!(RowReader::open(b"key", &row, &mappings).is_ok());
            prop_assert!(RowReader::open(b"kez", &row, &mappings).is_err());
            let mut flipped = row.clone();
            let bit = bit % (row.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(RowReader::open(b"key", &flipped, &mappings).is_err());
            prop_assert!(RowReader::open(b"key", &row[..cut % row.len()], &mappings).is_err());
        }
    }

    #[test]
    fn replids_are_packed_and_decoded_as_they_were_written() {
        for (text, length) in [("0a".repeat(20), 22), ("0A".repeat(20), 42)] {
            let replid = ReplicationId::parse(&text).unwrap();
            let mut writer = RowWriter::new(0);
            writer.replid(&replid);
            assert_eq!(writer.len(), length);
            assert_eq!(read(&writer, |r| r.replid()), Ok(replid));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut long = RowWriter::new(0);
        long.bytes.extend([0xff; 12]);
        assert_eq!(
            read(&long, |r| r.number()),
            Err(RowError::Malformed("number"))
        );
        let mut huge = RowWriter::new(0);
        huge.number(u64::MAX);
        assert_eq!(read(&huge, |r| r.count()), Err(RowError::Short));
        let mut soon = RowWriter::new(0);
        soon.signed(1_000_000);
        assert_eq!(read(&soon, |r| r.not_before()), Err(RowError::Future));
        assert_eq!(
            read(&RowWriter::new(7), |_| Ok(())),
            Err(RowError::BootClock(ClockRefusal::Unknown))
        );
        assert_eq!(
            RowReader::open(b"", &[], &mappings()).err(),
            Some(RowError::Short)
        );
    }
}
