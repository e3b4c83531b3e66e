use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::codec::Codec;

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];

fn ours() -> Negotiation {
    Negotiation::new(Local { address: "192.0.2.9".parse().unwrap(), port: 20_000, session_id: 7 })
}

fn audio(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{lines}")
}

fn parsed(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap()
}

fn text(body: &bytes::Bytes) -> &str {
    std::str::from_utf8(body).unwrap()
}

const PHONE: &str = "m=audio 5004 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                     a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

#[test]
fn a_phones_offer_is_read() {
    let d = parsed(&audio(PHONE));
    let (0, a) = d.audio().unwrap() else { panic!() };
    assert_eq!(a.remote, Some("192.0.2.1:5004".parse::<SocketAddr>().unwrap()));
    assert_eq!(a.remote_rtcp, Some("192.0.2.1:5005".parse::<SocketAddr>().unwrap()));
    assert_eq!(a.formats.iter().map(|f| f.codec).collect::<Vec<_>>(), [Some(Codec::Pcma), Some(Codec::Pcmu), None]);
    assert_eq!((a.telephone_event(8_000), a.ptime_ms, a.direction), (Some((101, 8_000)), Some(20), Direction::SendRecv));
    assert_eq!(a.formats[2].fmtp.as_deref(), Some("0-16"));
}

#[test]
fn what_real_phones_get_wrong_is_forgiven() {
    for (name, body) in [
        ("LF alone, no t=, no s=", "v=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=audio 5004 RTP/AVP 0\n"),
        ("no o= at all", "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP 0\r\n"),
        ("a user name of two words", "v=0\r\no=Desk Phone 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP 0"),
        ("c= at media level", "v=0\r\ns=-\r\nm=audio 5004 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n"),
        ("doubled spaces", "v=0\r\nc=IN  IP4 192.0.2.1 \r\nm=audio  5004 RTP/AVP  0\r\n"),
        ("an empty line between", "v=0\r\n\r\nc=IN IP4 192.0.2.1\r\n\r\nm=audio 5004 RTP/AVP 0\r\n\r\n"),
        (
            "a version over 64 bits",
            "v=0\r\no=- 1 99999999999999999999999 IN IP4 1.1.1.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 5004 rtp/avp 0",
        ),
        (
            "odd lines",
            "v=0\r\nc=IN IP4 192.0.2.1\r\nb=AS:x\r\nz=?\r\nk\r\nt=now\r\nX=1\r\nm=audio 5004 RTP/AVP 0 \u{fffd}\r\ni=\u{1}\r\n",
        ),
        ("two session c= lines", "v=0\r\nc=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\nm=audio 5004 RTP/AVP 0"),
    ] {
        let d = Description::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (_, a) = d.audio().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(a.remote, Some("192.0.2.1:5004".parse().unwrap()), "{name}");
        assert_eq!(a.formats[0].codec, Some(Codec::Pcmu), "{name}");
    }
}

#[test]
fn bytes_that_are_not_utf8_do_no_harm() {
    let mut body = b"v=0\r\no=\xff\xfe 1 1 IN IP4 192.0.2.1\r\ns=\xe9t\xe9\r\nc=IN IP4 192.0.2.1\r\n".to_vec();
    body.extend(b"m=audio 5004 RTP/AVP 0\r\na=label:\xff\r\n");
    assert!(Description::parse(&body).unwrap().audio().is_some());
}

