//! From payloads to samples, whatever the codec.

use super::conceal::Concealer;
use super::{Codec, G711, g722, opus};

/// Why a payload gives no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("an empty payload")]
    Empty,
    #[error("{bytes} bytes are no whole number of samples")]
    Ragged { bytes: usize },
    #[error("{bytes} bytes that are no Opus packet")]
    NotOpus { bytes: usize },
}

/// Decodes one stream, whose payloads it gets in the order of their sequence numbers.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    state: State,
}

#[derive(Debug)]
enum State {
    G711(G711, Concealer),
    G722(Box<g722::Decoder>, Concealer),
    Opus(opus::Decoder),
    L16(Concealer),
}

impl Decoder {
    pub fn new(codec: Codec) -> Decoder {
        Decoder::at(codec, codec.sample_rate())
    }

    /// One that gives sound at another rate than the codec's own: Opus at 8 or 16 kHz. The others have one rate.
    pub fn at(codec: Codec, rate: u32) -> Decoder {
        let concealer = || Concealer::new(codec.sample_rate());
        let state = match codec {
            Codec::Pcmu => State::G711(G711::Pcmu, concealer()),
            Codec::Pcma => State::G711(G711::Pcma, concealer()),
            Codec::G722 => State::G722(Box::new(g722::Decoder::new()), concealer()),
            Codec::Opus => State::Opus(opus::Decoder::new(rate)),
            Codec::L16 => State::L16(concealer()),
        };
        Decoder { codec, state }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the samples of a payload, at the decoder's rate; how many they are. On failure nothing is appended.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Undecodable> {
        if payload.is_empty() {
            return Err(Undecodable::Empty);
        }
        let start = out.len();
        match &mut self.state {
            State::G711(law, concealer) => {
                law.decode_all(payload, out);
                concealer.heard(&mut out[start..]);
            }
            State::G722(decoder, concealer) => {
                decoder.decode(payload, out);
                concealer.heard(&mut out[start..]);
            }
            State::Opus(decoder) => decoder.decode(payload, out)?,
            State::L16(concealer) => {
                let (pairs, []) = payload.as_chunks::<2>() else { return Err(Undecodable::Ragged { bytes: payload.len() }) };
                out.extend(pairs.iter().map(|pair| i16::from_be_bytes(*pair)));
                concealer.heard(&mut out[start..]);
            }
        }
        Ok(out.len() - start)
    }

    /// Appends so many samples in place of what was lost before the next payload that is decoded. `next`: that payload, where it is
    /// here already: Opus may have a copy of what was lost in it (RFC 6716 §2.1.7).
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        match &mut self.state {
            State::G711(_, concealer) | State::L16(concealer) => concealer.conceal(samples, out),
            State::G722(decoder, concealer) => {
                let start = out.len();
                concealer.conceal(samples, out);
                let end = out.len();
                concealer.ahead(g722::AHEAD, out);
                decoder.follow(&out[start..end], &out[end..]);
                out.truncate(end);
            }
            State::Opus(decoder) => decoder.conceal(samples, next, out),
        }
    }
}
