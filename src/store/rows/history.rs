//! Rows of offset histories: a master's snapshot, the deltas since then, and the clocks that the
//! instants in them refer to.

use super::entries;
use crate::model::{
    BootId, ClockAnchor, ReplicationId, ReplicationOffset, ServerAddr, Timestamp, WallTime,
};
use crate::replication::{DeltaRecord, EpochRecord, HistoryRecord, Plateau};
use crate::store::clock_mapping::{BootClock, ClockMappings};
use crate::store::codec::{RowError, RowReader, RowWriter, ceil_micros, floor_micros, seal};

/// A master's snapshot row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct SnapshotRow {
    /// The commit that wrote it: deltas of later commits are added to it.
    pub(in crate::store) commit: u64,
    /// When that was.
    pub(in crate::store) saved_at: Timestamp,
    pub(in crate::store) record: HistoryRecord,
}

/// The row of a clock. It names no clock, so its instants are not converted.
pub(in crate::store) fn encode_clock(number: u32, clock: &BootClock) -> Vec<u8> {
    let mut writer = RowWriter::default();
    writer.option(clock.boot, write_boot);
    writer.signed(clock.anchor.mono.as_nanos());
    writer.signed(clock.anchor.wall.as_nanos());
    seal(&number.to_be_bytes(), &writer)
}

pub(in crate::store) fn decode_clock(number: u32, row: &[u8]) -> Result<BootClock, RowError> {
    let mut reader = RowReader::open_plain(&number.to_be_bytes(), row)?;
    let boot = reader.option(read_boot)?;
    let mono = Timestamp::from_nanos(reader.signed()?);
    let wall = WallTime::from_nanos(reader.signed()?);
    reader.end()?;
    Ok(BootClock {
        boot,
        anchor: ClockAnchor { mono, wall },
    })
}

/// The 128 bits of a boot's ID: the high half, then the low one.
fn write_boot(writer: &mut RowWriter, boot: BootId) {
    let bits = boot.bits();
    for half in [bits >> 64, bits & u128::from(u64::MAX)] {
        writer.number(u64::try_from(half).unwrap_or_default());
    }
}

fn read_boot(reader: &mut RowReader<'_>) -> Result<BootId, RowError> {
    let high = u128::from(reader.number()?);
    let low = u128::from(reader.number()?);
    Ok(BootId::from_bits(high << 64 | low))
}

pub(in crate::store) fn encode_snapshot(
    clock: u32,
    server: &ServerAddr,
    snapshot: &SnapshotRow,
) -> Vec<u8> {
    let record = &snapshot.record;
    let mut writer = RowWriter::new(clock);
    writer.number(snapshot.commit);
    writer.not_before(snapshot.saved_at);
    writer.number(record.generation);
    writer.option(record.current.as_ref(), write_epoch);
    writer.number(record.closed.len() as u64);
    for closed in &record.closed {
        write_epoch(&mut writer, closed);
    }
    seal(server.to_string().as_bytes(), &writer)
}

pub(in crate::store) fn decode_snapshot(
    server: &ServerAddr,
    row: &[u8],
    mappings: &ClockMappings,
) -> Result<SnapshotRow, RowError> {
    let mut reader = RowReader::open(server.to_string().as_bytes(), row, mappings)?;
    let commit = reader.number()?;
    let saved_at = reader.not_before()?;
    let generation = reader.number()?;
    let current = reader.option(read_epoch)?;
    let mut closed = Vec::new();
    for _ in 0..reader.count()? {
        closed.push(read_epoch(&mut reader)?);
    }
    reader.end()?;
    Ok(SnapshotRow {
        commit,
        saved_at,
        record: HistoryRecord {
            generation,
            current,
            closed,
        },
    })
}

/// One entry of a row of deltas.
pub(in crate::store) fn encode_delta(server: &ServerAddr, delta: &DeltaRecord) -> RowWriter {
    let mut writer = RowWriter::default();
    writer.text(&server.to_string());
    writer.number(delta.generation);
    write_epoch(&mut writer, &delta.current);
    writer
}

pub(in crate::store) fn decode_deltas(
    key: &[u8],
    row: &[u8],
    mappings: &ClockMappings,
) -> Result<Vec<(ServerAddr, DeltaRecord)>, RowError> {
    entries(RowReader::open(key, row, mappings)?, |reader| {
        let server = reader.server()?;
        let delta = DeltaRecord {
            generation: reader.number()?,
            current: read_epoch(reader)?,
        };
        Ok((server, delta))
    })
}

