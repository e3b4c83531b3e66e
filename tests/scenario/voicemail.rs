//! Messages that callers leave for a number: how they come about, who is told, and what becomes of them.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::codec::Codec;
use cordboard::ids::RecordingId;
use cordboard::route::Forwarding;
use cordboard::switch::command::MessageView;
use cordboard::switch::event::Voicemail;
use cordboard::switch::{Answer, Command, Kind, Refusal};

use crate::sim::Sim;
use crate::sim::audio::PROMPT;
use crate::sim::ua::OnInvite;

const SECOND: Duration = Duration::from_secs(1);

/// 201 has a mailbox; 210 calls it by the code before the number.
fn calling(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (owner, caller) = (sim.phone("201"), sim.phone("210"));
    sim.act(caller, |p, now| {
        p.call("*98201", now);
    });
    sim.run_until("the greeting", |s| s.ua(caller).is_up());
    (sim, owner, caller)
}

/// Until the tone is over: greeting and tone are a second each.
fn tone(sim: &mut Sim) {
    let before = sim.recordings.len();
    sim.run_until("the tone is over", |s| s.recordings.len() > before);
}

fn mailbox(sim: &mut Sim) -> Vec<MessageView> {
    match sim.ask(Command::Mailbox { number: "201".into() }) {
        Answer::Messages(messages) => messages,
        other => panic!("{other:?}"),
    }
}

