//! The torture messages of RFC 4475 and RFC 5118 (`tests/data/torture/`, byte for byte), each as the table `index.tsv` says: as a datagram
//! and as a stream.
//!
//! What a parser can tell from the message alone it has to refuse itself, with the status of the table. [`LEFT_TO_CORE`] are the messages
//! that are well formed and that somebody with a policy refuses; here they must be accepted.

use std::path::PathBuf;

use cordboard::sip::{
    Contacts, Frame, HeaderName, Host, Malformed, Message, Method, Request, Response, StreamFramer, Transport, Uri,
    parse_datagram,
};

/// Rows whose verdict is `reject` or `discard` but whose bytes are a whole message, with what refuses them.
pub const LEFT_TO_CORE: &[(&str, &str)] = &[
    ("rfc4475/unkscm.sip", "416: the scheme of the request's URI"),
    ("rfc4475/novelsc.sip", "416: the scheme of the request's URI"),
    ("rfc4475/unksm2.sip", "400 by the registrar: To is neither sip nor sips"),
    ("rfc4475/bext01.sip", "420: Require"),
    ("rfc4475/invut.sip", "415: Content-Type"),
    ("rfc4475/regaut01.sip", "401: no Digest credentials"),
    ("rfc4475/sdp01.sip", "406 or 400: Accept"),
    ("rfc4475/bcast.sip", "discarded: no transaction, a Via of others"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject,
    Discard,
    /// On a stream: more bytes are to come.
    Wait,
    /// Anything safe will do.
    Either,
    Unused,
}

#[derive(Debug)]
pub struct Row {
    pub file: String,
    pub udp: Verdict,
    pub tcp: Verdict,
    /// In words, with the statuses that are right.
    pub expect: String,
    pub bytes: Vec<u8>,
}

impl Row {
    pub fn is_left_to_core(&self) -> bool {
        LEFT_TO_CORE.iter().any(|(file, _)| *file == self.file)
    }

    /// The 4xx, 5xx and 6xx in the words of the table.
    pub fn statuses(&self) -> Vec<u16> {
        self.expect
            .split(|c: char| !c.is_ascii_digit())
            .filter(|word| word.len() == 3)
            .filter_map(|word| word.parse().ok())
            .filter(|code| (400..700).contains(code))
            .collect()
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture")
}

pub fn message(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

pub fn rows() -> Vec<Row> {
    let table = std::fs::read_to_string(folder().join("index.tsv")).expect("index.tsv");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[file, _section, _kind, udp, tcp, expect, _liberal, bytes, _sha256] = &fields[..] else { panic!("{line}") };
            let row =
                Row { file: file.into(), udp: verdict(udp), tcp: verdict(tcp), expect: expect.into(), bytes: message(file) };
            assert_eq!(row.bytes.len().to_string(), bytes, "{file} is not the file of the table");
            row
        })
        .collect()
}

fn verdict(word: &str) -> Verdict {
    match word {
        "accept" => Verdict::Accept,
        "reject" => Verdict::Reject,
        "discard" => Verdict::Discard,
        "wait" => Verdict::Wait,
        "either" => Verdict::Either,
        "unused" => Verdict::Unused,
        other => panic!("no verdict: {other}"),
    }
}

/// The verdict of the parser alone.
fn check(row: &Row, verdict: Verdict, result: Result<&Message, &Malformed>) {
    let file = &row.file;
    match (verdict, result) {
        (Verdict::Accept, Ok(_)) | (Verdict::Either | Verdict::Unused, _) => {}
        (Verdict::Reject | Verdict::Discard, Ok(_)) => assert!(row.is_left_to_core(), "{file}: accepted, but: {}", row.expect),
        (Verdict::Reject, Err(malformed)) => {
            assert!(!row.is_left_to_core(), "{file}: the core's to refuse, but: {malformed}");
            let reply = malformed.reply.as_ref().unwrap_or_else(|| panic!("{file}: no reply for {malformed}"));
            assert!(
                row.statuses().contains(&reply.status.code()),
                "{file}: {} for {malformed}, but: {}",
                reply.status,
                row.expect
            );
            readable_reply(file, reply);
        }
        (Verdict::Discard, Err(malformed)) => assert_eq!(malformed.reply, None, "{file}"),
        (Verdict::Accept | Verdict::Wait, Err(malformed)) => panic!("{file}: {malformed}"),
        (Verdict::Wait, Ok(message)) => panic!("{file}: {message}"),
    }
}

/// A refusal, too, is a message, with one of each header.
fn readable_reply(file: &str, reply: &Response) {
    let printed = Message::from(reply.clone());
    assert_eq!(Message::from_bytes(printed.to_bytes()).expect(file), printed, "{file}");
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        assert!(reply.headers.count(&name) <= 1, "{file}");
    }
}

