//! What happens to a datagram: checked, latched, counted, listened to for keys, copied to the tap, rewritten, passed on.
//!
//! The path of a relayed packet: no allocation, no search, one look at each of two legs, no copy but the tap's.

use std::net::SocketAddr;

use crate::clock::Mono;
use crate::ids::LegId;
use crate::rtp::srtp::GROWTH;
use crate::rtp::{Event, Fields, Packet, Verdict as Order};

use super::absence::Sounds;
use super::blending::{Keyed, is_relayed};
use super::latch::Verdict;
use super::leg::{Leg, Meaning, is_silence};
use super::relay::Kind;
use super::worker::press_report;
use super::{Absence, Forward, Port, Report, Side, Sink, Slot, Worker, ear, rtcp, tap};

/// Longest packet that is copied, for a second listener or to try a second key; an RTP packet of 60 ms of G.711 is 492 bytes.
pub(super) const LONGEST_COPY: usize = 1_500;

/// What came, in a buffer with room behind it: encrypted for who hears it, a packet is [longer](GROWTH) than it came.
#[derive(Debug)]
pub struct Datagram<'a> {
    pub buffer: &'a mut [u8],
    pub length: usize,
}

impl Datagram<'_> {
    fn packet(&mut self) -> Option<Packet<&mut [u8]>> {
        Packet::parse(self.buffer.get_mut(..self.length)?).ok()
    }
}

/// Packets of another codec in a row after which a leg speaks that.
const OTHERS: u8 = 3;

/// Of a leg that has been silent so far, one packet of so many is looked into.
const LOOK_EVERY: u16 = 8;

impl Worker {
    /// A datagram on a leg's port. What is relayed is rewritten in place and returned; no allocation, and no copy but the tap's. Where the
    /// leg is encrypted, what is not is a stranger's.
    pub fn receive(
        &mut self,
        slot: Slot,
        port: Port,
        from: SocketAddr,
        mut datagram: Datagram<'_>,
        now: Mono,
        out: &mut impl Sink,
    ) -> Option<Forward> {
        let leg = self.leg_in(slot)?;
        if let Some(secure) = leg.path.as_mut().and_then(|p| p.secure.as_mut())
            && secure.open(port, &mut datagram).is_err()
        {
            leg.incoming.refused += 1;
            leg.clues.undecryptable = Some(now);
            return None;
        }
        match port {
            Port::Rtcp => {
                rtcp::receive(leg, from, datagram.buffer.get(..datagram.length)?, now);
                None
            }
            Port::Rtp => {
                let Some(packet) = datagram.packet() else {
                    leg.clues.malformed = Some(now);
                    return None;
                };
                let fields = packet.fields();
                let (speaker, mut keyed) = (leg.id, Keyed::default());
                let has_sound = !packet.payload().is_empty();
                let (meaning, order) = accept(leg, from, &packet, &fields, &mut keyed, now, out)?;
                let restarted = order == Order::Restarted;
                match meaning {
                    Meaning::Event(_) => {
                        self.schedule_digit(slot);
                        self.pass_keys(slot.index, std::mem::take(&mut keyed), now);
                    }
                    Meaning::Sound(codec) if codec == leg.speaks => leg.others = 0,
                    // A keep-alive or a straggler changes nothing; who has changed goes on so.
                    Meaning::Sound(codec) if has_sound && order != Order::Late => {
                        leg.others += 1;
                        if leg.others == OTHERS {
                            (leg.speaks, leg.others) = (codec, 0);
                            self.settle_listeners(slot.index, now);
                        }
                    }
                    Meaning::Sound(_) | Meaning::ComfortNoise => {}
                }
                let is_tone = keyed.suspected;
                if is_tone && let Some(voice) = self.leg_in(slot).and_then(|leg| leg.voice.as_mut()) {
                    voice.hold_tone(now);
                }
                if keyed.in_sound {
                    self.pass_keys(slot.index, keyed, now);
                }
                self.pass_on(slot, Said { speaker, fields, meaning, restarted, is_tone, now }, datagram, out)
            }
        }
    }

