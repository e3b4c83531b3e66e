//! What a leg's timers do: the next packet of a play, a report, a look whether the peer is still there, a key press without an end.

use std::time::Duration;

use crate::clock::Mono;
use crate::rtp::HEADER;
use crate::rtp::srtp::GROWTH;

use super::blending::Keyed;
use super::leg::{Finding, Hears};
use super::rating::Change;
use super::relay::Own;
use super::worker::{Timer, press_report};
use super::{Absence, FRAME_BYTES, Port, Report, Side, Sink, Slot, Worker, rtcp, tap};

/// A play that is this late has lost its pace: it goes on from now instead of hurrying after.
pub(super) const LATE: Duration = Duration::from_millis(100);

impl Worker {
    pub(super) fn play_due(&mut self, slot: Slot, due: Mono, now: Mono, out: &mut impl Sink) {
        let Some(leg) = self.leg_in(slot) else { return };
        if leg.blend.is_some() {
            return self.blend_due(slot, due, now, out);
        }
        let sounding = leg.keying.as_ref().is_some_and(|k| k.is_sounding());
        let (Hears::Play(play), Some(path)) = (&mut leg.hears, &mut leg.path) else { return };
        let session = &path.session;
        let late = now.since(due) > LATE;
        let Some(law) = session.codec.g711() else { return };
        let length = (usize::from(session.ptime_ms) * 8).clamp(80, FRAME_BYTES);
        let mut packet = [0; HEADER + FRAME_BYTES + GROWTH];
        let goes_on = match path.rtp.target() {
            _ if sounding => play.tape.pass(length),
            _ if !session.send => {
                leg.outgoing.splice_anew();
                play.tape.pass(length)
            }
            // A peer that is answered where it sends from: it has not sent yet.
            None => true,
            Some(to) => {
                let (header, payload) = packet.split_at_mut(HEADER);
                let payload = &mut payload[..length];
                let goes_on = play.read(law, payload);
                if goes_on {
                    let fields = leg.outgoing.own(Own::Play(play.id), session.payload_type, length as u32, late, now);
                    if let Some(header) = header.first_chunk_mut() {
                        fields.write(header);
                    }
                    leg.outgoing.sent(length);
                    if let Some(recording) = leg.recording {
                        out.tap(tap::frame(recording, Side::Heard, &fields, session.codec, payload, now));
                    }
                    let whole = match &mut path.secure {
                        None => Some(HEADER + length),
                        Some(secure) => secure.seal(Port::Rtp, &mut packet, HEADER + length),
                    };
                    if let Some(whole) = whole {
                        out.send(slot, leg.id, Port::Rtp, to, &packet[..whole]);
                    }
                }
                goes_on
            }
        };
        if goes_on {
            let from = if late { now } else { due };
            self.schedule(slot, Timer::Play, from + Duration::from_millis(length as u64 / 8));
        } else {
            let play = play.id;
            leg.hears = Hears::Nothing;
            out.report(Report::PlayEnded { leg: leg.id, play });
        }
    }

    pub(super) fn report_due(&mut self, slot: Slot, now: Mono, out: &mut impl Sink) {
        let degraded_below = self.settings.degraded_below;
        let Some(leg) = self.leg_in(slot) else { return };
        // What it has reported is news once.
        if leg.watch.reported
            && let Some(blend) = leg.blend.as_mut()
        {
            blend.set_loss(leg.incoming.remote.loss_lately);
        }
        if let Some((to, bytes)) = rtcp::report(leg, false, now) {
            out.send(slot, leg.id, Port::Rtcp, to, &bytes);
        }
        let codec = leg.path.as_ref().map(|p| p.session.codec);
        if let Some(change) = codec.and_then(|codec| leg.watch.rate(&mut leg.incoming, codec, degraded_below)) {
            let (leg, quality) = (leg.id, leg.quality());
            out.report(match change {
                Change::Degraded { mos, way } => Report::Degraded { leg, mos, way, quality },
                Change::Recovered { mos } => Report::Recovered { leg, mos, quality },
            });
        }
        self.schedule_report(slot, now);
    }

    pub(super) fn check_due(&mut self, slot: Slot, now: Mono, out: &mut impl Sink) {
        let settings = self.settings.clone();
        let Some(leg) = self.leg_in(slot) else { return };
        // On hold, by whichever side, the peer may be silent for as long as it likes.
        let expected = leg.path.as_ref().is_some_and(|p| p.session.send && p.session.receive);
        if !expected {
            leg.presence.agree(now);
            leg.sounds.excused();
        }
        while let Some(finding) = leg.presence.check(&settings, &leg.clues, leg.incoming.has_heard(), now) {
            out.report(match finding {
                Finding::Missing(cause) => Report::Missing { leg: leg.id, cause },
                Finding::Dead => Report::Dead { leg: leg.id },
            });
        }
        if expected && leg.sounds.check(now) {
            out.report(Report::Missing { leg: leg.id, cause: Absence::Silence });
        }
        match leg.control.is_unheard() {
            Some(true) => out.report(Report::Missing { leg: leg.id, cause: Absence::Unheard }),
            Some(false) => out.report(Report::Present { leg: leg.id, cause: Absence::Unheard }),
            None => {}
        }
        let next = leg.presence.deadline(&settings, now);
        self.schedule(slot, Timer::Check, next);
    }

    pub(super) fn quiet_due(&mut self, slot: Slot, now: Mono, out: &mut impl Sink) {
        let Some(leg) = self.leg_in(slot) else { return };
        let Some(quiet) = leg.quiet else { return };
        let due = quiet.since + quiet.after;
        if due <= now {
            leg.quiet = None;
            return out.report(Report::Silence { leg: leg.id, since: quiet.since });
        }
        self.schedule(slot, Timer::Quiet, due);
    }

    pub(super) fn digit_due(&mut self, slot: Slot, now: Mono, out: &mut impl Sink) {
        let Some(leg) = self.leg_in(slot) else { return };
        if let Some(press) = leg.digits.tick(now) {
            out.report(press_report(leg.id, press, leg.digits_clock));
            self.pass_keys(slot.index, Keyed { released: Some(press.digit), ..Keyed::default() }, now);
        }
        self.schedule_digit(slot);
    }
}