/// Each plateau is written as its difference to the one before, which is a small number.
fn write_epoch(writer: &mut RowWriter, epoch: &EpochRecord) {
    writer.replid(&epoch.replid);
    writer.option(epoch.continues.as_ref(), write_shared);
    writer.number(epoch.plateaus.len() as u64);
    let mut offset_before = 0;
    let mut seen_before = 0;
    for plateau in &epoch.plateaus {
        let offset = plateau.offset.get();
        let seen = ceil_micros(plateau.first_seen);
        let sent = floor_micros(plateau.last_sent);
        writer.number(offset.wrapping_sub(offset_before));
        writer.signed(seen.wrapping_sub(seen_before));
        writer.signed(sent.wrapping_sub(seen));
        offset_before = offset;
        seen_before = seen;
    }
}

fn read_epoch(reader: &mut RowReader<'_>) -> Result<EpochRecord, RowError> {
    let replid = reader.replid()?;
    let continues = reader.option(read_shared)?;
    let count = reader.count()?;
    let mut offset: u64 = 0;
    let mut seen: i64 = 0;
    let mut plateaus = Vec::with_capacity(count);
    for _ in 0..count {
        offset = offset.wrapping_add(reader.number()?);
        seen = seen.wrapping_add(reader.signed()?);
        let sent = seen.wrapping_add(reader.signed()?);
        plateaus.push(Plateau {
            offset: ReplicationOffset::new(offset),
            first_seen: reader.not_after_micros(seen)?,
            last_sent: reader.not_before_micros(sent)?,
        });
    }
    Ok(EpochRecord {
        replid,
        continues,
        plateaus,
    })
}

/// The history that an epoch continues, and the last offset that both share.
fn write_shared(writer: &mut RowWriter, (replid, last): &(ReplicationId, ReplicationOffset)) {
    writer.replid(replid);
    writer.offset(*last);
}

fn read_shared(reader: &mut RowReader<'_>) -> Result<(ReplicationId, ReplicationOffset), RowError> {
    Ok((reader.replid()?, reader.offset()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{addr, history_record, history_strategy, mappings};
    use proptest::prelude::*;

    #[test]
    fn a_clock_is_decoded_only_under_its_number() {
        let anchor = ClockAnchor {
            mono: Timestamp::from_nanos(-5),
            wall: WallTime::from_nanos(i64::MAX),
        };
        for boot in [None, Some(BootId::from_bits(u128::MAX - 7))] {
            let clock = BootClock { boot, anchor };
            let row = encode_clock(3, &clock);
            assert_eq!(decode_clock(3, &row), Ok(clock));
            assert_eq!(decode_clock(4, &row), Err(RowError::Checksum));
        }
    }

    proptest! {
        #[test]
        fn histories_are_decoded_as_they_were_encoded(record in history_strategy(), commit in any::<u64>()) {
            let snapshot = SnapshotRow { commit, saved_at: Timestamp::from_nanos(-1_000), record };
            let row = encode_snapshot(0, &addr(), &snapshot);
            prop_assert_eq!(decode_snapshot(&addr(), &row, &mappings()), Ok(snapshot.clone()));
            if let Some(current) = snapshot.record.current {
                let delta = DeltaRecord { generation: snapshot.record.generation, current };
                let mut writer = RowWriter::new(0);
                writer.append(&encode_delta(&addr(), &delta));
                writer.append(&encode_delta(&addr(), &delta));
                let back = decode_deltas(b"t", &seal(b"t", &writer), &mappings());
                prop_assert_eq!(back, Ok(vec![(addr(), delta.clone()), (addr(), delta)]));
            }
        }

        /// Arbitrary bytes under a valid checksum: an error, no panic, no
        /// gigabytes.
        #[test]
        fn any_bytes_give_a_value_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut writer = RowWriter::new(0);
            body.chunks(1).for_each(|byte| writer.number(u64::from(byte[0] & 0x7f)));
            let row = seal(addr().to_string().as_bytes(), &writer);
            let _ = decode_snapshot(&addr(), &row, &mappings());
            let _ = decode_deltas(addr().to_string().as_bytes(), &row, &mappings());
        }

        #[test]
        fn every_cut_and_every_flipped_bit_is_refused(bit in any::<usize>(), cut in any::<usize>()) {
            let snapshot = SnapshotRow { commit: 7, saved_at: Timestamp::from_nanos(0), record: history_record() };
            let row = encode_snapshot(0, &addr(), &snapshot);
            let mut flipped = row.clone();
            let bit = bit % (row.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_snapshot(&addr(), &flipped, &mappings()).is_err());
            prop_assert!(decode_snapshot(&addr(), &row[..cut % row.len()], &mappings()).is_err());
        }
    }

    #[test]
    fn a_record_of_a_busy_master_takes_ten_bytes() {
        let record = history_record();
        let plateaus = record.current.as_ref().unwrap().plateaus.len();
        let row = encode_snapshot(
            0,
            &addr(),
            &SnapshotRow {
                commit: 1,
                saved_at: Timestamp::from_nanos(0),
                record,
            },
        );
        assert!(
            row.len() <= plateaus * 10,
            "{} bytes for {plateaus} records",
            row.len()
        );
    }
}
