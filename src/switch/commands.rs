//! The API's commands, and the life of the switch itself: start, reload, drain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command::{
    AgentView, Answer, Command, GreetingView, PhoneView, QueueView, RecordAction, Refusal, RegistrationView, Status, TrunkView,
    WantedState,
};
use super::desk::{Wish, memberships, standings};
use super::forwarding::Unset;
use super::hub::{Cx, For, Told, View};
use super::input::{Actor, RecorderReport, Recovered, UnloggedConversation, Untold};
use super::mailbox::Waits;
use super::output::{RecorderCommand, Ticket};
use super::queueing::millis;
use super::{Output, Switch};
use crate::acd::{AgentState, Wanted};
use crate::clock::Now;
use crate::config::{Config, Source};
use crate::conversation::{Conversation, Peer, Role, Stage, Transferring};
use crate::event::{self, By, ConfigReloaded, Kind, SystemDegraded, SystemStarted, SystemStopping};
use crate::ids::{ConversationId, LegId, QueueName, TrunkName};
use crate::ivr;
use crate::report::Formula;
use crate::route::{self, Cause, Condition, Rule, State};
use crate::sip;
use crate::voicemail::Mailboxes;

/// A phone that a command rings first has this long to answer.
const ORIGINATE: Duration = Duration::from_secs(30);

