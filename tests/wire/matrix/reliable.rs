//! Reliable provisional responses (RFC 3262), session timers (RFC 4028) and UPDATE (RFC 3311), in both roles; and what else takes a minute. Who asks us for a timer gets
//! none shorter than 90 s (§4), so what needs such a one is played beside all others; who is asked by us may grant less.

use std::time::Duration;

use super::super::support::cordboard::Site;
use super::{Case, Loss, Race, Refusal, Success, case, run};

const MINUTE: Duration = Duration::from_secs(70);
/// For a session of 10 s whose refresh is tried twice.
const TWO_TRIES: Duration = Duration::from_secs(13);
const LATE: &str = "< INVITE\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200";
const ENDED: &[&str] = &["call.answered", "call.bridged", "call.ended cause=normal by=customer"];
const RELIABLE: &str = "< 180 | Require ~ 100rel | RSeq => rseq [0-9]+\n";
const OUT: &[&str] = &["call.started direction=outbound", "call.answered", "call.ended cause=normal status=200"];

/// A phone calls outside; the carrier there plays this. `calls` is what the phone does.
fn outside(name: &'static str, section: &'static str, ends: super::Ends, calls: &str, carrier: &str) -> Case {
    case(name, section, "UAC", ends).line('b', calls).far(carrier).events(OUT)
}

const DIALS: &str = ">> INVITE {out} | sdp\n<? 180\n< 200\n> ACK\n";

