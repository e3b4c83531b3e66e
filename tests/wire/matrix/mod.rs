//! SIPp against the switch, as a matrix: what is done × the switch's role in it × how it ends. A [`Case`] names its section of an RFC, its
//! parties (each a SIPp with a script, see [`script`]) and the events that must come, in this order. All cases of a group share one switch;
//! each has numbers of its own there, so that they run side by side:
//!
//! - `{a}`, `{b}`, `{c}`: phones; `{customer}`: the number of who calls from the trunk `near`; `{line}`: dialled by it, rings at `{a}`;
//! - `{out}`: dialled by a phone, goes out by the trunks of the case's [`Case::far`] parties, in turn;
//! - `{switch}`: its address; `{port of NAME}`: where that party listens; `{replaces}`: the dialog of the party that this one begins after,
//!   and `{replaces escaped}`, as it stands in a URI.
//!
//! A party whose script is empty is not there.

#![allow(clippy::disallowed_methods, reason = "real programs run on the real clock")]

mod calls;
mod dialogs;
mod features;
mod nat;
mod registrar;
mod script;
mod transfers;
mod trunks;

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::{wait_for, wait_until};
use super::support::sipp::{Outcome, Sipp};
use super::support::stream::{Event, EventStream};

const NEAR: &str = "127.0.0.2";
const FAR: &str = "127.0.0.3";
const SOON: Duration = Duration::from_secs(20);
/// Mostly they wait.
const AT_ONCE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ends {
    Success,
    Refusal,
    Loss,
    Race,
}
pub use Ends::{Loss, Race, Refusal, Success};

pub struct Case {
    name: &'static str,
    section: &'static str,
    /// The switch's.
    role: &'static str,
    ends: Ends,
    parties: Vec<Party>,
    config: String,
    commands: Vec<(String, serde_json::Value)>,
    events: Vec<String>,
}

struct Party {
    name: &'static str,
    kind: PartyKind,
    script: String,
    /// It begins when this party has received this.
    after: Option<(&'static str, &'static str)>,
    arguments: Vec<&'static str>,
    over_tcp: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum PartyKind {
    /// From the trunk `near`.
    Carrier,
    /// `a`, `b` or `c`, registered where it listens.
    Phone(char),
    /// As one of these, but not registered: its second line, or somebody who says so.
    Line(char),
    /// A trunk that `{out}` goes to.
    Far,
    /// At `127.0.0.3`, on this port: the case's own configuration leads there.
    Server(u16),
}

pub fn case(name: &'static str, section: &'static str, role: &'static str, ends: Ends) -> Case {
    Case { name, section, role, ends, parties: Vec::new(), config: String::new(), commands: Vec::new(), events: Vec::new() }
}

impl Case {
    fn party(mut self, name: &'static str, kind: PartyKind, script: &str) -> Case {
        self.parties.push(Party { name, kind, script: script.to_owned(), after: None, arguments: Vec::new(), over_tcp: false });
        self
    }

    pub fn carrier(self, script: &str) -> Case {
        self.party("carrier", PartyKind::Carrier, script)
    }

    pub fn phone(self, who: char, script: &str) -> Case {
        let name = match who {
            'a' => "a",
            'b' => "b",
            _ => "c",
        };
        self.party(name, PartyKind::Phone(who), script)
    }

    pub fn line(self, who: char, script: &str) -> Case {
        self.party("line", PartyKind::Line(who), script)
    }

    pub fn far(self, script: &str) -> Case {
        let name = if self.parties.iter().any(|p| p.kind == PartyKind::Far) { "second" } else { "far" };
        self.party(name, PartyKind::Far, script)
    }

    pub fn server(self, port: u16, script: &str) -> Case {
        self.party("server", PartyKind::Server(port), script)
    }

    /// The last party begins when the other one has received a message with this text.
    pub fn after(mut self, other: &'static str, text: &'static str) -> Case {
        if let Some(last) = self.parties.last_mut() {
            last.after = Some((other, text));
        }
        self
    }

