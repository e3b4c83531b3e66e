//! SIPp as the trunk and as phones: what goes wrong between the first INVITE and the answer, and messages that are lost or come twice.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::caller::{Caller, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;
use super::support::sipp::{Builder, Sipp, kept};
use super::support::stream::EventStream;

const SOON: Duration = Duration::from_secs(20);
/// 64·T1 and what comes after it: a lost message is repeated at most so long (RFC 3261 §17.1.1.2).
const PATIENT: Duration = Duration::from_secs(60);
const NUMBER: &str = "+4930600";
const CUSTOMER: &str = "+4930123456";

fn site(test: &str) -> Site {
    Site::new(test).phone("201").trunk("carrier", TRUNK).inbound("carrier", NUMBER, "phone:201")
}

fn phone(site: &Site, switch: &Cordboard) -> Baresip {
    let phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    phone
}

/// SIPp as a caller from the trunk, by a scenario of `tests/data/sipp/`.
fn caller(site: &Site, switch: &Cordboard, scenario: &str) -> Builder {
    Sipp::scenario(site.folder().path(), "customer", scenario)
        .address(TRUNK)
        .key("audio_port", 9) // discarded: these callers have no voice
        .key("from", CUSTOMER)
        .service(NUMBER)
        .target(switch.sip())
}

/// `caller.xml` up to its final response, which is another one.
fn refused_with(status: u16) -> String {
    let kept = kept("caller").replace(" start_rtd=\"1\"", ""); // of a time that never ends SIPp makes an error
    let upto = kept.find("  <recv response=\"200\"").unwrap_or(kept.len());
    let ack = r#"  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
Max-Forwards: 70
[last_From:]
[last_To:]
[last_Call-ID:]
CSeq: 1 ACK
Content-Length: 0

]]></send>
  <timewait milliseconds="200"/>
</scenario>
"#;
    format!("{}  <recv response=\"{status}\"></recv>\n{ack}", &kept[..upto])
}

