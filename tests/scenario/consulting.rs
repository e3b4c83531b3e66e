//! Consultation within a call: whom the customer talks to asks somebody else, and the customer waits.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::ConsultChange::{self, Answered, Cancelled, Completed, Failed, Joined, Ringing, Swapped};
use cordboard::event::{By, CallConsulted, Kind, TransferOutcome};
use cordboard::ids::ConversationId;
use cordboard::route::Cause;
use cordboard::switch::command::ConsultStep::{self, Cancel, Complete, Join, Swap};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::looking::Told;
use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

struct Call {
    sim: Sim,
    trunk: SocketAddr,
    phone: SocketAddr,
    other: SocketAddr,
    id: ConversationId,
}

/// A customer talks to 201, and 210 is there.
fn talking(mut sim: Sim) -> Call {
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    Call { sim, trunk, phone, other, id }
}

/// 201 asks 210, who rings.
fn ringing(seed: u8) -> Call {
    let mut call = talking(Sim::new(seed));
    call.sim.set(call.other, OnInvite::Ring);
    assert_eq!(call.consult("210"), Answer::Done);
    let other = call.other;
    call.sim.run_until("it rings", |s| s.ua(other).is_ringing());
    call
}

/// And has answered.
fn consulting(seed: u8) -> Call {
    let mut call = ringing(seed);
    call.answers();
    call
}

impl Call {
    fn consult(&mut self, to: &str) -> Answer {
        self.sim.ask(Command::Consult { conversation: self.id, to: to.into() })
    }

    fn step(&mut self, step: ConsultStep) -> Answer {
        self.sim.ask(Command::Consultation { conversation: self.id, step })
    }

    fn answers(&mut self) {
        self.sim.act(self.other, |o, now| o.answer(now));
        self.sim.run_until("it has answered", |s| changes(s).contains(&Answered));
        self.sim.run_for(SECOND);
    }

    /// What trunk, phone and the other one hear.
    fn told(&self) -> [Told; 3] {
        [self.trunk, self.phone, self.other].map(|at| self.sim.told(at))
    }

    fn hangs_up(&mut self, at: SocketAddr) {
        self.sim.act(at, |ua, now| ua.hang_up(now));
        self.sim.run_for(SECOND);
    }

    /// Ends it, and looks at what is left.
    fn over(&mut self) {
        for at in [self.trunk, self.phone, self.other] {
            self.hangs_up(at);
        }
        let Call { sim, trunk, phone, other, .. } = self;
        assert!([trunk, phone, other].iter().all(|at| sim.ua(**at).is_idle()), "{}", sim.story());
        whole(sim);
        sim.assert_clean();
    }
}

fn told(sim: &Sim) -> Vec<CallConsulted> {
    sim.events.iter().filter_map(|e| if let Kind::CallConsulted(c) = &e.kind { Some(c.clone()) } else { None }).collect()
}

fn changes(sim: &Sim) -> Vec<ConsultChange> {
    told(sim).into_iter().map(|c| c.change).collect()
}

fn outcomes(sim: &Sim) -> Vec<TransferOutcome> {
    sim.events.iter().filter_map(|e| if let Kind::CallTransferred(t) = &e.kind { Some(t.outcome) } else { None }).collect()
}

/// Each consultation has one end, and each hold too.
fn whole(sim: &Sim) {
    let ends = changes(sim).into_iter().filter(|c| [Failed, Joined, Completed, Cancelled].contains(c)).count();
    assert_eq!(changes(sim).into_iter().filter(|c| *c == Ringing).count(), ends, "{}", sim.story());
    assert_eq!(sim.count("call.held"), sim.count("call.resumed"), "{}", sim.story());
    assert_eq!((sim.count("call.bridged"), sim.count("call.ended")), (sim.count("call.unbridged"), 1), "{}", sim.story());
}

