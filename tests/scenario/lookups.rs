//! Menus that ask a server, and that go by what they know: the core never waits, and a PIN that goes out leaves no trace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::{File, Source};
use cordboard::event::Kind;
use cordboard::ids::ConversationId;
use cordboard::ivr::expression::Value;
use cordboard::ivr::say::{Language, vocabulary};
use cordboard::ivr::{Outcome, Request};
use cordboard::switch::Input;
use cordboard::switch::journal::{Ended, replay};

use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// Asks for an account and its PIN, looks both up, and says the balance.
const BANK: &str = r#"name = "main"
language = "en"
start = "account"

[node.account]
kind = "collect"
prompt = "welcome"
min = 3
max = 3
store = "account"
goto = "node:pin"

[node.pin]
kind = "collect"
prompt = "welcome"
min = 4
max = 4
mask = true
store = "pin"
goto = "node:ask"

[node.ask]
kind = "lookup"
url = "https://bank.example/accounts/{account}?from={caller.number}"
headers = { Authorization = "Bearer swordfish" }
body = { pin = "{pin}", menu = "a \"menu\"" }
timeout = "2s"
store = { balance = { at = "/account/balance", as = "hundredths" }, name = "/account/name" }
on_ok = "node:rich"
on_failed = "queue:sales"

[node.rich]
kind = "if"
condition = "balance > 100000"
then = "phone:201"
else = "node:say"

[node.say]
kind = "say"
say = "money"
currency = "EUR"
value = "balance"
next = "queue:support"
on_missing = "node:closed"

[node.closed]
kind = "play"
prompt = "closed"
next = "hangup"
"#;

fn with_menu(menu: &str) -> Source {
    let mut source = centre();
    source.menus = vec![File { path: "menus/main.toml".into(), text: menu.to_owned() }];
    for (folder, language) in [("en", Language::English), ("it", Language::Italian)] {
        source.prompts.extend(vocabulary(language).into_iter().map(|clip| format!("{folder}/{clip}")));
        source.prompts.push(format!("{folder}/welcome"));
        source.prompts.push(format!("{folder}/closed"));
    }
    source
}

/// A caller who has keyed account and PIN, and what the core wants to know then.
fn asked(sim: &mut Sim) -> (SocketAddr, ConversationId, u32, Request) {
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.has("menu.entered") && s.ua(trunk).is_up());
    sim.run_for(SECOND);
    for key in "4224711".chars() {
        sim.act(trunk, |t, _| t.digit(key));
        sim.run_for(Duration::from_millis(700));
    }
    sim.run_until("a lookup", |s| !s.lookups.is_empty());
    let (conversation, nth, request) = sim.lookups.remove(0);
    (trunk, conversation, nth, request)
}

fn answer(sim: &mut Sim, conversation: ConversationId, nth: u32, outcome: Outcome) {
    sim.input(Input::LookedUp { conversation, nth, outcome });
}

fn found(balance: i64) -> Outcome {
    Outcome::Found(BTreeMap::from([("balance".to_owned(), Value::Integer(balance))]))
}

fn outcomes(sim: &Sim) -> Vec<(String, u64)> {
    let told = |e: &cordboard::event::Event| match &e.kind {
        Kind::MenuLookedUp(looked_up) => Some((looked_up.outcome.clone(), looked_up.ms)),
        _ => None,
    };
    sim.events.iter().filter_map(told).collect()
}

