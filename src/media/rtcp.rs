//! A leg's RTCP: our sender and receiver reports about every five seconds, extended where the peer asks (RFC 3611), and what the peer's
//! say of loss, jitter, round trip and quality (RFC 3550 §6).
//! Nothing of a peer's RTCP is passed on: each leg is a session of its own.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::codec::Codec;
use crate::rtp::GMIN;
use crate::rtp::rtcp::{self, Block, LARGEST, Rtcp, Sender};
use crate::rtp::srtp::GROWTH;
use crate::rtp::xr::{self, Delay, VoipMetrics};

use super::Port;
use super::leg::Leg;
use super::rating;
use super::stats::Incoming;

/// Mean time between reports (RFC 3550 §6.2); each is drawn between half and one and a half of it.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// A round trip above this is a broken clock.
const LONGEST_ROUND_TRIP_MS: f32 = 60_000.0;
/// Packets that a report ought to know something of: a second of them.
const ENOUGH_SENT: u64 = 50;
/// So many reports in a row that know nothing of what was sent are no chance.
const DEAF_REPORTS: u8 = 3;

/// A leg's state of reports.
#[derive(Clone, Debug)]
pub struct Control {
    /// Says nothing about who we are (RFC 7022).
    pub cname: String,
    /// First sequence number that we sent, from which the peer's counts begin.
    pub first_sequence: u16,
    /// Middle of the NTP time of the peer's last sender report, and when it came.
    last_sender: Option<(u32, Mono)>,
    /// Packets sent up to our last report.
    reported: u64,
    /// Who sent its reference time last, the middle of it, and when it came.
    last_reference: Option<(u32, u32, Mono)>,
    audience: Audience,
}

/// Whether the peer gets what it is sent, by what its reports count.
#[derive(Clone, Copy, Debug, Default)]
struct Audience {
    /// At its last report: packets that we had sent, and the newest that it had.
    sent: u64,
    newest: Option<u32>,
    /// Reports in a row that count nothing new.
    nothing: u8,
    told: bool,
}

impl Audience {
    /// A report. `counts` is the newest packet of ours that it has; `others`: it counts other sources, so perhaps ours by another name
    /// (a relay between us gave it).
    fn reported(&mut self, sent: u64, counts: Option<u32>, others: bool) {
        let progress = match counts {
            Some(newest) => self.newest.replace(newest) != Some(newest),
            None => others,
        };
        if progress {
            self.nothing = 0;
        } else if sent.saturating_sub(self.sent) >= ENOUGH_SENT {
            self.nothing = self.nothing.saturating_add(1);
        }
        self.sent = sent;
    }
}

impl Control {
    pub fn new(cname: String, first_sequence: u16) -> Control {
        Control { cname, first_sequence, last_sender: None, reported: 0, last_reference: None, audience: Audience::default() }
    }

    /// `Some(true)` once when the peer's reports have shown for a while that it gets nothing of us, `Some(false)` once when it does again.
    pub fn is_unheard(&mut self) -> Option<bool> {
        let deaf = self.audience.nothing >= DEAF_REPORTS;
        let changed = deaf != std::mem::replace(&mut self.audience.told, deaf);
        changed.then_some(deaf)
    }
}

/// Our next report, and where to; `None` where nobody may be sent anything.
pub fn report(leg: &mut Leg, bye: bool, now: Mono) -> Option<(SocketAddr, ArrayVec<u8, LARGEST>)> {
    let path = leg.path.as_ref()?;
    // Hold by 0.0.0.0 stops RTCP as well (RFC 3264 §8.4).
    if path.session.remote.is_none() && !path.session.send {
        return None;
    }
    let to = path.rtcp.target(&path.rtp)?;
    let out = &leg.outgoing;
    let sender = (out.packets > leg.control.reported).then(|| Sender {
        ntp: rtcp::ntp(now),
        timestamp: out.timestamp_at(now),
        packets: out.packets as u32,
        octets: out.octets as u32,
    });
    leg.control.reported = out.packets;
    let last = leg.control.last_sender;
    let block = leg.incoming.source().map(|source| Block {
        ssrc: source.ssrc,
        fraction_lost: source.fraction_lost(),
        lost: source.lost(),
        extended_newest: source.extended_newest(),
        jitter: source.jitter(),
        last_report: last.map_or(0, |(middle, _)| middle),
        delay: last.map_or(0, |(_, at)| since(at, now)),
    });
    let mut bytes = rtcp::compound(out.ssrc, sender, block, &leg.control.cname, false);
    let wanted = path.session.extended;
    let reference = wanted.rcvr_rtt.then(|| rtcp::ntp(now));
    let delay = leg.control.last_reference.filter(|_| wanted.rcvr_rtt);
    let delay = delay.map(|(ssrc, middle, at)| Delay { ssrc, last_reference: middle, delay: since(at, now) });
    let voip = if wanted.voip_metrics { voip_metrics(&mut leg.incoming, path.session.codec) } else { None };
    xr::extend(&mut bytes, out.ssrc, reference, delay, voip.as_ref());
    if bye {
        rtcp::goodbye(&mut bytes, out.ssrc);
    }
    if let Some(secure) = leg.path.as_mut().and_then(|p| p.secure.as_mut()) {
        let length = bytes.len();
        bytes.try_extend_from_slice(&[0; GROWTH]).ok()?;
        let sealed = secure.seal(Port::Rtcp, &mut bytes, length)?;
        bytes.truncate(sealed);
    }
    Some((to, bytes))
}

