//! Agents whom a supervisor puts into other queues: at once, with their ranks, over a reload and a restart.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{AgentQueues, By, Kind, Membership};
use cordboard::switch::command::AgentView;
use cordboard::switch::input::Recovered;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const SUPPORT: &str = "+4930555600";
const SALES: &str = "+4930555700";

fn in_queue(queue: &str, rank: u8) -> Membership {
    Membership { queue: queue.into(), rank, weight: 1 }
}

fn put_into(sim: &mut Sim, agent: &str, queues: Option<&[Membership]>) -> Answer {
    sim.ask(Command::PutInto { agent: agent.into(), queues: queues.map(<[Membership]>::to_vec) })
}

fn agent(sim: &mut Sim, staff_number: &str) -> AgentView {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    agents.into_iter().find(|a| a.staff_number == staff_number).expect("an agent")
}

fn call(sim: &mut Sim, trunk: SocketAddr, number: &str) {
    sim.act(trunk, |t, now| {
        t.call(number, now);
    });
    sim.run_for(SECOND);
}

fn told(sim: &Sim) -> Vec<AgentQueues> {
    let one = |kind: &Kind| if let Kind::AgentQueues(data) = kind { Some(data.clone()) } else { None };
    sim.events.iter().filter_map(|e| one(&e.kind)).collect()
}

#[test]
fn who_waits_is_offered_to_an_agent_who_is_put_into_the_queue() {
    let mut sim = Sim::new(1);
    let (agent_of_sales, trunk) = (sim.phone("204"), sim.trunk());
    sim.set(agent_of_sales, OnInvite::Ring);
    call(&mut sim, trunk, SUPPORT);
    sim.run_for(5 * SECOND);
    assert_eq!(sim.count("queue.offered"), 0, "none of support is there");
    assert_eq!(put_into(&mut sim, "1004", Some(&[in_queue("support", 2)])), Answer::Done);
    sim.run_until("it rings", |s| s.ua(agent_of_sales).is_ringing());
    let [now] = &told(&sim)[..] else { panic!("{:?}", told(&sim)) };
    assert_eq!((now.agent.as_str(), &now.queues[..], now.as_configured), ("1004", &[in_queue("support", 2)][..], false));
    assert_eq!(now.by, By::Api("admin".into()));
    let view = agent(&mut sim, "1004");
    assert_eq!((view.queues, view.put_into), (vec!["support".to_owned()], Some(vec![in_queue("support", 2)])));
    // Out of it while it rings: that offer goes on, and there is no other one.
    assert_eq!(put_into(&mut sim, "1004", Some(&[])), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.ua(agent_of_sales).is_ringing());
    sim.act(agent_of_sales, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.has("queue.answered"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(20 * SECOND);
    for number in [SUPPORT, SALES] {
        call(&mut sim, trunk, number);
        assert_eq!((sim.count("queue.offered"), agent(&mut sim, "1004").state.as_str()), (1, "ready"), "{}", sim.story());
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
    }
    // And back.
    assert_eq!(put_into(&mut sim, "1004", None), Answer::Done);
    assert!(told(&sim).last().is_some_and(|last| last.as_configured && last.queues == [in_queue("sales", 1)]));
    call(&mut sim, trunk, SALES);
    assert!(sim.ua(agent_of_sales).is_ringing());
    assert_eq!(agent(&mut sim, "1004").put_into, None);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn of_two_queues_the_one_of_the_lower_rank_is_served_first() {
    let mut sim = Sim::new(2);
    let (phone, trunk) = (sim.phone("204"), sim.trunk());
    sim.set(phone, OnInvite::Answer(SECOND));
    assert_eq!(put_into(&mut sim, "1004", Some(&[])), Answer::Done);
    call(&mut sim, trunk, SALES);
    sim.run_for(5 * SECOND);
    call(&mut sim, trunk, SUPPORT);
    assert_eq!(put_into(&mut sim, "1004", Some(&[in_queue("sales", 3), in_queue("support", 1)])), Answer::Done);
    sim.run_until("they talk", |s| s.has("queue.answered"));
    let queue = sim.events.iter().find_map(|e| match &e.kind {
        Kind::QueueAnswered(data) => Some(data.queue.to_string()),
        _ => None,
    });
    assert_eq!(queue.as_deref(), Some("support"));
    for _ in 0..2 {
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(20 * SECOND);
    }
    sim.assert_clean();
}

#[test]
fn it_outlives_a_reload_and_a_restart_as_far_as_the_queues_do() {
    let mut sim = Sim::new(3);
    sim.source = Some(centre());
    assert_eq!(put_into(&mut sim, "1001", Some(&[in_queue("sales", 4)])), Answer::Done);
    assert_eq!(put_into(&mut sim, "1002", Some(&[])), Answer::Done);
    sim.reload(centre());
    let kept = |sim: &mut Sim| ["1001", "1002", "1003"].map(|who| agent(sim, who).put_into);
    let all = [Some(vec![in_queue("sales", 4)]), Some(vec![]), None];
    assert_eq!(kept(&mut sim), all);
    sim.restart_with(Recovered::default());
    assert_eq!(kept(&mut sim), all);
    // A queue that is gone is no reason to be nowhere.
    let mut other = centre();
    other.main.text = other.main.text.replace("name = \"sales\"", "name = \"orders\"").replace("queue:sales", "queue:orders");
    other.menus[0].text = other.menus[0].text.replace("queue:sales", "queue:orders");
    sim.reload(other);
    assert_eq!(kept(&mut sim), [None, Some(vec![]), None]);
    assert_eq!(agent(&mut sim, "1001").queues, ["support"]);
    sim.assert_clean();
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut sim = Sim::new(4);
    let refused = |sim: &mut Sim, who: &str, queues: &[Membership]| match put_into(sim, who, Some(queues)) {
        Answer::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut sim, "1009", &[]), Refusal::NoAgent("1009".into()));
    assert_eq!(refused(&mut sim, "1001", &[in_queue("nights", 1)]), Refusal::NoQueue("nights".into()));
    for bad in [in_queue("sales", 0), in_queue("sales", 10), Membership { weight: 101, ..in_queue("sales", 1) }] {
        assert!(matches!(refused(&mut sim, "1001", &[bad]), Refusal::BadValue(_)));
    }
    assert!(matches!(refused(&mut sim, "1001", &[in_queue("sales", 1), in_queue("sales", 2)]), Refusal::BadValue(_)));
    assert_eq!((agent(&mut sim, "1001").put_into, told(&sim)), (None, vec![]));
    let audited =
        sim.events.iter().filter(|e| matches!(&e.kind, Kind::AuditCommanded(data) if data.command == "put_into")).count();
    assert_eq!(audited, 6, "each is in the audit log, refused");
    sim.assert_clean();
}