fn provisionals() -> Vec<Case> {
    vec![
        case("who requires it gets the ringing reliably", "RFC 3262 §3", "UAS", Success)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}> PRACK | RAck: [$rseq] 1 INVITE\n< 200 of PRACK\n\
                 < 200 of INVITE | Require !~ 100rel\n> ACK\n> BYE\n< 200 of BYE"
            ))
            .phone('a', LATE)
            .events(ENDED)
            .without("carrier > strip INVITE Require"),
        case("who supports it gets early media reliably", "RFC 3262 §3, §5", "UAS", Success)
            .line(
                'b',
                ">> INVITE {out} | sdp | Supported: 100rel\n< 183 | Require ~ 100rel | RSeq => rseq [0-9]+ | body ~ m=audio\n\
                 > PRACK | RAck: [$rseq] 2 INVITE\n< 200 of PRACK\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE",
            )
            .far("< INVITE\n> 183 | sdp\nwait 1000\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(OUT)
            .without("line > strip INVITE Supported"),
        case("ringing comes again until its PRACK", "RFC 3262 §3", "UAS", Loss)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}< 180 | Require ~ 100rel\n< 180\n\
                 > PRACK | RAck: [$rseq] 1 INVITE\n< 200 of PRACK\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE"
            ))
            .argument("-nr")
            .phone('a', "< INVITE\n> 180\nwait 2500\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(ENDED)
            .without("carrier < drop 180#2"),
        case("PRACK of something else", "RFC 3262 §3", "UAS", Refusal)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}> PRACK | RAck: 1 1 INVITE\n< 481 of PRACK\n\
                 > PRACK | RAck: [$rseq] 7 INVITE\n< 481 of PRACK\n> PRACK | RAck: [$rseq] 1 INVITE\n< 200 of PRACK\n\
                 < 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE"
            ))
            .phone('a', LATE)
            .events(ENDED)
            .without("carrier > change PRACK 7 INVITE => 1 INVITE"),
        case("the next one waits for the PRACK of the one before", "RFC 3262 §3", "UAS", Success)
            .line(
                'b',
                ">> INVITE {out} | sdp | Require: 100rel\n< 180 | RSeq => rseq [0-9]+\nwait 300\n\
                 > PRACK | RAck: [$rseq] 2 INVITE\n< 200 of PRACK\n< 183 | Require ~ 100rel | RSeq => next [0-9]+\n\
                 > PRACK | RAck: [$next] 2 INVITE\n< 200 of PRACK\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE",
            )
            .far("< INVITE\n> 180\n> 183 of INVITE | sdp\nwait 900\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(OUT)
            .without("line > strip INVITE Require"),
        case("the 200 waits for the PRACK of the answer in a 183", "RFC 3262 §3", "UAS", Race)
            .line(
                'b',
                ">> INVITE {out} | sdp | Supported: 100rel\n< 183 | Require ~ 100rel | RSeq => rseq [0-9]+\nwait 300\n\
                 > PRACK | RAck: [$rseq] 2 INVITE\n< 200 of PRACK\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE",
            )
            .far("< INVITE\n> 183 | sdp\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(OUT)
            .without("line > strip INVITE Supported"),
        case("the 200 goes before the PRACK of the ringing, which is taken all the same", "RFC 3262 §3", "UAS", Race)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}< 200 of INVITE\n> PRACK | RAck: [$rseq] 1 INVITE\n\
                 < 200 of PRACK\n> ACK\n> BYE\n< 200 of BYE"
            ))
            .phone('a', "< INVITE\n> 180\nwait 200\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(ENDED)
            .without("carrier < drop 200/PRACK"),
        case("CANCEL while a PRACK is awaited", "RFC 3262 §3, RFC 3261 §9.2", "UAS", Race)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}> CANCEL\n< 200 of CANCEL\n< 487 of INVITE\n> ACK"
            ))
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=cancelled status=487"])
            .without("a < drop CANCEL"),
        outside(
            "a carrier's reliable 183 is acknowledged",
            "RFC 3262 §4",
            Success,
            ">> INVITE {out} | sdp\n< 183 | body ~ m=audio\n< 200\n> ACK\n> BYE\n< 200",
            "< INVITE | Supported ~ 100rel\n> 183 | sdp | Require: 100rel | RSeq: 4000\n< PRACK | RAck ~ 4000 1 INVITE | CSeq ~ 2 PRACK\n\
             > 200\n> 200 of INVITE | sdp\n< ACK\n< BYE | CSeq ~ 3 BYE\n> 200",
        )
        .without("far > strip 183 Require"),
        outside(
            "of a carrier's reliable responses none is acknowledged out of order",
            "RFC 3262 §4",
            Race,
            &format!("{DIALS}> BYE\n< 200"),
            "< INVITE\n> 180 | Require: 100rel | RSeq: 1\n< PRACK | RAck ~ 1 1 INVITE\n> 200\n\
             > 180 of INVITE | Require: 100rel | RSeq: 3\nwait 300\n> 180 of INVITE | Require: 100rel | RSeq: 2\n\
             < PRACK | RAck ~ 2 1 INVITE\n> 200\n> 180 of INVITE | Require: 100rel | RSeq: 3\n< PRACK | RAck ~ 3 1 INVITE\n> 200\n\
             > 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
        )
        .without("far > change 180#2 RSeq: 3 => RSeq: 2"),
        outside(
            "a PRACK of ours is lost: it comes again",
            "RFC 3262 §4, RFC 3261 §17.1.2.2",
            Loss,
            &format!("{DIALS}> BYE\n< 200"),
            "< INVITE\n> 180 | Require: 100rel | RSeq: 9\n< PRACK\n< PRACK | RAck ~ 9 1 INVITE\n> 200\n\
             > 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
        )
        .argument("-nr")
        .without("far < drop PRACK#2"),
        outside(
            "a carrier that does not know our PRACK takes the call all the same",
            "RFC 3262 §4",
            Refusal,
            &format!("{DIALS}> BYE\n< 200"),
            "< INVITE\n> 180 | Require: 100rel | RSeq: 9\n< PRACK\n> 481\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
        )
        .without("far > strip 180 RSeq"),
    ]
}

