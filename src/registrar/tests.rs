//! Phones at the registrar: who gets in, what a REGISTER does; and we at a trunk's.

mod devices;

use std::time::Duration;

use bytes::Bytes;

use super::nonce::NONCE_LIFE;
use super::*;
use crate::clock::Wall;
use crate::config::{Config, Source};
use crate::sip::{Algorithm, CSeq, Challenge, Contacts, Credentials, Flow, HeaderName, Login, Method, SipUri, Status, Transport};

const CONFIG: &str = r#"
[site]
name = "Example"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[sip]
digest = ["SHA-256", "MD5"]

[[phone]]
number = "201"
secret = "geheim-201"

[[phone]]
number = "202"
secret = "geheim-202"
"#;

fn now(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall: Wall::from_micros(1_795_338_000_000_000) + Duration::from_millis(ms) }
}

fn flow(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("address"),
        remote: remote.parse().expect("address"),
        connection: None,
    }
}

struct Desk {
    registrar: Registrar,
    config: Config,
    chance: Chance,
    cseq: u32,
    changes: Vec<Change>,
}

impl Desk {
    fn new() -> Desk {
        let config = Config::resolve(&Source::of(CONFIG)).expect("a configuration");
        let mut chance = Chance::seeded([1; 32]);
        let registrar = Registrar::new(&config, &mut chance);
        Desk { registrar, config, chance, cseq: 0, changes: Vec::new() }
    }

