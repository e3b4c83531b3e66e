//! Prompts that are recorded by phone.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::codec::G711;
use cordboard::event::Kind;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::voicemail::press;

const SECOND: Duration = Duration::from_secs(1);

fn prompts(sim: &Sim) -> Vec<String> {
    sim.events.iter().filter_map(|e| if let Kind::PromptRecorded(p) = &e.kind { Some(p.prompt.clone()) } else { None }).collect()
}

/// It dials the code, speaks for three seconds, and hears what it said.
fn speak(sim: &mut Sim, phone: SocketAddr) {
    sim.act(phone, |p, now| {
        p.call("*7510", now);
    });
    spoken(sim, phone);
}

fn spoken(sim: &mut Sim, phone: SocketAddr) {
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    sim.run_for(3 * SECOND);
    let (since, voice) = (sim.now.mono, sim.ua(phone).byte);
    press(sim, phone, "#");
    sim.run_until("it hears itself", |s| s.ua(phone).heard(voice, since) > 100);
    sim.run_until("and what it may do", |s| s.said.last().is_some_and(|said| said == "en/prompt-options"));
}

#[test]
fn what_is_spoken_and_kept_is_the_prompt_and_nothing_else_is_left() {
    for by_api in [false, true] {
        let mut sim = Sim::new(1);
        let phone = sim.phone("201");
        if by_api {
            let call = Command::Originate { from: "201".into(), to: "*7510".into() };
            assert!(matches!(sim.ask(call), Answer::Started(_)));
            spoken(&mut sim, phone);
        } else {
            speak(&mut sim, phone);
        }
        let heard = sim.said.len();
        press(&mut sim, phone, "3");
        sim.run_until("it hears it again", |s| {
            s.said.len() >= heard + 2 && s.said.last().is_some_and(|s| s == "en/prompt-options")
        });
        press(&mut sim, phone, "1");
        sim.run_until("it is over", |s| s.ua(phone).is_idle());
        assert_eq!(prompts(&sim), ["en/welcome"]);
        assert!(sim.said.last().is_some_and(|said| said == "en/prompt-saved"), "{:?}", sim.said);
        let sample = G711::Pcmu.decode(sim.ua(phone).byte);
        let kept = &sim.prompts["en/welcome"];
        let said = kept.iter().filter(|s| **s == sample).count();
        assert!((24_000..30_000).contains(&said) && kept.len() < 32_000, "{said} of {}", kept.len());
        assert!(sim.recordings.is_empty(), "the take is gone");
        sim.assert_clean();
    }
}

#[test]
fn what_is_not_kept_is_not_the_prompt() {
    let mut sim = Sim::new(2);
    let phone = sim.phone("201");
    speak(&mut sim, phone);
    // Again, and then nothing for as long as one may think.
    press(&mut sim, phone, "2");
    sim.run_until("the first take goes", |s| s.recordings.is_empty());
    spoken(&mut sim, phone);
    sim.run_until("nobody is there", |s| s.ua(phone).is_idle());
    sim.run_for(SECOND);
    assert!(sim.recordings.is_empty());
    // Hung up while it speaks, and while it is asked.
    sim.act(phone, |p, now| {
        p.call("*7510", now);
    });
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    sim.run_for(3 * SECOND);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("the take goes", |s| s.recordings.is_empty());
    speak(&mut sim, phone);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("the take goes", |s| s.recordings.is_empty());
    // A hash at once: too short, and asked for again.
    sim.act(phone, |p, now| {
        p.call("*7510", now);
    });
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    press(&mut sim, phone, "#");
    sim.run_until("it goes", |s| s.recordings.is_empty());
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(prompts(&sim).is_empty() && sim.prompts.is_empty() && sim.recordings.is_empty());
    sim.assert_clean();
}

#[test]
fn a_disk_that_does_not_take_it_is_said_so() {
    let mut sim = Sim::new(3);
    let phone = sim.phone("201");
    speak(&mut sim, phone);
    sim.hung = true;
    press(&mut sim, phone, "1");
    sim.run_until("it is over", |s| s.ua(phone).is_idle());
    assert!(prompts(&sim).is_empty() && sim.said.last().is_some_and(|said| said == "en/error"), "{:?}", sim.said);
    sim.assert_clean();
}

#[test]
fn who_may_not_and_what_is_no_prompt_is_refused() {
    let mut sim = Sim::new(4);
    let (other, phone, trunk) = (sim.phone("202"), sim.phone("201"), sim.trunk());
    for (at, number, status) in [(other, "*7510", 403), (phone, "*7511", 404), (trunk, "*7510", 404)] {
        sim.act(at, |ua, now| {
            ua.call(number, now);
        });
        sim.run_until("refused", |s| s.ua(at).final_status().is_some());
        assert_eq!(sim.ua(at).final_status(), Some(status), "{number}");
        sim.run_for(SECOND);
    }
    assert!(sim.recordings.is_empty());
    sim.assert_clean();
}
