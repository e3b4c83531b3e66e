//! Menus from their text: what is refused, and what a caller lives through.

mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::expression::{Name, Value, World};
use super::session::{Action, Arriving, Deposit, Event, Session};
use super::{Graph, check_all, graphs};
use crate::clock::{Mono, Now, Wall};
use crate::config::{Config, File, Place, Source};

const MAIN: &str = "
site = { name = 'Test', domain = 'cordboard.example', time_zone = 'Europe/Berlin', country = 'DE' }
[[phone]]
number = '201'
secret = 's'
voicemail = true
pin = '4711'
[[queue]]
name = 'support'
number = '601'
voicemail = true
pin = '4711'
[[extension]]
number = '600'
to = 'menu:main'
[[trunk]]
name = 'carrier'
peer = '192.0.2.1'
[[outbound]]
pattern = '0*'
trunk = ['carrier']
";

fn source(menus: &[(&str, &str)]) -> Source {
    let mut source = Source::of(MAIN);
    let file = |(name, text): &(&str, &str)| File { path: format!("menus/{name}.toml").into(), text: (*text).to_owned() };
    source.menus = menus.iter().map(file).collect();
    let words = ["welcome", "closed", "sorry", "number", "no-voicemail", "bye"];
    source.prompts = ["de", "en", "uk"].iter().flat_map(|l| words.iter().map(move |w| format!("{l}/{w}"))).collect();
    source.prompts.retain(|p| p != "uk/closed");
    source
}

fn problems(menus: &[(&str, &str)]) -> Vec<String> {
    check_all(&source(menus)).iter().map(ToString::to_string).collect()
}

/// Faults of a menu `main` whose head takes lines 1 to 3 and whose nodes begin in line 4.
fn faults(nodes: &str) -> Vec<String> {
    let text = format!("name = 'main'\nlanguage = 'en'\nstart = 'top'\n{nodes}");
    problems(&[("main", &text)]).into_iter().map(|p| p.replace("menus/main.toml:", "")).collect()
}

fn graph(nodes: &str) -> Arc<Graph> {
    let text = format!("name = 'main'\nlanguage = 'en'\nstart = 'top'\n{nodes}");
    let source = source(&[("main", &text)]);
    let config = Config::resolve(&source).expect("configuration");
    graphs(&config).unwrap_or_else(|p| panic!("{}", p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))["main"]
        .clone()
}

/// What menus ask for.
#[derive(Default)]
struct Around(BTreeMap<Name, Value>);

impl World for Around {
    fn value(&self, name: &Name) -> Option<Value> {
        self.0.get(name).cloned()
    }
}

/// A caller on virtual time.
struct Caller {
    session: Session,
    now: Now,
    world: Around,
    said: Vec<Action>,
}

impl Caller {
    fn at(nodes: &str, wall: &str) -> Self {
        Caller::within(nodes, wall, Around::default())
    }

    fn within(nodes: &str, wall: &str, world: Around) -> Self {
        let now = Now { mono: Mono::ZERO, wall: Wall::parse_rfc3339(wall).unwrap() };
        let mut said = Vec::new();
        let session = Session::start(graph(nodes), Arriving::default(), now, &world, &mut said);
        Caller { session, now, world, said }
    }

    fn of(nodes: &str) -> Self {
        Caller::at(nodes, "2026-11-20T12:00:00Z")
    }

    fn event(&mut self, event: Event) -> Vec<String> {
        self.said.clear();
        self.session.handle(event, self.now, &self.world, &mut self.said);
        self.said()
    }

    fn waits(&mut self, seconds: u64) -> Vec<String> {
        self.now = self.now + Duration::from_secs(seconds);
        self.event(Event::Deadline)
    }

    fn said(&self) -> Vec<String> {
        self.said.iter().map(print).collect()
    }
}