#[test]
fn who_is_asked_is_heard_by_who_asks_alone_and_the_customer_waits() {
    let mut call = ringing(1);
    let [customer, agent, asked] = [call.trunk, call.phone, call.other].map(|at| Told::these([at]));
    let nothing = Told::these([]);
    assert_eq!(call.told(), [Told::Music, Told::Play, nothing], "{}", call.sim.story());
    assert_eq!(call.sim.count("call.held"), 1);
    call.answers();
    assert_eq!(call.told(), [Told::Music, asked.clone(), agent.clone()], "{}", call.sim.story());
    let (phone, other) = (call.phone, call.other);
    call.sim.hear_each_other_only(phone, other);
    assert_eq!(call.step(Swap), Answer::Done);
    assert_eq!(call.told(), [agent.clone(), customer.clone(), Told::Music], "{}", call.sim.story());
    assert_eq!(call.sim.count("call.resumed"), 1);
    assert_eq!(call.step(Swap), Answer::Done);
    assert_eq!(call.told(), [Told::Music, asked, agent.clone()], "{}", call.sim.story());
    assert_eq!(call.step(Cancel), Answer::Done);
    call.sim.run_for(SECOND);
    assert!(call.sim.ua(call.other).is_idle());
    assert_eq!((call.told()[0].clone(), call.told()[1].clone()), (agent, customer), "{}", call.sim.story());
    assert_eq!(changes(&call.sim), [Ringing, Answered, Swapped, Swapped, Cancelled]);
    let all = told(&call.sim);
    assert_eq!((all[0].leg, all[0].cause, all[0].to.as_str()), (None, None, "210"));
    assert!(all[1].leg.is_some() && all.iter().all(|c| c.asks == all[0].asks && c.agent == Some("1001".into())));
    assert_eq!((all[1].by.clone(), all[4].by.clone()), (By::Phone, By::Api("admin".into())));
    assert_eq!(call.sim.count("call.bridged"), 1, "it is the same talk");
    call.over();
}

#[test]
fn who_completes_leaves_and_the_customer_has_whom_it_asked() {
    for swapped in [false, true] {
        let mut call = consulting(2);
        if swapped {
            assert_eq!(call.step(Swap), Answer::Done);
        }
        assert_eq!(call.step(Complete), Answer::Done);
        call.sim.run_for(SECOND);
        assert!(call.sim.ua(call.phone).is_idle());
        let (trunk, other) = (call.trunk, call.other);
        call.sim.hear_each_other_only(trunk, other);
        assert_eq!(outcomes(&call.sim), [TransferOutcome::Started, TransferOutcome::Completed], "{}", call.sim.story());
        assert_eq!(changes(&call.sim).last(), Some(&Completed));
        assert!(matches!(call.step(Complete), Answer::Refused(Refusal::WrongState(_))), "nobody is consulted any more");
        assert!(!call.sim.has("recording.finished"), "it is the customer's");
        call.over();
        assert_eq!((call.sim.recordings.len(), call.sim.ended()[0].cause), (1, Cause::Normal));
    }
}

#[test]
fn three_talk_and_then_whoever_leaves_the_others_go_on() {
    for leaves in 0..3 {
        let mut call = consulting(3);
        assert_eq!(call.step(Join), Answer::Done);
        call.sim.run_for(SECOND);
        let mut all = vec![call.trunk, call.phone, call.other];
        for at in &all {
            let others = all.iter().copied().filter(|other| other != at).collect();
            assert_eq!(call.sim.told(*at), Told::These(others), "{}", call.sim.story());
        }
        assert_eq!((changes(&call.sim).last(), call.sim.count("call.conferenced")), (Some(&Joined), 1));
        let gone = all.remove(leaves);
        call.hangs_up(gone);
        call.sim.hear_each_other_only(all[0], all[1]);
        call.over();
    }
}

/// Whoever hangs up, and when, the two who are left have each other.
#[test]
fn whoever_hangs_up_at_whichever_step_nobody_is_left_with_nobody() {
    for swapped in [false, true] {
        for leaves in 0..3 {
            let mut call = consulting(4);
            if swapped {
                assert_eq!(call.step(Swap), Answer::Done);
            }
            let mut all = vec![call.trunk, call.phone, call.other];
            let gone = all.remove(leaves);
            call.hangs_up(gone);
            assert!(call.sim.ua(gone).is_idle(), "{}", call.sim.story());
            // Longer than the beep by which who asks knows that it is back.
            call.sim.run_for(2 * SECOND);
            call.sim.hear_each_other_only(all[0], all[1]);
            let last = [Joined, Completed, Cancelled][leaves];
            assert_eq!(changes(&call.sim).last(), Some(&last), "{}", call.sim.story());
            assert_eq!(outcomes(&call.sim).len(), if leaves == 1 { 2 } else { 0 }, "{}", call.sim.story());
            call.over();
        }
    }
}

