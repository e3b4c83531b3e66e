//! What happens within a call: hold in all its forms, re-INVITE and UPDATE and where they cross, digits, orders of ending, the session timer.

use super::super::support::cordboard::Site;
use super::{Case, Loss, Race, Refusal, Success, case, run};

/// A caller from outside in a call with `{a}`; `within` is what the caller does there, then it hangs up.
fn in_call(name: &'static str, section: &'static str, ends: super::Ends, within: &str) -> Case {
    case(name, section, "UAS", ends)
        .carrier(&format!("> INVITE {{line}} | sdp\n<? 180\n< 200\n> ACK\n{within}\n> BYE\n< 200 of BYE"))
        .phone('a', super::calls::TAKES)
        .events(&["call.answered", "call.bridged", "call.ended cause=normal by=customer"])
}

/// The phone holds by this SDP, is answered by that direction, and resumes.
fn hold(name: &'static str, section: &'static str, sdp: &str, answered: &str) -> Case {
    case(name, section, "UAS", Success)
        .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
        .phone(
            'a',
            &format!(
                "< INVITE\n> 180\n> 200 of INVITE | sdp\n< ACK\n> INVITE | {sdp}\n< 200 | body ~ a={answered}\n> ACK\n\
                 > INVITE | sdp\n< 200 | body ~ a=sendrecv\n> ACK\n> BYE\n< 200"
            ),
        )
        .events(&["call.bridged", "call.held", "call.resumed", "call.ended cause=normal by=phone"])
}

