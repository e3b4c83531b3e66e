//! What a browser's audio line says besides codecs: who it is to ICE (RFC 8839) and to DTLS (RFC 8122, RFC 8842).
//!
//! Ours is an ICE-lite agent (RFC 8445 §2.5): it gives one host candidate, answers checks, and looks at nobody's candidates, so none of
//! a peer's candidate lines (host names of mDNS among them) is read, and nothing is ever sent to an address that a description names.

use serde::{Deserialize, Serialize};

/// `a=ice-ufrag` and `a=ice-pwd` of one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// 4 to 256 characters of `ice-char`.
    pub ufrag: String,
    /// 22 to 256 characters of `ice-char`.
    pub pwd: String,
}

impl IceCredentials {
    /// From 24 random bytes: 8 characters for the fragment, 24 for the password (RFC 8445 §5.3 asks for 24 and 128 bits of chance).
    pub fn of_chance(bytes: &[u8; 24]) -> IceCredentials {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        let (ufrag, pwd) = text.split_at(8);
        IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() }
    }

    /// As a peer wrote them; `None` if they break the grammar.
    pub fn read(ufrag: &str, pwd: &str) -> Option<IceCredentials> {
        let is_ice = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        let fits = (4..=256).contains(&ufrag.len()) && (22..=256).contains(&pwd.len()) && is_ice(ufrag) && is_ice(pwd);
        fits.then(|| IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }
}

/// SHA-256 of a certificate: the only hash that is written or believed (RFC 8122 §5 has us choose; every browser offers it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The value of `a=fingerprint`: `sha-256 AB:CD:…`.
    pub fn read(value: &str) -> Option<Fingerprint> {
        let (hash, text) = value.trim().split_once(' ')?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut bytes = [0; 32];
        let mut parts = text.trim().split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Fingerprint(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha-256 ")?;
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Who sends the ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DtlsRole {
    /// We wait for it: `a=setup:passive`, as every answer of ours says where it may.
    Server,
    Client,
}

/// What offer and answer agreed on for a leg that is a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceDtls {
    pub ours: IceCredentials,
    pub theirs: IceCredentials,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// Ours.
    pub role: DtlsRole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_the_lengths_of_rfc_8839_and_its_characters_only() {
        let c = IceCredentials::of_chance(&[0xff; 24]);
        assert_eq!((c.ufrag.len(), c.pwd.len()), (8, 24));
        assert_eq!(IceCredentials::read(&c.ufrag, &c.pwd), Some(c));
        let pwd = "a".repeat(22);
        for (ufrag, pwd, good) in [
            ("abc", &*pwd, false),
            ("abcd", &pwd, true),
            ("abcd", &pwd[1..], false),
            ("ab d", &pwd, false),
            ("ab:d", &pwd, false),
        ] {
            assert_eq!(IceCredentials::read(ufrag, pwd).is_some(), good, "{ufrag} {pwd}");
        }
    }

    #[test]
    fn a_fingerprint_is_32_bytes_of_sha_256_and_prints_as_it_is_read() {
        let text = format!("sha-256 {}", ["0A"; 32].join(":"));
        assert_eq!(Fingerprint::read(&text), Some(Fingerprint([10; 32])));
        assert_eq!(Fingerprint([10; 32]).to_string(), text);
        assert!(Fingerprint::read(&text.to_lowercase()).is_some());
        for bad in
            ["", "sha-256", "sha-256 0A", &format!("{text}:0A"), &text.replace("sha-256", "sha-1"), &text.replace("0A", "+A")]
        {
            assert_eq!(Fingerprint::read(bad), None, "{bad}");
        }
    }
}
