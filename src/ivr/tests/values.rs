//! Values that menus store, ask for and say.

use super::*;
use crate::ivr::Outcome;
use crate::ivr::expression::Figure;

/// Values, conditions, numbers said.
const BALANCE: &str = "[node.top]
kind = 'set'
values = { tries = '0', greeting = \"'h' + 'i'\" }
next = 'node:ask'
[node.ask]
kind = 'collect'
prompt = 'number'
max = 2
goto = 'node:count'
store = 'cents'
[node.count]
kind = 'set'
values = { tries = 'tries + 1', balance = 'number(cents) * 1' }
next = 'node:enough'
[node.enough]
kind = 'if'
condition = 'tries >= 2 or balance > 40'
then = 'node:say'
else = 'node:ask'
[node.say]
kind = 'say'
say = 'number'
value = 'balance'
prompt = 'welcome'
next = 'node:city'
on_missing = 'queue:support'
[node.city]
kind = 'say'
say = 'digits'
value = 'cents'
next = 'hangup'
";

/// With all clips of numbers.
fn speaking(nodes: &str) -> Source {
    let text = format!("name = 'main'\nlanguage = 'en'\nstart = 'top'\n{nodes}");
    let mut source = source(&[("main", &text)]);
    source
        .prompts
        .extend(crate::ivr::say::vocabulary(crate::ivr::say::Language::English).into_iter().map(|clip| format!("en/{clip}")));
    source
}

#[test]
fn values_are_stored_asked_for_and_said() {
    let nodes = BALANCE.replace(" * 1", "");
    let source = speaking(&nodes);
    let config = Config::resolve(&source).expect("configuration");
    let graph = graphs(&config).unwrap_or_else(|problems| panic!("{problems:?}"))["main"].clone();
    let called = |keys: &str| {
        let (now, world) = (Now::default(), Around::default());
        let mut said = Vec::new();
        let session = Session::start(graph.clone(), Arriving::default(), now, &world, &mut said);
        let mut caller = Caller { session, now, world, said };
        let keyed: Vec<Vec<String>> = keys.chars().map(|key| caller.event(Event::Digit(key))).collect();
        (caller, keyed.last().cloned().unwrap_or_default())
    };
    let (mut caller, said) = called("42");
    let path = ["digit ask 2", "left ask node:count", "entered count", "left count node:enough", "entered enough"];
    assert_eq!(said[..5], path);
    assert_eq!(said[5..], ["left enough node:say", "entered say", "play en/welcome en/say-42"]);
    assert_eq!(caller.event(Event::PlayEnded)[2..], ["play en/digit-4 en/digit-2"]);
    assert_eq!(caller.event(Event::PlayEnded), ["left city hangup", "go hangup"]);
    // Small ones are asked for twice.
    let (mut caller, said) = called("12");
    assert_eq!(said.last().map(String::as_str), Some("play en/number"));
    caller.event(Event::Digit('1'));
    assert_eq!(caller.event(Event::Digit('3')).last().map(String::as_str), Some("play en/welcome en/say-13"));
}

#[test]
fn faults_of_values_are_told_with_their_line() {
    let told = |nodes: &str| -> Vec<String> {
        check_all(&speaking(nodes)).iter().map(|p| p.to_string().replace("menus/main.toml:", "")).collect()
    };
    assert_eq!(told(BALANCE).first().map(String::as_str), Some("16: node `count`: `*` has no meaning here (at character 15)"));
    let nodes = BALANCE.replace(" * 1", "");
    assert_eq!(told(&nodes), [""; 0]);
    let one = |from: &str, to: &str| told(&nodes.replace(from, to)).join("\n");
    assert_eq!(
        one("tries >= 2 or balance > 40", "tries"),
        "20: node `enough`: a condition is true or false, and this is a number"
    );
    assert_eq!(one("balance > 40", "queue.sales.waiting > 40"), "20: node `enough`: there is no queue `sales` (at character 21)");
    assert_eq!(one("value = 'cents'", "value = 'tries'"), "33: node `city`: this is a number; what is said so must be text");
    let torn = one("greeting =", "balance =");
    assert!(torn.contains("6: node `top`: `balance` is text here and a number elsewhere"), "{torn}");
    assert!(one("greeting =", "time =").starts_with("6: node `top`: `time` is no name for a value"));
    assert!(one("say = 'digits'", "say = 'money'").contains("money needs its currency"));
    let masked = one("store = 'cents'", "store = 'cents'\nmask = true");
    assert!(masked.contains("21: node `enough`: `balance` is a secret"), "{masked}");
    assert!(
        masked.contains("27: node `say`: `balance` is a secret") && masked.contains("34: node `city`: `cents` is a secret"),
        "{masked}"
    );
    let silent = source(&[("main", &format!("name = 'main'\nlanguage = 'en'\nstart = 'top'\n{nodes}"))]);
    assert!(
        check_all(&silent).iter().any(|p| p.to_string().contains("of the clips that values are said with are missing in `en`"))
    );
}

/// A menu before this one stores what this one asks for; another stores it as something else.
#[test]
fn values_go_from_menu_to_menu_and_keep_their_kind() {
    let first = "name = 'first'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'set'\nvalues = { calls = 'WHAT' }\nnext = 'menu:main'\n";
    let main = "name = 'main'\nlanguage = 'en'\nstart = 'top'\n[node.top]\nkind = 'if'\ncondition = 'calls > 2'\nthen = 'queue:support'\nelse = 'hangup'\n";
    let told = |menus: &[(&str, &str)]| problems(menus).join("\n");
    assert_eq!(told(&[("first", &first.replace("WHAT", "3")), ("main", main)]), "");
    assert_eq!(
        told(&[("first", &first.replace("WHAT", "3").replace("menu:main", "hangup")), ("main", main)]),
        "menus/main.toml:6: node `top`: nothing stores `calls` (at character 1)"
    );
    assert_eq!(
        told(&[("first", &first.replace("WHAT", "time")), ("main", main)]),
        "menus/main.toml:6: node `top`: a time cannot be compared with a number (at character 9)"
    );
    let other = first.replace("first", "other").replace("'WHAT'", "\"'a'\"");
    let torn = told(&[("first", &first.replace("WHAT", "3")), ("other", &other), ("main", main)]);
    assert_eq!(
        torn,
        "menus/main.toml:6: node `top`: `calls` is stored as different things by the menus before this one; give one of them another name"
    );

    let source = source(&[("first", &first.replace("WHAT", "3")), ("main", main)]);
    let graphs = graphs(&Config::resolve(&source).expect("configuration")).expect("menus");
    let (now, world) = (Now::default(), Around::default());
    let mut said = Vec::new();
    let before = Session::start(graphs["first"].clone(), Arriving::default(), now, &world, &mut said);
    let arriving = Arriving { variables: before.variables().clone(), ..Arriving::default() };
    Session::start(graphs["main"].clone(), arriving, now, &world, &mut said);
    assert_eq!(said.last().map(print).as_deref(), Some("go queue:support"));
    Session::start(graphs["main"].clone(), Arriving::default(), now, &world, &mut said);
    assert_eq!(said.last().map(print).as_deref(), Some("go hangup"), "what nothing has stored is not more than two");
}

#[test]
fn a_queue_the_time_and_the_caller_can_be_asked_for() {
    let nodes = "[node.top]
kind = 'if'
condition = \"queue.support.waiting < 5 and time >= '08:00' and starts(caller.number, '+49') and trunk == 'carrier' and called != ''\"
then = 'queue:support'
else = 'hangup'
";
    let world = |waiting| {
        Around(BTreeMap::from([
            (Name::Queue { name: "support".to_owned(), figure: Figure::Waiting }, Value::Integer(waiting)),
            (Name::Time, Value::Time(jiff::civil::time(9, 0, 0, 0))),
            (Name::CallerNumber, Value::Text("+493012345".to_owned())),
            (Name::Called, Value::Text("+4930600".to_owned())),
            (Name::Trunk, Value::Text("carrier".to_owned())),
        ]))
    };
    for (waiting, to) in [(4, "go queue:support"), (5, "go hangup")] {
        let caller = Caller::within(nodes, "2026-11-20T12:00:00Z", world(waiting));
        assert_eq!(caller.said().last().map(String::as_str), Some(to));
    }
    let caller = Caller::of(nodes);
    assert_eq!(caller.said().last().map(String::as_str), Some("go hangup"), "nothing is known");
}

const LOOKUP: &str = "[node.top]
kind = 'collect'
prompt = 'number'
max = 2
store = 'id'
goto = 'node:ask'
[node.ask]
kind = 'lookup'
url = \"http://crm.example/{id}/{'a b' + id}?q={{\"
prompt = 'welcome'
store = { vip = { at = '/vip', as = 'truth' }, city = '/city' }
on_ok = 'node:vip'
on_failed = 'hangup'
[node.vip]
kind = 'if'
condition = \"vip and city == 'Köln'\"
then = 'queue:support'
else = 'phone:201'
";

#[test]
fn a_server_is_asked_with_its_values_escaped_and_its_answer_stored() {
    let nodes = LOOKUP;
    assert_eq!(faults(nodes), [""; 0]);
    let asked = || {
        let mut caller = Caller::of(nodes);
        caller.event(Event::Digit('4'));
        let said = caller.event(Event::Digit('2'));
        assert_eq!(said[3..], ["play en/welcome", "lookup GET http://crm.example/42/a%20b42?q={ "]);
        caller
    };
    let mut caller = asked();
    assert!(caller.event(Event::Digit('1')).is_empty() && caller.event(Event::PlayEnded).is_empty());
    let found = |city: &str| {
        let city = ("city".to_owned(), Value::Text(city.to_owned()));
        Event::LookedUp(Outcome::Found(BTreeMap::from([("vip".to_owned(), Value::Truth(true)), city])))
    };
    let said = caller.event(found("Köln"));
    assert_eq!(said[..2], ["looked up ask ok 0", "stop"]);
    assert_eq!(said.last().map(String::as_str), Some("go queue:support"));
    assert!(caller.event(found("Köln")).is_empty(), "nobody waits for it");
    let mut caller = asked();
    assert_eq!(caller.event(found("Bonn")).last().map(String::as_str), Some("go phone:201"));
    let mut caller = asked();
    assert!(caller.waits(2).is_empty());
    assert_eq!(caller.waits(1), ["looked up ask timeout 3000", "stop", "left ask hangup", "go hangup"]);
}

#[test]
fn faults_of_lookups_are_told_with_their_line() {
    let nodes = LOOKUP.replace("/{id}/{'a b' + id}?q={{", "/{id}");
    let one = |from: &str, to: &str| faults(&nodes.replace(from, to)).join("\n");
    assert_eq!(one("", ""), "");
    for url in ["ftp://crm.example/", "http://{id}/", "http://a{id}/", "http://u:p@crm.example/", "crm", "http://crm.example/ä"]
    {
        assert!(
            one("http://crm.example/{id}", url).starts_with("12: node `ask`: `"),
            "{url}: {}",
            one("http://crm.example/{id}", url)
        );
    }
    assert!(one("{id}", "{nobody}").contains("12: node `ask`: nothing stores `nobody`"));
    assert!(one("{id}", "{id").contains("no closing brace"));
    assert!(one("'/city'", "'city'").contains("14: node `ask`: `city` is no JSON pointer"));
    assert!(one("'truth'", "'verity'").starts_with("14:"), "{}", one("'truth'", "'verity'"));
    assert!(one("'truth'", "'number'").contains("19: node `vip`:"), "{}", one("'truth'", "'number'"));
    assert!(one("prompt = 'welcome'", "timeout = '11s'").contains("13: node `ask`: timeout must be at most 10s"));
    assert!(one("prompt = 'welcome'", "method = 'GET'\nbody = { a = 'b' }").contains("a GET has no body"));
    assert!(one("on_failed = 'hangup'", "on_failed = 'node:ask'").contains("callers would go round without being asked"));
}

/// Nobody knows where the answer leads, so what is keyed meanwhile is hidden where a masked node may ask next.
#[test]
fn keys_ahead_of_a_masked_node_behind_a_lookup_are_hidden() {
    let nodes = "[node.top]
kind = 'play'
prompt = 'welcome'
barge_in = true
next = 'node:ask'
[node.ask]
kind = 'lookup'
url = 'http://crm.example/'
on_ok = 'node:pin'
on_failed = 'hangup'
[node.pin]
kind = 'collect'
prompt = 'number'
mask = true
goto = 'queue:support'
";
    let hidden = |caller: &Caller| caller.session.stands_for('7', caller.now, &caller.world);
    let mut caller = Caller::of(nodes);
    assert_eq!(hidden(&caller), Some('0'));
    caller.event(Event::PlayEnded);
    assert!(caller.session.is_looking_up() && caller.session.may_be_secret());
    assert_eq!(hidden(&caller), Some('0'));
    let caller = Caller::of(&nodes.replace("mask = true\n", ""));
    assert_eq!(hidden(&caller), None);
}
