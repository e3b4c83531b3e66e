//! Copies for the recorder: what a leg says and hears, encoded as it was.

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::RecordingId;
use crate::rtp::Fields;

use super::{FRAME_BYTES, Frame, Side};

/// A frame of sound; `payload` is cut at [`FRAME_BYTES`]. Without payload it only says that the packet of this number was no sound
/// (a key press, comfort noise), so that it is not taken for lost.
#[inline]
pub fn frame(recording: RecordingId, side: Side, fields: &Fields, codec: Codec, payload: &[u8], at: Mono) -> Frame {
    let mut copy = ArrayVec::new();
    // Cut to what fits, so it cannot fail.
    let _ = copy.try_extend_from_slice(&payload[..payload.len().min(FRAME_BYTES)]);
    Frame { recording, side, at, ssrc: fields.ssrc, sequence: fields.sequence, timestamp: fields.timestamp, codec, payload: copy }
}
