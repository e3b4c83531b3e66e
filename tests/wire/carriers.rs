//! SIPp as carriers that are more than one address and port: a gateway beside the proxy, two accounts, a connection that is closed.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::caller::TRUNK;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::dns::{Dns, Record};
use super::support::ports;
use super::support::process::{wait_for, wait_until};
use super::support::sipp::{Builder, Sipp, kept};

const SOON: Duration = Duration::from_secs(20);
const GATEWAY: &str = "127.0.0.6";
const NUMBER: &str = "+4930600";

fn phone(site: &Site, switch: &Cordboard, number: &str) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// `caller.xml` up to its ACK, with this Contact and the tag `carrier`.
fn sets_up(contact: &str) -> String {
    let kept = kept("caller").replace("[pid]c[call_number]", "carrier");
    let kept = kept.replace("sip:trunk@[local_ip]:[local_port];transport=[transport]", contact);
    let upto = kept.find("  <recv request=\"BYE\"").expect("its BYE");
    format!("{}  <timewait milliseconds=\"200\"/>\n</scenario>\n", &kept[..upto])
}

fn caller(site: &Site, switch: &Cordboard, name: &str, scenario: &str, called: &str) -> Builder {
    Sipp::scenario(site.folder().path(), name, scenario)
        .address(TRUNK)
        .key("audio_port", 9) // discarded: these callers have no voice
        .key("from", "+4930123456")
        .service(called)
        .target(switch.sip())
}

/// The rest of a header's line.
fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn within_dialog(method: &str, cseq: u32, more: &str) -> String {
    format!(
        r#"  <send retrans="500"><![CDATA[
{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:carrier@{TRUNK}>;tag=carrier
To: <sip:[service]@[remote_ip]:[remote_port]>;tag=[switch_tag]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:gateway@[local_ip]:[local_port]>
{more}
]]></send>
  <recv response="200"></recv>
"#
    )
}

/// RFC 3261 §12.2: without Record-Route what follows the ACK is between the Contacts.
#[test]
fn a_gateway_beside_the_carriers_proxy_refreshes_and_ends_the_call() {
    ends_the_call_from_the_gateway(Site::new("gateway"), GATEWAY);
}

/// RFC 3263 §4: and where the Contact is a name, they come from where that is.
#[test]
fn a_gateway_that_is_known_by_name_refreshes_and_ends_the_call() {
    let dns = Dns::start(&[("gw3.carrier.example", Record::A(GATEWAY.parse().expect("an address")))]);
    let site = Site::new("gateway-name").sip_key(&format!("nameservers = [\"{}\"]", dns.address()));
    ends_the_call_from_the_gateway(site, "gw3.carrier.example");
    assert!(dns.asked().contains(&"1 gw3.carrier.example".to_owned()), "{:?}", dns.asked());
}

fn ends_the_call_from_the_gateway(site: Site, host: &str) {
    let site = site.phone("201").trunk("carrier", TRUNK).inbound("carrier", NUMBER, "phone:201");
    let switch = site.start();
    let mut phone = phone(&site, &switch, "201");
    let story = switch.events("since=0");
    let port = ports::port();
    let proxy = caller(&site, &switch, "proxy", &sets_up(&format!("sip:gateway@{host}:{port}")), NUMBER).start();
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    phone.wait_for("CALL_ESTABLISHED", SOON);
    let outcome = proxy.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let answer = outcome.messages.split("SIP/2.0 200").nth(1).expect("200");
    let tag = header(answer, "To:").and_then(|to| to.split(";tag=").nth(1)).expect("a tag").to_owned();
    let call_id = header(answer, "Call-ID:").expect("Call-ID").to_owned();

    let info = "Content-Type: application/dtmf-relay\nContent-Length: [len]\n\nSignal=5\nDuration=160\n";
    let requests = [("UPDATE", "Content-Length: 0\n"), ("INFO", info), ("BYE", "Content-Length: 0\n")];
    let requests: String = requests.iter().zip(2..).map(|((method, more), cseq)| within_dialog(method, cseq, more)).collect();
    let xml = format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"gateway\">\n{requests}</scenario>\n");
    let gateway = Sipp::scenario(site.folder().path(), "gateway", &xml)
        .address(GATEWAY)
        .port(port)
        .service(NUMBER)
        .target(switch.sip())
        .key("switch_tag", tag)
        .argument("-cid_str")
        .argument(call_id)
        .start();
    let outcome = gateway.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    phone.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!((&ended.data()["cause"], &ended.data()["by"]), (&"normal".into(), &"customer".into()), "{}", ended.cloud_event);
    let metrics = switch.get("/metrics").text();
    assert!(!metrics.contains("guard_strikes_total"), "{metrics}");
}