impl Switch {
    pub(super) fn obey(&mut self, ticket: Ticket, by: &Actor, command: Command, now: Now, out: &mut Vec<Output>) -> Answer {
        let done = match command {
            Command::Originate { from, to } => return self.originate(&from, to, now, out),
            Command::Hangup { conversation } => self.on_live(conversation, now, out, |cx, conv| {
                cx.end(conv, Cause::Api, By::Api(by.0.clone()));
                Ok(())
            }),
            Command::Hold { conversation } => {
                self.on_live(conversation, now, out, |cx, conv| cx.hold_by_command(conv, true, By::Api(by.0.clone())))
            }
            Command::Resume { conversation } => {
                self.on_live(conversation, now, out, |cx, conv| cx.hold_by_command(conv, false, By::Api(by.0.clone())))
            }
            Command::Transfer { conversation, to } => {
                self.on_live(conversation, now, out, |cx, conv| cx.transfer_by_command(conv, to, by))
            }
            Command::Join { conversation, consultation } => {
                self.join_by_command(conversation, consultation, false, By::Api(by.0.clone()), now, out)
            }
            Command::ConferWith { conversation, consultation } => {
                self.join_by_command(conversation, consultation, true, By::Api(by.0.clone()), now, out)
            }
            Command::Confer { conversation, to } => {
                self.on_live(conversation, now, out, |cx, conv| cx.confer_by_command(conv, to, by))
            }
            Command::Consult { conversation, to } => {
                self.on_live(conversation, now, out, |cx, conv| cx.consult(conv, to, By::Api(by.0.clone())))
            }
            Command::Consultation { conversation, step } => {
                self.on_live(conversation, now, out, |cx, conv| cx.consultation_step(conv, step, By::Api(by.0.clone())))
            }
            Command::Monitor { conversation, who, mode } => {
                self.on_live(conversation, now, out, |cx, conv| cx.monitor_by_command(conv, &who, mode, by))
            }
            Command::Mute { conversation, who, muted } => {
                self.on_live(conversation, now, out, |cx, conv| cx.mute_by_command(conv, &who, muted, by))
            }
            Command::Play { conversation, sound, to } => {
                self.on_live(conversation, now, out, |cx, conv| cx.play_by_command(conv, &sound, to, by))
            }
            Command::StopPlay { conversation } => self.on_live(conversation, now, out, |cx, conv| cx.stop_by_command(conv, by)),
            Command::Press { conversation, who, digits } => {
                self.on_live(conversation, now, out, |cx, conv| cx.press_by_command(conv, who.as_ref(), &digits))
            }
            Command::Record { conversation, action } => self.on_live(conversation, now, out, |cx, conv| {
                let by = By::Api(by.0.clone());
                match action {
                    RecordAction::Start => cx.record_on_demand(conv, by),
                    RecordAction::Pause => cx.pause_recording(conv, by),
                    RecordAction::Resume => cx.resume_recording(conv, by),
                }
            }),
            Command::SetAgent { agent, state, reason } => {
                let wanted = match state {
                    WantedState::Ready => Wanted::Ready,
                    WantedState::Paused => {
                        if let Some(reason) =
                            reason.as_ref().filter(|reason| !self.hub.config.codes.pause_reasons.contains(reason))
                        {
                            return Answer::Refused(Refusal::NoReason(reason.clone()));
                        }
                        Wanted::Paused { reason }
                    }
                    WantedState::Offline => Wanted::Offline,
                };
                self.cx(now, out).wish(&agent, wanted, By::Api(by.0.clone())).map_err(|_| Refusal::NoAgent(agent))
            }
            Command::ExtendWrapUp { agent, seconds } => self.cx(now, out).extend_wrap_up(&agent, seconds),
            Command::Dispose { conversation, agent, disposition } => {
                self.dispose(conversation, agent, disposition, By::Api(by.0.clone()), now, out)
            }
            Command::Note { conversation, agent, text } => self.note(conversation, agent, text, By::Api(by.0.clone()), now, out),
            Command::Tag { conversation, agent, tags } => self.tag(conversation, agent, tags, By::Api(by.0.clone()), now, out),
            Command::Mark { conversation, agent, text } => {
                self.on_live(conversation, now, out, |cx, conv| cx.mark(conv, agent, text, By::Api(by.0.clone())))
            }
            Command::LogIn { agent, phone } => self.cx(now, out).log_in(&agent, phone.as_ref(), &By::Api(by.0.clone())),
            Command::PutInto { agent, queues } => self.cx(now, out).put_into(&agent, queues, &By::Api(by.0.clone())),
            Command::LogOut { agent } => self.cx(now, out).log_out(&agent, &By::Api(by.0.clone())),
            Command::SetForwarding { phone, forwarding } => {
                self.cx(now, out).set_forwarding(&phone, forwarding).map_err(|why| match why {
                    Unset::NoPhone => Refusal::UnknownPhone(phone),
                    Unset::NotDiallable(to) => Refusal::NotDiallable(to),
                    Unset::BadTime => Refusal::BadValue("no_answer_after_s is 5 to 60"),
                })
            }
            Command::Phones => return Answer::Phones(self.phones()),
            Command::Mailbox { number } => {
                return match self.cx(now, out).mailbox(&number) {
                    Ok(messages) => Answer::Messages(messages),
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            Command::HearMessage { number, recording } => {
                return match self.cx(now, out).hear_message(&number, recording, Waits::Ticket(ticket)) {
                    Ok(true) => Answer::Done,
                    Ok(false) => Answer::Later,
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            Command::DeleteMessage { number, recording } => {
                return match self.cx(now, out).delete_message(&number, recording, Waits::Ticket(ticket)) {
                    Ok(()) => Answer::Later,
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            Command::Greeting { number } => {
                return match self.cx(now, out).has_greeting(&number) {
                    true => Answer::Greeting(GreetingView { recording: self.hub.greetings.get(&number).copied() }),
                    false => Answer::Refused(Refusal::NoMailbox(number)),
                };
            }
            Command::SetGreeting { number, recording } => {
                let mut cx = self.cx(now, out);
                if !cx.hub.config.mailboxes.contains_key(&number) {
                    cx.discard_greeting(recording);
                    return Answer::Refused(Refusal::NoMailbox(number));
                }
                cx.keep_greeting(number, recording, By::Api(by.0.clone()), Waits::Ticket(ticket));
                return Answer::Later;
            }
            Command::DropGreeting { number } => {
                if !self.cx(now, out).has_greeting(&number) {
                    return Answer::Refused(Refusal::NoMailbox(number));
                }
                return match self.cx(now, out).drop_greeting(&number, By::Api(by.0.clone()), Waits::Ticket(ticket)) {
                    true => Answer::Later,
                    false => Answer::Done,
                };
            }
            Command::MailboxLocks => return Answer::MailboxLocks(self.cx(now, out).mailbox_locks()),
            Command::LiftMailboxLock { locked } => match self.cx(now, out).lift_mailbox_lock(&locked, By::Api(by.0.clone())) {
                true => Ok(()),
                false => Err(Refusal::NotLocked(locked)),
            },
            Command::Registrations => return Answer::Registrations(self.registrations()),
            Command::Bans => return Answer::Bans(self.cx(now, out).banned()),
            Command::LiftBan { address } => match self.cx(now, out).lift(address, By::Api(by.0.clone())) {
                true => Ok(()),
                false => Err(Refusal::NotBanned(address)),
            },
            Command::Agents => return Answer::Agents(self.agents(now)),
            Command::Queues => return Answer::Queues(self.queues(now)),
            Command::Callers { queue } => match self.callers(&queue, now) {
                Ok(callers) => return Answer::Callers(callers),
                Err(refusal) => Err(refusal),
            },
            Command::Announce { queue, prompt, until } => {
                self.announce_to_queue(queue, prompt, until, By::Api(by.0.clone()), now, out)
            }
            Command::MoveCaller { conversation, to, priority, agent } => {
                let by = By::Api(by.0.clone());
                self.on_live(conversation, now, out, |cx, conv| cx.move_caller(conv, to, priority, agent, by))
            }
            Command::Callbacks => return Answer::Callbacks(self.cx(now, out).callback_views()),
            Command::CallBack { queue, number, due_at, owner, conversation } => {
                return self.cx(now, out).call_back_by_command(queue, number, due_at, owner, conversation, by);
            }
            Command::CancelCallback { id } => self.cx(now, out).cancel_callback(id, By::Api(by.0.clone())),
            Command::Trunks => return Answer::Trunks(self.trunks()),
            Command::Status => return Answer::Status(Box::new(self.status())),
        };
        match done {
            Ok(()) => Answer::Done,
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    pub(super) fn on_live(
        &mut self,
        id: ConversationId,
        now: Now,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Cx<'_>, &mut Conversation) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if self.conversations.get(&id).is_none_or(Conversation::is_ending) {
            return Err(Refusal::NoConversation(id));
        }
        self.with(id, now, out, act).unwrap_or(Err(Refusal::NoConversation(id)))
    }

    /// Rings the phone, then dials for it.
    fn originate(&mut self, from: &str, to: String, now: Now, out: &mut Vec<Output>) -> Answer {
        let mut cx = self.cx(now, out);
        if cx.hub.draining {
            return Answer::Refused(Refusal::Stopping);
        }
        let config = cx.config();
        let Some(phone) = config.phones.get(from).filter(|p| cx.hub.registrar.is_registered(&p.number)) else {
            return Answer::Refused(Refusal::NoPhone(from.to_owned()));
        };
        let who = route::Caller::Phone(phone);
        let Ok(target) = route::dial(&config, who, &to) else { return Answer::Refused(Refusal::NotDiallable(to)) };
        if let Err(denied) = cx.may_begin(&phone.number, &target) {
            return Answer::Refused(Refusal::NotPermitted(format!("phone:{}", phone.number), denied));
        }
        let for_help = matches!(&target, route::Target::Outside(outside) if outside.is_emergency());
        let Some(worker) = cx.idlest_worker(For::call(for_help)) else { return Answer::Refused(Refusal::NoPort) };
        let rule = match &target {
            route::Target::Outside(outside) => outside.rule(&config),
            _ => Rule::Internal,
        };
        let id = cx.hub.chance.conversation(now.wall);
        let peer = Peer::Phone(phone.number.clone());
        let mut conv = Conversation::new(id, rule.direction(), peer, worker);
        conv.customer_number = match &target {
            route::Target::Outside(outside) => outside.attempts.first().map_or(to.clone(), |a| a.number.clone()),
            _ => phone.number.to_string(),
        };
        conv.called = to.clone();
        conv.for_help = for_help;
        conv.rule = route::recording(&config, rule);
        let shows = to.clone();
        conv.stage = Stage::Originating { to, until: now.mono + ORIGINATE };
        if !cx.ring_phone(&mut conv, &phone.number, &Role::Caller, &shows, None) {
            return Answer::Refused(Refusal::NoPort);
        }
        if let Some(first) = conv.legs.keys().next().copied() {
            conv.caller = first;
            conv.subject = first;
        }
        cx.begin(&mut conv);
        self.adopt(conv, now, out);
        Answer::Started(id)
    }

    pub(super) fn view(&self) -> View<'_> {
        View::of(&self.hub, &self.conversations)
    }

    fn registrations(&self) -> Vec<RegistrationView> {
        let all = self.hub.registrar.all();
        all.map(|(number, binding)| RegistrationView {
            number: number.to_string(),
            contact: String::from_utf8_lossy(&binding.contact).into_owned(),
            transport: binding.flow.transport.as_str().to_ascii_lowercase(),
            user_agent: binding.user_agent.clone(),
            source: binding.source().to_string(),
            instance: binding.device.as_ref().map(|device| device.instance.clone()),
            reg_id: binding.device.as_ref().and_then(|device| device.reg_id),
            expires_at: binding.expires_at.to_string(),
        })
        .collect()
    }

    fn phones(&self) -> Vec<PhoneView> {
        let one = |phone: &crate::config::Phone| PhoneView {
            number: phone.number.to_string(),
            name: phone.name.clone(),
            registered: self.hub.registrar.is_registered(&phone.number),
            forwarding: self.hub.forwarding.get(&phone.number).cloned().unwrap_or_default(),
        };
        self.hub.config.phones.values().map(one).collect()
    }

    fn agents(&self, now: Now) -> Vec<AgentView> {
        let view = self.view();
        let wall = |at: crate::clock::Mono| {
            let ahead = at.since(now.mono);
            (now.wall + ahead).to_string()
        };
        let one = |a: crate::acd::AgentView| {
            let wrapping = self.hub.acd.wrapping_of(&a.staff_number, now);
            let owes = wrapping.as_ref().map(|wrapping| wrapping.owes).unwrap_or_default();
            let owed = [("disposition", owes.disposition), ("note", owes.note)].into_iter().filter(|(_, is_owed)| *is_owed);
            let (state, reason, until, conversation) = match &a.state {
                AgentState::Offline => ("offline", None, None, None),
                AgentState::Paused { reason } => ("paused", reason.clone(), None, None),
                AgentState::NotRegistered => ("unregistered", None, None, None),
                AgentState::Ready { .. } => ("ready", None, None, None),
                AgentState::Offered { entry, until, .. } => {
                    ("ringing", None, Some(wall(*until)), entry.conversation().map(|caller| caller.to_string()))
                }
                AgentState::Talking { caller, .. } => ("talking", None, None, Some(caller.to_string())),
                AgentState::Busy => ("busy", None, None, None),
                AgentState::WrapUp { until, .. } => {
                    ("wrapup", None, Some(wall(*until)), wrapping.as_ref().map(|wrapping| wrapping.call.to_string()))
                }
                AgentState::Unanswered { until } => ("unanswered", None, Some(wall(*until)), None),
            };
            AgentView {
                staff_number: a.staff_number.to_string(),
                name: a.name,
                phone: a.phones.first().map(ToString::to_string).unwrap_or_default(),
                phones: a.phones.iter().map(ToString::to_string).collect(),
                team: self.hub.config.team_of(&a.staff_number).map(ToString::to_string),
                state: state.to_owned(),
                reason,
                since: Some(a.since.to_string()),
                until,
                queues: a.queues.iter().map(ToString::to_string).collect(),
                put_into: a.put_into.as_ref().map(memberships),
                conversation,
                owes: owed.map(|(what, _)| what.to_owned()).collect(),
            }
        };
        self.hub.acd.agents(&view).into_iter().map(one).collect()
    }

    fn queues(&self, now: Now) -> Vec<QueueView> {
        let label = |kind: crate::acd::StateKind| match kind {
            crate::acd::StateKind::NotRegistered => "unregistered",
            crate::acd::StateKind::Offered => "ringing",
            crate::acd::StateKind::WrapUp => "wrapup",
            other => other.label(),
        };
        let strategy = |name: &QueueName| self.hub.config.queues.get(name).map_or("", |queue| queue.strategy.name()).to_owned();
        let one = |q: crate::acd::QueueView| QueueView {
            strategy: strategy(&q.name),
            announcement: self.hub.news.view(&q.name, now),
            name: q.name,
            waiting: u32::try_from(q.waiting.iter().filter(|w| w.is_caller()).count()).unwrap_or(u32::MAX),
            longest_wait_ms: millis(q.longest_wait.unwrap_or_default()),
            callbacks: u32::try_from(q.waiting.iter().filter(|w| !w.is_caller()).count()).unwrap_or(u32::MAX),
            agents: q.agents.iter().map(|(k, n)| (label(*k).to_owned(), u32::try_from(*n).unwrap_or(u32::MAX))).collect(),
            offered: q.tally.answered + q.tally.abandoned,
            answered: q.tally.answered,
            abandoned: q.tally.abandoned,
            service_level: q.tally.service_level(Formula::F3),
            service_level_formula: format!("{}, T = {} s", Formula::F3.text(), q.threshold.as_secs()),
        };
        self.hub.acd.queues(&self.view(), now).into_iter().map(one).collect()
    }

    fn trunks(&self) -> Vec<TrunkView> {
        let one = |(name, condition): (&TrunkName, &Condition)| {
            let (state, trouble) = match condition.state() {
                State::Unknown => ("unknown", None),
                State::Up => ("up", None),
                State::Down(trouble) => ("down", Some(trouble)),
            };
            TrunkView {
                name: name.clone(),
                state: state.to_owned(),
                since: condition.since().map(|at| at.to_string()),
                reason: trouble.map(|t| t.kind),
                detail: trouble.map(ToString::to_string),
                registered: self.hub.outward.get(name).map(crate::registrar::Outward::is_up),
                calls: self.hub.index.calls_on(name),
            }
        };
        self.hub.conditions.iter().map(one).collect()
    }

    fn status(&self) -> Status {
        let mut live = BTreeMap::new();
        let mut legs_degraded = 0;
        for conv in self.conversations.values() {
            *live.entry(conv.direction).or_insert(0) += 1;
            legs_degraded += conv.legs.values().filter(|l| l.degraded && l.quality.is_none()).count() as u64;
        }
        let trunks = self.trunks();
        let mut degraded = self.hub.degraded.clone();
        for trunk in trunks.iter().filter(|t| t.reason.is_some()) {
            degraded.insert(format!("trunk {}", trunk.name), trunk.detail.clone().unwrap_or_default());
        }
        Status {
            degraded,
            draining: self.hub.draining,
            live_conversations: self.conversations.len() as u64,
            legs: self.hub.index.legs.len() as u64,
            legs_degraded,
            transactions: self.hub.transactions.len() as u64,
            registrations: self.hub.registrar.all().count() as u64,
            free_ports: self.hub.ports.values().map(|p| p.len() as u64).sum(),
            counters: self.hub.counters.clone(),
            trunks,
            live_by_direction: live,
        }
    }

    /// What the last run left is taken over, and told.
    pub(super) fn started(&mut self, recovered: Recovered, now: Now, out: &mut Vec<Output>) {
        let Recovered {
            registrations,
            wishes,
            phones,
            subscriptions,
            minutes,
            news,
            messages,
            untold,
            greetings,
            unkept,
            stays,
            callbacks,
            open,
            unlogged,
            repaired,
        } = recovered;
        let mut snapshot = crate::acd::Snapshot { past: stays, ..Default::default() };
        for (agent, wish) in wishes.iter().filter(|(agent, _)| self.hub.config.agents.contains_key(agent)) {
            let Ok(Wish { wanted, desk, queues, by, wrap_up }) = serde_json::from_slice(wish) else { continue };
            snapshot.wanted.insert(agent.clone(), wanted);
            snapshot.desks.extend(desk.map(|desk| (agent.clone(), desk)));
            snapshot.put_into.extend(queues.map(|queues| (agent.clone(), standings(queues))));
            if let Some(wrap_up) = wrap_up {
                self.hub.wrapping_up.insert(agent.clone());
                snapshot.wrap_ups.insert(agent.clone(), wrap_up);
            }
            self.hub.wished_by.extend(by.map(|by| (agent.clone(), by)));
        }
        self.hub.acd.restart(&self.hub.config, snapshot, now);
        let config = Arc::clone(&self.hub.config);
        self.hub.news.recall(news, |queue| config.queues.contains_key(queue));
        // Of a phone that is gone nothing is kept; what can't be read is the default.
        let settings = phones.into_iter().filter(|(phone, _)| self.hub.config.phones.contains_key(phone));
        self.hub.forwarding =
            settings.filter_map(|(phone, settings)| Some((phone, serde_json::from_slice(&settings).ok()?))).collect();
        let mut changes = Vec::new();
        let config = Arc::clone(&self.hub.config);
        for (number, binding) in registrations.into_iter().filter(|(number, _)| config.phones.contains_key(number)) {
            self.hub.registrar.restore(number, binding, now, &mut changes);
        }
        let mut cx = self.cx(now, out);
        cx.bindings_changed(changes);
        cx.tell_known();
        cx.watch_flows();
        cx.restore_minutes(minutes);
        let data = SystemStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recovered_conversations: (open.len() + unlogged.len()) as u64,
            repaired_recordings: repaired.len() as u64,
            registrations: cx.hub.registrar.all().count() as u64,
        };
        cx.tell(None, Kind::SystemStarted(data));
        // What a kill cut so short is no message.
        let shortest = millis(cx.hub.config.voicemail.shortest);
        let (whole, short): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(_, m)| m.duration_ms >= shortest);
        for (_, message) in short {
            let recording = message.recording;
            cx.out.push(Output::Recorder(RecorderCommand::Discard { recording, told: false }));
        }
        cx.hub.mailboxes = Mailboxes::new(whole);
        cx.restore_greetings(greetings, unkept);
        for Untold { gone, message } in untold {
            cx.tell(None, if gone { Kind::VoicemailDeleted(message) } else { Kind::VoicemailHeard(message) });
        }
        let mut unlogged_ends = Vec::with_capacity(unlogged.len());
        for UnloggedConversation { conversation, started_at, started, recorded_ms } in unlogged {
            let kind = Kind::CallStarted(started);
            cx.out.push(Output::Event(event::Event { at: started_at, conversation: Some(conversation), kind }));
            // A recording begins with the answer.
            unlogged_ends.push((conversation, ended_by_restart(Some(recorded_ms), 0)));
        }
        for repaired in repaired {
            let recording = repaired.finished.recording;
            if let Some(measured) = repaired.measured {
                cx.tell(Some(repaired.conversation), Kind::RecordingMeasured(*measured));
            }
            cx.tell(Some(repaired.conversation), Kind::RecordingRepaired(repaired.finished));
            cx.message_repaired(recording);
        }
        cx.restore_callbacks(callbacks);
        cx.all_lights();
        cx.restore_subscriptions(subscriptions);
        for open in open {
            let answered_ms = open.answered_at.map(|at| millis(open.last_at.since(at)));
            cx.tell(Some(open.conversation), Kind::CallEnded(ended_by_restart(answered_ms, open.talk_ms)));
        }
        for (conversation, ended) in unlogged_ends {
            cx.tell(Some(conversation), Kind::CallEnded(ended));
        }
        cx.hub.stirred = true;
    }

    /// New rules; what runs is not touched.
    pub(super) fn configured(&mut self, by: &Actor, source: &Source, now: Now, out: &mut Vec<Output>) {
        // Checked by who sent it; a source that does not resolve changes nothing.
        let Ok(config) = Config::resolve(source) else { return };
        let Ok(graphs) = ivr::graphs(&config) else { return };
        let changes = crate::config::differences(&self.hub.config, &config);
        let mut cx = self.cx(now, out);
        cx.hub.graphs = graphs;
        let mut bindings = Vec::new();
        cx.hub.registrar.configure(&config, &mut bindings);
        cx.bindings_changed(bindings);
        cx.hub.acd.reconfigure(&config, now);
        cx.hub.wished_by.retain(|agent, _| config.agents.contains_key(agent));
        cx.hub.wrapping_up.retain(|agent| config.agents.contains_key(agent));
        let old = std::mem::replace(&mut cx.hub.config, Arc::new(config));
        cx.trunks_reconfigured(&old);
        cx.trunks_are_not_banned();
        cx.hub.presence.touch_all();
        cx.hub.stirred = true;
        let by = if by.0 == "SIGHUP" { By::Switch } else { By::Api(by.0.clone()) };
        cx.tell(None, Kind::ConfigReloaded(ConfigReloaded { by, changes }));
        self.forget_news(out);
        let is_untold = |conv: &&Conversation| matches!(conv.stage, Stage::Queue { announcer: None, .. });
        let untold: Vec<ConversationId> = self.conversations.values().filter(is_untold).map(|conv| conv.id).collect();
        for id in untold {
            self.with(id, now, out, |cx, conv| cx.is_told_from_now_on(conv));
        }
    }

    pub(super) fn drain(&mut self, now: Now, out: &mut Vec<Output>) {
        if std::mem::replace(&mut self.hub.draining, true) {
            return;
        }
        let live = self.conversations.len() as u64;
        let mut cx = self.cx(now, out);
        let drain_ms = millis(cx.hub.config.sip.drain);
        cx.tell(None, Kind::SystemStopping(SystemStopping { live_conversations: live, drain_ms }));
        cx.leave_trunks();
    }

    pub(super) fn halt(&mut self, now: Now, out: &mut Vec<Output>) {
        self.drain(now, out);
        self.cx(now, out).leave_subscribers();
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            self.with(id, now, out, |cx, conv| cx.end(conv, Cause::Shutdown, By::Switch));
        }
    }
}

impl Cx<'_> {
    /// The phone that a command rang was answered: now it dials.
    pub fn originated(&mut self, conv: &mut Conversation, id: LegId) {
        let to = match &conv.stage {
            Stage::Originating { to, .. } => to.clone(),
            _ => return self.release(conv, id, Cause::Cancelled, sip::Status::REQUEST_TERMINATED, None),
        };
        let others: Vec<LegId> = conv.legs.values().filter(|l| l.is_ringing() && l.id != id).map(|l| l.id).collect();
        let reason = sip::Reason::sip(sip::Status::OK, "Call completed elsewhere");
        for other in others {
            self.release(conv, other, Cause::Cancelled, sip::Status::REQUEST_TERMINATED, Some(reason.clone()));
        }
        conv.caller = id;
        conv.subject = id;
        conv.stage = Stage::Routing;
        self.customer_answered(conv);
        self.go(conv, &crate::config::Place::Number(to));
    }

    fn transfer_by_command(&mut self, conv: &mut Conversation, to: String, by: &Actor) -> Result<(), Refusal> {
        let Stage::Bridged { with, .. } = conv.stage else { return Err(Refusal::WrongState("nobody is connected")) };
        let from = if conv.customer() == Some(with) { conv.subject } else { with };
        let (target, other) = self.may_transfer(conv, from, &to, false).map_err(|(_, why)| why)?;
        self.transfer(conv, other, target, Transferring::of(conv, from, None, By::Api(by.0.clone()), to));
        Ok(())
    }

    /// What comes back is for a phone that waits for it.
    pub fn recorder(&mut self, report: RecorderReport) -> Option<(LegId, Told)> {
        let mailbox = |(leg, event)| (leg, Told::Mailbox(event));
        match report {
            RecorderReport::Started { conversation, recording } => {
                self.tell(Some(conversation), Kind::RecordingStarted(event::RecordingStarted { recording }));
            }
            RecorderReport::Gap { conversation, recording, reason, gap_ms } => {
                self.count("recording_gaps_total");
                self.tell(Some(conversation), Kind::RecordingGap(event::RecordingGap { recording, reason, gap_ms }));
            }
            RecorderReport::Measured { conversation, measured } => {
                self.tell(Some(conversation), Kind::RecordingMeasured(*measured));
            }
            RecorderReport::Finished { conversation, finished } => {
                self.count("recordings_finished_total");
                let (recording, duration_ms) = (finished.recording, finished.duration_ms);
                self.tell(Some(conversation), Kind::RecordingFinished(finished));
                self.message_left(recording, duration_ms);
                let prompt = self.prompt_left(recording, Some(duration_ms));
                return prompt.or_else(|| self.greeting_left(recording, duration_ms).map(mailbox));
            }
            RecorderReport::Discarded { conversation, recording } => {
                self.tell(Some(conversation), Kind::RecordingDiscarded(event::RecordingRefused { recording }));
            }
            RecorderReport::Kept { recording, gone } => return self.message_kept(recording, gone).map(mailbox),
            RecorderReport::Failed { conversation, recording, reason } => {
                self.count("recordings_failed_total");
                self.tell(Some(conversation), Kind::RecordingFailed(event::RecordingFailed { recording, reason }));
                self.take_failed(recording);
                return self.prompt_left(recording, None);
            }
        }
        None
    }

    pub fn health(&mut self, part: String, trouble: Option<String>) {
        match trouble {
            Some(reason) => {
                if self.hub.degraded.insert(part.clone(), reason.clone()).as_ref() != Some(&reason) {
                    self.tell(None, Kind::SystemDegraded(SystemDegraded { part, reason }));
                }
            }
            None => {
                if let Some(reason) = self.hub.degraded.remove(&part) {
                    self.tell(None, Kind::SystemRecovered(SystemDegraded { part, reason }));
                }
            }
        }
    }
}

/// The end of a conversation that another process had.
fn ended_by_restart(answered_ms: Option<u64>, talk_ms: u64) -> event::CallEnded {
    event::CallEnded { cause: Cause::Restart, status: None, by: By::Switch, answered_ms, talk_ms, legs: Vec::new() }
}
