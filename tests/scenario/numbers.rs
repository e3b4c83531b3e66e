//! Numbers in E.164, beside those that were dialled and shown.

use std::time::Duration;

use cordboard::switch::Kind;

use crate::sim::Sim;

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
