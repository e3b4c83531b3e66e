//! `a=crypto` (RFC 4568): `<tag> <suite> inline:<key and salt>[|lifetime][|MKI:length] [session parameters]`.
//!
//! A line that we could not keep to is passed over whole, as if it were not there (§7.1.2): a suite that we lack, a key of another length,
//! an MKI (which would stand in each packet), several keys, a session parameter that we do not know, or one that turns encryption or tags
//! off. A lifetime says nothing to us: no call sends 2^31 packets. It must be readable all the same.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::rtp::srtp::{Master, Suite};

/// Some phones leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a side wants of encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// Plain RTP only.
    #[default]
    Off,
    /// Encrypted where the other side asks for it, and from then on.
    Preferred,
    /// Encrypted, or not at all.
    Required,
}

/// A line that we can keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crypto {
    /// The answer names the line that it takes by it.
    pub tag: u32,
    pub master: Master,
}

impl Crypto {
    /// Reads the value of the attribute.
    pub fn parse(text: &str) -> Option<Crypto> {
        let mut words = text.split_ascii_whitespace();
        let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
        // One to nine digits (§9.1).
        let tag = Some(tag).filter(|t| t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let suite = Suite::named(suite)?;
        // Several keys are told apart by MKIs, which we have not.
        let key = strip_inline(key).filter(|k| !k.contains(';'))?;
        let mut parts = key.split('|');
        let bytes = BASE64.decode(parts.next()?).ok()?;
        // One lifetime; an MKI has a colon.
        if !parts.next().is_none_or(is_lifetime) || parts.next().is_some() {
            return None;
        }
        // A hint at how far behind packets may come binds nobody (§6.3.7); each other parameter would.
        let harmless = |word: &str| word.get(..4).is_some_and(|w| w.eq_ignore_ascii_case("WSH="));
        if !words.all(harmless) {
            return None;
        }
        Some(Crypto { tag, master: Master::new(suite, &bytes)? })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} inline:{}", self.tag, self.master.suite().name(), BASE64.encode(self.master.bytes()))
    }
}

fn strip_inline(text: &str) -> Option<&str> {
    let (method, key) = text.split_once(':')?;
    method.eq_ignore_ascii_case("inline").then_some(key)
}

/// `2^31`, or plain decimal.
fn is_lifetime(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.len() <= 19 && t.bytes().all(|b| b.is_ascii_digit());
    digits(text.strip_prefix("2^").unwrap_or(text))
}

/// A body's `a=crypto` lines with other keys, each as long as it was: what `other` makes of the bytes of one. A key that can't be read
/// stays unreadable. `None`: the body has none.
pub fn with_other_keys(body: &[u8], mut other: impl FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    const INLINE: &[u8] = b"inline:";
    let mut out = Vec::with_capacity(body.len());
    let mut found = false;
    for line in body.split_inclusive(|b| matches!(b, b'\r' | b'\n')) {
        let mut rest = line;
        while is_key(line)
            && let Some(at) = rest.windows(INLINE.len()).position(|w| w.eq_ignore_ascii_case(INLINE))
        {
            found = true;
            let (front, key) = rest.split_at(at + INLINE.len());
            let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'|' | b';');
            let (key, behind) = key.split_at(key.iter().position(ends).unwrap_or(key.len()));
            out.extend_from_slice(front);
            let mut instead = BASE64.decode(key).map(|key| BASE64.encode(other(&key)).into_bytes()).unwrap_or_default();
            instead.resize(key.len(), b'!');
            out.extend_from_slice(&instead);
            rest = behind;
        }
        out.extend_from_slice(rest);
    }
    found.then_some(out)
}

/// Whether a line of a body holds a key; also as phones err, with spaces.
fn is_key(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let is_a = line.first().is_some_and(|a| a.eq_ignore_ascii_case(&b'a'));
    let Some(value) = line.get(1..).filter(|_| is_a).map(<[u8]>::trim_ascii_start).and_then(|l| l.strip_prefix(b"=")) else {
        return false;
    };
    value.trim_ascii_start().get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"crypto"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn a_line_that_we_can_keep_to_is_read_and_written() {
        let read = |text: &str| Crypto::parse(text).map(|c| c.to_string());
        let plain = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        for text in [
            plain.clone(),
            format!("{plain}|2^31"),
            format!("{plain}|2147483648"),
            format!("{plain}|2^20 WSH=64"),
            format!("1  aes_cm_128_hmac_sha1_80   INLINE:{KEY}"),
        ] {
            assert_eq!(read(&text), Some(plain.clone()), "{text}");
        }
        let bare = read("7 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCw").unwrap();
        assert_eq!(bare, "7 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCw==");
    }

    #[test]
    fn a_line_that_we_could_not_keep_to_is_passed_over() {
        for text in [
            String::new(),
            "1".into(),
            "1 AES_CM_128_HMAC_SHA1_80".into(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=".into(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:!!!".into(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=3"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 KDR=3"),
        ] {
            assert_eq!(Crypto::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn other_keys_are_put_in_place_and_nothing_else_changes() {
        let body = format!(
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31\r\n A = CRYPTO:2 X inline:!\r\na=x inline:y\r\n"
        );
        let other = with_other_keys(body.as_bytes(), |key| vec![0; key.len()]).unwrap();
        let other = String::from_utf8(other).unwrap();
        assert_eq!(other, body.replace(KEY, &"A".repeat(KEY.len())));
        assert_eq!(with_other_keys(b"v=0\r\na=sendrecv\r\n", |key| key.to_vec()), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([ -~]{0,20}|[0-9]{1,10} AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/=|:;^ ]{0,60})") {
            let _ = Crypto::parse(&text);
            let _ = with_other_keys(format!("a=crypto:{text}").as_bytes(), |key| key.to_vec());
        }
    }
}
