//! Every kind of client with every other one, at one switch: two desk phones on UDP, TCP and TLS each, two browsers on WebSocket. What
//! came of each pair is printed as a matrix.
//!
//! Pairs of which no client is in two talk at the same time; clients stay up from one to the next.

#![allow(clippy::disallowed_methods, reason = "real programs write their files by the real clock")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::browser::{Browser, Settings};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::process::{wait_for, wait_until};
use super::support::stream::{Event, EventStream};
use super::support::tones::Half;

const SOON: Duration = Duration::from_secs(30);

/// Half seconds of the other one's tone alone, until a phone counts as hearing it.
const HEARS: usize = 2;

/// Of the built-in music three tones of -23 dBFS sound together at most.
const LOUDEST_MUSIC_DB: f64 = -12.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    const fn label(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

const KINDS: [(&str, Transport); 6] = [
    ("baresip", Transport::Udp),
    ("baresip", Transport::Tcp),
    ("baresip", Transport::Tls),
    ("linphone", Transport::Udp),
    ("linphone", Transport::Tcp),
    ("linphone", Transport::Tls),
];
const BROWSERS: [(&str, &str); 2] = [("jssip", "ws"), ("sipjs", "wss")];
/// One a desk phone, none a multiple of another.
const TONES: [f64; 6] = [440.0, 1_000.0, 700.0, 550.0, 850.0, 1_250.0];

fn label(at: usize) -> String {
    match KINDS.get(at) {
        Some((name, transport)) => format!("{name}-{}", transport.label()),
        None => BROWSERS.get(at - KINDS.len()).map_or_else(String::new, |(name, transport)| format!("{name}-{transport}")),
    }
}

fn number(at: usize) -> String {
    format!("{}", 211 + at)
}

enum Client {
    Baresip(Baresip),
    Linphone(Linphone),
}

/// A desk phone and what it is at.
struct Phone {
    at: usize,
    client: Client,
    /// How to call through the switch, by this phone's transport.
    dials: String,
    /// When the newest call began, and where linphonec records it.
    begin: SystemTime,
    file: String,
    /// Of baresip: events before the newest call.
    before: BTreeMap<&'static str, usize>,
    /// Of linphonec: the newest call's id.
    call: u32,
}

/// Told apart by their names: linphonec records one file a call.
static RECORDED: AtomicU32 = AtomicU32::new(0);

impl Phone {
    fn start(site: &Site, switch: &Cordboard, at: usize) -> Phone {
        let (name, transport) = KINDS[at];
        let own = number(at);
        let server = if transport == Transport::Tls { site.tls() } else { switch.sip() };
        let client = if name == "baresip" {
            let builder = Baresip::phone(site.folder(), &own).tone(TONES[at]);
            let builder = match transport {
                Transport::Udp => builder,
                Transport::Tcp => builder.over_tcp(),
                Transport::Tls => builder.over_tls(),
            };
            Client::Baresip(builder.registrar(server, &secret(&own)).start())
        } else {
            let mut phone = Linphone::start(site.folder(), &own, TONES[at]);
            match transport {
                Transport::Udp => phone.register(&own, &server.to_string(), &secret(&own)),
                Transport::Tcp => phone.register_over_tcp(&own, &server.to_string(), &secret(&own)),
                Transport::Tls => phone.register_over_tls(&own, &server.to_string(), &secret(&own)),
            }
            Client::Linphone(phone)
        };
        switch.wait_for_registration(&own, SOON);
        let registered = switch.items("/api/v1/registrations").into_iter().find(|r| r["number"] == own);
        assert_eq!(registered.map(|r| r["transport"].clone()), Some(json!(transport.label())), "{}", label(at));
        // baresip adds its account's transport by itself.
        let dials = match client {
            Client::Baresip(_) => format!("@{server}"),
            Client::Linphone(_) => format!("@{server};transport={}", transport.label()),
        };
        let (begin, file) = (SystemTime::now(), String::new());
        Phone { at, client, dials, begin, file, before: BTreeMap::new(), call: 0 }
    }

    /// Before each call in which it has a part.
    fn expects_a_call(&mut self) {
        self.begin = SystemTime::now();
        match &mut self.client {
            Client::Baresip(phone) => {
                for kind in ["CALL_INCOMING", "CALL_RINGING", "CALL_ESTABLISHED", "CALL_CLOSED", "CALL_REMOTE_SDP"] {
                    self.before.insert(kind, phone.count(kind));
                }
            }
            Client::Linphone(phone) => {
                self.file = format!("heard-{}.wav", RECORDED.fetch_add(1, Ordering::Relaxed));
                phone.record(&self.file);
            }
        }
    }

    fn address(&self, to: &str) -> String {
        format!("sip:{to}{}", self.dials)
    }

    fn dial(&mut self, to: &str) {
        let address = self.address(to);
        match &mut self.client {
            Client::Baresip(phone) => phone.dial(&address),
            Client::Linphone(phone) => {
                phone.say(&format!("call {address}"));
                self.call = phone.expect_number("assigned id ", SOON);
            }
        }
    }

    fn after(&self, kind: &str, count: usize) -> usize {
        self.before.get(kind).copied().unwrap_or_default() + count
    }

    fn hears_it_ring(&mut self) {
        match &mut self.client {
            Client::Baresip(_) => self.wait_for("CALL_RINGING", 1),
            Client::Linphone(phone) => phone.expect("ringing.", SOON),
        }
    }

    fn rings(&mut self) {
        match &mut self.client {
            Client::Baresip(_) => self.wait_for("CALL_INCOMING", 1),
            Client::Linphone(phone) => {
                phone.expect("Receiving new incoming call", SOON);
                self.call = phone.expect_number("assigned id ", SOON);
            }
        }
    }

    fn wait_for(&mut self, kind: &str, count: usize) {
        let nth = self.after(kind, count);
        if let Client::Baresip(phone) = &self.client {
            phone.wait_for_nth(kind, nth, SOON);
        }
    }

    fn answer(&mut self) {
        match &mut self.client {
            Client::Baresip(phone) => phone.accept(),
            Client::Linphone(phone) => phone.say(&format!("answer {}", self.call)),
        }
        self.is_up();
    }

    fn is_up(&mut self) {
        match &mut self.client {
            Client::Baresip(_) => self.wait_for("CALL_ESTABLISHED", 1),
            Client::Linphone(phone) => phone.expect("connected.", SOON),
        }
    }

    /// This one's tone and nothing else, for a while.
    fn hears(&mut self, other: usize) {
        let what = format!("{} hears {}", label(self.at), label(other));
        wait_for(&what, SOON, || {
            let audio = match &self.client {
                Client::Baresip(phone) => phone.hears_since(self.begin),
                Client::Linphone(phone) => phone.hears_in(&self.file, &TONES),
            }?;
            let halves = audio.halves(0, &TONES);
            (halves.iter().filter(|half| half.is_only(other)).count() >= HEARS).then_some(())
        });
    }

    /// Each half second that it has heard since the newest call began.
    fn heard_so_far(&self) -> Vec<Half> {
        let all = match &self.client {
            Client::Baresip(phone) => phone.all_since(self.begin),
            Client::Linphone(phone) => phone.hears_in(&self.file, &TONES).into_iter().collect(),
        };
        all.iter().flat_map(|audio| audio.halves(0, &TONES)).collect()
    }

    /// As `hears`, after these half seconds.
    fn hears_again(&self, after: usize, other: usize) {
        wait_for(&format!("{} hears {} again", label(self.at), label(other)), SOON, || {
            let heard = self.heard_so_far();
            (heard.iter().skip(after).filter(|half| half.is_only(other)).count() >= HEARS).then_some(())
        });
    }

    /// On hold, after these half seconds: music or silence. Gives where it began; before it there is what was on its way.
    fn is_left_waiting(&self, after: usize, other: usize) -> usize {
        wait_for(&format!("{} hears {} no more", label(self.at), label(other)), SOON, || {
            let heard = self.heard_so_far();
            let quiet = heard.get(after..)?.windows(HEARS).position(|halves| halves.iter().all(Phone::is_of_a_hold))?;
            Some(after + quiet)
        })
    }

    /// Music or silence: both are far below the tones, which are at -6 dBFS.
    fn is_of_a_hold(half: &Half) -> bool {
        half.level_db < LOUDEST_MUSIC_DB && (0..TONES.len()).all(|tone| !half.is_only(tone))
    }

    fn hold(&mut self) {
        match &mut self.client {
            Client::Baresip(phone) => {
                self.before.insert("CALL_REMOTE_SDP", phone.count("CALL_REMOTE_SDP"));
                phone.hold();
                self.wait_for("CALL_REMOTE_SDP", 1);
            }
            Client::Linphone(phone) => {
                phone.say("pause");
                phone.expect("is now paused", SOON);
            }
        }
    }

    fn resume(&mut self) {
        match &mut self.client {
            Client::Baresip(phone) => {
                self.before.insert("CALL_REMOTE_SDP", phone.count("CALL_REMOTE_SDP"));
                phone.resume();
                self.wait_for("CALL_REMOTE_SDP", 1);
            }
            Client::Linphone(phone) => {
                phone.say(&format!("resume {}", self.call));
                phone.expect("Media streams established", SOON);
            }
        }
    }

    fn transfer(&mut self, to: &str) {
        let address = self.address(to);
        match &mut self.client {
            Client::Baresip(phone) => phone.transfer(&address),
            Client::Linphone(phone) => phone.say(&format!("transfer {} {address}", self.call)),
        }
    }

    fn hang_up(&mut self) {
        match &mut self.client {
            Client::Baresip(phone) => phone.hang_up(),
            Client::Linphone(phone) => phone.say("terminate"),
        }
    }

    /// `calls` of its calls are over.
    fn is_over(&mut self, calls: usize) {
        match &mut self.client {
            Client::Baresip(_) => self.wait_for("CALL_CLOSED", calls),
            Client::Linphone(phone) => (0..calls).for_each(|_| phone.expect(" ended", SOON)),
        }
    }
}

/// What a pair or a triple does; both sides of the story are asked.
struct Stage<'a> {
    switch: &'a Cordboard,
    story: &'a EventStream,
}

