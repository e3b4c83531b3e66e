//! An outside party hears that it is recorded, and may refuse.
//!
//! Where the configuration names an announcement, both hear it when the customer, who is recorded, begins to talk to somebody, once for each
//! recording; where they are parted before its end, again with the next one. A key of the customer's within [`REFUSABLE`] of its beginning
//! ends the recording: nothing of it is kept, nor of what was recorded of the customer before, by a menu's time or for a supervisor, also
//! where a kill comes in between; and the conversation is not recorded any more, whatever another rule or anybody says. A call for help
//! is interrupted by nothing.
//!
//! Who cannot be told, since the announcement's sound is not there, is not recorded either: it ends at once, nothing of it is kept, and that
//! is said loudly.

use std::time::Duration;

use super::Output;
use super::hub::Cx;
use super::output::RecorderCommand;
use super::recording::undecorated;
use crate::clock::Mono;
use crate::conversation::{Announced, Conversation, Stage, Unrecorded};
use crate::event::{By, Kind, RecordingNotAnnounced, RecordingRefused};
use crate::ids::{LegId, RecordingId};
use crate::media::{Audio, ClipName, PlayId};
use crate::route::{Decision, Direction};

/// For so long from the announcement's beginning the key counts: chosen by feel, twice what an announcement takes that also names the key.
const REFUSABLE: Duration = Duration::from_secs(20);

impl Cx<'_> {
    /// Two talk, or a recording has begun while they do.
    pub fn announce_recording(&mut self, conv: &mut Conversation) {
        let Some(recording) = conv.recording.filter(|_| conv.mailbox.is_none()) else { return };
        let (talkers, customer) = (conv.talkers(), conv.customer());
        let Some(name) = self.hub.config.recording.announcement.clone() else { return };
        if conv.is_told_of(recording) || talkers.is_empty() || conv.direction == Direction::Internal || conv.for_help {
            return;
        }
        conv.announced = Some(Announced { recording, until: self.now.mono + REFUSABLE, play: None });
        let Ok(clip) = self.prompt(conv, &name) else { return self.cannot_announce(conv, recording, name) };
        for id in talkers {
            self.play_into(conv, id, Audio::Prompt(vec![clip.clone()]), &By::Switch);
            let play = PlayId(conv.plays);
            if let Some(announced) = conv.announced.as_mut().filter(|_| customer == Some(id)) {
                announced.play = Some(play);
            }
        }
    }

    /// A key: whether it was the customer's refusal.
    pub fn refuses_recording(&mut self, conv: &mut Conversation, id: LegId, digit: char) -> bool {
        let Some(recording) = refused(conv, id, digit, self.hub.config.recording.refuse, self.now.mono) else { return false };
        self.count("recordings_refused_total");
        let told = |recording| Kind::RecordingRefused(RecordingRefused { recording });
        self.tell(Some(conv.id), told(recording));
        for recording in std::mem::take(&mut conv.recorded) {
            self.tell(Some(conv.id), told(recording));
            self.out.push(Output::Recorder(RecorderCommand::Refuse { conversation: conv.id, recording }));
        }
        self.drop_recording(conv, Unrecorded::Refused, told);
        for id in conv.talkers() {
            self.stop_playing(conv, id, &By::Customer);
        }
        self.beep(conv, id);
        true
    }

    /// A leg was to hear a clip that is not there.
    pub fn clip_is_missing(&mut self, conv: &mut Conversation, play: PlayId, clip: &ClipName) {
        self.count("clips_missing_total");
        let is_it = |told: &Announced| told.play == Some(play) && conv.recording == Some(told.recording);
        if let Some(told) = conv.announced.filter(is_it) {
            self.cannot_announce(conv, told.recording, clip.0.to_string());
        }
    }

    fn cannot_announce(&mut self, conv: &mut Conversation, recording: RecordingId, prompt: String) {
        self.count("recordings_not_announced_total");
        let told = |recording| Kind::RecordingNotAnnounced(RecordingNotAnnounced { recording, prompt: prompt.clone() });
        self.tell(Some(conv.id), told(recording));
        self.drop_recording(conv, Unrecorded::NotAnnounced, told);
    }

    /// Nothing is kept of what is recorded now, and no more to come of this conversation.
    fn drop_recording(&mut self, conv: &mut Conversation, why: Unrecorded, told: impl Fn(RecordingId) -> Kind) {
        conv.unrecorded = Some(why);
        // What is on its way to the disk is known as refused before it ends.
        self.describe(conv);
        self.supervision_refused(conv, told);
        self.stop_recording(conv);
        self.never_again(conv, why);
    }

    /// One of those in it does not want to be recorded, or could not be told.
    pub fn never_again(&mut self, conv: &mut Conversation, why: Unrecorded) {
        conv.unrecorded = Some(why);
        conv.rule = Decision::never(format!("{}, {why}", undecorated(&conv.rule.rule)));
        self.decided(conv);
    }
}

/// The recording that a key refuses, if it is the customer's, in time, and for nothing that listens to keys.
pub(super) fn refused(conv: &Conversation, id: LegId, digit: char, refuse: Option<char>, now: Mono) -> Option<RecordingId> {
    let told = conv.announced.filter(|told| conv.recording == Some(told.recording) && now <= told.until)?;
    let asks = matches!(
        conv.stage,
        Stage::Menu { .. } | Stage::Leaving { .. } | Stage::Listening { .. } | Stage::Studio { .. } | Stage::LoggingIn { .. }
    );
    let is_refusal = refuse == Some(digit) && conv.customer() == Some(id) && !(asks && conv.subject == id);
    is_refusal.then_some(told.recording)
}
