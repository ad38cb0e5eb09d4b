//! The signing key of webhooks, in the notation of Standard Webhooks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The prefix of a symmetric secret
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>).
const PREFIX: &str = "whsec_";

/// The lengths that the specification allows: a shorter key can be guessed, and a longer one than
/// the block of HMAC-SHA256 gains nothing.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key in `secret`: `whsec_` and the base64 of 24 to 64 bytes.
///
/// # Errors
/// The end of a sentence that begins with "the value"; contains nothing of it.
pub fn signing_key(secret: &str) -> Result<Vec<u8>, &'static str> {
    const WRONG: &str = "is no signing secret of Standard Webhooks; it begins with whsec_, and base64 of 24 to 64 bytes \
                         follows (make one: echo whsec_$(head -c 32 /dev/urandom | base64))";
    let encoded = secret.strip_prefix(PREFIX).ok_or(WRONG)?;
    BASE64_STANDARD
        .decode(encoded)
        .ok()
        .filter(|key| KEY_BYTES.contains(&key.len()))
        .ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_specifications_keys_are_taken() {
        let of = |length: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; length]));
        for (secret, length) in [
            (of(24), Some(24)),
            (of(64), Some(64)),
            (of(23), None),
            (of(65), None),
        ] {
            assert_eq!(
                signing_key(&secret).ok().map(|key| key.len()),
                length,
                "{secret}"
            );
        }
        for wrong in ["", "whsec_", "whsec_hunter2!", &of(24)[6..], "whsk_AAAA"] {
            let sentence = signing_key(wrong).unwrap_err();
            assert!(
                wrong.is_empty()
                    || !sentence.contains(&wrong[wrong.len().min(6)..])
                    || wrong == "whsec_"
            );
        }
    }
}
