//! The way to a trunk: the servers of its domain, found by a name server of the test, and tried in turn.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Site, secret};
use super::support::dns::{Dns, Record};
use super::support::kamailio::Kamailio;
use super::support::ports;
use super::support::process::{Folder, Process, wait_until};
use super::support::sipp::{Sipp, kept};

const SOON: Duration = Duration::from_secs(20);
const FIRST: &str = "127.0.0.2";
const SECOND: &str = "127.0.0.3";

/// 503 to the first INVITE.
const REFUSES: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="refuses">
  <recv request="INVITE"></recv>
  <send retrans="500"><![CDATA[
SIP/2.0 503 Service Unavailable
[last_Via:]
[last_From:]
[last_To:];tag=[pid]r[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
  <recv request="ACK"></recv>
</scenario>
"#;

fn outside(site: Site, trunk: &str) -> Site {
    site.with("[[phone]]\nnumber = \"205\"\nsecret = \"secret-205\"\noutside = true\n")
        .with(&format!("[[trunk]]\nname = \"carrier\"\n{trunk}"))
        .with("[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"carrier\"]\n")
}

/// NAPTR, SRV and A of `carrier.test`: two servers, one after the other.
fn records(first: u16, second: u16) -> Dns {
    let ip = |text: &str| Record::A(text.parse::<Ipv4Addr>().expect("an address"));
    Dns::start(&[
        ("carrier.test", Record::Naptr(10, 50, "SIP+D2U", "_sip._udp.carrier.test")),
        ("carrier.test", Record::Naptr(20, 50, "SIP+D2T", "_sip._tcp.carrier.test")),
        ("_sip._udp.carrier.test", Record::Srv(2, 0, second, "b.carrier.test")),
        ("_sip._udp.carrier.test", Record::Srv(1, 0, first, "a.carrier.test")),
        ("a.carrier.test", ip(FIRST)),
        ("b.carrier.test", ip(SECOND)),
    ])
}

/// RFC 3263 §4.3, RFC 2782: the first server refuses with 503, or is silent; the second one takes the call.
#[test]
fn a_call_goes_to_the_second_server_of_a_domain_where_the_first_refuses_or_is_silent() {
    for what in ["refuses", "silent"] {
        let (first_port, second_port) = (ports::port(), ports::port());
        let dns = records(first_port, second_port);
        let site = Site::new(&format!("srv-{what}")).sip_key(&format!("nameservers = [\"{}\"]", dns.address()));
        let site = outside(site, "peer = \"carrier.test\"\nprobe = \"off\"\n");
        let (mut refusing, mut silent) = (None, None);
        if what == "refuses" {
            let sipp = Sipp::scenario(site.folder().path(), "first", REFUSES).address(FIRST).port(first_port).start();
            sipp.wait_until_bound();
            refusing = Some(sipp);
        } else {
            silent = Some(UdpSocket::bind((FIRST, first_port)).expect("the silent server's socket"));
        }
        let second = Sipp::scenario(site.folder().path(), "second", &kept("uas"));
        let second = second.address(SECOND).port(second_port).key("audio_port", 9).start();
        second.wait_until_bound();
        let switch = site.start();
        wait_until("the servers are found", SOON, || dns.asked().iter().any(|q| q == "1 b.carrier.test"));
        let mut phone = Baresip::phone(site.folder(), "205").registrar(switch.sip(), &secret("205")).start();
        switch.wait_for_registration("205", SOON);
        phone.dial(&format!("sip:0301234@{}", switch.sip()));
        phone.wait_for("CALL_ESTABLISHED", SOON);
        phone.hang_up();
        let outcome = second.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{what}: {outcome:#?}");
        assert!(outcome.messages.contains("INVITE sip:301234@carrier.test SIP/2.0"), "{what}: {}", outcome.messages);
        if let Some(first) = refusing {
            assert_eq!(first.finish(SOON).code, Some(0), "the first was not asked");
        }
        if let Some(socket) = silent {
            let mut buffer = [0; 100];
            let read = socket.recv(&mut buffer).expect("an INVITE");
            assert!(buffer[..read].starts_with(b"INVITE sip:301234@carrier.test"));
        }
        // NAPTR 35, SRV 33, A 1.
        let asked = dns.asked();
        for question in ["35 carrier.test", "33 _sip._udp.carrier.test", "1 a.carrier.test", "1 b.carrier.test"] {
            assert!(asked.iter().any(|q| q == question), "{question}: {asked:?}");
        }
    }
}

/// The switch as the carrier's customer: registers there by TLS as 301, and listens with TLS itself.
fn customer_of(test: &str, certificate: &Path, peer: &str, more: &str) -> Site {
    let site = Site::new(test).secure().with(&format!("ca = \"{}\"", certificate.display()));
    let trunk = format!("peer = \"{peer}\"\ntransport = \"tls\"\n{more}");
    outside(site, &trunk).inbound("carrier", "301", "phone:205")
}

/// RFC 3261 §26.2, RFC 5922, RFC 5923: another switch as the carrier; both ways on the connection that the customer opened.
#[test]
fn a_trunk_by_tls_is_registered_with_and_called_and_calls_back() {
    let carrier_site = Site::new("tls-carrier").phone("301").phone("302").secure();
    let carrier = carrier_site.start();
    let certificate = carrier_site.folder().path().join("config/tls/certificate.pem");
    let peer = format!("localhost:{}", carrier_site.tls().port());
    let registered = "user = \"301\"\nsecret = \"secret-301\"\nregister = true\n";
    let site = customer_of("tls-customer", &certificate, &peer, registered);
    let switch = site.start();
    let story = switch.events("since=0");
    carrier.wait_for_registration("301", SOON);
    let bindings = carrier.items("/api/v1/registrations");
    assert_eq!(bindings[0]["transport"], "tls", "{bindings:?}");
    story.wait_for("trunk.up", SOON, |e| e.data()["trunk"] == "carrier");
    let trunks = switch.items("/api/v1/trunks");
    assert_eq!((&trunks[0]["state"], &trunks[0]["registered"]), (&"up".into(), &true.into()), "{trunks:?}");

    let mut phone = Baresip::phone(site.folder(), "205").registrar(switch.sip(), &secret("205")).start();
    let mut far = Baresip::phone(carrier_site.folder(), "302").registrar(carrier.sip(), &secret("302")).start();
    switch.wait_for_registration("205", SOON);
    carrier.wait_for_registration("302", SOON);
    phone.dial(&format!("sip:0302@{}", switch.sip()));
    far.wait_for("CALL_INCOMING", SOON);
    far.accept();
    phone.wait_for("CALL_ESTABLISHED", SOON);
    far.wait_to_hear(Duration::from_secs(1), SOON);
    phone.hang_up();
    far.wait_for("CALL_CLOSED", SOON);

    far.dial(&format!("sip:301@{}", carrier.sip()));
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    far.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    phone.wait_to_hear(Duration::from_secs(1), SOON);
    phone.hang_up();
    far.wait_for_nth("CALL_CLOSED", 2, SOON);
    for (one, other) in [(&switch, "customer"), (&carrier, "carrier")] {
        wait_until(&format!("no conversation is left at the {other}"), SOON, || {
            one.items("/api/v1/conversations?state=live").is_empty()
        });
    }
    let direction = |all: &[serde_json::Value], direction: &str| all.iter().filter(|c| c["direction"] == direction).count();
    let all = switch.items("/api/v1/conversations");
    assert_eq!((direction(&all, "outbound"), direction(&all, "inbound")), (1, 1), "{all:?}");
}

/// RFC 5922 §7.2: the peer is OpenSSL's server with a certificate for somebody else, and then for the host itself.
#[test]
fn a_trunk_by_tls_whose_certificate_is_for_another_name_or_of_nobody_known_is_refused() {
    // RFC 5922 §7.1: the domain may stand in a URI alone, and then without a user.
    let made = |name: &str| {
        let mut parameters = match name.contains(':') {
            true => rcgen::CertificateParams::new(vec!["server-7.test".to_owned()]).expect("names"),
            false => rcgen::CertificateParams::new(vec![name.to_owned()]).expect("names"),
        };
        if name.contains(':') {
            parameters.subject_alt_names.push(rcgen::SanType::URI(name.try_into().expect("a URI")));
        }
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        rcgen::CertifiedKey { cert: parameters.self_signed(&signing_key).expect("a certificate"), signing_key }
    };
    for (name, vouched, said) in [
        ("other.test", true, "not valid for name"),
        ("sip:somebody@localhost", true, "not valid for name"),
        ("localhost", false, "invalid peer certificate"),
        ("sip:localhost", false, "invalid peer certificate"),
        ("localhost", true, ""),
        ("sip:localhost", true, ""),
    ] {
        let folder = Folder::new("tls-server");
        let own = made(name);
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        folder.write("certificate.pem", own.cert.pem());
        folder.write("key.pem", own.signing_key.serialize_pem());
        folder.write("other.pem", made(name).cert.pem());
        let ca = if vouched { certificate.clone() } else { folder.path().join("other.pem") };
        let port = ports::port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert"]).arg(&certificate).arg("-key").arg(&key);
        let server = Process::start("openssl", &mut command, folder.path());
        wait_until("OpenSSL listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let site = customer_of("tls-refused", &ca, &format!("localhost:{port}"), "probe = \"5s\"\n");
        let switch = site.start();
        if said.is_empty() {
            // It speaks no SIP, but what came to it by TLS is seen.
            wait_until("the probe arrives", SOON, || server.output().contains("OPTIONS sip:localhost"));
            continue;
        }
        let down = switch.events("since=0").wait_for("trunk.down", SOON, |e| e.data()["trunk"] == "carrier");
        assert_eq!(down.data()["reason"], "unreachable", "{}", down.cloud_event);
        assert!(down.data()["detail"].as_str().is_some_and(|d| d.contains(said)), "{}", down.cloud_event);
        wait_until("the log says why", SOON, || switch.output().contains("no TLS with a trunk"));
        assert!(!server.output().contains("OPTIONS"), "{}", server.output());
    }
}

/// RFC 5922 §7.3, RFC 5923: Kamailio serves two domains at one address. Each trunk has a connection that was checked for its own name; a
/// third, whose certificate is not there, does not ride on theirs.
#[test]
fn trunks_at_one_address_have_a_tls_connection_for_each_name() {
    let folder = Folder::new("tls-hosted");
    let at = SocketAddr::from(([127, 0, 0, 2], ports::port()));
    let mut domains = String::new();
    let mut ca = String::new();
    for (name, section) in [
        (
            "one.test",
            "[server:default]
"
            .to_owned(),
        ),
        (
            "two.test",
            format!(
                "[server:{at}]
server_name = two.test
"
            ),
        ),
    ] {
        let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let certificate = folder.write(&format!("{name}.pem"), own.cert.pem());
        let key = folder.write(&format!("{name}.key"), own.signing_key.serialize_pem());
        ca += &own.cert.pem();
        let (certificate, key) = (certificate.display(), key.display());
        domains += &format!("{section}method = TLSv1.2+\ncertificate = {certificate}\nprivate_key = {key}\n");
    }
    let (domains, ca) = (folder.write("domains.cfg", domains), folder.write("ca.pem", ca));
    let names = ["one.test", "two.test", "three.test"];
    let dns = Dns::start(&names.map(|name| (name, Record::A([127, 0, 0, 2].into()))));
    let site = Site::new("tls-names").sip_key(&format!("nameservers = [\"{}\"]", dns.address())).secure();
    let site = site.with(&format!("ca = \"{}\"", ca.display()));
    let site = names.iter().fold(site, |site, name| {
        let peer = format!("peer = \"{name}:{}\"\ntransport = \"tls\"\nprobe = \"5s\"\n", at.port());
        site.with(&format!("[[trunk]]\nname = \"{name}\"\n{peer}"))
    });
    let _carrier = Kamailio::hosted(&folder, at, site.sip(), &domains);
    let switch = site.start();
    let story = switch.events("since=0");
    for name in ["one.test", "two.test"] {
        story.wait_for("trunk.up", SOON, |e| e.data()["trunk"] == name);
    }
    let down = story.wait_for("trunk.down", SOON, |e| e.data()["trunk"] == "three.test");
    assert!(down.data()["detail"].as_str().is_some_and(|d| d.contains("not valid for name")), "{}", down.cloud_event);
    let states: Vec<_> = switch.items("/api/v1/trunks").iter().map(|t| (t["name"].clone(), t["state"].clone())).collect();
    assert_eq!(states.iter().filter(|(_, state)| state == "up").count(), 2, "{states:?}");
}

/// The carrier is baresip, which nobody here wrote: called by TLS, hung up from either side in the connection that we opened.
#[test]
fn a_baresip_is_called_as_a_trunk_by_tls() {
    let folder = Folder::new("tls-baresip");
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    folder.write("certificate.pem", own.cert.pem());
    folder.write("both.pem", format!("{}{}", own.cert.pem(), own.signing_key.serialize_pem()));
    let both = format!("sip_certificate {}", folder.path().join("both.pem").display());
    let mut far = Baresip::phone(&folder, "301234").config(&both).tone(1_000.0).start();
    // It listens for TLS one above its other port.
    let peer = format!("localhost:{}", far.port() + 1);
    let site = customer_of("tls-to-baresip", &folder.path().join("certificate.pem"), &peer, "probe = \"5s\"\n");
    let switch = site.start();
    switch.events("since=0").wait_for("trunk.up", SOON, |e| e.data()["trunk"] == "carrier");
    let mut phone = Baresip::phone(site.folder(), "205").registrar(switch.sip(), &secret("205")).start();
    switch.wait_for_registration("205", SOON);
    for (call, far_ends) in [(1, false), (2, true)] {
        phone.dial(&format!("sip:0301234@{}", switch.sip()));
        far.wait_for_nth("CALL_INCOMING", call, SOON);
        far.accept();
        phone.wait_for_nth("CALL_ESTABLISHED", call, SOON);
        if far_ends {
            far.hang_up();
        } else {
            phone.wait_to_hear(Duration::from_secs(1), SOON);
            phone.hang_up();
        }
        phone.wait_for_nth("CALL_CLOSED", call, SOON);
        far.wait_for_nth("CALL_CLOSED", call, SOON);
    }
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}