#[track_caller]
fn ends_with(switch: &Cordboard, story: &EventStream, cause: &str, status: u16) {
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!((&ended.data()["cause"], &ended.data()["status"]), (&cause.into(), &status.into()), "{}", ended.cloud_event);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// RFC 3261 §9.
#[test]
fn a_caller_who_gives_up_while_it_rings_gets_487_and_the_phone_stops_ringing() {
    let site = site("cancel");
    let switch = site.start();
    let phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let kept = refused_with(487);
    let at = kept.find("  <recv response=\"183\"").unwrap_or(kept.len());
    let cancel = r#"  <recv response="180"></recv>
  <pause milliseconds="500"/>
  <send retrans="500"><![CDATA[
CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
Max-Forwards: 70
[last_From:]
To: <sip:[service]@[remote_ip]:[remote_port]>
[last_Call-ID:]
CSeq: 1 CANCEL
Content-Length: 0

]]></send>
  <recv response="200"></recv>
"#;
    let before = kept[..at].replace("  <recv response=\"180\" optional=\"true\"></recv>\n", "");
    let rest = kept[at..].replace("  <recv response=\"183\" optional=\"true\"></recv>\n", "");
    let outcome = caller(&site, &switch, &format!("{before}{cancel}{rest}")).start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    phone.wait_for("CALL_CLOSED", SOON);
    ends_with(&switch, &story, "cancelled", 487);
}

#[test]
fn a_phone_that_declines_makes_the_caller_hear_busy() {
    let site = site("busy");
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let customer = caller(&site, &switch, &refused_with(486)).start();
    phone.wait_for("CALL_INCOMING", SOON);
    phone.hang_up(); // baresip: 486
    let outcome = customer.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    ends_with(&switch, &story, "busy", 486);
}

#[test]
fn a_number_whose_phone_is_switched_off_gives_480() {
    let site = site("unregistered");
    let switch = site.start();
    let story = switch.events("since=0");
    let outcome = caller(&site, &switch, &refused_with(480)).start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    ends_with(&switch, &story, "unavailable", 480);
}

/// A minute of ringing is a minute: the one slow test.
#[test]
fn a_phone_that_nobody_answers_gives_480_after_a_minute_and_stops_ringing() {
    let site = site("no-answer");
    let switch = site.start();
    let phone = phone(&site, &switch);
    let story = switch.events("since=0");
    let customer = caller(&site, &switch, &refused_with(480)).start();
    phone.wait_for("CALL_INCOMING", SOON);
    let outcome = customer.finish(Duration::from_secs(90));
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    phone.wait_for("CALL_CLOSED", SOON);
    ends_with(&switch, &story, "no_answer", 480);
}

/// RFC 3261 §22: refused, without a binding, also for a number that does not exist, in the same way.
#[test]
fn a_wrong_password_and_an_unknown_number_are_refused_alike() {
    let site = site("password");
    let switch = site.start();
    let told = |number: &str, password: &str, last: u16| {
        let scenario = register(number, password, last);
        let phone =
            Sipp::scenario(site.folder().path(), &format!("phone-{number}-{last}"), &scenario).target(switch.sip()).start();
        let outcome = phone.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        let lines = outcome.messages.lines().map(|line| line.split([':', ' ']).next().unwrap_or_default().to_owned());
        lines.filter(|word| !word.is_empty() && !word.starts_with("----")).collect::<Vec<String>>()
    };
    assert_eq!(told("201", "wrong", 401), told("299", "wrong", 401), "an unknown number shows");
    assert_eq!(switch.items("/api/v1/registrations").len(), 0);
    told("201", &secret("201"), 200);
    assert_eq!(switch.items("/api/v1/registrations").len(), 1);
}

/// REGISTER, a challenge, REGISTER with credentials, and what comes of it.
fn register(number: &str, password: &str, last: u16) -> String {
    let request = |cseq: u32, more: &str| {
        format!(
            r#"  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:{number}@[remote_ip]>;tag=[pid]r[call_number]
To: <sip:{number}@[remote_ip]>
Call-ID: [call_id]
CSeq: {cseq} REGISTER
Contact: <sip:{number}@[local_ip]:[local_port]>
Expires: 60
{more}Content-Length: 0

]]></send>
"#
        )
    };
    format!(
        r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="register">
{}  <recv response="401" auth="true"></recv>
{}  <recv response="{last}"></recv>
</scenario>
"#,
        request(1, ""),
        request(2, &format!("[authentication username={number} password={password}]\n")),
    )
}