fn print(action: &Action) -> String {
    match action {
        Action::Play { prompts } => format!("play {}", prompts.join(" ")),
        Action::Announce { prompt } => format!("announce {prompt}"),
        Action::StopPlay => "stop".to_owned(),
        Action::Entered { node } => format!("entered {node}"),
        Action::Digit { node, digit } => format!("digit {node} {}", digit.unwrap_or('?')),
        Action::Left { node, to } => format!("left {node} {to}"),
        Action::Language(language) => format!("language {language}"),
        Action::Deposit { mailbox, greeting, back } => {
            format!("deposit {mailbox} [{}]{}", greeting.join(" "), if *back { " back" } else { "" })
        }
        Action::Lookup { request } => {
            format!("lookup {} {} {}", request.method, request.url, request.body.clone().unwrap_or_default())
        }
        Action::LookedUp { node, outcome, took } => format!("looked up {node} {outcome} {}", took.as_millis()),
        Action::Surveyed { question, score, scale } => format!("surveyed {question} {score}/{scale}"),
        Action::Go(place) => format!("go {place}"),
        Action::Stuck { node } => format!("stuck {node}"),
    }
}

const MENU: &str = "[node.top]
kind = 'menu'
prompt = 'welcome'
invalid_prompt = 'sorry'
timeout = '5s'
retries = 1
digits = { 1 = 'queue:support', 2 = 'node:closed', '*' = 'menu:main' }
on_retries_used = 'node:closed'
[node.closed]
kind = 'play'
prompt = 'closed'
next = 'hangup'
";

#[test]
fn a_key_leads_where_the_menu_says_and_stops_the_prompt() {
    let mut caller = Caller::of(MENU);
    assert_eq!(caller.said(), ["entered top", "play en/welcome"]);
    assert_eq!(caller.event(Event::Digit('1')), ["stop", "digit top 1", "left top queue:support", "go queue:support"]);
    assert!(caller.session.ended() && caller.session.deadline().is_none());
    assert_eq!(caller.event(Event::Digit('1')), [""; 0]);
}

#[test]
fn the_caller_s_time_begins_when_the_prompt_has_ended() {
    let mut caller = Caller::of(MENU);
    assert_eq!(caller.waits(30), [""; 0], "a long prompt is no silence of the caller's");
    assert_eq!(caller.event(Event::PlayEnded), [""; 0]);
    assert_eq!(caller.session.deadline(), Some(caller.now.mono + Duration::from_secs(5)));
    assert_eq!(caller.waits(4), [""; 0]);
    assert_eq!(caller.waits(1), ["play en/welcome"]);
    assert_eq!(caller.event(Event::PlayEnded), [""; 0]);
    assert_eq!(caller.waits(5), ["left top node:closed", "entered closed", "play en/closed"]);
    assert_eq!(caller.event(Event::PlayEnded), ["left closed hangup", "go hangup"]);
}

#[test]
fn a_wrong_key_is_said_and_the_question_asked_again_until_retries_are_used() {
    let mut caller = Caller::of(MENU);
    assert_eq!(caller.event(Event::Digit('7')), ["stop", "digit top 7", "play en/sorry en/welcome"]);
    caller.event(Event::PlayEnded);
    assert_eq!(caller.event(Event::Digit('#')), ["digit top #", "left top node:closed", "entered closed", "play en/closed"]);
    assert_eq!(caller.event(Event::Digit('1')), [""; 0], "an announcement is heard to its end");
}

#[test]
fn without_barge_in_keys_wait_for_the_end_of_the_prompt() {
    let mut caller = Caller::of(&MENU.replace("retries = 1", "retries = 1\nbarge_in = false"));
    assert_eq!(caller.event(Event::Digit('1')), [""; 0]);
    caller.event(Event::PlayEnded);
    assert_eq!(caller.event(Event::Digit('1')).last().unwrap(), "go queue:support");
}

#[test]
fn exits_for_silence_and_wrong_keys_are_taken_at_once() {
    let menu = MENU.replace("retries = 1", "on_timeout = 'phone:201'\non_invalid = 'queue:support'");
    let mut caller = Caller::of(&menu);
    assert_eq!(caller.event(Event::Digit('9')).last().unwrap(), "go queue:support");
    let mut caller = Caller::of(&menu);
    caller.event(Event::PlayEnded);
    assert_eq!(caller.waits(5), ["left top phone:201", "go phone:201"]);
}

#[test]
fn what_is_no_key_is_passed_over() {
    let mut caller = Caller::of(MENU);
    for c in ['x', '\0', 'é', ' ', 'E'] {
        assert_eq!(caller.event(Event::Digit(c)), [""; 0]);
    }
    assert_eq!(caller.event(Event::Digit('a')), ["stop", "digit top A", "play en/sorry en/welcome"]);
}

