//! REFER and its NOTIFYs, Replaces, park. The switch is the one that is asked, and tells how it went.

use super::super::support::cordboard::Site;
use super::{Case, Loss, Race, Refusal, Success, case, run};

/// A customer who stays until it is hung up on.
const STAYS: &str = "> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200";
const ANSWERS: &str = "< INVITE\n> 180\n> 200 of INVITE | sdp\n< ACK\n";
const TO_B: &str = "> REFER | Refer-To: <sip:{b}@{switch}>\n< 202\n";
const TRYING: &str =
    "< NOTIFY | Event ~ refer | Subscription-State ~ active | Content-Type ~ message/sipfrag | body ~ SIP/2.0 100\n> 200\n";

/// For phones that may not transfer.
const ROOTED: &str = "[class.rooted{i}]\ntransfer_blind = false\n";

/// `{a}` sends its customer to `{b}`, who does not take it; the customer is with `{a}` again.
fn comes_back(name: &'static str, section: &'static str, target: &str, sipfrag: u16) -> Case {
    let case = case(name, section, "UAS, notifier", Refusal).carrier(STAYS).phone(
        'a',
        &format!(
            "{ANSWERS}{TO_B}{TRYING}< NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 {sipfrag}\n> 200\n> BYE\n< 200"
        ),
    );
    let case = if target.is_empty() { case } else { case.phone('b', target) };
    case.events(&[
        "call.bridged",
        "call.transferred to={b} outcome=started",
        "call.transferred to={b} outcome=failed",
        "call.bridged phone={a}",
        "call.ended cause=normal by=phone",
    ])
}

/// A REFER that is refused at once; the call goes on.
fn refused(name: &'static str, section: &'static str, refer: &str, status: u16) -> Case {
    case(name, section, "UAS", Refusal)
        .carrier(STAYS)
        .phone('a', &format!("{ANSWERS}> REFER | {refer}\n< {status}\n> BYE\n< 200"))
        .events(&["call.bridged", "call.ended cause=normal by=phone", "!call.transferred"])
}

