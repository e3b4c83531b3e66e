//! Phones register, with digest: the switch is the registrar.

use super::super::support::cordboard::Site;
use super::{Case, Loss, Race, Refusal, Success, case, run};

fn registers(name: &'static str, section: &'static str, ends: super::Ends, script: &str, events: &[&str]) -> Case {
    case(name, section, "registrar", ends).line('a', script).events(events)
}

const ADDED: &str = "registration.added number={a} transport=udp";

fn cases() -> Vec<Case> {
    vec![
        registers(
            "a phone is challenged and registers",
            "RFC 3261 §10.3, §22.4",
            Success,
            "> REGISTER - | Expires: 60\n< 401 | auth | WWW-Authenticate ~ realm=.cordboard.test\n\
             > REGISTER - | Expires: 60 | as {a} secret-{a}\n< 200 | Contact ~ expires=60",
            &[ADDED],
        )
        .without("line > strip REGISTER#2 Authorization"),
        registers(
            "a wrong secret",
            "RFC 3261 §22.4",
            Refusal,
            "> REGISTER - | Expires: 60\n< 401 | auth\n> REGISTER - | Expires: 60 | as {a} wrong\n< 401",
            &["!registration.added"],
        )
        .without("config secret = \"secret-{a}\" => secret = \"wrong\""),
        registers(
            "a number that is not there is refused as a wrong secret is",
            "RFC 3261 §22.1",
            Refusal,
            "> REGISTER - | To: <sip:9{i}77@{switch}> | From: <sip:9{i}77@{switch}>;tag=x\n< 401 | auth\n\
             > REGISTER - | To: <sip:9{i}77@{switch}> | From: <sip:9{i}77@{switch}>;tag=x | as 9{i}77 wrong\n< 401",
            &["!registration.added"],
        )
        .config(super::NOBODY)
        .without("config number = \"9{i}78\" => number = \"9{i}77\""),
        registers(
            "a phone's credentials for another number",
            "RFC 3261 §10.3",
            Refusal,
            ">> REGISTER - | To: <sip:{b}@{switch}>\n< 403",
            &["!registration.added"],
        )
        .without("line > change REGISTER To: <sip:{b}@ => To: <sip:{a}@"),
        registers(
            "a nonce is used again, with the next count",
            "RFC 7616 §3.4",
            Success,
            ">> REGISTER - | Expires: 60\n< 200\n> REGISTER - | Expires: 60 | as {a} secret-{a}\n< 200",
            &[ADDED],
        )
        .without("line > change REGISTER#3 nc=00000002 => nc=00000001"),
        registers(
            "a nonce of somebody else",
            "RFC 7616 §3.3",
            Refusal,
            "> REGISTER - | Expires: 60\n< 401\n> REGISTER - | Authorization: Digest username=\"{a}\", realm=\"cordboard.test\", \
             nonce=\"00000000000000000000000000000000\", uri=\"sip:{switch}\", response=\"00000000000000000000000000000000\", \
             algorithm=MD5, qop=auth, cnonce=\"x\", nc=00000001\n< 401",
            &["!registration.added"],
        )
        .without("line < drop 401#2"),
        registers(
            "a digest in a scheme that is none",
            "RFC 3261 §22.4",
            Refusal,
            "> REGISTER - | Authorization: Basic QWxhZGRpbjpvcGVu\n< 401 | WWW-Authenticate ~ Digest",
            &["!registration.added"],
        )
        .without("line < strip 401 WWW-Authenticate"),
        registers(
            "expires 0 ends it",
            "RFC 3261 §10.2.2",
            Success,
            ">> REGISTER - | Expires: 60\n< 200\n>> REGISTER - | Expires: 0\n< 200",
            &[ADDED, "registration.removed number={a}"],
        )
        .without("line > change REGISTER Expires: 0 => Expires: 60"),
        registers(
            "Contact * ends all",
            "RFC 3261 §10.2.2",
            Success,
            ">> REGISTER - | Expires: 60 | Contact: <sip:{a}@[local_ip]:[local_port]>, <sip:{a}@[local_ip]:9>\n\
             < 200\n>> REGISTER - | Expires: 0 | Contact: *\n< 200",
            &[ADDED, ADDED, "registration.removed number={a}", "registration.removed number={a}"],
        )
        .without("line > change REGISTER Contact: * => Contact: <sip:{a}@127.0.0.1:9>"),
        registers(
            "Contact * that does not end",
            "RFC 3261 §10.3",
            Refusal,
            ">> REGISTER - | Expires: 60 | Contact: *\n< 400",
            &["!registration.added"],
        )
        .without("line > change REGISTER Expires: 60 => Expires: 0"),
        registers(
            "too short",
            "RFC 3261 §10.3, §21.4.17",
            Refusal,
            ">> REGISTER - | Expires: 10\n< 423 | Min-Expires ~ 60",
            &["!registration.added"],
        )
        .without("line > change REGISTER Expires: 10 => Expires: 60"),
        registers(
            "too long is cut",
            "RFC 3261 §10.3",
            Success,
            ">> REGISTER - | Expires: 999999\n< 200 | Contact ~ expires=3600",
            &[ADDED],
        )
        .without("line > change REGISTER Expires: 999999 => Expires: 600"),
        registers(
            "how long each Contact says for itself",
            "RFC 3261 §10.2.1.1",
            Success,
            ">> REGISTER - | Expires: 60 | Contact: <sip:{a}@[local_ip]:[local_port]>;expires=120\n< 200 | Contact ~ expires=120",
            &[ADDED],
        )
        .without("line > change REGISTER ;expires=120 => ;q=0.5"),
        registers(
            "who asks without Contact is told",
            "RFC 3261 §10.2.3",
            Success,
            ">> REGISTER - | Expires: 60\n< 200\n>> REGISTER - | drop Contact\n< 200 | Contact ~ sip:{a}@127.0.0.1:.*expires=",
            &[ADDED],
        )
        .without("line > change REGISTER Expires: 60 => Expires: 0"),
        registers(
            "more devices than may be",
            "RFC 3261 §10.3",
            Refusal,
            ">> REGISTER - | Expires: 60 | Contact: <sip:{a}@[local_ip]:1>, <sip:{a}@[local_ip]:2>, <sip:{a}@[local_ip]:3>, \
             <sip:{a}@[local_ip]:4>, <sip:{a}@[local_ip]:5>, <sip:{a}@[local_ip]:6>\n< 403",
            &["!registration.added"],
        )
        .without("line > change REGISTER , <sip:{a}@127.0.0.1:6> =>"),
        registers(
            "a Contact that is none",
            "RFC 3261 §10.3",
            Refusal,
            ">> REGISTER - | Expires: 60 | Contact: <mailto:{a}@cordboard.test>\n< 400",
            &["!registration.added"],
        )
        .without("line > change REGISTER mailto:{a}@cordboard.test => sip:{a}@127.0.0.1:9"),
        registers(
            "an older CSeq of the same Call-ID",
            "RFC 3261 §10.3",
            Race,
            ">> REGISTER - | Expires: 60 | cseq 9\n< 200\n>> REGISTER - | Expires: 0 | cseq 3\n< 500",
            &[ADDED, "!registration.removed"],
        )
        .without("line > change REGISTER CSeq: 3 => CSeq: 30"),
        registers(
            "the 200 is lost: the REGISTER comes again",
            "RFC 3261 §17.2.2",
            Loss,
            ">> REGISTER - | Expires: 60\n< 200\n> REGISTER - | Expires: 60 | cseq 2 | branch 2 | as {a} secret-{a}\n< 200",
            &[ADDED],
        )
        .argument("-nr")
        .without("line > change REGISTER#3 x2;rport => x77;rport"),
        registers(
            "a connection that closes takes its binding along",
            "RFC 5626 §5.3, RFC 3261 §18",
            Loss,
            ">> REGISTER - | Expires: 60\n< 200",
            &["registration.added number={a} transport=tcp", "registration.removed number={a}"],
        )
        .over_tcp()
        .without("udp"),
    ]
}

#[test]
fn registrar() {
    run("registrar", Site::new("matrix-registrar"), cases());
}
