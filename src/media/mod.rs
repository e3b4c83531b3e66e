//! The pure audio path: what arrives on a leg, who hears it, what is copied to the recorder. No sockets, threads or clock: the
//! driver (`media_engine`) brings packets and time and carries out what is returned.
//!
//! The whole vocabulary between the core and a media worker is [`Command`] down and [`Report`] up. A leg *hears* exactly one
//! [`Source`] at a time; a bridge is two legs that hear each other. Nothing a stranger sends reaches a [`Source`]: see `latch`.
//!
//! ```text
//!                ┌─ one codec on both sides ──> relay: header rewritten ─────────────────────────┐
//! packets ─> receive                                                                             ├─> a leg's one stream
//!                └─ anything else ─> voice: playout, decoder ─> blend: sum, limiter, encoder ─────┤
//!                                                  clips, tones, keys ───────────────────────────┘
//! ```
//! Who hears whom is all that the core says. Conferences and supervisors are nothing else: one who listens is heard by nobody, one who
//! whispers by the agent alone. What has to be decoded for it is decided here (`settle`), and anew with each agreement.

mod absence;
mod blend;
mod blending;
mod clips;
pub mod dtmf;
mod due;
mod ear;
mod keying;
mod latch;
mod leg;
mod limiter;
mod music;
mod play;
mod playout;
mod rating;
mod receive;
mod relay;
mod rtcp;
mod secure;
mod stats;
mod tap;
mod tone;
mod vocabulary;
mod voice;
mod worker;

pub use clips::{Clip, Clips};
pub use receive::Datagram;
pub use vocabulary::*;
pub use worker::{Forward, Moving, Port, Settings, Sink, Slot, Worker};

#[cfg(test)]
mod tests;