    fn request(&mut self, method: Method, number: &str) -> Request {
        self.cseq += 1;
        let uri = match method {
            Method::Invite => "sip:600@cordboard.example",
            _ => "sip:cordboard.example",
        };
        let mut request = Request::new(method.clone(), crate::sip::Uri::parse(uri).expect("uri"));
        let own = format!("<sip:{number}@cordboard.example>");
        request.headers.push(HeaderName::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx");
        request.headers.push(HeaderName::From, format!("{own};tag=f"));
        request.headers.push(HeaderName::To, own);
        request.headers.push(HeaderName::CallId, "phone-1");
        request.headers.push(HeaderName::CSeq, CSeq::new(self.cseq, method));
        request
    }

    fn ask_from(&mut self, request: &Request, source: &str, at: u64) -> Verdict {
        let users = |number: &str| self.config.phones.get(number).map(|p| &p.secret);
        let from = From { flow: flow(source), is_proxied: false, reported: None };
        self.registrar.authenticate(request, &users, &from, "t", &mut self.chance, now(at))
    }

    fn ask(&mut self, request: &Request, at: u64) -> Verdict {
        self.ask_from(request, "192.0.2.9:5060", at)
    }

    /// The challenges that a request without credentials gets.
    fn challenges(&mut self, at: u64) -> Vec<Challenge> {
        let request = self.request(Method::Register, "201");
        match self.ask(&request, at) {
            Verdict::Answer(response) | Verdict::Refused(response) => response.headers.challenges(&HeaderName::WwwAuthenticate),
            Verdict::Proven(number) => panic!("{number}"),
        }
    }

    fn register(&mut self, lines: &[(HeaderName, &str)], source: &str, at: u64) -> Response {
        let mut request = self.request(Method::Register, "201");
        for (name, value) in lines {
            request.headers.push(name.clone(), *value);
        }
        self.carry_out(&request, source, at)
    }

    fn carry_out(&mut self, request: &Request, source: &str, at: u64) -> Response {
        self.changes.clear();
        let from = From { flow: flow(source), is_proxied: false, reported: None };
        self.registrar.register(&Number::from("201"), request, from, "t", now(at), &mut self.changes)
    }

    fn contacts(&self) -> Vec<String> {
        let all = self.registrar.bindings(&Number::from("201"), now(0));
        all.iter().map(|b| String::from_utf8_lossy(&b.contact).into_owned()).collect()
    }
}

fn sign(request: &mut Request, challenge: &Challenge, user: &str, password: &str, nc: u32) -> Credentials {
    let uri = Bytes::from(request.uri.to_string());
    let credentials = challenge.answer(&Login { username: user, password }, &request.method, &uri, nc, b"0a4f113b");
    request.headers.set(HeaderName::Authorization, &credentials);
    credentials
}

#[track_caller]
fn status(verdict: Verdict) -> (u16, bool) {
    match verdict {
        Verdict::Answer(response) | Verdict::Refused(response) => {
            let stale = response.headers.challenges(&HeaderName::WwwAuthenticate).iter().any(|c| c.stale);
            (response.status.code(), stale)
        }
        Verdict::Proven(number) => panic!("{number} is proven"),
    }
}

fn proven(verdict: &Verdict, number: &str) -> bool {
    matches!(verdict, Verdict::Proven(n) if n.as_str() == number)
}

/// RFC 8760 §2.3.
#[test]
fn algorithms_are_offered_in_the_configured_order_and_each_is_taken() {
    let mut desk = Desk::new();
    let offered = desk.challenges(0);
    assert_eq!(offered.iter().map(|c| c.algorithm).collect::<Vec<_>>(), [Algorithm::Sha256, Algorithm::Md5]);
    for (challenge, user) in [(&offered[0], "201"), (&desk.challenges(0)[1], "201@cordboard.example")] {
        let mut request = desk.request(Method::Register, "201");
        sign(&mut request, challenge, user, "geheim-201", 1);
        assert!(proven(&desk.ask(&request, 10), "201"), "{}", challenge.algorithm);
    }
}

#[test]
fn an_algorithm_that_was_not_offered_is_challenged() {
    let mut desk = Desk::new();
    let md5 = desk.challenges(0).remove(1);
    desk.registrar.guard.configure(&Config::resolve(&Source::of(CONFIG.replace(", \"MD5\"", ""))).expect("configuration"));
    let mut request = desk.request(Method::Register, "201");
    sign(&mut request, &md5, "201", "geheim-201", 1);
    assert_eq!(status(desk.ask(&request, 10)), (401, false));
}

#[test]
fn known_and_unknown_numbers_get_the_same_bytes_but_for_chance() {
    let answer = |number: &str, password: Option<&str>| {
        let mut desk = Desk::new();
        let mut request = desk.request(Method::Register, "201");
        if let Some(password) = password {
            let challenge = desk.challenges(0).remove(0);
            request = desk.request(Method::Register, "201");
            sign(&mut request, &challenge, number, password, 1);
        }
        match desk.ask(&request, 10) {
            Verdict::Answer(response) | Verdict::Refused(response) => response.to_bytes(),
            Verdict::Proven(_) => panic!("proven"),
        }
    };
    assert_eq!(answer("201", Some("guess")), answer("999", Some("guess")));
    assert_eq!(answer("201", None), answer("999", None));
}

/// The same hashes over as many blocks, whatever is wrong: how long an answer takes says no more than its bytes do.
#[test]
fn known_and_unknown_numbers_take_the_same_work() {
    use crate::sip::digest_work::done;
    let work = |user: &str, password: &str, uri: &str, at: u64| {
        let mut desk = Desk::new();
        let challenge = desk.challenges(0).remove(0);
        let mut request = desk.request(Method::Register, "201");
        let realm = request.uri.clone();
        request.uri = crate::sip::Uri::parse(Bytes::from(uri.to_owned())).expect("a URI");
        sign(&mut request, &challenge, user, password, 1);
        request.uri = realm;
        done();
        let verdict = desk.ask(&request, at);
        let bytes = match verdict {
            Verdict::Answer(response) | Verdict::Refused(response) => response.to_bytes(),
            Verdict::Proven(_) => panic!("proven"),
        };
        (done(), bytes)
    };
    let old = u64::try_from(NONCE_LIFE.as_millis()).expect("fits");
    let own = "sip:cordboard.example";
    let wrong = work("201", "guess", own, 10);
    assert!(wrong.0[0] >= 4, "{:?}: a user's hash, two of the digest, and the nonce's", wrong.0);
    for (user, password, uri) in [
        ("999", "guess", own),
        ("201", "geheim-201", "sip:other.example"),
        ("999", "geheim-999", "sip:other.example"),
        ("20", "", own),
    ] {
        assert_eq!(work(user, password, uri, 10), wrong, "{user} {password} {uri}");
    }
    assert_eq!(work("201", "geheim-201", own, old), work("999", "geheim-201", own, old));
    assert_eq!(work("201@cordboard.example", "guess", own, 10), work("999@cordboard.example", "guess", own, 10));
}

#[test]
fn a_count_is_good_once_and_may_come_out_of_order() {
    let mut desk = Desk::new();
    let challenge = desk.challenges(0).remove(0);
    let mut ask = |nc: u32| {
        let mut request = desk.request(Method::Register, "201");
        sign(&mut request, &challenge, "201", "geheim-201", nc);
        desk.ask(&request, 10)
    };
    for nc in [1, 2, 5, 4, 3, 200] {
        assert!(proven(&ask(nc), "201"), "{nc}");
    }
    for replayed in [1, 2, 3, 4, 5, 200, 100, 0] {
        assert_eq!(status(ask(replayed)), (401, true), "{replayed}");
    }
    assert!(proven(&ask(150), "201"), "within the window behind the highest");
}

#[test]
fn a_nonce_that_is_old_or_of_another_process_is_stale_and_a_forged_one_no_better() {
    let mut desk = Desk::new();
    let challenge = desk.challenges(0).remove(0);
    let mut request = desk.request(Method::Register, "201");
    sign(&mut request, &challenge, "201", "geheim-201", 1);
    let old = u64::try_from(NONCE_LIFE.as_millis()).expect("fits");
    assert_eq!(status(desk.ask(&request, old)), (401, true));
    assert!(proven(&desk.ask(&request, old - 1), "201"));

    let mut strange = challenge.clone();
    let mut nonce = challenge.nonce.to_vec();
    nonce[3] ^= 1;
    strange.nonce = nonce.into();
    let mut request = desk.request(Method::Register, "201");
    sign(&mut request, &strange, "201", "geheim-201", 1);
    assert_eq!(status(desk.ask(&request, 10)), (401, true));
    strange.nonce = Bytes::from_static(b"x");
    sign(&mut request, &strange, "201", "wrong", 1);
    assert_eq!(status(desk.ask(&request, 10)), (401, true), "whether the digest was right is not told (RFC 7616 §3.3)");
}

#[test]
fn a_digest_for_another_method_uri_or_realm_proves_nothing() {
    let mut desk = Desk::new();
    let challenge = desk.challenges(0).remove(0);
    let mut register = desk.request(Method::Register, "201");
    let credentials = sign(&mut register, &challenge, "201", "geheim-201", 1);

    let mut invite = desk.request(Method::Invite, "201");
    invite.headers.set(HeaderName::Authorization, &credentials);
    assert_eq!(status(desk.ask(&invite, 10)), (401, false), "made for REGISTER");

    let mut invite = desk.request(Method::Invite, "201");
    let uri = b"sip:700@cordboard.example";
    let elsewhere = challenge.answer(&Login { username: "201", password: "geheim-201" }, &Method::Invite, uri, 2, b"c");
    invite.headers.set(HeaderName::Authorization, &elsewhere);
    assert_eq!(status(desk.ask(&invite, 10)), (401, false), "made for another callee");

    let mut other_realm = challenge.clone();
    other_realm.realm = Bytes::from_static(b"elsewhere.example");
    sign(&mut invite, &other_realm, "201", "geheim-201", 3);
    assert_eq!(status(desk.ask(&invite, 10)), (401, false));

    // The port and parameters of the URI are the phone's own affair (RFC 7616 §3.4.6).
    let uri = b"sip:600@cordboard.example:5060;transport=udp";
    let near = challenge.answer(&Login { username: "201", password: "geheim-201" }, &Method::Invite, uri, 4, b"c");
    invite.headers.set(HeaderName::Authorization, &near);
    assert!(proven(&desk.ask(&invite, 10), "201"));
}

#[test]
fn the_digest_of_one_is_not_good_for_the_name_of_another() {
    for (method, from, to, allowed) in [
        (Method::Register, "201", "201", true),
        (Method::Register, "202", "202", false),
        (Method::Register, "201", "202", false),
        (Method::Register, "202", "201", false),
        (Method::Invite, "201", "600", true),
        (Method::Invite, "202", "600", false),
    ] {
        let mut desk = Desk::new();
        let challenge = desk.challenges(0).remove(0);
        let mut request = desk.request(method.clone(), from);
        request.headers.set(HeaderName::To, format!("<sip:{to}@cordboard.example>"));
        sign(&mut request, &challenge, "201", "geheim-201", 1);
        let verdict = desk.ask(&request, 10);
        if allowed {
            assert!(proven(&verdict, "201"), "{method} {from} {to}");
        } else {
            assert_eq!(status(verdict).0, 403, "{method} {from} {to}");
        }
    }
    let mut desk = Desk::new();
    let challenge = desk.challenges(0).remove(0);
    let mut hidden = desk.request(Method::Invite, "201");
    hidden.headers.set(HeaderName::From, "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=f");
    sign(&mut hidden, &challenge, "201", "geheim-201", 1);
    assert!(proven(&desk.ask(&hidden, 10), "201"));
}

#[test]
fn guessing_is_slowed_by_source_and_user_and_the_real_phone_goes_on() {
    let mut desk = Desk::new();
    let challenge = desk.challenges(0).remove(0);
    let mut statuses = Vec::new();
    for nc in 1..=12 {
        let mut guess = desk.request(Method::Register, "201");
        sign(&mut guess, &challenge, "201", &format!("guess{nc}"), nc);
        statuses.push(status(desk.ask_from(&guess, "198.51.100.66:5060", 100)).0);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 503, 503]);
    let mut real = desk.request(Method::Register, "201");
    sign(&mut real, &challenge, "201", "geheim-201", 50);
    assert!(proven(&desk.ask(&real, 200), "201"), "from its own address");
    let mut other = desk.request(Method::Register, "202");
    sign(&mut other, &challenge, "202", "geheim-202", 51);
    assert!(proven(&desk.ask_from(&other, "198.51.100.66:5060", 200), "202"), "a neighbour behind the same address");
    let mut right = desk.request(Method::Register, "201");
    sign(&mut right, &challenge, "201", "geheim-201", 52);
    assert_eq!(status(desk.ask_from(&right, "198.51.100.66:5060", 200)).0, 503, "even with the right one");
    assert!(proven(&desk.ask_from(&right, "198.51.100.66:5060", 60_100), "201"), "not for good");
}

