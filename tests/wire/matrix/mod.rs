//! SIPp against the switch, as a matrix: what is done × the switch's role in it × how it ends. A [`Case`] names its section of an RFC, its
//! parties (each a SIPp with a script, see [`script`]) and the events that must come, in this order. All cases of a group share one switch;
//! each has numbers of its own there, so that they run side by side:
//!
//! - `{a}`, `{b}`, `{c}`: phones; `{customer}`: the number of who calls from the trunk `near`; `{line}`: dialled by it, rings at `{a}`;
//! - `{out}`: dialled by a phone, goes out by the trunks of the case's [`Case::far`] parties, in turn;
//! - `{switch}`: its address; `{port of NAME}`: where that party listens; `{replaces}`: the dialog of the party that this one begins after,
//!   and `{replaces escaped}`, as it stands in a URI.
//!
//! A party whose script is empty is not there. A case says something about events too: those that come, or one that does not.
//!
//! Each case says [`Case::without`] what it fails: all of it is played a second time with its feature taken away, by its configuration or by
//! a [`Relay`] between a party and the switch, and has to fail then. What was taken away is the only difference: the same relay stands
//! there the first time and takes nothing. Best is the configuration; then what a party says, so that the switch has another reason to say
//! something else. To take the very message away that is asserted proves only that it is looked for: for what has neither (a repeat, a
//! CANCEL, a 481).

#![allow(clippy::disallowed_methods, reason = "real programs run on the real clock")]

mod calls;
mod dialogs;
mod features;
mod nat;
mod registrar;
mod reliable;
pub mod script;
mod transfers;
mod trunks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::{look_for, wait_until};
use super::support::relay::Relay;
use super::support::sipp::{Outcome, Sipp};
use super::support::stream::{Event, EventStream};

const NEAR: &str = "127.0.0.2";
const FAR: &str = "127.0.0.3";
const SOON: Duration = Duration::from_secs(20);
/// Mostly they wait.
const AT_ONCE: usize = 4;
/// Without their features they wait for what does not come.
const AT_ONCE_WITHOUT: usize = 10;
/// How long a party waits for a message, and how long events are waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// A trunk elsewhere than the party `line`. Who is where a trunk is need not prove itself.
pub const STRANGER: &str = "[[trunk]]\nname = \"stranger{i}\"\npeer = \"127.0.0.9:{port of line}\"\nprobe = \"off\"\n";
/// A phone beside `9{i}77`, which is not there.
pub const NOBODY: &str = "[[phone]]\nnumber = \"9{i}78\"\nsecret = \"wrong\"\n";

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
    without: &'static str,
    /// How long a party waits for a message.
    patience: Duration,
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
    Case {
        name,
        section,
        role,
        ends,
        parties: Vec::new(),
        config: String::new(),
        commands: Vec::new(),
        events: Vec::new(),
        without: "",
        patience: PATIENCE,
    }
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

    /// A case that is about no call, and so has no event of its own: none begins.
    pub fn begins_no_call(mut self) -> Case {
        if self.events.is_empty() {
            self.events.push("!call.started".to_owned());
        }
        self
    }

    /// What takes the feature away, a line each; the case fails then. The line begins with:
    ///
    /// - a party's name: a rule of the [`Relay`] between it and the switch, `carrier < drop 482`;
    /// - `config`: other words in the case's configuration, `config outside = true => outside = false`;
    /// - `unset`: what the case has set by API is not;
    /// - `udp`: who speaks by TCP does not.
    pub fn without(mut self, lines: &'static str) -> Case {
        self.without = lines;
        self
    }

    /// Its parties wait so long for a message, and it is played beside all others, with its feature and without.
    pub fn lasts(mut self, patience: Duration) -> Case {
        self.patience = patience;
        self
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = self.without.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.split_once(' ').unwrap_or((line, "")))
    }

    /// A relay stands before this party.
    fn is_relayed(&self, party: &Party) -> bool {
        self.lines().any(|(name, _)| name == party.name)
    }
}

/// A case as it is played.
struct Play<'a> {
    case: &'a Case,
    names: Names,
    ports: Vec<u16>,
    without: bool,
}

/// Why a case failed: what its parties and the events say.
struct Failure(String);

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