/// In 1/65536 s.
fn since(at: Mono, now: Mono) -> u32 {
    (now.since(at).as_micros() * 65_536 / 1_000_000) as u32
}

/// What we hear of the peer. We are no end system: delay and jitter buffer there are left at 0, which means not known.
fn voip_metrics(incoming: &mut Incoming, codec: Codec) -> Option<VoipMetrics> {
    let spread = incoming.spread();
    let score = incoming.score(codec, &spread)?;
    let round_trip_ms = incoming.round_trip_ms.unwrap_or_default() as u16;
    let source = incoming.source()?;
    let packet_ms = source.packet_ms();
    let share = |part: u64| (part * 256 / spread.packets.max(1)).min(255) as u8;
    let density = |d: f32| (d * 256.0) as u8;
    let tenths = |mos: f32| (mos * 10.0).round() as u8;
    Some(VoipMetrics {
        ssrc: source.ssrc,
        loss_rate: share(spread.lost),
        discard_rate: share(spread.discarded),
        burst_density: density(spread.burst_density()),
        gap_density: density(spread.gap_density()),
        burst_ms: (spread.burst_length() * packet_ms) as u16,
        gap_ms: (spread.gap_length() * packet_ms) as u16,
        round_trip_ms,
        gmin: GMIN as u8,
        r_factor: score.r.round() as u8,
        mos_lq: tenths(rating::score(codec, spread.loss(), spread.burst_ratio(), 0.0).mos),
        mos_cq: tenths(score.mos),
        ..VoipMetrics::default()
    })
}

/// Takes a datagram, decrypted, on the leg's RTCP port.
pub fn receive(leg: &mut Leg, from: SocketAddr, datagram: &[u8], now: Mono) {
    let Some(packets) = rtcp::parse(datagram) else { return };
    let Some(path) = leg.path.as_mut() else { return };
    if !path.rtcp.check(from, &path.rtp) {
        leg.incoming.refused += 1;
        return;
    }
    leg.presence.alive(now);
    let clock_rate = path.session.codec.clock_rate();
    let source = leg.incoming.source().map(|s| s.ssrc);
    for packet in packets {
        let blocks = match packet {
            Rtcp::SenderReport { ssrc, sender, blocks } => {
                if source.is_none_or(|s| s == ssrc) {
                    leg.control.last_sender = Some((rtcp::middle(sender.ntp), now));
                }
                blocks
            }
            Rtcp::ReceiverReport { blocks, .. } => blocks,
            Rtcp::ExtendedReport { ssrc, blocks } => {
                extended(leg, ssrc, blocks, now);
                continue;
            }
            // A BYE ends nothing here: that is for SIP to say.
            Rtcp::Goodbye { mut sources } => {
                if sources.any(|s| Some(s) == source) {
                    leg.clues.goodbye = Some(now);
                }
                continue;
            }
            Rtcp::SourceDescription { .. } | Rtcp::Other { .. } => continue,
        };
        let mut others = false;
        let mut counts = None;
        for block in blocks {
            if block.ssrc != leg.outgoing.ssrc {
                others = true;
                continue;
            }
            counts = Some(block.extended_newest);
            reported(leg, &block, clock_rate, now);
        }
        leg.control.audience.reported(leg.outgoing.packets, counts, others);
    }
}

/// What the peer says of what it is sent.
fn reported(leg: &mut Leg, block: &Block, clock_rate: u32, now: Mono) {
    let expected = block.extended_newest.wrapping_sub(u32::from(leg.control.first_sequence)).wrapping_add(1);
    let remote = &mut leg.incoming.remote;
    if expected > 0 && expected < 1 << 31 {
        remote.loss = Some((block.lost.max(0) as f32 / expected as f32).min(1.0));
        remote.loss_lately = f32::from(block.fraction_lost) / 256.0;
        leg.watch.reported = true;
    }
    let jitter_ms = block.jitter as f32 * 1_000.0 / clock_rate as f32;
    if jitter_ms < LONGEST_ROUND_TRIP_MS {
        remote.jitter_ms = Some(jitter_ms);
    }
    round_trip(leg, block.last_report, block.delay, now);
}

fn extended(leg: &mut Leg, ssrc: u32, blocks: xr::Blocks<'_>, now: Mono) {
    for block in blocks {
        match block {
            xr::Block::ReferenceTime(ntp) => leg.control.last_reference = Some((ssrc, rtcp::middle(ntp), now)),
            xr::Block::Delays(delays) => {
                let ours = leg.outgoing.ssrc;
                for delay in delays.filter(|d| d.ssrc == ours) {
                    round_trip(leg, delay.last_reference, delay.delay, now);
                }
            }
            xr::Block::Voip(voip) if voip.ssrc == leg.outgoing.ssrc => leg.incoming.remote.voip = Some(voip),
            xr::Block::Voip(_) | xr::Block::Other { .. } => {}
        }
    }
}

/// `sent` is the middle of our own time that the peer gives back, `held` how long it had it; 0: it has had none.
fn round_trip(leg: &mut Leg, sent: u32, held: u32, now: Mono) {
    if sent != 0 {
        let trip = rtcp::middle(rtcp::ntp(now)).wrapping_sub(sent).wrapping_sub(held);
        let ms = trip as f32 * 1_000.0 / 65_536.0;
        if ms < LONGEST_ROUND_TRIP_MS {
            leg.incoming.round_trip_ms = Some(ms);
        }
    }
}
