//! SIP: datagrams, streams, and single values.
//!
//! Beyond "no panic": what is printed reads back as an equal value, and what a peer put into a name, a user, a tag or any header that we
//! copy to another leg stays inside of that one header.

use std::path::PathBuf;

use bytes::Bytes;
use cordboard::sip::{
    CSeq, Challenge, Contacts, Frame, HeaderName, Headers, Host, MAX_BODY, MAX_HEAD, Malformed, Message, Method, NameAddr,
    Reason, Replaces, Request, SipUri, Status, StreamFramer, Transport, Uri, Via, parse_datagram,
};

use super::Target;

fn torture() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture");
    let mut files: Vec<PathBuf> = ["rfc4475", "rfc5118"]
        .iter()
        .flat_map(|f| std::fs::read_dir(folder.join(f)).expect("torture messages"))
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "sip"))
        .collect();
    // The order of a directory is chance.
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// What phones, trunks and browsers send all day.
const USUAL: &[&str] = &[
    "INVITE sip:600@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK5c1b1f7e;rport\r\nContact: <sip:201-0x55@127.0.0.1:5062>\r\n\
     Max-Forwards: 70\r\nTo: <sip:600@127.0.0.1>\r\nFrom: \"Olena \\\"O\\\" \u{41e}\" <sip:201@127.0.0.1>;tag=a1\r\nCall-ID: 7a@h\r\nCSeq: 5 INVITE\r\n\
     User-Agent: baresip v1.0.0 (x86_64/linux)\r\nAllow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,REFER\r\n\
     Supported: gruu, replaces,timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nP-Asserted-Identity: <tel:+4930123456>, <sip:+49@x;user=phone>\r\n\
     Content-Type: application/sdp\r\nContent-Length: 11\r\n\r\nv=0\r\no=- 1\r\n",
    "REGISTER sip:cordboard.example;transport=tcp SIP/2.0\r\nv: SIP/2.0/TCP [2001:db8::9]:5060;branch=z9hG4bK1;rport;alias\r\nf: sip:201@cordboard.example;tag=1\r\n\
     t: <sip:201@cordboard.example>\r\ni: 1\r\nCSeq: 102 REGISTER\r\nm: <sip:201@[2001:db8::9];ob>;+sip.instance=\"<urn:uuid:0-0>\";reg-id=1;expires=60;q=0.5\r\n\
     Authorization: Digest username=\"201\", realm=\"cordboard.example\", nonce=\"abc,d=\", uri=\"sip:cordboard.example\", response=\"00112233\", \
     algorithm=MD5, cnonce=\"x\\\"y\", opaque=\"\", qop=auth, nc=0000000a\r\nExpires: 60\r\nPath: <sip:p;lr>\r\nl: 0\r\n\r\n",
    "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP a:1;branch=z9hG4bK2;received=192.0.2.1;rport=9, SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK3\r\n\
     From: <sip:a@b>;tag=2\r\nTo: <sip:a@b>;tag=3\r\nCall-ID: 2\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\", \
     algorithm=SHA-256, stale=true, Digest realm=\"r\", nonce=\"n\"\r\nProxy-Authenticate: Basic realm=x, Digest realm=\"q\", nonce=\"z\", opaque=\"o\"\r\n\
     Retry-After: 120 (soon);duration=3\r\nContent-Length: 0\r\n\r\n",
    "REFER sip:201@h SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK4\r\nRoute: <sip:p1;lr>,<sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\nFrom: a <sip:a@h>;tag=4\r\n\
     To: b <sip:b@h>;tag=5\r\nCall-ID: 3\r\nCSeq: 9 REFER\r\nContact: <sip:a@h>\r\nRefer-To: \"x\" <sip:c@h?Replaces=1%40h%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n\
     Referred-By: <sip:a@h>\r\nReplaces: 1@h;to-tag=7;from-tag=8;early-only\r\nReason: SIP;cause=200;text=\"Call completed elsewhere\", Q.850;cause=16\r\n\
     Content-Length: 0\r\n\r\n",
    "NOTIFY sip:a@h SIP/2.0\r\nVia: SIP/2.0/WS h;branch=z9hG4bK5\r\nFrom: <sip:a@h>;tag=4\r\nTo: <sip:b@h>;tag=5\r\nCall-ID: 3\r\nCSeq: 10 NOTIFY\r\n\
     Event: refer;id=93\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag;version=2.0\r\nAccept: application/sdp;level=1, text/*\r\n\
     Content-Length: 16\r\n\r\nSIP/2.0 200 OK\r\n",
    "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>\r\nTo: <sip:a@h>\r\nCall-ID: 4\r\nCSeq: 1 REGISTER\r\nContact: *\r\nExpires: 0\r\n\r\n",
];

