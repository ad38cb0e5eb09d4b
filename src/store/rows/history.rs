//! Histories: a master's snapshot row, the deltas that came since, and the clock that their instants are
//! on.

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
    /// The commit that wrote it: later deltas belong to it.
    pub(in crate::store) commit: u64,
    /// When that was.
    pub(in crate::store) saved_at: Timestamp,
    pub(in crate::store) record: HistoryRecord,
}

/// The row of a clock. It is on no clock itself: nothing in it is converted.
pub(in crate::store) fn encode_clock(number: u32, clock: &BootClock) -> Vec<u8> {
    let mut writer = RowWriter::default();
    writer.option(clock.boot, |w, boot| {
        let halves = [boot.bits() >> 64, boot.bits() & u128::from(u64::MAX)];
        halves
            .map(|half| u64::try_from(half).unwrap_or_default())
            .into_iter()
            .for_each(|half| w.number(half));
    });
    writer.signed(clock.anchor.mono.as_nanos());
    writer.signed(clock.anchor.wall.as_nanos());
    seal(&number.to_be_bytes(), &writer)
}

pub(in crate::store) fn decode_clock(number: u32, row: &[u8]) -> Result<BootClock, RowError> {
    let mut reader = RowReader::open_plain(&number.to_be_bytes(), row)?;
    let boot = reader.option(|r| Ok(u128::from(r.number()?) << 64 | u128::from(r.number()?)))?;
    let mono = Timestamp::from_nanos(reader.signed()?);
    let wall = WallTime::from_nanos(reader.signed()?);
    reader.end()?;
    Ok(BootClock {
        boot: boot.map(BootId::from_bits),
        anchor: ClockAnchor { mono, wall },
    })
}

pub(in crate::store) fn encode_snapshot(
    clock: u32,
    server: &ServerAddr,
    snapshot: &SnapshotRow,
) -> Vec<u8> {
    let mut writer = RowWriter::new(clock);
    writer.number(snapshot.commit);
    writer.not_before(snapshot.saved_at);
    writer.number(snapshot.record.generation);
    writer.option(snapshot.record.current.as_ref(), epoch);
    writer.number(snapshot.record.closed.len() as u64);
    snapshot
        .record
        .closed
        .iter()
        .for_each(|closed| epoch(&mut writer, closed));
    seal(server.to_string().as_bytes(), &writer)
}

pub(in crate::store) fn decode_snapshot(
    server: &ServerAddr,
    row: &[u8],
    frames: &ClockMappings,
) -> Result<SnapshotRow, RowError> {
    let mut reader = RowReader::open(server.to_string().as_bytes(), row, frames)?;
    let commit = reader.number()?;
    let saved_at = reader.not_before()?;
    let generation = reader.number()?;
    let current = reader.option(read_epoch)?;
    let count = reader.count()?;
    let closed = (0..count)
        .map(|_| read_epoch(&mut reader))
        .collect::<Result<_, _>>()?;
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
    epoch(&mut writer, &delta.current);
    writer
}

pub(in crate::store) fn decode_deltas(
    key: &[u8],
    row: &[u8],
    frames: &ClockMappings,
) -> Result<Vec<(ServerAddr, DeltaRecord)>, RowError> {
    entries(RowReader::open(key, row, frames)?, |reader| {
        let server = reader.server()?;
        let generation = reader.number()?;
        Ok((
            server,
            DeltaRecord {
                generation,
                current: read_epoch(reader)?,
            },
        ))
    })
}

fn epoch(writer: &mut RowWriter, epoch: &EpochRecord) {
    writer.replid(&epoch.replid);
    writer.option(epoch.continues.as_ref(), shared);
    writer.number(epoch.plateaus.len() as u64);
    let (mut offset, mut seen) = (0, 0);
    for plateau in &epoch.plateaus {
        let first_seen = ceil_micros(plateau.first_seen);
        writer.number(plateau.offset.get().wrapping_sub(offset));
        writer.signed(first_seen.wrapping_sub(seen));
        writer.signed(floor_micros(plateau.last_sent).wrapping_sub(first_seen));
        (offset, seen) = (plateau.offset.get(), first_seen);
    }
}

fn read_epoch(reader: &mut RowReader<'_>) -> Result<EpochRecord, RowError> {
    let replid = reader.replid()?;
    let continues = reader.option(read_shared)?;
    let count = reader.count()?;
    let (mut offset, mut seen) = (0_u64, 0_i64);
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

fn shared(writer: &mut RowWriter, (replid, last): &(ReplicationId, ReplicationOffset)) {
    writer.replid(replid);
    writer.offset(*last);
}

fn read_shared(reader: &mut RowReader<'_>) -> Result<(ReplicationId, ReplicationOffset), RowError> {
    Ok((reader.replid()?, reader.offset()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{addr, frames, history_record, history_strategy};
    use proptest::prelude::*;

    #[test]
    fn a_clock_comes_back_under_its_own_number_only() {
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
        fn histories_come_back(record in history_strategy(), commit in any::<u64>()) {
            let snapshot = SnapshotRow { commit, saved_at: Timestamp::from_nanos(-1_000), record };
            let row = encode_snapshot(0, &addr(), &snapshot);
            prop_assert_eq!(decode_snapshot(&addr(), &row, &frames()), Ok(snapshot.clone()));
            if let Some(current) = snapshot.record.current {
                let delta = DeltaRecord { generation: snapshot.record.generation, current };
                let mut writer = RowWriter::new(0);
                writer.append(&encode_delta(&addr(), &delta));
                writer.append(&encode_delta(&addr(), &delta));
                let back = decode_deltas(b"t", &seal(b"t", &writer), &frames());
                prop_assert_eq!(back, Ok(vec![(addr(), delta.clone()), (addr(), delta)]));
            }
        }

        /// Bytes that nobody wrote, under a checksum that is right: a reason, no panic, no
        /// gigabytes.
        #[test]
        fn no_bytes_break_it(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut writer = RowWriter::new(0);
            body.chunks(1).for_each(|byte| writer.number(u64::from(byte[0] & 0x7f)));
            let row = seal(addr().to_string().as_bytes(), &writer);
            let _ = decode_snapshot(&addr(), &row, &frames());
            let _ = decode_deltas(addr().to_string().as_bytes(), &row, &frames());
        }

        #[test]
        fn every_cut_and_every_flipped_bit_is_refused(bit in any::<usize>(), cut in any::<usize>()) {
            let snapshot = SnapshotRow { commit: 7, saved_at: Timestamp::from_nanos(0), record: history_record() };
            let row = encode_snapshot(0, &addr(), &snapshot);
            let mut flipped = row.clone();
            let bit = bit % (row.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_snapshot(&addr(), &flipped, &frames()).is_err());
            prop_assert!(decode_snapshot(&addr(), &row[..cut % row.len()], &frames()).is_err());
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