impl Stage<'_> {
    /// The calls of this one to that one, oldest first.
    fn between(events: &[Event], caller: usize, called: usize) -> Vec<String> {
        let (caller, called) = (number(caller), number(called));
        let is = |e: &&Event| e.kind == "call.started" && e.data()["phone"] == *caller && e.data()["called"] == *called;
        events.iter().filter(is).map(|event| event.subject.clone()).collect()
    }

    fn told(&self, call: &str, kind: &str) -> Event {
        self.story.wait_for(kind, SOON, |event| event.subject == call)
    }

    /// Up to where both hear each other.
    fn connect(&self, caller: &mut Phone, callee: &mut Phone) -> String {
        caller.expects_a_call();
        callee.expects_a_call();
        let before = Stage::between(&self.story.events(), caller.at, callee.at).len();
        caller.dial(&number(callee.at));
        callee.rings();
        caller.hears_it_ring();
        let what = format!("a call of {} to {}", label(caller.at), label(callee.at));
        let begun = |events: &[Event]| Stage::between(events, caller.at, callee.at).get(before).cloned();
        let call = self.story.wait_in_events(&what, SOON, begun);
        self.told(&call, "call.ringing");
        callee.answer();
        caller.is_up();
        self.told(&call, "call.bridged");
        caller.hears(callee.at);
        callee.hears(caller.at);
        call
    }

    /// Call, ring, answer, hear, hold, resume, hear again, hang up by the callee.
    fn talk(&self, caller: &mut Phone, callee: &mut Phone) {
        let call = self.connect(caller, callee);
        caller.hold();
        self.told(&call, "call.held");
        let quiet = callee.is_left_waiting(callee.heard_so_far().len(), caller.at);
        let held = callee.heard_so_far();
        assert!(held[quiet..].iter().all(Phone::is_of_a_hold), "{}: {:#?}", label(callee.at), &held[quiet..]);
        caller.resume();
        self.told(&call, "call.resumed");
        let (by_caller, by_callee) = (caller.heard_so_far().len(), callee.heard_so_far().len());
        // baresip 1.0 gets it, in the same stream and without a gap in its numbers, and decodes nothing more once it has held.
        if matches!(caller.client, Client::Linphone(_)) {
            caller.hears_again(by_caller, callee.at);
        }
        callee.hears_again(by_callee, caller.at);
        callee.hang_up();
        callee.is_over(1);
        caller.is_over(1);
        assert_eq!(self.told(&call, "call.ended").data()["cause"], "normal", "{} → {}", label(caller.at), label(callee.at));
    }

    /// `from` calls `by`, who sends it on to `to` by its own key.
    fn transfer_blind(&self, from: &mut Phone, by: &mut Phone, to: &mut Phone) {
        let call = self.connect(from, by);
        to.expects_a_call();
        by.transfer(&number(to.at));
        to.rings();
        to.answer();
        let outcome = |event: &Event| event.subject == call && event.data()["outcome"] == "completed";
        self.story.wait_for("call.transferred", SOON, outcome);
        to.hears(from.at);
        from.hears(to.at);
        to.hang_up();
        to.is_over(1);
        from.is_over(1);
        self.told(&call, "call.ended");
        by.is_over(1);
    }

    /// `from` calls `by`, who asks `to` first, and then joins the two: linphonec by itself, baresip by the API.
    fn transfer_attended(&self, from: &mut Phone, by: &mut Phone, to: &mut Phone) {
        let first = self.connect(from, by);
        let asked_about = by.call;
        by.hold();
        self.told(&first, "call.held");
        let second = self.connect(by, to);
        match &mut by.client {
            Client::Linphone(phone) => phone.say(&format!("transfer {asked_about} --to-call {}", by.call)),
            Client::Baresip(_) => {
                let path = format!("/api/v1/conversations/{first}/transfer");
                let answer = self.switch.post(&path, &json!({ "consultation": second }));
                assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.text());
            }
        }
        self.told(&first, "call.merged");
        self.told(&second, "call.ended");
        to.hears(from.at);
        from.hears(to.at);
        from.hang_up();
        from.is_over(1);
        to.is_over(1);
        self.told(&first, "call.ended");
        by.is_over(if matches!(by.client, Client::Linphone(_)) { 2 } else { 1 });
    }
}

