//! The pure audio path: what arrives on a leg, who hears it, what is copied to the recorder. No sockets, threads or clock: the
//! driver (`media_engine`) brings packets and time and carries out what is returned.
//!
//! The whole vocabulary between the core and a media worker is [`Command`] down and [`Report`] up. A leg *hears* exactly one
//! [`Source`] at a time; a bridge is two legs that hear each other. Nothing a stranger sends reaches a [`Source`]: see `latch`.

mod clips;
pub mod dtmf;
mod due;
mod latch;
mod leg;
mod music;
mod play;
mod receive;
mod relay;
mod rtcp;
mod secure;
mod stats;
mod tap;
mod tone;
mod vocabulary;
mod worker;

pub use clips::{Clip, Clips};
pub use receive::Datagram;
pub use vocabulary::*;
pub use worker::{Forward, Moving, Port, Settings, Sink, Slot, Worker};

#[cfg(test)]
mod tests;
