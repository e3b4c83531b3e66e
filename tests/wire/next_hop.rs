//! The way to a trunk: the servers of its domain, found by a name server of the test, and tried in turn.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Site, secret};
use super::support::dns::{Dns, Record};
use super::support::ports;
use super::support::process::wait_until;
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
        .with(&format!("[[trunk]]\nname = \"carrier\"\nprobe = \"off\"\n{trunk}"))
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
        let site = outside(site, "peer = \"carrier.test\"\n");
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
