//! A full agent (RFC 8445): it asks before it sends.
//!
//! | what | how |
//! |---|---|
//! | where checks go | to the peer's candidates, and to where its own checks came from |
//! | how fast | one request in Ta, of whatever kind: at most 20 a second |
//! | who nominates | the controlling agent: we a pair once, by a check of its own; the peer's counts when a check of ours has succeeded there |
//! | where media goes | to the selected pair; before there is one, to the best that answered; after a restart to the one before, until then |
//! | consent (RFC 7675) | the answers to requests of ours: about every 5 s, ended 30 s after the last |
//!
//! A controlling peer that nominates each pair that it checks, as browsers do, has the best of them; another one when nothing has come by
//! that for a while. Where we are controlling, the nomination stands until a restart (§8.1.1).

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Mono;
use crate::sdp::{Candidate, FullIce, IceDtls};

use super::super::stun::{Check, Class, Message, ROLE_CONFLICT, Role};
use super::checklist::{Asked, Checklist, Next, Pair, RTO, State, TA};
use super::{CONSENT, Generations, Provider, Sources};

/// Between two requests for consent, a fifth more or less (RFC 7675 §5.1).
const CONSENT_EVERY: Duration = Duration::from_secs(5);
/// What our candidate would have, were it new to the peer (RFC 8445 §7.1.1): type preference 110, the highest local preference, component 1.
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
/// From the first valid pair on, better ones are waited for so long before it is nominated. Chosen by feel: one repetition of a lost check.
const NOMINATE_AFTER: Duration = RTO;
/// A pair that nothing has come by for so long may give way to a worse one that the peer nominates: our request for consent and two checks
/// of a browser's are lost by then. Chosen by feel.
const STALE: Duration = Duration::from_secs(8);
/// An answer that is older says too little to select its pair: it is asked again.
const OLD: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Full {
    pub(super) generations: Generations,
    sources: Sources,
    role: Role,
    /// As agreed on; conflicts may have made it the other.
    agreed: Role,
    tie_breaker: u64,
    list: Checklist,
    selected: Option<SocketAddr>,
    /// The pair that we, controlling, are nominating.
    nominee: Option<SocketAddr>,
    /// When the first pair of this generation became valid.
    valid_since: Option<Mono>,
    /// Where media went before a restart, and until when it may.
    before: Option<(SocketAddr, Mono)>,
    consent_at: Option<Mono>,
    /// No request goes out before this.
    next_at: Mono,
}

impl Full {
    pub fn new(terms: &IceDtls, full: &FullIce, provider: Provider<'_>) -> Full {
        let role = role(full);
        let mut agent = Full {
            generations: Generations::default(),
            sources: Sources::default(),
            role,
            agreed: role,
            // Without chance, the peer's decides.
            tie_breaker: chance(provider).map_or(0, u64::from_be_bytes),
            list: Checklist::default(),
            selected: None,
            nominee: None,
            valid_since: None,
            before: None,
            consent_at: None,
            next_at: Mono::ZERO,
        };
        agent.agree(terms, full);
        agent
    }

    /// New credentials are a restart (RFC 8445 §9): all is looked for anew, and media goes on as before until something is found.
    pub fn agree(&mut self, terms: &IceDtls, full: &FullIce) {
        if self.generations.agree(terms) {
            self.before = self.target().zip(self.expires());
            self.list = Checklist::default();
            (self.selected, self.nominee, self.valid_since, self.consent_at) = (None, None, None, None);
        }
        if self.agreed != role(full) {
            self.agreed = role(full);
            if self.role != self.agreed {
                self.switch();
            }
        }
        self.trickle(&full.candidates);
    }

    pub fn trickle(&mut self, candidates: &[Candidate]) {
        self.list.add(candidates);
    }

    pub fn receive(&mut self, from: SocketAddr, message: &Message<'_>, now: Mono, provider: Provider<'_>) -> Option<Vec<u8>> {
        match message.class {
            Class::Request => self.requested(from, message, now, provider),
            Class::Success | Class::Error => {
                self.answered(from, message, now, provider);
                None
            }
        }
    }

