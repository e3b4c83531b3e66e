//! Kamailio between the switch and its peers: as the edge in front of phones (Path, RFC 3327; Record-Route), and as a carrier's border.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use super::matrix::script::{self, Player};
use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::kamailio::Kamailio;
use super::support::linphone::Linphone;
use super::support::ports;
use super::support::process::wait_until;
use super::support::sipp::{Sipp, kept};
use super::support::stream::{Event, EventStream};

const SOON: Duration = Duration::from_secs(20);
const TONES: [f64; 4] = [440.0, 1_000.0, 700.0, 550.0];
/// The address that the border of the carrier has, so that the switch tells it from the phones.
const BORDER: [u8; 4] = [127, 0, 0, 2];
/// That of the edge proxy, and the switch's in front of which it speaks by streams.
const EDGE: [u8; 4] = [127, 0, 0, 3];
const INNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const OWN: &str = "proxies = [\"127.0.0.3\"]";
/// All that begins with a 0 goes out.
const OUT: &str = "[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"carrier\"]\n";
const DOMAIN: &str = "cordboard.test";

fn nobody_talks(switch: &Cordboard) {
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// The switch with these phones, and its edge in front of them.
fn edged(name: &str, phones: &[&str]) -> (Site, Cordboard, Kamailio) {
    let site = phones.iter().fold(Site::new(name), |site, number| site.phone(number)).sip_key(OWN);
    let switch = site.start();
    let edge = Kamailio::start(site.folder(), "edge", SocketAddr::from((EDGE, ports::port())), switch.sip(), "");
    (site, switch, edge)
}

/// A phone that registers with the switch itself, and is there.
fn at_the_switch(site: &Site, switch: &Cordboard, number: &str, tone: f64) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).tone(tone).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// A phone that knows nothing but its proxy.
fn behind(site: &Site, edge: &Kamailio, number: &str, tone: f64, over_tcp: bool) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).registrar(edge.at(), &secret(number)).domain(DOMAIN).tone(tone);
    if over_tcp { phone.over_tcp().start() } else { phone.start() }
}

fn address(number: &str) -> String {
    format!("sip:{number}@{DOMAIN}")
}

fn of<'a>(call: &'a str, outcome: Option<&'a str>) -> impl Fn(&Event) -> bool + 'a {
    move |event| event.subject == call && outcome.is_none_or(|outcome| event.data()["outcome"] == outcome)
}

/// The conversation that this caller has begun.
fn begun(story: &EventStream, caller: &str, called: &str) -> String {
    let is = |event: &Event| event.data()["customer_number"] == caller && event.data()["called"] == called;
    story.wait_for("call.started", SOON, is).subject
}

