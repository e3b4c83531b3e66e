//! What holds at every moment, seen from outside: by the API's answers and by the phones.

use std::collections::{BTreeMap, BTreeSet};

use cordboard::event::{Event, Kind};
use cordboard::ids::{ConversationId, QueueName};
use cordboard::switch::{Answer, Command};

use super::Sim;
use super::ua::Phase;

/// What the log says of the present: folded as it is written, since a floor's log is long.
#[derive(Default)]
pub struct Seen {
    pub live: BTreeSet<ConversationId>,
    /// Who waits in which queue.
    pub waiting: BTreeMap<ConversationId, QueueName>,
}

impl Seen {
    pub fn take(&mut self, event: &Event) {
        let Some(id) = event.conversation else { return };
        match &event.kind {
            Kind::CallStarted(_) => drop(self.live.insert(id)),
            Kind::CallEnded(_) => drop(self.live.remove(&id)),
            Kind::QueueEntered(data) => drop(self.waiting.insert(id, data.queue.clone())),
            Kind::QueueAnswered(_) | Kind::QueueAbandoned(_) | Kind::QueueLeft(_) => drop(self.waiting.remove(&id)),
            _ => {}
        }
    }
}

/// Conversations that have begun and not ended, in the order of their ids.
pub fn live(sim: &Sim) -> Vec<ConversationId> {
    sim.seen.live.iter().copied().collect()
}

#[track_caller]
pub fn check(sim: &mut Sim) {
    check_where(sim, |_, _| true);
}

/// The same of a centre where not every agent of a queue fits each caller: by staff number, and who waits.
#[track_caller]
pub fn check_where(sim: &mut Sim, fits: impl Fn(&str, ConversationId) -> bool) {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    assert!(!status.counters.contains_key("acd_unsettled_total"), "the acd did not come to rest\n{}", sim.story());
    assert!(!status.counters.contains_key("acd_vanished_total"), "a caller vanished\n{}", sim.story());

    // The log and the board agree on who waits.
    let waiting = sim.seen.waiting.clone();
    for queue in &queues {
        let logged = waiting.values().filter(|q| **q == queue.name).count();
        assert_eq!(logged, queue.waiting as usize, "{} on the log and on the board\n{}", queue.name, sim.story());
    }
    // Each caller is offered once, unless its queue rings several, and each agent has one caller.
    let rung: Vec<&String> = agents.iter().filter(|a| a.state == "ringing").filter_map(|a| a.conversation.as_ref()).collect();
    let rings_several = |caller: &String| {
        let queue = waiting.iter().find(|(id, _)| id.to_string() == *caller).map(|(_, queue)| queue);
        queues.iter().any(|q| Some(&q.name) == queue && matches!(q.strategy.as_str(), "ring_all" | "progressive"))
    };
    let alone: Vec<&&String> = rung.iter().filter(|caller| !rings_several(caller)).collect();
    let once: BTreeSet<&&&String> = alone.iter().collect();
    assert_eq!(alone.len(), once.len(), "a caller is offered to two agents\n{}", sim.story());
    let talking: Vec<&String> = agents.iter().filter(|a| a.state == "talking").filter_map(|a| a.conversation.as_ref()).collect();
    let live: BTreeSet<String> = live(sim).iter().map(ToString::to_string).collect();
    for conversation in rung.iter().chain(&talking) {
        assert!(live.contains(*conversation), "an agent has a conversation that is over\n{}", sim.story());
    }
    // Nobody who fits stands by while a caller waits without an offer.
    for agent in agents.iter().filter(|a| a.state == "ready") {
        for (caller, queue) in &waiting {
            let fits = agent.queues.iter().any(|q| q == queue.as_str()) && fits(&agent.staff_number, *caller);
            assert!(
                !fits || rung.iter().any(|c| **c == caller.to_string()),
                "{} is idle while {caller} waits\n{}",
                agent.staff_number,
                sim.story()
            );
        }
    }
    // A phone has one call of a queue at most. One that was answered too late is on its way out.
    if sim.network.weather.lost == 0 {
        for ua in sim.uas.values() {
            let of_queues = ua.calls.iter().filter(|c| c.phase == Phase::Up && c.is_of_a_queue()).count();
            assert!(of_queues <= 1, "{} has {of_queues} calls of queues\n{}", ua.number, sim.story());
        }
    }
    // Every live conversation is in the core, and the other way round; a core that ends one keeps it until its media have reported.
    assert_eq!(live.len(), sim.switch.live(), "conversations on the log and in the core\n{}", sim.story());
}