fn open(site: &Site, at: usize) -> Browser {
    let (library, over) = BROWSERS[at - KINDS.len()];
    let (page, address) = if over == "wss" { ("https", site.https()) } else { ("http", site.http()) };
    let (user, secret) = (number(at), secret(&number(at)));
    let settings = Settings {
        library,
        page: format!("{page}://{address}/"),
        url: format!("{over}://{address}/sip"),
        user: &user,
        secret: &secret,
        tone: 400.0,
    };
    let mut browser = Browser::start(site.folder(), &settings);
    browser.wait_for("registered", SOON);
    browser
}

/// A desk phone's call rings in the browser, which declines it.
fn rings_in_a_browser(desk: &mut Phone, browser: &mut Browser, at: usize) {
    desk.expects_a_call();
    desk.dial(&number(at));
    assert_eq!(browser.wait_for("incoming", SOON), json!(number(desk.at)));
    desk.hears_it_ring();
    browser.tell("hangup", &[]);
    browser.wait_for(if BROWSERS[at - KINDS.len()].0 == "jssip" { "failed" } else { "ended" }, SOON);
    match &mut desk.client {
        Client::Baresip(_) => desk.wait_for("CALL_CLOSED", 1),
        Client::Linphone(phone) => phone.expect("error.", SOON),
    }
}