fn messages() -> Vec<Vec<u8>> {
    let mut all = torture();
    // Several times: else the traps, mostly refused as they are, crowd them out.
    for _ in 0..4 {
        all.extend(USUAL.iter().map(|text| text.as_bytes().to_vec()));
    }
    all
}

pub struct Datagram;

impl Target for Datagram {
    fn seeds(&self) -> Vec<Vec<u8>> {
        messages()
    }

    fn run(&self, input: &[u8], _chance: u64) -> bool {
        match parse_datagram(input) {
            Ok(message) => {
                reads_back(&message);
                typed(message.headers());
                copied_to_another_leg(&message);
                if let Message::Request(request) = &message {
                    answered(request);
                }
                true
            }
            Err(malformed) => {
                refused(&malformed);
                false
            }
        }
    }
}

fn reads_back(message: &Message) {
    assert_eq!(parse_datagram(&message.to_bytes()).as_ref(), Ok(message));
}

fn refused(malformed: &Malformed) {
    let Some(reply) = &malformed.reply else { return };
    let mut reply = (**reply).clone();
    let source = "192.0.2.99:1".parse().expect("address");
    let goes_to = reply.headers.stamp_source(source);
    assert_eq!(goes_to.ip(), source.ip());
    let message = Message::from(reply);
    let names: Vec<&HeaderName> = message.headers().iter().map(|(name, _)| name).collect();
    let known = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert_eq!(Message::from_bytes(message.to_bytes()).as_ref(), Ok(&message));
}

/// Every accessor is safe, and what it gives prints as what it is.
fn typed(headers: &Headers) {
    for via in headers.vias().expect("validated") {
        same_via(&via);
        let mut stamped = via.clone();
        stamped.stamp("[2001:db8::7]:77".parse().expect("address"));
        same_via(&stamped);
        let _ = (via.received(), via.rport(), via.maddr(), via.ttl(), via.branch(), via.has_unique_branch());
    }
    let mut addresses = vec![headers.from().expect("validated"), headers.to().expect("validated")];
    addresses.extend(headers.record_route().expect("validated"));
    for list in [headers.route(), headers.path(), headers.asserted_identity()] {
        addresses.extend(list.unwrap_or_default());
    }
    addresses.extend([headers.refer_to(), headers.referred_by()].into_iter().filter_map(|a| a.ok().flatten()));
    match headers.contacts() {
        Ok(Contacts::List(list)) => addresses.extend(list),
        Ok(Contacts::Star) | Err(_) => {}
    }
    for address in &addresses {
        same_address(address);
        same_uri(&address.uri);
    }
    let cseq = headers.cseq().expect("validated");
    let mut again = Headers::new();
    again.push(HeaderName::CSeq, &cseq);
    assert_eq!(again.cseq(), Ok(cseq));
    let _ = (
        headers.max_forwards(),
        headers.expires(),
        headers.min_expires(),
        headers.retry_after(),
        headers.min_se(),
        headers.contact(),
    );
    let _ = (
        headers.require(),
        headers.proxy_require(),
        headers.supported(),
        headers.allow(),
        headers.content_type(),
        headers.accept(),
    );
    let _ = (headers.event(), headers.session_expires(), headers.lists(&HeaderName::Supported, "timer"));
    authentication(headers);
    if let Ok(Some(state)) = headers.subscription_state() {
        again.set(HeaderName::SubscriptionState, &state);
        assert_eq!(again.subscription_state(), Ok(Some(state)));
    }
    for reason in headers.reasons() {
        again.set(HeaderName::Reason, &reason);
        assert_eq!(again.reasons(), [reason]);
    }
    if let Ok(Some(replaces)) = headers.replaces() {
        again.set(HeaderName::Replaces, &replaces);
        assert_eq!(again.replaces(), Ok(Some(replaces)));
    }
}

