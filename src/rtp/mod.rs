//! RTP and RTCP packets (RFC 3550), telephone-event (RFC 4733), their encryption (RFC 3711).
//!
//! Everything reads from and writes to the bytes where they lie. No input makes it panic; what is malformed is said to be so and
//! nothing of it is used.

mod bursts;
mod digit;
pub mod e_model;
mod event;
mod packet;
pub mod reception;
pub mod rtcp;
mod sequence;
pub mod srtp;
pub mod xr;

pub use bursts::{Bursts, GMIN, Spread};
pub use digit::{DigitDetector, Press};
pub use event::Event;
pub use packet::{Fields, HEADER, Malformed, Packet};
pub use reception::{Reception, Verdict};
pub use sequence::{is_newer, is_newer_timestamp, sequence_gap, timestamp_gap};

/// Comfort noise (RFC 3389): 8 kHz, static payload type. Phones send it in pauses whether negotiated or not.
pub const COMFORT_NOISE: u8 = 13;
