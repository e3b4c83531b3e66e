//! How a call begins: answered, refused, cancelled, forked, repeated. The switch is UAS to its caller and UAC to its callee.

use super::super::support::cordboard::Site;
use super::{Case, Loss, Race, Refusal, Success, case, run};

/// A callee who takes the call and is hung up on.
pub const TAKES: &str = "
    < INVITE
    > 180
    > 200 of INVITE | sdp
    < ACK
    < BYE
    > 200";
/// A caller from outside who is answered and hangs up.
pub const CALLS: &str = "
    > INVITE {line} | sdp
    <? 180
    < 200 | Contact ~ sip: | body ~ m=audio
    > ACK
    > BYE
    < 200";
const ENDED: &[&str] =
    &["call.started direction=inbound", "call.answered", "call.bridged", "call.ended cause=normal status=200 by=customer"];

/// The callee refuses; what the caller is told, and why.
fn refused(name: &'static str, section: &'static str, by: u16, as_: u16, event: &'static str) -> Case {
    case(name, section, "UAC", Refusal)
        .carrier(&format!("> INVITE {{line}} | sdp\n< {as_}\n> ACK"))
        .phone('a', &format!("< INVITE\n> {by}\n< ACK"))
        .events(&["call.started", event, "!call.answered"])
}

/// The switch itself refuses an INVITE from the trunk.
fn turned_away(name: &'static str, section: &'static str, script: &str) -> Case {
    case(name, section, "UAS", Refusal).carrier(script).events(&["!call.started"])
}

