//! SIPp scenarios in short: a line a message, from which SIPp's XML is made.
//!
//! - `> INVITE 201 | sdp sendonly | Require: foo` sends a request. Its target (the number) stands on requests outside a dialog; within one
//!   they go to the other side's Contact. What follows each `|` is one of: a header (instead of the usual one of that name), `drop Name`,
//!   `sdp` with a direction or `zero` (0.0.0.0), `body type/subtype text`, `cseq N`, `branch N` (of the Nth message of this script: it is
//!   the same transaction), `tag x` (the other side's, instead of the right one).
//!   `as user secret`: with credentials for the challenge of `< 401 | auth`.
//! - `>> REGISTER` sends it, is challenged with 401, and sends it with credentials.
//! - `> 180`, `> 200 of INVITE | sdp` answers the last request, or the last INVITE.
//! - `< 200 | Contact ~ regex | body !~ regex`, `< BYE`, `< 200 of CANCEL` waits for a message. `<?` for one that may come before the next.
//!   `| Header => name regex` keeps what matches there, for `[$name]` in what is sent later. A 100 to an INVITE may come always. A final response other than 2xx to an INVITE is acknowledged by `> ACK`, as a 2xx is.
//! - `wait 200`: so many ms in which nothing may come.

use std::fmt::Write as _;

/// Who plays the script.
pub struct Player<'a> {
    /// User part of From, and of the credentials.
    pub number: &'a str,
    pub secret: &'a str,
}

pub fn xml(script: &str, player: &Player<'_>) -> String {
    let mut made = Maker {
        player,
        out: String::from("<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"matrix\">\n"),
        variables: Vec::new(),
        side: None,
        in_dialog: false,
        early: false,
        initial: false,
        cseq: 0,
        count: 0,
        version: 0,
        invite: Invite::default(),
        sent: String::new(),
        received: String::new(),
        may_try: false,
    };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        made.line(line);
    }
    made.end()
}

struct Maker<'a> {
    player: &'a Player<'a>,
    out: String,
    variables: Vec<String>,
    /// Which of the two began the dialog.
    side: Option<Side>,
    in_dialog: bool,
    /// A provisional response has made an early one.
    early: bool,
    /// The last INVITE that came is the one that begins the dialog.
    initial: bool,
    cseq: u32,
    count: u32,
    version: u32,
    /// The last one that went out.
    invite: Invite,
    /// Method of the last request that went out, ACK aside.
    sent: String,
    /// The last message that came: a method or a status.
    received: String,
    may_try: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Caller,
    Callee,
}

#[derive(Default)]
struct Invite {
    uri: String,
    branch: u32,
    cseq: u32,
}

const TAG: &str = "[pid]m[call_number]";