#[test]
fn who_hangs_up_while_it_rings_sends_the_customer_there() {
    // And whom it rings answers, refuses, or never does: then the customer comes back.
    for answers in [true, false] {
        let mut call = ringing(5);
        call.hangs_up(call.phone);
        let (trunk, phone, other) = (call.trunk, call.phone, call.other);
        assert!(call.sim.ua(phone).is_idle() && call.sim.ua(other).is_ringing());
        assert_eq!((call.sim.told(trunk), changes(&call.sim)), (Told::Play, vec![Ringing, Completed]), "{}", call.sim.story());
        if answers {
            call.sim.act(other, |o, now| o.answer(now));
            call.sim.run_for(2 * SECOND);
            call.sim.hear_each_other_only(trunk, other);
            assert_eq!(outcomes(&call.sim), [TransferOutcome::Started, TransferOutcome::Completed]);
        } else {
            call.sim.act(other, |o, now| o.hang_up(now));
            call.sim.run_until("it comes back", |s| s.ua(phone).is_up());
            call.sim.run_for(SECOND);
            call.sim.hear_each_other_only(trunk, phone);
            assert_eq!(outcomes(&call.sim), [TransferOutcome::Started, TransferOutcome::Failed]);
        }
        call.over();
    }
    let mut call = ringing(6);
    call.hangs_up(call.trunk);
    assert!(call.sim.ua(call.phone).is_idle() && call.sim.ua(call.other).is_idle(), "there is no customer any more");
    assert_eq!(changes(&call.sim), [Ringing, Cancelled]);
    call.over();
}

#[test]
fn who_does_not_come_leaves_all_as_it_was() {
    let mut call = talking(Sim::new(7));
    for (nth, (does, cause)) in [(OnInvite::Refuse(486), Cause::Busy), (OnInvite::Ring, Cause::NoAnswer)].into_iter().enumerate()
    {
        call.sim.set(call.other, does);
        assert_eq!(call.consult("210"), Answer::Done);
        call.sim.run_until("it failed", |s| changes(s).iter().filter(|c| **c == Failed).count() == nth + 1);
        assert_eq!(told(&call.sim).last().and_then(|c| c.cause), Some(cause), "{}", call.sim.story());
        call.sim.run_for(2 * SECOND);
        let (trunk, phone) = (call.trunk, call.phone);
        call.sim.hear_each_other_only(trunk, phone);
    }
    call.over();
}

