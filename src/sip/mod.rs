//! SIP messages: bytes to values and back (RFC 3261 §7, §18.3, §19, §20, §25).
//!
//! [`intake`] and [`StreamFramer`] take what a socket gave and hand out a checked [`Message`] or the answer to what was wrong with it.
//! Headers stay raw [`Bytes`](bytes::Bytes), slices of what was received; typed values are parsed when asked for ([`Headers`]) and printed
//! when set. The rule of the module: nothing that can be put in a message prints as more than it is. The alphabet of each part is kept
//! by its type, and line ends are never printed inside a line.
//!
//! This is the only module that names `rsip`, and only for its vocabulary: `status.rs` takes numbers and names of statuses from it,
//! `method.rs` holds itself against its methods. Its parser, its header types and its printing are not used; DESIGN says why.

mod authentication;
mod digest;
mod error;
mod flow;
mod framing;
mod header;
mod headers;
mod host;
pub(crate) mod journal;
mod message;
mod method;
mod name_addr;
mod params;
mod parse;
mod redact;
mod refusal;
mod replaces;
mod sip_uri;
mod status;
mod tel_uri;
mod text;
mod typed;
mod uri;
mod validate;
mod values;
mod via;

pub use authentication::{Challenge, Credentials, Login, QopAuth};
#[cfg(test)]
pub use digest::work as digest_work;
pub use digest::{Algorithm, ha1, response, same};
pub use error::{ParseError, Syntax};
pub use flow::{ConnectionId, Flow, Transport, is_private};
pub use framing::{Frame, MAX_BODY, MAX_HEAD, MAX_HEADERS, PING, PONG, StreamFramer};
pub use header::HeaderName;
pub use headers::{HeaderValue, Headers};
pub use host::{Host, HostPort};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::Params;
pub use parse::{intake, parse_datagram};
pub use redact::redacted;
pub use refusal::Malformed;
pub use replaces::Replaces;
pub use sip_uri::SipUri;
pub use status::{Class, Status};
pub use tel_uri::TelUri;
pub use text::{Ascii, Token};
pub use typed::Contacts;
pub use uri::{OtherUri, Uri};
pub use validate::validate;
pub use values::{CSeq, Event, MediaType, Reason, Refresher, SessionExpires, SubscriptionState};
pub use via::{MAGIC_COOKIE, Via};