#[test]
fn what_is_no_description_is_refused() {
    assert_eq!(Description::parse(b""), Err(SdpError::NoVersion));
    assert_eq!(Description::parse(b"o=- 1 1 IN IP4 1.1.1.1\r\n"), Err(SdpError::NoVersion));
    assert_eq!(Description::parse(b"v=1\r\n"), Err(SdpError::NoVersion));
    assert_eq!(Description::parse(b"v=0\r\nm=audio x RTP/AVP 0\r\n"), Err(SdpError::Malformed { line: 2 }));
    assert_eq!(Description::parse(b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n"), Err(SdpError::Malformed { line: 2 }));
    assert_eq!(Description::parse(b"v=0\r\nm=audio 5004\r\n"), Err(SdpError::Malformed { line: 2 }));
    assert_eq!(Description::parse(&vec![b'a'; 20_000]), Err(SdpError::TooLong { bytes: 20_000 }));
    let many = audio(&"m=audio 5004 RTP/AVP 0\r\n".repeat(40));
    assert_eq!(Description::parse(many.as_bytes()), Err(SdpError::TooManyLines { limit: 32 }));
}

#[test]
fn addresses_that_would_flood_others_are_none() {
    for address in ["224.0.0.1", "255.255.255.255", "phone.example"] {
        let d = parsed(&format!("v=0\r\nc=IN IP4 {address}\r\nm=audio 5004 RTP/AVP 0\r\n"));
        let (_, a) = d.audio().unwrap();
        assert_eq!((a.remote, a.remote_rtcp, a.zero_address), (None, None, false), "{address}");
    }
    let mut agreed = ours().answer(&parsed(&audio(PHONE)), &BOTH, None, Direction::SendRecv).unwrap().1;
    agreed.distrust("192.0.2.1".parse().unwrap());
    assert!(agreed.remote.is_some());
    agreed.distrust("192.0.2.77".parse().unwrap());
    assert_eq!((agreed.remote, agreed.remote_rtcp, agreed.send), (None, None, true));
}

/// RFC 3605.
#[test]
fn rtcp_goes_where_the_attribute_says() {
    for (attribute, expected) in [
        ("", Some("192.0.2.1:5005")),
        ("a=rtcp:5100\r\n", Some("192.0.2.1:5100")),
        ("a=rtcp:5100 IN IP4 192.0.2.5\r\n", Some("192.0.2.5:5100")),
        ("a=rtcp:5100 IN IP4 224.0.0.1\r\n", None),
        ("a=rtcp:nonsense\r\n", Some("192.0.2.1:5005")),
    ] {
        let d = parsed(&audio(&format!("m=audio 5004 RTP/AVP 0\r\n{attribute}")));
        assert_eq!(d.audio().unwrap().1.remote_rtcp, expected.map(|e| e.parse().unwrap()), "{attribute}");
    }
}

#[test]
fn ipv6_is_read_and_written() {
    let d = parsed("v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n");
    assert_eq!(d.audio().unwrap().1.remote, Some("[2001:db8::1]:5004".parse().unwrap()));
    let mut n = Negotiation::new(Local { address: IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9]), port: 20_000, session_id: 7 });
    let body = n.offer(&BOTH, Direction::SendRecv);
    assert!(text(&body).contains("c=IN IP6 2001:db8::9\r\n"));
}

#[test]
fn our_offer_is_what_every_phone_understands() {
    let body = ours().offer(&BOTH, Direction::SendRecv);
    assert_eq!(
        text(&body),
        "v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8 0 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=rtcp-xr:rcvr-rtt=all voip-metrics\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    let (_, back) = parsed(text(&body)).audio().map(|(i, a)| (i, a.clone())).unwrap();
    assert_eq!(back.formats.len(), 3);
}

/// RFC 3264 §6: as many lines as the offer, in its order.
#[test]
fn further_lines_are_refused_with_port_0_in_their_place() {
    let offer = parsed(&audio(
        "m=video 5010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 5002 RTP/SAVP 0\r\na=crypto:1 x\r\nm=audio 5004 RTP/AVP 0\r\n\
         m=audio 5006 RTP/AVP 8\r\nm=image 5008 udptl t38\r\nm=audio 0 RTP/AVP 0\r\n",
    ));
    let (body, agreed) = ours().answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
    let lines: Vec<_> = text(&body).lines().filter(|l| l.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 20000 RTP/AVP 0",
            "m=audio 0 RTP/AVP 8",
            "m=image 0 udptl t38",
            "m=audio 0 RTP/AVP 0"
        ]
    );
    assert_eq!(agreed.remote, Some("192.0.2.1:5004".parse().unwrap()));
}

