//! Opus (RFC 6716, RFC 7587) by libopus: mono, for speech, with in-band FEC and DTX.
//!
//! Its RTP clock has 48 kHz whatever the sound has (RFC 7587 §4.1). Either end may work at a lower rate than the other: where the sound
//! comes from a telephone of 8 kHz, an encoder of 8 kHz does with less than half of the time and loses nothing.

use ::opus::{Application, Bitrate, Channels, Signal};

use super::Undecodable;

/// Of RTP timestamps and of [`duration`], in Hz.
const CLOCK: usize = 48_000;
/// libopus conceals in steps of 2.5 ms: so many in a second.
const STEPS: usize = 400;
/// Longest frame (RFC 6716 §3.2.1); longer payloads are of several.
const LONGEST_PAYLOAD: usize = 1_275;
/// Fullband speech (RFC 7587 §3.1.1: 28 to 40 kbit/s).
const BITRATE: u32 = 32_000;
/// What an encoder may be told to aim at (RFC 6716 §2.1.1).
const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;
/// Magnitude up to which a frame may be left out: 42 dB below the loudest.
const QUIET: u16 = 260;
/// Of libopus' 0 to 10: speech at 32 kbit/s costs half of what it costs at 10, and is as near to the original; below 4 it is not.
const COMPLEXITY: i32 = 5;

#[derive(Debug)]
pub struct Decoder {
    /// `None` where there was no memory for it: then nothing can be decoded.
    decoder: Option<::opus::Decoder>,
    rate: usize,
}

impl Decoder {
    /// `rate`: one that Opus has, 8, 16 or 48 kHz among them.
    pub fn new(rate: u32) -> Decoder {
        Decoder { decoder: ::opus::Decoder::new(rate, Channels::Mono).ok(), rate: rate as usize }
    }

    fn samples(&self, payload: &[u8]) -> usize {
        duration(payload) * self.rate / CLOCK
    }

    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Undecodable> {
        let failed = Undecodable::NotOpus { bytes: payload.len() };
        let samples = self.samples(payload);
        let Some(decoder) = self.decoder.as_mut().filter(|_| samples > 0) else { return Err(failed) };
        let start = out.len();
        out.resize(start + samples, 0);
        let decoded = decoder.decode(payload, &mut out[start..], false);
        out.truncate(start + decoded.as_ref().map_or(0, |n| *n));
        decoded.map(|_| ()).map_err(|_| failed)
    }

    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        let end = out.len() + samples;
        let (step, longest) = (self.rate / STEPS, LONGEST * self.rate / CLOCK);
        // The copy in the next packet is of the frame before it, so the last piece asks for it.
        while out.len() < end {
            let start = out.len();
            let piece = (end - start).div_ceil(step) * step;
            let piece = piece.min(longest);
            out.resize(start + piece, 0);
            let last = start + piece >= end;
            let copy = next.filter(|packet| last && duration(packet) > 0);
            let made = self.decoder.as_mut().map(|d| d.decode(copy.unwrap_or_default(), &mut out[start..], copy.is_some()));
            if !matches!(made, Some(Ok(_))) {
                out[start..].fill(0);
            }
        }
        out.truncate(end);
    }
}

#[derive(Debug)]
pub struct Encoder {
    /// `None` where there was no memory for it: then nothing is sent.
    encoder: Option<::opus::Encoder>,
    /// Silence need not be sent.
    dtx: bool,
}

impl Encoder {
    /// `rate`: one that Opus has, 8, 16 or 48 kHz among them.
    pub fn new(rate: u32) -> Encoder {
        let encoder = || {
            let mut encoder = ::opus::Encoder::new(rate, Channels::Mono, Application::Voip)?;
            encoder.set_signal(Signal::Voice)?;
            encoder.set_complexity(COMPLEXITY)?;
            encoder.set_bitrate(Bitrate::Bits(BITRATE as i32))?;
            encoder.set_inband_fec(true)?;
            ::opus::Result::Ok(encoder)
        };
        Encoder { encoder: encoder().ok(), dtx: false }
    }

    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.resize(start + LONGEST_PAYLOAD, 0);
        // libopus takes steady tones (ringing, music that holds a chord) for noise that need not be sent, so only what is quiet is
        // left to its judgement.
        let quiet = self.dtx && pcm.iter().all(|sample| sample.unsigned_abs() <= QUIET);
        let mut encode = |e: &mut ::opus::Encoder| e.set_dtx(quiet).and_then(|()| e.encode(pcm, &mut out[start..]));
        let written = self.encoder.as_mut().and_then(|e| encode(e).ok()).unwrap_or(0);
        // Two bytes or one need not be sent, says libopus of DTX.
        let sent = if written > 2 { written } else { 0 };
        out.truncate(start + sent);
        sent > 0
    }

    pub fn set_loss(&mut self, share: f32) {
        let percent = (share.clamp(0.0, 1.0) * 100.0).ceil() as i32;
        // Refused by none that libopus has.
        let _ = self.encoder.as_mut().map(|e| e.set_packet_loss_perc(percent));
    }

    pub fn set_dtx(&mut self, on: bool) {
        self.dtx = on;
    }

    pub fn set_bitrate(&mut self, bits: u32) {
        let bits = bits.clamp(*BITRATES.start(), *BITRATES.end());
        let _ = self.encoder.as_mut().map(|e| e.set_bitrate(Bitrate::Bits(bits as i32)));
    }
}

/// Longest packet, in samples at 48 kHz: 120 ms (RFC 6716 §3.2.5).
const LONGEST: usize = 5_760;

/// How long a packet is, in samples at 48 kHz, by its first bytes (RFC 6716 §3.1, §3.2); 0 where it can't be one.
pub fn duration(payload: &[u8]) -> usize {
    let Some(toc) = payload.first() else { return 0 };
    let frame = match toc >> 3 {
        // SILK alone: 10, 20, 40, 60 ms.
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        // CELT alone: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(0, |count| usize::from(count & 0x3f)),
    };
    Some(frame * frames).filter(|samples| *samples <= LONGEST).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6716 table 2 and §3.2.5.
    #[test]
    fn a_packet_says_how_long_it_is() {
        for (packet, samples) in [
            (&[][..], 0),
            (&[0x08, 1, 2], 960),
            (&[0x18], 2_880),
            (&[0x19], 5_760),
            (&[0x61], 960),
            (&[0x80], 120),
            (&[0xfc, 9], 960),
            (&[0xfb, 6], 5_760),
            (&[0xfb, 7], 0),
            (&[0xfb], 0),
            (&[0xfb, 0xc2], 1_920),
        ] {
            assert_eq!(duration(packet), samples, "{packet:x?}");
        }
    }
}
