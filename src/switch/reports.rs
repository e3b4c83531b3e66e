//! What media workers say of legs.

use super::hub::Cx;
use super::pressing::Via;
use super::{Output, Switch};
use crate::clock::Now;
use crate::conversation::Conversation;
use crate::event::{Kind, RecordingGap};
use crate::ids::LegId;
use crate::media::{Key, Report};
use crate::route::Cause;

impl Switch {
    pub(super) fn media(&mut self, report: Report, now: Now, out: &mut Vec<Output>) {
        let leg = report.leg();
        let Some(conversation) = self.conversation_of(leg) else { return };
        self.with(conversation, now, out, |cx, conv| cx.reported(conv, leg, report));
    }
}

impl Cx<'_> {
    /// What a media worker says of a leg.
    fn reported(&mut self, conv: &mut Conversation, id: LegId, report: Report) {
        match report {
            Report::Digit { digit, duration_ms, via, .. } => {
                let duration_ms = u16::try_from(duration_ms).unwrap_or(u16::MAX);
                self.pass_key(conv, id, Key { digit, duration_ms }, Via::Media(via));
                self.digit(conv, id, digit);
            }
            Report::PlayEnded { play, .. } => self.play_ended(conv, id, play),
            Report::ClipMissing { play, clip, .. } => self.clip_is_missing(conv, play, &clip),
            Report::Missing { cause, .. } => self.absent(conv, id, cause, true),
            Report::Present { cause, .. } => self.absent(conv, id, cause, false),
            Report::Degraded { mos, way, quality, .. } => self.scored(conv, id, mos, Some(way), quality),
            Report::Recovered { mos, quality, .. } => self.scored(conv, id, mos, None, quality),
            // What is agreed on before the answer binds nobody to speak.
            Report::Dead { .. } if conv.leg(id).is_some_and(|l| l.is_live() && !l.is_answered()) => {}
            Report::Dead { .. } => self.leg_fails(conv, id, Cause::NoMedia),
            Report::Broken { why, .. } => self.browser_lost(conv, id, why),
            Report::Latched { .. } => {}
            Report::Silence { since, .. } => self.fell_silent(conv, id, since),
            Report::Closed { quality, .. } => self.closed(conv, id, quality),
            Report::TapOverflow { recording, frames, .. } => {
                // 20 ms a frame, the length that nearly every peer sends.
                let data = RecordingGap { recording, reason: "queue_full".to_owned(), gap_ms: frames * 20 };
                self.tell(Some(conv.id), Kind::RecordingGap(data));
            }
        }
    }
}
