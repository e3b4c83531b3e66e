//! What happens on the floor, and when.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Place;
use cordboard::event::{Kind, MonitorMode};
use cordboard::ids::{ConversationId, StaffNumber};
use cordboard::switch::command::{ConsultStep, RecordAction, WantedState};
use cordboard::switch::{Answer, Command};

use super::site::{self, AGENTS, Edition, QUEUES, SUPERVISORS};
use super::{Floor, SECOND};
use crate::sim::invariants;
use crate::sim::ua::{Hold, OnInvite, Phase};

/// Sixty agents are busy for three quarters of the time on average with a call each that often, and too busy in its rushes.
const BETWEEN_CALLS_MS: u64 = 1_900;
const TALKS: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(90);
/// Nobody is away for longer.
const AWAY: Duration = Duration::from_secs(60);
/// Nobody stays longer, wherever the call has gone.
const LONGEST: Duration = Duration::from_secs(1_200);

/// Somebody does something.
#[derive(Clone, Debug)]
pub enum Act {
    /// So many are still to come.
    Arrives(u64),
    GivesUp(Customer),
    Leaves(Customer),
    Presses(Customer, char),
    /// Of an agent's phone: the talk ends.
    HangsUp(SocketAddr, ConversationId),
    CustomerHangsUp(ConversationId),
    /// Also colleagues who talk on without the customer.
    AllHangUp(ConversationId),
    During(SocketAddr, ConversationId, Does),
    Behaves(usize),
    LosesPower(usize),
    HasPowerAgain(usize),
    Supervises,
    WantsState,
    /// Who is away for long is called back to the own desk.
    Musters,
    Reloads,
    Nothing,
}

/// One end of a customer's call.
#[derive(Clone, Debug)]
pub struct Customer {
    trunk: SocketAddr,
    call_id: String,
}

/// What an agent does in a talk.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    Holds,
    Resumes,
    TransfersBlind,
    TransfersByCommand,
    Consults,
    Joins,
    Asks,
    Steps(ConsultStep),
    HoldsByCommand,
    ResumesByCommand,
    Disposes,
    Notes,
    Pauses,
    Parks,
}

impl Floor {
    pub fn begin(&mut self, calls: u64) {
        self.plan(SECOND, Act::Arrives(calls));
        for phone in 0..self.phones.len() {
            self.behave(phone);
        }
        let length = Duration::from_millis(BETWEEN_CALLS_MS * calls);
        for nth in 0..u64::try_from(self.phones.len()).unwrap_or(0) / 4 {
            let at = self.within(length);
            let phone = self.below(AGENTS as u64) as usize;
            self.plan(at + Duration::from_millis(nth), Act::LosesPower(phone));
        }
        self.plan(length / 2, Act::Reloads);
        // Everybody behaves otherwise now and then; supervisors walk about.
        let rounds = length.as_secs() / 20;
        for round in 0..rounds {
            let at = Duration::from_secs(20 * round + 1);
            self.plan(at, Act::Supervises);
            for _ in 0..4 {
                let phone = self.below(AGENTS as u64) as usize;
                self.plan(at, Act::Behaves(phone));
            }
            self.plan(at, Act::Musters);
            if round.is_multiple_of(2) {
                self.plan(at, Act::WantsState);
            }
        }
        self.plan(length + LONGEST, Act::Nothing);
    }

    fn plan(&mut self, after: Duration, act: Act) {
        self.planned += 1;
        self.plan.insert((self.sim.now.mono + after, self.planned), act);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance.below(bound)
    }

    fn within(&mut self, length: Duration) -> Duration {
        Duration::from_millis(self.chance.below(u64::try_from(length.as_millis()).unwrap_or(0).max(1)))
    }

