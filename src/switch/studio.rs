//! Prompts that are recorded by phone: whoever may dials the code and the prompt's number, speaks, hears it, and keeps it.
//!
//! A take is a recording of its own kind, which nobody hears but who made it. Kept, its sound replaces the prompt's file, and menus play it
//! from their next play on; the take itself goes in any case, after a kill at the next start.

use super::greeting::KEPT_SILENCE;
use super::hub::Cx;
use super::output::{About, RecorderCommand, recorded};
use super::queueing::millis;
use super::{Output, Switch, hub};
use crate::clock::Now;
use crate::conversation::{Conversation, NARROW, Stage};
use crate::event::{By, Kind, PromptRecorded};
use crate::ids::{LegId, RecordingId};
use crate::media::{Audio, ClipName, Command, PlayId};
use crate::route::{Cause, Decision};
use crate::voicemail::studio::{Action, Event, Studio};

impl Cx<'_> {
    /// The caller records a prompt, `<language>/<name>`.
    pub fn record_prompt(&mut self, conv: &mut Conversation, prompt: String) {
        if !self.answer(conv) {
            return;
        }
        self.stop_recording(conv);
        conv.rule = Decision::never(format!("prompt:{prompt}"));
        if let Some((language, _)) = prompt.split_once('/') {
            conv.language = language.to_owned();
        }
        let mut actions = Vec::new();
        let session = Studio::start(self.now.mono, &mut actions);
        conv.stage = Stage::Studio { prompt, session, play: PlayId(0) };
        self.studio_actions(conv, actions);
    }

    pub fn studio_event(&mut self, conv: &mut Conversation, event: Event) {
        let Stage::Studio { session, .. } = &mut conv.stage else { return };
        let mut actions = Vec::new();
        session.handle(event, self.now.mono, &mut actions);
        self.studio_actions(conv, actions);
    }

    fn studio_actions(&mut self, conv: &mut Conversation, actions: Vec<Action>) {
        for action in actions {
            let Stage::Studio { prompt, .. } = &conv.stage else { return };
            let prompt = prompt.clone();
            match action {
                Action::Play(prompts) => {
                    let clips = self.clips(conv, prompts);
                    self.play_in_studio(conv, clips);
                }
                Action::PlayTake(take) => self.play_in_studio(conv, vec![recorded(take)]),
                Action::Take => self.take(conv),
                Action::Said { silent_since } => {
                    self.media(conv.worker, Command::Listen { leg: conv.subject, quiet: None });
                    let end = silent_since.map_or(self.now.mono, |since| self.now.mono.min(since + KEPT_SILENCE));
                    self.stop_recording_at(conv, end);
                }
                Action::Fetch(recording) => {
                    self.silence(conv, conv.subject);
                    self.out.push(Output::Fetch { worker: conv.worker, leg: conv.subject, recording });
                }
                Action::Keep(recording) => {
                    self.silence(conv, conv.subject);
                    self.out.push(Output::KeepPrompt { leg: conv.subject, prompt, recording });
                }
                Action::Discard(recording) => self.discard_greeting(recording),
                Action::Over(say) => return self.announce(conv, say, crate::config::Place::Hangup, Cause::Normal),
            }
        }
    }

    fn play_in_studio(&mut self, conv: &mut Conversation, clips: Vec<ClipName>) {
        let playing = self.play(conv, conv.subject, Audio::Prompt(clips));
        if let Stage::Studio { play, .. } = &mut conv.stage {
            *play = playing;
        }
    }

    fn take(&mut self, conv: &mut Conversation) {
        let recording = self.hub.chance.recording(self.now.wall);
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        conv.recording_rate = NARROW;
        conv.tapped = conv.subject;
        self.hub.prompt_takes.insert(recording, conv.subject);
        self.silence(conv, conv.subject);
        let about: About = self.about(conv, recording);
        self.out.push(Output::Recorder(RecorderCommand::Begin { at: self.now.mono, about }));
        self.media(conv.worker, Command::Tap { leg: conv.subject, recording });
        let quiet = Some(self.hub.config.voicemail.silence).filter(|silence| !silence.is_zero());
        self.media(conv.worker, Command::Listen { leg: conv.subject, quiet });
    }

    /// A recording is durable, or failed. If it is a take, who made it hears it; without anybody there, it goes.
    pub fn prompt_left(&mut self, recording: RecordingId, duration_ms: Option<u64>) -> Option<(LegId, hub::Told)> {
        let leg = self.hub.prompt_takes.remove(&recording)?;
        let is_there = self.hub.index.legs.get(&leg).is_some_and(|at| !at.over);
        let shortest = millis(self.hub.config.voicemail.shortest);
        let is_good = is_there && duration_ms.is_some_and(|ms| ms >= shortest);
        if !is_good {
            self.discard_greeting(recording);
        }
        Some((leg, hub::Told::Studio(Event::Saved(is_good.then_some(recording)))))
    }
}

impl Switch {
    /// What came of keeping a take, which has done its work.
    pub(super) fn prompt_kept(
        &mut self,
        leg: LegId,
        prompt: String,
        recording: RecordingId,
        kept: bool,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let conversation = self.conversation_of(leg);
        let mut cx = self.cx(now, out);
        cx.discard_greeting(recording);
        if kept {
            cx.tell(conversation, Kind::PromptRecorded(PromptRecorded { prompt, by: By::Phone }));
        }
        if let Some(conversation) = conversation {
            self.with(conversation, now, out, |cx, conv| cx.studio_event(conv, Event::Kept(kept)));
        }
    }
}