    /// RFC 8445 §7.3.
    fn requested(&mut self, from: SocketAddr, request: &Message<'_>, now: Mono, provider: Provider<'_>) -> Option<Vec<u8>> {
        let (generation, of_now) = self.generations.authentic(request, provider)?;
        let accepted = request.accepted(from, &generation.ours.pwd, provider.crypto())?;
        let conflict = request.role.filter(|(role, _)| of_now && *role == self.role);
        if let Some((_, theirs)) = conflict {
            // The larger one nominates (§7.3.1.1).
            let stays = (self.tie_breaker >= theirs) == (self.role == Role::Controlling);
            if stays {
                return request.role_conflict(&generation.ours.pwd, provider.crypto());
            }
            self.switch();
        }
        self.sources.add(from);
        if of_now {
            self.generations.confirm();
            self.learn(from, request, now);
        }
        Some(accepted)
    }

    /// A check of the peer's says where it is, and triggers ours (§7.3.1.3 to §7.3.1.5).
    fn learn(&mut self, from: SocketAddr, request: &Message<'_>, now: Mono) {
        let keep = [self.selected, self.nominee, self.target()];
        let Some(pair) = self.list.reflexive(from, request.priority.unwrap_or(PRIORITY), &keep) else { return };
        pair.heard = now;
        let nominates = request.use_candidate && self.role == Role::Controlled;
        pair.is_nominated |= nominates;
        match pair.state {
            State::Succeeded if !nominates => {}
            State::Succeeded if pair.answered.is_some_and(|at| at + OLD > now) => self.select(from, now),
            // A peer that asks again and again is not asked as often.
            State::InProgress { sent, .. } if sent + RTO > now => {}
            State::Succeeded | State::InProgress { .. } | State::Waiting | State::Failed | State::Frozen => {
                self.list.trigger(from)
            }
        }
    }

    /// RFC 8445 §7.2.5. What answers nothing that was asked, or is not signed, changes nothing.
    fn answered(&mut self, from: SocketAddr, answer: &Message<'_>, now: Mono, provider: Provider<'_>) {
        let Some(asked) = self.list.answered(from, &answer.transaction) else { return };
        let Some(generation) = self.generations.0.first() else { return };
        if !answer.is_authentic(&generation.theirs.pwd, provider.crypto()) {
            return;
        }
        match (answer.class, answer.error) {
            (Class::Success, _) => self.succeeded(from, &asked, now),
            (Class::Error, Some(ROLE_CONFLICT)) => {
                // What was asked in another role is forgotten, so this is about the one that we have (§7.2.5.1).
                self.switch();
                self.tie_breaker = chance(provider).map_or(0, u64::from_be_bytes);
                self.list.trigger(from);
            }
            // It is repeated until it has failed.
            (Class::Error | Class::Request, _) => {}
        }
    }

    fn succeeded(&mut self, remote: SocketAddr, asked: &Asked, now: Mono) {
        // The answer to an earlier check is not the nomination's.
        let is_done = self.nominee != Some(remote) || asked.use_candidate;
        self.list.succeed(remote, asked, is_done, now);
        self.valid_since.get_or_insert(now);
        self.consent_at.get_or_insert(now + CONSENT_EVERY);
        let nominated = match self.role {
            Role::Controlling => asked.use_candidate && self.nominee == Some(remote),
            Role::Controlled => self.list.peek(remote).is_some_and(|p| p.is_nominated),
        };
        if nominated {
            self.select(remote, now);
        }
    }

    /// A valid pair is nominated (§8.1.1, §7.3.1.5).
    fn select(&mut self, remote: SocketAddr, now: Mono) {
        let Some(pair) = self.list.peek(remote) else { return };
        let (priority, answered) = (pair.priority, pair.answered);
        let is_worse = |current: &Pair| current.heard + STALE > now && current.priority >= priority;
        if self.selected.and_then(|current| self.list.peek(current)).is_some_and(is_worse) {
            return;
        }
        (self.selected, self.nominee, self.before) = (Some(remote), None, None);
        let due = answered.map_or(now, |at| at + CONSENT_EVERY);
        self.consent_at = self.consent_at.into_iter().chain([due]).min();
        self.list.conclude(remote);
    }

    fn switch(&mut self) {
        self.role = self.role.other();
        self.nominee = None;
        self.list.restart();
    }

