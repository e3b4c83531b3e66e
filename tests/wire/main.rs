//! Real clients over real sockets on loopback. One module a concern.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod browsers;
mod callbacks;
mod carriers;
mod codecs;
mod consulting;
mod desks;
mod emergency;
mod encrypted;
mod flows;
mod handling;
mod harness;
mod ipv6;
mod journal;
mod kamailio;
mod keys;
mod ladder;
mod lamps;
mod lookups;
mod mail;
mod matrix;
mod next_hop;
mod pairs;
mod phones;
mod queues;
mod recording;
mod secure;
mod sipvicious;
mod standards;
mod talk;
mod trunk;
mod voicemail;
mod webhooks;