fn same_via(via: &Via) {
    let mut headers = Headers::new();
    headers.push_via(via);
    assert_eq!(headers.via().as_ref(), Ok(via));
    assert_eq!(headers.vias().map(|v| v.len()), Ok(1));
}

fn same_address(address: &NameAddr) {
    let mut headers = Headers::new();
    headers.push(HeaderName::ReferTo, address);
    assert_eq!(headers.refer_to(), Ok(Some(address.clone())));
    assert_eq!(headers.elements(&HeaderName::ReferTo).count(), 1, "{address}");
    let json = serde_json::to_string(address).expect("json");
    assert_eq!(&serde_json::from_str::<NameAddr>(&json).expect("back"), address);
}

fn same_uri(uri: &Uri) {
    let text = uri.to_string();
    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
    assert_eq!(text.parse().as_ref(), Ok(uri));
    assert!(uri.equivalent(uri));
    if let (Uri::Sip(sip), Some(user)) = (uri, uri.sip().and_then(SipUri::user_unescaped)) {
        let made = Uri::from(SipUri::new(&user, sip.host.clone(), sip.port));
        same_uri_text(&made);
        let mut plain = sip.address_of_record();
        plain.secure = false;
        assert!(made.equivalent(&Uri::from(plain)), "{made} from {uri}");
    }
}

fn same_uri_text(uri: &Uri) {
    assert_eq!(uri.to_string().parse().as_ref(), Ok(uri));
}

fn authentication(headers: &Headers) {
    let mut again = Headers::new();
    for credentials in headers.authorizations().unwrap_or_default() {
        let _ = credentials.verify("0123", &Method::Register);
        again.set(HeaderName::Authorization, &credentials);
        let back = again.authorizations().expect("ours");
        assert_eq!(back.len(), 1);
        // Control characters are not printed back.
        assert!(back[0] == credentials || !headers_are_clean(headers));
    }
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        for challenge in headers.challenges(&name) {
            again.set(name.clone(), &challenge);
            let back: Vec<Challenge> = again.challenges(&name);
            assert!(back == [challenge] || !headers_are_clean(headers));
        }
    }
}

fn headers_are_clean(headers: &Headers) -> bool {
    headers.iter().all(|(_, value)| !value.iter().any(u8::is_ascii_control))
}

/// What the switch does with a caller: the name, the number and the tags of one leg go into a request on another.
fn copied_to_another_leg(message: &Message) {
    let from = message.headers().from().expect("validated");
    let to = message.headers().to().expect("validated");
    let user =
        |address: &NameAddr| address.uri.sip().and_then(SipUri::user_unescaped).map(|u| u.into_owned()).unwrap_or_default();
    let host = Host::new("switch.example").expect("host");
    let target = SipUri::new(user(&to), host.clone(), Some(5060));
    let mut leg = Request::new(Method::Invite, target.clone());
    let call_id = message.headers().call_id().expect("validated").clone();
    leg.headers.push_via(&Via::new(
        Transport::Udp,
        "192.0.2.1:5060".parse::<std::net::SocketAddr>().expect("address"),
        from.tag().unwrap_or(b"x"),
    ));
    leg.headers.push(
        HeaderName::From,
        NameAddr::new(SipUri::new(user(&from), host, None))
            .with_display(from.display().unwrap_or(b"-"))
            .with_tag(from.tag().unwrap_or(b"t")),
    );
    leg.headers.push(HeaderName::To, NameAddr::new(target).with_param("x", to.display().unwrap_or_default()));
    leg.headers.push(HeaderName::CallId, &call_id);
    leg.headers.push(HeaderName::CSeq, CSeq::new(1, Method::Invite));
    leg.headers.push(HeaderName::Subject, message.headers().get(&HeaderName::Subject).cloned().unwrap_or_default());
    leg.headers.push(HeaderName::Reason, Reason::sip(Status::OK, &from.display_text().unwrap_or_default()));
    leg.headers.push(HeaderName::Replaces, Replaces::new(call_id, to.tag().unwrap_or(b"a"), from.tag().unwrap_or(b"b")));
    // Raw octets of the peer, line ends and all.
    leg.headers.push(HeaderName::UserAgent, message.body().clone());
    leg.body = message.body().clone();
    let names = |m: &Message| m.headers().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let sent = Message::from(leg);
    let got = Message::from_bytes(sent.to_bytes()).expect("what we print reads");
    assert_eq!(names(&got), names(&sent));
    assert_eq!(got, sent);
    assert_eq!(parse_datagram(&sent.to_bytes()).as_ref(), Ok(&sent));
}