const COLLECT: &str = "[node.top]
kind = 'collect'
prompt = 'number'
min = 2
max = 4
store = 'account'
exact = { 0000 = 'queue:support' }
goto = 'number:{digits}'
retries = 1
on_retries_used = 'node:twice'
[node.twice]
kind = 'go'
to = 'number:0{account}'
";

#[test]
fn digits_end_with_the_terminator_with_their_number_or_with_a_pause() {
    let mut caller = Caller::of(COLLECT);
    assert_eq!(caller.event(Event::Digit('3')), ["stop", "digit top 3"]);
    caller.event(Event::Digit('0'));
    assert_eq!(caller.event(Event::Digit('#')), ["digit top #", "left top number:30", "go number:30"]);

    let mut caller = Caller::of(COLLECT);
    for key in "301".chars() {
        caller.event(Event::Digit(key));
    }
    assert_eq!(caller.event(Event::Digit('2')).last().unwrap(), "go number:3012");

    let mut caller = Caller::of(COLLECT);
    caller.event(Event::Digit('3'));
    caller.event(Event::Digit('1'));
    assert_eq!(caller.waits(3), ["left top number:31", "go number:31"]);

    let mut caller = Caller::of(COLLECT);
    for key in "000".chars() {
        caller.event(Event::Digit(key));
    }
    assert_eq!(caller.event(Event::Digit('0')).last().unwrap(), "go queue:support");
}

#[test]
fn a_star_begins_the_digits_anew_and_too_few_are_wrong() {
    let mut caller = Caller::of(COLLECT);
    for key in "12*34".chars() {
        caller.event(Event::Digit(key));
    }
    assert_eq!(caller.event(Event::Digit('#')).last().unwrap(), "go number:34");

    let mut caller = Caller::of(COLLECT);
    caller.event(Event::Digit('1'));
    assert_eq!(caller.waits(3), ["play en/number"]);
    caller.event(Event::PlayEnded);
    assert_eq!(caller.waits(5), ["left top node:twice", "entered twice", "stuck twice"], "nothing was stored to dial");
}

#[test]
fn masked_digits_are_in_no_event_but_in_the_place() {
    let mut caller = Caller::of(&COLLECT.replace("retries = 1", "retries = 1\nmask = true"));
    assert_eq!(caller.event(Event::Digit('4')), ["stop", "digit top ?"]);
    caller.event(Event::Digit('5'));
    assert_eq!(caller.event(Event::Digit('#')), ["digit top ?", "left top number:{digits}", "go number:45"]);
}

const HOURS: &str = "[node.top]
kind = 'hours'
week = { mon-fri = '09:00-17:00' }
holidays = ['12-25']
open = 'node:ask'
closed = 'node:closed'
holiday = 'node:mailbox'
[node.ask]
kind = 'menu'
prompt = 'welcome'
digits = { 1 = 'node:german', 2 = 'voicemail:201' }
[node.german]
kind = 'language'
set = 'de'
next = 'queue:support'
[node.closed]
kind = 'hangup'
prompt = 'closed'
[node.mailbox]
kind = 'voicemail'
mailbox = '201'
";

#[test]
fn a_caller_can_be_sent_to_be_called_back() {
    let mut source = HOURS.replace("2 = 'voicemail:201'", "2 = 'node:back'");
    source.push_str("[node.back]\nkind = 'callback'\nqueue = 'support'\n");
    let mut caller = Caller::at(&source, "2026-11-20T12:00:00Z");
    let went = caller.event(Event::Digit('2'));
    assert_eq!(went[..2], ["stop", "digit ask 2"]);
    assert_eq!(went[2..], ["left ask node:back", "entered back", "left back callback:support", "go callback:support"]);
}

#[test]
fn opening_hours_pick_the_way() {
    let open = Caller::at(HOURS, "2026-11-20T12:00:00Z");
    assert_eq!(open.said(), ["entered top", "left top node:ask", "entered ask", "play en/welcome"]);
    let mut closed = Caller::at(HOURS, "2026-11-21T12:00:00Z");
    assert_eq!(closed.said().last().unwrap(), "play en/closed");
    assert_eq!(closed.event(Event::PlayEnded), ["left closed hangup", "go hangup"]);
    let mut holiday = Caller::at(HOURS, "2026-12-25T12:00:00Z");
    assert_eq!(holiday.said()[2..], ["entered mailbox", "left mailbox voicemail:201", "deposit 201 []"]);
    assert!(holiday.session.ended() && holiday.event(Event::PlayEnded).is_empty());
}

