//! An outside party hears that it is recorded, and may refuse.
//!
//! Where the configuration names an announcement, both hear it when the customer, who is recorded, begins to talk to somebody, once for each
//! recording. A key of the customer's within [`REFUSABLE`] of its beginning ends the recording: nothing of it is kept, also where a kill
//! comes in between, and the conversation is not recorded any more, whatever another rule or anybody says.

use std::time::Duration;

use super::event::{By, Kind, RecordingRefused};
use super::hub::Cx;
use crate::conversation::Conversation;
use crate::ids::LegId;
use crate::media::Audio;
use crate::route::{Decision, Direction};

/// For so long from the announcement's beginning the key counts: chosen by feel, twice what an announcement takes that also names the key.
const REFUSABLE: Duration = Duration::from_secs(20);

impl Cx<'_> {
    /// Two talk, or a recording has begun while they do.
    pub fn announce_recording(&mut self, conv: &mut Conversation) {
        let Some(recording) = conv.recording.filter(|_| conv.mailbox.is_none()) else { return };
        let is_new = conv.announced.is_none_or(|(told, _)| told != recording);
        let talkers = conv.talkers();
        let Some(name) = self.hub.config.recording.announcement.clone() else { return };
        if !is_new || talkers.is_empty() || conv.direction == Direction::Internal {
            return;
        }
        conv.announced = Some((recording, self.now.mono + REFUSABLE));
        // A reload may have taken it away.
        let Ok(clip) = self.prompt(conv, &name) else { return self.count("clips_missing_total") };
        for id in talkers {
            self.play_into(conv, id, Audio::Prompt(vec![clip.clone()]), &By::Switch);
        }
    }

    /// A key: whether it was the customer's refusal.
    pub fn refuses_recording(&mut self, conv: &mut Conversation, id: LegId, digit: char) -> bool {
        let may = conv.announced.filter(|(told, until)| conv.recording == Some(*told) && self.now.mono <= *until);
        let is_asked = self.hub.config.recording.refuse == Some(digit) && conv.customer() == Some(id);
        let Some((recording, _)) = may.filter(|_| is_asked) else { return false };
        conv.refused = true;
        self.count("recordings_refused_total");
        self.tell(Some(conv.id), Kind::RecordingRefused(RecordingRefused { recording }));
        // What is on its way to the disk is known as refused before it ends.
        self.describe(conv);
        self.stop_recording(conv);
        self.supervision_refused(conv);
        conv.rule = Decision::never(format!("{}, refused", conv.rule.rule));
        self.decided(conv);
        for id in conv.talkers() {
            self.stop_playing(conv, id, &By::Customer);
        }
        self.beep(conv, id);
        true
    }
}
