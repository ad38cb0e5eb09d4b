//! A hash that is the same after a restart, in every version and on every machine.

/// Follows each text in the hash; it never occurs in UTF-8.
const END_OF_TEXT: u8 = 0xff;

/// FNV-1a (64 bit) over `texts`. Each is followed by `END_OF_TEXT`, so that `["ab", "c"]` and
/// `["a", "bc"]` have different hashes.
pub fn stable_hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for text in texts {
        for byte in text.bytes().chain([END_OF_TEXT]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes_and_texts_do_not_run_together() {
        assert_eq!(stable_hash(["a"]), 0x089b_c907_b544_c769);
        assert_ne!(stable_hash(["ab", "c"]), stable_hash(["a", "bc"]));
    }
}
