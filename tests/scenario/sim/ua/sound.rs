//! RTP: a byte of its own every 20 ms, or a tone, and key presses.

use std::net::SocketAddr;

use cordboard::clock::Mono;
use cordboard::codec::G711;
use cordboard::rtp::{Event, Fields, HEADER};
use cordboard::sip::{HeaderName, Method, Request};

use super::call::Press;
use super::{EVENT, PACKET, Phase, Ua};
use crate::sim::network::Parcel;

impl Ua {
    pub fn digit(&mut self, digit: char) {
        if let Some(i) = self.up() {
            self.calls[i].digits.push_back(digit);
        }
    }

    pub fn digit_by_info(&mut self, digit: char, now: Mono) {
        let Some(i) = self.up() else { return };
        let body = format!("Signal={digit}\r\nDuration=160\r\n");
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::ContentType, "application/dtmf-relay");
            r.body = body.into();
        };
        self.in_dialog(i, Method::Info, fill, now);
    }

    pub(super) fn begin_to_speak(&mut self, i: usize, now: Mono) {
        if self.mute {
            return;
        }
        let early = self.early;
        let call = &mut self.calls[i];
        if call.next_rtp.is_none() && (call.phase == Phase::Up || (early && call.phase == Phase::Ringing)) {
            call.next_rtp = Some(now);
        }
    }

    /// RTCP of the call that is up.
    pub fn report(&mut self, bytes: &[u8]) {
        let up = self.calls.iter().rfind(|c| c.phase == Phase::Up);
        let Some((from, to)) = up.and_then(|c| Some((c.rtp, c.rtp_remote?))) else { return };
        let above = |at: SocketAddr| SocketAddr::new(at.ip(), at.port() + 1);
        self.parcels.push((above(to), Parcel::Rtp { from: above(from), bytes: bytes.to_vec(), rtcp: true }));
    }

    pub(super) fn speak(&mut self, i: usize, now: Mono) {
        let (mute, byte) = (self.mute || self.dead, self.byte);
        let (early, tone, words) = (self.early, self.tone, self.words.clone());
        let call = &mut self.calls[i];
        let speaks = call.phase == Phase::Up || (early && matches!(call.phase, Phase::Ringing | Phase::Answered));
        let Some(at) = call.next_rtp.filter(|at| *at <= now && speaks) else { return };
        call.next_rtp = Some(at + PACKET);
        call.timestamp = call.timestamp.wrapping_add(160);
        if call.pressing.is_none()
            && let Some(digit) = call.digits.pop_front()
        {
            let code = Event::code_of(digit).unwrap_or_else(|| panic!("key {digit}"));
            call.pressing = Some(Press { code, timestamp: call.timestamp, duration: 0, ends: 0 });
        }
        let speaks = call.direction == "sendrecv" && !call.zero && call.peer_listens && !mute;
        let Some(to) = call.rtp_remote.filter(|_| speaks || (call.pressing.is_some() && !mute)) else { return };
        call.sequence = call.sequence.wrapping_add(1);
        let ssrc = 0x1000_0000 + i as u32 * 256 + u32::from(byte);
        let mut fields = Fields { marker: false, payload_type: 0, sequence: call.sequence, timestamp: call.timestamp, ssrc };
        let payload = match &mut call.pressing {
            Some(press) => {
                // 100 ms, and its end three times.
                fields.payload_type = EVENT;
                fields.timestamp = press.timestamp;
                fields.marker = press.duration == 0;
                let end = press.duration >= 800;
                if end {
                    press.ends += 1;
                } else {
                    press.duration += 160;
                }
                let event = Event { code: press.code, end, volume: 10, duration: press.duration };
                if press.ends == 3 {
                    call.pressing = None;
                }
                event.to_bytes().to_vec()
            }
            None => match (tone, words) {
                (Some(hz), _) => sine(hz, call.timestamp),
                (None, Some((from, words))) => {
                    let first = at.since(from).as_micros() as usize / 125;
                    (first..first + 160).map(|n| words.get(n).copied().unwrap_or(0xff)).collect()
                }
                (None, None) => vec![byte; 160],
            },
        };
        if fields.payload_type == 0 {
            fields.payload_type = self.codecs.first().copied().unwrap_or(0);
        }
        let mut packet = vec![0; HEADER];
        if let Some(header) = packet.first_chunk_mut() {
            fields.write(header);
        }
        packet.extend(payload);
        let packet = call.srtp.seal(packet);
        let from = SocketAddr::new(call.rtp.ip(), call.rtp.port() + self.rtp_shift);
        self.parcels.push((to, Parcel::Rtp { from, bytes: packet, rtcp: false }));
    }
}

/// 20 ms of a tone in µ-law.
fn sine(hz: f64, from: u32) -> Vec<u8> {
    let sample = |n: u32| (LEVEL * (std::f64::consts::TAU * hz * f64::from(n % 8_000) / 8_000.0).sin()) as i16;
    (0..160).map(|n| G711::Pcmu.encode(sample(from.wrapping_add(n)))).collect()
}

/// Amplitude of the tones.
const LEVEL: f64 = 6_000.0;

impl Ua {
    /// How loud a tone was in the last second of what the newest call heard, in dB against how loud it was said.
    pub fn level(&self, hz: f64) -> f64 {
        let listened = self.calls.last().map_or(&[][..], |call| &call.listened);
        let part = &listened[listened.len().saturating_sub(8_000)..];
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in part.iter().enumerate() {
            let angle = std::f64::consts::TAU * hz * n as f64 / 8_000.0;
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        let amplitude = (re * re + im * im).sqrt() * 2.0 / part.len().max(1) as f64;
        20.0 * (amplitude.max(0.01) / LEVEL).log10()
    }
}