#[test]
fn only_secure_audio_is_refused() {
    let offer = parsed(&audio("m=audio 5002 RTP/SAVP 0\r\na=crypto:1 x\r\n"));
    let refused = ours().answer(&offer, &BOTH, None, Direction::SendRecv);
    assert_eq!(refused.as_ref().map_err(Refusal::status), Err(488));
    assert_eq!(refused, Err(Refusal::Encrypted));
}

#[test]
fn without_a_common_codec_the_refusal_names_what_was_offered() {
    let offer = parsed(&audio("m=audio 5004 RTP/AVP 9 97 18\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:18 G729/8000\r\n"));
    let Err(Refusal::NoCommonCodec { offered }) = ours().answer(&offer, &BOTH, None, Direction::SendRecv) else { panic!() };
    assert_eq!(offered, ["G722", "opus", "G729"]);
}

#[test]
fn the_codec_is_the_other_legs_else_the_first_of_the_offerer() {
    let offer = parsed(&audio("m=audio 5004 RTP/AVP 9 0 8\r\n"));
    let codec = |allowed: &[Codec], prefer| ours().answer(&offer, allowed, prefer, Direction::SendRecv).unwrap().1.codec;
    assert_eq!(codec(&BOTH, None), Codec::Pcmu);
    assert_eq!(codec(&BOTH, Some(Codec::Pcma)), Codec::Pcma);
    assert_eq!(codec(&[Codec::Pcma], None), Codec::Pcma);
    assert_eq!(codec(&[Codec::Pcmu], Some(Codec::Pcma)), Codec::Pcmu);
}

#[test]
fn telephone_event_keeps_the_number_of_the_offerer() {
    let offer = parsed(&audio(
        "m=audio 5004 RTP/AVP 0 96 97\r\na=rtpmap:97 telephone-event/48000\r\na=rtpmap:96 telephone-event/8000\r\n",
    ));
    let mut n = ours();
    let (body, agreed) = n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
    assert_eq!(agreed.telephone_event, Some((96, 8_000)));
    assert_eq!(agreed.telephone_events_in[..], [(96, 8_000), (97, 48_000)]);
    assert!(text(&body).contains("m=audio 20000 RTP/AVP 0 96\r\n"));
    // Our later offer calls it the same.
    assert!(text(&n.offer(&BOTH, Direction::SendOnly)).contains("a=rtpmap:96 telephone-event/8000"));
}

#[test]
fn a_number_that_the_peer_gave_another_meaning_is_not_ours_for_events() {
    let offer = parsed(&audio("m=audio 5004 RTP/AVP 0 101\r\na=rtpmap:101 opus/48000/2\r\n"));
    let mut n = ours();
    let (_, agreed) = n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
    assert_eq!(agreed.telephone_event, None);
    assert!(text(&n.offer(&BOTH, Direction::SendRecv)).contains("a=rtpmap:102 telephone-event/8000"));
}

#[test]
fn an_answer_with_another_event_number_is_sent_that_and_heard_on_both() {
    let mut n = ours();
    n.offer(&BOTH, Direction::SendRecv);
    let agreed = n.answered(&parsed(&audio("m=audio 5004 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n"))).unwrap();
    assert_eq!(agreed.telephone_event, Some((96, 8_000)));
    assert_eq!(agreed.telephone_events_in[..], [(101, 8_000), (96, 8_000)]);
}

