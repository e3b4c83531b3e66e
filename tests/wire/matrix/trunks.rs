//! Calls to the outside: which answer leads to the next trunk and which does not, challenges, redirection, probes.

use super::super::support::cordboard::Site;
use super::super::support::dns::{Dns, Record};
use super::super::support::ports;
use super::{Case, Loss, Race, Refusal, Success, case, run};

const DIALS: &str = ">> INVITE {out} | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200";
const GONE: &str = "call.ended cause=normal status=200";

/// The first trunk answers this, and the second has the call.
fn next(name: &'static str, section: &'static str, status: u16) -> Case {
    case(name, section, "UAC", Success)
        .line('b', DIALS)
        .far(&format!("< INVITE\n> {status}\n< ACK"))
        .far(super::calls::TAKES)
        .events(&["call.started direction=outbound phone={b}", "call.answered", GONE])
}

/// It is about the callee: no other trunk is asked (the second one here is not there, and would be found unreachable).
fn no_next(name: &'static str, section: &'static str, status: u16, event: &'static str) -> Case {
    case(name, section, "UAC", Refusal)
        .line('b', &format!(">> INVITE {{out}} | sdp\n< {status}\n> ACK"))
        .far(&format!("< INVITE\n> {status}\n< ACK"))
        .far("")
        .events(&["call.started direction=outbound phone={b}", event, "!call.answered"])
}

const ACCOUNT: &str =
    "[[trunk]]\nname = \"far{i}\"\npeer = \"127.0.0.3:{port of far}\"\nprobe = \"off\"\nuser = \"us\"\nsecret = \"ours\"\n";