/// RFC 3327 §5.2, RFC 3261 §12.2.1.1: all of them come from one address and port, over UDP and TCP to the proxy.
#[test]
fn phones_behind_an_edge_proxy_register_call_hold_and_transfer() {
    let (site, switch, edge) = edged("edge", &["201", "202", "203", "204"]);
    let mut alice = behind(&site, &edge, "201", TONES[0], false);
    let mut bob = behind(&site, &edge, "202", TONES[1], true);
    let mut carol = Baresip::phone(site.folder(), "203").registrar(switch.sip(), &secret("203")).tone(TONES[2]).start();
    let mut linphone = Linphone::start(site.folder(), "204", TONES[3]);
    linphone.register_over_tcp("204", &edge.at().to_string(), &secret("204"));
    for number in ["201", "202", "203", "204"] {
        switch.wait_for_registration(number, SOON);
    }
    let story = switch.events("since=0");

    // Within the edge, and the one who called hangs up.
    alice.dial(&address("202"));
    bob.wait_for("CALL_INCOMING", SOON);
    alice.wait_for("CALL_RINGING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let call = begun(&story, "201", "202");
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    bob.wait_to_hear(Duration::from_secs(2), SOON);
    // Re-INVITEs from either side, through both transports.
    alice.hold();
    story.wait_for("call.held", SOON, of(&call, None));
    alice.wait_for_nth("CALL_REMOTE_SDP", 2, SOON);
    alice.resume();
    story.wait_for("call.resumed", SOON, of(&call, None));
    alice.wait_for_nth("CALL_REMOTE_SDP", 3, SOON);
    bob.transfer(&address("203"));
    carol.wait_for("CALL_INCOMING", SOON);
    carol.accept();
    story.wait_for("call.transferred", SOON, of(&call, Some("completed")));
    carol.wait_to_hear(Duration::from_secs(2), SOON);
    bob.wait_for("CALL_CLOSED", SOON);
    // A BYE that goes out through the proxy.
    carol.hang_up();
    alice.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.ended", SOON, of(&call, None));
    nobody_talks(&switch);
    let heard = &carol.heard()[0];
    assert!(heard.halves(0, &TONES)[2..4].iter().all(|half| half.is_only(0)), "{}", heard.picture(&TONES));

    // From in front of the edge to behind it, and an attended transfer there; a BYE that comes in through the proxy.
    carol.dial(&format!("sip:204@{}", switch.sip()));
    linphone.expect("Receiving new incoming call", SOON);
    let first_id = linphone.expect_number("assigned id ", SOON);
    linphone.say(&format!("answer {first_id}"));
    carol.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    let first = begun(&story, "203", "204");
    linphone.say("pause");
    linphone.expect("is now paused", SOON);
    linphone.say(&format!("call sip:201@{};transport=tcp", edge.at()));
    let second_id = linphone.expect_number("assigned id ", SOON);
    alice.wait_for("CALL_INCOMING", SOON);
    alice.accept();
    alice.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    let second = begun(&story, "204", "201");
    story.wait_for("call.bridged", SOON, of(&second, None));
    linphone.say(&format!("transfer {first_id} --to-call {second_id}"));
    let merged = story.wait_for("call.merged", SOON, of(&first, None));
    assert_eq!(merged.data()["child"], json!(second));
    alice.hang_up();
    carol.wait_for_nth("CALL_CLOSED", 2, SOON);
    nobody_talks(&switch);
}

/// SIPp as a phone that knows nothing but its proxy, with a script of the matrix; `whose` is the user of what it proves itself for.
fn scripted(site: &Site, edge: &Kamailio, number: &str, whose: &str, port: Option<u16>, script: &str) -> Sipp {
    let xml = script::xml(script, &Player { number, secret: &secret(number) });
    let sipp = Sipp::scenario(site.folder().path(), &format!("phone-{number}"), &xml).port(port.unwrap_or_else(ports::port));
    let proves = if whose.is_empty() { edge.at().to_string() } else { format!("{whose}@{}", edge.at()) };
    let sipp = sipp.argument("-auth_uri").argument(proves).target(edge.at()).start();
    sipp.wait_until_bound();
    sipp
}

#[track_caller]
fn went_well(phone: Sipp) -> String {
    let outcome = phone.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    outcome.messages
}

/// RFC 6665 §4.4.1 and RFC 3261 §16.12: a lamp through the edge, seen to ring, talk and go out, refreshed and given back.
#[test]
fn a_busy_lamp_behind_an_edge_proxy_follows_its_line() {
    let (site, switch, edge) = edged("edge-lamp", &["201", "202", "203"]);
    let mut alice = behind(&site, &edge, "201", TONES[0], false);
    let mut bob = behind(&site, &edge, "202", TONES[1], false);
    for number in ["201", "202"] {
        switch.wait_for_registration(number, SOON);
    }
    let scenario = kept("lamp").replace("[number]", "203").replace("[secret]", &secret("203"));
    let lamp = Sipp::scenario(site.folder().path(), "lamp", &scenario.replace("[until]", "state.terminated./state"))
        .service("202")
        .argument("-auth_uri")
        .argument(format!("202@{}", edge.at()))
        .target(edge.at())
        .start();
    lamp.wait_for_received("dialog-info", SOON);
    alice.dial(&address("202"));
    bob.wait_for("CALL_INCOMING", SOON);
    lamp.wait_for_received("<state>early</state>", SOON);
    bob.accept();
    lamp.wait_for_received("<state>confirmed</state>", SOON);
    alice.wait_for("CALL_ESTABLISHED", SOON);
    alice.hang_up();
    let messages = went_well(lamp);
    let by_edge = format!("Via: SIP/2.0/UDP {}", edge.at());
    assert!(messages.matches(&by_edge).count() >= 6, "NOTIFYs come by the edge: {messages}");
    nobody_talks(&switch);
}

/// RFC 4028 §7.4, §8, RFC 3311: refreshes by UPDATE and by re-INVITE through the edge, which keep the call; the interval is the phone's.
#[test]
fn a_phone_behind_an_edge_proxy_refreshes_its_session() {
    let (site, switch, edge) = edged("edge-timer", &["201", "202"]);
    let mut bob = behind(&site, &edge, "202", TONES[1], false);
    switch.wait_for_registration("202", SOON);
    let story = switch.events("since=0");
    let timer = "Supported: timer | Session-Expires: 90;refresher=uac | Route: [$rr]";
    let granted = "Session-Expires ~ 90;refresher=uac | Require ~ timer";
    let phone = scripted(
        &site,
        &edge,
        "201",
        "202",
        None,
        &format!(
            ">> INVITE 202 | sdp | Supported: timer | Session-Expires: 90;refresher=uac\n<? 180\n\
             < 200 | {granted} | Record-Route => rr .*\n> ACK | Route: [$rr]\n\
             > UPDATE | {timer}\n< 200 of UPDATE | {granted}\n\
             > INVITE | sdp | {timer}\n< 200 of INVITE | {granted}\n> ACK | Route: [$rr]\n\
             > UPDATE | Supported: timer | Session-Expires: 30 | Route: [$rr]\n< 422 of UPDATE | Min-SE ~ 90\n\
             > BYE | Route: [$rr]\n< 200 of BYE"
        ),
    );
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    went_well(phone);
    bob.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(ended.data()["cause"], json!("normal"), "{}", ended.cloud_event);
    nobody_talks(&switch);
}

/// RFC 3262 §3, §4: the switch acknowledges a phone's early media, and rings a phone reliably, by PRACKs that go through the edge.
#[test]
fn provisional_responses_are_reliable_through_an_edge_proxy_both_ways() {
    let (site, switch, edge) = edged("edge-100rel", &["201", "202"]);
    let story = switch.events("since=0");
    // SIPp registers in one run, and is called in another one at the same port.
    let port = ports::port();
    went_well(scripted(&site, &edge, "202", "", Some(port), ">> REGISTER - | Expires: 60\n< 200"));
    switch.wait_for_registration("202", SOON);
    let answers = script::xml(
        "< INVITE | Supported ~ 100rel | Record-Route => rr .*\n\
         > 183 | Require: 100rel | RSeq: 7001 | Record-Route: [$rr] | sdp\n< PRACK | RAck ~ 7001 [0-9]+ INVITE\n> 200 of PRACK\nwait 1000\n\
         > 200 of INVITE | Record-Route: [$rr]\n< ACK\n< BYE\n> 200",
        &Player { number: "202", secret: "" },
    );
    let callee = Sipp::scenario(site.folder().path(), "callee", &answers).port(port).start();
    callee.wait_until_bound();
    let caller = scripted(
        &site,
        &edge,
        "201",
        "202",
        None,
        ">> INVITE 202 | sdp | Require: 100rel\n< 180 | Require ~ 100rel | RSeq => rseq [0-9]+ | Record-Route => rr .*\n\
         > PRACK | RAck: [$rseq] 2 INVITE | Route: [$rr]\n< 200 of PRACK\n< 200 of INVITE\n> ACK | Route: [$rr]\n\
         > BYE | Route: [$rr]\n< 200 of BYE",
    );
    went_well(caller);
    let messages = went_well(callee);
    let prack = messages.split("PRACK sip:").nth(1).unwrap_or_default();
    assert!(prack.contains(&format!("Via: SIP/2.0/UDP {}", edge.at())), "{messages}");
    story.wait_for("call.bridged", SOON, |_| true);
    nobody_talks(&switch);
}

/// RFC 3261 §16.6, §16.12: what the switch sends in a dialog goes by the Route that it learned, and comes from the border's address.
#[test]
fn calls_go_through_a_carriers_border_that_stays_in_the_dialog() {
    let border = SocketAddr::from((BORDER, ports::port()));
    let site = Site::new("border")
        .phone("201")
        .phone("202")
        .trunk("carrier", border)
        .inbound("carrier", "+4930600", "phone:201")
        .with(OUT);
    let switch = site.start();
    let mut far = Baresip::phone(site.folder(), "far").tone(TONES[2]).start();
    let border = Kamailio::start(site.folder(), "carrier", border, switch.sip(), &format!("far@127.0.0.1:{}", far.port()));
    let mut alice = at_the_switch(&site, &switch, "201", TONES[0]);
    let mut bob = at_the_switch(&site, &switch, "202", TONES[1]);
    let story = switch.events("since=0");

    // Out; the switch and the far end each hold and resume; the far end hangs up.
    alice.dial(&format!("sip:0123456@{}", switch.sip()));
    far.wait_for("CALL_INCOMING", SOON);
    far.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let out = story.wait_for("call.bridged", SOON, |_| true).subject;
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    far.wait_to_hear(Duration::from_secs(2), SOON);
    far.hold();
    story.wait_for("call.held", SOON, of(&out, None));
    far.wait_for_nth("CALL_REMOTE_SDP", 2, SOON);
    far.resume();
    story.wait_for("call.resumed", SOON, of(&out, None));
    far.wait_for_nth("CALL_REMOTE_SDP", 3, SOON);
    far.hang_up();
    alice.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.ended", SOON, of(&out, None));
    nobody_talks(&switch);
    let heard = &alice.heard()[0];
    assert!(heard.halves(0, &TONES)[1..4].iter().all(|half| half.is_only(2)), "{}", heard.picture(&TONES));

    // In; the phone sends it on to another one, who hangs up: the switch's BYE goes through the border.
    far.dial(&format!("sip:+4930600@{}", border.at()));
    alice.wait_for_nth("CALL_INCOMING", 1, SOON);
    alice.accept();
    far.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    let inward = story.wait_for("call.bridged", SOON, |event| event.subject != out).subject;
    alice.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    alice.transfer(&format!("sip:202@{}", switch.sip()));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    story.wait_for("call.transferred", SOON, of(&inward, Some("completed")));
    bob.wait_to_hear(Duration::from_secs(3), SOON);
    bob.hang_up();
    far.wait_for_nth("CALL_CLOSED", 2, SOON);
    story.wait_for("call.ended", SOON, of(&inward, None));
    nobody_talks(&switch);
    let heard = &bob.heard()[0];
    assert!(heard.halves(0, &TONES)[2..5].iter().all(|half| half.is_only(2)), "{}", heard.picture(&TONES));
}

/// RFC 3261 §16.3: a border that sends our calls back to us, where they would go out again.
#[test]
fn a_call_that_a_carrier_sends_back_to_us_ends_at_once() {
    let border = SocketAddr::from((BORDER, ports::port()));
    let site = Site::new("loop")
        .phone("201")
        .with(&format!("[[trunk]]\nname = \"carrier\"\npeer = \"{border}\"\nprobe = \"off\"\ntransit = true\n"))
        .inbound("carrier", "*", "number:0123456")
        .with(OUT);
    let switch = site.start();
    let _border = Kamailio::start(site.folder(), "carrier", border, switch.sip(), &switch.sip().to_string());
    let mut alice = at_the_switch(&site, &switch, "201", TONES[0]);
    let story = switch.events("since=0");
    alice.dial(&format!("sip:0123456@{}", switch.sip()));
    alice.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!((&ended.data()["cause"], &ended.data()["status"]), (&json!("loop"), &json!(482)), "{}", ended.cloud_event);
    nobody_talks(&switch);
    assert_eq!(story.events().iter().filter(|e| e.kind == "call.started").count(), 1, "it came back, and was taken again");
}

/// RFC 3261 §9.1, RFC 3262 §4: a CANCEL, and a PRACK in the early dialog, by the way that the INVITE and its provisional response made.
#[test]
fn a_carriers_border_passes_on_cancel_and_what_acknowledges_a_reliable_response() {
    let border_at = SocketAddr::from((BORDER, ports::port()));
    let site = Site::new("border-early").phone("201").trunk("carrier", border_at);
    let site = site.with(OUT);
    let switch = site.start();
    let far = Sipp::scenario(site.folder().path(), "far", &kept("reliable")).start();
    far.wait_until_bound();
    let to = format!("far@127.0.0.1:{}", far.port());
    let border = Kamailio::start(site.folder(), "carrier", border_at, switch.sip(), &to);
    let mut alice = at_the_switch(&site, &switch, "201", TONES[0]);
    let story = switch.events("since=0");
    alice.dial(&format!("sip:0123456@{}", switch.sip()));
    alice.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.bridged", SOON, |_| true);
    alice.hang_up();
    let by_border = format!("SIP/2.0/UDP {}", border.at());
    let received: Vec<String> = far.received();
    let outcome = far.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let prack = received.iter().find(|m| m.starts_with("PRACK ")).unwrap_or_else(|| panic!("{received:#?}"));
    assert!(prack.contains(&by_border) && prack.contains("RAck: 776655 1 INVITE"), "{prack}");
    nobody_talks(&switch);
    drop(border);

    // A phone there rings until the caller gives up.
    let phone = Baresip::phone(site.folder(), "far").tone(TONES[2]).start();
    let _border = Kamailio::start(site.folder(), "carrier", border_at, switch.sip(), &format!("far@127.0.0.1:{}", phone.port()));
    alice.dial(&format!("sip:0123457@{}", switch.sip()));
    phone.wait_for("CALL_INCOMING", SOON);
    alice.wait_for_nth("CALL_RINGING", 1, SOON);
    alice.hang_up();
    phone.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |e| e.data()["cause"] == "cancelled");
    assert!(ended.data()["status"].is_null() || ended.data()["status"] == 487, "{}", ended.cloud_event);
    nobody_talks(&switch);
}