fn cases() -> Vec<Case> {
    vec![
        case("REFER to a phone that answers: 100, 180, 200", "RFC 3515 §2.4.5", "UAS, notifier", Success)
            .config(ROOTED)
            .carrier(STAYS)
            .phone(
                'a',
                &format!(
                    "{ANSWERS}{TO_B}{TRYING}< NOTIFY | body ~ SIP/2.0 180\n> 200\n\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 200\n> 200\n< BYE\n> 200"
                ),
            )
            .phone('b', "< INVITE\n> 180\nwait 300\n> 200 of INVITE | sdp\n< ACK\nwait 400\n> BYE\n< 200")
            .events(&[
                "call.bridged phone={a}",
                "call.transferred to={b} outcome=started",
                "call.transferred to={b} outcome=completed",
                "call.ended cause=normal by=phone",
            ]).without("config outside = true => outside = true\\nclass = \"rooted{i}\""),
        case("REFER to the outside", "RFC 3515 §2.4.5", "UAS, notifier, UAC", Success)
            .line('b', ">> INVITE {a} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone(
                'a',
                &format!(
                    "{ANSWERS}> REFER | Refer-To: <sip:{{out}}@{{switch}}>\n< 202\n{TRYING}< NOTIFY | body ~ SIP/2.0 180\n> 200\n\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 200\n> 200\n< BYE\n> 200"
                ),
            )
            .far("< INVITE\n> 180\nwait 300\n> 200 of INVITE | sdp\n< ACK\nwait 400\n> BYE\n< 200")
            .events(&["call.transferred outcome=started", "call.transferred outcome=completed", "call.ended cause=normal"])
            .without("config outside = true => outside = false"),
        case("a trunk's caller is not sent to the outside", "RFC 3515 §2.4.2, RFC 3261 §26", "UAS", Refusal)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}> REFER | Refer-To: <sip:{{out}}@{{switch}}>\n< 403\n> BYE\n< 200"))
            .far("")
            .events(&["call.bridged", "call.ended cause=normal by=phone", "!call.transferred"])
            .without("a > change REFER sip:{out}@ => sip:{b}@"),
        case("a NOTIFY is lost: it comes again", "RFC 3515 §2.4.4, RFC 3261 §17.1.2.2", "UAS, notifier", Loss)
            .carrier(STAYS)
            .phone(
                'a',
                &format!(
                    "{ANSWERS}{TO_B}< NOTIFY | body ~ SIP/2.0 100\n{TRYING}\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 486\n> 200\n> BYE\n< 200"
                ),
            )
            .argument("-nr")
            .phone('b', "< INVITE\nwait 1200\n> 486\n< ACK")
            .events(&["call.transferred outcome=started", "call.transferred outcome=failed", "call.ended cause=normal by=phone"])
            .without("a < drop NOTIFY#2"),
        case("the 202 is lost: REFER comes again, and one transfer is made", "RFC 3515 §2.4.4, RFC 3261 §17.2.2", "UAS, notifier", Loss)
            .carrier(STAYS)
            .phone(
                'a',
                &format!(
                    "{ANSWERS}{TO_B}{TRYING}> REFER | Refer-To: <sip:{{b}}@{{switch}}> | cseq 1 | branch 1\n< 202\n\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 486\n> 200\n> BYE\n< 200"
                ),
            )
            .argument("-nr")
            .phone('b', "< INVITE\nwait 600\n> 486\n< ACK")
            .events(&["call.transferred outcome=started", "call.transferred outcome=failed", "call.ended cause=normal by=phone"])
            .without("a > change REFER#2 x1;rport => x77;rport"),
        comes_back("REFER to a phone that is busy: 486", "RFC 3515 §2.4.5", "< INVITE\n> 486\n< ACK", 486).without("b > change 486 SIP/2.0 486 => SIP/2.0 603"),
        comes_back("REFER to a phone that declines: 603", "RFC 3515 §2.4.5", "< INVITE\n> 603\n< ACK", 603).without("b > change 603 SIP/2.0 603 => SIP/2.0 486"),
        comes_back("REFER to a phone that is not there: 480", "RFC 3515 §2.4.5", "", 480).config(ROOTED).without("config outside = true => outside = true\\nclass = \"rooted{i}\""),
        comes_back("REFER to a phone whose media do not fit: 488", "RFC 3515 §2.4.5", "< INVITE\n> 488\n< ACK", 488).without("b > change 488 SIP/2.0 488 => SIP/2.0 486"),
        comes_back("REFER to a phone that is broken: 500", "RFC 3515 §2.4.5", "< INVITE\n> 500\n< ACK", 500).without("b > change 500 SIP/2.0 500 => SIP/2.0 486"),
        refused("REFER to a number that is not there", "RFC 3515 §2.4.2", "Refer-To: <sip:77777@{switch}>", 403).without("a > change REFER 77777 => {b}"),
        refused("REFER without Refer-To", "RFC 3515 §2.4.1", "Referred-By: <sip:{a}@{switch}>", 400).without("a > change REFER Referred-By => Refer-To"),
        refused("REFER to a page", "RFC 3515 §2.4.2", "Refer-To: <http://cordboard.test/>", 416).without("a > change REFER http://cordboard.test/ => sip:{b}@{switch}"),
        refused("REFER to a feature code", "RFC 3515 §2.4.2", "Refer-To: <sip:*21@{switch}>", 403).without("a > change REFER *21@ => {b}@"),
        case("REFER by a trunk", "RFC 3515 §2.4.2, RFC 3261 §26", "UAS", Refusal)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n> REFER | Refer-To: <sip:{b}@{switch}>\n< 403\n> BYE\n< 200")
            .phone('a', super::calls::TAKES)
            .events(&["call.bridged", "call.ended cause=normal by=customer", "!call.transferred"]).without("carrier < drop 403"),
        case("REFER of no dialog", "RFC 3515 §2.4.1", "UAS", Refusal)
            .line('a', "> REFER {b} | tag nobody | Refer-To: <sip:{b}@{switch}>\n< 481")
            .events(&["!call.started"]).without("line > change REFER REFER => JUMP"),
        case("the transferrer hangs up at once, and the transfer goes on", "RFC 5589 §6.1", "UAS, UAC", Race)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}{TO_B}{TRYING}> BYE\n< 200 of BYE"))
            .phone('b', "< INVITE\nwait 300\n> 180\n> 200 of INVITE | sdp\n< ACK\nwait 300\n> BYE\n< 200")
            .events(&["call.transferred outcome=started", "call.transferred outcome=completed", "call.ended cause=normal"]).without("b > drop 200/INVITE"),
        case("the customer hangs up during the transfer", "RFC 5589 §6", "UAS, UAC", Race)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\nwait 500\n> BYE\n< 200")
            .phone('a', &format!("{ANSWERS}{TO_B}{TRYING}< NOTIFY | body ~ SIP/2.0 180\n> 200\n< NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 487\n> 200\n< BYE\n> 200"))
            .phone('b', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.transferred outcome=started", "call.transferred outcome=failed", "call.ended cause=normal by=customer"]).without("b < drop CANCEL"),
        case("REFER with Replaces: the customer and the one who was asked", "RFC 5589 §7, RFC 3891 §4", "UAS, notifier", Success)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}< BYE\n> 200"))
            .phone('b', "< INVITE\n> 180\n> 200 of INVITE | sdp\n< ACK\nwait 800\n> BYE\n< 200")
            .line(
                'a',
                &format!(
                    ">> INVITE {{b}} | sdp\n<? 180\n< 200\n> ACK\n> REFER | Refer-To: <sip:{{customer}}@{{switch}}?Replaces={{replaces escaped}}>\n\
                     < 202\n{TRYING}< NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 200\n> 200\n< BYE\n> 200"
                ),
            )
            .after("a", "ACK sip:")
            .events(&["call.merged", "call.ended"]).without("line > change REFER ?Replaces= => ?Nothing="),
        case("REFER with Replaces of a call that is not there: 481", "RFC 3891 §3", "UAS, notifier", Refusal)
            .carrier(STAYS)
            .phone(
                'a',
                &format!(
                    "{ANSWERS}> REFER | Refer-To: <sip:{{b}}@{{switch}}?Replaces=nothing%3Bto-tag%3Da%3Bfrom-tag%3Db>\n< 202\n{TRYING}\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 481\n> 200\n> BYE\n< 200"
                ),
            )
            .events(&["call.ended cause=normal by=phone", "!call.merged"]).without("a > change REFER ?Replaces= => ?Nothing="),
        case("REFER with Replaces of another phone's call: 403", "RFC 3891 §3, §5", "UAS, notifier", Refusal)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}wait 700\n> BYE\n< 200"))
            .phone('b', super::calls::TAKES)
            .line(
                'c',
                &format!(
                    ">> INVITE {{b}} | sdp\n<? 180\n< 200\n> ACK\n> REFER | Refer-To: <sip:{{a}}@{{switch}}?Replaces={{replaces escaped}}>\n< 202\n\
                     {TRYING}< NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 403\n> 200\n> BYE\n< 200"
                ),
            )
            .after("a", "ACK sip:")
            .events(&["call.ended cause=normal", "!call.merged"]).without("line > change REFER ?Replaces= => ?Nothing="),
        case("INVITE with Replaces takes a call that rings", "RFC 3891 §3", "UAS", Success)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .line('c', ">> INVITE {a} | sdp | Replaces: {replaces} | Require: replaces\n< 200\n> ACK\nwait 200\n> BYE\n< 200")
            .after("a", "INVITE sip:")
            .events(&["call.ringing", "call.picked_up phone={c} from={a}", "call.bridged phone={c}", "call.ended cause=normal"]).without("line > strip INVITE Replaces"),
        case("INVITE with Replaces comes after the answer", "RFC 3891 §3", "UAS", Race)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}wait 600\n> BYE\n< 200"))
            .line('c', ">> INVITE {a} | sdp | Replaces: {replaces};early-only\n< 486\n> ACK")
            .after("a", "ACK sip:")
            .events(&["call.bridged phone={a}", "call.ended cause=normal by=phone", "!call.picked_up"]).without("line > change INVITE ;early-only => ;x=y"),
        case("INVITE with Replaces moves one's own call to another device", "RFC 3891 §1, §3", "UAS", Success)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}< BYE\n> 200"))
            .line('a', ">> INVITE {a} | sdp | Replaces: {replaces}\n< 200\n> ACK\nwait 300\n> BYE\n< 200")
            .after("a", "ACK sip:")
            .events(&["call.bridged phone={a}", "call.picked_up phone={a} from={a}", "call.bridged", "call.ended cause=normal by=phone"])
            .without("line > strip INVITE Replaces"),
        case("INVITE with Replaces of another phone's call, after the answer", "RFC 3891 §3, §5", "UAS", Race)
            .carrier(STAYS)
            .phone('a', &format!("{ANSWERS}wait 600\n> BYE\n< 200"))
            .line('c', ">> INVITE {a} | sdp | Replaces: {replaces}\n< 486\n> ACK")
            .after("a", "ACK sip:")
            .events(&["call.bridged phone={a}", "call.ended cause=normal by=phone", "!call.picked_up"])
            .without("line > change INVITE Replaces: => X-Replaces:"),
        case("INVITE with Replaces of a call that somebody else has just taken", "RFC 3891 §3", "UAS", Race)
            .carrier(STAYS)
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .line('c', ">> INVITE {a} | sdp | Replaces: {replaces}\n< 200\n> ACK\nwait 900\n> BYE\n< 200")
            .after("a", "INVITE sip:")
            .line('b', ">> INVITE {a} | sdp | Replaces: {replaces}\n< 481\n> ACK")
            .after("a", "CANCEL sip:")
            .events(&["call.picked_up phone={c} from={a}", "call.ended cause=normal", "!call.picked_up phone={b}"])
            .without("line > strip INVITE Replaces"),
        case("INVITE with Replaces of a call that its caller has just given up", "RFC 3891 §3", "UAS", Race)
            .carrier("> INVITE {line} | sdp\n< 180\nwait 100\n> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .line('c', ">> INVITE {a} | sdp | Replaces: {replaces}\n< 481\n> ACK")
            .after("a", "CANCEL sip:")
            .events(&["call.ended cause=cancelled status=487", "!call.picked_up"])
            .without("line > strip INVITE Replaces"),
        case("INVITE with Replaces of nothing", "RFC 3891 §3", "UAS", Refusal)
            .line('c', ">> INVITE {a} | sdp | Replaces: nothing;to-tag=a;from-tag=b\n< 481\n> ACK")
            .events(&["!call.started"]).without("line > strip INVITE Replaces"),
        case("INVITE with Replaces that can not be read", "RFC 3891 §6.1", "UAS", Refusal)
            .line('c', ">> INVITE {a} | sdp | Replaces: nothing\n< 400\n> ACK")
            .events(&["!call.started"]).without("line > strip INVITE Replaces"),
        case("a ringing call is picked up by code", "RFC 3261 §9.1", "UAS, UAC", Success)
            .carrier(STAYS)
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .line('c', ">> INVITE *8{a} | sdp\n< 200\n> ACK\nwait 200\n> BYE\n< 200")
            .after("a", "INVITE sip:")
            .events(&["call.picked_up phone={c} from={a}", "call.bridged phone={c}", "call.ended cause=normal"]).without("a < drop CANCEL"),
        case("nothing rings that could be picked up", "RFC 3261 §21.4.5", "UAS", Refusal)
            .line('c', ">> INVITE *8{a} | sdp\n<? 180\n< 404\n> ACK")
            .events(&["!call.picked_up"]).without("line < drop 404"),
        case("a call is parked by REFER, and retrieved", "RFC 5359 §2.15", "UAS, notifier", Success)
            .carrier(STAYS)
            .phone(
                'a',
                &format!(
                    "{ANSWERS}> REFER | Refer-To: <sip:701@{{switch}}>\n< 202\n{TRYING}\
                     < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 200\n> 200\n< BYE\n> 200"
                ),
            )
            .line('c', ">> INVITE 701 | sdp\n< 200\n> ACK\nwait 200\n> BYE\n< 200")
            .after("a", "BYE sip:")
            .events(&["call.parked slot=701 phone={a}", "call.retrieved slot=701 phone={c}", "call.ended cause=normal"]).without("a > change REFER 701@ => 709@"),
        case("nobody is parked there", "RFC 3261 §21.4.5", "UAS", Refusal)
            .line('c', ">> INVITE 702 | sdp\n<? 180\n< 404\n> ACK")
            .events(&["!call.retrieved"]).without("line < drop 404"),
    ]
}

#[test]
fn transfers() {
    run("transfers", Site::new("matrix-transfers").with("[park]\nslots = \"701-709\"\n"), cases());
}
