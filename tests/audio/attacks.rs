//! A call under attack is, to the byte, the call without it: what both phones hear, what goes out on the wire, what is recorded. Strangers
//! get nothing back. (RTP bleed, forged RTCP, forged SSRC, floods, and what is no RTP at all.)

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::codec::Codec;
use cordboard::media::{Command, Port, Report};
use cordboard::rtp::srtp::Suite;
use cordboard::rtp::{Fields, HEADER, rtcp};

use super::rig::{A, B, Call, Phone, address, encoded, leg, ssrc};

const TIME: Duration = Duration::from_secs(4);

/// From elsewhere; from elsewhere by the phone's port; from the phone's own address by another port.
fn strangers() -> [SocketAddr; 3] {
    [
        SocketAddr::from(([203, 0, 113, 66], 666)),
        SocketAddr::from(([203, 0, 113, 67], address(A, Port::Rtp).port())),
        SocketAddr::new(address(A, Port::Rtp).ip(), 40_000),
    ]
}

fn tone(codec: Codec, hz: f32) -> Vec<Vec<u8>> {
    let rate = codec.sample_rate();
    let sample = |n: u32| ((std::f32::consts::TAU * hz * n as f32 / rate as f32).sin() * 8_000.0) as i16;
    encoded(codec, &(0..rate).map(sample).collect::<Vec<_>>())
}

fn packet(payload_type: u8, ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER];
    Fields { marker: false, payload_type, sequence, timestamp, ssrc }.write(&mut header);
    [&header[..], payload].concat()
}

/// A sequence number near the phones' own.
fn number(n: u64) -> u16 {
    60_000u16.wrapping_add(n as u16)
}

/// 20 ms of what would be heard.
fn loud(codec: Codec) -> Vec<u8> {
    [0x12, 0x34].repeat(codec.sample_rate() as usize / 50 * if codec == Codec::L16 { 2 } else { 1 } / 2)
}

/// RFC 5389 §6: a binding request, as an ICE agent would send it.
fn stun(n: u8) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([n; 12]);
    request
}

/// RFC 6347 §4.1: the record that begins a handshake.
fn client_hello(n: u8) -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, n, 0, 60, 1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48, 0xfe, 0xfd];
    record.resize(13 + 60, n);
    record
}

/// The `n`th packet of an attack on a phone's leg.
type Attack = fn(codec: Codec, phone: usize, n: u64) -> (Port, Vec<u8>);

const ATTACKS: [(&str, Attack); 10] = [
    ("another source", |codec, _, n| {
        (Port::Rtp, packet(codec.payload_type(), 666, n as u16, n as u32 * codec.clock_rate() / 50, &loud(codec)))
    }),
    ("the phone's SSRC", |codec, phone, n| {
        (Port::Rtp, packet(codec.payload_type(), ssrc(phone), number(n), n as u32 * 480, &loud(codec)))
    }),
    ("the other phone's SSRC", |codec, phone, n| {
        (Port::Rtp, packet(codec.payload_type(), ssrc(1 - phone), number(n), n as u32 * 480, &loud(codec)))
    }),
    ("another codec", |_, _, n| (Port::Rtp, packet(if n % 2 == 0 { 0 } else { 9 }, 666, n as u16, n as u32 * 160, &[0x55; 160]))),
    ("keys", |_, phone, n| (Port::Rtp, packet(101, ssrc(phone), number(n), n as u32, &[9, 0x8a, 3, 0x20]))),
    ("comfort noise", |_, phone, n| (Port::Rtp, packet(13, ssrc(phone), number(n), n as u32, &[0]))),
    ("BYE", |_, phone, _| (Port::Rtcp, rtcp::compound(ssrc(phone), None, None, "x", true).to_vec())),
    ("sender and receiver reports", |_, phone, n| {
        let sender = rtcp::Sender { ntp: n << 40, timestamp: 1, packets: u32::MAX, octets: u32::MAX };
        let block = rtcp::Block {
            ssrc: 1,
            fraction_lost: 255,
            lost: 0x7f_ffff,
            extended_newest: 9,
            jitter: u32::MAX,
            ..rtcp::Block::default()
        };
        (Port::Rtcp, rtcp::compound(ssrc(phone), Some(sender), Some(block), "x", false).to_vec())
    }),
    ("STUN and DTLS", |_, _, n| {
        (if n % 4 < 2 { Port::Rtp } else { Port::Rtcp }, if n % 2 == 0 { stun(n as u8) } else { client_hello(n as u8) })
    }),
    ("garbage", |_, _, n| {
        let length = [0, 1, 2, 8, 11, 12, 13, 100, 1_400, 1_500][n as usize % 10];
        let byte = |i: usize| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i as u64 * 0x1234_5677) >> 11) as u8;
        (if n % 3 == 0 { Port::Rtcp } else { Port::Rtp }, (0..length).map(byte).collect())
    }),
];

