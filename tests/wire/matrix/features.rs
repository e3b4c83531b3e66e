//! Forwarding, subscriptions, messages.

use serde_json::json;

use super::super::support::cordboard::Site;
use super::{Case, Loss, Refusal, Success, case, run};

const PATH: &str = "/api/v1/phones/{a}/forwarding";

/// A call for `{a}` reaches `{b}`, who is told from whom it comes.
fn forwarded(name: &'static str, forwarding: serde_json::Value, at_a: &str, reason: &'static str, said: &'static str) -> Case {
    let case = case(name, "RFC 5806 §5, RFC 7044", "B2BUA", Success).put(PATH, forwarding).carrier(super::calls::CALLS);
    let case = if at_a.is_empty() { case } else { case.phone('a', at_a) };
    case.phone(
        'b',
        &format!(
            "< INVITE | Diversion ~ <sip:{{a}}@.*reason={said} | History-Info ~ index=1\n> 180\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200"
        ),
    )
    .events(&["call.started", reason, "call.bridged phone={b}", "call.ended cause=normal by=customer"])
}

fn subscribes(name: &'static str, section: &'static str, ends: super::Ends, script: &str) -> Case {
    case(name, section, "notifier", ends).line('b', script).begins_no_call()
}

/// Each document has the next version; the last one takes the lamp out.
const LAMP: &str = ">> SUBSCRIBE {a} | Event: dialog | Expires: 600\n< 200\n\
    < NOTIFY | body ~ version=.0. | body !~ <state>\n> 200\n\
    < NOTIFY | Subscription-State ~ active | body ~ version=.1. | body ~ direction=.recipient.*<state>trying</state>\n> 200\n\
    < NOTIFY | body ~ version=.2. | body ~ <state>early</state>\n> 200\n\
    < NOTIFY | body ~ version=.3. | body ~ <state>confirmed</state>\n> 200\n\
    < NOTIFY | body ~ version=.4. | body ~ <state>terminated</state>\n> 200";

