//! Where agents work: at the phones of the configuration, or where they have logged in; and for which queues: those of the configuration,
//! or those that a supervisor has put them into.
//!
//! One agent a phone: a login takes the phone from whoever worked there, who is logged out if that was the last one. By the API a login
//! needs the right to it; by phone it needs the agent's PIN, which is keyed and never dialled, as what is dialled stands in ladders and
//! journals. At the agent's own phones there is nothing to prove. What was set outlives the process with the agent's wish.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Output;
use super::command::Refusal;
use super::hub::Cx;
use super::mailbox::trier;
use crate::acd::{NoSuchAgent, Wanted, Wrapping};
use crate::config::{Place, Standing};
use crate::conversation::{Conversation, Stage};
use crate::event::{AgentLogin, AgentQueues, By, Kind, Membership};
use crate::ids::{Number, QueueName, StaffNumber};
use crate::media::Audio;
use crate::route::Cause;
use crate::voicemail::is_same;

/// For the prompt, and to key the PIN. By feel.
const TO_KEY: Duration = Duration::from_secs(20);

/// Digits that a PIN has at most; more are not remembered.
const MOST_DIGITS: usize = 16;

/// Wrong PINs that one call may give.
const MOST_WRONG: u8 = 3;

/// What of an agent outlives the process. A wish of an older version has the state alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wish {
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Where the agent has logged in instead of where the configuration says; none at all: logged out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<Vec<Number>>,
    /// The queues that somebody has put the agent into, instead of those of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<Membership>>,
    /// Who set the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// It goes on to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_up: Option<Wrapping>,
}