/// Runs all cases of a group against one switch, with their features and then without, and says in a table how they went.
pub fn run(group: &str, site: Site, cases: Vec<Case>) {
    let unsaid: Vec<&str> = cases.iter().filter(|case| case.without.is_empty()).map(|case| case.name).collect();
    assert!(unsaid.is_empty(), "what do these fail without? {unsaid:#?}");
    let silent: Vec<&str> = cases.iter().filter(|case| case.events.is_empty()).map(|case| case.name).collect();
    assert!(silent.is_empty(), "what do the events say of these? {silent:#?}");
    assert_eq!(cases.iter().map(|case| case.name).collect::<BTreeSet<_>>().len(), cases.len(), "two cases of one name");
    let plays = [false, true].into_iter().flat_map(|without| cases.iter().map(move |case| (without, case)));
    let plays: Vec<Play<'_>> = plays
        .enumerate()
        .map(|(index, (without, case))| {
            let port = |party: &Party| match party.kind {
                PartyKind::Server(port) => port,
                PartyKind::Carrier | PartyKind::Phone(_) | PartyKind::Line(_) | PartyKind::Far => ports::port(),
            };
            Play { case, names: Names::of(index), ports: case.parties.iter().map(port).collect(), without }
        })
        .collect();
    // The same failures, twice as many, from the address of all phones.
    let mut site = site.for_many_calls().trunk("near", NEAR).with("[guard]\nban = \"0s\"\n");
    for play in &plays {
        site = site.with(&configuration(play));
    }
    let switch = site.start();
    let story = switch.events("since=0");
    let (with, without) = plays.split_at(cases.len());
    let stage = Stage { switch: &switch, story: &story, folder: site.folder().path() };
    let long = |play: &Play<'_>| play.case.patience > PATIENCE;
    let (long_with, long_without) = (with.iter().filter(|p| long(p)), without.iter().filter(|p| long(p)));
    let (mut went, mut went_without) = (BTreeMap::new(), BTreeMap::new());
    std::thread::scope(|scope| {
        let (stage, patient) = (&stage, |play: &Play<'_>| play.case.patience);
        let beside: Vec<_> = long_with.chain(long_without).map(|p| (p, scope.spawn(move || stage.play(p, patient(p))))).collect();
        went = stage.play_all(with.iter().filter(|p| !long(p)).collect(), AT_ONCE, patient);
        // What was quick with its feature need not be waited for much longer without it.
        let enough = |play: &Play<'_>| {
            let took = went.get(play.case.name).map_or(Duration::ZERO, |(_, took)| *took);
            PATIENCE.min(took + Duration::from_millis(700))
        };
        if !went.values().any(|(went, _)| went.is_err()) {
            if beside.is_empty() {
                wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
            }
            went_without = stage.play_all(without.iter().filter(|p| !long(p)).collect(), AT_ONCE_WITHOUT, enough);
        }
        for (play, thread) in beside {
            let end = thread.join().unwrap_or_else(|_| panic!("{}: no end", play.case.name));
            if play.without { &mut went_without } else { &mut went }.insert(play.case.name, end);
        }
    });
    let mut table = Table::new(group);
    let mut failed = Vec::new();
    for case in &cases {
        let Some((ended, took)) = went.remove(case.name) else { continue };
        let ended_without = went_without.remove(case.name).map(|(ended, _)| ended);
        let without = case.lines().map(|(what, rest)| format!("{what} {rest}")).collect::<Vec<_>>().join("; ");
        let without = if ended_without.is_some() { without } else { String::new() };
        table.line(ended.is_ok() && !matches!(ended_without, Some(Ok(()))), case, took, &without);
        if let Err(Failure(text)) = ended {
            failed.push(format!("==== {}\n{text}", case.name));
        }
        if let Some(Ok(())) = ended_without {
            failed.push(format!("==== {}\nit goes as well without its feature: {:?}", case.name, case.without));
        }
    }
    table.print();
    let table = table.text;
    assert!(failed.is_empty(), "{} of {} cases failed\n{}\n{table}", failed.len(), cases.len(), failed.join("\n"));
}

type Ended = (Result<(), Failure>, Duration);

/// Where cases are played.
struct Stage<'a> {
    switch: &'a Cordboard,
    story: &'a EventStream,
    folder: &'a Path,
}