    /// To all who hear the leg: copies to all but the last, the packet itself to that.
    fn pass_on(&mut self, slot: Slot, said: Said, mut datagram: Datagram<'_>, out: &mut impl Sink) -> Option<Forward> {
        let listeners = self.leg_in(slot)?.listeners.len();
        for i in 0..listeners.saturating_sub(1) {
            let mut copy = [0; LONGEST_COPY + GROWTH];
            let header = crate::rtp::HEADER;
            let packet = datagram.packet()?;
            let payload = packet.payload();
            let length = header + payload.len();
            let Some(bytes) = copy.get_mut(..length).filter(|b| b.len() <= LONGEST_COPY) else { break };
            bytes[header..].copy_from_slice(payload);
            if let Some(header) = bytes.first_chunk_mut() {
                said.fields.write(header);
            }
            let index = *self.leg_in(slot)?.listeners.get(i)?;
            let mut twin = Datagram { buffer: &mut copy, length };
            if let Some(forward) = self.leg_at_mut(index).and_then(|l| pass(l, &said, &mut twin, out)) {
                out.send(forward.slot, forward.leg, Port::Rtp, forward.to, &copy[forward.start..forward.start + forward.len]);
            }
        }
        let index = *self.leg_in(slot)?.listeners.last()?;
        pass(self.leg_at_mut(index)?, &said, &mut datagram, out)
    }
}

/// A packet that was accepted.
struct Said {
    speaker: LegId,
    fields: Fields,
    meaning: Meaning,
    /// The source's numbers began anew.
    restarted: bool,
    /// It is of a key in the sound, or may be the beginning of one.
    is_tone: bool,
    now: Mono,
}

/// The speaker's side. `None`: the packet goes no further.
fn accept(
    leg: &mut Leg,
    from: SocketAddr,
    packet: &Packet<&mut [u8]>,
    fields: &Fields,
    keyed: &mut Keyed,
    now: Mono,
    out: &mut impl Sink,
) -> Option<(Meaning, Order)> {
    let path = leg.path.as_mut()?;
    let Some((meaning, agreed)) = path.meaning(fields.payload_type) else {
        leg.clues.payload_type = Some((fields.payload_type, now));
        return None;
    };
    if !agreed && !path.rtp.is_locked_on(from) {
        leg.incoming.refused += 1;
        leg.clues.stranger = Some((from, now));
        return None;
    }
    match path.rtp.check(from, fields.ssrc, now) {
        Verdict::Accepted => {}
        Verdict::Latched => out.report(Report::Latched { leg: leg.id, address: from }),
        Verdict::Refused => {
            leg.incoming.refused += 1;
            leg.clues.stranger = Some((from, now));
            return None;
        }
    }
    if let Some(cause) = leg.presence.heard(now) {
        out.report(Report::Present { leg: leg.id, cause });
    }
    let (timestamp, clock_rate) = match meaning {
        Meaning::Sound(codec) => (Some(fields.timestamp), codec.clock_rate()),
        Meaning::ComfortNoise => (Some(fields.timestamp), leg.speaks.clock_rate()),
        Meaning::Event(_) => (None, leg.speaks.clock_rate()),
    };
    let order = leg.incoming.packet(fields.ssrc, clock_rate, fields.sequence, timestamp, now);
    // One that was told not to send is heard by nobody: it is on hold.
    if order == Order::Stray || !path.session.receive {
        return None;
    }
    if let Some(voice) = leg.voice.as_mut() {
        match meaning {
            Meaning::Sound(codec) if codec == voice.codec() => {
                if !voice.packet(fields, packet.payload(), now) {
                    leg.incoming.discarded(fields.ssrc, fields.sequence);
                }
            }
            // The voice of another codec follows with the next packet.
            Meaning::Sound(_) => {}
            Meaning::Event(_) => voice.playout.event(fields, now),
            Meaning::ComfortNoise => voice.playout.comfort_noise(fields, packet.payload(), now),
        }
    }
    let codec = leg.speaks;
    if leg.sounds != Sounds::Heard && fields.sequence.is_multiple_of(LOOK_EVERY) {
        match meaning {
            Meaning::Sound(codec) if !is_silence(codec, packet.payload()) => {
                if leg.sounds.is_heard() {
                    out.report(Report::Present { leg: leg.id, cause: Absence::Silence });
                }
            }
            Meaning::Sound(_) | Meaning::ComfortNoise => leg.sounds.is_silent(now),
            Meaning::Event(_) => {}
        }
    }
    let sound = match meaning {
        Meaning::Sound(codec) => {
            ear::listen(leg, codec, packet.payload(), order == Order::Late, now, keyed, out);
            (codec, packet.payload())
        }
        Meaning::Event(clock_rate) => {
            if let Some(event) = Event::parse(packet.payload()) {
                leg.digits_clock = clock_rate;
                let before = leg.digits.pressed();
                let mut presses = leg.digits.packet(event, fields.timestamp, fields.marker, now);
                for press in &presses {
                    out.report(press_report(leg.id, *press, clock_rate));
                }
                // One that was being pressed is let go; of another only the end has come.
                if before.is_some() && !presses.is_empty() {
                    presses.remove(0);
                    keyed.released = before;
                }
                keyed.clock_rate = Some(clock_rate);
                keyed.whole = presses;
                let after = leg.digits.pressed();
                keyed.pressed = after.filter(|_| before.is_none() || keyed.released.is_some());
            }
            (codec, &[][..])
        }
        Meaning::ComfortNoise => (codec, &[][..]),
    };
    if let Some(recording) = leg.recording {
        out.tap(tap::frame(recording, Side::Said, fields, sound.0, sound.1, now));
    }
    Some((meaning, order))
}