/// Every step in the very moment in which one of them hangs up, before it and after it is known.
#[test]
fn steps_that_cross_a_bye_come_to_an_end() {
    for (seed, step) in [Swap, Join, Complete, Cancel].into_iter().enumerate() {
        for leaves in 0..3 {
            for lead_us in [0_u64, 250, 500, 1_000, 5_000, 20_000, 60_000] {
                let mut call = consulting(10 + seed as u8);
                let all = [call.trunk, call.phone, call.other];
                let gone = all[leaves];
                call.sim.act(gone, |ua, now| ua.hang_up(now));
                call.sim.run_for(Duration::from_micros(lead_us));
                let _ = call.step(step);
                call.sim.run_for(3 * SECOND);
                assert!(call.sim.ua(gone).is_idle(), "{step:?} {leaves} {lead_us}\n{}", call.sim.story());
                let up = all.iter().filter(|at| call.sim.ua(**at).is_up()).count();
                // Only a completion or an end by command before the other's BYE leaves one alone, whose call is over then.
                assert!(
                    up == 2 || up == 0 && [Complete, Cancel].contains(&step),
                    "{up} {step:?} {leaves} {lead_us}\n{}",
                    call.sim.story()
                );
                call.over();
            }
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut call = talking(Sim::new(20));
    let wrong = |answer: Answer| assert!(matches!(answer, Answer::Refused(Refusal::WrongState(_))), "{answer:?}");
    for step in [Swap, Join, Complete, Cancel] {
        wrong(call.step(step));
    }
    assert!(matches!(call.consult("999"), Answer::Refused(Refusal::NotDiallable(_))));
    assert!(matches!(call.consult("queue:support"), Answer::Refused(Refusal::NotDiallable(_))));
    assert!(matches!(call.consult("202"), Answer::Refused(Refusal::NoPhone(_))), "it is not registered");
    wrong(call.consult("201"));
    wrong(call.consult("112"));
    call.sim.set(call.other, OnInvite::Ring);
    assert_eq!(call.consult("210"), Answer::Done);
    wrong(call.consult("210"));
    wrong(call.step(Swap));
    wrong(call.step(Join));
    let id = call.id;
    wrong(call.sim.ask(Command::Resume { conversation: id }));
    wrong(call.sim.ask(Command::Hold { conversation: id }));
    wrong(call.sim.ask(Command::Confer { conversation: id, to: "210".into() }));
    // A transfer takes the customer away from the consultation.
    let third = call.sim.phone("203");
    assert_eq!(call.sim.ask(Command::Transfer { conversation: id, to: "203".into() }), Answer::Done);
    call.sim.run_until("it is there", |s| s.ua(third).is_up());
    assert_eq!(changes(&call.sim), [Ringing, Cancelled]);
    let trunk = call.trunk;
    call.sim.run_for(SECOND);
    call.sim.hear_each_other_only(trunk, third);
    call.hangs_up(third);
    call.over();
}

#[test]
fn to_complete_before_the_answer_takes_the_right_to_transfer_blind() {
    let mut source = centre();
    let secret = "secret = \"secret-201\"";
    source.main.text = source.main.text.replace(secret, &format!("{secret}\nclass = \"asks\""));
    source.main.text += "\n[class.asks]\ntransfer_blind = false\n";
    let mut call = talking(Sim::with(21, source));
    call.sim.set(call.other, OnInvite::Ring);
    assert_eq!(call.consult("210"), Answer::Done);
    let other = call.other;
    call.sim.run_until("it rings", |s| s.ua(other).is_ringing());
    assert!(matches!(call.step(Complete), Answer::Refused(Refusal::NotPermitted(..))), "{}", call.sim.story());
    assert!(call.sim.has("class.refused"));
    call.answers();
    assert_eq!(call.step(Complete), Answer::Done);
    let trunk = call.trunk;
    call.sim.run_for(SECOND);
    call.sim.hear_each_other_only(trunk, other);
    call.over();
}

#[test]
fn a_number_outside_may_be_asked_but_a_trunks_caller_is_not_given_to_it() {
    let mut call = talking(Sim::new(22));
    let outside = call.sim.add(Ua::trunk([10, 2, 0, 2].into()));
    call.sim.set(call.trunk, OnInvite::Refuse(503));
    assert_eq!(call.consult("0049170100000"), Answer::Done);
    call.sim.run_until("it has answered", |s| changes(s).contains(&Answered));
    call.sim.run_for(SECOND);
    assert!(matches!(call.step(Complete), Answer::Refused(Refusal::WrongState(_))), "trunks alone are not joined");
    let (phone, trunk) = (call.phone, call.trunk);
    assert_eq!(call.sim.told(phone), Told::these([outside]));
    // Nor by hanging up.
    call.hangs_up(phone);
    assert!(call.sim.ua(trunk).is_idle() && call.sim.ua(outside).is_idle(), "{}", call.sim.story());
    call.over();
}

#[test]
fn an_internal_call_that_is_given_to_a_number_outside_is_an_outbound_one() {
    let mut sim = Sim::new(23);
    let (caller, phone, trunk) = (sim.phone("202"), sim.phone("201"), sim.trunk());
    sim.act(caller, |c, now| {
        c.call("201", now);
    });
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(phone).is_up());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(sim.ask(Command::Consult { conversation: id, to: "0049170100000".into() }), Answer::Done);
    sim.run_until("it has answered", |s| changes(s).contains(&Answered));
    assert!(!sim.has("call.went_outside"));
    assert_eq!(sim.ask(Command::Consultation { conversation: id, step: Complete }), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.has("call.went_outside") && sim.ua(phone).is_idle(), "{}", sim.story());
    sim.hear_each_other_only(caller, trunk);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(caller).is_idle());
    whole(&sim);
    sim.assert_clean();
}

