//! What the suites that drive real programs share: the switch itself, real SIP clients, and an ear for what they heard.
//! A suite says `#[path = "../support/mod.rs"] mod support;`. Nothing here sleeps to "give it time": every wait names its condition
//! and its deadline.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::disallowed_methods, reason = "real programs run on the real clock, and are read by threads")]

pub mod baresip;
pub mod browser;
pub mod caller;
pub mod cordboard;
pub mod dns;
pub mod kamailio;
pub mod linphone;
pub mod pcap;
pub mod ports;
pub mod process;
pub mod receiver;
pub mod relay;
pub mod rtp;
pub mod sipp;
pub mod skip;
pub mod smtp;
pub mod stream;
pub mod tones;
