//! Cordboard: a SIP softswitch with recording for small call centres.
//!
//! The map, from the bottom up; a module names only what stands above it here (`tests/layers.rs` is the exact table):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 0 | [`clock`] [`chance`] [`ids`] [`config`] | time and names as values; configuration as given and as resolved |
//! | 1 | [`sip`] [`sdp`] [`rtp`] [`codec`] | bytes to values and back |
//! | 2 | [`transaction`] [`dialog`] [`registrar`] [`media`] | the protocols' state machines, the audio path of a leg |
//! | 3 | [`route`] [`event`] [`ivr`] [`acd`] [`voicemail`] [`conversation`] [`staffing`] [`report`] [`quality`] | what a call centre is made of, how many it takes, how it fared, how well it served |
//! | 4 | [`switch`] | one owner of all state: `handle(input, now, &mut out)` |
//! | 5 | [`store`] [`http_client`] [`simulation`] | event log, index, registrations on disk; requests to other servers; the switch in no time |
//! | 6 | [`transport`] [`media_engine`] [`recorder`] [`events`] [`webhook`] [`mail`] [`lookup`] [`api`] [`console`] | sockets, threads, files |
//! | – | [`server`] | builds and joins them |
//!
//! Layers 1 to 4 know no socket, thread, file or clock.

#![deny(unsafe_code)]

pub mod chance;
pub mod clock;
pub mod config;
pub mod ids;

pub mod codec;
pub mod rtp;
pub mod sdp;
pub mod sip;

pub mod dialog;
pub mod media;
pub mod registrar;
pub mod transaction;

pub mod acd;
pub mod conversation;
pub mod event;
pub mod ivr;
pub mod quality;
pub mod report;
pub mod route;
pub mod staffing;
pub mod voicemail;

pub mod switch;

pub mod http_client;
pub mod simulation;
pub mod store;

pub mod api;
pub mod console;
pub mod events;
pub mod lookup;
pub mod mail;
pub mod media_engine;
pub mod recorder;
pub mod transport;
pub mod webhook;

pub mod server;