/// The browser calls a desk phone and hears it; both ways round is for [`browsers`](super::browsers).
fn calls_a_desk(browser: &mut Browser, desk: &mut Phone) {
    desk.expects_a_call();
    browser.tell("call", &[&number(desk.at)]);
    desk.rings();
    desk.answer();
    browser.wait_for("confirmed", SOON);
    browser.wait_to_hear(TONES[desk.at], SOON);
    browser.tell("hangup", &[]);
    desk.is_over(1);
}

/// It rings in the other one, and is given up.
fn rings_in_another(browser: &mut Browser, at: usize, other: usize) {
    browser.tell("call", &[&number(other)]);
    browser.wait_for("progress", SOON);
    browser.tell("hangup", &[]);
    browser.wait_for(if BROWSERS[at - KINDS.len()].0 == "jssip" { "failed" } else { "ended" }, SOON);
}

/// What came of it, for the matrix; whatever fails is known when all has been printed.
#[derive(Default)]
struct Outcomes {
    cells: BTreeMap<(String, String), &'static str>,
    failure: Option<Box<dyn std::any::Any + Send>>,
}

impl Outcomes {
    fn note(&mut self, row: String, column: String, good: &'static str, ended: std::thread::Result<()>) {
        let cell = match ended {
            Ok(()) => good,
            Err(why) => {
                self.failure.get_or_insert(why);
                "FAILED"
            }
        };
        self.cells.insert((row, column), cell);
    }

