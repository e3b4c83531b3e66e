//! Markers at a moment of a call, tags of the whole, and dispositions by keys.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{By, CallMarked, Kind};
use cordboard::ids::ConversationId;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut source = centre();
    let was = "title = \"Support\"\n";
    assert!(source.main.text.contains(was));
    source.main.text = source.main.text.replace(was, &format!("{was}disposition = [\"solved\", \"open\"]\n"));
    let mut sim = Sim::with(seed, source);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    sim.run_until("it is recorded", |s| s.has("recording.started"));
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

fn marked(sim: &Sim) -> Vec<CallMarked> {
    sim.events.iter().filter_map(|e| if let Kind::CallMarked(m) = &e.kind { Some(m.clone()) } else { None }).collect()
}

fn presses(sim: &mut Sim, at: SocketAddr, keys: &str) {
    for key in keys.chars() {
        sim.act(at, |ua, now| ua.digit_by_info(key, now));
        sim.run_for(SECOND / 2);
    }
}

#[test]
fn a_marker_is_at_its_moment_of_the_recording() {
    let (mut sim, phone, trunk, id) = talking(1);
    let mark = |text: &str| Command::Mark { conversation: id, agent: None, text: Some(text.into()) };
    assert_eq!(sim.ask(mark("first")), Answer::Done);
    sim.run_for(7 * SECOND);
    assert_eq!(sim.ask(mark("second")), Answer::Done);
    presses(&mut sim, phone, "*79");
    // Not the customer.
    presses(&mut sim, trunk, "*79");
    let all = marked(&sim);
    assert_eq!(all.len(), 3, "{}", sim.story());
    let between = all[1].at_ms.zip(all[0].at_ms).map(|(second, first)| second - first);
    assert_eq!(between, Some(7_000));
    assert!(all.iter().all(|m| m.recording.is_some()));
    assert_eq!((all[2].by.clone(), all[2].agent.clone(), all[2].text.clone()), (By::Phone, Some("1001".into()), None));
    assert!(matches!(sim.ask(mark(&"x".repeat(201))), Answer::Refused(Refusal::BadValue(_))));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(matches!(sim.ask(mark("late")), Answer::Refused(Refusal::NoConversation(_))));
    let tag =
        |tags: &[&str]| Command::Tag { conversation: id, agent: None, tags: tags.iter().map(|tag| (*tag).to_owned()).collect() };
    assert_eq!(sim.ask(tag(&["warranty"])), Answer::Done, "also afterwards");
    assert_eq!(sim.count("call.tagged"), 1);
    for bad in [&[] as &[&str], &[" "], &["a\nb"], &["x"; 11]] {
        assert!(matches!(sim.ask(tag(bad)), Answer::Refused(Refusal::BadValue(_))), "{bad:?}");
    }
    sim.assert_clean();
}

#[test]
fn a_disposition_by_key_is_one_of_the_queues() {
    let (mut sim, phone, trunk, _) = talking(2);
    let disposed = |sim: &Sim| -> Vec<String> {
        sim.events
            .iter()
            .filter_map(|e| if let Kind::CallDisposed(d) = &e.kind { Some(d.disposition.clone()) } else { None })
            .collect()
    };
    presses(&mut sim, trunk, "*741");
    presses(&mut sim, phone, "*743");
    assert!(disposed(&sim).is_empty(), "{}", sim.story());
    presses(&mut sim, phone, "*742");
    presses(&mut sim, phone, "*741");
    assert_eq!(disposed(&sim), ["open", "solved"], "the last one counts");
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}