    /// Exponential, with that mean, and some tens of it at most.
    fn about(&mut self, mean: Duration) -> Duration {
        let uniform = (self.chance.below(1_000_000) + 1) as f64 / 1_000_001.0;
        mean.mul_f64(-uniform.ln())
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.chance.below(all.len() as u64) as usize]
    }

    /// What the floor does on what has happened.
    pub fn follow(&mut self) {
        while let Some(event) = self.sim.events.get(self.read).cloned() {
            self.read += 1;
            match (&event.kind, event.conversation) {
                (Kind::AgentTalking(state), _) => {
                    if let (Some(conversation), Some(phone)) = (state.conversation, self.phone_of(state.phone.as_str())) {
                        self.talk(phone, conversation);
                    }
                }
                (Kind::CallMerged(merged), _) => drop(self.merged.insert(merged.child, merged.parent)),
                (Kind::CallEnded(_), Some(conversation)) => drop(self.given.remove(&conversation)),
                _ => {}
            }
        }
    }

    fn phone_of(&self, number: &str) -> Option<SocketAddr> {
        self.phones.iter().copied().find(|at| self.sim.ua(*at).number == number)
    }

    fn talk(&mut self, phone: SocketAddr, conversation: ConversationId) {
        let talks = self.about(TALKS) + SECOND;
        let does: &[(Does, u64)] = match self.below(20) {
            0 | 1 => &[(Does::Holds, 1), (Does::Resumes, 3)],
            2 => &[(Does::TransfersBlind, 2)],
            3 => &[(Does::TransfersByCommand, 2)],
            4 => &[(Does::Consults, 1), (Does::Joins, 3)],
            5 => &[(Does::Asks, 1), (Does::Steps(ConsultStep::Complete), 3)],
            6 => &[(Does::Asks, 1), (Does::Steps(ConsultStep::Swap), 2), (Does::Steps(ConsultStep::Join), 3)],
            7 => &[(Does::Asks, 1), (Does::Steps(ConsultStep::Cancel), 3)],
            8 => &[(Does::HoldsByCommand, 1), (Does::ResumesByCommand, 3)],
            9 => &[(Does::Pauses, 2)],
            10 => &[(Does::Parks, 2)],
            11 => &[(Does::Notes, 1)],
            _ => &[],
        };
        for (does, fourth) in does {
            self.plan(talks * u32::try_from(*fourth).unwrap_or(1) / 4, Act::During(phone, conversation, *does));
        }
        if self.below(3) > 0 {
            self.plan(talks, Act::CustomerHangsUp(conversation));
        } else {
            self.plan(talks, Act::HangsUp(phone, conversation));
        }
        // Whoever has it by then, wherever it waits.
        self.plan(talks + 2 * TALKS, Act::AllHangUp(conversation));
        // Notes that are owed come in wrap-up, mostly.
        if self.below(10) > 0 {
            let after = talks + self.within(8 * SECOND);
            self.plan(after, Act::During(phone, conversation, Does::Disposes));
        }
    }

    pub fn carry_out(&mut self, act: Act) {
        match act {
            Act::Arrives(left) => self.arrives(left),
            Act::GivesUp(customer) => {
                let conversation = self.sim.call_ids.get(&customer.call_id).copied();
                let waits = conversation.is_none_or(|id| self.sim.seen.waiting.contains_key(&id));
                if waits {
                    self.leave(&customer);
                }
            }
            Act::Leaves(customer) => self.leave(&customer),
            Act::Presses(customer, digit) => self.sim.key(customer.trunk, &customer.call_id, digit),
            Act::HangsUp(phone, conversation) => {
                match self.call_of(phone, conversation) {
                    Some(i) => self.sim.act(phone, |p, now| p.end(i, now)),
                    // A colleague has it.
                    None => self.plan(SECOND, Act::CustomerHangsUp(conversation)),
                }
            }
            Act::CustomerHangsUp(conversation) => self.hang_up(&self.trunks.clone(), conversation),
            Act::AllHangUp(conversation) => self.hang_up(&[self.trunks.clone(), self.phones.clone()].concat(), conversation),
            Act::During(phone, conversation, does) => self.during(phone, conversation, does),
            Act::Behaves(phone) => self.behave(phone),
            Act::LosesPower(phone) => {
                let at = self.phones[phone];
                self.sim.act(at, |p, _| p.dead = true);
                let back = 20 * SECOND + self.within(200 * SECOND);
                self.plan(back, Act::HasPowerAgain(phone));
            }
            // It knows nothing of its calls, and registers.
            Act::HasPowerAgain(phone) => self.sim.act(self.phones[phone], |p, now| {
                p.dead = false;
                for i in 0..p.calls.len() {
                    p.end(i, now);
                }
                p.register(now);
            }),
            Act::Supervises => self.supervise(),
            Act::WantsState => {
                let n = self.below(AGENTS as u64) as usize;
                let agent = StaffNumber::from(site::staff_number(n).as_str());
                let state = self.pick(&[WantedState::Ready, WantedState::Ready, WantedState::Paused, WantedState::Offline]);
                self.ask(Command::SetAgent { agent, state, reason: None });
            }
            Act::Musters => {
                let Answer::Agents(agents) = self.sim.ask(Command::Agents) else { panic!("agents") };
                let long_ago = (self.sim.now.wall - AWAY).to_string();
                for away in agents.into_iter().filter(|a| matches!(a.state.as_str(), "paused" | "offline")) {
                    if away.since.is_some_and(|since| since < long_ago) {
                        let agent = StaffNumber::from(away.staff_number.as_str());
                        self.ask(Command::LogIn { agent: agent.clone(), phone: None });
                        self.ask(Command::SetAgent { agent, state: WantedState::Ready, reason: None });
                    }
                }
            }
            Act::Reloads => {
                self.sim.reload(site::source(Edition::Second));
                self.look();
            }
            Act::Nothing => {}
        }
    }

    /// Whoever asks gets an answer, and no other one than these.
    fn ask(&mut self, command: Command) {
        let asked = format!("{command:?}");
        let answer = self.sim.ask(command);
        let is_fine = matches!(answer, Answer::Done | Answer::Refused(_) | Answer::Started(_) | Answer::Callback(_));
        assert!(is_fine, "seed {}: {asked}: {answer:?}", self.seed);
    }

    fn arrives(&mut self, left: u64) {
        self.callers += 1;
        let trunk = self.pick(&self.trunks.clone());
        // One in eight has called before.
        let who = if self.below(8) == 0 { self.below(self.callers) } else { self.callers };
        let queue = self.below(QUEUES.len() as u64) as usize;
        let by_menu = self.below(3) == 0;
        let dialled = if by_menu { site::MENU.to_owned() } else { site::number_of(queue) };
        let mut call_id = String::new();
        self.sim.act(trunk, |t, now| {
            t.number = format!("+4930{}", 7_000_000 + who);
            let i = t.call(&dialled, now);
            call_id.clone_from(&t.calls[i].call_id);
        });
        let customer = Customer { trunk, call_id };
        if by_menu {
            let key = char::from(b'1' + queue as u8);
            let after = 2 * SECOND + self.within(4 * SECOND);
            self.plan(after, Act::Presses(customer.clone(), key));
        }
        if self.below(4) == 0 {
            let after = 12 * SECOND + self.within(40 * SECOND);
            self.plan(after, Act::Presses(customer.clone(), '1'));
            self.plan(after + 4 * SECOND, Act::Presses(customer.clone(), '1'));
        }
        let patience = self.about(PATIENCE);
        self.plan(patience, Act::GivesUp(customer.clone()));
        self.plan(LONGEST, Act::Leaves(customer));
        if left > 1 {
            // Rushes, one in six minutes, of four times as many.
            let is_rush = (self.sim.now.mono.as_micros() / 60_000_000).is_multiple_of(6);
            let mean = if is_rush { BETWEEN_CALLS_MS / 4 } else { BETWEEN_CALLS_MS * 6 / 5 };
            let next = self.about(Duration::from_millis(mean));
            self.plan(next, Act::Arrives(left - 1));
        }
    }

    fn leave(&mut self, customer: &Customer) {
        self.sim.act(customer.trunk, |t, now| {
            if let Some(i) = t.calls.iter().position(|call| call.call_id == customer.call_id) {
                t.end(i, now);
            }
        });
    }

    fn hang_up(&mut self, all: &[SocketAddr], conversation: ConversationId) {
        for at in all {
            if let Some(i) = self.call_of(*at, conversation) {
                self.sim.act(*at, |u, now| u.end(i, now));
            }
        }
    }

    /// A call of theirs in this conversation.
    fn call_of(&self, at: SocketAddr, conversation: ConversationId) -> Option<usize> {
        let now = |mut id: ConversationId| {
            while let Some(into) = self.merged.get(&id) {
                id = *into;
            }
            id
        };
        let is_of = |call_id: &str| self.sim.call_ids.get(call_id).is_some_and(|id| now(*id) == now(conversation));
        self.sim.ua(at).calls.iter().position(|call| call.phase != Phase::Over && is_of(&call.call_id))
    }

    /// How an agent takes calls from here on.
    fn behave(&mut self, phone: usize) {
        let answers = OnInvite::Answer(Duration::from_millis(500 + self.below(6_000)));
        let what = match self.below(40) {
            0 => OnInvite::Ring,
            1 => OnInvite::Refuse(486),
            2 => OnInvite::RefuseAfter(603, 3 * SECOND),
            3 => OnInvite::AnswerThenBye(SECOND),
            4 => OnInvite::Ignore,
            5 => OnInvite::AnswerUnusably,
            6 => OnInvite::Answer(Duration::ZERO),
            _ => answers,
        };
        self.sim.set(self.phones[phone], what);
    }

    fn during(&mut self, phone: SocketAddr, conversation: ConversationId, does: Does) {
        let Some(i) = self.call_of(phone, conversation) else {
            // The talk is over; of its wrap-up there is this.
            if let Does::Disposes = does {
                self.dispose(conversation);
            }
            return;
        };
        let other = site::phone(self.below(AGENTS as u64) as usize);
        let queue = format!("60{}", self.below(QUEUES.len() as u64) + 1);
        let to = if self.below(2) == 0 { other.clone() } else { queue };
        let is_up = self.sim.ua(phone).calls[i].phase == Phase::Up;
        match does {
            Does::Holds if is_up => self.sim.act(phone, |p, now| p.hold(Hold::SendOnly, now)),
            Does::Resumes if is_up => self.sim.act(phone, |p, now| p.resume(now)),
            Does::TransfersBlind if is_up => self.sim.act(phone, |p, now| p.refer(&to, now)),
            Does::Parks if is_up => self.sim.act(phone, |p, now| p.refer("*70", now)),
            Does::Consults if is_up => {
                self.sim.act(phone, |p, now| {
                    p.hold(Hold::SendOnly, now);
                    p.call(&other, now);
                });
                self.plan(200 * SECOND, Act::HangsUp(phone, conversation));
            }
            Does::Joins => self.sim.act(phone, |p, now| {
                let up: Vec<usize> = (0..p.calls.len()).filter(|i| p.calls[*i].phase == Phase::Up).collect();
                match up[..] {
                    [on, other, ..] => p.refer_call(on, other, now),
                    // Whom it asked has not answered: it lets go of that.
                    _ => {
                        if let Some(i) = p.calls.iter().rposition(|call| call.phase == Phase::Calling) {
                            p.end(i, now);
                        }
                    }
                }
            }),
            Does::TransfersByCommand => self.ask(Command::Transfer { conversation, to }),
            Does::Asks => self.ask(Command::Consult { conversation, to: other }),
            Does::Steps(step) => self.ask(Command::Consultation { conversation, step }),
            Does::HoldsByCommand => self.ask(Command::Hold { conversation }),
            Does::ResumesByCommand => self.ask(Command::Resume { conversation }),
            Does::Disposes => self.dispose(conversation),
            Does::Notes => self.ask(Command::Note { conversation, agent: None, text: "asked for an offer".into() }),
            Does::Pauses => {
                self.ask(Command::Record { conversation, action: RecordAction::Pause });
                self.ask(Command::Record { conversation, action: RecordAction::Resume });
            }
            _ => {}
        }
    }

    fn dispose(&mut self, conversation: ConversationId) {
        for disposition in ["solved", "ordered"] {
            self.ask(Command::Dispose { conversation, agent: None, disposition: disposition.to_owned() });
        }
    }

    fn supervise(&mut self) {
        let live = invariants::live(&self.sim);
        if live.is_empty() {
            return;
        }
        let conversation = self.pick(&live);
        let nth = self.below(SUPERVISORS.len() as u64) as usize;
        let who = SUPERVISORS[nth].to_owned();
        let n = self.below(AGENTS as u64) as usize;
        let agent = StaffNumber::from(site::staff_number(n).as_str());
        let queue = QUEUES[self.below(QUEUES.len() as u64) as usize].0;
        match self.below(16) {
            0..=4 => {
                use MonitorMode::{Barge, Listen, TakeOver, Whisper};
                let mode = self.pick(&[Listen, Listen, Whisper, Barge, TakeOver]);
                let talks = self.sim.events.iter().rev().take(400).find_map(|event| match &event.kind {
                    Kind::AgentTalking(state) => state.conversation,
                    _ => None,
                });
                self.ask(Command::Monitor { conversation: talks.unwrap_or(conversation), who, mode });
                self.sim.set(self.supervisors[nth], OnInvite::Answer(SECOND));
            }
            5 => self.sim.act(self.supervisors[nth], |s, now| s.hang_up(now)),
            6 | 7 => {
                let Some(caller) = self.sim.seen.waiting.keys().next().copied() else { return };
                match self.below(3) {
                    0 => self.ask(Command::MoveCaller {
                        conversation: caller,
                        to: Some(Place::Queue(queue.into())),
                        priority: None,
                        agent: None,
                    }),
                    1 => self.ask(Command::MoveCaller { conversation: caller, to: None, priority: Some(9), agent: None }),
                    _ => {
                        self.given.insert(caller);
                        self.ask(Command::MoveCaller { conversation: caller, to: None, priority: None, agent: Some(agent) });
                    }
                }
            }
            8 => self.ask(Command::Announce { queue: queue.into(), prompt: Some("outage".into()), until: None }),
            9 => self.ask(Command::Announce { queue: queue.into(), prompt: None, until: None }),
            10 => {
                let number = format!("+4930{}", 7_000_000 + self.below(self.callers + 1));
                let callback = Command::CallBack { queue: queue.into(), number, due_at: None, owner: None, conversation: None };
                self.ask(callback);
            }
            11 => {
                let phone = site::phone(self.below(AGENTS as u64) as usize);
                self.ask(Command::LogIn { agent, phone: Some(phone.as_str().into()) });
            }
            12 => self.ask(Command::LogIn { agent, phone: None }),
            13 => {
                self.ask(Command::LogOut { agent: agent.clone() });
                self.ask(Command::LogIn { agent, phone: None });
            }
            14 => self.ask(Command::ExtendWrapUp { agent, seconds: 30 }),
            _ => self.ask(Command::Hangup { conversation }),
        }
    }
}
