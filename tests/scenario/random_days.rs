//! Random events, and what must hold after each of them.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::route::{Forwarding, When};
use cordboard::switch::command::WantedState;
use cordboard::switch::{Answer, Command};
use proptest::prelude::*;

use crate::sim::ua::{Hold, OnInvite, Phase};
use crate::sim::{Sim, invariants};

#[derive(Clone, Copy, Debug)]
enum Happening {
    Caller(u8),
    CallerLeaves(u8),
    PhoneCalls(u8, u8),
    PhoneHangsUp(u8),
    Answers(u8),
    Behaves(u8, u8),
    Registers(u8),
    Unregisters(u8),
    Refers(u8, u8),
    Holds(u8),
    Resumes(u8),
    Sets(u8, u8),
    Key(u8),
    Originates(u8, u8),
    Transfers(u8),
    HangsUpByCommand(u8),
    Consults(u8, u8),
    JoinsItsCalls(u8, bool),
    JoinedByCommand(u8, u8),
    Forwards(u8, u8, u8),
    Waits(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    let n = any::<u8>;
    prop_oneof![
        6 => n().prop_map(Happening::Caller),
        3 => n().prop_map(Happening::CallerLeaves),
        2 => (n(), n()).prop_map(|(a, b)| Happening::PhoneCalls(a, b)),
        3 => n().prop_map(Happening::PhoneHangsUp),
        3 => n().prop_map(Happening::Answers),
        4 => (n(), n()).prop_map(|(a, b)| Happening::Behaves(a, b)),
        2 => n().prop_map(Happening::Registers),
        1 => n().prop_map(Happening::Unregisters),
        2 => (n(), n()).prop_map(|(a, b)| Happening::Refers(a, b)),
        1 => n().prop_map(Happening::Holds),
        1 => n().prop_map(Happening::Resumes),
        2 => (n(), n()).prop_map(|(a, b)| Happening::Sets(a, b)),
        2 => n().prop_map(Happening::Key),
        1 => (n(), n()).prop_map(|(a, b)| Happening::Originates(a, b)),
        1 => n().prop_map(Happening::Transfers),
        1 => n().prop_map(Happening::HangsUpByCommand),
        5 => (n(), n()).prop_map(|(a, b)| Happening::Consults(a, b)),
        8 => (n(), any::<bool>()).prop_map(|(a, b)| Happening::JoinsItsCalls(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| Happening::JoinedByCommand(a, b)),
        3 => (n(), n(), n()).prop_map(|(a, b, c)| Happening::Forwards(a, b, c)),
        6 => (0..20_000u16).prop_map(Happening::Waits),
    ]
}

const NUMBERS: [&str; 5] = ["201", "202", "203", "204", "210"];
const OUTSIDE: [&str; 4] = ["+4930555000", "+4930555600", "+4930555700", "+4930555201"];
const DIALLED: [&str; 7] = ["201", "203", "210", "601", "600", "04940123", "*22"];

fn pick<T: Copy>(all: &[T], n: u8) -> T {
    all[usize::from(n) % all.len()]
}

fn carry_out(sim: &mut Sim, phones: &[SocketAddr], trunk: SocketAddr, what: Happening) {
    match what {
        Happening::Caller(n) => sim.act(trunk, |t, now| {
            if t.open_calls() < 8 {
                t.call(pick(&OUTSIDE, n), now);
            }
        }),
        Happening::CallerLeaves(n) => sim.act(trunk, |t, now| {
            if !t.calls.is_empty() {
                t.end(usize::from(n) % t.calls.len(), now);
            }
        }),
        Happening::PhoneCalls(a, b) => sim.act(pick(phones, a), |p, now| {
            if p.open_calls() < 2 {
                p.call(pick(&DIALLED, b), now);
            }
        }),
        Happening::PhoneHangsUp(a) => sim.act(pick(phones, a), |p, now| p.hang_up(now)),
        Happening::Answers(a) => sim.act(pick(phones, a), |p, now| p.answer(now)),
        Happening::Behaves(a, b) => {
            let all = [
                OnInvite::Answer(Duration::ZERO),
                OnInvite::Answer(Duration::from_secs(3)),
                OnInvite::Ring,
                OnInvite::Refuse(486),
                OnInvite::Refuse(480),
                OnInvite::RefuseAfter(603, Duration::from_secs(2)),
                OnInvite::AnswerThenBye(Duration::ZERO),
                OnInvite::AnswerThenBye(Duration::from_secs(1)),
                OnInvite::AnswerUnusably,
                OnInvite::Ignore,
                OnInvite::Refuse(302),
            ];
            sim.set(pick(phones, a), pick(&all, b));
        }
        Happening::Registers(a) => sim.act(pick(phones, a), |p, now| p.register(now)),
        Happening::Unregisters(a) => sim.act(pick(phones, a), |p, now| p.unregister(now)),
        Happening::Refers(a, b) => sim.act(pick(phones, a), |p, now| p.refer(pick(&DIALLED, b), now)),
        Happening::Holds(a) => {
            sim.act(pick(phones, a), |p, now| p.hold(pick(&[Hold::SendOnly, Hold::Inactive, Hold::ZeroAddress], a), now))
        }
        Happening::Resumes(a) => sim.act(pick(phones, a), |p, now| p.resume(now)),
        Happening::Sets(a, b) => {
            let state = pick(&[WantedState::Ready, WantedState::Ready, WantedState::Paused, WantedState::Offline], b);
            let agent = pick(&["1001", "1002", "1003", "1004"], a).into();
            sim.ask(Command::SetAgent { agent, state, reason: None });
        }
        Happening::Key(n) => sim.act(trunk, |t, _| t.digit(pick(&['1', '2', '3', '4', '7'], n))),
        Happening::Originates(a, b) => {
            sim.ask(Command::Originate { from: pick(&NUMBERS, a).into(), to: pick(&DIALLED, b).into() });
        }
        Happening::Transfers(b) => {
            if let Some(conversation) = invariants::live(sim).into_iter().nth(usize::from(b) % 4) {
                sim.ask(Command::Transfer { conversation, to: pick(&DIALLED, b).into() });
            }
        }
        Happening::HangsUpByCommand(b) => {
            if let Some(conversation) = invariants::live(sim).into_iter().nth(usize::from(b) % 4) {
                assert!(matches!(sim.ask(Command::Hangup { conversation }), Answer::Done | Answer::Refused(_)));
            }
        }
        // Whoever has a call holds it and makes another one.
        Happening::Consults(a, b) => {
            let busy: Vec<SocketAddr> =
                phones.iter().copied().filter(|at| sim.ua(*at).is_up() && sim.ua(*at).open_calls() == 1).collect();
            if !busy.is_empty() {
                sim.act(pick(&busy, a), |p, now| {
                    p.hold(Hold::SendOnly, now);
                    p.call(pick(&DIALLED, b), now);
                });
            }
        }
        Happening::JoinsItsCalls(a, reversed) => {
            let both: Vec<SocketAddr> = phones.iter().copied().filter(|at| sim.ua(*at).open_calls() > 1).collect();
            if both.is_empty() {
                return;
            }
            sim.act(pick(&both, a), |p, now| {
                let open: Vec<usize> = (0..p.calls.len()).filter(|i| p.calls[*i].phase == Phase::Up).collect();
                let other = (0..p.calls.len()).rfind(|i| p.calls[*i].phase != Phase::Over && Some(i) != open.first());
                if let (Some(on), Some(other)) = (open.first().copied(), other) {
                    match reversed && p.calls[other].phase == Phase::Up {
                        true => p.refer_call(other, on, now),
                        false => p.refer_call(on, other, now),
                    }
                }
            });
        }
        Happening::JoinedByCommand(a, b) => {
            let live = invariants::live(sim);
            if let (Some(conversation), Some(consultation)) =
                (live.get(usize::from(a) % 4).copied(), live.get(usize::from(b) % 4).copied())
            {
                let joined = sim.ask(Command::Join { conversation, consultation });
                assert!(matches!(joined, Answer::Done | Answer::Refused(_)), "{joined:?}");
            }
        }
        Happening::Forwards(a, when, b) => {
            let mut forwarding = Forwarding { do_not_disturb: when % 7 == 6, no_answer_after_s: 5, ..Forwarding::default() };
            forwarding
                .set(pick(&[When::Always, When::Busy, When::NoAnswer, When::Unregistered], when), Some(pick(&DIALLED, b).into()));
            let none = when % 3 == 0;
            let forwarding = if none { Forwarding::default() } else { forwarding };
            let set = sim.ask(Command::SetForwarding { phone: pick(&NUMBERS, a).into(), forwarding });
            assert!(matches!(set, Answer::Done | Answer::Refused(_)), "{set:?}");
        }
        Happening::Waits(ms) => sim.run_for(Duration::from_millis(u64::from(ms))),
    }
}

/// A few dozen days, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let given = ProptestConfig { max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => given,
        None => ProptestConfig { cases: 24, ..given },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_no_agent_has_two_calls_nobody_waits_in_vain_and_nothing_is_left(
        seed in any::<u8>(),
        day in prop::collection::vec(happening(), 1..90),
    ) {
        let mut sim = Sim::new(seed);
        let phones: Vec<SocketAddr> = NUMBERS.into_iter().map(|n| sim.phone(n)).collect();
        let trunk = sim.trunk();
        for (i, at) in phones.iter().enumerate() {
            let next = NUMBERS[(i + 1) % NUMBERS.len()];
            sim.act(*at, |p, _| p.redirects_to = format!("<sip:{next}@10.0.0.1>"));
        }
        for what in day {
            carry_out(&mut sim, &phones, trunk, what);
            invariants::check(&mut sim);
            sim.run_for(Duration::from_millis(50));
            invariants::check(&mut sim);
        }
        for at in phones.iter().copied().chain([trunk]) {
            sim.set(at, OnInvite::Refuse(486));
            for i in 0..sim.ua(at).calls.len() {
                sim.act(at, |u, now| u.end(i, now));
            }
        }
        sim.run_for(Duration::from_secs(200));
        for at in phones.iter().copied().chain([trunk]) {
            prop_assert!(sim.ua(at).is_idle(), "{at} is not idle\n{}", sim.story());
        }
        prop_assert_eq!(sim.count("call.started"), sim.count("call.ended"));
        crate::described::check(&sim);
        crate::figures::check(&mut sim, u64::from(seed));
        sim.assert_clean();
    }
}
