//! Phones behind a router that rewrites their addresses and ports: two network namespaces, the router's and the phone's, with the kernel's
//! own NAT (nftables) between. Where namespaces or NAT are not permitted this fails, or, where that is permitted, says that it is left out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::support::cordboard::{Cordboard, Site, secret};
use super::super::support::ports;
use super::super::support::process::wait_until;
use super::super::support::sipp::Sipp;
use super::super::support::skip::skipped;
use super::script::{self, Player};
use super::{Loss, NEAR, PATIENCE, SOON, Success, Table, register};

/// For what does not come.
const SHORT: Duration = Duration::from_millis(1_500);
const PHONE: &str = "192.168.213.2";
const ROUTER_INSIDE: &str = "192.168.213.1";
/// What the router makes of the phone's port.
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_999;

/// Both namespaces, until it is dropped. Names, interfaces and the network outside are of this process alone.
struct Nat {
    id: u32,
}

impl Nat {
    /// The reason why there can't be any.
    fn new() -> Result<Nat, String> {
        let id = std::process::id();
        let nat = Nat { id };
        let (router, phone) = (nat.router(), nat.phone());
        let (o, i, r, p) = (format!("cbo{id}"), format!("cbi{id}"), format!("cbr{id}"), format!("cbp{id}"));
        let range = format!("{}-{}", PORTS.start(), PORTS.end());
        let outside = nat.router_outside().to_string();
        let switch = nat.switch().to_string();
        let nft = format!("ip netns exec {router} nft");
        for line in [
            format!("ip netns add {router}"),
            format!("ip netns add {phone}"),
            format!("ip link add {o} type veth peer name {i} netns {router}"),
            format!("ip -n {router} link add {r} type veth peer name {p} netns {phone}"),
            format!("ip addr add {switch}/30 dev {o}"),
            format!("ip link set {o} up"),
            format!("ip -n {router} addr add {outside}/30 dev {i}"),
            format!("ip -n {router} addr add {ROUTER_INSIDE}/24 dev {r}"),
            format!("ip -n {router} link set {i} up"),
            format!("ip -n {router} link set {r} up"),
            format!("ip -n {router} link set lo up"),
            format!("ip -n {phone} addr add {PHONE}/24 dev {p}"),
            format!("ip -n {phone} link set {p} up"),
            format!("ip -n {phone} link set lo up"),
            format!("ip -n {phone} route add default via {ROUTER_INSIDE}"),
            format!("ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"),
            format!("{nft} add table ip cordboard"),
            format!("{nft} add chain ip cordboard out {{ type nat hook postrouting priority 100 ; }}"),
            format!("{nft} add rule ip cordboard out oifname {i} ip protocol udp masquerade to :{range} random"),
            format!("{nft} add rule ip cordboard out oifname {i} ip protocol tcp masquerade to :{range} random"),
        ] {
            run(&line)?;
        }
        Ok(nat)
    }

    fn router(&self) -> String {
        format!("cbrouter{}", self.id)
    }

    fn phone(&self) -> String {
        format!("cbphone{}", self.id)
    }

    /// The first address of four, in 10.213.0.0/16.
    fn switch(&self) -> Ipv4Addr {
        let number = (self.id % 16_000) * 4;
        Ipv4Addr::new(10, 213, (number / 256) as u8, (number % 256 + 1) as u8)
    }

