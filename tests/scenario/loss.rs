//! Every single SIP message of a whole call is lost in turn; then storms, in which a third of all is lost, doubled and late.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::chance::Chance;

use crate::sim::network::Weather;
use crate::sim::ua::{Hold, OnInvite};
use crate::sim::{Sim, invariants};

const SECOND: Duration = Duration::from_secs(1);

/// A whole call: a forked internal one with hold, or a customer's through the queue with a transfer. Returns how many SIP messages it
/// took.
fn whole_call(lost: Option<u64>, through_queue: bool) -> u64 {
    let mut sim = Sim::new(1);
    let (one, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    let soft = sim.phone_at("210", [10, 1, 0, 11]);
    sim.set(soft, OnInvite::Ring);
    let before = sim.network.sip_messages;
    sim.network.lose_nth = lost.map(|n| n + before);
    let caller = if through_queue { trunk } else { one };
    let number = if through_queue { "+4930555600" } else { "210" };
    sim.act(caller, |c, now| {
        c.call(number, now);
    });
    sim.run_for(15 * SECOND);
    assert_eq!(sim.count("call.started"), 1, "message {lost:?}\n{}", sim.story());
    assert!(sim.has("call.bridged"), "message {lost:?}\n{}", sim.story());
    if through_queue {
        sim.act(one, |o, now| o.refer("210", now));
    } else {
        sim.act(other, |o, now| o.hold(Hold::SendOnly, now));
        sim.run_for(5 * SECOND);
        sim.act(other, |o, now| o.resume(now));
    }
    sim.run_for(15 * SECOND);
    sim.act(caller, |c, now| c.hang_up(now));
    sim.run_for(50 * SECOND);
    let all = [one, other, soft, trunk];
    assert!(all.iter().all(|at| sim.ua(*at).is_idle()), "message {lost:?}\n{}", sim.story());
    let messages = sim.network.sip_messages - before;
    assert_eq!(sim.ended().len(), 1, "message {lost:?}\n{}", sim.story());
    assert_eq!(sim.ended()[0].cause, cordboard::route::Cause::Normal, "message {lost:?}\n{}", sim.story());
    sim.assert_clean();
    messages
}

#[test]
fn an_inside_call_survives_the_loss_of_any_of_its_messages() {
    let messages = whole_call(None, false);
    assert!(messages > 20, "{messages}");
    for nth in 0..messages {
        whole_call(Some(nth), false);
    }
}

#[test]
fn a_customers_call_survives_the_loss_of_any_of_its_messages() {
    let messages = whole_call(None, true);
    assert!(messages > 20, "{messages}");
    for nth in 0..messages {
        whole_call(Some(nth), true);
    }
}

#[test]
fn after_a_storm_of_random_calls_nothing_is_left() {
    for seed in 0..6 {
        storm(seed);
    }
}

fn storm(seed: u8) {
    let mut sim = Sim::new(seed);
    let mut chance = Chance::seeded([seed; 32]);
    let phones: Vec<SocketAddr> = ["201", "202", "203", "204", "210"].into_iter().map(|n| sim.phone(n)).collect();
    let trunk = sim.trunk();
    sim.network.weather = Weather { lost: 300, doubled: 100, jitter: Duration::from_millis(80) };
    for _ in 0..120 {
        let who = phones[chance.below(phones.len() as u64) as usize];
        match chance.below(10) {
            0..=2 => {
                let number = ["+4930555000", "+4930555600", "+4930555700", "+4930555201"][chance.below(4) as usize];
                if sim.ua(trunk).open_calls() < 6 {
                    sim.act(trunk, |t, now| {
                        t.call(number, now);
                    });
                }
            }
            3 => {
                let number = ["201", "204", "210", "04940123", "601"][chance.below(5) as usize];
                if sim.ua(who).is_idle() {
                    sim.act(who, |p, now| {
                        p.call(number, now);
                    });
                }
            }
            4 => sim.act(who, |p, now| p.hang_up(now)),
            5 => sim.act(trunk, |t, now| t.hang_up(now)),
            6 => sim.act(who, |p, now| p.hold(Hold::SendOnly, now)),
            7 => sim.act(who, |p, now| p.refer("210", now)),
            8 => sim.act(trunk, |t, _| t.digit('1')),
            _ => {
                let what = [OnInvite::Answer(SECOND), OnInvite::Ring, OnInvite::Refuse(486), OnInvite::AnswerThenBye(SECOND)];
                sim.set(who, what[chance.below(4) as usize]);
            }
        }
        sim.run_for(Duration::from_millis(chance.below(3_000)));
        invariants::check(&mut sim);
    }
    sim.network.weather = Weather::default();
    for at in phones.iter().copied().chain([trunk]) {
        while !sim.ua(at).is_idle() {
            sim.act(at, |u, now| u.hang_up(now));
            sim.run_for(SECOND);
            if !sim.ua(at).is_idle() {
                sim.run_for(40 * SECOND);
            }
        }
    }
    sim.run_for(90 * SECOND);
    for at in phones.iter().copied().chain([trunk]) {
        let ua = sim.ua(at);
        assert!(ua.is_idle(), "seed {seed}: {at}\n{}", sim.story());
    }
    assert_eq!(sim.count("call.started"), sim.count("call.ended"), "seed {seed}\n{}", sim.story());
    sim.assert_clean();
}