impl Stage<'_> {
    fn play_all<'a>(
        &self,
        plays: Vec<&Play<'a>>,
        at_once: usize,
        patience: impl Fn(&Play<'_>) -> Duration + Sync,
    ) -> BTreeMap<&'a str, Ended> {
        let next = AtomicUsize::new(0);
        let ended = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(play) = plays.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let end = self.play(play, patience(play));
                        ended.lock().unwrap_or_else(PoisonError::into_inner).insert(play.case.name, end);
                    }
                });
            }
        });
        ended.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn play(&self, play: &Play<'_>, patience: Duration) -> Ended {
        let begun = Instant::now();
        let folder = self.folder.join(format!("case{}", play.names.get("i")));
        let _ = std::fs::create_dir_all(&folder);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| perform(play, self, &folder, patience)));
        let text = |fault: Box<dyn std::any::Any + Send>| {
            let text = fault.downcast_ref::<String>().cloned();
            text.or_else(|| fault.downcast_ref::<&str>().map(|t| (*t).to_owned())).unwrap_or_default()
        };
        let ended = ended.unwrap_or_else(|fault| match play.without {
            false => Err(Failure(text(fault))),
            // A fault of the test is no proof of anything.
            true => panic!("{}, without its feature: {}", play.case.name, text(fault)),
        });
        (ended, begun.elapsed())
    }
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

    fn line(&mut self, good: bool, case: &Case, time: Duration, without: &str) {
        let (went, ends) = (if good { "ok" } else { "FAILED" }, format!("{:?}", case.ends).to_lowercase());
        let Case { name, section, role, .. } = case;
        let _ = write!(self.text, "{went:6} {ends:7} {role:14} {section:32} {name} ({:.1} s)", time.as_secs_f64());
        let _ = if without.is_empty() { writeln!(self.text) } else { writeln!(self.text, " | fails without it: {without}") };
    }

    /// Something that went well, and did not where this was taken away.
    fn row(&mut self, name: &'static str, section: &'static str, role: &'static str, ends: Ends, begun: Instant, without: &str) {
        self.line(true, &case(name, section, role, ends), begun.elapsed(), without);
    }

    /// Nothing of it can be played here.
    fn skipped(&mut self, why: &str) {
        let _ = writeln!(self.text, "SKIPPED all of it: {why}");
    }

    /// To the run's output, and beside it.
    fn print(&self) {
        println!("{}", self.text);
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sipp-matrix-{}.txt", self.group));
        let _ = std::fs::write(beside, &self.text);
    }
}

/// Phones, the line, and where calls to the outside go.
fn configuration(play: &Play<'_>) -> String {
    let Play { case, names, ports, .. } = play;
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
    let put_ports = |text: String| {
        let all = case.parties.iter().zip(ports);
        all.fold(text, |text, (party, port)| text.replace(&format!("{{port of {}}}", party.name), &port.to_string()))
    };
    toml.push_str(&put_ports(case.config.clone()));
    toml = names.put_into(&toml);
    for (_, change) in case.lines().filter(|(what, _)| play.without && *what == "config") {
        let (old, new) = change.split_once(" =>").unwrap_or_else(|| panic!("{}: {change:?}", case.name));
        let new = new.strip_prefix(' ').unwrap_or(new);
        let [old, new] = [old, new].map(|words| names.put_into(&words.replace("\\n", "\n")));
        let (old, new) = (put_ports(old), put_ports(new));
        assert!(toml.contains(&old), "{}: no {old:?} in\n{toml}", case.name);
        toml = toml.replace(&old, &new);
    }
    toml
}

