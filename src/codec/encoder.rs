//! From samples to payloads, whatever the codec.

use super::{Codec, G711, g722, opus};

/// Encodes one stream.
#[derive(Debug)]
pub struct Encoder {
    state: State,
}

#[derive(Debug)]
enum State {
    G711(G711),
    G722(Box<g722::Encoder>),
    Opus(opus::Encoder),
    L16,
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        Encoder::at(codec, codec.sample_rate())
    }

    /// One that takes sound at another rate than the codec's own: Opus of 8 or 16 kHz. The others have one rate.
    pub fn at(codec: Codec, rate: u32) -> Encoder {
        let state = match codec {
            Codec::Pcmu => State::G711(G711::Pcmu),
            Codec::Pcma => State::G711(G711::Pcma),
            Codec::G722 => State::G722(Box::new(g722::Encoder::new())),
            Codec::Opus => State::Opus(opus::Encoder::new(rate)),
            Codec::L16 => State::L16,
        };
        Encoder { state }
    }

    /// Appends the payload of these samples, at the encoder's rate. They are whole tens of milliseconds, and of a length that the
    /// codec has ([`Codec::packet_ms`]). `false`: nothing was appended and nothing is to be sent, since it is silence that the other
    /// side makes by itself (Opus DTX).
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::G711(law) => out.extend(pcm.iter().map(|sample| law.encode(*sample))),
            State::G722(encoder) => encoder.encode(pcm, out),
            State::Opus(encoder) => return encoder.encode(pcm, out),
            State::L16 => out.extend(pcm.iter().flat_map(|sample| sample.to_be_bytes())),
        }
        true
    }

    /// The share of packets that the other side loses, 0 to 1: Opus puts a coarse copy of each frame in the next when it is worth it.
    pub fn set_loss(&mut self, share: f32) {
        if let State::Opus(encoder) = &mut self.state {
            encoder.set_loss(share);
        }
    }

    /// Opus: silence is not sent (DTX). Off at first; for peers that ask for it (`usedtx`, RFC 7587 §6.1).
    pub fn set_dtx(&mut self, on: bool) {
        if let State::Opus(encoder) = &mut self.state {
            encoder.set_dtx(on);
        }
    }

    /// Opus: bits a second to aim at. The others have one rate.
    pub fn set_bitrate(&mut self, bits: u32) {
        if let State::Opus(encoder) = &mut self.state {
            encoder.set_bitrate(bits);
        }
    }
}