#[test]
fn unreadable_credentials_are_a_bad_request_and_other_schemes_are_no_credentials() {
    let mut desk = Desk::new();
    let mut request = desk.request(Method::Register, "201");
    request.headers.set(HeaderName::Authorization, "Digest username=\"201, realm");
    assert_eq!(status(desk.ask(&request, 10)).0, 400);
    request.headers.set(HeaderName::Authorization, "Bearer abc");
    assert_eq!(status(desk.ask(&request, 10)), (401, false));
}

const PHONE: &str = "192.0.2.9:5060";

fn granted(response: &Response) -> Vec<String> {
    match response.headers.contacts().expect("contacts") {
        Contacts::List(list) => {
            list.iter().map(|c| format!("{} {}", c.uri, c.params.number("expires").unwrap_or_default())).collect()
        }
        Contacts::Star => panic!("star"),
    }
}

/// §10.3.
#[test]
fn a_phone_comes_refreshes_and_leaves() {
    let mut desk = Desk::new();
    let contact = (HeaderName::Contact, "<sip:201@10.0.0.9:5060>;q=0.5");
    let ok = desk.register(&[contact.clone(), (HeaderName::Expires, "120")], PHONE, 0);
    assert_eq!(granted(&ok), ["sip:201@10.0.0.9:5060 120"]);
    assert!(matches!(&desk.changes[..], [Change::Added(_, b)] if b.q == 500 && b.flow == flow(PHONE)));
    assert_eq!(desk.registrar.deadline(), Some(Mono::from_millis(120_000)));

    // From another port of its NAT, later: the same contact.
    let ok = desk.register(&[contact.clone(), (HeaderName::Expires, "120")], "192.0.2.9:6000", 60_000);
    assert_eq!(granted(&ok), ["sip:201@10.0.0.9:5060 120"]);
    assert!(
        matches!(&desk.changes[..], [Change::Refreshed(_, old, b)] if (*old, b.flow) == (flow(PHONE), flow("192.0.2.9:6000")))
    );

    let fetched = desk.register(&[], PHONE, 70_000);
    assert_eq!((granted(&fetched), desk.changes.len()), (vec!["sip:201@10.0.0.9:5060 110".to_owned()], 0));

    let gone = desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9:5060>;expires=0")], PHONE, 80_000);
    assert_eq!((gone.status, granted(&gone)), (Status::OK, vec![]));
    assert!(matches!(&desk.changes[..], [Change::Removed(..)]));
    assert!(!desk.registrar.is_registered(&Number::from("201")));
}