const LEFT: Event = Event::Deposited(Deposit::Over { by_key: false });

const DEPOSIT: &str = "[node.top]
kind = 'voicemail'
mailbox = 'queue:support'
prompt = 'sorry'
next = 'node:more'
full = 'node:full'
[node.more]
kind = 'menu'
prompt = 'number'
digits = { 1 = 'node:top', 2 = 'hangup' }
[node.full]
kind = 'hangup'
prompt = 'no-voicemail'
";

#[test]
fn a_message_is_left_on_the_way() {
    let mut caller = Caller::of(DEPOSIT);
    assert_eq!(caller.said(), ["entered top", "deposit 601 [en/sorry] back"]);
    assert_eq!(caller.session.deadline(), None);
    assert!(caller.event(Event::Digit('1')).is_empty() && caller.event(Event::PlayEnded).is_empty());
    assert_eq!(caller.event(LEFT), ["left top node:more", "entered more", "play en/number"]);
    assert!(caller.event(LEFT).is_empty(), "none was asked for");
    assert_eq!(caller.event(Event::Digit('1')).last().unwrap(), "deposit 601 [en/sorry] back");
    let full = caller.event(Event::Deposited(Deposit::Full));
    assert_eq!(full, ["left top node:full", "entered full", "play en/no-voicemail"]);
}

#[test]
fn who_finds_no_room_in_a_mailbox_hears_so_and_goes_on() {
    let without_full = DEPOSIT.replace("full = 'node:full'\n", "").split("[node.full]").next().unwrap().to_owned();
    let mut caller = Caller::of(&without_full);
    assert_eq!(caller.event(Event::Deposited(Deposit::Full)), ["announce no-voicemail"]);
    assert!(caller.session.deadline().is_some() && caller.event(Event::Digit('1')).is_empty());
    assert_eq!(caller.event(Event::PlayEnded), ["left top node:more", "entered more", "play en/number"]);
    // Where nothing follows, it is the end.
    let mut caller = Caller::of(
        "[node.top]\nkind = 'voicemail'\nmailbox = '601'\nfull = 'node:full'\n[node.full]\nkind = 'hangup'\nprompt = 'no-voicemail'\n",
    );
    assert_eq!(caller.event(LEFT), ["left top hangup", "go hangup"]);
}

#[test]
fn nobody_goes_round_by_a_mailbox_or_from_menu_to_menu_for_ever_without_a_key() {
    let round = "[node.top]\nkind = 'menu'\nprompt = 'welcome'\nretries = 0\ntimeout = '5s'\ndigits = { 1 = 'hangup' }\n\
        on_retries_used = 'node:message'\n[node.message]\nkind = 'voicemail'\nmailbox = '601'\nnext = 'node:top'\n";
    let rounds = |by_key: bool| {
        let mut caller = Caller::of(round);
        let mut goes_on = || {
            caller.event(Event::PlayEnded);
            caller.waits(5);
            caller.event(Event::Deposited(Deposit::Over { by_key })).iter().any(|action| action == "entered top")
        };
        (0..1_000).take_while(|_| goes_on()).count()
    };
    assert_eq!((rounds(false), rounds(true)), (49, 1_000), "a key says that somebody is there");

    let caller = Caller::of(MENU);
    let mut out = Vec::new();
    let after = |steps_without_key| Arriving { steps_without_key, ..Arriving::default() };
    let next = Session::start(graph(MENU), after(99), caller.now, &caller.world, &mut out);
    assert!(!next.ended() && next.steps_without_key() == 100);
    let next = Session::start(graph(MENU), after(next.steps_without_key()), caller.now, &caller.world, &mut out);
    assert!(next.ended() && matches!(out.last(), Some(Action::Stuck { .. })));
}

#[test]
fn a_chosen_language_is_told_and_goes_along() {
    let mut caller = Caller::of(HOURS);
    let said = caller.event(Event::Digit('1'));
    assert_eq!(
        said[1..],
        ["digit ask 1", "left ask node:german", "entered german", "language de", "left german queue:support", "go queue:support"]
    );
    assert_eq!(caller.session.language(), "de");

    let mut out = Vec::new();
    let german = Arriving { language: Some("de".to_owned()), ..Arriving::default() };
    Session::start(graph(MENU), german, caller.now, &caller.world, &mut out);
    assert_eq!(print(&out[1]), "play de/welcome");
}