    /// A further argument of the last party's SIPp.
    pub fn argument(mut self, argument: &'static str) -> Case {
        if let Some(last) = self.parties.last_mut() {
            last.arguments.push(argument);
        }
        self
    }

    /// As `argument`, of the first party.
    pub fn argument_of_first(mut self, argument: &'static str) -> Case {
        if let Some(first) = self.parties.first_mut() {
            first.arguments.push(argument);
        }
        self
    }

    /// The last party speaks by TCP.
    pub fn over_tcp(mut self) -> Case {
        if let Some(last) = self.parties.last_mut() {
            last.over_tcp = true;
        }
        self
    }

    /// Tables of the configuration.
    pub fn config(mut self, toml: &str) -> Case {
        self.config.push_str(toml);
        self
    }

    /// A PUT to the API before all.
    pub fn put(mut self, path: &str, body: serde_json::Value) -> Case {
        self.commands.push((path.to_owned(), body));
        self
    }

    /// `call.ended cause=busy status=486`; with `!` before it: not a single one.
    pub fn events(mut self, events: &[&str]) -> Case {
        self.events = events.iter().map(|e| (*e).to_owned()).collect();
        self
    }
}

/// The names of one case.
struct Names {
    all: Vec<(String, String)>,
}

impl Names {
    fn of(index: usize) -> Names {
        let names = [
            ("a", format!("{}", 2000 + 3 * index)),
            ("b", format!("{}", 2001 + 3 * index)),
            ("c", format!("{}", 2002 + 3 * index)),
            ("customer", format!("+49301234{index:03}")),
            ("line", format!("+49306000{index:03}")),
            ("out", format!("0{index:03}55")),
            ("i", format!("{index:03}")),
        ];
        Names { all: names.into_iter().map(|(name, value)| (format!("{{{name}}}"), value)).collect() }
    }

    fn get(&self, name: &str) -> &str {
        self.all.iter().find(|(known, _)| known.trim_matches(['{', '}']) == name).map_or("", |(_, value)| value)
    }

    fn add(&mut self, name: &str, value: String) {
        self.all.push((format!("{{{name}}}"), value));
    }