fn updates() -> Vec<Case> {
    vec![
        case("UPDATE in an early dialog: a sign of life", "RFC 3311 §5.2", "UAS", Success)
            .carrier("> INVITE {line} | sdp\n< 180\n> UPDATE\n< 200 of UPDATE | Contact ~ sip:\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE")
            .phone('a', LATE)
            .events(ENDED)
            .without("carrier > change UPDATE UPDATE => JUMP"),
        case("UPDATE with an offer before we have answered the one in the INVITE", "RFC 3311 §5.2", "UAS", Race)
            .carrier(
                "> INVITE {line} | sdp\n< 180\n> UPDATE | sdp sendonly\n< 500 of UPDATE | Retry-After ~ ^ *[0-9] *$\n\
                 < 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE",
            )
            .phone('a', LATE)
            .events(&["call.answered", "call.bridged", "call.ended cause=normal by=customer", "!call.held"])
            .without("carrier < strip 500 Retry-After"),
        outside(
            "UPDATE with an offer before ours is answered",
            "RFC 3311 §5.2",
            Race,
            &format!("{DIALS}> BYE\n< 200"),
            "< INVITE\n> 180\n> UPDATE | sdp\n< 491 of UPDATE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
        )
        .without("far < change 491 SIP/2.0 491 => SIP/2.0 200"),
        outside(
            "UPDATE and re-INVITE with an offer while ours is on its way",
            "RFC 3311 §5.2, RFC 3261 §14.2",
            Race,
            &format!("{DIALS}< BYE\n> 200"),
            "< INVITE\n> 200 of INVITE | sdp | Supported: timer | Session-Expires: 4;refresher=uac\n< ACK\n\
             < INVITE | Session-Expires ~ 4;refresher=uac | body ~ m=audio\n> UPDATE | sdp sendonly\n< 491 of UPDATE\n\
             > INVITE | sdp sendonly\n< 491 of INVITE\n> ACK\n> 200 of INVITE | sdp | Session-Expires: 40;refresher=uac\n\
             < ACK\n> BYE\n< 200",
        )
        .events(&["call.answered", "call.ended cause=normal", "!call.held"])
        .without("far > strip 200/INVITE Session-Expires"),
    ]
}

/// The carrier grants this to our INVITE, and then plays that.
fn granted(name: &'static str, ends: super::Ends, section: &'static str, grant: &str, carrier: &str) -> Case {
    let phone = format!("{DIALS}< BYE\n> 200");
    let carrier = format!(
        "< INVITE | Supported ~ timer | Session-Expires ~ 1800 | Min-SE ~ 90\n> 200 of INVITE | sdp | Supported: timer | {grant}\n< ACK\n{carrier}"
    );
    outside(name, section, ends, &phone, &carrier)
}

const ACCOUNT: &str =
    "[[trunk]]\nname = \"far{i}\"\npeer = \"127.0.0.3:{port of far}\"\nprobe = \"off\"\nuser = \"us\"\nsecret = \"ours\"\n";
const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"";
const HANGS_UP: &str = "> BYE\n< 200";