/// Both phones are pages.
const PAGES: &str = "DTLS";

/// What can be told of a call from outside.
struct Trace {
    wire: Vec<(Port, SocketAddr, Vec<u8>)>,
    heard: [Vec<(Fields, Vec<u8>)>; 2],
    recording: [Vec<i16>; 2],
    reports: Vec<Report>,
}

fn call(codecs: [Codec; 2], keyed: fn(Phone) -> Phone, attack: Option<Attack>, agrees_anew: bool) -> Trace {
    let phone = |n: usize| keyed(Phone::new(codecs[n], tone(codecs[n], [440.0, 1_000.0][n])));
    let mut call = Call::new([phone(A), phone(B)]).keeping_the_wire();
    let mut sent = 0;
    let strike = |call: &mut Call| {
        // The first packets are the phones': who is the first to speak is another story, and `latch` tells it.
        if call.phones.iter().any(|phone| phone.heard.is_empty()) {
            return;
        }
        if agrees_anew && sent % 100 == 50 {
            call.agree(A);
        }
        for stranger in strangers() {
            sent += 1;
            if let Some(attack) = attack {
                for phone in [A, B] {
                    let (port, datagram) = attack(codecs[phone], phone, sent);
                    assert!(!call.receive(stranger, phone, port, &datagram), "it was passed on");
                }
            }
        }
    };
    call.run_with(TIME, strike);
    let recording = call.recording();
    for phone in [A, B] {
        call.command(Command::Close { leg: leg(phone) });
    }
    call.run(Duration::ZERO);
    let heard = [A, B].map(|phone| std::mem::take(&mut call.phones[phone].heard));
    Trace { wire: std::mem::take(&mut call.wire), heard, recording, reports: std::mem::take(&mut call.out.reports) }
}

/// All but how much was refused, which is counted, and what it looked like, which is a clue.
fn without_refusals(reports: Vec<Report>) -> Vec<Report> {
    let clean = |report| match report {
        Report::Closed { leg, mut quality } => {
            quality.refused = 0;
            Report::Closed { leg, quality }
        }
        other => other,
    };
    reports.into_iter().map(clean).collect()
}

fn assert_unharmed(name: &str, calm: &Trace, attacked: Trace) {
    for (_, to, _) in &attacked.wire {
        assert!(!strangers().contains(to), "{name}: something went to {to}");
    }
    // A handshake's keys are new ones for each call: only where packets go, and how long they are, is the same.
    let outline = |trace: &Trace| trace.wire.iter().map(|(port, to, bytes)| (*port, *to, bytes.len())).collect::<Vec<_>>();
    let is_alike = if name.starts_with(PAGES) { outline(&attacked) == outline(calm) } else { attacked.wire == calm.wire };
    assert!(is_alike, "{name}: what went out is not what it is without the attack");
    assert!(attacked.heard == calm.heard, "{name}: what is heard is not what it is without the attack");
    assert!(attacked.recording == calm.recording, "{name}: the recording is not what it is without the attack");
    assert_eq!(without_refusals(attacked.reports), without_refusals(calm.reports.clone()), "{name}");
}

#[test]
fn strangers_change_nothing_of_a_call() {
    let calls: [(&str, [Codec; 2], fn(Phone) -> Phone); 4] = [
        ("plain", [Codec::Pcma, Codec::Pcma], |phone| phone),
        ("plain", [Codec::Pcma, Codec::L16], |phone| phone),
        ("SDES", [Codec::Pcma, Codec::Pcmu], |phone| phone.encrypted(Suite::AesCm80)),
        (PAGES, [Codec::Pcma, Codec::Pcmu], Phone::in_a_browser),
    ];
    for (way, codecs, keyed) in calls {
        for agrees_anew in [false, true] {
            let calm = call(codecs, keyed, None, agrees_anew);
            assert!(calm.wire.len() > 380, "{}", calm.wire.len());
            for (name, attack) in ATTACKS {
                let attacked = call(codecs, keyed, Some(attack), agrees_anew);
                assert_unharmed(&format!("{way} {codecs:?} agreed anew {agrees_anew}: {name}"), &calm, attacked);
            }
        }
    }
}
