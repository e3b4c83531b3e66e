//! What a browser's audio line says besides codecs: who it is to ICE (RFC 8839) and to DTLS (RFC 8122, RFC 8842).
//!
//! Our agent gives one host candidate, lite or full ([`IceAgent`]). A lite one (RFC 8445 §2.5) answers checks and looks at nobody's
//! candidates: nothing is ever sent to an address that a description names. A full one is given the peer's (`candidate`).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::candidate::{Candidate, Candidates};

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

/// Our implementation of ICE, for a dialog's life (RFC 8445 §2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IceAgent {
    #[default]
    Lite,
    Full,
}

/// What this process brings to every browser's leg, and what one leg's credentials are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurDtls {
    pub fingerprint: Fingerprint,
    /// Chance, for the dialog's life.
    pub seed: [u8; 24],
    #[serde(default)]
    pub agent: IceAgent,
}

impl OurDtls {
    /// Those after so many ICE restarts.
    pub(super) fn credentials(&self, restarts: u32) -> IceCredentials {
        let hash = Sha256::new().chain_update(self.seed).chain_update(restarts.to_be_bytes()).finalize();
        hash.first_chunk().map_or_else(|| IceCredentials::of_chance(&self.seed), IceCredentials::of_chance)
    }
}

/// `a=setup` (RFC 4145, RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Active,
    Passive,
    Actpass,
}

impl Setup {
    pub(super) fn read(value: &str) -> Option<Setup> {
        [Setup::Active, Setup::Passive, Setup::Actpass].into_iter().find(|s| value.eq_ignore_ascii_case(s.name()))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::Actpass => "actpass",
        }
    }

    /// As an answer says it, of our part.
    pub(super) fn of(ours: DtlsRole) -> Setup {
        match ours {
            DtlsRole::Server => Setup::Passive,
            DtlsRole::Client => Setup::Active,
        }
    }

    /// Our part beside a peer that says this.
    pub(super) fn ours(self) -> DtlsRole {
        match self {
            Setup::Active | Setup::Actpass => DtlsRole::Server,
            Setup::Passive => DtlsRole::Client,
        }
    }
}

/// What a peer's audio line over DTLS says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TheirDtls {
    pub ice: IceCredentials,
    pub fingerprint: Fingerprint,
    pub setup: Setup,
    /// Its agent is a lite one (`a=ice-lite`): it sends no checks.
    pub is_lite: bool,
    pub candidates: Candidates,
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
    /// Our agent is a full one, with this to go by.
    #[serde(default)]
    pub full: Option<FullIce>,
}

