//! Rows of documents: JSON of other rooms, with the number of the clock that its instants refer to.

use crate::store::codec::{RowError, RowReader, RowWriter, seal};

/// The row of a document.
pub(in crate::store) fn encode_document(clock: u32, key: &str, body: &str) -> Vec<u8> {
    let mut writer = RowWriter::new(clock);
    writer.text(body);
    seal(key.as_bytes(), &writer)
}

/// The number of the document's clock, and its JSON.
pub(in crate::store) fn decode_document(key: &str, row: &[u8]) -> Result<(u32, String), RowError> {
    let mut reader = RowReader::open_plain(key.as_bytes(), row)?;
    let clock = reader.small("clock")?;
    let body = reader.text()?.to_owned();
    reader.end()?;
    Ok((clock, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn documents_are_decoded_only_under_their_key(key in ".{0,40}", body in ".{0,200}", clock in any::<u32>()) {
            let row = encode_document(clock, &key, &body);
            prop_assert_eq!(decode_document(&key, &row), Ok((clock, body)));
            prop_assert_eq!(decode_document(&format!("{key}x"), &row), Err(RowError::Checksum));
        }
    }
}
