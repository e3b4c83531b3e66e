//! Real clients over real sockets on loopback. One module a concern.

#[path = "../support/mod.rs"]
mod support;

mod browsers;
mod harness;
mod journal;
mod ladder;
mod next_hop;
mod lamps;
mod phones;
mod secure;
mod trunk;
