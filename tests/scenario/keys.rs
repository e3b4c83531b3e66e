//! Keys that go on: whoever presses one, and however, the others get it as what they know.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::ids::ConversationId;
use cordboard::rtp::Event;
use cordboard::switch::command::Member;
use cordboard::switch::journal::{Ended, replay};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
/// telephone-event, as all phones here call it.
const EVENT: u8 = 101;

/// A customer talks to 201. The customer's side takes telephone-event, or INFO with these statuses for answers.
fn talking(mut sim: Sim, infos: Option<&[u16]>) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        if let Some(statuses) = infos {
            t.events = false;
            t.more.push(("Allow", "INVITE, ACK, CANCEL, BYE, INFO"));
            t.on_info.extend(statuses);
        }
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

/// The keys that it has heard as telephone-event.
fn events(sim: &Sim, at: SocketAddr) -> String {
    let mut codes: Vec<(u8, bool)> = Vec::new();
    for (_, payload_type, first) in sim.ua(at).calls.iter().flat_map(|call| &call.heard) {
        let is_event = *payload_type == EVENT;
        match codes.last_mut() {
            Some((code, goes_on)) if is_event && *goes_on && *code == *first => {}
            Some((_, goes_on)) if !is_event => *goes_on = false,
            _ if is_event => codes.push((*first, true)),
            _ => {}
        }
    }
    codes.into_iter().filter_map(|(code, _)| Event { code, end: true, volume: 0, duration: 0 }.digit()).collect()
}

#[test]
fn keys_by_info_reach_the_other_side_as_events_and_the_other_way_round() {
    let (mut sim, phone, trunk, _) = talking(Sim::new(1), None);
    for key in "5#".chars() {
        sim.act(phone, |p, now| p.digit_by_info(key, now));
        sim.run_for(SECOND);
    }
    assert_eq!((events(&sim, trunk), events(&sim, phone)), ("5#".into(), String::new()));
    sim.act(trunk, |t, _| t.digit('7'));
    sim.run_for(SECOND);
    assert_eq!((events(&sim, trunk), events(&sim, phone)), ("5#".into(), "7".into()));
    sim.hear_each_other_only(trunk, phone);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn one_who_has_no_events_and_takes_info_gets_keys_by_it_one_after_another() {
    let (mut sim, phone, trunk, _) = talking(Sim::new(2), Some(&[]));
    sim.act(phone, |p, now| {
        "12".chars().for_each(|key| p.digit(key));
        p.digit_by_info('3', now);
    });
    sim.run_for(2 * SECOND);
    let told: Vec<(&str, &str)> = sim.ua(trunk).infos.iter().map(|(kind, body)| (kind.as_str(), &body[..8])).collect();
    let relay = "application/dtmf-relay";
    assert_eq!(told, [(relay, "Signal=3"), (relay, "Signal=1"), (relay, "Signal=2")], "{}", sim.story());
    // And is spared tones.
    sim.hear_each_other_only(trunk, phone);
    let byte = sim.ua(phone).byte;
    assert!(sim.ua(trunk).calls[0].heard.iter().all(|(_, payload_type, first)| *payload_type == 0 && *first == byte));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn one_who_refuses_info_is_told_in_the_other_way_and_then_by_tones() {
    for (statuses, kinds, is_tone) in [
        (&[415][..], &["application/dtmf-relay", "application/dtmf", "application/dtmf"][..], false),
        (&[415, 415], &["application/dtmf-relay", "application/dtmf"], true),
        (&[501, 501], &["application/dtmf-relay", "application/dtmf"], true),
        // It is overloaded, and knows it all the same.
        (&[503], &["application/dtmf-relay", "application/dtmf-relay"], false),
    ] {
        let (mut sim, phone, trunk, _) = talking(Sim::new(3), Some(statuses));
        let byte = sim.ua(phone).byte;
        for key in "19".chars() {
            let since = sim.now.mono;
            sim.act(phone, |p, now| p.digit_by_info(key, now));
            sim.run_for(2 * SECOND);
            let others = sim.ua(trunk).hears(since).into_keys().filter(|heard| *heard != byte).count();
            assert_eq!(others > 0, is_tone, "{statuses:?} {key}: {}", sim.story());
        }
        let told: Vec<&str> = sim.ua(trunk).infos.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(told, kinds, "{statuses:?}");
        sim.hear_each_other_only(trunk, phone);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn the_api_sends_keys_to_one_in_the_call() {
    let (mut sim, phone, trunk, id) = talking(Sim::new(4), None);
    let press = |sim: &mut Sim, who: Option<&str>, digits: &str| {
        let who = who.map(|number| Member::Number(number.into()));
        sim.ask(Command::Press { conversation: id, who, digits: digits.into() })
    };
    assert_eq!(press(&mut sim, None, "12a*"), Answer::Done);
    assert_eq!(press(&mut sim, Some("201"), "9"), Answer::Done);
    sim.run_for(2 * SECOND);
    assert_eq!((events(&sim, trunk), events(&sim, phone)), ("12A*".into(), "9".into()));
    let nobody = "204".to_owned();
    assert_eq!(press(&mut sim, Some("204"), "9"), Answer::Refused(Refusal::NoParty(nobody)));
    for digits in ["", "1x", "é", &"1".repeat(65)] {
        assert!(matches!(press(&mut sim, None, digits), Answer::Refused(Refusal::BadValue(_))), "{digits}");
    }
    sim.hear_each_other_only(trunk, phone);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
    assert_eq!(press(&mut sim, None, "1"), Answer::Refused(Refusal::NoConversation(id)));
}

#[test]
fn what_the_api_sends_is_in_no_journal_and_the_journal_still_plays_to_the_same_digest() {
    for by_info in [true, false] {
        let (mut sim, _, trunk, id) = talking(Sim::with_journal(5, centre()), by_info.then_some(&[][..]));
        assert_eq!(sim.ask(Command::Press { conversation: id, who: None, digits: "48159#".into() }), Answer::Done);
        sim.run_for(3 * SECOND);
        assert_eq!(sim.ua(trunk).infos.len(), if by_info { 6 } else { 0 });
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(40 * SECOND);
        let journal = sim.journal();
        let text: String = journal.iter().map(|byte| char::from(*byte)).collect();
        assert!(!text.contains("48159") && text.contains("00000#"));
        let played = replay(&journal).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((played.faults, played.ended), (0, Some(Ended::Stopped)));
    }
}
