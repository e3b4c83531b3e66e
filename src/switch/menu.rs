//! Menus: carries out what a session asks, and brings it what the caller does.

use super::hub::{Cx, Hub};
use super::queueing::millis;
use super::{Output, Switch};
use crate::acd::{Elsewhere, Floor, StateKind};
use crate::clock::Now;
use crate::conversation::{Back, Conversation, Peer, Stage};
use crate::event::{By, Kind, MenuDigit, MenuEntered, MenuLeft, MenuLookedUp};
use crate::ids::{ConversationId, MenuName, Number, QueueName};
use crate::ivr::expression::{Figure, Name, Value, World};
use crate::ivr::{Action, Arriving, Event, Outcome, Session};
use crate::media::{Audio, ClipName, PlayId};
use crate::route::Cause;

/// What a menu can ask for, of the call and of everything beside it.
pub(super) struct Surroundings<'a> {
    hub: &'a Hub,
    now: Now,
    caller: String,
    called: String,
    trunk: Option<String>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(conv: &Conversation, hub: &'a Hub, now: Now) -> Self {
        let caller = conv.customer_e164.as_ref().unwrap_or(&conv.customer_number);
        Surroundings {
            hub,
            now,
            // Whoever hides its number has none here.
            caller: if conv.anonymous { String::new() } else { caller.clone() },
            called: conv.called_e164.as_ref().unwrap_or(&conv.called).clone(),
            trunk: match &conv.origin {
                Peer::Trunk(trunk) => Some(trunk.to_string()),
                Peer::Phone(_) => None,
            },
        }
    }

    fn local(&self) -> Option<jiff::civil::DateTime> {
        Some(self.now.wall.timestamp()?.to_zoned(self.hub.config.site.time_zone.clone()).datetime())
    }

    fn figure(&self, queue: &str, figure: Figure) -> Option<i64> {
        let view = self.hub.acd.queue(&QueueName::from(queue), &Phones(self.hub), self.now).ok()?;
        let callers: Vec<_> = view.waiting.iter().filter(|w| w.is_caller()).collect();
        let (waiting, ready) = (callers.len(), view.agents.get(&StateKind::Ready).copied().unwrap_or(0));
        let seconds = match (figure, callers.last()) {
            (Figure::Waiting, _) => return i64::try_from(waiting).ok(),
            (Figure::Ready, _) => return i64::try_from(ready).ok(),
            // As the last one who waits, and one place further.
            (Figure::Expected, Some(last)) => {
                let expected = self.hub.acd.seen(last.entry, self.now)?.expected?;
                expected.as_secs().saturating_mul(waiting as u64 + 1) / waiting as u64
            }
            (Figure::Expected, None) if ready > 0 => 0,
            (Figure::Expected, None) => return None,
        };
        i64::try_from(seconds).ok()
    }
}

impl World for Surroundings<'_> {
    fn value(&self, name: &Name) -> Option<Value> {
        match name {
            Name::CallerNumber => Some(Value::Text(self.caller.clone())),
            Name::Called => Some(Value::Text(self.called.clone())),
            Name::Trunk => self.trunk.clone().map(Value::Text),
            Name::Queue { name, figure } => self.figure(name, *figure).map(Value::Integer),
            Name::Time => self.local().map(|local| Value::Time(local.time())),
            Name::Date => self.local().map(|local| Value::Date(local.date())),
            Name::CallerTags | Name::Variable(_) => None,
        }
    }
}

/// Which phones an agent could be rung at.
struct Phones<'a>(&'a Hub);

impl Floor for Phones<'_> {
    fn registered(&self, phone: &Number) -> bool {
        self.0.registrar.is_registered(phone)
    }

    fn elsewhere(&self, phone: &Number) -> Elsewhere {
        self.0.index.elsewhere(phone)
    }

    fn talks(&self, phone: &Number, caller: ConversationId) -> bool {
        self.0.index.of_phone(phone).any(|(_, at)| at.conversation == caller)
    }

    fn present(&self, _: ConversationId) -> bool {
        true
    }
}

impl Switch {
    /// A server has answered, or will not. Whoever has hung up, gone on or asked again meanwhile is not there for it.
    pub(super) fn looked_up(
        &mut self,
        conversation: ConversationId,
        nth: u32,
        outcome: Outcome,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let awaited = self.with(conversation, now, out, |cx, conv| {
            let awaits = conv.lookups == nth
                && !conv.is_ending()
                && matches!(&conv.stage, Stage::Menu { session, .. } if session.is_looking_up());
            if awaits {
                cx.menu_event(conv, Event::LookedUp(outcome));
            }
            awaits
        });
        if awaited != Some(true) {
            self.cx(now, out).count("lookups_late_total");
        }
    }
}