impl Maker<'_> {
    fn line(&mut self, line: &str) {
        let mut parts = line.split(" | ");
        let head: Vec<&str> = parts.next().unwrap_or_default().split_whitespace().collect();
        let extras: Vec<&str> = parts.map(str::trim).collect();
        match head.as_slice() {
            [">", what, rest @ ..] if what.parse::<u16>().is_ok() => self.respond(what, rest, &extras),
            [">", method, rest @ ..] => self.request(method, rest.first().copied(), &extras, false),
            [">>", method, rest @ ..] => {
                let target = rest.first().copied();
                self.request(method, target, &extras, false);
                if *method == "INVITE" {
                    // Of a proxy.
                    self.out.push_str("  <recv response=\"100\" optional=\"true\"></recv>\n");
                }
                self.out.push_str("  <recv response=\"401\" auth=\"true\"></recv>\n");
                self.may_try = false;
                if *method == "INVITE" {
                    self.received = "401".to_owned();
                    self.request("ACK", None, &[], false);
                }
                self.request(method, target, &extras, true);
            }
            ["<", what, rest @ ..] => self.receive(what, rest, &extras, false),
            ["<?", what, rest @ ..] => self.receive(what, rest, &extras, true),
            ["wait", ms] => {
                let _ = writeln!(self.out, "  <pause milliseconds=\"{ms}\"/>");
            }
            _ => panic!("no line of a script: {line:?}"),
        }
    }

    fn request(&mut self, method: &str, target: Option<&str>, extras: &[&str], authorized: bool) {
        self.count += 1;
        let failed = self.received.parse::<u16>().is_ok_and(|status| status >= 300);
        let acks_failure = method == "ACK" && failed;
        let inside = self.in_dialog || (self.early && !matches!(method, "INVITE" | "CANCEL" | "ACK"));
        let outside = target.is_some() || !inside;
        if self.side.is_none() {
            self.side = Some(Side::Caller);
        }
        let uri = match (method, target) {
            ("CANCEL", None) => self.invite.uri.clone(),
            ("ACK", _) if acks_failure => self.invite.uri.clone(),
            (_, Some("-")) => "sip:[remote_ip]:[remote_port]".to_owned(),
            (_, Some(uri)) if uri.starts_with("sip:") || uri.starts_with("tel:") || uri.starts_with("http:") => uri.to_owned(),
            (_, Some(number)) => format!("sip:{number}@[remote_ip]:[remote_port]"),
            (_, None) if inside => "[$target]".to_owned(),
            (_, None) => panic!("{method} outside a dialog needs a target"),
        };
        let mut branch = self.count;
        let cseq = match method {
            "ACK" | "CANCEL" => {
                if acks_failure || method == "CANCEL" {
                    branch = self.invite.branch;
                }
                self.invite.cseq
            }
            _ => {
                self.cseq += 1;
                self.cseq
            }
        };
        let value = |name: &str| extras.iter().find_map(|e| e.strip_prefix(name)?.strip_prefix(' '));
        let cseq = value("cseq").and_then(|n| n.parse().ok()).unwrap_or(cseq);
        branch = value("branch").and_then(|n| n.parse().ok()).unwrap_or(branch);
        if !matches!(method, "ACK" | "CANCEL") {
            self.cseq = self.cseq.max(cseq);
        }
        let number = self.player.number;
        let own = match self.side {
            Some(Side::Callee) => format!("[$local];tag={TAG}"),
            _ => format!("<sip:{number}@[remote_ip]:[remote_port]>;tag={TAG}"),
        };
        let other = match target {
            _ if acks_failure => None,
            _ if method == "CANCEL" && !self.invite.uri.starts_with('[') => Some(format!("<{}>", self.invite.uri)),
            Some("-") => Some(format!("<sip:{number}@[remote_ip]:[remote_port]>")),
            Some(_) => Some(format!("<{uri}>")),
            None if outside => Some(format!("<{uri}>")),
            None => Some("[$remote]".to_owned()),
        };
        let mut headers = vec![
            (
                "Via".to_owned(),
                format!("SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[pid]x[call_number]x{branch};rport"),
            ),
            ("Max-Forwards".to_owned(), "70".to_owned()),
            ("From".to_owned(), own),
        ];
        headers.push(("To".to_owned(), other.unwrap_or_else(|| "[last_To:]".to_owned())));
        headers.push(("Call-ID".to_owned(), "[call_id]".to_owned()));
        headers.push(("CSeq".to_owned(), format!("{cseq} {method}")));
        if !matches!(method, "ACK" | "CANCEL" | "BYE" | "MESSAGE" | "INFO") {
            headers.push(("Contact".to_owned(), format!("<sip:{number}@[local_ip]:[local_port];transport=[transport]>")));
        }
        if authorized {
            let secret = self.player.secret;
            headers.push(("authentication".to_owned(), format!("[authentication username={number} password={secret}]")));
        }
        if let Some((user, secret)) = value("as").and_then(|who| who.split_once(' ')) {
            headers.push(("authentication".to_owned(), format!("[authentication username={user} password={secret}]")));
        }
        let retransmit = if method == "ACK" { "" } else { " retrans=\"500\"" };
        self.send(&format!("{method} {uri} SIP/2.0"), headers, extras, retransmit);
        if method == "INVITE" {
            self.invite = Invite { uri, branch, cseq };
            self.may_try = true;
        }
        if method != "ACK" {
            self.sent = method.to_owned();
        }
    }

    fn respond(&mut self, status: &str, rest: &[&str], extras: &[&str]) {
        let to = match rest {
            ["of", method] => *method,
            [] => self.received.as_str(),
            _ => panic!("after a status comes `of METHOD`, not {rest:?}"),
        };
        let invite = to == "INVITE";
        let has_tag = self.in_dialog || (self.early && to != "CANCEL");
        let tag = if has_tag && !(invite && self.initial) { String::new() } else { format!(";tag={TAG}") };
        let plain = |text: &str| ("raw".to_owned(), text.to_owned());
        let mut headers = if invite {
            vec![
                plain("[$via]"),
                plain("From:[$from]"),
                ("To".to_owned(), format!("[$to]{tag}")),
                ("Call-ID".to_owned(), "[call_id]".to_owned()),
                plain("CSeq:[$number]"),
            ]
        } else {
            vec![
                plain("[last_Via:]"),
                plain("[last_From:]"),
                plain(&format!("[last_To:]{tag}")),
                plain("[last_Call-ID:]"),
                plain("[last_CSeq:]"),
            ]
        };
        if invite && status != "100" {
            let number = self.player.number;
            headers.push(("Contact".to_owned(), format!("<sip:{number}@[local_ip]:[local_port];transport=[transport]>")));
        }
        let is_final = invite && !status.starts_with('1');
        self.send(&format!("SIP/2.0 {status} Of the matrix"), headers, extras, if is_final { " retrans=\"500\"" } else { "" });
        if invite && status.starts_with('2') {
            self.in_dialog = true;
        }
        if invite && status.starts_with('1') && status != "100" {
            self.early = true;
        }
    }

    fn send(&mut self, first: &str, mut headers: Vec<(String, String)>, extras: &[&str], retransmit: &str) {
        let mut body = String::new();
        for extra in extras {
            if let Some(name) = extra.strip_prefix("drop ") {
                headers.retain(|(known, _)| known != name);
            } else if *extra == "sdp" || extra.starts_with("sdp ") {
                self.version += 1;
                let way = extra.strip_prefix("sdp ").unwrap_or("sendrecv");
                let (host, way) = if way == "zero" { ("0.0.0.0", "sendrecv") } else { ("[local_ip]", way) };
                headers.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
                body = format!(
                    "v=0\no=- 1 {} IN IP4 [local_ip]\ns=-\nc=IN IP4 {host}\nt=0 0\nm=audio 9 RTP/AVP 0 101\n\
                     a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na={way}\n",
                    self.version
                );
            } else if let Some(rest) = extra.strip_prefix("body ") {
                let (kind, text) = rest.split_once(' ').unwrap_or((rest, ""));
                headers.push(("Content-Type".to_owned(), kind.to_owned()));
                body = text.replace("\\n", "\n");
            } else if ["cseq ", "branch ", "as "].iter().any(|own| extra.starts_with(own)) {
                // Taken above.
            } else if let Some(tag) = extra.strip_prefix("tag ") {
                headers.retain(|(known, _)| known != "To");
                headers.push(("To".to_owned(), format!("<sip:[remote_ip]>;tag={tag}")));
            } else {
                let (name, value) = extra.split_once(": ").unwrap_or_else(|| panic!("what is {extra:?} of {first:?}?"));
                headers.retain(|(known, _)| known != name);
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let _ = write!(self.out, "  <send{retransmit}><![CDATA[\n{first}\n");
        for (name, value) in headers {
            let whole = value.starts_with("[last_") || matches!(name.as_str(), "raw" | "authentication");
            let _ = if whole { writeln!(self.out, "{value}") } else { writeln!(self.out, "{name}: {value}") };
        }
        let length = if body.is_empty() { "0" } else { "[len]" };
        let _ = write!(self.out, "Content-Length: {length}\n\n{body}]]></send>\n");
    }

    fn receive(&mut self, what: &str, rest: &[&str], extras: &[&str], optional: bool) {
        let status = what.parse::<u16>().ok();
        let method = match rest {
            ["of", method] => (*method).to_owned(),
            [] => self.sent.clone(),
            _ => panic!("after a status comes `of METHOD`, not {rest:?}"),
        };
        if self.may_try && status.is_some() && what != "100" {
            self.out.push_str("  <recv response=\"100\" optional=\"true\"></recv>\n");
        }
        let mut actions = String::new();
        if !rest.is_empty() {
            self.action(&mut actions, &format!("[0-9]+ {method}"), "search_in=\"hdr\" header=\"CSeq:\"", " check_it=\"true\"");
        }
        match status {
            Some(status) => {
                if matches!(method.as_str(), "INVITE" | "SUBSCRIBE") && (101..300).contains(&status) {
                    self.keep(&mut actions, "remote", ".*", "To:");
                    self.keep(&mut actions, "target", "sip:[^>]*", "Contact:");
                    self.early = true;
                }
                if status >= 200 {
                    self.may_try = false;
                }
                if matches!(method.as_str(), "INVITE" | "SUBSCRIBE") && (200..300).contains(&status) {
                    self.in_dialog = true;
                }
            }
            None if what == "INVITE" => {
                // All of them, where a proxy has put its own before ours.
                self.variables.push("via".to_owned());
                actions.push_str("    <ereg regexp=\"Via:.*branch=[^[:cntrl:]]*\" search_in=\"msg\" assign_to=\"via\"/>\n");
                self.keep(&mut actions, "from", ".*", "From:");
                self.keep(&mut actions, "to", ".*", "To:");
                self.keep(&mut actions, "number", ".*", "CSeq:");
                self.initial = !self.in_dialog;
                if self.side.is_none() {
                    self.side = Some(Side::Callee);
                    self.keep(&mut actions, "local", ".*", "To:");
                    self.keep(&mut actions, "remote", ".*", "From:");
                    self.keep(&mut actions, "target", "sip:[^>]*", "Contact:");
                }
            }
            None => {}
        }
        for extra in extras.iter().filter(|extra| **extra != "auth") {
            if let Some((name, (variable, regexp))) = extra.split_once(" => ").and_then(|(n, k)| Some((n, k.split_once(' ')?))) {
                self.keep(&mut actions, variable, regexp, &format!("{name}:"));
                continue;
            }
            let (name, regexp, check) = if let Some((name, regexp)) = extra.split_once(" !~ ") {
                (name, regexp, " check_it_inverse=\"true\"")
            } else if let Some((name, regexp)) = extra.split_once(" ~ ") {
                (name, regexp, " check_it=\"true\"")
            } else {
                panic!("what is {extra:?} of < {what}?")
            };
            let place = match name {
                "body" => "search_in=\"body\"".to_owned(),
                "message" => "search_in=\"msg\"".to_owned(),
                name => format!("search_in=\"hdr\" header=\"{name}:\""),
            };
            self.action(&mut actions, regexp, &place, check);
        }
        let kind = if status.is_some() { "response" } else { "request" };
        let may = if optional { " optional=\"true\"" } else { "" };
        let auth = if extras.contains(&"auth") { " auth=\"true\"" } else { "" };
        let _ = writeln!(self.out, "  <recv {kind}=\"{what}\"{may}{auth}><action>\n{actions}  </action></recv>");
        if !optional {
            self.received = what.to_owned();
        }
    }

    fn keep(&mut self, actions: &mut String, variable: &str, regexp: &str, header: &str) {
        self.variables.push(variable.to_owned());
        let _ = writeln!(
            actions,
            "    <ereg regexp=\"{}\" search_in=\"hdr\" header=\"{header}\" assign_to=\"{variable}\"/>",
            escaped(regexp)
        );
    }

    fn action(&mut self, actions: &mut String, regexp: &str, place: &str, check: &str) {
        let variable = format!("check{}", self.variables.len());
        let _ = writeln!(actions, "    <ereg regexp=\"{}\" {place}{check} assign_to=\"{variable}\"/>", escaped(regexp));
        self.variables.push(variable);
    }

    fn end(mut self) -> String {
        self.variables.sort();
        self.variables.dedup();
        if !self.variables.is_empty() {
            let _ = writeln!(self.out, "  <Reference variables=\"{}\"/>", self.variables.join(","));
        }
        self.out = self.out.replace("<action>\n  </action>", "");
        self.out.push_str("</scenario>\n");
        self.out
    }
}

/// The target of the first request with credentials: SIPp must be told for what its digest is.
pub fn authorized_target(script: &str) -> Option<&str> {
    let line = script.lines().find_map(|line| line.trim().strip_prefix(">> "))?;
    line.split_whitespace().nth(1).filter(|target| *target != "-")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
