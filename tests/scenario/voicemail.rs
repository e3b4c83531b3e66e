//! Messages that callers leave for a number: how they come about, who is told, and what becomes of them.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::codec::G711;
use cordboard::event::{Kind, Voicemail};
use cordboard::ids::RecordingId;
use cordboard::route::Forwarding;
use cordboard::switch::command::MessageView;
use cordboard::switch::{Answer, Command, Refusal};
use cordboard::voicemail::MOST_MESSAGES;

use crate::sim::audio::PROMPT;
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre, kind_name};

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
pub fn tone(sim: &mut Sim) {
    let before = sim.recordings.len();
    sim.run_until("the tone is over", |s| s.recordings.len() > before);
}

pub fn mailbox(sim: &mut Sim) -> Vec<MessageView> {
    match sim.ask(Command::Mailbox { number: "201".into() }) {
        Answer::Messages(messages) => messages,
        other => panic!("{other:?}"),
    }
}

fn told(sim: &Sim) -> Vec<(&'static str, Voicemail)> {
    let one = |e: &cordboard::event::Event| match &e.kind {
        Kind::VoicemailLeft(data) => Some(("left", data.clone())),
        Kind::VoicemailHeard(data) => Some(("heard", data.clone())),
        Kind::VoicemailDeleted(data) => Some(("deleted", data.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(one).collect()
}

pub fn only_recording(sim: &Sim) -> RecordingId {
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
    let byte = G711::Pcmu.decode(sim.ua(caller).byte);
    let said = recorded.samples.iter().step_by(2).filter(|s| **s == byte).count();
    assert!((38_000..=42_000).contains(&said), "5 s of the caller on the left, {said} samples");
    assert!(recorded.samples.iter().skip(1).step_by(2).all(|s| s.unsigned_abs() < 16), "nothing on the right");

    let messages = mailbox(&mut sim);
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!((message.id, message.caller.as_str(), message.heard), (id, "210", false));
    assert!((4_900..=5_200).contains(&message.duration_ms), "{}", message.duration_ms);
    // An extension has no E.164.
    let (customer_e164, called_e164, duration_ms) = (None, None, message.duration_ms);
    let data = Voicemail { mailbox: "201".into(), recording: id, caller: "210".into(), customer_e164, called_e164, duration_ms };
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

/// A phone leaves three seconds of a message; whether it is taken.
fn leaves(sim: &mut Sim, caller: SocketAddr, mailbox: &str) -> bool {
    sim.act(caller, |p, now| {
        p.call(mailbox, now);
    });
    sim.run_until("it is up", |s| s.ua(caller).is_up());
    sim.act(caller, |p, _| p.digit('#'));
    sim.run_for(3 * SECOND);
    let is_taken = sim.ua(caller).is_up();
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    is_taken
}

#[test]
fn a_mailbox_takes_so_many_and_no_more() {
    let mut sim = Sim::new(8);
    let caller = sim.phone("210");
    for n in 0..=MOST_MESSAGES {
        assert_eq!(leaves(&mut sim, caller, "*98201"), n < MOST_MESSAGES, "{n}");
    }
    assert_eq!(mailbox(&mut sim).len(), MOST_MESSAGES);
    sim.assert_clean();
}

/// Two messages for 201, of 210 and 211, in this order.
fn two_messages(seed: u8) -> (Sim, SocketAddr) {
    let mut sim = Sim::new(seed);
    let owner = sim.phone("201");
    for number in ["210", "211"] {
        let caller = sim.phone(number);
        sim.act(caller, |p, now| {
            p.call("*98201", now);
        });
        tone(&mut sim);
        sim.run_for(4 * SECOND);
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(2 * SECOND);
    }
    assert_eq!(mailbox(&mut sim).len(), 2, "{}", sim.story());
    (sim, owner)
}

pub fn listen(sim: &mut Sim, owner: SocketAddr, keys: &str) {
    sim.act(owner, |p, now| {
        p.call("*97", now);
    });
    sim.run_until("it is up", |s| s.ua(owner).is_up());
    press(sim, owner, keys);
}

pub fn press(sim: &mut Sim, owner: SocketAddr, keys: &str) {
    for key in keys.chars() {
        sim.run_for(SECOND / 2);
        sim.act(owner, |p, _| p.digit(key));
    }
    sim.run_for(SECOND / 2);
}

#[test]
fn the_owner_listens_to_messages_again_goes_on_and_deletes() {
    let (mut sim, owner) = two_messages(10);
    let [first, second] = [0, 1].map(|n| mailbox(&mut sim)[n].id);
    let voices = ["210", "211"].map(|number| {
        let at = sim.uas.values().find(|ua| ua.number == number).map(|ua| ua.at).expect("there");
        sim.ua(at).byte
    });
    listen(&mut sim, owner, "4711#");
    let since = sim.now.mono;
    sim.run_until("the first is heard", |s| s.ua(owner).heard(voices[0], since) > 180);
    assert_eq!(sim.ua(owner).heard(voices[1], since), 0, "the oldest comes first");
    let words = sim.ua(owner).heard(PROMPT, since);
    assert!((250..=305).contains(&words), "two words of how many there are, four of whose this is, a second each: {words}");
    sim.run_until("to its end", |s| s.has("voicemail.heard"));
    let since = sim.now.mono;
    press(&mut sim, owner, "1");
    sim.run_until("it is heard again", |s| s.ua(owner).heard(voices[0], since) > 180);
    let words = sim.ua(owner).heard(PROMPT, since);
    assert!(words < 60, "whose it is was said: {words}");
    // In the midst of it.
    press(&mut sim, owner, "9");
    let since = sim.now.mono;
    sim.run_until("the second is heard", |s| s.ua(owner).heard(voices[1], since) > 100);
    press(&mut sim, owner, "7");
    sim.run_until("there are no more, and we hang up", |s| s.ua(owner).is_idle());
    let what: Vec<(&str, RecordingId)> = told(&sim).iter().map(|(what, data)| (*what, data.recording)).collect();
    assert_eq!(what[2..], [("heard", first), ("deleted", second)]);
    let left = mailbox(&mut sim);
    assert_eq!((left.len(), left[0].id, left[0].heard), (1, first, true));
    assert!(!sim.recordings.contains_key(&second));
    assert!(!sim.has("menu.digit"), "no event shows a digit of the PIN");
    sim.assert_clean();
}

#[test]
fn three_wrong_pins_end_the_call_and_nothing_is_heard() {
    let (mut sim, owner) = two_messages(11);
    listen(&mut sim, owner, "4712#");
    press(&mut sim, owner, "1111#");
    assert!(sim.ua(owner).is_up());
    press(&mut sim, owner, "#");
    // What is said takes a second.
    sim.run_for(3 * SECOND);
    assert!(sim.ua(owner).is_idle() && !sim.has("voicemail.heard"));
    // A second call has three of its own; a star begins the PIN anew.
    listen(&mut sim, owner, "0000#99*4711#");
    sim.run_until("a message", |s| s.has("voicemail.heard"));
    sim.act(owner, |p, now| p.hang_up(now));
    sim.assert_clean();
}

fn locked(sim: &mut Sim) -> Vec<String> {
    match sim.ask(Command::MailboxLocks) {
        Answer::MailboxLocks(all) => all.into_iter().map(|lock| lock.locked).collect(),
        other => panic!("{other:?}"),
    }
}

/// Three wrong PINs, or as many as are listened to.
fn guess(sim: &mut Sim, from: SocketAddr, mailbox: &str) {
    sim.act(from, |p, now| {
        p.call(mailbox, now);
    });
    sim.run_until("it is up", |s| s.ua(from).is_up());
    press(sim, from, "0000#1111#2222#");
    sim.run_until("we hang up", |s| s.ua(from).is_idle());
}

#[test]
fn wrong_pins_over_several_calls_lock_the_mailbox_for_others_and_who_tries_them() {
    let (mut sim, owner) = two_messages(20);
    let [first, second] = ["202", "203"].map(|number| sim.phone(number));
    for from in [first, second, first] {
        assert!(locked(&mut sim).is_empty());
        guess(&mut sim, from, "*97201");
    }
    assert_eq!(locked(&mut sim), ["mailbox:201"]);
    assert_eq!(sim.count("voicemail.locked"), 1);
    let before = sim.events.len();
    sim.act(second, |p, now| {
        p.call("*97201", now);
    });
    sim.run_until("it is up", |s| s.ua(second).is_up());
    press(&mut sim, second, "4711#");
    sim.run_until("it hears why, and is let go", |s| s.ua(second).is_idle());
    assert!(!sim.events[before..].iter().any(|e| kind_name(e) == "voicemail.heard"), "not even the right one is listened to");
    // Its owner is not kept from it.
    listen(&mut sim, owner, "4711#");
    sim.run_until("a message", |s| s.has("voicemail.heard"));
    sim.act(owner, |p, now| p.hang_up(now));
    // Six so far: three more, and this phone may try none, of no mailbox.
    guess(&mut sim, first, "*97601");
    assert_eq!(locked(&mut sim), ["mailbox:201", "phone:202"]);
    assert_eq!(sim.ask(Command::LiftMailboxLock { locked: "mailbox:201".into() }), Answer::Done);
    let unknown = Command::LiftMailboxLock { locked: "mailbox:201".into() };
    assert_eq!(sim.ask(unknown), Answer::Refused(Refusal::NotLocked("mailbox:201".into())));
    sim.run_for(16 * 60 * SECOND);
    assert!(locked(&mut sim).is_empty());
    assert_eq!(sim.count("voicemail.unlocked"), 2);
    sim.assert_clean();
}

#[test]
fn an_owner_who_forgot_the_pin_locks_nobody_but_the_own_phone() {
    let (mut sim, owner) = two_messages(21);
    for _ in 0..3 {
        guess(&mut sim, owner, "*97");
    }
    assert_eq!(locked(&mut sim), ["phone:201"]);
    listen(&mut sim, owner, "4711#");
    sim.run_until("we hang up", |s| s.ua(owner).is_idle());
    assert!(!sim.has("voicemail.heard"));
    let other = sim.phone("202");
    sim.act(other, |p, now| {
        p.call("*97201", now);
    });
    sim.run_until("it is up", |s| s.ua(other).is_up());
    press(&mut sim, other, "4711#");
    sim.run_until("the mailbox itself is open", |s| s.has("voicemail.heard"));
    sim.act(other, |p, now| p.hang_up(now));
    sim.run_for(16 * 60 * SECOND);
    listen(&mut sim, owner, "4711#");
    sim.run_until("a message", |s| s.count("voicemail.heard") == 2);
    sim.act(owner, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_empty_mailbox_says_so_and_a_phone_without_one_gets_404() {
    let mut sim = Sim::new(12);
    let (owner, other) = (sim.phone("201"), sim.phone("210"));
    listen(&mut sim, owner, "4711#");
    sim.run_until("we hang up", |s| s.ua(owner).is_idle());
    sim.act(other, |p, now| {
        p.call("*97", now);
    });
    sim.run_until("it is refused", |s| s.ua(other).final_status() == Some(404));
    sim.assert_clean();
}

#[test]
fn an_owner_who_does_nothing_is_let_go() {
    let (mut sim, owner) = two_messages(13);
    listen(&mut sim, owner, "");
    sim.run_until("no PIN", |s| s.ua(owner).is_idle());
    assert!(!sim.has("voicemail.heard"));
    listen(&mut sim, owner, "4711#");
    sim.run_until("no choice", |s| s.ua(owner).is_idle());
    assert_eq!(told(&sim).iter().filter(|(what, _)| *what == "heard").count(), 1, "one was played to its end");
    sim.assert_clean();
}

#[test]
fn a_message_that_is_gone_meanwhile_is_passed_over() {
    let (mut sim, owner) = two_messages(14);
    let first = mailbox(&mut sim)[0].id;
    listen(&mut sim, owner, "471");
    assert_eq!(sim.ask(Command::DeleteMessage { number: "201".into(), recording: first }), Answer::Done);
    press(&mut sim, owner, "1#");
    sim.run_until("the second is heard", |s| s.has("voicemail.heard"));
    press(&mut sim, owner, "9");
    sim.run_until("we hang up", |s| s.ua(owner).is_idle());
    assert_eq!(mailbox(&mut sim).len(), 1);
    sim.assert_clean();
}

#[test]
fn nobody_is_told_that_a_message_is_gone_before_it_is_for_good() {
    let (mut sim, owner) = two_messages(15);
    let second = mailbox(&mut sim)[1].id;
    listen(&mut sim, owner, "4711#");
    sim.run_until("the first is heard", |s| s.has("voicemail.heard"));
    // The disk hangs from here on; then the power fails.
    sim.hung = true;
    press(&mut sim, owner, "7");
    let since = sim.now.mono;
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(owner).heard(PROMPT, since), 0, "that it is deleted is not said");
    assert!(!sim.has("voicemail.deleted"));
    sim.run_until("the phone hears of a fault", |s| s.ua(owner).heard(PROMPT, since) > 40);
    let answer = sim.ask_later(Command::DeleteMessage { number: "201".into(), recording: second });
    assert_eq!(answer, None, "nor is the API told");
    sim.hung = false;
    sim.restart(Vec::new());
    assert_eq!(mailbox(&mut sim).len(), 2, "as if it had never been asked for");
    assert!(mailbox(&mut sim)[0].heard, "what was told stays");
}

#[test]
fn a_caller_who_falls_silent_has_said_it_all() {
    let (mut sim, owner, caller) = calling(16);
    tone(&mut sim);
    sim.run_for(4 * SECOND);
    sim.act(caller, |p, _| p.mute = true);
    let since = sim.now.mono;
    sim.run_until("we hang up", |s| s.ua(caller).is_idle());
    // Five seconds of silence, and goodbye.
    assert!((5_900..=6_500).contains(&sim.now.mono.since(since).as_millis()), "{:?}", sim.now.mono.since(since));
    let took = mailbox(&mut sim)[0].duration_ms;
    assert!((4_300..=4_700).contains(&took), "the silence is cut off: {took}");
    assert_eq!(sim.ended()[0].by, cordboard::event::By::Switch);

    // Who is silent from the start has left nothing.
    sim.act(caller, |p, now| {
        p.call("*98201", now);
    });
    tone(&mut sim);
    sim.run_until("we hang up", |s| s.ua(caller).is_idle());
    sim.run_for(SECOND);
    assert_eq!(mailbox(&mut sim).len(), 1);
    assert_eq!(sim.recordings.len(), 1, "nothing is kept of it");
    assert_eq!(sim.ua(owner).invites.len(), 0);
    sim.assert_clean();
}

#[test]
fn how_long_a_message_is_and_how_it_ends_is_configured() {
    let source = |text: &str| {
        let mut source = centre();
        source.main.text.push_str(text);
        source
    };
    let mut sim = Sim::with(17, source("[voicemail]\nsilence = '0s'\nshortest = '4s'\nlongest = '20s'\n"));
    let caller = sim.phone("210");
    let mut leave = |seconds: u32| {
        sim.act(caller, |p, now| {
            p.call("*98201", now);
        });
        tone(&mut sim);
        sim.act(caller, |p, _| p.mute = true);
        sim.run_for(seconds * SECOND);
        let up = sim.ua(caller).is_up();
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_until("it is over", |s| s.ua(caller).is_idle());
        sim.run_for(2 * SECOND);
        (up, mailbox(&mut sim).iter().map(|m| m.duration_ms / 1_000).collect::<Vec<_>>())
    };
    assert_eq!(leave(3), (true, vec![]));
    assert_eq!(leave(15), (true, vec![15]), "silence is no end");
    assert_eq!(leave(25), (false, vec![15, 20]));
    sim.assert_clean();
}

#[test]
fn a_message_of_ten_minutes_is_heard_to_its_end() {
    let mut source = centre();
    source.main.text.push_str("[voicemail]\nlongest = '20m'\n");
    let mut sim = Sim::with(19, source);
    let (owner, caller) = (sim.phone("201"), sim.phone("210"));
    sim.act(caller, |p, now| {
        p.call("*98201", now);
    });
    tone(&mut sim);
    sim.run_for(600 * SECOND);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    assert!(mailbox(&mut sim)[0].duration_ms > 590_000);
    listen(&mut sim, owner, "4711#");
    sim.run_for(590 * SECOND);
    assert!(!sim.has("voicemail.heard"), "it is not over");
    let (voice, since) = (sim.ua(caller).byte, sim.now.mono);
    sim.run_for(5 * SECOND);
    assert!(sim.ua(owner).heard(voice, since) > 240, "nothing else is said over it");
    sim.run_until("to its end", |s| s.has("voicemail.heard"));
    sim.act(owner, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_menu_takes_a_message_for_a_queue_and_goes_on() {
    let mut sim = Sim::new(18);
    let (trunk, agent) = (sim.trunk(), sim.phone("202"));
    let keyed = |sim: &mut Sim, key: char| {
        sim.run_for(SECOND);
        sim.act(trunk, |t, _| t.digit(key));
    };
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.has("menu.entered"));
    keyed(&mut sim, '6');
    sim.run_until("the tone is over", |s| s.recordings.values().any(|r| r.about.mailbox.is_some()));
    sim.run_for(3 * SECOND);
    keyed(&mut sim, '#');
    sim.run_until("it is left", |s| s.has("voicemail.left"));
    assert!(sim.ua(trunk).is_up());
    assert_eq!(told(&sim)[0].1.mailbox, "601".into());
    // Back in the menu, which leads to the queue; what follows is recorded as the call is.
    keyed(&mut sim, '1');
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    sim.run_for(3 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(3 * SECOND);
    let of: Vec<bool> = sim.recordings.values().map(|r| r.about.mailbox.is_some()).collect();
    assert_eq!(of, [false, true, false], "the call, the message, the call again");
    let left: Vec<String> = sim.events.iter().filter(|e| kind_name(e) == "menu.left").map(|e| format!("{:?}", e.kind)).collect();
    assert!(left[1].contains("node:top"), "{left:?}");

    // The other node ends with the message.
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.ua(trunk).is_up());
    keyed(&mut sim, '#');
    sim.run_for(SECOND / 2);
    assert_eq!(sim.recordings.len(), 4, "the call's own, and no message: the key that led there ends no greeting");
    sim.run_until("the tone is over", |s| s.recordings.values().filter(|r| r.about.mailbox.is_some()).count() == 2);
    sim.run_for(3 * SECOND);
    keyed(&mut sim, '#');
    sim.run_until("we hang up", |s| s.ua(trunk).is_idle());
    assert_eq!(sim.ended().last().map(|e| e.cause), Some(cordboard::route::Cause::Normal));

    // Listened to from any phone, with its PIN.
    sim.act(agent, |p, now| {
        p.call("*97601", now);
    });
    sim.run_until("it is up", |s| s.ua(agent).is_up());
    press(&mut sim, agent, "0815#");
    sim.run_until("a message", |s| s.has("voicemail.heard"));
    sim.act(agent, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_menu_goes_elsewhere_when_a_mailbox_is_full() {
    let mut sim = Sim::new(19);
    let (caller, trunk) = (sim.phone("210"), sim.trunk());
    for _ in 0..MOST_MESSAGES {
        leaves(&mut sim, caller, "*98601");
    }
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.ua(trunk).is_up());
    sim.run_for(SECOND);
    sim.act(trunk, |t, _| t.digit('6'));
    sim.run_until("the menu's word for it", |s| s.events.iter().any(|e| format!("{:?}", e.kind).contains("\"closed\"")));
    sim.run_until("we hang up", |s| s.ua(trunk).is_idle());
    sim.assert_clean();
}

#[test]
fn a_menu_says_that_a_mailbox_is_full_where_it_has_no_place_for_that_and_goes_on() {
    let mut source = centre();
    source.menus[0].text = source.menus[0].text.replace("full = \"node:closed\"\n", "");
    let mut sim = Sim::with(33, source);
    let (caller, trunk, agent) = (sim.phone("210"), sim.trunk(), sim.phone("202"));
    for _ in 0..MOST_MESSAGES {
        leaves(&mut sim, caller, "*98601");
    }
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.ua(trunk).is_up());
    sim.run_for(2 * SECOND);
    sim.act(trunk, |t, _| t.digit('6'));
    let (since, entered) = (sim.now.mono, sim.count("menu.entered"));
    sim.run_until("it is back in the menu", |s| s.count("menu.entered") == entered + 2);
    assert!((40..=60).contains(&sim.ua(trunk).heard(PROMPT, since)), "a second of words: {}", sim.ua(trunk).heard(PROMPT, since));
    sim.act(trunk, |t, _| t.digit('1'));
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_never_presses_a_key_does_not_go_round_for_ever_by_a_mailbox_or_another_menu() {
    let mut by_mailbox = centre();
    by_mailbox.menus[0].text =
        by_mailbox.menus[0].text.replace("retries = 1\n", "retries = 0\non_retries_used = \"node:message\"\n");
    let mut by_menu = centre();
    by_menu.menus[0].text = by_menu.menus[0].text.replace("retries = 1\n", "retries = 0\non_retries_used = \"menu:second\"\n");
    let second = "name = \"second\"\nlanguage = \"en\"\nstart = \"top\"\n[node.top]\nkind = \"menu\"\nprompt = \"welcome\"\nretries = 0\n\
        timeout = \"5s\"\ndigits = { \"1\" = \"hangup\" }\non_retries_used = \"menu:main\"\n";
    by_menu.menus.push(cordboard::config::File { path: "menus/second.toml".into(), text: second.into() });
    for (seed, source) in [(34, by_mailbox), (35, by_menu)] {
        let mut sim = Sim::with(seed, source);
        let trunk = sim.trunk();
        sim.act(trunk, |t, now| {
            // Silence of G.711: packets come, and say nothing.
            t.byte = 0xff;
            t.call("+4930555000", now);
        });
        sim.run_until("the menu", |s| s.ua(trunk).is_up());
        sim.run_for(30 * 60 * SECOND);
        assert!(sim.ua(trunk).is_idle(), "{}", sim.story());
        assert_eq!(sim.ended().last().map(|e| e.cause), Some(cordboard::route::Cause::Menu));
        assert!((90..=100).contains(&sim.count("menu.entered")), "{}", sim.count("menu.entered"));
        sim.assert_clean();
    }
}

#[test]
fn a_pin_that_is_keyed_unasked_is_kept_nowhere_either() {
    let (mut sim, owner) = two_messages(36);
    let other = sim.phone("202");
    let keyed = |sim: &mut Sim, from: usize| {
        sim.keys[from..].iter().map(|(key, hidden)| if *hidden { 'x' } else { *key }).collect::<String>()
    };
    // Wrong ones, and what is keyed behind the last one, while the call is being ended.
    for _ in 0..3 {
        let before = sim.keys.len();
        sim.act(other, |p, now| {
            p.call("*97201", now);
        });
        sim.run_until("it is up", |s| s.ua(other).is_up());
        press(&mut sim, other, "0000#1111#2222#");
        sim.act(other, |p, _| p.digit('4'));
        sim.run_until("we hang up", |s| s.ua(other).is_idle());
        assert_eq!(keyed(&mut sim, before), "x".repeat(16));
    }
    assert_eq!(locked(&mut sim), ["mailbox:201", "phone:202"]);
    // Locked: who keys the PIN all the same.
    let before = sim.keys.len();
    sim.act(other, |p, now| {
        p.call("*97201", now);
    });
    sim.run_until("it is up", |s| s.ua(other).is_up());
    for key in "4711#".chars() {
        sim.run_for(Duration::from_millis(150));
        sim.act(other, |p, _| p.digit(key));
    }
    sim.run_until("it is let go", |s| s.ua(other).is_idle());
    assert_eq!(keyed(&mut sim, before), "xxxxx");
    // Once it is open, keys are choices.
    let before = sim.keys.len();
    listen(&mut sim, owner, "4711#");
    sim.run_until("a message", |s| s.has("voicemail.heard"));
    press(&mut sim, owner, "9");
    assert_eq!(keyed(&mut sim, before), "xxxxx9");
    assert!(!sim.has("menu.digit"));
    sim.act(owner, |p, now| p.hang_up(now));
    sim.assert_clean();
}
