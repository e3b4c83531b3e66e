use std::sync::LazyLock;

use super::*;
use crate::sip::Transport;
use crate::store::database::Memory;

const DAY: Duration = Duration::from_secs(86_400);

fn ladders(messages: usize) -> Ladders {
    Ladders::new(Arc::new(Memory::default()), System::start(), Bounds { messages, kept: 10 * DAY })
}

fn flow() -> Flow {
    let at = |text: &str| text.parse().unwrap();
    Flow { transport: Transport::Udp, local: at("192.0.2.9:5060"), remote: at("192.0.2.1:5060"), connection: None }
}

fn note(ladders: &Ladders, call_id: &str, what: &str) {
    let text = format!("INFO sip:a SIP/2.0\r\nAuthorization: secret\r\nCall-ID: {call_id}\r\nX: {what}\r\n\r\n");
    ladders.note(Wall::from_micros(7), Way::Received, &flow(), text.into());
}

fn own(ladders: &Ladders, call_id: &'static str, conversation: ConversationId) {
    ladders.owned(&Bytes::from_static(call_id.as_bytes()), conversation);
}

/// The `X` of each.
fn seen(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|m| m.message.rsplit_once("X: ").unwrap().1.trim_end()).collect()
}

/// A moment ago, so that the index keeps it.
fn id(n: u128) -> ConversationId {
    static NOW: LazyLock<u64> = LazyLock::new(|| u64::try_from(System::start().now().wall.as_millis()).unwrap());
    ConversationId::from_parts(*NOW, n)
}

#[test]
fn a_conversation_has_the_messages_of_its_dialogs_also_those_from_before_it_was_one() {
    let ladders = ladders(50);
    for (call_id, what) in [("a", "challenged"), ("z", "stranger"), ("a", "invite")] {
        note(&ladders, call_id, what);
    }
    own(&ladders, "a", id(1));
    note(&ladders, "b", "not yet");
    own(&ladders, "b", id(1));
    note(&ladders, "a", "bye");
    assert_eq!(seen(&ladders.of(id(1)).unwrap()), ["challenged", "invite", "not yet", "bye"]);
    assert_eq!(seen(&ladders.strays()), ["stranger"]);
    assert!(ladders.of(id(2)).unwrap().is_empty());
    assert!(!serde_json::to_string(&ladders.of(id(1)).unwrap()).unwrap().contains("secret"));
}

#[test]
fn the_first_and_the_last_messages_stay_and_the_gap_is_told() {
    let ladders = ladders(30);
    own(&ladders, "a", id(1));
    for n in 0..100 {
        note(&ladders, "a", &n.to_string());
    }
    let messages = ladders.of(id(1)).unwrap();
    let expected: Vec<String> = (0..15).chain(85..100).map(|n: i32| n.to_string()).collect();
    assert_eq!(seen(&messages), expected);
    assert_eq!(messages.iter().map(|m| m.left_out_before).filter(|n| *n > 0).collect::<Vec<_>>(), [70]);
    assert_eq!(messages[15].left_out_before, 70);
}

#[test]
fn memory_is_bounded_however_much_comes() {
    let ladders = ladders(1_000);
    let long = "x".repeat(3 * MOST_OCTETS);
    for n in 0..200u128 {
        let call_id = Bytes::from(format!("call-{n}"));
        ladders.owned(&call_id, id(n));
        for _ in 0..40 {
            note(&ladders, &format!("call-{n}"), &long);
            note(&ladders, "stray", &long);
        }
        let state = ladders.state();
        assert!(state.octets <= MOST_OF_ALL && state.stray_octets <= MOST_OF_STRAYS && state.strays.len() <= MOST_STRAYS);
        assert_eq!(state.octets, state.conversations.values().map(|l| l.octets).sum::<usize>());
        assert!(state.conversations.values().all(|l| l.octets <= MOST_OF_ONE));
        assert_eq!(state.owners.len(), state.conversations.values().map(|l| l.call_ids.len()).sum::<usize>());
    }
    let state = ladders.state();
    assert!(state.conversations.len() < 200 && state.conversations.contains_key(&id(199)), "the oldest go");
    drop(state);
    let cut = ladders.strays().pop().unwrap();
    assert_eq!(
        cut.cut_octets as usize + MOST_OCTETS,
        long.len() + "INFO sip:a SIP/2.0\r\nAuthorization: secret\r\nCall-ID: stray\r\nX: \r\n\r\n".len()
    );
    let mut state = ladders.state();
    for n in 0..1_000 {
        state.own(&Bytes::from(format!("dialog-{n}")), id(199));
    }
    assert_eq!(state.conversations[&id(199)].call_ids.len(), MOST_DIALOGS);
}

#[test]
fn a_ladder_is_found_after_its_conversation_is_over_and_goes_when_it_is_old() {
    let database = Arc::new(Memory::default());
    let clock = System::start();
    let ladders = Ladders::new(database.clone(), clock, Bounds { messages: 50, kept: 10 * DAY });
    let now = clock.now();
    own(&ladders, "a", id(1));
    note(&ladders, "a", "bye");
    ladders.commit().unwrap();
    let again = || Ladders::new(database.clone(), clock, Bounds::NONE).of(id(1)).unwrap();
    assert!(again().is_empty(), "it lives");
    ladders.ended(now, id(1));
    ladders.commit().unwrap();
    note(&ladders, "a", "answer to the bye");
    ladders.commit().unwrap();
    assert_eq!(seen(&again()), ["bye", "answer to the bye"]);
    assert!(!serde_json::to_string(&again()).unwrap().contains("secret"));
    // Out of memory once all of it is written and a while has passed.
    ladders.state().forget_written(now.mono + LINGER);
    assert!(ladders.state().conversations.is_empty() && ladders.state().owners.is_empty());
    assert_eq!(seen(&ladders.of(id(1)).unwrap()), ["bye", "answer to the bye"]);

    let old = ConversationId::from_parts(id(1).timestamp_ms() - 11 * 86_400_000, 1);
    for (call_id, conversation) in [("old", old), ("new", id(2))] {
        own(&ladders, call_id, conversation);
        note(&ladders, call_id, "x");
        ladders.ended(now, conversation);
        ladders.commit().unwrap();
    }
    assert!(database.get(Tree::Ladders, &old.to_bytes()).unwrap().is_none());
    assert_eq!(again().len(), 2);
}

#[test]
fn nothing_is_kept_where_the_configuration_says_so() {
    let ladders = ladders(0);
    own(&ladders, "a", id(1));
    note(&ladders, "a", "x");
    note(&ladders, "b", "x");
    assert!(ladders.of(id(1)).unwrap().is_empty() && ladders.strays().is_empty());
    assert!(ladders.state().conversations.is_empty());
}
