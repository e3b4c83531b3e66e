//! A floor of sixty agents in six teams on eight queues, and an afternoon of five thousand callers: who give up, press keys, ask to be called
//! back and call again; agents who answer late or never, whose phones lose their power, who transfer, consult, hold and note; supervisors who
//! listen in, move callers, send agents into a pause and put words on a queue; a configuration that is replaced in the middle; and a network
//! that loses one SIP message in fifty. What must hold is looked at throughout, and what is left in the end, and what the log adds up to.
//!
//! Three seeds in the test run; `scripts/soak` has as many as it is told (`CORDBOARD_FLOORS`).

mod happening;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cordboard::chance::Chance;
use cordboard::clock::{Mono, Wall};
use cordboard::event::{Event, Kind};
use cordboard::ids::{ConversationId, StaffNumber};
use cordboard::store::conversations::Conversations;
use cordboard::store::database::Memory;
use cordboard::store::log::Stored;
use cordboard::switch::{Answer, Command};

use crate::sim::network::Weather;
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, invariants, kind_name, seed_of};
use site::{AGENTS, Edition};

const SECOND: Duration = Duration::from_secs(1);
const CALLS: u64 = 5_000;
/// From one look at what must hold to the next.
const LOOKS: Duration = Duration::from_secs(2);

#[test]
fn an_afternoon_of_sixty_agents_leaves_nobody_stuck() {
    afternoon(0, CALLS).adds_up();
}

#[test]
fn a_second_afternoon_leaves_nobody_stuck() {
    afternoon(1, CALLS).adds_up();
}

#[test]
fn a_third_afternoon_leaves_nobody_stuck() {
    afternoon(2, CALLS).adds_up();
}

/// None in the test run.
#[test]
fn as_many_afternoons_as_are_asked_for_leave_nobody_stuck() {
    let floors = std::env::var("CORDBOARD_FLOORS").ok().and_then(|floors| floors.parse().ok()).unwrap_or(0);
    for seed in 3..3 + floors {
        afternoon(seed, CALLS).adds_up();
    }
}

#[test]
fn the_same_seed_has_the_same_log() {
    let log = |seed| {
        let floor = afternoon(seed, 300);
        floor.sim.events.iter().map(|event| format!("{} {event:?}", event.at)).collect::<Vec<_>>()
    };
    let (one, same) = (log(77), log(77));
    let differs = one.iter().zip(&same).find(|(a, b)| a != b);
    assert_eq!((differs, one.len()), (None, same.len()));
    assert_ne!(one, log(78));
}

/// Runs one to its end, when everybody has hung up.
fn afternoon(seed: u64, calls: u64) -> Floor {
    let mut floor = Floor::open(seed);
    floor.work(calls);
    floor.close();
    floor
}

/// What has happened so often.
type Tally = BTreeMap<String, usize>;

struct Floor {
    seed: u64,
    sim: Sim,
    chance: Chance,
    phones: Vec<SocketAddr>,
    supervisors: Vec<SocketAddr>,
    trunks: Vec<SocketAddr>,
    /// What somebody does later.
    plan: BTreeMap<(Mono, u64), happening::Act>,
    planned: u64,
    /// Events that the floor has seen.
    read: usize,
    /// Callers whom a supervisor has given to one agent.
    given: BTreeSet<ConversationId>,
    callers: u64,
    /// What has become of conversations that were joined with others.
    merged: BTreeMap<ConversationId, ConversationId>,
}

impl Floor {
    fn open(seed: u64) -> Floor {
        let mut sim = Sim::seeded(seed, site::source(Edition::First));
        sim.deaf = true;
        let phones: Vec<SocketAddr> =
            (0..AGENTS).map(|n| sim.phone_at(&site::phone(n), [10, 1, (n / 200) as u8 + 1, (n % 200) as u8 + 1])).collect();
        let supervisors: Vec<SocketAddr> =
            site::SUPERVISORS.iter().zip(1..).map(|(n, last)| sim.phone_at(n, [10, 1, 9, last])).collect();
        let first = sim.trunk();
        let trunks = vec![first, sim.add(crate::sim::ua::Ua::trunk([10, 2, 0, 2].into()))];
        for at in phones.iter().chain(&supervisors).chain(&trunks) {
            sim.act(*at, |u, _| u.mute = true);
        }
        sim.network.weather = Weather { lost: 20, doubled: 10, jitter: Duration::from_millis(30) };
        let chance = Chance::seeded(seed_of(seed).map(|octet| octet ^ 0x33));
        Floor {
            seed,
            sim,
            chance,
            phones,
            supervisors,
            trunks,
            plan: BTreeMap::new(),
            planned: 0,
            read: 0,
            given: BTreeSet::new(),
            callers: 0,
            merged: BTreeMap::new(),
        }
    }

