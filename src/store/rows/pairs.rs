//! Rows of pairs: where each replica was located, the last certified statement about it, and its
//! counters.

use super::entries;
use crate::model::PairKey;
use crate::replication::{
    Bracket, LagBytes, LagInterval, LastKnown, LinkLossRecord, LocatedRecord, PairRecord,
};
use crate::store::clock_mapping::ClockMappings;
use crate::store::codec::{RowError, RowReader, RowWriter};

/// One entry of a row of pairs.
pub(in crate::store) fn encode_pair(key: &PairKey, record: &PairRecord) -> RowWriter {
    let mut writer = RowWriter::default();
    writer.text(&key.saved_name());
    writer.text(&key.replica.to_string());
    writer.option(record.located.as_ref(), write_located);
    writer.option(record.last_known, write_last_known);
    writer.option(record.applied_total, RowWriter::number);
    writer.option(record.counted_to.as_ref(), |w, (replid, to)| {
        w.replid(replid);
        w.offset(*to);
    });
    writer.flag(record.resynced);
    writer.option(record.usual, |w, (lag, deviation)| {
        w.span(lag);
        w.span(deviation);
    });
    writer.option(record.silent_since, RowWriter::not_before);
    writer.flag(record.ack_seen);
    writer.flag(record.synced_since);
    for syncs in record.syncs {
        writer.option(syncs, RowWriter::number);
    }
    writer
}

pub(in crate::store) fn decode_pairs(
    key: &[u8],
    row: &[u8],
    mappings: &ClockMappings,
) -> Result<Vec<(PairKey, PairRecord)>, RowError> {
    entries(RowReader::open(key, row, mappings)?, |reader| {
        let saved_name = reader.text()?.to_owned();
        let key = PairKey::from_saved(&saved_name, reader.server()?);
        let record = PairRecord {
            located: reader.option(read_located)?,
            last_known: reader.option(read_last_known)?,
            applied_total: reader.option(RowReader::number)?,
            counted_to: reader.option(|r| Ok((r.replid()?, r.offset()?)))?,
            resynced: reader.flag()?,
            usual: reader.option(|r| Ok((r.span()?, r.span()?)))?,
            silent_since: reader.option(RowReader::not_before)?,
            ack_seen: reader.flag()?,
            synced_since: reader.flag()?,
            syncs: [
                reader.option(RowReader::number)?,
                reader.option(RowReader::number)?,
            ],
        };
        Ok((key, record))
    })
}

fn write_last_known(writer: &mut RowWriter, known: LastKnown) {
    writer.span(known.upper);
    writer.option(known.upper_bytes, RowWriter::bytes);
    writer.not_before(known.at);
}

fn read_last_known(reader: &mut RowReader<'_>) -> Result<LastKnown, RowError> {
    Ok(LastKnown {
        upper: reader.span()?,
        upper_bytes: reader.option(RowReader::bytes)?,
        at: reader.not_before()?,
    })
}

/// Instants from which a bound follows are rounded so that the bound can only widen; the others are
/// only displayed.
fn write_located(writer: &mut RowWriter, at: &LocatedRecord) {
    writer.replid(&at.replid);
    writer.offset(at.applied);
    writer.option(at.at_most, RowWriter::offset);
    writer.offset(at.read);
    writer.not_before(at.shown);
    writer.option(at.lost, write_link_loss);
    writer.not_before(at.sent);
    writer.not_before(at.received);
    writer.span(at.half_rtt);
    writer.number(at.generation);
    writer.option(at.bracket.lo, RowWriter::not_before);
    writer.option(at.bracket.hi, RowWriter::not_after);
    write_lag(writer, at.at_sample);
    write_lag_bytes(writer, at.bytes);
    writer.number(u64::from(at.same_applied));
    writer.number(u64::from(at.same_received));
}

fn read_located(reader: &mut RowReader<'_>) -> Result<LocatedRecord, RowError> {
    Ok(LocatedRecord {
        replid: reader.replid()?,
        applied: reader.offset()?,
        at_most: reader.option(RowReader::offset)?,
        read: reader.offset()?,
        shown: reader.not_before()?,
        lost: reader.option(read_link_loss)?,
        sent: reader.not_before()?,
        received: reader.not_before()?,
        half_rtt: reader.span()?,
        generation: reader.number()?,
        bracket: Bracket {
            lo: reader.option(RowReader::not_before)?,
            hi: reader.option(RowReader::not_after)?,
        },
        at_sample: read_lag(reader)?,
        bytes: read_lag_bytes(reader)?,
        same_applied: reader.small("count of polls")?,
        same_received: reader.small("count of polls")?,
    })
}

fn write_link_loss(writer: &mut RowWriter, lost: LinkLossRecord) {
    writer.not_before(lost.after);
    writer.not_after(lost.before);
    writer.span(lost.lag);
}

fn read_link_loss(reader: &mut RowReader<'_>) -> Result<LinkLossRecord, RowError> {
    Ok(LinkLossRecord {
        after: reader.not_before()?,
        before: reader.not_after()?,
        lag: reader.span()?,
    })
}

fn write_lag(writer: &mut RowWriter, lag: LagInterval) {
    writer.option(lag.lower, RowWriter::span);
    writer.option(lag.estimate, RowWriter::span);
    writer.option(lag.upper, RowWriter::span);
}

fn read_lag(reader: &mut RowReader<'_>) -> Result<LagInterval, RowError> {
    Ok(LagInterval {
        lower: reader.option(RowReader::span)?,
        estimate: reader.option(RowReader::span)?,
        upper: reader.option(RowReader::span)?,
    })
}

fn write_lag_bytes(writer: &mut RowWriter, bytes: LagBytes) {
    writer.option(bytes.lower, RowWriter::bytes);
    writer.option(bytes.estimate, RowWriter::bytes);
    writer.option(bytes.upper, RowWriter::bytes);
}

fn read_lag_bytes(reader: &mut RowReader<'_>) -> Result<LagBytes, RowError> {
    Ok(LagBytes {
        lower: reader.option(RowReader::bytes)?,
        estimate: reader.option(RowReader::bytes)?,
        upper: reader.option(RowReader::bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::seal;
    use crate::store::testing::{mappings, pair_key, pair_record};
    use proptest::prelude::*;

    fn row(records: &[PairRecord]) -> Vec<u8> {
        let mut writer = RowWriter::new(0);
        for record in records {
            writer.append(&encode_pair(&pair_key(), record));
        }
        seal(b"0", &writer)
    }

    #[test]
    fn pairs_are_decoded_as_they_were_encoded() {
        let known = PairRecord {
            located: None,
            ..pair_record()
        };
        let records = [pair_record(), known, PairRecord::default()];
        let expected: Vec<_> = records
            .iter()
            .map(|record| (pair_key(), record.clone()))
            .collect();
        assert_eq!(
            decode_pairs(b"0", &row(&records), &mappings()),
            Ok(expected)
        );
    }

    proptest! {
        #[test]
        fn every_cut_and_every_flipped_bit_is_refused(bit in any::<usize>(), cut in any::<usize>()) {
            let row = row(&[pair_record()]);
            let mut flipped = row.clone();
            let bit = bit % (row.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_pairs(b"0", &flipped, &mappings()).is_err());
            prop_assert!(decode_pairs(b"0", &row[..cut % row.len()], &mappings()).is_err());
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(body in proptest::collection::vec(0_u64..128, 0..200)) {
            let mut writer = RowWriter::new(0);
            for byte in body {
                writer.number(byte);
            }
            let _ = decode_pairs(b"0", &seal(b"0", &writer), &mappings());
        }
    }
}
