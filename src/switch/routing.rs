//! Sends the subject of a conversation somewhere.

use std::time::Duration;

use super::hub::Cx;
use super::{audit, transfer::Notice};
use crate::acd::Wanted;
use crate::config::{Config, Place};
use crate::conversation::{Conversation, Peer, Stage, Transferring};
use crate::event::{AgentState, By, Kind};
use crate::ids::Number;
use crate::media::{Audio, ClipName};
use crate::route::class::Denied;
use crate::route::{self, Caller, Cause, Code, Target};
use crate::sip::Status;

/// An announcement whose end nobody reports is over by then; the longest prompt takes half of it.
const ANNOUNCEMENT: Duration = Duration::from_secs(60);

/// For whom a number is dialled: rights and displayed numbers hang on it.
pub(super) fn caller<'a>(config: &'a Config, peer: &Peer, number: &'a str) -> Option<Caller<'a>> {
    match peer {
        Peer::Phone(phone) => config.phones.get(phone).map(Caller::Phone),
        Peer::Trunk(name) => config.trunks.get(name).map(|trunk| Caller::Trunk { trunk, number: Some(number) }),
    }
}

impl Cx<'_> {
    /// To a configured place, with the rights of who is sent there: after a transfer that is not who began the conversation.
    pub fn go(&mut self, conv: &mut Conversation, place: &Place) {
        let config = self.config();
        let number = conv.customer_number.clone();
        let who = conv.leg(conv.subject).map_or(&conv.origin, |leg| &leg.peer);
        let target = match caller(&config, who, &number) {
            Some(who) => {
                let target = route::go(&config, who, place).map_err(route::Refusal::cause);
                target.and_then(|target| self.may_reach(who, &target).map(|()| target).map_err(Denied::cause))
            }
            // A reload took the phone or trunk away.
            None => Err(Cause::Forbidden),
        };
        match target {
            Ok(target) => self.to(conv, target, None),
            Err(cause) => self.fail(conv, cause, None),
        }
    }

    /// To what a number or place stands for. A transfer is complete at once where nobody has to answer.
    pub fn to(&mut self, conv: &mut Conversation, target: Target, transfer: Option<Transferring>) {
        // Nobody is shown how a call came to a menu, and what that dials is another call.
        if !matches!(target, Target::Phone(_) | Target::Outside(_)) {
            conv.diverted.clear();
        }
        match target {
            Target::Phone(number) => return self.dial_phone(conv, &number, transfer),
            Target::Outside(outside) => return self.dial_outside(conv, outside, transfer),
            Target::Menu(name) => self.enter_menu(conv, &name),
            Target::Queue(name) => self.enter_queue(conv, &name),
            Target::Voicemail(number) => self.leave_message(conv, &number),
            Target::Callback(queue) => self.arrange(conv, &queue),
            Target::Code(Code::Intercom(number)) => return self.intercom(conv, &number, transfer),
            Target::Code(code) => self.code(conv, code),
            Target::Slot(slot) => return self.parks_in(conv, slot, transfer),
            Target::Hangup => self.end(conv, Cause::Menu, By::Switch),
        }
        if let Some(transfer) = transfer {
            self.transferred(conv, transfer, Notice::Completed);
        }
    }

    /// The subject can't be sent where it was to go: an unanswered caller gets the status, an answered one hears it, and a parked one
    /// stays in its slot.
    pub fn fail(&mut self, conv: &mut Conversation, cause: Cause, status: Option<Status>) {
        if self.stays_in_slot(conv, cause) {
            return;
        }
        let answered = conv.leg(conv.subject).is_some_and(|l| l.is_answered());
        if answered {
            self.announce(conv, "unavailable", Place::Hangup, cause);
        } else {
            self.end_with(conv, cause, status, By::Switch);
        }
    }

    /// Plays a prompt of the system's own in the caller's language, then goes on.
    pub fn announce(&mut self, conv: &mut Conversation, prompt: &str, then: Place, cause: Cause) {
        if !self.answer(conv) {
            return;
        }
        let clip = ClipName(self.spoken(&conv.language, prompt).into());
        let play = self.play(conv, conv.subject, Audio::Prompt(vec![clip]));
        conv.stage = Stage::Announcing { play, until: self.now.mono + ANNOUNCEMENT, then, cause };
    }

    /// A prompt of ours in this language; where it is missing, or nobody has chosen a language yet, in English, else in any.
    pub fn spoken(&self, language: &str, prompt: &str) -> String {
        let there = &self.hub.config.prompts;
        let wanted = [language, "en"].map(|l| format!("{l}/{prompt}"));
        let any = || there.iter().find(|p| p.split_once('/').is_some_and(|(_, name)| name == prompt)).cloned();
        let [first, english] = &wanted;
        wanted.iter().find(|w| there.contains(w)).cloned().or_else(any).unwrap_or(if language.is_empty() {
            english.clone()
        } else {
            first.clone()
        })
    }

    /// The announcement is over.
    pub fn announced(&mut self, conv: &mut Conversation) {
        let Stage::Announcing { then, cause, .. } = &conv.stage else { return };
        let (then, cause) = (then.clone(), *cause);
        conv.stage = Stage::Routing;
        match then {
            Place::Hangup => self.end(conv, cause, By::Switch),
            place => self.go(conv, &place),
        }
    }

    /// Calls a phone that answers by itself, if it understands one of the ways in which it is asked to.
    fn intercom(&mut self, conv: &mut Conversation, number: &Number, transfer: Option<Transferring>) {
        conv.intercom = true;
        self.dial_phone(conv, number, transfer);
        conv.intercom = false;
    }

    /// What a phone's user sets by dialling: the state of the agent who works there, or what becomes of the phone's calls.
    fn code(&mut self, conv: &mut Conversation, code: Code) {
        let Peer::Phone(phone) = conv.origin.clone() else { return self.fail(conv, Cause::NotFound, None) };
        let told = audit::dialled(&code);
        let done = match code {
            Code::Ready => self.wish_by_code(&phone, Wanted::Ready, "agent-ready"),
            Code::Pause { reason } => self.wish_by_code(&phone, Wanted::Paused { reason }, "agent-paused"),
            Code::Offline => self.wish_by_code(&phone, Wanted::Offline, "agent-offline"),
            Code::LogIn(agent) => return self.log_in_by_code(conv, &phone, agent),
            Code::LogOut => self.log_out_by_code(&phone),
            Code::Forward { when, to } => self.set_by_code(&phone, when, to).map_err(|_| Cause::NotFound),
            // Taken up when the INVITE came; who is sent there otherwise has no call to take.
            Code::Pickup(_) | Code::Intercom(_) => Err(Cause::NotFound),
            Code::Park => return self.offer_slot(conv, phone),
            Code::Parked(slot) => return self.tell_slot(conv, &slot),
            Code::Messages(number) => return self.listen(conv, &number.unwrap_or(phone)),
            Code::Prompt(prompt) => {
                let may = self.hub.config.spoken.values().any(|spoken| spoken.prompt == prompt && spoken.phones.contains(&phone));
                match may {
                    true => return self.record_prompt(conv, prompt),
                    false => Err(Cause::Forbidden),
                }
            }
            Code::DoNotDisturb { on } => self.disturb_by_code(&phone, on).map_err(|_| Cause::NotFound),
        };
        if let Some(told) = told {
            self.code_audited(&phone, told, done.as_ref().err().map(ToString::to_string));
        }
        match done {
            Ok(prompt) => self.announce(conv, prompt, Place::Hangup, Cause::Normal),
            Err(cause) => self.fail(conv, cause, None),
        }
    }

    fn wish_by_code(&mut self, phone: &Number, wanted: Wanted, prompt: &'static str) -> Result<&'static str, Cause> {
        let agent = self.hub.acd.agent_at(phone).cloned().ok_or(Cause::NotFound)?;
        self.wish(&agent, wanted, By::Phone).map(|()| prompt).map_err(|_| Cause::NotFound)
    }

    pub fn agent_changed(&mut self, agent: crate::ids::StaffNumber, to: crate::acd::AgentState) {
        use crate::acd::AgentState as S;
        let phones = self.hub.acd.phones_of(&agent).to_vec();
        let phone = phones.first().cloned().unwrap_or_else(|| "".into());
        let team = self.hub.config.team_of(&agent).cloned();
        let is_wished = matches!(to, S::Offline | S::Paused { .. });
        let by = self.hub.wished_by.get(&agent).filter(|_| is_wished).cloned();
        let wrapping = self.hub.acd.wrapping_of(&agent, self.now);
        let owes = matches!(to, S::WrapUp { .. }) && wrapping.as_ref().is_some_and(|w| w.owes != crate::acd::Owes::default());
        let (queue, conversation) = match &to {
            S::Offered { entry, queue, .. } => (Some(queue.clone()), entry.conversation()),
            S::Talking { caller, queue, .. } => (Some(queue.clone()), Some(*caller)),
            S::WrapUp { queue, .. } => (Some(queue.clone()), wrapping.as_ref().map(|w| w.call)),
            S::Offline | S::Paused { .. } | S::NotRegistered | S::Ready { .. } | S::Busy | S::Unanswered { .. } => (None, None),
        };
        let until = |at: crate::clock::Mono| Some(self.now.wall + at.since(self.now.mono));
        let data = |reason: Option<String>, until| AgentState {
            agent: agent.clone(),
            phone: phone.clone(),
            phones: phones.clone(),
            team: team.clone(),
            by: by.clone(),
            queue: queue.clone(),
            conversation,
            owes,
            reason,
            until,
        };
        let kind = match to {
            S::Offline => Kind::AgentOffline(data(None, None)),
            S::Paused { reason } => Kind::AgentPaused(data(reason, None)),
            S::NotRegistered => Kind::AgentUnregistered(data(None, None)),
            S::Ready { .. } => Kind::AgentReady(data(None, None)),
            S::Offered { until: at, .. } => Kind::AgentRinging(data(None, until(at))),
            S::Talking { .. } => Kind::AgentTalking(data(None, None)),
            S::Busy => Kind::AgentBusy(data(None, None)),
            S::WrapUp { until: at, .. } => Kind::AgentWrapup(data(None, until(at))),
            S::Unanswered { until: at } => Kind::AgentUnanswered(data(None, until(at))),
        };
        self.tell(None, kind);
        self.keep_wrap_up(&agent);
    }
}
