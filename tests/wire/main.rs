//! Real clients over real sockets on loopback. One module a concern.

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod phones;
mod trunk;