#[test]
fn every_datagram_gets_the_verdict_of_the_table() {
    for row in rows() {
        let result = parse_datagram(&row.bytes);
        check(&row, row.udp, result.as_ref());
    }
}

#[test]
fn every_stream_gets_the_verdict_of_the_table() {
    for row in rows() {
        let mut framer = StreamFramer::new();
        framer.feed(&row.bytes);
        let first = loop {
            match framer.next() {
                Some(Ok(Frame::KeepalivePing | Frame::KeepalivePong)) => {}
                Some(Ok(Frame::Message(message))) => break Some(Ok(message)),
                Some(Err(malformed)) => break Some(Err(malformed)),
                None => break None,
            }
        };
        match (row.tcp, first) {
            (Verdict::Wait, None) => assert!(framer.is_partial(), "{}", row.file),
            (Verdict::Either | Verdict::Unused, None) => {}
            (verdict, None) => panic!("{}: waits, but {verdict:?}", row.file),
            (verdict, Some(result)) => {
                if row.expect.contains("and close") {
                    assert!(result.as_ref().is_err_and(|m| m.close) && framer.is_broken(), "{}", row.file);
                }
                check(&row, verdict, result.as_ref());
            }
        }
    }
}

/// However a stream is cut, it gives the same.
#[test]
fn a_stream_cut_into_single_octets_gives_what_it_gives_whole() {
    fn all(bytes: &[u8], step: usize) -> Vec<Result<Message, Malformed>> {
        let mut framer = StreamFramer::new();
        let mut found = Vec::new();
        for chunk in bytes.chunks(step) {
            framer.feed(chunk);
            while let Some(frame) = framer.next() {
                match frame {
                    Ok(Frame::Message(message)) => found.push(Ok(message)),
                    Ok(Frame::KeepalivePing | Frame::KeepalivePong) => {}
                    Err(malformed) => found.push(Err(malformed)),
                }
            }
        }
        found
    }
    for row in rows() {
        assert_eq!(all(&row.bytes, 1), all(&row.bytes, row.bytes.len()), "{}", row.file);
    }
}

#[test]
fn what_is_accepted_prints_as_a_message_that_reads_as_the_same() {
    let mut accepted = 0;
    for row in rows() {
        if let Ok(message) = parse_datagram(&row.bytes) {
            accepted += 1;
            assert_eq!(parse_datagram(&message.to_bytes()), Ok(message.clone()), "{}", row.file);
            let json = serde_json::to_string(&message).expect("json");
            assert_eq!(serde_json::from_str::<Message>(&json).expect("back"), message, "{}", row.file);
        }
    }
    assert!(accepted > 30);
}

fn request(file: &str) -> Request {
    match parse_datagram(&message(file)).unwrap_or_else(|e| panic!("{file}: {e}")) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{file} is a response"),
    }
}

fn response(file: &str) -> Response {
    match parse_datagram(&message(file)).unwrap_or_else(|e| panic!("{file}: {e}")) {
        Message::Response(response) => response,
        Message::Request(_) => panic!("{file} is a request"),
    }
}

fn contacts(request: &Request) -> Vec<cordboard::sip::NameAddr> {
    match request.headers.contacts().expect("contacts") {
        Contacts::List(list) => list,
        Contacts::Star => panic!("a star"),
    }
}

