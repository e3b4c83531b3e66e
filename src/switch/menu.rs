//! Menus: carries out what a session asks, and brings it what the caller does.

use super::hub::Cx;
use crate::conversation::{Back, Conversation, Stage};
use crate::event::{By, Kind, MenuDigit, MenuEntered, MenuLeft};
use crate::ids::MenuName;
use crate::ivr::{Action, Event, Session};
use crate::media::{Audio, ClipName, PlayId};
use crate::route::Cause;

impl Cx<'_> {
    pub fn enter_menu(&mut self, conv: &mut Conversation, name: &MenuName) {
        let Some(graph) = self.hub.graphs.get(name).cloned() else { return self.fail(conv, Cause::NotFound, None) };
        if !self.answer(conv) {
            return;
        }
        self.unpark(conv);
        let mut actions = Vec::new();
        let language = (!conv.language.is_empty()).then(|| conv.language.clone());
        let session = Session::start(graph, language.as_deref(), conv.steps_without_key, self.now, &mut actions);
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
        let Stage::Menu { session, .. } = &mut conv.stage else { return };
        let mut actions = Vec::new();
        session.handle(event, self.now, &mut actions);
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
                Action::Language(language) => conv.language = language,
                Action::Deposit { mailbox, greeting, back } => {
                    let greeting = greeting.into_iter().map(|p| ClipName(p.into())).collect();
                    let waits = match std::mem::replace(&mut conv.stage, Stage::Routing) {
                        Stage::Menu { menu, node, session, .. } if back => Some(Box::new(Back { menu, node, session })),
                        _ => None,
                    };
                    return self.deposit(conv, mailbox, greeting, waits);
                }
                Action::Go(place) => {
                    conv.stage = Stage::Routing;
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
