//! Encrypted legs: decrypted before anything else, encrypted last, and strangers kept out.

use super::*;
use crate::rtp::srtp::{Inbound, Master, Outbound, Pair, Suite};

/// A phone's end of a leg.
struct Peer {
    out: Outbound,
    inbound: Inbound,
}

fn master(suite: Suite, byte: u8) -> Master {
    Master::new(suite, &vec![byte; suite.key_length() + suite.salt_length()]).unwrap()
}

fn secure(b: &mut Bench, leg: LegId, codec: Codec, suite: Suite, theirs: u8) -> Peer {
    let pair = Pair { ours: master(suite, 100 + leg.0 as u8), theirs: master(suite, theirs) };
    let peer = Peer { out: Outbound::new(&pair.theirs), inbound: Inbound::new(&pair.ours) };
    b.command(Command::Agree { leg, session: Session { srtp: Some(pair), ..session(leg, codec) } });
    peer
}

impl Peer {
    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut buffer = [plain, &[0; 32]].concat();
        let length = self.out.rtp(&mut buffer, plain.len()).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn open(&mut self, mut bytes: Vec<u8>) -> (Fields, Vec<u8>) {
        let length = self.inbound.rtp(&mut bytes).unwrap();
        Packet::parse(&bytes[..length]).map(|p| (p.fields(), p.payload().to_vec())).unwrap()
    }
}

#[test]
fn an_encrypted_leg_hears_a_plain_one_and_is_heard_by_it() {
    for suite in Suite::ALL {
        let mut b = Bench::bridge(Codec::Pcma, Codec::Pcma);
        let mut a = secure(&mut b, A, Codec::Pcma, suite, 1);
        for n in 0..5u16 {
            let said = packet(7, n, u32::from(n) * 160, 8, &[n as u8; 160]);
            let sealed = a.seal(&said);
            let (to, bytes) = b.say(A, sealed).unwrap();
            assert_eq!((to, &bytes[HEADER..]), (phone(B), &said[HEADER..]), "{suite:?}");
            let (to, bytes) = b.say(B, packet(8, n, u32::from(n) * 160, 8, &[0x55 ^ n as u8; 160])).unwrap();
            assert_eq!(to, phone(A));
            assert_eq!(a.open(bytes).1, [0x55 ^ n as u8; 160]);
        }
    }
}

/// As browsers' do, whose DTLS brings them; nothing in a later description takes them away.
#[test]
fn a_leg_whose_keys_come_by_themselves_is_encrypted_from_then_on() {
    let mut b = Bench::bridge(Codec::Pcma, Codec::Pcma);
    let pair = Pair { ours: master(Suite::Aes128Gcm, 1), theirs: master(Suite::Aes128Gcm, 2) };
    let mut a = Peer { out: Outbound::new(&pair.theirs), inbound: Inbound::new(&pair.ours) };
    let slot = b.worker.slot(A).unwrap();
    b.worker.key(slot, pair.clone());
    for n in 0..4u16 {
        if n == 2 {
            b.command(Command::Agree { leg: A, session: Session { srtp: Some(pair.clone()), ..session(A, Codec::Pcma) } });
        }
        assert_eq!(b.say(A, packet(7, n, u32::from(n) * 160, 8, &[1; 160])), None, "plain");
        let sealed = a.seal(&packet(7, n, u32::from(n) * 160, 8, &[1; 160]));
        assert_eq!(b.say(A, sealed).unwrap().1[HEADER..], [1; 160]);
        let (_, bytes) = b.say(B, packet(8, n, u32::from(n) * 160, 8, &[2; 160])).unwrap();
        assert_eq!(a.open(bytes).1, [2; 160]);
    }
}

#[test]
fn two_encrypted_legs_with_their_own_suites_hear_each_other_transcoded() {
    let mut b = Bench::bridge(Codec::Pcma, Codec::Pcmu);
    let mut a = secure(&mut b, A, Codec::Pcma, Suite::AesCm32, 1);
    let mut c = secure(&mut b, B, Codec::Pcmu, Suite::Aes256Gcm, 2);
    let sealed = a.seal(&packet(7, 1, 0, 8, &[0xd5; 160]));
    let (_, bytes) = b.say(A, sealed).unwrap();
    assert_eq!(c.open(bytes).1, [0xfe; 160]);
    let sealed = c.seal(&packet(8, 1, 0, 0, &[0xff; 160]));
    let (_, bytes) = b.say(B, sealed).unwrap();
    assert_eq!(a.open(bytes).1, [0xd5; 160]);
}