#[test]
fn a_binding_ends_exactly_when_it_was_said_to_and_a_step_of_the_clock_ends_none() {
    let mut desk = Desk::new();
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9>;expires=90")], PHONE, 0);
    desk.changes.clear();
    let stepped = Now { mono: Mono::from_millis(89_999), wall: now(0).wall + Duration::from_secs(86_400) };
    desk.registrar.expire(stepped, &mut desk.changes);
    assert_eq!((desk.changes.len(), desk.contacts().len()), (0, 1));
    desk.registrar.expire(now(90_000), &mut desk.changes);
    assert!(matches!(&desk.changes[..], [Change::Expired(..)]));
    assert_eq!((desk.registrar.deadline(), desk.registrar.all().count()), (None, 0));
}

#[test]
fn intervals_are_bounded_below_by_423_and_above_by_the_grant() {
    let mut desk = Desk::new();
    let brief = desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9>;expires=1")], PHONE, 0);
    assert_eq!(brief.status, Status::INTERVAL_TOO_BRIEF);
    let least = u32::try_from(desk.config.sip.min_expires.as_secs()).expect("fits");
    assert_eq!(brief.headers.min_expires(), Ok(Some(least)));
    let long = desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9>;expires=4294967295")], PHONE, 0);
    assert_eq!(granted(&long), [format!("sip:201@10.0.0.9 {}", desk.config.sip.max_expires.as_secs())]);
}

#[test]
fn a_star_removes_all_and_only_with_expires_0() {
    let mut desk = Desk::new();
    for n in 0..3 {
        desk.register(&[(HeaderName::Contact, &format!("<sip:201@10.0.0.{n}>;expires=90"))], PHONE, 0);
    }
    for bad in [&[(HeaderName::Contact, "*")][..], &[(HeaderName::Contact, "*"), (HeaderName::Expires, "60")]] {
        assert_eq!(desk.register(bad, PHONE, 1).status, Status::BAD_REQUEST);
        assert_eq!(desk.contacts().len(), 3);
    }
    let all = desk.register(&[(HeaderName::Contact, "*"), (HeaderName::Expires, "0")], PHONE, 2);
    assert_eq!((all.status, desk.changes.len(), desk.contacts().len()), (Status::OK, 3, 0));
}