/// What a full agent has to know of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullIce {
    /// We nominate: the session began with an offer of ours, or the peer's agent is a lite one (RFC 8445 §6.1.1).
    pub controlling: bool,
    /// Those of the peer's that make pairs with ours.
    pub candidates: Vec<Candidate>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::sdp::{Agreed, Description, Direction, Local, Negotiation, Refusal};

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

    const CHROMIUM: &str = "v=0\r\no=- 5023 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n\
        a=msid-semantic: WMS 4cb1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2113937151 4d0c.local 51000 typ host generation 0\r\na=ice-ufrag:T5Qx\r\n\
        a=ice-pwd:6Fv1oCzJ0mIYq7Y6x6w2uR9s\r\na=ice-options:trickle\r\na=fingerprint:sha-256 FP\r\na=setup:actpass\r\na=mid:0\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:4cb1 5d\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
        a=ssrc:77 cname:x\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n";

    fn chromium() -> String {
        CHROMIUM.replace("FP", &["0A"; 32].join(":"))
    }

    fn negotiation() -> Negotiation {
        Negotiation::new(Local { address: "192.0.2.9".parse().unwrap(), port: 20_000, session_id: 7 })
    }

    fn dtls() -> OurDtls {
        OurDtls { fingerprint: Fingerprint([11; 32]), seed: [1; 24], agent: IceAgent::Lite }
    }

    fn answered(n: &mut Negotiation, offer: &str, wanted: Direction) -> (String, Agreed) {
        let offer = Description::parse(offer.as_bytes()).unwrap();
        let (body, agreed) = n.answer(&offer, &[Codec::Pcmu, Codec::Pcma], None, wanted).unwrap();
        (String::from_utf8(body.to_vec()).unwrap(), agreed)
    }

    /// Traps: a second candidate of another component, and the active part, which costs a round trip and more.
    #[test]
    fn a_browsers_offer_is_answered_with_one_candidate_and_the_passive_part() {
        let mut n = negotiation().with_dtls(dtls());
        let (body, agreed) = answered(&mut n, &chromium(), Direction::SendRecv);
        let ours = dtls().credentials(0);
        let IceCredentials { ufrag, pwd } = &ours;
        assert_eq!(
            body,
            format!(
                "v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n\
                 m=audio 20000 UDP/TLS/RTP/SAVPF 0 126\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n\
                 a=fmtp:126 0-15\r\na=ptime:20\r\na=sendrecv\r\na=mid:0\r\na=msid:cordboard audio\r\na=rtcp-mux\r\n\
                 a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:sha-256 {}\r\na=setup:passive\r\n\
                 a=candidate:1 1 udp 2130706431 192.0.2.9 20000 typ host\r\na=end-of-candidates\r\n\
                 m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n",
                ["0B"; 32].join(":")
            )
        );
        assert!(agreed.send && agreed.receive && agreed.remote.is_none(), "0.0.0.0 is no hold, nor an address to send to");
        let theirs = IceCredentials { ufrag: "T5Qx".into(), pwd: "6Fv1oCzJ0mIYq7Y6x6w2uR9s".into() };
        let expected = IceDtls { ours, theirs, fingerprint: Fingerprint([10; 32]), role: DtlsRole::Server, full: None };
        assert_eq!(agreed.dtls, Some(Box::new(expected)));
    }

    /// Trap: the payload type of telephone-event is that of the codec's clock, and nothing else is in the answer.
    #[test]
    fn a_browsers_keys_have_the_clock_of_its_codec() {
        for (allowed, formats) in [
            (&[Codec::Opus, Codec::Pcma][..], "111 110"),
            (&[Codec::G722, Codec::Opus], "9 126"),
            (&[Codec::Pcma, Codec::Opus], "8 126"),
        ] {
            let mut n = negotiation().with_dtls(dtls());
            let offer = Description::parse(chromium().as_bytes()).unwrap();
            let (body, agreed) = n.answer(&offer, allowed, None, Direction::SendRecv).unwrap();
            let body = String::from_utf8_lossy(&body);
            assert!(body.contains(&format!("m=audio 20000 UDP/TLS/RTP/SAVPF {formats}\r\n")), "{body}");
            let number: u8 = formats.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap();
            let event = (number, agreed.codec.clock_rate());
            assert_eq!(agreed.telephone_event, Some(event));
            assert!(agreed.telephone_events_in.contains(&event), "{:?}", agreed.telephone_events_in);
        }
    }

    /// Trap: a hold that is answered with sendrecv is an error in the browser.
    #[test]
    fn a_browsers_hold_is_answered_with_the_mirrored_direction_and_the_same_credentials() {
        let mut n = negotiation().with_dtls(dtls());
        let (_, first) = answered(&mut n, &chromium(), Direction::SendRecv);
        for (theirs, ours) in
            [("sendonly", "recvonly"), ("inactive", "inactive"), ("recvonly", "sendonly"), ("sendrecv", "sendrecv")]
        {
            let (body, agreed) = answered(&mut n, &chromium().replace("a=sendrecv", &format!("a={theirs}")), Direction::SendRecv);
            assert!(body.contains(&format!("\r\na={ours}\r\n")), "{body}");
            assert_eq!(agreed.dtls, first.dtls);
        }
    }

    #[test]
    fn new_credentials_of_the_browsers_are_answered_with_new_ones_and_the_same_role() {
        let mut n = negotiation().with_dtls(dtls());
        let (_, first) = answered(&mut n, &chromium().replace("actpass", "passive"), Direction::SendRecv);
        let (body, second) = answered(&mut n, &chromium().replace("T5Qx", "T5Qy"), Direction::SendRecv);
        let (first, second) = (first.dtls.unwrap(), second.dtls.unwrap());
        assert_eq!((first.role, second.role), (DtlsRole::Client, DtlsRole::Client));
        assert!(first.ours.ufrag != second.ours.ufrag && first.ours.pwd != second.ours.pwd && body.contains("a=setup:active"));
    }

    #[test]
    fn our_offer_to_a_browser_takes_either_part_and_its_answer_says_which() {
        let mut n = negotiation().for_browser(dtls());
        let body = n.offer(&[Codec::Pcmu], Direction::SendRecv);
        let offer = Description::parse(&body).unwrap();
        let theirs = offer.audio().unwrap().1.dtls.clone().unwrap();
        assert_eq!((theirs.setup, theirs.ice, offer.bundle), (Setup::Actpass, dtls().credentials(0), vec!["0".to_owned()]));
        assert_eq!(offer.lines[0].mid.as_deref(), Some("0"));
        for (setup, role) in [("active", DtlsRole::Server), ("passive", DtlsRole::Client)] {
            let mut n = n.clone();
            let answer = chromium().replace("actpass", setup);
            let agreed = n.answered(&Description::parse(answer.as_bytes()).unwrap()).unwrap();
            assert_eq!(agreed.dtls.unwrap().role, role);
            // A later offer of ours has the same credentials: no restart.
            let body = n.offer(&[Codec::Pcmu], Direction::SendOnly);
            assert!(String::from_utf8_lossy(&body).contains(&dtls().credentials(0).pwd));
        }
        let plain = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP 0\r\n";
        assert_eq!(n.answered(&Description::parse(plain.as_bytes()).unwrap()), Err(Refusal::NoAudio), "no way back to plain RTP");
    }

    /// Trap: a browser's leg that is offered keys in the description would be neither the one nor the other.
    #[test]
    fn a_leg_over_dtls_stays_so() {
        let keys = crate::sdp::Keys::new(crate::sdp::Security::Preferred, true, |key| key.fill(1));
        let mut n = negotiation().with_keys(keys).with_dtls(dtls());
        let (_, first) = answered(&mut n, &chromium(), Direction::SendRecv);
        let plain = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP 0\r\n".to_owned();
        let keyed = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/SAVP 0\r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
            .to_owned();
        for offer in [plain, keyed] {
            let offer = Description::parse(offer.as_bytes()).unwrap();
            let refused = n.answer(&offer, &[Codec::Pcmu], None, Direction::SendRecv).unwrap_err();
            assert_eq!((refused.status(), n.agreed()), (488, Some(&first)));
        }
    }

    fn fully() -> OurDtls {
        OurDtls { agent: IceAgent::Full, ..dtls() }
    }

    /// RFC 8445 §6.1.1: who offered first controls, for as long as the session lasts; beside a lite agent, we do.
    #[test]
    fn a_full_agent_is_told_its_role_and_where_to_check() {
        let offer = chromium().replace("4d0c.local 51000 typ host", "192.0.2.1 51000 typ host");
        let mut n = negotiation().with_dtls(fully());
        let (body, agreed) = answered(&mut n, &offer, Direction::SendRecv);
        assert!(!body.contains("ice-lite") && body.contains("\r\na=ice-options:ice2\r\n"), "{body}");
        let candidate = Candidate { address: "192.0.2.1:51000".parse().unwrap(), priority: 2_113_937_151 };
        let full = |controlling, candidates: &[Candidate]| Some(FullIce { controlling, candidates: candidates.to_vec() });
        assert_eq!(agreed.dtls.unwrap().full, full(false, &[candidate]));
        let (_, named) = answered(&mut n, &chromium(), Direction::SendRecv);
        assert_eq!(named.dtls.unwrap().full, full(false, &[]), "mDNS");
        let lite = offer.replace("a=group", "a=ice-lite\r\na=group");
        let (_, agreed) = answered(&mut negotiation().with_dtls(fully()), &lite, Direction::SendRecv);
        assert_eq!(agreed.dtls.unwrap().full, full(true, &[candidate]));

        let mut n = negotiation().for_browser(fully());
        n.offer(&[Codec::Pcmu], Direction::SendRecv);
        let answer = offer.replace("actpass", "active");
        let agreed = n.answered(&Description::parse(answer.as_bytes()).unwrap()).unwrap();
        assert_eq!(agreed.dtls.unwrap().full, full(true, &[candidate]));
        let (_, agreed) = answered(&mut n, &offer.replace("T5Qx", "T5Qy"), Direction::SendRecv);
        assert_eq!(agreed.dtls.unwrap().full, full(true, &[candidate]), "a restart of the page's");
    }

    /// RFC 8840: before the agreement and after it, of this generation only, and none of them twice.
    #[test]
    fn candidates_that_come_later_are_told_to_a_full_agent() {
        let fragment = |ufrag: &str, host: u8| {
            format!(
                "a=ice-ufrag:{ufrag}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 7 192.0.2.{host} 9 typ host\r\n"
            )
        };
        let of = |host: u8| Candidate { address: std::net::SocketAddr::new([192, 0, 2, host].into(), 9), priority: 7 };
        let mut n = negotiation().with_dtls(fully());
        assert_eq!(n.trickle(fragment("T5Qx", 1).as_bytes()), []);
        let (_, agreed) = answered(&mut n, &chromium(), Direction::SendRecv);
        assert_eq!(agreed.dtls.unwrap().full.unwrap().candidates, [of(1)]);
        assert_eq!(n.trickle(fragment("T5Qx", 2).as_bytes()), [of(2)]);
        assert_eq!(n.trickle(fragment("T5Qx", 2).as_bytes()), []);
        assert_eq!(n.trickle(fragment("other", 3).as_bytes()), []);
        assert_eq!(n.trickle(fragment("T5Qx", 3).replace("192.0.2.3", "127.0.0.1").as_bytes()), [], "ours is elsewhere");
        let more: Vec<_> = (3..=200).flat_map(|host| n.trickle(fragment("T5Qx", host).as_bytes())).collect();
        assert_eq!(more.len(), Candidate::MOST - 2);

        let mut n = negotiation().with_dtls(dtls());
        answered(&mut n, &chromium(), Direction::SendRecv);
        assert_eq!(n.trickle(fragment("T5Qx", 1).as_bytes()), [], "a lite one needs none");
    }

    #[test]
    fn a_line_over_dtls_that_lacks_what_it_needs_is_refused() {
        let parse = |text: &str| Description::parse(text.as_bytes()).unwrap();
        assert!(parse(&chromium()).audio().is_some());
        let all = &[Codec::Pcmu];
        assert_eq!(negotiation().answer(&parse(&chromium()), all, None, Direction::SendRecv).err(), Some(Refusal::NoAudio));
        for (from, to) in [
            ("a=ice-pwd:", "a=x:"),
            ("a=ice-ufrag:", "a=x:"),
            ("a=rtcp-mux", "a=x"),
            ("sha-256", "sha-1"),
            ("a=setup:actpass", "a=setup:holdconn"),
            ("m=audio 9 ", "m=audio 0 "),
        ] {
            let doctored = chromium().replace(from, to);
            assert_ne!(doctored, chromium());
            assert!(parse(&doctored).audio().is_none(), "{from}");
        }
    }
}