    fn work(&mut self, calls: u64) {
        self.begin(calls);
        let mut look_at = self.sim.now.mono;
        let mut forget_at = self.sim.now.mono;
        while let Some((&(at, nth), _)) = self.plan.first_key_value() {
            let now = self.sim.now.mono;
            self.sim.run_for(at.min(now + LOOKS).since(now));
            let now = self.sim.now.mono;
            self.follow();
            if at <= now
                && let Some(act) = self.plan.remove(&(at, nth))
            {
                self.carry_out(act);
                self.follow();
            }
            if now >= look_at {
                self.look();
                look_at = now + LOOKS;
            }
            if now >= forget_at {
                self.forget();
                forget_at = now + 60 * SECOND;
            }
        }
    }

    /// What must hold at every moment.
    fn look(&mut self) {
        let (given, waiting) = (&self.given, self.sim.seen.waiting.clone());
        let strict = |staff: &str, caller: ConversationId| {
            let queue = waiting.get(&caller).map(|queue| queue.as_str());
            !given.contains(&caller) && queue.is_some_and(|queue| site::fits(staff, queue))
        };
        invariants::check_where(&mut self.sim, strict);
    }

    /// Everybody hangs up, and phones are as they are.
    fn close(&mut self) {
        self.sim.network.weather = Weather::default();
        let everybody: Vec<SocketAddr> = self.phones.iter().chain(&self.supervisors).chain(&self.trunks).copied().collect();
        let Answer::Callbacks(open) = self.sim.ask(Command::Callbacks) else { panic!("callbacks") };
        for callback in open {
            self.sim.ask(Command::CancelCallback { id: callback.id.parse().expect("an id") });
        }
        for at in &everybody {
            self.sim.act(*at, |u, _| u.dead = false);
            self.sim.set(*at, OnInvite::Refuse(486));
            for i in 0..self.sim.ua(*at).calls.len() {
                self.sim.act(*at, |u, now| u.end(i, now));
            }
        }
        self.sim.run_for(600 * SECOND);
        for at in &everybody {
            assert!(self.sim.ua(*at).is_idle(), "seed {}: {at} is not idle\n{}", self.seed, self.sim.story());
        }
        let Answer::Agents(agents) = self.sim.ask(Command::Agents) else { panic!("agents") };
        for agent in agents {
            let rests = matches!(agent.state.as_str(), "ready" | "paused" | "offline" | "unregistered");
            assert!(rests, "seed {}: {} is stuck in {}\n{}", self.seed, agent.staff_number, agent.state, self.sim.story());
        }
        self.look();
        assert_eq!(self.sim.seen.waiting.len(), 0, "seed {}: somebody waits\n{}", self.seed, self.sim.story());
        self.sim.assert_clean();
        self.sim.forget_signalling();
    }

    /// What the log of the whole says.
    fn adds_up(mut self) {
        let tally = self.tally();
        println!("seed {}: {tally:?}", self.seed);
        let of = |kind: &str| tally.get(kind).copied().unwrap_or(0);
        assert!(of("call.started") as u64 >= CALLS, "{tally:?}");
        for (kind, least) in [
            ("queue.answered", 3_000),
            ("queue.abandoned", 200),
            ("queue.unanswered", 100),
            ("queue.left", 50),
            ("call.transferred", 100),
            ("call.consulted", 50),
            ("call.held", 100),
            ("call.monitored", 50),
            ("queue.callback", 100),
            ("agent.unregistered", 5),
            ("config.reloaded", 1),
            ("call.disposed", 100),
        ] {
            assert!(of(kind) >= least, "seed {}: {} {kind}", self.seed, of(kind));
        }
        self.offers_end();
        self.each_conversation_is_one_row(of("call.started"));
        self.recordings_reconcile();
        crate::figures::check_once(&mut self.sim);
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::new();
        for event in &self.sim.events {
            *tally.entry(kind_name(event)).or_default() += 1;
        }
        tally
    }