    fn put_into(&self, text: &str) -> String {
        self.all.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Phones and numbers that no other case has.
    fn in_event(&self, event: &Event) -> bool {
        let text = event.data().to_string();
        let own = ["a", "b", "c", "customer", "line", "out"].map(|name| self.get(name));
        let trunk = format!("far{}", self.get("i"));
        own.iter().any(|n| text.contains(&format!("\"{n}\"")) || text.contains(&format!(":{n}\""))) || text.contains(&trunk)
    }
}

/// Runs all cases of a group against one switch, and says in a table how they went.
pub fn run(group: &str, site: Site, cases: Vec<Case>) {
    let cases: Vec<(Case, Names, Vec<u16>)> = cases
        .into_iter()
        .enumerate()
        .map(|(index, case)| {
            let port = |party: &Party| match party.kind {
                PartyKind::Server(port) => port,
                PartyKind::Carrier | PartyKind::Phone(_) | PartyKind::Line(_) | PartyKind::Far => ports::port(),
            };
            let ports = case.parties.iter().map(port).collect();
            (case, Names::of(index), ports)
        })
        .collect();
    let mut site = site.trunk("near", NEAR);
    for (case, names, ports) in &cases {
        site = site.with(&configuration(case, names, ports));
    }
    let switch = site.start();
    let story = switch.events("since=0");
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<Option<String>>> = Mutex::new(vec![None; cases.len()]);
    let times: Mutex<Vec<Duration>> = Mutex::new(vec![Duration::ZERO; cases.len()]);
    let (cases_ref, switch_ref, story_ref, site_ref) = (&cases, &switch, &story, &site);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((case, names, ports)) = cases_ref.get(index) else { break };
                    let begun = Instant::now();
                    let folder = site_ref.folder().path().join(format!("case{index}"));
                    let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        play(case, names, ports, switch_ref, story_ref, &folder)
                    }));
                    times.lock().unwrap_or_else(PoisonError::into_inner)[index] = begun.elapsed();
                    if let Err(failure) = went {
                        let text = failure.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| failure.downcast_ref::<&str>().map(|t| (*t).to_owned()));
                        failures.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(text.unwrap_or_default());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let times = times.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut table = Table::new(group);
    for ((case, ..), (failure, time)) in cases.iter().zip(failures.iter().zip(&times)) {
        table.line(failure.is_none(), case.name, case.section, case.role, case.ends, *time);
    }
    table.print();
    let table = table.text;
    let failed: Vec<String> = cases
        .iter()
        .zip(failures)
        .filter_map(|((case, ..), failure)| failure.map(|text| format!("==== {}\n{text}", case.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed\n{}\n{table}", failed.len(), cases.len(), failed.join("\n"));
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// What the run shows of a group.
struct Table {
    group: String,
    text: String,
}

impl Table {
    fn new(group: &str) -> Table {
        Table { group: group.to_owned(), text: format!("SIPp matrix: {group}\n") }
    }

    fn line(&mut self, good: bool, name: &str, section: &str, role: &str, ends: Ends, time: Duration) {
        let (went, ends) = (if good { "ok" } else { "FAILED" }, format!("{ends:?}").to_lowercase());
        let _ = writeln!(self.text, "{went:6} {ends:7} {role:14} {section:32} {name} ({:.1} s)", time.as_secs_f64());
    }

    /// Something that went well.
    fn row(&mut self, name: &str, section: &str, role: &str, ends: Ends, begun: Instant) {
        self.line(true, name, section, role, ends, begun.elapsed());
    }

    /// To the run's output, and beside it.
    fn print(&self) {
        println!("{}", self.text);
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sipp-matrix-{}.txt", self.group));
        let _ = std::fs::write(beside, &self.text);
    }
}

/// Phones, the line, and where calls to the outside go.
fn configuration(case: &Case, names: &Names, ports: &[u16]) -> String {
    let mut toml = String::new();
    for who in ["a", "b", "c"] {
        let number = names.get(who);
        let more = names.put_into(&format!("secret = \"{}\"\noutside = true\n", secret(number)));
        let _ = write!(toml, "[[phone]]\nnumber = \"{number}\"\n{more}");
    }
    if !case.config.contains("number = \"{line}\"") {
        toml.push_str("[[inbound]]\ntrunk = \"near\"\nnumber = \"{line}\"\nto = \"phone:{a}\"\n");
    }
    let mut trunks = Vec::new();
    for (party, port) in case.parties.iter().zip(ports).filter(|(party, _)| party.kind == PartyKind::Far) {
        let name = if party.name == "far" { "far{i}" } else { "far{i}second" };
        if !case.config.contains(&format!("name = \"{name}\"")) {
            let _ = write!(toml, "[[trunk]]\nname = \"{name}\"\npeer = \"{FAR}:{port}\"\nprobe = \"off\"\n");
        }
        trunks.push(format!("\"{name}\""));
    }
    if !trunks.is_empty() {
        let _ = write!(toml, "[[outbound]]\npattern = \"0{{i}}*\"\nstrip = 1\ntrunk = [{}]\n", trunks.join(", "));
    }
    let mut config = case.config.clone();
    for (party, port) in case.parties.iter().zip(ports) {
        config = config.replace(&format!("{{port of {}}}", party.name), &port.to_string());
    }
    toml.push_str(&config);
    names.put_into(&toml)
}

fn play(case: &Case, names: &Names, ports: &[u16], switch: &Cordboard, story: &EventStream, folder: &Path) {
    let _ = std::fs::create_dir_all(folder);
    let mut names = Names { all: names.all.clone() };
    names.add("switch", switch.sip().to_string());
    for (party, port) in case.parties.iter().zip(ports) {
        names.add(&format!("port of {}", party.name), port.to_string());
    }
    for (path, body) in &case.commands {
        let body = serde_json::from_str(&names.put_into(&body.to_string())).expect("JSON");
        let answer = switch.request("PUT", &names.put_into(path), Some(&body), &[]).expect("an answer");
        assert!(answer.status < 300, "PUT {path}: {} {}", answer.status, answer.text());
    }
    // Those who wait first.
    let waits = |party: &Party| party.script.trim_start().starts_with('<');
    let there = || (0..case.parties.len()).filter(|i| !case.parties[*i].script.is_empty());
    let order = there().filter(|i| waits(&case.parties[*i]));
    let order: Vec<usize> = order.chain(there().filter(|i| !waits(&case.parties[*i]))).collect();
    let mut running: Vec<Option<Sipp>> = case.parties.iter().map(|_| None).collect();
    for index in order {
        let party = &case.parties[index];
        if let Some((name, text)) = party.after {
            let other = case.parties.iter().position(|p| p.name == name).expect("that party");
            let other = running[other].as_ref().expect("that party has begun");
            other.wait_for_received(text, SOON);
            if party.script.contains("{replaces}") || party.script.contains("{replaces escaped}") {
                let dialog = wait_for("the dialog's two tags", SOON, || replaces(&other.messages()));
                names.add("replaces escaped", dialog.replace('@', "%40").replace(';', "%3B").replace('=', "%3D"));
                names.add("replaces", dialog);
            }
        }
        let (address, number) = match party.kind {
            PartyKind::Carrier => (NEAR, names.get("customer").to_owned()),
            PartyKind::Far | PartyKind::Server(_) => (FAR, "uas".to_owned()),
            PartyKind::Phone(who) | PartyKind::Line(who) => ("127.0.0.1", names.get(&who.to_string()).to_owned()),
        };
        let key = secret(&number);
        if let PartyKind::Phone(_) = party.kind {
            register(switch, &number, ports[index]);
        }
        let player = script::Player { number: &number, secret: &key };
        let text = names.put_into(&party.script);
        let xml = script::xml(&text, &player);
        let file = format!("{}{index}", party.name);
        let mut sipp = Sipp::scenario(folder, &file, &xml).address(address).port(ports[index]).argument("-recv_timeout");
        sipp = sipp.argument(8_000);
        if let Some(target) = script::authorized_target(&text) {
            sipp = sipp.argument("-auth_uri").argument(format!("{target}@{}", switch.sip()));
        }
        if party.over_tcp {
            sipp = sipp.over_tcp();
        }
        for argument in &party.arguments {
            sipp = sipp.argument(argument);
        }
        if !waits(party) {
            sipp = sipp.target(switch.sip());
        }
        let sipp = sipp.start();
        if waits(party) {
            sipp.wait_until_bound();
        }
        running[index] = Some(sipp);
    }
    let outcomes: Vec<(&str, Outcome)> =
        case.parties.iter().zip(running).filter_map(|(party, sipp)| Some((party.name, sipp?.finish(SOON)))).collect();
    let told = || -> String {
        outcomes.iter().map(|(name, o)| format!("---- {name}: {:?}\n{}\n{}\n", o.code, o.errors, o.messages)).collect()
    };
    assert!(outcomes.iter().all(|(_, outcome)| outcome.code == Some(0)), "{}", told());
    let missing = story_tells(&names, story, &case.events);
    assert!(missing.is_none(), "{}\n{}", missing.unwrap_or_default(), told());
}

/// Waits for the events; what is missing, or is there and should not be.
fn story_tells(names: &Names, story: &EventStream, wanted: &[String]) -> Option<String> {
    let wanted: Vec<String> = wanted.iter().map(|w| names.put_into(w)).collect();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let all = story.events();
        let calls: Vec<&str> =
            all.iter().filter(|e| !e.subject.is_empty() && names.in_event(e)).map(|e| e.subject.as_str()).collect();
        let own: Vec<&Event> = all.iter().filter(|e| names.in_event(e) || (calls.contains(&e.subject.as_str()))).collect();
        let mut left = own.iter();
        let missing = wanted.iter().filter(|w| !w.starts_with('!')).find(|w| !left.any(|e| is(e, w)));
        let told: String = own.iter().map(|e| format!("  {} {}\n", e.kind, e.data())).collect();
        let Some(missing) = missing else {
            let bad = wanted.iter().find(|w| w.strip_prefix('!').is_some_and(|w| own.iter().any(|e| is(e, w))));
            return bad.map(|bad| format!("there is a {}:\n{told}", &bad[1..]));
        };
        if Instant::now() > deadline {
            return Some(format!("no event {missing} (in this order):\n{told}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `call.ended cause=busy status=486`
fn is(event: &Event, wanted: &str) -> bool {
    let mut words = wanted.split(' ');
    let kind = words.next().unwrap_or_default();
    event.kind == kind
        && words.all(|word| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let told = &event.data()[name];
            told.as_str().map_or_else(|| told.to_string(), str::to_owned) == value
        })
}

/// `Call-ID;to-tag=…;from-tag=…` of the dialog that these messages are of (RFC 3891 §3), for who wants to take this party's place at the
/// switch: its own tag is the one that is not the switch's.
fn replaces(messages: &str) -> Option<String> {
    let last = |name: &str| {
        let is_of_dialog = |line: &&str| line.starts_with(name) && (name == "Call-ID:" || line.contains("tag="));
        messages.lines().rfind(is_of_dialog).unwrap_or_default().trim()
    };
    let tag = |line: &str| line.split("tag=").nth(1).unwrap_or_default().split([';', '>']).next().unwrap_or_default().to_owned();
    let (from, to) = (tag(last("From:")), tag(last("To:")));
    let call_id = last("Call-ID:").trim_start_matches("Call-ID:").trim();
    // SIPp's own tags have an m, from TAG of the scripts.
    let own_is_from = from.chars().all(|c| c.is_ascii_digit() || c == 'm') && from.contains('m');
    let (own, other) = if own_is_from { (from, to) } else { (to, from) };
    (!own.is_empty() && !other.is_empty()).then(|| format!("{call_id};to-tag={other};from-tag={own}"))
}

/// RFC 3261 §10.2, RFC 7616: as a phone does, from the port that it will listen on.
pub fn register(switch: &Cordboard, number: &str, port: u16) {
    let socket = UdpSocket::bind(("127.0.0.1", port)).expect("the phone's port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let uri = format!("sip:{}", switch.sip());
    let mut authorization = String::new();
    for cseq in 1..=2 {
        let request = format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKr{port}x{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:{number}@cordboard.test>;tag=r{port}\r\nTo: <sip:{number}@cordboard.test>\r\nCall-ID: register-{port}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:{number}@127.0.0.1:{port}>\r\nExpires: 300\r\n{authorization}Content-Length: 0\r\n\r\n"
        );
        socket.send_to(request.as_bytes(), switch.sip()).expect("sent");
        let mut buffer = [0; 4_000];
        let read = socket.recv(&mut buffer).expect("an answer to REGISTER");
        let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if answer.starts_with("SIP/2.0 200") {
            return;
        }
        let value = |name: &str| {
            let text = answer.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
            text.split('"').next().unwrap_or_default().to_owned()
        };
        let (realm, nonce) = (value("realm"), value("nonce"));
        assert!(!nonce.is_empty() && cseq == 1, "{answer}");
        let hash = |text: String| Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (one, two) = (hash(format!("{number}:{realm}:{}", secret(number))), hash(format!("REGISTER:{uri}")));
        let response = hash(format!("{one}:{nonce}:00000001:matrix:auth:{two}"));
        authorization = format!(
            "Authorization: Digest username=\"{number}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm=MD5, qop=auth, cnonce=\"matrix\", nc=00000001\r\n"
        );
    }
    panic!("{number} is not registered");
}