#[test]
fn a_key_pressed_ahead_answers_the_next_question() {
    let nodes = "[node.top]\nkind = 'play'\nprompt = 'welcome'\nbarge_in = true\nnext = 'node:more'\n[node.more]\nkind = 'play'\n\
                 prompt = 'closed'\nbarge_in = true\nnext = 'node:ask'\n[node.ask]\nkind = 'menu'\nprompt = 'number'\ndigits = { 1 = 'hangup' }\n";
    let mut caller = Caller::of(nodes);
    assert_eq!(
        caller.event(Event::Digit('1')),
        [
            "stop",
            "left top node:more",
            "entered more",
            "left more node:ask",
            "entered ask",
            "digit ask 1",
            "left ask hangup",
            "go hangup"
        ]
    );
}

#[test]
fn a_prompt_whose_end_never_comes_is_given_up() {
    let mut caller = Caller::of(MENU);
    assert_eq!(caller.waits(600), ["stop"]);
    assert_eq!(caller.waits(5), ["play en/welcome"]);
}

#[test]
fn a_caller_who_never_presses_a_key_does_not_go_round_for_ever() {
    let nodes = "[node.top]\nkind = 'menu'\nprompt = 'welcome'\ndigits = { 1 = 'hangup' }\non_timeout = 'node:top'\n";
    let mut caller = Caller::of(nodes);
    for round in 0..200 {
        caller.event(Event::PlayEnded);
        if caller.waits(5).last().is_some_and(|s| s == "stuck top") {
            assert_eq!(round, 99);
            assert!(caller.session.ended());
            return;
        }
    }
    panic!("still going round");
}

/// Every state meets every event; what each answers is written here, so that a change is seen.
#[test]
fn every_state_knows_every_event() {
    let announcing = "[node.top]\nkind = 'play'\nprompt = 'welcome'\nnext = 'hangup'\n";
    let interruptible = "[node.top]\nkind = 'play'\nprompt = 'welcome'\nbarge_in = true\nnext = 'hangup'\n";
    type Reached = (&'static str, fn(&mut Caller), &'static str, [(Event, u64, &'static [&'static str]); 3]);
    let table: Vec<Reached> = vec![
        (
            announcing,
            |_| {},
            "announcing",
            [
                (Event::PlayEnded, 0, &["left top hangup", "go hangup"]),
                (Event::Digit('1'), 0, &[]),
                (Event::Deadline, 600, &["stop", "left top hangup", "go hangup"]),
            ],
        ),
        (
            interruptible,
            |_| {},
            "announcing, barge-in",
            [
                (Event::PlayEnded, 0, &["left top hangup", "go hangup"]),
                (Event::Digit('1'), 0, &["stop", "left top hangup", "go hangup"]),
                (Event::Deadline, 600, &["stop", "left top hangup", "go hangup"]),
            ],
        ),
        (
            MENU,
            |_| {},
            "asking",
            [
                (Event::PlayEnded, 0, &[]),
                (Event::Digit('1'), 0, &["stop", "digit top 1", "left top queue:support", "go queue:support"]),
                (Event::Deadline, 600, &["stop"]),
            ],
        ),
        (
            MENU,
            |caller| drop(caller.event(Event::PlayEnded)),
            "awaiting",
            [
                (Event::PlayEnded, 0, &[]),
                (Event::Digit('1'), 0, &["digit top 1", "left top queue:support", "go queue:support"]),
                (Event::Deadline, 5, &["play en/welcome"]),
            ],
        ),
        (
            COLLECT,
            |caller| drop(caller.event(Event::Digit('1'))),
            "awaiting, digits",
            [(Event::PlayEnded, 0, &[]), (Event::Digit('1'), 0, &["digit top 1"]), (Event::Deadline, 3, &["play en/number"])],
        ),
        (
            MENU,
            |caller| drop(caller.event(Event::Digit('1'))),
            "ended",
            [(Event::PlayEnded, 0, &[]), (Event::Digit('1'), 0, &[]), (Event::Deadline, 600, &[])],
        ),
    ];
    for (nodes, reach, state, pairs) in table {
        for (event, after, expected) in pairs {
            let mut caller = Caller::of(nodes);
            reach(&mut caller);
            assert_eq!(caller.event(Event::Deadline), [""; 0], "{state}: a deadline that has not come");
            caller.now = caller.now + Duration::from_secs(after);
            assert_eq!(caller.event(event.clone()), expected, "{state} {event:?}");
            assert_eq!(caller.session.deadline().is_none(), caller.session.ended(), "{state} {event:?}");
        }
    }
}