#[test]
fn events_of_another_clock_than_the_sound_are_better_than_none() {
    let opus = [Codec::Opus, Codec::Pcma];
    let both = "m=audio 5004 RTP/AVP 111 8 110 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n\
                a=rtpmap:126 telephone-event/8000\r\n";
    let one = "m=audio 5004 RTP/AVP 111 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";
    for (offer, event) in [(both, (110, 48_000)), (one, (126, 8_000))] {
        let mut n = ours();
        let (body, agreed) = n.answer(&parsed(&audio(offer)), &opus, None, Direction::SendRecv).unwrap();
        assert_eq!((agreed.codec, agreed.telephone_event), (Codec::Opus, Some(event)));
        assert!(agreed.telephone_events_in.contains(&(126, 8_000)));
        assert!(text(&body).contains(&format!("m=audio 20000 RTP/AVP 111 {}\r\n", event.0)), "{}", text(&body));
        assert!(text(&body).contains(&format!("a=rtpmap:{} telephone-event/{}\r\n", event.0, event.1)));
    }
    // The answer has both codecs, and may go on with either; or events of one clock alone.
    let mut n = ours();
    let offered = text(&n.offer(&opus, Direction::SendRecv)).to_owned();
    let number = |clock: &str| {
        let line = offered.lines().find(|line| line.ends_with(clock)).unwrap();
        line.trim_start_matches("a=rtpmap:").split(' ').next().unwrap().parse::<u8>().unwrap()
    };
    let (slow, fast) = (number("telephone-event/8000"), number("telephone-event/48000"));
    let lines = |events: &[u8]| {
        let mut answer = format!("m=audio 5004 RTP/AVP {} 8", number("opus/48000/2"));
        events.iter().for_each(|event| answer += &format!(" {event}"));
        answer += &format!("\r\na=rtpmap:{} opus/48000/2\r\n", number("opus/48000/2"));
        for event in events {
            answer += &format!("a=rtpmap:{event} telephone-event/{}\r\n", if *event == fast { 48_000 } else { 8_000 });
        }
        audio(&answer)
    };
    let agreed = n.answered(&parsed(&lines(&[fast, slow]))).unwrap();
    assert_eq!((agreed.codec, agreed.telephone_event), (Codec::Opus, Some((fast, 48_000))));
    assert!(agreed.telephone_events_in.contains(&(slow, 8_000)) && agreed.telephone_events_in.contains(&(fast, 48_000)));
    let agreed = n.answered(&parsed(&lines(&[slow]))).unwrap();
    assert_eq!((agreed.telephone_event, &agreed.telephone_events_in[..]), (Some((slow, 8_000)), &[(slow, 8_000)][..]));
}

/// RFC 3264 §6.1.
#[test]
fn the_answers_direction_mirrors_the_offers() {
    use Direction::*;
    for (offered, wanted, answered) in [
        (SendRecv, SendRecv, SendRecv),
        (SendOnly, SendRecv, RecvOnly),
        (RecvOnly, SendRecv, SendOnly),
        (Inactive, SendRecv, Inactive),
        (SendRecv, SendOnly, SendOnly),
        (SendOnly, SendOnly, Inactive),
        (RecvOnly, SendOnly, SendOnly),
    ] {
        let offer = parsed(&audio(&format!("m=audio 5004 RTP/AVP 0\r\na={}\r\n", offered.name())));
        let (body, agreed) = ours().answer(&offer, &BOTH, None, wanted).unwrap();
        assert!(text(&body).ends_with(&format!("a={}\r\n", answered.name())), "{offered:?} {wanted:?}");
        assert_eq!((agreed.send, agreed.receive), (answered.sends(), answered.receives()));
    }
}

#[test]
fn a_direction_at_session_level_holds_for_lines_that_have_none() {
    let d = parsed("v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 5004 RTP/AVP 0\r\n");
    assert_eq!(d.audio().unwrap().1.direction, Direction::SendOnly);
}

#[test]
fn hold_by_0_0_0_0_stops_our_sending() {
    let offer = parsed("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 5004 RTP/AVP 0\r\na=sendrecv\r\n");
    let (body, agreed) = ours().answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
    assert!(agreed.held_by_peer() && agreed.remote.is_none());
    assert!(text(&body).ends_with("a=recvonly\r\n"));
}

/// RFC 3264 §8: the version counts bodies, not answers.
#[test]
fn the_version_counts_up_when_the_body_changes_only() {
    let mut n = ours();
    let version = |b: bytes::Bytes| Description::parse(&b).unwrap().version;
    let offer = parsed(&audio(PHONE));
    let hold = parsed(&audio(&PHONE.replace("sendrecv", "sendonly")));
    assert_eq!(version(n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap().0), 1);
    assert_eq!(version(n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap().0), 1);
    assert_eq!(version(n.answer(&hold, &BOTH, None, Direction::SendRecv).unwrap().0), 2);
    assert_eq!(version(n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap().0), 3);
}