impl Cx<'_> {
    /// What an agent wants from now on; it outlives the process.
    pub fn wish(&mut self, agent: &StaffNumber, wanted: Wanted, by: By) -> Result<(), NoSuchAgent> {
        self.hub.acd.set(agent, wanted, self.now)?;
        self.hub.wished_by.insert(agent.clone(), by);
        self.keep_wish(agent);
        Ok(())
    }

    pub fn keep_wish(&mut self, agent: &StaffNumber) {
        let Some(wanted) = self.hub.acd.wanted_of(agent).cloned() else { return };
        let desk = self.hub.acd.desk_of(agent).map(<[Number]>::to_vec);
        let wrap_up = self.hub.acd.wrapping_of(agent, self.now);
        match wrap_up.is_some() {
            true => self.hub.wrapping_up.insert(agent.clone()),
            false => self.hub.wrapping_up.remove(agent),
        };
        let queues = self.hub.acd.put_into_of(agent).map(memberships);
        let wish = Wish { wanted, desk, queues, by: self.hub.wished_by.get(agent).cloned(), wrap_up };
        self.hub.stirred = true;
        let wish = serde_json::to_vec(&wish).unwrap_or_default();
        self.out.push(Output::AgentWish { agent: agent.clone(), wish: wish.into() });
    }

    /// The agent works at this phone, or (none) at the own ones.
    pub fn log_in(&mut self, agent: &StaffNumber, desk: Option<&Number>, by: &By) -> Result<(), Refusal> {
        let config = self.config();
        let known = config.agents.get(agent).ok_or_else(|| Refusal::NoAgent(agent.clone()))?;
        match desk {
            Some(phone) if !config.phones.contains_key(phone) => return Err(Refusal::UnknownPhone(phone.clone())),
            None if known.phones.is_empty() => return Err(Refusal::BadValue("the agent has no phone of the own; name one")),
            Some(_) | None => {}
        }
        // At one of the own phones all of them ring.
        let desk = desk.filter(|phone| !known.phones.contains(phone)).cloned();
        let others = self.hub.acd.log_in(agent, desk, self.now).map_err(|NoSuchAgent(agent)| Refusal::NoAgent(agent))?;
        for other in others {
            self.works_at(&other, by, Some(agent));
        }
        self.works_at(agent, by, None);
        Ok(())
    }

    /// The agent works nowhere.
    pub fn log_out(&mut self, agent: &StaffNumber, by: &By) -> Result<(), Refusal> {
        self.hub.acd.log_out(agent, self.now).map_err(|NoSuchAgent(agent)| Refusal::NoAgent(agent))?;
        self.works_at(agent, by, None);
        Ok(())
    }

    /// The agent works for these queues, or for those of the configuration.
    pub fn put_into(&mut self, agent: &StaffNumber, queues: Option<Vec<Membership>>, by: &By) -> Result<(), Refusal> {
        let config = self.config();
        let wanted = queues.iter().flatten();
        if let Some(unknown) = wanted.clone().find(|one| !config.queues.contains_key(&one.queue)) {
            return Err(Refusal::NoQueue(unknown.queue.clone()));
        }
        if wanted.clone().any(|one| !(1..=9).contains(&one.rank) || !(1..=100).contains(&one.weight)) {
            return Err(Refusal::BadValue("a rank is 1 to 9, a weight 1 to 100"));
        }
        let names: BTreeSet<&QueueName> = wanted.clone().map(|one| &one.queue).collect();
        if names.len() < wanted.count() {
            return Err(Refusal::BadValue("a queue stands there twice"));
        }
        let done = self.hub.acd.put_into(agent, queues.map(standings));
        done.map_err(|NoSuchAgent(agent)| Refusal::NoAgent(agent))?;
        let as_configured = self.hub.acd.put_into_of(agent).is_none();
        let queues = memberships(&self.hub.acd.standings_of(agent));
        let team = config.team_of(agent).cloned();
        let data = AgentQueues { agent: agent.clone(), team, queues, as_configured, by: by.clone() };
        self.tell(None, Kind::AgentQueues(data));
        self.keep_wish(agent);
        self.hub.presence.touch_all();
        Ok(())
    }

    fn works_at(&mut self, agent: &StaffNumber, by: &By, taken_by: Option<&StaffNumber>) {
        let phones = self.hub.acd.phones_of(agent).to_vec();
        let team = self.hub.config.team_of(agent).cloned();
        let out = phones.is_empty();
        let data = AgentLogin { agent: agent.clone(), phones, team, by: by.clone(), taken_by: taken_by.cloned() };
        self.tell(None, if out { Kind::AgentLoggedOut(data) } else { Kind::AgentLoggedIn(data) });
        self.keep_wish(agent);
        self.hub.presence.touch_all();
    }

    /// The code for it was dialled at a phone.
    pub fn log_in_by_code(&mut self, conv: &mut Conversation, phone: &Number, agent: Option<StaffNumber>) {
        let config = self.config();
        let whose = || config.agents.values().find(|a| a.phones.contains(phone)).map(|a| a.staff_number.clone());
        let Some(agent) = agent.or_else(whose) else { return self.fail(conv, Cause::NotFound, None) };
        let Some(known) = config.agents.get(&agent) else { return self.fail(conv, Cause::NotFound, None) };
        if known.phones.contains(phone) {
            return self.logs_in(conv, phone, &agent);
        }
        if known.pin.is_none() {
            self.login_audited(phone, &agent, Some("the agent has no PIN".to_owned()));
            return self.fail(conv, Cause::Forbidden, None);
        }
        if !self.answer(conv) {
            return;
        }
        conv.keys_are_secret = true;
        if self.hub.locks.is_locked(&trier(conv, &lock_of(&agent)), self.now.mono) {
            self.count("mailbox_calls_locked_out_total");
            self.login_audited(phone, &agent, Some("too many wrong PINs".to_owned()));
            return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
        }
        self.ask_pin(conv, agent, 0);
    }

    fn ask_pin(&mut self, conv: &mut Conversation, agent: StaffNumber, wrong: u8) {
        let prompts: &[&str] = if wrong == 0 { &["voicemail-pin"] } else { &["invalid", "voicemail-pin"] };
        let clips = self.clips(conv, prompts);
        self.play(conv, conv.subject, Audio::Prompt(clips));
        conv.stage = Stage::LoggingIn { agent, keyed: String::new(), wrong, until: self.now.mono + TO_KEY };
    }

    pub fn pin_digit(&mut self, conv: &mut Conversation, digit: char) {
        let Stage::LoggingIn { keyed, until, .. } = &mut conv.stage else { return };
        *until = self.now.mono + TO_KEY;
        match digit {
            '#' => self.pin_keyed(conv),
            '*' => keyed.clear(),
            '0'..='9' if keyed.len() <= MOST_DIGITS => keyed.push(digit),
            _ => {}
        }
    }

    /// The PIN is whole, or nothing more was keyed.
    pub fn pin_keyed(&mut self, conv: &mut Conversation) {
        let Stage::LoggingIn { agent, keyed, wrong, .. } = &conv.stage else { return };
        let (agent, wrong) = (agent.clone(), wrong + 1);
        let config = self.config();
        let pin = config.agents.get(&agent).and_then(|known| known.pin.as_ref());
        let is_right = pin.is_some_and(|pin| is_same(keyed, pin.expose()));
        let Some(phone) = conv.origin.phone().cloned() else { return self.fail(conv, Cause::NotFound, None) };
        let lock = lock_of(&agent);
        if !is_right {
            self.count("agent_pins_wrong_total");
            if self.wrong_pin(conv, &lock) {
                self.login_audited(&phone, &agent, Some("too many wrong PINs".to_owned()));
                return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
            }
            if wrong >= MOST_WRONG {
                self.login_audited(&phone, &agent, Some("wrong PINs".to_owned()));
                return self.announce(conv, "invalid", Place::Hangup, Cause::Forbidden);
            }
            return self.ask_pin(conv, agent, wrong);
        }
        let who = trier(conv, &lock);
        // Calls that stood at the prompt when it was locked guess no further.
        if self.hub.locks.is_locked(&who, self.now.mono) {
            return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
        }
        self.hub.locks.succeeded(&who);
        conv.keys_are_secret = false;
        self.logs_in(conv, &phone, &agent);
    }

    fn logs_in(&mut self, conv: &mut Conversation, phone: &Number, agent: &StaffNumber) {
        let done = self.log_in(agent, Some(phone), &By::Phone);
        self.login_audited(phone, agent, done.as_ref().err().map(ToString::to_string));
        match done {
            Ok(()) => {
                // A pause outlives a login.
                let is_paused = matches!(self.hub.acd.wanted_of(agent), Some(Wanted::Paused { .. }));
                let said = if is_paused { "agent-paused" } else { "agent-ready" };
                self.announce(conv, said, Place::Hangup, Cause::Normal);
            }
            Err(_) => self.fail(conv, Cause::NotFound, None),
        }
    }

    fn login_audited(&mut self, phone: &Number, agent: &StaffNumber, why: Option<String>) {
        self.code_audited(phone, ("log_in", json!({"agent": agent, "phone": phone})), why);
    }

    pub fn log_out_by_code(&mut self, phone: &Number) -> Result<&'static str, Cause> {
        let agent = self.hub.acd.agent_at(phone).cloned().ok_or(Cause::NotFound)?;
        self.log_out(&agent, &By::Phone).map(|()| "agent-offline").map_err(|_| Cause::NotFound)
    }
}

/// What wrong PINs of an agent are counted under, among those of mailboxes: `mailbox:agent-1024`.
fn lock_of(agent: &StaffNumber) -> Number {
    Number::new(format!("agent-{agent}"))
}

pub(super) fn memberships(queues: &BTreeMap<QueueName, Standing>) -> Vec<Membership> {
    queues
        .iter()
        .map(|(queue, standing)| Membership { queue: queue.clone(), rank: standing.rank, weight: standing.weight })
        .collect()
}

pub(super) fn standings(queues: Vec<Membership>) -> BTreeMap<QueueName, Standing> {
    queues.into_iter().map(|Membership { queue, rank, weight }| (queue, Standing { rank, weight })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_of_an_older_version_is_read() {
        let read: Wish = serde_json::from_str(r#"{"state":"paused","reason":"break"}"#).unwrap();
        assert_eq!(read, Wish { wanted: Wanted::Paused { reason: Some("break".into()) }, ..Wish::default() });
        let wish = Wish { desk: Some(vec!["204".into()]), by: Some(By::Api("ann".into())), ..read };
        assert_eq!(serde_json::from_slice::<Wish>(&serde_json::to_vec(&wish).unwrap()).unwrap(), wish);
    }
}