fn presses(sim: &mut Sim, at: SocketAddr, keys: &str) {
    for key in keys.chars() {
        sim.act(at, |ua, now| ua.digit_by_info(key, now));
        sim.run_for(SECOND / 2);
    }
}

#[test]
fn a_phone_with_one_line_does_it_all_by_keys() {
    let mut call = talking(Sim::new(24));
    let (trunk, phone, other) = (call.trunk, call.phone, call.other);
    // Not the customer, whatever it presses.
    presses(&mut call.sim, trunk, "*76210#");
    assert!(changes(&call.sim).is_empty());
    presses(&mut call.sim, phone, "*76210#");
    call.sim.run_until("it has answered", |s| changes(s).contains(&Answered));
    call.sim.run_for(SECOND);
    call.sim.hear_each_other_only(phone, other);
    presses(&mut call.sim, phone, "*77");
    call.sim.hear_each_other_only(phone, trunk);
    presses(&mut call.sim, phone, "*77");
    presses(&mut call.sim, phone, "*76#");
    assert_eq!(changes(&call.sim), [Ringing, Answered, Swapped, Swapped, Cancelled], "{}", call.sim.story());
    call.sim.hear_each_other_only(phone, trunk);
    presses(&mut call.sim, phone, "*76210#");
    call.sim.run_until("it has answered", |s| s.ua(other).is_up());
    call.sim.run_for(SECOND);
    presses(&mut call.sim, phone, "*71");
    assert_eq!(call.sim.told(trunk), Told::these([phone, other]), "{}", call.sim.story());
    presses(&mut call.sim, phone, "*78");
    call.hangs_up(other);
    // Nobody is by that number: a beep.
    presses(&mut call.sim, phone, "*76999#");
    assert_eq!(call.sim.told(phone), Told::Play);
    call.sim.run_for(2 * SECOND);
    presses(&mut call.sim, phone, "*76210#");
    call.sim.run_until("it has answered", |s| s.ua(other).is_up());
    call.sim.run_for(SECOND);
    presses(&mut call.sim, phone, "*78");
    call.sim.run_for(SECOND);
    call.sim.hear_each_other_only(trunk, other);
    let refused: Vec<_> =
        call.sim.events.iter().filter(|e| matches!(&e.kind, Kind::AuditCommanded(a) if a.why.is_some())).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    call.over();
}

#[test]
fn an_agent_who_hands_a_queues_customer_over_wraps_up_and_is_told_as_who_transferred() {
    let mut sim = Sim::new(25);
    let (agent, other, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    // By the staff number.
    assert_eq!(sim.ask(Command::Consult { conversation: id, to: "1002".into() }), Answer::Done);
    sim.run_until("it has answered", |s| changes(s).contains(&Answered));
    assert_eq!(told(&sim).last().and_then(|c| c.consulted.clone()), Some("1002".into()));
    let state = |sim: &mut Sim, staff_number: &str| {
        let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
        agents.into_iter().find(|a| a.staff_number == staff_number).map(|a| a.state)
    };
    assert_eq!((state(&mut sim, "1001"), state(&mut sim, "1002")), (Some("talking".into()), Some("busy".into())));
    assert_eq!(sim.ask(Command::Consultation { conversation: id, step: Complete }), Answer::Done);
    sim.run_for(SECOND);
    assert_eq!((state(&mut sim, "1001"), state(&mut sim, "1002")), (Some("wrapup".into()), Some("busy".into())));
    sim.hear_each_other_only(trunk, other);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let about = &sim.recordings.values().next().expect("a recording").about;
    assert_eq!(about.agents, ["1001".into(), "1002".into()]);
    whole(&sim);
    sim.assert_clean();
}
