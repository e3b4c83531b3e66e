//! Encrypted audio (SRTP by a=crypto): who gets it, who is refused, and that nothing falls back into the clear.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cordboard::config::Source;
use cordboard::event::Kind;
use cordboard::route::Cause;
use cordboard::sip::Transport;
use cordboard::switch::journal::{Ended, replay};

use crate::sim::ua::Hold;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const SAVP: Option<&str> = Some("RTP/SAVP");
/// Keys on a line that can do without.
const WISH: Option<&str> = Some("RTP/AVP");

/// The centre with what two phones want, beside what all do.
fn wanting(all: &str, of_210: &str, of_211: &str) -> Source {
    let mut source = centre();
    let mut put = |behind: &str, srtp: &str| {
        let line = if srtp.is_empty() { String::new() } else { format!("srtp = \"{srtp}\"\n") };
        assert!(source.main.text.contains(behind));
        source.main.text = source.main.text.replacen(behind, &format!("{behind}{line}"), 1);
    };
    put("ports = \"20000-23999\"\n", all);
    put("secret = \"secret-210\"\n", of_210);
    put("secret = \"secret-211\"\n", of_211);
    source
}

struct Pair {
    sim: Sim,
    a: SocketAddr,
    b: SocketAddr,
}

impl Pair {
    /// 210 and 211, who speak so.
    fn new(source: Source, a: Option<&'static str>, b: Option<&'static str>) -> Pair {
        let mut sim = Sim::with_journal(7, source);
        let (one, other) = (sim.phone("210"), sim.phone("211"));
        sim.act(one, |ua, _| ua.srtp = a);
        sim.act(other, |ua, _| ua.srtp = b);
        Pair { sim, a: one, b: other }
    }

    /// The final status of 210's call to 211, and which of the two is encrypted.
    fn call(&mut self) -> (Option<u16>, bool, bool) {
        let (a, b) = (self.a, self.b);
        self.sim.act(a, |a, now| {
            a.call("211", now);
        });
        self.sim.run_until("an answer", |s| s.ua(a).final_status().is_some());
        if self.sim.ua(a).is_up() {
            self.hear_each_other();
        }
        let opened = |at| self.sim.ua(at).last().is_some_and(|c| c.srtp.opened > 0);
        (self.sim.ua(a).final_status(), opened(a), opened(b))
    }

    /// From here on, and only as it was agreed.
    fn hear_each_other(&mut self) {
        let since = self.sim.now.mono + SECOND / 10;
        self.sim.run_for(2 * SECOND);
        for (one, other) in [(self.a, self.b), (self.b, self.a)] {
            let (one, other) = (self.sim.ua(one), self.sim.ua(other));
            assert!(one.heard(other.byte, since) > 80, "{}", self.sim.story());
            assert_eq!(one.last().map(|c| c.srtp.refused), Some(0), "{}", one.number);
        }
    }

    fn hang_up(&mut self) {
        let a = self.a;
        self.sim.act(a, |a, now| a.hang_up(now));
        self.sim.run_until("over", |s| s.has("call.ended"));
        self.sim.assert_clean();
    }
}

#[test]
fn who_calls_is_answered_as_it_asks_and_as_is_wanted_of_it() {
    for (wanted, line, expected) in [
        ("off", None, (200, false)),
        ("off", SAVP, (488, false)),
        ("off", WISH, (200, false)),
        ("preferred", None, (200, false)),
        ("preferred", SAVP, (200, true)),
        ("preferred", WISH, (200, true)),
        ("required", None, (488, false)),
        ("required", SAVP, (200, true)),
        ("required", WISH, (200, true)),
        // What all are told.
        ("", SAVP, (200, true)),
        ("", None, (200, false)),
    ] {
        let mut pair = Pair::new(wanting("preferred", wanted, "off"), line, None);
        let (status, encrypted, other) = pair.call();
        assert_eq!((status, encrypted, other), (Some(expected.0), expected.1, false), "{wanted} {line:?}");
        if expected.0 == 488 {
            let refusal = pair.sim.trace.iter().rfind(|m| m.starts_with(b"SIP/2.0 488")).expect("a 488");
            assert!(String::from_utf8_lossy(refusal).contains("Warning: 399 cordboard.example \"Audio must"), "{refusal:?}");
            pair.sim.assert_clean();
            continue;
        }
        pair.hang_up();
        let told: Vec<bool> = pair
            .sim
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::MediaQuality(data) => Some(data.quality.encrypted),
                _ => None,
            })
            .collect();
        assert_eq!(told.iter().filter(|encrypted| **encrypted).count(), usize::from(expected.1), "{told:?}");
    }
}