fn timers() -> Vec<Case> {
    vec![
        granted(
            "we refresh by UPDATE, at half time each time",
            Success,
            "RFC 4028 §7.4, §10",
            "Allow: INVITE, ACK, BYE, UPDATE | Session-Expires: 4;refresher=uac",
            &format!(
                "wait 1500\n< UPDATE | Session-Expires ~ 4;refresher=uac | Content-Length ~ 0\n\
                 > 200 | Session-Expires: 4;refresher=uac\nwait 1500\n< UPDATE\n> 200\n{HANGS_UP}"
            ),
        )
        .without("far > strip 200 Session-Expires"),
        granted(
            "we refresh by re-INVITE who takes no UPDATE",
            Success,
            "RFC 4028 §7.4",
            "Allow: INVITE, ACK, BYE | Session-Expires: 4;refresher=uac",
            &format!("< INVITE | Session-Expires ~ 4;refresher=uac | body ~ m=audio\n> 200 of INVITE | sdp\n< ACK\n{HANGS_UP}"),
        )
        .without("far > change 200/INVITE Allow: INVITE => Allow: UPDATE, INVITE"),
        granted(
            "the carrier was to refresh, and goes silent: it is hung up on",
            Loss,
            "RFC 4028 §10",
            "Require: timer | Session-Expires: 4;refresher=uas",
            "wait 2000\n< BYE\n> 200",
        )
        .events(&["call.answered", "call.ended cause=lost by=switch"])
        .without("far > strip 200/INVITE Session-Expires"),
        granted(
            "our refreshes are not answered: it is hung up on at the end of its time",
            Loss,
            "RFC 4028 §10",
            "Allow: INVITE, UPDATE | Session-Expires: 4;refresher=uac",
            "< UPDATE\n< UPDATE\n< UPDATE\n< BYE\n> 200",
        )
        .argument("-nr")
        .events(&["call.answered", "call.ended cause=lost by=switch"])
        .without("far > strip 200/INVITE Session-Expires"),
        granted(
            "our refresh is for a call that is not there: it is over",
            Refusal,
            "RFC 4028 §10, RFC 5057 §5.1",
            "Allow: INVITE, UPDATE | Session-Expires: 4;refresher=uac",
            "< UPDATE\n> 481\n< BYE\n> 481",
        )
        .events(&["call.answered", "call.ended cause=lost by=switch"])
        .without("far > change 481 SIP/2.0 481 => SIP/2.0 200"),
        granted(
            "our UPDATE meets 491: again after 2.1 to 4 s, as the Call-ID is ours",
            Race,
            "RFC 3311 §5.3, RFC 3261 §14.1",
            "Allow: INVITE, UPDATE | Session-Expires: 10;refresher=uac",
            &format!("< UPDATE\n> 491\nwait 2000\n< UPDATE\n> 200\n{HANGS_UP}"),
        )
        .lasts(TWO_TRIES)
        .without("far < drop UPDATE#2"),
        granted(
            "our re-INVITE meets 491: again after 2.1 to 4 s, as the Call-ID is ours",
            Race,
            "RFC 3261 §14.1",
            "Allow: INVITE | Session-Expires: 10;refresher=uac",
            &format!("< INVITE\n> 491\n< ACK\nwait 2000\n< INVITE | body ~ m=audio\n> 200 of INVITE | sdp\n< ACK\n{HANGS_UP}"),
        )
        .lasts(TWO_TRIES)
        .without("far < drop INVITE#3"),
        granted(
            "our UPDATE meets 500 with Retry-After: again after it",
            Race,
            "RFC 3311 §5.2, RFC 4028 §7.4",
            "Allow: INVITE, UPDATE | Session-Expires: 10;refresher=uac",
            &format!("< UPDATE\n> 500 | Retry-After: 2\nwait 1500\n< UPDATE\n> 200\n{HANGS_UP}"),
        )
        .lasts(TWO_TRIES)
        .without("far < drop UPDATE#2"),
        granted(
            "our refresh is challenged: again with the account",
            Success,
            "RFC 3261 §22.3, RFC 4028 §10",
            "Allow: INVITE, UPDATE | Session-Expires: 4;refresher=uac",
            &format!("< UPDATE | Proxy-Authorization !~ us\n> 407 | {CHALLENGE}\n< UPDATE | Proxy-Authorization ~ username=.us.\n> 200\n{HANGS_UP}"),
        )
        .config(ACCOUNT)
        .without("config user = \"us\"\\nsecret = \"ours\"\\n =>"),
        outside(
            "our BYE is challenged: again with the account",
            "RFC 3261 §22.3, §15.1.1",
            Success,
            &format!("{DIALS}> BYE\n< 200"),
            &format!("< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 407 | {CHALLENGE}\n< BYE | Proxy-Authorization ~ username=.us. | CSeq ~ 3 BYE\n> 200"),
        )
        .config(ACCOUNT)
        .without("config user = \"us\"\\nsecret = \"ours\"\\n =>"),
        granted(
            "our UPDATE is not taken after all: by re-INVITE",
            Refusal,
            "RFC 3311 §5.1, RFC 4028 §7.4",
            "Allow: INVITE, UPDATE | Session-Expires: 4;refresher=uac",
            &format!("< UPDATE\n> 405\n< INVITE | Session-Expires ~ 4;refresher=uac\n> 200 of INVITE | sdp\n< ACK\n{HANGS_UP}"),
        )
        .without("far > change 405 SIP/2.0 405 => SIP/2.0 500"),
        granted(
            "our refresh is too often: not so often then",
            Refusal,
            "RFC 4028 §7.3, §7.4",
            "Allow: INVITE, UPDATE | Session-Expires: 4;refresher=uac",
            &format!("< UPDATE | Session-Expires ~ 4\n> 422 | Min-SE: 300\n< UPDATE | Session-Expires ~ 300\n> 200\n{HANGS_UP}"),
        )
        .without("far > strip 422 Min-SE"),
        outside(
            "our INVITE asks for too short a time: once more with the carrier's own",
            "RFC 4028 §7.3",
            Refusal,
            &format!("{DIALS}> BYE\n< 200"),
            "< INVITE | Session-Expires ~ 1800\n> 422 | Min-SE: 3600\n< ACK\n\
             < INVITE | Session-Expires ~ 3600 | Min-SE ~ 3600 | CSeq ~ 2 INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200",
        )
        .without("far > strip 422 Min-SE"),
        case("our INVITE asks for too short a time, and no other pleases either", "RFC 4028 §7.3", "UAC", Refusal)
            .line('b', ">> INVITE {out} | sdp\n< 500\n> ACK")
            .far("< INVITE\n> 422 | Min-SE: 3600\n< ACK\n< INVITE | Session-Expires ~ 3600\n> 422 | Min-SE: 3600\n< ACK")
            .events(&["call.started direction=outbound", "call.ended", "!call.answered"])
            .without("far > change 422#2 SIP/2.0 422 => SIP/2.0 486"),
        // In their own time.
        case("the caller was to refresh, and goes silent: it is hung up on", "RFC 4028 §10", "UAS", Loss)
            .carrier(
                "> INVITE {line} | sdp | Supported: timer | Session-Expires: 90;refresher=uac\n<? 180\n\
                 < 200 | Session-Expires ~ 90;refresher=uac\n> ACK\nwait 58000\n< BYE\n> 200",
            )
            .phone('a', "< INVITE\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200")
            .events(&["call.answered", "call.ended cause=lost by=switch"])
            .lasts(MINUTE)
            .without("carrier > strip INVITE Session-Expires"),
        case("a caller that wants it so is refreshed by UPDATE", "RFC 4028 §9, §10", "UAS", Success)
            .carrier(
                "> INVITE {line} | sdp | Allow: INVITE, UPDATE | Supported: timer | Session-Expires: 90;refresher=uas\n<? 180\n\
                 < 200 | Session-Expires ~ 90;refresher=uas\n> ACK\nwait 43000\n\
                 < UPDATE | Session-Expires ~ 90;refresher=uac | Supported ~ timer\n> 200 | Session-Expires: 90;refresher=uac\n> BYE\n< 200 of BYE",
            )
            .phone('a', super::calls::TAKES)
            .events(ENDED)
            .lasts(MINUTE)
            .without("carrier > change INVITE ;refresher=uas => ;refresher=uac"),
        case("our re-INVITE meets 491: again within 2 s, as the Call-ID is the caller's", "RFC 3261 §14.1", "UAS", Race)
            .carrier(
                "> INVITE {line} | sdp | Allow: INVITE | Supported: timer | Session-Expires: 90;refresher=uas\n<? 180\n\
                 < 200 | Session-Expires ~ 90;refresher=uas\n> ACK\nwait 43000\n\
                 < INVITE | body ~ m=audio\n> 491\n< ACK\n< INVITE | Session-Expires ~ 90;refresher=uac\n> 200 of INVITE | sdp\n< ACK\n> BYE\n< 200 of BYE",
            )
            .phone('a', super::calls::TAKES)
            .events(ENDED)
            .lasts(MINUTE)
            .without("carrier > strip INVITE Session-Expires"),
        case("REFER to a phone that nobody answers: 480 after a minute", "RFC 3515 §2.4.5", "UAS, notifier", Loss)
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .phone(
                'a',
                "< INVITE\n> 200 of INVITE | sdp\n< ACK\n> REFER | Refer-To: <sip:{b}@{switch}>\n< 202\n\
                 < NOTIFY | body ~ SIP/2.0 100\n> 200\n< NOTIFY | body ~ SIP/2.0 180\n> 200\n\
                 < NOTIFY | Subscription-State ~ terminated | body ~ SIP/2.0 480\n> 200\n> BYE\n< 200",
            )
            .phone('b', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.transferred outcome=started", "call.transferred outcome=failed", "call.ended cause=normal by=phone"])
            .lasts(MINUTE)
            .without("b > change 180 SIP/2.0 180 => SIP/2.0 486"),
        case("no PRACK comes at all: the call is refused", "RFC 3262 §3", "UAS", Loss)
            .carrier(&format!(
                "> INVITE {{line}} | sdp | Require: 100rel\n{RELIABLE}< 180\n< 180\n< 180\n< 180\n< 180\n< 180\n< 504\n> ACK"
            ))
            .argument("-nr")
            .phone('a', "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK")
            .events(&["call.ended cause=lost status=504", "!call.answered"])
            .lasts(MINUTE)
            .without("carrier > strip INVITE Require"),
    ]
}

#[test]
fn reliable_and_refreshed() {
    let cases = provisionals().into_iter().chain(updates()).chain(timers()).collect();
    // Nobody sends audio.
    run("reliable", Site::new("matrix-reliable").media_key("dead_after = \"5m\""), cases);
}
