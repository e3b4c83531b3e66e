//! Numbers in E.164, beside those that were dialled and shown.

use std::time::Duration;

use cordboard::event::Kind;
use cordboard::switch::{Answer, Command};

use crate::sim::{Sim, centre};

/// Of the first call's beginning: customer and called, as given and in E.164.
fn started(sim: &Sim) -> [Option<String>; 4] {
    let started = sim.events.iter().find_map(|e| if let Kind::CallStarted(s) = &e.kind { Some(s.clone()) } else { None });
    let started = started.expect("told");
    [Some(started.customer_number), started.customer_e164, Some(started.called), started.called_e164]
}

fn given(all: [&str; 4]) -> [Option<String>; 4] {
    all.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

#[test]
fn a_carriers_national_spelling_is_told_and_recorded_in_e164_too() {
    for (shown, e164) in [("03012345678", "+493012345678"), ("0039061234567", "+39061234567"), ("anonymous", ""), ("4711", "")] {
        let told = if shown == "anonymous" { "" } else { shown };
        let mut sim = Sim::new(1);
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        sim.act(trunk, |t, now| {
            t.number = shown.to_owned();
            t.call("030555201", now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
        sim.run_for(Duration::from_secs(2));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("recording.finished"));
        let [number, customer_e164, called, called_e164] = started(&sim);
        assert_eq!((number.as_deref(), called.as_deref()), (Some(told), Some("030555201")));
        assert_eq!([customer_e164, called_e164], [e164, "+4930555201"].map(|n| Some(n.to_owned()).filter(|n| !n.is_empty())));
        let about = &sim.recordings.values().next().expect("a recording").about;
        let of_recording = [&about.customer_e164, &about.called_e164].map(|number| number.as_deref().unwrap_or_default());
        assert_eq!(of_recording, [e164, "+4930555201"]);
        sim.assert_clean();
    }
}

/// What is dialled to get out is not part of it; an extension has none.
#[test]
fn an_outbound_calls_number_in_e164_is_the_one_that_goes_to_the_trunk() {
    let mut sim = Sim::new(2);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("00049301234567", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    assert_eq!(started(&sim), given(["0049301234567", "+49301234567", "00049301234567", "+49301234567"]));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let about = &sim.recordings.values().next().expect("a recording").about;
    assert_eq!(about.customer_e164.as_deref(), Some("+49301234567"));
}

#[test]
fn a_call_inside_has_no_e164_until_it_goes_outside() {
    let mut sim = Sim::new(3);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("210", now);
    });
    sim.run_until("the phones talk", |s| s.ua(phone).is_up() && s.ua(other).is_up());
    assert_eq!(started(&sim), given(["201", "", "210", ""]));
    sim.act(other, |o, now| o.refer("0030123456", now));
    sim.run_until("the outside answers", |s| s.ua(trunk).is_up() && s.ua(other).is_idle());
    let went = sim.events.iter().find_map(|e| if let Kind::CallWentOutside(w) = &e.kind { Some(w.clone()) } else { None });
    let went = went.expect("told");
    assert_eq!((went.customer_number.as_str(), went.customer_e164.as_deref()), ("030123456", Some("+4930123456")));
}

/// Of a message that is left and deleted, and by a process that was not there when it was left.
#[test]
fn a_message_in_a_mailbox_has_the_numbers_of_its_caller_in_e164() {
    let mut source = centre();
    source.main.text += "\n[[inbound]]\ntrunk = \"carrier\"\nnumber = \"+4930555650\"\nto = \"voicemail:201\"\n";
    let mut sim = Sim::with(4, source.clone());
    sim.source = Some(source);
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.number = "03012345678".to_owned();
        t.call("030555650", now);
    });
    sim.run_until("it is up", |s| s.ua(trunk).is_up());
    sim.run_for(Duration::from_secs(10));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("it is in the mailbox", |s| s.has("voicemail.left"));
    sim.restart(Vec::new());
    let Answer::Messages(all) = sim.ask(Command::Mailbox { number: "201".into() }) else { panic!("no mailbox") };
    sim.ask_later(Command::DeleteMessage { number: "201".into(), recording: all[0].id });
    sim.run_until("it is deleted", |s| s.has("voicemail.deleted"));
    let told: Vec<_> = sim
        .events
        .iter()
        .filter_map(|e| match &e.kind {
            Kind::VoicemailLeft(m) | Kind::VoicemailDeleted(m) => {
                Some((m.caller.as_str(), m.customer_e164.as_deref(), m.called_e164.as_deref()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [("03012345678", Some("+493012345678"), Some("+4930555650")); 2]);
}

#[test]
fn what_a_class_of_service_refuses_is_told_in_e164_where_it_is_outside() {
    let mut source = centre();
    source.main.text = source.main.text.replace("secret = \"secret-210\"", "secret = \"secret-210\"\nclass = \"limited\"");
    source.main.text += "\n[class.limited]\ndeny = [\"*\"]\ncalls = 1\n";
    let mut sim = Sim::with(5, source);
    let (phone, other) = (sim.phone("210"), sim.phone("201"));
    sim.act(phone, |p, now| {
        p.call("00049301234567", now);
    });
    sim.run_until("it is refused", |s| s.ua(phone).final_status() == Some(403));
    for _ in 0..2 {
        sim.act(phone, |p, now| {
            p.call("201", now);
        });
        sim.run_for(Duration::from_secs(4));
    }
    assert!(sim.ua(other).is_up());
    let told: Vec<_> = sim
        .events
        .iter()
        .filter_map(|e| {
            if let Kind::ClassRefused(r) = &e.kind {
                Some((r.number.as_str(), r.customer_e164.as_deref(), r.called_e164.as_deref()))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(told, [("0049301234567", Some("+49301234567"), Some("+49301234567")), ("201", None, None)]);
}