impl Cx<'_> {
    pub fn enter_menu(&mut self, conv: &mut Conversation, name: &MenuName) {
        let Some(graph) = self.hub.graphs.get(name).cloned() else { return self.fail(conv, Cause::NotFound, None) };
        if !self.answer(conv) {
            return;
        }
        self.unpark(conv);
        let mut actions = Vec::new();
        let language = (!conv.language.is_empty()).then(|| conv.language.clone());
        let steps_without_key = conv.steps_without_key;
        let arriving = Arriving { language, steps_without_key, variables: std::mem::take(&mut conv.variables) };
        let world = Surroundings::of(conv, self.hub, self.now);
        let session = Session::start(graph, arriving, self.now, &world, &mut actions);
        conv.steps_without_key = session.steps_without_key();
        if conv.language.is_empty() {
            conv.language = session.language().to_owned();
        }
        conv.stage = Stage::Menu { menu: name.clone(), node: String::new(), session, play: PlayId(0) };
        self.menu_actions(conv, actions);
    }

    pub fn menu_event(&mut self, conv: &mut Conversation, event: Event) {
        if matches!(event, Event::Digit(_)) {
            conv.steps_without_key = 0;
            conv.turned_away = 0;
        }
        let world = Surroundings::of(conv, self.hub, self.now);
        let Stage::Menu { session, .. } = &mut conv.stage else { return };
        let mut actions = Vec::new();
        session.handle(event, self.now, &world, &mut actions);
        conv.steps_without_key = session.steps_without_key();
        self.menu_actions(conv, actions);
    }

    fn menu_actions(&mut self, conv: &mut Conversation, actions: Vec<Action>) {
        for action in actions {
            let Stage::Menu { menu, node: at, .. } = &mut conv.stage else { return };
            let menu = menu.clone();
            match action {
                Action::Play { prompts } => {
                    self.play_in_menu(conv, prompts.into_iter().map(|p| ClipName(p.into())).collect());
                }
                Action::Announce { prompt } => {
                    let clips = self.clips(conv, &[prompt]);
                    self.play_in_menu(conv, clips);
                }
                Action::StopPlay => {
                    conv.plays += 1;
                    self.silence(conv, conv.subject);
                    if let Stage::Menu { play, .. } = &mut conv.stage {
                        *play = PlayId(0);
                    }
                }
                Action::Entered { node } => {
                    *at = node.clone();
                    let language = conv.language.clone();
                    self.tell(Some(conv.id), Kind::MenuEntered(MenuEntered { menu, node, language }));
                }
                Action::Digit { node, digit } => {
                    conv.keys_are_secret = digit.is_none();
                    let digit = digit.map_or_else(|| "x".to_owned(), String::from);
                    self.tell(Some(conv.id), Kind::MenuDigit(MenuDigit { menu, node, digit }));
                }
                Action::Left { node, to } => self.tell(Some(conv.id), Kind::MenuLeft(MenuLeft { menu, node, to })),
                Action::Lookup { request } => {
                    conv.lookups += 1;
                    self.out.push(Output::Lookup { conversation: conv.id, nth: conv.lookups, request });
                }
                Action::LookedUp { node, outcome, took } => {
                    self.count(format!("lookups_total{{outcome=\"{outcome}\"}}"));
                    let data = MenuLookedUp { menu, node, outcome: outcome.to_owned(), ms: millis(took) };
                    self.tell(Some(conv.id), Kind::MenuLookedUp(data));
                }
                Action::Language(language) => conv.language = language,
                Action::Deposit { mailbox, greeting, back } => {
                    let greeting = greeting.into_iter().map(|p| ClipName(p.into())).collect();
                    let waits = match std::mem::replace(&mut conv.stage, Stage::Routing) {
                        Stage::Menu { menu, node, session, .. } if back => Some(Box::new(Back { menu, node, session })),
                        _ => None,
                    };
                    return self.deposit(conv, mailbox, greeting, waits);
                }
                Action::Surveyed { question, score, scale } => self.answers_survey(conv, menu, question, score, scale),
                Action::Go(place) => {
                    if let Stage::Menu { session, .. } = std::mem::replace(&mut conv.stage, Stage::Routing) {
                        conv.variables = session.variables().clone();
                    }
                    return self.go(conv, &place);
                }
                Action::Stuck { .. } => {
                    self.count("menus_stuck_total");
                    return self.end(conv, Cause::Menu, By::Switch);
                }
            }
        }
    }

    fn play_in_menu(&mut self, conv: &mut Conversation, clips: Vec<ClipName>) {
        let started = self.play(conv, conv.subject, Audio::Prompt(clips));
        if let Stage::Menu { play, .. } = &mut conv.stage {
            *play = started;
        }
    }
}