/// Nodes, and what is said about them.
const REFUSED: &[(&str, &str)] = &[
    ("", "1: there is no node; write [node.top]"),
    ("[node.x]\nkind = 'hangup'\n", "3: there is no node `top`; there is x"),
    ("[node.top]\nprompt = 'welcome'\n", "4: node `top` has no kind"),
    ("[node.top]\nkind = 'voicemail'\n", "4: missing field `mailbox`"),
    ("[node.top]\nkind = 'voicemail'\nmailbox = '202'\n", "6: node `top`: there is no mailbox `202`; there is 201, 601"),
    ("[node.top]\nkind = 'voicemail'\nmailbox = 'queue:sales'\n", "6: node `top`: there is no mailbox `queue:sales`"),
    ("[node.top]\nkind = 'voicemail'\nmailbox = '201'\nprompt = 'nope'\n", "7: node `top`: prompt `nope` is missing in `en`"),
    ("[node.top]\nkind = 'voicemail'\nmailbox = '201'\nnext = 'node:top'\n", "4: node `top`: callers would go round"),
    ("[node.top]\nkind = 'sing'\n", "5: node `top`: `sing` is no kind of node"),
    ("[node.top]\nkind = 'play'\nprompt = 'welcome'\n", "4: missing field `next`"),
    ("[node.top]\nkind = 'hangup'\nvolume = 3\n", "6: unknown field `volume`"),
    ("[node.top]\nkind = 'play'\nprompt = 'welcom'\nnext = 'hangup'\n", "6: node `top`: prompt `welcom` is missing in `en`"),
    ("[node.top]\nkind = 'play'\nprompt = 'fr/welcome'\nnext = 'hangup'\n", "6: node `top`: prompt `welcome` is missing in `fr`"),
    ("[node.top]\nkind = 'play'\nprompt = '../welcome'\nnext = 'hangup'\n", "6: prompt: `../welcome` is no prompt"),
    ("[node.top]\nkind = 'play'\nprompt = []\nnext = 'hangup'\n", "6: prompt: there must be 1 to 16 prompts"),
    ("[node.top]\nkind = 'go'\nto = 'node:nowhere'\n", "6: node `top`: there is no node `nowhere`; there is top"),
    ("[node.top]\nkind = 'go'\nto = 'menu:nowhere'\n", "6: node `top`: there is no menu `nowhere`; there is main"),
    ("[node.top]\nkind = 'go'\nto = 'queue:nowhere'\n", "6: node `top`: there is no queue `nowhere`; there is support"),
    ("[node.top]\nkind = 'callback'\nqueue = 'nowhere'\n", "6: node `top`: there is no queue `nowhere`; there is support"),
    ("[node.top]\nkind = 'go'\nto = 'callback:x'\n", "6: node `top`: there is no queue `x`; there is support"),
    ("[node.top]\nkind = 'go'\nto = 'phone:299'\n", "6: node `top`: there is no phone `299`; there is 201"),
    ("[node.top]\nkind = 'go'\nto = 'number:49'\n", "6: node `top`: `49` cannot be dialled"),
    ("[node.top]\nkind = 'go'\nto = 'number:{account}'\n", "6: node `top`: nothing stores `{account}` before a caller gets here"),
    ("[node.top]\nkind = 'go'\nto = 'nowhere'\n", "6: to: `nowhere` is not a place to go"),
    ("[node.top]\nkind = 'hangup'\n[node.lost]\nkind = 'hangup'\n", "6: node `lost`: nobody gets to this node"),
    (
        "[node.top]\nkind = 'play'\nprompt = 'welcome'\nnext = 'node:top'\n",
        "4: node `top`: callers would go round without being asked: top",
    ),
    (
        "[node.top]\nkind = 'go'\nto = 'node:b'\n[node.b]\nkind = 'go'\nto = 'node:top'\n",
        "7: node `b`: callers would go round without being asked: b, top",
    ),
    ("[node.top]\nkind = 'go'\nto = 'menu:main'\n", "4: node `top`: callers would go round without being asked: main/top"),
    ("[node.top]\nkind = 'go'\nto = 'number:600'\n", "4: node `top`: callers would go round without being asked: main/top"),
    ("[node.top]\nkind = 'menu'\nprompt = 'welcome'\ndigits = {}\n", "7: node `top`: digits leads nowhere"),
    ("[node.top]\nkind = 'menu'\nprompt = 'welcome'\ndigits = { 12 = 'hangup' }\n", "7: node `top`: `12` is no key"),
    ("[node.top]\nkind = 'menu'\nprompt = 'welcome'\ndigits = { 1 = 'queue:x' }\n", "7: node `top`: there is no queue `x`"),
    ("[node.top]\nkind = 'menu'\nprompt = 'welcome'\nretries = 11\ndigits = { 1 = 'hangup' }\n", "7: node `top`: retries is 11"),
    (
        "[node.top]\nkind = 'menu'\nprompt = 'welcome'\ntimeout = '0s'\ndigits = { 1 = 'hangup' }\n",
        "7: node `top`: timeout must be longer",
    ),
    ("[node.top]\nkind = 'collect'\nprompt = 'number'\n", "6: node `top`: digits lead nowhere"),
    (
        "[node.top]\nkind = 'collect'\nprompt = 'number'\nmin = 4\nmax = 2\ngoto = 'hangup'\n",
        "8: node `top`: min is 4, but max is 2",
    ),
    (
        "[node.top]\nkind = 'collect'\nprompt = 'number'\nmax = 2\nexact = { 123 = 'hangup' }\n",
        "8: node `top`: `123` can never be keyed",
    ),
    (
        "[node.top]\nkind = 'collect'\nprompt = 'number'\nterminator = '5'\ngoto = 'hangup'\n",
        "7: node `top`: `5` cannot end digits",
    ),
    (
        "[node.top]\nkind = 'collect'\nprompt = 'number'\nstore = 'a b'\ngoto = 'hangup'\n",
        "7: node `top`: `a b` is no name to store under",
    ),
    ("[node.top]\nkind = 'language'\nset = 'fr'\nnext = 'hangup'\n", "6: node `top`: there are no prompts in `fr`"),
    (
        "[node.top]\nkind = 'language'\nset = 'uk'\nnext = 'node:b'\n[node.b]\nkind = 'hangup'\nprompt = 'closed'\n",
        "10: node `b`: prompt `closed` is missing in `uk`",
    ),
    (
        "[node.top]\nkind = 'hours'\nweek = { monday = '09:00-17:00' }\nopen = 'hangup'\nclosed = 'hangup'\n",
        "6: node `top`: `monday` is no day",
    ),
    (
        "[node.top]\nkind = 'hours'\nweek = { mon-fri = '09:00-17:00', fri = '09:00-15:00' }\nopen = 'hangup'\nclosed = 'hangup'\n",
        "6: node `top`: `fri` is given twice",
    ),
    ("[node.top]\nkind = 'hours'\nweek = { mon = '9-5' }\nopen = 'hangup'\nclosed = 'hangup'\n", "6: week: `9-5` are no hours"),
    (
        "[node.top]\nkind = 'hours'\nweek = {}\nholidays = ['x']\nopen = 'hangup'\nclosed = 'hangup'\n",
        "7: holidays: `x` is no holiday",
    ),
    (
        "[node.top]\nkind = 'hours'\nweek = {}\ntime_zone = 'Mars'\nopen = 'hangup'\nclosed = 'hangup'\n",
        "7: time_zone: `Mars` is no time zone",
    ),
];