/// A caller whose every message may be lost on the way out: SIPp drops what it sends, or what it gets.
#[test]
fn calls_come_through_although_a_tenth_of_the_messages_is_lost() {
    let menu = "name = \"wait\"\nlanguage = \"en\"\nstart = \"top\"\n\n[node.top]\nkind = \"menu\"\nprompt = \"long\"\ntimeout = \"60s\"\n\
                digits = { \"1\" = \"hangup\" }\n";
    let site = Site::new("lossy")
        .trunk("carrier", TRUNK)
        .inbound("carrier", NUMBER, "menu:wait")
        .menu("wait", menu)
        .prompt_of_tone("en", "long", 600.0, 30);
    let switch = site.start();
    let customers = Sipp::scenario(site.folder().path(), "customers", &kept("uac").replace("\"3000\"", "\"500\""))
        .address(TRUNK)
        .key("audio_port", 9)
        .key("from", CUSTOMER)
        .service(NUMBER)
        .calls(20)
        .argument("-r")
        .argument(10)
        .argument("-lost")
        .argument(10)
        .target(switch.sip())
        .start();
    let outcome = customers.finish(PATIENT);
    assert!(outcome.retransmissions > 0, "nothing was lost: {outcome:#?}");
    // An ACK that is lost is SIPp's to repeat when the 2xx comes again, as any caller's.
    assert_eq!((outcome.successful, outcome.failed), (20, 0), "{}", outcome.errors);
    wait_until("no conversation is left", PATIENT, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// RFC 3261 §17: a caller and a callee, both SIPp, on lines that lose each message once. Whatever the switch sends it sends again, and a
/// request that comes again, the INVITE too, is no second one.
#[test]
fn a_call_comes_through_although_each_of_its_messages_is_lost_once() {
    const FAR: &str = "127.0.0.3";
    let port = super::support::ports::port();
    let site = Site::new("deaf")
        .with(&format!("[[trunk]]\nname = \"carrier\"\npeer = \"{TRUNK}\"\ntransit = true\n"))
        .trunk("far", format!("{FAR}:{port}"))
        .inbound("carrier", NUMBER, "number:90301234")
        .with("[[outbound]]\npattern = \"9*\"\nstrip = 1\ntrunk = [\"far\"]\n");
    let switch = site.start();
    let story = switch.events("since=0");
    let far = Sipp::scenario(site.folder().path(), "far", &kept("deaf_callee")).address(FAR).port(port).key("audio_port", 9);
    let far = far.argument("-nr").start();
    far.wait_until_bound();
    let near = caller(&site, &switch, &kept("deaf_caller")).argument("-nr").start().finish(PATIENT);
    assert_eq!(near.code, Some(0), "{near:#?}");
    let far = far.finish(PATIENT);
    assert_eq!(far.code, Some(0), "{far:#?}");
    ends_with(&switch, &story, "normal", 200);
    assert_eq!(story.events().iter().filter(|e| e.kind == "call.started").count(), 1);
    let sent = |method: &str| far.messages.matches(&format!("\n{method} sip:")).count();
    assert_eq!((sent("INVITE"), sent("ACK"), sent("BYE")), (2, 2, 2), "{}", far.messages);
}

/// RFC 3261 §13.3.1.4: the 2xx goes out until the ACK comes.
#[test]
fn a_late_ack_ends_the_repeats_of_the_200() {
    let site = site("twice");
    let switch = site.start();
    let _phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).answers().start();
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");
    let late = kept("uac")
        .replace("\"3000\"", "\"500\"")
        .replace("rrs=\"true\"></recv>\n", "rrs=\"true\"></recv>\n  <pause milliseconds=\"1200\"/>\n");
    let outcome = caller(&site, &switch, &late).start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(story.events().iter().filter(|e| e.kind == "call.started").count(), 1);
    assert!(outcome.messages.matches("SIP/2.0 200 OK").count() >= 3, "the 200 was not repeated: {}", outcome.messages);
}

/// A customer and a phone hear each other, and the phone's BYE ends the customer's side.
#[test]
fn a_customer_talks_to_a_phone_by_its_direct_number() {
    let site = site("direct");
    let switch = site.start();
    let mut phone = phone(&site, &switch);
    let customer = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, NUMBER, 700.0, Stays::UntilHungUp);
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    customer.wait_for_answer(SOON);
    phone.wait_to_hear(Duration::from_secs(2), SOON);
    phone.hang_up();
    let (outcome, heard) = customer.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(heard.audio().halves(0, &[440.0])[1].is_only(0), "{}", heard.audio().picture(&[440.0]));
}

/// RFC 3261 §13.2.2.4, §13.3.1.4: the carrier's 200 gets lost and comes again. (A SIPp that loses what it receives takes the repetition
/// for one that it has answered, so the loss of our own requests is the scenarios' to try, on a network of their own.)
#[test]
fn calls_to_the_outside_come_through_although_the_200_is_lost_half_of_the_time() {
    const CALLS: usize = 4;
    let port = super::support::ports::port();
    let site = Site::new("lossy-outside")
        .with("[[phone]]\nnumber = \"205\"\nsecret = \"secret-205\"\noutside = true\n")
        .trunk("carrier", format!("{TRUNK}:{port}"))
        .with("[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"carrier\"]\n");
    let switch = site.start();
    let carrier =
        Sipp::scenario(site.folder().path(), "carrier", &kept("uas").replace("<send retrans", "<send lost=\"50\" retrans"))
            .address(TRUNK)
            .port(port)
            .key("audio_port", 9)
            .calls(CALLS as u32)
            .start();
    carrier.wait_until_bound();
    let mut phone = Baresip::phone(site.folder(), "205").registrar(switch.sip(), &secret("205")).start();
    switch.wait_for_registration("205", SOON);
    let story = switch.events("since=0");
    for call in 1..=CALLS {
        phone.dial(&format!("sip:0301234@{}", switch.sip()));
        phone.wait_for_nth("CALL_ESTABLISHED", call, PATIENT);
        phone.hang_up();
        let ended = story.wait_in_events("an end of each call", PATIENT, |all| {
            all.iter().filter(|e| e.kind == "call.ended").nth(call - 1).cloned()
        });
        assert_eq!(ended.data()["cause"], "normal", "{}", ended.cloud_event);
    }
    let outcome = carrier.finish(PATIENT);
    assert_eq!((outcome.successful, outcome.failed), (CALLS as u32, 0), "{}", outcome.errors);
}