#[test]
fn our_further_offer_keeps_the_peers_lines() {
    let mut n = ours();
    let offer = parsed(&audio(&format!("{PHONE}m=video 5010 RTP/AVP 96\r\n")));
    n.answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
    let body = n.offer(&BOTH, Direction::SendOnly);
    assert!(text(&body).ends_with("m=video 0 RTP/AVP 96\r\n"));
    assert!(n.is_open());
    assert_eq!(n.answer(&offer, &BOTH, None, Direction::SendRecv), Err(Refusal::Glare));
    n.withdraw();
    assert!(n.agreed().unwrap().send && n.agreed().unwrap().receive);
}

#[test]
fn an_answer_in_18x_may_come_again_in_the_2xx() {
    let mut n = ours();
    assert_eq!(n.answered(&parsed(&audio(PHONE))), Err(Refusal::Unasked));
    n.offer(&[Codec::Pcmu], Direction::SendRecv);
    let early = n.answered(&parsed(&audio(PHONE))).unwrap();
    assert_eq!((early.codec, early.payload_type), (Codec::Pcmu, 0));
    let later = n.answered(&parsed(&audio(&PHONE.replace("5004", "5006")))).unwrap();
    assert_eq!(later.remote, Some("192.0.2.1:5006".parse().unwrap()));
}

/// RFC 3611 §5.
#[test]
fn extended_reports_are_sent_to_who_asks_and_asked_of_who_knows_them() {
    for (lines, rcvr_rtt, voip_metrics, answered) in [
        ("", false, false, false),
        ("a=rtcp-xr\r\n", false, false, true),
        ("a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n", true, true, true),
        ("a=rtcp-xr:pkt-loss-rle=10 VOIP-METRICS\r\n", false, true, true),
        ("a=rtcp-xr:voip-metricsx rcvr-rtt-x\r\n", false, false, true),
    ] {
        let offer = parsed(&audio(&format!("m=audio 5004 RTP/AVP 8\r\n{lines}")));
        let (body, agreed) = ours().answer(&offer, &BOTH, None, Direction::SendRecv).unwrap();
        assert_eq!(agreed.extended, Extended { rcvr_rtt, voip_metrics }, "{lines}");
        assert_eq!(text(&body).contains("a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n"), answered, "{lines}");
    }
    let mut n = ours();
    n.offer(&BOTH, Direction::SendRecv);
    let session = parsed(&audio(PHONE).replace("t=0 0\r\n", "t=0 0\r\na=rtcp-xr:voip-metrics\r\n"));
    assert!(n.answered(&session).unwrap().extended.voip_metrics, "for all lines of the session");
}

