//! Codes that a phone presses while it talks: what they ask for goes to the call that it is in.
//!
//! They are the configuration's, each `*` or `#` and digits, so a code's first key is in none a second time, and what was pressed so far is
//! a beginning of one or nothing. One takes a number behind it, up to `#`. The other side hears the keys as it hears any.

use std::time::Duration;

use super::Refusal;
use super::command::{ConsultStep, RecordAction};
use super::hub::Cx;
use crate::config::FeatureCodes;
use crate::conversation::Conversation;
use crate::event::By;
use crate::ids::LegId;

#[derive(Clone, Copy)]
enum InCall {
    /// All of both calls of the phone talk with each other, or with whom it consults.
    Confer,
    PauseRecording,
    /// It begins, or goes on after a pause.
    Record,
    Consultation(ConsultStep),
    Mark,
}

/// Between two keys of one code, and of a number behind it.
const BETWEEN_KEYS: Duration = Duration::from_secs(8);

/// Longer than any number that is dialled.
const LONGEST_NUMBER: usize = 40;

fn codes(codes: &FeatureCodes) -> [(&str, InCall); 6] {
    [
        (&codes.conference, InCall::Confer),
        (&codes.record_pause, InCall::PauseRecording),
        (&codes.record, InCall::Record),
        (&codes.swap, InCall::Consultation(ConsultStep::Swap)),
        (&codes.complete, InCall::Consultation(ConsultStep::Complete)),
        (&codes.marker, InCall::Mark),
    ]
}

impl Cx<'_> {
    /// A key within a call.
    pub fn code_pressed(&mut self, conv: &mut Conversation, id: LegId, digit: char) {
        let talks = conv.other(id).is_some() || conv.parties().any(|(_, leg)| leg == id);
        let config = self.config();
        let Some(leg) = conv.legs.get_mut(&id).filter(|leg| talks && !leg.peer.is_trunk()) else { return };
        let all = codes(&config.codes);
        // Keys much later are meant for whom it talks to, and may be secret.
        if self.now.mono.since(leg.code_pressed_at) > BETWEEN_KEYS {
            leg.code_pressed.clear();
        }
        leg.code_pressed_at = self.now.mono;
        leg.code_pressed.push(digit);
        if let Some(number) = leg.code_pressed.strip_prefix(&config.codes.consult) {
            if digit != '#' {
                if digit == '*' || number.len() > LONGEST_NUMBER {
                    leg.code_pressed = digit.to_string();
                }
                return;
            }
            let number = number.trim_end_matches('#').to_owned();
            leg.code_pressed.clear();
            return self.consult_by_key(conv, id, number);
        }
        if let Some(key) = leg.code_pressed.strip_prefix(&config.codes.disposition) {
            let nth = key.chars().next();
            if let Some(nth) = nth {
                leg.code_pressed.clear();
                return self.dispose_by_key(conv, id, nth);
            }
            return;
        }
        if [&config.codes.consult, &config.codes.disposition].iter().any(|code| code.starts_with(&leg.code_pressed)) {
            return;
        }
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
            InCall::Confer | InCall::Consultation(_) | InCall::Mark => None,
            InCall::PauseRecording => Some(RecordAction::Pause),
            InCall::Record => Some(RecordAction::Start),
        };
        let done = match pressed {
            InCall::Consultation(step) => return self.consultation_by_key(conv, id, step),
            InCall::Mark => {
                let agent = conv.leg(id).and_then(|leg| self.agent_of(leg));
                let asked = serde_json::json!({"conversation": conv.id});
                return self.by_key(conv, id, ("mark", asked), |cx, conv, by| {
                    cx.mark(conv, agent, None, by)?;
                    cx.beep(conv, id);
                    Ok(())
                });
            }
            InCall::Confer if conv.consulted().is_some() => {
                return self.consultation_by_key(conv, id, ConsultStep::Join);
            }
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

    /// Asks the one with that number; without one, asks no more.
    fn consult_by_key(&mut self, conv: &mut Conversation, id: LegId, number: String) {
        if number.is_empty() {
            return self.consultation_by_key(conv, id, ConsultStep::Cancel);
        }
        let asked = serde_json::json!({"conversation": conv.id, "to": number});
        self.by_key(conv, id, ("consult", asked), |cx, conv, by| cx.consult(conv, number, by));
    }

    fn dispose_by_key(&mut self, conv: &mut Conversation, id: LegId, key: char) {
        let nth = key.to_digit(10).and_then(|nth| usize::try_from(nth).ok()).unwrap_or(0);
        let asked = serde_json::json!({"conversation": conv.id, "key": key.to_string()});
        self.by_key(conv, id, ("dispose", asked), |cx, conv, by| {
            cx.disposed_by_key(conv, id, nth, by)?;
            cx.beep(conv, id);
            Ok(())
        });
    }

    fn consultation_by_key(&mut self, conv: &mut Conversation, id: LegId, step: ConsultStep) {
        let asked = serde_json::json!({"conversation": conv.id, "step": step});
        self.by_key(conv, id, ("consultation", asked), |cx, conv, by| cx.consultation_step(conv, step, by));
    }

    /// What whom the customer talks to has asked for; a beep says that it can't be.
    fn by_key(
        &mut self,
        conv: &mut Conversation,
        id: LegId,
        command: (&str, serde_json::Value),
        act: impl FnOnce(&mut Self, &mut Conversation, By) -> Result<(), Refusal>,
    ) {
        let phone = conv.leg(id).and_then(|leg| leg.peer.phone()).cloned();
        let Some(phone) = phone.filter(|_| conv.second() == Some(id)) else { return };
        let by = self.side(conv, id);
        let done = act(self, conv, by);
        self.code_audited(&phone, command, done.as_ref().err().map(ToString::to_string));
        if done.is_err() {
            self.count("codes_in_calls_refused_total");
            self.beep(conv, id);
        }
    }
}