/// RFC 4475 §3.1.1.1.
#[test]
fn a_tortuous_invite_is_read_to_the_last_field() {
    let r = request("rfc4475/wsinv.sip");
    assert_eq!(r.method, Method::Invite);
    assert_eq!(r.uri.to_string(), "sip:vivekg@chair-dnrc.example.com;unknownparam");
    assert_eq!(r.headers.to().expect("to").tag(), Some(&b"1918181833n"[..]));
    assert_eq!(r.headers.from().expect("from").display_text().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(r.headers.max_forwards(), Ok(Some(68)));
    assert_eq!(r.headers.cseq().expect("cseq").number, 9);
    let vias = r.headers.vias().expect("vias");
    assert_eq!(vias.len(), 3);
    assert_eq!(vias[1].transport(), Some(Transport::Tcp));
    assert_eq!(r.headers.route().expect("route").len(), 1);
    assert_eq!(contacts(&r).len(), 1);
    assert_eq!(r.headers.get(&HeaderName::Subject).map(|b| b.len()), Some(0));
    assert_eq!(r.body.len(), 150);
}

/// RFC 4475 §3.1.1.2: the odd octets of a display name come back in the response.
#[test]
fn odd_octets_of_to_and_from_survive_the_echo() {
    let r = request("rfc4475/intmeth.sip");
    let reply = r.response_with_tag(cordboard::sip::Status::NOT_IMPLEMENTED, "xyz");
    let sent = r.headers.get(&HeaderName::To).expect("to");
    let echoed = reply.headers.get(&HeaderName::To).expect("to");
    assert!(sent.contains(&0) && sent.contains(&7) && sent.contains(&0x7f));
    assert!(echoed.starts_with(sent));
    assert_eq!(reply.headers.get(&HeaderName::From), r.headers.get(&HeaderName::From));
    let reread = parse_datagram(&reply.to_bytes()).expect("a reply that reads");
    assert_eq!(reread.headers().to().expect("to").tag(), Some(&b"xyz"[..]));
}

/// RFC 4475 §3.1.1.3, §3.1.1.4, §3.1.1.9.
#[test]
fn escapes_in_users_are_kept_and_compare_unescaped() {
    let esc = request("rfc4475/esc01.sip");
    assert_eq!(esc.uri.to_string(), "sip:sips%3Auser%40example.com@example.net");
    assert_eq!(esc.uri.dialled().as_deref(), Some("sips:user@example.com"));
    let null = request("rfc4475/escnull.sip");
    let both = contacts(&null);
    assert_eq!(both.len(), 2);
    assert!(!both[0].uri.equivalent(&both[1].uri));
    assert_eq!(both[0].uri.dialled().as_deref(), Some("\0"));
    assert_eq!(both[1].uri.dialled().as_deref(), Some("\0\0"));
    assert_eq!(request("rfc4475/esc02.sip").method.as_str(), "RE%47IST%45R");
    assert_eq!(request("rfc4475/semiuri.sip").uri.dialled().as_deref(), Some("user;par=u@example.net"));
}

/// RFC 4475 §3.1.1.8.
#[test]
fn a_datagram_has_one_message_and_a_stream_of_the_same_bytes_two() {
    let bytes = message("rfc4475/dblreq.sip");
    assert!(matches!(parse_datagram(&bytes), Ok(Message::Request(r)) if r.method == Method::Register && r.body.is_empty()));
    let mut framer = StreamFramer::new();
    framer.feed(&bytes);
    let mut methods = Vec::new();
    // Behind the second stands a rest: the archive's Content-Length is too short for its SDP.
    while methods.len() < 2 {
        match framer.next().expect("two messages").expect("frames") {
            Frame::Message(Message::Request(request)) => methods.push(request.method),
            Frame::Message(Message::Response(_)) => panic!("a response"),
            Frame::KeepalivePing | Frame::KeepalivePong => {}
        }
    }
    assert_eq!(methods, [Method::Register, Method::Invite]);
}

/// RFC 4475 §3.1.1.11.
#[test]
fn a_binary_body_is_kept_byte_for_byte() {
    let bytes = message("rfc4475/mpart01.sip");
    let r = request("rfc4475/mpart01.sip");
    assert_eq!(r.body, bytes[bytes.len() - 553..]);
    assert!(r.body.contains(&0));
    assert!(r.to_bytes().ends_with(&r.body));
}

/// RFC 4475 §3.1.1.12, §3.1.1.13.
#[test]
fn reasons_may_be_empty_or_not_english() {
    assert_eq!(response("rfc4475/noreason.sip").reason, "");
    let reason = response("rfc4475/unreason.sip").reason;
    assert!(std::str::from_utf8(&reason).is_ok_and(|text| !text.is_ascii()));
}

/// RFC 4475 §3.3.12 to §3.3.14.
#[test]
fn contact_parameters_belong_where_the_brackets_put_them() {
    let outside = &contacts(&request("rfc4475/cparam01.sip"))[0];
    assert!(outside.params.has("unknownparam") && outside.uri.sip().is_some_and(|u| !u.params().has("unknownparam")));
    let inside = &contacts(&request("rfc4475/cparam02.sip"))[0];
    assert!(!inside.params.has("unknownparam") && inside.uri.sip().is_some_and(|u| u.params().has("unknownparam")));
    let route = &contacts(&request("rfc4475/regescrt.sip"))[0];
    assert!(route.uri.sip().and_then(|u| u.headers()).is_some_and(|h| h.starts_with("Route=")));
}

/// RFC 4475 §3.4.1.
#[test]
fn an_invite_of_rfc_2543_has_its_body_to_the_end_of_the_datagram() {
    let r = request("rfc4475/inv2543.sip");
    assert!(r.body.starts_with(b"v=0\r\n") && !r.body.is_empty());
    assert_eq!(r.headers.max_forwards(), Ok(None));
    assert_eq!(r.headers.from().expect("from").tag(), None);
}

/// RFC 5118 §4.
#[test]
fn addresses_of_ipv6_are_read_in_every_place() {
    let host = |text: &str| Host::Ip(text.parse().expect("address"));
    let sip = |uri: &Uri| uri.sip().cloned().expect("sip");
    let ambiguous = sip(&request("rfc5118/port-ambiguous.sip").uri);
    assert_eq!((ambiguous.host, ambiguous.port), (host("2001:db8::10:5070"), None));
    let clear = sip(&request("rfc5118/port-unambiguous.sip").uri);
    assert_eq!((clear.host, clear.port), (host("2001:db8::10"), Some(5070)));
    for file in ["rfc5118/via-received-param-with-delim.sip", "rfc5118/via-received-param-no-delim.sip"] {
        let via = request(file).headers.via().expect("via");
        assert_eq!(via.received(), "2001:db8::9:255".parse().ok(), "{file}");
        assert!(via.branch().is_some(), "{file}");
    }
    let three = request("rfc5118/ipv6-bug-abnf-3-colons.sip");
    let two = request("rfc5118/ipv6-correct-abnf-2-colons.sip");
    assert_eq!(sip(&three.uri).host, sip(&two.uri).host);
    assert_eq!(sip(&two.uri).host, host("2001:db8::192.0.2.1"));
    assert_eq!(request("rfc5118/mult-ip-in-header.sip").headers.vias().expect("vias").len(), 3);
}

/// Messages whose lengths the archive got wrong, and one without the end of its headers, each with that mended.
#[test]
fn the_mended_variants_show_what_their_originals_are_about() {
    for file in ["rfc5118/ipv6-in-sdp-clfixed.sip", "rfc5118/mult-ip-in-sdp-clfixed.sip", "rfc5118/ipv4-mapped-ipv6-clfixed.sip"]
    {
        assert!(!request(file).body.is_empty(), "{file}");
    }
    let bad_name = parse_datagram(&message("rfc4475/baddn-eoh.sip")).expect_err("a comma in a bare display name");
    assert_eq!(bad_name.reply.map(|r| r.status.code()), Some(400));
}
