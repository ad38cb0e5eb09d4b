//! Rows of servers: their counters, which go on over restarts of the server and of this program.

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
    write_counter(&mut writer, &record.full_syncs);
    write_counter(&mut writer, &record.partial_syncs_ok);
    write_counter(&mut writer, &record.partial_syncs_denied);
    writer
}

pub(in crate::store) fn decode_servers(
    key: &[u8],
    row: &[u8],
    mappings: &ClockMappings,
) -> Result<Vec<(ServerAddr, ServerRecord)>, RowError> {
    entries(RowReader::open(key, row, mappings)?, |reader| {
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

fn write_counter(writer: &mut RowWriter, counter: &RestartProofCounter) {
    let (total, last, run_id) = counter.parts();
    writer.option(total, RowWriter::number);
    writer.number(last);
    writer.option(run_id, |w, run_id| w.text(run_id.as_str()));
}

fn read_counter(reader: &mut RowReader<'_>) -> Result<RestartProofCounter, RowError> {
    let total = reader.option(RowReader::number)?;
    let last = reader.number()?;
    let run_id = reader.option(RowReader::run_id)?;
    Ok(RestartProofCounter::from_parts(total, last, run_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;
    use crate::store::codec::seal;
    use crate::store::testing::{addr, mappings};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn servers_are_decoded_as_they_were_encoded(port in any::<Option<u16>>(), total in any::<Option<u64>>(), last in any::<u64>(), life in "[0-9a-f]{0,40}") {
            let full_syncs = RestartProofCounter::from_parts(total, last, RunId::parse(&life));
            let record = ServerRecord { own_port: port, full_syncs, ..ServerRecord::default() };
            let mut writer = RowWriter::new(0);
            writer.append(&encode_server(&addr(), &record));
            prop_assert_eq!(decode_servers(b"0", &seal(b"0", &writer), &mappings()), Ok(vec![(addr(), record)]));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(body in proptest::collection::vec(0_u64..128, 0..100)) {
            let mut writer = RowWriter::new(0);
            for byte in body {
                writer.number(byte);
            }
            let _ = decode_servers(b"0", &seal(b"0", &writer), &mappings());
        }
    }
}