fn cases() -> Vec<Case> {
    vec![
        case("a call from outside is answered, and the caller hangs up", "RFC 3261 §13", "B2BUA", Success)
            .carrier(CALLS)
            .phone('a', TAKES)
            .events(ENDED).without("config to = \"phone:{a}\" => to = \"phone:{c}\""),
        case("the callee hangs up", "RFC 3261 §15.1", "B2BUA", Success)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone('a', "< INVITE\n> 180\n> 200 of INVITE | sdp\n< ACK\n> BYE\n< 200")
            .events(&["call.answered", "call.ended cause=normal by=phone"]).without("carrier < drop BYE"),
        case("an offer in the 200, the answer in the ACK", "RFC 3261 §13.2.1", "UAS", Success)
            .carrier("> INVITE {line}\n<? 180\n< 200 | body ~ m=audio\n> ACK | sdp\n> BYE\n< 200")
            .phone('a', TAKES)
            .events(ENDED).without("carrier < change 200/INVITE m=audio => m=video"),
        case("ringing is told", "RFC 3261 §13.3.1.1", "B2BUA", Success)
            .carrier("> INVITE {line} | sdp\n< 180 | To ~ tag=\n< 200\n> ACK\n> BYE\n< 200")
            .phone('a', "< INVITE\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(&["call.started", "call.ringing", "call.answered"]).without("a > drop 180"),
        case("Supported, Allow and Accept in answer to OPTIONS", "RFC 3261 §11.2", "UAS", Success)
            .carrier("> OPTIONS {line}\n< 200 | Allow ~ INVITE.*BYE | Accept ~ application/sdp | Allow-Events ~ dialog")
            .events(&["!call.started"]).without("carrier > change OPTIONS OPTIONS => JUMP"),
        turned_away("a number that is not there", "RFC 3261 §21.4.5", "> INVITE +4999 | sdp\n< 404\n> ACK").without("carrier > change INVITE +4999 => {line}"),
        turned_away(
            "a body that is no SDP",
            "RFC 3261 §21.4.13",
            "> INVITE {line} | body text/plain hello\n< 415 | Accept ~ application/sdp\n> ACK",
        ).without("carrier > change INVITE text/plain => application/sdp"),
        turned_away(
            "an extension that is required and not there",
            "RFC 3261 §8.2.2.3",
            "> INVITE {line} | sdp | Require: nonsense\n< 420 | Unsupported ~ nonsense\n> ACK",
        ).without("carrier > strip INVITE Require"),
        turned_away("no hop left", "RFC 3261 §16.3", "> INVITE {line} | sdp | Max-Forwards: 0\n< 483\n> ACK").without("carrier > change INVITE Max-Forwards: 0 => Max-Forwards: 70"),
        turned_away("a scheme that nobody knows", "RFC 3261 §21.4.14", "> INVITE http://cordboard.test/ | sdp\n< 416\n> ACK").without("carrier > change INVITE http://cordboard.test/ => sip:{line}@{switch}"),
        turned_away(
            "no codec in common",
            "RFC 3261 §21.4.26",
            "> INVITE {line} | body application/sdp v=0\\no=- 1 1 IN IP4 [local_ip]\\ns=-\\nc=IN IP4 [local_ip]\\nt=0 0\\nm=audio 9 RTP/AVP 98\\na=rtpmap:98 SPEEX/8000\\n\n< 488\n> ACK",
        ).without("carrier > change INVITE AVP 98 => AVP 0"),
        turned_away("a header that can not be read", "RFC 3261 §8.2", "> INVITE {line} | sdp | Max-Forwards: many\n< 400\n> ACK").without("carrier > strip INVITE Max-Forwards"),
        turned_away("an Accept without SDP", "RFC 3261 §20.1", "> INVITE {line} | sdp | Accept: text/plain\n< 406\n> ACK").without("carrier > strip INVITE Accept"),
        turned_away("a method that nobody knows", "RFC 3261 §8.2.1", "> JUMP {line}\n< 501 | Allow ~ INVITE").without("carrier > change JUMP JUMP => OPTIONS"),
        turned_away("a method that is not taken", "RFC 3261 §8.2.1", "> PUBLISH {line} | Event: presence\n< 405 | Allow ~ INVITE").without("carrier > change PUBLISH PUBLISH => OPTIONS"),
        turned_away("BYE of no dialog", "RFC 3261 §15.1.2", "> BYE {line} | tag nobody\n< 481").without("carrier < drop 481"),
        turned_away("CANCEL of no INVITE", "RFC 3261 §9.2", "> OPTIONS {line}\n< 200\n> CANCEL {line} | Via: SIP/2.0/UDP [local_ip]:[local_port];branch=z9hG4bKno[pid] | CSeq: 1 CANCEL | From: <sip:x@[local_ip]>;tag=x | To: <sip:{line}@[remote_ip]>\n< 481").without("carrier < drop 481"),
        turned_away("UPDATE of no dialog", "RFC 3311 §5.2", "> UPDATE {line} | tag nobody\n< 481").without("carrier < drop 481"),
        turned_away(
            "a session timer that is too short",
            "RFC 4028 §9",
            "> INVITE {line} | sdp | Supported: timer | Session-Expires: 60\n< 422 | Min-SE ~ 90\n> ACK",
        ).without("carrier > strip INVITE Session-Expires"),
        case("an INVITE that comes by two ways", "RFC 3261 §8.2.2.2", "UAS", Race)
            .carrier("> INVITE {line} | sdp\n< 180\n> INVITE {line} | sdp | cseq 1\n< 482\n> ACK\n> CANCEL {line} | branch 1\n< 200 of CANCEL\n< 487\n> ACK | branch 1")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=cancelled status=487"]).without("carrier > change INVITE#2 CSeq: 1 => CSeq: 7"),
        refused("the callee is busy", "RFC 3261 §21.4.24", 486, 486, "call.ended cause=busy status=486").without("a > change 486 SIP/2.0 486 => SIP/2.0 603"),
        refused("the callee declines", "RFC 3261 §21.6.2", 603, 603, "call.ended cause=declined status=603").without("a > change 603 SIP/2.0 603 => SIP/2.0 486"),
        refused("the callee is not there", "RFC 3261 §21.4.18", 480, 480, "call.ended cause=unavailable status=480").without("a > change 480 SIP/2.0 480 => SIP/2.0 486"),
        refused("the callee takes no such media", "RFC 3261 §21.4.26", 488, 488, "call.ended cause=not_acceptable status=488").without("a > change 488 SIP/2.0 488 => SIP/2.0 486"),
        refused("the callee is broken", "RFC 3261 §21.5.1", 500, 500, "call.ended cause=peer_fault status=500").without("a > change 500 SIP/2.0 500 => SIP/2.0 486"),
        case("nobody is registered", "RFC 3261 §21.4.18", "UAS", Refusal)
            .carrier("> INVITE {line} | sdp\n< 480\n> ACK")
            .events(&["call.started", "call.ended cause=unavailable status=480"]).without("config number = \"{line}\" => number = \"{line}9\""),
        case("CANCEL while it rings", "RFC 3261 §9.2", "B2BUA", Race)
            .carrier("> INVITE {line} | sdp\n< 180\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ringing", "call.ended cause=cancelled status=487 by=customer"]).without("a < drop CANCEL"),
        case("CANCEL before it rings: the callee's comes after its first 1xx", "RFC 3261 §9.1", "UAC", Race)
            .carrier("> INVITE {line} | sdp\n< 100\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .phone('a', "< INVITE\nwait 400\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .argument("-nr")
            .events(&["call.ended cause=cancelled status=487"]).without("a > drop 180"),
        case("CANCEL crosses the callee's 200, which gets ACK and BYE", "RFC 3261 §9.1, §15", "UAC", Race)
            .carrier("> INVITE {line} | sdp\n< 180\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(&["call.ended cause=cancelled status=487", "!call.answered"]).without("a < drop BYE"),
        case("CANCEL after the 200 changes nothing", "RFC 3261 §9.2", "UAS", Race)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200 of INVITE\n> CANCEL\n< 200 of CANCEL\n> ACK\n> BYE\n< 200 of BYE")
            .phone('a', TAKES)
            .events(ENDED).without("carrier < drop 200/CANCEL"),
        case("the ACK is lost: the 200 comes again", "RFC 3261 §13.3.1.4", "UAS", Loss)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n< 200 of INVITE\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE")
            .argument("-nr")
            .phone('a', TAKES)
            .events(ENDED).without("carrier < drop 200#2"),
        case("the INVITE comes twice", "RFC 3261 §17.2.1", "UAS", Loss)
            .carrier("> INVITE {line} | sdp\n< 180\n> INVITE {line} | sdp | cseq 1 | branch 1\n< 180\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .argument("-nr")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=cancelled status=487"]).without("carrier > change INVITE#2 x1;rport => x77;rport"),
        case("the callee misses the first INVITE", "RFC 3261 §17.1.1.2", "UAC", Loss)
            .carrier(CALLS)
            .phone('a', "< INVITE\n< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .argument("-nr")
            .events(ENDED).without("a < drop INVITE#2"),
        case("the callee misses the ACK: its 200 comes again and so does the ACK", "RFC 3261 §13.2.2.4", "UAC", Loss)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone('a', "< INVITE\n> 200 of INVITE | sdp\n< ACK\n> 200 of INVITE | sdp\n< ACK\n> BYE\n< 200")
            .argument("-nr")
            .events(&["call.ended cause=normal by=phone"]).without("a < drop ACK#2"),
        case("the callee misses the BYE", "RFC 3261 §17.1.2.2", "UAC", Loss)
            .carrier(CALLS)
            .phone('a', "< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n< BYE\n> 200")
            .argument("-nr")
            .events(ENDED).without("a < drop BYE#2"),
        case("two devices ring: one answers, the other is cancelled", "RFC 3261 §16.7", "forking UAC", Success)
            .carrier(CALLS)
            .phone('a', "< INVITE\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(ENDED).without("a < drop CANCEL"),
        case("two devices answer: the late 200 gets ACK and BYE", "RFC 3261 §13.2.2.4", "forking UAC", Race)
            .carrier("> INVITE {line} | sdp\n< 180\n< 200\n> ACK\nwait 300\n> BYE\n< 200")
            .phone('a', "< INVITE\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(ENDED).without("a < drop BYE"),
        case("the caller gives up while two devices ring", "RFC 3261 §9.1", "forking UAC", Race)
            .carrier("> INVITE {line} | sdp\n< 180\nwait 200\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=cancelled status=487"]).without("a < drop CANCEL"),
        case("one of two devices is busy and the other answers", "RFC 3261 §16.7", "forking UAC", Success)
            .carrier(CALLS)
            .phone('a', "< INVITE\n> 486\n< ACK")
            .phone('a', "< INVITE\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(ENDED).without("a > change 486 SIP/2.0 486 => SIP/2.0 603"),
        case("one of two devices declines for all", "RFC 3261 §16.7", "forking UAC", Refusal)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 603\n> ACK")
            .phone('a', "< INVITE\n> 180\nwait 1000\n> 603 of INVITE\n< ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=declined status=603"]).without("a > change 603 SIP/2.0 603 => SIP/2.0 486"),
        case("a phone calls a phone, with digest", "RFC 3261 §22.2", "UAS", Success)
            .line('b', ">> INVITE {a} | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200")
            .phone('a', TAKES)
            .events(&["call.started direction=internal", "call.bridged", "call.ended cause=normal"]).without("line > strip INVITE#2 Authorization"),
        case("a phone without its secret", "RFC 3261 §22.1", "UAS", Refusal)
            .config(super::STRANGER)
            .line('b', "> INVITE {a} | sdp\n< 401 | WWW-Authenticate ~ Digest.*nonce=\n> ACK")
            .events(&["!call.started"]).without("config peer = \"127.0.0.9:{port of line}\" => peer = \"127.0.0.1:{port of line}\""),
        case("a phone dials what is not there", "RFC 3261 §21.4.5", "UAS", Refusal)
            .config(super::NOBODY)
            .line('b', ">> INVITE 9{i}77 | sdp\n< 404\n> ACK")
            .events(&["!call.started"]).without("config number = \"9{i}78\" => number = \"9{i}77\""),
        case("early media goes through", "RFC 3960 §3", "B2BUA", Success)
            .line('b', ">> INVITE {out} | sdp\n< 183 | body ~ m=audio\n< 200\n> ACK\n> BYE\n< 200")
            .far("< INVITE\n> 183 | sdp\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(&["call.started direction=outbound", "call.answered", "call.ended cause=normal"]).without("far > change 183 m=audio => m=video"),
    ]
}

#[test]
fn calls() {
    run("calls", Site::new("matrix-calls"), cases());
}
