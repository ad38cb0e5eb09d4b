//! Signatures of webhooks by Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use crate::model::WallTime;

/// The headers with the time of an attempt and the signature of its body.
///
/// `id` is the same on every attempt; `at` is the attempt's own time, which receivers compare with
/// their clocks.
pub fn headers(key: &[u8], id: &str, at: WallTime, body: &[u8]) -> [(String, String); 2] {
    let timestamp = (at.as_nanos() / 1_000_000_000).to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    let signature = format!("v1,{}", BASE64_STANDARD.encode(context.sign()));
    [
        ("webhook-timestamp".to_owned(), timestamp),
        ("webhook-signature".to_owned(), signature),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::signing_key;

    /// The example that the specification's reference libraries test themselves with.
    #[test]
    fn the_signature_is_that_of_the_reference_libraries() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = WallTime::from_nanos(1_614_265_330_987_000_000);
        let [timestamp, signature] = headers(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            timestamp,
            ("webhook-timestamp".to_owned(), "1614265330".to_owned())
        );
        assert_eq!(
            signature.1,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