/// RFC 4028 §6, §9, RFC 3311.
#[test]
fn a_carrier_with_a_session_timer_is_told_the_least_interval_and_refreshes_by_update() {
    let site = site("timer");
    let switch = site.start();
    let _phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).answers().start();
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");
    let outcome = caller(&site, &switch, &kept("timer")).start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    ends_with(&switch, &story, "normal", 200);
}

/// RFC 3323, RFC 3325 §9: a hidden caller's number is in what a trusted carrier is told alone.
#[test]
fn a_trusted_carrier_is_told_who_hides_and_another_one_is_not() {
    for (test, trust) in [("trusted", true), ("untrusted", false)] {
        let port = super::support::ports::port();
        let site = Site::new(test)
            .with("[[phone]]\nnumber = \"205\"\nsecret = \"secret-205\"\ncaller = \"+4930555205\"\n")
            .with(&format!("[[trunk]]\nname = \"carrier\"\npeer = \"{TRUNK}:{port}\"\nprobe = \"off\"\ntrust = {trust}\n"))
            .with("[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"carrier\"]\n");
        let switch = site.start();
        let carrier = Sipp::scenario(site.folder().path(), "carrier", &kept("uas"))
            .address(TRUNK)
            .port(port)
            .key("audio_port", 9)
            .calls(2)
            .start();
        carrier.wait_until_bound();
        let mut phone = Baresip::phone(site.folder(), "205").registrar(switch.sip(), &secret("205")).start();
        switch.wait_for_registration("205", SOON);
        for (call, prefix) in [(1, ""), (2, "*31")] {
            phone.dial(&format!("sip:{prefix}0301234@{}", switch.sip()));
            phone.wait_for_nth("CALL_ESTABLISHED", call, SOON);
            phone.hang_up();
            phone.wait_for_nth("CALL_CLOSED", call, SOON);
        }
        let invites: Vec<String> = carrier.received().into_iter().filter(|m| m.starts_with("INVITE sip:301234@")).collect();
        assert_eq!(carrier.finish(SOON).code, Some(0));
        let [shown, hidden] = &invites[..] else { panic!("{invites:#?}") };
        assert!(shown.contains("\nFrom: <sip:+4930555205@") && !shown.contains("\nPrivacy:"), "{shown}");
        assert!(hidden.contains("\nFrom: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="), "{hidden}");
        assert!(hidden.contains("\nPrivacy: id\r") || hidden.contains("\nPrivacy: id\n"), "{hidden}");
        for invite in [shown, hidden] {
            assert_eq!(invite.contains("\nP-Asserted-Identity: <sip:+4930555205@"), trust, "{invite}");
            assert_eq!(invite.contains("\nRemote-Party-ID: <sip:+4930555205@"), trust, "{invite}");
        }
        assert_eq!(hidden.contains("4930555205"), trust, "{hidden}");
    }
}