#[test]
fn who_is_called_is_offered_what_is_required_and_over_tls_what_is_preferred() {
    for (wanted, transport, line, expected, invites) in [
        ("off", Transport::Tls, SAVP, (200, false), 1),
        ("preferred", Transport::Udp, SAVP, (200, false), 1),
        ("preferred", Transport::Tls, SAVP, (200, true), 1),
        // It knows nothing of it: once more, plainly.
        ("preferred", Transport::Tls, None, (200, false), 2),
        ("required", Transport::Udp, SAVP, (200, true), 1),
        ("required", Transport::Udp, None, (488, false), 1),
        ("required", Transport::Tls, None, (488, false), 1),
    ] {
        let mut pair = Pair::new(wanting("", "off", wanted), None, line);
        let b = pair.b;
        pair.sim.act(b, |b, now| {
            b.transport = transport;
            b.register(now);
        });
        pair.sim.run_for(SECOND);
        let (status, _, encrypted) = pair.call();
        assert_eq!((status, encrypted), (Some(expected.0), expected.1), "{wanted} {transport:?} {line:?}\n{}", pair.sim.story());
        assert_eq!(pair.sim.ua(b).invites.len(), invites, "{wanted} {transport:?} {line:?}");
        if expected.0 == 200 {
            pair.hang_up();
        } else {
            pair.sim.assert_clean();
        }
    }
}

#[test]
fn two_who_are_encrypted_hear_each_other_through_hold_and_a_new_key() {
    let mut pair = Pair::new(wanting("required", "", ""), SAVP, SAVP);
    assert_eq!(pair.call(), (Some(200), true, true));
    let a = pair.a;
    pair.sim.act(a, |a, now| a.hold(Hold::SendOnly, now));
    pair.sim.run_until("held", |s| s.has("call.held"));
    pair.sim.run_for(5 * SECOND);
    pair.sim.act(a, |a, now| a.resume(now));
    pair.sim.run_until("resumed", |s| s.has("call.resumed"));
    pair.hear_each_other();
    // RFC 4568 §7.1.4: a further offer may have another key.
    pair.sim.act(a, |a, now| a.rekey(SAVP, 99, now));
    pair.sim.run_for(SECOND);
    pair.hear_each_other();
    pair.hang_up();
}

/// An attacker between, or a phone that has forgotten: neither gets the switch to go on in the clear.
#[test]
fn what_was_encrypted_does_not_become_plain() {
    for wanted in ["preferred", "required"] {
        let mut pair = Pair::new(wanting(wanted, "", "off"), SAVP, None);
        assert_eq!(pair.call(), (Some(200), true, false));
        let a = pair.a;
        pair.sim.act(a, |a, now| a.rekey(None, 0, now));
        pair.sim.run_for(SECOND);
        assert_eq!(pair.sim.ua(a).last_status("INVITE"), Some(488), "{wanted}");
        // It goes on as it was.
        let key = pair.sim.ua(a).key;
        pair.sim.act(a, |a, now| a.rekey(SAVP, key, now));
        pair.sim.run_for(SECOND);
        assert_eq!(pair.sim.ua(a).last_status("INVITE"), Some(200));
        pair.hang_up();
    }
}

/// A 2xx without a key to an offer that had one: where encryption is required the call ends.
#[test]
fn an_answer_without_encryption_is_not_gone_on_with_where_it_is_required() {
    for (wanted, transport, expected) in [("required", Transport::Udp, 488), ("preferred", Transport::Tls, 200)] {
        let mut pair = Pair::new(wanting("", "off", wanted), None, None);
        let b = pair.b;
        pair.sim.act(b, |b, now| {
            b.sees_no_srtp = true;
            b.transport = transport;
            b.register(now);
        });
        pair.sim.run_for(SECOND);
        assert_eq!(pair.call(), (Some(expected), false, false), "{wanted}");
        if expected == 200 {
            pair.hang_up();
            continue;
        }
        assert_eq!(pair.sim.ended().first().map(|e| e.cause), Some(Cause::NotAcceptable));
        pair.sim.assert_clean();
    }
}

/// Keys are neither in the journal nor in what its digests hang on: a replay draws others.
#[test]
fn a_journal_holds_no_key_and_plays_all_the_same() {
    let mut pair = Pair::new(wanting("required", "", ""), SAVP, SAVP);
    assert_eq!(pair.call(), (Some(200), true, true));
    let a = pair.a;
    pair.sim.act(a, |a, now| a.rekey(SAVP, 99, now));
    pair.sim.run_for(SECOND);
    pair.hang_up();
    let journal = pair.sim.journal();
    let text: String = journal.iter().map(|byte| char::from(*byte)).collect();
    assert!(text.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
    for byte in [pair.sim.ua(a).key, pair.sim.ua(pair.b).key, 99] {
        assert!(!text.contains(&STANDARD.encode([byte; 30])));
    }
    let played = replay(&journal).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((played.faults, played.ended), (0, Some(Ended::Stopped)));
}
