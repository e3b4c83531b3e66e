//! A leg's RTCP: our sender and receiver reports about every five seconds, what the peer's say of loss and round trip (RFC 3550 §6).
//! Nothing of a peer's RTCP is passed on: each leg is a session of its own.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::rtp::rtcp::{self, Block, LARGEST, Rtcp, Sender};
use crate::rtp::srtp::GROWTH;

use super::Port;
use super::leg::Leg;

/// Mean time between reports (RFC 3550 §6.2); each is drawn between half and one and a half of it.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// A round trip above this is a broken clock.
const LONGEST_ROUND_TRIP_MS: f32 = 60_000.0;

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
}

impl Control {
    pub fn new(cname: String, first_sequence: u16) -> Control {
        Control { cname, first_sequence, last_sender: None, reported: 0 }
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
        delay: last.map_or(0, |(_, at)| (now.since(at).as_micros() * 65_536 / 1_000_000) as u32),
    });
    let mut bytes = rtcp::compound(out.ssrc, sender, block, &leg.control.cname, bye);
    if let Some(secure) = leg.path.as_mut().and_then(|p| p.secure.as_mut()) {
        let length = bytes.len();
        bytes.try_extend_from_slice(&[0; GROWTH]).ok()?;
        let sealed = secure.seal(Port::Rtcp, &mut bytes, length)?;
        bytes.truncate(sealed);
    }
    Some((to, bytes))
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
            // A BYE ends nothing here: that is for SIP to say.
            Rtcp::SourceDescription { .. } | Rtcp::Goodbye { .. } | Rtcp::Other { .. } => continue,
        };
        for block in blocks.filter(|b| b.ssrc == leg.outgoing.ssrc) {
            let expected = block.extended_newest.wrapping_sub(u32::from(leg.control.first_sequence)).wrapping_add(1);
            if expected > 0 && expected < 1 << 31 {
                leg.incoming.remote_loss = Some((block.lost.max(0) as f32 / expected as f32).min(1.0));
            }
            if block.last_report != 0 {
                let trip = rtcp::middle(rtcp::ntp(now)).wrapping_sub(block.last_report).wrapping_sub(block.delay);
                let ms = trip as f32 * 1_000.0 / 65_536.0;
                if ms < LONGEST_ROUND_TRIP_MS {
                    leg.incoming.round_trip_ms = Some(ms);
                }
            }
        }
    }
}
