//! Whole days of a call centre on a virtual clock: the core with its media workers and its recorder, simulated phones and trunks, and a
//! network that loses, delays, swaps and repeats by a seed. No sockets, no sleeps; the same seed gives the same bytes.

#![allow(clippy::indexing_slicing, reason = "a scenario that names a phone that it did not add is broken")]

#[allow(dead_code, reason = "the bench of the core uses the rest")]
mod sim;

mod attacks;
mod attacks_early;
mod attended;
mod browsers;
mod call_through_menu_to_queue;
mod callbacks;
mod calls_inside;
mod calls_outside;
mod carriers;
mod challenges;
mod class_of_service;
mod conference;
mod consent;
mod consulting;
mod day;
mod dead_flows;
mod described;
mod desks;
mod edge;
mod emergency;
mod faults_of_peers;
mod figures;
mod floor;
mod flows;
mod forwarding;
mod greetings;
mod guarding_the_door;
mod handling;
mod hold;
mod hold_clock;
mod identity;
mod keys;
mod life_of_the_switch;
mod lookups;
mod loops;
mod loss;
mod marks;
mod masked;
mod memberships;
mod messages;
mod monitoring;
mod numbers;
mod park_overflow;
mod parking;
mod pickup;
mod playing;
mod presence;
mod quality;
mod queues;
mod random_days;
mod recording;
mod reliable;
mod secured;
mod sessions;
mod signalling;
mod standards;
mod strategies;
mod studio;
mod surveys;
mod transfers;
mod trunks;
mod voicemail;
mod waiting;
mod wrapping;
