//! What a receiver knows us by: Standard Webhooks, <https://www.standardwebhooks.com>, symmetric signatures (`v1`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`: one signature a key, separated by a space, each HMAC-SHA256 of id, seconds and body with dots between.
/// `seconds` is the Unix time of this attempt.
pub(super) fn signatures<'a>(keys: impl IntoIterator<Item = &'a [u8]>, id: &str, seconds: i64, body: &str) -> String {
    let one = |key: &[u8]| {
        // HMAC takes a key of any length (RFC 2104 §2).
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body.as_bytes());
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    };
    keys.into_iter().filter_map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::signing_key;

    /// The vector that the reference libraries of Standard Webhooks are tested with.
    #[test]
    fn a_signature_is_as_published() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = |keys: &[&[u8]]| {
            let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
            signatures(keys.iter().copied(), id, 1_614_265_330, body)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(&[&key]), expected);
        // While the receiver changes from the old one to the new one.
        let both = signed(&[&[1; 32], &key]);
        assert_eq!(both.split(' ').nth(1), Some(expected), "{both}");
        assert_eq!(both.split(' ').count(), 2);
    }
}