/// The listener's side: the packet rewritten as the next of what it is sent, and encrypted where that is agreed.
#[inline]
fn pass(listener: &mut Leg, said: &Said, datagram: &mut Datagram<'_>, out: &mut impl Sink) -> Option<Forward> {
    let mut packet = datagram.packet()?;
    let session = &listener.path.as_ref()?.session;
    // It is sent what is encoded for it.
    if listener.blend.is_some() {
        return None;
    }
    // Our own packet, come back: two legs whose descriptions name each other's ports must not feed each other for ever.
    if said.fields.ssrc == listener.outgoing.ssrc {
        return None;
    }
    let sounding = listener.keying.as_ref().is_some_and(|k| k.is_sounding());
    let target = listener.path.as_ref().and_then(|p| p.rtp.target()).filter(|_| session.send && !sounding);
    let (payload_type, kind) = match said.meaning {
        Meaning::Sound(codec) => (Some(session.payload_type), Kind::Sound(codec.ticks(packet.payload()))),
        // At another clock it is another event: those are sent anew.
        Meaning::Event(clock) => (session.telephone_event.filter(|(_, theirs)| *theirs == clock).map(|(n, _)| n), Kind::Event),
        // Negotiated with nobody.
        Meaning::ComfortNoise => (None, Kind::Sound(0)),
    };
    let (Some(to), Some(payload_type)) = (target, payload_type) else {
        listener.outgoing.skip(said.speaker, said.fields.ssrc, said.fields.sequence);
        return None;
    };
    // Until its listeners are settled, what cannot go out as it is goes nowhere.
    if let Meaning::Sound(codec) = said.meaning
        && !is_relayed(codec, session.codec)
    {
        listener.outgoing.skip(said.speaker, said.fields.ssrc, said.fields.sequence);
        return None;
    }
    let fields = Fields { payload_type, ..said.fields };
    let fields = listener.outgoing.relay(said.speaker, &fields, kind, said.restarted, said.now)?;
    let payload = match said.meaning {
        Meaning::Sound(codec) => {
            if let (Some(from), Some(to)) = (codec.g711(), session.codec.g711()) {
                match said.is_tone && session.telephone_event.is_some() {
                    // It is sent the key itself, as soon as that is one, and is to hear nothing of it: what would come through
                    // before, between and after its events would be another key to it.
                    true => packet.payload_mut().fill(to.silence()),
                    false => from.transcode(to, packet.payload_mut()),
                }
            }
            packet.payload()
        }
        Meaning::Event(_) | Meaning::ComfortNoise => &[],
    };
    if let Some(recording) = listener.recording {
        out.tap(tap::frame(recording, Side::Heard, &fields, session.codec, payload, said.now));
    }
    let length = packet.payload().len();
    let range = packet.rewrite(&fields);
    let len = match listener.path.as_mut().and_then(|p| p.secure.as_mut()) {
        None => range.len(),
        Some(secure) => secure.seal(Port::Rtp, datagram.buffer.get_mut(range.start..)?, range.len())?,
    };
    listener.outgoing.sent(length);
    Some(Forward { slot: listener.slot, leg: listener.id, to, start: range.start, len })
}