#[test]
fn ptime_is_what_the_peer_asks_in_whole_tens() {
    for (lines, expected) in [
        ("", 20),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:20.0\r\n", 20),
        ("a=ptime:40\r\na=maxptime:20\r\n", 20),
        ("a=ptime:1000\r\n", 60),
        ("a=ptime:0\r\n", 20),
        ("a=ptime:5\r\n", 10),
    ] {
        let d = parsed(&audio(&format!("m=audio 5004 RTP/AVP 0\r\n{lines}")));
        assert_eq!(d.audio().unwrap().1.ptime_to_send(), expected, "{lines}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = Description::parse(&body);
    }

    /// Offers torn and stitched at random: what is answered parses back, with as many lines as the offer had.
    #[test]
    fn an_answer_always_has_the_offers_lines(cuts in proptest::collection::vec((0usize..400, 0usize..400, 0u8..255), 0..6)) {
        let mut body = audio(&format!("{PHONE}m=video 5010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")).into_bytes();
        for (at, len, byte) in cuts {
            let at = at % body.len();
            if len % 3 == 0 { body.truncate(at + 1) } else { body[at] = byte }
        }
        if let Ok(offer) = Description::parse(&body)
            && let Ok((answer, _)) = ours().answer(&offer, &BOTH, None, Direction::SendRecv)
        {
            let back = Description::parse(&answer).unwrap();
            proptest::prop_assert_eq!(back.lines.len(), offer.lines.len());
        }
    }
}

mod encrypted {
    use super::*;
    use crate::rtp::srtp::Suite;

    const SECURE: &str = "m=audio 5002 RTP/SAVP 8\r\na=crypto:4 AEAD_SOMETHING inline:x\r\n\
        a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n\
        a=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:AAAAdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31\r\n";
    const PLAIN: &str = "m=audio 5004 RTP/AVP 8\r\n";
    const WISH: &str =
        "m=audio 5006 RTP/AVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";

    fn one(wanted: Security, offered: bool) -> Negotiation {
        let mut next = 0;
        let draw = |bytes: &mut [u8]| {
            next += 1;
            bytes.fill(next);
        };
        ours().with_keys(Keys::new(wanted, offered, draw))
    }

    fn answer(n: &mut Negotiation, lines: &str) -> Result<(String, Agreed), Refusal> {
        let (body, agreed) = n.answer(&parsed(&audio(lines)), &BOTH, None, Direction::SendRecv)?;
        Ok((text(&body).to_owned(), agreed))
    }

    #[test]
    fn an_offer_is_taken_as_the_policy_says() {
        use Security::*;
        let both = [SECURE, PLAIN].concat();
        let other_order = [PLAIN, SECURE].concat();
        for (wanted, lines, port) in [
            (Off, SECURE, Err(Refusal::Encrypted)),
            (Off, PLAIN, Ok((5004, false))),
            (Off, WISH, Ok((5006, false))),
            (Off, &both, Ok((5004, false))),
            (Preferred, SECURE, Ok((5002, true))),
            (Preferred, PLAIN, Ok((5004, false))),
            (Preferred, WISH, Ok((5006, true))),
            (Preferred, &other_order, Ok((5002, true))),
            (Required, SECURE, Ok((5002, true))),
            (Required, PLAIN, Err(Refusal::Unencrypted)),
            (Required, WISH, Ok((5006, true))),
            (Required, &other_order, Ok((5002, true))),
        ] {
            let answered = answer(&mut one(wanted, false), lines);
            let got = answered.as_ref().map(|(_, a)| (a.remote.unwrap().port(), a.srtp.is_some())).map_err(Clone::clone);
            assert_eq!(got, port, "{wanted:?} {lines}");
            assert_eq!(Negotiation::fits(&parsed(&audio(lines)), &BOTH, wanted, true), port.map(|_| ()));
            if let Ok((body, agreed)) = answered {
                assert_eq!(body.contains("a=crypto:"), agreed.srtp.is_some(), "{body}");
            }
        }
    }

    /// RFC 4568 §5.1.2: the first line that we can keep to, under its tag, with our own key.
    #[test]
    fn the_answer_takes_the_first_line_that_we_have() {
        let (body, agreed) = answer(&mut one(Security::Preferred, false), SECURE).unwrap();
        let pair = agreed.srtp.unwrap();
        assert_eq!((pair.ours.suite(), pair.theirs.suite()), (Suite::AesCm32, Suite::AesCm32));
        assert_ne!(pair.ours, pair.theirs);
        assert!(body.contains("m=audio 20000 RTP/SAVP 8\r\n"), "{body}");
        let ours: Vec<_> = body.lines().filter_map(|l| Crypto::parse(l.strip_prefix("a=crypto:")?)).collect();
        assert_eq!(ours, [Crypto { tag: 7, master: pair.ours }]);
    }

    #[test]
    fn our_offer_holds_all_suites_and_its_answer_one_of_them() {
        let mut n = one(Security::Required, false);
        let offer = parsed(text(&n.offer(&BOTH, Direction::SendRecv)));
        let offered = &offer.audio().unwrap().1.crypto;
        assert_eq!(offered.iter().map(|c| c.master.suite()).collect::<Vec<_>>(), Suite::ALL);
        assert_eq!(offer.lines[0].transport, Transport::Savp);
        for answer in [PLAIN, SECURE] {
            assert_eq!(n.answered(&parsed(&audio(answer))), Err(Refusal::Unencrypted), "no key under a tag of ours");
        }
        let theirs = "m=audio 5002 RTP/SAVP 8\r\na=crypto:3 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCw==\r\n";
        let pair = n.answered(&parsed(&audio(theirs))).unwrap().srtp.unwrap();
        assert_eq!(pair.ours, offered[2].master);
        // Further offers repeat it, and change nothing.
        let again = text(&n.offer(&BOTH, Direction::SendRecv)).to_owned();
        assert!(again.contains("RTP/SAVP") && again.matches("a=crypto:").count() == 1, "{again}");
        let again = parsed(&again);
        assert_eq!(again.audio().unwrap().1.crypto, [Crypto { tag: 1, master: pair.ours }]);
    }

    #[test]
    fn what_was_encrypted_stays_so_and_the_peer_may_change_its_key() {
        let mut n = one(Security::Preferred, false);
        let (_, first) = answer(&mut n, SECURE).unwrap();
        assert_eq!(answer(&mut n, PLAIN), Err(Refusal::Unencrypted));
        assert_eq!(n.agreed(), Some(&first));
        assert_eq!(answer(&mut n, SECURE).unwrap().1, first, "nothing changes with nothing");
        let (_, rekeyed) = answer(&mut n, &SECURE.replace("inline:d0Rm", "inline:AAAA")).unwrap();
        let (before, after) = (first.srtp.unwrap(), rekeyed.srtp.unwrap());
        assert_eq!(before.ours, after.ours);
        assert_ne!(before.theirs, after.theirs);
        n.offer(&BOTH, Direction::SendRecv);
        assert_eq!(n.answered(&parsed(&audio(PLAIN))), Err(Refusal::Unencrypted));
    }

    #[test]
    fn a_refused_offer_goes_plain_only_where_that_is_wanted() {
        let mut preferred = one(Security::Preferred, true);
        assert!(text(&preferred.offer(&BOTH, Direction::SendRecv)).contains("RTP/SAVP"));
        assert!(preferred.go_plain() && !preferred.go_plain());
        let plain = preferred.offer(&BOTH, Direction::SendRecv);
        assert!(text(&plain).contains("RTP/AVP 8") && !text(&plain).contains("crypto"), "{plain:?}");
        assert_eq!(preferred.answered(&parsed(&audio(PLAIN))).unwrap().srtp, None);
        // Answered as if it were plain, or with a key for nothing that we said.
        for (answer, taken) in [(PLAIN, true), ("m=audio 5002 RTP/SAVP 8\r\n", true), (SECURE, false)] {
            let mut offered = one(Security::Preferred, true);
            offered.offer(&BOTH, Direction::SendRecv);
            assert_eq!(offered.answered(&parsed(&audio(answer))).map(|a| a.srtp).ok(), taken.then_some(None), "{answer}");
        }
        assert!(!one(Security::Required, true).go_plain());
        assert!(!one(Security::Preferred, false).go_plain(), "it was plain");
        let mut off = one(Security::Off, true);
        assert!(!text(&off.offer(&BOTH, Direction::SendRecv)).contains("SAVP"));
    }
}

/// Trap: a phone that is answered it pauses, and whoever it is relayed to hears a dead line.
#[test]
fn comfort_noise_is_neither_answered_nor_asked_for() {
    for codecs in ["8 13 101", "0 13", "9 13", "8 98"] {
        let mut n = ours();
        let mapped = "a=rtpmap:13 CN/8000\r\na=rtpmap:98 CN/16000\r\na=rtpmap:101 telephone-event/8000\r\n";
        let offer = parsed(&audio(&format!("m=audio 5004 RTP/AVP {codecs}\r\n{mapped}")));
        let (body, _) = n.answer(&offer, &[Codec::Pcma, Codec::Pcmu, Codec::G722], None, Direction::SendRecv).unwrap();
        assert!(!text(&body).contains("CN/") && !text(&body).contains(" 13"), "{}", text(&body));
        assert!(!text(&n.offer(&BOTH, Direction::SendRecv)).contains("CN/"));
    }
}
