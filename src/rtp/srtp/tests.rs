use super::*;

/// The packet of libsrtp's own validation, which other stacks have as well.
const PLAIN: &str = "800f1234decafbadcafebabeabababababababababababababababab";
const PLAIN_RTCP: &str = "81c8000bcafebabeabababababababababababababababab";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn master(suite: Suite) -> Master {
    match suite {
        Suite::AesCm80 | Suite::AesCm32 => {
            Master::new(suite, &bytes("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")).unwrap()
        }
        Suite::Aes128Gcm => Master::new(suite, &bytes("000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab")).unwrap(),
        Suite::Aes256Gcm => {
            let key: Vec<u8> = (0..32).chain(0xa0..=0xab).collect();
            Master::new(suite, &key).unwrap()
        }
    }
}

fn seal(out: &mut Outbound, plain: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut buffer = [plain, &[0; GROWTH]].concat();
    let length = out.rtp(&mut buffer, plain.len())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn seal_rtcp(out: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; GROWTH]].concat();
    let length = out.rtcp(&mut buffer, plain.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn open(inbound: &mut Inbound, sealed: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut packet = sealed.to_vec();
    let length = inbound.rtp(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

fn open_rtcp(inbound: &mut Inbound, sealed: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut packet = sealed.to_vec();
    let length = inbound.rtcp(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut header = [0; 12];
    crate::rtp::Fields { marker: false, payload_type: 8, sequence, timestamp: 0, ssrc }.write(&mut header);
    [&header[..], &[0xd5; 160]].concat()
}

#[test]
fn packets_are_those_of_other_stacks() {
    for (suite, rtp) in [
        (Suite::AesCm80, "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"),
        (Suite::Aes128Gcm, "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392"),
    ] {
        let (mut out, mut inbound) = (Outbound::new(&master(suite)), Inbound::new(&master(suite)));
        let sealed = seal(&mut out, &bytes(PLAIN)).unwrap();
        assert_eq!(hex::encode(&sealed), rtp, "{suite:?}");
        assert_eq!(open(&mut inbound, &sealed).map(hex::encode), Ok(PLAIN.to_owned()));
    }
    // Theirs counts from 1.
    let rtcp = bytes("81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001");
    assert_eq!(open_rtcp(&mut Inbound::new(&master(Suite::Aes128Gcm)), &rtcp).map(hex::encode), Ok(PLAIN_RTCP.to_owned()));
}

#[test]
fn what_is_sealed_is_opened_once_and_only_whole() {
    for suite in Suite::ALL {
        let (mut out, mut inbound) = (Outbound::new(&master(suite)), Inbound::new(&master(suite)));
        for sequence in [65_533, 65_535, 65_534, 0, 1] {
            let plain = packet(7, sequence);
            let sealed = seal(&mut out, &plain).unwrap();
            assert_ne!(sealed[12..172], plain[12..]);
            for at in 0..sealed.len() {
                let mut torn = sealed.clone();
                torn[at] ^= 1;
                assert!(open(&mut inbound, &torn).is_err(), "{suite:?}: byte {at}");
            }
            assert!(open(&mut inbound, &sealed[..sealed.len() - 1]).is_err());
            assert_eq!(open(&mut inbound, &sealed), Ok(plain), "{suite:?}: {sequence}");
            assert_eq!(open(&mut inbound, &sealed), Err(Refused::Replayed));
        }
        for _ in 0..3 {
            let sealed = seal_rtcp(&mut out, &bytes(PLAIN_RTCP));
            for at in 0..sealed.len() {
                let mut torn = sealed.clone();
                torn[at] ^= 1;
                assert!(open_rtcp(&mut inbound, &torn).is_err(), "{suite:?}: byte {at}");
            }
            assert_eq!(open_rtcp(&mut inbound, &sealed), Ok(bytes(PLAIN_RTCP)));
            assert_eq!(open_rtcp(&mut inbound, &sealed), Err(Refused::Replayed));
        }
    }
}

/// RFC 4568 §6.2.2, RFC 7714 §12: how much longer packets become.
#[test]
fn packets_grow_by_what_their_suite_says() {
    for (suite, rtp, rtcp) in
        [(Suite::AesCm80, 10, 14), (Suite::AesCm32, 4, 14), (Suite::Aes128Gcm, 16, 20), (Suite::Aes256Gcm, 16, 20)]
    {
        let mut out = Outbound::new(&master(suite));
        assert_eq!(seal(&mut out, &packet(1, 1)).unwrap().len(), 172 + rtp);
        assert_eq!(seal_rtcp(&mut out, &bytes(PLAIN_RTCP)).len(), 24 + rtcp);
        let mut tight = packet(1, 2);
        assert_eq!(out.rtp(&mut tight, 172), Err(Refused::Malformed));
    }
}

/// RFC 3711 §9.1: two packets under one index give both away.
#[test]
fn an_index_is_never_used_twice() {
    let mut out = Outbound::new(&master(Suite::Aes128Gcm));
    for sequence in [500, 502, 501] {
        assert!(seal(&mut out, &packet(1, sequence)).is_ok());
    }
    for sequence in [500, 501, 502, 300] {
        assert_eq!(seal(&mut out, &packet(1, sequence)), Err(Refused::Replayed));
    }
}

#[test]
fn rollovers_are_counted_through_half_an_hour_with_loss() {
    for suite in [Suite::AesCm32, Suite::Aes256Gcm] {
        let (mut out, mut inbound) = (Outbound::new(&master(suite)), Inbound::new(&master(suite)));
        for n in 0..100_000u32 {
            let plain = packet(9, (n as u16).wrapping_add(40_000));
            let sealed = seal(&mut out, &plain).unwrap();
            // Seconds are lost now and then, and with them the first rollover of two.
            if n % 97 == 0 || n % 25_540 > 25_400 {
                continue;
            }
            assert_eq!(open(&mut inbound, &sealed), Ok(plain));
        }
    }
}

#[test]
fn a_phone_may_begin_a_new_stream_under_its_key() {
    let (mut one, mut inbound) = (Outbound::new(&master(Suite::AesCm80)), Inbound::new(&master(Suite::AesCm80)));
    let first = seal(&mut one, &packet(1, 10)).unwrap();
    assert!(open(&mut inbound, &first).is_ok());
    for ssrc in 2..40 {
        let mut other = Outbound::new(&master(Suite::AesCm80));
        let sealed = seal(&mut other, &packet(ssrc, 60_000)).unwrap();
        assert!(open(&mut inbound, &sealed).is_ok());
        assert_eq!(open(&mut inbound, &sealed), Err(Refused::Replayed));
    }
}

/// RFC 3711 §8.1 lets the counter run on, and many phones begin anew.
#[test]
fn a_new_key_is_taken_with_the_old_count_of_rollovers_and_with_a_new_one() {
    for suite in Suite::ALL {
        let next = Master::new(suite, &vec![9; suite.key_length() + suite.salt_length()]).unwrap();
        for carries_on in [true, false] {
            let (mut out, mut inbound) = (Outbound::new(&master(suite)), Inbound::new(&master(suite)));
            for sequence in [65_535, 0, 1] {
                let sealed = seal(&mut out, &packet(1, sequence)).unwrap();
                open(&mut inbound, &sealed).unwrap();
            }
            let mut inbound = Inbound::after(&inbound, &next);
            let mut out = Outbound { sent: out.sent.filter(|_| carries_on), ..Outbound::new(&next) };
            for sequence in [2, 3] {
                let sealed = seal(&mut out, &packet(1, sequence)).unwrap();
                assert_eq!(open(&mut inbound, &sealed), Ok(packet(1, sequence)), "{suite:?} {carries_on}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80), first in 0x80u8..0xc0) {
        for suite in Suite::ALL {
            let (mut out, mut inbound) = (Outbound::new(&master(suite)), Inbound::new(&master(suite)));
            let mut packet = bytes.clone();
            if let Some(b) = packet.first_mut() { *b = first; }
            let _ = inbound.rtp(&mut packet.clone());
            let _ = inbound.rtcp(&mut packet.clone());
            let length = packet.len();
            let _ = out.rtp(&mut packet.clone(), length);
            let _ = out.rtcp(&mut packet.clone(), length + 1);
            packet.extend([0; GROWTH]);
            let _ = out.rtp(&mut packet, length);
        }
    }
}
