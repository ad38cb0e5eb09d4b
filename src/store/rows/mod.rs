//! Encodes and decodes the rows of the database, one file for each kind of row.

mod documents;
mod history;
mod pairs;
mod servers;

pub(super) use documents::{decode_document, encode_document};
pub(super) use history::{
    SnapshotRow, decode_clock, decode_deltas, decode_snapshot, encode_clock, encode_delta,
    encode_snapshot,
};
pub(super) use pairs::{decode_pairs, encode_pair};
pub(super) use servers::{decode_servers, encode_server};

use super::codec::{RowError, RowReader, RowWriter, seal};

/// Rows of many small entries are at most this long: with its header such a row fills sixteen pages
/// of the database.
pub(super) const CHUNK: usize = 60_000;

/// Entries packed into as few rows as they fit into, sealed under their keys.
pub(super) fn pack<'a>(
    clock: u32,
    entries: impl Iterator<Item = RowWriter> + 'a,
    key: impl Fn(u32) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    let mut number = 0;
    let mut row = RowWriter::new(clock);
    let empty = row.len();
    for entry in entries {
        let is_full = row.len() + entry.len() > CHUNK;
        if row.len() > empty && is_full {
            rows.push(seal(&key(number), &row));
            number += 1;
            row = RowWriter::new(clock);
        }
        row.append(&entry);
    }
    if row.len() > empty {
        rows.push(seal(&key(number), &row));
    }
    rows
}

/// Reads entries until the row ends.
fn entries<'a, T>(
    mut reader: RowReader<'a>,
    read: impl Fn(&mut RowReader<'a>) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(read(&mut reader)?);
    }
    Ok(all)
}
