//! The checklist of a full agent (RFC 8445 §6.1.2) with one component and one candidate of ours, where a pair is an address of the peer's.
//!
//! ```text
//!            asked            answered
//! Waiting ─────────► InProgress ─────► Succeeded
//!    ▲                  │  never
//!    │ triggered        ├───────► Failed
//!    └──────────────────┴── Frozen ◄── another pair is selected
//! ```
//!
//! Pairs begin as Waiting: those with one foundation, of which §6.1.2.6 freezes all but one, are components of one address, and we have one
//! component. Their order is that of the peer's priorities: with one candidate of ours, that of §6.1.2.3 is the same in both roles.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::sdp::Candidate;

use super::super::stun::Transaction;

/// Between two requests, of whatever kind (RFC 8445 §14.2).
pub const TA: Duration = Duration::from_millis(50);
/// A request that is not answered is sent again after so long, then after twice as long, at least (RFC 8445 §14.3).
pub const RTO: Duration = Duration::from_millis(500);
/// Rc and Rm of RFC 8489 §6.2.1: how often it is sent, and how many of the first gap the last one waits.
const SENDS: u8 = 7;
const LAST_GAP: u32 = 16;
/// Pairs that come of the peer's checks alone (§7.3.1.3): its NATs' mappings, of which the oldest gives way.
const REFLEXIVE: usize = 8;
const PAIRS: usize = Candidate::MOST + REFLEXIVE;
/// Requests of a pair whose answers still count: a check and those for consent that came after.
const ASKED: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    /// `again`: when it is sent the next time, or given up.
    InProgress {
        asked: Asked,
        sends: u8,
        sent: Mono,
        again: Mono,
        gap: Duration,
    },
    Succeeded,
    Failed,
    /// Not asked, since another one is selected (§8.1.2), until the peer asks.
    Frozen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub transaction: Transaction,
    pub use_candidate: bool,
}

#[derive(Debug)]
pub struct Pair {
    pub remote: SocketAddr,
    /// Of the peer's candidate.
    pub priority: u32,
    is_described: bool,
    pub state: State,
    /// The controlling peer has nominated it.
    pub is_nominated: bool,
    /// The last answer of the peer's: the pair is valid (§7.2.5.3.2), and there is consent (RFC 7675 §5.1).
    pub answered: Option<Mono>,
    /// The last authentic message.
    pub heard: Mono,
    asked: ArrayVec<Asked, ASKED>,
}

impl Pair {
    fn new(remote: SocketAddr, priority: u32, is_described: bool) -> Pair {
        let (state, asked) = (State::Waiting, ArrayVec::new());
        Pair { remote, priority, is_described, state, is_nominated: false, answered: None, heard: Mono::ZERO, asked }
    }

    /// A request for which no state changes: whether there still is consent.
    pub fn ask(&mut self, asked: Asked) {
        if self.asked.contains(&asked) {
            return;
        }
        if self.asked.is_full() {
            self.asked.remove(0);
        }
        self.asked.push(asked);
    }

    fn is_unfinished(&self) -> bool {
        matches!(self.state, State::Waiting | State::InProgress { .. })
    }
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Check(SocketAddr),
    /// The same once more.
    Again(SocketAddr, Asked),
}

#[derive(Debug, Default)]
pub struct Checklist {
    pairs: ArrayVec<Pair, PAIRS>,
    /// The triggered-check queue (§6.1.4.1): pairs that are Waiting, each once.
    triggered: VecDeque<SocketAddr>,
}

impl Checklist {
    /// Candidates of the peer's; what is too many is passed over.
    pub fn add(&mut self, candidates: &[Candidate]) {
        for Candidate { address, priority } in candidates {
            let described = self.pairs.iter().filter(|p| p.is_described).count();
            match self.pair(*address) {
                Some(pair) => {
                    // Its check was faster than its description.
                    pair.priority = pair.priority.max(*priority);
                }
                None if described < Candidate::MOST => {
                    // There is room: the others are no more than theirs.
                    let _ = self.pairs.try_push(Pair::new(*address, *priority, true));
                }
                None => {}
            }
        }
    }