    fn table(&self, title: &str, rows: &[String], columns: &[String]) -> String {
        let mut table = format!("{title}\n");
        let cells = |row: &String| -> String {
            columns.iter().map(|c| format!("{:>14}", self.cells.get(&(row.clone(), c.clone())).copied().unwrap_or("-"))).collect()
        };
        let _ = writeln!(table, "{:14}{}", "", columns.iter().map(|c| format!("{c:>14}")).collect::<String>());
        for row in rows {
            let _ = writeln!(table, "{row:14}{}", cells(row));
        }
        table
    }

    fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

/// Five rounds in which each of six meets another one (the circle method); the way back is a round of its own, after all of these.
fn rounds() -> Vec<Vec<(usize, usize)>> {
    let round = |n: usize| -> Vec<(usize, usize)> {
        let seat = |i: usize| if i == 0 { 0 } else { 1 + (i - 1 + n) % 5 };
        (0..3).map(|i| (seat(i), seat(5 - i))).collect()
    };
    let there: Vec<Vec<(usize, usize)>> = (0..5).map(round).collect();
    let back = there.iter().map(|round| round.iter().map(|(a, b)| (*b, *a)).collect());
    there.iter().cloned().chain(back).collect()
}

/// Who sends on whose call to whom: each kind once in the middle, twice three at a time.
const TRIPLES: [[[usize; 3]; 2]; 3] = [[[1, 0, 3], [5, 4, 2]], [[3, 1, 5], [0, 2, 4]], [[2, 3, 1], [4, 5, 0]]];

fn guarded(act: impl FnOnce()) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(act))
}

