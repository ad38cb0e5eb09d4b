//! Servers: what each counts, over its restarts and ours.

use super::entries;
use crate::model::ServerAddr;
use crate::replication::{RestartProofCounter, ServerRecord};
use crate::store::clock_mapping::ClockMappings;
use crate::store::codec::{RowError, RowReader, RowWriter};

/// One entry of a row of servers.
pub(in crate::store) fn encode_server(server: &ServerAddr, record: &ServerRecord) -> RowWriter {
    let mut writer = RowWriter::default();
    writer.text(&server.to_string());
    writer.option(record.own_port, |w, port| w.number(u64::from(port)));
    for counter in [
        &record.full_syncs,
        &record.partial_syncs_ok,
        &record.partial_syncs_denied,
    ] {
        let (total, last, life) = counter.parts();
        writer.option(total, RowWriter::number);
        writer.number(last);
        writer.option(life, |w, life| w.text(life.as_str()));
    }
    writer
}

pub(in crate::store) fn decode_servers(
    key: &[u8],
    row: &[u8],
    frames: &ClockMappings,
) -> Result<Vec<(ServerAddr, ServerRecord)>, RowError> {
    entries(RowReader::open(key, row, frames)?, |reader| {
        let server = reader.server()?;
        let record = ServerRecord {
            own_port: reader.option(|r| r.small("port"))?,
            full_syncs: read_counter(reader)?,
            partial_syncs_ok: read_counter(reader)?,
            partial_syncs_denied: read_counter(reader)?,
        };
        Ok((server, record))
    })
}

fn read_counter(reader: &mut RowReader<'_>) -> Result<RestartProofCounter, RowError> {
    let total = reader.option(RowReader::number)?;
    let last = reader.number()?;
    Ok(RestartProofCounter::from_parts(
        total,
        last,
        reader.option(RowReader::run_id)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;
    use crate::store::codec::seal;
    use crate::store::testing::{addr, frames};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn servers_come_back(port in any::<Option<u16>>(), total in any::<Option<u64>>(), last in any::<u64>(), life in "[0-9a-f]{0,40}") {
            let full_syncs = RestartProofCounter::from_parts(total, last, RunId::parse(&life));
            let record = ServerRecord { own_port: port, full_syncs, ..ServerRecord::default() };
            let mut writer = RowWriter::new(0);
            writer.append(&encode_server(&addr(), &record));
            prop_assert_eq!(decode_servers(b"0", &seal(b"0", &writer), &frames()), Ok(vec![(addr(), record)]));
        }

        #[test]
        fn no_bytes_break_it(body in proptest::collection::vec(0_u64..128, 0..100)) {
            let mut writer = RowWriter::new(0);
            for byte in body {
                writer.number(byte);
            }
            let _ = decode_servers(b"0", &seal(b"0", &writer), &frames());
        }
    }
}