/// §10.3 step 7: all or nothing.
#[test]
fn an_old_request_that_comes_late_changes_nothing() {
    let mut desk = Desk::new();
    let mut old = desk.request(Method::Register, "201");
    old.headers.push(HeaderName::Contact, "<sip:201@10.0.0.1>;expires=90, <sip:201@10.0.0.9>;expires=0");
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9>;expires=90")], PHONE, 0);
    let late = desk.carry_out(&old, PHONE, 1);
    assert_eq!((late.status, desk.changes.len()), (Status::SERVER_INTERNAL_ERROR, 0));
    assert_eq!(desk.contacts(), ["sip:201@10.0.0.9"]);
    // Another Call-ID has an order of its own: the phone was restarted.
    old.headers.set(HeaderName::CallId, "phone-1-again");
    assert_eq!(desk.carry_out(&old, PHONE, 2).status, Status::OK);
    assert_eq!(desk.contacts(), ["sip:201@10.0.0.1"]);
}

#[test]
fn a_thousand_contacts_are_forbidden_and_a_restarted_phone_is_let_in() {
    let mut desk = Desk::new();
    let many: Vec<String> = (0..1_000).map(|n| format!("<sip:201@10.0.0.9:{}>;expires=90", 6_000 + n)).collect();
    let refused = desk.register(&[(HeaderName::Contact, &many.join(", "))], PHONE, 0);
    assert_eq!((refused.status, desk.contacts().len()), (Status::FORBIDDEN, 0));

    let most = desk.config.sip.max_contacts;
    for (n, contact) in many.iter().enumerate().take(most + 3) {
        let source = format!("192.0.2.9:{}", 7_000 + n);
        let ok = desk.register(&[(HeaderName::Contact, contact)], &source, n as u64);
        assert_eq!(ok.status, Status::OK, "a new port each time: its oldest goes");
        assert!(desk.contacts().len() <= most);
    }
    let stranger = desk.register(&[(HeaderName::Contact, "<sip:201@203.0.113.5>;expires=90")], "203.0.113.5:5060", 99);
    assert_eq!(stranger.status, Status::FORBIDDEN);
}

#[test]
fn only_sip_contacts_are_taken_and_what_they_carry_is_bounded() {
    let mut desk = Desk::new();
    for bad in ["<tel:+4930123>", "<mailto:a@b>", &format!("<sip:{}@10.0.0.9>", "x".repeat(600))] {
        assert_eq!(desk.register(&[(HeaderName::Contact, bad)], PHONE, 0).status, Status::BAD_REQUEST, "{bad}");
    }
    let agent = "A".repeat(4_000);
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.9?Route=x>"), (HeaderName::UserAgent, &agent)], PHONE, 0);
    assert_eq!(desk.contacts(), ["sip:201@10.0.0.9"]);
    let held = desk.registrar.bindings(&Number::from("201"), now(0));
    assert_eq!(held[0].user_agent.as_ref().map(String::len), Some(128));
}

/// RFC 3327 §5.3.
#[test]
fn path_is_kept_and_echoed_to_who_supports_it() {
    let mut desk = Desk::new();
    let lines = [
        (HeaderName::Contact, "<sip:201@10.0.0.9>"),
        (HeaderName::Path, "<sip:p2.example;lr>, <sip:p1.example;lr>"),
        (HeaderName::Supported, "path"),
    ];
    let ok = desk.register(&lines, PHONE, 0);
    assert!(ok.headers.contains(&HeaderName::Path));
    let held = desk.registrar.bindings(&Number::from("201"), now(0));
    assert_eq!(held[0].path, ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]);
}

#[test]
fn what_outlived_a_restart_is_restored_and_what_did_not_is_told() {
    let mut desk = Desk::new();
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.1>;expires=90")], PHONE, 0);
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.2>;expires=300")], PHONE, 0);
    let kept: Vec<_> = desk.registrar.all().map(|(n, b)| (n.clone(), b.clone())).collect();
    // A new process: the monotonic clock starts at zero, 100 s have passed.
    let mut fresh = Desk::new();
    let at = Now { mono: Mono::from_millis(5), wall: now(100_000).wall };
    for (number, binding) in kept {
        fresh.registrar.restore(number, binding, at, &mut fresh.changes);
    }
    assert!(matches!(&fresh.changes[..], [Change::Expired(_, b)] if b.contact == "sip:201@10.0.0.1"));
    assert_eq!(fresh.contacts(), ["sip:201@10.0.0.2"]);
    assert_eq!(fresh.registrar.deadline(), Some(Mono::from_millis(200_005)));
}