const REGISTRAR: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="registrar">
  <recv request="REGISTER"></recv>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]r[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Contact:];expires=600
Content-Length: 0

]]></send>
</scenario>
"#;

/// RFC 3261 §10, §16.5: calls to an account come to the Contact that it has registered.
#[test]
fn two_accounts_at_one_carrier_have_their_own_calls() {
    let port = ports::port();
    let accounts = [("first", "490301", "201"), ("second", "490302", "202")];
    let mut site = Site::new("accounts");
    for (name, user, number) in accounts {
        site = site.phone(number).with(&format!(
            "[[trunk]]\nname = \"{name}\"\npeer = \"{TRUNK}:{port}\"\nprobe = \"off\"\nuser = \"{user}\"\nsecret = \"s\"\nregister = true\n"
        ));
        site = site.inbound(name, user, &format!("phone:{number}"));
    }
    let registrar = Sipp::scenario(site.folder().path(), "registrar", REGISTRAR).address(TRUNK).port(port).calls(2).start();
    registrar.wait_until_bound();
    let switch = site.start();
    let outcome = registrar.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let story = switch.events("since=0");
    for (name, user, number) in accounts {
        let contact = format!("Contact: <sip:{user}@");
        assert!(outcome.messages.contains(&contact), "{contact}: {}", outcome.messages);
        let mut phone = phone(&site, &switch, number);
        let carrier = caller(&site, &switch, name, &kept("caller"), user).port(port).start();
        phone.wait_for("CALL_INCOMING", SOON);
        phone.accept();
        phone.wait_for("CALL_ESTABLISHED", SOON);
        story.wait_for("call.started", SOON, |e| e.data()["trunk"] == name && e.data()["called"] == user);
        phone.hang_up();
        let outcome = carrier.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    }
}

const HEARS_THE_END: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="end">
  <recv request="BYE"></recv>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
  <timewait milliseconds="200"/>
</scenario>
"#;

/// RFC 3261 §18.1.1, RFC 5923: a carrier that closes its connection under a call is told by a new one that the call is over. Its Contact is a
/// name that nobody knows, so it is called where its trunk is.
#[test]
fn a_carrier_that_has_closed_its_connection_hears_that_the_phone_has_hung_up() {
    let port = ports::port();
    let site = Site::new("closed")
        .phone("201")
        .with(&format!("[[trunk]]\nname = \"carrier\"\npeer = \"{TRUNK}:{port}\"\ntransport = \"tcp\"\nprobe = \"off\"\n"))
        .inbound("carrier", NUMBER, "phone:201");
    let switch = site.start();
    let mut phone = phone(&site, &switch, "201");
    let story = switch.events("since=0");
    let contact = "sip:gateway@gateway.invalid;transport=tcp";
    let carrier = caller(&site, &switch, "carrier", &sets_up(contact), NUMBER).over_tcp().start();
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    phone.wait_for("CALL_ESTABLISHED", SOON);
    let outcome = carrier.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    wait_for("the switch knows that the connection is gone", SOON, || {
        switch.get("/metrics").text().contains("sip_trunk_ways_lost_total 1").then_some(())
    });
    let other = Sipp::scenario(site.folder().path(), "other", HEARS_THE_END).address(TRUNK).port(port).over_tcp().start();
    other.wait_until_bound();
    phone.hang_up();
    let outcome = other.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(outcome.messages.contains(&format!("BYE {contact} SIP/2.0")), "{}", outcome.messages);
    story.wait_for("call.ended", SOON, |e| e.data()["cause"] == "normal");
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}