#[test]
fn what_is_wrong_in_a_menu_is_said_with_its_line() {
    for (nodes, said) in REFUSED {
        let faults = faults(nodes);
        assert!(faults.iter().any(|f| f.starts_with(said)), "{nodes}\nexpected {said}\nfound {faults:#?}");
    }
}

#[test]
fn the_head_of_a_menu_is_checked() {
    let text = |head: &str| format!("{head}\n[node.top]\nkind = 'hangup'\n");
    let of = |head: &str| problems(&[("main", &text(head))]);
    assert_eq!(of("name = 'main'\nlanguage = 'en'"), ["menus/main.toml:1: missing field `start`"]);
    assert!(
        of("name = 'mani'\nlanguage = 'en'\nstart = 'top'")[0].contains(":1: this menu is called `mani`, but its file `main`")
    );
    assert!(of("name = 'main'\nlanguage = 'fr'\nstart = 'top'")[0].contains(":2: there are no prompts in `fr`"));
    assert!(of("name = 'main'\nlanguage = 'en'\nstart = 'top'\ncolour = 'red'")[0].contains(":4: unknown field `colour`"));
    assert!(of("name = 'main'\nlanguage = 'en'\nstart = 'node:top'").is_empty());
}

#[test]
fn a_language_chosen_in_one_menu_must_be_spoken_in_the_next() {
    let first =
        "name = 'first'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'language'\nset = 'uk'\nnext = 'menu:second'\n";
    let second = "name = 'second'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'hangup'\nprompt = 'closed'\n";
    let main = "name = 'main'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'hangup'\n";
    let found = problems(&[("first", first), ("main", main), ("second", second)]);
    assert_eq!(found, ["menus/second.toml:6: node `top`: prompt `closed` is missing in `uk`: put it at prompts/uk/closed.wav"]);
}