    /// The request that is due, and where it goes.
    pub fn check(&mut self, now: Mono, provider: Provider<'_>) -> Option<(SocketAddr, Vec<u8>)> {
        if self.deadline().is_none_or(|due| due > now) {
            return None;
        }
        let Some(chance) = chance::<16>(provider) else {
            self.next_at = now + TA;
            return None;
        };
        self.list.expire(now);
        self.nominate(now);
        let (remote, asked) = self.next(now, chance)?;
        self.next_at = now + TA;
        let generation = self.generations.0.first()?;
        let check = Check {
            transaction: asked.transaction,
            ufrags: [&generation.theirs.ufrag, &generation.ours.ufrag],
            priority: PRIORITY,
            role: self.role,
            tie_breaker: self.tie_breaker,
            use_candidate: asked.use_candidate,
        };
        Some((remote, check.written(&generation.theirs.pwd, provider.crypto())?))
    }

    fn next(&mut self, now: Mono, chance: [u8; 16]) -> Option<(SocketAddr, Asked)> {
        let [luck @ .., a, b, c, d] = chance;
        let mut asked = Asked { transaction: luck, use_candidate: false };
        if self.consent_at.is_some_and(|due| due <= now) {
            let spread = u64::from(u32::from_be_bytes([a, b, c, d])) % 401;
            self.consent_at = Some(now + CONSENT_EVERY.mul_f64((800 + spread) as f64 / 1_000.0));
            if let Some(pair) = self.target().and_then(|target| self.list.pair(target)) {
                pair.ask(asked);
                return Some((pair.remote, asked));
            }
        }
        match self.list.next(now)? {
            Next::Again(remote, asked) => Some((remote, asked)),
            Next::Check(remote) => {
                asked.use_candidate = self.role == Role::Controlling && self.nominee == Some(remote);
                self.list.begin(remote, asked, now);
                Some((remote, asked))
            }
        }
    }

    /// Regular nomination (§8.1.1): the best pair is asked once more, and told that it is the one.
    fn nominate(&mut self, now: Mono) {
        if let Some(pair) = self.nominee.and_then(|nominee| self.list.pair(nominee))
            && pair.state == State::Failed
        {
            pair.answered = None;
            self.nominee = None;
        }
        if self.nominates_at().is_some_and(|due| due <= now)
            && let Some(best) = self.list.best().map(|p| p.remote)
        {
            self.nominee = Some(best);
            self.list.trigger(best);
        }
    }

    fn nominates_at(&self) -> Option<Mono> {
        if self.role == Role::Controlled || self.selected.is_some() || self.nominee.is_some() {
            return None;
        }
        let best = self.list.best()?;
        let since = self.valid_since?;
        Some(if self.list.may_exceed(best.priority) { since + NOMINATE_AFTER } else { since })
    }

    pub fn deadline(&self) -> Option<Mono> {
        let due = [self.list.due(), self.nominates_at(), self.consent_at];
        due.into_iter().flatten().min().map(|due| due.max(self.next_at))
    }

    pub fn is_valid(&self, from: SocketAddr) -> bool {
        self.sources.has(from)
            || self.before.is_some_and(|(before, _)| before == from)
            || self.list.peek(from).is_some_and(|p| p.answered.is_some())
    }

    pub fn target(&self) -> Option<SocketAddr> {
        let best = || self.list.best().map(|p| p.remote);
        self.selected.or_else(best).or(self.before.map(|(before, _)| before))
    }

    pub fn expires(&self) -> Option<Mono> {
        let target = self.target()?;
        let answered = self.list.peek(target).and_then(|p| p.answered).map(|at| at + CONSENT);
        answered.or(self.before.filter(|(before, _)| *before == target).map(|(_, until)| until))
    }

    #[cfg(test)]
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    #[cfg(test)]
    pub fn is_controlling(&self) -> bool {
        self.role == Role::Controlling
    }
}

fn role(full: &FullIce) -> Role {
    if full.controlling { Role::Controlling } else { Role::Controlled }
}

fn chance<const N: usize>(provider: Provider<'_>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    provider.random().fill(&mut bytes).ok()?;
    Some(bytes)
}
