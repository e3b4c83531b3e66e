//! Mute, and what is played into a call by command.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{Kind, PlayChange};
use cordboard::ids::ConversationId;
use cordboard::switch::command::{Member, PlayTo, Sound, Tone};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::Sim;
use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::looking::Told;
use crate::sim::ua::Hold;

const SECOND: Duration = Duration::from_secs(1);

/// A customer talks to 201.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

fn plays(sim: &Sim) -> Vec<PlayChange> {
    sim.events.iter().filter_map(|e| if let Kind::CallPlayed(p) = &e.kind { Some(p.change) } else { None }).collect()
}

/// The values that it hears in the second from a fifth of one on.
fn hears(sim: &mut Sim, at: SocketAddr) -> Vec<u8> {
    sim.run_for(SECOND / 5);
    let since = sim.now.mono;
    sim.run_for(SECOND / 2);
    sim.ua(at).hears(since).into_keys().collect()
}

#[test]
fn a_muted_leg_is_heard_by_nobody_and_hears_on_without_music() {
    let (mut sim, phone, trunk, id) = talking(1);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    let mute = |sim: &mut Sim, who: Member, muted| sim.ask(Command::Mute { conversation: id, who, muted });
    assert_eq!(mute(&mut sim, Member::Number("201".into()), true), Answer::Done);
    assert_eq!(
        mute(&mut sim, Member::Number("1001".into()), true),
        Answer::Refused(Refusal::NoParty("1001".into())),
        "no offer brought it"
    );
    assert_eq!((hears(&mut sim, trunk), hears(&mut sim, phone)), (vec![], vec![t]));
    // Apart from hold.
    sim.act(phone, |ua, now| ua.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    assert_eq!(hears(&mut sim, trunk), [MUSIC]);
    sim.act(phone, |ua, now| ua.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    assert_eq!(hears(&mut sim, trunk), Vec::<u8>::new());
    assert_eq!(mute(&mut sim, Member::Number("201".into()), true), Answer::Done, "twice is once");
    assert_eq!(mute(&mut sim, Member::Number("201".into()), false), Answer::Done);
    assert_eq!((hears(&mut sim, trunk), hears(&mut sim, phone)), (vec![p], vec![t]));
    let muted: Vec<(bool, _)> =
        sim.events.iter().filter_map(|e| if let Kind::CallMuted(m) = &e.kind { Some((m.muted, m.leg)) } else { None }).collect();
    assert_eq!(muted.iter().map(|(muted, _)| *muted).collect::<Vec<_>>(), [true, false]);
    assert_eq!(mute(&mut sim, Member::Leg(muted[0].1), true), Answer::Done, "by the leg");
    assert!(matches!(mute(&mut sim, Member::Number("999".into()), true), Answer::Refused(Refusal::NoParty(_))));
    let nowhere = ConversationId::from_parts(1, 1);
    let answer = sim.ask(Command::Mute { conversation: nowhere, who: Member::Number("201".into()), muted: true });
    assert_eq!(answer, Answer::Refused(Refusal::NoConversation(nowhere)));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn what_is_played_to_one_side_is_heard_there_alone_and_then_the_call_again() {
    let (mut sim, phone, trunk, id) = talking(2);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    let play = |sim: &mut Sim, sound: Sound, to| sim.ask(Command::Play { conversation: id, sound, to });
    let welcome = || Sound::Prompt("welcome".into());
    assert_eq!(play(&mut sim, welcome(), PlayTo::Customer), Answer::Done);
    assert_eq!((sim.told(trunk), sim.told(phone)), (Told::Play, Told::these([trunk])));
    assert_eq!(hears(&mut sim, trunk), [PROMPT]);
    sim.run_for(SECOND);
    assert_eq!(plays(&sim), [PlayChange::Started, PlayChange::Ended]);
    assert_eq!((hears(&mut sim, trunk), hears(&mut sim, phone)), (vec![p], vec![t]));
    // Another takes its place, a tone goes on until it is stopped.
    assert_eq!(play(&mut sim, welcome(), PlayTo::Agent), Answer::Done);
    assert_eq!(play(&mut sim, Sound::Tone(Tone::Music), PlayTo::Both), Answer::Done);
    sim.run_for(10 * SECOND);
    assert_eq!((hears(&mut sim, trunk), hears(&mut sim, phone)), (vec![MUSIC], vec![MUSIC]));
    assert_eq!(sim.ask(Command::StopPlay { conversation: id }), Answer::Done);
    assert!(matches!(sim.ask(Command::StopPlay { conversation: id }), Answer::Refused(Refusal::WrongState(_))));
    assert_eq!((hears(&mut sim, trunk), hears(&mut sim, phone)), (vec![p], vec![t]));
    assert_eq!(
        play(&mut sim, Sound::Prompt("nothing".into()), PlayTo::Both),
        Answer::Refused(Refusal::NoPrompt("nothing".into()))
    );
    // It ends with the bridge.
    assert_eq!(play(&mut sim, Sound::Tone(Tone::Busy), PlayTo::Customer), Answer::Done);
    let next = sim.phone("202");
    sim.act(phone, |ua, now| ua.refer("202", now));
    sim.run_until("transferred", |s| s.ua(next).is_up());
    assert_eq!(plays(&sim).last(), Some(&PlayChange::Stopped));
    let n = sim.ua(next).byte;
    assert_eq!(hears(&mut sim, trunk), [n]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(matches!(play(&mut sim, welcome(), PlayTo::Both), Answer::Refused(Refusal::NoConversation(_))));
    sim.assert_clean();
}