    fn router_outside(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.switch()) + 1)
    }

    /// As when the router is switched off and on: it forgets which port is whose (`masquerade` does so when its interface goes down).
    fn restarts(&self) {
        for way in ["down", "up"] {
            run(&format!("ip -n {} link set cbi{} {way}", self.router(), self.id)).expect("the router's interface");
        }
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        // The interfaces go with them.
        let _ = run(&format!("ip netns del {}", self.phone()));
        let _ = run(&format!("ip netns del {}", self.router()));
    }
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let out = Command::new(words.next().unwrap_or_default()).args(words).output().map_err(|e| format!("{line}: {e}"))?;
    out.status.success().then_some(()).ok_or_else(|| format!("{line}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

/// Where the phone is bound, as the switch sees it.
fn source(switch: &Cordboard) -> Option<SocketAddr> {
    let bindings = switch.items("/api/v1/registrations");
    bindings.iter().find(|b| b["number"] == "201")?["source"].as_str()?.parse().ok()
}

#[test]
fn behind_a_router_that_rewrites_ports() {
    let nat = match Nat::new() {
        Ok(nat) => nat,
        Err(why) => {
            let mut table = Table::new("nat");
            table.skipped(&why);
            table.print();
            return skipped("NAT between network namespaces", &why);
        }
    };
    let site = Site::new("matrix-nat").on(nat.switch()).phone("201").phone("202").trunk("near", NEAR);
    let site = site.inbound("near", "+4930600", "phone:201");
    let switch = site.start();
    let story = switch.events("since=0");
    let folder = site.folder().path();
    let mut count = 0;
    let mut play = |number: &str, text: &str, inside: bool, port: u16, patience: Duration| {
        count += 1;
        let key = secret(number);
        let text = text.replace("{switch}", &switch.sip().to_string());
        let sipp = Sipp::scenario(folder, &format!("party{count}"), &script::xml(&text, &Player { number, secret: &key }));
        let mut sipp = sipp.port(port).argument("-recv_timeout").argument(patience.as_millis());
        if let Some(target) = script::authorized_target(&text) {
            sipp = sipp.argument("-auth_uri").argument(format!("{target}@{}", switch.sip()));
        }
        sipp = if inside { sipp.address(PHONE).inside(&nat.phone()) } else { sipp.address(NEAR) };
        let waits = text.trim_start().starts_with('<');
        let sipp = if waits { sipp.start() } else { sipp.target(switch.sip()).start() };
        if waits {
            sipp.wait_until_bound();
        }
        sipp
    };
    let good = |sipp: Sipp| {
        let outcome = sipp.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{}\n{}\n{}", outcome.errors, outcome.messages, switch.output());
    };
    let fails = |sipp: Sipp| {
        let outcome = sipp.finish(SOON);
        assert_eq!(outcome.code, Some(1), "it goes as well\n{}", outcome.messages);
    };
    let rewritten = |at: SocketAddr| at.ip() == IpAddr::V4(nat.router_outside()) && PORTS.contains(&at.port());
    let mut table = Table::new("nat");
    let registers =
        format!(">> REGISTER - | Expires: 60\n< 200 | Via ~ received={}.*rport=40|rport=40.*received", nat.router_outside());

    // Who does not ask is not told.
    let no_rport = "| Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bKplain[cseq] | Expires: 60\n";
    fails(play("201", &registers.replace("| Expires: 60\n", no_rport), true, 5060, SHORT));

    // The phone is told how it looks from here, and its binding is the address that the router gave it.
    let begun = Instant::now();
    good(play("201", &registers, true, 5060, PATIENCE));
    let first = source(&switch).expect("a binding");
    assert!(rewritten(first), "{first}");
    story.wait_for("registration.added", SOON, |e| e.data()["source"] == first.to_string());
    table.row("a phone behind a NAT registers", "RFC 3581 §4, RFC 5626 §5", "registrar", Success, begun, "no rport in its Via");

    // It is called there, and everything of the call goes that way, whatever its Contact says.
    let calls = "> INVITE +4930600 | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200";
    let begun = Instant::now();
    let phone = play("201", super::calls::TAKES, true, 5060, PATIENCE);
    good(play("+49301111", calls, false, ports::port(), PATIENCE));
    good(phone);
    story.wait_for("call.ended", SOON, |e| e.data()["cause"] == "normal");
    table.row(
        "a phone behind a NAT is called",
        "RFC 5626 §5.3",
        "UAC",
        Success,
        begun,
        "its Contact alone, registered from elsewhere",
    );

    // It calls, and is hung up on.
    let begun = Instant::now();
    let inside_out = ">> INVITE 202 | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200";
    let callee = |name: &str, talks_ms: u32| {
        let port = ports::port();
        register(&switch, "202", port);
        let text = format!("< INVITE\n> 200 of INVITE | sdp\n< ACK\nwait {talks_ms}\n> BYE\n< 200");
        let player = Player { number: "202", secret: "" };
        let callee = Sipp::scenario(folder, name, &script::xml(&text, &player)).port(port).start();
        callee.wait_until_bound();
        callee
    };
    let other = callee("other", 200);
    good(play("201", inside_out, true, 5060, PATIENCE));
    good(other);
    story.wait_for("call.ended", SOON, |e| e.data()["by"] != "customer");
    table.row(
        "a phone behind a NAT calls, and is hung up on",
        "RFC 3581 §4",
        "UAS",
        Success,
        begun,
        "the port that it called from",
    );

    let other = callee("forgets", 1_500);
    let phone = play("201", inside_out, true, 5060, 2 * SHORT);
    phone.wait_for_received("200 OK", SOON);
    nat.restarts();
    fails(phone);
    drop(other);

    // Somebody who stands elsewhere has registered its address, which means nothing here.
    let elsewhere = format!(">> REGISTER - | Expires: 60 | Contact: <sip:201@{PHONE}:5060;transport=UDP>\n< 200");
    good(play("201", &elsewhere, false, ports::port(), PATIENCE));
    fails(play("+49303333", calls, false, ports::port(), SHORT));

    // The router has forgotten it, and the phone does not know.
    good(play("201", &registers, true, 5060, PATIENCE));
    nat.restarts();
    let phone = play("201", super::calls::TAKES, true, 5060, PATIENCE);
    fails(play("+49304444", calls, false, ports::port(), SHORT));
    assert!(phone.received().is_empty(), "{}", phone.messages());
    drop(phone);

    // By its next REGISTER it is found again, at another port and nowhere else.
    let begun = Instant::now();
    good(play("201", &registers, true, 5060, PATIENCE));
    wait_until("the binding has moved", SOON, || source(&switch).is_some_and(|at| at != first && rewritten(at)));
    assert_eq!(switch.items("/api/v1/registrations").iter().filter(|b| b["number"] == "201").count(), 1);
    let phone = play("201", super::calls::TAKES, true, 5060, PATIENCE);
    good(play("+49302222", calls, false, ports::port(), PATIENCE));
    good(phone);
    story.wait_for("call.started", SOON, |e| e.data()["customer_number"] == "+49302222");
    table.row(
        "the router restarts: the phone is found at its new port",
        "RFC 5626 §4.4, §5",
        "registrar, UAC",
        Loss,
        begun,
        "no REGISTER after it",
    );
    table.print();
}
