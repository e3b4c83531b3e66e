//! Session descriptions, RTP and RTCP.
//!
//! Oracles beyond "no panic": what we answer to a peer's description reads back as a description with as many lines in the same order,
//! and holds nothing of the peer's text as a line of its own; a packet that is rewritten for another leg reads back with the new header
//! and the old payload; a report of ours reads back as it was written; nothing is taken for encrypted by us that we did not encrypt.

use cordboard::codec::Codec;
use cordboard::rtp::rtcp::{self, Rtcp};
use cordboard::rtp::srtp::{GROWTH, Inbound, Master, Outbound, Suite};
use cordboard::rtp::{Event, Fields, Packet};
use cordboard::sdp::{Description, Direction, Keys, Local, Negotiation, Security};

use super::Target;

const DESCRIPTIONS: &[&str] = &[
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n\
     a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
    "v=0\r\no=u 1 2 IN IP6 2001:db8::1\r\ns=call\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 96\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:96 telephone-event/8000\r\n\
     a=sendonly\r\na=rtcp:4101\r\nm=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n",
    "v=0\r\no=- 3 3 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\nm=image 0 udptl t38\r\n",
    "v=0\r\no=- 3 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n\
     a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\r\n\
     a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31 WSH=64\r\nm=audio 4002 RTP/AVP 8\r\n",
];

pub struct Sdp;

impl Target for Sdp {
    fn seeds(&self) -> Vec<Vec<u8>> {
        DESCRIPTIONS.iter().map(|d| d.as_bytes().to_vec()).collect()
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let Ok(offer) = Description::parse(input) else { return false };
        let local = Local { address: [198, 51, 100, 7].into(), port: 20_000, session_id: chance >> 1 };
        let codecs = [Codec::Pcma, Codec::Pcmu];
        let wanted = [Security::Off, Security::Preferred, Security::Required][chance as usize % 3];
        let keys = Keys::new(wanted, chance & 4 == 0, |key| key.fill(9));
        let mut negotiation = Negotiation::new(local).with_keys(keys.clone());
        if let Ok((body, agreed)) = negotiation.answer(&offer, &codecs, None, Direction::SendRecv) {
            let answer = Description::parse(&body).unwrap_or_else(|e| panic!("our answer: {e}\n{}", body.escape_ascii()));
            assert_eq!(answer.lines.len(), offer.lines.len());
            for (ours, theirs) in answer.lines.iter().zip(&offer.lines) {
                // A line that is taken is named as the registry spells it.
                assert!(ours.kind.eq_ignore_ascii_case(&theirs.kind), "{} is answered as {}", theirs.kind, ours.kind);
            }
            assert_eq!(answer.lines.iter().filter(|l| l.port != 0).count(), 1, "one line is taken");
            assert_eq!(answer.audio().is_some_and(|(_, a)| !a.crypto.is_empty()), agreed.srtp.is_some());
            assert!(agreed.srtp.is_some() || wanted != Security::Required);
            if let Some(remote) = agreed.remote {
                assert!(!remote.ip().is_multicast() && !remote.ip().is_unspecified() && remote.port() != 0);
            }
        }
        // As an answer to an offer of ours.
        let mut asking = Negotiation::new(local).with_keys(keys);
        let ours = asking.offer(&codecs, Direction::SendRecv);
        assert!(Description::parse(&ours).is_ok());
        let _ = asking.answered(&offer);
        true
    }
}

pub struct Rtp;