    /// No offer outlasts its time: the agent is something else than ringing then.
    fn offers_end(&self) {
        let mut rings: BTreeMap<&StaffNumber, (Wall, Duration)> = BTreeMap::new();
        for event in &self.sim.events {
            if let Kind::QueueOffered(offer) = &event.kind {
                rings.insert(&offer.agent, (event.at, Duration::from_millis(offer.rings_for_ms)));
            } else if let Some(agent) = other_than_ringing(event)
                && let Some((since, lasts)) = rings.remove(agent)
            {
                let rang = event.at.since(since);
                assert!(rang <= lasts + SECOND, "seed {}: {agent} rang for {rang:?} of {lasts:?}", self.seed);
            }
        }
        assert!(rings.is_empty(), "seed {}: offers without end: {rings:?}", self.seed);
    }

    fn each_conversation_is_one_row(&self, started: usize) {
        let rows = Conversations::open(Arc::new(Memory::default())).expect("an index");
        let stored: Vec<Stored> = (1..).zip(&self.sim.events).map(|(n, event)| Stored::new(n, event.clone())).collect();
        rows.take(&stored);
        let ids: BTreeSet<ConversationId> = self.sim.events.iter().filter_map(|event| event.conversation).collect();
        assert_eq!(ids.len(), started, "seed {}: each conversation has begun once", self.seed);
        for id in ids {
            let row = rows.row(id).expect("read").unwrap_or_else(|| panic!("seed {}: {id} has no row", self.seed));
            assert!(!row.is_live(), "seed {}: {id} has not ended", self.seed);
        }
    }

    /// Whoever talked with an agent of a queue and was to be recorded is, and each recording that was begun is finished.
    fn recordings_reconcile(&self) {
        let (mut decided, mut bridged) = (BTreeSet::new(), BTreeSet::new());
        let (mut talked, mut recorded) = (BTreeSet::new(), BTreeSet::new());
        let (mut begun, mut finished) = (BTreeSet::new(), BTreeSet::new());
        for event in &self.sim.events {
            match &event.kind {
                Kind::AgentTalking(state) => talked.extend(state.conversation),
                Kind::RecordingDecided(rule) if rule.record => decided.extend(event.conversation),
                // Who is called back may not answer the agent who has it.
                Kind::CallBridged(_) => bridged.extend(event.conversation),
                Kind::RecordingStarted(started) => {
                    assert!(begun.insert(started.recording), "begun twice");
                    recorded.extend(event.conversation);
                }
                Kind::RecordingFinished(done) => assert!(finished.insert(done.recording), "finished twice"),
                _ => {}
            }
        }
        assert_eq!(begun, finished, "seed {}", self.seed);
        talked.retain(|id| decided.contains(id) && bridged.contains(id));
        let missing: Vec<_> = talked.difference(&recorded).collect();
        assert!(missing.is_empty(), "seed {}: not recorded: {missing:?}", self.seed);
        assert!(talked.len() > 2_000, "{}", talked.len());
    }

    fn forget(&mut self) {
        self.sim.forget_signalling();
        for ua in self.sim.uas.values_mut() {
            ua.forget();
            ua.log.clear();
        }
    }
}

/// The agent, where the event is a state that no offer makes.
fn other_than_ringing(event: &Event) -> Option<&StaffNumber> {
    match &event.kind {
        Kind::AgentReady(state)
        | Kind::AgentPaused(state)
        | Kind::AgentWrapup(state)
        | Kind::AgentOffline(state)
        | Kind::AgentTalking(state)
        | Kind::AgentBusy(state)
        | Kind::AgentUnanswered(state)
        | Kind::AgentUnregistered(state) => Some(&state.agent),
        _ => None,
    }
}