/// RFC 5079.
#[test]
fn a_caller_without_a_number_is_refused_where_the_number_says_so() {
    let site = Site::new("nameless")
        .phone("201")
        .trunk("carrier", TRUNK)
        .with(&format!("[[inbound]]\ntrunk = \"carrier\"\nnumber = \"{NUMBER}\"\nto = \"phone:201\"\nanonymous = \"reject\"\n"));
    let switch = site.start();
    let scenario = refused_with(433).replace("[from]@[local_ip]:[local_port]", "anonymous@anonymous.invalid");
    let outcome = caller(&site, &switch, &scenario).start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

/// A registrar that takes each nonce once and lists our contact as it sees it behind a NAT, good for so long: so many REGISTERs are
/// challenged, and accepted when they come again.
fn registrar(times: usize, seconds: u32) -> String {
    let answer = |status: &str, more: &str| {
        format!(
            r#"  <recv request="REGISTER"></recv>
  <send><![CDATA[
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:];tag=[pid]r[call_number]
[last_Call-ID:]
[last_CSeq:]
{more}
Content-Length: 0

]]></send>
"#
        )
    };
    let round = |n: usize| {
        let challenge = format!("WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n{n}\", algorithm=MD5, qop=\"auth\"");
        let listed = format!("Contact: <sip:490301@203.0.113.9:31022>;expires={seconds}");
        answer("401 Unauthorized", &challenge) + &answer("200 OK", &listed)
    };
    let rounds: String = (1..=times).map(round).collect();
    format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"registrar\">\n{rounds}</scenario>\n")
}

/// RFC 3261 §10.2.2, §10.2.4.
#[test]
fn a_registration_is_refreshed_by_what_a_registrar_lists_and_taken_back_at_the_end() {
    let port = super::support::ports::port();
    let site = Site::new("registrar").with(&format!(
        "[[trunk]]\nname = \"carrier\"\npeer = \"{TRUNK}:{port}\"\nprobe = \"off\"\nuser = \"490301\"\nsecret = \"s3cret\"\n\
         register = true\nrefresh = \"300s\"\n"
    ));
    let carrier = Sipp::scenario(site.folder().path(), "carrier", &registrar(3, 12)).address(TRUNK).port(port).start();
    carrier.wait_until_bound();
    let mut switch = site.start();
    let registered = |carrier: &Sipp| carrier.received().into_iter().filter(|m| m.starts_with("REGISTER ")).collect::<Vec<_>>();
    wait_until("it is refreshed within the twelve seconds", SOON, || registered(&carrier).len() == 4);
    wait_until("it is up", SOON, || switch.items("/api/v1/trunks")[0]["registered"] == true);
    switch.terminate();
    assert!(switch.wait_for_end(SOON).success());
    let all = registered(&carrier);
    let outcome = carrier.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let [.., first, last] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(all.len(), 6, "{all:#?}");
    assert!([first, last].iter().all(|m| m.contains("\nExpires: 0")), "{all:#?}");
    assert!(first.contains("nonce=\"n2\"") && last.contains("nonce=\"n3\""), "{all:#?}");
}

/// RFC 3261 §10.2.2, by the connection that the registration was made by.
#[test]
fn a_reload_without_the_trunk_takes_its_registration_back_by_tcp() {
    let port = super::support::ports::port();
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\npeer = \"{TRUNK}:{port}\"\ntransport = \"tcp\"\nprobe = \"off\"\nuser = \"490301\"\n\
         secret = \"s3cret\"\nregister = true\nrefresh = \"300s\"\n"
    );
    let site = Site::new("withdrawn").phone("201").with(&trunk);
    let carrier =
        Sipp::scenario(site.folder().path(), "carrier", &registrar(2, 300)).address(TRUNK).port(port).over_tcp().start();
    carrier.wait_until_bound();
    let switch = site.start();
    wait_until("it is up", SOON, || switch.items("/api/v1/trunks")[0]["registered"] == true);
    let path = site.folder().path().join("config/cordboard.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    assert!(text.contains(&trunk), "{text}");
    std::fs::write(&path, text.replace(&trunk, "")).expect("writable");
    switch.reload();
    let outcome = carrier.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let all: Vec<&str> = outcome.messages.split("\nREGISTER ").skip(1).collect();
    let expires: Vec<bool> = all.iter().map(|message| message.contains("\nExpires: 0")).collect();
    assert_eq!(expires, [false, false, true, true], "{all:#?}");
    assert!(switch.items("/api/v1/trunks").is_empty());
}