#[test]
fn what_a_server_knows_of_the_caller_is_said_and_goes_by() {
    let mut sim = Sim::with(171, with_menu(BANK));
    let phone = sim.phone("201");
    let (trunk, conversation, nth, request) = asked(&mut sim);
    assert_eq!(request.url, "https://bank.example/accounts/422?from=%2B493012345678");
    assert_eq!((request.method, request.body.as_deref()), ("POST", Some(r#"{"menu":"a \"menu\"","pin":"4711"}"#)));
    assert_eq!(request.timeout, 2 * SECOND);
    sim.run_for(SECOND / 2);
    answer(&mut sim, conversation, nth, found(4_250));
    assert_eq!(outcomes(&sim).len(), 1);
    assert_eq!(outcomes(&sim)[0].0, "ok");
    assert!(sim.said.last().is_some_and(|said| said.starts_with("en/say-42 en/say-euro-many")), "{:?}", sim.said);
    sim.run_until("the queue", |s| s.has("queue.entered") && s.ua(phone).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();

    let mut sim = Sim::with(172, with_menu(BANK));
    let phone = sim.phone("201");
    let (trunk, conversation, nth, _) = asked(&mut sim);
    answer(&mut sim, conversation, nth, found(4_250_000));
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    assert!(!sim.has("queue.entered"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn whatever_goes_wrong_with_a_server_has_a_name_and_a_way_out() {
    for (outcome, name) in [
        (Outcome::Status(500), "status"),
        (Outcome::Garbage, "garbage"),
        (Outcome::Unreachable, "unreachable"),
        (Outcome::Busy, "busy"),
        (Outcome::BadUrl, "bad_url"),
        (Outcome::TimedOut, "timeout"),
    ] {
        let mut sim = Sim::with(173, with_menu(BANK));
        let (trunk, conversation, nth, _) = asked(&mut sim);
        answer(&mut sim, conversation, nth, outcome);
        sim.run_until("the way out", |s| s.has("queue.entered"));
        assert_eq!(outcomes(&sim)[0].0, name);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
    // Without the value there is nothing to say, and nothing greater than anything.
    let mut sim = Sim::with(174, with_menu(BANK));
    let (_, conversation, nth, _) = asked(&mut sim);
    answer(&mut sim, conversation, nth, Outcome::Found(BTreeMap::new()));
    sim.run_until("the end", |s| s.has("call.ended"));
    assert!(sim.said.last().is_some_and(|said| said == "en/closed"), "{:?}", sim.said);
    sim.assert_clean();
}

#[test]
fn nobody_waits_for_a_server_that_hangs_and_a_late_answer_finds_nobody() {
    let mut sim = Sim::with(175, with_menu(BANK));
    let (trunk, conversation, nth, _) = asked(&mut sim);
    sim.run_until("the way out", |s| s.has("queue.entered"));
    assert_eq!(outcomes(&sim), [("timeout".to_owned(), 2_000)]);
    let events = sim.events.len();
    answer(&mut sim, conversation, nth, found(1));
    assert_eq!(sim.events.len(), events, "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_answer_to_a_caller_who_has_hung_up_comes_to_nothing() {
    let mut sim = Sim::with(176, with_menu(BANK));
    let (trunk, conversation, nth, _) = asked(&mut sim);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("the end", |s| s.has("call.ended"));
    answer(&mut sim, conversation, nth, found(1));
    assert!(outcomes(&sim).is_empty());
    sim.assert_clean();
}

#[test]
fn a_reload_meanwhile_changes_nothing_for_who_waits() {
    let mut sim = Sim::with(177, with_menu(BANK));
    let (trunk, conversation, nth, _) = asked(&mut sim);
    let elsewhere = BANK.replace("next = \"queue:support\"", "next = \"queue:sales\"").replace("[node.ask]", "[node.other]");
    sim.reload(with_menu(&elsewhere.replace("node:ask", "node:other")));
    answer(&mut sim, conversation, nth, found(4_250));
    sim.run_until("the queue", |s| s.has("queue.entered"));
    assert!(sim.events.iter().any(|e| matches!(&e.kind, Kind::QueueEntered(q) if q.queue.as_str() == "support")));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_pin_that_is_looked_up_is_in_no_event_and_in_no_journal_which_still_plays_to_the_same_digest() {
    let mut sim = Sim::with_journal(178, with_menu(BANK));
    let (trunk, conversation, nth, request) = asked(&mut sim);
    assert!(request.body.as_ref().is_some_and(|body| body.contains("4711")));
    assert!(!format!("{request:?}").contains("4711"));
    // Keys while the server is asked are nobody's.
    sim.act(trunk, |t, _| t.digit('9'));
    sim.run_for(SECOND);
    answer(&mut sim, conversation, nth, found(4_250));
    sim.run_until("the queue", |s| s.has("queue.entered"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(40 * SECOND);
    let journal = sim.journal();
    let text: String = journal.iter().map(|byte| char::from(*byte)).collect();
    for secret in ["4711", "swordfish"] {
        assert!(!text.contains(secret), "{secret}");
        assert!(!sim.story().contains(secret), "{}", sim.story());
    }
    for event in &sim.events {
        let told = serde_json::to_string(&event.kind).expect("JSON");
        assert!(!told.contains("\"4711\""), "{told}");
    }
    let played = replay(&journal).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((played.faults, played.ended), (0, Some(Ended::Stopped)));
}

/// Which language is the menu's to say: by the trunk, and by the caller's country.
#[test]
fn the_language_goes_by_trunk_and_caller() {
    let menu = r#"name = "main"
language = "en"
start = "where"

[node.where]
kind = "if"
condition = "starts(caller.number, '+39') and trunk == 'carrier'"
then = "node:italian"
else = "node:top"

[node.italian]
kind = "language"
set = "it"
next = "node:top"

[node.top]
kind = "play"
prompt = "welcome"
next = "hangup"
"#;
    for (caller, said) in [("+390612345678", "it/welcome"), ("+493012345678", "en/welcome")] {
        let mut sim = Sim::with(179, with_menu(menu));
        let trunk = sim.trunk();
        sim.act(trunk, |t, now| {
            t.number = caller.to_owned();
            t.call("+4930555000", now);
        });
        sim.run_until("the end", |s| s.has("call.ended"));
        assert!(sim.said.iter().any(|prompt| prompt == said), "{:?}", sim.said);
        sim.assert_clean();
    }
}

/// Who comes when two wait hears that, and goes elsewhere; agents who are ready count too.
#[test]
fn a_menu_goes_by_the_queue() {
    let menu = r#"name = "main"
language = "en"
start = "busy"

[node.busy]
kind = "if"
condition = "queue.support.waiting < 2 and queue.support.ready == 0"
then = "queue:support"
else = "queue:sales"
"#;
    let mut sim = Sim::with(180, with_menu(menu));
    let trunk = sim.trunk();
    for _ in 0..3 {
        sim.act(trunk, |t, now| {
            t.call("+4930555000", now);
        });
        sim.run_for(2 * SECOND);
    }
    let queues: Vec<String> = sim
        .events
        .iter()
        .filter_map(|e| match &e.kind {
            Kind::QueueEntered(entered) => Some(entered.queue.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(queues, ["support", "support", "sales"]);
}