fn answered(request: &Request) {
    for status in [Status::TRYING, Status::RINGING, Status::OK, Status::BUSY_HERE] {
        let mut response = request.response_with_tag(status, "tag\r\nVia: x");
        response.headers.stamp_source("192.0.2.2:5062".parse().expect("address"));
        let message = Message::from(response);
        assert_eq!(parse_datagram(&message.to_bytes()).as_ref(), Ok(&message));
    }
    let mut popped = request.headers.clone();
    let vias = popped.vias().expect("validated").len();
    popped.remove_top_via();
    assert_eq!(popped.vias().map_or(0, |v| v.len()), vias - 1);
}

pub struct Stream;

impl Target for Stream {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut all = messages();
        all.push(USUAL.concat().into_bytes());
        all.push([USUAL[0], "\r\n\r\n", USUAL[1], "\r\n", USUAL[2]].concat().into_bytes());
        all
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let whole = frames(input, input.len().max(1));
        let cut = frames(input, 1 + usize::try_from(chance % 97).unwrap_or(0));
        assert_eq!(whole, cut);
        for result in &whole {
            match result {
                Ok(message) => reads_back(message),
                Err(malformed) => refused(malformed),
            }
        }
        whole.iter().any(Result::is_ok)
    }
}

/// Messages and errors; how keep-alives are told apart depends on how the stream is cut.
fn frames(input: &[u8], step: usize) -> Vec<Result<Message, Malformed>> {
    let mut framer = StreamFramer::new();
    let mut found = Vec::new();
    for chunk in input.chunks(step) {
        framer.feed(chunk);
        while let Some(frame) = framer.next() {
            match frame {
                Ok(Frame::Message(message)) => {
                    assert!(message.body().len() <= MAX_BODY && message.to_bytes().len() <= 2 * MAX_HEAD + MAX_BODY);
                    found.push(Ok(message));
                }
                Ok(Frame::KeepalivePing | Frame::KeepalivePong) => {}
                Err(malformed) => {
                    let closes = malformed.close;
                    found.push(Err(malformed));
                    assert_eq!(closes, framer.is_broken());
                }
            }
        }
    }
    found
}

pub struct Values;

impl Target for Values {
    fn seeds(&self) -> Vec<Vec<u8>> {
        messages()
            .iter()
            .flat_map(|m| {
                m.split(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\r")).map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .filter_map(|line| {
                let colon = line.iter().position(|&b| b == b':')?;
                Some(line[colon + 1..].trim_ascii().to_vec())
            })
            .filter(|value| value.len() > 3)
            .chain([b"sip:alice:pw@[::1]:5060;transport=tcp;lr?Subject=x&To=y".to_vec(), b"tel:+49-30-1;ext=2".to_vec()])
            .collect()
    }

    fn run(&self, input: &[u8], _chance: u64) -> bool {
        let value = Bytes::copy_from_slice(input);
        let mut taken = false;
        if let Ok(uri) = Uri::parse(value.clone()) {
            same_uri(&uri);
            taken = true;
        }
        if let Ok(address) = NameAddr::parse(value.clone()) {
            same_address(&address);
            same_uri(&address.uri);
            taken = true;
        }
        for address in NameAddr::parse_list(&value).unwrap_or_default() {
            same_address(&address);
        }
        if let Ok(via) = Via::parse(value.clone()) {
            same_via(&via);
            taken = true;
        }
        // As a display name, a user, a parameter of ours.
        let host = Host::new("h").expect("host");
        let made =
            NameAddr::new(SipUri::new(input, host, None).with_param("p", input)).with_display(input).with_param("x", input);
        same_address(&made);
        let mut headers = Headers::new();
        for name in [HeaderName::Authorization, HeaderName::WwwAuthenticate] {
            headers.push(name, &value);
        }
        authentication(&headers);
        taken
    }
}