impl Target for Rtp {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut plain = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
        plain.extend([0xff; 160]);
        let mut extended = vec![0xb2, 0x88, 0, 2, 0, 0, 1, 64, 1, 2, 3, 4, 9, 9, 9, 9, 8, 8, 8, 8, 0xbe, 0xde, 0, 1, 1, 2, 3, 4];
        extended.extend([0xd5; 80]);
        extended.extend([0, 0, 0, 4]);
        let event = vec![0x80, 0xe5, 0, 3, 0, 0, 1, 64, 1, 2, 3, 4, 5, 0x8a, 3, 0x20];
        vec![plain, extended, event]
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let Ok(packet) = Packet::parse(input) else { return false };
        let payload = packet.payload().to_vec();
        if let Some(event) = Event::parse(&payload) {
            assert_eq!(Event::parse(&event.to_bytes()), Some(Event { volume: event.volume & 0x3f, ..event }));
        }
        let [a, b, c, d, e, f, g, h] = chance.to_be_bytes();
        let fields = Fields {
            marker: a & 1 == 1,
            payload_type: b & 0x7f,
            sequence: u16::from_be_bytes([c, d]),
            timestamp: u32::from_be_bytes([e, f, g, h]),
            ssrc: u32::from_be_bytes([h, g, f, e]),
        };
        let mut bytes = input.to_vec();
        let sent = Packet::parse(&mut bytes[..]).map(|mut p| p.rewrite(&fields)).unwrap_or_else(|_| panic!("parsed before"));
        let again = Packet::parse(&bytes[sent]).unwrap_or_else(|_| panic!("rewritten, and malformed"));
        assert_eq!((again.fields(), again.payload()), (fields, &payload[..]));
        true
    }
}

pub struct Reports;

impl Target for Reports {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let sender = rtcp::Sender { ntp: 0x1122_3344_5566_7788, timestamp: 1, packets: 2, octets: 3 };
        vec![
            rtcp::compound(7, Some(sender), None, "a@b", true).to_vec(),
            rtcp::compound(7, None, None, "somebody@example.com", false).to_vec(),
            vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7],
        ]
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let Some(packets) = rtcp::parse(input) else { return false };
        let mut seen = 0;
        for packet in packets {
            seen += 1;
            let _ = packet.ssrc();
        }
        assert!((1..=input.len() / 4).contains(&seen), "each packet has four octets at least");
        let ssrc = (chance >> 32) as u32;
        let ours = rtcp::compound(ssrc, None, None, &String::from_utf8_lossy(input), chance & 1 == 1);
        let first = rtcp::parse(&ours).and_then(|mut all| all.next());
        assert!(matches!(first, Some(Rtcp::ReceiverReport { ssrc: s, .. }) if s == ssrc));
        true
    }
}

/// SRTP and SRTCP. Its seeds are what was encrypted, the first byte of each before it: the suite.
pub struct Secured;

/// For tests: any will do.
fn key(suite: Suite) -> Option<Master> {
    Master::new(suite, &vec![5; suite.key_length() + suite.salt_length()])
}

impl Target for Secured {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut plain = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
        plain.extend([0xff; 20]);
        let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
        let mut seeds = Vec::new();
        for (number, master) in (0u8..).zip(Suite::ALL.into_iter().filter_map(key)) {
            for is_rtp in [true, false] {
                let mut buffer = if is_rtp { plain.clone() } else { report.to_vec() };
                let length = buffer.len();
                buffer.resize(length + GROWTH, 0);
                let mut out = Outbound::new(&master);
                let sealed = if is_rtp { out.rtp(&mut buffer, length) } else { out.rtcp(&mut buffer, length) };
                buffer.truncate(sealed.unwrap_or_else(|e| panic!("{e}")));
                buffer.insert(0, number);
                seeds.push(buffer);
            }
        }
        seeds
    }

    fn run(&self, input: &[u8], _: u64) -> bool {
        let Some((first, packet)) = input.split_first() else { return false };
        let Some(master) = Suite::ALL.get(usize::from(*first)).copied().and_then(key) else { return false };
        let mut inbound = Inbound::new(&master);
        let opened = [inbound.rtp(&mut packet.to_vec()).is_ok(), inbound.rtcp(&mut packet.to_vec()).is_ok()];
        assert!(opened == [false; 2] || self.seeds().iter().any(|seed| seed == input), "{}", input.escape_ascii());
        // And as a packet of ours.
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + GROWTH, 0);
        let Ok(length) = Outbound::new(&master).rtp(&mut buffer, packet.len()) else { return false };
        let plain = Inbound::new(&master).rtp(&mut buffer[..length]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(&buffer[..plain], packet);
        true
    }
}