/// Where the rows of a phone's registrations say that it is, and what they are by.
fn sources(switch: &Cordboard, number: &str) -> Vec<(String, String)> {
    let all = switch.items("/api/v1/registrations").into_iter().filter(|r| r["number"] == number);
    all.map(|r| (r["source"].as_str().unwrap_or_default().to_owned(), r["transport"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// RFC 5658: UDP to the phones and a stream to the switch, so the proxy stands twice in every way. Its connections end between the calls,
/// which takes no registration away.
fn phones_behind_an_edge_by(by: &str, lifetime_s: u32) {
    let numbers = ["201", "202", "203"];
    let site = numbers.iter().fold(Site::new(&format!("edge-{by}")), |site, number| site.phone(number));
    let site = site.on(INNER).secure().sip_key(OWN);
    let switch = site.start();
    let [outer, inner] = [ports::port(), ports::port()].map(|port| SocketAddr::from((EDGE, port)));
    let config = site.folder().path().join("config");
    let (certificate, key) = (config.join("tls/certificate.pem"), config.join("tls/key.pem"));
    let to = if by == "tls" { site.tls() } else { switch.sip() };
    let edge = Kamailio::edge(site.folder(), outer, by, inner, to, lifetime_s, [&certificate, &key]);
    let mut alice = behind(&site, &edge, "201", TONES[0], false);
    let mut bob = behind(&site, &edge, "202", TONES[1], true);
    let mut carol = behind(&site, &edge, "203", TONES[2], false);
    for number in numbers {
        switch.wait_for_registration(number, SOON);
        let sources = sources(&switch, number);
        assert!(matches!(&sources[..], [(source, how)] if source.starts_with("127.0.0.1:") && how == by), "{sources:?}");
    }
    let story = switch.events("since=0");

    // Given up while it rings: CANCEL both ways.
    alice.dial(&address("202"));
    bob.wait_for("CALL_INCOMING", SOON);
    alice.wait_for("CALL_RINGING", SOON);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(ended.data()["cause"], json!("cancelled"));
    nobody_talks(&switch);

    alice.dial(&address("202"));
    bob.wait_for_nth("CALL_INCOMING", 2, SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let call = story.wait_for("call.bridged", SOON, |_| true).subject;
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    alice.hold();
    story.wait_for("call.held", SOON, of(&call, None));
    alice.wait_for_nth("CALL_REMOTE_SDP", 2, SOON);
    alice.resume();
    story.wait_for("call.resumed", SOON, of(&call, None));
    alice.wait_for_nth("CALL_REMOTE_SDP", 3, SOON);
    bob.transfer(&address("203"));
    carol.wait_for("CALL_INCOMING", SOON);
    carol.accept();
    story.wait_for("call.transferred", SOON, of(&call, Some("completed")));
    carol.wait_to_hear(Duration::from_secs(2), SOON);
    carol.hang_up();
    alice.wait_for_nth("CALL_CLOSED", 2, SOON);
    story.wait_for("call.ended", SOON, of(&call, None));
    nobody_talks(&switch);

    // SUBSCRIBE and NOTIFY take the same ways.
    let mut lamp = Baresip::phone(site.folder(), "visitor").config("module_app mwi.so").start();
    let account = format!(
        "<sip:201@{DOMAIN}>;auth_user=201;auth_pass={};regint=60;mwi=yes;outbound=\"sip:{};transport=udp\"",
        secret("201"),
        edge.at()
    );
    lamp.command("uanew", &account);
    let told = lamp.wait_for("MWI_NOTIFY", SOON);
    assert!(told["param"].as_str().is_some_and(|text| text.contains("Messages-Waiting: no")), "{told}");

    let registered = story.events().iter().filter(|e| e.kind == "registration.removed").count();
    assert_eq!(registered, 0, "a connection that ended took a registration with it");
}

#[test]
fn phones_behind_an_edge_that_speaks_tcp_to_the_switch_call_cancel_transfer_and_subscribe() {
    phones_behind_an_edge_by("tcp", 2);
}

#[test]
fn phones_behind_an_edge_that_speaks_tls_to_the_switch_call_cancel_transfer_and_subscribe() {
    phones_behind_an_edge_by("tls", 120);
}

fn metric(switch: &Cordboard, name: &str) -> u64 {
    let text = switch.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("cordboard_transport_{name}_total ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// RFC 3261 §9.1, §18.2.2: a proxy whose connections end while a phone rings behind it.
#[test]
fn a_call_that_rings_behind_an_edge_goes_on_by_the_edges_next_connection() {
    let numbers = ["201", "202"];
    let site = numbers.iter().fold(Site::new("edge-closes"), |site, number| site.phone(number)).on(INNER).sip_key(OWN);
    let switch = site.start();
    let [outer, inner] = [ports::port(), ports::port()].map(|port| SocketAddr::from((EDGE, port)));
    let nothing = site.folder().path();
    let edge = Kamailio::edge(site.folder(), outer, "tcp", inner, switch.sip(), 2, [nothing, nothing]);
    let mut alice = behind(&site, &edge, "201", TONES[0], false);
    // Not by TCP, which the edge would close as well.
    let mut bob = behind(&site, &edge, "202", TONES[1], false);
    for number in numbers {
        switch.wait_for_registration(number, SOON);
    }
    let story = switch.events("since=0");
    // What the switch says again then opens the next one.
    let closes = || {
        let before = metric(&switch, "tcp_closed");
        wait_until("the edge has closed a connection", SOON, || metric(&switch, "tcp_closed") > before);
    };

    alice.dial(&address("202"));
    bob.wait_for("CALL_INCOMING", SOON);
    alice.wait_for("CALL_RINGING", SOON);
    closes();
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(ended.data()["cause"], json!("cancelled"));
    nobody_talks(&switch);

    alice.dial(&address("202"));
    bob.wait_for_nth("CALL_INCOMING", 2, SOON);
    alice.wait_for_nth("CALL_RINGING", 2, SOON);
    closes();
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let call = begun(&story, "201", "202");
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    bob.wait_to_hear(Duration::from_secs(2), SOON);
    closes();
    bob.hang_up();
    alice.wait_for_nth("CALL_CLOSED", 2, SOON);
    story.wait_for("call.ended", SOON, of(&call, None));
    nobody_talks(&switch);
    assert_eq!(story.events().iter().filter(|e| e.kind == "registration.removed").count(), 0);
}