#[test]
fn what_is_plain_torn_or_played_again_convinces_nobody() {
    let mut b = Bench::bridge(Codec::Pcma, Codec::Pcma);
    let mut a = secure(&mut b, A, Codec::Pcma, Suite::AesCm80, 1);
    let stranger: SocketAddr = "198.51.100.66:4000".parse().unwrap();
    let said = packet(7, 1, 0, 8, &[1; 160]);
    assert_eq!(b.receive_from(stranger, A, Port::Rtp, said.clone()), None, "plain, and before the phone");
    let sealed = a.seal(&said);
    assert!(b.say(A, sealed.clone()).is_some());
    let mut torn = a.seal(&packet(7, 2, 160, 8, &[1; 160]));
    torn[20] ^= 1;
    for bytes in [said, sealed, torn] {
        assert_eq!(b.say(A, bytes), None);
    }
    // What B says goes to the phone still.
    assert_eq!(b.say(B, packet(8, 1, 0, 8, &[2; 160])).map(|(to, _)| to), Some(phone(A)));
    b.command(Command::Close { leg: A });
    assert!(b.out.reports.iter().any(|r| matches!(r, Report::Closed { leg: A, quality } if quality.refused == 4)));
}

#[test]
fn a_prompt_and_reports_are_encrypted_and_the_tap_is_not() {
    let mut b = Bench::with_legs(&[(A, Codec::Pcma)]);
    let mut a = secure(&mut b, A, Codec::Pcma, Suite::Aes128Gcm, 1);
    b.command(Command::Tap { leg: A, recording: recording() });
    b.hear(A, Source::Play(PlayId(1), Audio::Prompt(vec![ClipName("en/welcome".into())])));
    b.run(100);
    let frames: Vec<Vec<u8>> = b.out.frames.iter().map(|f| f.payload.to_vec()).collect();
    let sent: Vec<_> = std::mem::take(&mut b.out.sent).into_iter().filter(|s| s.1 == Port::Rtp).map(|s| s.3).collect();
    let heard: Vec<Vec<u8>> = sent.into_iter().map(|bytes| a.open(bytes).1).collect();
    assert!(!heard.is_empty() && heard == frames);
    b.run(10_000);
    let report = b.out.sent.iter().find(|s| s.1 == Port::Rtcp).map(|s| s.3.clone()).unwrap();
    let mut report = report;
    let length = a.inbound.rtcp(&mut report).unwrap();
    assert!(crate::rtp::rtcp::parse(&report[..length]).is_some());
    // Theirs is taken only so.
    let plain = crate::rtp::rtcp::compound(7, None, None, "x", false);
    b.receive_from(SocketAddr::new(phone(A).ip(), 5_005), A, Port::Rtcp, plain.to_vec());
    b.command(Command::Close { leg: A });
    assert!(b.out.reports.iter().any(|r| matches!(r, Report::Closed { leg: A, quality } if quality.refused == 1)));
}

#[test]
fn a_new_key_is_heard_from_its_agreement_on_and_the_old_one_until_then() {
    let mut b = Bench::bridge(Codec::Pcma, Codec::Pcma);
    let mut a = secure(&mut b, A, Codec::Pcma, Suite::AesCm80, 1);
    let say = |b: &mut Bench, peer: &mut Peer, n: u16| {
        let sealed = peer.seal(&packet(7, n, u32::from(n) * 160, 8, &[3; 160]));
        b.say(A, sealed)
    };
    assert!(say(&mut b, &mut a, 1).is_some());
    let mut next = secure(&mut b, A, Codec::Pcma, Suite::AesCm80, 2);
    assert!(say(&mut b, &mut a, 2).is_some(), "it was on its way");
    assert!(say(&mut b, &mut next, 3).is_some());
    assert_eq!(say(&mut b, &mut a, 4), None);
    // Our own key is the same, and goes on.
    let (_, first) = b.say(B, packet(8, 1, 0, 8, &[4; 160])).unwrap();
    a.open(first);
    let again = secure(&mut b, A, Codec::Pcma, Suite::AesCm80, 2);
    let (_, second) = b.say(B, packet(8, 2, 160, 8, &[4; 160])).unwrap();
    a.open(second);
    drop(again);
    assert!(say(&mut b, &mut next, 5).is_some(), "the same key again changes nothing");
}

#[test]
fn of_several_who_listen_each_hears_under_its_own_key() {
    let mut b = Bench::bridge(Codec::Pcma, Codec::Pcma);
    b.command(Command::Open { leg: C, lease: Lease { worker: 0, port: 20_004 } });
    let mut second = secure(&mut b, B, Codec::Pcma, Suite::AesCm80, 2);
    let mut third = secure(&mut b, C, Codec::Pcma, Suite::Aes256Gcm, 3);
    b.hear(C, Source::Leg(A));
    let (to, bytes) = b.say(A, packet(7, 1, 0, 8, &[9; 160])).unwrap();
    let (_, _, copied_to, copy) = b.out.sent.last().unwrap().clone();
    assert_eq!((to, copied_to), (phone(C), phone(B)));
    assert_eq!(third.open(bytes).1, [9; 160]);
    assert_eq!(second.open(copy).1, [9; 160]);
}