fn cases() -> Vec<Case> {
    vec![
        case("a phone calls the outside", "RFC 3261 §13.2", "UAC", Success)
            .line('b', DIALS)
            .far(super::calls::TAKES)
            .events(&["call.started direction=outbound phone={b}", "call.answered", GONE]).without("config outside = true => outside = false"),
        next("503 leads to the second trunk", "RFC 3261 §21.5.4, RFC 3263 §4.3", 503).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        next("500 leads to the second trunk", "RFC 3261 §21.5.1", 500).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        next("502 leads to the second trunk", "RFC 3261 §21.5.3", 502).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        next("504 leads to the second trunk", "RFC 3261 §21.5.5", 504).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        next("408 leads to the second trunk", "RFC 3261 §21.4.9", 408).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        case("a trunk that is not there leads to the second", "RFC 3261 §8.1.3.1, RFC 3263 §4.3", "UAC", Loss)
            .line('b', DIALS)
            .far("")
            .far(super::calls::TAKES)
            .events(&["call.started direction=outbound", "call.answered", GONE]).without("config trunk = [\"far{i}\", \"far{i}second\"] => trunk = [\"far{i}\"]"),
        no_next("404 does not", "RFC 3261 §21.4.5", 404, "call.ended cause=not_found status=404").without("far > change 404 SIP/2.0 404 => SIP/2.0 503"),
        no_next("484 does not", "RFC 3261 §21.4.22", 484, "call.ended cause=incomplete status=484").without("far > change 484 SIP/2.0 484 => SIP/2.0 503"),
        no_next("486 does not", "RFC 3261 §21.4.24", 486, "call.ended cause=busy status=486").without("far > change 486 SIP/2.0 486 => SIP/2.0 503"),
        no_next("603 does not", "RFC 3261 §21.6.2", 603, "call.ended cause=declined status=603").without("far > change 603 SIP/2.0 603 => SIP/2.0 503"),
        case("all trunks refuse", "RFC 3261 §16.7", "UAC", Refusal)
            .line('b', ">> INVITE {out} | sdp\n< 503\n> ACK")
            .far("< INVITE\n> 503\n< ACK")
            .far("< INVITE\n> 503\n< ACK")
            .events(&["call.started direction=outbound", "call.ended status=503"]).without("second > change 503 SIP/2.0 503 => SIP/2.0 404"),
        case("the first trunk rings, then fails: no other is tried", "RFC 3261 §16.7", "UAC", Race)
            .line('b', ">> INVITE {out} | sdp\n< 180\n< 487 of INVITE\n> ACK")
            .far("< INVITE\n> 180\nwait 200\n> 487 of INVITE\n< ACK")
            .far("")
            .events(&["call.started direction=outbound", "call.ringing", "call.ended"]).without("far > drop 180"),
        case("407 is answered with the account", "RFC 3261 §22.3", "UAC", Success)
            .config(ACCOUNT)
            .line('b', DIALS)
            .far(
                "< INVITE\n> 407 | Proxy-Authenticate: Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n< ACK\n\
                 < INVITE | Proxy-Authorization ~ username=\"us\", realm=\"far\".*nonce=\"abc\" | CSeq ~ 2 INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
            )
            .events(&["call.answered", GONE]).without("config user = \"us\"\\nsecret = \"ours\"\\n =>"),
        case("401 is answered with the account", "RFC 3261 §22.2", "UAC", Success)
            .config(ACCOUNT)
            .line('b', DIALS)
            .far(
                "< INVITE\n> 401 | WWW-Authenticate: Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n< ACK\n\
                 < INVITE | Authorization ~ username=\"us\"\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
            )
            .events(&["call.answered", GONE]).without("config user = \"us\"\\nsecret = \"ours\"\\n =>"),
        case("the account is refused: 407 again", "RFC 3261 §22.3", "UAC", Refusal)
            .config(ACCOUNT)
            .line('b', ">> INVITE {out} | sdp\n< 403\n> ACK")
            .far(
                "< INVITE\n> 407 | Proxy-Authenticate: Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n< ACK\n\
                 < INVITE | Proxy-Authorization ~ username\n> 407 | Proxy-Authenticate: Digest realm=\"far\", nonce=\"def\", algorithm=MD5, qop=\"auth\"\n< ACK",
            )
            .events(&["call.started direction=outbound", "call.ended", "!call.answered"]).without("config user = \"us\"\\nsecret = \"ours\"\\n =>"),
        case("302 within the carrier is followed, three times", "RFC 3261 §8.1.3.4", "UAC", Refusal)
            .line('b', ">> INVITE {out} | sdp\n< 480\n> ACK")
            .far("< INVITE | message ~ INVITE sip:(777|[0-9]*55)@\n> 302 | Contact: <sip:777@127.0.0.3:{port of far}>\n< ACK")
            .argument("-m")
            .argument("4")
            .events(&["call.started direction=outbound", "call.ended", "!call.answered"]).without("far > strip 302 Contact"),
        case("302 with two contacts: each has its turn", "RFC 3261 §8.1.3.4, §16.5", "UAC", Refusal)
            .line('b', ">> INVITE {out} | sdp\n< 480\n> ACK")
            .far(
                "< INVITE | message ~ INVITE sip:(777|778|[0-9]*55)@\n\
                 > 302 | Contact: <sip:777@127.0.0.3:{port of far}>;q=0.5, <sip:778@127.0.0.3:{port of far}>\n< ACK",
            )
            // The number, the preferred one three times, and then the other, which the limit leaves a turn.
            .argument("-m")
            .argument("5")
            .events(&["call.started direction=outbound", "call.ended", "!call.answered"]).without("far > strip 302 Contact"),
        case("302 to somebody else is not", "RFC 3261 §8.1.3.4, §26", "UAC", Refusal)
            .line('b', ">> INVITE {out} | sdp\n< 480\n> ACK")
            .far("< INVITE\n> 302 | Contact: <sip:777@127.0.0.9>\n< ACK")
            .events(&["call.started direction=outbound", "call.ended", "!call.answered"]).without("far > change 302 127.0.0.9 => 127.0.0.3:{port of far}"),
        case("the caller gives up while the trunk rings", "RFC 3261 §9.1", "UAC", Race)
            .line('b', ">> INVITE {out} | sdp\n< 180\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .far("< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ringing", "call.ended cause=cancelled by=phone"]).without("far < drop CANCEL"),
        case("the trunk hangs up", "RFC 3261 §15.1", "B2BUA", Success)
            .line('b', ">> INVITE {out} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .far("< INVITE\n> 200 of INVITE | sdp\n< ACK\n> BYE\n< 200")
            .events(&["call.answered", "call.ended cause=normal by=customer"]).without("line < drop BYE"),
        case("a trunk that answers its probe is up", "RFC 3261 §11", "UAC", Success)
            .config("[[trunk]]\nname = \"far{i}\"\npeer = \"127.0.0.3:{port of far}\"\nprobe = \"5s\"\n")
            .far("< OPTIONS | Max-Forwards ~ 70\n> 200")
            .events(&["trunk.down trunk=far{i} reason=unreachable", "trunk.up trunk=far{i}"]).without("config probe = \"5s\" => probe = \"off\""),
        case("a trunk that gives 503 to its probe is down", "RFC 3261 §11.1, §21.5.4", "UAC", Refusal)
            .config("[[trunk]]\nname = \"far{i}\"\npeer = \"127.0.0.3:{port of far}\"\nprobe = \"5s\"\n")
            .far("< OPTIONS\n> 503")
            .events(&["trunk.down trunk=far{i}", "!trunk.up"]).without("config probe = \"5s\" => probe = \"off\""),
        case("one that says no number is there takes no call from outside", "RFC 3261 §21.4.5", "UAS", Refusal)
            .config("[[inbound]]\ntrunk = \"near\"\nnumber = \"{out}9\"\nto = \"phone:{a}\"\n")
            .carrier("> INVITE {out} | sdp\n< 404\n> ACK")
            .events(&["!call.started"]).without("config number = \"{out}9\" => number = \"{out}\""),
    ]
}

#[test]
fn trunks() {
    run("trunks", Site::new("matrix-trunks"), cases());
}

/// RFC 3263 §4.3: the servers of a domain, by a name server of the test.
#[test]
fn servers_of_a_domain() {
    let at = [ports::port(), ports::port(), ports::port(), ports::port()];
    let record = |priority, port| Record::Srv(priority, 0, port, "host.test");
    let dns = Dns::start(&[
        ("_sip._udp.refuses.test", record(1, at[0])),
        ("_sip._udp.refuses.test", record(2, at[1])),
        ("_sip._udp.away.test", record(1, at[2])),
        ("_sip._udp.away.test", record(2, at[3])),
        ("host.test", Record::A([127, 0, 0, 3].into())),
    ]);
    let trunk = |domain: &str| {
        format!(
            "[[trunk]]\nname = \"{domain}{{i}}\"\npeer = \"{domain}.test\"\ntransport = \"udp\"\nprobe = \"off\"\n\
             [[outbound]]\npattern = \"0{{i}}*\"\nstrip = 1\ntrunk = [\"{domain}{{i}}\"]\n"
        )
    };
    let cases = vec![
        case("the second server of a domain, after 503 of the first", "RFC 3263 §4.3, RFC 2782", "UAC", Success)
            .config(&trunk("refuses"))
            .server(at[0], "< INVITE\n> 503\n< ACK")
            .server(at[1], super::calls::TAKES)
            .line('b', DIALS)
            .events(&["call.started direction=outbound", "call.answered", GONE])
            .without("config peer = \"refuses.test\" => peer = \"127.0.0.8\""),
        case("the second server of a domain, where the first is away", "RFC 3263 §4.3, RFC 2782", "UAC", Loss)
            .config(&trunk("away"))
            .server(at[3], super::calls::TAKES)
            .line('b', DIALS)
            .events(&["call.started direction=outbound", "call.answered", GONE])
            .without("config peer = \"away.test\" => peer = \"127.0.0.9\""),
    ];
    run("servers", Site::new("matrix-servers").sip_key(&format!("nameservers = [\"{}\"]", dns.address())), cases);
}