/// Plays a case to its end. A panic is a fault of the test, or of what it stands on.
fn perform(play: &Play<'_>, stage: &Stage<'_>, folder: &Path, patience: Duration) -> Result<(), Failure> {
    let Play { case, ports, without, .. } = play;
    let switch = stage.switch;
    let mut names = Names { all: play.names.all.clone() };
    names.add("switch", switch.sip().to_string());
    for (party, port) in case.parties.iter().zip(ports) {
        names.add(&format!("port of {}", party.name), port.to_string());
    }
    let taken_away = |what: &str| *without && case.lines().any(|(line, _)| line == what);
    for (path, body) in case.commands.iter().filter(|_| !taken_away("unset")) {
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
    let mut relays = Vec::new();
    for index in order {
        let party = &case.parties[index];
        if let Some((name, text)) = party.after {
            let other = case.parties.iter().position(|p| p.name == name).expect("that party");
            let other = running[other].as_ref().expect("that party has begun");
            let within = if *without { patience } else { SOON };
            let heard = look_for(within, || other.received().iter().any(|m| m.contains(text)).then_some(()));
            heard.ok_or_else(|| Failure(format!("{name} never receives {text:?}\n{}", other.messages())))?;
            if party.script.contains("{replaces}") || party.script.contains("{replaces escaped}") {
                let dialog = look_for(within, || replaces(&other.messages()));
                let dialog = dialog.ok_or_else(|| Failure(format!("no dialog's two tags\n{}", other.messages())))?;
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
        let (mut port, mut target) = (ports[index], switch.sip());
        if case.is_relayed(party) {
            let rules = case.lines().filter(|(name, _)| *without && *name == party.name).map(|(_, rule)| names.put_into(rule));
            let rules: Vec<String> = rules.collect();
            let outside = SocketAddr::new(address.parse().expect("address"), port);
            port = ports::port();
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            let relay = Relay::start(outside, SocketAddr::new(outside.ip(), port), switch.sip(), &rules);
            target = relay.inside();
            relays.push(relay);
        }
        let file = format!("{}{index}", party.name);
        let mut sipp = Sipp::scenario(folder, &file, &xml).address(address).port(port).argument("-recv_timeout");
        sipp = sipp.argument(patience.as_millis());
        let whose = script::authorized_target(&text).map(|target| format!("{target}@")).unwrap_or_default();
        sipp = sipp.argument("-auth_uri").argument(format!("{whose}{}", switch.sip()));
        if party.over_tcp && !taken_away("udp") {
            sipp = sipp.over_tcp();
        }
        for argument in &party.arguments {
            sipp = sipp.argument(argument);
        }
        if !waits(party) {
            sipp = sipp.target(target);
        }
        let sipp = sipp.start();
        if waits(party) {
            sipp.wait_until_bound();
        }
        running[index] = Some(sipp);
    }
    if *without {
        // Who waits for its first message waits for ever.
        let deadline = Instant::now() + 2 * patience + Duration::from_secs(1);
        loop {
            let codes: Vec<Option<i32>> = running.iter_mut().flatten().map(Sipp::code).collect();
            let fault = codes.iter().flatten().find(|code| !matches!(**code, 0 | 1));
            assert!(fault.is_none(), "SIPp itself: {fault:?}");
            if codes.contains(&Some(1)) || Instant::now() > deadline {
                return Err(Failure("a party".to_owned()));
            }
            if codes.iter().all(Option::is_some) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let within = SOON.max(3 * patience);
    let outcomes: Vec<(&str, Outcome)> =
        case.parties.iter().zip(running).filter_map(|(party, sipp)| Some((party.name, sipp?.finish(within)))).collect();
    let told = || -> String {
        outcomes.iter().map(|(name, o)| format!("---- {name}: {:?}\n{}\n{}\n", o.code, o.errors, o.messages)).collect()
    };
    if !outcomes.iter().all(|(_, outcome)| outcome.code == Some(0)) {
        return Err(Failure(told()));
    }
    let within = if *without { Duration::from_secs(2) } else { Duration::from_secs(5) };
    if case.events.iter().any(|event| event.starts_with('!')) {
        // Only who has read all that there is knows what is not there.
        let last = last_event(switch);
        let read = look_for(SOON, || stage.story.events().last().is_some_and(|e| e.sequence >= last).then_some(()));
        read.unwrap_or_else(|| panic!("the story goes on to {last}"));
    }
    match story_tells(&names, stage.story, &case.events, within) {
        Some(missing) => Err(Failure(format!("{missing}\n{}", told()))),
        None => Ok(()),
    }
}

/// The newest event's sequence number.
fn last_event(switch: &Cordboard) -> u64 {
    let metrics = switch.get("/metrics").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("cordboard_events_total "));
    line.and_then(|number| number.parse().ok()).expect("the number of events")
}

/// Waits for the events; what is missing, or is there and should not be.
fn story_tells(names: &Names, story: &EventStream, wanted: &[String], within: Duration) -> Option<String> {
    let wanted: Vec<String> = wanted.iter().map(|w| names.put_into(w)).collect();
    let deadline = Instant::now() + within;
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
