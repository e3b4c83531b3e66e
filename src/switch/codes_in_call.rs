//! Codes that a phone presses while it talks: what they ask for goes to the call that it is in.
//!
//! They are the configuration's, each `*` or `#` and digits, so a code's first key is in none a second time, and what was pressed so far is
//! a beginning of one or nothing. The other side hears the keys as it hears any.

use super::command::RecordAction;
use super::hub::Cx;
use crate::config::FeatureCodes;
use crate::conversation::Conversation;
use crate::ids::LegId;

#[derive(Clone, Copy)]
enum InCall {
    /// All of both calls of the phone talk with each other.
    Confer,
    PauseRecording,
    /// It begins, or goes on after a pause.
    Record,
}

fn codes(codes: &FeatureCodes) -> [(&str, InCall); 3] {
    [(&codes.conference, InCall::Confer), (&codes.record_pause, InCall::PauseRecording), (&codes.record, InCall::Record)]
}

impl Cx<'_> {
    /// A key within a call.
    pub fn code_pressed(&mut self, conv: &mut Conversation, id: LegId, digit: char) {
        let talks = conv.other(id).is_some() || conv.parties().any(|(_, leg)| leg == id);
        let config = self.config();
        let Some(leg) = conv.legs.get_mut(&id).filter(|leg| talks && !leg.peer.is_trunk()) else { return };
        let all = codes(&config.codes);
        leg.code_pressed.push(digit);
        if !all.iter().any(|(code, _)| code.starts_with(&leg.code_pressed)) {
            leg.code_pressed = digit.to_string();
        }
        let pressed = match all.iter().find(|(code, _)| *code == leg.code_pressed) {
            Some((_, pressed)) => *pressed,
            None if all.iter().any(|(code, _)| code.starts_with(&leg.code_pressed)) => return,
            None => return leg.code_pressed.clear(),
        };
        leg.code_pressed.clear();
        let by = self.side(conv, id);
        let action = match pressed {
            InCall::Confer => None,
            InCall::PauseRecording => Some(RecordAction::Pause),
            InCall::Record => Some(RecordAction::Start),
        };
        let done = match pressed {
            InCall::Confer => {
                if conv.other(id).is_some() {
                    self.hub.conferring = Some((conv.id, id));
                }
                return;
            }
            InCall::PauseRecording => self.pause_recording(conv, by),
            InCall::Record => self.record_on_demand(conv, by),
        };
        let phone = conv.leg(id).and_then(|leg| leg.peer.phone()).cloned();
        if let (Some(phone), Some(action)) = (phone, action) {
            let asked = serde_json::json!({"conversation": conv.id, "action": action});
            self.code_audited(&phone, ("record", asked), done.as_ref().err().map(ToString::to_string));
        }
        match done {
            Ok(()) => self.beep(conv, id),
            Err(_) => self.count("recording_keys_refused_total"),
        }
    }
}