#[test]
fn circles_over_several_menus_are_found() {
    let menu = |name: &str, to: &str| {
        format!("name = '{name}'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'go'\nto = 'menu:{to}'\n")
    };
    let found = problems(&[("a", &menu("a", "b")), ("b", &menu("b", "main")), ("main", &menu("main", "a"))]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("menus/a.toml:4") && found[0].contains("a/top, b/top, main/top"), "{}", found[0]);
}

#[test]
fn all_faults_of_a_menu_are_reported() {
    let found = faults(
        "[node.top]\nkind = 'menu'\nprompt = 'nothing'\ndigits = { 1 = 'queue:x', 2 = 'node:y' }\non_timeout = 'phone:1'\n[node.b]\nkind = 'what'\n",
    );
    assert_eq!(found.len(), 4, "{found:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a caller keys and however late things come: no panic, a deadline while it lasts, an end in bounded time.
    #[test]
    fn no_caller_gets_stuck(
        menu in 0usize..4,
        events in proptest::collection::vec((0u8..18, 0u64..8_000), 0..60),
    ) {
        let nodes = [MENU, COLLECT, HOURS, "[node.top]\nkind = 'menu'\nprompt = 'welcome'\ndigits = { 1 = 'node:top' }\non_timeout = 'node:top'\n"][menu];
        let mut caller = Caller::of(nodes);
        let mut playing = caller.said.iter().any(|a| matches!(a, Action::Play { .. }));
        let mut follow = |caller: &mut Caller, event: Event| {
            let ended = event == Event::PlayEnded;
            if ended && !playing { return; }
            caller.said.clear();
            caller.session.handle(event, caller.now, &caller.world, &mut caller.said);
            if ended { playing = false; }
            for action in &caller.said {
                match action {
                    Action::Play { .. } | Action::Announce { .. } => playing = true,
                    Action::StopPlay => playing = false,
                    Action::Entered { .. } | Action::Digit { .. } | Action::Left { .. } | Action::Language(_) | Action::Go(_)
                    | Action::Deposit { .. }
                    | Action::Lookup { .. }
                    | Action::LookedUp { .. }
                    | Action::Surveyed { .. }
                    | Action::Stuck { .. } => {}
                }
            }
        };
        for (what, ms) in events {
            caller.now = caller.now + Duration::from_millis(ms);
            let event = match what {
                16 => Event::PlayEnded,
                17 => Event::Deadline,
                key => Event::Digit(['0','1','2','3','4','5','6','7','8','9','*','#','A','B','C','D'][usize::from(key)]),
            };
            follow(&mut caller, event);
            prop_assert_eq!(caller.session.deadline().is_none(), caller.session.ended());
            let ends = caller.said.iter().filter(|a| matches!(a, Action::Go(_) | Action::Stuck { .. })).count();
            prop_assert!(ends <= 1 && (ends == 0 || caller.session.ended()));
        }
        // Left alone, by media too, every caller comes to an end.
        let mut rounds = 0;
        while let Some(at) = caller.session.deadline() {
            rounds += 1;
            prop_assert!(rounds < 1_000);
            caller.now = caller.now + at.since(caller.now.mono);
            follow(&mut caller, Event::Deadline);
        }
    }
}

#[test]
fn a_place_that_is_dialled_is_a_number() {
    let mut caller = Caller::of(COLLECT);
    for key in "301#".chars() {
        caller.event(Event::Digit(key));
    }
    assert!(caller.said.contains(&Action::Go(Place::Number("301".to_owned()))));
}