    pub fn pair(&mut self, remote: SocketAddr) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|p| p.remote == remote)
    }

    pub fn peek(&self, remote: SocketAddr) -> Option<&Pair> {
        self.pairs.iter().find(|p| p.remote == remote)
    }

    /// A check has come from there: its pair, a new one if there was none. `keep`: these do not give way to it.
    pub fn reflexive(&mut self, from: SocketAddr, priority: u32, keep: &[Option<SocketAddr>]) -> Option<&mut Pair> {
        if self.peek(from).is_none() {
            if self.pairs.iter().filter(|p| !p.is_described).count() >= REFLEXIVE {
                let at = self.pairs.iter().position(|p| !p.is_described && !keep.contains(&Some(p.remote)))?;
                let gone = self.pairs.remove(at);
                self.triggered.retain(|remote| *remote != gone.remote);
            }
            self.pairs.try_push(Pair::new(from, priority, false)).ok()?;
        }
        self.pair(from)
    }

    /// Is checked before others (§7.3.1.4).
    pub fn trigger(&mut self, remote: SocketAddr) {
        let Some(pair) = self.pair(remote) else { return };
        pair.state = State::Waiting;
        if !self.triggered.contains(&remote) {
            self.triggered.push_back(remote);
        }
    }

    /// A check of ours goes out.
    pub fn begin(&mut self, remote: SocketAddr, asked: Asked, now: Mono) {
        let unfinished = self.pairs.iter().filter(|p| p.is_unfinished()).count();
        // All of them have a turn before the first is repeated.
        let gap = RTO.max(TA * unfinished as u32);
        if let Some(pair) = self.pair(remote) {
            pair.state = State::InProgress { asked, sends: 1, sent: now, again: now + gap, gap };
            pair.ask(asked);
        }
    }

    /// Those that were not answered to the last have failed.
    pub fn expire(&mut self, now: Mono) {
        for pair in &mut self.pairs {
            if matches!(pair.state, State::InProgress { sends: SENDS, again, .. } if again <= now) {
                pair.state = State::Failed;
                pair.asked.clear();
            }
        }
    }

    /// What is due: what was triggered, what is to be repeated, what is waiting, in this order.
    pub fn next(&mut self, now: Mono) -> Option<Next> {
        if let Some(remote) = self.triggered.pop_front() {
            return Some(Next::Check(remote));
        }
        let due = self.pairs.iter_mut().filter_map(|pair| match pair.state {
            State::InProgress { again, .. } if again <= now => Some((again, pair)),
            _ => None,
        });
        if let Some((_, pair)) = due.min_by_key(|(again, _)| *again)
            && let State::InProgress { asked, sends, gap, .. } = pair.state
        {
            let first = gap / (1 << sends.saturating_sub(1));
            let gap = if sends + 1 >= SENDS { first * LAST_GAP } else { gap * 2 };
            pair.state = State::InProgress { asked, sends: sends + 1, sent: now, again: now + gap, gap };
            // Those for consent may have pushed it out.
            pair.ask(asked);
            return Some(Next::Again(pair.remote, asked));
        }
        let waiting = self.pairs.iter().filter(|p| p.state == State::Waiting);
        waiting.min_by_key(|p| Reverse(p.priority)).map(|p| Next::Check(p.remote))
    }

    /// When [`Checklist::expire`] or [`Checklist::next`] has something to do.
    pub fn due(&self) -> Option<Mono> {
        let of = |pair: &Pair| match pair.state {
            State::Waiting => Some(Mono::ZERO),
            State::InProgress { again, .. } => Some(again),
            State::Succeeded | State::Failed | State::Frozen => None,
        };
        self.pairs.iter().filter_map(of).min()
    }

    /// The request that this answers, which is answered with it. From where it went to, and from nowhere else (§7.2.5.2.1).
    pub fn answered(&self, from: SocketAddr, transaction: &Transaction) -> Option<Asked> {
        self.peek(from)?.asked.iter().find(|asked| asked.transaction == *transaction).copied()
    }

    /// Its answer has come; `is_done`: so has the check's.
    pub fn succeed(&mut self, remote: SocketAddr, asked: &Asked, is_done: bool, now: Mono) {
        let Some(pair) = self.pair(remote) else { return };
        pair.asked.retain(|a| a != asked);
        (pair.answered, pair.heard) = (Some(now), now);
        if is_done {
            pair.state = State::Succeeded;
            self.triggered.retain(|r| *r != remote);
        }
    }

    /// The valid pair of the highest priority.
    pub fn best(&self) -> Option<&Pair> {
        self.pairs.iter().filter(|p| p.answered.is_some()).min_by_key(|p| Reverse(p.priority))
    }

    /// A better pair than this may be found yet.
    pub fn may_exceed(&self, priority: u32) -> bool {
        self.pairs.iter().any(|p| p.is_unfinished() && p.priority > priority)
    }

    /// One is selected: others are not begun any more, nor repeated where they would be worse (§8.1.2).
    pub fn conclude(&mut self, selected: SocketAddr) {
        let priority = self.peek(selected).map_or(0, |p| p.priority);
        for pair in self.pairs.iter_mut().filter(|p| p.remote != selected && p.is_unfinished()) {
            if pair.state == State::Waiting || pair.priority <= priority {
                pair.state = State::Frozen;
            }
        }
        self.triggered.retain(|remote| *remote == selected);
    }

    /// Our role has changed: what was said in the other one counts no more (§7.3.1.1).
    pub fn restart(&mut self) {
        for pair in &mut self.pairs {
            pair.asked.clear();
            if let State::InProgress { .. } = pair.state {
                pair.state = State::Waiting;
            }
        }
    }
}