fn cases() -> Vec<Case> {
    vec![
        hold("hold: sendonly", "RFC 3264 §8.4", "sdp sendonly", "recvonly").without("a > change INVITE a=sendonly => a=sendrecv"),
        hold("hold: inactive", "RFC 3264 §8.4", "sdp inactive", "inactive").without("a > change INVITE a=inactive => a=sendrecv"),
        hold("hold: 0.0.0.0 of RFC 2543", "RFC 3264 §8.4", "sdp zero", "(inactive|recvonly|sendrecv)").without("a > change INVITE c=IN IP4 0.0.0.0 => c=IN IP4 127.0.0.1"),
        in_call(
            "the caller only listens: no hold",
            "RFC 3264 §6.1",
            Success,
            "> INVITE | sdp recvonly\n< 200 | body ~ a=sendonly\n> ACK",
        )
        .events(&["call.bridged", "call.ended cause=normal", "!call.held"]).without("carrier > change INVITE a=recvonly => a=sendrecv"),
        in_call(
            "the customer holds and resumes",
            "RFC 3264 §8.4",
            Success,
            "> INVITE | sdp sendonly\n< 200 | body ~ a=recvonly\n> ACK\n> INVITE | sdp\n< 200 | body ~ a=sendrecv\n> ACK",
        )
        .events(&["call.held", "call.resumed", "call.ended cause=normal"]).without("carrier > change INVITE a=sendonly => a=sendrecv"),
        case("hold and resume by UPDATE", "RFC 3311 §5.2", "UAS", Success)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone(
                'a',
                "< INVITE\n> 200 of INVITE | sdp\n< ACK\n> UPDATE | sdp sendonly\n< 200 | body ~ a=recvonly\n\
                 > UPDATE | sdp\n< 200 | body ~ a=sendrecv\n> BYE\n< 200",
            )
            .events(&["call.held", "call.resumed", "call.ended cause=normal by=phone"]).without("a > change UPDATE a=sendonly => a=sendrecv"),
        in_call(
            "UPDATE without an offer: a sign of life",
            "RFC 3311 §5.1",
            Success,
            "> UPDATE\n< 200 | Content-Length ~ 0",
        ).without("carrier > change UPDATE UPDATE => JUMP"),
        in_call(
            "a re-INVITE without an offer: it comes in the 200",
            "RFC 3261 §14.2",
            Success,
            "> INVITE\n< 200 | body ~ m=audio\n> ACK | sdp",
        ).without("carrier < change 200/INVITE#2 m=audio => m=video"),
        in_call(
            "a re-INVITE whose media do not fit: the call goes on",
            "RFC 3261 §14.2",
            Refusal,
            "> INVITE | body application/sdp v=0\\no=- 1 9 IN IP4 [local_ip]\\ns=-\\nc=IN IP4 [local_ip]\\nt=0 0\\n\
             m=audio 9 RTP/AVP 98\\na=rtpmap:98 SPEEX/8000\\n\n< 488\n> ACK",
        ).without("carrier > change INVITE AVP 98 => AVP 0"),
        in_call(
            "a re-INVITE before the ACK of the one before",
            "RFC 3261 §14.2",
            Race,
            "> INVITE | sdp sendonly\n< 200\n> INVITE | sdp\n< 491\n> ACK\n> ACK | cseq 2 | branch 90",
        ).without("carrier < drop 491"),
        in_call(
            "UPDATE with an offer before the ACK of a re-INVITE",
            "RFC 3311 §5.2",
            Race,
            "> INVITE | sdp\n< 200\n> UPDATE | sdp sendonly\n< 491 of UPDATE\n> ACK",
        ).without("carrier < drop 491"),
        in_call("a CSeq that was there before", "RFC 3261 §12.2.2", Refusal, "> INFO | cseq 9\n< 200\n> INFO | cseq 5\n< 500 | Retry-After ~ [0-9]").without("carrier > change INFO#2 CSeq: 5 => CSeq: 10"),
        in_call("a BYE with another tag ends nothing", "RFC 3261 §12.2.2", Refusal, "> BYE | tag nobody\n< 481").without("carrier < drop 481"),
        in_call("OPTIONS within a call", "RFC 3261 §11.2", Success, "> OPTIONS\n< 200 | Allow ~ UPDATE").without("carrier > change OPTIONS OPTIONS => JUMP"),
        in_call("a method that nobody knows, within a call", "RFC 3261 §8.2.1", Refusal, "> JUMP\n< 501 | Allow ~ BYE").without("carrier > change JUMP JUMP => INFO"),
        in_call("MESSAGE within a call is not taken", "RFC 3428 §7", Refusal, "> MESSAGE | body text/plain hello\n< 405 | Allow ~ BYE").without("carrier > change MESSAGE MESSAGE => INFO"),
        in_call("INFO without a body", "RFC 6086 §4.2.1", Success, "> INFO\n< 200").without("carrier > change INFO Max-Forwards: 70 => Max-Forwards: 70\\nContent-Type: text/plain"),
        in_call("INFO of a kind that nobody knows", "RFC 3261 §8.2.3", Refusal, "> INFO | body text/plain hello\n< 415 | Accept ~ dtmf").without("carrier > change INFO text/plain => application/dtmf"),
        in_call("INFO with a digit that is none", "RFC 6086 §4.2.2", Refusal, "> INFO | body application/dtmf-relay Signal=?\n< 400").without("carrier > change INFO Signal=? => Signal=5"),
        case("a digit by INFO works a menu", "RFC 6086 §4.2.2", "UAS", Success)
            .config("[[inbound]]\ntrunk = \"near\"\nnumber = \"{line}\"\nto = \"menu:keys\"\n")
            .carrier("> INVITE {line} | sdp\n< 200\n> ACK\n> INFO | body application/dtmf-relay Signal=1\\nDuration=160\\n\n< 200 of INFO\n< BYE\n> 200")
            .events(&["call.answered", "menu.entered", "menu.digit digit=1", "menu.left to=hangup", "call.ended cause=menu"]).without("carrier > change INFO Signal=1 => Signal=7"),
        case("two BYEs that cross", "RFC 3261 §15.1.2", "B2BUA", Race)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200")
            .phone('a', "< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> BYE\n< 200 of BYE\n> 200 of BYE")
            .events(&["call.ended cause=normal by=customer"]).without("a < drop 200/BYE"),
        case("BYE of a call that is over", "RFC 3261 §15.1.2", "UAS", Refusal)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200\n> BYE\n< 481")
            .phone('a', super::calls::TAKES)
            .events(&["call.ended cause=normal by=customer"]).without("carrier < drop 481"),
        case("the callee knows nothing of the call any more: 481 to our BYE", "RFC 3261 §15.1.1", "UAC", Loss)
            .carrier(super::calls::CALLS)
            .phone('a', "< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 481")
            .events(&["call.ended cause=normal by=customer"]).without("a < drop BYE"),
        in_call(
            "a re-INVITE comes twice",
            "RFC 3261 §17.2.1",
            Loss,
            "> INVITE | sdp sendonly\n< 200\n> INVITE | sdp sendonly | cseq 2 | branch 3\n< 200\n> ACK",
        )
        .argument_of_first("-nr").without("carrier > change INVITE#3 x3;rport => x77;rport"),
        case("a session timer is granted and refreshed by UPDATE", "RFC 4028 §9", "UAS", Success)
            .carrier(
                "> INVITE {line} | sdp | Supported: timer | Session-Expires: 90;refresher=uac\n<? 180\n\
                 < 200 | Session-Expires ~ 90;refresher=uac | Require ~ timer\n> ACK\n\
                 > UPDATE | Supported: timer | Session-Expires: 120;refresher=uac\n< 200 | Session-Expires ~ 120;refresher=uac\n> BYE\n< 200",
            )
            .phone('a', super::calls::TAKES)
            .events(&["call.ended cause=normal by=customer"]).without("carrier > strip INVITE Session-Expires"),
        in_call(
            "a refresh with too short a time changes nothing",
            "RFC 4028 §9",
            Refusal,
            "> UPDATE | Supported: timer | Session-Expires: 30\n< 422 | Min-SE ~ 90",
        ).without("carrier > strip UPDATE Session-Expires"),
        in_call(
            "a refresh by re-INVITE",
            "RFC 4028 §7.4",
            Success,
            "> INVITE | sdp | Supported: timer | Session-Expires: 90;refresher=uac\n< 200 | Session-Expires ~ 90;refresher=uac\n> ACK",
        ).without("carrier > strip INVITE Supported"),
    ]
}

#[test]
fn dialogs() {
    let menu = "name = \"keys\"\nlanguage = \"en\"\nstart = \"top\"\n\n[node.top]\nkind = \"menu\"\nprompt = \"long\"\ntimeout = \"60s\"\n\
                digits = { \"1\" = \"hangup\" }\n";
    let site = Site::new("matrix-dialogs").menu("keys", menu).prompt_of_tone("en", "long", 600.0, 30);
    run("dialogs", site, cases());
}