#[test]
fn what_came_by_a_connection_that_only_the_peer_can_make_is_not_there_after_a_restart() {
    for transport in Transport::ALL {
        let mut desk = Desk::new();
        desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.1>;expires=300")], PHONE, 0);
        let (number, mut binding) = desk.registrar.all().map(|(n, b)| (n.clone(), b.clone())).next().expect("a binding");
        binding.flow.transport = transport;
        let mut fresh = Desk::new();
        fresh.registrar.restore(number, binding, now(1_000), &mut fresh.changes);
        let there = matches!(transport, Transport::Udp | Transport::Tcp);
        assert_eq!(fresh.registrar.all().count(), usize::from(there), "{transport}");
        assert_eq!(matches!(&fresh.changes[..], [Change::Removed(..)]), !there, "{transport}");
    }
}

#[test]
fn numbers_that_a_reload_took_away_lose_their_bindings() {
    let mut desk = Desk::new();
    desk.register(&[(HeaderName::Contact, "<sip:201@10.0.0.1>;expires=90")], PHONE, 0);
    desk.changes.clear();
    let mut config = desk.config.clone();
    config.phones.remove("201");
    desk.registrar.configure(&config, &mut desk.changes);
    assert!(matches!(&desk.changes[..], [Change::Removed(..)]));
}

#[test]
fn a_closed_connection_takes_its_bindings_along() {
    let mut desk = Desk::new();
    let mut request = desk.request(Method::Register, "201");
    request.headers.push(HeaderName::Contact, "<sip:201@10.0.0.1;transport=tcp>");
    let over = Flow { connection: Some(ConnectionId(4)), transport: Transport::Tcp, ..flow(PHONE) };
    let number = Number::from("201");
    desk.registrar.register(
        &number,
        &request,
        From { flow: over, is_proxied: false, reported: None },
        "t",
        now(0),
        &mut desk.changes,
    );
    desk.registrar.connection_closed(ConnectionId(3), &mut desk.changes);
    assert!(desk.registrar.is_registered(&number));
    desk.registrar.connection_closed(ConnectionId(4), &mut desk.changes);
    assert!(!desk.registrar.is_registered(&number));
}

mod outward {
    use super::*;
    use crate::registrar::{News, Outward, Step};

    const TRUNK: &str = r#"
[[trunk]]
name = "carrier"
peer = "sip.carrier.example:5060"
user = "490301234"
secret = "s3cret"
register = true
refresh = "600s"
"#;

    /// What chance is here, in milliseconds of each pause.
    const LUCK: u64 = 7;

    struct Trunk {
        outward: Outward,
        contact: SipUri,
    }

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    fn told(news: News) -> Step {
        Step { send: None, news: Some(news) }
    }

    #[track_caller]
    fn sent(step: Step) -> Request {
        assert_eq!(step.news, None);
        step.send.expect("a request")
    }

    impl Trunk {
        fn new() -> Trunk {
            let config = Config::resolve(&Source::of(format!("{CONFIG}{TRUNK}"))).expect("a configuration");
            let outward = Outward::new(&config.trunks["carrier"], "call".to_owned(), "tag".to_owned(), at(0));
            let contact = SipUri::new("490301234", "192.0.2.1".parse::<std::net::IpAddr>().expect("address"), Some(5060));
            Trunk { outward: outward.expect("has a user"), contact }
        }

        fn tick(&mut self, ms: u64) -> Step {
            self.outward.tick(&self.contact, "c0ffee", at(ms))
        }

        fn answer(&mut self, request: &Request, status: Status, lines: &[(HeaderName, &str)], ms: u64) -> Step {
            let mut response = request.response(status);
            for (name, value) in lines {
                response.headers.push(name.clone(), *value);
            }
            self.outward.answered(&response, &self.contact, "c0ffee", LUCK, at(ms))
        }
    }

    const CHALLENGE: (HeaderName, &str) =
        (HeaderName::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"");

    #[test]
    fn it_answers_the_challenge_and_refreshes_in_time_with_the_same_nonce() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        assert!(!plain.headers.contains(&HeaderName::Authorization));
        assert_eq!(trunk.tick(100), Step::default(), "one at a time");
        let signed = sent(trunk.answer(&plain, Status::UNAUTHORIZED, &[CHALLENGE], 100));
        let credentials = signed.headers.authorizations().expect("reads").remove(0);
        let ha1 = crate::sip::ha1(Algorithm::Md5, b"490301234", b"carrier", b"s3cret");
        assert!(credentials.verify(&ha1, &Method::Register));
        assert_eq!(signed.headers.cseq().expect("cseq").number, plain.headers.cseq().expect("cseq").number + 1);
        assert_eq!(signed.headers.call_id(), plain.headers.call_id());
        assert_eq!(signed.headers.expires(), Ok(Some(600)));

