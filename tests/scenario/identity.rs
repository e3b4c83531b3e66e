//! Who calls: what a trunk is believed and told (RFC 3325), hidden numbers (RFC 3323), and callers without one (RFC 5079).

use std::net::SocketAddr;
use std::time::Duration;

use crate::sim::ua::{OnInvite, Seen, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const HIDDEN: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

fn partner(sim: &mut Sim) -> SocketAddr {
    sim.add(Ua::trunk([10, 2, 0, 3].into()))
}

/// A call of a trunk to 201, and who the phone shows.
#[track_caller]
fn shown(sim: &mut Sim, trunk: SocketAddr, phone: SocketAddr) -> String {
    let before = sim.ua(phone).invites.len();
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("it rings", |sim| sim.ua(phone).invites.len() > before);
    sim.run_for(SECOND);
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_for(SECOND);
    sim.ua(phone).invites[before].number.clone()
}

#[test]
fn a_trusted_trunk_says_who_calls_and_another_one_does_not() {
    let mut sim = Sim::new(120);
    let (carrier, partner, phone) = (sim.trunk(), partner(&mut sim), sim.phone("201"));
    for at in [carrier, partner] {
        sim.act(at, |ua, _| ua.asserted = Some("\"x\" <sip:+4940999@10.2.0.1>".into()));
    }
    assert_eq!(shown(&mut sim, partner, phone), "+4940999");
    assert_eq!(shown(&mut sim, carrier, phone), "+493012345678", "anybody could write that");
    for at in [carrier, partner] {
        sim.act(at, |ua, _| ua.more = vec![("Privacy", "id")]);
        assert_eq!(shown(&mut sim, at, phone), "anonymous");
    }
    // What stands in them goes to no phone.
    assert!(sim.ua(phone).invites.iter().all(|seen| seen.who[1..] == [None, None, None, None, None]));
    sim.assert_clean();
}

/// As 210, which has a number of its own, by a trunk that is trusted or not.
#[track_caller]
fn outside(seed: u8, trusted: bool, dialled: &str, change: impl FnOnce(&mut Ua)) -> Seen {
    let mut source = centre();
    if trusted {
        source.main.text = source.main.text.replace("peer = \"10.2.0.1\"\n", "peer = \"10.2.0.1\"\ntrust = true\n");
    }
    let mut sim = Sim::with(seed, source);
    let (trunk, phone) = (sim.trunk(), sim.phone("210"));
    sim.act(phone, |ua, now| {
        change(ua);
        ua.call(dialled, now);
    });
    sim.run_until("they talk", |sim| sim.ua(phone).is_up() && sim.ua(trunk).is_up());
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.assert_clean();
    sim.ua(trunk).invites[0].clone()
}

const OWN: &str = "<sip:+4930555210@cordboard.example>";

fn without_tag(seen: &Seen) -> &str {
    seen.who[0].as_deref().and_then(|from| from.split(";tag=").next()).unwrap_or_default()
}

#[test]
fn a_trusted_trunk_is_told_who_calls_and_another_one_only_what_is_shown() {
    let party = |privacy: &str| Some(format!("{OWN};party=calling;screen=yes;privacy={privacy}"));
    let seen = outside(121, true, "0301234", |_| {});
    assert_eq!(without_tag(&seen), OWN);
    assert_eq!(seen.who[1..4], [Some(OWN.to_owned()), party("off"), None]);
    let seen = outside(122, false, "0301234", |_| {});
    assert_eq!((without_tag(&seen), &seen.who[1..4]), (OWN, &[None, None, None][..]));
    // What a phone says of itself goes nowhere.
    let seen = outside(123, true, "0301234", |ua| {
        ua.asserted = Some("<sip:+49110@x>".into());
        ua.more = vec![("Remote-Party-ID", "<sip:+49110@x>"), ("Identity", "x")];
    });
    assert_eq!(seen.who[1..5], [Some(OWN.to_owned()), party("off"), None, None]);
    // Hidden: by header, by From, by code.
    for (seed, trusted) in [(124, true), (127, false)] {
        let by_header = outside(seed, trusted, "0301234", |ua| ua.more = vec![("Privacy", "id")]);
        let by_from = outside(seed + 1, trusted, "0301234", |ua| ua.nobody = true);
        let by_code = outside(seed + 2, trusted, "*31*0301234", |_| {});
        for seen in [by_header, by_from, by_code] {
            assert_eq!(without_tag(&seen), HIDDEN);
            let told = if trusted { [Some(OWN.to_owned()), party("full")] } else { [None, None] };
            assert_eq!(seen.who[1..3], told);
            assert_eq!(seen.who[3].as_deref(), Some("id"));
            assert!(seen.uri.starts_with("sip:301234@"), "{}", seen.uri);
        }
    }
    // Help knows who calls.
    let seen = outside(130, false, "*31112", |_| {});
    assert_eq!((without_tag(&seen), seen.who[3].as_deref()), (OWN, None));
}

#[test]
fn a_colleague_is_not_told_either() {
    let mut sim = Sim::new(131);
    let (phone, colleague, watcher) = (sim.phone("201"), sim.phone("202"), sim.phone("203"));
    sim.set(colleague, OnInvite::Answer(SECOND));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", None, now);
    });
    sim.act(phone, |ua, now| {
        ua.call("*31202", now);
    });
    sim.run_until("they talk", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    let seen = &sim.ua(colleague).invites[0];
    assert_eq!((seen.number.as_str(), seen.display.as_deref()), ("anonymous", None));
    assert!(sim.ua(watcher).notified.iter().all(|told| !told.body.contains("sip:201@")), "a lamp tells it");
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_number_may_refuse_callers_without_one() {
    let mut sim = Sim::new(132);
    let (trunk, phone) = (sim.trunk(), sim.phone("201"));
    sim.act(trunk, |ua, now| {
        ua.nobody = true;
        ua.call("+4930555299", now);
    });
    sim.run_until("433", |sim| sim.ua(trunk).final_status() == Some(433));
    assert!(sim.ua(phone).invites.is_empty());
    sim.act(trunk, |ua, now| {
        ua.nobody = false;
        ua.call("+4930555299", now);
    });
    sim.run_until("it rings", |sim| sim.ua(phone).is_ringing());
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

const SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://x.example/c.cer>;alg=ES256;ppt=shaken";
const DATE: &str = "Sun, 22 Nov 2026 09:00:00 GMT";

/// A signed call by the partner, which goes on by the carrier: the number called leads there as it is, or as another one.
#[track_caller]
fn signed(seed: u8, trusted: bool, called: &str, change: impl FnOnce(&mut Ua)) -> Seen {
    let mut source = centre();
    source.main.text += "\n[[inbound]]\ntrunk = \"partner\"\nnumber = \"+49401234567\"\nto = \"number:0849401234567\"\n\
        [[outbound]]\npattern = \"08*\"\nstrip = 2\nprepend = \"+\"\ntrunk = [\"carrier\"]\n";
    if trusted {
        source.main.text = source.main.text.replace("peer = \"10.2.0.1\"\n", "peer = \"10.2.0.1\"\ntrust = true\n");
    }
    let mut sim = Sim::with(seed, source);
    let (carrier, partner) = (sim.trunk(), partner(&mut sim));
    sim.act(partner, |ua, now| {
        ua.more = vec![("Identity", SIGNED), ("Date", DATE)];
        change(ua);
        ua.call(called, now);
    });
    sim.run_until("it goes on", |sim| sim.ua(partner).is_up() && sim.ua(carrier).is_up());
    sim.act(partner, |ua, now| ua.hang_up(now));
    sim.assert_clean();
    sim.ua(carrier).invites[0].clone()
}

/// RFC 8224: a signature that we did not make is nothing to touch, as long as it is true of the call that goes on.
#[test]
fn a_signature_passes_from_trunk_to_trunk_with_its_own_numbers_and_to_no_phone() {
    let both = [Some(SIGNED.to_owned()), Some(DATE.to_owned())];
    let seen = signed(133, false, "+49401234567", |_| {});
    assert_eq!((&seen.who[4..], seen.number.as_str()), (&both[..], "+493012345678"));
    let other = signed(134, true, "+4930555900", |_| {});
    assert_eq!(other.who[4..], [None, None], "the number that is called is another: {}", other.uri);
    let hide = |ua: &mut Ua| {
        ua.asserted = Some("<sip:+493012345678@10.2.0.3>".into());
        ua.more.push(("Privacy", "id"));
    };
    for (seed, trusted) in [(135, false), (136, true)] {
        let hidden = signed(seed, trusted, "+49401234567", hide);
        assert_eq!(hidden.who[4..], [None, None], "it names who is hidden");
        assert!(!format!("{:?}", hidden.who).contains("12345678"), "{:?}", hidden.who);
    }
    let mut sim = Sim::new(137);
    let (partner, phone) = (partner(&mut sim), sim.phone("201"));
    sim.act(partner, |ua, _| ua.more = vec![("Identity", SIGNED), ("Date", DATE)]);
    shown(&mut sim, partner, phone);
    assert_eq!(sim.ua(phone).invites[0].who[4..], [None, None]);
    sim.assert_clean();
}