fn told(sim: &Sim) -> Vec<(&'static str, Voicemail)> {
    let one = |e: &cordboard::switch::Event| match &e.kind {
        Kind::VoicemailLeft(data) => Some(("left", data.clone())),
        Kind::VoicemailHeard(data) => Some(("heard", data.clone())),
        Kind::VoicemailDeleted(data) => Some(("deleted", data.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(one).collect()
}

fn only_recording(sim: &Sim) -> RecordingId {
    assert_eq!(sim.recordings.len(), 1);
    *sim.recordings.keys().next().expect("one")
}

fn light(sim: &Sim, phone: SocketAddr) -> String {
    let body = &sim.ua(phone).seen(0).expect("a NOTIFY").body;
    body.lines().find_map(|line| line.strip_prefix("Voice-Message: ")).expect("a count").to_owned()
}

#[test]
fn what_a_caller_says_after_the_tone_is_a_message_and_the_light_comes_on() {
    let (mut sim, owner, caller) = calling(1);
    sim.act(owner, |p, now| {
        p.watch("message-summary", "201", None, now);
    });
    let since = sim.now.mono;
    tone(&mut sim);
    assert!(sim.ua(caller).heard(PROMPT, since) > 80, "greeting and tone");
    sim.run_for(5 * SECOND);
    assert!(mailbox(&mut sim).is_empty(), "not before it is durable");
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_until("it is left", |s| s.has("voicemail.left"));

    let id = only_recording(&sim);
    let recorded = &sim.recordings[&id];
    assert_eq!(recorded.about.mailbox, Some("201".into()));
    assert_eq!((recorded.about.customer_number.as_str(), recorded.about.rule.as_str()), ("210", "voicemail:201"));
    let byte = Codec::Pcmu.decode(sim.ua(caller).byte);
    let said = recorded.samples.iter().step_by(2).filter(|s| **s == byte).count();
    assert!((38_000..=42_000).contains(&said), "5 s of the caller on the left, {said} samples");
    assert!(recorded.samples.iter().skip(1).step_by(2).all(|s| s.unsigned_abs() < 16), "nothing on the right");

    let messages = mailbox(&mut sim);
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!((message.id, message.caller.as_str(), message.heard), (id, "210", false));
    assert!((4_900..=5_200).contains(&message.duration_ms), "{}", message.duration_ms);
    let data = Voicemail { mailbox: "201".into(), recording: id, caller: "210".into(), duration_ms: message.duration_ms };
    assert_eq!(told(&sim), [("left", data.clone())]);
    sim.run_for(SECOND);
    assert_eq!(light(&sim, owner), "1/0 (0/0)");
    assert_eq!(sim.ua(owner).invites.len(), 0, "it did not ring");

    let number = || "201".into();
    assert_eq!(sim.ask(Command::HearMessage { number: number(), recording: id }), Answer::Done);
    assert_eq!(sim.ask(Command::HearMessage { number: number(), recording: id }), Answer::Done, "again is no fault");
    sim.run_for(2 * SECOND);
    assert_eq!(light(&sim, owner), "0/1 (0/0)");
    assert!(mailbox(&mut sim)[0].heard && sim.recordings[&id].heard);
    assert_eq!(sim.ask(Command::DeleteMessage { number: number(), recording: id }), Answer::Done);
    sim.run_for(2 * SECOND);
    assert_eq!(light(&sim, owner), "0/0 (0/0)");
    assert!(mailbox(&mut sim).is_empty() && sim.recordings.is_empty());
    assert_eq!(told(&sim), [("left", data.clone()), ("heard", data.clone()), ("deleted", data)]);
    for command in
        [Command::DeleteMessage { number: number(), recording: id }, Command::HearMessage { number: number(), recording: id }]
    {
        assert_eq!(sim.ask(command), Answer::Refused(Refusal::NoMessage(id)));
    }
    let other = Command::Mailbox { number: "210".into() };
    assert_eq!(sim.ask(other), Answer::Refused(Refusal::NoMailbox("210".into())));
    sim.act(owner, |p, now| p.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn who_hangs_up_at_the_tone_or_before_has_left_nothing() {
    for before_the_tone in [true, false] {
        let (mut sim, _, caller) = calling(2);
        if before_the_tone {
            sim.run_for(SECOND);
        } else {
            tone(&mut sim);
            sim.run_for(Duration::from_millis(500));
        }
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(5 * SECOND);
        assert!(mailbox(&mut sim).is_empty() && sim.recordings.is_empty() && told(&sim).is_empty(), "{}", sim.story());
        sim.assert_clean();
    }
}

#[test]
fn a_hash_ends_the_greeting_and_the_message() {
    let (mut sim, _, caller) = calling(3);
    sim.act(caller, |p, _| p.digit('#'));
    let began = sim.now.mono;
    tone(&mut sim);
    assert!(sim.now.mono.since(began) < Duration::from_millis(1_400), "the tone alone");
    sim.run_for(3 * SECOND);
    sim.act(caller, |p, _| p.digit('#'));
    sim.run_until("we hang up", |s| s.ua(caller).is_idle());
    assert_eq!(told(&sim).len(), 1, "{}", sim.story());
    let took = mailbox(&mut sim)[0].duration_ms;
    assert!((2_900..=3_500).contains(&took), "{took}");
    sim.assert_clean();
}

#[test]
fn a_message_is_no_longer_than_three_minutes() {
    let (mut sim, _, caller) = calling(4);
    tone(&mut sim);
    sim.run_for(Duration::from_secs(179));
    assert!(sim.ua(caller).is_up());
    sim.run_until("we hang up", |s| s.ua(caller).is_idle());
    assert_eq!(mailbox(&mut sim)[0].duration_ms / 1_000, 180);
    sim.assert_clean();
}

#[test]
fn a_call_that_is_not_taken_goes_to_the_mailbox_of_the_phone() {
    let mut sim = Sim::new(5);
    let (owner, trunk) = (sim.phone("201"), sim.trunk());
    // By the API, and by dialling the code for messages behind that of the forwarding.
    let forwarding = Forwarding { busy: Some("voicemail".into()), ..Forwarding::default() };
    assert_eq!(sim.ask(Command::SetForwarding { phone: "201".into(), forwarding }), Answer::Done);
    sim.act(owner, |p, now| {
        p.call("*43*98#", now);
    });
    sim.run_until("it is set", |s| s.ua(owner).is_idle());
    sim.set(owner, OnInvite::Refuse(486));
    for (n, does) in [OnInvite::Refuse(486), OnInvite::Ring].into_iter().enumerate() {
        sim.set(owner, does);
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("the tone is over", |s| s.recordings.len() > n);
        sim.run_for(3 * SECOND);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("it is left", |s| told(s).len() > n);
    }
    assert!(mailbox(&mut sim).iter().all(|m| m.caller == "+493012345678"), "{:?}", mailbox(&mut sim));
    // 210 has no mailbox.
    let forwarding = Forwarding { busy: Some("voicemail".into()), ..Forwarding::default() };
    let refused = sim.ask(Command::SetForwarding { phone: "210".into(), forwarding });
    assert_eq!(refused, Answer::Refused(Refusal::NotDiallable("voicemail".into())));
    sim.assert_clean();
}

#[test]
fn a_customer_who_is_transferred_to_a_mailbox_leaves_a_message_of_its_own() {
    let mut sim = Sim::new(6);
    let (agent, trunk) = (sim.phone("202"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(agent).is_up() && s.ua(trunk).is_up());
    sim.run_for(4 * SECOND);
    sim.act(agent, |p, now| p.refer("*98201", now));
    sim.run_until("the tone is over", |s| s.recordings.len() == 2);
    assert!(sim.ua(agent).is_idle());
    sim.run_for(3 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("it is left", |s| s.has("voicemail.left"));
    let of: Vec<(bool, bool)> = sim.recordings.values().map(|r| (r.about.mailbox.is_some(), r.ended.is_some())).collect();
    assert_eq!(of, [(false, true), (true, true)], "the talk's recording has ended where the message's began");
    assert_eq!(mailbox(&mut sim).len(), 1);
    assert_eq!(sim.count("recording.finished"), 2);
    sim.assert_clean();
}

#[test]
fn messages_outlive_the_process() {
    let (mut sim, owner, caller) = calling(7);
    tone(&mut sim);
    sim.run_for(3 * SECOND);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_until("it is left", |s| s.has("voicemail.left"));
    sim.run_for(Duration::from_secs(120));
    sim.restart(Vec::new());
    assert_eq!(mailbox(&mut sim).len(), 1);
    sim.act(owner, |p, now| {
        p.register(now);
    });
    sim.run_for(SECOND);
    sim.act(owner, |p, now| {
        p.watch("message-summary", "201", None, now);
    });
    sim.run_until("the light", |s| s.ua(owner).seen(0).is_some());
    assert_eq!(light(&sim, owner), "1/0 (0/0)");
    sim.act(owner, |p, now| p.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_mailbox_takes_so_many_and_no_more() {
    let mut sim = Sim::new(8);
    let caller = sim.phone("210");
    for n in 0..=cordboard::voicemail::MOST_MESSAGES {
        sim.act(caller, |p, now| {
            p.call("*98201", now);
        });
        sim.run_until("it is up", |s| s.ua(caller).is_up());
        sim.act(caller, |p, _| p.digit('#'));
        sim.run_for(3 * SECOND);
        assert_eq!(sim.ua(caller).is_up(), n < cordboard::voicemail::MOST_MESSAGES, "{n}");
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
    }
    assert_eq!(mailbox(&mut sim).len(), cordboard::voicemail::MOST_MESSAGES);
    sim.assert_clean();
}
