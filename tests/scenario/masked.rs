//! Keys at masked nodes of menus: account numbers, cards, PINs of callers.

use std::time::Duration;

use cordboard::config::Source;
use cordboard::switch::journal::{Ended, replay};

use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// `4` leads to a masked node, which knows two account numbers; `3` there through a prompt that may be cut short. Who keys another one waits
/// in a queue.
fn masked() -> Source {
    let mut source = centre();
    let menu = &mut source.menus[0].text;
    let goto = "mask = true\ngoto = \"queue:support\"\n";
    assert!(menu.contains(goto), "{menu}");
    *menu = menu.replace(goto, &format!("{goto}exact = {{ \"4711\" = \"queue:sales\", \"9876\" = \"node:closed\" }}\n"));
    *menu = menu.replace("\"3\" = \"phone:201\"", "\"3\" = \"node:slowly\"");
    *menu += "\n[node.slowly]\nkind = \"play\"\nprompt = \"closed\"\nbarge_in = true\nnext = \"node:account\"\n";
    source
}

/// The keys that a journal tells of: MessagePack has a text of one character behind the field's name.
fn keys_in(journal: &[u8]) -> String {
    let behind = |what: &[u8]| {
        let places =
            journal.windows(what.len()).enumerate().filter(move |(_, bytes)| *bytes == what).map(|(at, _)| at + what.len());
        places.filter_map(|at| journal.get(at).copied()).map(char::from).collect::<String>()
    };
    behind(b"digit\xa1") + &behind(b"Signal=")
}

/// Where the caller has got to, by the events.
fn places(sim: &Sim) -> Vec<String> {
    let left = sim.events.iter().filter_map(|e| match &e.kind {
        cordboard::event::Kind::MenuLeft(left) => Some(left.to.clone()),
        _ => None,
    });
    left.collect()
}

#[test]
fn what_is_keyed_at_a_masked_node_is_in_no_journal_and_the_journal_still_plays_to_the_same_digest() {
    for (by_info, keys, kept, place) in [
        (false, "44711", "40001", "queue:sales"),
        (false, "49876", "40002", "node:closed"),
        (false, "4123#", "4000#", "queue:support"),
        (false, "4*129876", "4*000000", "queue:support"),
        // Ahead, while something else is said.
        (false, "34711", "30001", "queue:sales"),
        (true, "44711", "40001", "queue:sales"),
        (true, "49876", "40002", "node:closed"),
        (true, "34711", "30001", "queue:sales"),
        // Wrong, and tried again.
        (false, "45#6#7#8#", "40#0#0#0#", "hangup"),
        // What is keyed behind it, when nobody listens, is kept no more than that.
        (true, "44711555", "40001000", "queue:sales"),
    ] {
        let mut sim = Sim::with_journal(154, masked());
        let trunk = sim.trunk();
        sim.act(trunk, |t, now| {
            t.call("+4930555000", now);
        });
        sim.run_until("the menu", |s| s.has("menu.entered") && s.ua(trunk).is_up());
        sim.run_for(2 * SECOND);
        for key in keys.chars() {
            sim.act(trunk, |t, now| match by_info {
                true => t.digit_by_info(key, now),
                false => t.digit(key),
            });
            sim.run_for(Duration::from_millis(700));
        }
        sim.run_for(2 * SECOND);
        assert!(places(&sim).iter().any(|to| to == place), "{keys}: {:?}", places(&sim));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(40 * SECOND);
        let journal = sim.journal();
        assert_eq!(keys_in(&journal), kept, "{keys}");
        let text: String = journal.iter().map(|byte| char::from(*byte)).collect();
        for secret in ["4711", "9876"] {
            assert!(!text.contains(secret), "{keys}: the journal's configuration says what is to be keyed");
        }
        let played = replay(&journal).unwrap_or_else(|error| panic!("{keys}: {error}"));
        assert_eq!((played.faults, played.ended), (0, Some(Ended::Stopped)));
        assert!(!sim.story().contains("4711"), "{}", sim.story());
    }
}

/// Keys of other nodes are kept, also behind a masked one: else nothing could be replayed.
#[test]
fn keys_of_other_nodes_are_kept() {
    let mut source = masked();
    source.menus[0].text = source.menus[0].text.replace("goto = \"queue:support\"", "goto = \"node:top\"");
    let mut sim = Sim::with_journal(155, source);
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.has("menu.entered") && s.ua(trunk).is_up());
    sim.run_for(2 * SECOND);
    for key in "455#2".chars() {
        sim.act(trunk, |t, _| t.digit(key));
        sim.run_for(Duration::from_millis(700));
    }
    sim.run_until("the queue", |s| s.has("queue.entered"));
    let journal = sim.journal();
    assert_eq!(keys_in(&journal), "400#2");
    assert!(replay(&journal).is_ok());
}

#[test]
fn nobody_listens_in_while_a_masked_node_asks() {
    use cordboard::switch::command::MonitorMode;
    use cordboard::switch::{Answer, Command};

    use crate::sim::looking::Told;
    let mut sim = Sim::with(156, masked());
    let (phone, boss, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    let listen = Command::Monitor { conversation: id, who: "210".into(), mode: MonitorMode::Listen };
    assert_eq!(sim.ask(listen), Answer::Done);
    sim.run_until("it is there", |s| s.ua(boss).is_up());
    sim.run_for(SECOND);
    assert_eq!(sim.told(boss), Told::these([trunk, phone]));
    assert_eq!(sim.ask(Command::Transfer { conversation: id, to: "menu:main".into() }), Answer::Done);
    sim.run_until("the menu", |s| s.has("menu.entered"));
    sim.run_for(2 * SECOND);
    assert_eq!(sim.told(boss), Told::these([trunk]), "a node that hides nothing asks\n{}", sim.story());
    sim.act(trunk, |t, _| t.digit('4'));
    sim.run_for(3 * SECOND);
    assert_eq!(sim.told(boss), Told::these([]), "{}", sim.story());
    let since = sim.now.mono;
    "4711".chars().for_each(|key| sim.act(trunk, |t, _| t.digit(key)));
    sim.run_until("the queue", |s| s.has("queue.entered"));
    assert!(sim.ua(boss).hears(since).is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}
