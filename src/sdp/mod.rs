//! Session descriptions (RFC 8866) and offer/answer (RFC 3264) for audio.
//!
//! [`Description::parse`] reads what a peer sent, tolerantly; [`Negotiation`] holds one dialog's side of offer/answer: it writes our
//! offers and answers, counts the `o=` version, keeps the `m=` lines in their order, and yields [`Agreed`], from which the media's
//! session is made. Nothing here knows media, sockets or time. Keys of SRTP are agreed on by `a=crypto`
//! (RFC 4568): see `crypto`; browsers agree on theirs by DTLS, for which a description has fingerprints: see `browser`.

mod address;
mod agreed;
mod browser;
mod candidate;
mod crypto;
mod description;
mod direction;
mod negotiation;
mod security;
mod write;
mod xr;

pub use agreed::{Agreed, TelephoneEvents};
pub use browser::{DtlsRole, Fingerprint, FullIce, IceAgent, IceCredentials, IceDtls, OurDtls, Setup, TheirDtls};
pub use candidate::Candidate;
pub use crypto::{Crypto, Security, with_other_keys};
pub use description::{Audio, Description, Format, Line, SdpError, Transport};
pub use direction::Direction;
pub use negotiation::{Local, Negotiation, Refusal};
pub use security::Keys;
pub use xr::Extended;

/// The payload type that our offers give to telephone-event: 101, which every phone expects.
pub const TELEPHONE_EVENT: u8 = 101;

#[cfg(test)]
mod tests;
