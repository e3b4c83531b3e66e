//! Copies for the recorder: what a leg says and hears, encoded as it was.

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::RecordingId;
use crate::rtp::Fields;

use super::{Frame, Payload, Side};

/// A frame of sound; `payload` is cut at [`super::LONGEST_PAYLOAD`]. Without payload it only says that the packet of this number was no sound
/// (a key press, comfort noise), so that it is not taken for lost.
#[inline]
pub fn frame(recording: RecordingId, side: Side, fields: &Fields, codec: Codec, payload: &[u8], at: Mono) -> Frame {
    let payload = Payload::from(payload);
    Frame { recording, side, at, ssrc: fields.ssrc, sequence: fields.sequence, timestamp: fields.timestamp, codec, payload }
}