fn cases() -> Vec<Case> {
    vec![
        forwarded(
            "all calls go elsewhere",
            json!({"always": "{b}"}),
            "",
            "call.forwarded phone={a} to={b} reason=always",
            "unconditional",
        ).without("unset"),
        forwarded(
            "calls for a phone that is busy go elsewhere",
            json!({"busy": "{b}"}),
            "< INVITE\n> 486\n< ACK",
            "call.forwarded phone={a} to={b} reason=busy",
            "user-busy",
        ).without("unset"),
        forwarded(
            "calls that nobody answers go elsewhere",
            json!({"no_answer": "{b}", "no_answer_after_s": 5}),
            "< INVITE\n> 180\n< CANCEL\n> 200\n> 487 of INVITE\n< ACK",
            "call.forwarded phone={a} to={b} reason=no_answer",
            "no-answer",
        ).without("unset"),
        forwarded(
            "calls for a phone that is not there go elsewhere",
            json!({"unregistered": "{b}"}),
            "",
            "call.forwarded phone={a} to={b} reason=unregistered",
            "unavailable",
        ).without("unset"),
        forwarded(
            "a phone sends its call on by 302",
            json!({}),
            "< INVITE\n> 302 | Contact: <sip:{b}@{switch}>\n< ACK",
            "call.forwarded phone={a} to={b} reason=redirected",
            "deflection",
        ).without("a > strip 302 Contact"),
        case("a phone's 302 to nowhere", "RFC 3261 §8.1.3.4", "UAC", Refusal)
            .carrier("> INVITE {line} | sdp\n< 480\n> ACK")
            .phone('a', "< INVITE\n> 302 | Contact: <sip:77777@{switch}>\n< ACK")
            .events(&["call.started", "call.ended", "!call.answered"]).without("a > change 302 SIP/2.0 302 => SIP/2.0 486"),
        case("do not disturb", "RFC 3261 §21.4.24", "UAS", Refusal)
            .put(PATH, json!({"do_not_disturb": true}))
            .carrier("> INVITE {line} | sdp\n< 486\n> ACK")
            .events(&["call.started", "call.ended cause=busy status=486"]).without("unset"),
        case("forwarding in a circle ends", "RFC 3261 §16.3", "B2BUA", Refusal)
            .put(PATH, json!({"always": "{b}"}))
            .put("/api/v1/phones/{b}/forwarding", json!({"always": "{a}"}))
            .carrier("> INVITE {line} | sdp\n< 482\n> ACK")
            .events(&["call.forwarded phone={a}", "call.ended cause=loop status=482"]).without("unset"),
        case("a text reaches a phone", "RFC 3428 §5", "B2BUA", Success)
            .line('b', ">> MESSAGE {a} | body text/plain hello\n< 200")
            .phone('a', "< MESSAGE | From ~ sip:{b}@ | Content-Type ~ text/plain | body ~ hello\n> 200").without("a < drop MESSAGE"),
        case("a text for a phone that is not there", "RFC 3428 §7", "UAS", Refusal)
            .config("[[inbound]]\ntrunk = \"near\"\nnumber = \"{line}\"\nto = \"phone:{b}\"\n")
            .line('b', ">> MESSAGE {a} | body text/plain hello\n< 480").without("config number = \"{a}\" => number = \"9{a}\""),
        case("a text for nobody", "RFC 3428 §7", "UAS", Refusal).config(super::NOBODY).line('b', ">> MESSAGE 9{i}77 | body text/plain hello\n< 404").without("config number = \"9{i}78\" => number = \"9{i}77\""),
        case("a text that is too long", "RFC 3428 §8", "UAS", Refusal)
            .phone('b', &format!(">> MESSAGE {{b}} | body text/plain {}\n< 413", "long ".repeat(270))).without("b > change MESSAGE long long => long"),
        case("a text that a phone does not take", "RFC 3428 §7", "B2BUA", Refusal)
            .line('b', ">> MESSAGE {a} | body text/plain hello\n< 486")
            .phone('a', "< MESSAGE\n> 486").without("a > change 486 SIP/2.0 486 => SIP/2.0 200"),
        case("a text without its kind", "RFC 3261 §20.15", "UAS", Refusal)
            .line('b', ">> MESSAGE {a} | body text/plain hello | drop Content-Type\n< 400").without("line > change MESSAGE Max-Forwards: 70 => Max-Forwards: 70\\nContent-Type: text/plain"),
        case("a text without credentials", "RFC 3428 §11.1", "UAS", Refusal)
            .line('b', "> MESSAGE {a} | body text/plain hello\n< 401").without("line < drop 401"),
        case("a text's answer is lost: it comes again", "RFC 3261 §17.1.2.2", "UAC", Loss)
            .line('b', ">> MESSAGE {a} | body text/plain hello\n< 200")
            .phone('a', "< MESSAGE\n< MESSAGE | body ~ hello\n> 200")
            .argument("-nr").without("a < drop MESSAGE#2"),
        subscribes(
            "a lamp is told at once, and when it ends",
            "RFC 6665 §4.2, RFC 4235",
            Success,
            ">> SUBSCRIBE {a} | Event: dialog | Expires: 600\n< 200 | Expires ~ 600\n\
             < NOTIFY | Subscription-State ~ active | Content-Type ~ application/dialog-info.xml | body ~ state=.full.\n> 200\n\
             > SUBSCRIBE | Event: dialog | Expires: 0\n< 200\n< NOTIFY | Subscription-State ~ terminated\n> 200",
        ).without("line > change SUBSCRIBE Expires: 600 => Expires: 0"),
        case("a lamp follows a call", "RFC 6665 §4.2.2, RFC 4235 §3.7, §4.1", "notifier", Success)
            .line('b', LAMP)
            .phone('a', "< INVITE\nwait 300\n> 180\nwait 1000\n> 200 of INVITE | sdp\n< ACK\nwait 300\n> BYE\n< 200")
            .carrier("> INVITE {line} | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200")
            .after("line", "NOTIFY ")
            .events(&["call.started", "call.ringing", "call.bridged phone={a}", "call.ended cause=normal by=phone"])
            // The call goes just as well, and nobody is told of it (RFC 6665 §4.4.3).
            .without("line > change SUBSCRIBE Expires: 600 => Expires: 0"),
        subscribes(
            "a message light is told",
            "RFC 3842 §3",
            Success,
            ">> SUBSCRIBE {b} | Event: message-summary | Expires: 600\n< 200\n\
             < NOTIFY | Event ~ message-summary | body ~ Messages-Waiting: no\n> 200",
        ).without("line > change SUBSCRIBE Event: message-summary => Event: dialog"),
        subscribes(
            "a phone asks for its own bindings",
            "RFC 3680 §4",
            Success,
            ">> SUBSCRIBE {b} | Event: reg | Expires: 600\n< 200\n< NOTIFY | Content-Type ~ application/reginfo.xml | body ~ reginfo\n> 200",
        ).without("line > change SUBSCRIBE Event: reg => Event: dialog"),
        subscribes(
            "a package that nobody has",
            "RFC 6665 §4.2.1.1, §8.3.2",
            Refusal,
            ">> SUBSCRIBE {a} | Event: weather | Expires: 600\n< 489 | Allow-Events ~ dialog",
        ).without("line > change SUBSCRIBE Event: weather => Event: dialog"),
        subscribes("no package", "RFC 6665 §4.2.1.1", Refusal, ">> SUBSCRIBE {a} | Expires: 600\n< 489").without("line > change SUBSCRIBE Max-Forwards: 70 => Max-Forwards: 70\\nEvent: dialog"),
        subscribes(
            "a subscription that is too short",
            "RFC 6665 §4.2.1.1",
            Refusal,
            ">> SUBSCRIBE {a} | Event: dialog | Expires: 10\n< 423 | Min-Expires ~ [0-9]",
        ).without("line > change SUBSCRIBE Expires: 10 => Expires: 600"),
        subscribes("a line that is not there", "RFC 6665 §4.2.1", Refusal, ">> SUBSCRIBE 9{i}77 | Event: dialog\n< 404").config(super::NOBODY).without("config number = \"9{i}78\" => number = \"9{i}77\""),
        subscribes(
            "somebody else's message light",
            "RFC 3842 §3.6, §6",
            Refusal,
            ">> SUBSCRIBE {a} | Event: message-summary\n< 403",
        ).without("line > change SUBSCRIBE Event: message-summary => Event: dialog"),
        subscribes(
            "a document in a form that is not there",
            "RFC 6665 §4.2.1.1",
            Refusal,
            ">> SUBSCRIBE {a} | Event: dialog | Accept: text/plain\n< 406",
        ).without("line > strip SUBSCRIBE Accept"),
        subscribes("a subscription without credentials", "RFC 6665 §4.2.1.3", Refusal, "> SUBSCRIBE {a} | Event: dialog\n< 401").without("line < drop 401"),
        subscribes("a refresh of nothing", "RFC 6665 §4.2.1.1", Refusal, "> SUBSCRIBE {a} | Event: dialog | tag nobody\n< 481").without("line > change SUBSCRIBE ;tag=nobody =>"),
        subscribes(
            "a watcher that knows nothing of it ends it by 481",
            "RFC 6665 §4.2.2",
            Loss,
            ">> SUBSCRIBE {a} | Event: dialog | Expires: 600\n< 200\n< NOTIFY\n> 481\n> SUBSCRIBE | Event: dialog | Expires: 600\n< 481",
        ).without("line > drop 481"),
    ]
}

#[test]
fn features() {
    // Texts and lamps are no calls.
    let cases = cases().into_iter().map(super::Case::begins_no_call).collect();
    run("features", Site::new("matrix-features"), cases);
}