        let contact = (HeaderName::Contact, "<sip:490301234@192.0.2.1:5060>;expires=300");
        assert_eq!(trunk.answer(&signed, Status::OK, &[contact], 200), told(News::Up));
        assert_eq!(trunk.outward.deadline(), Some(at(200 + 268_000)), "32 s before the 300 s end");
        let refresh = sent(trunk.tick(268_200));
        assert_eq!(refresh.headers.authorizations().expect("reads")[0].qop.as_ref().map(|q| q.nc), Some(2));
        let still = trunk.answer(&refresh, Status::OK, &[(HeaderName::Expires, "300")], 268_300);
        assert_eq!(still, Step::default(), "still up is no news");
    }

    #[test]
    fn a_nonce_that_ran_out_is_replaced_and_a_wrong_secret_is_not_tried_for_ever() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let signed = sent(trunk.answer(&plain, Status::UNAUTHORIZED, &[CHALLENGE], 1));
        let stale = (HeaderName::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n2\", stale=true, qop=\"auth\"");
        let again = sent(trunk.answer(&signed, Status::UNAUTHORIZED, &[stale], 2));
        let failed = trunk.answer(&again, Status::UNAUTHORIZED, &[CHALLENGE], 3);
        assert_eq!(failed, told(News::Failed(Some(Status::UNAUTHORIZED))));
        assert_eq!(trunk.outward.deadline(), Some(at(15_003 + LUCK)));
        let plain = sent(trunk.tick(15_003 + LUCK));
        assert!(!plain.headers.contains(&HeaderName::Authorization), "what did not work is not sent again");
    }

    #[test]
    fn a_proxys_challenge_is_answered_in_its_own_header() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let lines = [(HeaderName::ProxyAuthenticate, "Digest realm=\"p\", nonce=\"n\", algorithm=SHA-256")];
        let signed = sent(trunk.answer(&plain, Status::PROXY_AUTHENTICATION_REQUIRED, &lines, 1));
        assert_eq!(signed.headers.proxy_authorizations().expect("reads")[0].algorithm, Algorithm::Sha256);
    }

    #[test]
    fn a_longer_interval_is_asked_for_once_when_the_trunk_wants_it() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let longer = sent(trunk.answer(&plain, Status::INTERVAL_TOO_BRIEF, &[(HeaderName::MinExpires, "1800")], 1));
        assert_eq!(longer.headers.expires(), Ok(Some(1_800)));
        let again = trunk.answer(&longer, Status::INTERVAL_TOO_BRIEF, &[(HeaderName::MinExpires, "9000")], 2);
        assert_eq!(again, told(News::Failed(Some(Status::INTERVAL_TOO_BRIEF))));
    }

    #[test]
    fn failures_come_later_and_later_and_the_trunk_is_down_only_when_its_time_is_over() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        assert_eq!(trunk.answer(&plain, Status::OK, &[(HeaderName::Expires, "600")], 0), told(News::Up));
        sent(trunk.tick(540_000));
        assert_eq!(trunk.outward.unanswered(LUCK, at(572_000)), told(News::Failed(None)));
        assert_eq!(trunk.outward.deadline(), Some(at(586_000)), "in time: half of what is left");
        sent(trunk.tick(586_000));
        assert_eq!(trunk.outward.deadline(), Some(at(600_000)), "the end of what was granted");
        assert_eq!(trunk.tick(600_000), told(News::Down));
        let mut now = 602_000;
        // Half of 60 s and so on: the upper half is where chance chooses.
        for pause in [60, 120, 240, 480, 900, 900] {
            assert_eq!(trunk.outward.unanswered(LUCK, at(now)), told(News::Failed(None)));
            now += pause * 500 + LUCK;
            assert_eq!(trunk.outward.deadline(), Some(at(now)));
            sent(trunk.tick(now));
        }
        let wait = (HeaderName::RetryAfter, "120 (maintenance)");
        trunk.answer(&plain, Status::SERVICE_UNAVAILABLE, &[wait], now);
        assert_eq!(trunk.outward.deadline(), Some(at(now + 120_000 + LUCK)), "not before what it says");
    }

    #[test]
    fn a_register_that_cannot_be_made_yet_is_put_off_and_is_no_failure() {
        let mut trunk = Trunk::new();
        assert_eq!(trunk.outward.unanswered(LUCK, at(0)), Step::default());
        assert_eq!(trunk.outward.deadline(), Some(at(1_000)));
        sent(trunk.tick(1_000));
    }

    /// RFC 3261 §10.2.4: what is granted is in the 200, however its contacts are written.
    #[test]
    fn it_refreshes_by_what_is_granted_to_the_contact_that_is_nearest_to_its_own() {
        for (contacts, granted_s) in [
            ("<sip:490301234@203.0.113.9:31022>;expires=60", 60),
            ("<sip:490301234@192.0.2.1>;expires=120", 120),
            ("<sip:490301234@192.0.2.1:5060;transport=udp>;expires=120", 120),
            ("<sip:490301234@192.0.2.1:5060>;expires=120, <sip:490301234@198.51.100.7>;expires=30", 120),
            ("<sip:490301234@192.0.2.1;x=y>;expires=120, <sip:490301234@198.51.100.7>;expires=30", 120),
            ("<sip:490301234@203.0.113.9:31022>;expires=90, <sip:490301234@203.0.113.9:31020>;expires=40", 40),
            ("<sip:490301234@203.0.113.9:31022>;expires=90, <sip:490301234@203.0.113.9:31020>;expires=0", 90),
            ("<sip:other@198.51.100.7>;expires=20, <sip:490301234@203.0.113.9:31022>;expires=90", 90),
            ("<sip:line7@203.0.113.9:31022>;expires=80", 80),
            ("<sip:line7@203.0.113.9:31022>;expires=80, <sip:line8@203.0.113.9>;expires=70", 70),
            ("<sip:line7@203.0.113.9:31022>", 600),
        ] {
            let mut trunk = Trunk::new();
            let plain = sent(trunk.tick(0));
            assert_eq!(trunk.answer(&plain, Status::OK, &[(HeaderName::Contact, contacts)], 0), told(News::Up));
            let early = (granted_s / 10).max(32).min(granted_s / 2);
            assert_eq!(trunk.outward.due(), Some(at((granted_s - early) * 1_000)), "{contacts}");
        }
        // The header holds for what has no time of its own.
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let lines = [(HeaderName::Contact, "<sip:490301234@203.0.113.9:31022>"), (HeaderName::Expires, "100")];
        assert_eq!(trunk.answer(&plain, Status::OK, &lines, 0), told(News::Up));
        assert_eq!(trunk.outward.due(), Some(at(68_000)));
        // What ends at once is no registration.
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let gone = [(HeaderName::Contact, "<sip:490301234@203.0.113.9:31022>;expires=0")];
        assert_eq!(trunk.answer(&plain, Status::OK, &gone, 0), told(News::Failed(Some(Status::OK))));
    }

    #[test]
    fn it_leaves_once_and_only_if_it_was_there() {
        let mut trunk = Trunk::new();
        assert_eq!(trunk.outward.stop("c"), Step::default());
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        trunk.answer(&plain, Status::OK, &[], 0);
        let step = trunk.outward.stop("c");
        assert_eq!(step.news, Some(News::Down));
        assert_eq!(step.send.map(|r| r.headers.expires()), Some(Ok(Some(0))));
        assert_eq!(trunk.outward.stop("c"), Step::default());
        assert_eq!(trunk.outward.deadline(), None);
    }

    #[test]
    fn a_challenge_of_the_last_register_is_answered_once() {
        let mut trunk = Trunk::new();
        let plain = sent(trunk.tick(0));
        let signed = sent(trunk.answer(&plain, Status::UNAUTHORIZED, &[CHALLENGE], 1));
        trunk.answer(&signed, Status::OK, &[], 2);
        let leave = trunk.outward.stop("c").send.expect("a request");
        let next = (HeaderName::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n2\", qop=\"auth\"");
        let again = sent(trunk.answer(&leave, Status::UNAUTHORIZED, std::slice::from_ref(&next), 3));
        assert_eq!(again.headers.expires(), Ok(Some(0)));
        assert_eq!(again.headers.authorizations().expect("reads")[0].nonce, "n2");
        assert_eq!(trunk.answer(&again, Status::UNAUTHORIZED, &[next], 4), Step::default());
        assert_eq!(trunk.outward.deadline(), None);
    }

    /// RFC 3261 §10.2: no REGISTER before the last one has its answer.
    #[test]
    fn what_is_being_registered_is_taken_back_when_it_is() {
        for (status, held) in [(Status::OK, true), (Status::FORBIDDEN, false)] {
            let mut trunk = Trunk::new();
            let plain = sent(trunk.tick(0));
            assert_eq!(trunk.outward.stop("c"), Step::default());
            let leave = trunk.answer(&plain, status, &[], 1).send;
            assert_eq!(leave.map(|r| r.headers.expires()), held.then_some(Ok(Some(0))));
            assert_eq!(trunk.outward.unanswered(LUCK, at(32_000)), Step::default());
            assert_eq!(trunk.outward.deadline(), None);
        }
    }
}