#[test]
fn every_client_calls_every_other_one_and_a_matrix_says_what_came_of_it() {
    let all = KINDS.len() + BROWSERS.len();
    let site = (0..all).fold(Site::new("pairs").secure(), |site, at| site.phone(&number(at)));
    let switch = site.start();
    let story = switch.events("since=0");
    let stage = Stage { switch: &switch, story: &story };
    let (mut phones, browsers) = std::thread::scope(|threads| {
        let browsers: Vec<_> =
            (KINDS.len()..all).map(|at| (at, &site)).map(|(at, site)| threads.spawn(move || open(site, at))).collect();
        let phones: Vec<Option<Phone>> = (0..KINDS.len()).map(|at| Some(Phone::start(&site, &switch, at))).collect();
        let browsers: Vec<Browser> = browsers.into_iter().map(|b| b.join().unwrap_or_else(|why| resume_unwind(why))).collect();
        (phones, browsers)
    });
    let (mut calls, mut transfers) = (Outcomes::default(), Outcomes::default());

    for round in rounds() {
        let pairs: Vec<(Phone, Phone)> =
            round.iter().filter_map(|(a, b)| Some((phones[*a].take()?, phones[*b].take()?))).collect();
        let stage = &stage;
        let ended: Vec<_> = std::thread::scope(|threads| {
            let talking: Vec<_> = pairs
                .into_iter()
                .map(|(mut a, mut b)| threads.spawn(move || (guarded(|| stage.talk(&mut a, &mut b)), a, b)))
                .collect();
            talking.into_iter().map(|t| t.join().unwrap_or_else(|why| resume_unwind(why))).collect()
        });
        for (result, a, b) in ended {
            calls.note(label(a.at), label(b.at), "ok", result);
            let (at, bt) = (a.at, b.at);
            (phones[at], phones[bt]) = (Some(a), Some(b));
        }
        if calls.has_failed() {
            break;
        }
    }
    for (which, title) in ["blind", "attended"].into_iter().enumerate() {
        for round in TRIPLES {
            if calls.has_failed() || transfers.has_failed() {
                break;
            }
            let trios: Vec<[Phone; 3]> = round
                .iter()
                .filter_map(|[from, by, to]| Some([phones[*from].take()?, phones[*by].take()?, phones[*to].take()?]))
                .collect();
            let stage = &stage;
            let ended: Vec<_> = std::thread::scope(|threads| {
                let at_it: Vec<_> = trios
                    .into_iter()
                    .map(|[mut from, mut by, mut to]| {
                        threads.spawn(move || {
                            let result = guarded(|| match which {
                                0 => stage.transfer_blind(&mut from, &mut by, &mut to),
                                _ => stage.transfer_attended(&mut from, &mut by, &mut to),
                            });
                            (result, [from, by, to])
                        })
                    })
                    .collect();
                at_it.into_iter().map(|t| t.join().unwrap_or_else(|why| resume_unwind(why))).collect()
            });
            for (result, trio) in ended {
                let by_api = title == "attended" && matches!(trio[1].client, Client::Baresip(_));
                transfers.note(title.to_owned(), label(trio[1].at), if by_api { "ok by API" } else { "ok" }, result);
                for phone in trio {
                    let at = phone.at;
                    phones[at] = Some(phone);
                }
            }
        }
    }
    // One browser with one half of the desk phones at a time.
    let mut browsers: Vec<Browser> = browsers;
    for turn in 0..2 {
        if calls.has_failed() || transfers.has_failed() {
            break;
        }
        let (first, second) = phones.split_at_mut(KINDS.len() / 2);
        let halves = if turn == 0 { [first, second] } else { [second, first] };
        let ended: Vec<_> = std::thread::scope(|threads| {
            let at_it: Vec<_> = browsers
                .iter_mut()
                .zip(halves)
                .enumerate()
                .map(|(which, (browser, desks))| {
                    threads.spawn(move || {
                        let at = KINDS.len() + which;
                        let both = |desk: &mut Phone| {
                            let rung = guarded(|| rings_in_a_browser(desk, browser, at));
                            (desk.at, at, rung, guarded(|| calls_a_desk(browser, desk)))
                        };
                        desks.iter_mut().flatten().map(both).collect::<Vec<_>>()
                    })
                })
                .collect();
            at_it.into_iter().flat_map(|t| t.join().unwrap_or_else(|why| resume_unwind(why))).collect()
        });
        for (desk, at, rung, talked) in ended {
            calls.note(label(desk), label(at), "rings", rung);
            calls.note(label(at), label(desk), "hears", talked);
        }
    }
    for (which, browser) in browsers.iter_mut().enumerate() {
        if !calls.has_failed() && !transfers.has_failed() {
            let (at, other) = (KINDS.len() + which, KINDS.len() + 1 - which);
            calls.note(label(at), label(other), "rings", guarded(|| rings_in_another(browser, at, other)));
        }
    }

    let (everybody, desks) = ((0..all).map(label).collect::<Vec<_>>(), (0..KINDS.len()).map(label).collect::<Vec<_>>());
    let of_calls = calls.table(
        "caller (down) calls callee (across); ok: rings, answers, both hear, hold (music or silence), resume, both hear again (not a baresip that held), \
         hang up",
        &everybody,
        &everybody,
    );
    let of_transfers = transfers.table(
        "who transfers; ok: by its own key, and by API what its key can't: an attended one of baresip",
        &["blind".to_owned(), "attended".to_owned()],
        &desks,
    );
    // To the run's output, and beside it.
    let matrix = format!("{of_calls}\n{of_transfers}");
    println!("\n{matrix}");
    let _ = std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("client-matrix.txt"), matrix);
    if let Some(why) = calls.failure.or(transfers.failure) {
        resume_unwind(why);
    }
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}
